#pragma once
#include "core/volume/volume.h"

namespace skerry::volume::internal {
std::string Param(const Request& request, const char* name);
// A directory of the plugin's own, exactly with this mode whatever the umask.
Result<> EnsureDirectory(const std::string& path, unsigned mode);
Result<> EnsureTmpfs(const std::string& path, std::int64_t size_bytes, unsigned mode);
// What a group needs on a file or directory (see Request::fs_group).
unsigned GroupBits(bool is_directory, bool read_only);
}  // namespace skerry::volume::internal
