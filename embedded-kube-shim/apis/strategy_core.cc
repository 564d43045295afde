#include <algorithm>
#include <map>
#include <set>

#include "core/text/quantity.h"
#include "embedded-kube-shim/apis/strategies.h"

namespace skerry::kube {
namespace {

using json::Value;
using text::Quantity;

using Amounts = std::map<std::string, Quantity, std::less<>>;

// Adds the CPU and memory of a resource list; false when one of both is missing or zero.
bool AddComputeResources(const Value& list, Amounts& total) {
  int found = 0;
  for (const json::Member& member : list.Members()) {
    if (member.key != "cpu" && member.key != "memory") continue;
    const auto quantity = Quantity::Parse(member.value.Str());
    if (!quantity || quantity->sign() <= 0) continue;
    total[member.key] += *quantity;
    ++found;
  }
  return found == 2;
}

// Profiles that are only named by annotations, as they were before there were fields.
void TakeAppArmorAnnotations(StrategyContext& context, Value& pod) {
  constexpr std::string_view kPrefix = "container.apparmor.security.beta.kubernetes.io/";
  if (pod.At({"spec", "os", "name"}).Str() == "windows") return;
  for (std::string_view list : {"initContainers", "containers"}) {
    Value* containers = pod.Set("spec").Find(list);
    if (!containers || !containers->is_array()) continue;
    for (Value& container : containers->MutableItems()) {
      const std::string key = std::string(kPrefix) + std::string(container["name"].Str());
      const std::string_view text = pod.At({"metadata", "annotations", key}).Str();
      if (text.empty() || container["securityContext"].Find("appArmorProfile") || pod.At({"spec", "securityContext"}).Find("appArmorProfile")) continue;
      const bool local = text.starts_with("localhost/");
      if (!local && text != "unconfined" && text != "runtime/default") continue;
      Value& profile = container.Set("securityContext").Set("appArmorProfile");
      profile.Set("type") = local ? "Localhost" : text == "unconfined" ? "Unconfined" : "RuntimeDefault";
      if (local) profile.Set("localhostProfile") = text.substr(10);
      context.AddWarning("metadata.annotations[" + key + "]: deprecated since v1.30; use the \"appArmorProfile\" field instead");
    }
  }
}

class PodStrategy final : public BuiltinStrategy {
 public:
  void PrepareForCreate(StrategyContext& context, Value& pod) const override {
    Value& status = pod.Set("status");
    status = Value::Object();
    status.Set("phase") = "Pending";
    status.Set("qosClass") = Value(QosClass(pod));
    if (pod.At({"spec", "schedulingGates"}).size() > 0) {
      Value condition = Value::Object();
      condition.Set("type") = "PodScheduled";
      condition.Set("status") = "False";
      condition.Set("lastTransitionTime") = Value(TimeText(context.now()));
      condition.Set("reason") = "SchedulingGated";
      condition.Set("message") = "Scheduling is blocked due to non-empty scheduling gates";
      status.Set("conditions").Append(std::move(condition));
    }
    TakeAppArmorAnnotations(context, pod);
    // Selectors of topology spreading and affinity take over the pod's own values of matchLabelKeys.
    Value& spec = pod.Set("spec");
    if (Value* constraints = spec.Find("topologySpreadConstraints"); constraints && constraints->is_array())
      for (Value& constraint : constraints->MutableItems()) MergeKeys(pod["metadata"]["labels"].Clone(), constraint, "matchLabelKeys", "In");
    if (!spec["affinity"].is_object()) return;
    for (std::string_view kind : {"podAffinity", "podAntiAffinity"}) {
      Value* affinity = spec.Set("affinity").Find(kind);
      if (!affinity || !affinity->is_object()) continue;
      if (Value* terms = affinity->Find("requiredDuringSchedulingIgnoredDuringExecution"); terms && terms->is_array())
        for (Value& term : terms->MutableItems()) MergeTerm(pod, term);
      if (Value* terms = affinity->Find("preferredDuringSchedulingIgnoredDuringExecution"); terms && terms->is_array())
        for (Value& term : terms->MutableItems())
          if (Value* inner = term.Find("podAffinityTerm")) MergeTerm(pod, *inner);
    }
  }

