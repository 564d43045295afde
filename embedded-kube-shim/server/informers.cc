#include <atomic>
#include <map>

#include "core/base/strings.h"
#include "core/text/selector.h"
#include "embedded-kube-shim/server/conversion.h"
#include "embedded-kube-shim/server/local_client.h"
#include "embedded-kube-shim/server/watch_source.h"

namespace skerry::kube {
namespace {

// What a resource name stands for: its cache, and the version its objects are shown in.
struct View {
  ObjectCache* cache = nullptr;
  ResourcePtr def;                 // null while the resource is not served: objects are shown as stored
  std::string api_version;

  ObjectPtr Show(const Item& item) const {
    if (!def || item.api_version == api_version) return item.Object();
    auto object = item.Object()->Clone();
    if (!ConvertObject(*def, item.api_version, api_version, object)) return item.Object();   // whoever converts is away: better as stored than not at all
    return std::make_shared<const json::Value>(std::move(object));
  }
};

class CacheLister final : public Lister {
 public:
  explicit CacheLister(View view) : view_(std::move(view)) {}

  ObjectPtr Get(const Key& key) const override {
    const auto item = view_.cache->Get(key.ns.empty() ? key.name : Cat(key.ns, "/", key.name));
    return item ? view_.Show(*item) : nullptr;
  }
  std::vector<ObjectPtr> List(std::string_view ns) const override { return Shown(view_.cache->List(Prefix(ns)).items); }
  std::vector<ObjectPtr> OwnedBy(std::string_view uid) const override {
    auto items = view_.cache->OwnedBy(uid);
    std::erase_if(items, [&](const ItemPtr& item) {
      for (const auto& owner : item->owners)
        if (owner.uid == uid && owner.controller) return false;
      return true;
    });
    return Shown(items);
  }
  std::vector<ObjectPtr> Matching(std::string_view ns, std::string_view label_selector) const override {
    const auto labels = text::LabelSelector::Parse(label_selector);
    if (!labels) return {};
    auto items = view_.cache->List(Prefix(ns)).items;
    std::erase_if(items, [&](const ItemPtr& item) { return !SelectedBy(*item, *labels, {}); });
    return Shown(items);
  }
  std::vector<ObjectPtr> OnNode(std::string_view node) const override { return Shown(view_.cache->OnNode(node)); }

 private:
  static std::string Prefix(std::string_view ns) { return ns.empty() ? std::string() : Cat(ns, "/"); }
  std::vector<ObjectPtr> Shown(const std::vector<ItemPtr>& items) const {
    std::vector<ObjectPtr> out;
    out.reserve(items.size());
    for (const auto& item : items) out.push_back(view_.Show(*item));
    return out;
  }

  const View view_;
};

// One delivery thread for all subscribers. A subscriber that fell behind the kept history is told the difference between what it knew
// and what there is.
class CacheInformers final : public Informers {
 public:
  CacheInformers(Caches& caches, const Registry& registry) : caches_(caches), registry_(registry) {
    thread_ = std::thread([this] { Deliver(); });
  }

  ~CacheInformers() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  const Lister& Get(Resource resource) override {
    std::lock_guard lock(mutex_);
    auto& slot = listers_[std::string(resource)];
    if (!slot) slot = std::make_unique<CacheLister>(ViewOf(resource));
    return *slot;
  }

  std::shared_ptr<void> Subscribe(Resource resource, std::function<void(const Notification&)> callback) override {
    auto subscriber = std::make_shared<Subscriber>();
    subscriber->view = ViewOf(resource);
    subscriber->callback = std::move(callback);
    Restart(*subscriber);
    {
      std::lock_guard lock(mutex_);
      subscribers_.push_back(subscriber);
      pending_ = true;
    }
    changed_.notify_all();
    return std::shared_ptr<void>(nullptr, [this, subscriber](void*) {
      {
        std::lock_guard lock(mutex_);
        std::erase(subscribers_, subscriber);
      }
      std::lock_guard running(subscriber->running);   // waits for a delivery under way; re-entrant from the callback itself
      subscriber->gone = true;
      subscriber->subscription.reset();
    });
  }

