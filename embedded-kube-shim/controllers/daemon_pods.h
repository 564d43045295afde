#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "embedded-kube-shim/controllers/pod_facts.h"

// Which nodes want a DaemonSet's pod, and which pods have to go or come. Pure functions.
namespace skerry::kube {

// By the name of the node that a pod runs on or is meant for.
using PodsByNode = std::map<std::string, std::vector<ObjectPtr>, std::less<>>;
std::string_view NodeOf(const json::Value& pod);

struct NodeWish {
  bool run = false, keep = false;    // keep: a pod that is there may stay
};
NodeWish WishOf(const json::Value& node, const json::Value& set);

// A pod of the set for one node: tolerations, labels, affinity to the node's name.
json::Value DaemonPod(const json::Value& set, std::string_view hash, std::string_view node);
// By revision label or template generation.
bool IsUpdated(const json::Value& pod, const json::Value& set, std::string_view hash);

struct RolloutLimits {
  std::int64_t surge = 0, unavailable = 1;
};
RolloutLimits LimitsOfDaemons(const json::Value& set, std::int64_t desired);

struct DaemonChange {
  std::vector<std::string> create;   // node names
  std::vector<ObjectPtr> remove;
};
// Oldest first; bound before unbound.
void SortByAge(std::vector<ObjectPtr>& pods);

// What a rolling update does next.
DaemonChange RollDaemons(const json::Value& set, const PodsByNode& pods, std::string_view hash, std::int64_t desired, const std::function<bool(const json::Value&)>& available);

}  // namespace skerry::kube
