#include "embedded-kube-shim/scheduler/volumes.h"

#include <algorithm>

#include "core/base/strings.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/controllers/node_match.h"
#include "embedded-kube-shim/controllers/volume_match.h"

namespace skerry::kube::scheduling {
namespace {

std::int64_t SizeOf(const json::Value& claim) {
  const auto q = text::Quantity::Parse(claim["spec"]["resources"]["requests"]["storage"].Str());
  return q ? q->Value() : 0;
}

bool IsSinglePod(const json::Value& claim) {
  const auto modes = claim["spec"]["accessModes"].Items();
  return std::any_of(modes.begin(), modes.end(), [](const json::Value& m) { return m.Str() == "ReadWriteOncePod"; });
}

ObjectPtr ClassOf(const json::Value& claim, const VolumeSources& sources) {
  const auto name = StorageClassOf(claim);
  return name && !name->empty() ? sources.classes->Get({"", *name}) : nullptr;
}

bool UsedByOthers(const PodFacts& pod, const std::string& claim, const Cluster& cluster) {
  for (const auto& [name, node] : cluster.nodes()) {
    for (const PodPtr& p : node.pods) {
      if (p->uid == pod.uid || p->key.ns != pod.key.ns) continue;
      if (std::find(p->claims.begin(), p->claims.end(), claim) != p->claims.end()) return true;
    }
  }
  return false;
}

bool AllowsTopology(const json::Value& storage_class, const json::Value& node) {
  const auto terms = storage_class["allowedTopologies"].Items();
  if (terms.empty()) return true;
  return std::any_of(terms.begin(), terms.end(), [&](const json::Value& term) {
    const auto wanted = term["matchLabelExpressions"].Items();
    return std::all_of(wanted.begin(), wanted.end(), [&](const json::Value& e) {
      const json::Value* label = Meta(node)["labels"].Find(e["key"].Str());
      const auto values = e["values"].Items();
      return label && std::any_of(values.begin(), values.end(), [&](const json::Value& v) { return v.Str() == label->Str(); });
    });
  });
}

// Why this claim keeps the pod from running anywhere; null claims included.
std::string Rejection(const PodClaim& wanted, const ObjectPtr& claim, const json::Value& pod) {
  if (!claim) {
    if (wanted.ephemeral) return Cat("waiting for ephemeral volume controller to create the persistentvolumeclaim ", Quote(wanted.name));
    return Cat("persistentvolumeclaim ", Quote(wanted.name), " not found");
  }
  if ((*claim)["status"]["phase"].Str() == "Lost") {
    return Cat("persistentvolumeclaim ", Quote(wanted.name), " bound to non-existent persistentvolume ", Quote((*claim)["spec"]["volumeName"].Str()));
  }
  if (IsTerminating(*claim)) return Cat("persistentvolumeclaim ", Quote(wanted.name), " is being deleted");
  if (wanted.ephemeral && !IsControlledBy(*claim, Uid(pod))) {
    return Cat("PVC ", Namespace(pod), "/", wanted.name, " was not created for pod ", Namespace(pod), "/", Name(pod), " (pod is not owner)");
  }
  return {};
}

}  // namespace

VolumeState PrepareVolumes(const PodFacts& pod, const Cluster& cluster, const VolumeSources& sources) {
  VolumeState out;
  bool immediate = false;
  for (const PodClaim& wanted : ClaimsOfPod(*pod.object)) {
    const ObjectPtr claim = sources.claims->Get({pod.key.ns, wanted.name});
    out.rejection = Rejection(wanted, claim, *pod.object);
    if (!out.rejection.empty()) return out;
    if (IsSinglePod(*claim) && UsedByOthers(pod, wanted.name, cluster)) out.single_pod_taken = true;
    const std::string volume((*claim)["spec"]["volumeName"].Str());
    if (IsFullyBound(*claim)) {
      if (ObjectPtr v = sources.volumes->Get({"", volume})) {
        out.bound.push_back(std::move(v));
      } else {
        out.lost_volume = true;
      }
    } else if (volume.empty() && WaitsForConsumer(ClassOf(*claim, sources).get())) {
      out.unbound.push_back(claim);
    } else {
      immediate = true;
    }
  }
  if (immediate) out.rejection = "pod has unbound immediate PersistentVolumeClaims";
  std::stable_sort(out.unbound.begin(), out.unbound.end(), [](const ObjectPtr& a, const ObjectPtr& b) { return SizeOf(*a) < SizeOf(*b); });
  return out;
}

bool PlanVolumes(const VolumeState& state, const NodeInfo& node, const VolumeSources& sources, std::vector<VolumePlan>* plan) {
  if (state.unbound.empty()) return true;
  const std::vector<ObjectPtr> volumes = sources.volumes->List();
  std::vector<std::string> taken;
  for (const ObjectPtr& claim : state.unbound) {
    const std::string_view selected = Meta(*claim)["annotations"][kSelectedNode].Str();
    if (!selected.empty() && selected != node.name) return false;   // provisioning has begun elsewhere
    if (ObjectPtr v = FindVolume(volumes, *claim, node.object.get(), false, taken)) {
      taken.emplace_back(Name(*v));
      if (plan) plan->push_back({claim, std::move(v)});
      continue;
    }
    const ObjectPtr storage_class = ClassOf(*claim, sources);
    if (!storage_class || (*storage_class)["provisioner"].Str() == kNoProvisioner || !AllowsTopology(*storage_class, *node.object)) return false;
    if (plan) plan->push_back({claim, nullptr});
  }
  return true;
}

std::string CheckVolumeNode(const VolumeState& state, const NodeInfo& node, const VolumeSources& sources) {
  if (state.lost_volume) return "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
  for (const ObjectPtr& v : state.bound) {
    if (!MatchesVolumeNode(*v, *node.object)) return "node(s) didn't match PersistentVolume's node affinity";
  }
  if (!PlanVolumes(state, node, sources, nullptr)) return "node(s) didn't find available persistent volumes to bind";
  return {};
}

std::string CheckVolumeZone(const VolumeState& state, const NodeInfo& node) {
  static constexpr const char* kZones[] = {"topology.kubernetes.io/zone", "topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
                                           "failure-domain.beta.kubernetes.io/region"};
  const bool placed = std::any_of(std::begin(kZones), std::end(kZones), [&](const char* z) { return node.labels().Find(z); });
  if (!placed) return {};
  for (const ObjectPtr& v : state.bound) {
    for (const char* zone : kZones) {
      const json::Value* wanted = Meta(*v)["labels"].Find(zone);
      if (!wanted) continue;
      const json::Value* have = node.labels().Find(zone);
      // Several zones are joined by two underscores.
      const std::string all = Cat("__", wanted->Str(), "__");
      if (!have || all.find(Cat("__", have->Str(), "__")) == std::string::npos) return "node(s) had no available volume zone";
    }
  }
  return {};
}

}  // namespace skerry::kube::scheduling