 private:
  static void MergeTerm(const Value& pod, Value& term) {
    MergeKeys(pod["metadata"]["labels"].Clone(), term, "matchLabelKeys", "In");
    MergeKeys(pod["metadata"]["labels"].Clone(), term, "mismatchLabelKeys", "NotIn");
  }
  static void MergeKeys(const Value& labels, Value& term, std::string_view list, const char* op) {
    const Value keys = term[list].Clone();
    if (term["labelSelector"].is_null()) return;
    for (const Value& key : keys.Items()) {
      const Value* value = labels.Find(key.Str());
      if (!value) continue;
      Value expression = Value::Object();
      expression.Set("key") = key.Clone();
      expression.Set("operator") = op;
      expression.Set("values").Append(value->Clone());
      term.Set("labelSelector").Set("matchExpressions").Append(std::move(expression));
    }
  }
};

class NamespaceStrategy final : public BuiltinStrategy {
 public:
  void PrepareForCreate(StrategyContext&, Value& object) const override {
    object.Set("status") = Value::Object();
    object.Set("status").Set("phase") = "Active";
    Value& finalizers = object.Set("spec").Set("finalizers");
    for (const Value& finalizer : finalizers.Items())
      if (finalizer.Str() == "kubernetes") return;
    finalizers.Append("kubernetes");
  }
};

// Fields that only one type of service has go away with the type, unless the client changes them in the same breath (which validation refuses).
class ServiceStrategy final : public BuiltinStrategy {
 public:
  void PrepareForUpdate(StrategyContext& context, Value& next, const Value& old) const override {
    if (!context.subresource().empty()) return;
    Value& spec = next.Set("spec");
    const Value& before = old["spec"];
    const std::string_view type = spec["type"].Str(), old_type = before["type"].Str();
    if (old_type != "ExternalName" && type == "ExternalName") {
      if (Same(spec, before, "clusterIP") && Same(spec, before, "clusterIPs")) spec.Erase("clusterIP"), spec.Erase("clusterIPs");
      for (const std::string_view field : {"ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"})
        if (Same(spec, before, field)) spec.Erase(field);
    }
    if (HasNodePorts(old_type) && !HasNodePorts(type) && NodePortsWithin(spec, before))
      for (Value& port : spec.Set("ports").MutableItems()) port.Erase("nodePort");
    const auto drop = [&](bool had, bool has, std::string_view field) {
      if (had && !has && Same(spec, before, field)) spec.Erase(field);
    };
    drop(ChecksHealth(before), ChecksHealth(spec), "healthCheckNodePort");
    const bool was_balanced = old_type == "LoadBalancer", balanced = type == "LoadBalancer";
    if (!spec["allocateLoadBalancerNodePorts"].is_null()) drop(was_balanced, balanced, "allocateLoadBalancerNodePorts");
    drop(was_balanced, balanced, "loadBalancerClass");
    drop(IsExternal(before), IsExternal(spec), "externalTrafficPolicy");
    if (!balanced) next.Set("status").Set("loadBalancer") = Value::Object();
  }

 private:
  static bool Same(const Value& a, const Value& b, std::string_view field) { return a[field] == b[field]; }
  static bool HasNodePorts(std::string_view type) { return type == "NodePort" || type == "LoadBalancer"; }
  static bool ChecksHealth(const Value& spec) { return spec["type"].Str() == "LoadBalancer" && spec["externalTrafficPolicy"].Str() == "Local"; }
  static bool IsExternal(const Value& spec) { return HasNodePorts(spec["type"].Str()) || (spec["type"].Str() == "ClusterIP" && spec["externalIPs"].size() > 0); }
  static bool NodePortsWithin(const Value& spec, const Value& before) {
    std::set<std::int64_t> known{0};
    for (const Value& port : before["ports"].Items()) known.insert(port["nodePort"].Int());
    return std::ranges::all_of(spec["ports"].Items(), [&](const Value& port) { return known.contains(port["nodePort"].Int()); });
  }
};

class LimitRangeStrategy final : public BuiltinStrategy {
 public:
  // A limit range needs no name of its own.
  void PrepareForCreate(StrategyContext&, Value& object) const override {
    if (object.At({"metadata", "name"}).Str().empty()) object.Set("metadata").Set("name") = object.At({"metadata", "uid"}).Clone();
  }
};

class PersistentVolumeStrategy final : public BuiltinStrategy {
 public:
  void PrepareForCreate(StrategyContext& context, Value& object) const override {
    object.Set("status") = Value::Object();
    object.Set("status").Set("phase") = "Pending";
    object.Set("status").Set("lastPhaseTransitionTime") = Value(TimeText(context.now()));
  }
  void PrepareForUpdate(StrategyContext& context, Value& object, const Value& old) const override {
    if (context.subresource() != "status") return;
    Value& status = object.Set("status");
    const Value &given = status["lastPhaseTransitionTime"], &before = old.At({"status", "lastPhaseTransitionTime"});
    const bool same_phase = status["phase"] == old.At({"status", "phase"});
    if (same_phase && given.is_null() && !before.is_null()) status.Set("lastPhaseTransitionTime") = before.Clone();
    else if (!same_phase && (given.is_null() || given == before)) status.Set("lastPhaseTransitionTime") = Value(TimeText(context.now()));
  }
};

class ServiceAccountStrategy final : public BuiltinStrategy {
 public:
  void PrepareForCreate(StrategyContext&, Value& object) const override { KeepNames(object); }
  void PrepareForUpdate(StrategyContext&, Value& object, const Value&) const override { KeepNames(object); }

