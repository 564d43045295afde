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

TEST_CASE("a scheduler configuration gives each schedulerName its plugins, weights and packing", "[scheduler]") {
  const auto profiles = ParseSchedulerConfiguration(R"(apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
percentageOfNodesToScore: 70
profiles:
- schedulerName: default-scheduler
- schedulerName: packer
  percentageOfNodesToScore: 100
  plugins:
    score:
      disabled: [{name: "*"}]
      enabled: [{name: NodeResourcesFit, weight: 5}]
    filter:
      disabled: [{name: TaintToleration}]
    postFilter:
      disabled: [{name: DefaultPreemption}]
  pluginConfig:
  - name: NodeResourcesFit
    args: {scoringStrategy: {type: MostAllocated, resources: [{name: cpu, weight: 3}]}}
)");
  REQUIRE(profiles);
  REQUIRE(profiles->size() == 2);
  const SchedulerProfile& usual = (*profiles)[0];
  CHECK(usual.percentage_of_nodes == 70);
  CHECK(usual.weights == SchedulerProfile().weights);
  CHECK(usual.preemption);
  const SchedulerProfile& packer = (*profiles)[1];
  CHECK(packer.percentage_of_nodes == 100);
  CHECK(packer.weights.at("NodeResourcesFit") == 5);
  CHECK(packer.weights.at("ImageLocality") == 0);
  CHECK(packer.filters_off.contains("TaintToleration"));
  CHECK_FALSE(packer.preemption);
  CHECK(packer.packing == SchedulerProfile::Packing::kMostAllocated);
  CHECK(packer.packed == decltype(packer.packed){{"cpu", 3}});
}

TEST_CASE("what a scheduler configuration asks for and we do not follow is told, with its place", "[scheduler]") {
  const auto message = [](std::string_view profile) {
    const auto r = ParseSchedulerConfiguration(std::string("apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nprofiles:\n") + std::string(profile));
    return r ? std::string("ok") : std::string(r.error().message());
  };
  CHECK(message("- plugins: {score: {enabled: [{name: Mine}]}}\n") == "profiles[0].plugins.score.enabled: there is no plugin \"Mine\"");
  CHECK(message("- {}\n- {}\n") == "profiles[1].schedulerName: \"default-scheduler\" is there twice");
  CHECK(message("- pluginConfig: [{name: ImageLocality, args: {x: y}}]\n") == "profiles[0].pluginConfig[ImageLocality].args: arguments of this plugin are not supported");
  CHECK(message("- pluginConfig: [{name: NodeAffinity, args: {addedAffinity: {x: y}}}]\n") == "profiles[0].pluginConfig[NodeAffinity].args.addedAffinity.x: there is no such field");
  CHECK(message("- pluginConfig: [{name: PodTopologySpread, args: {defaultConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: Never}]}}]\n") ==
        "profiles[0].pluginConfig[PodTopologySpread].args.defaultConstraints.whenUnsatisfiable: expected DoNotSchedule or ScheduleAnyway");
  CHECK(message("- pluginConfig: [{name: PodTopologySpread, args: {defaultingType: System, defaultConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]}}]\n") ==
        "profiles[0].pluginConfig[PodTopologySpread].args.defaultConstraints: expected none when defaultingType is System");
  CHECK(message("- pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: RequestedToCapacityRatio}}}]\n") ==
        "profiles[0].pluginConfig[NodeResourcesFit].args.scoringStrategy.type: \"RequestedToCapacityRatio\" is not supported (LeastAllocated, MostAllocated)");
  CHECK_FALSE(ParseSchedulerConfiguration("kind: Pod"));
}

TEST_CASE("a profile's added affinity holds for every pod besides its own", "[scheduler]") {
  const auto profiles = ParseSchedulerConfiguration(R"(apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- pluginConfig:
  - name: NodeAffinity
    args:
      addedAffinity:
        requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: pool, operator: In, values: [a, b]}]}]}
        preferredDuringSchedulingIgnoredDuringExecution: [{weight: 10, preference: {matchExpressions: [{key: pool, operator: In, values: [b]}]}}]
)");
  REQUIRE(profiles);
  const SchedulerProfile& profile = (*profiles)[0];
  Cluster c;
  for (const char* pool : {"a", "b", "c"}) {
    json::Value node = NodeObject(pool, "4")->Clone();
    node.Set("metadata").Set("labels").Set("pool") = pool;
    c.SetNode(std::make_shared<const json::Value>(std::move(node)));
  }
  const CycleState s = Prepare(c, Pod("p", "1"), kNothing, nullptr, &profile);
  const auto why = [&](const char* node) {
    for (const Filter* f : FiltersFor(s, profile)) {
      if (const Verdict v = f->check(s, *c.Find(node)); !v.fits()) return v.reasons[0];
    }
    return std::string();
  };
  CHECK(why("a").empty());
  CHECK(why("b").empty());
  CHECK(why("c") == "node(s) didn't match scheduler-enforced node affinity");
  const auto scores = Scores(c, s, {c.Find("a"), c.Find("b")}, profile);
  CHECK(scores[0] < scores[1]);
}

namespace {
class Objects final : public Lister {
 public:
  explicit Objects(std::vector<ObjectPtr> objects) : objects_(std::move(objects)) {}
  ObjectPtr Get(const Key& key) const override {
    for (const ObjectPtr& o : objects_) {
      if ((*o)["metadata"]["name"].Str() == key.name) return o;
    }
    return nullptr;
  }
  std::vector<ObjectPtr> List(std::string_view) const override { return objects_; }
  std::vector<ObjectPtr> OwnedBy(std::string_view) const override { return {}; }
  std::vector<ObjectPtr> Matching(std::string_view, std::string_view) const override { return {}; }
  std::vector<ObjectPtr> OnNode(std::string_view) const override { return {}; }

