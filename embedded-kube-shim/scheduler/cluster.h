#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "embedded-kube-shim/client/client.h"

// The scheduler's picture of nodes and of the pods on them. Owned by the scheduling thread; not thread-safe.
namespace skerry::kube::scheduling {

// Resource name -> amount: cpu in thousandths, everything else in units.
using Amounts = std::map<std::string, std::int64_t, std::less<>>;

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
  std::int64_t scoring_cpu = 0, scoring_memory = 0;   // with defaults for containers that request nothing
  std::vector<HostPort> ports;
  std::vector<std::string> claims;   // names of the volume claims it uses
  std::int32_t priority = 0;
  bool has_affinity = false, has_anti_affinity = false;   // required terms
  bool looks_at_pods = false;        // any pod affinity at all, preferred included
};
using PodPtr = std::shared_ptr<const PodFacts>;
PodPtr FactsOf(ObjectPtr pod);

struct NodeInfo {
  ObjectPtr object;                  // null: pods are known, the node is not (yet)
  std::string name;
  Amounts allocatable, requested;
  std::int64_t scoring_cpu = 0, scoring_memory = 0;
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
  const std::map<std::string, NodeInfo, std::less<>>& nodes() const { return nodes_; }
  NodeInfo* Find(std::string_view name);
  std::size_t size() const;          // nodes that exist
  std::size_t pods_with_affinity() const { return pods_with_affinity_; }   // of any kind: mostly none, and nobody needs to look for them

 private:
  std::map<std::string, NodeInfo, std::less<>> nodes_;
  std::map<std::string, std::string, std::less<>> where_;   // pod uid -> node
  std::size_t pods_with_affinity_ = 0;
};

}  // namespace skerry::kube::scheduling
