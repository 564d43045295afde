#include <algorithm>
#include <span>

#include "core/base/strings.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/api/autoscaling.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/apis/rules_shared.h"
#include "embedded-kube-shim/apis/same_value.h"

// apps, autoscaling, policy.
namespace skerry::kube::rules {
namespace {

using json::Value;
using text::Quantity;

int AsInt(const Value& value) { return value.is_string() ? static_cast<int>(ParseInt(value.Str().substr(0, value.Str().find('%'))).value_or(0)) : static_cast<int>(value.Int()); }

bool IsEmptySelector(const Value& selector) { return selector["matchLabels"].size() == 0 && selector["matchExpressions"].size() == 0; }

void CheckWorkloadTemplate(Run& run, const Node& pod_template, const Node& selector, std::string_view kind) {
  const Node labels = pod_template["metadata"]["labels"];
  const bool empty = !selector->is_null() && IsEmptySelector(*selector);
  if (!empty && !MatchesSelector(*selector, *labels)) run.Invalid(labels, RenderJson(labels.schema, *labels), "`selector` does not match template `labels`");
  CheckPodTemplate(run, pod_template);
  const Node restart = pod_template["spec"]["restartPolicy"], deadline = pod_template["spec"]["activeDeadlineSeconds"];
  if (restart->Str() != "Always") run.NotSupported(restart, {"Always"});
  if (!deadline->is_null()) run.Forbidden(deadline, Cat("activeDeadlineSeconds in ", kind, " is not Supported"));
}

void OptionalNonNegative(Run& run, const Node& at) {
  if (!at->is_null()) run.NonNegative(at);
}

void ReplicaSetSpec(Run& run, const Node& spec, std::string_view kind) {
  run.NonNegative(spec["replicas"]);
  if (kind == "ReplicaSet") run.NonNegative(spec["minReadySeconds"]);
  const Node selector = spec["selector"];
  if (selector->is_null()) {
    run.Required(selector);
  } else {
    CheckSelector(run, selector);
    if (IsEmptySelector(*selector)) run.Invalid(selector, "empty selector is invalid for deployment");
  }
  if (!selector->is_null() && !ParsesAsSelector(*selector)) {
    run.Invalid(selector, "invalid label selector");
  } else if (spec["template"]->is_null()) {
    run.Required(spec["template"]);
  } else {
    CheckWorkloadTemplate(run, spec["template"], selector, "ReplicaSet");
  }
}

void ReplicaSet(Run& run, const Node& object) { ReplicaSetSpec(run, object["spec"], "ReplicaSet"); }

void Deployment(Run& run, const Node& object) {
  const Node spec = object["spec"];
  ReplicaSetSpec(run, spec, "Deployment");
  const Node strategy = spec["strategy"], rolling = strategy["rollingUpdate"];
  const std::string_view type = strategy.Str("type");
  if (type == "Recreate") {
    if (!rolling->is_null()) run.Forbidden(rolling, "may not be specified when strategy `type` is 'Recreate'");
  } else if (type == "RollingUpdate") {
    if (rolling->is_null()) {
      run.Required(rolling, "this should be defaulted and never be nil");
    } else {
      const Node unavailable = rolling["maxUnavailable"], surge = rolling["maxSurge"];
      CheckPositiveIntOrPercent(run, unavailable);
      CheckPositiveIntOrPercent(run, surge);
      if (AsInt(*unavailable) == 0 && AsInt(*surge) == 0) run.Invalid(unavailable, "may not be 0 when `maxSurge` is 0");
      CheckNotMoreThan100Percent(run, unavailable);
    }
  } else {
    run.Add(FieldErrorType::kNotSupported, strategy.path, RenderInternal(strategy.schema, *strategy), "supported values: \"Recreate\", \"RollingUpdate\"");
  }
  run.NonNegative(spec["minReadySeconds"]);
  OptionalNonNegative(run, spec["revisionHistoryLimit"]);
  if (const Node deadline = spec["progressDeadlineSeconds"]; !deadline->is_null()) {
    run.NonNegative(deadline);
    if (deadline->Int() <= (*spec)["minReadySeconds"].Int()) run.Invalid(deadline, "must be greater than minReadySeconds");
  }
}

void DaemonSet(Run& run, const Node& object) {
  const Node spec = object["spec"], selector = spec["selector"];
  CheckSelector(run, selector);
  const Node labels = spec["template"]["metadata"]["labels"];
  if (ParsesAsSelector(*selector) && !MatchesSelector(*selector, *labels) && !(!selector->is_null() && IsEmptySelector(*selector)))
    run.Invalid(labels, RenderJson(labels.schema, *labels), "`selector` does not match template `labels`");
  if (!selector->is_null() && IsEmptySelector(*selector)) run.Invalid(selector, "empty selector is invalid for daemonset");
  CheckPodTemplate(run, spec["template"]);
  const Node restart = spec["template"]["spec"]["restartPolicy"], deadline = spec["template"]["spec"]["activeDeadlineSeconds"];
  if (restart->Str() != "Always") run.NotSupported(restart, {"Always"});
  if (!deadline->is_null()) run.Forbidden(deadline, "activeDeadlineSeconds in DaemonSet is not Supported");
  run.NonNegative(spec["minReadySeconds"]);
  const Node strategy = spec["updateStrategy"], rolling = strategy["rollingUpdate"];
  const std::string_view type = strategy.Str("type");
  if (type == "RollingUpdate") {
    if (rolling->is_null()) {
      run.Required(rolling);
    } else {
      const Node unavailable = rolling["maxUnavailable"], surge = rolling["maxSurge"];
      CheckPositiveIntOrPercent(run, unavailable);
      CheckPositiveIntOrPercent(run, surge);
      CheckNotMoreThan100Percent(run, unavailable);
      CheckNotMoreThan100Percent(run, surge);
      if (AsInt(*unavailable) != 0 && AsInt(*surge) != 0) run.Invalid(surge, "may not be set when maxUnavailable is non-zero");
      if (AsInt(*unavailable) == 0 && AsInt(*surge) == 0) run.Required(unavailable, "cannot be 0 when maxSurge is 0");
    }
  } else if (type != "OnDelete") {
    run.Add(FieldErrorType::kNotSupported, strategy.path, RenderInternal(strategy.schema, *strategy), "supported values: \"RollingUpdate\", \"OnDelete\"");
  }
  OptionalNonNegative(run, spec["revisionHistoryLimit"]);
}

constexpr const char* kStatefulOnly =
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
    "'minReadySeconds' are forbidden";

void StatefulSetTemplate(Run& run, const Node& spec) {
  // The claims a set makes are volumes of its pods.
  Value pod_template = (*spec)["template"].Clone();
  if (pod_template["spec"].is_object()) {
    Value volumes = pod_template.Set("spec").Set("volumes").Clone();
    Value all = Value::Array();
    for (const Value& claim : (*spec)["volumeClaimTemplates"].Items()) {
      const std::string name(claim["metadata"]["name"].Str());
      std::erase_if(volumes.MutableItems(), [&](const Value& volume) { return volume["name"].Str() == name; });
      Value volume = Value::Object();
      volume.Set("name") = Value(name);
      volume.Set("persistentVolumeClaim").Set("claimName") = Value(name);
      all.Append(std::move(volume));
    }
    for (Value& volume : volumes.MutableItems()) all.Append(std::move(volume));
    if (all.size() > 0) pod_template.Set("spec").Set("volumes") = std::move(all);
    pod_template.Set("spec").Erase("subdomain");
    pod_template.Set("spec").Erase("hostname");
  }
  Node node = spec["template"];
  node.value = &pod_template;
  CheckPodTemplate(run, node);
}

void StatefulSet(Run& run, const Node& object) {
  const Node spec = object["spec"], strategy = spec["updateStrategy"], selector = spec["selector"];
  if (const Node policy = spec["podManagementPolicy"]; policy->Str().empty()) run.Required(policy);
  else if (policy->Str() != "OrderedReady" && policy->Str() != "Parallel") run.Invalid(policy, "must be 'OrderedReady' or 'Parallel'");
  const std::string_view type = strategy.Str("type");
  const Node rolling = strategy["rollingUpdate"];
  if (type.empty()) {
    run.Required(strategy);
  } else if (type == "OnDelete") {
    if (!rolling->is_null()) run.Invalid(rolling, RenderInternal(rolling.schema, *rolling), "only allowed for updateStrategy 'RollingUpdate'");
  } else if (type == "RollingUpdate") {
    if (!rolling->is_null()) OptionalNonNegative(run, rolling["partition"]);
  } else {
    run.Invalid(strategy, RenderInternal(strategy.schema, *strategy), "must be 'RollingUpdate' or 'OnDelete'");
  }
  if (const Node retention = spec["persistentVolumeClaimRetentionPolicy"]; !retention->is_null())
    for (std::string_view field : {"whenDeleted", "whenScaled"}) run.Enum(retention[field], {"Retain", "Delete"});
  if (!run.updating())
    for (const Node& claim : spec["volumeClaimTemplates"].Items()) CheckClaimSpec(run, claim["spec"]);
  run.NonNegative(spec["replicas"]);
  run.NonNegative(spec["minReadySeconds"]);
  if (const Node start = spec["ordinals"]["start"]; !start->is_null()) run.NonNegative(start);
  if (!run.updating() && !spec.Str("serviceName").empty()) run.Format(spec["serviceName"], format::Dns1123Label);
  if (selector->is_null()) {
    run.Required(selector);
  } else {
    CheckSelector(run, selector);
    if (IsEmptySelector(*selector)) run.Invalid(selector, "empty selector is invalid for statefulset");
  }
  if (!selector->is_null() && !ParsesAsSelector(*selector)) {
    run.Invalid(selector, "");
  } else {
    const Node labels = spec["template"]["metadata"]["labels"];
    if (!(!selector->is_null() && IsEmptySelector(*selector)) && !MatchesSelector(*selector, *labels))
      run.Invalid(labels, RenderJson(labels.schema, *labels), "`selector` does not match template `labels`");
    StatefulSetTemplate(run, spec);
  }
  Node labels = spec["template"]["metadata"]["labels"], annotations = spec["template"]["metadata"]["annotations"];
  labels.path = spec.path + ".template.labels";
  annotations.path = spec.path + ".template.annotations";
  CheckLabels(run, labels);
  CheckAnnotations(run, annotations);
  const Node restart = spec["template"]["spec"]["restartPolicy"], deadline = spec["template"]["spec"]["activeDeadlineSeconds"];
  if (restart->Str() != "Always") run.NotSupported(restart, {"Always"});
  if (!deadline->is_null()) run.Forbidden(deadline, "activeDeadlineSeconds in StatefulSet is not Supported");
  if (!run.updating()) return;
  Value now = spec->Clone(), before = spec.old->Clone();
  for (std::string_view field : {"replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit", "persistentVolumeClaimRetentionPolicy", "minReadySeconds"})
    now.Erase(field), before.Erase(field);
  if (!SameTyped(spec.schema, now, before)) run.Forbidden(spec, kStatefulOnly);
}

// A status of counters: none negative, none above the total.
void Counters(Run& run, const Node& status) {
  for (const Field& field : status.schema->fields)
    if (field.type->type == Type::kInt32 || field.type->type == Type::kInt64) OptionalNonNegative(run, status[field.name]);
  const std::string_view kind = run.def.kind;
  if (kind != "DaemonSet") {
    const std::int64_t total = (*status)["replicas"].Int();
    static constexpr std::string_view kStateful[] = {"readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"};
    static constexpr std::string_view kOther[] = {"fullyLabeledReplicas", "updatedReplicas", "readyReplicas", "availableReplicas"};
    for (std::string_view field : kind == "StatefulSet" ? std::span(kStateful) : std::span(kOther))
      if (status.schema->Find(field) && (*status)[field].Int() > total) run.Invalid(status[field], "cannot be greater than status.replicas");
    if ((*status)["availableReplicas"].Int() > (*status)["readyReplicas"].Int())
      run.Invalid(status["availableReplicas"], kind == "StatefulSet" ? "cannot be greater than status.readyReplicas" : "cannot be greater than readyReplicas");
  }
  if (const Node count = status["collisionCount"]; !count.old->is_null() && (kind != "StatefulSet" || count->Int() >= 0) && count->Int() < count.old->Int()) run.Invalid(count, std::to_string(count->Int()), "cannot be decremented");
}

void ControllerRevision(Run& run, const Node& object) {
  const Node data = object["data"];
  run.NonNegative(object["revision"]);
  if (run.updating()) {
    run.Immutable(data);
    return;
  }
  if (data->is_null()) run.Required(data, "data is mandatory");
  else if (!data->is_object()) run.Required(data, "data must be a valid JSON object");
}

void CheckReference(Run& run, const Node& reference, bool group_required) {
  for (std::string_view field : {"kind", "name"}) run.RequiredFormat(reference[field], format::PathSegmentName);
  const std::string_view version = reference.Str("apiVersion");
  if (std::count(version.begin(), version.end(), '/') > 1) run.Invalid(reference["apiVersion"], Cat("unexpected GroupVersion string: ", version));
  else if (group_required && (version.find('/') == version.npos || version.starts_with('/')) && reference.Str("kind") != "ReplicationController") run.Invalid(reference["apiVersion"], "apiVersion must specify API group");
}

void CheckMetricTarget(Run& run, const Node& target) {
  const std::string_view type = target.Str("type");
  if (type.empty()) run.Required(target["type"], "must specify a metric target type");
  if (type != "Utilization" && type != "Value" && type != "AverageValue") run.Invalid(target["type"], "must be either Utilization, Value, or AverageValue");
  for (std::string_view field : {"value", "averageValue"})
    if (const Node amount = target[field]; !amount->is_null() && Quantity::Parse(amount->Str()).value_or(Quantity()).sign() <= 0) run.Invalid(amount, "must be positive");
  if (const Node percent = target["averageUtilization"]; !percent->is_null() && percent->Int() < 1) run.Invalid(percent, "must be greater than 0");
}

void CheckMetricName(Run& run, const Node& metric) {
  if (metric.Str("name").empty()) run.Required(metric["name"], "must specify a metric name");
  else run.Format(metric["name"], format::PathSegmentName);
  CheckSelector(run, metric["selector"]);
}

void CheckResourceTarget(Run& run, const Node& target) {
  const bool percent = !target["averageUtilization"]->is_null(), amount = !target["averageValue"]->is_null();
  if (!percent && !amount) run.Required(target["averageUtilization"], "must set either a target raw value or a target utilization");
  if (percent && amount) run.Forbidden(target["averageValue"], "may not set both a target raw value and a target utilization");
}

void CheckMetricSource(Run& run, std::string_view kind, const Node& source) {
  const Node target = source["target"];
  if (kind == "object") CheckReference(run, source["describedObject"], false);
  if (kind == "containerResource" || kind == "resource") {
    if (source.Str("name").empty()) run.Required(source["name"], "must specify a resource name");
    else if (kind == "containerResource") CheckContainerResourceName(run, source["name"], source.Str("name"));
  }
  if (kind == "containerResource") {
    if (source.Str("container").empty()) run.Required(source["container"], "must specify a container");
    else run.Format(source["container"], format::Dns1123Label);
  }
  if (kind == "object" || kind == "external" || kind == "pods") CheckMetricName(run, source["metric"]);
  CheckMetricTarget(run, target);
  const bool value = !target["value"]->is_null(), average = !target["averageValue"]->is_null();
  if (kind == "object" && !value && !average) run.Required(target["averageValue"], "must set either a target value or averageValue");
  if (kind == "external" && !value && !average) run.Required(target["averageValue"], "must set either a target value for metric or a per-pod target");
  if (kind == "external" && value && average) run.Forbidden(target["value"], "may not set both a target value for metric and a per-pod target");
  if (kind == "pods" && !average) run.Required(target["averageValue"], "must specify a positive target averageValue");
  if (kind == "resource" || kind == "containerResource") CheckResourceTarget(run, target);
}

void CheckMetric(Run& run, const Node& metric) {
  static constexpr std::string_view kTypes[] = {"Object", "External", "Pods", "Resource", "ContainerResource"};
  static constexpr std::string_view kFields[] = {"object", "external", "pods", "resource", "containerResource"};
  const std::string_view type = metric.Str("type");
  if (type.empty()) run.Required(metric["type"], "must specify a metric source type");
  const auto known = std::find(std::begin(kTypes), std::end(kTypes), type);
  if (known == std::end(kTypes)) run.NotSupported(metric["type"], {"ContainerResource", "External", "Object", "Pods", "Resource"});
  std::size_t count = 0;
  for (std::string_view field : kFields)
    if (!metric[field]->is_null() && ++count == 1) CheckMetricSource(run, field, metric[field]);
  std::string_view expected;
  if (known == std::end(kTypes)) run.NotSupported(metric["type"], {"ContainerResource", "External", "Object", "Pods", "Resource"});
  else expected = kFields[known - std::begin(kTypes)];
  if (!expected.empty() && metric[expected]->is_null()) run.Required(metric[expected], "must populate information for the given metric source");
  if (count == 1) return;
  for (std::string_view field : kFields)
    if (field != expected && !metric[field]->is_null()) run.Forbidden(metric[field], "must populate the given metric source only");
}

void CheckScaling(Run& run, const Node& rules) {
  if (rules->is_null()) return;
  if (const Node window = rules["stabilizationWindowSeconds"]; !window->is_null()) {
    if (window->Int() < 0) run.Invalid(window, "must be greater than or equal to zero");
    if (window->Int() > 3600) run.Invalid(window, "must be less than or equal to 3600");
  }
  if (!rules["selectPolicy"]->is_null()) run.Enum(rules["selectPolicy"], {"Disabled", "Max", "Min"});
  if (rules["policies"].size() == 0) run.Required(rules["policies"], "must specify at least one Policy");
  for (const Node& policy : rules["policies"].Items()) {
    run.Enum(policy["type"], {"Percent", "Pods"});
    if (policy["value"]->Int() <= 0) run.Invalid(policy["value"], "must be greater than zero");
    if (policy["periodSeconds"]->Int() <= 0) run.Invalid(policy["periodSeconds"], "must be greater than zero");
    if (policy["periodSeconds"]->Int() > 1800) run.Invalid(policy["periodSeconds"], "must be less than or equal to 1800");
  }
  if (const Node tolerance = rules["tolerance"]; !tolerance->is_null() && Quantity::Parse(tolerance->Str()).value_or(Quantity()).sign() < 0)
    run.Invalid(tolerance, "must be greater than or equal to 0");
}

const Value& Nothing() {
  static const Value nothing;
  return nothing;
}

void HorizontalPodAutoscaler(Run& run, const Node& object) {
  const Node spec = object["spec"], min = spec["minReplicas"], max = spec["maxReplicas"];
  if (!min->is_null() && min->Int() < 1) run.Invalid(min, "must be greater than or equal to 1");
  if (max->Int() == 0) run.Required(max, "must be set and greater than 0");
  else if (max->Int() < 1) run.Invalid(max, "must be greater than or equal to 1");
  if (!min->is_null() && max->Int() < min->Int()) run.Invalid(max, "must be greater than or equal to `minReplicas`");
  CheckReference(run, spec["scaleTargetRef"], !(run.updating() && SameValue((*spec)["scaleTargetRef"], (*spec.old)["scaleTargetRef"])));
  // What an older version says in annotations counts like what the current one says.
  Value converted;
  Node full = spec;
  if (run.version == "v1") {
    converted = object->Clone();
    AutoscalerToV2(converted);
    full = Node{&converted, &Nothing(), FindBuiltinSchema("io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler"), nullptr, ""}["spec"];
  }
  for (const Node& metric : full["metrics"].Items()) CheckMetric(run, metric);
  if (!min->is_null() && min->Int() == 0) {
    bool scales = false;
    for (const Value& metric : (*full)["metrics"].Items()) scales = scales || metric["type"].Str() == "Object" || metric["type"].Str() == "External";
    if (!scales) run.Add(FieldErrorType::kForbidden, "spec.metrics", "", "must specify at least one Object or External metric to support scaling to zero replicas");
  }
  CheckScaling(run, full["behavior"]["scaleUp"]);
  CheckScaling(run, full["behavior"]["scaleDown"]);
}

void PodDisruptionBudget(Run& run, const Node& object) {
  const Node spec = object["spec"];
  if (!spec["minAvailable"]->is_null() && !spec["maxUnavailable"]->is_null())
    run.Invalid(spec, RenderInternal(spec.schema, *spec), "minAvailable and maxUnavailable cannot be both set");
  for (std::string_view field : {"minAvailable", "maxUnavailable"})
    if (!spec[field]->is_null()) {
      CheckPositiveIntOrPercent(run, spec[field]);
      CheckNotMoreThan100Percent(run, spec[field]);
    }
  CheckSelector(run, spec["selector"]);
  if (!spec["unhealthyPodEvictionPolicy"]->is_null()) run.Enum(spec["unhealthyPodEvictionPolicy"], {"AlwaysAllow", "IfHealthyBudget"});
}

}  // namespace

bool ParsesAsSelector(const Value& selector) {
  for (const json::Member& label : selector["matchLabels"].Members())
    if (!format::QualifiedName(label.key).empty() || !format::LabelValue(label.value.Str()).empty()) return false;
  for (const Value& expression : selector["matchExpressions"].Items()) {
    const std::string_view op = expression["operator"].Str();
    const std::size_t values = expression["values"].size();
    if ((op == "In" || op == "NotIn") ? values == 0 : (op == "Exists" || op == "DoesNotExist") ? values > 0 : true) return false;
    if (!format::QualifiedName(expression["key"].Str()).empty()) return false;
    for (const Value& value : expression["values"].Items())
      if (!format::LabelValue(value.Str()).empty()) return false;
  }
  return true;
}

bool MatchesSelector(const Value& selector, const Value& labels) {
  if (selector.is_null()) return false;
  for (const json::Member& label : selector["matchLabels"].Members()) {
    const Value* value = labels.Find(label.key);
    if (!value || value->Str() != label.value.Str()) return false;
  }
  for (const Value& expression : selector["matchExpressions"].Items()) {
    const std::string_view op = expression["operator"].Str();
    const Value* value = labels.Find(expression["key"].Str());
    bool in = false;
    for (const Value& candidate : expression["values"].Items()) in = in || (value && candidate.Str() == value->Str());
    if (op == "In" ? !in : op == "NotIn" ? in : op == "Exists" ? !value : op == "DoesNotExist" ? value != nullptr : false) return false;
  }
  return true;
}

void CheckPositiveIntOrPercent(Run& run, const Node& at) {
  if (at->is_string()) run.Format(at, format::Percent);
  else run.NonNegative(at);
}

void CheckNotMoreThan100Percent(Run& run, const Node& at) {
  if (at->is_string() && format::IsPercent(at->Str()) && AsInt(*at) > 100) run.Invalid(at, "must not be greater than 100%");
}

std::span<const NamedCall> WorkloadCalls() {
  static constexpr NamedCall kCalls[] = {
      {"ReplicaSet", ReplicaSet}, {"Deployment", Deployment}, {"DaemonSet", DaemonSet}, {"StatefulSet", StatefulSet}, {"Counters", Counters},
      {"ControllerRevision", ControllerRevision}, {"HorizontalPodAutoscaler", HorizontalPodAutoscaler}, {"PodDisruptionBudget", PodDisruptionBudget},
  };
  return kCalls;
}

}  // namespace skerry::kube::rules
