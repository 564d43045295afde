#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/apis/rules.h"
#include "embedded-kube-shim/apis/strategies.h"
#include "embedded-kube-shim/apis/same_value.h"

namespace skerry::kube {
namespace {

using json::Value;

void SetLabelOnce(Value& labels, std::string_view key, std::string_view value) {
  if (!labels.Find(key)) labels.Set(key) = Value(value);
}

class JobStrategy final : public BuiltinStrategy {
 public:
  // The selector is generated from the uid, so that no two jobs can share pods by accident.
  void PrepareForCreate(StrategyContext&, Value& job) const override {
    Value& spec = job.Set("spec");
    if (!spec.Find("manualSelector")) spec.Set("manualSelector") = false;
    // A job without labels of its own has its pods'.
    const bool shared = job.At({"metadata", "labels"}).size() > 0 && job.At({"metadata", "labels"}) == spec.At({"template", "metadata", "labels"});
    if (spec["manualSelector"].Bool() || !spec["template"].is_object()) return;
    const std::string name(job.At({"metadata", "name"}).Str()), uid(job.At({"metadata", "uid"}).Str());
    Value& labels = spec.Set("template").Set("metadata").Set("labels");
    SetLabelOnce(labels, "job-name", name);
    SetLabelOnce(labels, "batch.kubernetes.io/job-name", name);
    SetLabelOnce(labels, "controller-uid", uid);
    SetLabelOnce(labels, "batch.kubernetes.io/controller-uid", uid);
    SetLabelOnce(spec.Set("selector").Set("matchLabels"), "batch.kubernetes.io/controller-uid", uid);
    if (shared) job.Set("metadata").Set("labels") = job.At({"spec", "template", "metadata", "labels"}).Clone();
  }
  void Canonicalize(Value& job) const override {
    const Value& labels = job.At({"spec", "template", "metadata", "labels"});
    if (job.At({"metadata", "labels"}).size() == 0 && labels.size() > 0) job.Set("metadata").Set("labels") = labels.Clone();
  }
};

class DaemonSetStrategy final : public BuiltinStrategy {
 public:
  static constexpr std::string_view kGeneration = "deprecated.daemonset.template.generation";
  // The template's own generation lives in an annotation in this version: every object has it, if only as "0", and whoever writes owns it.
  void Default(const Version& version, Value& object) const override {
    BuiltinStrategy::Default(version, object);
    Value& annotations = object.Set("metadata").Set("annotations");
    if (!annotations.Find(kGeneration)) annotations.Set(kGeneration) = "0";
  }
  void PrepareForCreate(StrategyContext&, Value& object) const override {
    Value& annotations = object.Set("metadata").Set("annotations");
    if (ParseInt(annotations[kGeneration].Str()).value_or(0) < 1) annotations.Set(kGeneration) = "1";
  }
  void PrepareForUpdate(StrategyContext& context, Value& object, const Value& old) const override {
    if (!context.subresource().empty()) return;
    std::int64_t generation = ParseInt(old.At({"metadata", "annotations"})[kGeneration].Str()).value_or(0);
    if (!rules::SameTyped(FindBuiltinSchema("io.k8s.api.core.v1.PodTemplateSpec"), object.At({"spec", "template"}), old.At({"spec", "template"}))) ++generation;
    if (generation > 0) object.Set("metadata").Set("annotations").Set(kGeneration) = Value(std::to_string(generation));
  }
};

class CertificateSigningRequestStrategy final : public BuiltinStrategy {
 public:
  void PrepareForCreate(StrategyContext& context, Value& object) const override {
    Value& spec = object.Set("spec");
    for (std::string_view field : {"username", "uid", "groups", "extra"}) spec.Erase(field);
    spec.Set("username") = Value(context.user());
    for (const std::string& group : context.groups()) spec.Set("groups").Append(Value(group));
    object.Set("status") = Value::Object();
  }
  void PrepareForUpdate(StrategyContext& context, Value& object, const Value& old) const override {
    if (context.subresource().empty()) {
      object.Set("spec") = old["spec"].Clone();
      object.Set("status") = old["status"].Clone();
      return;
    }
    if (context.subresource() == "status") KeepDecisions(object, old);
    FillTimes(context, object, old);
  }

