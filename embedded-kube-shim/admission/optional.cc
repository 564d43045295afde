#include <algorithm>
#include <map>

#include "core/base/strings.h"
#include "embedded-kube-shim/admission/admission.h"
#include "embedded-kube-shim/admission/tolerations.h"
#include "embedded-kube-shim/api/status.h"

// Plugins that an operator turns on by name (--enable-admission-plugins).
namespace skerry::kube {
namespace {

bool IsWrite(const AdmissionRequest& request) { return request.operation == Operation::kCreate || request.operation == Operation::kUpdate; }
bool Writes(const AdmissionRequest& request, std::string_view group, std::string_view resource) {
  return IsWrite(request) && request.object && request.subresource.empty() && request.def.group == group && request.def.resource == resource;
}
Error Refuse(const AdmissionRequest& request, std::string why) {
  const auto name = request.object ? request.object->At({"metadata", "name"}).Str(request.name) : request.name;
  return ForbiddenError(request.def.group, request.def.resource, name, why);
}
std::string_view Annotation(const json::Value* object, std::string_view key) { return object ? object->At({"metadata", "annotations", key}).Str() : std::string_view(); }

class AlwaysPullImages final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "AlwaysPullImages"; }
  Result<> Mutate(const Ctx&, AdmissionRequest& request, const AdmissionWorld&) const override {
    const bool ephemeral = request.def.group.empty() && request.def.resource == "pods" && request.subresource == "ephemeralcontainers" && request.object;
    if (!Writes(request, "", "pods") && !ephemeral) return {};
    auto& spec = request.object->Set("spec");
    for (const std::string_view list : {"initContainers", "containers", "ephemeralContainers"})
      if (spec.Find(list))
        for (auto& container : spec.Set(list).MutableItems()) container.Set("imagePullPolicy") = "Always";
    if (spec.Find("volumes"))
      for (auto& volume : spec.Set("volumes").MutableItems())
        if (volume.Find("image")) volume.Set("image").Set("pullPolicy") = "Always";
    return {};
  }
};

class LimitPodHardAntiAffinityTopology final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "LimitPodHardAntiAffinityTopology"; }
  Result<> Validate(const Ctx&, AdmissionRequest& request, const AdmissionWorld&) const override {
    constexpr std::string_view kHostname = "kubernetes.io/hostname";
    if (!Writes(request, "", "pods")) return {};
    for (const auto& term : request.object->At({"spec", "affinity", "podAntiAffinity", "requiredDuringSchedulingIgnoredDuringExecution"}).Items())
      if (const auto key = term["topologyKey"].Str(); key != kHostname)
        return std::unexpected(Refuse(request, Cat("affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey ", key, " but only key ", kHostname, " is allowed")));
    return {};
  }
};

class ExtendedResourceToleration final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "ExtendedResourceToleration"; }
  Result<> Mutate(const Ctx&, AdmissionRequest& request, const AdmissionWorld&) const override {
    if (!Writes(request, "", "pods")) return {};
    auto& spec = request.object->Set("spec");
    std::map<std::string, bool> wanted;
    for (const std::string_view list : {"initContainers", "containers"})
      for (const auto& container : spec[list].Items())
        for (const auto& [name, amount] : container.At({"resources", "requests"}).Members())
          if (name.find('/') != std::string::npos && name.find("kubernetes.io/") == std::string::npos) wanted[name] = true;
    for (const auto& [name, yes] : wanted) {
      const auto present = spec["tolerations"].Items();
      if (std::any_of(present.begin(), present.end(), [&](const json::Value& t) { return t["key"].Str() == name && t["operator"].Str() == "Exists" && t["effect"].Str().empty(); })) continue;
      auto toleration = json::Value::Object();
      toleration.Set("key") = name;
      toleration.Set("operator") = "Exists";
      spec.Set("tolerations").Append(std::move(toleration));
    }
    return {};
  }
};

class DenyServiceExternalIps final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "DenyServiceExternalIPs"; }
  Result<> Validate(const Ctx&, AdmissionRequest& request, const AdmissionWorld&) const override {
    if (!Writes(request, "", "services")) return {};
    for (const auto& ip : request.object->At({"spec", "externalIPs"}).Items()) {
      bool had = false;
      if (request.old)
        for (const auto& before : request.old->At({"spec", "externalIPs"}).Items()) had = had || before.Str() == ip.Str();
      if (!had) return std::unexpected(Refuse(request, "Use of external IPs is denied by admission control"));
    }
    return {};
  }
};

