#include <catch2/catch.hpp>

#include "core/base/strings.h"
#include "tests/support/api_fixture.h"

using namespace std::chrono_literals;

namespace skerry::kube {
namespace {

using testing::Answer;
using testing::Api;

const Clock::Wall kAt = ParseTime("2026-11-21T20:00:00Z").value();

// Says what it was told, as an agent and a router would.
class Told final : public MetricsSource, public ObjectMetricsSource {
 public:
  std::vector<PodUsage> Pods(std::string_view ns) override {
    std::vector<PodUsage> out;
    for (const PodUsage& pod : pods) {
      if (ns.empty() || pod.pod.ns == ns) out.push_back(pod);
    }
    return out;
  }
  std::vector<NodeUsage> Nodes() override { return nodes; }
  const std::vector<Known>& Offered() const override { return known; }
  std::vector<ObjectMetric> Values(const Known& which, std::string_view ns) override {
    std::vector<ObjectMetric> out;
    for (const ObjectMetric& m : values) {
      if (m.kind == which.kind && m.object.ns == ns) out.push_back(m);
    }
    return out;
  }
  std::vector<PodUsage> pods = {{{"default", "web"}, kAt, 15034ms, {{"main", 12'345'678, 3 << 20}, {"side", 1'000'000, 1 << 20}}},
                                {{"default", "db"}, kAt, 15s, {{"main", 2'000'000'000, 1000}}},
                                {{"default", "gone"}, kAt, 15s, {{"main", 1, 1}}}};   // no such pod any more
  std::vector<NodeUsage> nodes = {{"n1", kAt, 10s, 250'000'000, 512 << 20}};
  std::vector<Known> known = {{"", "services", "v1", "Service", "requests-per-second", true}};
  std::vector<ObjectMetric> values = {{"v1", "Service", {"default", "web"}, kAt, 10s, 1500}, {"v1", "Service", {"default", "none"}, kAt, 10s, 1}};
};

struct Rig {
  Told told;
  Api api{Api::Engine::kMemory, [this](ApiServerOptions& options) {
    options.usage = [this] { return &told; };
    options.object_metrics = [this] { return &told; };
    options.offered_metrics = told.known;
  }};
  Rig() {
    const auto post = [&](const char* path, const std::string& body) {
      const auto answer = api.Call("POST", path, body);
      INFO(answer.text);
      REQUIRE(answer.status == 201);
    };
    for (const char* name : {"web", "db"}) {
      post("/api/v1/namespaces/default/pods", Cat(R"({"metadata":{"name":")", name, R"(","labels":{"app":")", name, R"("}},"spec":{"containers":[{"name":"main","image":"i"}]}})"));
    }
    post("/api/v1/nodes", R"({"metadata":{"name":"n1","labels":{"zone":"a"}}})");
    post("/api/v1/namespaces/default/services", R"({"metadata":{"name":"web"},"spec":{"ports":[{"port":80}]}})");
  }
  Answer Get(std::string_view path, http::Headers headers = {}) { return api.Call("GET", path, "", std::move(headers)); }
};
constexpr std::string_view kPods = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods", kNodes = "/apis/metrics.k8s.io/v1beta1/nodes";

TEST_CASE("what pods and nodes use is told as objects with the labels of what they describe", "[server][metrics]") {
  Rig rig;
  const auto pods = rig.Get(kPods);
  REQUIRE(pods.status == 200);
  CHECK(pods.body["kind"].Str() == "PodMetricsList");
  REQUIRE(pods.body["items"].size() == 2);
  const auto& web = pods.body["items"].Items()[1];
  CHECK(web.At({"metadata", "name"}).Str() == "web");
  CHECK(web.At({"metadata", "labels", "app"}).Str() == "web");
  CHECK(web["window"].Str() == "15.034s");
  CHECK(web["timestamp"].Str() == "2026-11-21T20:00:00Z");
  CHECK(web["containers"].Dump() == R"([{"name":"main","usage":{"cpu":"12345678n","memory":"3Mi"}},{"name":"side","usage":{"cpu":"1m","memory":"1Mi"}}])");

  CHECK(rig.Get(Cat(kPods, "?labelSelector=app%3Ddb")).body["items"].size() == 1);
  CHECK(rig.Get("/apis/metrics.k8s.io/v1beta1/pods?fieldSelector=metadata.name%3Dweb").body["items"].size() == 1);
  CHECK(rig.Get("/apis/metrics.k8s.io/v1beta1/namespaces/other/pods").body["items"].size() == 0);
  CHECK(rig.Get(Cat(kPods, "/web")).body["kind"].Str() == "PodMetrics");
  CHECK(rig.Get(Cat(kPods, "/none")).body["message"].Str() == "pods \"default/none\" not found");
  rig.told.pods.erase(rig.told.pods.begin());
  CHECK(rig.Get(Cat(kPods, "/web")).body["message"].Str() == "podmetrics.metrics.k8s.io \"default/web\" not found");

  const auto node = rig.Get(Cat(kNodes, "/n1"));
  CHECK(node.body["usage"].Dump() == R"({"cpu":"250m","memory":"512Mi"})");
  CHECK(rig.Get(Cat(kNodes, "?labelSelector=zone%3Db")).body["items"].size() == 0);
  CHECK(rig.api.Call("POST", kNodes, "{}").status == 405);
}

TEST_CASE("what is used has a table and a protobuf form", "[server][metrics]") {
  Rig rig;
  const auto table = rig.Get(kPods, {{"Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"}});
  REQUIRE(table.status == 200);
  std::string columns;
  for (const auto& c : table.body["columnDefinitions"].Items()) columns += Cat(c["name"].Str(), " ");
  CHECK(columns == "Name cpu memory Window ");
  CHECK(table.body["rows"].Items()[1]["cells"].Dump() == R"(["web","13345678n","4Mi","15.034s"])");
  const auto binary = rig.Get(kPods, {{"Accept", "application/vnd.kubernetes.protobuf"}});
  CHECK(binary.status == 200);
  CHECK(binary.text.starts_with("k8s"));
  CHECK(binary.text.find("12345678n") != std::string::npos);
}

TEST_CASE("figures of objects are told as custom and external metrics", "[server][metrics]") {
  Rig rig;
  constexpr std::string_view kServices = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/services/";
  const auto one = rig.Get(Cat(kServices, "web/requests-per-second"));
  REQUIRE(one.status == 200);
  CHECK(one.body["kind"].Str() == "MetricValueList");
  REQUIRE(one.body["items"].size() == 1);
  const auto& value = one.body["items"].Items()[0];
  CHECK(value["value"].Str() == "1500m");
  CHECK(value.At({"metric", "name"}).Str() == "requests-per-second");
  CHECK(value.At({"describedObject", "name"}).Str() == "web");
  CHECK(value["windowSeconds"].Int() == 10);
  CHECK(rig.Get(Cat(kServices, "*/requests-per-second")).body["items"].size() == 1);
  const auto unknown = rig.Get(Cat(kServices, "none/requests-per-second"));
  CHECK(unknown.status == 404);
  CHECK(unknown.body["message"].Str() == "the server could not find the metric requests-per-second for services none");
  CHECK(rig.Get("/apis/custom.metrics.k8s.io/v1beta1/namespaces/default/services/web/requests-per-second").body["items"].Items()[0]["metricName"].Str() == "requests-per-second");

  constexpr std::string_view kExternal = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/requests-per-second";
  CHECK(rig.Get(Cat(kExternal, "?labelSelector=name%3Dweb")).body["items"].Items()[0]["value"].Str() == "1500m");
  CHECK(rig.Get(Cat(kExternal, "?labelSelector=kind%3DIngress")).body["items"].size() == 0);
  CHECK(rig.Get("/apis/external.metrics.k8s.io/v1beta1/namespaces/default/else").status == 404);

  const auto resources = rig.Get("/apis/custom.metrics.k8s.io/v1beta2");
  CHECK(resources.text.find("\"services/requests-per-second\"") != std::string::npos);
}

TEST_CASE("a server that knows nobody who measures serves no metrics", "[server][metrics]") {
  Api api;
  CHECK(api.Call("GET", kNodes, "").status == 404);
  CHECK(api.Call("GET", "/apis", "").text.find("metrics.k8s.io") == std::string::npos);
  Rig rig;
  CHECK(rig.Get("/apis").text.find("\"metrics.k8s.io/v1beta1\"") != std::string::npos);
  CHECK(rig.Get("/apis/rbac.authorization.k8s.io/v1/clusterroles/system:aggregated-metrics-reader").status == 200);
}

}  // namespace
}  // namespace skerry::kube
