#include "store/engine/rocksdb/directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "store/mvcc/codec.h"

namespace skerry::store {
namespace {

constexpr std::string_view kMagic = "skerry-store";
constexpr std::string_view kStates[] = {"creating", "ready", "copy"};

std::string CrcText(std::string_view text) {
  char hex[9];
  std::snprintf(hex, sizeof hex, "%08x", Crc32(text));
  return hex;
}

std::unexpected<Error> NotUsable(const std::string& directory, std::string_view what, int err) {
  return Fail(Code::kUnavailable,
              Cat("store ", directory, ": ", what, ": ", ::strerror(err), "; choose a directory that this user may write"));
}

// A start that was killed may have left directories that exist but are not durable. What cannot be opened is not ours to have created.
void SyncAncestors(const std::string& directory) {
  for (std::size_t at = directory.size(); at != std::string::npos && at > 0; at = directory.rfind('/', at - 1)) {
    static_cast<void>(SyncDirectory(directory.substr(0, at)));
    if (at == 1) break;
  }
}

Result<UniqueFd> TakeLock(const std::string& directory) {
  const std::string path = directory + "/lock";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return NotUsable(directory, "cannot be written", errno);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return NotUsable(directory, "cannot be locked", errno);
    char pid[32] = {};
    const ssize_t n = ::pread(fd.get(), pid, sizeof pid - 1, 0);
    return Fail(Code::kUnavailable,
                Cat("store ", directory, ": in use by another instance (process ", n > 0 ? Trim(pid) : "unknown", "); stop it first"));
  }
  const std::string pid = Cat(::getpid(), "\n");
  if (::ftruncate(fd.get(), 0) == 0)
    static_cast<void>(::pwrite(fd.get(), pid.data(), pid.size(), 0));  // for people; may fail on a full disk
  return fd;
}

}  // namespace

std::string EncodeFormat(DirectoryState state) {
  std::string text = Cat(kMagic, " ", kDirectoryVersion, " ", kStates[static_cast<std::size_t>(state)], " ");
  return text + CrcText(text) + "\n";
}

Result<DirectoryState> DecodeFormat(std::string_view text) {
  const auto damaged = [] { return Fail(Code::kCorruption, "its FORMAT file is damaged"); };
  if (text.size() < 10 || text.back() != '\n') return damaged();
  const std::string_view covered = text.substr(0, text.size() - 9);
  if (CrcText(covered) != text.substr(covered.size(), 8)) return damaged();
  const auto words = Split(covered, ' ');
  if (words.size() < 3 || words[0] != kMagic) return damaged();
  const auto version = ParseInt(words[1]);
  if (!version || *version < 1) return damaged();
  if (*version > kDirectoryVersion) {
    return Fail(Code::kUnsupported, Cat("written by a newer version (format ", *version, ", this one knows ", kDirectoryVersion, ")"));
  }
  for (std::size_t i = 0; i < std::size(kStates); ++i) {
    if (words.size() == 4 && words[2] == kStates[i] && words[3].empty()) return static_cast<DirectoryState>(i);
  }
  return damaged();
}

Result<> WriteFormat(const std::string& directory, DirectoryState state) {
  return WriteFileDurably(directory + "/FORMAT", EncodeFormat(state));
}

Result<OpenedDirectory> OpenDirectory(const std::string& directory) {
  if (auto r = MakeDirectoriesDurably(directory); !r) {
    return Fail(Code::kUnavailable, Cat("store ", directory, ": ", r.error().message(), "; choose a directory that this user may write"));
  }
  OpenedDirectory out;
  TRY(out.lock, TakeLock(directory));
  Result<std::string> format = ReadFile(directory + "/FORMAT", 4096);
  if (!format && format.error().code() == Code::kNotFound) {
    struct stat st;
    if (::stat((directory + "/db").c_str(), &st) == 0) {
      return Fail(Code::kCorruption,
                  Cat("store ", directory, ": an unfinished copy or a lost FORMAT file; restore a backup into an empty directory"));
    }
    out.state = DirectoryState::kCreating;
    if (auto r = WriteFormat(directory, out.state); !r) {
      return Fail(Code::kUnavailable, Cat("store ", directory, ": ", r.error().message(), "; choose a directory that this user may write"));
    }
    return out;
  }
  if (!format)
    return Fail(Code::kUnavailable, Cat("store ", directory, ": ", format.error().message(), "; make it readable for this user"));
  Result<DirectoryState> state = DecodeFormat(*format);
  if (!state && state.error().code() == Code::kUnsupported) {
    return Fail(Code::kUnsupported, Cat("store ", directory, ": ", state.error().message(), "; start the version that wrote it"));
  }
  if (!state) return Fail(Code::kCorruption, Cat("store ", directory, ": ", state.error().message(), "; restore a backup"));
  out.state = *state;
  if (out.state == DirectoryState::kCreating) SyncAncestors(directory);
  return out;
}

bool Ballast::Exists() const {
  struct stat st;
  return bytes_ == 0 || (::stat(path_.c_str(), &st) == 0 && st.st_size >= bytes_);
}

void Ballast::Release() { static_cast<void>(::unlink(path_.c_str())); }

bool Ballast::Restore() {
  if (Exists()) return true;
  Release();   // a shorter one from an interrupted attempt
  struct statvfs fs;
  if (::statvfs(directory_.c_str(), &fs) != 0) return false;
  if (static_cast<std::int64_t>(fs.f_bavail) * static_cast<std::int64_t>(fs.f_frsize) < bytes_ + bytes_ / 4) return false;
  const UniqueFd fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return false;
  if (::posix_fallocate(fd.get(), 0, bytes_) == 0) return true;   // a crash may lose it: the next start makes a new one
  Release();
  return false;
}

}  // namespace skerry::store
