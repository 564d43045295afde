#include "embedded-kube-shim/server/field_selector.h"

#include <algorithm>
#include <array>

#include "core/base/strings.h"
#include "core/text/selector.h"
#include "embedded-kube-shim/api/status.h"

namespace skerry::kube {
namespace {

// Fields beyond metadata.name and metadata.namespace, with the path of the value in the stored object where it differs.
struct Selectable {
  std::string_view group, resource, field, path;
};
constexpr std::array kSelectable = {
    Selectable{"", "pods", "spec.nodeName", ""},
    Selectable{"", "pods", "spec.host", "spec.nodeName"},
    Selectable{"", "pods", "spec.restartPolicy", ""},
    Selectable{"", "pods", "spec.schedulerName", ""},
    Selectable{"", "pods", "spec.serviceAccountName", ""},
    Selectable{"", "pods", "spec.hostNetwork", "bool:spec.hostNetwork"},
    Selectable{"", "pods", "status.phase", ""},
    Selectable{"", "pods", "status.podIP", ""},
    Selectable{"", "pods", "status.podIPs", "none:"},
    Selectable{"", "pods", "status.nominatedNodeName", ""},
    Selectable{"", "nodes", "spec.unschedulable", "bool:spec.unschedulable"},
    Selectable{"", "replicationcontrollers", "status.replicas", "int:status.replicas"},
    Selectable{"", "namespaces", "status.phase", ""},
    Selectable{"", "secrets", "type", ""},
    Selectable{"", "services", "spec.clusterIP", ""},
    Selectable{"", "services", "spec.type", ""},
    Selectable{"", "events", "involvedObject.kind", ""},
    Selectable{"", "events", "involvedObject.namespace", ""},
    Selectable{"", "events", "involvedObject.name", ""},
    Selectable{"", "events", "involvedObject.uid", ""},
    Selectable{"", "events", "involvedObject.apiVersion", ""},
    Selectable{"", "events", "involvedObject.resourceVersion", ""},
    Selectable{"", "events", "involvedObject.fieldPath", ""},
    Selectable{"", "events", "reason", ""},
    Selectable{"", "events", "reportingComponent", ""},
    Selectable{"", "events", "source", "source:source.component"},
    Selectable{"", "events", "type", ""},
    Selectable{"events.k8s.io", "events", "regarding.kind", "involvedObject.kind"},
    Selectable{"events.k8s.io", "events", "regarding.namespace", "involvedObject.namespace"},
    Selectable{"events.k8s.io", "events", "regarding.name", "involvedObject.name"},
    Selectable{"events.k8s.io", "events", "regarding.uid", "involvedObject.uid"},
    Selectable{"events.k8s.io", "events", "regarding.apiVersion", "involvedObject.apiVersion"},
    Selectable{"events.k8s.io", "events", "regarding.resourceVersion", "involvedObject.resourceVersion"},
    Selectable{"events.k8s.io", "events", "regarding.fieldPath", "involvedObject.fieldPath"},
    Selectable{"events.k8s.io", "events", "reason", ""},
    Selectable{"events.k8s.io", "events", "reportingController", "reportingComponent"},
    Selectable{"events.k8s.io", "events", "type", ""},
    Selectable{"batch", "jobs", "status.successful", "int:status.succeeded"},
    Selectable{"certificates.k8s.io", "certificatesigningrequests", "spec.signerName", ""},
    Selectable{"resource.k8s.io", "resourceslices", "spec.nodeName", ""},
    Selectable{"resource.k8s.io", "resourceslices", "spec.driver", ""},
};

// Kinds whose refusal is "field label not supported: x"; all others name the two fields that work.
bool HasOwnConversion(const ResourceDef& def) {
  if (def.group.empty())
    for (const std::string_view resource : {"pods", "nodes", "replicationcontrollers", "namespaces", "secrets", "services", "events"})
      if (def.resource == resource) return true;
  return (def.group == "certificates.k8s.io" && def.resource == "certificatesigningrequests") || (def.group == "events.k8s.io") ||
         (def.group == "resource.k8s.io" && def.resource == "resourceslices") || def.custom;
}

Error Unsupported(const ResourceDef& def, std::string_view field) {
  if (def.group == "batch" && def.resource == "jobs") return BadRequestError(Cat("field label \"", field, "\" not supported for Job"));
  if (def.group == "resource.k8s.io" && def.resource == "resourceslices") return BadRequestError(Cat("field label not supported for ", def.kind, ": ", field));
  if (HasOwnConversion(def)) return BadRequestError(Cat("field label not supported: ", field));
  return BadRequestError(Cat("\"", field, "\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""));
}

// The stored path to read, or empty when the kind cannot be selected by the field.
std::string PathOf(const ResourceDef& def, std::string_view version, std::string_view field) {
  if (field == "metadata.name") return "metadata.name";
  const bool cluster_with_conversion = def.scope == Scope::kCluster && HasOwnConversion(def);
  if (field == "metadata.namespace" && !cluster_with_conversion) return "metadata.namespace";
  for (const auto& row : kSelectable)
    if (row.group == def.group && row.resource == def.resource && row.field == field) return std::string(row.path.empty() ? row.field : row.path);
  if (const auto* found = def.FindVersion(version))
    for (const auto& path : found->selectable_fields)
      if (std::string_view(path).starts_with('.') && std::string_view(path).substr(1) == field) return std::string(field);
  return {};
}

std::string ValueAt(const Item& item, std::string_view path) {
  if (path == "metadata.name") return std::string(item.name());
  if (path == "metadata.namespace") return std::string(item.ns());
  if (path == "spec.nodeName") return std::string(item.node_name());
  std::string_view form;
  if (const auto colon = path.find(':'); colon != std::string_view::npos) {
    form = path.substr(0, colon);
    path = path.substr(colon + 1);
  }
  if (form == "none") return {};
  const auto object = item.Object();
  const json::Value* at = object.get();
  for (const auto segment : Split(path, '.')) {
    at = at->Find(segment);
    if (!at) break;
  }
  static const json::Value kNull;
  if (!at) at = &kNull;
  // Events of the newer API have no source; who reports them counts as one.
  if (form == "source" && at->Str().empty()) at = &(*object)["reportingComponent"];
  if (form == "bool") return at->Bool() ? "true" : "false";
  if (form == "int") return std::to_string(at->Int());
  if (at->is_string()) return std::string(at->Str());
  return at->is_null() ? std::string() : at->Dump();
}

}  // namespace

Result<FieldSelector> FieldSelector::Parse(std::string_view text, const ResourceDef& def, std::string_view version) {
  FieldSelector selector;
  if (text.empty()) return selector;
  TRY(auto parsed, text::ParseFieldSelector(text));
  for (auto& term : parsed) {
    auto path = PathOf(def, version, term.field);
    if (path.empty()) return std::unexpected(Unsupported(def, term.field));
    selector.terms_.push_back({std::move(path), std::move(term.value), term.equals});
  }
  return selector;
}

bool FieldSelector::Matches(const Item& item) const {
  for (const auto& term : terms_) {
    const bool same = term.field == "metadata.name" ? item.name() == term.value : ValueAt(item, term.field) == term.value;
    if (same != term.equal) return false;
  }
  return true;
}

bool FieldSelector::ReadsBody() const {
  return std::any_of(terms_.begin(), terms_.end(), [](const Term& term) { return !term.field.starts_with("metadata."); });
}

std::string_view FieldSelector::Required(std::string_view field) const {
  for (const auto& term : terms_)
    if (term.equal && term.field == field) return term.value;
  return {};
}

}  // namespace skerry::kube
