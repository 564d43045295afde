#include <catch2/catch.hpp>

#include <algorithm>
#include <condition_variable>
#include <map>

#include "embedded-kube-shim/controller/controller.h"

namespace skerry::kube {
namespace {

class NoInformers final : public Informers {
 public:
  std::function<void(const Notification&)> callback;
  const Lister& Get(Resource) override { throw std::logic_error("no listers here"); }
  std::shared_ptr<void> Subscribe(Resource, std::function<void(const Notification&)> c) override {
    callback = std::move(c);
    return std::make_shared<int>();
  }
  bool HasSynced() const override { return true; }
};

class Scripted final : public Reconciler {
 public:
  explicit Scripted(std::function<Result<Outcome>(const Key&)> f) : f_(std::move(f)) {}
  Result<Outcome> Reconcile(const Ctx&, const Key& key) override { return f_(key); }

 private:
  std::function<Result<Outcome>(const Key&)> f_;
};

}  // namespace

TEST_CASE("a failing key backs off exponentially on the clock and recovers", "[controller]") {
  NoInformers informers;
  FakeClock clock;
  auto manager = NewManager(informers, clock, {.threads = 0});
  int runs = 0;
  manager->Add({"c", {}, 1, std::make_unique<Scripted>([&](const Key&) -> Result<Outcome> {
                  if (++runs <= 3) return Fail(Code::kUnavailable, "not yet");
                  return Outcome{};
                })});
  REQUIRE(manager->Start(Ctx(std::stop_token())));
  manager->Enqueue("c", {"ns", "a"});
  CHECK(manager->RunDue() == 1);
  for (const int wait_ms : {5, 10, 20}) {
    REQUIRE(manager->NextDue());
    CHECK(*manager->NextDue() - clock.Mono() == std::chrono::milliseconds(wait_ms));
    clock.Advance(std::chrono::milliseconds(wait_ms));
    CHECK(manager->RunDue() == 1);
  }
  CHECK(runs == 4);
  CHECK_FALSE(manager->NextDue());
}

TEST_CASE("what was refused as invalid is tried again after half a minute, or at once when it changes", "[controller]") {
  NoInformers informers;
  FakeClock clock;
  auto manager = NewManager(informers, clock, {.threads = 0});
  manager->Add({"c", {{"v1/things", {}}}, 1, std::make_unique<Scripted>([](const Key&) -> Result<Outcome> { return Fail(Code::kInvalid, "no"); })});
  REQUIRE(manager->Start(Ctx(std::stop_token())));
  manager->Enqueue("c", {"ns", "a"});
  CHECK(manager->RunDue() == 1);
  REQUIRE(manager->NextDue());
  CHECK(*manager->NextDue() - clock.Mono() == std::chrono::seconds(30));
  auto object = std::make_shared<json::Value>();
  object->Set("metadata").Set("name") = "a";
  object->Set("metadata").Set("namespace") = "ns";
  informers.callback({Notification::Type::kModified, object, nullptr});
  CHECK(manager->RunDue() == 1);
}

TEST_CASE("a trigger is not asked for the keys of changes that it does not want", "[controller]") {
  NoInformers informers;
  FakeClock clock;
  auto manager = NewManager(informers, clock, {.threads = 0});
  std::vector<std::string> reconciled;
  int mapped = 0;
  Trigger trigger{"v1/things",
                  [&](const Notification& n) {
                    ++mapped;
                    return std::vector<Key>{KeyOf(*n.object)};
                  },
                  [](const Change& change) {
                    return change.type() != Notification::Type::kAdded || (change.uid() == "u" && change.terminating() && change.HasFinalizer("f") &&
                                                                           change.owners().size() == 1 && change.owners()[0].uid == "o" && change.owners()[0].blocks);
                  }};
  ControllerSpec spec{"c", {}, 1, std::make_unique<Scripted>([&](const Key& key) -> Result<Outcome> {
                        reconciled.push_back(key.ns + "/" + key.name);
                        return Outcome{};
                      })};
  spec.triggers.push_back(std::move(trigger));
  manager->Add(std::move(spec));
  REQUIRE(manager->Start(Ctx(std::stop_token())));
  const auto tell = [&](Notification::Type type, std::string_view text) {
    json::Value object;
    REQUIRE(json::Value::Parse(text, &object, nullptr));
    informers.callback({type, std::make_shared<const json::Value>(std::move(object)), nullptr});
    manager->RunDue();
  };
  tell(Notification::Type::kAdded, R"({"metadata":{"name":"a","namespace":"ns"}})");
  CHECK(mapped == 0);
  tell(Notification::Type::kModified, R"({"metadata":{"name":"b","namespace":"ns"}})");
  tell(Notification::Type::kAdded, R"({"metadata":{"name":"c","uid":"u","deletionTimestamp":"2024-01-01T00:00:00Z","finalizers":["f"],
                                       "ownerReferences":[{"uid":"o","kind":"K","name":"n","apiVersion":"v1","blockOwnerDeletion":true}]}})");
  CHECK(mapped == 2);
  CHECK(reconciled == std::vector<std::string>{"ns/b", "/c"});
}

