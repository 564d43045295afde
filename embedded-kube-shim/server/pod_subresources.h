#pragma once
#include "embedded-kube-shim/server/rest.h"

namespace skerry::kube {

void ServeBinding(Rest& rest, RestRequest request, RestDone done);    // pods/binding and bindings
void ServeEviction(Rest& rest, RestRequest request, RestDone done);   // pods/eviction
// A pod's move to a node, and a deletion that disruption budgets must allow.
std::unique_ptr<WriteOperation> NewBinding(Target pod, json::Value binding);
std::unique_ptr<WriteOperation> NewEviction(Target pod, ServerDeleteOptions options);

}  // namespace skerry::kube
