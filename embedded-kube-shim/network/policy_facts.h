#pragma once
#include <functional>
#include <string_view>
#include <vector>

#include "core/podnet/policy.h"
#include "embedded-kube-shim/client/client.h"

namespace skerry::kube::network {

struct PolicyInputs {
  std::vector<ObjectPtr> policies, pods;
  std::function<ObjectPtr(std::string_view ns)> namespace_of;   // null: not there
  std::string node;                                             // restricted pods are those of this node; empty: all
};

// NetworkPolicies (networking.k8s.io/v1) as what each pod of the node may do. Pods on the host's network are neither restricted nor peers.
std::vector<podnet::PodPolicy> PoliciesOf(const PolicyInputs& in);

}  // namespace skerry::kube::network
