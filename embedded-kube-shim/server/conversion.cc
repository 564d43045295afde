#include "embedded-kube-shim/server/conversion.h"

#include "core/base/strings.h"

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

// autoscaling/v1 knows one CPU utilization; v2 says it as a metric. What v1 cannot say travels in annotations, as upstream's do.
constexpr std::string_view kMetrics = "autoscaling.alpha.kubernetes.io/metrics", kCurrent = "autoscaling.alpha.kubernetes.io/current-metrics",
                           kConditions = "autoscaling.alpha.kubernetes.io/conditions", kBehavior = "autoscaling.alpha.kubernetes.io/behavior";

bool IsCpuUtilization(const json::Value& metric, std::string_view leaf) {
  return metric["type"].Str() == "Resource" && metric.At({"resource", "name"}).Str() == "cpu" &&
         metric.At({"resource", leaf == "target" ? "target" : "current", "averageUtilization"}).is_int();
}

void TakeAnnotation(json::Value& object, std::string_view annotation, json::Value* out) {
  auto* annotations = object.Set("metadata").Find("annotations");
  if (!annotations) return;
  if (const auto* text = annotations->Find(annotation)) {
    std::string error;
    if (json::Value::Parse(text->Str(), out, &error)) annotations->Erase(annotation);
  }
  if (annotations->size() == 0) object.Set("metadata").Erase("annotations");
}

void AutoscalerToV2(json::Value& object) {
  auto& spec = object.Set("spec");
  json::Value others, conditions, current, behavior;
  TakeAnnotation(object, kMetrics, &others);
  TakeAnnotation(object, kConditions, &conditions);
  TakeAnnotation(object, kCurrent, &current);
  TakeAnnotation(object, kBehavior, &behavior);
  auto metrics = json::Value::Array();
  if (const auto* percentage = spec.Find("targetCPUUtilizationPercentage")) {
    auto metric = json::Value::Object();
    metric.Set("type") = "Resource";
    auto& resource = metric.Set("resource");
    resource.Set("name") = "cpu";
    auto& target = resource.Set("target");
    target.Set("type") = "Utilization";
    target.Set("averageUtilization") = percentage->Int();
    metrics.Append(std::move(metric));
    spec.Erase("targetCPUUtilizationPercentage");
  }
  for (auto& metric : others.is_array() ? others.MutableItems() : metrics.MutableItems())
    if (others.is_array()) metrics.Append(std::move(metric));
  if (metrics.size() > 0) spec.Set("metrics") = std::move(metrics);
  if (behavior.is_object()) spec.Set("behavior") = std::move(behavior);
  auto& status = object.Set("status");
  auto current_metrics = json::Value::Array();
  if (const auto* percentage = status.Find("currentCPUUtilizationPercentage")) {
    auto metric = json::Value::Object();
    metric.Set("type") = "Resource";
    metric.Set("resource").Set("name") = "cpu";
    metric.Set("resource").Set("current").Set("averageUtilization") = percentage->Int();
    current_metrics.Append(std::move(metric));
    status.Erase("currentCPUUtilizationPercentage");
  }
  if (current.is_array())
    for (auto& metric : current.MutableItems()) current_metrics.Append(std::move(metric));
  if (current_metrics.size() > 0) status.Set("currentMetrics") = std::move(current_metrics);
  if (conditions.is_array()) status.Set("conditions") = std::move(conditions);
  if (!status.Find("desiredReplicas")) status.Set("desiredReplicas") = 0;
}

void PutAnnotation(json::Value& object, std::string_view annotation, const json::Value& value) {
  if (value.is_null() || value.size() == 0) return;
  object.Set("metadata").Set("annotations").Set(annotation) = value.Dump();
}

void AutoscalerToV1(json::Value& object) {
  auto& spec = object.Set("spec");
  auto others = json::Value::Array();
  for (const auto& metric : spec["metrics"].Items()) {
    if (IsCpuUtilization(metric, "target") && !spec.Find("targetCPUUtilizationPercentage"))
      spec.Set("targetCPUUtilizationPercentage") = metric.At({"resource", "target", "averageUtilization"}).Int();
    else
      others.Append(metric.Clone());
  }
  const auto behavior = spec["behavior"].Clone();
  spec.Erase("metrics");
  spec.Erase("behavior");
  auto& status = object.Set("status");
  auto current = json::Value::Array();
  for (const auto& metric : status["currentMetrics"].Items()) {
    if (IsCpuUtilization(metric, "current")) status.Set("currentCPUUtilizationPercentage") = metric.At({"resource", "current", "averageUtilization"}).Int();
    current.Append(metric.Clone());
  }
  const auto conditions = status["conditions"].Clone();
  status.Erase("currentMetrics");
  status.Erase("conditions");
  if (!status.Find("currentReplicas")) status.Set("currentReplicas") = 0;
  if (!status.Find("desiredReplicas")) status.Set("desiredReplicas") = 0;
  PutAnnotation(object, kMetrics, others);
  PutAnnotation(object, kCurrent, current);
  PutAnnotation(object, kConditions, conditions);
  PutAnnotation(object, kBehavior, behavior);
}

}  // namespace

std::string StorageApiVersion(const ResourceDef& def) {
  if (def.resource == "events" && (def.group.empty() || def.group == "events.k8s.io")) return "v1";
  return def.Kind(def.StorageVersion().name).api_version();
}

void ConvertObject(const ResourceDef& def, std::string_view from, std::string_view to, json::Value& object) {
  if (from == to) return;
  object.Set("apiVersion") = to;
  if (from == "events.k8s.io/v1" && to == "v1") EventToCore(object);
  else if (from == "v1" && to == "events.k8s.io/v1") EventFromCore(object);
  else if (def.group == "autoscaling" && to == "autoscaling/v2") AutoscalerToV2(object);
  else if (def.group == "autoscaling" && to == "autoscaling/v1") AutoscalerToV1(object);
}

}  // namespace skerry::kube
