#pragma once

namespace skerry::kube {

class Registry;

// The kinds of metrics.k8s.io, for a server that knows somebody who measures.
void RegisterMetrics(Registry& registry);

}  // namespace skerry::kube
