#include <condition_variable>
#include <mutex>
#include <thread>

#include "core/base/fault.h"
#include "store/store_fixture.h"

// The suite of the Store interface: every test runs on every engine.
namespace skerry::store {
namespace {

Engine EachEngine() { return GENERATE(Engine::kMemory, Engine::kRocks); }

Options WithVolatile() {
  Options o;
  o.volatile_prefixes = {"/lease/"};
  return o;
}

}  // namespace

TEST_CASE("a new store is at revision 1 and every commit takes the next one", "[store]") {
  Fixture s(EachEngine());
  CHECK(s->current() == 1);
  CHECK(s->horizon() == 1);
  CHECK(s.Put("/a", "1") == 2);
  CHECK(s.Put("/b", "2") == 3);
  CHECK(s.Put("/a", "3") == 4);
  const auto a = s->Get("/a").value();
  REQUIRE(a);
  CHECK(a->created == 2);
  CHECK(a->modified == 4);
  CHECK(s.Delete("/a") == 5);
  CHECK(s.Value("/a") == "(absent)");
  CHECK(s.Put("/a", "new") == 6);
  CHECK(s->Get("/a").value()->created == 6);
}

TEST_CASE("a batch applies whole at one revision or not at all", "[store]") {
  Fixture s(EachEngine());
  s.Put("/a", "1");
  const Outcome lost = s.Commit({{{"/a", 2}, {"/b", -1}}, {{"/a", Bytes("x")}, {"/c", Bytes("y")}}});
  CHECK(lost.conflict);
  CHECK_FALSE(lost.changed);
  CHECK(lost.failed_expect == 1);
  CHECK_FALSE(lost.current);
  CHECK(s.Show("/") == "/a=1");
  const Outcome won = s.Commit({{{"/a", 2}, {"/b", 0}}, {{"/a", Bytes("x")}, {"/c", Bytes("y")}}});
  CHECK(won.revision == 3);
  CHECK(s.Show("/") == "/a=x /c=y");
  CHECK(s->Get("/c").value()->modified == 3);
}

TEST_CASE("a failed expectation returns the entry that stands in the way", "[store]") {
  Fixture s(EachEngine());
  s.Put("/a", "1");
  const Outcome o = s.Commit({{{"/a", 0}}, {{"/a", Bytes("2")}}});
  REQUIRE(o.conflict);
  REQUIRE(o.current);
  CHECK(o.current->value.Load().view() == "1");
  CHECK(o.current->modified == 2);
}

TEST_CASE("a write that changes nothing commits nothing and names the entry's revision", "[store]") {
  const Engine engine = EachEngine();
  Fixture s(engine);
  s.Put("/a", "1");
  s.Put("/b", "2");
  const int commits = s.disk().commits;
  const Outcome o = s.Commit({{}, {{"/a", Bytes("1")}}});
  CHECK_FALSE(o.changed);
  CHECK(o.revision == 2);
  const Outcome absent = s.Commit({{}, {{"/nothing", std::nullopt}}});
  CHECK_FALSE(absent.changed);
  CHECK(absent.revision == 3);
  CHECK(s->current() == 3);
  CHECK(s.disk().commits == commits);
}

TEST_CASE("the last op of a key counts and gives one event", "[store]") {
  Fixture s(EachEngine());
  auto watch = s->Subscribe("/", 1, nullptr).value();
  s.Commit({{}, {{"/a", Bytes("1")}, {"/b", Bytes("b")}, {"/a", std::nullopt}, {"/c", std::nullopt}, {"/c", Bytes("c")}}});
  CHECK(s.Show("/") == "/b=b /c=c");
  CHECK(ShowEvents(Drain(*watch)) == "+/b=b +/c=c");
}

TEST_CASE("batches of one group see each other and fail alone", "[store]") {
  Fixture s(EachEngine());
  std::mutex mutex;
  std::condition_variable answered;
  std::vector<Outcome> outcomes;
  const auto note = [&](Result<Outcome> r) {
    const std::lock_guard lock(mutex);
    outcomes.push_back(std::move(r).value());
    answered.notify_one();
  };
  // The first `done` holds the commit thread until the rest is queued, so that the rest is one group.
  std::mutex gate;
  gate.lock();
  s->Submit({{}, {{"/gate", Bytes("1")}}}, [&](Result<Outcome>) { const std::lock_guard lock(gate); });
  s->Submit({{{"/a", 0}}, {{"/a", Bytes("first")}}}, note);
  s->Submit({{{"/a", 0}}, {{"/a", Bytes("second")}}}, note);
  s->Submit({{{"/a", 3}}, {{"/a", Bytes("third")}}}, note);
  gate.unlock();
  std::unique_lock lock(mutex);
  answered.wait(lock, [&] { return outcomes.size() == 3; });
  CHECK(outcomes[0].revision == 3);
  CHECK(outcomes[1].conflict);
  CHECK(outcomes[1].current->value.Load().view() == "first");
  CHECK(outcomes[2].revision == 4);
  CHECK(s.Value("/a") == "third");
}

TEST_CASE("pages of a list show one revision whatever is written between them", "[store]") {
  Fixture s(EachEngine());
  for (const char* k : {"/p/a", "/p/b", "/p/c", "/p/d", "/q/x"}) s.Put(k, "old");
  const Page first = s->List("/p/", {"", 2, 0}).value();
  CHECK(first.entries.size() == 2);
  CHECK(first.more);
  CHECK(first.remaining == 2);
  s.Put("/p/c", "new");
  s.Delete("/p/d");
  s.Put("/p/bb", "inserted");
  const Page second = s->List("/p/", {"/p/b" + std::string(1, '\0'), 2, first.revision}).value();
  REQUIRE(second.entries.size() == 2);
  CHECK(second.entries[0].key == "/p/c");
  CHECK(second.entries[0].value.Load().view() == "old");
  CHECK(second.entries[1].key == "/p/d");
  CHECK_FALSE(second.more);
  CHECK(s.Show("/p/") == "/p/a=old /p/b=old /p/bb=inserted /p/c=new");
}

TEST_CASE("the past stays readable across a restart until the horizon", "[store]") {
  Fixture s(EachEngine());
  const Revision r1 = s.Put("/a", "1");
  const Revision r2 = s.Put("/a", "2");
  s.Delete("/a");
  const Revision r4 = s.Put("/a", "4");
  s.Reopen();
  CHECK(s.Value("/a", r1) == "1");
  CHECK(s.Value("/a", r2) == "2");
  CHECK(s.Value("/a", r2 + 1) == "(absent)");
  CHECK(s.Value("/a", r4) == "4");
  CHECK(s.Show("/", {"", 0, r2}) == "/a=2");
  CHECK(s->Get("/a", s->current() + 1).error().code() == Code::kInvalid);
  REQUIRE(s->Compact(r2));
  CHECK(s->horizon() == r2);
  CHECK(s.Value("/a", r2) == "2");
  CHECK(s->Get("/a", r1).error().code() == Code::kGone);
  CHECK(s->List("/", {"", 0, r1}).error().code() == Code::kGone);
  CHECK(s->Subscribe("/", r1, nullptr).error().code() == Code::kGone);
  s.Reopen();
  CHECK(s->horizon() == r2);
  CHECK(s.Value("/a", r2) == "2");
  CHECK(s->Get("/a", r1).error().code() == Code::kGone);
}

TEST_CASE("a watch resumes after a restart without gap or duplicate", "[store]") {
  Fixture s(EachEngine());
  const Revision r = s.Put("/a", "1");
  s.Put("/a", "2");
  s.Commit({{}, {{"/b", Bytes("b")}, {"/c", Bytes("c")}}});
  s.Delete("/a");
  s.Reopen();
  s.Put("/d", "d");
  auto watch = s->Subscribe("/", r, nullptr).value();
  const auto events = Drain(*watch);
  CHECK(ShowEvents(events) == "+/a=2 +/b=b +/c=c -/a +/d=d");
  CHECK(events[0].previous->value.Load().view() == "1");
  CHECK(events[3].entry.value.Load().view() == "2");
  CHECK(events[3].entry.modified == r + 3);
  CHECK(watch->position() == s->current());
}

TEST_CASE("a watch sees only its prefix and its position advances with the others' commits", "[store]") {
  Fixture s(EachEngine());
  auto watch = s->Subscribe("/a/", 1, nullptr).value();
  s.Put("/b/x", "1");
  CHECK(watch->position() == 2);
  s.Put("/a/x", "1");
  CHECK(watch->position() == 2);
  CHECK(ShowEvents(Drain(*watch)) == "+/a/x=1");
  CHECK(watch->position() == 3);
}

TEST_CASE("a slow watcher is closed with kGone and an idle one is not", "[store]") {
  Options options;
  options.history_bytes = 2000;
  Fixture s(EachEngine(), options);
  auto slow = s->Subscribe("/a/", 1, nullptr).value();
  auto idle = s->Subscribe("/b/", 1, nullptr).value();
  for (int i = 0; i < 20; ++i) s.Put("/a/x", std::string(200, static_cast<char>('a' + i)));
  // The history is trimmed after the answer: one more round through the commit thread.
  s.Put("/c", "1");
  s.Put("/c", "2");
  CHECK(slow->TryNext().error().code() == Code::kGone);
  CHECK(idle->TryNext().value().empty());
  s.Put("/b/y", "1");
  CHECK(ShowEvents(Drain(*idle)) == "+/b/y=1");
}

TEST_CASE("the horizon advances by age", "[store]") {
  FakeClock clock;
  Options options;
  options.clock = &clock;
  options.history_age = std::chrono::seconds(300);
  Fixture s(EachEngine(), options);
  const Revision r1 = s.Put("/a", "1");
  clock.Advance(std::chrono::seconds(299));
  const Revision r2 = s.Put("/a", "2");
  s.Put("/a", "3");
  CHECK(s.Value("/a", r1) == "1");
  clock.Advance(std::chrono::seconds(2));
  s.Put("/a", "4");
  s.Put("/a", "5");
  CHECK(s->horizon() == r1);
  CHECK(s.Value("/a", r2) == "2");
  clock.Advance(std::chrono::seconds(300));
  s.Reopen();   // ages count across a restart
  CHECK(s->Get("/a", r2).error().code() == Code::kGone);
}

TEST_CASE("watchers sharing a wake are woken once per group and never after they are gone", "[store]") {
  Fixture s(EachEngine());
  int wakes = 0;   // commit thread; read after SubmitAndWait, which the wake precedes
  auto wake = std::make_shared<std::function<void()>>([&] { ++wakes; });
  auto one = s->Subscribe("/a/", 1, wake).value();
  auto two = s->Subscribe("/", 1, wake).value();
  s.Put("/a/x", "1");
  CHECK(wakes == 1);
  one.reset();
  s.Put("/b", "1");
  CHECK(wakes == 2);
  two.reset();
  s.Put("/a/x", "2");
  CHECK(wakes == 2);
}

TEST_CASE("the feed comes before the watcher and the answer, once per batch and once per group", "[store]") {
  struct Recorder final : Feed {
    std::string log;
    void OnCommit(Revision revision, const std::vector<Event>& events) override {
      log += Cat("commit ", revision, " ", ShowEvents(events), "; ");
    }
    void OnGroupEnd(Revision revision) override { log += Cat("end ", revision, "; "); }
  } feed;
  Fixture s(EachEngine());
  s->SetFeed(&feed);
  auto watch = s->Subscribe("/", 1, std::make_shared<std::function<void()>>([&] { feed.log += "wake; "; })).value();
  std::mutex gate;
  gate.lock();
  s->Submit({{}, {{"/a", Bytes("1")}}}, [&](Result<Outcome>) { const std::lock_guard lock(gate); feed.log += "done; "; });
  s->Submit({{}, {{"/b", Bytes("2")}}}, [&](Result<Outcome>) { feed.log += "done b; "; });
  s->Submit({{}, {{"/b", Bytes("2")}}}, [&](Result<Outcome>) { feed.log += "done again; "; });
  gate.unlock();
  s.Put("/a", "1");   // changes nothing, but waits for the others
  const bool together = feed.log.find("done; commit") == std::string::npos;
  CHECK(feed.log == (together ? "commit 2 +/a=1; commit 3 +/b=2; end 3; wake; done; done b; done again; "
                              : "commit 2 +/a=1; end 2; wake; done; commit 3 +/b=2; end 3; wake; done b; done again; "));
}

TEST_CASE("volatile keys share the counter, are never written and end with the process", "[store]") {
  Fixture s(EachEngine(), WithVolatile());
  s.Put("/a", "1");
  const int commits = s.disk().commits;
  CHECK(s.Put("/lease/n", "1") == 3);
  CHECK(s.Put("/lease/n", "2") == 4);
  CHECK(s.disk().commits == commits);
  CHECK(s.Commit({{{"/lease/n", 4}}, {{"/b", Bytes("b")}, {"/lease/n", Bytes("3")}}}).revision == 5);
  CHECK(s.Show("/") == "/a=1 /b=b /lease/n=3");
  auto watch = s->Subscribe("/lease/", 2, nullptr).value();
  CHECK(ShowEvents(Drain(*watch)) == "+/lease/n=1 +/lease/n=2 +/lease/n=3");
  const Revision before = s->current();
  s.Reopen();
  CHECK(s->current() > before);
  CHECK(s.Show("/") == "/a=1 /b=b");
  CHECK(s->Subscribe("/lease/", before, nullptr).error().code() == Code::kGone);
  CHECK(s->Subscribe("/", before, nullptr).error().code() == Code::kGone);
  CHECK(s->List("/lease/", {"", 0, before}).error().code() == Code::kGone);
  CHECK(s->Subscribe("/lease/", s->current(), nullptr));
  CHECK(ShowEvents(Drain(*s->Subscribe("/b", 2, nullptr).value())) == "+/b=b");
}

TEST_CASE("a failed commit burns its revision and leaves no trace", "[store]") {
  Fixture s(EachEngine());
  s.Put("/a", "1");
  for (const char* point : {"store.commit.before_sync", "store.commit.after_sync"}) {   // after: on the disk all the same
    const Revision before = s->current();
    fault::SetFault(point, Error(Code::kUnavailable, "injected"));
    auto failed = SubmitAndWait(*s, {{}, {{"/a", Bytes("lost")}, {"/b", Bytes("lost")}}});
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code() == Code::kUnavailable);
    CHECK(s.Value("/a") == "1");
    CHECK(s.Value("/b") == "(absent)");
    CHECK(s->current() == before);
    CHECK(s.Put("/c", point) == before + 2);
    s.Reopen();
    CHECK(s.Show("/") == Cat("/a=1 /c=", point));
    CHECK(ShowEvents(Drain(*s->Subscribe("/", before, nullptr).value())) == Cat("+/c=", point));
  }
}

