#pragma once
#include "embedded-kube-shim/controllers/context.h"

namespace skerry::kube {

// As upstream's aggregator, these act as the API server itself, not as an account of kube-system: the name of that client.
inline constexpr const char* kAggregationClient = "kube-aggregator";

void AddApiServices(const ControllerContext& c);   // c.aggregated is there

}  // namespace skerry::kube
