#pragma once
#include <string>
#include <vector>

#include "core/base/context.h"
#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

// Claiming of children: what matches the owner's selector is adopted, what no longer matches is released.
namespace skerry::kube {

struct OwnerKind {
  std::string api_version, kind;     // "apps/v1", "ReplicaSet"
  std::string finalizer = {};             // comes with adoption and goes with release; empty = none
};

// The children of `owner` among `candidates` (one namespace), after adopting and releasing through `client`. `matches` tells whether a
// child fits the selector. An owner that is being deleted adopts nothing. Children that vanished meanwhile are left out.
Result<std::vector<ObjectPtr>> ClaimChildren(const Ctx& ctx, Client& client, Resource children, const OwnerKind& kind, const json::Value& owner,
                                             const std::vector<ObjectPtr>& candidates, const std::function<bool(const json::Value& labels)>& matches);

}  // namespace skerry::kube