TEST_CASE("on a full disk only what leads to deletions is taken, and the history in memory goes on", "[store]") {
  Options options = WithVolatile();
  options.retry_interval = std::chrono::milliseconds(1);
  Fixture s(Engine::kMemory, options);   // the RocksDB engine on a full disk: tests/fault
  const Revision r = s.Put("/a", "1");
  s.Put("/b", "1");
  s.disk().full = true;
  const auto put = [&](bool may_use_reserve) {
    Batch b{{}, {{"/a", Bytes(Cat("v", s->current()))}}};
    b.may_use_reserve = may_use_reserve;
    return SubmitAndWait(*s, std::move(b));
  };
  CHECK(put(false).error().code() == Code::kUnavailable);
  CHECK(s->Healthy().error().code() == Code::kUnavailable);
  CHECK(s.Value("/a") == "1");
  const Revision deleted = s.Delete("/b");
  CHECK(put(true));
  CHECK(s.Put("/lease/n", "1") > deleted);
  CHECK(s.Commit({{}, {{"/a", Bytes(s.Value("/a"))}}}).changed == false);
  CHECK(Drain(*s->Subscribe("/a", r, nullptr).value()).size() == 1);
  s.Reopen();
  CHECK(s->Subscribe("/a", r, nullptr).error().code() == Code::kGone);   // not logged on the full disk: told, not skipped
  CHECK(s.Show("/").starts_with("/a=v"));
  CHECK(put(false).error().code() == Code::kUnavailable);
  s.disk().full = false;
  while (!s->Healthy()) std::this_thread::yield();   // its own timer
  const Revision again = put(false).value().revision;
  s.Reopen();
  CHECK(Drain(*s->Subscribe("/a", again - 1, nullptr).value()).size() == 1);
}