  bool HasSynced() const override { return true; }   // caches are loaded before anything starts

 private:
  struct Subscriber {
    View view;
    std::function<void(const Notification&)> callback;
    std::recursive_mutex running;                  // guards the rest
    bool gone = false;
    std::vector<ItemPtr> initial;
    std::unique_ptr<Subscription> subscription;
  };

  View ViewOf(Resource resource) const {
    const auto parts = Split(resource, '/');
    View view;
    if (parts.size() < 2) {
      view.cache = &caches_.ForPrefix(Cat("/core/", resource, "/"));
      return view;
    }
    const std::string_view group = parts.size() == 2 ? std::string_view() : parts[0];
    view.def = registry_.Find(group, parts[parts.size() - 2], parts.back());
    view.api_version = group.empty() ? std::string(parts[parts.size() - 2]) : Cat(group, "/", parts[parts.size() - 2]);
    view.cache = view.def ? &caches_.For(*view.def) : &caches_.ForPrefix(Cat("/", group.empty() ? std::string_view("core") : group, "/", parts.back(), "/"));
    return view;
  }

  void Restart(Subscriber& subscriber) {
    ObjectCache::Snapshot snapshot;
    subscriber.subscription = subscriber.view.cache->ListAndSubscribe("", &snapshot);
    subscriber.initial = std::move(snapshot.items);
    subscriber.subscription->OnReady([this] { Wake(); });
  }

  void Wake() {
    {
      std::lock_guard lock(mutex_);
      pending_ = true;
    }
    changed_.notify_all();
  }

  void Deliver() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return stopping_ || pending_; });
      if (stopping_) return;
      pending_ = false;
      const auto todo = subscribers_;
      lock.unlock();
      for (const auto& subscriber : todo) {
        std::lock_guard running(subscriber->running);
        if (!subscriber->gone) Drain(*subscriber);
      }
      lock.lock();
    }
  }

  void Drain(Subscriber& subscriber) {
    for (const auto& item : std::exchange(subscriber.initial, {})) Tell(subscriber, Notification::Type::kAdded, *item, nullptr);
    for (;;) {
      if (subscriber.gone) return;
      std::vector<EventPtr> events;
      store::Revision drained_at = 0;
      if (!subscriber.subscription->Next(&events, 512, &drained_at)) {
        Restart(subscriber);   // objects that vanished meanwhile are found by level-triggered readers through the lister
        for (const auto& item : std::exchange(subscriber.initial, {})) Tell(subscriber, Notification::Type::kModified, *item, nullptr);
        continue;
      }
      for (const auto& event : events) {
        if (subscriber.gone) return;
        switch (event->type) {
          case CacheEvent::Type::kAdded: Tell(subscriber, Notification::Type::kAdded, *event->item, nullptr); break;
          case CacheEvent::Type::kModified: Tell(subscriber, Notification::Type::kModified, *event->item, event->previous.get()); break;
          case CacheEvent::Type::kDeleted: Tell(subscriber, Notification::Type::kDeleted, *event->item, nullptr); break;
        }
      }
      if (drained_at != 0) return;
    }
  }

  static void Tell(Subscriber& subscriber, Notification::Type type, const Item& item, const Item* previous) {
    subscriber.callback({type, subscriber.view.Show(item), previous ? subscriber.view.Show(*previous) : nullptr});
  }

  Caches& caches_;
  const Registry& registry_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::unique_ptr<CacheLister>, std::less<>> listers_;   // guarded
  std::vector<std::shared_ptr<Subscriber>> subscribers_;                        // guarded
  bool pending_ = false, stopping_ = false;                                     // guarded
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Informers> NewCacheInformers(Caches& caches, const Registry& registry) { return std::make_unique<CacheInformers>(caches, registry); }

}  // namespace skerry::kube
