#pragma once
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/base/unique_fd.h"

// Small files. Errors: kNotFound, kForbidden (permissions), kUnavailable (disk full or I/O), each naming the path.
namespace skerry {

Result<std::string> ReadFile(const std::string& path, std::size_t limit = 64 << 20);
// Replaces the file as a whole: temporary file, fsync, rename, fsync of the directory. Durable when it returns.
Result<> WriteFileDurably(const std::string& path, std::string_view content, unsigned mode = 0600);
Result<> WriteAll(int fd, std::string_view bytes);
Result<> MakeDirectories(const std::string& path, unsigned mode = 0700);   // like mkdir -p
// The same, and every directory that it creates survives a power cut.
Result<> MakeDirectoriesDurably(const std::string& path, unsigned mode = 0700);
Result<> SyncDirectory(const std::string& path);
Error ErrnoError(int err, std::string what);   // maps errno to a code; message "what: strerror"

}  // namespace skerry
