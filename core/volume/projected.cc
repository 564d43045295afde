#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <set>
#include <algorithm>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/files.h"
#include "core/base/random.h"
#include "core/base/strings.h"
#include "core/process/mounts.h"
#include "core/volume/internal.h"

// Layout, as readers know it from Kubernetes:
//   target/..2026_11_21_09_30_00.1a2b3c/a/b     one generation
//   target/..data → ..2026_11_21_09_30_00.1a2b3c
//   target/a → ..data/a
namespace skerry::volume {
namespace {

constexpr std::string_view kData = "..data";

std::unexpected<Error> FailErrno(std::string what) { return std::unexpected(ErrnoError(errno, std::move(what))); }

Result<> CheckPath(const std::string& path) {
  if (path.empty() || path.front() == '/' || path.size() > 1024) return Fail(Code::kInvalid, Cat("invalid path in volume: ", Quote(path)));
  for (const std::string_view part : Split(path, '/')) {
    if (part.empty() || part == "." || part == ".." || part.size() > 255) return Fail(Code::kInvalid, Cat("invalid path in volume: ", Quote(path)));
  }
  if (path.starts_with("..")) return Fail(Code::kInvalid, Cat("path in volume must not start with \"..\": ", Quote(path)));
  return {};
}

unsigned FileMode(const Request& request, const File& file) {
  return file.mode | (request.fs_group ? internal::GroupBits(false, true) : 0);
}

// Names directly inside a directory.
std::vector<std::string> Names(const std::string& path) {
  std::vector<std::string> out;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
  while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") out.emplace_back(name);
  }
  return out;
}

std::size_t CountFiles(const std::string& path) {
  std::size_t n = 0;
  for (const std::string& name : Names(path)) {
    struct stat st;
    const std::string child = Cat(path, "/", name);
    if (::lstat(child.c_str(), &st) != 0) continue;
    n += S_ISDIR(st.st_mode) ? CountFiles(child) : 1;
  }
  return n;
}

bool SameFile(const std::string& path, const Request& request, const File& file) {
  struct stat st;
  if (::lstat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode) || (st.st_mode & 07777) != FileMode(request, file)) return false;
  if (st.st_uid != static_cast<uid_t>(file.uid.value_or(0)) || (request.fs_group && st.st_gid != static_cast<gid_t>(*request.fs_group))) return false;
  if (static_cast<std::size_t>(st.st_size) != file.content.size()) return false;
  const auto content = ReadFile(path, file.content.size() + 1);
  return content && *content == file.content;
}

// True when the current generation holds exactly the payload; read from the disk, so that damage is repaired too.
bool IsCurrent(const std::string& generation, const Request& request) {
  if (CountFiles(generation) != request.payload.size()) return false;
  return std::all_of(request.payload.begin(), request.payload.end(), [&](const auto& e) { return SameFile(Cat(generation, "/", e.first), request, e.second); });
}

Result<> Own(const std::string& path, const Request& request, const std::optional<std::int64_t>& uid) {
  const uid_t owner = static_cast<uid_t>(uid.value_or(-1));
  const gid_t group = static_cast<gid_t>(request.fs_group.value_or(-1));
  if (::lchown(path.c_str(), owner, group) != 0) return FailErrno("chown " + path);
  return {};
}

Result<> MakeDirectory(const std::string& path, const Request& request) {
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return FailErrno("create " + path);
  const unsigned mode = 0755 | (request.fs_group ? internal::GroupBits(true, true) : 0);
  TRY_VOID(Own(path, request, std::nullopt));
  if (::chmod(path.c_str(), mode) != 0) return FailErrno("chmod " + path);
  return {};
}

