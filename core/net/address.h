#pragma once
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace skerry::net {

struct HostPort {
  std::string host;          // without brackets; empty: every address
  std::uint16_t port = 0;
};
Result<HostPort> SplitHostPort(std::string_view text);            // "1.2.3.4:80", "[::1]:80", "name:80", ":80"; kInvalid
std::string JoinHostPort(std::string_view host, std::uint16_t port);   // brackets around IPv6

// A socket address by value.
struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
  std::uint16_t port() const;       // 0 for Unix sockets
  std::string ToString() const;     // "10.0.0.7:80", "[::1]:80", "unix"; IPv4 mapped into IPv6 prints as IPv4

  static Result<SocketAddress> Numeric(std::string_view host, std::uint16_t port);   // kInvalid: not an address
  static Result<SocketAddress> Unix(std::string_view path);                          // kInvalid: path too long
};

// The system's resolver (blocks). Numeric hosts do not ask it.
Result<std::vector<SocketAddress>> ResolveBlocking(const std::string& host, std::uint16_t port);

}  // namespace skerry::net
