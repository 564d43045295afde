#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/net/shard.h"
#include "core/proxy/table.h"

namespace skerry::proxy {

struct Options {
  std::vector<std::string> http, https;                  // listen addresses, "0.0.0.0:80"; port 0: any
  std::uint16_t public_https_port = 443;                 // in redirects
  std::size_t max_head = 64 << 10;                       // bytes of a request or response head
  std::size_t max_connections = 10'000;                  // of clients; more are closed at once
  std::chrono::milliseconds keep_alive{60'000};          // silence between requests
  std::chrono::milliseconds head_timeout{10'000};        // from a head's first byte to its last; TLS handshake
  std::chrono::milliseconds body_timeout{60'000};        // silence of the client within a body or as a reader
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds tunnel_idle{3'600'000};      // upgraded and passed-through connections
  std::chrono::milliseconds drain{5'000};                // what Stop gives running requests
};

// The L7 reverse proxy: routes by host and path to pools of backends. HTTP/1.1 with kept connections on both sides, streaming bodies,
// upgrades, TLS with a certificate per name, TLS passed through by name.
// A request whose backend cannot be reached, or that closes before its first byte (idempotent methods with a body that is still here),
// goes to another one: a backend that leaves after it was taken out of its pool costs no request.
class Proxy {
 public:
  // Bound when it returns. kForbidden, kUnavailable (address in use), kInvalid.
  static Result<std::unique_ptr<Proxy>> Create(net::Shards& shards, Options options);
  ~Proxy();   // Stop()
  void Start();
  void Stop() noexcept;   // drains; idempotent; before the shards stop; never on a shard

  // Any thread. In force for requests that come after all shards have taken it, which they do at once, in order; see Settle.
  void SetTable(std::shared_ptr<const Table> table);
  void SetPool(const std::string& id, Pool pool);
  void RemovePool(const std::string& id);
  void Settle();          // returns when everything set before is in force; never on a shard

  const std::vector<std::string>& http_addresses() const;    // as bound
  const std::vector<std::string>& https_addresses() const;

 private:
  struct Impl;
  explicit Proxy(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry::proxy
