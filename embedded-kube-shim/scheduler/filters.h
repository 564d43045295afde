#pragma once
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "embedded-kube-shim/controllers/node_match.h"
#include "embedded-kube-shim/scheduler/cluster.h"
#include "embedded-kube-shim/scheduler/profile.h"
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
  const SchedulerProfile* profile = nullptr;                   // null: nothing is added to what the pod wants
  std::shared_ptr<const json::Value> default_constraints;      // with selectors, for a pod without its own; may be null

  const json::Value& constraints() const { return default_constraints ? *default_constraints : (*pod->object)["spec"]["topologySpreadConstraints"]; }
};

CycleState Prepare(const Cluster& cluster, PodPtr pod, const Lister& namespaces, const VolumeSources* sources = nullptr, const SchedulerProfile* profile = nullptr,
                   std::shared_ptr<const json::Value> default_constraints = nullptr);
// Adds or takes away one pod on one node (preemption tries both).
CycleState PrepareAgain(const Cluster& cluster, const CycleState& state);

struct Filter {
  const char* name;
  Verdict (*check)(const CycleState& state, const NodeInfo& node);
  bool (*concerns)(const CycleState& state);   // false: no node can fail it, whatever the node. Null: always asked
};
std::span<const Filter> Filters();   // in upstream's order; the first that fails speaks for the node
// Those that concern the pod and are not turned off.
std::vector<const Filter*> FiltersFor(const CycleState& state, const SchedulerProfile& profile);

// 0 … 100 per plugin after normalization, times its weight, summed.
std::vector<std::int64_t> Scores(const Cluster& cluster, const CycleState& state, const std::vector<const NodeInfo*>& nodes, const SchedulerProfile& profile = {});

// What pods may belong to, by which they are spread.
struct SpreadSources {
  const Lister *services = nullptr, *controllers = nullptr, *sets = nullptr, *stateful_sets = nullptr;
};
// The profile's default constraints for this pod: those of its services and of its controller. Null when it has constraints of its own or
// belongs to nothing.
std::shared_ptr<const json::Value> DefaultConstraints(const SchedulerProfile& profile, const json::Value& pod, const SpreadSources& sources);

// Does a pod match a pod affinity term of `owner` (namespaces and selectors)?
bool MatchesTerm(const json::Value& term, const json::Value& owner, const json::Value& pod, const Lister& namespaces);

}  // namespace skerry::kube::scheduling
