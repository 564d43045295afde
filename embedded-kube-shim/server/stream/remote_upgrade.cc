#include "embedded-kube-shim/server/stream/remote_upgrade.h"

#include <algorithm>
#include <array>
#include <boost/asio/this_coro.hpp>
#include <mutex>
#include <set>

#include "core/base/strings.h"
#include "core/net/dial.h"
#include "core/net/blocking.h"
#include "core/net/shard.h"
#include "core/net/streams.h"
#include "core/net/task.h"
#include "core/net/task_group.h"

namespace skerry::kube::stream {
namespace {

constexpr std::chrono::seconds kAnswerWithin{10};
constexpr std::chrono::hours kQuietFor{1};
constexpr std::size_t kMostRemoteHead = 64 << 10, kMostRefusal = 64 << 10;

struct Answered {
  Result<std::unique_ptr<net::Stream>> stream = Fail(Code::kInternal, "not dialed");
  Result<> outcome;
  std::string text;                       // what came, from the status line on

  std::size_t head_size() const {
    const auto end = text.find("\r\n\r\n");
    return end == text.npos ? 0 : end + 4;
  }
  int status() const { return text.size() < 12 ? 0 : static_cast<int>(ParseUint(std::string_view(text).substr(9, 3)).value_or(0)); }
  http::Headers headers() const {
    http::Headers out;
    for (const auto line : Split(std::string_view(text).substr(0, head_size()), '\n')) {
      const auto colon = line.find(':');
      if (colon != line.npos && !line.starts_with("HTTP/")) out.push_back({std::string(Trim(line.substr(0, colon))), std::string(Trim(line.substr(colon + 1)))});
    }
    return out;
  }
  // A refusal is read to its end as far as its length tells.
  bool Complete() const {
    if (head_size() == 0) return false;
    if (status() == 101) return true;
    const auto length = static_cast<std::size_t>(std::max<std::int64_t>(0, ParseInt(http::Get(headers(), "Content-Length")).value_or(0)));
    return text.size() >= head_size() + std::min(length, kMostRefusal);
  }
};

net::Task<void> Ask(net::DialTarget target, std::string head, net::Stream::TimePoint deadline, Answered* out) {
  out->stream = co_await net::Dial(std::move(target), deadline);
  if (!out->stream) co_return;
  net::Stream& stream = **out->stream;
  stream.ExpiresAt(deadline);
  out->outcome = co_await stream.Write(head);
  if (!out->outcome) co_return;
  std::array<std::byte, 4096> buffer;
  while (!out->Complete()) {
    const auto n = co_await stream.Read(buffer);
    if (!n) {
      out->outcome = std::unexpected(n.error().Clone());
      co_return;
    }
    if (*n == 0) break;
    out->text.append(reinterpret_cast<const char*>(buffer.data()), *n);
    if (out->head_size() == 0 && out->text.size() > kMostRemoteHead) break;
  }
  stream.ExpiresAt(net::Stream::TimePoint::max());
}

}  // namespace

struct RemoteUpgrades::State {
  net::Shard shard{"remote-upgrades"};
  std::mutex mutex;
  std::set<net::Stream*> running;         // guarded
  net::TaskGroup tasks;

  void Remember(net::Stream* stream) {
    std::lock_guard lock(mutex);
    running.insert(stream);
  }
  void Abort(net::Stream* stream) {
    std::lock_guard lock(mutex);
    if (running.contains(stream)) stream->Abort();
  }
};

namespace {

// Between the server's connection and the end of a pipe whose other end lives where the client's connection does.
net::Task<void> Carry(RemoteUpgrades::State* state, std::unique_ptr<net::Stream> server, std::unique_ptr<net::Stream> client) {
  co_await net::Relay(*server, *client, kQuietFor);
  std::lock_guard lock(state->mutex);
  state->running.erase(server.get());
}

class RemoteTunnel final : public http::Tunnel {
 public:
  RemoteTunnel(std::shared_ptr<RemoteUpgrades::State> state, http::Headers headers, std::unique_ptr<net::Stream> server, std::string early)
      : state_(std::move(state)), headers_(std::move(headers)), server_(std::move(server)), early_(std::move(early)) {}
  ~RemoteTunnel() override {
    if (server_) state_->shard.Post([stream = std::move(server_)] {});   // it dies where it lives
  }
  http::Headers headers() const override { return headers_; }

  net::Task<void> Run(std::unique_ptr<net::Stream> stream) override {
    const auto executor = co_await boost::asio::this_coro::executor;
    if (!early_.empty()) {
      const auto sent = co_await stream->Write(early_);
      if (!sent) co_return;
    }
    auto ends = net::MakePair(executor, state_->shard.executor());
    net::Stream* const server = server_.get();
    state_->Remember(server);
    state_->tasks.Spawn(state_->shard, Carry(state_.get(), std::move(server_), std::move(ends.second)));
    net::Stream& here = *stream;
    net::Stream& there = *ends.first;
    co_await net::Relay(here, there, kQuietFor);
    state_->Abort(server);
  }

 private:
  const std::shared_ptr<RemoteUpgrades::State> state_;
  const http::Headers headers_;
  std::unique_ptr<net::Stream> server_;
  const std::string early_;
};

bool IsOfConnection(std::string_view name) {
  return EqualsIgnoreCase(name, "Connection") || EqualsIgnoreCase(name, "Transfer-Encoding") || EqualsIgnoreCase(name, "Content-Length") || EqualsIgnoreCase(name, "Keep-Alive");
}

}  // namespace

RemoteUpgrades::RemoteUpgrades() : state_(std::make_shared<State>()) {}

RemoteUpgrades::~RemoteUpgrades() { Stop(); }

void RemoteUpgrades::Stop() noexcept {
  {
    std::lock_guard lock(state_->mutex);
    for (net::Stream* stream : state_->running) stream->Abort();
  }
  state_->tasks.Join();
}

Result<http::Reply> RemoteUpgrades::Run(const Ctx& ctx, const Request& request) {
  net::TlsClientConfig config;
  config.ca_pem = request.ca_pem;
  config.identity = request.identity;
  config.alpn = {"http/1.1"};
  if (!request.verify) config.verification = net::ServerVerification::kNone;
  net::DialTarget target;
  target.address = request.address;
  target.server_name = request.server_name;
  TRY(target.tls, net::TlsClientContext::Create(config));
  Answered answered;
  const auto deadline = std::min(ctx.deadline, std::chrono::steady_clock::now() + kAnswerWithin);
  net::RunOn(state_->shard, Ask(std::move(target), request.head, deadline, &answered));
  if (!answered.stream) return std::unexpected(std::move(answered.stream).error());
  if (answered.outcome && answered.status() == 101)
    return http::Reply(std::unique_ptr<http::Tunnel>(std::make_unique<RemoteTunnel>(state_, answered.headers(), std::move(*answered.stream), answered.text.substr(answered.head_size()))));
  state_->shard.Post([stream = std::move(*answered.stream)] {});
  if (!answered.outcome) return std::unexpected(std::move(answered.outcome).error());
  if (answered.status() < 200) return Fail(Code::kUnavailable, "EOF");
  http::Response refused;
  refused.status = answered.status();
  for (auto& h : answered.headers())
    if (!IsOfConnection(h.name)) refused.headers.push_back(std::move(h));
  refused.body = Bytes(answered.text.substr(answered.head_size(), kMostRefusal));
  return http::Reply(std::move(refused));
}

}  // namespace skerry::kube::stream
