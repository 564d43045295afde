#pragma once
#include <functional>
#include <utility>
#include <vector>

#include "embedded-kube-shim/node/pod_worker.h"

namespace skerry::kube::node {

// What a node does for itself now and then: container logs are rotated, images that nothing uses make room when the disk fills, pods
// that use more disk than they said, and in need the least important ones, are evicted.
struct HousekeepingTools {
  std::function<std::vector<std::pair<Key, PodView>>()> views;
  std::function<void(const Key& pod, const std::string& uid, WaitReason reason)> evict;
};
void AddHousekeeping(Manager& manager, const WorkerEnvironment& env, HousekeepingTools tools);   // env is borrowed

// Keeps a container's log below the limit: renames it, lets the runtime open a new one and removes the oldest. True when it rotated.
Result<bool> RotateLog(const Ctx& ctx, container::Runtime& runtime, const std::string& container_id, const std::string& path, std::uint64_t limit_bytes);

}  // namespace skerry::kube::node
