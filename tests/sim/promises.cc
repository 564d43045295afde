#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/job_rules.h"
#include "tests/sim/play.h"

namespace skerry::sim {

using namespace kube;

namespace {

constexpr const char* kNs = "sim";
constexpr const char* kJobs = "batch/v1/jobs";
constexpr const char* kReplicaSets = "apps/v1/replicasets";
const char* ResourceOf(std::string_view workload) {
  if (workload == "roll" || workload == "gone") return "apps/v1/deployments";
  return workload == "each" ? "apps/v1/daemonsets" : "apps/v1/statefulsets";
}
// Its node should have let go of it by now: a quota does not count it any more.
bool IsPastGrace(const json::Value& pod, Clock::Wall now) {
  const auto due = ParseTime(Meta(pod)["deletionTimestamp"].Str());
  return due && now > *due + std::chrono::seconds(Meta(pod)["deletionGracePeriodSeconds"].Int());
}
std::string_view App(const json::Value& pod) { return Meta(pod)["labels"]["app"].Str(); }

}  // namespace

ObjectPtr Play::Workload(const std::string& name) { return world_.Lister(ResourceOf(name)).Get({kNs, name}); }

std::int64_t Play::Healthy(std::string_view app) {
  const std::vector<ObjectPtr> pods = Pods();
  return std::count_if(pods.begin(), pods.end(), [&](const ObjectPtr& p) { return App(*p) == app && IsPodReady(*p) && !IsTerminating(*p); });
}

std::int64_t Play::Ready(std::string_view app) {
  const std::vector<ObjectPtr> pods = Pods();
  return std::count_if(pods.begin(), pods.end(), [&](const ObjectPtr& p) { return App(*p) == app && IsPodReady(*p) && IsPodActive(*p); });
}

// The pods of an application, for a message.
std::string Play::Told(std::string_view app) {
  std::string out;
  for (const ObjectPtr& p : Pods()) {
    if (App(*p) != app) continue;
    out += Cat(Name(*p), " on ", (*p)["spec"]["nodeName"].Str(), ": ", (*p)["status"]["phase"].Str(), IsPodReady(*p) ? " ready" : "", IsTerminating(*p) ? " terminating" : "", ", ");
  }
  for (const ObjectPtr& set : world_.Lister(kReplicaSets).List(kNs)) {
    if (App(*set) == app) out += Cat(Name(*set), " wants ", (*set)["spec"]["replicas"].Int(), " at ", Meta(*set)["generation"].Int(), ": ", (*set)["status"].Dump(), ", ");
  }
  return out;
}

void Play::Succeeded(const json::Value& pod) {
  const std::string app(App(pod));
  const std::string id(app == "indexed" ? Meta(pod)["annotations"][kIndex].Str() : Uid(pod));
  if (!succeeded_[app].insert(id).second) Wrong(Cat("index ", id, " has succeeded twice"));
}

// What a controller must never do. In calm worlds only controllers take pods away, so the budgets of a rollout hold at every instant. A
// Deployment decides by the status of its sets: a pod that becomes ready while it decides to take away unready ones may be taken, too.
std::string Play::CheckWrite(std::string_view who, std::string_view verb, Resource resource, const Key& key) {
  if (who == "deployment-controller" && resource == kReplicaSets) {
    std::int64_t& known = known_available_[key.name];
    known = 0;
    for (const ObjectPtr& set : world_.Lister(kReplicaSets).List(kNs)) {
      if (App(*set) == "roll") known += (*set)["status"]["availableReplicas"].Int();
    }
  }
  if (resource != "v1/pods" || verb != "delete" || !calm_ || who == "generic-garbage-collector") return {};
  const ObjectPtr pod = world_.Lister("v1/pods").Get(key);
  if (!pod || !IsPodReady(*pod) || IsTerminating(*pod)) return {};
  const std::string app(App(*pod));
  if (app != "roll" && app != "ordered" && app != "together" && app != "each") return {};
  const ObjectPtr workload = Workload(app);
  if (!workload) return {};
  const json::Value& spec = (*workload)["spec"];
  const std::vector<ObjectPtr> nodes = world_.Lister("v1/nodes").List();
  const auto open = std::count_if(nodes.begin(), nodes.end(), [](const ObjectPtr& n) { return (*n)["spec"]["taints"].size() == 0; });   // new ones have one for a while
  const std::int64_t wanted = app == "each" ? open : spec["replicas"].Int();
  const std::int64_t away = app == "roll" ? spec["strategy"]["rollingUpdate"]["maxUnavailable"].Int() : 1;
  const std::int64_t left = Healthy(app) - 1;
  const std::int64_t least = app == "roll" ? std::min(wanted - away, known_available_[std::string((*ControllerRef(*pod))["name"].Str())]) : wanted - away;
  if (left < least) return Cat(who, " deletes ", key.name, " and leaves ", left, " ready pods of at least ", least, ": ", Told(app), "; ", world_.LastWrites());
  return {};
}

void Play::CheckAlways() {
  std::int64_t rolling = 0, charged = 0;
  for (const ObjectPtr& p : Pods()) {
    rolling += App(*p) == "roll" && IsPodActive(*p);
    charged += !IsPodFinished(*p) && !IsPastGrace(*p, world_.clock().Now());
    if (App(*p) != "indexed" || !IsPodActive(*p)) continue;
    const std::string index(Meta(*p)["annotations"][kIndex].Str());
    if (succeeded_["indexed"].contains(index)) Wrong(Cat("index ", index, " runs again after it has succeeded"));
  }
  const ObjectPtr roll = Workload("roll");
  const std::int64_t most = (*roll)["spec"]["replicas"].Int() + (*roll)["spec"]["strategy"]["rollingUpdate"]["maxSurge"].Int();
  if (calm_ && rolling > most) Wrong(Cat(rolling, " pods of a deployment that may have ", most));
  for (const char* job : {"count", "indexed"}) {
    const ObjectPtr j = world_.Lister(kJobs).Get({kNs, job});
    if ((*j)["status"]["succeeded"].Int() > static_cast<std::int64_t>(succeeded_[job].size())) {
      Wrong(Cat("job ", job, " counts ", (*j)["status"]["succeeded"].Int(), " successes of ", succeeded_[job].size()));
    }
  }
  const ObjectPtr quota = world_.Lister("v1/resourcequotas").Get({kNs, "tight"});
  const json::Value* hard = quota ? (*quota)["status"]["hard"].Find("pods") : nullptr;
  if (hard && charged > ParseInt(hard->Str()).value_or(0)) Wrong(Cat(charged, " pods where the quota allows ", hard->Str()));
  CheckIdentities();
}

// Two pods of one name of a stateful set never run at the same time, wherever they are.
void Play::CheckIdentities() {
  for (const auto& [name, n] : agents_.Running()) {
    if (n > 1 && (name.starts_with("ordered-") || name.starts_with("together-"))) Wrong(Cat(name, " runs ", n, " times at once"));
  }
}

void Play::CheckConverged() {
  CheckWorkloads();
  CheckOwners();
  CheckEndpoints();
}

void Play::CheckWorkloads() {
  for (const char* name : {"roll", "ordered", "together"}) {
    const ObjectPtr o = Workload(name);
    const json::Value& status = (*o)["status"];
    const std::int64_t want = (*o)["spec"]["replicas"].Int();
    if (Ready(name) != want) Wrong(Cat(name, " has ", Ready(name), " ready pods of ", want));
    if (status["replicas"].Int() != want || status["readyReplicas"].Int() != want) Wrong(Cat(name, " says ", status.Dump(), " of ", want));
    if (status["updatedReplicas"].Int() != want) Wrong(Cat(name, " is not updated: ", status.Dump()));
  }
  if (Ready("each") != static_cast<std::int64_t>(nodes_.size())) Wrong(Cat("the daemon set has ", Ready("each"), " ready pods on ", nodes_.size(), " nodes"));
  for (const char* job : {"count", "indexed"}) {
    const ObjectPtr j = world_.Lister(kJobs).Get({kNs, job});
    if (!FindCondition((*j)["status"], "Complete")) Wrong(Cat("job ", job, " is not complete: ", (*j)["status"].Dump()));
    if ((*j)["status"]["succeeded"].Int() != (*j)["spec"]["completions"].Int()) Wrong(Cat("job ", job, " counts wrong: ", (*j)["status"].Dump()));
  }
}

void Play::CheckOwners() {
  for (const ObjectPtr& p : Pods()) {
    if (IsTerminating(*p)) Wrong(Cat("pod ", Name(*p), " never ends"));
    if (IsPodFinished(*p) && HasTracking(*p)) Wrong(Cat("pod ", Name(*p), " keeps its finalizer"));
    const json::Value* ref = ControllerRef(*p);
    bool owned = false;
    for (const char* r : {kReplicaSets, "apps/v1/statefulsets", "apps/v1/daemonsets", kJobs}) {
      const ObjectPtr o = ref ? world_.Lister(r).Get({kNs, std::string((*ref)["name"].Str())}) : nullptr;
      owned |= o && Uid(*o) == (*ref)["uid"].Str();
    }
    if (!owned) Wrong(Cat("pod ", Name(*p), " has no owner"));
  }
  std::int64_t left = 0;
  for (const ObjectPtr& set : world_.Lister(kReplicaSets).List(kNs)) {
    if (App(*set) != "gone") continue;
    left += (*set)["spec"]["replicas"].Int();
    if (ControllerRef(*set)) Wrong(Cat("replica set ", Name(*set), " names an owner that is gone"));
  }
  if (Workload("gone")) Wrong("a deleted deployment is still there");
  if (orphaned_ != (left > 0) || Ready("gone") != left) Wrong(Cat("of a deployment deleted ", orphaned_ ? "alone " : "", Ready("gone"), " pods are left, its sets want ", left));
  for (const char* name : {"a", "b", "c"}) {
    if (world_.Lister("v1/configmaps").Get({kNs, name})) Wrong(Cat("config map ", name, " has outlived its owner"));
  }
}

void Play::CheckEndpoints() {
  std::set<std::string> want, have;
  for (const ObjectPtr& p : Pods()) {
    if (App(*p) == "roll" && IsPodReady(*p)) want.insert(std::string(Name(*p)));
  }
  for (const ObjectPtr& slice : world_.Lister("discovery.k8s.io/v1/endpointslices").List(kNs)) {
    for (const json::Value& e : (*slice)["endpoints"].Items()) {
      if (e["conditions"]["ready"].Bool()) have.insert(std::string(e["targetRef"]["name"].Str()));
    }
  }
  if (want != have) Wrong(Cat("the service has ", have.size(), " endpoints of ", want.size(), " ready pods"));
}

// Converged: ten minutes pass and no controller writes anything.
void Play::CheckQuiet() {
  const std::size_t before = world_.writes();
  for (int i = 0; i < 30; ++i) {
    world_.clock().Advance(std::chrono::seconds(20));
    Renew();
    world_.Deliver();
    for (int n = 0; n < 1000 && world_.Reconcile(); ++n) world_.Deliver();
  }
  if (world_.writes() != before) Wrong(Cat(world_.writes() - before, " writes in ten quiet minutes, the last: ", world_.LastWrites()));
  for (const char* r : {"v1/pods", "apps/v1/deployments", kReplicaSets, "apps/v1/statefulsets", "apps/v1/daemonsets", kJobs, "v1/services", "discovery.k8s.io/v1/endpointslices"}) {
    objects_ += world_.Lister(r).List(kNs).size();
  }
}

}  // namespace skerry::sim
