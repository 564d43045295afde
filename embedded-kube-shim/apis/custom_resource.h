#pragma once
#include "core/base/result.h"
#include "embedded-kube-shim/api/resource_def.h"

// A CustomResourceDefinition as the resource that it defines.
namespace skerry::kube {

// What is served for an accepted definition. `crd` is valid; nothing of it is kept but copies.
ResourceDef DefineCustomResource(const json::Value& crd);
bool HasTrueCondition(const json::Value& crd, std::string_view type);

}  // namespace skerry::kube
