#include "embedded-kube-shim/admission/admission.h"

#include <algorithm>
#include <iterator>

#include "core/base/strings.h"

namespace skerry::kube {

Result<> AdmissionChain::Mutate(const Ctx& ctx, AdmissionRequest& request, const AdmissionWorld& world) const {
  for (const auto& plugin : plugins_) {
    if (plugin->Handles(request.operation)) TRY_VOID(plugin->Mutate(ctx, request, world));
  }
  return {};
}

Result<> AdmissionChain::Validate(const Ctx& ctx, AdmissionRequest& request, const AdmissionWorld& world) const {
  for (const auto& plugin : plugins_) {
    if (plugin->Handles(request.operation)) TRY_VOID(plugin->Validate(ctx, request, world));
  }
  return {};
}

namespace {

struct Row {
  std::string_view name;
  bool on;                                       // by default
  std::unique_ptr<AdmissionPlugin> (*make)();
};

// Upstream's order: quota comes last, when nothing can refuse the object any more.
constexpr Row kRows[] = {
    {"AlwaysAdmit", false, NewAlwaysAdmit},
    {"NamespaceLifecycle", true, NewNamespaceLifecycle},
    {"LimitPodHardAntiAffinityTopology", false, NewLimitPodHardAntiAffinityTopology},
    {"LimitRanger", true, NewLimitRanger},
    {"ServiceAccount", true, NewServiceAccountAdmission},
    {"NodeRestriction", true, NewNodeRestriction},
    {"TaintNodesByCondition", true, NewTaintNewNodes},
    {"AlwaysPullImages", false, NewAlwaysPullImages},
    {"PodSecurity", true, NewPodSecurity},
    {"PodNodeSelector", false, NewPodNodeSelector},
    {"Priority", true, NewPriorityAdmission},
    {"DefaultTolerationSeconds", true, NewDefaultTolerationSeconds},
    {"PodTolerationRestriction", false, NewPodTolerationRestriction},
    {"ExtendedResourceToleration", false, NewExtendedResourceToleration},
    {"DefaultStorageClass", true, NewDefaultStorageClass},
    {"StorageObjectInUseProtection", true, NewStorageObjectInUse},
    {"OwnerReferencesPermissionEnforcement", false, NewOwnerReferencesPermissionEnforcement},
    {"PersistentVolumeClaimResize", true, NewClaimResize},
    {"RuntimeClass", true, NewRuntimeClass},
    {"CertificateApproval", true, NewCertificateApproval},
    {"CertificateSigning", true, NewCertificateSigning},
    {"CertificateSubjectRestriction", true, NewCertificateSubjectRestriction},
    {"DefaultIngressClass", true, NewDefaultIngressClass},
    {"DenyServiceExternalIPs", false, NewDenyServiceExternalIps},
    {"RBACEscalation", true, NewRbacEscalation},
    {"MutatingAdmissionPolicy", true, NewMutatingAdmissionPolicy},
    {"MutatingAdmissionWebhook", true, NewMutatingWebhooks},
    {"ValidatingAdmissionPolicy", true, NewValidatingAdmissionPolicy},
    {"ValidatingAdmissionWebhook", true, NewValidatingWebhooks},
    {"ResourceQuota", true, NewResourceQuota},
    {"AlwaysDeny", false, NewAlwaysDeny},
};

bool Has(const std::vector<std::string>& list, std::string_view name) { return std::find(list.begin(), list.end(), name) != list.end(); }

}  // namespace

Result<> CheckAdmissionOptions(const AdmissionOptions& options) {
  for (const auto* list : {&options.enabled, &options.disabled}) {
    for (const auto& name : *list) {
      const bool known = std::any_of(std::begin(kRows), std::end(kRows), [&](const Row& row) { return row.name == name && row.name != "RBACEscalation"; });
      if (!known) return Fail(Code::kInvalid, Cat("admission plugin ", Quote(name), " is unknown"));
    }
  }
  for (const auto& name : options.enabled)
    if (Has(options.disabled, name)) return Fail(Code::kInvalid, Cat("admission plugin ", Quote(name), " is both enabled and disabled"));
  return {};
}

AdmissionChain NewAdmissionChain(const AdmissionOptions& options) {
  std::vector<std::unique_ptr<AdmissionPlugin>> plugins;
  for (const auto& row : kRows) {
    const bool on = Has(options.enabled, row.name) || (row.on && !Has(options.disabled, row.name));
    if (on) plugins.push_back(row.make());
  }
  return AdmissionChain(std::move(plugins));
}

}  // namespace skerry::kube
