#pragma once
#include <string>
#include <vector>

#include "core/base/context.h"
#include "core/base/result.h"

namespace skerry::process {

// Thin calls over mount(2); errors name source and target. Targets must exist.
Result<> MountFs(const std::string& type, const std::string& source, const std::string& target, unsigned long flags, const std::string& data);
enum class Access : std::uint8_t { kReadWrite, kReadOnly };
Result<> BindMount(const std::string& source, const std::string& target, Access access = Access::kReadWrite);   // recursive
Result<> BindDescriptor(int source_fd, const std::string& target);           // what the descriptor is open on, whatever its name says now
Result<> MountTmpfs(const std::string& target, std::int64_t size_bytes, unsigned mode);                          // size 0: kernel's default
// `lowers` are names inside `base`, topmost first; relative, so that 120 of them fit in one page of options.
Result<> MountOverlay(const std::string& base, const std::vector<std::string>& lowers, const std::string& upper, const std::string& work,
                      const std::string& target);
// Detaches everything that is mounted on the path. Not mounted or absent: ok.
Result<> Unmount(const std::string& target);
Result<> UnmountBelow(const std::string& prefix);                            // every mount at or below, deepest first
Result<bool> IsMountPoint(const std::string& path);                          // absent: false
Result<> MakeShared(const std::string& path);                                // bind on itself once, then rshared

struct MountEntry {
  std::string target, type, source, options, super_options, root;
};
Result<std::vector<MountEntry>> ReadMounts();                                // this process' mount namespace; ~10 ms for 1000 mounts
// Deletes a tree without following links and without crossing into mounts (they are detached first). Absent: ok.
Result<> RemoveTree(const std::string& path);

struct TreeSize {
  std::uint64_t bytes = 0, inodes = 0;
};
// Allocated blocks below a directory: one file system, hard links counted once, links not followed. Files that vanish meanwhile are skipped.
Result<TreeSize> MeasureTree(const Ctx& ctx, const std::string& path);

}  // namespace skerry::process
