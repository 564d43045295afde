#include "cmd/skerry/instance.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "core/base/files.h"
#include "core/base/strings.h"

namespace skerry::cmd {

Result<InstanceLock> InstanceLock::Acquire(const std::string& data_dir) {
  const std::string path = data_dir + "/lock";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return std::unexpected(ErrnoError(errno, "open " + path));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    auto text = ReadFile(path, 64);
    return Fail(Code::kAlreadyExists, Cat("another skerry (process ", text ? Trim(*text) : "?", ") uses ", data_dir, "; stop it with `skerry stop` or choose another --data-dir"));
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd.get(), 0) != 0 || ::pwrite(fd.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return std::unexpected(ErrnoError(errno, "write " + path));
  }
  return InstanceLock(std::move(fd));
}

std::optional<int> RunningInstance(const std::string& data_dir) {
  const UniqueFd fd(::open((data_dir + "/lock").c_str(), O_RDWR | O_CLOEXEC));
  if (!fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return std::nullopt;
  auto text = ReadFile(data_dir + "/lock", 64);
  const auto pid = text ? ParseInt(Trim(*text)) : std::nullopt;
  if (!pid || *pid <= 1) return std::nullopt;
  return static_cast<int>(*pid);
}

bool WaitForExit(int pid, int seconds) {
  const UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd) return errno == ESRCH;
  pollfd p{fd.get(), POLLIN, 0};
  return ::poll(&p, 1, seconds * 1000) > 0;
}

void NotifyServiceManager(const char* state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (!path || std::strlen(path) >= sizeof(sockaddr_un::sun_path) || (path[0] != '/' && path[0] != '@')) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  if (path[0] == '@') address.sun_path[0] = '\0';
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd) static_cast<void>(::sendto(fd.get(), state, std::strlen(state), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), size));
}

}  // namespace skerry::cmd
