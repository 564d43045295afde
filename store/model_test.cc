#include <cstdlib>
#include <thread>

#include "core/base/random.h"
#include "store/store_fixture.h"

namespace skerry::store {
namespace {

// The store as a plain list of every state it ever had.
struct Model {
  using Map = std::map<std::string, Version>;
  std::map<Revision, Map> states{{1, {}}};
  std::map<Revision, std::vector<Event>> events;
  Revision horizon = 1;

  const Map& now() const { return states.rbegin()->second; }
  const Map& At(Revision r) const { return std::prev(states.upper_bound(r))->second; }

  // What the batch does, given that the store answered with `revision` for it.
  void Apply(const Batch& batch, Revision revision) {
    Map map = now();
    std::vector<Event> happened;
    for (std::size_t i = 0; i < batch.ops.size(); ++i) {
      const Batch::Op& op = batch.ops[i];
      bool overridden = false;
      for (std::size_t j = i + 1; j < batch.ops.size(); ++j) overridden |= batch.ops[j].key == op.key;
      const auto it = now().find(op.key);
      const bool exists = it != now().end();
      if (overridden || (!exists && !op.value) || (exists && op.value && it->second.value.Load().view() == op.value->view())) continue;
      Event e;
      e.type = op.value ? Event::Type::kPut : Event::Type::kDelete;
      if (exists) e.previous = it->second;
      e.entry = Entry{op.key, op.value ? *op.value : it->second.value, exists ? it->second.created : revision, revision};
      if (op.value) map.insert_or_assign(op.key, Version{*op.value, e.entry.created, revision});
      if (!op.value) map.erase(op.key);
      happened.push_back(e);
    }
    states.emplace(revision, std::move(map));
    events.emplace(revision, std::move(happened));
  }
  bool Changes(const Batch& batch) const {
    Model copy;
    copy.states = {{1, now()}};
    copy.Apply(batch, 2);
    return !copy.events[2].empty();
  }
  bool Expects(const Batch& batch, std::size_t* failed) const {
    for (std::size_t i = 0; i < batch.expects.size(); ++i) {
      const auto it = now().find(batch.expects[i].key);
      const Revision modified = it == now().end() ? 0 : it->second.modified;
      *failed = i;
      if (batch.expects[i].modified == -1 ? modified == 0 : modified != batch.expects[i].modified) return false;
    }
    return true;
  }
};

bool Same(const Entry& e, const std::string& key, const Version& v) {
  return e.key == key && e.value.Load().view() == v.value.Load().view() && e.created == v.created && e.modified == v.modified;
}

bool Same(const Event& a, const Event& b) {
  return a.type == b.type && Same(a.entry, b.entry.key, Version{b.entry.value, b.entry.created, b.entry.modified}) &&
         a.previous.has_value() == b.previous.has_value() &&
         (!a.previous || (a.previous->value.Load().view() == b.previous->value.Load().view() && a.previous->created == b.previous->created &&
                          a.previous->modified == b.previous->modified));
}

class ModelRun {
 public:
  ModelRun(Engine engine, std::uint64_t seed) : random_(seed), store_(engine, MakeOptions()) {}

  void Run(int steps) {
    for (int i = 0; i < steps; ++i) Step();
  }

 private:
  // Unsynced: what is tested here is the arithmetic of revisions, and thousands of commits would cost seconds of fsync.
  static Options MakeOptions() {
    Options o;
    o.sync = false;
    return o;
  }

  void Step() {
    switch (random_.Below(12)) {
      case 0: return CheckList();
      case 1: return CheckGet();
      case 2: return CheckWatch();
      case 3:
        if (random_.Below(20) == 0) Compact();
        return;
      case 4:
        if (random_.Below(10) == 0) Reopen();
        return;
      default: return Write();
    }
  }

  std::string Key() { return Cat(random_.Below(2) ? "/a/" : "/b/", random_.Below(5)); }
  std::string Prefix() {
    static const char* const kPrefixes[] = {"", "/", "/a/", "/b/", "/a/3", "/none/"};
    return kPrefixes[random_.Below(std::size(kPrefixes))];
  }
  Revision Past() {
    const Revision now = store_->current();
    return model_.horizon + static_cast<Revision>(random_.Below(static_cast<std::uint64_t>(now - model_.horizon) + 1));
  }

  void Write() {
    Batch batch;
    for (std::uint64_t n = random_.Below(3); n > 0; --n) {
      const std::string key = Key();
      const auto it = model_.now().find(key);
      const Revision modified = it == model_.now().end() ? 0 : it->second.modified;
      batch.expects.push_back({key, random_.Below(4) == 0 ? static_cast<Revision>(random_.Below(10)) - 1 : modified});
    }
    for (std::uint64_t n = 1 + random_.Below(3); n > 0; --n) {
      batch.ops.push_back({Key(), random_.Below(3) == 0 ? std::nullopt : std::optional(Bytes(Cat("v", random_.Below(3))))});
    }
    const Revision before = store_->current();
    const Outcome o = store_.Commit(batch);
    std::size_t failed = 0;
    const bool expected = model_.Expects(batch, &failed);
    REQUIRE(o.conflict == !expected);
    if (o.conflict) {
      REQUIRE(o.failed_expect == failed);
      const auto it = model_.now().find(batch.expects[failed].key);
      REQUIRE(o.current.has_value() == (it != model_.now().end()));
      if (o.current) REQUIRE(Same(*o.current, it->first, it->second));
    }
    REQUIRE(o.changed == (expected && model_.Changes(batch)));
    REQUIRE(store_->current() == before + (o.changed ? 1 : 0));
    if (!o.changed) return;
    REQUIRE(o.revision == before + 1);
    model_.Apply(batch, o.revision);
  }

