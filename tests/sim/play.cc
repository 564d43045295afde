#include "tests/sim/play.h"

#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

namespace skerry::sim {

using namespace kube;
using std::chrono::seconds;

namespace {

const Ctx kCtx{std::stop_token()};
constexpr const char* kNs = "sim";
constexpr const char* kLeases = "coordination.k8s.io/v1/leases";
constexpr const char* kDeployments = "apps/v1/deployments";
constexpr const char* kStatefulSets = "apps/v1/statefulsets";
constexpr const char* kDaemonSets = "apps/v1/daemonsets";
constexpr const char* kJobs = "batch/v1/jobs";

void Replace(std::string& text, std::string_view what, std::string_view by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size()) text.replace(at, what.size(), by);
}

}  // namespace

json::Value ParseJson(std::string_view text) {
  json::Value v;
  std::string error;
  Must(json::Value::Parse(text, &v, &error), Cat(error, ": ", text));
  return v;
}

void Must(bool ok, std::string_view what) {
  if (!ok) throw std::runtime_error(std::string(what));
}

Play::Play(std::uint64_t seed)
    : seed_(seed), calm_(seed % 2 == 0), tight_(!calm_ && seed % 3 == 0), world_(seed), agents_(world_, [this](const json::Value& pod) { Succeeded(pod); }) {}

void Play::Wrong(std::string what) {
  if (wrong_.size() < 20) wrong_.push_back(Cat("seed ", seed_, ": ", what));
}

std::vector<std::string> Play::Run() {
  SetUp();
  for (int i = 0; i < 400; ++i) Step();
  Settle();
  CheckConverged();
  CheckQuiet();
  for (const std::string& v : world_.violations()) Wrong(v);
  return wrong_;
}

void Play::AddNode(const std::string& name) {
  json::Value node = ParseJson(R"({"apiVersion":"v1","kind":"Node","metadata":{"labels":{}},"status":{"allocatable":{"cpu":"64","memory":"64Gi","pods":"200"},
    "conditions":[{"type":"Ready","status":"True","reason":"r","message":"m"}]}})");
  node.Set("metadata").Set("name") = name;
  node.Set("metadata").Set("labels").Set("kubernetes.io/hostname") = name;
  if (!user().Create(kCtx, "v1/nodes", std::move(node))) return;
  nodes_.push_back(name);
  agents_.Add(name);
}

void Play::SetUp() {
  static_cast<void>(user().Create(kCtx, "v1/namespaces", ParseJson(R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"sim"}})")));
  static_cast<void>(user().Create(kCtx, "v1/serviceaccounts", ParseJson(R"({"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default","namespace":"sim"}})")));
  const std::uint64_t nodes = 2 + Pick(3);
  for (std::uint64_t i = 0; i < nodes; ++i) AddNode(Cat("n", i));
  world_.SetCheck([this](std::string_view who, std::string_view verb, Resource resource, const Key& key) { return CheckWrite(who, verb, resource, key); });
  world_.StartControllers();
  if (tight_) SetUpQuota();
  SetUpWorkloads();
  SetUpRules();
  world_.SetFaults({.conflict = 30, .refused = 30, .lost_reply = 30, .failed_commit = 20, .slow_commit = 20});
  agents_.SetFaults({.lost = 50, .doubled = 50, .crashes = !calm_, .failing_jobs = 25});
}

// It holds from the moment at which its status says so; then nothing is there yet.
void Play::SetUpQuota() {
  json::Value quota = ParseJson(R"({"apiVersion":"v1","kind":"ResourceQuota","metadata":{"name":"tight","namespace":"sim"}})");
  quota.Set("spec").Set("hard").Set("pods") = std::to_string(4 + Pick(12));
  if (!user().Create(kCtx, "v1/resourcequotas", std::move(quota))) return Wrong("cannot create the quota");
  world_.Deliver();
  while (world_.Reconcile()) world_.Deliver();
}

