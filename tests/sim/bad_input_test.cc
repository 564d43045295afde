#include <catch2/catch.hpp>

#include "core/base/strings.h"
#include "core/telemetry/log.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "tests/sim/play.h"

// What users get wrong, or do on purpose: each is told what is wrong, nothing runs in circles, and the rest of the cluster goes on.
namespace skerry::sim {
namespace {

using namespace kube;
using std::chrono::minutes;
using std::chrono::seconds;

const Ctx kCtx{std::stop_token()};
constexpr const char* kPods = "v1/pods";
constexpr const char* kDeployments = "apps/v1/deployments";
constexpr const char* kJobs = "batch/v1/jobs";

// A cluster whose first hour is over.
struct Cluster : World {
  Cluster() : World(11) {
    log::SetLevel(log::Level::kError);
    Put("v1/namespaces", R"({"metadata":{"name":"sim"}})");
    Put("v1/namespaces", R"({"metadata":{"name":"other"}})");
    Put("v1/nodes", R"({"metadata":{"name":"n0","labels":{"kubernetes.io/hostname":"n0"}},"status":{"allocatable":{"cpu":"8","memory":"16Gi","pods":"110"},
      "conditions":[{"type":"Ready","status":"True","reason":"r","message":"m"}]}})");
    Put("coordination.k8s.io/v1/leases", R"({"metadata":{"name":"n0","namespace":"kube-node-lease"},"spec":{"holderIdentity":"n0","leaseDurationSeconds":40}})");
    StartControllers();
    Run(minutes(1));
  }
  // With a node whose lease is renewed.
  void Run(seconds passes) {
    for (; passes.count() > 0; passes -= std::min(passes, seconds(20))) {
      json::Value lease;
      lease.Set("spec").Set("renewTime") = FormatMicroTime(clock().Now());
      Must(user().Patch(kCtx, "coordination.k8s.io/v1/leases", {"kube-node-lease", "n0"}, PatchType::kMerge, std::move(lease)).has_value(), "no lease");
      World::Run(std::min(passes, seconds(20)));
    }
  }
  ~Cluster() { log::SetLevel(log::Level::kWarn); }

  Result<ObjectPtr> Try(Resource resource, std::string_view text) {
    json::Value object = ParseJson(text);
    const bool cluster = resource == std::string_view("v1/namespaces") || resource == std::string_view("v1/nodes") || resource.starts_with("admissionregistration");
    if (!cluster && object["metadata"]["namespace"].is_null()) object.Set("metadata").Set("namespace") = "sim";
    return user().Create(kCtx, resource, std::move(object));
  }
  ObjectPtr Put(Resource resource, std::string_view text) {
    auto made = Try(resource, text);
    Must(made.has_value(), made ? "" : made.error().message());
    return *made;
  }
  std::string Refusal(Resource resource, std::string_view text) {
    const auto made = Try(resource, text);
    return made ? std::string() : std::string(made.error().message());
  }
  json::Value Get(Resource resource, const char* name, const char* ns = "sim") {
    const ObjectPtr o = Lister(resource).Get({ns, name});
    return o ? o->Clone() : json::Value();
  }
  // Writes of controllers in an hour in which nobody does anything.
  std::size_t WritesAtRest() {
    Run(minutes(10));
    const std::size_t before = writes();
    Run(minutes(60));
    return writes() - before;
  }
};

std::string Deployment(std::string_view name, std::string_view replicas, std::string_view pod = "") {
  return Cat(R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":")", name, R"("},"spec":{"replicas":)", replicas, R"(,"selector":{"matchLabels":{"app":")", name,
             R"("}},"template":{"metadata":{"labels":{"app":")", name, R"("}},"spec":{)", pod, R"("containers":[{"name":"c","image":"i"}]}}}})");
}

const json::Value& Condition(const json::Value& object, std::string_view type) {
  static const json::Value none;
  const json::Value* found = FindCondition(object["status"], type);
  return found ? *found : none;
}

}  // namespace

