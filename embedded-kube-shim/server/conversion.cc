#include "embedded-kube-shim/server/conversion.h"

#include "core/base/strings.h"
#include "embedded-kube-shim/api/autoscaling.h"
#include "embedded-kube-shim/api/custom_schema.h"

namespace skerry::kube {
namespace {

void Move(json::Value& object, std::string_view from, std::string_view to) {
  auto* value = object.Find(from);
  if (!value) return;
  auto taken = std::move(*value);
  object.Erase(from);
  object.Set(to) = std::move(taken);
}

// core/v1 Event <-> events.k8s.io/v1 Event: the same data under other names.
void EventToCore(json::Value& object) {
  Move(object, "regarding", "involvedObject");
  Move(object, "note", "message");
  Move(object, "reportingController", "reportingComponent");
  Move(object, "deprecatedSource", "source");
  Move(object, "deprecatedFirstTimestamp", "firstTimestamp");
  Move(object, "deprecatedLastTimestamp", "lastTimestamp");
  Move(object, "deprecatedCount", "count");
}

void EventFromCore(json::Value& object) {
  Move(object, "involvedObject", "regarding");
  Move(object, "message", "note");
  Move(object, "reportingComponent", "reportingController");
  Move(object, "source", "deprecatedSource");
  Move(object, "firstTimestamp", "deprecatedFirstTimestamp");
  Move(object, "lastTimestamp", "deprecatedLastTimestamp");
  Move(object, "count", "deprecatedCount");
}

}  // namespace

std::string StorageApiVersion(const ResourceDef& def) {
  if (def.resource == "events" && (def.group.empty() || def.group == "events.k8s.io")) return "v1";
  return def.Kind(def.StorageVersion().name).api_version();
}

void FreshenStored(const ResourceDef& def, json::Value& object) {
  const auto api_version = object["apiVersion"].Str();
  const auto* version = def.FindVersion(api_version.substr(api_version.find('/') + 1));
  if (!version || !version->schema->custom) return;
  CoerceCustom(version->schema, def.kind, object, OnInvalidMetadata::kDrop);
  DefaultCustom(*version->schema->custom, object);
}

namespace {

Result<> ConvertCustom(const ResourceDef& def, std::string_view to, json::Value& object) {
  if (def.conversion) {
    std::vector<json::Value> objects;
    objects.push_back(std::move(object));
    TRY(auto converted, def.conversion->Convert(to, std::move(objects)));
    object = std::move(converted.front());
  }
  object.Set("apiVersion") = to;
  const auto* version = def.FindVersion(to.substr(to.find('/') + 1));
  if (version && version->schema->custom) CoerceCustom(version->schema, def.kind, object, OnInvalidMetadata::kDrop);
  return {};
}

}  // namespace

Result<> ConvertObject(const ResourceDef& def, std::string_view from, std::string_view to, json::Value& object) {
  if (from == to) return {};
  if (def.custom) return ConvertCustom(def, to, object);
  object.Set("apiVersion") = to;
  if (from == "events.k8s.io/v1" && to == "v1") EventToCore(object);
  else if (from == "v1" && to == "events.k8s.io/v1") EventFromCore(object);
  else if (def.group == "autoscaling" && to == "autoscaling/v2") AutoscalerToV2(object);
  else if (def.group == "autoscaling" && to == "autoscaling/v1") AutoscalerToV1(object);
  return {};
}

}  // namespace skerry::kube