 private:
  static bool IsDecision(const Value& condition) { return condition["type"].Str() == "Approved" || condition["type"].Str() == "Denied"; }
  // Only the approval endpoint decides.
  static void KeepDecisions(Value& object, const Value& old) {
    Value kept = Value::Array();
    for (const Value& condition : old.At({"status", "conditions"}).Items())
      if (IsDecision(condition)) kept.Append(condition.Clone());
    for (const Value& condition : object.At({"status", "conditions"}).Items())
      if (!IsDecision(condition)) kept.Append(condition.Clone());
    if (kept.size() > 0) object.Set("status").Set("conditions") = std::move(kept);
  }
  static void FillTimes(StrategyContext& context, Value& object, const Value& old) {
    Value* conditions = object.Set("status").Find("conditions");
    if (!conditions || !conditions->is_array()) return;
    const std::string now = TimeText(context.now());
    for (Value& condition : conditions->MutableItems()) {
      if (condition["lastUpdateTime"].Str().empty()) condition.Set("lastUpdateTime") = Value(now);
      if (!condition["lastTransitionTime"].Str().empty()) continue;
      std::string since = now;
      for (const Value& before : old.At({"status", "conditions"}).Items())
        if (before["type"] == condition["type"] && before["status"] == condition["status"] && !before["lastTransitionTime"].Str().empty()) since = before["lastTransitionTime"].Str();
      condition.Set("lastTransitionTime") = Value(since);
    }
  }
};

class ApiServiceStrategy final : public BuiltinStrategy {
 public:
  void PrepareForCreate(StrategyContext& context, Value& object) const override {
    object.Set("status") = Value::Object();
    if (!object.At({"spec", "service"}).is_null()) return;
    Value condition = Value::Object();
    condition.Set("type") = "Available";
    condition.Set("status") = "True";
    condition.Set("lastTransitionTime") = Value(TimeText(context.now()));
    condition.Set("reason") = "Local";
    condition.Set("message") = "Local APIServices are always available";
    object.Set("status").Set("conditions").Append(std::move(condition));
  }
};

class CustomResourceDefinitionStrategy final : public BuiltinStrategy {
 public:
  void PrepareForCreate(StrategyContext&, Value& object) const override {
    object.Set("status") = Value::Object();
    AddStoredVersion(object);
  }
  void PrepareForUpdate(StrategyContext& context, Value& object, const Value&) const override {
    if (context.subresource().empty()) AddStoredVersion(object);
  }

 private:
  static void AddStoredVersion(Value& object) {
    std::string stored;
    for (const Value& version : object.At({"spec", "versions"}).Items())
      if (version["storage"].Bool()) stored = version["name"].Str();
    if (stored.empty()) return;
    Value& versions = object.Set("status").Set("storedVersions");
    for (const Value& version : versions.Items())
      if (version.Str() == stored) return;
    versions.Append(Value(stored));
  }
};

// Fields of a feature that is off are dropped on write.
class LeaseStrategy final : public BuiltinStrategy {
 public:
  void PrepareForCreate(StrategyContext&, Value& object) const override { Drop(object, nullptr); }
  void PrepareForUpdate(StrategyContext&, Value& object, const Value& old) const override { Drop(object, &old); }

 private:
  static void Drop(Value& object, const Value* old) {
    for (std::string_view field : {"strategy", "preferredHolder"})
      if (!old || old->At({"spec", field}).is_null()) object.Set("spec").Erase(field);
  }
};

// What an earlier version of the API had for topology is not kept, but whoever writes it has changed the slice.
class EndpointSliceStrategy final : public BuiltinStrategy {
 public:
  void PrepareForCreate(StrategyContext&, Value& object) const override { DropTopology(object); }
  void PrepareForUpdate(StrategyContext&, Value& object, const Value& old) const override {
    if (DropTopology(object)) object.Set("metadata").Set("generation") = old.At({"metadata", "generation"}).Int() + 1;
  }

