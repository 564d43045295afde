#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/json/value.h"

// How the pods of one schedulerName are placed: the part of a KubeSchedulerConfiguration that we follow.
namespace skerry::kube {

struct SchedulerProfile {
  std::string name = "default-scheduler";
  std::set<std::string, std::less<>> filters_off;              // names of filter plugins
  // Weight of each score plugin; 0 = off.
  std::map<std::string, std::int64_t, std::less<>> weights = {
      {"TaintToleration", 3}, {"NodeAffinity", 2}, {"PodTopologySpread", 2}, {"InterPodAffinity", 2}, {"NodeResourcesFit", 1}, {"NodeResourcesBalancedAllocation", 1}, {"ImageLocality", 1}};
  enum class Packing : std::uint8_t { kLeastAllocated, kMostAllocated } packing = Packing::kLeastAllocated;
  std::map<std::string, std::int64_t, std::less<>> packed = {{"cpu", 1}, {"memory", 1}};   // resources that NodeResourcesFit scores, with weights
  std::int64_t hard_affinity_weight = 1;                       // InterPodAffinityArgs
  std::shared_ptr<const json::Value> added_affinity;           // NodeAffinityArgs: a node affinity that every pod has besides its own; null = none
  // PodTopologySpreadArgs: constraints of pods that have none of their own and belong to something; null = none.
  std::shared_ptr<const json::Value> default_constraints;
  bool constraints_need_labels = true;                         // nodes without a constraint's label score nothing
  int percentage_of_nodes = 0;                                 // 0 = by the size of the cluster
  bool preemption = true;                                      // DefaultPreemption
};

// A KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1; YAML or JSON): profiles with schedulerName, percentageOfNodesToScore,
// plugins (filter, score, postFilter, multiPoint: enabled and disabled, with weights) and pluginConfig (NodeResourcesFit's scoringStrategy,
// InterPodAffinity's hardPodAffinityWeight, NodeAffinity's addedAffinity, PodTopologySpread's defaultConstraints; its defaultingType System
// counts when it is named). Other fields that do not concern placement (leader election, clients) are accepted and not
// looked at. kInvalid: one line that names the field; unknown plugins, arguments we do not follow and doubled names are errors.
Result<std::vector<SchedulerProfile>> ParseSchedulerConfiguration(std::string_view text);

}  // namespace skerry::kube
