#pragma once
#include "embedded-kube-shim/server/rest.h"

// custom.metrics.k8s.io and external.metrics.k8s.io, as far as somebody in this process knows figures of objects.
namespace skerry::kube {

void RegisterObjectMetrics(Registry& registry, const std::vector<ObjectMetricsSource::Known>& offered);
void ServeObjectMetrics(Rest& rest, RestRequest request, RestDone done);

}  // namespace skerry::kube
