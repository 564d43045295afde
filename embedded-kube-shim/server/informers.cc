#include <algorithm>
#include <atomic>
#include <map>

#include "core/base/strings.h"
#include "core/text/selector.h"
#include "embedded-kube-shim/client/change.h"
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
    if (!def || item.api_version() == api_version) return item.Object();
    auto object = item.Object()->Clone();
    if (!ConvertObject(*def, item.api_version(), api_version, object)) return item.Object();   // whoever converts is away: better as stored than not at all
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
      for (const auto& owner : item->owners())
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
  std::size_t Size() const override { return view_.cache->size(); }
  std::vector<ObjectPtr> Uncontrolled(std::string_view ns) const override {
    auto items = view_.cache->List(Prefix(ns)).items;
    std::erase_if(items, [](const ItemPtr& item) { return std::any_of(item->owners().begin(), item->owners().end(), [](const OwnerReference& o) { return o.controller; }); });
    return Shown(items);
  }

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

// Of an item, which knows who it is without being parsed.
class ItemChange final : public Change {
 public:
  ItemChange(const View& view, Notification::Type type, const Item& item, const Item* previous) : view_(view), type_(type), item_(item), previous_(previous) {}
  Notification::Type type() const override { return type_; }
  std::string_view ns() const override { return item_.ns(); }
  std::string_view name() const override { return item_.name(); }
  std::string_view uid() const override { return item_.uid(); }
  bool terminating() const override { return !item_.deletion_timestamp().empty(); }
  bool HasFinalizer(std::string_view finalizer) const override {
    const auto& all = item_.finalizers();
    return std::find(all.begin(), all.end(), finalizer) != all.end();
  }
  std::vector<Owner> owners() const override {
    std::vector<Owner> out;
    for (const auto& owner : item_.owners()) out.push_back({owner.uid, owner.api_version, owner.kind, owner.name, owner.block_owner_deletion});
    return out;
  }
  bool continues() const override { return previous_ != nullptr; }
  Notification Objects() const override { return {type_, view_.Show(item_), previous_ ? view_.Show(*previous_) : nullptr}; }

 private:
  const View& view_;
  const Notification::Type type_;
  const Item& item_;
  const Item* const previous_;   // may be null
};

// One delivery thread for all subscribers. A subscriber that fell behind the kept history is told the difference between what it knew
// and what there is.
class CacheInformers final : public Informers, public ChangeInformers {
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
    return SubscribeChanges(resource, [callback = std::move(callback)](const Change& change) { callback(change.Objects()); });
  }

  std::shared_ptr<void> SubscribeChanges(Resource resource, Callback callback) override {
    auto subscriber = std::make_shared<Subscriber>();
    subscriber->view = ViewOf(resource);
    subscriber->callback = std::move(callback);
    Restart(subscriber);
    Wake(subscriber);
    return std::shared_ptr<void>(nullptr, [this, subscriber](void*) {
      {
        std::lock_guard lock(mutex_);
        std::erase(ready_, subscriber);
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
    Callback callback;
    bool ready = false;                            // stands in ready_; guarded by mutex_
    std::recursive_mutex running;                  // guards the rest
    bool gone = false;
    std::vector<ItemPtr> initial;                  // still to be told of
    std::size_t told = 0;                          // of them
    Notification::Type initial_type = Notification::Type::kAdded;
    std::unique_ptr<Subscription> subscription;
  };
  using SubscriberPtr = std::shared_ptr<Subscriber>;
  // So many changes one subscriber is told of before it is the next one's turn: many are interested in the same objects, and parsed
  // ones are kept for a while only.
  static constexpr std::size_t kTurn = 256;

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

  void Restart(const SubscriberPtr& subscriber) {
    ObjectCache::Snapshot snapshot;
    subscriber->subscription = subscriber->view.cache->ListAndSubscribe("", &snapshot);
    subscriber->initial = std::move(snapshot.items);
    subscriber->told = 0;
    subscriber->subscription->OnReady([this, weak = std::weak_ptr(subscriber)] {
      if (auto strong = weak.lock()) Wake(std::move(strong));
    });
  }

  void Wake(SubscriberPtr subscriber) {
    bool first = false;   // only then the delivery thread may be asleep
    {
      std::lock_guard lock(mutex_);
      if (std::exchange(subscriber->ready, true)) return;
      first = ready_.empty();
      ready_.push_back(std::move(subscriber));
    }
    if (first) changed_.notify_all();
  }

  void Deliver() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return stopping_ || !ready_.empty(); });
      if (stopping_) return;
      auto todo = std::exchange(ready_, {});
      for (const auto& subscriber : todo) subscriber->ready = false;
      lock.unlock();
      for (bool more = true; more;) {
        more = false;
        for (const auto& subscriber : todo) {
          std::lock_guard running(subscriber->running);
          if (!subscriber->gone) more |= TakeTurn(subscriber);
        }
      }
      todo.clear();   // perhaps the last to hold one
      lock.lock();
    }
  }

  // True: there is more to tell.
  bool TakeTurn(const SubscriberPtr& pointer) {
    auto& subscriber = *pointer;
    std::size_t left = kTurn;
    for (; left > 0 && subscriber.told < subscriber.initial.size(); --left) {
      Tell(subscriber, subscriber.initial_type, *subscriber.initial[subscriber.told++], nullptr);
      if (subscriber.gone) return false;
    }
    if (subscriber.told < subscriber.initial.size()) return true;
    subscriber.initial = {};
    subscriber.told = 0;
    if (left == 0) return true;
    std::vector<EventPtr> events;
    store::Revision drained_at = 0;
    if (!subscriber.subscription->Next(&events, left, &drained_at)) {
      Restart(pointer);   // objects that vanished meanwhile are found by level-triggered readers through the lister
      subscriber.initial_type = Notification::Type::kModified;
      return true;
    }
    for (const auto& event : events) {
      if (subscriber.gone) return false;
      switch (event->type) {
        case CacheEvent::Type::kAdded: Tell(subscriber, Notification::Type::kAdded, *event->item, nullptr); break;
        case CacheEvent::Type::kModified: Tell(subscriber, Notification::Type::kModified, *event->item, event->previous.get()); break;
        case CacheEvent::Type::kDeleted: Tell(subscriber, Notification::Type::kDeleted, *event->item, nullptr); break;
      }
    }
    return drained_at == 0;
  }

  static void Tell(Subscriber& subscriber, Notification::Type type, const Item& item, const Item* previous) {
    subscriber.callback(ItemChange(subscriber.view, type, item, previous));
  }

  Caches& caches_;
  const Registry& registry_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::unique_ptr<CacheLister>, std::less<>> listers_;   // guarded
  std::vector<SubscriberPtr> ready_;                                            // guarded: who may have something to be told of
  bool stopping_ = false;                                                       // guarded
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Informers> NewCacheInformers(Caches& caches, const Registry& registry) { return std::make_unique<CacheInformers>(caches, registry); }

}  // namespace skerry::kube
