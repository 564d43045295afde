#include "core/dns/forwarder.h"

#include <sys/stat.h>

#include <algorithm>

#include "core/base/files.h"
#include "core/base/random.h"
#include "core/base/strings.h"
#include "core/net/datagram.h"
#include "core/net/dial.h"
#include "core/net/task.h"

namespace skerry::dns {
namespace {

constexpr std::uint32_t kMaxTtl = 300, kMaxNegativeTtl = 30;
constexpr std::size_t kMaxServers = 3;   // as resolv.conf(5)

std::uint32_t Lifetime(const Message& m) {
  std::uint32_t ttl = kMaxTtl;
  if (!m.answers.empty()) {
    for (const Record& r : m.answers) ttl = std::min(ttl, r.ttl);
    return ttl;
  }
  for (const Record& r : m.authority) {
    if (r.type != Type::kSoa || r.data.size() < 4) continue;
    std::uint32_t minimum = 0;
    for (std::size_t i = r.data.size() - 4; i < r.data.size(); ++i) minimum = minimum << 8 | static_cast<std::uint8_t>(r.data[i]);
    return std::min({r.ttl, minimum, kMaxNegativeTtl});
  }
  return 0;
}

bool Matches(const Message& query, const Message& answer) {
  return answer.response && answer.id == query.id && answer.questions == query.questions;
}

net::Task<Result<std::string>> ReadExactly(net::Stream* stream, std::size_t size) {
  std::string out(size, '\0');
  std::size_t have = 0;
  while (have < size) {
    const std::span<std::byte> room(reinterpret_cast<std::byte*>(out.data()) + have, size - have);
    CO_TRY(const std::size_t n, co_await stream->Read(room));
    if (n == 0) co_return Fail(Code::kUnavailable, "connection closed");
    have += n;
  }
  co_return std::move(out);
}

}  // namespace

std::optional<Message> Cache::Get(const std::string& key) {
  const auto now = clock_.Mono();
  auto state = state_.Lock();
  const auto at = state->index.find(key);
  if (at == state->index.end()) return std::nullopt;
  const auto entry = at->second;
  if (entry->expires <= now) {
    state->entries.erase(entry);
    state->index.erase(at);
    return std::nullopt;
  }
  state->entries.splice(state->entries.begin(), state->entries, entry);
  Message out = entry->answer;
  const auto age = static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(now - entry->stored).count());
  for (auto* section : {&out.answers, &out.authority, &out.additional}) {
    for (Record& r : *section) r.ttl -= std::min(r.ttl, age);
  }
  return out;
}

void Cache::Put(const std::string& key, const Message& answer) {
  if (answer.truncated || (answer.rcode != Rcode::kNoError && answer.rcode != Rcode::kNxDomain)) return;
  const std::uint32_t ttl = Lifetime(answer);
  if (ttl == 0) return;
  const auto now = clock_.Mono();
  auto state = state_.Lock();
  if (const auto at = state->index.find(key); at != state->index.end()) {
    state->entries.erase(at->second);
    state->index.erase(at);
  }
  state->entries.push_front({key, answer, now, now + std::chrono::seconds(ttl)});
  state->index.emplace(key, state->entries.begin());
  while (state->entries.size() > capacity_) {
    state->index.erase(state->entries.back().key);
    state->entries.pop_back();
  }
}

std::string Cache::Key(const Question& q, const Message& query) {
  return Cat(q.name, ' ', static_cast<int>(q.type), ' ', q.klass, query.dnssec_ok ? " do" : "", query.checking_disabled ? " cd" : "");
}

std::vector<std::string> NameServers(std::string_view text) {
  std::vector<std::string> out;
  for (std::string_view line : Split(text, '\n')) {
    line = Trim(line);
    constexpr std::string_view kWord = "nameserver";
    if (!line.starts_with(kWord)) continue;
    line.remove_prefix(kWord.size());
    if (line.empty() || (line[0] != ' ' && line[0] != '\t')) continue;
    line = Trim(line);
    out.emplace_back(line.substr(0, line.find_first_of(" \t#;%")));
    if (out.size() == kMaxServers) break;
  }
  return out;
}

Forwarder::Forwarder(ForwarderOptions options) : options_(std::move(options)), cache_(options_.cache_entries) {}

