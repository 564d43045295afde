#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "core/base/thread_pool.h"
#include "core/http/message.h"
#include "core/net/listener.h"
#include "core/net/shard.h"
#include "core/net/stream.h"

namespace skerry::net {
class TlsServerContext;
}

namespace skerry::http {

// Each phase of a connection has its own limit; a peer that makes no progress within it loses the connection.
struct ServerTimeouts {
  std::chrono::milliseconds handshake = std::chrono::seconds(10);
  std::chrono::milliseconds header = std::chrono::seconds(10);   // first to last byte of a head
  std::chrono::milliseconds idle = std::chrono::seconds(90);     // between requests
  std::chrono::milliseconds body = std::chrono::seconds(60);     // without a byte of the body
  std::chrono::milliseconds write = std::chrono::seconds(60);    // without the peer taking 256 KiB
  std::chrono::milliseconds stop = std::chrono::seconds(5);      // for running requests in Stop; tunnels get a fifth of it
};

struct ServerOptions {
  net::Shards* shards = nullptr;             // these four outlive the server
  Handler* handler = nullptr;
  WorkerPool* workers = nullptr;             // OnWorker
  ElasticPool* elastic = nullptr;            // OnWorker of kReader requests
  // Says whether a request's OnWorker is so short, and so sure to wait for nothing, that its shard runs it: cheaper than waking a worker.
  // Asked on that shard; never of kReader requests. Null: none is.
  std::function<bool(net::Shard& shard, const Request&)> runs_on_shard;
  std::string listen;                        // as net::Listener; empty: connections come through Serve only
  std::shared_ptr<const net::TlsServerContext> tls;   // null: plain
  ServerTimeouts timeouts;
  std::size_t max_connections = 8192;        // beyond it new connections are closed at once
};

// HTTP/1.1 server; HTTP/2 on TLS connections that negotiated "h2".
class Server {
 public:
  // Listens and serves when it returns; on `bound`, if given, whose address was needed earlier: clients wait in its backlog until now.
  static Result<std::unique_ptr<Server>> Create(ServerOptions options, std::unique_ptr<net::Listener> bound = nullptr);
  ~Server();                                                              // Stop()
  std::uint16_t bound_port() const noexcept;
  const std::string& address() const noexcept;   // as bound, "127.0.0.1:40123"
  std::size_t connections() const noexcept;

  // Serves one more connection that lives on `shard` (a test's in-memory pair, a connection another listener accepted). Any thread.
  void Serve(net::Shard& shard, std::unique_ptr<net::Stream> stream);

  // Closes the listener and idle connections, ends streaming replies orderly, lets requests finish (ServerTimeouts::stop), then cuts.
  // Blocks until every connection is gone; never on a shard; idempotent.
  void Stop() noexcept;

  struct Core;
  explicit Server(std::shared_ptr<Core> core);

 private:
  const std::shared_ptr<Core> core_;
};

}  // namespace skerry::http