void Play::SetUpWorkloads() {
  const std::string pod = R"("template":{"metadata":{"labels":{"app":"NAME"}},"spec":{"terminationGracePeriodSeconds":5,"containers":[{"name":"c","image":"i:1"}]}})";
  const std::string selector = R"("selector":{"matchLabels":{"app":"NAME"}},)";
  const auto make = [&](std::string_view kind, std::string_view api, Resource resource, std::string name, std::string spec) {
    std::string body = Cat(R"({"apiVersion":")", api, R"(","kind":")", kind, R"(","metadata":{"name":")", name, R"(","namespace":"sim"},"spec":{)", spec, "}}");
    Replace(body, "NAME", name);
    if (auto r = user().Create(kCtx, resource, ParseJson(body)); !r) Wrong(Cat("cannot create ", name, ": ", r.error().message()));
  };
  make("Deployment", "apps/v1", kDeployments, "roll",
       Cat(R"("replicas":)", 1 + Pick(6), R"(,"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":)", 1 + Pick(2), R"(,"maxUnavailable":)", Pick(3), "}},", selector, pod));
  make("Deployment", "apps/v1", kDeployments, "gone", Cat(R"("replicas":)", 1 + Pick(2), ",", selector, pod));
  make("StatefulSet", "apps/v1", kStatefulSets, "ordered", Cat(R"("replicas":)", 1 + Pick(4), R"(,"serviceName":"s",)", selector, pod));
  make("StatefulSet", "apps/v1", kStatefulSets, "together", Cat(R"("replicas":)", 1 + Pick(4), R"(,"serviceName":"s","podManagementPolicy":"Parallel",)", selector, pod));
  make("DaemonSet", "apps/v1", kDaemonSets, "each", selector + pod);
  std::string once = pod;
  once.replace(once.find(R"("containers")"), 0, R"("restartPolicy":"Never",)");
  make("Job", "batch/v1", kJobs, "count", Cat(R"("completions":)", 1 + Pick(6), R"(,"parallelism":)", 1 + Pick(3), R"(,"backoffLimit":100,)", once));
  make("Job", "batch/v1", kJobs, "indexed", Cat(R"("completionMode":"Indexed","completions":)", 1 + Pick(6), R"(,"parallelism":)", 1 + Pick(3), R"(,"backoffLimit":100,)", once));
}

// A service, budgets, and objects that others own: c belongs to b, b to a.
void Play::SetUpRules() {
  const auto make = [&](Resource resource, std::string_view text) {
    auto r = user().Create(kCtx, resource, ParseJson(text));
    if (!r) Wrong(Cat("cannot create one of ", resource, ": ", r.error().message()));
    return r ? std::string(Uid(**r)) : std::string();
  };
  make("v1/services", R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"roll","namespace":"sim"},"spec":{"selector":{"app":"roll"},"ports":[{"port":80}]}})");
  make("policy/v1/poddisruptionbudgets", R"({"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"roll","namespace":"sim"},
    "spec":{"maxUnavailable":1,"selector":{"matchLabels":{"app":"roll"}}}})");
  make("policy/v1/poddisruptionbudgets", R"({"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"ordered","namespace":"sim"},
    "spec":{"minAvailable":1,"selector":{"matchLabels":{"app":"ordered"}}}})");
  std::string owner;
  for (const char* name : {"a", "b", "c"}) {
    json::Value map = ParseJson(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"sim"}})");
    map.Set("metadata").Set("name") = name;
    if (!owner.empty()) {
      json::Value ref = ParseJson(R"({"apiVersion":"v1","kind":"ConfigMap"})");
      ref.Set("name") = std::string(1, static_cast<char>(name[0] - 1));
      ref.Set("uid") = owner;
      map.Set("metadata").Set("ownerReferences").Append(std::move(ref));
    }
    owner = make("v1/configmaps", map.Dump());
  }
}