 private:
  static bool DropTopology(Value& object) {
    Value* endpoints = object.Find("endpoints");
    bool dropped = false;
    if (!endpoints || !endpoints->is_array()) return dropped;
    for (Value& endpoint : endpoints->MutableItems()) {
      dropped |= endpoint["deprecatedTopology"].size() > 0;
      endpoint.Erase("deprecatedTopology");
    }
    return dropped;
  }
};

// A new taint, or one that changes its effect, is dated by the server.
class ResourceSliceStrategy final : public BuiltinStrategy {
 public:
  void PrepareForCreate(StrategyContext& context, Value& object) const override { DateTaints(context, object); }
  void PrepareForUpdate(StrategyContext& context, Value& object, const Value&) const override { DateTaints(context, object); }

 private:
  static void DateTaints(StrategyContext& context, Value& object) {
    Value* devices = object.Set("spec").Find("devices");
    if (!devices || !devices->is_array()) return;
    for (Value& device : devices->MutableItems())
      if (Value* taints = device.Find("taints"); taints && taints->is_array())
        for (Value& taint : taints->MutableItems())
          if (taint["timeAdded"].Str().empty()) taint.Set("timeAdded") = Value(TimeText(context.now()));
  }
};

// Devices of others may be looked into from namespaces that are marked for it.
class ClaimStrategy final : public BuiltinStrategy {
 public:
  void Validate(StrategyContext& context, const Value& object, const Value* old, FieldErrors& errors) const override {
    if (!context.subresource().empty() || old) return;   // a claim's spec does not change
    const bool in_template = object["kind"].Str() == "ResourceClaimTemplate";
    const Value& requests = in_template ? object.At({"spec", "spec", "devices", "requests"}) : object.At({"spec", "devices", "requests"});
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (!requests.Items()[i].At({"exactly", "adminAccess"}).Bool()) continue;
      const auto ns = context.Lookup("", "namespaces", "", object.At({"metadata", "namespace"}).Str());
      constexpr std::string_view kLabel = "resource.kubernetes.io/admin-access";
      if (!ns || ns->At({"metadata", "labels"})[kLabel].Str() != "true")
        errors.push_back({FieldErrorType::kForbidden, Cat("spec.devices.requests[", i, "].adminAccess"), {},
                          Cat("admin access to devices requires the `", kLabel, ": true` label on the containing namespace")});
      return;
    }
  }
};

}  // namespace

std::span<const KindStrategy> OtherStrategies() {
  static constexpr KindStrategy kKinds[] = {
      {"batch", "jobs", MakeStrategy<JobStrategy>},
      {"apps", "daemonsets", MakeStrategy<DaemonSetStrategy>},
      {"certificates.k8s.io", "certificatesigningrequests", MakeStrategy<CertificateSigningRequestStrategy>},
      {"apiregistration.k8s.io", "apiservices", MakeStrategy<ApiServiceStrategy>},
      {"apiextensions.k8s.io", "customresourcedefinitions", MakeStrategy<CustomResourceDefinitionStrategy>},
      {"coordination.k8s.io", "leases", MakeStrategy<LeaseStrategy>},
      {"discovery.k8s.io", "endpointslices", MakeStrategy<EndpointSliceStrategy>},
      {"resource.k8s.io", "resourceclaims", MakeStrategy<ClaimStrategy>},
      {"resource.k8s.io", "resourceclaimtemplates", MakeStrategy<ClaimStrategy>},
      {"resource.k8s.io", "resourceslices", MakeStrategy<ResourceSliceStrategy>},
  };
  return kKinds;
}

}  // namespace skerry::kube
