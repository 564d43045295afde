#include "embedded-kube-shim/api/reset_fields.h"

#include "core/base/strings.h"

namespace skerry::kube {

namespace {

struct Row {
  std::string_view group, resource, subresource, fields;   // paths joined by ','
};

// Where status and spec are not simply each other's opposite.
constexpr Row kRows[] = {
    {"", "pods", "status", "spec,metadata.deletionTimestamp,metadata.ownerReferences"},
    {"", "namespaces", "finalize", "status"},
    {"apps", "deployments", "status", "spec,metadata.labels"},
    {"apiextensions.k8s.io", "customresourcedefinitions", "status", "metadata,spec"},
    {"certificates.k8s.io", "certificatesigningrequests", "", "spec,status"},
    {"certificates.k8s.io", "certificatesigningrequests", "status", "spec,status.conditions"},
    {"certificates.k8s.io", "certificatesigningrequests", "approval", "spec,status.certificate"},
    {"admissionregistration.k8s.io", "validatingadmissionpolicies", "status", "metadata,spec"},
    {"flowcontrol.apiserver.k8s.io", "flowschemas", "status", "metadata,spec"},
    {"flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", "status", "metadata,spec"},
    {"resource.k8s.io", "resourceclaims", "status", "metadata,spec"},
    {"storage.k8s.io", "volumeattachments", "status", "metadata,spec"},
    {"apiregistration.k8s.io", "apiservices", "status", "metadata,spec"},
};

FieldSet Paths(std::string_view text) {
  FieldSet out;
  for (std::string_view path : Split(text, ',')) {
    FieldPath steps;
    for (std::string_view name : Split(path, '.')) steps.push_back(FieldStep(name));
    out.Insert(steps);
  }
  return out;
}

}  // namespace

FieldSet FieldFilter::Apply(const FieldSet& fields) const {
  return excluded.empty() ? fields : fields.RecursiveDifference(excluded);
}

FieldFilter ResetFields(const ResourceDef& def, std::string_view subresource) {
  FieldFilter out;
  for (const auto& row : kRows) {
    if (row.group != def.group || row.resource != def.resource || row.subresource != subresource) continue;
    out.excluded = Paths(row.fields);
    return out;
  }
  if (subresource == "status" && def.custom) out.excluded = Paths("metadata,spec");
  else if (subresource == "status") out.excluded = Paths("spec");
  else if (subresource.empty() && def.FindSubresource("status")) out.excluded = Paths("status");
  return out;
}

}  // namespace skerry::kube
