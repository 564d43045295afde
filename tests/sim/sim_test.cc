#include <catch2/catch.hpp>

#include <cstdlib>
#include <set>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/job_rules.h"
#include "tests/sim/world.h"

// Whole clusters under faults, one per seed. SIM_SEED=n runs that one only, SIM_SEEDS=n that many.
namespace skerry::sim {
namespace {

using namespace kube;
using std::chrono::seconds;

const Ctx kCtx{std::stop_token()};
constexpr const char* kNs = "sim";
constexpr const char* kLeases = "coordination.k8s.io/v1/leases";
const char* const kKinds[] = {"apps/v1/deployments", "apps/v1/statefulsets", "apps/v1/daemonsets", "batch/v1/jobs"};

json::Value Parse(std::string_view text) {
  json::Value v;
  std::string error;
  if (!json::Value::Parse(text, &v, &error)) throw std::runtime_error(error + ": " + std::string(text));
  return v;
}

// Plays every node's agent, and a user who changes things.
class Play {
 public:
  explicit Play(std::uint64_t seed) : seed_(seed), calm_(seed % 2 == 0), world_(seed) {}

  // Empty: everything held.
  std::vector<std::string> Run() {
    SetUp();
    for (int i = 0; i < 400; ++i) Step();
    Settle();
    CheckConverged();
    CheckQuiet();
    for (const std::string& v : world_.violations()) Wrong(v);
    return wrong_;
  }
  std::size_t writes() const { return world_.writes(); }

 private:
  void Wrong(std::string what) {
    if (wrong_.size() < 20) wrong_.push_back(Cat("seed ", seed_, ": ", what));
  }
  std::uint64_t Pick(std::uint64_t n) { return world_.random().Below(n); }
  Client& user() { return world_.user(); }
  std::vector<ObjectPtr> Pods() { return world_.Lister("v1/pods").List(kNs); }

  void SetUp() {
    static_cast<void>(user().Create(kCtx, "v1/namespaces", Parse(R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"sim"}})")));
    static_cast<void>(user().Create(kCtx, "v1/serviceaccounts", Parse(R"({"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default","namespace":"sim"}})")));
    const std::uint64_t nodes = 2 + Pick(3);
    for (std::uint64_t i = 0; i < nodes; ++i) {
      const std::string name = Cat("n", i);
      nodes_.push_back(name);
      json::Value node = Parse(R"({"apiVersion":"v1","kind":"Node","metadata":{"labels":{}},"status":{"allocatable":{"cpu":"64","memory":"64Gi","pods":"200"},
        "conditions":[{"type":"Ready","status":"True","reason":"r","message":"m"}]}})");
      node.Set("metadata").Set("name") = name;
      node.Set("metadata").Set("labels").Set("kubernetes.io/hostname") = name;
      static_cast<void>(user().Create(kCtx, "v1/nodes", std::move(node)));
    }
    world_.SetCheck([this](std::string_view who, std::string_view verb, Resource resource, const Key& key) { return Check(who, verb, resource, key); });
    world_.StartControllers();
    const std::string pod = R"("template":{"metadata":{"labels":{"app":"NAME"}},"spec":{"terminationGracePeriodSeconds":5,"containers":[{"name":"c","image":"i:1"}]}})";
    const auto make = [&](std::string_view kind, std::string_view api, Resource resource, std::string name, std::string spec) {
      std::string body = Cat(R"({"apiVersion":")", api, R"(","kind":")", kind, R"(","metadata":{"name":")", name, R"(","namespace":"sim"},"spec":{)", spec, "}}");
      for (std::size_t at; (at = body.find("NAME")) != std::string::npos;) body.replace(at, 4, name);
      if (auto r = user().Create(kCtx, resource, Parse(body)); !r) Wrong(Cat("cannot create ", name, ": ", r.error().message()));
    };
    const std::string selector = R"("selector":{"matchLabels":{"app":"NAME"}},)";
    make("Deployment", "apps/v1", kKinds[0], "roll",
         Cat(R"("replicas":)", 1 + Pick(6), R"(,"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":)", 1 + Pick(2), R"(,"maxUnavailable":)", Pick(3), "}},", selector, pod));
    make("StatefulSet", "apps/v1", kKinds[1], "ordered", Cat(R"("replicas":)", 1 + Pick(4), R"(,"serviceName":"s",)", selector, pod));
    make("StatefulSet", "apps/v1", kKinds[1], "together", Cat(R"("replicas":)", 1 + Pick(4), R"(,"serviceName":"s","podManagementPolicy":"Parallel",)", selector, pod));
    make("DaemonSet", "apps/v1", kKinds[2], "each", selector + pod);
    std::string once = pod;
    once.replace(once.find(R"("containers")"), 0, R"("restartPolicy":"Never",)");
    make("Job", "batch/v1", kKinds[3], "count", Cat(R"("completions":)", 1 + Pick(6), R"(,"parallelism":)", 1 + Pick(3), R"(,"backoffLimit":100,)", once));
    make("Job", "batch/v1", kKinds[3], "indexed", Cat(R"("completionMode":"Indexed","completions":)", 1 + Pick(6), R"(,"parallelism":)", 1 + Pick(3), R"(,"backoffLimit":100,)", once));
    world_.SetFaults({30, 30, 30});
  }

