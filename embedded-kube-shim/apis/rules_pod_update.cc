#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/apis/rules_shared.h"
#include "embedded-kube-shim/apis/strategy.h"
#include "embedded-kube-shim/apis/same_value.h"

// What may change in a pod after it was created, and its status.
namespace skerry::kube::rules {
namespace {

using json::Value;

constexpr const char* kMirror = "kubernetes.io/config.mirror";
constexpr const char* kOnlyThese =
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
    "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

void CheckAnnotationUpdates(Run& run, const Node& annotations) {
  constexpr std::string_view kAppArmor = "container.apparmor.security.beta.kubernetes.io/";
  for (const json::Member& before : annotations.old->Members()) {
    const Value* now = annotations->Find(before.key);
    if (now && *now == before.value) continue;
    if (before.key.starts_with(kAppArmor)) run.Forbidden(annotations.Key(before.key), "may not remove or update AppArmor annotations");
    if (before.key == kMirror) run.Forbidden(annotations.Key(before.key), "may not remove or update mirror pod annotation");
  }
  for (const json::Member& now : annotations->Members()) {
    if (annotations.old->Find(now.key)) continue;
    if (now.key.starts_with(kAppArmor)) run.Forbidden(annotations.Key(now.key), "may not add AppArmor annotations");
    if (now.key == kMirror) run.Forbidden(annotations.Key(now.key), "may not add mirror pod annotation");
  }
}

bool SameToleration(const Value& a, const Value& b) {
  for (std::string_view field : {"key", "operator", "value", "effect"})
    if (a[field].Str() != b[field].Str()) return false;
  return true;
}

bool CheckTolerationUpdate(Run& run, const Node& tolerations) {
  for (const Value& before : tolerations.old->Items()) {
    bool kept = false;
    for (const Value& now : tolerations->Items()) kept = kept || SameToleration(before, now);
    if (kept) continue;
    run.Forbidden(tolerations, "existing toleration can not be modified except its tolerationSeconds");
    return false;
  }
  return true;
}

// The new spec with everything that may change taken from the old one.
Value Munged(const Value& now, const Value& before, bool gated) {
  Value out = now.Clone();
  for (std::string_view list : {"containers", "initContainers"})
    if (Value* containers = out.Find(list); containers && containers->is_array())
      for (std::size_t i = 0; i < containers->size() && i < before[list].size(); ++i) {
        const Value& image = before[list].Items()[i]["image"];
        if (image.is_null()) containers->MutableItems()[i].Erase("image");
        else containers->MutableItems()[i].Set("image") = image.Clone();
      }
  const auto keep = [&](Value& to, const Value& from, std::string_view field) {
    if (const Value* value = from.Find(field)) to.Set(field) = value->Clone();
    else to.Erase(field);
  };
  for (std::string_view field : {"activeDeadlineSeconds", "schedulingGates", "tolerations"}) keep(out, before, field);
  if (before["terminationGracePeriodSeconds"].Int() < 0 && out["terminationGracePeriodSeconds"].Int() == 1) keep(out, before, "terminationGracePeriodSeconds");
  if (!gated) return out;
  keep(out, before, "nodeSelector");
  if (out["affinity"].is_object() || before["affinity"].is_object()) {
    Value& affinity = out.Set("affinity");
    if (affinity.is_null()) affinity = Value::Object();
    keep(affinity, before["affinity"], "nodeAffinity");
    if (affinity.size() == 0 && !before["affinity"].is_object()) out.Erase("affinity");
  }
  return out;
}

void CheckGatedUpdate(Run& run, const Node& spec) {
  for (const json::Member& before : (*spec.old)["nodeSelector"].Members())
    if (const Value* now = (*spec)["nodeSelector"].Find(before.key); !now || !(*now == before.value)) {
      run.Invalid(spec["nodeSelector"], "only additions to spec.nodeSelector are allowed (no mutations or deletions)");
      break;
    }
  const Node terms = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
  if (terms.old->size() == 0) return;
  if (terms.size() != terms.old->size()) return run.Invalid(terms, "no additions/deletions to non-empty NodeSelectorTerms list are allowed");
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const Value &now = terms->Items()[i], &before = terms.old->Items()[i];
    bool ok = before.size() > 0 || now.size() == 0;
    for (std::string_view list : {"matchExpressions", "matchFields"}) {
      ok = ok && now[list].size() >= before[list].size();
      for (std::size_t k = 0; ok && k < before[list].size(); ++k) ok = now[list].Items()[k] == before[list].Items()[k];
    }
    if (!ok) run.Invalid(terms.At(i), "only additions are allowed (no mutations or deletions)");
  }
}

// An answer that stands for all others.
void OnlyForbidden(Run& run, const char* text) {
  run.errors.clear();
  run.Add(FieldErrorType::kForbidden, "", "", text);
}

void CheckEphemeralUpdate(Run& run, const Node& pod) {
  if ((*pod.old)["metadata"]["annotations"].Find(kMirror)) return OnlyForbidden(run, "static pods do not support ephemeral containers");
  const Node list = pod["spec"]["ephemeralContainers"];
  for (const Value& before : list.old->Items()) {
    const auto now = list.Items();
    const auto same = std::find_if(now.begin(), now.end(), [&](const Node& container) { return container.Str("name") == before["name"].Str(); });
    if (same == now.end()) run.Forbidden(list, Cat("existing ephemeral containers ", Quote(before["name"].Str()), " may not be removed\n"));
    else if (!SameTyped(same->schema, **same, before)) run.Forbidden(list, Cat("existing ephemeral containers ", Quote(before["name"].Str()), " may not be changed\n", InternalDiff(same->schema, before, **same)));
  }
}

bool LacksKeyOf(const Value& now, const Value& before) {
  for (const json::Member& member : before.Members())
    if (!now.Find(member.key)) return true;
  return false;
}

// Everything but the amounts of cpu and memory.
Value WithoutAmounts(const Value& resources) {
  Value out = resources.is_object() ? resources.Clone() : Value::Object();
  for (std::string_view list : {"requests", "limits"}) {
    if (!out.Find(list)) continue;
    for (std::string_view name : {"cpu", "memory"}) out.Set(list).Erase(name);
    if (out[list].size() == 0) out.Erase(list);
  }
  return out;
}

bool CheckResizeOrder(Run& run, const Node& spec) {
  bool ok = true;
  for (std::string_view list : {"containers", "initContainers"}) {
    const Node containers = spec[list];
    if (containers.size() != containers.old->size()) {
      run.Forbidden(containers, Cat(list, " may not be added or removed on resize"));
      ok = false;
      continue;
    }
    for (std::size_t i = 0; i < containers.size(); ++i)
      if ((*containers).Items()[i]["name"].Str() != containers.old->Items()[i]["name"].Str()) {
        run.Add(FieldErrorType::kForbidden, Cat(containers.path, "[", i, "].name"), "", Cat(list, " may not be renamed or reordered on resize"));
        ok = false;
      }
  }
  return ok;
}

void CheckResizedContainers(Run& run, const Node& spec) {
  for (std::string_view list : {"containers", "initContainers"}) {
    const Node containers = spec[list];
    for (std::size_t i = 0; i < containers.size(); ++i) {
      const Value &now = (*containers).Items()[i], &before = containers.old->Items()[i];
      const std::string path = Cat(containers.path, "[", i, "]");
      const auto forbid = [&](const std::string& at, const char* text) { run.Add(FieldErrorType::kForbidden, at, "", text); };
      if (LacksKeyOf(now["resources"]["requests"], before["resources"]["requests"])) forbid(path + ".resources.requests", "resource requests cannot be removed");
      if (LacksKeyOf(now["resources"]["limits"], before["resources"]["limits"])) forbid(path + ".resources.limits", "resource limits cannot be removed");
      const bool only_amounts = SameValue(WithoutAmounts(now["resources"]), WithoutAmounts(before["resources"]));
      const bool init = list == "initContainers";
      if (!only_amounts) forbid(init ? path : std::string("spec"), init ? "only cpu and memory resources for init or sidecar containers are mutable" : "only cpu and memory resources are mutable");
      if (!init || before["restartPolicy"].Str() == "Always" || SameValue(now["resources"], before["resources"])) continue;
      for (const Value& policy : before["resizePolicy"].Items())
        if (policy["restartPolicy"].Str() == "RestartContainer") {
          forbid(path, "non-sidecar init containers with a resize policy of RestartContainer cannot be resized");
          break;
        }
    }
  }
}

void CheckResizedPodLevel(Run& run, const Node& resources) {
  if (resources->is_null() && resources.old->is_null()) return;
  if (resources->is_null()) return run.Forbidden(resources, "pod-level resources cannot be removed");
  for (std::string_view list : {"requests", "limits"})
    if (LacksKeyOf((*resources)[list], (*resources.old)[list])) run.Forbidden(resources[list], Cat("pod-level resource ", list, " cannot be removed"));
  if (!SameValue(WithoutAmounts(*resources), WithoutAmounts(*resources.old))) run.Add(FieldErrorType::kForbidden, "spec", "", "only cpu and memory resources are mutable at pod-level");
}

// The first running container tells whether the node's agent knows of resizing.
bool NodeResizes(const Value& pod) {
  for (const Value& status : pod["status"]["containerStatuses"].Items())
    if (status["state"].Find("running")) return status.Find("resources") != nullptr;
  return true;
}

void CheckResize(Run& run, const Node& pod) {
  const Node spec = pod["spec"];
  if ((*pod.old)["metadata"]["annotations"].Find(kMirror)) return OnlyForbidden(run, "static pods cannot be resized");
  if ((*spec.old)["os"]["name"].Str() == "windows") return OnlyForbidden(run, "windows pods cannot be resized");
  if (QosClass(*pod) != QosClass(*pod.old)) run.Add(FieldErrorType::kInvalid, "spec", Quote((*pod)["status"]["qosClass"].Str()), "Pod QOS Class may not change as a result of resizing");
  if (!NodeResizes(*pod.old)) run.Forbidden(spec, "Pod running on node without support for resize");
  if ((*pod.old)["status"]["nodeAllocatableResourceClaimStatuses"].size() > 0) run.Forbidden(spec, "pods with node allocatable resource claims cannot be resized");
  if (!CheckResizeOrder(run, spec)) return;
  CheckResizedPodLevel(run, spec["resources"]);
  CheckResizedContainers(run, spec);
  if (!run.errors.empty()) return;
  Value now = spec->Clone();
  const auto keep = [](Value& to, const Value& from) {
    if (const Value* resources = from.Find("resources")) to.Set("resources") = resources->Clone();
    else to.Erase("resources");
  };
  keep(now, *spec.old);
  for (std::string_view list : {"containers", "initContainers"})
    for (std::size_t i = 0; i < now[list].size(); ++i) keep(now.Set(list).MutableItems()[i], (*spec.old)[list].Items()[i]);
  if (!SameTyped(spec.schema, now, *spec.old)) run.Forbidden(spec, "only cpu and memory resources are mutable");
}

}  // namespace

