#include <algorithm>
#include <array>
#include <set>

#include "core/base/strings.h"
#include "embedded-kube-shim/admission/admission.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/auth/node_authorizer.h"

// What a node agent writes concerns its own node and the pods on it; its labels do not let it draw pods to itself.
namespace skerry::kube {
namespace {

constexpr std::string_view kMirror = "kubernetes.io/config.mirror";

// Labels under Kubernetes' own domains that an agent may give its node.
bool MayLabel(std::string_view key) {
  constexpr std::array<std::string_view, 12> kKnown = {"kubernetes.io/hostname", "topology.kubernetes.io/zone", "topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
                                                       "failure-domain.beta.kubernetes.io/region", "node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type", "kubernetes.io/os",
                                                       "kubernetes.io/arch", "beta.kubernetes.io/os", "beta.kubernetes.io/arch", "node.kubernetes.io/exclude-disruption"};
  const auto domain = key.substr(0, key.find('/') == std::string_view::npos ? 0 : key.find('/'));
  const auto within = [&](std::string_view parent) { return domain == parent || (domain.ends_with(parent) && domain[domain.size() - parent.size() - 1] == '.'); };
  if (!within("kubernetes.io") && !within("k8s.io")) return true;
  if (within("kubelet.kubernetes.io") || within("node.kubernetes.io")) return true;
  return std::find(kKnown.begin(), kKnown.end(), key) != kKnown.end();
}

std::string Listed(const std::set<std::string>& keys) { return Join({keys.begin(), keys.end()}, ", "); }

class NodeRestriction final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "NodeRestriction"; }

