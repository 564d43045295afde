#include <catch2/catch.hpp>

#include <atomic>
#include <thread>

#include "core/base/strings.h"
#include "embedded-kube-shim/cache/object_cache.h"

using namespace skerry;
using namespace skerry::kube;

namespace {

constexpr std::string_view kPrefix = "/core/configmaps/";

Bytes ConfigMap(std::string_view name, std::int64_t value) {
  return Bytes(Cat(R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":")", name, R"(","namespace":"ns","uid":"u-)", name, R"(","labels":{"v":")", value, R"("}},"data":{"v":")", value, R"("}})"));
}

store::Revision Put(store::Store& store, std::string_view name, std::int64_t value) {
  store::Batch batch;
  batch.ops.push_back({Cat(kPrefix, "ns/", name), ConfigMap(name, value)});
  auto outcome = SubmitAndWait(store, std::move(batch));
  REQUIRE(outcome);
  return outcome->revision;
}

void Remove(store::Store& store, std::string_view name) {
  store::Batch batch;
  batch.ops.push_back({Cat(kPrefix, "ns/", name), std::nullopt});
  REQUIRE(SubmitAndWait(store, std::move(batch)));
}

std::string StateOf(const std::vector<ItemPtr>& items) {
  std::string out;
  for (const auto& item : items) out += Cat(item->key, "@", item->modified, " ");
  return out;
}

}  // namespace

TEST_CASE("a snapshot and the changes after it make up what there is, whatever commits meanwhile", "[cache]") {
  const auto store = store::NewMemoryStore();
  Caches caches;
  REQUIRE(caches.Load(*store));
  auto& cache = caches.ForPrefix(kPrefix);
  constexpr int kWrites = 2000, kReaders = 4;
  std::atomic<bool> writing{true};
  struct Reader {
    ObjectCache::Snapshot snapshot;
    std::unique_ptr<Subscription> subscription;
  };
  std::vector<std::vector<Reader>> readers(kReaders);
  {
    std::vector<std::jthread> threads;
    for (auto& mine : readers)
      threads.emplace_back([&] {
        // Every reader starts at many moments between the commits.
        while (writing && mine.size() < 200) {
          Reader reader;
          reader.subscription = cache.ListAndSubscribe("", &reader.snapshot);
          mine.push_back(std::move(reader));
          std::this_thread::yield();
        }
      });
    for (int i = 0; i < kWrites; ++i) {
      const auto name = Cat("c", i % 17);
      if (i % 5 == 4) Remove(*store, name);
      else Put(*store, name, i);
    }
    writing = false;
  }
  const auto want = StateOf(cache.List("").items);
  std::size_t checked = 0;
  for (auto& mine : readers) {
    for (auto& reader : mine) {
      std::map<std::string, ItemPtr> state;
      for (const auto& item : reader.snapshot.items) state[item->key] = item;
      auto last = reader.snapshot.revision;
      store::Revision drained = 0;
      while (drained == 0) {
        std::vector<EventPtr> events;
        REQUIRE(reader.subscription->Next(&events, 64, &drained));
        for (const auto& event : events) {
          REQUIRE(event->revision() > last);   // ordered, and nothing of the snapshot again
          last = event->revision();
          const bool known = state.contains(event->item->key);
          REQUIRE((event->type == CacheEvent::Type::kAdded) == !known);
          if (event->type == CacheEvent::Type::kDeleted) state.erase(event->item->key);
          else state[event->item->key] = event->item;
        }
      }
      std::vector<ItemPtr> items;
      for (const auto& [key, item] : state) items.push_back(item);
      REQUIRE(StateOf(items) == want);
      ++checked;
    }
  }
  CHECK(checked >= kReaders);
  caches.Stop();
}

