#include <catch2/catch.hpp>

#include <condition_variable>

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

TEST_CASE("an invalid object is not retried until it changes", "[controller]") {
  NoInformers informers;
  FakeClock clock;
  auto manager = NewManager(informers, clock, {.threads = 0});
  manager->Add({"c", {{"v1/things", {}}}, 1, std::make_unique<Scripted>([](const Key&) -> Result<Outcome> { return Fail(Code::kInvalid, "no"); })});
  REQUIRE(manager->Start(Ctx(std::stop_token())));
  manager->Enqueue("c", {"ns", "a"});
  CHECK(manager->RunDue() == 1);
  CHECK_FALSE(manager->NextDue());
  auto object = std::make_shared<json::Value>();
  object->Set("metadata").Set("name") = "a";
  object->Set("metadata").Set("namespace") = "ns";
  informers.callback({Notification::Type::kModified, object, nullptr});
  CHECK(manager->RunDue() == 1);
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
    CHECK(wake.wait_for(lock, std::chrono::seconds(10), [&] { return ran; }));
  }
  manager->Stop();
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