// Pods get their namespace's node selector and may not contradict it.
class PodNodeSelector final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "PodNodeSelector"; }
  Result<> Mutate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    if (!Writes(request, "", "pods") || request.operation != Operation::kCreate) return {};
    TRY(const auto wanted, Wanted(request, world));
    auto& spec = request.object->Set("spec");
    for (const auto& [key, value] : wanted) {
      const auto* given = spec["nodeSelector"].Find(key);
      if (given && given->Str() != value) return std::unexpected(Refuse(request, "pod node label selector conflicts with its namespace node label selector"));
      spec.Set("nodeSelector").Set(key) = value;
    }
    return {};
  }
  Result<> Validate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    if (!Writes(request, "", "pods") || request.operation != Operation::kCreate) return {};
    TRY(const auto wanted, Wanted(request, world));
    for (const auto& [key, value] : wanted) {
      const auto* given = request.object->At({"spec", "nodeSelector"}).Find(key);
      if (given && given->Str() != value) return std::unexpected(Refuse(request, "pod node label selector conflicts with its namespace node label selector"));
    }
    return {};
  }

 private:
  static Result<std::map<std::string, std::string>> Wanted(const AdmissionRequest& request, const AdmissionWorld& world) {
    std::map<std::string, std::string> out;
    const auto ns = world.Lookup("", "namespaces", "", request.ns);
    const auto text = Annotation(ns.get(), "scheduler.alpha.kubernetes.io/node-selector");
    if (Trim(text).empty()) return out;
    for (const auto part : Split(text, ',')) {
      const auto equals = part.find('=');
      if (equals == std::string_view::npos || Trim(part.substr(0, equals)).empty()) return std::unexpected(Refuse(request, Cat("invalid selector: [", text, "]")));
      out[std::string(Trim(part.substr(0, equals)))] = std::string(Trim(part.substr(equals + 1)));
    }
    return out;
  }
};

// Tolerations that a namespace gives by default, and those it allows at all.
class PodTolerationRestriction final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "PodTolerationRestriction"; }
  Result<> Mutate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    if (!Writes(request, "", "pods") || request.operation != Operation::kCreate) return {};
    TRY(const auto defaults, ListIn(request, world, "scheduler.alpha.kubernetes.io/defaultTolerations"));
    auto& spec = request.object->Set("spec");
    if (defaults.size() > 0) spec.Set("tolerations") = MergeTolerations(spec["tolerations"], defaults);
    const auto qos = request.object->At({"status", "qosClass"}).Str();
    if (!qos.empty() && qos != "BestEffort") {
      auto pressure = json::Value::Array();
      auto& toleration = pressure.Append(json::Value::Object());
      toleration.Set("key") = "node.kubernetes.io/memory-pressure";
      toleration.Set("operator") = "Exists";
      toleration.Set("effect") = "NoSchedule";
      spec.Set("tolerations") = MergeTolerations(spec["tolerations"], pressure);
    }
    return {};
  }
  Result<> Validate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    if (!Writes(request, "", "pods")) return {};
    TRY(const auto allowed, ListIn(request, world, "scheduler.alpha.kubernetes.io/tolerationsWhitelist"));
    if (allowed.size() == 0 || AllTolerated(request.object->At({"spec", "tolerations"}), allowed)) return {};
    return std::unexpected(Refuse(request, "pod tolerations (possibly merged with namespace default tolerations) conflict with its namespace whitelist"));
  }

 private:
  static Result<json::Value> ListIn(const AdmissionRequest& request, const AdmissionWorld& world, std::string_view key) {
    auto out = json::Value::Array();
    const auto ns = world.Lookup("", "namespaces", "", request.ns);
    const auto text = Annotation(ns.get(), key);
    if (text.empty()) return out;
    std::string error;
    if (!json::Value::Parse(text, &out, &error) || !out.is_array()) return std::unexpected(Refuse(request, Cat("annotation ", key, " is no list of tolerations")));
    return out;
  }
};

