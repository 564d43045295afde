#pragma once
#include <string>

#include "core/base/result.h"
#include "core/base/unique_fd.h"

// The directory of a store on disk:
//   FORMAT    "skerry-store " version " " state " " crc "\n"       version: decimal; state: creating | ready | copy; crc: 8 hex digits,
//             CRC-32 of everything before it. Written last when a store is created or copied, so an unfinished one is recognized.
//   lock      flock'ed by the process that has the store open; holds its pid
//   ballast   zeros; given back to the file system when it is full
//   db/       RocksDB
namespace skerry::store {

inline constexpr int kDirectoryVersion = 1;

enum class DirectoryState : std::uint8_t { kCreating, kReady, kCopy };

std::string EncodeFormat(DirectoryState state);
// kUnsupported: a newer version; kCorruption otherwise.
Result<DirectoryState> DecodeFormat(std::string_view text);

// Creates the directory if needed, takes its lock and reads or starts FORMAT. One-line errors that name the directory and the remedy.
struct OpenedDirectory {
  UniqueFd lock;
  DirectoryState state = DirectoryState::kReady;
};
Result<OpenedDirectory> OpenDirectory(const std::string& directory);
Result<> WriteFormat(const std::string& directory, DirectoryState state);

// The file that keeps space back.
class Ballast {
 public:
  Ballast(std::string directory, std::int64_t bytes) : directory_(std::move(directory)), path_(directory_ + "/ballast"), bytes_(bytes) {}
  bool Exists() const;
  void Release();
  // False when the disk has no room for it with a margin left.
  bool Restore();

 private:
  const std::string directory_, path_;
  const std::int64_t bytes_;
};

}  // namespace skerry::store
