#pragma once
#include <optional>
#include <string>

#include "embedded-kube-shim/controllers/pod_facts.h"

// The identity of a StatefulSet's pods: names, ordinals, claims. Pure functions.
namespace skerry::kube {

inline constexpr const char* kPodName = "statefulset.kubernetes.io/pod-name";
inline constexpr const char* kPodIndex = "apps.kubernetes.io/pod-index";

// The pod's ordinal when its name says that it is one of this set's.
std::optional<std::int64_t> OrdinalIn(const json::Value& set, const json::Value& pod);
std::int64_t FirstOrdinal(const json::Value& set);
// The pod of an ordinal, made of a revision's template.
json::Value StatefulPod(const json::Value& set, const json::Value& pod_template, std::string_view revision, std::int64_t ordinal);
// The volume claims of an ordinal, complete but for their owners.
std::vector<json::Value> ClaimsOf(const json::Value& set, std::int64_t ordinal);
bool IdentityMatches(const json::Value& set, const json::Value& pod);
// Gives the pod back its labels and the volumes of its claims.
void RestoreIdentity(const json::Value& set, json::Value& pod);

// The owner references that the retention policy asks for on a claim. `condemned`: its pod is being scaled away. Null = no owners.
json::Value ClaimOwners(const json::Value& set, const json::Value& pod, const json::Value& claim, bool condemned);
// Owned by an earlier pod of this name: the garbage collector is about to take it.
bool IsStaleClaim(const json::Value& claim, const json::Value& pod);

// How many pods a rolling update may take away together.
std::int64_t MostUnavailable(const json::Value& set);

}  // namespace skerry::kube
