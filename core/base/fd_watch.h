#pragma once
#include <functional>
#include <thread>

#include "core/base/unique_fd.h"

namespace skerry {

// A thread that sleeps until a descriptor can be read and then calls back. Costs nothing meanwhile.
class FdWatch {
 public:
  // `on_readable` reads the descriptor empty (it should be non-blocking). A descriptor that could not be made (-1) is never ready.
  FdWatch(UniqueFd fd, std::function<void(int fd)> on_readable);
  ~FdWatch();   // waits for a call back that runs
  FdWatch(const FdWatch&) = delete;
  FdWatch& operator=(const FdWatch&) = delete;

 private:
  void Run();

  const UniqueFd fd_, stop_;
  const std::function<void(int)> on_readable_;
  std::jthread thread_;              // last: uses the rest
};

}  // namespace skerry
