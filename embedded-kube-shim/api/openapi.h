#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "embedded-kube-shim/api/resource_def.h"

// Discovery and OpenAPI documents generated from the registry. Callers cache by Registry::generation().
namespace skerry::kube {

std::string OpenApiV2Json(const Registry& registry);
std::string OpenApiV2Protobuf(const Registry& registry);                   // gnostic openapi_v2.Document
// Paths of the v3 index without leading slash: "api/v1", "apis/apps/v1", "version"…
std::vector<std::string> OpenApiV3Paths(const Registry& registry);
std::string OpenApiV3Json(const Registry& registry, std::string_view path);   // empty when unknown

json::Value DiscoveryApiVersions();                                        // GET /api (legacy)
json::Value DiscoveryGroupList(const Registry& registry);                  // GET /apis (legacy)
json::Value DiscoveryGroup(const Registry& registry, std::string_view group);                                    // null when unknown
json::Value DiscoveryResources(const Registry& registry, std::string_view group, std::string_view version);      // null when unknown
json::Value DiscoveryAggregated(const Registry& registry, bool core);      // APIGroupDiscoveryList v2 of /api or /apis

}  // namespace skerry::kube
