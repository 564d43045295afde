#include "core/dns/server.h"

#include <atomic>
#include <future>

#include "core/base/guarded.h"
#include "core/base/strings.h"
#include "core/dns/resolve.h"
#include "core/net/datagram.h"
#include "core/net/listener.h"
#include "core/net/task.h"
#include "core/net/task_group.h"
#include "core/telemetry/metrics.h"

namespace skerry::dns {
namespace {

std::string Prefixed(const std::string& message) {
  return Cat(static_cast<char>(message.size() >> 8), static_cast<char>(message.size() & 255), message);
}

}  // namespace

struct Server::Impl {
  Impl(net::Shards& on, ServerOptions o) : shards(on), options(std::move(o)), forwarder(options.forward) {}

  struct Socket {
    net::Shard* shard = nullptr;
    std::unique_ptr<net::DatagramSocket> udp;
    std::unique_ptr<net::Listener> tcp;
  };

  Result<std::unique_ptr<Socket>> Bind(const std::string& address);
  net::Task<void> ServeUdp(Socket* socket);
  net::Task<void> ForwardUdp(Socket* socket, Local local, net::SocketAddress client);
  net::Task<void> ServeTcp(std::unique_ptr<net::Stream> stream);
  net::Task<std::string> AskUpstream(Local local);
  void OnConnection(net::Shard& shard, std::unique_ptr<net::Stream> stream);

