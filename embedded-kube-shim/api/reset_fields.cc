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

FieldSet Included(const FieldSet& fields, const std::vector<std::vector<std::string>>& patterns, std::size_t depth) {
  FieldSet out;
  for (const auto& [step, node] : fields.nodes()) {
    std::vector<std::vector<std::string>> rest;
    bool whole = false;
    for (const auto& pattern : patterns) {
      if (pattern[depth] != "*" && pattern[depth] != step) continue;
      if (pattern.size() == depth + 1) whole = true;
      else rest.push_back(pattern);
    }
    if (!whole && rest.empty()) continue;
    FieldSet::Node kept{node.member, whole ? node.below : Included(node.below, rest, depth + 1)};
    if (kept.member || !kept.below.empty()) out.nodes().emplace(step, std::move(kept));
  }
  return out;
}

}  // namespace

FieldSet FieldFilter::Apply(const FieldSet& fields) const {
  if (!included.empty()) return Included(fields, included, 0);
  return excluded.empty() ? fields : fields.RecursiveDifference(excluded);
}

FieldFilter ResetFields(const ResourceDef& def, std::string_view subresource) {
  FieldFilter out;
  if (def.group.empty() && def.resource == "pods" && subresource == "ephemeralcontainers") {
    out.included = {{"f:spec", "f:ephemeralContainers"}};
    return out;
  }
  if (def.group.empty() && def.resource == "pods" && subresource == "resize") {
    for (const char* list : {"f:containers", "f:initContainers"})
      for (const char* field : {"f:resources", "f:resizePolicy"}) out.included.push_back({"f:spec", list, "*", field});
    return out;
  }
  for (const auto& row : kRows) {
    if (row.group != def.group || row.resource != def.resource || row.subresource != subresource) continue;
    out.excluded = Paths(row.fields);
    return out;
  }
  if (subresource == "status") out.excluded = Paths("spec");
  else if (subresource.empty() && def.FindSubresource("status")) out.excluded = Paths("status");
  return out;
}

}  // namespace skerry::kube
