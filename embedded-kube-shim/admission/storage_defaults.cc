#include <algorithm>

#include "core/base/strings.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/admission/admission.h"
#include "embedded-kube-shim/api/status.h"

// Default classes of claims and ingresses, protection of storage in use, growth of claims, and taints of new nodes.
namespace skerry::kube {
namespace {

bool Creates(const AdmissionRequest& request, std::string_view group, std::string_view resource) {
  return request.operation == Operation::kCreate && request.subresource.empty() && request.object && request.def.group == group && request.def.resource == resource;
}

// The newest object that is marked as default; of equally old ones the first by name.
std::shared_ptr<const json::Value> DefaultOf(const AdmissionWorld& world, std::string_view group, std::string_view resource, std::initializer_list<std::string_view> marks) {
  std::shared_ptr<const json::Value> best;
  for (auto& item : world.List(group, resource, "")) {
    const auto& annotations = item->At({"metadata", "annotations"});
    if (std::none_of(marks.begin(), marks.end(), [&](std::string_view mark) { return annotations[mark].Str() == "true"; })) continue;
    if (!best || item->At({"metadata", "creationTimestamp"}).Str() > best->At({"metadata", "creationTimestamp"}).Str()) best = item;
  }
  return best;
}

class DefaultStorageClass final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "DefaultStorageClass"; }
  Result<> Mutate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    if (!Creates(request, "", "persistentvolumeclaims")) return {};
    auto& claim = *request.object;
    if (claim.At({"spec"}).Find("storageClassName") || claim.At({"metadata", "annotations"}).Find("volume.beta.kubernetes.io/storage-class")) return {};
    const auto chosen = DefaultOf(world, "storage.k8s.io", "storageclasses", {"storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"});
    if (chosen) claim.Set("spec").Set("storageClassName") = chosen->At({"metadata", "name"}).Clone();
    return {};
  }
};

class DefaultIngressClass final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "DefaultIngressClass"; }
  Result<> Mutate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    if (!Creates(request, "networking.k8s.io", "ingresses")) return {};
    auto& ingress = *request.object;
    if (ingress.At({"spec"}).Find("ingressClassName") || ingress.At({"metadata", "annotations"}).Find("kubernetes.io/ingress.class")) return {};
    const auto chosen = DefaultOf(world, "networking.k8s.io", "ingressclasses", {"ingressclass.kubernetes.io/is-default-class"});
    if (chosen) ingress.Set("spec").Set("ingressClassName") = chosen->At({"metadata", "name"}).Clone();
    return {};
  }
};

class StorageObjectInUse final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "StorageObjectInUseProtection"; }
  Result<> Mutate(const Ctx&, AdmissionRequest& request, const AdmissionWorld&) const override {
    std::string_view finalizer;
    if (Creates(request, "", "persistentvolumeclaims")) finalizer = "kubernetes.io/pvc-protection";
    else if (Creates(request, "", "persistentvolumes")) finalizer = "kubernetes.io/pv-protection";
    else if (Creates(request, "storage.k8s.io", "volumeattributesclasses")) finalizer = "kubernetes.io/vac-protection";
    else return {};
    auto& finalizers = request.object->Set("metadata").Set("finalizers");
    for (const auto& present : finalizers.Items())
      if (present.Str() == finalizer) return {};
    finalizers.Append(json::Value(finalizer));
    return {};
  }
};

class ClaimResize final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "PersistentVolumeClaimResize"; }
  Result<> Validate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    const auto& def = request.def;
    if (request.operation != Operation::kUpdate || !request.subresource.empty() || !def.group.empty() || def.resource != "persistentvolumeclaims" || !request.old) return {};
    const auto storage = [](const json::Value& claim) { return text::Quantity::Parse(claim.At({"spec", "resources", "requests", "storage"}).Str()).value_or(text::Quantity()); };
    if (storage(*request.object) <= storage(*request.old)) return {};
    const auto refuse = [&](std::string_view why) { return std::unexpected(ForbiddenError("", "persistentvolumeclaims", request.name, why)); };
    if (request.old->At({"status", "phase"}).Str() != "Bound") return refuse("Only bound persistent volume claims can be expanded");
    const auto beta = request.object->At({"metadata", "annotations", "volume.beta.kubernetes.io/storage-class"}).Str();
    const auto wanted = beta.empty() ? request.object->At({"spec", "storageClassName"}).Str() : beta;
    const auto found = wanted.empty() ? nullptr : world.Lookup("storage.k8s.io", "storageclasses", "", wanted);
    if (found && (*found)["allowVolumeExpansion"].Bool()) return {};
    return refuse("only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize");
  }
};

class TaintNewNodes final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "TaintNodesByCondition"; }
  Result<> Mutate(const Ctx&, AdmissionRequest& request, const AdmissionWorld&) const override {
    constexpr std::string_view kNotReady = "node.kubernetes.io/not-ready";
    if (!Creates(request, "", "nodes")) return {};
    auto& taints = request.object->Set("spec").Set("taints");
    for (const auto& present : taints.Items())
      if (present["key"].Str() == kNotReady && present["effect"].Str() == "NoSchedule") return {};
    auto taint = json::Value::Object();
    taint.Set("key") = kNotReady;
    taint.Set("effect") = "NoSchedule";
    taints.Append(std::move(taint));
    return {};
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> NewDefaultStorageClass() { return std::make_unique<DefaultStorageClass>(); }
std::unique_ptr<AdmissionPlugin> NewDefaultIngressClass() { return std::make_unique<DefaultIngressClass>(); }
std::unique_ptr<AdmissionPlugin> NewStorageObjectInUse() { return std::make_unique<StorageObjectInUse>(); }
std::unique_ptr<AdmissionPlugin> NewClaimResize() { return std::make_unique<ClaimResize>(); }
std::unique_ptr<AdmissionPlugin> NewTaintNewNodes() { return std::make_unique<TaintNewNodes>(); }

}  // namespace skerry::kube
