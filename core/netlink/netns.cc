#include "core/netlink/netns.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include <cerrno>
#include <thread>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/netlink/route.h"

namespace skerry::netlink {
namespace {

constexpr long kNsfsMagic = 0x6e736673;   // linux/magic.h: NSFS_MAGIC

bool IsNamespace(int fd) {
  struct statfs fs;
  return ::fstatfs(fd, &fs) == 0 && fs.f_type == kNsfsMagic;
}

Result<> MakeAndPin(const std::string& path) {
  if (::unshare(CLONE_NEWNET) != 0) return std::unexpected(ErrnoError(errno, "create network namespace"));
  const std::string self = Cat("/proc/self/task/", ::syscall(SYS_gettid), "/ns/net");
  if (::mount(self.c_str(), path.c_str(), "none", MS_BIND, nullptr) != 0) {
    return std::unexpected(ErrnoError(errno, "pin network namespace at " + path));
  }
  TRY(Route route, Route::Open());
  return route.SetUp(1);
}

Result<> OnOwnThread(const std::function<Result<>()>& fn) {
  Result<> out;
  std::thread([&] { out = fn(); }).join();
  return out;
}

}  // namespace

Result<> CreateNetns(const std::string& path) {
  {
    const UniqueFd file(::open(path.c_str(), O_CREAT | O_RDONLY | O_CLOEXEC, 0444));
    if (!file) return std::unexpected(ErrnoError(errno, "create " + path));
    if (IsNamespace(file.get())) return Fail(Code::kAlreadyExists, "a network namespace is pinned at " + path);
  }
  auto r = OnOwnThread([&] { return MakeAndPin(path); });
  if (!r) static_cast<void>(DeleteNetns(path));
  return r;
}

Result<> DeleteNetns(const std::string& path) {
  if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL && errno != ENOENT) {
    return std::unexpected(ErrnoError(errno, "unpin " + path));
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return std::unexpected(ErrnoError(errno, "remove " + path));
  return {};
}

Result<UniqueFd> OpenNetns(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::unexpected(ErrnoError(errno, "open network namespace " + path));
  if (!IsNamespace(fd.get())) return Fail(Code::kInvalid, path + " is not a namespace");
  return fd;
}

Result<> InNetns(int netns, const std::function<Result<>()>& fn) {
  return OnOwnThread([&]() -> Result<> {
    if (::setns(netns, CLONE_NEWNET) != 0) return std::unexpected(ErrnoError(errno, "enter network namespace"));
    return fn();
  });
}

Result<std::string> ReadSysctl(const std::string& name) {
  TRY(const std::string text, ReadFile("/proc/sys/" + name));
  return std::string(Trim(text));
}

Result<> WriteSysctl(const std::string& name, std::string_view value) {
  const std::string path = "/proc/sys/" + name;
  if (auto now = ReadSysctl(name); now && *now == value) return {};
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return std::unexpected(ErrnoError(errno, "open " + path));
  auto r = WriteAll(fd.get(), value);
  if (!r) return std::unexpected(std::move(r.error()).Wrap(path));
  return {};
}

}  // namespace skerry::netlink
