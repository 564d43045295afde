#include "core/netlink/host_address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace skerry::netlink {
namespace {

std::string Text(const in_addr& a) {
  char text[INET_ADDRSTRLEN] = {};
  return ::inet_ntop(AF_INET, &a, text, sizeof text) ? text : "";
}

std::string Find() {
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(9);
  ::inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);   // nothing is sent: the kernel only chooses a source
  if (fd && ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) {
    sockaddr_in mine{};
    socklen_t size = sizeof mine;
    if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&mine), &size) == 0) return Text(mine.sin_addr);
  }
  std::string found = "127.0.0.1";
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return found;
  for (const ifaddrs* i = list; i; i = i->ifa_next) {
    if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || (i->ifa_flags & IFF_LOOPBACK) || !(i->ifa_flags & IFF_UP)) continue;
    found = Text(reinterpret_cast<const sockaddr_in*>(i->ifa_addr)->sin_addr);
    break;
  }
  ::freeifaddrs(list);
  return found;
}

// Told of every change of an address or a route.
UniqueFd Listen() {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl local{};
  local.nl_family = AF_NETLINK;
  local.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE;
  if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local) != 0) return {};
  return fd;
}

}  // namespace

HostAddress::HostAddress(std::string given) : given_(!given.empty()), address_(given_ ? std::move(given) : Find()) {}

std::string HostAddress::Get() const {
  std::lock_guard lock(mutex_);
  return address_;
}

void HostAddress::Watch(std::function<void()> on_change) {
  if (given_) return;
  watch_.emplace(Listen(), [this, on_change = std::move(on_change)](int fd) {
    std::array<char, 16384> buffer;
    while (::recv(fd, buffer.data(), buffer.size(), 0) > 0 || errno == ENOBUFS) {}   // what changed does not matter, only what is now
    std::string now = Find();
    {
      std::lock_guard lock(mutex_);
      if (now == "127.0.0.1" || now == address_) return;   // the network is away for a moment: the old address is as good as any
      address_ = std::move(now);
    }
    on_change();
  });
}

}  // namespace skerry::netlink
