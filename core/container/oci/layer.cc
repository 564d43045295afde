#include "core/container/oci/layer.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/container/oci/tar_stream.h"
#include "core/process/mounts.h"

namespace skerry::container::oci {

Result<int> OpenInRoot(int root_fd, const std::string& path, int flags, unsigned mode) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.mode = (flags & O_CREAT) != 0 ? mode : 0;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const int fd = static_cast<int>(::syscall(SYS_openat2, root_fd, path.c_str(), &how, sizeof how));
  if (fd < 0) return std::unexpected(ErrnoError(errno, "open " + path));
  return fd;
}

namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";

struct Place {
  UniqueFd parent;
  std::string name;             // empty: the root itself
};

std::unexpected<Error> FailErrno(std::string what) { return std::unexpected(ErrnoError(errno, std::move(what))); }

class Unpacker {
 public:
  Unpacker(const Ctx& ctx, ByteSource& source, std::string directory, const UnpackLimits& limits)
      : stream_(ctx, source), directory_(std::move(directory)), limits_(limits) {}
  Result<UnpackedLayer> Run();

 private:
  struct DirectoryTimes {
    std::string path;
    timespec times[2];
  };
  Result<> Entry(archive_entry* entry);
  Result<Place> Locate(std::string_view path, bool create);
  Result<> Clear(const Place& place, bool wants_directory, const std::string& path);
  Result<> Create(archive_entry* entry, const Place& place, const std::string& path);
  Result<> WriteContent(int fd, const std::string& path);
  Result<> Link(archive_entry* entry, const Place& place, const std::string& path);
  Result<> ApplyMetadata(archive_entry* entry, const Place& place, const std::string& path);
  Result<> Whiteout(const Place& place, const std::string& path);

  TarStream stream_;
  const std::string directory_;
  const UnpackLimits limits_;
  UniqueFd root_;
  UnpackedLayer result_;
  std::uint64_t entries_ = 0;
  std::vector<DirectoryTimes> directory_times_;
};

// "./a//b/" → "a/b"; nullopt for names with ".."
std::optional<std::string> Clean(std::string_view path) {
  std::string out;
  for (const std::string_view part : Split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return std::nullopt;
    if (!out.empty()) out += '/';
    out += part;
  }
  return out;
}

Result<Place> Unpacker::Locate(std::string_view path, bool create) {
  const std::size_t slash = path.rfind('/');
  const std::string parent = slash == std::string_view::npos ? "." : std::string(path.substr(0, slash));
  Place place;
  place.name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  auto opened = OpenInRoot(root_.get(), parent, O_PATH | O_DIRECTORY);
  if (!opened && create && opened.error().code() == Code::kNotFound) {
    TRY(const Place above, Locate(parent, true));
    if (::mkdirat(above.parent.get(), above.name.c_str(), 0755) != 0 && errno != EEXIST) return FailErrno("create " + parent);
    ++result_.inodes;
    opened = OpenInRoot(root_.get(), parent, O_PATH | O_DIRECTORY);
  }
  if (!opened) return std::unexpected(std::move(opened).error());
  place.parent.Reset(*opened);
  return place;
}