void CheckPodUpdate(Run& run, const Node& pod) {
  const Node spec = pod["spec"];
  CheckAnnotationUpdates(run, pod["metadata"]["annotations"]);
  if (run.subresource == "ephemeralcontainers") return CheckEphemeralUpdate(run, pod);
  if (run.subresource == "resize") return CheckResize(run, pod);
  if (!run.subresource.empty()) return;
  for (std::string_view list : {"containers", "initContainers"}) {
    if (spec[list].size() != spec[list].old->size()) return run.Forbidden(spec[list], "pod updates may not add or remove containers");
    for (const Node& container : spec[list].Items()) {
      const std::string_view image = container.Str("image");
      if (image.empty()) run.Required(container["image"]);
      if (Trim(image) != image) run.Invalid(container["image"], "must not have leading or trailing whitespace");
    }
  }
  const Node deadline = spec["activeDeadlineSeconds"];
  if (!deadline->is_null()) {
    if (!run.Range(deadline, 0, 2147483647)) return;
    if (!deadline.old->is_null() && deadline.old->Int() < deadline->Int()) return run.Invalid(deadline, "must be less than or equal to previous value");
  } else if (!deadline.old->is_null()) {
    run.Invalid(deadline, "null", "must not update from a positive integer to nil value");
  }
  if (CheckTolerationUpdate(run, spec["tolerations"])) CheckTolerations(run, spec["tolerations"]);
  for (const Node& gate : spec["schedulingGates"].Items()) {
    bool known = false;
    for (const Value& before : (*spec.old)["schedulingGates"].Items()) known = known || before["name"] == (*gate)["name"];
    if (!known) run.Forbidden(gate["name"], Cat("only deletion is allowed, but found new scheduling gate '", gate.Str("name"), "'"));
  }
  const bool gated = (*spec.old)["schedulingGates"].size() > 0;
  if (gated) CheckGatedUpdate(run, spec);
  const Value munged = Munged(*spec, *spec.old, gated);
  if (!SameTyped(spec.schema, munged, *spec.old)) run.Forbidden(spec, Cat(kOnlyThese, "\n", InternalDiff(spec.schema, *spec.old, munged)));
}