TEST_CASE("a failing disk refuses writes, keeps reads and is tried again", "[store]") {
  Options options;
  options.retry_interval = std::chrono::milliseconds(1);
  Fixture s(Engine::kMemory, options);
  s.Put("/a", "1");
  s.disk().failing = true;
  CHECK(SubmitAndWait(*s, {{}, {{"/a", Bytes("2")}}}).error().code() == Code::kUnavailable);
  CHECK(SubmitAndWait(*s, {{}, {{"/a", std::nullopt}}}).error().code() == Code::kUnavailable);
  CHECK(s.Value("/a") == "1");
  s.disk().failing = false;
  while (!s->Healthy()) std::this_thread::yield();
  s.Put("/b", "2");
  s.Reopen();
  CHECK(s.Show("/") == "/a=1 /b=2");
}

TEST_CASE("requests that no store can keep are refused", "[store]") {
  Fixture s(EachEngine());
  CHECK(SubmitAndWait(*s, {{}, {{"", Bytes("x")}}}).error().code() == Code::kInvalid);
  CHECK(SubmitAndWait(*s, {{}, {{std::string(kMaxKey + 1, 'k'), Bytes("x")}}}).error().code() == Code::kInvalid);
  CHECK(SubmitAndWait(*s, {{}, {{"/a", Bytes(std::string(kMaxValue + 1, 'v'))}}}).error().code() == Code::kTooLarge);
  CHECK(s->Compact(2).error().code() == Code::kInvalid);
  CHECK(s->current() == 1);
}

