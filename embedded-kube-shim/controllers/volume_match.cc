#include "embedded-kube-shim/controllers/volume_match.h"

#include <algorithm>

#include "core/base/strings.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/controllers/node_match.h"

namespace skerry::kube {
namespace {

std::int64_t Bytes(const json::Value& v) {
  const auto q = text::Quantity::Parse(v.is_string() ? v.Str() : std::string_view(v.Dump()));
  return q ? q->Value() : 0;
}

bool Contains(const json::Value& list, std::string_view item) {
  const auto items = list.Items();
  return std::any_of(items.begin(), items.end(), [&](const json::Value& v) { return v.Str() == item; });
}

bool HasModes(const json::Value& volume, const json::Value& claim) {
  const auto wanted = claim["spec"]["accessModes"].Items();
  return std::all_of(wanted.begin(), wanted.end(), [&](const json::Value& m) { return Contains(volume["spec"]["accessModes"], m.Str()); });
}

std::string_view ModeOf(const json::Value& object) { return object["spec"]["volumeMode"].Str("Filesystem"); }

}  // namespace

std::optional<std::string> StorageClassOf(const json::Value& object) {
  if (const json::Value* old = Meta(object)["annotations"].Find("volume.beta.kubernetes.io/storage-class")) return std::string(old->Str());
  const json::Value& name = object["spec"]["storageClassName"];
  if (!name.is_string()) return std::nullopt;
  return std::string(name.Str());
}

bool IsBoundTo(const json::Value& volume, const json::Value& claim) {
  const json::Value& ref = volume["spec"]["claimRef"];
  if (ref["name"].Str() != Name(claim) || ref["namespace"].Str() != Namespace(claim)) return false;
  return ref["uid"].Str().empty() || ref["uid"].Str() == Uid(claim);
}

bool IsFullyBound(const json::Value& claim) { return !claim["spec"]["volumeName"].Str().empty() && Meta(claim)["annotations"].Find(kBindCompleted); }

bool WaitsForConsumer(const json::Value* storage_class) { return storage_class && (*storage_class)["volumeBindingMode"].Str() == "WaitForFirstConsumer"; }

std::string Mismatch(const json::Value& volume, const json::Value& claim) {
  if (Bytes(claim["spec"]["resources"]["requests"]["storage"]) > Bytes(volume["spec"]["capacity"]["storage"])) return "requested PV is too small";
  if (StorageClassOf(volume).value_or("") != StorageClassOf(claim).value_or("")) return "storageClassName does not match";
  if (volume["spec"]["volumeAttributesClassName"].Str() != claim["spec"]["volumeAttributesClassName"].Str()) return "volumeAttributesClassName does not match";
  if (ModeOf(volume) != ModeOf(claim)) return "incompatible volumeMode";
  if (!HasModes(volume, claim)) return "incompatible accessMode";
  return {};
}

bool MatchesVolumeNode(const json::Value& volume, const json::Value& node) {
  const json::Value& required = volume["spec"]["nodeAffinity"]["required"];
  return required.is_null() || MatchesNodeSelector(required, node);
}

ObjectPtr FindVolume(const std::vector<ObjectPtr>& volumes, const json::Value& claim, const json::Value* node, bool reserved_only,
                     const std::vector<std::string>& taken) {
  ObjectPtr best;
  const json::Value& selector = claim["spec"]["selector"];
  for (const ObjectPtr& v : volumes) {
    if (std::find(taken.begin(), taken.end(), Name(*v)) != taken.end() || IsTerminating(*v)) continue;
    if (node && !MatchesVolumeNode(*v, *node)) continue;
    if (IsBoundTo(*v, claim)) {
      if (Mismatch(*v, claim).empty()) return v;
      continue;
    }
    if (reserved_only || (*v)["spec"]["claimRef"].is_object() || (*v)["status"]["phase"].Str() != "Available") continue;
    if (!Mismatch(*v, claim).empty() || (!selector.is_null() && !MatchesSelector(selector, Meta(*v)["labels"]))) continue;
    if (!best || Bytes((*v)["spec"]["capacity"]["storage"]) < Bytes((*best)["spec"]["capacity"]["storage"])) best = v;
  }
  return best;
}

json::Value BoundVolume(const json::Value& volume, const json::Value& claim) {
  json::Value next = volume.Clone();
  const json::Value& old = volume["spec"]["claimRef"];
  if (old.is_object() && old["uid"].Str() == Uid(claim)) return next;
  if (!old.is_object()) next.Set("metadata").Set("annotations").Set(kBoundByController) = "yes";
  json::Value& ref = next.Set("spec").Set("claimRef");
  ref = json::Value::Object();
  ref.Set("kind") = "PersistentVolumeClaim";
  ref.Set("namespace") = Namespace(claim);
  ref.Set("name") = Name(claim);
  ref.Set("uid") = Uid(claim);
  ref.Set("apiVersion") = "v1";
  ref.Set("resourceVersion") = Meta(claim)["resourceVersion"].Str();
  return next;
}

std::vector<PodClaim> ClaimsOfPod(const json::Value& pod) {
  std::vector<PodClaim> out;
  for (const json::Value& v : pod["spec"]["volumes"].Items()) {
    if (v["persistentVolumeClaim"].is_object()) out.push_back({std::string(v["persistentVolumeClaim"]["claimName"].Str()), false});
    if (v["ephemeral"].is_object()) out.push_back({Cat(Name(pod), "-", v["name"].Str()), true});
  }
  return out;
}

}  // namespace skerry::kube