TEST_CASE("numbers of replicas and selectors that cannot be are refused with their place", "[sim][bad]") {
  Cluster c;
  CHECK(c.Refusal(kDeployments, Deployment("d", "-1")).find("spec.replicas: Invalid value: -1: must be greater than or equal to 0") != std::string::npos);
  CHECK(!c.Refusal(kDeployments, Deployment("d", "4294967296")).empty());
  std::string mismatch = Deployment("d", "1");
  mismatch.replace(mismatch.find(R"("labels":{"app":"d"})"), 20, R"("labels":{"app":"e"})");
  CHECK(c.Refusal(kDeployments, mismatch).find("`selector` does not match template `labels`") != std::string::npos);
}

TEST_CASE("a pod that no node can have says why, and nobody tries for ever", "[sim][bad]") {
  Cluster c;
  c.Put(kDeployments, Deployment("lost", "1", R"("nodeSelector":{"disk":"none"},)"));
  c.Put(kDeployments, Deployment("fat", "1"));
  c.Run(minutes(1));
  const std::vector<ObjectPtr> pods = c.Lister(kPods).Matching("sim", "app=lost");
  REQUIRE(pods.size() == 1);
  const json::Value* scheduled = FindCondition((*pods[0])["status"], "PodScheduled");
  REQUIRE(scheduled);
  CHECK((*scheduled)["reason"].Str() == "Unschedulable");
  CHECK_THAT(std::string((*scheduled)["message"].Str()), Catch::StartsWith("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."));
  CHECK(c.CountEvents("FailedScheduling: 0/1 nodes are available") >= 1);
  CHECK(c.Lister(kPods).Matching("sim", "app=fat").size() == 1);
  CHECK(c.WritesAtRest() == 0);
}

TEST_CASE("a huge number of replicas meets the quota: the condition says so, others are served, and attempts become rare", "[sim][bad]") {
  Cluster c;
  c.Put("v1/resourcequotas", R"({"metadata":{"name":"q"},"spec":{"hard":{"pods":"20"}}})");
  c.Run(seconds(1));
  c.Put(kDeployments, Deployment("huge", "2147483647"));
  c.Put(kDeployments, [] { auto d = Deployment("small", "2"); d.replace(d.find(R"("name":"small")"), 14, R"("namespace":"other","name":"small")"); return d; }());
  c.Run(minutes(1));
  CHECK(c.Lister(kPods).List("sim").size() == 20);
  CHECK(c.Lister(kPods).List("other").size() == 2);
  const json::Value failure = Condition(c.Get(kDeployments, "huge"), "ReplicaFailure").Clone();
  CHECK(failure["reason"].Str() == "FailedCreate");
  CHECK(failure["message"].Str().find("exceeded quota: q, requested: pods=1, used: pods=20, limited: pods=20") != std::string::npos);
  CHECK(c.WritesAtRest() < 20);
  // Room again: it is taken, although nobody has touched the deployment.
  REQUIRE(c.user().Patch(kCtx, "v1/resourcequotas", {"sim", "q"}, PatchType::kMerge, ParseJson(R"({"spec":{"hard":{"pods":"25"}}})")));
  c.Run(minutes(20));
  CHECK(c.Lister(kPods).List("sim").size() == 25);
}

