#pragma once
#include <functional>

#include "core/base/fd_watch.h"

namespace skerry::kube {

// Calls back, on a thread of its own, each time somebody sets the machine's wall clock. Costs nothing while nobody does.
class ClockWatch {
 public:
  explicit ClockWatch(std::function<void()> on_set);

 private:
  FdWatch watch_;
};

}  // namespace skerry::kube
