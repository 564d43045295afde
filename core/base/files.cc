#include "core/base/files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

namespace skerry {

Error ErrnoError(int err, std::string what) {
  Code code = Code::kInternal;
  switch (err) {
    case ENOENT:
    case ENOTDIR:
    case ESRCH: code = Code::kNotFound; break;
    case EACCES:
    case EPERM:
    case EROFS: code = Code::kForbidden; break;
    case EEXIST: code = Code::kAlreadyExists; break;
    case EINVAL:
    case ENAMETOOLONG: code = Code::kInvalid; break;
    case ENOSPC:
    case EDQUOT:
    case EIO:
    case EAGAIN:
    case EBUSY:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ECONNREFUSED:
    case ECONNRESET:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRINUSE:
    case EPIPE: code = Code::kUnavailable; break;
    case ETIMEDOUT: code = Code::kTimeout; break;
    default: break;
  }
  what += ": ";
  what += ::strerror(err);
  return Error(code, std::move(what));
}

static std::unexpected<Error> FailErrno(std::string what) {
  const int err = errno;
  return std::unexpected(ErrnoError(err, std::move(what)));
}

Result<std::string> ReadFile(const std::string& path, std::size_t limit) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return FailErrno("open " + path);
  std::string out;
  char buffer[16384];
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0) {
      if (errno == EINTR) continue;
      return FailErrno("read " + path);
    }
    if (n == 0) return out;
    out.append(buffer, static_cast<std::size_t>(n));
    if (out.size() > limit) return Fail(Code::kTooLarge, "read " + path + ": larger than " + std::to_string(limit) + " bytes");
  }
}

Result<> WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return FailErrno("write");
    }
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<> SyncDirectory(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return FailErrno("open " + path);
  if (::fsync(fd.get()) != 0) return FailErrno("fsync " + path);
  return {};
}

Result<> WriteFileDurably(const std::string& path, std::string_view content, unsigned mode) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  std::string temporary = path + ".tmp.XXXXXX";
  UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return FailErrno("create " + temporary);
  const auto abandon = [&](std::unexpected<Error> e) {
    ::unlink(temporary.c_str());
    return e;
  };
  if (auto r = WriteAll(fd.get(), content); !r) return abandon(std::unexpected(std::move(r.error()).Wrap(path)));
  if (::fchmod(fd.get(), mode) != 0) return abandon(FailErrno("chmod " + temporary));
  if (::fsync(fd.get()) != 0) return abandon(FailErrno("fsync " + temporary));
  if (::rename(temporary.c_str(), path.c_str()) != 0) return abandon(FailErrno("rename to " + path));
  return SyncDirectory(directory);
}

Result<> MakeDirectories(const std::string& path, unsigned mode) {
  for (std::size_t at = 1; at <= path.size(); ++at) {
    if (at != path.size() && path[at] != '/') continue;
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST) return FailErrno("create directory " + part);
  }
  struct stat st;
  if (::stat(path.c_str(), &st) != 0) return FailErrno("stat " + path);
  if (!S_ISDIR(st.st_mode)) return Fail(Code::kInvalid, path + " is not a directory");
  return {};
}

Result<> MakeDirectoriesDurably(const std::string& path, unsigned mode) {
  struct stat st;
  if (path.empty() || ::stat(path.c_str(), &st) == 0) return MakeDirectories(path, mode);
  const std::size_t slash = path.find_last_of('/', path.find_last_not_of('/'));
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash == 0 ? 1 : slash);
  TRY_VOID(MakeDirectoriesDurably(parent, mode));
  TRY_VOID(MakeDirectories(path, mode));
  return SyncDirectory(parent);
}

}  // namespace skerry
