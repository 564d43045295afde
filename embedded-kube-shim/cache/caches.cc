#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/cache/object_cache.h"
#include "embedded-kube-shim/cache/quiet.h"

namespace skerry::kube {
namespace {

// Splits "/<group>/<resource>/<rest>"; false for internal and foreign keys.
bool SplitKey(std::string_view full, std::string_view* prefix, std::string_view* rest) {
  if (full.starts_with(kInternalPrefix) || !full.starts_with('/')) return false;
  const auto second = full.find('/', 1);
  if (second == std::string_view::npos) return false;
  const auto third = full.find('/', second + 1);
  if (third == std::string_view::npos) return false;
  *prefix = full.substr(0, third + 1);
  *rest = full.substr(third + 1);
  return true;
}

}  // namespace

std::string StoragePrefix(const ResourceDef& def) {
  std::string_view group = def.group, resource = def.resource;
  if (!def.storage_key.empty()) {
    const std::string_view shared = def.storage_key;
    const auto slash = shared.rfind('/');
    group = slash == std::string_view::npos ? std::string_view() : shared.substr(0, slash);
    resource = slash == std::string_view::npos ? shared : shared.substr(slash + 1);
  }
  return Cat("/", group.empty() ? std::string_view("core") : group, "/", resource, "/");
}

std::string StorageKey(const ResourceDef& def, std::string_view ns, std::string_view name) {
  std::string key = StoragePrefix(def);
  if (def.scope == Scope::kNamespaced) key.append(ns).append("/");
  return key.append(name);
}

Caches::Caches() {
  waker_ = std::thread([this] {
    constexpr auto kWindow = std::chrono::seconds(15);
    constexpr std::size_t kBusy = 50;   // groups in a window; a node's heartbeats are fewer
    std::size_t woken = 0;              // since the memory was last given back
    auto window_ends = std::chrono::steady_clock::time_point::max();
    std::unique_lock lock(wake_mutex_);
    for (;;) {
      const auto due = [this] { return stopping_ || !to_wake_.empty(); };
      if (woken < kBusy) {
        wake_.wait(lock, due);
      } else if (!wake_.wait_until(lock, window_ends, due)) {
        const bool quiet = woken < 2 * kBusy;
        woken = quiet ? 0 : kBusy;
        window_ends = std::chrono::steady_clock::now() + kWindow;
        lock.unlock();
        if (quiet) CallQuietHooks();
        lock.lock();
        continue;
      }
      if (stopping_) return;
      if (++woken == kBusy) window_ends = std::chrono::steady_clock::now() + kWindow;
      const auto todo = std::exchange(to_wake_, {});
      lock.unlock();
      for (auto* cache : todo) cache->Wake();
      lock.lock();
    }
  });
}

Caches::~Caches() { Stop(); }

void Caches::Stop() {
  {
    std::lock_guard lock(wake_mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (waker_.joinable()) waker_.join();
}

namespace {

// A custom resource whose last object is gone is known by its definition alone ("plural.group"); who watched it goes on in its history.
void AddDefined(Caches& caches) {
  for (const auto& definition : caches.ForPrefix("/apiextensions.k8s.io/customresourcedefinitions/").List("").items)
    if (const auto dot = definition->name().find('.'); dot != std::string_view::npos) caches.ForPrefix(Cat("/", definition->name().substr(dot + 1), "/", definition->name().substr(0, dot), "/"));
}

}  // namespace

Result<> Caches::Load(store::Store& store) {
  store::ListOptions options;
  options.limit = 1000;
  store::Revision revision = 0;
  for (;;) {
    TRY(auto page, store.List("/", options));
    revision = page.revision;
    options.at = page.revision;
    for (const auto& entry : page.entries) {
      std::string_view prefix, rest;
      if (SplitKey(entry.key, &prefix, &rest)) ForPrefix(prefix).Load(rest, entry);
    }
    if (!page.more || page.entries.empty()) break;
    options.from_key = page.entries.back().key + '\0';
  }
  applied_.store(revision, std::memory_order_release);
  {
    std::unique_lock lock(mutex_);
    loaded_ = revision;
  }
  AddDefined(*this);
  {
    std::shared_lock lock(mutex_);
    for (const auto& [prefix, cache] : caches_) LoadHistory(store, prefix, *cache);
  }
  store.SetFeed(this);
  return {};
}

// Where objects are volatile, or the history ends while it is read, it begins now: watches from before are told to list again.
void Caches::LoadHistory(store::Store& store, std::string_view prefix, ObjectCache& cache) {
  const auto since = store.horizon();
  cache.StartHistory(revision());
  auto watch = store.Subscribe(prefix, since, nullptr);
  std::vector<store::Event> events;
  while (watch) {
    auto some = (*watch)->TryNext();
    if (!some) return;
    if (some->empty()) {
      cache.Recall(since, prefix.size(), events);
      return;
    }
    std::move(some->begin(), some->end(), std::back_inserter(events));
  }
}

ObjectCache& Caches::For(const ResourceDef& def) { return ForPrefix(StoragePrefix(def)); }

ObjectCache& Caches::ForPrefix(std::string_view prefix) {
  {
    std::shared_lock lock(mutex_);
    const auto it = caches_.find(prefix);
    if (it != caches_.end()) return *it->second;
  }
  std::unique_lock lock(mutex_);
  auto& slot = caches_[std::string(prefix)];
  if (!slot) {
    slot = std::make_unique<ObjectCache>(applied_);
    slot->StartHistory(loaded_);   // every later change would have created it
  }
  return *slot;
}

std::vector<std::pair<std::string, std::size_t>> Caches::Sizes() const {
  std::shared_lock lock(mutex_);
  std::vector<std::pair<std::string, std::size_t>> sizes;
  for (const auto& [prefix, cache] : caches_) sizes.emplace_back(prefix, cache->size());
  return sizes;
}

void Caches::OnCommit(store::Revision revision, const std::vector<store::Event>& events) {
  for (const auto& event : events) {
    std::string_view prefix, rest;
    if (event.type == store::Event::Type::kBookmark || !SplitKey(event.entry.key, &prefix, &rest)) continue;
    auto& cache = ForPrefix(prefix);
    cache.Apply(rest, event);
    if (std::find(dirty_.begin(), dirty_.end(), &cache) == dirty_.end()) dirty_.push_back(&cache);
  }
  applied_.store(revision, std::memory_order_release);
}

void Caches::OnGroupEnd(store::Revision) {
  if (dirty_.empty()) return;
  {
    std::lock_guard lock(wake_mutex_);
    for (auto* cache : dirty_)
      if (std::find(to_wake_.begin(), to_wake_.end(), cache) == to_wake_.end()) to_wake_.push_back(cache);
  }
  dirty_.clear();
  wake_.notify_one();
}

}  // namespace skerry::kube
