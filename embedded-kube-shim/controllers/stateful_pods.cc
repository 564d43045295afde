#include "embedded-kube-shim/controllers/stateful_pods.h"

#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/history.h"

namespace skerry::kube {
namespace {

std::string PodNameOf(const json::Value& set, std::int64_t ordinal) { return Cat(Name(set), "-", ordinal); }
std::string ClaimNameOf(const json::Value& set, const json::Value& claim_template, std::int64_t ordinal) {
  return Cat(Name(claim_template), "-", Name(set), "-", ordinal);
}

bool IsRefTo(const json::Value& ref, const json::Value& object) { return ref["uid"].Str() == Uid(object); }

// The claims' volumes first; volumes of the template that have another name stay.
void SetVolumes(const json::Value& set, std::int64_t ordinal, json::Value& pod) {
  const auto templates = set["spec"]["volumeClaimTemplates"].Items();
  if (templates.empty()) return;
  json::Value volumes = json::Value::Array();
  for (const json::Value& t : templates) {
    json::Value v;
    v.Set("name") = Name(t);
    v.Set("persistentVolumeClaim").Set("claimName") = ClaimNameOf(set, t, ordinal);
    volumes.Append(std::move(v));
  }
  for (const json::Value& v : pod["spec"]["volumes"].Items()) {
    if (std::none_of(templates.begin(), templates.end(), [&](const json::Value& t) { return Name(t) == v["name"].Str(); })) volumes.Append(v.Clone());
  }
  pod.Set("spec").Set("volumes") = std::move(volumes);
}

}  // namespace

std::optional<std::int64_t> OrdinalIn(const json::Value& set, const json::Value& pod) {
  const std::string_view name = Name(pod), parent = Name(set);
  if (!name.starts_with(parent) || name.size() < parent.size() + 2 || name[parent.size()] != '-') return std::nullopt;
  const std::string_view digits = name.substr(parent.size() + 1);
  if (!std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
  return ParseInt(digits);
}

std::int64_t FirstOrdinal(const json::Value& set) { return set["spec"]["ordinals"]["start"].Int(); }

json::Value StatefulPod(const json::Value& set, const json::Value& pod_template, std::string_view revision, std::int64_t ordinal) {
  json::Value pod = PodFromTemplate(pod_template, Namespace(set), Cat(Name(set), "-"), NewControllerRef(set, "apps/v1", "StatefulSet"));
  json::Value& meta = pod.Set("metadata");
  meta.Set("name") = PodNameOf(set, ordinal);
  json::Value& labels = meta.Set("labels");
  labels.Set(kRevisionLabel) = revision;
  labels.Set(kPodName) = PodNameOf(set, ordinal);
  labels.Set(kPodIndex) = std::to_string(ordinal);
  json::Value& spec = pod.Set("spec");
  spec.Set("hostname") = PodNameOf(set, ordinal);
  if (const std::string_view service = set["spec"]["serviceName"].Str(); !service.empty()) spec.Set("subdomain") = service;
  SetVolumes(set, ordinal, pod);
  return pod;
}

std::vector<json::Value> ClaimsOf(const json::Value& set, std::int64_t ordinal) {
  std::vector<json::Value> out;
  for (const json::Value& t : set["spec"]["volumeClaimTemplates"].Items()) {
    json::Value claim = t.Clone();
    claim.Erase("status");
    claim.Set("apiVersion") = "v1";
    claim.Set("kind") = "PersistentVolumeClaim";
    json::Value& meta = claim.Set("metadata");
    meta.Set("name") = ClaimNameOf(set, t, ordinal);
    meta.Set("namespace") = Namespace(set);
    for (const json::Member& m : set["spec"]["selector"]["matchLabels"].Members()) meta.Set("labels").Set(m.key) = m.value.Clone();
    out.push_back(std::move(claim));
  }
  return out;
}

bool IdentityMatches(const json::Value& set, const json::Value& pod) {
  const auto ordinal = OrdinalIn(set, pod);
  const json::Value& labels = Meta(pod)["labels"];
  if (!ordinal || labels[kPodName].Str() != Name(pod) || labels[kPodIndex].Str() != std::to_string(*ordinal)) return false;
  for (const json::Value& t : set["spec"]["volumeClaimTemplates"].Items()) {
    const auto volumes = pod["spec"]["volumes"].Items();
    const std::string claim = ClaimNameOf(set, t, *ordinal);
    if (std::none_of(volumes.begin(), volumes.end(),
                     [&](const json::Value& v) { return v["name"].Str() == Name(t) && v["persistentVolumeClaim"]["claimName"].Str() == claim; })) {
      return false;
    }
  }
  return true;
}

void RestoreIdentity(const json::Value& set, json::Value& pod) {
  const std::int64_t ordinal = OrdinalIn(set, pod).value_or(0);
  json::Value& labels = pod.Set("metadata").Set("labels");
  labels.Set(kPodName) = PodNameOf(set, ordinal);
  labels.Set(kPodIndex) = std::to_string(ordinal);
  SetVolumes(set, ordinal, pod);
}

json::Value ClaimOwners(const json::Value& set, const json::Value& pod, const json::Value& claim, bool condemned) {
  const json::Value& policy = set["spec"]["persistentVolumeClaimRetentionPolicy"];
  const bool with_pod = policy["whenScaled"].Str() == "Delete" && condemned;
  const bool with_set = policy["whenDeleted"].Str() == "Delete" && !with_pod;
  json::Value owners = json::Value::Array();
  bool has_set = false, has_pod = false, other_controller = false;
  for (const json::Value& ref : Meta(claim)["ownerReferences"].Items()) {
    const bool to_set = IsRefTo(ref, set), to_pod = IsRefTo(ref, pod);
    if ((to_set && !with_set) || (to_pod && !with_pod)) continue;
    has_set |= to_set;
    has_pod |= to_pod;
    other_controller |= !to_set && !to_pod && ref["controller"].Bool();
    owners.Append(ref.Clone());
  }
  // Somebody else controls the claim: it is theirs to keep or delete.
  if (with_set && !has_set && !other_controller) owners.Append(NewControllerRef(set, "apps/v1", "StatefulSet"));
  if (with_pod && !has_pod && !other_controller) owners.Append(NewControllerRef(pod, "v1", "Pod"));
  return owners.size() == 0 ? json::Value() : std::move(owners);
}

bool IsStaleClaim(const json::Value& claim, const json::Value& pod) {
  const auto refs = Meta(claim)["ownerReferences"].Items();
  return std::any_of(refs.begin(), refs.end(),
                     [&](const json::Value& r) { return r["kind"].Str() == "Pod" && r["name"].Str() == Name(pod) && r["uid"].Str() != Uid(pod); });
}

std::int64_t MostUnavailable(const json::Value& set) {
  const json::Value& most = set["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"];
  if (most.is_null()) return 1;
  return std::max<std::int64_t>(1, ScaledValue(most, set["spec"]["replicas"].Int(1), true).value_or(1));
}

}  // namespace skerry::kube
