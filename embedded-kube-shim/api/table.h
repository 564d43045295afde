#pragma once
#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json/parse.h"
#include "core/json/value.h"
#include "embedded-kube-shim/api/resource_def.h"

// meta.k8s.io Table rendering for built-in kinds (upstream's columns and cells) and custom resources (additionalPrinterColumns).
namespace skerry::kube {

enum class IncludeObject : std::uint8_t { kNone, kMetadata, kObject };   // ?includeObject=; kMetadata is the default

// columnDefinitions of the kind.
json::Value TableColumns(const ResourceDef& def, const Version& version);
// One row: {"cells":[…], "conditions":[…] where upstream sets them, "object":{…} or null}. `object` is canonical, in `version`; it needs
// no apiVersion and kind (lists).
json::Value TableRow(const ResourceDef& def, const Version& version, const json::Value& object, IncludeObject include, std::chrono::system_clock::time_point now);
// Members that no printer of the kind looks at, wherever they are: what a built-in object may be parsed without.
const json::NameSet& UnprintedMembers(const ResourceDef& def);
// {"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":…,"columnDefinitions":…,"rows":[]}: rows are appended by the caller.
// In a watch only the first event carries the columns.
json::Value TableFrame(json::Value list_metadata, json::Value columns);

}  // namespace skerry::kube