  net::Shards& shards;
  const ServerOptions options;
  Forwarder forwarder;
  std::vector<std::string> addresses;
  std::vector<std::unique_ptr<Socket>> sockets;
  std::atomic<std::size_t> forwarded{0};
  std::atomic<bool> stopping{false};
  bool started = false;
  Guarded<std::set<net::Stream*>> connections;   // to abort in Stop
  telemetry::Counter& queries = telemetry::Metrics::Global().GetCounter("skerry_dns_queries_total", "DNS queries by who answered", {{"by", "zone"}});
  telemetry::Counter& upstream = telemetry::Metrics::Global().GetCounter("skerry_dns_queries_total", "DNS queries by who answered", {{"by", "upstream"}});
  telemetry::Counter& failed = telemetry::Metrics::Global().GetCounter("skerry_dns_queries_total", "DNS queries by who answered", {{"by", "nobody"}});
  net::TaskGroup tasks;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() { Stop(); }
const std::vector<std::string>& Server::addresses() const { return impl_->addresses; }

Result<std::unique_ptr<Server::Impl::Socket>> Server::Impl::Bind(const std::string& address) {
  TRY(const auto where, net::SplitHostPort(address));
  TRY(const auto wanted, net::SocketAddress::Numeric(where.host, where.port));
  // With port 0 the kernel picks a UDP port whose TCP twin may be taken: then another one.
  for (int attempts = where.port == 0 ? 20 : 1;; --attempts) {
    auto socket = std::make_unique<Socket>();
    socket->shard = &shards.Next();
    TRY(socket->udp, net::DatagramSocket::Bind(*socket->shard, wanted));
    auto tcp = net::Listener::Create(shards, socket->udp->local().ToString());
    if (!tcp && attempts > 1) continue;
    if (!tcp) return std::unexpected(std::move(tcp).error());
    socket->tcp = std::move(*tcp);
    return socket;
  }
}

Result<std::unique_ptr<Server>> Server::Create(net::Shards& shards, ServerOptions options) {
  for (const std::string& address : options.listen) options.forward.not_these.push_back(address);
  auto impl = std::make_unique<Impl>(shards, std::move(options));
  for (const std::string& address : impl->options.listen) {
    TRY(auto socket, impl->Bind(address));
    impl->addresses.push_back(socket->udp->local().ToString());
    impl->sockets.push_back(std::move(socket));
  }
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

void Server::Start() {
  impl_->started = true;
  for (auto& socket : impl_->sockets) {
    impl_->tasks.Spawn(*socket->shard, impl_->ServeUdp(socket.get()));
    socket->tcp->Start([impl = impl_.get()](net::Shard& shard, std::unique_ptr<net::Stream> stream) { impl->OnConnection(shard, std::move(stream)); });
  }
}

void Server::Stop() noexcept {
  if (impl_->stopping.exchange(true)) return;
  for (auto& socket : impl_->sockets) {
    socket->tcp->Stop();
    socket->udp->Abort();
  }
  {
    auto connections = impl_->connections.Lock();
    for (net::Stream* stream : *connections) stream->Abort();
  }
  impl_->tasks.Join();
  // Frees the ports. What lives on a shard dies there.
  for (auto& socket : impl_->sockets) {
    std::promise<void> gone;
    socket->shard->Post([udp = std::move(socket->udp), &gone]() mutable {
      udp.reset();
      gone.set_value();
    });
    gone.get_future().wait();
  }
  impl_->sockets.clear();
}

// One datagram after the other: what zones answer costs microseconds; what goes upstream gets a task of its own.
net::Task<void> Server::Impl::ServeUdp(Socket* socket) {
  std::vector<std::byte> buffer(4096);
  const std::span<std::byte> room(buffer);
  net::SocketAddress client;
  net::SocketAddress* const from = &client;
  for (;;) {
    const auto n = co_await socket->udp->Receive(room, from);
    if (stopping) break;
    if (!n && n.error().code() == Code::kCancelled) break;
    if (!n) continue;   // an ICMP error of an earlier answer
    Local local = AnswerLocally(std::string_view(reinterpret_cast<const char*>(buffer.data()), *n), Transport::kUdp, options.zones);
    if (!local.reply.empty()) {
      queries.Add();
      static_cast<void>(socket->udp->Send(local.reply, from));   // a full buffer loses a datagram, as the network may
    }
    if (!local.query) continue;
    if (forwarded.load(std::memory_order_relaxed) >= options.max_forwarded) {
      failed.Add();
      const std::string busy = Print(ReplyTo(*local.query, Rcode::kServFail), local.limit);
      static_cast<void>(socket->udp->Send(busy, from));
      continue;
    }
    forwarded.fetch_add(1, std::memory_order_relaxed);
    tasks.Spawn(*socket->shard, ForwardUdp(socket, std::move(local), client));
  }
}

net::Task<void> Server::Impl::ForwardUdp(Socket* socket, Local local, net::SocketAddress client) {
  const std::string reply = co_await AskUpstream(std::move(local));
  static_cast<void>(socket->udp->Send(reply, &client));
  forwarded.fetch_sub(1, std::memory_order_relaxed);
}

net::Task<std::string> Server::Impl::AskUpstream(Local local) {
  const Message query = std::move(*local.query);
  auto answer = co_await forwarder.Ask(query, local.upstream_name);
  const bool aliased = !local.aliases.empty();
  Message reply = ReplyTo(query, Rcode::kServFail);
  reply.checking_disabled = query.checking_disabled;
  if (answer) {
    upstream.Add();
    reply.rcode = answer->rcode;
    reply.truncated = answer->truncated;
    reply.dnssec_ok = query.dnssec_ok;
    reply.answers = std::move(answer->answers);
    reply.authority = std::move(answer->authority);
    reply.additional = std::move(answer->additional);
  } else {
    failed.Add();
  }
  if (aliased) {
    // The alias itself is ours and known; only where it leads may be unknown.
    reply.answers.insert(reply.answers.begin(), local.aliases.begin(), local.aliases.end());
    if (!answer) reply.rcode = Rcode::kNoError;
  }
  co_return Print(reply, local.limit);
}

void Server::Impl::OnConnection(net::Shard& shard, std::unique_ptr<net::Stream> stream) {
  {
    auto open = connections.Lock();
    if (stopping || open->size() >= options.max_connections) return;
    open->insert(stream.get());
  }
  tasks.Spawn(shard, ServeTcp(std::move(stream)));
}

net::Task<void> Server::Impl::ServeTcp(std::unique_ptr<net::Stream> stream) {
  std::string buffer;
  std::vector<std::byte> chunk(4096);
  const std::span<std::byte> room(chunk);
  while (!stopping) {
    const std::size_t size = buffer.size() < 2 ? 0 : static_cast<std::size_t>(static_cast<std::uint8_t>(buffer[0]) << 8 | static_cast<std::uint8_t>(buffer[1]));
    if (buffer.size() < 2 || buffer.size() < size + 2) {
      stream->ExpiresAt(std::chrono::steady_clock::now() + options.idle);
      const auto n = co_await stream->Read(room);
      if (!n || *n == 0) break;
      buffer.append(reinterpret_cast<const char*>(chunk.data()), *n);
      continue;
    }
    Local local = AnswerLocally(std::string_view(buffer).substr(2, size), Transport::kTcp, options.zones);
    buffer.erase(0, size + 2);
    std::string reply = std::move(local.reply);
    if (local.query) {
      reply = co_await AskUpstream(std::move(local));
    } else {
      queries.Add();
    }
    if (reply.empty()) break;
    const std::string framed = Prefixed(reply);
    const std::string_view bytes(framed);
    stream->ExpiresAt(std::chrono::steady_clock::now() + options.idle);
    const auto written = co_await stream->Write(bytes);
    if (!written) break;
  }
  auto open = connections.Lock();
  open->erase(stream.get());
}

}  // namespace skerry::dns
