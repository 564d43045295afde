#pragma once
#include <functional>
#include <map>
#include <string>

#include "core/base/context.h"
#include "core/base/result.h"
#include "core/base/unique_fd.h"

namespace skerry::process {

// Namespaces that live without a process: bind-mounted on files. The files and mounts outlive us and end with a reboot.
struct PinnedNamespaces {
  std::string net, ipc, uts;            // file to pin on; empty: that kind is not made. Parent directories must exist. net: loopback is up
  std::string hostname, domainname;     // set in uts
  std::map<std::string, std::string> sysctls;   // "net.core.somaxconn" → value; written inside the new namespaces
};
// Idempotent: kinds whose file is pinned already are kept (sysctls are written again). On failure nothing new stays pinned.
Result<> PinNamespaces(const PinnedNamespaces& spec);
Result<> UnpinNamespace(const std::string& path);                        // and removes the file; absent: ok
bool IsNamespacePinned(const std::string& path);                         // something of nsfs is mounted there

// Runs `work` on a thread of its own inside the network namespace. Descriptors made there keep belonging to it.
Result<> InNetworkNamespace(const std::string& netns_path, const std::function<Result<>()>& work);
// A connected TCP socket to 127.0.0.1 or ::1 inside the namespace (empty path: ours). Blocking descriptor.
Result<UniqueFd> DialLocal(const Ctx& ctx, const std::string& netns_path, std::uint16_t port);

// "net.ipv4.ip_forward" → "/proc/sys/net/ipv4/ip_forward". kInvalid for names that could leave /proc/sys.
Result<std::string> SysctlPath(std::string_view name);

struct Pty {
  UniqueFd master, slave;
};
Result<Pty> OpenPty(std::uint16_t columns, std::uint16_t rows);
Result<> ResizePty(int master, std::uint16_t columns, std::uint16_t rows);

// What this process may give away.
bool InBoundingSet(int capability);
int OwnOomScoreAdj();
std::string BootId();

}  // namespace skerry::process