TEST_CASE("a policy that denies every pod is told in a condition, and its end is noticed", "[sim][bad]") {
  Cluster c;
  c.Put("admissionregistration.k8s.io/v1/validatingadmissionpolicies", R"({"metadata":{"name":"no.pods"},"spec":{"failurePolicy":"Fail","matchConstraints":{"resourceRules":[
    {"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["pods"]}]},"validations":[{"expression":"false","message":"no pods today"}]}})");
  c.Put("admissionregistration.k8s.io/v1/validatingadmissionpolicybindings", R"({"metadata":{"name":"no.pods"},"spec":{"policyName":"no.pods","validationActions":["Deny"]}})");
  c.Put(kDeployments, Deployment("d", "3"));
  c.Run(minutes(1));
  CHECK(c.Lister(kPods).List("sim").empty());
  CHECK(Condition(c.Get(kDeployments, "d"), "ReplicaFailure")["message"].Str().find("no pods today") != std::string::npos);
  CHECK(c.CountEvents("FailedCreate") >= 1);
  CHECK(c.WritesAtRest() < 30);
  REQUIRE(c.user().Delete(kCtx, "admissionregistration.k8s.io/v1/validatingadmissionpolicybindings", {"", "no.pods"}));
  c.Run(minutes(20));
  CHECK(c.Lister(kPods).List("sim").size() == 3);
}

TEST_CASE("a namespace that cannot finish says what keeps it, and goes when that goes", "[sim][bad]") {
  Cluster c;
  c.Put("v1/configmaps", R"({"metadata":{"name":"kept","finalizers":["example.com/keep"]}})");
  c.Put("v1/configmaps", R"({"metadata":{"name":"free"}})");
  REQUIRE(c.user().Delete(kCtx, "v1/namespaces", {"", "sim"}));
  c.Run(minutes(1));
  const json::Value ns = c.Get("v1/namespaces", "sim", "");
  CHECK(ns["status"]["phase"].Str() == "Terminating");
  CHECK(Condition(ns, "NamespaceFinalizersRemaining")["message"].Str().find("example.com/keep in 1 resource instances") != std::string::npos);
  CHECK(Condition(ns, "NamespaceContentRemaining")["message"].Str().find("configmaps. has 1 resource instances") != std::string::npos);
  CHECK(c.Get("v1/configmaps", "free").is_null());
  CHECK(c.WritesAtRest() == 0);
  REQUIRE(c.user().Patch(kCtx, "v1/configmaps", {"sim", "kept"}, PatchType::kMerge, ParseJson(R"({"metadata":{"finalizers":null}})")));
  c.Run(minutes(1));
  CHECK(c.Get("v1/namespaces", "sim", "").is_null());
}

namespace {

// With so many finished jobs around: nobody writes any more, and what comes then needs no more writes than it would alone.
void FinishedJobsCostNothing(int count) {
  Cluster c;
  const auto job = [&](const std::string& name) {
    return c.Put(kJobs, Cat(R"({"metadata":{"name":")", name, R"("},"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}})"));
  };
  const auto writes_of_newcomers = [&](const std::string& name) {
    const std::size_t before = c.writes();
    job(name);
    c.Put(kDeployments, Deployment(name, "3"));
    c.Run(minutes(1));
    return c.writes() - before;
  };
  const std::size_t alone = writes_of_newcomers("first");
  for (int i = 0; i < count; ++i) {
    json::Value done = job(Cat("j", i))->Clone();
    const std::string now = FormatTime(c.clock().Now());
    json::Value& status = done.Set("status");
    status.Set("startTime") = now;
    status.Set("completionTime") = now;
    status.Set("succeeded") = 1;
    SetCondition(status, "SuccessCriteriaMet", "True", "CompletionsReached", "", c.clock().Now());
    SetCondition(status, "Complete", "True", "CompletionsReached", "", c.clock().Now());
    REQUIRE(c.user().Update(kCtx, kJobs, std::move(done), "status"));
  }
  c.Run(minutes(1));
  CHECK(c.Lister(kPods).List("sim").size() == 4);      // those of the first newcomers
  CHECK(c.WritesAtRest() == 0);
  CHECK(writes_of_newcomers("second") <= alone);
}

}  // namespace

TEST_CASE("jobs that have finished cost nothing any more, however many there are", "[sim][bad]") { FinishedJobsCostNothing(300); }

