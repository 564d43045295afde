#pragma once
#include <optional>
#include <vector>

#include "embedded-kube-shim/client/client.h"
#include "embedded-kube-shim/node/pod_status.h"

// What the node itself checks before it takes a pod: schedulers can be wrong, and a pod may name its node. Pure.
namespace skerry::kube::node {

// What a pod asks for as a whole: containers and sidecars together, or the largest init container; plus overhead.
struct PodRequests {
  std::int64_t cpu_milli = 0, memory_bytes = 0;
};
PodRequests RequestsOf(const json::Value& pod);

// `others`: pods that this node has taken and that have not ended. A reason means: the pod fails ("NodePorts", "OutOfcpu", …).
std::optional<WaitReason> Refusal(const json::Value& pod, const json::Value& node, const std::vector<ObjectPtr>& others);

// Is there room for `wanted` in place of what the pod had? "Infeasible": never on this node; "Deferred": not beside the others.
std::optional<WaitReason> ResizeRefusal(const PodRequests& wanted, const json::Value& node, const std::vector<ObjectPtr>& others);

}  // namespace skerry::kube::node
