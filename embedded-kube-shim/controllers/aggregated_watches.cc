#include "embedded-kube-shim/controllers/aggregated_watches.h"

#include <set>

#include "core/base/strings.h"

namespace skerry::kube {
namespace {

constexpr std::chrono::seconds kPatienceWithLists{10};

bool CanBeCollected(const AggregatedApis::Resource& r) {
  return r.resource != "events" && r.HasVerb("list") && r.HasVerb("watch") && r.HasVerb("delete");
}

}  // namespace

void AggregatedWatches::Follow() {
  std::lock_guard following(following_);
  const auto found = apis_.Discover();
  std::set<std::string> wanted;
  for (const auto& r : found.resources)
    if (CanBeCollected(r)) wanted.insert(Cat(r.group, "/", r.version, "/", r.resource));
  const std::set<std::string> silent(found.stale.begin(), found.stale.end());
  std::vector<std::pair<std::string, WatchedPtr>> fresh, old;
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return;
    for (auto at = watched_.begin(); at != watched_.end();) {
      const bool stays = wanted.contains(at->first) || silent.contains(at->first.substr(0, at->first.rfind('/')));
      if (!stays) old.push_back(*at);
      at = stays ? std::next(at) : watched_.erase(at);
    }
    for (const std::string& resource : wanted)
      if (!watched_.contains(resource)) fresh.emplace_back(resource, nullptr);
  }
  for (auto& [resource, watched] : fresh) {
    watched = std::make_shared<Watched>();
    watched->informers = objects_.NewInformers(user_);
    watched->objects = &watched->informers->Get(resource);
    watched->since = clock_.Mono();
    std::lock_guard lock(mutex_);
    watched_[resource] = watched;      // before anything is told of it: who is told looks here
  }
  for (auto& [resource, watched] : fresh) {
    auto subscription = SubscribeChanges(*watched->informers, resource, [this, resource](const Change& change) { listener_.changed(resource, change); });
    std::lock_guard lock(mutex_);
    watched->subscription = std::move(subscription);
  }
  for (auto& [resource, watched] : old) {
    watched->subscription.reset();
    listener_.gone(resource);
  }
}

void AggregatedWatches::Stop() {
  std::map<std::string, WatchedPtr> all;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  std::lock_guard following(following_);
  {
    std::lock_guard lock(mutex_);
    all.swap(watched_);
  }
  for (const auto& [resource, watched] : all) {
    watched->subscription.reset();
    watched->informers->Stop();
  }
}

bool AggregatedWatches::Has(const std::string& resource) const {
  std::lock_guard lock(mutex_);
  return watched_.contains(resource);
}

ObjectPtr AggregatedWatches::Get(const std::string& resource, const Key& key) const {
  WatchedPtr watched;
  {
    std::lock_guard lock(mutex_);
    if (const auto at = watched_.find(resource); at != watched_.end()) watched = at->second;
  }
  return watched ? watched->objects->Get(key) : nullptr;
}

bool AggregatedWatches::StillListing() const {
  const auto now = clock_.Mono();
  if (now - began_ < kPatienceWithLists && !apis_.Discover().stale.empty()) return true;
  std::lock_guard lock(mutex_);
  for (const auto& [resource, watched] : watched_)
    if (now - watched->since < kPatienceWithLists && !watched->informers->HasSynced()) return true;
  return false;
}

}  // namespace skerry::kube
