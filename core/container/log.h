#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/process/file_watcher.h"

namespace skerry::container {

struct LogOptions {
  bool follow = false;
  bool timestamps = false;                       // RFC 3339 with nanoseconds before every entry
  std::optional<std::int64_t> tail_lines;
  std::optional<Clock::Wall> since;
  std::optional<std::int64_t> limit_bytes;       // of the output
  enum class Streams : std::uint8_t { kBoth, kStdout, kStderr } streams = Streams::kBoth;
};

// Reads a container's log file in the CRI form ("2026-11-21T01:34:33.1Z stdout F text") or Docker's json-file form (told by the
// first byte of an entry) and gives the text back. Follows a file over its rotation (rename and a new file at the same path).
// Never blocks beyond a disk read; shaped like http::Source so that a handler can hand it on.
class LogReader {
 public:
  // `running` is asked at the end of the file when following: once it says false and the file holds nothing more, the stream ends.
  // Whoever knows that the container ended calls Wake(). kNotFound: no such file.
  static Result<std::unique_ptr<LogReader>> Open(std::string path, LogOptions options, process::FileWatcher* watcher = nullptr,
                                                 std::function<bool()> running = {});
  virtual ~LogReader() = default;
  // Up to 64 KiB of whole entries; empty = nothing yet (follow); kCancelled = end.
  virtual Result<std::string> Next() = 0;
  // May be called from the watcher's thread, any number of times. Set once, before the first Next.
  virtual void OnReady(std::function<void()> notify) = 0;
  virtual void Wake() = 0;                        // any thread
};

// The whole text that a non-following reader gives; for termination messages and tests.
Result<std::string> ReadLog(const std::string& path, LogOptions options);

}  // namespace skerry::container
