#include "embedded-kube-shim/cache/object_cache.h"

#include <algorithm>

#include "core/base/strings.h"

namespace skerry::kube {
namespace {

constexpr std::size_t kHistoryEvents = 10'000, kHistoryBytes = 64 << 20, kKeepAtLeast = 1'000;
constexpr std::size_t kEncodedEvents = 256;
constexpr std::chrono::minutes kHistoryAge{5};

void EraseFrom(std::unordered_map<std::string, std::vector<ItemPtr>>& index, std::string_view value, std::string_view key) {
  const auto it = index.find(std::string(value));
  if (it == index.end()) return;
  std::erase_if(it->second, [&](const ItemPtr& item) { return item->key() == key; });
  if (it->second.empty()) index.erase(it);
}

}  // namespace

Bytes CacheEvent::Encoded(std::string_view shape, const std::function<Bytes()>& encode) const {
  std::lock_guard lock(mutex_);
  for (const auto& [known, encoded] : encoded_)
    if (known == shape) return encoded;
  encoded_.emplace_back(std::string(shape), encode());
  return encoded_.back().second;
}

Subscription::~Subscription() {
  if (!waker_) return;
  std::lock_guard lock(waker_->mutex);
  waker_->notify = nullptr;
}

void Subscription::OnReady(std::function<void()> notify) {
  waker_ = std::make_shared<Waker>();
  waker_->notify = std::move(notify);
  std::lock_guard lock(cache_.wakers_mutex_);
  cache_.wakers_.push_back(waker_);
}

Result<> Subscription::Next(std::vector<EventPtr>* out, std::size_t limit, store::Revision* drained_at) {
  std::lock_guard lock(cache_.mutex_);
  *drained_at = 0;
  if (next_ < cache_.first_sequence_) return Fail(Code::kGone, "watch fell behind");
  const std::uint64_t end = cache_.first_sequence_ + cache_.history_.size();
  for (; next_ < end && limit > 0; ++next_, --limit) out->push_back(cache_.history_[next_ - cache_.first_sequence_].event);
  if (next_ == end) *drained_at = cache_.RevisionLocked();
  return {};
}

ItemPtr ObjectCache::Get(std::string_view key) const {
  std::lock_guard lock(mutex_);
  const auto it = items_.find(key);
  return it == items_.end() ? nullptr : *it;
}

void ObjectCache::CollectLocked(std::string_view prefix, std::vector<ItemPtr>* out) const {
  if (prefix.empty()) out->reserve(items_.size());
  for (auto it = items_.lower_bound(prefix); it != items_.end() && (*it)->key().starts_with(prefix); ++it) out->push_back(*it);
}

ObjectCache::Snapshot ObjectCache::List(std::string_view prefix) const {
  std::lock_guard lock(mutex_);
  Snapshot snapshot;
  CollectLocked(prefix, &snapshot.items);
  snapshot.revision = RevisionLocked();
  return snapshot;
}

Result<ObjectCache::Snapshot> ObjectCache::ListAt(std::string_view prefix, store::Revision revision) const {
  std::lock_guard lock(mutex_);
  if (revision < floor_) return Fail(Code::kGone, "The provided resource version is too old");
  // Current state overlaid by the first previous state of each key that changed later.
  std::map<std::string_view, ItemPtr> overlay;
  for (auto it = history_.rbegin(); it != history_.rend() && it->event->revision() > revision; ++it) {
    const auto& event = *it->event;
    if (event.item->key().starts_with(prefix)) overlay[event.item->key()] = event.previous;
  }
  Snapshot snapshot;
  snapshot.revision = revision;
  auto changed = overlay.begin();
  auto it = items_.lower_bound(prefix);
  const auto current = [&] { return it != items_.end() && (*it)->key().starts_with(prefix); };
  while (current() || changed != overlay.end()) {
    if (changed == overlay.end() || (current() && (*it)->key() < changed->first)) {
      snapshot.items.push_back(*it);
      ++it;
      continue;
    }
    if (current() && (*it)->key() == changed->first) ++it;
    if (changed->second) snapshot.items.push_back(changed->second);
    ++changed;
  }
  return snapshot;
}

std::vector<ItemPtr> ObjectCache::OwnedBy(std::string_view uid) const {
  std::lock_guard lock(mutex_);
  const auto it = by_owner_.find(std::string(uid));
  return it == by_owner_.end() ? std::vector<ItemPtr>() : it->second;
}

std::vector<ItemPtr> ObjectCache::OnNode(std::string_view node) const {
  std::lock_guard lock(mutex_);
  const auto it = by_node_.find(std::string(node));
  return it == by_node_.end() ? std::vector<ItemPtr>() : it->second;
}

std::size_t ObjectCache::size() const {
  std::lock_guard lock(mutex_);
  return items_.size();
}

store::Revision ObjectCache::revision() const {
  std::lock_guard lock(mutex_);
  return RevisionLocked();
}

store::Revision ObjectCache::floor() const {
  std::lock_guard lock(mutex_);
  return floor_;
}

Result<std::unique_ptr<Subscription>> ObjectCache::Subscribe(store::Revision after) {
  std::lock_guard lock(mutex_);
  if (after < floor_) return Fail(Code::kGone, Cat("too old resource version: ", after, " (", floor_, ")"));
  const auto first = std::partition_point(history_.begin(), history_.end(), [&](const Recorded& r) { return r.event->revision() <= after; });
  return std::unique_ptr<Subscription>(new Subscription(*this, first_sequence_ + static_cast<std::uint64_t>(first - history_.begin())));
}

std::unique_ptr<Subscription> ObjectCache::ListAndSubscribe(std::string_view prefix, Snapshot* snapshot) {
  std::lock_guard lock(mutex_);
  CollectLocked(prefix, &snapshot->items);
  snapshot->revision = RevisionLocked();
  return std::unique_ptr<Subscription>(new Subscription(*this, first_sequence_ + history_.size()));
}

void ObjectCache::Index(const ItemPtr& item) {
  for (const auto& owner : item->owners()) by_owner_[owner.uid].push_back(item);
  if (!item->node_name().empty()) by_node_[std::string(item->node_name())].push_back(item);
}

void ObjectCache::Unindex(const Item& item) {
  for (const auto& owner : item.owners()) EraseFrom(by_owner_, owner.uid, item.key());
  if (!item.node_name().empty()) EraseFrom(by_node_, item.node_name(), item.key());
}

void ObjectCache::Load(std::string_view key, const store::Entry& entry) {
  auto item = std::make_shared<const Item>(key, entry);
  std::lock_guard lock(mutex_);
  Replace(items_.find(item->key()), item);
  changes_.fetch_add(1, std::memory_order_release);
}

// The set's keys lie in its items: one leaves before the next comes.
void ObjectCache::Replace(Items::iterator at, const ItemPtr& item) {
  Items::node_type node;
  if (at != items_.end()) {
    Unindex(**at);
    node = items_.extract(at);
    node.value() = item;
    items_.insert(std::move(node));
  } else {
    items_.insert(item);
  }
  Index(item);
}

void ObjectCache::StartHistory(store::Revision at) {
  std::lock_guard lock(mutex_);
  floor_ = at;
}

void ObjectCache::Apply(std::string_view key, const store::Event& event) {
  using ChangeType = CacheEvent::Type;
  auto item = std::make_shared<const Item>(key, event.entry);   // scanned before the lock is taken
  std::lock_guard lock(mutex_);
  const auto next = items_.lower_bound(item->key());
  const auto it = next != items_.end() && (*next)->key() == item->key() ? next : items_.end();
  ItemPtr previous = it == items_.end() ? nullptr : *it;
  ChangeType type = previous ? ChangeType::kModified : ChangeType::kAdded;
  if (event.type == store::Event::Type::kDelete) {
    type = ChangeType::kDeleted;
    if (previous) Unindex(*previous);
    if (previous) items_.erase(it);
  } else if (previous) {
    Replace(it, item);
  } else {
    items_.insert(next, item);
    Index(item);
  }
  changes_.fetch_add(1, std::memory_order_release);
  last_change_ = item->modified;
  Record(type, std::move(item), std::move(previous));
}

void ObjectCache::Record(CacheEvent::Type type, ItemPtr item, ItemPtr previous) {
  history_bytes_ += item->size();
  history_.push_back({std::make_shared<const CacheEvent>(type, std::move(item), std::move(previous)), std::chrono::steady_clock::now()});
  // Every watcher but the slowest has had it: what is kept for the late ones is the object alone.
  if (history_.size() > kEncodedEvents) history_[history_.size() - 1 - kEncodedEvents].event->ForgetEncodings();
  Trim();
}

void ObjectCache::Recall(store::Revision since, std::size_t prefix_size, const std::vector<store::Event>& events) {
  using ChangeType = CacheEvent::Type;
  std::unordered_map<std::string, ItemPtr> latest;   // null: deleted
  std::lock_guard lock(mutex_);
  floor_ = since;
  for (const auto& event : events) {
    if (event.type == store::Event::Type::kBookmark) continue;
    const auto key = event.entry.key.substr(prefix_size);
    auto& last = latest[key];
    ItemPtr previous = last;
    if (!previous && event.previous) {
      previous = std::make_shared<const Item>(key, store::Entry{event.entry.key, event.previous->value, event.previous->created, event.previous->modified});
    }
    const bool deleted = event.type == store::Event::Type::kDelete;
    const auto current = items_.find(key);
    const bool still_there = !deleted && current != items_.end() && (*current)->modified == event.entry.modified;
    ItemPtr item = still_there ? *current : std::make_shared<const Item>(key, event.entry);
    last = deleted ? nullptr : item;
    const auto type = deleted ? ChangeType::kDeleted : previous ? ChangeType::kModified : ChangeType::kAdded;
    Record(type, std::move(item), std::move(previous));
  }
}

void CacheEvent::ForgetEncodings() const {
  std::vector<std::pair<std::string, Bytes>> forgotten;   // destroyed after the lock is released
  std::lock_guard lock(mutex_);
  forgotten.swap(encoded_);
}

void ObjectCache::Trim() {
  const auto now = std::chrono::steady_clock::now();
  while (!history_.empty()) {
    const auto& oldest = history_.front();
    const bool full = history_.size() > kHistoryEvents || history_bytes_ > kHistoryBytes;
    const bool stale = history_.size() > kKeepAtLeast && now - oldest.at > kHistoryAge;
    if (!full && !stale) return;
    floor_ = oldest.event->revision();
    history_bytes_ -= oldest.event->item->size();
    history_.pop_front();
    ++first_sequence_;
  }
}

void ObjectCache::DropHistory(store::Revision at) {
  std::lock_guard lock(mutex_);
  while (!history_.empty() && history_.front().event->revision() <= at) {
    history_bytes_ -= history_.front().event->item->size();
    history_.pop_front();
    ++first_sequence_;
  }
  floor_ = std::max(floor_, at);
}

void ObjectCache::Wake() {
  std::vector<std::shared_ptr<Subscription::Waker>> live;
  {
    std::lock_guard lock(wakers_mutex_);
    std::erase_if(wakers_, [](const auto& waker) { return waker.expired(); });
    live.reserve(wakers_.size());
    for (const auto& waker : wakers_)
      if (auto strong = waker.lock()) live.push_back(std::move(strong));
  }
  for (const auto& waker : live) {
    std::lock_guard lock(waker->mutex);
    if (waker->notify) waker->notify();
  }
}

}  // namespace skerry::kube
