#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "embedded-kube-shim/admission/admission.h"

// Which requests the rules and selectors of webhooks and admission policies mean.
namespace skerry::kube {

// What a request is to a rule that matched: its own resource, or an equivalent one in another version or group.
struct MatchedResource {
  std::string group, version, resource, kind;
};

// matchLabels and matchExpressions of a LabelSelector against `labels` (may be null: none). An absent or empty selector matches everything.
bool MatchesLabels(const json::Value& selector, const json::Value* labels);
// apiGroups, apiVersions, resources, operations, scope, and resourceNames when the rule has them.
bool MatchesRule(const json::Value& rule, const AdmissionRequest& request, const MatchedResource& as);
// One of `rules` means the request. With "Equivalent" also as any other version of the same stored resource.
std::optional<MatchedResource> MatchRules(const json::Value& rules, std::string_view match_policy, const AdmissionRequest& request, const AdmissionWorld& world);
// By the labels of the request's namespace; a Namespace counts by its own; other cluster-wide objects always match.
bool MatchesNamespace(const json::Value& selector, const AdmissionRequest& request, const AdmissionWorld& world);
// By the labels of the new or of the old object.
bool MatchesObject(const json::Value& selector, const AdmissionRequest& request);
// matchConstraints of a policy and matchResources of a binding (where no resourceRules means every resource).
std::optional<MatchedResource> MatchResources(const json::Value& match, const AdmissionRequest& request, const AdmissionWorld& world);

// Operation as rules and requests name it: "CREATE", …
std::string_view OperationName(Operation operation);
// The name a request speaks of: of a create without name, what its object says.
std::string RequestedName(const AdmissionRequest& request);
// What the body of the request is: of a subresource with a body of its own, that kind.
GroupVersionKind RequestedKind(const AdmissionRequest& request);

}  // namespace skerry::kube
