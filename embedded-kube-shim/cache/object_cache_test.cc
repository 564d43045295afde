#include <catch2/catch.hpp>

#include <atomic>
#include <thread>

#include "core/base/strings.h"
#include "core/json/parse.h"
#include "core/json/share.h"
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
  for (const auto& item : items) out += Cat(item->key(), "@", item->modified, " ");
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
      for (const auto& item : reader.snapshot.items) state[std::string(item->key())] = item;
      auto last = reader.snapshot.revision;
      store::Revision drained = 0;
      while (drained == 0) {
        std::vector<EventPtr> events;
        REQUIRE(reader.subscription->Next(&events, 64, &drained));
        for (const auto& event : events) {
          REQUIRE(event->revision() > last);   // ordered, and nothing of the snapshot again
          last = event->revision();
          const bool known = state.contains(std::string(event->item->key()));
          REQUIRE((event->type == CacheEvent::Type::kAdded) == !known);
          if (event->type == CacheEvent::Type::kDeleted) state.erase(std::string(event->item->key()));
          else state[std::string(event->item->key())] = event->item;
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
    for (const auto& event : events) out += Cat(static_cast<int>(event->type), event->item->key(), "=", event->item->labels()[0].second, event->previous ? Cat("<", event->previous->labels()[0].second) : "", " ");
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

TEST_CASE("an item gives away what its bytes say, and is the same when they were compressed", "[cache]") {
  const std::string stored =
      R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"ns","uid":"u-1","deletionTimestamp":"2026-01-01T00:00:00Z",)"
      R"("labels":{"tier":"back","app":"shop","empty":""},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r","uid":"u-0","controller":true}],)"
      R"("finalizers":["x/y"]},"spec":{"nodeName":"n1","note":"a text that is long enough to be worth compressing, compressing, compressing, compressing"}})";
  store::Entry entry{"", Bytes(stored), 3, 7};
  const Item item("ns/a", entry);
  std::string before, after;
  item.AppendTo(before, "Pod", "v1", 7);
  entry.value.Settle();
  store::CompressValues(0);
  REQUIRE(entry.value.resident() < stored.size());
  item.AppendTo(after, "Pod", "v1", 7);
  CHECK(before == after);
  CHECK(item.bytes().view() == stored);
  CHECK(Cat(item.ns(), " ", item.name(), " ", item.kind(), " ", item.api_version(), " ", item.uid(), " ", item.deletion_timestamp(), " ", item.node_name()) ==
        "ns a Pod v1 u-1 2026-01-01T00:00:00Z n1");
  CHECK(item.owners().at(0).uid == "u-0");
  CHECK(item.finalizers() == std::vector<std::string>{"x/y"});
  CHECK(item.labels() == std::vector<std::pair<std::string_view, std::string_view>>{{"app", "shop"}, {"empty", ""}, {"tier", "back"}});
  bool present = false;
  CHECK(item.LabelOf("tier", &present) == "back");
  CHECK(present);
  CHECK(item.LabelOf("empty", &present).empty());
  CHECK(present);
  item.LabelOf("b", &present);
  CHECK_FALSE(present);
  const Item node("n1", store::Entry{"", Bytes(std::string(R"({"kind":"Node","apiVersion":"v1","metadata":{"name":"n1"}})")), 1, 1});
  CHECK(node.ns().empty());
  CHECK(node.name() == "n1");
  CHECK(node.owners().empty());
}

TEST_CASE("an item is appended the same whether its bytes were compressed or not, whatever is there already", "[cache]") {
  const std::string filler = R"("spec":{"note":"a text that is long enough to be worth compressing, compressing, compressing, compressing, compressing, compressing, compressing, compressing and compressing again"}})";
  for (const std::string_view metadata : {R"({"name":"a","namespace":"ns","uid":"u-1","labels":{"a":"b"}})", R"({"labels":{"a":"b"}})", "{}", R"({"name":"a"})", ""}) {
    for (const std::string_view type : {R"("kind":"Pod","apiVersion":"v1",)", R"("kind":"AKindWithALongName","apiVersion":"and.a.long.group/v1beta17",)", ""}) {
      const std::string stored = Cat("{", type, metadata.empty() ? "" : Cat("\"metadata\":", metadata, ","), filler);
      store::Entry entry{"", Bytes(stored), 3, 7};
      const Item plain("ns/a", entry);
      store::Entry packed{"", Bytes(stored), 3, 7};
      const Item item("ns/a", packed);
      packed.value.Settle();
      store::CompressValues(0);
      REQUIRE(packed.value.resident() < stored.size());
      bool same = true;
      for (std::size_t there = 0; there < 80; ++there) {
        for (const store::Revision revision : {store::Revision{0}, store::Revision{7}, store::Revision{123456789}}) {
          std::string want(there, '#'), got(there, '#');
          plain.AppendTo(want, {}, {}, revision);
          item.AppendTo(got, {}, {}, revision);
          same = same && want == got;
        }
      }
      CHECK(same);
      std::string in_list;
      item.AppendTo(in_list, {}, {}, 7);
      json::Value parsed;
      REQUIRE(json::Value::Parse(in_list, &parsed, nullptr));
      CHECK_FALSE(parsed.Find("kind"));
      CHECK((parsed["metadata"].Find("resourceVersion") == nullptr) == metadata.empty());
      CHECK(parsed.At({"spec", "note"}).Str().ends_with("compressing again"));
    }
  }
}

TEST_CASE("an item is taken apart at its metadata", "[cache]") {
  const std::string stored = R"({"kind":"Node","apiVersion":"v1","metadata":{"name":"n1","labels":{"}":"{\"[\\"}},"spec":{"x":1}})";
  const Item item("n1", store::Entry{"", Bytes(stored), 1, 1});
  store::Value::Room room;
  const auto text = item.View(room);
  CHECK(text == stored);
  CHECK(item.MetadataOf(text) == R"({"name":"n1","labels":{"}":"{\"[\\"}})");
  std::string out;
  item.AppendWith(out, R"({"name":"other")", "}", text);
  CHECK(out == R"({"kind":"Node","apiVersion":"v1","metadata":{"name":"other"},"spec":{"x":1}})");
  std::string metadata;
  item.AppendMetadata(metadata, 1, text);
  CHECK(metadata == R"({"name":"n1","resourceVersion":"1","labels":{"}":"{\"[\\"}})");
}

TEST_CASE("an item takes the document that was offered with its bytes, and parses them when none was", "[cache]") {
  const std::string stored = R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","namespace":"ns","uid":"u","labels":{"a":"b"}},"data":{"k":"v"}})";
  const Bytes bytes(stored), others(stored);
  const ParsedOffer offer(bytes, json::Parse(stored).value());
  {
    const ParsedOffer withdrawn(others, json::Parse("{}").value());
  }
  const Item item("ns/a", store::Entry{"", bytes, 3, 7}), parsed("ns/a", store::Entry{"", others, 3, 7});
  CHECK(item.Object()->Dump() == parsed.Object()->Dump());
  CHECK(parsed.Object()->Dump() ==
        R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","namespace":"ns","uid":"u","resourceVersion":"7","labels":{"a":"b"}},"data":{"k":"v"}})");
  CHECK(json::IsFrozen(*item.Object()));
  CHECK(json::IsFrozen(*parsed.Object()));
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
