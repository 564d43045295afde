#include "core/base/strings.h"
#include "embedded-kube-shim/admission/admission.h"
#include "embedded-kube-shim/admission/resource_names.h"
#include "embedded-kube-shim/admission/tolerations.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/apis/pod_resources.h"

// A pod of a runtime class carries the class's overhead and goes where the class can run.
namespace skerry::kube {
namespace {

class RuntimeClass final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "RuntimeClass"; }

  Result<> Mutate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    if (!CreatesPod(request)) return {};
    TRY(const auto runtime, ClassOf(request, world));
    if (!runtime) return {};
    auto& spec = request.object->Set("spec");
    if (const auto* overhead = runtime->Find("overhead")) {
      const auto& fixed = (*overhead)["podFixed"];
      if (spec.Find("overhead") && QuantitiesOf(spec["overhead"]) != QuantitiesOf(fixed)) return std::unexpected(Refuse(request, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"));
      spec.Set("overhead") = fixed.Clone();
    }
    const auto& scheduling = (*runtime)["scheduling"];
    for (const auto& [key, value] : scheduling["nodeSelector"].Members()) {
      const auto* given = spec["nodeSelector"].Find(key);
      if (given && given->Str() != value.Str())
        return std::unexpected(Refuse(request, Cat("conflict: runtimeClass.scheduling.nodeSelector[", key, "] = ", value.Str(), "; pod.spec.nodeSelector[", key, "] = ", given->Str())));
      spec.Set("nodeSelector").Set(key) = value.Clone();
    }
    if (scheduling["tolerations"].size() > 0) spec.Set("tolerations") = MergeTolerations(spec["tolerations"], scheduling["tolerations"]);
    return {};
  }

  Result<> Validate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    if (!CreatesPod(request)) return {};
    TRY(const auto runtime, ClassOf(request, world));
    const auto* given = request.object->At({"spec"}).Find("overhead");
    if (!runtime || !runtime->Find("overhead")) {
      if (given && given->size() > 0) return std::unexpected(Refuse(request, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"));
      return {};
    }
    if (given && QuantitiesOf(*given) == QuantitiesOf(runtime->At({"overhead", "podFixed"}))) return {};
    return std::unexpected(Refuse(request, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"));
  }

 private:
  static bool CreatesPod(const AdmissionRequest& request) {
    return request.def.group.empty() && request.def.resource == "pods" && request.subresource.empty() && request.operation == Operation::kCreate && request.object;
  }
  static Error Refuse(const AdmissionRequest& request, std::string why) { return ForbiddenError("", "pods", request.object->At({"metadata", "name"}).Str(), why); }

  static Result<std::shared_ptr<const json::Value>> ClassOf(const AdmissionRequest& request, const AdmissionWorld& world) {
    const auto* wanted = request.object->At({"spec"}).Find("runtimeClassName");
    if (!wanted || !wanted->is_string()) return std::shared_ptr<const json::Value>();
    if (wanted->Str().empty()) return std::unexpected(PlainInternalError("resource name may not be empty"));
    if (auto why = UnaskableName(wanted->Str()); !why.empty()) return std::unexpected(PlainInternalError(std::move(why)));
    auto found = world.Lookup("node.k8s.io", "runtimeclasses", "", wanted->Str());
    if (!found) return std::unexpected(Refuse(request, Cat("pod rejected: RuntimeClass ", Quote(wanted->Str()), " not found")));
    return found;
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> NewRuntimeClass() { return std::make_unique<RuntimeClass>(); }

}  // namespace skerry::kube