  // What a controller must never do. In calm worlds only controllers take pods away, so the budgets of a rollout hold at every instant.
  std::string Check(std::string_view who, std::string_view verb, Resource resource, const Key& key) {
    if (resource != "v1/pods" || verb != "delete" || who != "replicaset-controller" || !calm_) return {};
    const ObjectPtr pod = world_.Lister("v1/pods").Get(key);
    if (!pod || !IsPodReady(*pod) || IsTerminating(*pod)) return {};
    const ObjectPtr d = world_.Lister(kKinds[0]).Get({kNs, "roll"});
    if (!d) return {};
    std::int64_t available = 0;
    for (const ObjectPtr& p : Pods()) available += Meta(*p)["labels"]["app"].Str() == "roll" && IsPodReady(*p) && !IsTerminating(*p);
    const std::int64_t least = (*d)["spec"]["replicas"].Int() - (*d)["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"].Int();
    if (available - 1 < least) return Cat("deleting ", key.name, " leaves ", available - 1, " of at least ", least);
    return {};
  }

  void CheckAlways() {
    std::map<std::string, int> by_index;
    std::int64_t rolling = 0;
    for (const ObjectPtr& p : Pods()) {
      const std::string_view app = Meta(*p)["labels"]["app"].Str();
      rolling += app == "roll" && IsPodActive(*p);
      if (app == "indexed" && IsPodActive(*p)) {
        const std::string index(Meta(*p)["annotations"][kIndex].Str());
        if (succeeded_["indexed"].contains(index)) Wrong(Cat("index ", index, " runs again after it has succeeded"));
      }
    }
    const ObjectPtr d = world_.Lister(kKinds[0]).Get({kNs, "roll"});
    const std::int64_t most = (*d)["spec"]["replicas"].Int() + (*d)["spec"]["strategy"]["rollingUpdate"]["maxSurge"].Int();
    if (calm_ && rolling > most) Wrong(Cat(rolling, " pods of a deployment that may have ", most));
    for (const char* job : {"count", "indexed"}) {
      const ObjectPtr j = world_.Lister(kKinds[3]).Get({kNs, job});
      if (j && (*j)["status"]["succeeded"].Int() > static_cast<std::int64_t>(succeeded_[job].size())) {
        Wrong(Cat("job ", job, " counts ", (*j)["status"]["succeeded"].Int(), " successes of ", succeeded_[job].size()));
      }
    }
  }

  void Step() {
    world_.Deliver();
    const std::uint64_t what = Pick(100);
    if (what < 55) {
      if (!world_.Reconcile()) PassTime();
    } else if (what < 90) {
      AgentStep(true);
    } else if (what < 96) {
      UserStep();
    } else if (what < 98) {
      PassTime();
    } else {
      world_.StopControllers();
      world_.StartControllers();
    }
    CheckAlways();
  }

