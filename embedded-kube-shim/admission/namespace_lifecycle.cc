#include <array>

#include "core/base/strings.h"
#include "embedded-kube-shim/admission/admission.h"
#include "embedded-kube-shim/api/status.h"

// Objects are created only in namespaces that exist and are not going away: checked here and held as an expectation of the same commit.
namespace skerry::kube {
namespace {

constexpr std::array<std::string_view, 3> kImmortal = {"default", "kube-system", "kube-public"};

class NamespaceLifecycle final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "NamespaceLifecycle"; }

  Result<> Mutate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    const auto& def = request.def;
    const bool is_namespace = def.group.empty() && def.resource == "namespaces";
    if (request.operation == Operation::kDelete && is_namespace) {
      for (const auto immortal : kImmortal)
        if (request.name == immortal) return std::unexpected(ForbiddenError("", "namespaces", request.name, "this namespace may not be deleted"));
      return {};
    }
    if (request.ns.empty() || is_namespace || request.operation != Operation::kCreate || def.virtual_resource) return {};
    const auto ns = world.Lookup("", "namespaces", "", request.ns);
    if (!ns) return std::unexpected(NotFoundError("", "namespaces", request.ns));
    if (!ns->At({"metadata", "deletionTimestamp"}).Str().empty() || ns->At({"status", "phase"}).Str() == "Terminating") {
      const auto object_name = request.object ? request.object->At({"metadata", "name"}).Str() : request.name;
      return std::unexpected(ForbiddenError(def.group, def.resource, object_name, Cat("unable to create new content in namespace ", request.ns, " because it is being terminated"))
                                 .WithCause({"metadata.namespace", "NamespaceTerminating", Cat("namespace ", request.ns, " is being terminated")}));
    }
    const auto revision = ParseInt(ns->At({"metadata", "resourceVersion"}).Str());
    request.batch.expects.push_back({Cat("/core/namespaces/", request.ns), revision.value_or(-1)});
    return {};
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> NewNamespaceLifecycle() { return std::make_unique<NamespaceLifecycle>(); }

}  // namespace skerry::kube
