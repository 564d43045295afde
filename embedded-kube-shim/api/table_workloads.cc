#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/autoscaling.h"
#include "embedded-kube-shim/api/table_format.h"

namespace skerry::kube::printer {

namespace {

// ReplicationController and ReplicaSet.
void AddReplicas(Row& row) {
  const Value& status = row.object["status"];
  row.AddName().AddInt(row.object.At({"spec", "replicas"})).AddInt(status["replicas"]).AddInt(status["readyReplicas"]).AddAge();
  AddContainers(row, row.object.At({"spec", "template", "spec"}));
}
void PrintReplicationController(Row& row) {
  AddReplicas(row);
  row.Add(Value(FormatLabels(row.object.At({"spec", "selector"}))));
}
void PrintReplicaSet(Row& row) {
  AddReplicas(row);
  row.Add(Value(FormatSelector(row.object.At({"spec", "selector"}))));
}

void PrintDaemonSet(Row& row) {
  const Value& spec = row.object["spec"];
  const Value& status = row.object["status"];
  row.AddName();
  for (const char* field : {"desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable"}) row.AddInt(status[field]);
  row.Add(Value(FormatLabels(spec.At({"template", "spec", "nodeSelector"})))).AddAge();
  AddContainers(row, spec.At({"template", "spec"}));
  row.Add(Value(FormatSelector(spec["selector"])));
}

void PrintDeployment(Row& row) {
  const Value& spec = row.object["spec"];
  const Value& status = row.object["status"];
  row.AddName().Add(Value(Cat(status["readyReplicas"].Int(), '/', spec["replicas"].Int()))).AddInt(status["updatedReplicas"]).AddInt(status["availableReplicas"]).AddAge();
  AddContainers(row, spec.At({"template", "spec"}));
  const std::string selector = FormatSelector(spec["selector"]);
  row.Add(Value(selector == "<none>" ? "" : selector));
}

void PrintStatefulSet(Row& row) {
  row.AddName().Add(Value(Cat(row.object.At({"status", "readyReplicas"}).Int(), '/', row.object.At({"spec", "replicas"}).Int()))).AddAge();
  AddContainers(row, row.object.At({"spec", "template", "spec"}));
}

void PrintControllerRevision(Row& row) {
  std::string controller = "<none>";
  for (const auto& owner : row.object.At({"metadata", "ownerReferences"}).Items()) {
    if (!owner["controller"].Bool()) continue;
    const std::string_view version = owner["apiVersion"].Str();
    const auto slash = version.find('/');
    std::string kind = ToLower(owner["kind"].Str());
    if (slash != std::string_view::npos) kind += Cat('.', ToLower(version.substr(0, slash)));
    controller = Cat(kind, '/', owner["name"].Str());
  }
  row.AddName().Add(Value(controller)).AddInt(row.object["revision"]).AddAge();
}

std::string JobStatus(const Value& job) {
  const Value& conditions = job.At({"status", "conditions"});
  if (HasCondition(conditions, "Complete")) return "Complete";
  if (HasCondition(conditions, "Failed")) return "Failed";
  if (!job.At({"metadata", "deletionTimestamp"}).is_null()) return "Terminating";
  for (const char* type : {"Suspended", "FailureTarget", "SuccessCriteriaMet"})
    if (HasCondition(conditions, type)) return type;
  return "Running";
}

void PrintJob(Row& row) {
  const Value& spec = row.object["spec"];
  const Value& status = row.object["status"];
  const std::int64_t succeeded = status["succeeded"].Int(), parallelism = spec["parallelism"].Int();
  std::string completions = Cat(succeeded, "/1");
  if (!spec["completions"].is_null()) completions = Cat(succeeded, '/', spec["completions"].Int());
  else if (parallelism > 1) completions = Cat(succeeded, "/1 of ", parallelism);
  std::string duration;
  Time start, end = row.now;
  if (ParseTime(status["startTime"].Str(), &start)) {
    ParseTime(status["completionTime"].Str(), &end);
    duration = HumanDuration(std::chrono::duration_cast<std::chrono::seconds>(end - start));
  }
  row.AddName().Add(Value(JobStatus(row.object))).Add(Value(completions)).Add(Value(duration)).AddAge();
  AddContainers(row, spec.At({"template", "spec"}));
  row.Add(Value(FormatSelector(spec["selector"])));
}

void PrintCronJob(Row& row) {
  const Value& spec = row.object["spec"];
  const Value& last = row.object.At({"status", "lastScheduleTime"});
  row.AddName().AddText(spec["schedule"]).AddText(spec["timeZone"], "<none>");
  row.Add(Value(spec["suspend"].is_null() ? "<unset>" : spec["suspend"].Bool() ? "True" : "False")).AddCount(row.object.At({"status", "active"}));
  row.Add(Value(last.is_null() ? "<none>" : row.Since(last))).AddAge();
  AddContainers(row, spec.At({"jobTemplate", "spec", "template", "spec"}));
  row.Add(Value(FormatSelector(spec.At({"jobTemplate", "spec", "selector"}))));
}

// --- HorizontalPodAutoscaler

std::string TextOf(const Value& value, std::string_view otherwise) { return value.is_null() ? std::string(otherwise) : value.is_string() ? std::string(value.Str()) : value.Dump(); }
std::string PercentOf(const Value& value, std::string_view otherwise) { return value.is_null() ? std::string(otherwise) : Cat(value.Int(), '%'); }

// One metric of autoscaling/v2 and what is measured for it (null = nothing yet).
std::string Metric(const Value& spec, const Value& status) {
  constexpr std::string_view kUnknown = "<unknown>";
  const std::string_view type = spec["type"].Str();
  const std::string_view field = type == "External" ? "external" : type == "Pods" ? "pods" : type == "Object" ? "object" : type == "Resource" ? "resource" : type == "ContainerResource" ? "containerResource" : "";
  if (field.empty()) return "<unknown type>";
  const Value& target = spec[field]["target"];
  const Value& current = status[field]["current"];
  const bool average = !target["averageValue"].is_null();
  if (type == "Pods") return Cat(TextOf(current["averageValue"], kUnknown), '/', TextOf(target["averageValue"], ""));
  if (type == "External" || type == "Object") {
    if (average) return Cat(TextOf(current["averageValue"], kUnknown), '/', TextOf(target["averageValue"], ""), " (avg)");
    return Cat(TextOf(current["value"], kUnknown), '/', TextOf(target["value"], ""));
  }
  const std::string_view name = spec[field]["name"].Str();
  if (average) return Cat(name, ": ", TextOf(current["averageValue"], kUnknown), '/', TextOf(target["averageValue"], ""));
  return Cat(name, ": ", PercentOf(current["averageUtilization"], kUnknown), '/', PercentOf(target["averageUtilization"], "<auto>"));
}

std::string Metrics(const Value& specs, const Value& statuses) {
  constexpr std::size_t kMax = 2;
  if (specs.size() == 0) return "<none>";
  static const Value kNone;
  std::vector<std::string> shown;
  for (std::size_t i = 0; i < specs.size() && i < kMax; ++i) shown.push_back(Metric(specs.Items()[i], i < statuses.size() ? statuses.Items()[i] : kNone));
  std::string out = Join(shown, ", ");
  if (specs.size() > kMax) out += Cat(" + ", specs.size() - kMax, " more...");
  return out;
}

}  // namespace

void PrintHorizontalPodAutoscaler(Row& row) {
  Value v2;   // autoscaling/v1 keeps most metrics in annotations
  const bool is_v2 = !row.object.At({"spec", "metrics"}).is_null();
  if (!is_v2) AutoscalerToV2(v2 = row.object.Clone());
  const Value& object = is_v2 ? row.object : v2;
  const Value& spec = object["spec"];
  row.AddName().Add(Value(Cat(spec.At({"scaleTargetRef", "kind"}).Str(), '/', spec.At({"scaleTargetRef", "name"}).Str())));
  row.Add(Value(Metrics(spec["metrics"], object.At({"status", "currentMetrics"}))));
  row.Add(Value(spec["minReplicas"].is_null() ? std::string("<unset>") : Cat(spec["minReplicas"].Int()))).AddInt(spec["maxReplicas"]);
  row.AddInt(object.At({"status", "currentReplicas"})).AddAge();
}

Printer FindWorkloadPrinter(std::string_view group, std::string_view kind) {
  struct Entry { std::string_view group, kind; Printer printer; };
  static constexpr Entry kPrinters[] = {
      {"", "ReplicationController", PrintReplicationController}, {"apps", "ReplicaSet", PrintReplicaSet}, {"apps", "DaemonSet", PrintDaemonSet},
      {"apps", "Deployment", PrintDeployment}, {"apps", "StatefulSet", PrintStatefulSet}, {"apps", "ControllerRevision", PrintControllerRevision},
      {"batch", "Job", PrintJob}, {"batch", "CronJob", PrintCronJob}, {"autoscaling", "HorizontalPodAutoscaler", PrintHorizontalPodAutoscaler}};
  for (const auto& entry : kPrinters)
    if (entry.group == group && entry.kind == kind) return entry.printer;
  return nullptr;
}

}  // namespace skerry::kube::printer
