#pragma once
#include "embedded-kube-shim/server/rest.h"

namespace skerry::kube {

// The scale subresource of workloads and of custom resources that declare one.
void ServeScale(Rest& rest, RestRequest request, RestDone done);
std::unique_ptr<WriteOperation> NewScaleUpdate(Target target, json::Value scale);
std::unique_ptr<WriteOperation> NewScalePatch(Target target, PatchBody body);
// autoscaling/v1 Scale of an object.
json::Value ScaleOf(const Target& target, const json::Value& object);

}  // namespace skerry::kube
