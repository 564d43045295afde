#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "embedded-kube-shim/client/client.h"

// What pods and nodes use, measured when somebody asks. Nobody measures in the background.
namespace skerry::kube {

struct ContainerUsage {
  std::string name;
  std::int64_t cpu_nanos = 0;          // nanoseconds of processor time per second
  std::int64_t memory_bytes = 0;       // working set
};
struct PodUsage {
  Key pod;
  Clock::Wall at;
  std::chrono::milliseconds window{};  // over which the processor time was averaged
  std::vector<ContainerUsage> containers;
};
struct NodeUsage {
  std::string node;
  Clock::Wall at;
  std::chrono::milliseconds window{};
  std::int64_t cpu_nanos = 0, memory_bytes = 0;
};

// Thread-safe. Pods that do not run (or not long enough for an average) are left out.
class MetricsSource {
 public:
  virtual ~MetricsSource() = default;
  virtual std::vector<PodUsage> Pods(std::string_view ns) = 0;   // empty = all namespaces
  virtual std::vector<NodeUsage> Nodes() = 0;
};

}  // namespace skerry::kube