std::vector<net::SocketAddress> Forwarder::Upstreams() {
  auto servers = servers_.Lock();
  std::int64_t version = 0;
  if (options_.upstreams.empty()) {
    struct stat st;
    if (::stat(options_.resolv_conf.c_str(), &st) == 0) version = st.st_mtim.tv_sec * 1'000'000'000LL + st.st_mtim.tv_nsec;
  }
  if (servers->version == version) return servers->list;
  std::vector<std::string> names = options_.upstreams;
  if (names.empty()) {
    if (auto text = ReadFile(options_.resolv_conf, 1 << 20); text) names = NameServers(*text);
  }
  servers->list.clear();
  for (const std::string& name : names) {
    auto address = net::SocketAddress::Numeric(name, 53);
    if (!address) {
      const auto parts = net::SplitHostPort(name);
      if (parts) address = net::SocketAddress::Numeric(parts->host, parts->port);
    }
    if (!address || std::find(options_.not_these.begin(), options_.not_these.end(), address->ToString()) != options_.not_these.end()) continue;
    servers->list.push_back(*address);
  }
  servers->version = version;
  return servers->list;
}

net::Task<Result<Message>> Forwarder::Ask(Message query, std::string name) {
  query.questions[0].name = name;
  const std::string key = Cache::Key(query.questions[0], query);
  if (auto hit = cache_.Get(key)) co_return std::move(*hit);
  const auto servers = Upstreams();
  if (servers.empty()) co_return Fail(Code::kUnavailable, "no upstream DNS server");
  Message outgoing;
  outgoing.questions = query.questions;
  outgoing.recursion_desired = true;
  outgoing.checking_disabled = query.checking_disabled;
  outgoing.edns_size = 1232;
  outgoing.dnssec_ok = query.dnssec_ok;
  const auto end = std::chrono::steady_clock::now() + options_.total;
  Result<Message> last = Fail(Code::kTimeout, "upstream DNS servers do not answer");
  // Twice around, because one lost datagram is no reason to fail.
  for (std::size_t turn = 0; turn < servers.size() * 2; ++turn) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= end) break;
    outgoing.id = static_cast<std::uint16_t>(Random::System().Next());
    const auto deadline = std::min(end, now + options_.per_try);
    const net::SocketAddress server = servers[turn % servers.size()];
    auto answer = co_await AskOne(server, outgoing, deadline);
    if (answer && answer->rcode != Rcode::kServFail && answer->rcode != Rcode::kRefused) {
      cache_.Put(key, *answer);
      co_return answer;
    }
    last = std::move(answer);
  }
  co_return last;
}

net::Task<Result<Message>> Forwarder::AskOne(net::SocketAddress server, Message query, net::Stream::TimePoint deadline) {
  CO_TRY(const auto socket, co_await net::DatagramSocket::Connect(server));
  const std::string wire = Print(query, 512);
  CO_TRY_VOID(socket->Send(wire, nullptr));
  socket->ReceiveExpiresAt(deadline);
  std::vector<std::byte> buffer(4096);
  const std::span<std::byte> room(buffer);
  for (;;) {
    CO_TRY(const std::size_t n, co_await socket->Receive(room, nullptr));
    auto answer = Parse(std::string_view(reinterpret_cast<const char*>(buffer.data()), n));
    if (!answer || !Matches(query, *answer)) continue;   // forged or of an earlier try: the real one may still come
    if (!answer->truncated) co_return answer;
    auto whole = co_await AskOverTcp(server, query, deadline);
    if (whole) co_return whole;
    co_return answer;
  }
}

net::Task<Result<Message>> Forwarder::AskOverTcp(net::SocketAddress server, Message query, net::Stream::TimePoint deadline) {
  net::DialTarget target;
  target.address = server.ToString();
  CO_TRY(const auto stream, co_await net::Dial(target, deadline));
  stream->ExpiresAt(deadline);
  const std::string body = Print(query, 512);
  const std::string wire = Cat(static_cast<char>(body.size() >> 8), static_cast<char>(body.size() & 255), body);
  const std::string_view bytes(wire);
  CO_TRY_VOID(co_await stream->Write(bytes));
  net::Stream* const from = stream.get();
  const std::size_t prefix_size = 2;
  CO_TRY(const std::string prefix, co_await ReadExactly(from, prefix_size));
  const auto size = static_cast<std::size_t>(static_cast<std::uint8_t>(prefix[0]) << 8 | static_cast<std::uint8_t>(prefix[1]));
  CO_TRY(const std::string reply, co_await ReadExactly(from, size));
  CO_TRY(auto answer, Parse(reply));
  if (!Matches(query, answer)) co_return Fail(Code::kUnavailable, "answer does not match the question");
  co_return std::move(answer);
}

}  // namespace skerry::dns
