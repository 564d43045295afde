#include "core/process/namespaces.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <termios.h>

#include <thread>
#include <algorithm>
#include <cstring>
#include <vector>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/process/mounts.h"
#include "core/process/wait.h"

namespace skerry::process {

bool IsNamespacePinned(const std::string& path) {
  struct statfs fs;
  return !path.empty() && ::statfs(path.c_str(), &fs) == 0 && fs.f_type == NSFS_MAGIC;
}

Result<> UnpinNamespace(const std::string& path) {
  TRY_VOID(Unmount(path));
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return std::unexpected(ErrnoError(errno, "remove " + path));
  return {};
}

Result<std::string> SysctlPath(std::string_view name) {
  std::string path(name);
  if (path.find('/') == std::string::npos) std::replace(path.begin(), path.end(), '.', '/');
  for (const std::string_view part : Split(path, '/')) {
    if (part.empty() || part == "." || part == "..") return Fail(Code::kInvalid, Cat("invalid sysctl ", Quote(name)));
  }
  return "/proc/sys/" + path;
}

namespace {

struct Kind {
  int flag;
  const std::string* path;
  const char* source;
};

Result<> WriteSysctl(std::string_view name, std::string_view value) {
  TRY(const std::string path, SysctlPath(name));
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return std::unexpected(ErrnoError(errno, Cat("sysctl ", name)));
  if (::write(fd.get(), value.data(), value.size()) < 0) return std::unexpected(ErrnoError(errno, Cat("set sysctl ", name, " to ", Quote(value))));
  return {};
}

Result<> RaiseLoopback() {
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (!fd || ::ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) return std::unexpected(ErrnoError(errno, "raise loopback"));
  return {};
}

Result<> PinHere(const Kind& kind) {
  const UniqueFd file(::open(kind.path->c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0444));
  if (!file) return std::unexpected(ErrnoError(errno, "create " + *kind.path));
  if (::mount(kind.source, kind.path->c_str(), nullptr, MS_BIND, nullptr) != 0) return std::unexpected(ErrnoError(errno, "pin namespace on " + *kind.path));
  return {};
}

// On a thread of its own: it enters what exists, makes what is missing, and takes its namespaces with it when it ends.
Result<> PinOnThread(const PinnedNamespaces& spec, std::vector<Kind>& made) {
  const Kind kinds[] = {{CLONE_NEWNET, &spec.net, "/proc/thread-self/ns/net"}, {CLONE_NEWIPC, &spec.ipc, "/proc/thread-self/ns/ipc"},
                        {CLONE_NEWUTS, &spec.uts, "/proc/thread-self/ns/uts"}};
  int flags = 0;
  std::vector<Kind> missing;
  for (const Kind& kind : kinds) {
    if (kind.path->empty()) continue;
    if (!IsNamespacePinned(*kind.path)) {
      flags |= kind.flag;
      missing.push_back(kind);
      continue;
    }
    const UniqueFd fd(::open(kind.path->c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd || ::setns(fd.get(), kind.flag) != 0) return std::unexpected(ErrnoError(errno, "enter namespace " + *kind.path));
  }
  if (flags != 0 && ::unshare(flags) != 0) return std::unexpected(ErrnoError(errno, "create namespaces"));
  if (!spec.net.empty()) TRY_VOID(RaiseLoopback());
  if (!spec.uts.empty()) {
    if (!spec.hostname.empty() && ::sethostname(spec.hostname.data(), spec.hostname.size()) != 0) return std::unexpected(ErrnoError(errno, "set hostname"));
    if (!spec.domainname.empty() && ::setdomainname(spec.domainname.data(), spec.domainname.size()) != 0) return std::unexpected(ErrnoError(errno, "set domain name"));
  }
  for (const auto& [name, value] : spec.sysctls) TRY_VOID(WriteSysctl(name, value));
  for (const Kind& kind : missing) {
    made.push_back(kind);
    TRY_VOID(PinHere(kind));
  }
  return {};
}

}  // namespace

Result<> PinNamespaces(const PinnedNamespaces& spec) {
  Result<> result;
  std::vector<Kind> made;
  std::thread([&] { result = PinOnThread(spec, made); }).join();
  if (!result) {
    for (const Kind& kind : made) {
      if (auto undone = UnpinNamespace(*kind.path); !undone) continue;
    }
  }
  return result;
}

Result<> InNetworkNamespace(const std::string& netns_path, const std::function<Result<>()>& work) {
  const UniqueFd fd(::open(netns_path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::unexpected(ErrnoError(errno, "open " + netns_path));
  Result<> result;
  std::thread([&] {
    if (::setns(fd.get(), CLONE_NEWNET) != 0) {
      result = std::unexpected(ErrnoError(errno, "enter " + netns_path));
      return;
    }
    result = work();
  }).join();
  return result;
}

namespace {

Result<> ConnectWithin(const Ctx& ctx, int fd, const sockaddr* address, socklen_t size) {
  TRY_VOID(SetNonBlocking(fd));
  if (::connect(fd, address, size) != 0) {
    if (errno != EINPROGRESS) return std::unexpected(ErrnoError(errno, "connect"));
    pollfd one[1] = {{fd, POLLOUT, 0}};
    TRY_VOID(Poll(ctx, one));
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) return std::unexpected(ErrnoError(error, "connect"));
  }
  const int flags = ::fcntl(fd, F_GETFL);
  ::fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
  return {};
}

}  // namespace

Result<UniqueFd> DialLocal(const Ctx& ctx, const std::string& netns_path, std::uint16_t port) {
  UniqueFd v4, v6;
  const auto open = [&]() -> Result<> {
    v4.Reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    v6.Reset(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!v4) return std::unexpected(ErrnoError(errno, "socket"));
    return {};
  };
  if (netns_path.empty()) TRY_VOID(open());
  else TRY_VOID(InNetworkNamespace(netns_path, open));
  sockaddr_in a4{};
  a4.sin_family = AF_INET;
  a4.sin_port = htons(port);
  a4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto first = ConnectWithin(ctx, v4.get(), reinterpret_cast<const sockaddr*>(&a4), sizeof a4);
  if (first) return v4;
  if (!v6 || ctx.done()) return std::unexpected(std::move(first).error());
  sockaddr_in6 a6{};
  a6.sin6_family = AF_INET6;
  a6.sin6_port = htons(port);
  a6.sin6_addr = IN6ADDR_LOOPBACK_INIT;
  if (ConnectWithin(ctx, v6.get(), reinterpret_cast<const sockaddr*>(&a6), sizeof a6)) return v6;
  return std::unexpected(std::move(first).error());   // the IPv4 answer is the one people expect
}

Result<Pty> OpenPty(std::uint16_t columns, std::uint16_t rows) {
  Pty pty;
  pty.master.Reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pty.master || ::grantpt(pty.master.get()) != 0 || ::unlockpt(pty.master.get()) != 0) return std::unexpected(ErrnoError(errno, "open terminal"));
  pty.slave.Reset(::ioctl(pty.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pty.slave) return std::unexpected(ErrnoError(errno, "open terminal peer"));
  TRY_VOID(ResizePty(pty.master.get(), columns, rows));
  return pty;
}

Result<> ResizePty(int master, std::uint16_t columns, std::uint16_t rows) {
  winsize size{};
  size.ws_col = columns;
  size.ws_row = rows;
  if (::ioctl(master, TIOCSWINSZ, &size) != 0) return std::unexpected(ErrnoError(errno, "resize terminal"));
  return {};
}

bool InBoundingSet(int capability) { return ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1; }

int OwnOomScoreAdj() {
  const auto text = ReadFile("/proc/self/oom_score_adj", 64);
  return text ? static_cast<int>(ParseInt(Trim(*text)).value_or(0)) : 0;
}

std::string BootId() {
  const auto text = ReadFile("/proc/sys/kernel/random/boot_id", 64);
  return text ? std::string(Trim(*text)) : std::string();
}

}  // namespace skerry::process
