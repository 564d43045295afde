#include <boost/asio/this_coro.hpp>
#include <map>

#include "core/base/strings.h"
#include "core/http/spdy.h"
#include "core/http/websocket_channels.h"
#include "core/net/event.h"
#include "core/net/streams.h"
#include "core/net/task_group.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/server/stream/pod_streams.h"
#include "embedded-kube-shim/server/stream/upgrade.h"

namespace skerry::kube::stream {
namespace {

constexpr std::chrono::seconds kDialTimeout{10};

struct Forward {
  std::unique_ptr<net::Stream> data, error;
  std::uint16_t port = 0;
};

class ForwardTunnel final : public http::Tunnel {
 public:
  ForwardTunnel(Upgrade upgrade, NodeStreams& node, ElasticPool& waiters, Key pod, std::vector<std::uint16_t> ports)
      : upgrade_(std::move(upgrade)), node_(node), waiters_(waiters), pod_(std::move(pod)), ports_(std::move(ports)) {}

  http::Headers headers() const override { return upgrade_.headers; }

  net::Task<void> Run(std::unique_ptr<net::Stream> stream) override {
    if (upgrade_.carrier == Upgrade::Carrier::kWebSocket) {
      co_await RunChannels(std::move(stream));
      co_return;
    }
    if (upgrade_.carrier == Upgrade::Carrier::kSpdyInWebSocket) {
      auto socket = std::make_unique<http::WebSocket>(std::move(stream), http::WebSocket::Role::kServer);
      stream = http::AsByteStream(std::move(socket));
    }
    co_await RunSpdy(std::move(stream));
  }

 private:
  static net::Task<void> RunSession(std::shared_ptr<http::SpdySession> session) { static_cast<void>(co_await session->Run()); }
  static net::Task<void> RunMux(std::shared_ptr<http::WebSocketChannels> mux) { static_cast<void>(co_await mux->Run()); }

  // Each connection is a pair of streams with one request id, opened in either order.
  net::Task<void> RunSpdy(std::unique_ptr<net::Stream> stream) {
    const auto executor = co_await boost::asio::this_coro::executor;
    net::TaskGroup tasks;
    auto session = http::SpdySession::Create(std::move(stream), http::SpdySession::Role::kServer, executor);
    tasks.Spawn(executor, RunSession(session));
    std::map<std::string, std::shared_ptr<Forward>> pending;
    for (;;) {
      auto opened = co_await session->Accept();
      if (!opened) break;
      const std::string id(http::Get(opened->headers, "requestid")), type(http::Get(opened->headers, "streamtype"));
      auto& f = pending[id];
      if (!f) f = std::make_shared<Forward>();
      f->port = static_cast<std::uint16_t>(ParseInt(http::Get(opened->headers, "port")).value_or(0));
      if (type == "error") f->error = std::move(opened->channel);
      if (type == "data") f->data = std::move(opened->channel);
      if (f->error && f->data) {
        auto ready = f;
        pending.erase(id);
        tasks.Spawn(executor, Serve(std::move(ready)));
      }
      if (pending.size() > 256) break;
    }
    pending.clear();
    session->Abort();
    co_await tasks.Wait();
  }

  // Channels 2n carry data and 2n+1 errors of the n-th port; each starts with the port, little endian.
  net::Task<void> RunChannels(std::unique_ptr<net::Stream> stream) {
    const auto executor = co_await boost::asio::this_coro::executor;
    net::TaskGroup tasks;
    auto socket = std::make_unique<http::WebSocket>(std::move(stream), http::WebSocket::Role::kServer);
    http::WebSocketChannels::Options options;
    options.count = static_cast<std::uint32_t>(2 * ports_.size());
    options.base64 = upgrade_.base64;
    auto mux = http::WebSocketChannels::Create(std::move(socket), options, executor);
    std::vector<std::shared_ptr<Forward>> all;
    for (std::size_t i = 0; i < ports_.size(); ++i) {
      auto f = std::make_shared<Forward>();
      f->port = ports_[i];
      f->data = mux->Open(static_cast<std::uint32_t>(2 * i));
      f->error = mux->Open(static_cast<std::uint32_t>(2 * i + 1));
      all.push_back(std::move(f));
    }
    tasks.Spawn(executor, RunMux(mux));
    net::TaskGroup forwards;
    for (auto& f : all) {
      const std::string head{static_cast<char>(f->port & 0xff), static_cast<char>(f->port >> 8)};
      const auto first = co_await f->data->Write(head);
      const auto second = co_await f->error->Write(head);
      if (first && second) forwards.Spawn(executor, Serve(f));
    }
    co_await forwards.Wait();
    all.clear();
    co_await mux->Shutdown(1000, "");
    co_await tasks.Wait();
  }

  net::Task<void> Serve(std::shared_ptr<Forward> f) {
    const auto executor = co_await boost::asio::this_coro::executor;
    auto dialed = net::Event::Create(executor);
    Result<UniqueFd> fd = Fail(Code::kTimeout, "not dialed");
    const bool dials = waiters_.TrySubmit([this, &fd, dialed, port = f->port] {
      fd = node_.Dial(Ctx(std::stop_token(), std::chrono::steady_clock::now() + kDialTimeout), pod_, port);
      dialed->Notify();
    });
    if (dials) {
      co_await dialed->Wait();
    } else {
      fd = Fail(Code::kTooMany, "too many connections are being opened");
    }
    if (!fd) {
      const std::string why = Cat("error forwarding port ", f->port, " to pod ", pod_.name, ": ", fd.error().message());
      static_cast<void>(co_await f->error->Write(why));
      static_cast<void>(co_await f->error->CloseWrite());
      f->data->Abort();
      co_return;
    }
    auto socket = net::FromDescriptor(executor, std::move(*fd));
    if (socket) {
      net::Stream& there = **socket;
      co_await net::Relay(*f->data, there);
    }
    static_cast<void>(co_await f->error->CloseWrite());
  }

  const Upgrade upgrade_;
  NodeStreams& node_;
  ElasticPool& waiters_;
  const Key pod_;
  const std::vector<std::uint16_t> ports_;
};

}  // namespace

Result<http::Reply> PortForward(NodeStreams& node, ElasticPool& waiters, const http::Request& r, const Key& pod) {
  TRY(Upgrade upgrade, NegotiatePortForward(r));
  std::vector<std::uint16_t> ports;
  if (upgrade.carrier == Upgrade::Carrier::kWebSocket) {
    for (const std::string_view list : r.QueryAll("ports")) {
      for (const std::string_view text : Split(list, ',')) {
        const auto n = ParseInt(text);
        if (!n || *n < 1 || *n > 65535) return std::unexpected(BadRequestError(Cat("invalid port ", Quote(text), ": must be a number between 1 and 65535")));
        ports.push_back(static_cast<std::uint16_t>(*n));
      }
    }
    if (ports.empty() || ports.size() > 64) return std::unexpected(BadRequestError("query parameter \"ports\" is required"));
  }
  return http::Reply(std::unique_ptr<http::Tunnel>(std::make_unique<ForwardTunnel>(std::move(upgrade), node, waiters, pod, std::move(ports))));
}

}  // namespace skerry::kube::stream
