#include "embedded-kube-shim/api/autoscaling.h"

#include <string_view>

namespace skerry::kube {

namespace {

using json::Value;

constexpr std::string_view kMetrics = "autoscaling.alpha.kubernetes.io/metrics";
constexpr std::string_view kCurrentMetrics = "autoscaling.alpha.kubernetes.io/current-metrics";
constexpr std::string_view kConditions = "autoscaling.alpha.kubernetes.io/conditions";
constexpr std::string_view kBehavior = "autoscaling.alpha.kubernetes.io/behavior";
constexpr std::string_view kSources[] = {"object", "pods", "resource", "containerResource", "external"};

void Copy(const Value& from, std::string_view name, Value& to, std::string_view as) {
  if (const Value* value = from.Find(name); value && !value->is_null()) to.Set(as) = value->Clone();
}

// Spec and status of a metric differ in names only.
struct Names {
  std::string_view side;                                    // v2: "target", "current"
  std::string_view utilization, average, plain;             // v1
};
constexpr Names kSpec{"target", "targetAverageUtilization", "targetAverageValue", "targetValue"};
constexpr Names kStatus{"current", "currentAverageUtilization", "currentAverageValue", "currentValue"};

Value FromFlat(const Value& flat, const Names& names) {
  Value out = Value::Object();
  Copy(flat, "type", out, "type");
  for (const auto source : kSources) {
    const Value& from = flat[source];
    if (!from.is_object()) continue;
    Value& to = out.Set(source);
    to = Value::Object();
    if (source == "resource" || source == "containerResource") {
      Copy(from, "name", to, "name");
      Copy(from, "container", to, "container");
    } else {
      if (source == "object") Copy(from, "target", to, "describedObject");
      Copy(from, "metricName", to.Set("metric"), "name");
      Copy(from, source == "external" ? "metricSelector" : "selector", to.Set("metric"), "selector");
    }
    Value& values = to.Set(names.side);
    values = Value::Object();
    const bool object = source == "object";   // its average has a name of its own
    Copy(from, names.utilization, values, "averageUtilization");
    Copy(from, object ? std::string_view("averageValue") : names.average, values, "averageValue");
    if (!object || values["averageValue"].is_null()) Copy(from, names.plain, values, "value");
    if (names.side == "target")
      values.Set("type") = Value(!values["averageUtilization"].is_null() ? "Utilization" : !values["averageValue"].is_null() ? "AverageValue" : "Value");
  }
  return out;
}

Value ToFlat(const Value& metric, const Names& names) {
  Value out = Value::Object();
  Copy(metric, "type", out, "type");
  for (const auto source : kSources) {
    const Value& from = metric[source];
    if (!from.is_object()) continue;
    Value& to = out.Set(source);
    to = Value::Object();
    const Value& values = from[names.side];
    if (source == "resource" || source == "containerResource") {
      Copy(from, "name", to, "name");
      Copy(values, "averageUtilization", to, names.utilization);
      Copy(values, "averageValue", to, names.average);
      if (names.side == "current" && !to.Find(names.average)) to.Set(names.average) = Value("0");
      Copy(from, "container", to, "container");
      continue;
    }
    if (source == "object") Copy(from, "describedObject", to, "target");
    Copy(from["metric"], "name", to, "metricName");
    if (source == "external") Copy(from["metric"], "selector", to, "metricSelector");
    if (source != "pods") Copy(values, "value", to, names.plain);
    if (source == "object" && !to.Find(names.plain)) to.Set(names.plain) = Value("0");
    if (source == "object") Copy(from["metric"], "selector", to, "selector");
    Copy(values, "averageValue", to, source == "object" ? std::string_view("averageValue") : names.average);
    if (source == "pods") Copy(from["metric"], "selector", to, "selector");
  }
  return out;
}

constexpr std::pair<std::string_view, std::string_view> kRuleNames[] = {
    {"stabilizationWindowSeconds", "StabilizationWindowSeconds"}, {"selectPolicy", "SelectPolicy"}, {"policies", "Policies"}, {"tolerance", "Tolerance"}};
constexpr std::pair<std::string_view, std::string_view> kPolicyNames[] = {{"type", "Type"}, {"value", "Value"}, {"periodSeconds", "PeriodSeconds"}};

// Behavior is annotated in the form of the internal type: Go's names, nothing left out.
Value BehaviorToText(const Value& behavior) {
  Value out = Value::Object();
  for (const auto& [name, text] : {std::pair("scaleUp", "ScaleUp"), std::pair("scaleDown", "ScaleDown")}) {
    Value& to = out.Set(text);
    const Value& rules = behavior[name];
    if (!rules.is_object()) continue;
    for (const auto& [field, shown] : kRuleNames) {
      Value& value = to.Set(shown);
      if (field != "policies") {
        value = rules[field].Clone();
        continue;
      }
      for (const auto& policy : rules[field].Items()) {
        Value item = Value::Object();
        for (const auto& [part, part_shown] : kPolicyNames) item.Set(part_shown) = policy[part].Clone();
        value.Append(std::move(item));
      }
    }
  }
  return out;
}

Value BehaviorFromText(const Value& text) {
  Value out = Value::Object();
  for (const auto& [name, shown] : {std::pair("scaleUp", "ScaleUp"), std::pair("scaleDown", "ScaleDown")}) {
    const Value& rules = text[shown];
    if (!rules.is_object()) continue;
    Value& to = out.Set(name);
    to = Value::Object();
    for (const auto& [field, field_shown] : kRuleNames) {
      if (field != "policies") {
        Copy(rules, field_shown, to, field);
        continue;
      }
      for (const auto& policy : rules[field_shown].Items()) {
        Value item = Value::Object();
        for (const auto& [part, part_shown] : kPolicyNames) Copy(policy, part_shown, item, part);
        to.Set(field).Append(std::move(item));
      }
    }
  }
  return out;
}

// Parses and removes an annotation; null when it is not there or no JSON.
Value TakeAnnotation(Value& object, std::string_view name) {
  Value out;
  Value* annotations = object.Set("metadata").Find("annotations");
  if (!annotations) return out;
  if (const Value* text = annotations->Find(name); text && Value::Parse(text->Str(), &out, nullptr)) annotations->Erase(name);
  if (annotations->size() == 0) object.Set("metadata").Erase("annotations");
  return out;
}

void PutAnnotation(Value& object, std::string_view name, const Value& value) {
  if (value.size() > 0) object.Set("metadata").Set("annotations").Set(name) = Value(value.Dump());
}

bool IsCpu(const Value& metric) { return metric["type"].Str() == "Resource" && metric.At({"resource", "name"}).Str() == "cpu"; }

Value CpuMetric(const Value& utilization, std::string_view side) {
  Value out = Value::Object();
  out.Set("type") = Value("Resource");
  out.Set("resource").Set("name") = Value("cpu");
  Value& values = out.Set("resource").Set(side);
  if (side == "target") values.Set("type") = Value("Utilization");
  values.Set("averageUtilization") = utilization.Clone();
  return out;
}

}  // namespace

void AutoscalerToV2(Value& object) {
  const Value flat_metrics = TakeAnnotation(object, kMetrics), flat_current = TakeAnnotation(object, kCurrentMetrics);
  const Value conditions = TakeAnnotation(object, kConditions), behavior = TakeAnnotation(object, kBehavior);
  Value& spec = object.Set("spec");
  Value metrics;
  for (const auto& metric : flat_metrics.Items()) metrics.Append(FromFlat(metric, kSpec));
  if (const Value* cpu = spec.Find("targetCPUUtilizationPercentage"); cpu && !cpu->is_null()) metrics.Append(CpuMetric(*cpu, "target"));
  spec.Erase("targetCPUUtilizationPercentage");
  if (!metrics.is_null()) spec.Set("metrics") = std::move(metrics);
  if (behavior.is_object()) spec.Set("behavior") = BehaviorFromText(behavior);

  Value& status = object.Set("status");
  if (status.is_null()) status = Value::Object();
  Value current;
  // The annotation says more than the one number.
  if (flat_current.is_array())
    for (const auto& metric : flat_current.Items()) current.Append(FromFlat(metric, kStatus));
  else if (const Value* cpu = status.Find("currentCPUUtilizationPercentage"); cpu && !cpu->is_null()) current.Append(CpuMetric(*cpu, "current"));
  status.Erase("currentCPUUtilizationPercentage");
  status.Set("currentMetrics") = std::move(current);   // v2 always writes it, and leaves out a zero where v1 does not
  if (status["currentReplicas"].Int() == 0) status.Erase("currentReplicas");
  if (conditions.is_array()) status.Set("conditions") = conditions.Clone();
  if (!status.Find("desiredReplicas")) status.Set("desiredReplicas") = Value(0);
}

void AutoscalerToV1(Value& object) {
  Value& spec = object.Set("spec");
  Value others, current;
  for (const auto& metric : spec["metrics"].Items()) {
    const Value& utilization = metric.At({"resource", "target", "averageUtilization"});
    if (!IsCpu(metric) || utilization.is_null()) others.Append(ToFlat(metric, kSpec));
    else if (!spec.Find("targetCPUUtilizationPercentage")) spec.Set("targetCPUUtilizationPercentage") = utilization.Clone();
  }
  const Value behavior = spec["behavior"].is_object() ? BehaviorToText(spec["behavior"]) : Value();
  spec.Erase("metrics");
  spec.Erase("behavior");

  Value& status = object.Set("status");
  if (status.is_null()) status = Value::Object();
  for (const auto& metric : status["currentMetrics"].Items()) {
    const Value& utilization = metric.At({"resource", "current", "averageUtilization"});
    if (IsCpu(metric) && !utilization.is_null() && !status.Find("currentCPUUtilizationPercentage")) status.Set("currentCPUUtilizationPercentage") = utilization.Clone();
    current.Append(ToFlat(metric, kStatus));
  }
  const Value conditions = status["conditions"].Clone();
  status.Erase("currentMetrics");
  status.Erase("conditions");
  for (const char* field : {"currentReplicas", "desiredReplicas"})
    if (!status.Find(field)) status.Set(field) = Value(0);
  PutAnnotation(object, kMetrics, others);
  PutAnnotation(object, kCurrentMetrics, current);
  PutAnnotation(object, kConditions, conditions);
  PutAnnotation(object, kBehavior, behavior);
}

}  // namespace skerry::kube