void CheckPodStatus(Run& run, const Node& pod) {
  CheckAnnotationUpdates(run, pod["metadata"]["annotations"]);
  const Node status = pod["status"];
  for (const Node& condition : status["conditions"].Items()) {
    const std::string_view type = condition.Str("type");
    if ((*condition)["observedGeneration"].Int() < 0) run.Invalid(condition["observedGeneration"], "must be a non-negative integer");
    if (type != "PodScheduled" && type != "Ready" && type != "Initialized") run.Format(condition.As("type", "Type"), format::QualifiedName);
  }
  const Node nominated = status["nominatedNodeName"];
  if (!nominated->Str().empty() && !Unchanged(nominated)) run.Format(nominated, format::Dns1123Subdomain);
  if ((*status)["observedGeneration"].Int() < 0) run.Invalid(status["observedGeneration"], "must be a non-negative integer");
  if (!status.Str("qosClass").empty()) run.Immutable(status["qosClass"]);
  for (const Node& ip : status["podIPs"].Items()) run.Format(Node{&(*ip)["ip"], &(*ip.old)["ip"], nullptr, nullptr, ip.path}, format::Ip);
  const Node hosts = status["hostIPs"];
  if (hosts.size() > 0 && hosts.At(0).Str("ip") != status.Str("hostIP")) run.Invalid(hosts.At(0)["ip"], "must be equal to `hostIP`");
  for (const Node& ip : hosts.Items()) run.Format(ip["ip"], format::Ip);
}

}  // namespace skerry::kube::rules
