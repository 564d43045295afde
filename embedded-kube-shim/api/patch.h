#pragma once
#include <chrono>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/json/value.h"
#include "embedded-kube-shim/api/resource_def.h"

// Strategic merge patch and server-side apply (managedFields). JSON patch and merge patch are core/json/patch.h.
namespace skerry::kube {

// Directives $patch, $retainKeys, $setElementOrder/<f>, $deleteFromPrimitiveList/<f>. Errors in upstream's words (kBadRequest / kInvalid).
Result<json::Value> StrategicMerge(SchemaPtr schema, const json::Value& original, const json::Value& patch);

struct ManagerInfo {
  std::string manager;             // fieldManager parameter or User-Agent up to the first '/'
  std::string api_version;         // of the request
  std::string subresource;         // "" or "status", "scale"
  std::chrono::system_clock::time_point now;
};

// Ownership after a non-apply write: `live` null on create. Sets metadata.managedFields of `object` (entry of this manager, other managers
// lose what changed or vanished, at most 10 Update managers). A client may reset by sending managedFields: [] or [{}].
void UpdateManagedFields(const ResourceDef& def, SchemaPtr schema, const json::Value* live, json::Value& object, const ManagerInfo& info);

enum class Conflicts : std::uint8_t { kFail, kForce };
// Server-side apply of `applied` onto `live` (null = create). The result carries new managedFields.
// kConflict with causes FieldManagerConflict; reason-less 500 `failed to create typed patch object (…)` for schema errors.
Result<json::Value> ServerSideApply(const ResourceDef& def, SchemaPtr schema, const json::Value* live, const json::Value& applied, const ManagerInfo& info, Conflicts conflicts);

}  // namespace skerry::kube
