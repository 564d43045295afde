#include <catch2/catch.hpp>

#include "embedded-kube-shim/scheduler/preemption.h"

namespace skerry::kube::scheduling {
namespace {

class NoObjects final : public Lister {
 public:
  ObjectPtr Get(const Key&) const override { return nullptr; }
  std::vector<ObjectPtr> List(std::string_view) const override { return {}; }
  std::vector<ObjectPtr> OwnedBy(std::string_view) const override { return {}; }
  std::vector<ObjectPtr> Matching(std::string_view, std::string_view) const override { return {}; }
  std::vector<ObjectPtr> OnNode(std::string_view) const override { return {}; }
};
const NoObjects kNothing;

ObjectPtr Parse(std::string_view text) {
  json::Value v;
  std::string error;
  REQUIRE(json::Value::Parse(text, &v, &error));
  return std::make_shared<json::Value>(std::move(v));
}

ObjectPtr NodeObject(std::string name, std::string cpu, std::string zone = "z1", std::string extra_spec = "{}") {
  return Parse(R"({"metadata":{"name":")" + name + R"(","labels":{"kubernetes.io/hostname":")" + name + R"(","zone":")" + zone + R"("}},"spec":)" + extra_spec +
               R"(,"status":{"allocatable":{"cpu":")" + cpu + R"(","memory":"8Gi","pods":"10"}}})");
}

PodPtr Pod(std::string name, std::string cpu, std::string extra = "", int priority = 0, std::string labels = R"({"app":"a"})") {
  return FactsOf(Parse(R"({"metadata":{"name":")" + name + R"(","namespace":"x","uid":")" + name + R"(","labels":)" + labels + R"(},"spec":{"priority":)" +
                       std::to_string(priority) + extra + R"(,"containers":[{"name":"c","resources":{"requests":{"cpu":")" + cpu + R"("}}}]}})"));
}

std::vector<std::string> Reasons(const Cluster& cluster, const PodPtr& pod, std::string_view node) {
  const CycleState s = Prepare(cluster, pod, kNothing);
  for (const Filter& f : Filters()) {
    const Verdict v = f.check(s, cluster.nodes().find(node)->second);
    if (!v.fits()) return v.reasons;
  }
  return {};
}

}  // namespace

TEST_CASE("requests are the larger of running and starting, with sidecars beside both", "[scheduler]") {
  const PodPtr p = FactsOf(Parse(R"({"metadata":{"uid":"u"},"spec":{
    "initContainers":[{"resources":{"requests":{"cpu":"2"}}},{"restartPolicy":"Always","resources":{"requests":{"cpu":"1"}}},{"resources":{"requests":{"cpu":"3"}}}],
    "containers":[{"resources":{"requests":{"cpu":"1","memory":"1Gi"}}},{"resources":{"requests":{"cpu":"500m"}}}],"overhead":{"cpu":"100m"}}})"));
  CHECK(p->requests.at("cpu") == 4100);
  CHECK(p->requests.at("memory") == 1LL << 30);
}

TEST_CASE("nodes are refused for resources, taints, labels and ports in upstream's words", "[scheduler]") {
  Cluster c;
  c.SetNode(NodeObject("a", "1"));
  c.SetNode(NodeObject("b", "4", "z1", R"({"taints":[{"key":"k","value":"v","effect":"NoSchedule"}]})"));
  c.SetPod(Pod("old", "600m"), "a");
  CHECK(Reasons(c, Pod("p", "500m"), "a") == std::vector<std::string>{"Insufficient cpu"});
  CHECK(Reasons(c, Pod("p", "400m"), "a").empty());
  CHECK(Reasons(c, Pod("p", "1"), "b") == std::vector<std::string>{"node(s) had untolerated taint(s)"});
  CHECK(Reasons(c, Pod("p", "1", R"(,"tolerations":[{"key":"k","operator":"Exists"}])"), "b").empty());
  CHECK(Reasons(c, Pod("p", "0", R"(,"nodeSelector":{"zone":"z2"})"), "a") == std::vector<std::string>{"node(s) didn't match Pod's node affinity/selector"});
}

TEST_CASE("spread and anti-affinity count the pods that run", "[scheduler]") {
  Cluster c;
  c.SetNode(NodeObject("a", "4", "z1"));
  c.SetNode(NodeObject("b", "4", "z2"));
  c.SetPod(Pod("old", "0"), "a");
  const std::string spread =
      R"(,"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"app":"a"}}}])";
  CHECK(Reasons(c, Pod("p", "0", spread), "a") == std::vector<std::string>{"node(s) didn't match pod topology spread constraints"});
  CHECK(Reasons(c, Pod("p", "0", spread), "b").empty());
  const std::string anti =
      R"(,"affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"zone","labelSelector":{"matchLabels":{"app":"a"}}}]}})";
  CHECK(Reasons(c, Pod("p", "0", anti), "a") == std::vector<std::string>{"node(s) didn't match pod anti-affinity rules"});
  c.SetPod(Pod("guard", "0", anti, 0, R"({"app":"g"})"), "b");
  CHECK(Reasons(c, Pod("p", "0"), "b") == std::vector<std::string>{"node(s) didn't satisfy existing pods anti-affinity rules"});
}

TEST_CASE("preemption takes the least important pods and leaves the cluster as it was", "[scheduler]") {
  Cluster c;
  c.SetNode(NodeObject("a", "2"));
  c.SetPod(Pod("low", "1", "", 1), "a");
  c.SetPod(Pod("mid", "1", "", 5), "a");
  const CycleState s = Prepare(c, Pod("p", "1", "", 10), kNothing);
  const auto eviction = FindVictims(c, s, {"a"}, kNothing);
  REQUIRE(eviction);
  REQUIRE(eviction->victims.size() == 1);
  CHECK(eviction->victims[0]->uid == "low");
  CHECK(c.Find("a")->requested.at("cpu") == 2000);
  CHECK_FALSE(FindVictims(c, Prepare(c, Pod("q", "1", "", 1), kNothing), {"a"}, kNothing));
}

TEST_CASE("the emptier node scores higher", "[scheduler]") {
  Cluster c;
  c.SetNode(NodeObject("a", "4"));
  c.SetNode(NodeObject("b", "4"));
  c.SetPod(Pod("old", "2"), "a");
  const CycleState s = Prepare(c, Pod("p", "1"), kNothing);
  const auto scores = Scores(c, s, {c.Find("a"), c.Find("b")});
  CHECK(scores[0] < scores[1]);
}

}  // namespace skerry::kube::scheduling