TEST_CASE("closing answers every Submit and ends the watches", "[store]") {
  Fixture s(EachEngine());
  auto watch = s->Subscribe("/", 1, nullptr).value();
  std::atomic<int> answers{0};
  for (int i = 0; i < 500; ++i) {
    s->Submit({{}, {{Cat("/k", i), Bytes("v")}}},
              [&](Result<Outcome> r) { answers += r || r.error().code() == Code::kCancelled ? 1 : 1000; });
  }
  s.Close();
  CHECK(answers == 500);
  Result<std::vector<Event>> next = watch->TryNext();
  while (next) next = watch->TryNext();
  CHECK(next.error().code() == Code::kCancelled);
}

TEST_CASE("values of any bytes survive a restart, and clean restarts keep revisions small", "[store]") {
  Fixture s(EachEngine());
  std::string every;
  for (int i = 0; i < 256; ++i) every += static_cast<char>(i);
  s.Put("/bin\xff\x01", every);
  s.Put("/empty", "");
  s.Put("/large", std::string(3 << 20, 'x'));
  s.Reopen();
  CHECK(s.Value("/bin\xff\x01") == every);
  CHECK(s.Value("/empty").empty());
  CHECK(s.Value("/large").size() == 3 << 20);
  CHECK(s->current() == 5);
  CHECK(s.Put("/a", "1") == 6);
}

}  // namespace skerry::store
