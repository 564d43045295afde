#pragma once
#include <string>
#include <vector>

#include "embedded-kube-shim/scheduler/cluster.h"

// Volumes in scheduling: which nodes can have a pod's claims, and what has to be bound before the pod can be.
namespace skerry::kube::scheduling {

struct VolumeSources {
  const Lister* claims = nullptr;
  const Lister* volumes = nullptr;
  const Lister* classes = nullptr;
};

struct VolumeState {
  std::string rejection;                 // the pod can run nowhere, whatever the nodes; empty = go on
  std::vector<ObjectPtr> bound;          // volumes of claims that are bound
  bool lost_volume = false;              // a claim is bound to a volume that is no more
  std::vector<ObjectPtr> unbound;        // claims that wait for a node to be chosen, smallest first
  bool single_pod_taken = false;         // another pod has a claim of mode ReadWriteOncePod
};
VolumeState PrepareVolumes(const PodFacts& pod, const Cluster& cluster, const VolumeSources& sources);

// Empty = the node can have the volumes. See Verdict.
std::string CheckVolumeNode(const VolumeState& state, const NodeInfo& node, const VolumeSources& sources);
std::string CheckVolumeZone(const VolumeState& state, const NodeInfo& node);

// What binding on this node takes: each unbound claim with its volume, or (null) a volume that has to be provisioned. False: it does not go.
struct VolumePlan {
  ObjectPtr claim, volume;
};
bool PlanVolumes(const VolumeState& state, const NodeInfo& node, const VolumeSources& sources, std::vector<VolumePlan>* plan);

}  // namespace skerry::kube::scheduling
