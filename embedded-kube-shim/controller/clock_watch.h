#pragma once
#include <functional>
#include <thread>

#include "core/base/unique_fd.h"

namespace skerry::kube {

// Calls back, on a thread of its own, each time somebody sets the machine's wall clock. Costs nothing while nobody does.
class ClockWatch {
 public:
  explicit ClockWatch(std::function<void()> on_set);
  ~ClockWatch();
  ClockWatch(const ClockWatch&) = delete;
  ClockWatch& operator=(const ClockWatch&) = delete;

 private:
  void Run();

  const std::function<void()> on_set_;
  UniqueFd timer_, stop_;
  std::jthread thread_;              // last: uses the rest
};

}  // namespace skerry::kube
