#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "core/dns/forwarder.h"
#include "core/dns/zone.h"
#include "core/net/shard.h"

namespace skerry::dns {

struct ServerOptions {
  std::vector<std::string> listen;                           // "10.43.0.10:53"; UDP and TCP, port 0: one port for both
  std::vector<std::shared_ptr<const Zone>> zones;            // in order of precedence
  ForwarderOptions forward;
  std::size_t max_forwarded = 1000, max_connections = 256;   // at a time; more are refused (SERVFAIL, closed)
  std::chrono::milliseconds idle{10'000};                    // of a TCP connection
};

// Answers over UDP and TCP: from zones on the shard, everything else from upstream.
class Server {
 public:
  // Bound when it returns; serves from Start on. kForbidden, kUnavailable (address in use or not there), kInvalid.
  static Result<std::unique_ptr<Server>> Create(net::Shards& shards, ServerOptions options);
  ~Server();   // Stop()
  void Start();
  void Stop() noexcept;                                      // idempotent; before the shards stop, never on one
  const std::vector<std::string>& addresses() const;         // as bound

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry::dns
