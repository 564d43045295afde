#include "embedded-kube-shim/auth/node_authorizer.h"

#include <algorithm>
#include <array>
#include <functional>

#include "core/base/strings.h"

namespace skerry::kube {
namespace {

constexpr std::string_view kUserPrefix = "system:node:", kGroup = "system:nodes", kLeases = "kube-node-lease";

bool IsOneOf(std::string_view text, std::initializer_list<std::string_view> list) { return std::find(list.begin(), list.end(), text) != list.end(); }

Verdict Allow() { return {Decision::kAllow, ""}; }
Verdict Silent(std::string reason = {}) { return {Decision::kNoOpinion, std::move(reason)}; }

// Does a field selector ask for exactly one value of a field?
bool Selects(std::string_view selector, std::string_view field, std::string_view value) {
  for (const auto part : Split(selector, ',')) {
    const auto at = part.find('=');
    if (at == std::string_view::npos || part[at - (at > 0)] == '!' || Trim(part.substr(0, at)) != field) continue;
    auto given = part.substr(at + 1);
    if (given.starts_with('=')) given.remove_prefix(1);
    if (Trim(given) == value) return true;
  }
  return false;
}

class NodeAuthorizer final : public Authorizer {
 public:
  explicit NodeAuthorizer(Informers& informers)
      : pods_(informers.Get("v1/pods")), claims_(informers.Get("v1/persistentvolumeclaims")), volumes_(informers.Get("v1/persistentvolumes")),
        attachments_(informers.Get("storage.k8s.io/v1/volumeattachments")) {}

  Verdict Authorize(const Attributes& a) const override {
    const auto identity = NodeIdentity(a.user);
    if (!identity.is_node) return Silent();
    if (identity.name.empty()) return Silent(Cat("unknown node for user ", Quote(a.user.name)));
    const auto& node = identity.name;
    if (a.resource_request) {
      if (a.group.empty() && a.resource == "secrets") return ReadObject(node, a, [&] { return RefersTo(node, a, &PodReferences::secrets) || OfVolume(node, a); });
      if (a.group.empty() && a.resource == "configmaps") return ReadObject(node, a, [&] { return RefersTo(node, a, &PodReferences::config_maps); });
      if (a.group.empty() && a.resource == "persistentvolumeclaims") {
        const auto related = [&] { return RefersTo(node, a, &PodReferences::claims); };
        return a.subresource == "status" ? WriteStatus(node, a, related) : Get(node, a, related);
      }
      if (a.group.empty() && a.resource == "persistentvolumes") return Get(node, a, [&] { return HasVolume(node, a.name); });
      if (a.group == "resource.k8s.io" && a.resource == "resourceclaims") return Get(node, a, [&] { return RefersTo(node, a, &PodReferences::resource_claims); });
      if (a.group == "storage.k8s.io" && a.resource == "volumeattachments") return Get(node, a, [&] { return IsAttachment(node, a.name); });
      if (a.group.empty() && a.resource == "serviceaccounts") return Account(node, a);
      if (a.group == "coordination.k8s.io" && a.resource == "leases") return Lease(node, a);
      if (a.group == "storage.k8s.io" && a.resource == "csinodes") return CsiNode(node, a);
      if (a.group == "resource.k8s.io" && a.resource == "resourceslices") return Slice(node, a);
      if (a.group.empty() && a.resource == "nodes") return Node(node, a);
      if (a.group.empty() && a.resource == "pods") return Pod(node, a);
    }
    for (const auto& rule : Rules())
      if (rule.Allows(a)) return Allow();
    return Silent();
  }

 private:
  using Related = std::function<bool()>;

  // What every agent may do, whatever runs on its node.
  static const std::vector<PolicyRule>& Rules() {
    static const std::vector<PolicyRule> rules = {
        {{"create"}, {"authentication.k8s.io"}, {"tokenreviews"}, {}, {}},
        {{"create"}, {"authorization.k8s.io"}, {"localsubjectaccessreviews", "subjectaccessreviews"}, {}, {}},
        {{"get", "list", "watch"}, {""}, {"services"}, {}, {}},
        {{"create", "patch", "update"}, {"", "events.k8s.io"}, {"events"}, {}, {}},
        {{"create", "get", "list", "watch"}, {"certificates.k8s.io"}, {"certificatesigningrequests"}, {}, {}},
        {{"get", "list", "watch"}, {"storage.k8s.io"}, {"csidrivers"}, {}, {}},
        {{"get", "list", "watch"}, {"node.k8s.io"}, {"runtimeclasses"}, {}, {}},
    };
    return rules;
  }