  void PassTime(std::uint64_t most = 5) {
    const auto due = world_.NextDue();
    auto d = std::chrono::nanoseconds(seconds(1 + Pick(most)));
    if (due && *due > world_.clock().Mono()) d = std::min<std::chrono::nanoseconds>(d, *due - world_.clock().Mono());
    world_.clock().Advance(std::max<std::chrono::nanoseconds>(d, std::chrono::milliseconds(1)));
    Renew();
  }

  // Leases of the nodes that are up.
  void Renew() {
    if (world_.clock().Mono() < renew_at_) return;
    renew_at_ = world_.clock().Mono() + seconds(10);
    for (const std::string& name : nodes_) {
      if (down_.contains(name)) continue;
      json::Value lease;
      lease.Set("spec").Set("renewTime") = FormatMicroTime(world_.clock().Now());
      if (!user().Patch(kCtx, kLeases, {"kube-node-lease", name}, PatchType::kMerge, lease.Clone())) {
        lease.Set("apiVersion") = "coordination.k8s.io/v1";
        lease.Set("kind") = "Lease";
        lease.Set("metadata").Set("name") = name;
        lease.Set("metadata").Set("namespace") = "kube-node-lease";
        if (auto r = user().Create(kCtx, kLeases, std::move(lease)); !r) Wrong(Cat("no lease: ", r.error().message()));
      }
      const ObjectPtr node = world_.Lister("v1/nodes").Get({"", name});
      const json::Value* ready = node ? FindCondition((*node)["status"], "Ready") : nullptr;
      if (!ready || (*ready)["status"].Str() == "True") continue;
      json::Value next = node->Clone();
      SetCondition(next.Set("status"), "Ready", "True", "r", "m", world_.clock().Now());
      static_cast<void>(user().Update(kCtx, "v1/nodes", std::move(next), "status"));
    }
  }

  void SetPod(const json::Value& pod, std::string_view phase, bool ready) {
    json::Value next = pod.Clone();
    json::Value& status = next.Set("status");
    status.Set("phase") = phase;
    if (status["startTime"].is_null()) status.Set("startTime") = FormatTime(world_.clock().Now());
    SetCondition(status, "Ready", ready ? "True" : "False", "", "", world_.clock().Now());
    auto r = user().Update(kCtx, "v1/pods", std::move(next), "status");
    if (!r || phase != "Succeeded") return;
    const std::string app(Meta(pod)["labels"]["app"].Str());
    const std::string id(app == "indexed" ? Meta(pod)["annotations"][kIndex].Str() : Uid(pod));
    if (!succeeded_[app].insert(id).second) Wrong(Cat("index ", id, " has succeeded twice"));
  }

  // One pod of one agent moves on. Agents may be slow: that is what picking one at random is.
  bool AgentStep(bool faulty) {
    std::vector<ObjectPtr> busy;
    for (const ObjectPtr& p : Pods()) {
      const std::string_view node = (*p)["spec"]["nodeName"].Str(), phase = (*p)["status"]["phase"].Str();
      if (node.empty() || down_.contains(std::string(node))) continue;
      const bool job = (*p)["spec"]["restartPolicy"].Str() == "Never";
      const bool settled = !IsTerminating(*p) && (IsPodFinished(*p) || (phase == "Running" && IsPodReady(*p) && !job));
      if (!settled || (faulty && !calm_ && Pick(20) == 0)) busy.push_back(p);
    }
    if (busy.empty()) return false;
    const ObjectPtr pod = busy[Pick(busy.size())];
    const bool job = (*pod)["spec"]["restartPolicy"].Str() == "Never";
    if (IsTerminating(*pod)) {
      DeleteOptions now;
      now.grace_seconds = 0;
      now.uid = Uid(*pod);
      if (!IsPodFinished(*pod) && job) SetPod(*pod, "Failed", false);
      static_cast<void>(user().Delete(kCtx, "v1/pods", KeyOf(*pod), now));
    } else if (IsPodFinished(*pod)) {
      return true;
    } else if ((*pod)["status"]["phase"].Str() == "Pending") {
      SetPod(*pod, "Running", !job);
    } else if (job) {
      SetPod(*pod, faulty && Pick(4) == 0 ? "Failed" : "Succeeded", false);
    } else if (faulty && !calm_ && IsPodReady(*pod)) {
      SetPod(*pod, Pick(2) == 0 ? "Failed" : "Running", false);
    } else {
      SetPod(*pod, "Running", true);
    }
    return true;
  }

