#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/apis/rules_shared.h"
#include "embedded-kube-shim/apis/strategy.h"

// What may change in a pod after it was created, and its status.
namespace skerry::kube::rules {
namespace {

using json::Value;

constexpr const char* kOnlyThese =
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
    "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

void CheckAnnotationUpdates(Run& run, const Node& annotations) {
  constexpr std::string_view kAppArmor = "container.apparmor.security.beta.kubernetes.io/", kMirror = "kubernetes.io/config.mirror";
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

void CheckTolerationUpdate(Run& run, const Node& tolerations) {
  for (const Value& before : tolerations.old->Items()) {
    bool kept = false;
    for (const Value& now : tolerations->Items()) kept = kept || SameToleration(before, now);
    if (!kept) return run.Forbidden(tolerations, "existing toleration can not be modified except its tolerationSeconds");
  }
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

}  // namespace

void CheckPodUpdate(Run& run, const Node& pod) {
  const Node spec = pod["spec"];
  CheckAnnotationUpdates(run, pod["metadata"]["annotations"]);
  if (!run.subresource.empty() && run.subresource != "ephemeralcontainers" && run.subresource != "resize") return;
  if (!run.subresource.empty()) return;
  bool counted = true;
  for (std::string_view list : {"containers", "initContainers"})
    if (spec[list].size() != spec[list].old->size()) {
      run.Forbidden(spec[list], "pod updates may not add or remove containers");
      counted = false;
    }
  if (!counted) return;
  const Node deadline = spec["activeDeadlineSeconds"];
  if (!deadline->is_null()) {
    if (!run.Range(deadline, 0, 2147483647)) return;
    if (!deadline.old->is_null() && deadline.old->Int() < deadline->Int()) return run.Invalid(deadline, "must be less than or equal to previous value");
  } else if (!deadline.old->is_null()) {
    run.Invalid(deadline, "null", "must not update from a positive integer to nil value");
  }
  CheckTolerationUpdate(run, spec["tolerations"]);
  for (const Node& gate : spec["schedulingGates"].Items()) {
    bool known = false;
    for (const Value& before : (*spec.old)["schedulingGates"].Items()) known = known || before["name"] == (*gate)["name"];
    if (!known) run.Forbidden(gate["name"], Cat("only deletion is allowed, but found new scheduling gate '", gate.Str("name"), "'"));
  }
  const bool gated = (*spec.old)["schedulingGates"].size() > 0;
  if (gated) CheckGatedUpdate(run, spec);
  const Value munged = Munged(*spec, *spec.old, gated);
  if (!SameValue(munged, *spec.old)) run.Forbidden(spec, Cat(kOnlyThese, "\n", InternalDiff(spec.schema, *spec.old, munged)));
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
  if (!nominated->Str().empty() && !SameValue(*nominated, *nominated.old)) run.Format(nominated, format::Dns1123Subdomain);
  if ((*status)["observedGeneration"].Int() < 0) run.Invalid(status["observedGeneration"], "must be a non-negative integer");
  if (!status.Str("qosClass").empty()) run.Immutable(status["qosClass"]);
  for (const Node& ip : status["podIPs"].Items()) run.Format(Node{&(*ip)["ip"], &(*ip.old)["ip"], nullptr, nullptr, ip.path}, format::Ip);
  const Node hosts = status["hostIPs"];
  if (hosts.size() > 0 && hosts.At(0).Str("ip") != status.Str("hostIP")) run.Invalid(hosts.At(0)["ip"], "must be equal to `hostIP`");
  for (const Node& ip : hosts.Items()) run.Format(ip["ip"], format::Ip);
}

}  // namespace skerry::kube::rules
