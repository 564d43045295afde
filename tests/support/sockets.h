#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <string>

#include "core/base/unique_fd.h"
#include "core/netlink/address.h"
#include "tests/support/netns.h"

// Plain sockets inside test namespaces. A socket belongs to the namespace where it was made and may be used from any thread.
namespace skerry::test {

struct Endpoint {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;
};

inline sockaddr_in ToSockaddr(const Endpoint& e) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(e.port);
  ::inet_pton(AF_INET, e.address.c_str(), &out.sin_addr);
  return out;
}
inline Endpoint FromSockaddr(const sockaddr_in& a) { return {netlink::Ipv4{ntohl(a.sin_addr.s_addr)}.ToString(), ntohs(a.sin_port)}; }

// Type is SOCK_STREAM or SOCK_DGRAM. Empty result when bind fails.
inline UniqueFd ListenIn(const TestNetns& ns, int type, const Endpoint& at) {
  UniqueFd fd;
  ns.Run([&]() -> Result<> {
    fd.Reset(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const sockaddr_in to = ToSockaddr(at);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) fd.Reset();
    if (fd && type == SOCK_STREAM && ::listen(fd.get(), 64) != 0) fd.Reset();
    return {};
  });
  return fd;
}

// A connected socket, or none with errno in `error`. Waits at most `ms`; `from` optionally binds the near end.
inline UniqueFd ConnectFrom(const TestNetns& ns, int type, const Endpoint& to, int* error = nullptr, const Endpoint* from = nullptr, int ms = 2000) {
  UniqueFd fd;
  int failure = 0;
  ns.Run([&]() -> Result<> {
    fd.Reset(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (from != nullptr) {
      const sockaddr_in near = ToSockaddr(*from);
      if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&near), sizeof near) != 0) failure = errno;
    }
    const sockaddr_in far = ToSockaddr(to);
    if (failure == 0 && ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&far), sizeof far) != 0 && errno != EINPROGRESS) failure = errno;
    return {};
  });
  if (failure == 0 && type == SOCK_STREAM) {
    pollfd p{fd.get(), POLLOUT, 0};
    if (::poll(&p, 1, ms) != 1) failure = ETIMEDOUT;
    socklen_t length = sizeof failure;
    if (failure == 0) ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &failure, &length);
  }
  if (error != nullptr) *error = failure;
  if (failure != 0) return {};
  return fd;
}

// Accepts one connection within `ms`; `peer` receives who connected.
inline UniqueFd Accept(int listener, Endpoint* peer = nullptr, int ms = 2000) {
  pollfd p{listener, POLLIN, 0};
  if (::poll(&p, 1, ms) != 1) return {};
  sockaddr_in a{};
  socklen_t length = sizeof a;
  UniqueFd fd(::accept4(listener, reinterpret_cast<sockaddr*>(&a), &length, SOCK_CLOEXEC));
  if (peer != nullptr) *peer = FromSockaddr(a);
  return fd;
}

// Whether a connection stands. Takes it from the listener again: a test that asks often must not fill its backlog, which looks like a filter.
inline bool Reaches(const TestNetns& from, const Endpoint& to, int listener, int ms = 2000) {
  const UniqueFd client = ConnectFrom(from, SOCK_STREAM, to, nullptr, nullptr, ms);
  return client && Accept(listener, nullptr, ms);
}

// One datagram or one read within `ms`; empty on time-out, error or end. errno tells which after an error.
inline std::string ReceiveText(int fd, Endpoint* peer = nullptr, int ms = 2000) {
  pollfd p{fd, POLLIN, 0};
  if (::poll(&p, 1, ms) != 1) return {};
  char buffer[2048];
  sockaddr_in a{};
  socklen_t length = sizeof a;
  const ssize_t n = ::recvfrom(fd, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&a), &length);
  if (n <= 0) return {};
  if (peer != nullptr) *peer = FromSockaddr(a);
  return {buffer, static_cast<std::size_t>(n)};
}

inline bool SendText(int fd, const std::string& text) {
  return ::send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}
inline bool SendTextTo(int fd, const std::string& text, const Endpoint& to) {
  const sockaddr_in a = ToSockaddr(to);
  return ::sendto(fd, text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&a), sizeof a) == static_cast<ssize_t>(text.size());
}

}  // namespace skerry::test