  void UserStep() {
    json::Value patch;
    switch (calm_ ? 0 : Pick(6)) {
      case 0: {
        patch.Set("spec").Set("template").Set("metadata").Set("labels").Set("v") = std::to_string(Pick(4));
        static_cast<void>(user().Patch(kCtx, kKinds[Pick(3)], {kNs, Pick(2) == 0 ? "roll" : Pick(2) == 0 ? "ordered" : "each"}, PatchType::kMerge, std::move(patch)));
        break;
      }
      case 1: {
        patch.Set("spec").Set("replicas") = Pick(6);
        const std::uint64_t which = Pick(3);
        static_cast<void>(user().Patch(kCtx, kKinds[which == 0 ? 0 : 1], {kNs, which == 0 ? "roll" : which == 1 ? "ordered" : "together"}, PatchType::kMerge, std::move(patch)));
        break;
      }
      case 2: {
        const std::vector<ObjectPtr> pods = Pods();
        if (!pods.empty()) static_cast<void>(user().Delete(kCtx, "v1/pods", KeyOf(*pods[Pick(pods.size())])));
        break;
      }
      case 3:
        down_.insert(nodes_[Pick(nodes_.size())]);
        if (down_.size() == nodes_.size()) down_.clear();
        break;
      case 4: down_.clear(); break;
      default:
        patch.Set("spec").Set("suspend") = Pick(2) == 0;
        static_cast<void>(user().Patch(kCtx, kKinds[3], {kNs, "count"}, PatchType::kMerge, std::move(patch)));
    }
  }

  // Faults end, nodes come back, and everything runs until nothing moves any more.
  void Settle() {
    world_.SetFaults({});
    down_.clear();
    json::Value patch;
    patch.Set("spec").Set("suspend") = false;
    static_cast<void>(user().Patch(kCtx, kKinds[3], {kNs, "count"}, PatchType::kMerge, std::move(patch)));
    constexpr std::chrono::minutes kRest{15};      // longer than any back-off
    auto changed = world_.clock().Mono();
    const auto end = changed + std::chrono::hours(6);
    while (world_.clock().Mono() - changed < kRest) {
      if (world_.clock().Mono() > end) return Wrong(Cat("does not come to rest within six hours: ", world_.LastWrites()));
      const std::size_t before = world_.writes();
      world_.Deliver();
      for (int n = 0; world_.Reconcile(); ++n) {
        world_.Deliver();
        if (n > 5000) return Wrong(Cat("does not come to rest: ", world_.LastWrites()));
      }
      bool moved = world_.writes() != before;
      for (int n = 0; n < 50 && AgentStep(false); ++n) moved = true;
      CheckAlways();
      if (moved) changed = world_.clock().Mono();
      PassTime(moved ? 1 : 20);
    }
  }

  std::int64_t Ready(std::string_view app) {
    std::int64_t n = 0;
    for (const ObjectPtr& p : Pods()) n += Meta(*p)["labels"]["app"].Str() == app && IsPodReady(*p) && IsPodActive(*p);
    return n;
  }

