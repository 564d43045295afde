#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/context.h"
#include "core/container/runtime.h"
#include "core/telemetry/rates.h"
#include "embedded-kube-shim/client/metrics.h"
#include "embedded-kube-shim/node/pod_worker.h"

namespace skerry::kube::node {

// Reads the counters of running containers and of the machine when asked, and compares them with what was read before.
class UsageMeter final : public MetricsSource {
 public:
  struct Options {
    std::string node;
    std::string proc = "/proc";
    std::function<std::vector<std::pair<Key, PodView>>()> pods;
    std::function<void(std::chrono::milliseconds)> pause;   // between the two readings of a first question
    std::string disk = {};                                  // a directory on the file system of containers and images; empty: not measured
  };
  UsageMeter(container::Runtime& runtime, const Clock& clock, Options options) : runtime_(runtime), clock_(clock), options_(std::move(options)) {}

  std::vector<PodUsage> Pods(std::string_view ns) override;
  std::vector<NodeUsage> Nodes() override;

 private:
  struct Reading;
  std::vector<Reading> Running(std::string_view ns) const;
  bool Measure(Reading& reading);
  bool Measure(NodeUsage& node);

  container::Runtime& runtime_;
  const Clock& clock_;
  const Options options_;
  telemetry::Rates rates_;
};

}  // namespace skerry::kube::node