TEST_CASE("a key is never reconciled twice at once, and a change during a run causes another run", "[controller]") {
  NoInformers informers;
  auto manager = NewManager(informers, Clock::System());
  std::mutex mutex;
  std::condition_variable done;
  int running = 0, most = 0, total = 0;
  bool entered = false, changed = false;
  manager->Add({"c", {}, 8, std::make_unique<Scripted>([&](const Key& key) -> Result<Outcome> {
                  std::unique_lock lock(mutex);
                  if (key.name == "a") {
                    most = std::max(most, ++running);
                    ++total;
                    entered = true;
                    done.notify_all();
                    done.wait(lock, [&] { return changed; });
                    --running;
                    done.notify_all();
                  }
                  return Outcome{};
                })});
  REQUIRE(manager->Start(Ctx(std::stop_token())));
  manager->Enqueue("c", {"ns", "a"});
  {
    std::unique_lock lock(mutex);
    done.wait(lock, [&] { return entered; });
  }
  for (int i = 0; i < 10; ++i) manager->Enqueue("c", {"ns", "a"});
  std::unique_lock lock(mutex);
  changed = true;
  done.notify_all();
  done.wait(lock, [&] { return total == 2 && running == 0; });
  CHECK(most == 1);
  lock.unlock();
  manager->Stop();
  CHECK(total == 2);
}

TEST_CASE("a key queued before the start is reconciled by the threads", "[controller]") {
  NoInformers informers;
  std::mutex mutex;
  std::condition_variable wake;
  bool ran = false;
  auto manager = NewManager(informers, Clock::System(), {.threads = 2});
  manager->Add({"c", {}, 1, std::make_unique<Scripted>([&](const Key&) -> Result<Outcome> {
                  std::lock_guard lock(mutex);
                  ran = true;
                  wake.notify_one();
                  return Outcome{};
                })});
  manager->Enqueue("c", {"ns", "a"});
  REQUIRE(manager->Start(Ctx(std::stop_token())));
  {
    std::unique_lock lock(mutex);
    CHECK(wake.wait_for(lock, std::chrono::seconds(60), [&] { return ran; }));
  }
  manager->Stop();
}

TEST_CASE("keys of several controllers are reconciled side by side, as many of each as it has workers", "[controller]") {
  constexpr int kControllers = 3, kWorkers = 4, kKeys = 40;
  NoInformers informers;
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, int> running, most;
  int inside = 0, done = 0;
  bool all_met = false;
  auto manager = NewManager(informers, Clock::System());
  for (int c = 0; c < kControllers; ++c) {
    const std::string name = "c" + std::to_string(c);
    manager->Add({name, {}, kWorkers, std::make_unique<Scripted>([&, name](const Key&) -> Result<Outcome> {
                    std::unique_lock lock(mutex);
                    ++inside;
                    most[name] = std::max(most[name], ++running[name]);
                    all_met = all_met || inside == kControllers * kWorkers;
                    changed.notify_all();
                    changed.wait_for(lock, std::chrono::seconds(10), [&] { return all_met; });   // each waits until every worker has come
                    --inside;
                    --running[name];
                    ++done;
                    changed.notify_all();
                    return Outcome{};
                  })});
  }
  REQUIRE(manager->Start(Ctx(std::stop_token())));
  for (int i = 0; i < kKeys; ++i) {
    for (int c = 0; c < kControllers; ++c) manager->Enqueue("c" + std::to_string(c), {"ns", std::to_string(i)});
  }
  std::unique_lock lock(mutex);
  CHECK(changed.wait_for(lock, std::chrono::seconds(30), [&] { return done == kControllers * kKeys; }));
  lock.unlock();
  manager->Stop();
  CHECK(all_met);
  for (const auto& [name, n] : most) CHECK(n == kWorkers);
}

TEST_CASE("keys that wait for their time are looked at when the wall clock is set", "[controller]") {
  NoInformers informers;
  FakeClock clock;
  int runs = 0;
  auto manager = NewManager(informers, clock, {.threads = 0});
  manager->Add({"c", {}, 1, std::make_unique<Scripted>([&](const Key&) -> Result<Outcome> {
                  ++runs;
                  return Outcome{std::chrono::hours(1)};
                })});
  REQUIRE(manager->Start(Ctx(std::stop_token())));
  manager->EnqueueAfter("c", {"ns", "a"}, std::chrono::hours(1));
  CHECK(manager->RunDue() == 0);
  manager->WakeDelayed();
  CHECK(manager->RunDue() == 1);
  clock.Advance(std::chrono::hours(1));
  CHECK(manager->RunDue() == 1);     // once, not also at the old time
  CHECK(runs == 2);
  manager->Stop();
}

}  // namespace skerry::kube
