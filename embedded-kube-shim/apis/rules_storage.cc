#include <algorithm>
#include <set>

#include "core/base/strings.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/apis/rules_shared.h"
#include "embedded-kube-shim/apis/same_value.h"

// Persistent volumes and claims, quotas, nodes.
namespace skerry::kube::rules {
namespace {

using json::Value;
using text::Quantity;

Quantity Amount(const Value& value) { return Quantity::Parse(value.Str("0")).value_or(Quantity()); }

void CheckAccessModes(Run& run, const Node& modes, const char* required) {
  if (modes.size() == 0) run.Required(modes, required);
  std::set<std::string_view> valid;
  for (const Value& mode : modes->Items()) {
    const std::string_view m = mode.Str();
    const bool known = m == "ReadOnlyMany" || m == "ReadWriteMany" || m == "ReadWriteOnce" || m == "ReadWriteOncePod";
    if (known) valid.insert(m);
    else
      run.Add(FieldErrorType::kNotSupported, modes.path, Quote(m), "supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"");
  }
  if (valid.contains("ReadWriteOncePod") && valid.size() > 1) run.Forbidden(modes, "may not use ReadWriteOncePod with other access modes");
}

void PersistentVolumeSpec(Run& run, const Node& spec) { CheckPersistentVolumeSpec(run, spec, false); }

std::string_view ReplacementOf(std::string_view label) {
  static constexpr std::pair<std::string_view, std::string_view> kReplaced[] = {
      {"failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"},
      {"failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"},
      {"beta.kubernetes.io/os", "kubernetes.io/os"},
      {"beta.kubernetes.io/arch", "kubernetes.io/arch"},
      {"beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"},
  };
  for (const auto& [beta, stable] : kReplaced)
    if (beta == label) return stable;
  return {};
}

// Labels that got stable names may be renamed. Others have no new name, and upstream takes an empty key for that.
bool SameButRenamed(SchemaPtr schema, const Value& now, const Value& before) {
  Value renamed = now.Clone();
  if (Value* required = renamed.is_object() ? renamed.Find("required") : nullptr)
    if (Value* terms = required->Find("nodeSelectorTerms"); terms && terms->is_array())
      for (std::size_t t = 0; t < terms->size(); ++t)
        for (std::string_view list : {"matchExpressions", "matchFields"}) {
          Value* expressions = terms->MutableItems()[t].Find(list);
          const Value& old_terms = before.At({"required", "nodeSelectorTerms"});
          if (!expressions || !expressions->is_array() || t >= old_terms.size()) continue;
          const Value& old_expressions = old_terms.Items()[t][list];
          for (std::size_t i = 0; i < expressions->size() && i < old_expressions.size(); ++i) {
            const Value& key = old_expressions.Items()[i]["key"];
            Value& expression = expressions->MutableItems()[i];
            if (ReplacementOf(key.Str()) == expression["key"].Str()) expression.Set("key") = key.Clone();
          }
        }
  return SameTyped(schema, renamed, before);
}

void PersistentVolumeUpdate(Run& run, const Node& volume) {
  const Node spec = volume["spec"];
  Value now = spec->Clone(), before = spec.old->Clone();
  for (const Field& field : spec.schema->fields) {   // only the sources are compared here
    if (!field.embedding.empty()) continue;
    now.Erase(field.name);
    before.Erase(field.name);
  }
  if (before["csi"].is_object() && before["csi"]["controllerExpandSecretRef"].is_null() && now["csi"].is_object()) now.Set("csi").Erase("controllerExpandSecretRef");
  if (!SameTyped(spec.schema, now, before)) {
    std::vector<std::string_view> sources;
    for (const Field& field : spec.schema->fields)
      if (!field.embedding.empty()) sources.push_back(field.name);
    Value shown = spec->Clone();
    run.Add(FieldErrorType::kForbidden, "spec.persistentvolumesource", "", Cat("spec.persistentvolumesource is immutable after creation\n", InternalDiff(spec.schema, *spec.old, shown, sources)));
  }
  const auto bare = [&](std::string_view field) {
    Node at = spec[field];
    at.path = field;
    return at;
  };
  run.Immutable(bare("volumeMode"));
  if (const Node affinity = bare("nodeAffinity"); !affinity.old->is_null() && !SameButRenamed(affinity.schema, *affinity, *affinity.old))
    run.Invalid(affinity, "field is immutable, except for updating from beta label to GA");
  if (!(*spec.old)["volumeAttributesClassName"].is_null() && (*spec)["volumeAttributesClassName"].is_null())
    run.Forbidden(spec["volumeAttributesClassName"], "update from non-nil value to nil is forbidden");
}

void CheckDataSource(Run& run, const Node& source) {
  if (source->is_null()) return;
  if (source.Str("name").empty()) run.Required(source["name"]);
  if (source.Str("kind").empty()) run.Required(source["kind"]);
  const std::string_view group = source.Str("apiGroup");
  if (group.empty() && source.Str("kind") != "PersistentVolumeClaim")
    run.Invalid(source, Quote(source.Str("kind")), "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
  if (!group.empty()) run.Format(source["apiGroup"], format::Dns1123Subdomain);
}

void PersistentVolumeClaimSpec(Run& run, const Node& spec) { CheckClaimSpec(run, spec); }

void PersistentVolumeClaimUpdate(Run& run, const Node& claim) {
  const Node spec = claim["spec"];
  Value now = spec->Clone();
  const Value& before = *spec.old;
  const auto keep = [&](Value& to, const Value& from, std::string_view field) {
    if (const Value* value = from.Find(field)) to.Set(field) = value->Clone();
    else to.Erase(field);
  };
  if (before["volumeName"].Str().empty()) keep(now, before, "volumeName");
  if (before["storageClassName"].is_null() && !now["storageClassName"].is_null()) keep(now, before, "storageClassName");
  if (claim->At({"status", "phase"}).Str() == "Bound" && now["resources"]["requests"].is_object()) {
    keep(now.Set("resources").Set("requests"), before["resources"]["requests"], "storage");
    keep(now, before, "volumeAttributesClassName");
  }
  if (!SameTyped(spec.schema, now, before))
    run.Forbidden(spec, Cat("spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n", InternalDiff(spec.schema, before, now)));
  const Node storage = spec["resources"]["requests"]["storage"];
  if (!storage.old->is_null() && Amount(*storage) < Amount(*storage.old)) {
    const Value& capacity = claim->At({"status", "capacity", "storage"});
    if (Amount(*storage) <= Amount(capacity)) run.Forbidden(storage, "field can not be less than status.capacity");
  }
  Node mode = spec["volumeMode"];
  mode.path = "volumeMode";
  run.Immutable(mode);
}

void PersistentVolumeClaimStatus(Run& run, const Node& claim) {
  if (claim["spec"]["accessModes"].size() == 0) run.Add(FieldErrorType::kRequired, "Spec.accessModes", "", "");
  const Node capacity = claim["status"]["capacity"];
  for (const json::Member& member : capacity->Members())
    if (Amount(member.value).sign() < 0) run.Invalid(capacity.Key(member.key), std::to_string(Amount(member.value).Value()), "must be a valid resource quantity");
  for (std::string_view list : {"allocatedResources", "allocatedResourceStatuses"}) {
    const Node at = claim["status"][list];
    for (const json::Member& member : at->Members()) {
      for (const std::string& message : format::QualifiedName(member.key)) run.Invalid(at, Quote(member.key), message);
      const bool native = member.key.find('/') == std::string::npos || member.key.find("kubernetes.io/") != std::string::npos;
      if (native && member.key != "storage") run.Add(FieldErrorType::kNotSupported, at.path, Quote(member.key), "supported values: \"storage\"");
    }
  }
}

bool KnownScope(std::string_view scope) {
  static constexpr std::string_view kScopes[] = {"Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "VolumeAttributesClass", "CrossNamespacePodAffinity"};
  return std::find(std::begin(kScopes), std::end(kScopes), scope) != std::end(kScopes);
}

bool ScopeFits(std::string_view scope, std::string_view resource) {
  if (scope == "BestEffort") return resource == "pods";
  if (scope == "VolumeAttributesClass") return resource == "persistentvolumeclaims" || resource == "requests.storage";
  static constexpr std::string_view kCompute[] = {"pods", "cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"};
  return std::find(std::begin(kCompute), std::end(kCompute), resource) != std::end(kCompute);
}

bool StandardQuota(std::string_view name) {
  static constexpr std::string_view kNames[] = {"cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage", "requests.storage", "limits.cpu",
                                                "limits.memory", "limits.ephemeral-storage", "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps",
                                                "persistentvolumeclaims", "services.nodeports", "services.loadbalancers"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames) || name.starts_with("hugepages-") || name.starts_with("requests.hugepages-");
}

bool Conflicting(const std::set<std::string>& scopes) {
  return (scopes.contains("BestEffort") && scopes.contains("NotBestEffort")) || (scopes.contains("Terminating") && scopes.contains("NotTerminating"));
}

void CheckScopes(Run& run, const Node& spec) {
  const Node scopes = spec["scopes"];
  std::set<std::string> seen;
  for (const Value& scope : scopes->Items()) {
    if (!KnownScope(scope.Str())) run.Invalid(scopes, "unsupported scope");
    for (const json::Member& hard : (*spec)["hard"].Members())
      if (StandardQuota(hard.key) && KnownScope(scope.Str()) && !ScopeFits(scope.Str(), hard.key)) run.Invalid(scopes, "unsupported scope applied to resource");
    seen.emplace(scope.Str());
  }
  if (Conflicting(seen)) run.Invalid(scopes, "conflicting scopes");
}

void CheckScopeSelector(Run& run, const Node& spec) {
  const Node selector = spec["scopeSelector"];
  if (selector->is_null()) return;
  const Node expressions = selector["matchExpressions"];
  std::set<std::string> seen;
  for (const Node& expression : expressions.Items()) {
    const auto at = [&](std::string_view field) {
      Node out = expression[field];
      out.path = Cat(expressions.path, ".", field);
      return out;
    };
    const std::string scope(expression.Str("scopeName")), op(expression.Str("operator"));
    if (!KnownScope(scope)) run.Invalid(at("scopeName"), "unsupported scope");
    for (const json::Member& hard : (*spec)["hard"].Members())
      if (StandardQuota(hard.key) && KnownScope(scope) && !ScopeFits(scope, hard.key))
        run.Add(FieldErrorType::kInvalid, expressions.path, RenderInternal(selector.schema, *selector), "unsupported scope applied to resource");
    const bool exists_only = scope != "PriorityClass" && scope != "VolumeAttributesClass" && KnownScope(scope);
    if (exists_only && op != "Exists")
      run.Invalid(at("operator"), "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
                                  "ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity");
    if (op == "In" || op == "NotIn") {
      if (expression["values"].size() == 0) run.Required(at("values"), "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector");
    } else if (op == "Exists" || op == "DoesNotExist") {
      if (expression["values"].size() > 0) run.Invalid(at("values"), "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector");
    } else {
      run.Invalid(at("operator"), "not a valid selector operator");
    }
    seen.insert(scope);
  }
  if (Conflicting(seen)) run.Invalid(Node{spec["scopes"].value, spec["scopes"].old, spec["scopes"].schema, spec["scopes"].field, expressions.path}, "conflicting scopes");
}

void QuotaAmounts(Run& run, const Node& list) {
  for (const json::Member& member : list->Members()) {
    const Node at = list.Key(member.key);
    CheckQuotaResourceName(run, at, member.key);
    CheckResourceAmount(run, at, member.key);
  }
}

void ResourceQuotaSpec(Run& run, const Node& spec) {
  QuotaAmounts(run, spec["hard"]);
  CheckScopes(run, spec);
  CheckScopeSelector(run, spec);
}

void CheckTaints(Run& run, const Node& node) {
  const Node taints = node["spec"]["taints"];
  std::set<std::string> seen;
  std::size_t index = 0;
  for (Node taint : taints.Items()) {
    taint.path = Cat("metadata.taints[", index++, "]");
    run.Format(taint["key"], format::QualifiedName);
    if (const auto messages = format::LabelValue(taint.Str("value")); !messages.empty()) run.Invalid(taint["value"], Join(messages, ";"));
    if (taint.Str("effect").empty()) run.Required(taint["effect"]);
    else run.Enum(taint["effect"], {"NoSchedule", "PreferNoSchedule", "NoExecute"});
    if (!seen.insert(Cat(taint.Str("key"), "\n", taint.Str("effect"))).second)
      run.Add(FieldErrorType::kDuplicate, taint.path, RenderInternal(taint.schema, *taint), "taints must be unique by key and effect pair");
  }
}

void CheckNodeResources(Run& run, const Node& node) {
  for (std::string_view list : {"capacity", "allocatable"})
    for (const json::Member& member : node["status"][list]->Members()) CheckResourceAmount(run, node["status"][list][member.key], member.key);
}

void Node_(Run& run, const Node& node) {
  CheckTaints(run, node);
  CheckNodeResources(run, node);
  const Node cidrs = node["spec"]["podCIDRs"];
  std::string unreadable;
  bool v4 = false, v6 = false;
  for (std::size_t i = 0; i < cidrs.size(); ++i) {
    const Node cidr = cidrs.At(i);
    if (!run.Format(cidr, format::Cidr) && unreadable.empty()) unreadable = Cat("invalid CIDR[", i, "]: <nil> (invalid CIDR address: ", cidr->Str(), ")");
    (format::IsIpv6(cidr->Str()) ? v6 : v4) = true;
  }
  if (cidrs.size() < 2) return;
  if (!unreadable.empty()) run.Add(FieldErrorType::kInternal, cidrs.path, {}, Cat("invalid PodCIDRs. failed to check with dual stack with error:", unreadable));
  if (!unreadable.empty() || !v4 || !v6 || cidrs.size() > 2) run.Invalid(cidrs, "may specify no more than one CIDR for each IP family");
}

void NodeUpdate(Run& run, const Node& node) {
  CheckNodeResources(run, node);
  std::set<std::string> seen;
  for (const Node& address : node["status"]["addresses"].Items())
    if (!seen.insert(address->Dump()).second) run.Add(FieldErrorType::kDuplicate, address.path, RenderInternal(address.schema, *address), "");
  const Node cidrs = node["spec"]["podCIDRs"], provider = node["spec"]["providerID"];
  constexpr const char* kCidr = "node updates may not change podCIDR except from \"\" to valid";
  if (cidrs.old->size() > 0) {
    if (cidrs.size() != cidrs.old->size()) run.Forbidden(cidrs, kCidr);
    else
      for (std::size_t i = 0; i < cidrs.size(); ++i)
        if (cidrs->Items()[i].Str() != cidrs.old->Items()[i].Str()) run.Forbidden(cidrs, kCidr);
  }
  if (!provider.old->Str().empty() && provider->Str() != provider.old->Str()) run.Forbidden(provider, "node updates may not change providerID except from \"\" to valid");
  CheckTaints(run, node);
  const Node external = node["spec"]["externalID"];
  if (external->Str() != external.old->Str()) run.Forbidden(external, "may not be updated");
}

}  // namespace

void CheckClaimSpec(Run& run, const Node& spec) {
  CheckAccessModes(run, spec["accessModes"], "at least 1 access mode is required");
  CheckSelector(run, spec["selector"]);
  const Node resources = spec["resources"];
  const Value* storage = (*resources)["requests"].Find("storage");
  Node at = resources;
  at.path += "[storage]";
  if (!storage) run.Required(at);
  else if (const Quantity amount = Amount(*storage); amount.sign() <= 0) {
    run.Invalid(at, Quote(amount.Canonical()), "must be greater than zero");
  }
  if (!spec.Str("storageClassName").empty()) run.Format(spec["storageClassName"], format::Dns1123Subdomain);
  if (const Node mode = spec["volumeMode"]; !mode->is_null()) run.Enum(mode, {"Block", "Filesystem"});
  const Node source = spec["dataSource"], reference = spec["dataSourceRef"];
  CheckDataSource(run, source);
  CheckDataSource(run, reference);
  if (!reference.Str("namespace").empty()) {
    run.Format(reference["namespace"], format::Dns1123Label);
    if (!source->is_null()) run.Invalid(spec, "{}", "may not be specified when dataSourceRef.namespace is specified");
  } else if (!source->is_null() && !reference->is_null()) {
    bool same = true;
    for (std::string_view field : {"apiGroup", "kind", "name"}) same = same && source.Str(field) == reference.Str(field);
    if (!same) run.Invalid(spec, "{}", "must match dataSourceRef");
  }
  if (!spec.Str("volumeAttributesClassName").empty()) run.Format(spec["volumeAttributesClassName"], format::Dns1123Subdomain);
}

void CheckTemplateMetadata(Run& run, const Node& metadata) {
  for (const json::Member& member : metadata->Members())
    if (member.key != "labels" && member.key != "annotations" && !member.value.is_null())
      run.Forbidden(metadata.As(member.key, member.key == "uid" ? "uID" : std::string_view(member.key)), "cannot be set");
  CheckLabels(run, metadata["labels"]);
  CheckAnnotations(run, metadata["annotations"]);
}

void CheckPersistentVolumeSpec(Run& run, const Node& spec, bool is_inline) {
  constexpr const char* kInline = "may not be specified in the context of inline volumes";
  if (is_inline) {
    for (std::string_view field : {"claimRef", "capacity"})
      if (spec[field].Has()) run.Forbidden(spec[field], kInline);
    if (spec["csi"]->is_null()) run.Required(spec["csi"], "has to be specified in the context of inline volumes");
  }
  CheckAccessModes(run, spec["accessModes"], "");
  const Node capacity = spec["capacity"], reclaim = spec["persistentVolumeReclaimPolicy"], mode = spec["volumeMode"];
  if (!is_inline) {
    if (capacity.size() == 0) run.Required(capacity);
    if (!capacity->Find("storage") || capacity.size() > 1) run.Add(FieldErrorType::kNotSupported, capacity.path, RenderJson(capacity.schema, *capacity), "supported values: \"storage\"");
    for (const json::Member& member : capacity->Members()) {
      const Quantity amount = Amount(member.value);
      if (amount.sign() < 0) run.Invalid(capacity.Key(member.key), std::to_string(amount.Value()), "must be a valid resource quantity");
      if (amount.sign() <= 0) run.Invalid(capacity.Key(member.key), Quote(amount.Canonical()), "must be greater than zero");
    }
  }
  if (!reclaim->Str().empty()) {
    if (is_inline && reclaim->Str() != "Retain") run.Forbidden(reclaim, "may only be Retain in the context of inline volumes");
    else if (!is_inline) run.Enum(reclaim, {"Delete", "Recycle", "Retain"});
  }
  if (const Node affinity = spec["nodeAffinity"]; !affinity->is_null()) {
    if (is_inline) run.Forbidden(affinity, kInline);
    else if (affinity["required"]->is_null()) run.Required(affinity["required"], "must specify required node constraints");
    else CheckNodeSelector(run, affinity["required"]);
  }
  CheckPersistentVolumeSources(run, spec);
  if (const std::string_view path = spec["hostPath"].Str("path"); reclaim->Str() == "Recycle" && !path.empty() && path.find_first_not_of("/.") == path.npos)
    run.Forbidden(reclaim, "may not be 'recycle' for a hostPath mount of '/'");
  if (const Node name = spec["storageClassName"]; !name->Str().empty()) {
    if (is_inline) run.Forbidden(name, kInline);
    else run.Format(name, format::Dns1123Subdomain);
  }
  if (!mode->is_null()) {
    if (is_inline && mode->Str() != "Filesystem") run.Forbidden(mode, "may not specify volumeMode other than Filesystem in the context of inline volumes");
    else if (!is_inline) run.Enum(mode, {"Block", "Filesystem"});
  }
  if (const Node name = spec["volumeAttributesClassName"]; !name->is_null() && !is_inline) {
    if (name->Str().empty()) run.Required(name, "an empty string is disallowed");
    else run.Format(name, format::Dns1123Subdomain);
    if (spec["csi"]->is_null()) run.Required(spec["csi"], "has to be specified when using volumeAttributesClassName");
  }
}

std::span<const NamedCall> StorageCalls() {
  static constexpr NamedCall kCalls[] = {
      {"PersistentVolumeSpec", PersistentVolumeSpec}, {"PersistentVolumeUpdate", PersistentVolumeUpdate}, {"PersistentVolumeClaimSpec", PersistentVolumeClaimSpec},
      {"PersistentVolumeClaimUpdate", PersistentVolumeClaimUpdate}, {"PersistentVolumeClaimStatus", PersistentVolumeClaimStatus}, {"ResourceQuotaSpec", ResourceQuotaSpec},
      {"QuotaAmounts", QuotaAmounts}, {"Node", Node_}, {"NodeUpdate", NodeUpdate},
  };
  return kCalls;
}

}  // namespace skerry::kube::rules
