#pragma once
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/json/value.h"
#include "embedded-kube-shim/api/resource_def.h"

// Strategic merge patch and server-side apply (managedFields). JSON patch and merge patch are core/json/patch.h.
namespace skerry::kube {

// Directives $patch, $retainKeys, $setElementOrder/<f>, $deleteFromPrimitiveList/<f>. `original` is canonical in the request's version, the
// result is not yet: decode it (DecodeValue also finds the unknown fields), default it. Errors carry upstream's Status: kBadRequest, a 500
// without reason, or kInvalid of field "patch" when the result does not fit the types. `shown` receives the patch as messages about the
// result show it.
Result<json::Value> StrategicMerge(SchemaPtr schema, const json::Value& original, const json::Value& patch, std::string* shown = nullptr);

// The object in another API version ("autoscaling/v1"); nothing when that version is not served.
using VersionConverter = std::function<std::optional<json::Value>(const json::Value& object, std::string_view api_version)>;

struct ManagerInfo {
  std::string manager;             // fieldManager parameter or User-Agent up to the first '/'
  std::string api_version;         // of the request
  std::string subresource;         // "" or "status", "scale"
  std::chrono::system_clock::time_point now;
  bool reset = false;              // ResetsManagedFields() of the document before decoding (which drops an empty list)
  VersionConverter convert;        // may be empty: custom resources then change apiVersion only, other versions count as not served
};

// Whether a sent object or a patch result asks for managedFields to be forgotten: [] or [{}].
bool ResetsManagedFields(const json::Value& document);

// Ownership after a non-apply write: `live` null on create. Sets metadata.managedFields of `object` (entry of this manager, other managers
// lose what changed or vanished, at most 10 Update managers). Upstream's place for it: after decoding and defaulting of the new object
// (PUT, POST, JSON/merge/strategic patch result), before admission. Both objects are canonical, in the version of the request. A client may
// reset by sending managedFields: [{}]; a subresource write ignores the managedFields that were sent.
void UpdateManagedFields(const ResourceDef& def, SchemaPtr schema, const json::Value* live, json::Value& object, const ManagerInfo& info);

enum class Conflicts : std::uint8_t { kFail, kForce };
// Server-side apply of `applied` (as parsed) onto `live` (null = create). The result is canonical and carries new managedFields;
// default it, admit and validate it as a patch result.
// kConflict with causes FieldManagerConflict; reason-less 500 `failed to create typed patch object (…)` for schema errors.
Result<json::Value> ServerSideApply(const ResourceDef& def, SchemaPtr schema, const json::Value* live, const json::Value& applied, const ManagerInfo& info, Conflicts conflicts);

// At the end of every update and patch, after admission: when nothing but time stamps of managedFields differs from `live`, these (and the
// resourceVersion) become the old ones, so that the write changes nothing.
void KeepManagedFieldTimes(const json::Value& live, json::Value& object);

// The scale subresource is written as an object of its own. Its managedFields are those of the parent that own the replicas; after the
// write they are merged back. `path`: ".spec.replicas".
json::Value ScaleManagedFields(const json::Value& parent_entries, std::string_view parent_api_version, std::string_view path);
json::Value ParentManagedFields(const json::Value& parent_entries, const json::Value& scale_entries, std::string_view parent_api_version, std::string_view path);

}  // namespace skerry::kube
