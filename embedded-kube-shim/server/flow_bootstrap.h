#pragma once
#include <vector>

#include "core/json/value.h"

namespace skerry::kube {

// Flow schemas and priority levels that exist from the first start: complete objects with apiVersion and kind. Those with the annotation
// apf.kubernetes.io/autoupdate-spec: "true" are kept as they are here.
std::vector<json::Value> BootstrapFlows();

}  // namespace skerry::kube
