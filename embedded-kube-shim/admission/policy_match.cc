#include "embedded-kube-shim/admission/policy_match.h"

#include <algorithm>

#include "core/base/strings.h"

namespace skerry::kube {
namespace {

bool Lists(const json::Value& list, std::string_view wanted) {
  return std::ranges::any_of(list.Items(), [&](const json::Value& item) { return item.Str() == wanted || item.Str() == "*"; });
}

// "pods", "pods/*", "*/status", "*" (no subresource), "*/*".
bool MatchesResource(std::string_view pattern, std::string_view resource, std::string_view subresource) {
  const std::size_t slash = pattern.find('/');
  const std::string_view name = pattern.substr(0, slash), part = slash == std::string_view::npos ? std::string_view() : pattern.substr(slash + 1);
  return (name == "*" || name == resource) && (part == "*" || part == subresource);
}

bool Satisfies(const json::Value& expression, const json::Value* labels) {
  const json::Value* value = labels == nullptr ? nullptr : labels->Find(expression["key"].Str());
  const std::string_view op = expression["operator"].Str();
  if (op == "Exists") return value != nullptr;
  if (op == "DoesNotExist") return value == nullptr;
  const bool listed = value != nullptr && std::ranges::any_of(expression["values"].Items(), [&](const json::Value& item) { return item.Str() == value->Str(); });
  return op == "In" ? listed : !listed;
}

bool Selects(const json::Value& selector) { return selector["matchLabels"].size() > 0 || selector["matchExpressions"].size() > 0; }

bool AnyRule(const json::Value& rules, const AdmissionRequest& request, const MatchedResource& as) {
  return std::ranges::any_of(rules.Items(), [&](const json::Value& rule) { return MatchesRule(rule, request, as); });
}

MatchedResource Own(const AdmissionRequest& request) {
  const GroupVersionKind kind = RequestedKind(request);
  return {request.def.group, std::string(request.version), request.def.resource, kind.kind};
}

}  // namespace

bool MatchesLabels(const json::Value& selector, const json::Value* labels) {
  for (const auto& [key, wanted] : selector["matchLabels"].Members()) {
    const json::Value* value = labels == nullptr ? nullptr : labels->Find(key);
    if (value == nullptr || value->Str() != wanted.Str()) return false;
  }
  return std::ranges::all_of(selector["matchExpressions"].Items(), [&](const json::Value& expression) { return Satisfies(expression, labels); });
}

bool MatchesRule(const json::Value& rule, const AdmissionRequest& request, const MatchedResource& as) {
  if (!Lists(rule["apiGroups"], as.group) || !Lists(rule["apiVersions"], as.version) || !Lists(rule["operations"], OperationName(request.operation))) return false;
  const bool resource = std::ranges::any_of(rule["resources"].Items(), [&](const json::Value& pattern) { return MatchesResource(pattern.Str(), as.resource, request.subresource); });
  if (!resource) return false;
  const std::string_view scope = rule["scope"].Str("*");
  const bool is_namespace = request.def.group.empty() && request.def.resource == "namespaces";
  const bool namespaced = !request.ns.empty() && !is_namespace;
  if ((scope == "Namespaced" && !namespaced) || (scope == "Cluster" && namespaced)) return false;
  if (rule["resourceNames"].size() == 0) return true;
  const std::string name = RequestedName(request);
  return std::ranges::any_of(rule["resourceNames"].Items(), [&](const json::Value& item) { return item.Str() == name; });
}

std::optional<MatchedResource> MatchRules(const json::Value& rules, std::string_view match_policy, const AdmissionRequest& request, const AdmissionWorld& world) {
  const MatchedResource own = Own(request);
  if (AnyRule(rules, request, own)) return own;
  if (match_policy == "Exact") return std::nullopt;
  for (const Version& version : request.def.versions) {
    MatchedResource as{own.group, version.name, own.resource, own.kind};
    if (version.name != own.version && AnyRule(rules, request, as)) return as;
  }
  if (request.def.storage_key.empty()) return std::nullopt;
  const auto all = world.registry().All();
  for (const ResourcePtr& other : *all) {
    if (other.get() == &request.def || other->storage_key != request.def.storage_key) continue;
    for (const Version& version : other->versions) {
      MatchedResource as{other->group, version.name, other->resource, other->kind};
      if (AnyRule(rules, request, as)) return as;
    }
  }
  return std::nullopt;
}

bool MatchesNamespace(const json::Value& selector, const AdmissionRequest& request, const AdmissionWorld& world) {
  if (!Selects(selector)) return true;
  if (request.def.group.empty() && request.def.resource == "namespaces") {
    const json::Value* object = request.object != nullptr ? request.object : request.old;
    return object != nullptr && MatchesLabels(selector, &object->At({"metadata", "labels"}));
  }
  if (request.ns.empty()) return true;
  const auto ns = world.Lookup("", "namespaces", "", request.ns);
  return MatchesLabels(selector, ns == nullptr ? nullptr : &ns->At({"metadata", "labels"}));
}

bool MatchesObject(const json::Value& selector, const AdmissionRequest& request) {
  if (!Selects(selector)) return true;
  const auto matches = [&](const json::Value* object) { return object != nullptr && MatchesLabels(selector, &object->At({"metadata", "labels"})); };
  return matches(request.object) || matches(request.old);
}

std::optional<MatchedResource> MatchResources(const json::Value& match, const AdmissionRequest& request, const AdmissionWorld& world) {
  if (!MatchesNamespace(match["namespaceSelector"], request, world) || !MatchesObject(match["objectSelector"], request)) return std::nullopt;
  const std::string_view policy = match["matchPolicy"].Str("Equivalent");
  if (MatchRules(match["excludeResourceRules"], policy, request, world)) return std::nullopt;
  if (match["resourceRules"].size() == 0) return Own(request);
  return MatchRules(match["resourceRules"], policy, request, world);
}

std::string_view OperationName(Operation operation) {
  switch (operation) {
    case Operation::kCreate: return "CREATE";
    case Operation::kUpdate: return "UPDATE";
    case Operation::kDelete: return "DELETE";
    case Operation::kConnect: return "CONNECT";
  }
  return {};
}

std::string RequestedName(const AdmissionRequest& request) {
  if (!request.name.empty() || request.object == nullptr) return std::string(request.name);
  return std::string(request.object->At({"metadata", "name"}).Str());
}

GroupVersionKind RequestedKind(const AdmissionRequest& request) {
  GroupVersionKind kind = request.def.Kind(request.version);
  const Subresource* part = request.subresource.empty() ? nullptr : request.def.FindSubresource(request.subresource);
  if (part == nullptr || part->kind.empty()) return kind;
  if (!part->version.empty()) return {part->group, part->version, part->kind};
  kind.kind = part->kind;
  return kind;
}

}  // namespace skerry::kube
