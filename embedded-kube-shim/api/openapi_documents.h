#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "core/json/value.h"
#include "embedded-kube-shim/api/openapi.h"
#include "embedded-kube-shim/api/resource_def.h"

// The v2 document piece by piece, so that nobody has to hold all of it as a tree. Private to embedded-kube-shim/api.
namespace skerry::kube::openapi {

struct V2Sink {
  std::function<void(const std::string& path, const json::Value& item)> path;          // sorted
  std::function<void(const std::string& name, const json::Value& schema)> definition;  // sorted
};
json::Value V2Head();   // everything but paths and definitions
void WriteV2(const Registry& registry, const V2Sink& sink);
// The same with what other servers add.
void WriteV2(const Registry& registry, const RemoteOpenApis& remote, const V2Sink& sink);

}  // namespace skerry::kube::openapi
