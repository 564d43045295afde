#include "embedded-kube-shim/server/write_steps.h"

#include <algorithm>
#include <array>
#include <type_traits>

#include "core/base/strings.h"
#include "core/json/share.h"
#include "embedded-kube-shim/apis/same_value.h"

namespace skerry::kube {
namespace {

bool Is(const ResourceDef& def, std::string_view group, std::string_view resource) { return def.group == group && def.resource == resource; }

// Kinds whose /status endpoint takes nothing of metadata but managedFields.
constexpr std::array<std::string_view, 10> kStatusKeepsMetadata = {
    "servicecidrs", "volumeattachments", "flowschemas", "prioritylevelconfigurations", "validatingadmissionpolicies", "resourceclaims",
    "podcertificaterequests", "devicetaintrules", "storageversions", "podgroups"};

void CopyMember(const json::Value& from, json::Value& to, std::string_view member) {
  const auto* value = from.Find(member);
  if (!value) to.Erase(member);
  else if (!json::IsSamePart(*value, std::as_const(to)[member])) to.Set(member) = json::Share(*value);
}

void KeepAllBut(const json::Value& old, json::Value& next, std::initializer_list<std::string_view> taken) {
  auto kept = json::Share(old);
  for (const auto member : taken) CopyMember(next, kept, member);
  next = std::move(kept);
}

void KeepMetadata(const json::Value& old, json::Value& next) {
  auto managed = next.At({"metadata", "managedFields"}).Clone();
  auto version = next.At({"metadata", "resourceVersion"}).Clone();
  CopyMember(old, next, "metadata");
  auto& metadata = next.Set("metadata");
  if (managed.is_null()) metadata.Erase("managedFields");
  else metadata.Set("managedFields") = std::move(managed);
  if (!version.is_null()) metadata.Set("resourceVersion") = std::move(version);
}

void SplitForStatus(const Target& target, const json::Value& old, json::Value& next) {
  const auto& def = *target.def;
  KeepAllBut(old, next, {"metadata", "status"});
  const bool keeps = std::find(kStatusKeepsMetadata.begin(), kStatusKeepsMetadata.end(), def.resource) != kStatusKeepsMetadata.end();
  if (def.custom || keeps) KeepMetadata(old, next);
  if (Is(def, "", "pods") && next.At({"status", "qosClass"}).Str().empty()) CopyMember(old["status"], next.Set("status"), "qosClass");
  if (def.custom || keeps) return;
  if (Is(def, "apps", "deployments")) CopyMember(old["metadata"], next.Set("metadata"), "labels");
  else if (Is(def, "", "pods")) CopyMember(old["metadata"], next.Set("metadata"), "ownerReferences");
  else if (Is(def, "apiregistration.k8s.io", "apiservices"))
    for (const std::string_view member : {"labels", "annotations", "finalizers", "ownerReferences"}) CopyMember(old["metadata"], next.Set("metadata"), member);
}

// Of a resize only the resources of containers and pod count; containers that were added, removed or renamed stay for validation to refuse.
void SplitForResize(const json::Value& old, json::Value& next) {
  auto wanted = next["spec"].Clone();
  KeepAllBut(old, next, {"metadata"});
  KeepMetadata(old, next);
  auto& spec = next.Set("spec");
  CopyMember(wanted, spec, "resources");
  for (const std::string_view list : {"containers", "initContainers"}) {
    const auto given = wanted[list].Items(), before = old["spec"][list].Items();
    const bool same = std::equal(given.begin(), given.end(), before.begin(), before.end(), [](const json::Value& a, const json::Value& b) { return a["name"].Str() == b["name"].Str(); });
    if (!same) {
      CopyMember(wanted, spec, list);
      continue;
    }
    for (std::size_t i = 0; i < given.size(); ++i)
      for (const std::string_view member : {"resources", "resizePolicy"}) CopyMember(given[i], spec.Set(list).MutableItems()[i], member);
  }
}

// Kinds for which an empty list in the body is another spec than none.
bool TellsEmptyFromNone(const ResourceDef& def) {
  return Is(def, "networking.k8s.io", "networkpolicies") || Is(def, "admissionregistration.k8s.io", "mutatingwebhookconfigurations") ||
         Is(def, "admissionregistration.k8s.io", "validatingwebhookconfigurations");
}

bool SameOutside(SchemaPtr schema, const json::Value& a, const json::Value& b, bool status_counts, bool exactly) {
  const auto same = [&](std::string_view key, const json::Value& x, const json::Value& y) {
    const Field* field = schema ? schema->Find(key) : nullptr;
    return field ? rules::SameField(*field, x, y) : rules::SameValue(x, y);
  };
  const auto differs = [&](const json::Value& from, const json::Value& to) {
    for (const auto& [key, value] : from.Members()) {
      if (key == "metadata" || key == "kind" || key == "apiVersion" || (key == "status" && !status_counts)) continue;
      if (exactly ? !(value == to[key]) : !same(key, value, to[key])) return true;
    }
    return false;
  };
  return !differs(a, b) && !differs(b, a);
}

}  // namespace

void SplitStatus(const Target& target, const json::Value& old, json::Value& next) {
  const auto& def = *target.def;
  if (target.subresource.empty() || target.subresource == "scale") {
    if (def.SplitsStatus(target.schema_version())) CopyMember(old, next, "status");
    if (Is(def, "", "namespaces")) CopyMember(old["spec"], next.Set("spec"), "finalizers");
  } else if (target.subresource == "status") {
    SplitForStatus(target, old, next);
  } else if (target.subresource == "finalize") {
    CopyMember(old, next, "status");
  } else if (target.subresource == "resize") {
    SplitForResize(old, next);
  } else if (target.subresource == "approval") {
    auto conditions = next.At({"status", "conditions"}).Clone();
    KeepAllBut(old, next, {"metadata"});
    next.Set("status").Set("conditions") = std::move(conditions);
  } else if (target.subresource == "ephemeralcontainers") {
    auto containers = next.At({"spec", "ephemeralContainers"}).Clone();
    KeepAllBut(old, next, {"metadata"});
    KeepMetadata(old, next);
    if (containers.is_null()) next.Set("spec").Erase("ephemeralContainers");
    else next.Set("spec").Set("ephemeralContainers") = std::move(containers);
  }
}

namespace {

// Fields behind feature gates that are off: nobody can set them who has not got them already.
struct DisabledField { std::string_view group, resource, path; };
constexpr DisabledField kDisabled[] = {
    {"", "nodes", "spec.configSource"},
    {"apps", "statefulsets", "spec.updateStrategy.rollingUpdate.maxUnavailable"},
    {"storage.k8s.io", "csidrivers", "spec.preventPodSchedulingIfMissing"},
    {"resource.k8s.io", "resourceslices", "spec.devices[].nodeAllocatableResourceMappings"},
    {"resource.k8s.io", "resourceslices", "spec.devices[].attributes[].bools"},
    {"resource.k8s.io", "resourceslices", "spec.devices[].attributes[].ints"},
    {"resource.k8s.io", "resourceslices", "spec.devices[].attributes[].strings"},
    {"resource.k8s.io", "resourceslices", "spec.devices[].attributes[].versions"},
};
constexpr std::string_view kDisabledOfPods[] = {
    "schedulingGroup",
    "containers[].lifecycle.stopSignal",
    "initContainers[].lifecycle.stopSignal",
    "ephemeralContainers[].lifecycle.stopSignal",
};

// Calls `visit(parent, member)` for each place of the path; stops when it answers false.
template <class Node, class Visit>
bool VisitField(Node& node, std::string_view path, const Visit& visit) {
  const auto dot = path.find('.');
  std::string_view step = path.substr(0, dot);
  if (!node.is_object()) return true;
  if (dot == path.npos) return !node.Find(step) || visit(node, step);
  const bool each = step.ends_with("[]");
  if (each) step.remove_suffix(2);
  auto* child = node.Find(step);
  if (!child) return true;
  path.remove_prefix(dot + 1);
  if (!each) return VisitField(*child, path, visit);
  if constexpr (std::is_const_v<Node>) {
    for (const json::Value& item : child->Items())
      if (!VisitField(item, path, visit)) return false;
    for (const json::Member& member : child->Members())
      if (!VisitField(member.value, path, visit)) return false;
  } else {
    if (child->is_array())
      for (json::Value& item : child->MutableItems()) VisitField(item, path, visit);
    if (child->is_object())
      for (json::Member& member : child->MutableMembers()) VisitField(member.value, path, visit);
  }
  return true;
}

void DropField(json::Value& object, const json::Value* old, std::string_view path) {
  const auto in_use = [](const json::Value& parent, std::string_view member) { return parent[member].is_null(); };
  if (old && !VisitField(*old, path, in_use)) return;
  VisitField(object, path, [](json::Value& parent, std::string_view member) { return parent.Erase(member); });
}

}  // namespace

void DropDisabledFields(const ResourceDef& def, json::Value& object, const json::Value* old) {
  if (def.custom) return;
  for (const DisabledField& field : kDisabled)
    if (Is(def, field.group, field.resource)) DropField(object, old, field.path);
  using Path = std::vector<std::string_view>;
  const Path path = Is(def, "", "pods")              ? Path{"spec"}
                    : Is(def, "", "podtemplates")    ? Path{"template", "spec"}
                    : Is(def, "batch", "cronjobs")   ? Path{"spec", "jobTemplate", "spec", "template", "spec"}
                    : Is(def, "apps", def.resource) || Is(def, "batch", "jobs") || Is(def, "", "replicationcontrollers") ? Path{"spec", "template", "spec"}
                                                                                                                         : Path{};
  if (path.empty()) return;
  json::Value* spec = &object;
  const json::Value* before = old;
  for (const auto step : path) {
    before = before ? before->Find(step) : nullptr;
    if (before && json::IsSamePart(std::as_const(*spec)[step], *before)) return;   // what is in use stays
    spec = spec->is_object() ? spec->Find(step) : nullptr;
    if (!spec) return;
  }
  for (const std::string_view field : kDisabledOfPods) DropField(*spec, before, field);
}

void BumpGeneration(const Target& target, const json::Value& old, json::Value& next) {
  const auto& def = *target.def;
  const bool counts = def.has_generation || Is(def, "storage.k8s.io", "csidrivers");
  if (!counts || (target.subresource == "status") || Is(def, "scheduling.k8s.io", "priorityclasses")) return;
  bool same = SameOutside(target.schema_version().schema, old, next, def.custom && !def.SplitsStatus(target.schema_version()), def.custom || TellsEmptyFromNone(def));
  if (Is(def, "apps", "deployments")) same = same && rules::SameValue(old.At({"metadata", "annotations"}), next.At({"metadata", "annotations"}));
  if (Is(def, "discovery.k8s.io", "endpointslices")) same = same && rules::SameValue(old.At({"metadata", "labels"}), next.At({"metadata", "labels"}));
  if (!same) next.Set("metadata").Set("generation") = old.At({"metadata", "generation"}).Int() + 1;
}

std::string NamelessText(std::string_view name) { return Cat("the name of the object (", name, " based on URL) was undeterminable: name must be provided"); }

std::string UidMismatch(const Target& target, std::string_view wanted, std::string_view found, bool dry_run) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kStoredAs = {
      {{"replicationcontrollers", "controllers"}, {"services", "services/specs"}, {"endpoints", "services/endpoints"}, {"nodes", "minions"}, {"ingresses", "ingress"}}};
  const auto& def = *target.def;
  std::string place(def.resource);
  for (const auto& [resource, stored] : kStoredAs)
    if (!def.custom && resource == def.resource) place = stored;
  if (def.custom || def.group == "apiextensions.k8s.io" || def.group == "apiregistration.k8s.io") place = Cat(def.group, "/", place);
  return Cat("StorageError: invalid object, Code: 4, Key: ", dry_run ? "/" : "/registry/", place, "/", target.ns.empty() ? std::string() : target.ns + "/", target.name,
             ", ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: ", wanted, ", UID in object meta: ", found);
}

bool IsFinallyDeleted(const ResourceDef& def, const json::Value& object) {
  const auto& metadata = object["metadata"];
  if (metadata["deletionTimestamp"].Str().empty() || metadata["finalizers"].size() > 0) return false;
  if (metadata["deletionGracePeriodSeconds"].Int() != 0) return false;
  return !Is(def, "", "namespaces") || object.At({"spec", "finalizers"}).size() == 0;
}

}  // namespace skerry::kube
