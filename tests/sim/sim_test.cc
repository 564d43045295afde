#include <catch2/catch.hpp>

#include <cstdlib>

#include "core/base/strings.h"
#include "core/telemetry/log.h"
#include "tests/sim/play.h"

// Whole clusters under faults, one per seed. SIM_SEED=n runs that one only; SIM_FIRST=n and SIM_SEEDS=n say which and how many.
namespace skerry::sim {
namespace {

using namespace kube;

const Ctx kCtx{std::stop_token()};
constexpr const char* kJobs = "batch/v1/jobs";

json::Value Parse(std::string_view text) { return ParseJson(text); }

std::uint64_t FromEnvironment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? ParseUint(text).value_or(otherwise) : otherwise;
}

// Faults are what this is about: nobody wants to read of each.
struct Hushed {
  Hushed() {
    while (before != log::Level::kOff && !log::Enabled(before)) before = static_cast<log::Level>(static_cast<int>(before) + 1);
    log::SetLevel(log::Level::kError);
  }
  ~Hushed() { log::SetLevel(before); }
  log::Level before = log::Level::kDebug;
};

void RunSeeds(std::uint64_t first, std::uint64_t count) {
  const Hushed hushed;
  std::size_t writes = 0, objects = 0, most = 0;
  std::string busiest;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    Play play(seed);
    for (const std::string& wrong : play.Run()) FAIL_CHECK(wrong);
    writes += play.writes();
    objects += play.objects();
    std::string object;
    if (const std::size_t n = play.world().MostWritesToOne(&object); n > most) {
      most = n;
      busiest = Cat(object, " of seed ", seed);
    }
  }
  WARN(count << " worlds from " << first << ": " << writes << " writes by controllers for " << objects << " objects, at most " << most << " to one (" << busiest << ")");
}

}  // namespace

TEST_CASE("clusters converge and keep their promises under faults", "[sim][seeds]") {
  const std::uint64_t only = FromEnvironment("SIM_SEED", 0);
  if (only != 0) {
    RunSeeds(only, 1);
  } else {
    RunSeeds(FromEnvironment("SIM_FIRST", 1), FromEnvironment("SIM_SEEDS", 10));
  }
}

// A quota that was raised and nobody noticed (3), a set at its quota that wrote its status for ever (33), pods counted as available that were
// as good as gone (90, 108), a rollout by figures of before (146, 540).
TEST_CASE("clusters in which a promise was once broken keep it", "[sim]") {
  for (const std::uint64_t seed : {3, 33, 90, 108, 146, 540}) RunSeeds(seed, 1);
}

TEST_CASE("a circle of three owners that is deleted in the foreground goes away", "[sim]") {
  World world(7);
  world.StartControllers();
  const char* const names[] = {"a", "b", "c"};
  std::map<std::string, std::string> uids;
  for (const char* name : names) {
    json::Value map = Parse(R"({"apiVersion":"v1","kind":"ConfigMap"})");
    map.Set("metadata").Set("name") = name;
    map.Set("metadata").Set("namespace") = "default";
    const auto made = world.user().Create(kCtx, "v1/configmaps", std::move(map));
    REQUIRE(made);
    uids[name] = std::string((*made)->At({"metadata", "uid"}).Str());
  }
  // b belongs to a, c to b and a to c.
  for (const auto& [owned, owner] : {std::pair{"b", "a"}, {"c", "b"}, {"a", "c"}}) {
    json::Value patch, ref = json::Value::Object();
    ref.Set("apiVersion") = "v1";
    ref.Set("kind") = "ConfigMap";
    ref.Set("name") = owner;
    ref.Set("uid") = uids[owner];
    ref.Set("controller") = true;
    ref.Set("blockOwnerDeletion") = true;
    patch.Set("metadata").Set("ownerReferences").Append(std::move(ref));
    REQUIRE(world.user().Patch(kCtx, "v1/configmaps", {"default", owned}, PatchType::kMerge, std::move(patch)));
  }
  DeleteOptions options;
  options.propagation = Propagation::kForeground;
  REQUIRE(world.user().Delete(kCtx, "v1/configmaps", {"default", "a"}, options));
  world.Deliver();
  for (int n = 0; n < 500 && world.Reconcile(); ++n) world.Deliver();
  for (const char* name : names) CHECK(!world.Lister("v1/configmaps").Get({"default", name}));
}

TEST_CASE("a class of volume attributes goes when nobody names it any more", "[sim]") {
  World world(8);
  world.StartControllers();
  REQUIRE(world.user().Create(kCtx, "storage.k8s.io/v1/volumeattributesclasses",
                              Parse(R"({"apiVersion":"storage.k8s.io/v1","kind":"VolumeAttributesClass","metadata":{"name":"fast"},"driverName":"d.example.com","parameters":{"iops":"1"}})")));
  REQUIRE(world.user().Delete(kCtx, "storage.k8s.io/v1/volumeattributesclasses", {"", "fast"}, {}));
  world.Deliver();
  for (int n = 0; n < 500 && world.Reconcile(); ++n) world.Deliver();
  CHECK(!world.Lister("storage.k8s.io/v1/volumeattributesclasses").Get({"", "fast"}));
}

TEST_CASE("ten years forward and back a CronJob of every minute runs once for each, not for every minute", "[sim]") {
  World world(3);
  world.StartControllers();
  REQUIRE(world.user().Create(kCtx, "v1/namespaces", Parse(R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"sim"}})")));
  REQUIRE(world.user().Create(kCtx, "batch/v1/cronjobs", Parse(R"({"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"often","namespace":"sim"},"spec":{"schedule":"* * * * *",
    "jobTemplate":{"spec":{"suspend":true,"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}}}})")));
  const auto settle = [&] {
    world.Deliver();
    for (int n = 0; n < 200 && world.Reconcile(); ++n) world.Deliver();
  };
  const auto jobs = [&] { return world.Lister(kJobs).List("sim").size(); };
  constexpr std::chrono::hours kTenYears{24 * 3653};
  settle();
  CHECK(jobs() == 0);
  world.SetClock(kTenYears);
  settle();
  CHECK(jobs() == 1);
  world.SetClock(-kTenYears);
  settle();
  CHECK(jobs() == 1);
  world.clock().Advance(std::chrono::minutes(1));
  settle();
  CHECK(jobs() == 2);
}

TEST_CASE("a seed reproduces its run", "[sim]") {
  Play one(7), two(7);
  CHECK(one.Run() == two.Run());
  CHECK(one.writes() == two.writes());
  CHECK(one.fingerprint() == two.fingerprint());
  CHECK(one.foreign_draws() + two.foreign_draws() == 0);
}

}  // namespace skerry::sim
