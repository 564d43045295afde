#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>

#include "core/base/result.h"
#include "core/base/unique_fd.h"

// A file system in the memory of a process of its own that remembers what was synced. Two images: the live one, which everybody sees,
// and the durable one. fsync and fdatasync of a file copy its content (not its name) to the durable image, fsync of a directory its
// names. Cut() makes the durable image the live one: what a disk may hold after a power failure.
namespace skerry::fault_test {

enum class CutMode : std::uint8_t {
  kDropAll,      // nothing unsynced survives
  kKeepSome,     // of unsynced data a random part survives, in blocks of 4 KiB, and of unsynced names the first ones
};

class PowercutFs {
 public:
  // Mounts at an existing empty directory. Needs root and /dev/fuse.
  static Result<PowercutFs> Mount(const std::string& mountpoint);
  PowercutFs(PowercutFs&& other) noexcept;
  PowercutFs& operator=(PowercutFs&&) = delete;
  ~PowercutFs();   // unmounts, waits for the process
  // No process may have files open there.
  Result<> Cut(CutMode mode, std::uint64_t seed) { return Send(mode, seed, 0); }
  // The power goes in place of the n-th sync from now on, when the most is unsynced: it and everything after it fail with EIO until Cut().
  Result<> CutAtSync(int n, CutMode mode, std::uint64_t seed) { return Send(mode, seed, n); }

 private:
  Result<> Send(CutMode mode, std::uint64_t seed, int at_sync);
  PowercutFs(std::string mountpoint, pid_t pid, UniqueFd control)
      : mountpoint_(std::move(mountpoint)), pid_(pid), control_(std::move(control)) {}
  std::string mountpoint_;
  pid_t pid_;
  UniqueFd control_;
};

}  // namespace skerry::fault_test
