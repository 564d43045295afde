#pragma once
#include <optional>
#include <string>
#include <vector>

#include "embedded-kube-shim/scheduler/filters.h"

namespace skerry::kube::scheduling {

struct Eviction {
  std::string node;
  std::vector<PodPtr> victims;
};

// Which pods of lower priority must go so that the pod fits somewhere: the fewest broken budgets, then the least important victims, then
// the fewest, then the youngest. `candidates`: nodes that failed for a reason that evicting can help; `helpful` counts those where some
// victims would do. Leaves the cluster as it was.
std::optional<Eviction> FindVictims(Cluster& cluster, const CycleState& state, const std::vector<std::string>& candidates, const Lister& budgets);

}  // namespace skerry::kube::scheduling
