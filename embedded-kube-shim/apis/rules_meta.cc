#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/apis/rules.h"

// ObjectMeta and what is built from it: labels, selectors, owner references, conditions.
namespace skerry::kube::rules {
namespace {

using json::Value;

format::Messages AnyName(std::string_view) { return {}; }

// A generated name ends in more characters: a dash at the end of the prefix is fine.
std::string MaskTrailingDash(std::string_view name) {
  if (name.size() > 1 && name.ends_with('-')) return std::string(name.substr(0, name.size() - 2)) + "a";
  return std::string(name);
}

void FormatPrefix(Run& run, const Node& at, format::Check check) {
  for (const std::string& message : check(MaskTrailingDash(at->Str()))) run.Invalid(at, message);
}

void CheckOwner(Run& run, const Node& owners, const Node& owner) {
  const std::string_view api_version = owner.Str("apiVersion");
  const auto slashes = std::count(api_version.begin(), api_version.end(), '/');
  const auto version = slashes > 1 ? std::string_view() : api_version.substr(api_version.find('/') + 1);
  const auto member = [&](std::string_view name) {
    Node out = owner[name];
    out.path = Cat(owners.path, ".", name);
    return out;
  };
  if (version.empty()) run.Invalid(member("apiVersion"), "version must not be empty");
  for (std::string_view name : {"kind", "name", "uid"})
    if (owner.Str(name).empty()) run.Invalid(member(name), "\"\"", "must not be empty");
  if (api_version == "v1" && owner.Str("kind") == "Event") run.Add(FieldErrorType::kInvalid, owners.path, RenderJson(owner.schema, *owner), "/v1, Kind=Event is disallowed from being an owner");
}

void CheckOwners(Run& run, const Node& owners) {
  std::string controller;
  for (const Node& owner : owners.Items()) {
    CheckOwner(run, owners, owner);
    if (!(*owner)["controller"].Bool()) continue;
    const std::string name = Cat(owner.Str("kind"), "/", owner.Str("name"));
    if (controller.empty()) controller = name;
    else run.Invalid(owners, Cat("Only one reference can have Controller set to true. Found \"true\" in references for ", controller, " and ", name));
  }
}

void CheckFinalizers(Run& run, const Node& finalizers) {
  bool orphan = false, foreground = false;
  for (const Node& finalizer : finalizers.Items()) {
    for (const std::string& message : format::QualifiedName(finalizer->Str())) run.Add(FieldErrorType::kInvalid, finalizers.path, Quote(finalizer->Str()), message);
    orphan |= finalizer->Str() == "orphan";
    foreground |= finalizer->Str() == "foregroundDeletion";
  }
  if (orphan && foreground) run.Invalid(finalizers, "finalizer orphan and foregroundDeletion cannot be both set");
}

void CheckManagedFields(Run& run, const Node& managed) {
  for (const Node& entry : managed.Items()) {
    const std::string_view operation = entry.Str("operation");
    if (operation != "Apply" && operation != "Update") run.Invalid(entry["operation"], "must be `Apply` or `Update`");
    if (!entry.Str("fieldsType").empty() && entry.Str("fieldsType") != "FieldsV1") run.Invalid(entry["fieldsType"], "must be `FieldsV1`");
    if (entry.Str("manager").size() > 128) run.TooLong(entry["manager"], 128);
    if (entry.Str("subresource").size() > 256) run.TooLong(entry["subresource"], 256);
  }
}

bool IsCore(const Run& run) { return run.def.group != "apiextensions.k8s.io" && run.def.group != "apiregistration.k8s.io" && run.def.group != "coordination.k8s.io" &&
         run.def.group != "admissionregistration.k8s.io"; }

// Only for the kinds of the main API server.
void CheckFinalizerNames(Run& run, const Node& finalizers) {
  if (!IsCore(run) || run.def.kind == "RuntimeClass") return;
  for (const Node& finalizer : finalizers.Items()) {
    const std::string_view name = finalizer->Str();
    if (name.find('/') == name.npos && name != "kubernetes" && name != "orphan" && name != "foregroundDeletion")
      run.Invalid(finalizer, "name is neither a standard finalizer name nor is it fully qualified");
  }
}

void CheckMeta(Run& run, const Node& meta, format::Check name_check, bool generic) {
  // Two kinds look at the name alone.
  const bool prefixed = generic || (run.def.kind != "DeviceClass" && run.def.kind != "ReplicationController");
  if (!meta.Str("generateName").empty() && prefixed) FormatPrefix(run, meta["generateName"], generic ? format::PathSegmentPrefix : name_check);
  if (meta.Str("name").empty()) run.Required(meta["name"], "name or generateName is required");
  else run.Format(meta["name"], name_check);
  if (run.def.scope == Scope::kNamespaced) run.RequiredFormat(meta["namespace"], format::Dns1123Label);
  else if (!meta.Str("namespace").empty()) run.Forbidden(meta["namespace"], "not allowed on this type");
  run.NonNegative(meta["generation"]);
  CheckLabels(run, meta["labels"]);
  CheckAnnotations(run, meta["annotations"]);
  CheckOwners(run, meta["ownerReferences"]);
  CheckFinalizers(run, meta["finalizers"]);
  CheckManagedFields(run, meta["managedFields"]);
  if (!generic) CheckFinalizerNames(run, meta["finalizers"]);
}

void CheckNewFinalizers(Run& run, const Node& meta) {
  if ((*meta.old)["deletionTimestamp"].is_null()) return;
  std::vector<std::string> added;
  for (const Value& finalizer : (*meta)["finalizers"].Items()) {
    bool known = false;
    for (const Value& before : (*meta.old)["finalizers"].Items()) known = known || before.Str() == finalizer.Str();
    if (!known) added.emplace_back(finalizer.Str());
  }
  if (added.empty()) return;
  std::sort(added.begin(), added.end());
  std::string list;
  for (const std::string& name : added) list += Cat(list.empty() ? "" : ", ", Quote(name));
  run.Forbidden(meta["finalizers"], Cat("no new finalizers can be added if the object is being deleted, found new finalizers []string{", list, "}"));
}

void CheckMetaUpdate(Run& run, const Node& meta, bool generic) {
  if (!run.updating()) return;
  CheckNewFinalizers(run, meta);
  if (meta.Str("resourceVersion").empty() && !(*meta.old)["resourceVersion"].is_null()) run.Invalid(meta["resourceVersion"], "\"\"", "must be specified for an update");
  if ((*meta)["generation"].Int() < (*meta.old)["generation"].Int()) run.Invalid(meta["generation"], "must not be decremented");
  for (std::string_view field : {"name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"}) run.Immutable(meta[field]);
  CheckLabels(run, meta["labels"]);
  CheckAnnotations(run, meta["annotations"]);
  CheckOwners(run, meta["ownerReferences"]);
  CheckManagedFields(run, meta["managedFields"]);
  if (!generic) CheckFinalizerNames(run, meta["finalizers"]);
}

template <format::Check check>
void Meta(Run& run, const Node& meta) { CheckMeta(run, meta, check, false); }

void MetaUpdate(Run& run, const Node& meta) { CheckMetaUpdate(run, meta, false); }

void Selector(Run& run, const Node& selector) { CheckSelector(run, selector, SelectorValues::kStrict); }

void Conditions(Run& run, const Node& conditions) {
  std::set<std::string> seen;
  for (const Node& condition : conditions.Items()) {
    if (!seen.insert(std::string(condition.Str("type"))).second) run.Duplicate(condition["type"]);
    run.Format(condition["type"], format::QualifiedName);
    run.Enum(condition["status"], {"False", "True", "Unknown"});
    if ((*condition)["observedGeneration"].Int() < 0) run.Invalid(condition["observedGeneration"], "must be greater than or equal to zero");
    if ((*condition)["lastTransitionTime"].is_null()) run.Required(condition["lastTransitionTime"]);
    if (condition.Str("reason").empty()) run.Required(condition["reason"]);
    else {
      run.Format(condition["reason"], format::ConditionReason);
      if (condition.Str("reason").size() > 1024) run.TooLong(condition["reason"], 1024);
    }
    if (condition.Str("message").size() > 32768) run.TooLong(condition["message"], 32768);
  }
}

void LabelMap(Run& run, const Node& labels) { CheckLabels(run, labels); }

}  // namespace

void CheckLabels(Run& run, const Node& labels) {
  for (const json::Member& label : labels->Members()) {
    for (const std::string& message : format::QualifiedName(label.key)) run.Add(FieldErrorType::kInvalid, labels.path, Quote(label.key), message);
    for (const std::string& message : format::LabelValue(label.value.Str())) run.Add(FieldErrorType::kInvalid, labels.path, Quote(label.value.Str()), message);
  }
}

void CheckAnnotations(Run& run, const Node& annotations) {
  std::size_t total = 0;
  for (const json::Member& annotation : annotations->Members()) {
    for (const std::string& message : format::QualifiedName(ToLower(annotation.key))) run.Add(FieldErrorType::kInvalid, annotations.path, Quote(annotation.key), message);
    total += annotation.key.size() + annotation.value.Str().size();
  }
  if (total > 262144) run.TooLong(annotations, 262144);
}

void CheckSelector(Run& run, const Node& selector, SelectorValues values) {
  if (selector->is_null()) return;
  CheckLabels(run, selector["matchLabels"]);
  for (const Node& expression : selector["matchExpressions"].Items()) {
    const std::string_view op = expression.Str("operator");
    if (op == "In" || op == "NotIn") {
      if (expression["values"].size() == 0) run.Required(expression["values"], "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (op == "Exists" || op == "DoesNotExist") {
      if (expression["values"].size() > 0) run.Forbidden(expression["values"], "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else {
      run.Invalid(expression["operator"], "not a valid selector operator");
    }
    run.Format(expression["key"], format::QualifiedName);
    if (values == SelectorValues::kStrict)
      for (const Node& value : expression["values"].Items()) run.Format(value, format::LabelValue);
  }
}

void CheckGenericMeta(Run& run, const Node& meta) {
  CheckMeta(run, meta, format::PathSegmentName, true);
  CheckMetaUpdate(run, meta, true);
}

void CheckCustomMeta(Run& run, const Node& meta) {
  if (run.updating()) CheckMetaUpdate(run, meta, true);
  else CheckMeta(run, meta, format::Dns1123Subdomain, true);
}

void CheckEmbeddedMeta(Run& run, const Node& meta) {
  if (!meta.Str("generateName").empty()) FormatPrefix(run, meta["generateName"], format::PathSegmentPrefix);
  if (!meta.Str("name").empty()) run.Format(meta["name"], format::PathSegmentName);
  if (!meta.Str("namespace").empty()) run.Format(meta["namespace"], format::Dns1123Label);
  run.NonNegative(meta["generation"]);
  CheckLabels(run, meta["labels"]);
  CheckAnnotations(run, meta["annotations"]);
  CheckOwners(run, meta["ownerReferences"]);
  CheckFinalizers(run, meta["finalizers"]);
  CheckManagedFields(run, meta["managedFields"]);
}

std::span<const NamedCall> MetaCalls() {
  static constexpr NamedCall kCalls[] = {
      {"MetaSubdomain", Meta<format::Dns1123Subdomain>}, {"MetaSubdomainContent", Meta<format::Dns1123SubdomainContent>}, {"MetaLabel", Meta<format::Dns1123Label>}, {"MetaAny", Meta<AnyName>},
      {"MetaPathSegment", Meta<format::PathSegmentName>}, {"MetaIp", Meta<format::IpCanonical>}, {"MetaUpdate", MetaUpdate},
      {"Selector", Selector}, {"Conditions", Conditions}, {"Labels", LabelMap},
  };
  return kCalls;
}

}  // namespace skerry::kube::rules
