#pragma once
#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "core/base/result.h"

namespace skerry::process {

// Start time of a process in clock ticks since boot; with the pid it names a process for ever. kNotFound: no such process.
Result<std::uint64_t> ProcessStartTime(pid_t pid);
// False when the pid belongs to somebody else by now, or to a zombie.
bool IsAlive(pid_t pid, std::uint64_t start_time);
// Sends the signal only to the process meant. Gone: ok.
Result<> SignalProcess(pid_t pid, std::uint64_t start_time, int signal);

// Tells when processes end that are not our children (or no longer). One epoll and one thread, a pidfd per process.
class ExitWatcher {
 public:
  static Result<std::unique_ptr<ExitWatcher>> Create();
  virtual ~ExitWatcher() = default;          // no callback runs afterwards
  // The callback runs once, on the watcher's thread, also when the process is gone already. Not from inside a callback's lock.
  virtual Result<> Add(pid_t pid, std::uint64_t start_time, std::function<void()> on_exit) = 0;
};

}  // namespace skerry::process
