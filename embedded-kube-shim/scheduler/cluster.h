#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/strings.h"
#include "embedded-kube-shim/client/client.h"

// The scheduler's picture of nodes and of the pods on them. Owned by the scheduling thread; not thread-safe.
namespace skerry::kube::scheduling {

// Resource name -> amount: cpu in thousandths, everything else in units.
using Amounts = std::map<std::string, std::int64_t, std::less<>>;

inline std::int64_t AmountOf(const Amounts& amounts, std::string_view name) {
  const auto it = amounts.find(name);
  return it == amounts.end() ? 0 : it->second;
}

struct HostPort {
  std::string protocol, ip;          // ip "0.0.0.0" = every address
  std::int64_t port = 0;
  bool Collides(const HostPort& o) const;
};

// What scheduling needs of a pod, computed once per version of it.
struct PodFacts {
  ObjectPtr object;
  std::string uid;
  Key key;
  Amounts requests;                  // effective: containers, init containers, sidecars, overhead, pod level
  std::int64_t cpu = 0, memory = 0;  // of them; and all others that are more than nothing, in the order in which they are spoken of
  std::vector<std::pair<std::string, std::int64_t>> others;
  std::int64_t scoring_cpu = 0, scoring_memory = 0;   // with defaults for containers that request nothing
  std::vector<HostPort> ports;
  std::vector<std::string> claims;   // names of the volume claims it uses
  std::int32_t priority = 0;
  bool has_affinity = false, has_anti_affinity = false;   // required terms
  bool looks_at_pods = false;        // any pod affinity at all, preferred included
};
using PodPtr = std::shared_ptr<const PodFacts>;
PodPtr FactsOf(ObjectPtr pod);
// The same of a pod that has its node: of its object only what matters to the scheduling of others is kept.
PodPtr BoundFactsOf(const ObjectPtr& pod);
// Nothing in the pod that BoundFactsOf keeps is different from what is known.
bool SameBoundFacts(const PodFacts& known, const json::Value& pod);

struct NodeInfo {
  ObjectPtr object;                  // null: pods are known, the node is not (yet)
  std::string name;
  Amounts allocatable, requested;
  std::int64_t used_cpu = 0, used_memory = 0;   // of `requested`
  std::int64_t scoring_cpu = 0, scoring_memory = 0;
  // What is looked at for every pod, taken from the object when it comes.
  std::int64_t cpu = 0, memory = 0, most_pods = 0;   // allocatable
  bool has_taints = false, unschedulable = false, has_images = false;
  std::vector<PodPtr> pods;          // in the order they came

  void Add(PodPtr pod);
  PodPtr Remove(std::string_view uid);   // null: it was not here
  const json::Value& labels() const;
};

class Cluster {
 public:
  void SetNode(const ObjectPtr& node);
  void RemoveNode(std::string_view name);
  // A pod that is bound (or assumed to be): moves it when it was elsewhere.
  void SetPod(PodPtr pod, const std::string& node);
  void RemovePod(std::string_view uid);
  PodPtr FindPod(std::string_view uid, std::string_view node) const;   // null: not there
  const std::map<std::string, NodeInfo, std::less<>>& nodes() const { return nodes_; }
  NodeInfo* Find(std::string_view name);
  std::size_t size() const { return existing_; }   // nodes that exist
  std::size_t nodes_with_images() const { return nodes_with_images_; }
  std::size_t pods_with_affinity() const { return pods_with_affinity_; }   // of any kind: mostly none, and nobody needs to look for them

 private:
  std::map<std::string, NodeInfo, std::less<>> nodes_;
  struct Place {
    std::string node;
    PodPtr pod;
  };
  std::unordered_map<std::string, Place, StringHash, std::equal_to<>> where_;   // by the pod's uid
  std::size_t pods_with_affinity_ = 0, existing_ = 0, nodes_with_images_ = 0;
};

}  // namespace skerry::kube::scheduling
