#pragma once
#include <memory>
#include <string>

#include "core/net/stream.h"

namespace skerry::net {
class TlsClientContext;

struct DialTarget {
  std::string address;                            // "host:port", "[::1]:443", "unix:/run/docker.sock"
  std::shared_ptr<const TlsClientContext> tls;    // null: plain
  std::string server_name;                        // TLS name; empty: the host of `address`
};

// Connects on the caller's shard; the host's addresses are tried in turn. kTimeout, kUnavailable (refused, no such host),
// kUnauthenticated (server certificate), kInvalid (address).
Task<Result<std::unique_ptr<Stream>>> Dial(DialTarget target, Stream::TimePoint deadline);

}  // namespace skerry::net
