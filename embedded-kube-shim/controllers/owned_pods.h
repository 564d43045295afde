#pragma once
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "core/base/context.h"
#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

// Claiming of children: what matches the owner's selector is adopted, what no longer matches is released.
namespace skerry::kube {

// Which pods nobody controls, kept up to date by the pod trigger of a controller: so that an owner need not look at every pod of its
// namespace to find those that it could adopt. Thread-safe.
class OrphanPods {
 public:
  void Note(const Notification& n);
  // The owner's pods and those of its namespace that have no controller.
  std::vector<ObjectPtr> Candidates(const Lister& pods, const json::Value& owner) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::set<std::string>, std::less<>> names_;   // by namespace
};

// The same for kinds of which a namespace has few.
std::vector<ObjectPtr> ChildrenOrOrphans(const Lister& children, const json::Value& owner);

struct OwnerKind {
  std::string api_version, kind;     // "apps/v1", "ReplicaSet"
  std::string finalizer = {};             // comes with adoption and goes with release; empty = none
};

// The children of `owner` among `candidates` (one namespace), after adopting and releasing through `client`. `matches` tells whether a
// child fits the selector. An owner that is being deleted adopts nothing. Children that vanished meanwhile are left out.
Result<std::vector<ObjectPtr>> ClaimChildren(const Ctx& ctx, Client& client, Resource children, const OwnerKind& kind, const json::Value& owner,
                                             const std::vector<ObjectPtr>& candidates, const std::function<bool(const json::Value& labels)>& matches);

}  // namespace skerry::kube
