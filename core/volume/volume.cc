#include "core/volume/volume.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <algorithm>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/process/mounts.h"
#include "core/volume/internal.h"

namespace skerry::volume {
namespace {
std::unexpected<Error> FailErrno(std::string what) { return std::unexpected(ErrnoError(errno, std::move(what))); }
}  // namespace

namespace internal {

std::string Param(const Request& request, const char* name) {
  const auto it = request.params.find(name);
  return it == request.params.end() ? std::string() : it->second;
}

Result<> EnsureDirectory(const std::string& path, unsigned mode) {
  TRY_VOID(MakeDirectories(path, 0750));
  struct stat st;
  if (::stat(path.c_str(), &st) != 0) return FailErrno("stat " + path);
  if ((st.st_mode & 07777) != mode && ::chmod(path.c_str(), mode) != 0) return FailErrno("chmod " + path);
  return {};
}

Result<> EnsureTmpfs(const std::string& path, std::int64_t size_bytes, unsigned mode) {
  TRY_VOID(MakeDirectories(path, 0750));
  TRY(const bool mounted, process::IsMountPoint(path));
  if (mounted) return {};
  return process::MountTmpfs(path, size_bytes, mode);
}

unsigned GroupBits(bool is_directory, bool read_only) {
  const unsigned files = read_only ? 0440 : 0660;
  return is_directory ? files | 0110 | S_ISGID : files;
}

}  // namespace internal

Result<std::string> EmptyDir::SetUp(const Ctx& ctx, const Request& request) {
  const std::string& dir = request.target_dir;
  // A directory that is there already belongs to running containers: their changes of its mode stay.
  const bool fresh = ::access(dir.c_str(), F_OK) != 0;
  if (internal::Param(request, "medium") == "Memory") {
    TRY_VOID(internal::EnsureTmpfs(dir, ParseInt(internal::Param(request, "size_bytes")).value_or(0), 0777));
  } else if (fresh) {
    TRY_VOID(internal::EnsureDirectory(dir, 0777));
  }
  if (request.fs_group) TRY_VOID(ApplyFsGroup(ctx, dir, *request.fs_group, OwnershipPolicy::kOnRootMismatch, false));
  return dir;
}

Result<> EmptyDir::TearDown(const Ctx&, const std::string& target_dir) { return process::RemoveTree(target_dir); }

Result<std::string> HostPath::SetUp(const Ctx&, const Request& request) {
  const std::string path = internal::Param(request, "path"), type = internal::Param(request, "type");
  if (!path.starts_with('/')) return Fail(Code::kInvalid, Cat("hostPath ", Quote(path), " is not absolute"));
  if (type.empty()) return path;
  struct stat st;
  bool exists = ::stat(path.c_str(), &st) == 0;
  if (!exists && type == "DirectoryOrCreate") {
    TRY_VOID(internal::EnsureDirectory(path, 0755));
    return path;
  }
  if (!exists && type == "FileOrCreate") {
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    if (!fd) return FailErrno("create " + path);
    return path;
  }
  static constexpr struct {
    const char* type;
    mode_t format;
    const char* words;
  } kTypes[] = {{"Directory", S_IFDIR, "directory"}, {"DirectoryOrCreate", S_IFDIR, "directory"}, {"File", S_IFREG, "file"}, {"FileOrCreate", S_IFREG, "file"},
                {"Socket", S_IFSOCK, "socket file"}, {"CharDevice", S_IFCHR, "character device"}, {"BlockDevice", S_IFBLK, "block device"}};
  for (const auto& known : kTypes) {
    if (type != known.type) continue;
    if (exists && (st.st_mode & S_IFMT) == known.format) return path;
    return Fail(Code::kInvalid, Cat("hostPath type check failed: ", path, " is not a ", known.words));
  }
  return Fail(Code::kInvalid, Cat("unknown hostPath type ", Quote(type)));
}

namespace {

Result<> OwnEntry(int parent, const char* name, const struct stat& st, std::int64_t gid, bool read_only, const std::string& path) {
  if (::fchownat(parent, name, static_cast<uid_t>(-1), static_cast<gid_t>(gid), AT_SYMLINK_NOFOLLOW) != 0) return FailErrno("chown " + path);
  if (S_ISLNK(st.st_mode)) return {};
  const unsigned mode = (st.st_mode & 07777) | internal::GroupBits(S_ISDIR(st.st_mode), read_only);
  if (mode != (st.st_mode & 07777) && ::fchmodat(parent, name, mode, 0) != 0) return FailErrno("chmod " + path);
  return {};
}

Result<> OwnBelow(const Ctx& ctx, UniqueFd dir_fd, std::int64_t gid, bool read_only, const std::string& path) {
  if (ctx.done()) return Fail(ctx.stop.stop_requested() ? Code::kCancelled : Code::kTimeout, "changing the group of " + path);
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::fdopendir(dir_fd.get()), ::closedir);
  if (!dir) return FailErrno("read directory " + path);
  const int fd = dir_fd.Release();
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    struct stat st;
    if (name == "." || name == ".." || ::fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
    const std::string child = Cat(path, "/", name);
    if (S_ISDIR(st.st_mode)) {
      UniqueFd inner(::openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!inner) return FailErrno("open " + child);
      TRY_VOID(OwnBelow(ctx, std::move(inner), gid, read_only, child));
    }
    TRY_VOID(OwnEntry(fd, entry->d_name, st, gid, read_only, child));
  }
  return {};
}

}  // namespace

