#pragma once
#include <string>

#include "core/base/clock.h"
#include "embedded-kube-shim/controller/controller.h"

namespace skerry::kube::node {

struct HollowOptions {
  int count = 0;
  std::string prefix = "hollow-";        // hollow-0, hollow-1, …
  std::string cpu = "32", memory = "128Gi", pods = "250";
};

// Nodes that only pretend to run their pods, for tests of scale and scheduling: they register, renew their leases, say that pods run and are
// ready as soon as they are bound, let go of those that are deleted, and end those of jobs after a second. One reconciler for all of them,
// over whatever client and informers it is given: in the appliance itself, or in `skerry dev hollow-node` over the network. Pods and nodes
// are all it watches. A restart goes on where the last one ended.
void AddHollowNodes(Manager& manager, Informers& informers, Client& client, const Clock& clock, HollowOptions options);

}  // namespace skerry::kube::node