void Play::Step() {
  world_.Deliver();
  const std::uint64_t what = Pick(100);
  if (what < 55) {
    if (!world_.Reconcile()) PassTime();
  } else if (what < 90) {
    if (!agents_.Step() && Pick(4) == 0) agents_.LookAtEverything();
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

void Play::PassTime(std::uint64_t most) {
  const auto due = world_.NextDue();
  auto d = std::chrono::nanoseconds(seconds(1 + Pick(most)));
  if (due && *due > world_.clock().Mono()) d = std::min<std::chrono::nanoseconds>(d, *due - world_.clock().Mono());
  world_.clock().Advance(std::max<std::chrono::nanoseconds>(d, std::chrono::milliseconds(1)));
  Renew();
}

// Leases of the nodes that are up.
void Play::Renew() {
  if (world_.clock().Mono() < renew_at_) return;
  renew_at_ = world_.clock().Mono() + seconds(20);
  for (const std::string& name : nodes_) {
    if (agents_.IsDown(name)) continue;
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

void Play::UserStep() {
  json::Value patch;
  switch (calm_ ? Pick(2) : Pick(10)) {
    case 0: {
      const char* const kinds[] = {kDeployments, kStatefulSets, kStatefulSets, kDaemonSets};
      const char* const names[] = {"roll", "ordered", "together", "each"};
      const std::uint64_t which = Pick(4);
      patch.Set("spec").Set("template").Set("metadata").Set("labels").Set("v") = std::to_string(Pick(4));
      static_cast<void>(user().Patch(kCtx, kinds[which], {kNs, names[which]}, PatchType::kMerge, std::move(patch)));
      break;
    }
    case 1:
      if (Pick(4) == 0) {
        DeleteOptions how;
        how.propagation = Pick(2) == 0 ? Propagation::kBackground : Propagation::kForeground;
        static_cast<void>(user().Delete(kCtx, "v1/configmaps", {kNs, "a"}, how));
      }
      break;
    case 2: {
      patch.Set("spec").Set("replicas") = Pick(6);
      const std::uint64_t which = Pick(3);
      static_cast<void>(user().Patch(kCtx, which == 0 ? kDeployments : kStatefulSets, {kNs, which == 0 ? "roll" : which == 1 ? "ordered" : "together"}, PatchType::kMerge, std::move(patch)));
      break;
    }
    case 3: return DeletePod();
    case 4:
    case 5: return DisturbNode();
    case 6: return agents_.BringUpAll();
    case 7:
    case 8: return Drain();
    default:
      patch.Set("spec").Set("suspend") = Pick(2) == 0;
      static_cast<void>(user().Patch(kCtx, kJobs, {kNs, "count"}, PatchType::kMerge, std::move(patch)));
  }
}

void Play::DeletePod() {
  const std::vector<ObjectPtr> pods = Pods();
  if (!pods.empty()) static_cast<void>(user().Delete(kCtx, "v1/pods", KeyOf(*pods[Pick(pods.size())])));
}

// A node is cut off, loses its power, or is destroyed and comes back as a new machine of the same name. One at least stays up.
void Play::DisturbNode() {
  const std::string name = nodes_[Pick(nodes_.size())];
  const auto up = std::count_if(nodes_.begin(), nodes_.end(), [&](const std::string& n) { return !agents_.IsDown(n); });
  if (up < 2) return;
  if (Pick(3) != 0) return agents_.TakeDown(name, Pick(2) == 0);
  if (!user().Delete(kCtx, "v1/nodes", {"", name})) return;
  agents_.Destroy(name);
  std::erase(nodes_, name);
  AddNode(name);
}

// Evicts one application's pods as quickly as it can, while no controller gets a turn.
void Play::Drain() {
  const std::string app = Pick(2) == 0 ? "roll" : "ordered";
  world_.Deliver();
  for (int n = 0; n < 200 && world_.Reconcile(); ++n) world_.Deliver();
  const ObjectPtr budget = world_.Lister("policy/v1/poddisruptionbudgets").Get({kNs, app});
  const std::int64_t before = Healthy(app), needed = (*budget)["status"]["desiredHealthy"].Int();
  // A budget whose controller could not write, thanks to our faults, is not current; then it promises nothing.
  const bool current = (*budget)["status"]["currentHealthy"].Int() == before && (*budget)["status"]["observedGeneration"].Int() == Meta(*budget)["generation"].Int();
  int evicted = 0;
  for (const ObjectPtr& pod : Pods()) {
    if (Meta(*pod)["labels"]["app"].Str() != app || !IsPodReady(*pod) || IsTerminating(*pod)) continue;
    json::Value eviction = ParseJson(R"({"apiVersion":"policy/v1","kind":"Eviction"})");
    eviction.Set("metadata").Set("name") = Name(*pod);
    eviction.Set("metadata").Set("namespace") = kNs;
    evicted += user().Create(kCtx, "v1/pods", std::move(eviction), "eviction").has_value();
  }
  if (current && evicted > 0 && Healthy(app) < needed) {
    Wrong(Cat(evicted, " evictions of ", app, " leave ", Healthy(app), " healthy pods of ", before, "; the budget wants ", needed));
  }
}

// Faults end, nodes come back, and everything runs until nothing moves any more.
void Play::Settle() {
  world_.SetFaults({});
  agents_.SetFaults({});
  agents_.BringUpAll();
  json::Value patch;
  patch.Set("spec").Set("suspend") = false;
  static_cast<void>(user().Patch(kCtx, kJobs, {kNs, "count"}, PatchType::kMerge, patch.Clone()));
  if (tight_) static_cast<void>(user().Patch(kCtx, "v1/resourcequotas", {kNs, "tight"}, PatchType::kMerge, ParseJson(R"({"spec":{"hard":{"pods":"100"}}})")));
  DeleteOptions how;
  how.propagation = Pick(3) == 0 ? Propagation::kOrphan : Pick(2) == 0 ? Propagation::kForeground : Propagation::kBackground;
  orphaned_ = how.propagation == Propagation::kOrphan;
  if (!user().Delete(kCtx, kDeployments, {kNs, "gone"}, how)) Wrong("cannot delete the deployment that has to go");
  static_cast<void>(user().Delete(kCtx, "v1/configmaps", {kNs, "a"}));
  constexpr std::chrono::minutes kRest{15};          // longer than any back-off
  auto changed = world_.clock().Mono();
  const auto end = changed + std::chrono::hours(6);
  bool look = true;
  while (world_.clock().Mono() - changed < kRest) {
    if (world_.clock().Mono() > end) return Wrong(Cat("does not come to rest within six hours: ", world_.LastWrites()));
    const std::size_t before = world_.writes();
    world_.Deliver();
    for (int n = 0; world_.Reconcile(); ++n) {
      world_.Deliver();
      if (n > 5000) return Wrong(Cat("does not come to rest: ", world_.LastWrites()));
    }
    if (std::exchange(look, false)) agents_.LookAtEverything();
    const auto revision = world_.revision();
    for (int n = 0; n < 200 && agents_.Step(); ++n) CheckIdentities();   // no event is lost any more
    CheckAlways();
    const bool moved = world_.writes() != before || world_.revision() != revision;
    if (moved) changed = world_.clock().Mono();
    PassTime(moved ? 1 : 20);
  }
}

}  // namespace skerry::sim
