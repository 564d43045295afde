#pragma once
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "embedded-kube-shim/controllers/node_match.h"
#include "embedded-kube-shim/scheduler/cluster.h"
#include "embedded-kube-shim/scheduler/volumes.h"

// Filters say on which nodes a pod may run, scores which of them is best: two tables of pure functions over the cluster's picture.
namespace skerry::kube::scheduling {

// Empty reasons = fits. `resolvable`: evicting pods could help.
struct Verdict {
  std::vector<std::string> reasons;
  bool resolvable = true;
  bool fits() const { return reasons.empty(); }
};

// What concerns all nodes together is computed once per pod, before the nodes are looked at.
struct TermState {
  std::string topology_key;
  std::map<std::string, std::int64_t, std::less<>> matches;   // topology value -> matching pods
};
struct SpreadState {
  std::shared_ptr<const json::Value> constraint;
  std::map<std::string, std::int64_t, std::less<>> matches;
  std::int64_t minimum = 0;
};

struct CycleState {
  PodPtr pod;
  const Lister* namespaces = nullptr;
  const VolumeSources* sources = nullptr;                      // null: volumes are not looked at
  VolumeState volumes;
  std::vector<TermState> affinity, anti_affinity;              // of the pod's own required terms
  bool affinity_first = false;                                 // nothing matches anywhere, but the pod matches itself: any node will do
  std::set<std::pair<std::string, std::string>> existing_anti; // (topology key, value) that running pods' anti-affinity forbids
  std::vector<SpreadState> spread;
};

CycleState Prepare(const Cluster& cluster, PodPtr pod, const Lister& namespaces, const VolumeSources* sources = nullptr);
// Adds or takes away one pod on one node (preemption tries both).
CycleState PrepareAgain(const Cluster& cluster, const CycleState& state);

struct Filter {
  const char* name;
  Verdict (*check)(const CycleState& state, const NodeInfo& node);
};
std::span<const Filter> Filters();   // in upstream's order; the first that fails speaks for the node

// 0 … 100 per plugin after normalization, times its weight, summed.
std::vector<std::int64_t> Scores(const Cluster& cluster, const CycleState& state, const std::vector<const NodeInfo*>& nodes);

// Does a pod match a pod affinity term of `owner` (namespaces and selectors)?
bool MatchesTerm(const json::Value& term, const json::Value& owner, const json::Value& pod, const Lister& namespaces);

}  // namespace skerry::kube::scheduling