// Only who may set finalizers of an owner can block the owner's deletion, and only who may delete an object can give it other owners.
class OwnerReferences final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "OwnerReferencesPermissionEnforcement"; }
  Result<> Validate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    if (!IsWrite(request) || !request.object) return {};
    const auto& now = request.object->At({"metadata", "ownerReferences"});
    static const json::Value kNone;
    const auto& before = request.old ? request.old->At({"metadata", "ownerReferences"}) : kNone;
    if (now == before || (now.size() == 0 && before.size() == 0)) return {};
    if (request.operation == Operation::kUpdate && !May(request, world, "delete", request.def.group, request.def.resource, "", request.ns, request.name))
      return std::unexpected(Refuse(request, "cannot set an ownerRef on a resource you can't delete: "));
    for (const auto& owner : now.Items()) {
      if (!owner["blockOwnerDeletion"].Bool() || Blocked(before, owner)) continue;
      const auto version = owner["apiVersion"].Str();
      const auto slash = version.find('/');
      const auto group = slash == std::string_view::npos ? std::string_view() : version.substr(0, slash);
      const auto def = world.registry().FindKind(group, slash == std::string_view::npos ? version : version.substr(slash + 1), owner["kind"].Str());
      if (!def) return std::unexpected(Refuse(request, Cat("cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion ", version, " Kind ", owner["kind"].Str())));
      const auto ns = def->scope == Scope::kNamespaced ? request.ns : std::string_view();
      if (!May(request, world, "update", def->group, def->resource, "finalizers", ns, owner["name"].Str()))
        return std::unexpected(Refuse(request, "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: "));
    }
    return {};
  }

 private:
  static bool Blocked(const json::Value& before, const json::Value& owner) {
    const auto items = before.Items();
    return std::any_of(items.begin(), items.end(), [&](const json::Value& old) { return old["uid"].Str() == owner["uid"].Str() && old["blockOwnerDeletion"].Bool(); });
  }
  static bool May(const AdmissionRequest& request, const AdmissionWorld& world, std::string_view verb, std::string_view group, std::string_view resource, std::string_view subresource, std::string_view ns,
                  std::string_view name) {
    Attributes attributes;
    attributes.user = request.user;
    attributes.verb = verb;
    attributes.group = group;
    attributes.version = "*";
    attributes.resource = resource;
    attributes.subresource = subresource;
    attributes.ns = ns;
    attributes.name = name;
    return world.Authorize(attributes).decision == Decision::kAllow;
  }
};

class AlwaysDeny final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "AlwaysDeny"; }
  bool Handles(Operation) const override { return true; }
  Result<> Validate(const Ctx&, AdmissionRequest& request, const AdmissionWorld&) const override { return std::unexpected(Refuse(request, "admission control is denying all modifications")); }
};

// Everything is let through: kept for configurations that name them.
class Nothing final : public AdmissionPlugin {
 public:
  explicit Nothing(std::string_view name) : name_(name) {}
  std::string_view name() const override { return name_; }

 private:
  const std::string name_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> NewAlwaysPullImages() { return std::make_unique<AlwaysPullImages>(); }
std::unique_ptr<AdmissionPlugin> NewLimitPodHardAntiAffinityTopology() { return std::make_unique<LimitPodHardAntiAffinityTopology>(); }
std::unique_ptr<AdmissionPlugin> NewExtendedResourceToleration() { return std::make_unique<ExtendedResourceToleration>(); }
std::unique_ptr<AdmissionPlugin> NewDenyServiceExternalIps() { return std::make_unique<DenyServiceExternalIps>(); }
std::unique_ptr<AdmissionPlugin> NewPodNodeSelector() { return std::make_unique<PodNodeSelector>(); }
std::unique_ptr<AdmissionPlugin> NewPodTolerationRestriction() { return std::make_unique<PodTolerationRestriction>(); }
std::unique_ptr<AdmissionPlugin> NewOwnerReferencesPermissionEnforcement() { return std::make_unique<OwnerReferences>(); }
std::unique_ptr<AdmissionPlugin> NewAlwaysDeny() { return std::make_unique<AlwaysDeny>(); }
std::unique_ptr<AdmissionPlugin> NewAlwaysAdmit() { return std::make_unique<Nothing>("AlwaysAdmit"); }

}  // namespace skerry::kube
