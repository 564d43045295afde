#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "embedded-kube-shim/api/resource_def.h"
#include "embedded-kube-shim/cache/item.h"
#include "store/store.h"

// What GET, LIST, WATCH and informers read: every committed object of one storage resource, and its recent changes.
namespace skerry::kube {

// One change. Encodings are made on first demand and shared by every subscriber.
class CacheEvent {
 public:
  enum class Type : std::uint8_t { kAdded, kModified, kDeleted };
  CacheEvent(Type event_type, ItemPtr event_item, ItemPtr before) : type(event_type), item(std::move(event_item)), previous(std::move(before)) {}
  const Type type;
  const ItemPtr item;        // kDeleted: the last content under the deletion's revision
  const ItemPtr previous;    // null for kAdded
  store::Revision revision() const { return item->modified; }
  // `encode` runs at most once per shape (version, encoding, transformation); any thread.
  Bytes Encoded(std::string_view shape, const std::function<Bytes()>& encode) const;
  void ForgetEncodings() const;   // who asks again has them made again

 private:
  mutable std::mutex mutex_;
  mutable std::vector<std::pair<std::string, Bytes>> encoded_;
};
using EventPtr = std::shared_ptr<const CacheEvent>;

class ObjectCache;

// A reader of the changes after a revision. Never slows a commit: whoever falls behind the kept history gets kGone.
class Subscription {
 public:
  ~Subscription();   // no wake-up runs afterwards
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;
  // Appends at most `limit` changes in order. kGone = fell behind. *drained_at = the revision up to which nothing is missing (set when
  // everything known was handed out, else 0).
  Result<> Next(std::vector<EventPtr>* out, std::size_t limit, store::Revision* drained_at);
  // May be called from any thread, after a commit group; set before the first Next.
  void OnReady(std::function<void()> notify);

 private:
  friend class ObjectCache;
  struct Waker {
    std::recursive_mutex mutex;       // held while calling: the destructor waits for a running call
    std::function<void()> notify;
  };
  Subscription(ObjectCache& cache, std::uint64_t next) : cache_(cache), next_(next) {}
  ObjectCache& cache_;
  std::uint64_t next_;                // sequence number of the next event
  std::shared_ptr<Waker> waker_;
};

// Thread-safe. Writers are the commit thread only.
class ObjectCache {
 public:
  struct Snapshot {
    std::vector<ItemPtr> items;       // sorted by key
    store::Revision revision = 0;
  };
  explicit ObjectCache(const std::atomic<store::Revision>& applied) : applied_(applied) {}

  ItemPtr Get(std::string_view key) const;
  // Objects whose key starts with `prefix` ("" or "<namespace>/").
  Snapshot List(std::string_view prefix) const;
  // The same as of an earlier revision. kGone when the kept history does not reach back that far.
  Result<Snapshot> ListAt(std::string_view prefix, store::Revision revision) const;
  std::vector<ItemPtr> OwnedBy(std::string_view uid) const;
  std::vector<ItemPtr> OnNode(std::string_view node) const;
  std::size_t size() const;
  store::Revision revision() const;   // what a reader sees now
  std::uint64_t changes() const { return changes_.load(std::memory_order_acquire); }   // grows with each change, before its commit is answered

  // Changes after `after`. kGone when it is behind the kept history.
  Result<std::unique_ptr<Subscription>> Subscribe(store::Revision after);
  // A snapshot and every change after it.
  std::unique_ptr<Subscription> ListAndSubscribe(std::string_view prefix, Snapshot* snapshot);
  // Oldest revision that Subscribe can start from.
  store::Revision floor() const;

 private:
  friend class Caches;
  friend class Subscription;
  struct ByKey {
    using is_transparent = void;
    static std::string_view Of(const ItemPtr& item) { return item->key(); }
    static std::string_view Of(std::string_view key) { return key; }
    template <class A, class B>
    bool operator()(const A& a, const B& b) const { return Of(a) < Of(b); }
  };
  void Load(std::string_view key, const store::Entry& entry);
  void StartHistory(store::Revision at);
  // After Load, before the first Apply: what happened after `since`. Keys are those of the store, below a prefix of this length.
  void Recall(store::Revision since, std::size_t prefix_size, const std::vector<store::Event>& events);
  void Record(CacheEvent::Type type, ItemPtr item, ItemPtr previous);
  void Apply(std::string_view key, const store::Event& event);
  void DropHistory(store::Revision at);   // everything at or before
  using Items = std::set<ItemPtr, ByKey>;
  void Replace(Items::iterator at, const ItemPtr& item);
  void Index(const ItemPtr& item);
  void Unindex(const Item& item);
  void Trim();
  void Wake();
  store::Revision RevisionLocked() const { return std::max(applied_.load(std::memory_order_acquire), last_change_); }
  void CollectLocked(std::string_view prefix, std::vector<ItemPtr>* out) const;

  struct Recorded {
    EventPtr event;
    std::chrono::steady_clock::time_point at;
  };
  const std::atomic<store::Revision>& applied_;
  std::atomic<std::uint64_t> changes_{0};
  mutable std::mutex mutex_;
  Items items_;
  std::unordered_map<std::string, std::vector<ItemPtr>> by_owner_, by_node_;
  std::deque<Recorded> history_;
  std::uint64_t first_sequence_ = 0;      // of history_.front()
  std::size_t history_bytes_ = 0;
  store::Revision floor_ = 0, last_change_ = 0;
  std::mutex wakers_mutex_;
  std::vector<std::weak_ptr<Subscription::Waker>> wakers_;
};

// Every cache of the process, fed by the store. Caches exist for every stored prefix; an unknown one is created empty.
class Caches final : public store::Feed {
 public:
  Caches();
  ~Caches() override;
  // Reads the store with the history that it still has, so that watches go on across a restart, and subscribes to it. Before the first Submit.
  Result<> Load(store::Store& store);
  void Stop();                            // no wake-ups afterwards
  ObjectCache& For(const ResourceDef& def);
  ObjectCache& ForPrefix(std::string_view prefix);   // "/<group or core>/<resource>/"
  store::Revision revision() const { return applied_.load(std::memory_order_acquire); }
  std::vector<std::pair<std::string, std::size_t>> Sizes() const;
  void OnCommit(store::Revision revision, const std::vector<store::Event>& events) override;
  void OnGroupEnd(store::Revision) override;

 private:
  void LoadHistory(store::Store& store, std::string_view prefix, ObjectCache& cache);
  std::atomic<store::Revision> applied_{0};
  mutable std::shared_mutex mutex_;
  std::map<std::string, std::unique_ptr<ObjectCache>, std::less<>> caches_;   // never removed
  store::Revision loaded_ = 0;            // guarded by mutex_
  std::vector<ObjectCache*> dirty_;       // commit thread only
  std::mutex wake_mutex_;
  std::condition_variable wake_;
  std::vector<ObjectCache*> to_wake_;     // guarded by wake_mutex_
  bool stopping_ = false;                 // guarded by wake_mutex_
  std::thread waker_;
};

// Storage keys: "/<group or core>/<resource>/[<namespace>/]<name>". Kinds that share storage share the prefix.
std::string StoragePrefix(const ResourceDef& def);
std::string StorageKey(const ResourceDef& def, std::string_view ns, std::string_view name);
// Keys under this prefix are no objects (allocations); they are not cached.
inline constexpr std::string_view kInternalPrefix = "/~";

}  // namespace skerry::kube
