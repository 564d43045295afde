#include "embedded-kube-shim/admission/admission.h"

namespace skerry::kube {

Result<> AdmissionChain::Mutate(const Ctx& ctx, AdmissionRequest& request, const AdmissionWorld& world) const {
  for (const auto& plugin : plugins_) TRY_VOID(plugin->Mutate(ctx, request, world));
  return {};
}

Result<> AdmissionChain::Validate(const Ctx& ctx, AdmissionRequest& request, const AdmissionWorld& world) const {
  for (const auto& plugin : plugins_) TRY_VOID(plugin->Validate(ctx, request, world));
  return {};
}

AdmissionChain NewAdmissionChain() {
  std::vector<std::unique_ptr<AdmissionPlugin>> plugins;
  plugins.push_back(NewNamespaceLifecycle());
  plugins.push_back(NewServiceAccountAdmission());
  plugins.push_back(NewTaintNewNodes());
  plugins.push_back(NewPriorityAdmission());
  plugins.push_back(NewDefaultTolerationSeconds());
  plugins.push_back(NewDefaultStorageClass());
  plugins.push_back(NewStorageObjectInUse());
  plugins.push_back(NewDefaultIngressClass());
  plugins.push_back(NewRbacEscalation());
  return AdmissionChain(std::move(plugins));
}

}  // namespace skerry::kube
