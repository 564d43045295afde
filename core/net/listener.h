#pragma once
#include <functional>
#include <memory>
#include <string>

#include "core/net/shard.h"
#include "core/net/stream.h"

namespace skerry::net {

// Accepts TCP or Unix connections and hands each to a shard, round robin.
class Listener {
 public:
  // "127.0.0.1:0", "[::]:6443", ":6443" (every address of both families), "localhost:80", "unix:/run/x.sock" (mode 0600; a dead socket file is replaced).
  // The address is bound when this returns; connections wait in the backlog until Start. kInvalid, kForbidden, kUnavailable (in use).
  static Result<std::unique_ptr<Listener>> Create(Shards& shards, const std::string& address);
  ~Listener();   // Stop()

  // Called on the connection's shard; must not block.
  using OnConnection = std::function<void(Shard&, std::unique_ptr<Stream>)>;
  void Start(OnConnection on_connection);
  void Stop() noexcept;   // closes the socket; no call runs after it returns; never on a shard; idempotent

  std::uint16_t bound_port() const noexcept;
  const std::string& address() const noexcept;   // as bound: "127.0.0.1:40123"

  struct Impl;
  explicit Listener(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry::net
