#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "embedded-kube-shim/client/client.h"

// What pods and nodes use and what objects are asked for, measured when somebody asks. Nobody measures in the background.
namespace skerry::kube {

// Counters and levels of a control group, or of a whole machine.
struct Counters {
  std::uint64_t cpu_ns = 0;            // since `since`
  std::uint64_t memory_usage_bytes = 0, memory_rss_bytes = 0;
  std::uint64_t page_faults = 0, major_page_faults = 0;
  Clock::Wall since{};                 // when the container was started, the machine booted
};
struct ContainerUsage {
  std::string name;
  std::int64_t cpu_nanos = 0;          // nanoseconds of processor time per second
  std::int64_t memory_bytes = 0;       // working set: what is used without the file pages that nobody needs any more
  Counters counters{};
};
struct PodUsage {
  Key pod;
  Clock::Wall at;
  std::chrono::milliseconds window{};  // over which the processor time was averaged
  std::vector<ContainerUsage> containers;
};
// Since the machine booted.
struct InterfaceUsage {
  std::string name;
  std::uint64_t rx_bytes = 0, rx_errors = 0, tx_bytes = 0, tx_errors = 0;
};
struct DiskUsage {
  std::uint64_t capacity_bytes = 0, available_bytes = 0, used_bytes = 0, inodes = 0, inodes_free = 0;
};
struct NodeUsage {
  std::string node;
  Clock::Wall at;
  std::chrono::milliseconds window{};
  std::int64_t cpu_nanos = 0, memory_bytes = 0;
  std::int64_t memory_available_bytes = 0;
  Counters counters{};
  std::vector<InterfaceUsage> interfaces{};   // without loopback; the one of the default route comes first
  std::optional<DiskUsage> disk{};            // where containers and images lie
};

// Thread-safe. May take half a second when nobody asked lately, since a rate needs two readings. Containers that do not run are left out,
// and pods without a container that does.
class MetricsSource {
 public:
  virtual ~MetricsSource() = default;
  virtual std::vector<PodUsage> Pods(std::string_view ns) = 0;   // empty = all namespaces
  virtual std::vector<NodeUsage> Nodes() = 0;
};

// A figure of one object.
struct ObjectMetric {
  std::string api_version, kind;       // of the object
  Key object;
  Clock::Wall at;
  std::chrono::milliseconds window{};
  std::int64_t milli = 0;              // thousandths
};

// Figures of objects other than what containers use. Thread-safe; may take half a second, as above.
class ObjectMetricsSource {
 public:
  virtual ~ObjectMetricsSource() = default;
  struct Known {
    std::string group, resource, api_version, kind;   // "networking.k8s.io", "ingresses"
    std::string metric;                // "requests-per-second"
    bool entry = false;                // where traffic enters the cluster: also offered as an external metric
  };
  virtual const std::vector<Known>& Offered() const = 0;
  // Of every object of the namespace that has a figure.
  virtual std::vector<ObjectMetric> Values(const Known& which, std::string_view ns) = 0;
};

}  // namespace skerry::kube
