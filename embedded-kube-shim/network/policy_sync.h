#pragma once
#include <memory>
#include <string>

#include "core/base/component.h"
#include "core/podnet/policy.h"
#include "embedded-kube-shim/client/client.h"

namespace skerry::kube::network {

// Keeps the packet filter equal to NetworkPolicies, the pods of this node and the labels of pods and namespaces. `table` outlives it.
// While there is no policy a change of a pod costs nothing. Start returns when what the listers hold is in force.
std::unique_ptr<Component> NewPolicySync(Informers& informers, podnet::PolicyTable& table, std::string node);

}  // namespace skerry::kube::network
