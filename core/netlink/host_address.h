#pragma once
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "core/base/fd_watch.h"

namespace skerry::netlink {

// The IPv4 address under which others reach this host: the source of packets to elsewhere; without a default route the first address that
// is not loopback; else 127.0.0.1. It follows the machine (a new lease, another network, a cable) unless it was given.
class HostAddress {
 public:
  explicit HostAddress(std::string given = {});   // empty: found, in the network namespace of the calling thread
  std::string Get() const;                        // any thread
  // From now on `on_change` is called, on a thread of the object's own, after each change. At most once; a given address never changes.
  void Watch(std::function<void()> on_change);
  void StopWatching() { watch_.reset(); }         // waits for a call back that runs

 private:
  const bool given_;
  mutable std::mutex mutex_;
  std::string address_;                           // guarded
  std::optional<FdWatch> watch_;                  // last: uses the rest
};

}  // namespace skerry::netlink
