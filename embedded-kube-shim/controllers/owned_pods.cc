#include "embedded-kube-shim/controllers/owned_pods.h"

#include <algorithm>

namespace skerry::kube {
namespace {

json::Value AdoptionPatch(const json::Value& owner, const OwnerKind& kind, const json::Value& child) {
  json::Value patch;
  json::Value& meta = patch.Set("metadata");
  meta.Set("ownerReferences").Append(NewControllerRef(owner, kind.api_version, kind.kind));
  meta.Set("uid") = Uid(child);
  if (!kind.finalizer.empty()) meta.Set("finalizers").Append(kind.finalizer);
  return patch;
}

json::Value ReleasePatch(const json::Value& owner, const OwnerKind& kind, const json::Value& child) {
  json::Value patch, gone;
  gone.Set("$patch") = "delete";
  gone.Set("uid") = Uid(owner);
  json::Value& meta = patch.Set("metadata");
  meta.Set("ownerReferences").Append(std::move(gone));
  meta.Set("uid") = Uid(child);
  if (!kind.finalizer.empty()) meta.Set("$deleteFromPrimitiveList/finalizers").Append(kind.finalizer);
  return patch;
}

bool Vanished(const Error& e) { return e.code() == Code::kNotFound || e.code() == Code::kInvalid; }   // invalid: another object has the name now

}  // namespace

void OrphanPods::Note(const Notification& n) {
  const std::string_view ns = Namespace(*n.object);
  const bool orphan = n.type != Notification::Type::kDeleted && !ControllerRef(*n.object);
  std::lock_guard lock(mutex_);
  const auto it = names_.find(ns);
  if (orphan) {
    names_[std::string(ns)].emplace(Name(*n.object));
  } else if (it != names_.end() && it->second.erase(std::string(Name(*n.object))) > 0 && it->second.empty()) {
    names_.erase(it);
  }
}

std::vector<ObjectPtr> OrphanPods::Candidates(const Lister& pods, const json::Value& owner) const {
  std::vector<ObjectPtr> out = pods.OwnedBy(Uid(owner));
  std::vector<Key> orphans;
  {
    std::lock_guard lock(mutex_);
    if (const auto it = names_.find(Namespace(owner)); it != names_.end()) {
      for (const std::string& name : it->second) orphans.push_back({it->first, name});
    }
  }
  for (const Key& key : orphans) {
    ObjectPtr pod = pods.Get(key);
    if (pod && !ControllerRef(*pod)) out.push_back(std::move(pod));
  }
  return out;
}

std::vector<ObjectPtr> ChildrenOrOrphans(const Lister& children, const json::Value& owner) {
  std::vector<ObjectPtr> out = children.OwnedBy(Uid(owner));
  for (ObjectPtr& orphan : children.Uncontrolled(Namespace(owner))) out.push_back(std::move(orphan));
  std::sort(out.begin(), out.end(), [](const ObjectPtr& a, const ObjectPtr& b) { return Name(*a) < Name(*b); });
  return out;
}

Result<std::vector<ObjectPtr>> ClaimChildren(const Ctx& ctx, Client& client, Resource children, const OwnerKind& kind, const json::Value& owner,
                                             const std::vector<ObjectPtr>& candidates, const std::function<bool(const json::Value&)>& matches) {
  std::vector<ObjectPtr> out;
  const std::string_view uid = Uid(owner);
  for (const ObjectPtr& child : candidates) {
    const json::Value* ref = ControllerRef(*child);
    const bool fits = matches(Meta(*child)["labels"]);
    if (ref) {
      if ((*ref)["uid"].Str() != uid) continue;
      if (fits) {
        out.push_back(child);
      } else if (!IsTerminating(owner)) {
        auto r = client.Patch(ctx, children, {std::string(Namespace(*child)), std::string(Name(*child))}, PatchType::kStrategic, ReleasePatch(owner, kind, *child));
        if (!r && !Vanished(r.error())) return std::unexpected(std::move(r).error());
      }
      continue;
    }
    if (!fits || IsTerminating(owner) || IsTerminating(*child)) continue;
    auto r = client.Patch(ctx, children, {std::string(Namespace(*child)), std::string(Name(*child))}, PatchType::kStrategic, AdoptionPatch(owner, kind, *child));
    if (r) {
      out.push_back(*r);
    } else if (!Vanished(r.error())) {
      return std::unexpected(std::move(r).error());
    }
  }
  return out;
}

}  // namespace skerry::kube