  void CheckList() {
    const std::string prefix = Prefix();
    const Revision at = random_.Below(2) ? Past() : 0;
    ListOptions options{"", random_.Below(4), at};
    const Revision shown = at ? at : store_->current();
    const Model::Map& map = model_.At(shown);
    auto it = map.lower_bound(prefix);
    for (;;) {
      const Page page = std::move(store_->List(prefix, options)).value();
      REQUIRE(page.revision == shown);
      for (const Entry& e : page.entries) {
        REQUIRE(it != map.end());
        REQUIRE(Same(e, it->first, it->second));
        ++it;
      }
      const auto left = std::count_if(it, map.end(), [&](const auto& kv) { return kv.first.starts_with(prefix); });
      REQUIRE(page.remaining == left);
      REQUIRE(page.more == (left > 0));
      if (!page.more) return;
      options.from_key = page.entries.back().key + '\0';
      options.at = page.revision;
      if (random_.Below(2)) Write();   // between pages
    }
  }

  void CheckGet() {
    const std::string key = Key();
    const Revision at = Past();
    const auto got = std::move(store_->Get(key, at)).value();
    const auto it = model_.At(at).find(key);
    REQUIRE(got.has_value() == (it != model_.At(at).end()));
    if (got) REQUIRE(Same(*got, it->first, it->second));
  }

  void CheckWatch() {
    const std::string prefix = Prefix();
    const Revision after = Past();
    auto watch = std::move(store_->Subscribe(prefix, after, nullptr)).value();
    if (random_.Below(2)) Write();
    const std::vector<Event> got = Drain(*watch);
    std::vector<Event> want;
    for (auto it = model_.events.upper_bound(after); it != model_.events.end(); ++it) {
      std::copy_if(it->second.begin(), it->second.end(), std::back_inserter(want),
                   [&](const Event& e) { return e.entry.key.starts_with(prefix); });
    }
    REQUIRE(got.size() == want.size());
    for (std::size_t i = 0; i < got.size(); ++i) REQUIRE(Same(got[i], want[i]));
    REQUIRE(watch->position() == store_->current());
  }

  void Compact() {
    const Revision at = Past();
    REQUIRE(store_->Compact(at));
    model_.horizon = at;
    REQUIRE(store_->horizon() == at);
    if (at > 1) REQUIRE(store_->Get("/a/1", at - 1).error().code() == Code::kGone);
  }

  void Reopen() {
    const Revision before = store_->current();
    store_.Reopen();
    REQUIRE(store_->current() >= before);
    REQUIRE(store_->horizon() == model_.horizon);
  }

  SeededRandom random_;
  Fixture store_;
  Model model_;
};

}  // namespace

TEST_CASE("random operations agree with a plain list of states", "[store]") {
  const char* many = std::getenv("SKERRY_STORE_MODEL_RUNS");
  const int runs = many ? std::atoi(many) : 4;
  for (int seed = 1; seed <= runs; ++seed) {
    INFO("seed " << seed);
    ModelRun(Engine::kMemory, static_cast<std::uint64_t>(seed)).Run(1500);
    ModelRun(Engine::kRocks, static_cast<std::uint64_t>(seed) + 1000).Run(600);
  }
}

TEST_CASE("watches are ordered, unique, atomic, reliable and resumable under concurrent writers", "[store]") {
  const Engine engine = GENERATE(Engine::kMemory, Engine::kRocks);
  Options options;
  options.sync = false;   // more commits in flight, not their durability, is what matters here
  Fixture s(engine, options);
  constexpr int kWriters = 4, kWrites = 150;
  std::atomic<bool> writing{true};
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; i < kWrites; ++i) {
        const Bytes value(Cat(w, ":", i));
        static_cast<void>(SubmitAndWait(*s, {{}, {{"/left", value}, {"/right", value}, {Cat("/own/", w), value}}}));
      }
    });
  }
  std::vector<Event> seen;
  std::thread watcher([&] {
    SeededRandom random(1);
    Revision position = 1;
    bool last = false;
    std::unique_ptr<Watch> watch;
    for (;;) {
      if (!watch) watch = std::move(s->Subscribe("/", position, nullptr)).value();
      auto events = watch->TryNext();
      if (!events) break;
      position = watch->position();
      seen.insert(seen.end(), events->begin(), events->end());
      if (events->empty() && last) break;
      if (events->empty()) last = !writing;
      if (random.Below(8) == 0) watch.reset();   // resume from the position
      std::this_thread::yield();
    }
  });
  bool torn = false;
  std::thread lister([&] {
    while (writing) {
      const auto page = s->List("/", {});
      if (!page) continue;
      std::string left, right;
      for (const Entry& e : page->entries) {
        if (e.key == "/left") left = e.value.Load().view();
        if (e.key == "/right") right = e.value.Load().view();
      }
      torn |= left != right;
    }
  });
  for (std::thread& t : writers) t.join();
  writing = false;
  watcher.join();
  lister.join();
  CHECK_FALSE(torn);
  REQUIRE(seen.size() == 3 * kWriters * kWrites);   // reliable: none lost, unique: none twice
  std::vector<int> next(kWriters, 0);
  for (std::size_t i = 0; i < seen.size(); i += 3) {
    const Revision revision = seen[i].entry.modified;
    CHECK(revision == static_cast<Revision>(2 + i / 3));   // ordered, without a gap
    CHECK((seen[i + 1].entry.modified == revision && seen[i + 2].entry.modified == revision));   // atomic
    const int writer = seen[i + 2].entry.key.back() - '0';
    CHECK(seen[i].entry.value.Load().view() == Cat(writer, ":", next[static_cast<std::size_t>(writer)]++));
  }
}

}  // namespace skerry::store
