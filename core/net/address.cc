#include "core/net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cstring>
#include <memory>

#include "core/base/strings.h"

namespace skerry::net {

Result<HostPort> SplitHostPort(std::string_view text) {
  const auto bad = [&](std::string_view why) { return Fail(Code::kInvalid, Cat("address ", Quote(text), ": ", why)); };
  std::string_view host, port;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos || end + 1 >= text.size() || text[end + 1] != ':') return bad("expected [address]:port");
    host = text.substr(1, end - 1);
    port = text.substr(end + 2);
  } else {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return bad("missing port");
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (host.contains(':')) return bad("too many colons; IPv6 addresses need brackets");
  }
  const auto number = ParseUint(port);
  if (!number || *number > 65535) return bad("invalid port");
  HostPort out;
  out.host = host;
  out.port = static_cast<std::uint16_t>(*number);
  return out;
}

std::string JoinHostPort(std::string_view host, std::uint16_t port) {
  return host.contains(':') ? Cat("[", host, "]:", port) : Cat(host, ":", port);
}

std::uint16_t SocketAddress::port() const {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(storage).sin_port);
  if (family() == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(storage).sin6_port);
  return 0;
}

std::string SocketAddress::ToString() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (family() == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(storage).sin_addr, text, sizeof text);
    return JoinHostPort(text, port());
  }
  if (family() == AF_INET6) {
    const auto& address = reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&address)) {
      inet_ntop(AF_INET, address.s6_addr + 12, text, sizeof text);
    } else {
      inet_ntop(AF_INET6, &address, text, sizeof text);
    }
    return JoinHostPort(text, port());
  }
  return family() == AF_UNIX ? "unix" : "";
}

Result<SocketAddress> SocketAddress::Numeric(std::string_view host, std::uint16_t port) {
  SocketAddress out;
  const std::string text(host);
  auto& v4 = reinterpret_cast<sockaddr_in&>(out.storage);
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    out.size = sizeof v4;
    return out;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(out.storage);
  if (inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    out.size = sizeof v6;
    return out;
  }
  return Fail(Code::kInvalid, Cat(Quote(host), " is not an IP address"));
}

Result<SocketAddress> SocketAddress::Unix(std::string_view path) {
  SocketAddress out;
  auto& un = reinterpret_cast<sockaddr_un&>(out.storage);
  if (path.empty() || path.size() >= sizeof un.sun_path) return Fail(Code::kInvalid, Cat("socket path ", Quote(path), " is empty or too long"));
  un.sun_family = AF_UNIX;
  std::memcpy(un.sun_path, path.data(), path.size());
  out.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return out;
}

Result<std::vector<SocketAddress>> ResolveBlocking(const std::string& host, std::uint16_t port) {
  if (auto numeric = SocketAddress::Numeric(host, port)) return std::vector<SocketAddress>{*numeric};
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* raw = nullptr;
  const int r = ::getaddrinfo(host.c_str(), nullptr, &hints, &raw);
  if (r != 0) return Fail(Code::kUnavailable, Cat("lookup ", host, ": ", gai_strerror(r)));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(raw, ::freeaddrinfo);
  std::vector<SocketAddress> out;
  for (const addrinfo* a = raw; a != nullptr; a = a->ai_next) {
    SocketAddress next;
    next.size = a->ai_addrlen;
    std::memcpy(&next.storage, a->ai_addr, a->ai_addrlen);
    if (next.family() == AF_INET) reinterpret_cast<sockaddr_in&>(next.storage).sin_port = htons(port);
    if (next.family() == AF_INET6) reinterpret_cast<sockaddr_in6&>(next.storage).sin6_port = htons(port);
    out.push_back(next);
  }
  return out;
}

}  // namespace skerry::net