  static Verdict Relate(const std::string& node, const Attributes& a, const Related& related) {
    if (a.name.empty()) return Silent("No Object name found");
    if (related()) return Allow();
    return Silent(Cat("no relationship found between node '", node, "' and this object"));
  }
  static Verdict ReadObject(const std::string& node, const Attributes& a, const Related& related) {
    if (!IsOneOf(a.verb, {"get", "list", "watch"})) return Silent("can only read resources of this type");
    if (!a.subresource.empty()) return Silent("cannot read subresource");
    if (a.ns.empty()) return Silent("can only read namespaced object of this type");
    return Relate(node, a, related);
  }
  static Verdict Get(const std::string& node, const Attributes& a, const Related& related) {
    if (a.verb != "get") return Silent("can only get individual resources of this type");
    if (!a.subresource.empty()) return Silent("cannot get subresource");
    return Relate(node, a, related);
  }
  static Verdict WriteStatus(const std::string& node, const Attributes& a, const Related& related) {
    if (!IsOneOf(a.verb, {"update", "patch"})) return Silent("can only get/update/patch this type");
    return Relate(node, a, related);
  }

  bool AnyPod(const std::string& node, std::string_view ns, const std::function<bool(const json::Value&)>& wanted) const {
    for (const auto& pod : pods_.OnNode(node))
      if ((ns.empty() || pod->At({"metadata", "namespace"}).Str() == ns) && wanted(*pod)) return true;
    return false;
  }
  bool RefersTo(const std::string& node, const Attributes& a, std::set<std::string, std::less<>> PodReferences::*member) const {
    return AnyPod(node, a.ns, [&](const json::Value& pod) { return (PodReferences(pod).*member).contains(a.name); });
  }
  // The volumes behind the claims of a node's pods.
  bool EachVolume(const std::string& node, const std::function<bool(const json::Value& volume)>& wanted) const {
    return AnyPod(node, {}, [&](const json::Value& pod) {
      const std::string ns(pod.At({"metadata", "namespace"}).Str());
      const PodReferences references(pod);
      return std::any_of(references.claims.begin(), references.claims.end(), [&](const std::string& name) {
        const auto claim = claims_.Get({ns, name});
        const auto volume = claim ? volumes_.Get({"", std::string(claim->At({"spec", "volumeName"}).Str())}) : nullptr;
        return volume && volume->At({"spec", "claimRef", "namespace"}).Str() == ns && volume->At({"spec", "claimRef", "name"}).Str() == name && wanted(*volume);
      });
    });
  }
  bool HasVolume(const std::string& node, const std::string& name) const {
    return EachVolume(node, [&](const json::Value& volume) { return volume.At({"metadata", "name"}).Str() == name; });
  }
  bool OfVolume(const std::string& node, const Attributes& a) const {
    return EachVolume(node, [&](const json::Value& volume) {
      for (const std::string_view member : {"nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef"}) {
        const auto& reference = volume.At({"spec", "csi", member});
        if (reference["name"].Str() == a.name && reference["namespace"].Str() == a.ns) return true;
      }
      return false;
    });
  }
  bool IsAttachment(const std::string& node, const std::string& name) const {
    const auto attachment = attachments_.Get({"", name});
    return attachment && attachment->At({"spec", "nodeName"}).Str() == node;
  }

  Verdict Account(const std::string& node, const Attributes& a) const {
    const auto related = [&] { return AnyPod(node, a.ns, [&](const json::Value& pod) { return PodReferences(pod).service_account == a.name; }); };
    if (a.verb == "get" && a.subresource.empty()) return Relate(node, a, related);
    if (a.verb != "create" || a.subresource != "token") return Silent("can only create tokens for individual service accounts");
    return Relate(node, a, related);
  }

