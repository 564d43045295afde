#pragma once
#include <string>
#include <string_view>

#include "embedded-kube-shim/api/resource_def.h"

namespace skerry::kube {

// The apiVersion under which objects of this resource are stored. Kinds that share storage have one form for all.
std::string StorageApiVersion(const ResourceDef& def);
// Rewrites an object of `from` into `to` (both "group/version"), in place. Versions that differ in apiVersion alone need no code here.
// Custom resources are pruned by the schema of `to`. May block and fail where a webhook converts.
Result<> ConvertObject(const ResourceDef& def, std::string_view from, std::string_view to, json::Value& object);
// A custom resource as read from storage, where it may be older than its schema: pruned and defaulted by the version it is stored in.
void FreshenStored(const ResourceDef& def, json::Value& object);

}  // namespace skerry::kube