 private:
  const std::vector<ObjectPtr> objects_;
};
}  // namespace

TEST_CASE("default spread constraints take their selector from the pod's services and controller", "[scheduler]") {
  const auto profiles = ParseSchedulerConfiguration(R"(apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- pluginConfig:
  - name: PodTopologySpread
    args: {defaultingType: List, defaultConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]}
)");
  REQUIRE(profiles);
  const SchedulerProfile& profile = (*profiles)[0];
  const Objects services({Parse(R"({"metadata":{"name":"s","namespace":"x"},"spec":{"selector":{"app":"a"}}})"),
                          Parse(R"({"metadata":{"name":"other","namespace":"x"},"spec":{"selector":{"app":"b"}}})")});
  const Objects sets({Parse(R"({"metadata":{"name":"set","namespace":"x"},"spec":{"selector":{"matchLabels":{"hash":"1"}}}})")});
  const SpreadSources sources{&services, &kNothing, &sets, &kNothing};
  const auto pod = [](const char* labels, const char* rest = "") {
    return Parse(std::string(R"({"metadata":{"name":"p","namespace":"x","uid":"p","labels":)") + labels + R"(,"ownerReferences":[{"controller":true,"kind":"ReplicaSet","name":"set","apiVersion":"apps/v1","uid":"1"}]},"spec":{)" +
                 rest + R"(}})");
  };
  const auto constraints = DefaultConstraints(profile, *pod(R"({"app":"a","hash":"1"})"), sources);
  REQUIRE(constraints);
  CHECK(constraints->Items()[0]["labelSelector"].Dump() == R"({"matchLabels":{"app":"a","hash":"1"}})");
  CHECK_FALSE(DefaultConstraints(profile, *pod(R"({"app":"a"})", R"("topologySpreadConstraints":[{"maxSkew":2}])"), sources));
  CHECK_FALSE(DefaultConstraints(profile, *Parse(R"({"metadata":{"name":"p","namespace":"x","labels":{"app":"c"}},"spec":{}})"), sources));
  CHECK_FALSE(DefaultConstraints(SchedulerProfile(), *pod(R"({"app":"a"})"), sources));

  Cluster c;
  for (const char* zone : {"a", "b"}) {
    json::Value node = NodeObject(zone, "4")->Clone();
    node.Set("metadata").Set("labels").Set("zone") = zone;
    c.SetNode(std::make_shared<const json::Value>(std::move(node)));
  }
  json::Value first = pod(R"({"app":"a","hash":"1"})")->Clone();
  first.Set("metadata").Set("uid") = "first";
  c.SetPod(FactsOf(std::make_shared<const json::Value>(std::move(first))), "a");
  const CycleState s = Prepare(c, FactsOf(pod(R"({"app":"a","hash":"1"})")), kNothing, nullptr, &profile, constraints);
  const auto fits = [&](const char* node) {
    for (const Filter* f : FiltersFor(s, profile)) {
      if (!f->check(s, *c.Find(node)).fits()) return false;
    }
    return true;
  };
  CHECK_FALSE(fits("a"));
  CHECK(fits("b"));
}

TEST_CASE("a profile that packs prefers the fuller node, the usual one the emptier", "[scheduler]") {
  Cluster c;
  c.SetNode(NodeObject("full", "4"));
  c.SetNode(NodeObject("empty", "4"));
  c.SetPod(Pod("old", "2"), "full");
  const CycleState s = Prepare(c, Pod("p", "1"), kNothing);
  const std::vector<const NodeInfo*> nodes = {c.Find("full"), c.Find("empty")};
  SchedulerProfile packer;
  for (auto& [plugin, weight] : packer.weights) weight = plugin == "NodeResourcesFit" ? 1 : 0;
  const auto usual = Scores(c, s, nodes, packer);
  CHECK(usual[0] < usual[1]);
  packer.packing = SchedulerProfile::Packing::kMostAllocated;
  const auto packed = Scores(c, s, nodes, packer);
  CHECK(packed[0] > packed[1]);
}

TEST_CASE("of a bound pod only what matters to others is kept, and only its change counts", "[scheduler]") {
  const ObjectPtr pod = Parse(R"({"kind":"Pod","metadata":{"name":"p","namespace":"x","uid":"u","generation":1,"labels":{"app":"a"},"managedFields":[{}]},
    "spec":{"nodeName":"n","priority":3,"containers":[{"name":"c","resources":{"requests":{"cpu":"1"}},"ports":[{"hostPort":80}]}]},"status":{"phase":"Running"}})");
  const PodPtr facts = BoundFactsOf(pod);
  CHECK(facts->requests.at("cpu") == 1000);
  CHECK(facts->ports.size() == 1);
  CHECK(facts->priority == 3);
  CHECK((*facts->object)["spec"]["containers"].is_null());
  CHECK((*facts->object)["metadata"]["managedFields"].is_null());
  CHECK((*facts->object)["metadata"]["labels"]["app"].Str() == "a");
  json::Value next = pod->Clone();
  next.Set("status").Set("phase") = "Failed";
  CHECK(SameBoundFacts(*facts, next));
  next.Set("metadata").Set("labels").Set("app") = "b";
  CHECK_FALSE(SameBoundFacts(*facts, next));
}

}  // namespace skerry::kube::scheduling