// The root is changed last: when it is right, a complete walk came before.
Result<> ApplyFsGroup(const Ctx& ctx, const std::string& dir, std::int64_t gid, OwnershipPolicy policy, bool read_only) {
  UniqueFd fd(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat st;
  if (!fd || ::fstat(fd.get(), &st) != 0) return FailErrno("open " + dir);
  const unsigned bits = internal::GroupBits(true, read_only);
  if (policy == OwnershipPolicy::kOnRootMismatch && st.st_gid == static_cast<gid_t>(gid) && (st.st_mode & bits) == bits) return {};
  TRY_VOID(OwnBelow(ctx, std::move(fd), gid, read_only, dir));
  return OwnEntry(AT_FDCWD, dir.c_str(), st, gid, read_only, dir);
}

namespace {

Result<UniqueFd> OpenBeneath(int root, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
  if (fd) return fd;
  if (errno == EXDEV) return Fail(Code::kInvalid, Cat("subPath ", Quote(path), " leads out of the volume"));
  return FailErrno("subPath " + path);
}

// Directories that are missing get the volume's own mode.
Result<> MakeBeneath(int root, std::string_view sub_path) {
  struct stat st;
  if (::fstat(root, &st) != 0) return FailErrno("stat volume");
  std::string at;
  for (const std::string_view part : Split(sub_path, '/')) {
    if (part.empty() || part == ".") continue;
    TRY(const UniqueFd parent, OpenBeneath(root, at.empty() ? "." : at, O_PATH | O_DIRECTORY));
    at += at.empty() ? std::string(part) : Cat("/", part);
    const std::string name(part);
    if (::mkdirat(parent.get(), name.c_str(), 0750) != 0) {
      if (errno == EEXIST) continue;
      return FailErrno("create subPath " + at);
    }
    // Through an own descriptor: umask must not cut the mode.
    const UniqueFd made(::openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!made || ::fchmod(made.get(), st.st_mode & 07777) != 0 || ::fchown(made.get(), static_cast<uid_t>(-1), st.st_gid) != 0) return FailErrno("chmod subPath " + at);
  }
  return {};
}

}  // namespace

Result<std::string> PrepareSubPath(const std::string& volume_dir, std::string_view sub_path, const std::string& anchor) {
  for (const std::string_view part : Split(sub_path, '/')) {
    if (part == "..") return Fail(Code::kInvalid, Cat("subPath ", Quote(sub_path), " must not contain \"..\""));
  }
  if (sub_path.starts_with('/')) return Fail(Code::kInvalid, Cat("subPath ", Quote(sub_path), " must be relative"));
  const std::string relative = sub_path.empty() ? "." : std::string(sub_path);
  const UniqueFd root(::open(volume_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return FailErrno("open volume " + volume_dir);
  auto source = OpenBeneath(root.get(), relative, O_PATH);
  if (!source && source.error().code() == Code::kNotFound) {
    TRY_VOID(MakeBeneath(root.get(), relative));
    source = OpenBeneath(root.get(), relative, O_PATH);
  }
  if (!source) return std::unexpected(std::move(source).error());
  struct stat wanted, there;
  if (::fstat(source->get(), &wanted) != 0) return FailErrno("stat subPath");
  TRY(const bool mounted, process::IsMountPoint(anchor));
  if (mounted) {
    if (::stat(anchor.c_str(), &there) == 0 && there.st_ino == wanted.st_ino && there.st_dev == wanted.st_dev) return anchor;
    TRY_VOID(process::Unmount(anchor));
  }
  TRY_VOID(process::RemoveTree(anchor));
  if (S_ISDIR(wanted.st_mode)) {
    TRY_VOID(MakeDirectories(anchor, 0750));
  } else {
    TRY_VOID(MakeDirectories(anchor.substr(0, anchor.rfind('/')), 0750));
    const UniqueFd file(::open(anchor.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0640));
    if (!file) return FailErrno("create " + anchor);
  }
  TRY_VOID(process::BindDescriptor(source->get(), anchor));
  return anchor;
}

Result<> ReleaseSubPath(const std::string& anchor) { return process::RemoveTree(anchor); }

Result<Usage> DiskUsage(const Ctx& ctx, const std::string& dir) {
  TRY(const auto size, process::MeasureTree(ctx, dir));
  return Usage{size.bytes, size.inodes};
}

}  // namespace skerry::volume
