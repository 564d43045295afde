#pragma once
#include <optional>
#include <string>

#include "core/base/result.h"
#include "core/base/unique_fd.h"

// One process per data directory: "<data>/lock" is held with flock and names the process.
namespace skerry::cmd {

class InstanceLock {
 public:
  // kAlreadyExists: another process holds it (the message names it).
  static Result<InstanceLock> Acquire(const std::string& data_dir);

 private:
  explicit InstanceLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// The process that holds the directory; nullopt when none does.
std::optional<int> RunningInstance(const std::string& data_dir);
// Waits until the process is gone, at most so long.
bool WaitForExit(int pid, int seconds);

// sd_notify: tells a service manager, when there is one, "READY=1" or "STOPPING=1".
void NotifyServiceManager(const char* state);

}  // namespace skerry::cmd
