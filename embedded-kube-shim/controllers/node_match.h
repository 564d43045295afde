#pragma once
#include "core/json/value.h"

// Which nodes a pod may run on by its own wishes and the nodes' taints. Pure functions over API objects.
namespace skerry::kube {

bool Tolerates(const json::Value& tolerations, const json::Value& taint);
bool MatchesNodeTerm(const json::Value& term, const json::Value& node);                  // one of nodeSelectorTerms
bool MatchesNodeSelector(const json::Value& node_selector, const json::Value& node);     // any of nodeSelectorTerms
bool MatchesRequiredNodeAffinity(const json::Value& pod_spec, const json::Value& node);  // nodeSelector and required affinity

}  // namespace skerry::kube
