#pragma once
#include <functional>
#include <future>
#include <string>

#include "core/http/server.h"
#include "core/net/blocking.h"

// Tests only.
namespace skerry::http::testing {

inline Ctx Within(std::chrono::milliseconds d) { return Ctx(std::stop_token(), std::chrono::steady_clock::now() + d); }
inline Ctx Soon() { return Within(std::chrono::seconds(60)); }

// A handler made of functions.
struct TestHandler : Handler {
  std::function<BodyPolicy(const Request&)> policy = [](const Request&) { return BodyPolicy{}; };
  std::function<Reply(const Ctx&, const Request&)> on_shard = [](const Ctx&, const Request&) -> Reply { return NeedsWorker{}; };
  std::function<void(const Ctx&, std::shared_ptr<const Request>, ReplyFn)> on_worker;

  BodyPolicy PolicyFor(const Request& head) const override { return policy(head); }
  Reply OnShard(const Ctx& ctx, const Request& request) override { return on_shard(ctx, request); }
  void OnWorker(const Ctx& ctx, std::shared_ptr<const Request> request, ReplyFn done) override { on_worker(ctx, request, std::move(done)); }
};

inline Response Text(std::string body, int status = 200) {
  Response out;
  out.status = status;
  out.body = Bytes(std::move(body));
  return out;
}

// A server over in-memory connections, with everything it needs.
struct TestServer {
  explicit TestServer(ServerOptions base = {}) {
    base.shards = &shards;
    base.handler = &handler;
    base.workers = &workers;
    base.elastic = &elastic;
    server = Server::Create(std::move(base)).value();
  }
  ~TestServer() { server->Stop(); }
  std::unique_ptr<net::BlockingStream> Connect(std::size_t capacity = 64 << 10);

  net::Shards shards{2};
  WorkerPool workers{"worker", 2, 16};
  ElasticPool elastic{"elastic", 8};
  TestHandler handler;
  std::unique_ptr<Server> server;
};

// A tunnel that sends back whatever comes, until the peer has ended.
std::unique_ptr<Tunnel> EchoTunnel(Headers headers);
// Sends, then reads until the peer closes.
std::string Exchange(net::BlockingStream& stream, std::string_view sent);
std::string ReadToEnd(net::BlockingStream& stream);
// What an echoing SPDY server sends to a peer that sends these bytes and closes.
std::string ExchangeSpdy(net::Shards& shards, std::string_view sent);
// Reads until `text` was seen; what follows it stays unread.
std::string ReadUntil(net::BlockingStream& stream, std::string_view text);

}  // namespace skerry::http::testing
