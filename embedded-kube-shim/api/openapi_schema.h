#pragma once
#include <set>
#include <string>

#include "core/json/value.h"
#include "embedded-kube-shim/api/resource_def.h"

// Types as OpenAPI schema objects. Private to embedded-kube-shim/api.
namespace skerry::kube::openapi {

enum class Flavor : std::uint8_t { kV2, kV3 };

// A definition by name with all extensions; names it refers to are added to `refs`. Null when unknown.
json::Value Definition(std::string_view name, Flavor flavor, std::set<std::string>& refs);
// The object of a custom resource ("" ) or its list ("List").
json::Value CustomDefinition(const ResourceDef& def, const Version& version, std::string_view suffix, Flavor flavor, std::set<std::string>& refs);
json::Value Reference(std::string_view name, Flavor flavor);

}  // namespace skerry::kube::openapi