  static Verdict Lease(const std::string& node, const Attributes& a) {
    if (!IsOneOf(a.verb, {"get", "create", "update", "patch", "delete"})) return Silent("can only get, create, update, patch, or delete a node lease");
    if (a.ns != kLeases) return Silent(Cat("can only access leases in the ", Quote(kLeases), " system namespace"));
    if (a.verb != "create" && a.name != node) return Silent("can only access node lease with the same name as the requesting node");
    return Allow();
  }
  static Verdict CsiNode(const std::string& node, const Attributes& a) {
    if (!IsOneOf(a.verb, {"get", "create", "update", "patch", "delete"})) return Silent("can only get, create, update, patch, or delete a CSINode");
    if (!a.subresource.empty()) return Silent("cannot authorize CSINode subresources");
    if (a.verb != "create" && a.name != node) return Silent("can only access CSINode with the same name as the requesting node");
    return Allow();
  }
  static Verdict Slice(const std::string& node, const Attributes& a) {
    if (!a.subresource.empty()) return Silent("cannot authorize ResourceSlice subresources");
    if (a.verb == "create" || (IsOneOf(a.verb, {"get", "update", "patch", "delete"}) && !a.name.empty())) return Allow();   // NodeRestriction looks inside
    if (IsOneOf(a.verb, {"list", "watch", "deletecollection"}) && Selects(a.field_selector, "spec.nodeName", node)) return Allow();
    return Silent("only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection");
  }
  static Verdict Node(const std::string& node, const Attributes& a) {
    if (a.subresource == "status" && IsOneOf(a.verb, {"update", "patch"})) return Allow();   // whose: NodeRestriction
    if (!a.subresource.empty()) return Silent();
    if (IsOneOf(a.verb, {"create", "update", "patch"})) return Allow();
    if (!IsOneOf(a.verb, {"get", "list", "watch"})) return Silent();
    if (a.name == node || Selects(a.field_selector, "metadata.name", node)) return Allow();
    if (a.name.empty()) return Silent(Cat("node '", node, "' cannot read all nodes, only its own Node object"));
    return Silent(Cat("node '", node, "' cannot read '", a.name, "', only its own Node object"));
  }
  Verdict Pod(const std::string& node, const Attributes& a) const {
    if (a.subresource == "status" && IsOneOf(a.verb, {"update", "patch"})) return Allow();
    if (a.subresource == "eviction" && a.verb == "create") return Allow();
    if (!a.subresource.empty()) return Silent();
    if (a.verb == "create" || a.verb == "delete") return Allow();
    if (a.verb == "get")
      return Relate(node, a, [&] {
        const auto pod = pods_.Get({a.ns, a.name});
        return pod && pod->At({"spec", "nodeName"}).Str() == node;
      });
    if (!IsOneOf(a.verb, {"list", "watch"})) return Silent();
    if (Selects(a.field_selector, "spec.nodeName", node)) return Allow();
    return Silent("can only list/watch pods with spec.nodeName field selector");
  }

  const Lister& pods_;
  const Lister& claims_;
  const Lister& volumes_;
  const Lister& attachments_;
};

}  // namespace

NodeName NodeIdentity(const User& user) {
  if (!user.name.starts_with(kUserPrefix) || !user.InGroup(kGroup)) return {};
  return {true, user.name.substr(kUserPrefix.size())};
}

PodReferences::PodReferences(const json::Value& pod) {
  const auto& spec = pod["spec"];
  const auto add = [](std::set<std::string, std::less<>>& to, std::string_view name) {
    if (!name.empty()) to.emplace(name);
  };
  service_account = spec["serviceAccountName"].Str();
  for (const auto& secret : spec["imagePullSecrets"].Items()) add(secrets, secret["name"].Str());
  for (const std::string_view list : {"initContainers", "containers", "ephemeralContainers"}) {
    for (const auto& container : spec[list].Items()) {
      for (const auto& from : container["envFrom"].Items()) {
        add(secrets, from.At({"secretRef", "name"}).Str());
        add(config_maps, from.At({"configMapRef", "name"}).Str());
      }
      for (const auto& variable : container["env"].Items()) {
        add(secrets, variable.At({"valueFrom", "secretKeyRef", "name"}).Str());
        add(config_maps, variable.At({"valueFrom", "configMapKeyRef", "name"}).Str());
      }
    }
  }
  for (const auto& volume : spec["volumes"].Items()) {
    add(secrets, volume.At({"secret", "secretName"}).Str());
    for (const std::string_view source : {"csi", "flexVolume", "iscsi", "rbd", "cephfs", "scaleIO", "storageos", "cinder", "azureFile"}) {
      add(secrets, volume[source].At({"secretRef", "name"}).Str());
      add(secrets, volume[source].At({"nodePublishSecretRef", "name"}).Str());
      add(secrets, volume[source]["secretName"].Str());
    }
    add(config_maps, volume.At({"configMap", "name"}).Str());
    add(claims, volume.At({"persistentVolumeClaim", "claimName"}).Str());
    if (volume.Find("ephemeral")) add(claims, Cat(pod.At({"metadata", "name"}).Str(), "-", volume["name"].Str()));
    for (const auto& source : volume.At({"projected", "sources"}).Items()) {
      add(secrets, source.At({"secret", "name"}).Str());
      add(config_maps, source.At({"configMap", "name"}).Str());
    }
  }
  for (const auto& claim : spec["resourceClaims"].Items()) add(resource_claims, claim["resourceClaimName"].Str());
  for (const auto& claim : pod.At({"status", "resourceClaimStatuses"}).Items()) add(resource_claims, claim["resourceClaimName"].Str());
}

std::unique_ptr<Authorizer> NewNodeAuthorizer(Informers& informers) { return std::make_unique<NodeAuthorizer>(informers); }

}  // namespace skerry::kube
