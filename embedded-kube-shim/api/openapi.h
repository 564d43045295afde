#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "embedded-kube-shim/api/resource_def.h"

// Discovery and OpenAPI documents generated from the registry on demand. Callers cache (compressed) by Registry::generation().
namespace skerry::kube {

// A group version that another server answers for.
struct RemoteVersion {
  std::string group, version;
  int group_priority = 0, version_priority = 0;
  std::shared_ptr<const json::Value> discovery;   // APIVersionDiscovery; null = not known
  bool stale = false;
};
using RemoteVersions = std::vector<RemoteVersion>;

// The part of another server's OpenAPI v2 that belongs to such a group version.
struct RemoteOpenApi {
  std::map<std::string, json::Value> paths, definitions;
};
using RemoteOpenApis = std::vector<std::shared_ptr<const RemoteOpenApi>>;

// Where both have a path or a definition of one name, ours stands.
std::string OpenApiV2Json(const Registry& registry, const RemoteOpenApis& remote = {});
// gnostic openapi_v2.Document, the form of "application/com.github.proto-openapi.spec.v2@v1.0+protobuf".
std::string OpenApiV2Protobuf(const Registry& registry, const RemoteOpenApis& remote = {});
// Paths of the v3 index without leading slash: "api", "api/v1", "apis/apps/v1", "version"…
std::vector<std::string> OpenApiV3Paths(const Registry& registry);
std::string OpenApiV3Json(const Registry& registry, std::string_view path);   // empty when unknown

// The schema of the resource's object as OpenAPI v3 has it, with everything that it refers to in place. What contains itself ends in an
// object without properties. Null when there is none.
json::Value ResolvedSchema(const ResourceDef& def, const Version& version);

json::Value DiscoveryApiVersions();                                        // GET /api (legacy); the caller adds serverAddressByClientCIDRs
json::Value DiscoveryGroupList(const Registry& registry, const RemoteVersions& remote = {});                     // GET /apis (legacy)
json::Value DiscoveryGroup(const Registry& registry, std::string_view group, const RemoteVersions& remote = {}); // null when unknown
json::Value DiscoveryResources(const Registry& registry, std::string_view group, std::string_view version);      // null when unknown
json::Value DiscoveryAggregated(const Registry& registry, bool core, const RemoteVersions& remote = {});         // APIGroupDiscoveryList v2 of /api or /apis

}  // namespace skerry::kube
