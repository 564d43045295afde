#include "core/process/mounts.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <linux/mount.h>

#include <cstdlib>
#include <set>
#include <thread>
#include <algorithm>
#include <memory>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/base/unique_fd.h"

namespace skerry::process {

Result<> MountFs(const std::string& type, const std::string& source, const std::string& target, unsigned long flags, const std::string& data) {
  if (::mount(source.c_str(), target.c_str(), type.c_str(), flags, data.empty() ? nullptr : data.c_str()) != 0) {
    return std::unexpected(ErrnoError(errno, Cat("mount ", type, " on ", target)));
  }
  return {};
}

Result<> BindMount(const std::string& source, const std::string& target, Access access) {
  if (::mount(source.c_str(), target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) {
    return std::unexpected(ErrnoError(errno, Cat("bind ", source, " on ", target)));
  }
  if (access == Access::kReadWrite) return {};
  struct mount_attr attr{};
  attr.attr_set = MOUNT_ATTR_RDONLY;
  if (::syscall(SYS_mount_setattr, AT_FDCWD, target.c_str(), AT_RECURSIVE, &attr, sizeof attr) != 0) {
    const int error = errno;
    ::umount2(target.c_str(), MNT_DETACH);
    return std::unexpected(ErrnoError(error, Cat("make ", target, " read-only")));
  }
  return {};
}

Result<> BindDescriptor(int source_fd, const std::string& target) {
  const UniqueFd tree(static_cast<int>(::syscall(SYS_open_tree, source_fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE)));
  if (!tree) return std::unexpected(ErrnoError(errno, "clone mount for " + target));
  if (::syscall(SYS_move_mount, tree.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return std::unexpected(ErrnoError(errno, "mount on " + target));
  }
  return {};
}

Result<> MountTmpfs(const std::string& target, std::int64_t size_bytes, unsigned mode) {
  char text[32];
  std::snprintf(text, sizeof text, "mode=%04o", mode);
  std::string options = text;
  if (size_bytes > 0) options += Cat(",size=", size_bytes);
  return MountFs("tmpfs", "tmpfs", target, MS_NOSUID | MS_NODEV, options);
}

Result<> MountOverlay(const std::string& base, const std::vector<std::string>& lowers, const std::string& upper, const std::string& work,
                      const std::string& target) {
  std::string options = "lowerdir=" + Join(lowers, ":");
  if (!upper.empty()) options += Cat(",upperdir=", upper, ",workdir=", work);
  if (options.size() >= 4096) return Fail(Code::kUnsupported, Cat("image has too many layers (", lowers.size(), ")"));
  Result<> result;
  // Relative names need a working directory of their own: a thread may have one, the process' must not change.
  std::thread([&] {
    if (::unshare(CLONE_FS) != 0 || ::chdir(base.c_str()) != 0) {
      result = std::unexpected(ErrnoError(errno, "enter " + base));
      return;
    }
    result = MountFs("overlay", "overlay", target, 0, options);
  }).join();
  return result;
}

Result<> Unmount(const std::string& target) {
  for (;;) {
    if (::umount2(target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) continue;   // mounts may be stacked
    if (errno == EINVAL || errno == ENOENT || errno == ENOTDIR) return {};
    return std::unexpected(ErrnoError(errno, "unmount " + target));
  }
}

namespace {

// mountinfo writes space, tab, newline and backslash as \ooo.
std::string Unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>(((text[i + 1] - '0') << 6) | ((text[i + 2] - '0') << 3) | (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

Result<std::vector<MountEntry>> ReadMounts() {
  TRY(const std::string text, ReadFile("/proc/self/mountinfo"));
  std::vector<MountEntry> out;
  for (const std::string_view line : Split(text, '\n')) {
    const auto fields = Split(line, ' ');
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 6 || fields.end() - dash < 4) continue;
    out.push_back({.target = Unescape(fields[4]), .type = std::string(dash[1]), .source = Unescape(dash[2]), .options = std::string(fields[5]),
                   .super_options = std::string(dash[3]), .root = Unescape(fields[3])});
  }
  return out;
}

Result<> UnmountBelow(const std::string& path) {
  char* const real = ::realpath(path.c_str(), nullptr);   // the kernel lists mounts by their real names
  if (real == nullptr) return errno == ENOENT ? Result<>() : std::unexpected(ErrnoError(errno, "resolve " + path));
  const std::string prefix = real;
  ::free(real);
  TRY(const auto mounts, ReadMounts());
  for (auto it = mounts.rbegin(); it != mounts.rend(); ++it) {
    if (it->target == prefix || it->target.starts_with(prefix + "/")) TRY_VOID(Unmount(it->target));
  }
  return {};
}

Result<bool> IsMountPoint(const std::string& path) {
  struct statx st;
  if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &st) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return std::unexpected(ErrnoError(errno, "stat " + path));
  }
  return (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

Result<> MakeShared(const std::string& path) {
  TRY(const bool mounted, IsMountPoint(path));
  if (!mounted) TRY_VOID(BindMount(path, path));
  if (::mount("none", path.c_str(), nullptr, MS_SHARED | MS_REC, nullptr) != 0) return std::unexpected(ErrnoError(errno, "share " + path));
  return {};
}

namespace {

Result<> RemoveEntries(int dir_fd, const std::string& path);

Result<> RemoveEntry(int parent, const char* name, const std::string& path) {
  if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) return {};
  if (errno == EPERM || errno == EACCES) {   // immutable or append-only files are not ours to break
    if (struct stat st; ::fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode)) return std::unexpected(ErrnoError(EPERM, "remove " + path));
  } else if (errno != EISDIR && errno != EBUSY) {
    return std::unexpected(ErrnoError(errno, "remove " + path));
  }
  TRY_VOID(Unmount(path));
  if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) return {};
  const UniqueFd directory(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) return std::unexpected(ErrnoError(errno, "open " + path));
  TRY_VOID(RemoveEntries(directory.get(), path));
  if (::unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT) return std::unexpected(ErrnoError(errno, "remove " + path));
  return {};
}

Result<> RemoveEntries(int dir_fd, const std::string& path) {
  const int copy = ::fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
  DIR* const stream = copy < 0 ? nullptr : ::fdopendir(copy);
  if (stream == nullptr) {
    if (copy >= 0) ::close(copy);
    return std::unexpected(ErrnoError(errno, "read directory " + path));
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> closer(stream, ::closedir);
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    TRY_VOID(RemoveEntry(dir_fd, entry->d_name, Cat(path, "/", name)));
  }
  return {};
}

struct Measure {
  dev_t device = 0;
  std::set<ino_t> linked;
  TreeSize size;
};

Result<> MeasureDirectory(const Ctx& ctx, int dir_fd, const std::string& path, Measure& m) {
  if (ctx.done()) return Fail(ctx.stop.stop_requested() ? Code::kCancelled : Code::kTimeout, "measuring " + path);
  DIR* const stream = ::fdopendir(dir_fd);
  if (stream == nullptr) {
    ::close(dir_fd);
    return std::unexpected(ErrnoError(errno, "read directory " + path));
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> closer(stream, ::closedir);
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    struct stat st;
    if (name == "." || name == ".." || ::fstatat(::dirfd(stream), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_dev != m.device) continue;
    if (!S_ISDIR(st.st_mode) && st.st_nlink > 1 && !m.linked.insert(st.st_ino).second) continue;
    m.size.bytes += static_cast<std::uint64_t>(st.st_blocks) * 512;
    ++m.size.inodes;
    if (!S_ISDIR(st.st_mode)) continue;
    const int child = ::openat(::dirfd(stream), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (child >= 0) TRY_VOID(MeasureDirectory(ctx, child, Cat(path, "/", name), m));
  }
  return {};
}

}  // namespace

Result<TreeSize> MeasureTree(const Ctx& ctx, const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  struct stat st;
  if (fd < 0 || ::fstat(fd, &st) != 0) {
    const int error = errno;
    if (fd >= 0) ::close(fd);
    return std::unexpected(ErrnoError(error, "open " + path));
  }
  Measure m;
  m.device = st.st_dev;
  m.size = {static_cast<std::uint64_t>(st.st_blocks) * 512, 1};
  TRY_VOID(MeasureDirectory(ctx, fd, path, m));
  return m.size;
}

Result<> RemoveTree(const std::string& path) {
  if (path.size() < 2 || !path.starts_with('/')) return Fail(Code::kInvalid, "refusing to remove " + Quote(path));
  return RemoveEntry(AT_FDCWD, path.c_str(), path);
}

}  // namespace skerry::process