  void CheckConverged() {
    for (const char* name : {"roll", "ordered", "together"}) {
      const ObjectPtr o = world_.Lister(kKinds[name == std::string_view("roll") ? 0 : 1]).Get({kNs, name});
      const std::int64_t want = (*o)["spec"]["replicas"].Int();
      if (Ready(name) != want) Wrong(Cat(name, " has ", Ready(name), " ready pods of ", want));
      if ((*o)["status"]["replicas"].Int() != want || (*o)["status"]["readyReplicas"].Int() != want) Wrong(Cat(name, " says ", (*o)["status"].Dump(), " of ", want));
      if ((*o)["status"]["updatedReplicas"].Int() != want) Wrong(Cat(name, " is not updated: ", (*o)["status"].Dump()));
    }
    if (Ready("each") != static_cast<std::int64_t>(nodes_.size())) Wrong(Cat("the daemon set has ", Ready("each"), " ready pods on ", nodes_.size(), " nodes"));
    for (const char* job : {"count", "indexed"}) {
      const ObjectPtr j = world_.Lister(kKinds[3]).Get({kNs, job});
      if (!FindCondition((*j)["status"], "Complete")) Wrong(Cat("job ", job, " is not complete: ", (*j)["status"].Dump()));
      if ((*j)["status"]["succeeded"].Int() != (*j)["spec"]["completions"].Int()) Wrong(Cat("job ", job, " counts wrong: ", (*j)["status"].Dump()));
    }
    for (const ObjectPtr& p : Pods()) {
      if (IsTerminating(*p)) Wrong(Cat("pod ", Name(*p), " never ends"));
      if (IsPodFinished(*p) && HasTracking(*p)) Wrong(Cat("pod ", Name(*p), " keeps its finalizer"));
      const json::Value* ref = ControllerRef(*p);
      bool owned = false;
      for (const char* r : {"apps/v1/replicasets", kKinds[1], kKinds[2], kKinds[3]}) {
        const ObjectPtr o = ref ? world_.Lister(r).Get({kNs, std::string((*ref)["name"].Str())}) : nullptr;
        owned |= o && Uid(*o) == (*ref)["uid"].Str();
      }
      if (!owned) Wrong(Cat("pod ", Name(*p), " has no owner"));
    }
  }

  // Converged: ten minutes pass and no controller writes anything.
  void CheckQuiet() {
    const std::size_t before = world_.writes();
    for (int i = 0; i < 60; ++i) {
      world_.clock().Advance(seconds(10));
      Renew();
      world_.Deliver();
      for (int n = 0; n < 1000 && world_.Reconcile(); ++n) world_.Deliver();
    }
    if (world_.writes() != before) Wrong(Cat(world_.writes() - before, " writes in ten quiet minutes, the last: ", world_.LastWrites()));
  }

  const std::uint64_t seed_;
  const bool calm_;
  World world_;
  std::vector<std::string> nodes_, wrong_;
  std::set<std::string> down_;
  std::map<std::string, std::set<std::string>> succeeded_;   // by job: indexes or uids, as the agents know
  Clock::MonoTime renew_at_{};
};

std::uint64_t FromEnvironment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? ParseUint(text).value_or(otherwise) : otherwise;
}

void RunSeeds(std::uint64_t first, std::uint64_t count) {
  std::size_t writes = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    Play play(seed);
    for (const std::string& wrong : play.Run()) FAIL_CHECK(wrong);
    writes += play.writes();
  }
  WARN(count << " worlds, " << writes / count << " writes by controllers in each");
}

}  // namespace

TEST_CASE("clusters converge and keep their promises under faults", "[sim]") {
  const std::uint64_t only = FromEnvironment("SIM_SEED", 0);
  if (only != 0) {
    RunSeeds(only, 1);
  } else {
    RunSeeds(1, FromEnvironment("SIM_SEEDS", 10));
  }
}

TEST_CASE("a thousand clusters converge and keep their promises under faults", "[.slow][sim-long]") { RunSeeds(1000, 1000); }

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
  const auto jobs = [&] { return world.Lister(kKinds[3]).List("sim").size(); };
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
}

}  // namespace skerry::sim
