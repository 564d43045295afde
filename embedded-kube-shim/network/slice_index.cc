#include "embedded-kube-shim/network/slice_index.h"

namespace skerry::kube::network {

Key SliceIndex::ServiceOf(const json::Value& slice) {
  const json::Value& meta = slice["metadata"];
  return {std::string(meta["namespace"].Str()), std::string(meta["labels"]["kubernetes.io/service-name"].Str())};
}

SliceIndex::SliceIndex(const Lister& slices) : slices_(slices) {
  auto state = state_.Lock();
  for (const ObjectPtr& s : slices_.List()) Put(*state, *s, false);
}

std::vector<Key> SliceIndex::Put(State& state, const json::Value& slice, bool deleted) {
  const Key service = ServiceOf(slice);
  const Key self{service.ns, std::string(slice["metadata"]["name"].Str())};
  std::vector<Key> concerned;
  if (const auto at = state.service_of.find(self); at != state.service_of.end() && (deleted || at->second != service.name)) {
    const Key before{self.ns, at->second};
    concerned.push_back(before);
    auto& names = state.by_service[before];
    names.erase(self.name);
    if (names.empty()) state.by_service.erase(before);
    state.service_of.erase(at);
  }
  if (!deleted && !service.name.empty()) {
    state.by_service[service].insert(self.name);
    state.service_of[self] = service.name;
    concerned.push_back(service);
  }
  return concerned;
}

std::vector<Key> SliceIndex::Note(const Notification& n) {
  auto state = state_.Lock();
  return Put(*state, *n.object, n.type == Notification::Type::kDeleted);
}

std::vector<ObjectPtr> SliceIndex::Of(const Key& service) const {
  std::set<std::string> names;
  {
    auto state = state_.Lock();
    if (const auto at = state->by_service.find(service); at != state->by_service.end()) names = at->second;
  }
  std::vector<ObjectPtr> out;
  for (const std::string& name : names) {
    ObjectPtr slice = slices_.Get({service.ns, name});
    if (slice && ServiceOf(*slice) == service && (*slice)["addressType"].Str() == "IPv4") out.push_back(std::move(slice));
  }
  return out;
}

}  // namespace skerry::kube::network
