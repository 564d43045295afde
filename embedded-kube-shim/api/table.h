#pragma once
#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json/value.h"
#include "embedded-kube-shim/api/resource_def.h"

// meta.k8s.io Table rendering for built-in kinds (upstream's columns and cells) and custom resources (additionalPrinterColumns).
namespace skerry::kube {

enum class IncludeObject : std::uint8_t { kNone, kMetadata, kObject };

// columnDefinitions of the kind.
json::Value TableColumns(const ResourceDef& def, const Version& version);
// One row: {"cells":[…], "object":{…}} (conditions where upstream sets them).
json::Value TableRow(const ResourceDef& def, const Version& version, const json::Value& object, IncludeObject include, std::chrono::system_clock::time_point now);

}  // namespace skerry::kube
