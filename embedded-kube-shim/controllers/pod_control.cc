#include "embedded-kube-shim/controllers/pod_control.h"

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/write.h"

namespace skerry::kube {

Result<ObjectPtr> PodControl::Create(const Ctx& ctx, const json::Value& owner, json::Value pod) {
  return Tell(owner, client_.Create(ctx, "v1/pods", std::move(pod)));
}

Result<> PodControl::CreateAll(const Ctx& ctx, const json::Value& owner, std::vector<json::Value> pods, std::vector<ObjectPtr>* created) {
  Result<> first;
  for (Result<ObjectPtr>& each : client_.CreateAll(ctx, "v1/pods", std::move(pods))) {
    auto told = Tell(owner, std::move(each));
    if (told && *told) created->push_back(std::move(*told));
    if (!told && first) first = std::unexpected(std::move(told).error());
  }
  return first;
}

Result<ObjectPtr> PodControl::Tell(const json::Value& owner, Result<ObjectPtr> created) {
  if (created) {
    events_.Event(owner, "Normal", "SuccessfulCreate", Cat("Created pod: ", Name(**created)));
    return created;
  }
  if (NamespaceEnds(created.error())) return ObjectPtr();
  events_.Event(owner, "Warning", "FailedCreate", Cat("Error creating: ", created.error().message()));
  return created;
}

Result<> PodControl::Delete(const Ctx& ctx, const json::Value& owner, const json::Value& pod) {
  DeleteOptions options;
  options.uid = Uid(pod);
  auto r = client_.Delete(ctx, "v1/pods", {std::string(Namespace(pod)), std::string(Name(pod))}, options);
  if (r) {
    events_.Event(owner, "Normal", "SuccessfulDelete", Cat("Deleted pod: ", Name(pod)));
    return {};
  }
  if (IsGone(r.error()) || r.error().code() == Code::kConflict) return {};
  events_.Event(owner, "Warning", "FailedDelete", Cat("Error deleting: ", r.error().message()));
  return r;
}

Trigger PodsOf(const ControllerContext& context, std::string group, std::string kind, std::string resource, std::shared_ptr<OrphanPods> orphans) {
  const Lister& owners = context.informers.Get(resource);
  return {"v1/pods", [owner = OwnerOf(std::move(group), std::move(kind)), &owners, orphans = std::move(orphans)](const Notification& n) {
            orphans->Note(n);
            std::vector<Key> keys = owner(n);
            if (!keys.empty() || ControllerRef(*n.object) || n.type == Notification::Type::kDeleted) return keys;
            for (const ObjectPtr& o : owners.List(Namespace(*n.object))) {
              if (MatchesSelector((*o)["spec"]["selector"], Meta(*n.object)["labels"])) keys.push_back(KeyOf(*o));
            }
            return keys;
          }};
}

}  // namespace skerry::kube