TEST_CASE("a watcher that falls behind the kept history is told so and slows nobody", "[cache]") {
  const auto store = store::NewMemoryStore();
  Caches caches;
  REQUIRE(caches.Load(*store));
  auto& cache = caches.ForPrefix(kPrefix);
  ObjectCache::Snapshot snapshot;
  const auto slow = cache.ListAndSubscribe("", &snapshot);
  // More changes than are kept, in batches of many keys.
  for (int round = 0; round < 60; ++round) {
    store::Batch batch;
    for (int i = 0; i < 400; ++i) batch.ops.push_back({Cat(kPrefix, "ns/c", i), ConfigMap(Cat("c", i), round)});
    REQUIRE(SubmitAndWait(*store, std::move(batch)));
  }
  std::vector<EventPtr> events;
  store::Revision drained = 0;
  const auto next = slow->Next(&events, 16, &drained);
  REQUIRE_FALSE(next);
  CHECK(next.error().code() == Code::kGone);
  const auto old = cache.Subscribe(snapshot.revision);
  REQUIRE_FALSE(old);
  CHECK(old.error().code() == Code::kGone);
  CHECK(cache.Subscribe(cache.revision()));
  caches.Stop();
}

TEST_CASE("a list of the past shows each object as it was then", "[cache]") {
  const auto store = store::NewMemoryStore();
  Caches caches;
  REQUIRE(caches.Load(*store));
  auto& cache = caches.ForPrefix(kPrefix);
  Put(*store, "a", 1);
  const auto then = Put(*store, "b", 1);
  const auto before = StateOf(cache.List("").items);
  Put(*store, "a", 2);
  Remove(*store, "b");
  Put(*store, "c", 1);
  const auto past = cache.ListAt("", then);
  REQUIRE(past);
  CHECK(StateOf(past->items) == before);
  CHECK(past->revision == then);
  CHECK(StateOf(cache.List("").items) != before);
  caches.Stop();
}

TEST_CASE("a cache loaded from a store with history lets watches go on from before", "[cache]") {
  const auto store = store::NewMemoryStore();
  const auto before = Put(*store, "a", 1);
  Put(*store, "b", 1);
  const auto seen = Put(*store, "a", 2);
  Remove(*store, "b");
  Put(*store, "a", 3);
  Put(*store, "b", 2);
  Caches caches;
  REQUIRE(caches.Load(*store));
  auto& cache = caches.ForPrefix(kPrefix);
  const auto changes_after = [&](store::Revision after) {
    std::string out;
    auto subscription = cache.Subscribe(after);
    REQUIRE(subscription);
    std::vector<EventPtr> events;
    store::Revision drained = 0;
    REQUIRE((*subscription)->Next(&events, 100, &drained));
    for (const auto& event : events) out += Cat(static_cast<int>(event->type), event->item->key, "=", event->item->labels[0].second, event->previous ? Cat("<", event->previous->labels[0].second) : "", " ");
    return out;
  };
  CHECK(changes_after(seen) == "2ns/b=1<1 1ns/a=3<2 0ns/b=2 ");
  CHECK(changes_after(before) == "0ns/b=1 1ns/a=2<1 2ns/b=1<1 1ns/a=3<2 0ns/b=2 ");
  const auto past = cache.ListAt("", seen);
  REQUIRE(past);
  CHECK(past->items.size() == 2);
  REQUIRE(store->Compact(seen));
  Caches later;
  REQUIRE(later.Load(*store));
  CHECK_FALSE(later.ForPrefix(kPrefix).Subscribe(before));
  CHECK(later.ForPrefix(kPrefix).Subscribe(seen));
  store->SetFeed(nullptr);
}

TEST_CASE("an item shows its bytes under another kind, with the revision spliced in", "[cache]") {
  const Item item("ns/a", store::Entry{"", ConfigMap("a", 1), 3, 7});
  std::string text;
  item.AppendTo(text, "ConfigMap", "v1", 7);
  json::Value parsed;
  REQUIRE(json::Value::Parse(text, &parsed, nullptr));
  CHECK(parsed["kind"].Str() == "ConfigMap");
  CHECK(parsed.At({"metadata", "resourceVersion"}).Str() == "7");
  CHECK(parsed.At({"data", "v"}).Str() == "1");
  CHECK(parsed == *item.Object());
  text.clear();
  item.AppendTo(text, "", "", 0);
  REQUIRE(json::Value::Parse(text, &parsed, nullptr));
  CHECK_FALSE(parsed.Find("kind"));
  CHECK_FALSE(parsed["metadata"].Find("resourceVersion"));
}