 private:
  // A reference to a secret is its name, whatever else was written.
  static void KeepNames(Value& object) {
    Value* secrets = object.Find("secrets");
    if (!secrets || !secrets->is_array()) return;
    for (Value& secret : secrets->MutableItems()) {
      Value kept = Value::Object();
      if (!secret["name"].Str().empty()) kept.Set("name") = secret["name"].Clone();
      secret = std::move(kept);
    }
  }
};

class PersistentVolumeClaimStrategy final : public BuiltinStrategy {
 public:
  void PrepareForCreate(StrategyContext&, Value& object) const override {
    object.Set("status") = Value::Object();
    object.Set("status").Set("phase") = "Pending";
    Sources(object.Set("spec"), Value());
  }
  void PrepareForUpdate(StrategyContext& context, Value& object, const Value& old) const override {
    if (context.subresource().empty()) Sources(object.Set("spec"), old["spec"]);
  }

 private:
  // Sources in other namespaces are switched off; what the older of the two fields cannot say is dropped, and each stands for the other.
  static void Sources(Value& spec, const Value& before) {
    const bool used = !before["dataSource"].is_null() || !before["dataSourceRef"].is_null();
    if (!used && !spec.At({"dataSourceRef", "namespace"}).Str().empty()) spec.Erase("dataSourceRef");
    const Value& source = spec["dataSource"];
    const std::string_view group = source["apiGroup"].Str(), kind = source["kind"].Str();
    const bool known = (kind == "PersistentVolumeClaim" && group.empty()) || (kind == "VolumeSnapshot" && group == "snapshot.storage.k8s.io");
    if (!used && spec["dataSourceRef"].is_null() && !source.is_null() && !known) spec.Erase("dataSource");
    if (spec["dataSource"].is_object() && spec["dataSourceRef"].is_null()) spec.Set("dataSourceRef") = spec["dataSource"].Clone();
    else if (const Value& reference = spec["dataSourceRef"]; reference.is_object() && spec["dataSource"].is_null() && reference["namespace"].Str().empty()) {
      Value local = reference.Clone();
      local.Erase("namespace");
      spec.Set("dataSource") = std::move(local);
    }
  }
};

}  // namespace

std::string_view QosClass(const json::Value& pod) {
  const Value& spec = pod["spec"];
  Amounts requests, limits;
  bool guaranteed = true;
  const auto add = [&](const Value& resources) {
    AddComputeResources(resources["requests"], requests);
    if (!AddComputeResources(resources["limits"], limits)) guaranteed = false;
  };
  if (spec["resources"].is_object() && spec["resources"].size() > 0) {
    add(spec["resources"]);   // the pod's own resources stand for all containers
  } else {
    for (std::string_view list : {"containers", "initContainers"})
      for (const Value& container : spec[list].Items()) add(container["resources"]);
  }
  if (requests.empty() && limits.empty()) return "BestEffort";
  if (guaranteed)
    for (const auto& [name, amount] : requests)
      if (const auto it = limits.find(name); it == limits.end() || it->second != amount) guaranteed = false;
  return guaranteed && requests.size() == limits.size() ? "Guaranteed" : "Burstable";
}

std::span<const KindStrategy> CoreStrategies() {
  static constexpr KindStrategy kKinds[] = {
      {"", "pods", MakeStrategy<PodStrategy>},
      {"", "namespaces", MakeStrategy<NamespaceStrategy>},
      {"", "limitranges", MakeStrategy<LimitRangeStrategy>},
      {"", "services", MakeStrategy<ServiceStrategy>},
      {"", "persistentvolumes", MakeStrategy<PersistentVolumeStrategy>},
      {"", "persistentvolumeclaims", MakeStrategy<PersistentVolumeClaimStrategy>},
      {"", "serviceaccounts", MakeStrategy<ServiceAccountStrategy>},
  };
  return kKinds;
}

}  // namespace skerry::kube
