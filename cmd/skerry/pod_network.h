#pragma once
#include <memory>

#include "core/podnet/podnet.h"
#include "embedded-kube-shim/node/pod_network.h"

namespace skerry::cmd {

// The node agent's network over core/podnet.
std::unique_ptr<kube::node::PodNetwork> NewPodNetwork(podnet::PodNetwork& network);

}  // namespace skerry::cmd
