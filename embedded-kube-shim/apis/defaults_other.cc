#include "core/base/strings.h"
#include "embedded-kube-shim/apis/defaults.h"

namespace skerry::kube::defaults {
namespace {

using json::Value;

constexpr std::string_view kRbacGroup = "rbac.authorization.k8s.io";

void SubjectDefaults(Value& subject) {
  const std::string_view kind = subject["kind"].Str();
  if (kind == "User" || kind == "Group") SetIfLacking(subject, "apiGroup", Value(kRbacGroup));
}

void NetworkPolicyDefaults(Value& spec) {
  if (!Lacks(spec, "policyTypes")) return;
  Value types = Value::Array();
  types.Append("Ingress");
  if (spec["egress"].size() > 0) types.Append("Egress");
  spec.Set("policyTypes") = std::move(types);
}

void CrdNamesDefaults(Value& names) {
  const std::string kind(names["kind"].Str());
  SetIfLacking(names, "singular", Value(ToLower(kind)));
  if (!kind.empty()) SetIfLacking(names, "listKind", Value(kind + "List"));
}

// A definition never forgets in which version it stores.
void CrdDefaults(Value& crd) {
  if (crd.At({"status", "storedVersions"}).size() > 0) return;
  for (const Value& version : crd.At({"spec", "versions"}).Items())
    if (version["storage"].Bool()) {
      Value stored = Value::Array();
      stored.Append(version["name"].Clone());
      crd.Set("status").Set("storedVersions") = std::move(stored);
      return;
    }
}

void PriorityLevelDefaults(Value& spec) {
  const std::string_view type = spec["type"].Str();
  if (type == "Exempt") spec.Set("exempt");
  if (type == "Exempt" && spec["exempt"].is_null()) spec.Set("exempt") = Value::Object();
}

void DeviceRequestDefaults(Value& request) {
  SetIfLacking(request, "allocationMode", "ExactCount");
  if (request["allocationMode"].Str() == "ExactCount" && request["count"].Int() == 0) request.Set("count") = 1;
}

// Fields of features that are off are not kept.
void DropTrustBundle(Value& projection) {
  projection.Erase("clusterTrustBundle");
  projection.Erase("podCertificate");
}

}  // namespace

std::span<const NamedRule> OtherRules() {
  static constexpr NamedRule kRules[] = {
      {"io.k8s.api.core.v1.VolumeProjection", DropTrustBundle},
      {"io.k8s.api.rbac.v1.Subject", SubjectDefaults},
      {"io.k8s.api.networking.v1.NetworkPolicySpec", NetworkPolicyDefaults},
      {"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition", CrdDefaults},
      {"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionNames", CrdNamesDefaults},
      {"io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationSpec", PriorityLevelDefaults},
      {"io.k8s.api.resource.v1.ExactDeviceRequest", DeviceRequestDefaults},
      {"io.k8s.api.resource.v1.DeviceSubRequest", DeviceRequestDefaults},
  };
  return kRules;
}

}  // namespace skerry::kube::defaults
