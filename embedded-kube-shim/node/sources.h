#pragma once
#include <string>
#include <string_view>

#include "embedded-kube-shim/client/client.h"

namespace skerry::kube::node {

// What a pod refers to, as the agent's caches know it. Borrowed; listers are thread-safe.
struct Sources {
  const Lister& config_maps;
  const Lister& secrets;
  const Lister& services;
  ObjectPtr node;              // for defaults of resource references
  std::string host_ip;
  std::string pod_ip;          // empty before the pod has one
  const Lister* claims = nullptr;             // persistent volume claims and volumes; null: there are none
  const Lister* persistent_volumes = nullptr;
};

}  // namespace skerry::kube::node