// What the layer itself put there before gives way, except a directory for a directory.
Result<> Unpacker::Clear(const Place& place, bool wants_directory, const std::string& path) {
  struct stat st;
  if (::fstatat(place.parent.get(), place.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return {};
  if (S_ISDIR(st.st_mode)) {
    if (wants_directory) return {};
    return process::RemoveTree(Cat("/proc/self/fd/", place.parent.get(), "/", place.name));
  }
  if (::unlinkat(place.parent.get(), place.name.c_str(), 0) != 0) return FailErrno("replace " + path);
  return {};
}

Result<> Unpacker::WriteContent(int fd, const std::string& path) {
  for (;;) {
    const void* block = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    const int r = ::archive_read_data_block(stream_.tar(), &block, &size, &offset);
    if (r == ARCHIVE_EOF) break;
    if (r != ARCHIVE_OK) return std::unexpected(stream_.TakeError("read " + path));
    result_.bytes += size;
    if (result_.bytes > limits_.bytes) return Fail(Code::kTooLarge, Cat("layer unpacks to more than ", limits_.bytes, " bytes"));
    if (::lseek(fd, offset, SEEK_SET) < 0) return FailErrno("write " + path);
    TRY_VOID(WriteAll(fd, std::string_view(static_cast<const char*>(block), size)));
  }
  return {};
}

Result<> Unpacker::Link(archive_entry* entry, const Place& place, const std::string& path) {
  const char* const target = ::archive_entry_hardlink(entry);
  const auto clean = Clean(target);
  if (!clean || clean->empty()) return Fail(Code::kInvalid, Cat("layer entry ", Quote(path), " links outside"));
  TRY(const Place from, Locate(*clean, false));
  if (::linkat(from.parent.get(), from.name.c_str(), place.parent.get(), place.name.c_str(), 0) != 0) {
    const int error = errno;
    return Fail(Code::kInvalid, Cat("layer entry ", Quote(path), ": link to ", Quote(target), ": ", ::strerror(error)));
  }
  return {};
}

Result<> Unpacker::Create(archive_entry* entry, const Place& place, const std::string& path) {
  const int parent = place.parent.get();
  const char* const name = place.name.c_str();
  const mode_t mode = ::archive_entry_perm(entry);
  switch (::archive_entry_filetype(entry)) {
    case AE_IFDIR:
      if (::mkdirat(parent, name, 0755) != 0 && errno != EEXIST) return FailErrno("create " + path);
      return {};
    case AE_IFREG: {
      const UniqueFd fd(::openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
      if (!fd) return FailErrno("create " + path);
      TRY_VOID(WriteContent(fd.get(), path));
      // A file that ends in a hole has no last block.
      if (::archive_entry_size_is_set(entry) != 0 && ::ftruncate(fd.get(), ::archive_entry_size(entry)) != 0) return FailErrno("size " + path);
      return {};
    }
    case AE_IFLNK: {
      const char* const target = ::archive_entry_symlink(entry);
      if (target == nullptr || ::symlinkat(target, parent, name) != 0) return FailErrno("create link " + path);
      return {};
    }
    case AE_IFCHR:
    case AE_IFBLK:
    case AE_IFIFO:
      if (::mknodat(parent, name, ::archive_entry_filetype(entry) | mode, ::archive_entry_rdev(entry)) != 0) return FailErrno("create device " + path);
      return {};
    default: return {};   // sockets do not travel
  }
}

bool MayCarry(std::string_view attribute) { return attribute == "security.capability" || attribute.starts_with("user."); }

Result<> Unpacker::ApplyMetadata(archive_entry* entry, const Place& place, const std::string& path) {
  const auto type = ::archive_entry_filetype(entry);
  if (type == AE_IFSOCK) return {};
  const int parent = place.parent.get();
  const char* const name = place.name.empty() ? "." : place.name.c_str();
  if (::fchownat(parent, name, static_cast<uid_t>(::archive_entry_uid(entry)), static_cast<gid_t>(::archive_entry_gid(entry)), AT_SYMLINK_NOFOLLOW) != 0) return FailErrno("chown " + path);
  const timespec times[2] = {{::archive_entry_atime_is_set(entry) != 0 ? ::archive_entry_atime(entry) : ::archive_entry_mtime(entry), 0},
                             {::archive_entry_mtime(entry), ::archive_entry_mtime_nsec(entry)}};
  if (type == AE_IFLNK) {
    if (::utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) != 0) return FailErrno("set times of " + path);
    return {};
  }
  // After chown, which takes set-user-id bits and capabilities away. The name is no link: it was made a moment ago.
  const std::string self = Cat("/proc/self/fd/", parent, "/", name);
  const char* attribute = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  ::archive_entry_xattr_reset(entry);
  while (::archive_entry_xattr_next(entry, &attribute, &value, &size) == ARCHIVE_OK) {
    if (!MayCarry(attribute)) continue;
    if (::lsetxattr(self.c_str(), attribute, value, size, 0) != 0 && errno != ENOTSUP) return FailErrno(Cat("set ", attribute, " of ", path));
  }
  if (::fchmodat(parent, name, ::archive_entry_perm(entry), 0) != 0) return FailErrno("chmod " + path);
  if (type == AE_IFDIR) directory_times_.push_back({path, {times[0], times[1]}});
  else if (::utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) != 0) return FailErrno("set times of " + path);
  return {};
}

Result<> Unpacker::Whiteout(const Place& place, const std::string& path) {
  if (place.name == kOpaque) {
    const std::string parent = Cat("/proc/self/fd/", place.parent.get());
    if (::setxattr(parent.c_str(), "trusted.overlay.opaque", "y", 1, 0) != 0) return FailErrno("mark opaque " + path);
    return {};
  }
  if (place.name.starts_with(".wh..wh.")) return {};   // aufs' own bookkeeping
  const std::string hidden = place.name.substr(kWhiteout.size());
  if (hidden.empty() || hidden == "." || hidden == "..") return Fail(Code::kInvalid, "whiteout without a name: " + Quote(path));
  if (::mknodat(place.parent.get(), hidden.c_str(), S_IFCHR, ::makedev(0, 0)) != 0 && errno != EEXIST) return FailErrno("white out " + path);
  return {};
}

Result<> Unpacker::Entry(archive_entry* entry) {
  const char* const raw = ::archive_entry_pathname(entry);
  if (raw == nullptr) return Fail(Code::kInvalid, "layer has an entry without a name");
  const auto path = Clean(raw);
  if (!path) return Fail(Code::kInvalid, Cat("layer entry ", Quote(raw), " leaves the image"));
  if (path->empty()) {
    if (::archive_entry_filetype(entry) != AE_IFDIR) return {};
    Place self;
    self.parent.Reset(::openat(root_.get(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    return ApplyMetadata(entry, self, ".");
  }
  TRY(const Place place, Locate(*path, true));
  if (place.name.starts_with(kWhiteout)) return Whiteout(place, *path);
  ++result_.inodes;
  TRY_VOID(Clear(place, ::archive_entry_filetype(entry) == AE_IFDIR && ::archive_entry_hardlink(entry) == nullptr, *path));
  if (::archive_entry_hardlink(entry) != nullptr) return Link(entry, place, *path);
  TRY_VOID(Create(entry, place, *path));
  return ApplyMetadata(entry, place, *path);
}

Result<UnpackedLayer> Unpacker::Run() {
  root_.Reset(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root_) return FailErrno("open " + directory_);
  TRY_VOID(stream_.Open());
  for (;;) {
    TRY(archive_entry* const entry, stream_.Next());
    if (entry == nullptr) break;
    if (++entries_ > limits_.entries) return Fail(Code::kTooLarge, Cat("layer has more than ", limits_.entries, " entries"));
    TRY_VOID(Entry(entry));
  }
  TRY_VOID(stream_.Finish());
  // Deepest last entries first is not needed: setting a directory's time does not touch its parent's.
  for (const DirectoryTimes& d : directory_times_) {
    auto fd = OpenInRoot(root_.get(), d.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!fd) continue;   // replaced later in the layer
    const UniqueFd owned(*fd);
    ::futimens(owned.get(), d.times);
  }
  result_.digest = stream_.digest();
  result_.diff_id = stream_.diff_id();
  return std::move(result_);
}

}  // namespace

Result<UnpackedLayer> UnpackLayer(const Ctx& ctx, ByteSource& source, const std::string& directory, const UnpackLimits& limits) {
  return Unpacker(ctx, source, directory, limits).Run();
}

}  // namespace skerry::container::oci