Result<> WriteGeneration(const std::string& generation, const Request& request) {
  TRY_VOID(MakeDirectory(generation, request));
  for (const auto& [path, file] : request.payload) {
    for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
      TRY_VOID(MakeDirectory(Cat(generation, "/", path.substr(0, slash)), request));
    }
    const std::string target = Cat(generation, "/", path);
    const UniqueFd fd(::open(target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd) return FailErrno("create " + target);
    TRY_VOID(WriteAll(fd.get(), file.content));
    TRY_VOID(Own(target, request, file.uid));
    if (::fchmod(fd.get(), FileMode(request, file)) != 0) return FailErrno("chmod " + target);
  }
  return {};
}

Result<> ReplaceLink(const std::string& link, const std::string& destination) {
  const std::string temporary = link + "_tmp";
  if (::unlink(temporary.c_str()) != 0 && errno != ENOENT) return FailErrno("remove " + temporary);
  if (::symlink(destination.c_str(), temporary.c_str()) != 0) return FailErrno("link " + temporary);
  if (::rename(temporary.c_str(), link.c_str()) != 0) return FailErrno("rename " + link);
  return {};
}

std::string ReadLink(const std::string& path) {
  std::string out(4096, '\0');
  const ssize_t n = ::readlink(path.c_str(), out.data(), out.size());
  out.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  return out;
}

// "2026-11-21T09:30:00Z" → "..2026_11_21_09_30_00.<random>"
std::string GenerationName() {
  std::string time = FormatTime(Clock::System().Now());
  for (char& c : time) {
    if (c == '-' || c == ':' || c == 'T') c = '_';
  }
  return Cat("..", time.substr(0, time.size() - 1), ".", HexToken(5));
}

// Names that readers use, and nothing else beside the current generation.
Result<> SyncNames(const std::string& target, const Request& request, const std::string& generation) {
  std::set<std::string> wanted;
  for (const auto& [path, _] : request.payload) wanted.insert(path.substr(0, path.find('/')));
  for (const std::string& name : wanted) {
    const std::string link = Cat(target, "/", name), destination = Cat(kData, "/", name);
    if (ReadLink(link) != destination) TRY_VOID(ReplaceLink(link, destination));
  }
  for (const std::string& name : Names(target)) {
    if (name == kData || name == generation || wanted.contains(name)) continue;
    TRY_VOID(process::RemoveTree(Cat(target, "/", name)));
  }
  return {};
}

}  // namespace

Result<std::string> Projected::SetUp(const Ctx& ctx, const Request& request) {
  for (const auto& [path, _] : request.payload) TRY_VOID(CheckPath(path));
  const std::string& target = request.target_dir;
  if (internal::Param(request, "medium") == "Memory") TRY_VOID(internal::EnsureTmpfs(target, 0, 0777));
  else TRY_VOID(internal::EnsureDirectory(target, request.fs_group ? 0777 | S_ISGID : 0777));
  if (request.fs_group) {
    TRY_VOID(Own(target, request, std::nullopt));
    if (::chmod(target.c_str(), 0777 | S_ISGID) != 0) return FailErrno("chmod " + target);
  }
  const std::string link = Cat(target, "/", kData);
  std::string generation = ReadLink(link);
  if (generation.empty() || generation.find('/') != std::string::npos || !IsCurrent(Cat(target, "/", generation), request)) {
    if (ctx.done()) return Fail(ctx.stop.stop_requested() ? Code::kCancelled : Code::kTimeout, "writing volume " + target);
    generation = GenerationName();
    const std::string path = Cat(target, "/", generation);
    if (auto written = WriteGeneration(path, request); !written) {
      if (auto removed = process::RemoveTree(path); !removed) return std::unexpected(std::move(written).error().Wrap(removed.error().message()));
      return std::unexpected(std::move(written).error());
    }
    SKERRY_FAULT("volume.projected.before_switch");
    TRY_VOID(ReplaceLink(link, generation));
    SKERRY_FAULT("volume.projected.after_switch");
  }
  TRY_VOID(SyncNames(target, request, generation));
  return target;
}

Result<> Projected::TearDown(const Ctx&, const std::string& target_dir) { return process::RemoveTree(target_dir); }

}  // namespace skerry::volume
