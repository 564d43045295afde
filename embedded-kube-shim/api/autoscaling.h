#pragma once
#include "core/json/value.h"

// HorizontalPodAutoscaler between autoscaling/v1 and v2, in place. v1 knows one CPU utilization; whatever else v2 says travels in annotations
// of v1, in the flat forms that clients of v1 wrote before there was a v2. apiVersion is left to the caller.
namespace skerry::kube {

void AutoscalerToV2(json::Value& object);
void AutoscalerToV1(json::Value& object);

}  // namespace skerry::kube
