#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "embedded-kube-shim/api/resource_def.h"

// Discovery and OpenAPI documents generated from the registry on demand. Callers cache (compressed) by Registry::generation().
namespace skerry::kube {

std::string OpenApiV2Json(const Registry& registry);
// gnostic openapi_v2.Document, the form of "application/com.github.proto-openapi.spec.v2@v1.0+protobuf".
std::string OpenApiV2Protobuf(const Registry& registry);
// Paths of the v3 index without leading slash: "api", "api/v1", "apis/apps/v1", "version"…
std::vector<std::string> OpenApiV3Paths(const Registry& registry);
std::string OpenApiV3Json(const Registry& registry, std::string_view path);   // empty when unknown

json::Value DiscoveryApiVersions();                                        // GET /api (legacy); the caller adds serverAddressByClientCIDRs
json::Value DiscoveryGroupList(const Registry& registry);                  // GET /apis (legacy)
json::Value DiscoveryGroup(const Registry& registry, std::string_view group);                                    // null when unknown
json::Value DiscoveryResources(const Registry& registry, std::string_view group, std::string_view version);      // null when unknown
json::Value DiscoveryAggregated(const Registry& registry, bool core);      // APIGroupDiscoveryList v2 of /api or /apis

}  // namespace skerry::kube