  // Before anything else looks at the object: a mutator by place, although it changes nothing.
  Result<> Mutate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    const auto identity = NodeIdentity(request.user);
    if (!identity.is_node) return {};
    if (identity.name.empty()) return std::unexpected(Refuse(request, Cat("could not determine node from user ", Quote(request.user.name))));
    const std::string& node = identity.name;
    const auto& def = request.def;
    if (def.group.empty() && def.resource == "pods") return Pods(request, world, node);
    if (def.group.empty() && def.resource == "nodes") return Nodes(request, node);
    if (def.group.empty() && def.resource == "persistentvolumeclaims") return Claims(request, node);
    if (def.group.empty() && def.resource == "serviceaccounts") return Tokens(request, world, node);
    if (def.group == "coordination.k8s.io" && def.resource == "leases") return Leases(request, node);
    if (def.group == "storage.k8s.io" && def.resource == "csinodes") {
      if (NameOf(request) != node) return std::unexpected(Refuse(request, "can only access CSINode with the same name as the requesting node"));
      return {};
    }
    if (def.group == "resource.k8s.io" && def.resource == "resourceslices") return Slices(request, node);
    return {};
  }

 private:
  static std::string_view NameOf(const AdmissionRequest& request) { return request.object && request.subresource.empty() ? request.object->At({"metadata", "name"}).Str(request.name) : request.name; }
  static Error Refuse(const AdmissionRequest& request, std::string why) { return ForbiddenError(request.def.group, request.def.resource, NameOf(request), why); }

  static Result<> Pods(const AdmissionRequest& request, const AdmissionWorld& world, const std::string& node) {
    if (request.subresource == "status") return PodStatus(request, node);
    if (request.subresource == "eviction") {
      const auto pod = world.Lookup("", "pods", request.ns, request.name);
      if (pod && pod->At({"spec", "nodeName"}).Str() != node) return std::unexpected(Refuse(request, Cat("node ", node, " can only evict pods with spec.nodeName set to itself")));
      return {};
    }
    if (!request.subresource.empty()) return std::unexpected(Refuse(request, Cat("unexpected pod subresource ", Quote(request.subresource), ", only 'status' and 'eviction' are allowed")));
    if (request.operation == Operation::kCreate) return MirrorPod(request, world, node);
    if (request.operation != Operation::kDelete) return std::unexpected(Refuse(request, Cat("unexpected operation \"UPDATE\", node ", Quote(node), " can only create and delete mirror pods")));
    const auto pod = request.old ? nullptr : world.Lookup("", "pods", request.ns, request.name);
    const auto* found = request.old ? request.old : pod.get();
    if (found && found->At({"spec", "nodeName"}).Str() != node) return std::unexpected(Refuse(request, Cat("node ", Quote(node), " can only delete pods with spec.nodeName set to itself")));
    return {};
  }

  static Result<> PodStatus(const AdmissionRequest& request, const std::string& node) {
    if (request.operation != Operation::kUpdate || !request.old) return {};
    if (request.old->At({"spec", "nodeName"}).Str() != node) return std::unexpected(Refuse(request, Cat("node ", Quote(node), " can only update pod status for pods with spec.nodeName set to itself")));
    if (!(request.old->At({"metadata", "labels"}) == request.object->At({"metadata", "labels"}))) return std::unexpected(Refuse(request, Cat("node ", Quote(node), " cannot update labels through pod status")));
    if (!(request.old->At({"status", "resourceClaimStatuses"}) == request.object->At({"status", "resourceClaimStatuses"})))
      return std::unexpected(Refuse(request, Cat("node ", Quote(node), " cannot update resource claim statuses")));
    return {};
  }

  static Result<> MirrorPod(const AdmissionRequest& request, const AdmissionWorld& world, const std::string& node) {
    const auto& pod = *request.object;
    const auto refuse = [&](std::string why) -> Result<> { return std::unexpected(Refuse(request, std::move(why))); };
    if (!pod.At({"metadata", "annotations"}).Find(kMirror)) return refuse(Cat("pod does not have ", Quote(kMirror), " annotation, node ", Quote(node), " can only create mirror pods"));
    if (pod.At({"spec", "nodeName"}).Str() != node) return refuse(Cat("node ", Quote(node), " can only create pods with spec.nodeName set to itself"));
    const auto& owners = pod.At({"metadata", "ownerReferences"});
    if (owners.size() > 1) return refuse(Cat("node ", Quote(node), " can only create pods with a single owner reference set to itself"));
    const auto own_only = Cat("node ", Quote(node), " can only create pods with an owner reference set to itself");
    if (owners.size() == 0) return refuse(own_only);
    const auto& owner = owners.Items()[0];
    if (owner["apiVersion"].Str() != "v1" || owner["kind"].Str() != "Node" || owner["name"].Str() != node) return refuse(own_only);
    if (!owner["controller"].Bool()) return refuse(Cat("node ", Quote(node), " can only create pods with a controller owner reference set to itself"));
    if (owner["blockOwnerDeletion"].Bool()) return refuse(Cat("node ", Quote(node), " must not set blockOwnerDeletion on an owner reference"));
    const auto self = world.Lookup("", "nodes", "", node);
    if (!self) return std::unexpected(NotFoundError("", "nodes", node));
    if (const auto uid = self->At({"metadata", "uid"}).Str(); owner["uid"].Str() != uid) return refuse(Cat("node ", node, " UID mismatch: expected ", owner["uid"].Str(), " got ", uid));
    PodReferences references(pod);
    if (!references.service_account.empty()) return refuse(Cat("node ", Quote(node), " can not create pods that reference a service account"));
    if (!references.secrets.empty()) return refuse(Cat("node ", Quote(node), " can not create pods that reference secrets"));
    if (!references.config_maps.empty()) return refuse(Cat("node ", Quote(node), " can not create pods that reference configmaps"));
    if (!references.claims.empty()) return refuse(Cat("node ", Quote(node), " can not create pods that reference persistentvolumeclaims"));
    return {};
  }

  static Result<> Nodes(const AdmissionRequest& request, const std::string& node) {
    if (request.operation == Operation::kDelete || !request.object) return OwnNode(request, node);
    const auto& next = *request.object;
    const auto& labels = next.At({"metadata", "labels"});
    if (request.operation == Operation::kCreate) {
      // The words are upstream's own.
      if (next.At({"spec"}).Find("configSource")) return std::unexpected(Refuse(request, Cat("node ", Quote(node), " is not allowed to create pods with a non-nil configSource")));
      std::set<std::string> refused;
      for (const auto& [key, value] : labels.Members())
        if (!MayLabel(key)) refused.insert(key);
      if (!refused.empty()) return std::unexpected(Refuse(request, Cat("node ", Quote(node), " is not allowed to set the following labels: ", Listed(refused))));
      return OwnNode(request, node);
    }
    TRY_VOID(OwnNode(request, node));
    const auto& before = *request.old;
    if (const auto* source = next.At({"spec"}).Find("configSource"); source && !(*source == before.At({"spec", "configSource"})))
      return std::unexpected(Refuse(request, Cat("node ", Quote(node), " is not allowed to update configSource to a new non-nil configSource")));
    if (!(next.At({"spec", "taints"}) == before.At({"spec", "taints"}))) return std::unexpected(Refuse(request, Cat("node ", Quote(node), " is not allowed to modify taints")));
    std::set<std::string> refused;
    const auto& old_labels = before.At({"metadata", "labels"});
    for (const auto* side : {&labels, &old_labels})
      for (const auto& [key, value] : side->Members())
        if (!(labels[key] == old_labels[key]) && !MayLabel(key)) refused.insert(key);
    if (!refused.empty()) return std::unexpected(Refuse(request, Cat("is not allowed to modify labels: ", Listed(refused))));
    if (!(next.At({"metadata", "ownerReferences"}) == before.At({"metadata", "ownerReferences"}))) return std::unexpected(Refuse(request, Cat("node ", Quote(node), " is not allowed to modify ownerReferences")));
    return {};
  }

  static Result<> OwnNode(const AdmissionRequest& request, const std::string& node) {
    if (NameOf(request) == node || NameOf(request).empty()) return {};
    return std::unexpected(Refuse(request, Cat("node ", Quote(node), " is not allowed to modify node ", Quote(NameOf(request)))));
  }

  // Growth of a volume that the agent has seen through.
  static Result<> Claims(const AdmissionRequest& request, const std::string& node) {
    if (request.operation != Operation::kUpdate || !request.old) return {};
    if (request.subresource != "status") return std::unexpected(Refuse(request, Cat("node ", Quote(node), " can only update the status of claims")));
    auto next = request.object->Clone();
    for (const std::string_view member : {"capacity", "conditions", "allocatedResources", "allocatedResourceStatuses", "modifyVolumeStatus"}) {
      if (const auto* value = request.old->At({"status"}).Find(member)) next.Set("status").Set(member) = value->Clone();
      else if (next.Find("status")) next.Set("status").Erase(member);
    }
    for (const std::string_view member : {"managedFields", "resourceVersion"}) {
      if (const auto* value = request.old->At({"metadata"}).Find(member)) next.Set("metadata").Set(member) = value->Clone();
      else next.Set("metadata").Erase(member);
    }
    if (next == *request.old) return {};
    return std::unexpected(Refuse(request, Cat("node ", Quote(node), " is not allowed to update fields other than status.quantity and status.conditions")));
  }

  // Tokens are asked for on behalf of a pod that runs here.
  static Result<> Tokens(const AdmissionRequest& request, const AdmissionWorld& world, const std::string& node) {
    if (request.operation != Operation::kCreate || request.subresource != "token" || !request.object) return {};
    const auto refuse = [&](std::string why) -> Result<> { return std::unexpected(Refuse(request, std::move(why))); };
    const auto& bound = request.object->At({"spec", "boundObjectRef"});
    if (!bound.is_object() || bound["apiVersion"].Str() != "v1" || bound["kind"].Str() != "Pod" || bound["name"].Str().empty()) return refuse("node requested token not bound to a pod");
    if (bound["uid"].Str().empty()) return refuse("node requested token with a pod binding without a uid");
    const auto pod = world.Lookup("", "pods", request.ns, bound["name"].Str());
    if (!pod) return std::unexpected(NotFoundError("", "pods", bound["name"].Str()));
    const auto uid = pod->At({"metadata", "uid"}).Str();
    if (uid != bound["uid"].Str())
      return std::unexpected(ConflictError("", "pods", bound["name"].Str(), Cat("the UID in the bound object reference (", bound["uid"].Str(), ") does not match the UID in record. The object might have been deleted and then recreated")));
    if (pod->At({"spec", "nodeName"}).Str() != node) return refuse("node requested token bound to a pod scheduled on a different node");
    return {};
  }

  static Result<> Leases(const AdmissionRequest& request, const std::string& node) {
    if (request.ns != "kube-node-lease") return std::unexpected(Refuse(request, "can only access leases in the \"kube-node-lease\" system namespace"));
    if (NameOf(request) != node) return std::unexpected(Refuse(request, "can only access node lease with the same name as the requesting node"));
    return {};
  }

  static Result<> Slices(const AdmissionRequest& request, const std::string& node) {
    const auto* slice = request.object ? request.object : request.old;
    if (!slice || slice->At({"spec", "nodeName"}).Str() == node) return {};
    if (request.operation == Operation::kCreate) return std::unexpected(Refuse(request, "can only create ResourceSlice with the same NodeName as the requesting node"));
    return std::unexpected(Refuse(request, "can only delete ResourceSlice with the same NodeName as the requesting node"));
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> NewNodeRestriction() { return std::make_unique<NodeRestriction>(); }

}  // namespace skerry::kube