TEST_CASE("ten thousand jobs that have finished cost nothing any more", "[sim][bad][slow]") { FinishedJobsCostNothing(10'000); }

TEST_CASE("a CronJob of every second starts what the names of its jobs allow, one a minute, and does not run in circles", "[sim][bad]") {
  Cluster c;
  c.Put("batch/v1/cronjobs", R"({"metadata":{"name":"often"},"spec":{"schedule":"@every 1s","jobTemplate":{"spec":{"suspend":true,
    "template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}}}})");
  const std::size_t before = c.writes();
  c.Run(seconds(120));
  const std::size_t jobs = c.Lister(kJobs).List("sim").size();
  CHECK(jobs >= 2);
  CHECK(jobs <= 3);
  CHECK(c.writes() - before <= 3 * 120);
}

TEST_CASE("an autoscaler without metrics says so and leaves the scale alone", "[sim][bad]") {
  Cluster c;
  c.Put(kDeployments, Deployment("d", "2"));
  c.Put("autoscaling/v2/horizontalpodautoscalers", R"({"metadata":{"name":"d"},"spec":{"minReplicas":1,"maxReplicas":5,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"},
    "metrics":[{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":50}}}]}})");
  c.Run(minutes(2));
  const json::Value hpa = c.Get("autoscaling/v2/horizontalpodautoscalers", "d");
  CHECK(Condition(hpa, "ScalingActive")["status"].Str() == "False");
  CHECK(Condition(hpa, "ScalingActive")["reason"].Str() == "FailedGetResourceMetric");
  CHECK(c.CountEvents("FailedGetResourceMetric") >= 1);
  CHECK(c.Get(kDeployments, "d")["spec"]["replicas"].Int() == 2);
  CHECK(c.WritesAtRest() == 0);
}

TEST_CASE("a range of service addresses that is added is used, and kept while it is", "[sim]") {
  Cluster c;
  constexpr const char* kRanges = "networking.k8s.io/v1/servicecidrs";
  CHECK(Condition(c.Get(kRanges, "kubernetes", ""), "Ready")["status"].Str() == "True");
  const auto range = [](const char* name, const char* cidr) {
    json::Value r = ParseJson(R"({"apiVersion":"networking.k8s.io/v1","kind":"ServiceCIDR"})");
    r.Set("metadata").Set("name") = name;
    r.Set("spec").Set("cidrs").Append(cidr);
    return r;
  };
  const char* const kService = R"({"metadata":{"name":"far"},"spec":{"clusterIP":"10.200.0.7","ports":[{"port":80}]}})";
  CHECK(c.Refusal("v1/services", kService).find("10.200.0.7) is not in the valid range") != std::string::npos);
  REQUIRE(c.user().Create(kCtx, kRanges, range("more", "10.200.0.0/24")));
  c.Run(seconds(5));
  CHECK(Condition(c.Get(kRanges, "more", ""), "Ready")["status"].Str() == "True");
  CHECK(c.Refusal("v1/services", kService).empty());
  const json::Value address = c.Get("networking.k8s.io/v1/ipaddresses", "10.200.0.7", "");
  CHECK(address["spec"]["parentRef"]["name"].Str() == "far");
  REQUIRE(c.user().Delete(kCtx, kRanges, {"", "more"}));
  c.Run(seconds(5));
  CHECK(Condition(c.Get(kRanges, "more", ""), "Ready")["reason"].Str() == "Terminating");
  CHECK(c.Refusal("v1/services", R"({"metadata":{"name":"late"},"spec":{"clusterIP":"10.200.0.8","ports":[{"port":80}]}})").find("not in the valid range") != std::string::npos);
  REQUIRE(c.user().Delete(kCtx, "v1/services", {"sim", "far"}));
  c.Run(seconds(5));
  CHECK(c.Get(kRanges, "more", "").is_null());
  CHECK(c.Get("networking.k8s.io/v1/ipaddresses", "10.200.0.7", "").is_null());
}

}  // namespace skerry::sim
