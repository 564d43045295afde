#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "core/json/value.h"

// Whether a CustomResourceDefinition may have the names it asks for. Pure functions.
namespace skerry::kube {

// Fills status.acceptedNames and the conditions NamesAccepted and Established of `crd`, given every definition there is. True when the
// definition is to be served.
bool DecideNames(const std::vector<std::shared_ptr<const json::Value>>& all, json::Value& crd, std::string_view now);
// The condition that groups of Kubernetes itself have on top.
void DecideApproval(json::Value& crd, std::string_view now);

}  // namespace skerry::kube
