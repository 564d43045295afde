#include <catch2/catch.hpp>

#include "embedded-kube-shim/controllers/autoscale.h"

namespace skerry::kube {
namespace {

json::Value Parse(std::string_view text) {
  json::Value v;
  std::string error;
  REQUIRE(json::Value::Parse(text, &v, &error));
  return v;
}
const Clock::Wall kNow = ParseTime("2026-01-01T01:00:00Z").value();

ObjectPtr Pod(std::string name, bool ready = true, std::string_view phase = "Running") {
  json::Value pod = Parse(R"({"metadata":{"namespace":"x"},"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"100m"}}}]},
    "status":{"startTime":"2026-01-01T00:00:00Z","conditions":[{"type":"Ready","lastTransitionTime":"2026-01-01T00:00:10Z"}]}})");
  pod.Set("metadata").Set("name") = name;
  pod.Set("status").Set("phase") = phase;
  pod.Set("status").Set("conditions").MutableItems()[0].Set("status") = ready ? "True" : "False";
  return std::make_shared<const json::Value>(std::move(pod));
}
PodUsage Uses(std::string name, int milli) { return {{"x", std::move(name)}, kNow, std::chrono::seconds(15), {{"c", milli * 1'000'000LL, 1 << 20}}}; }

ResourceTarget Half() {
  ResourceTarget t;
  t.resource = "cpu";
  t.utilization = 50;
  return t;
}

}  // namespace

TEST_CASE("replicas follow the ratio of use to target and small deviations are let be", "[controllers][hpa]") {
  const std::vector<ObjectPtr> pods{Pod("a"), Pod("b")};
  const auto doubled = ProposeForResource(Half(), 2, pods, {Uses("a", 100), Uses("b", 100)}, kNow).value();
  CHECK(doubled.replicas == 4);
  CHECK(doubled.utilization == 100);
  CHECK(doubled.average_milli == 100);
  CHECK(ProposeForResource(Half(), 2, pods, {Uses("a", 54), Uses("b", 54)}, kNow).value().replicas == 2);
  CHECK(ProposeForResource(Half(), 2, pods, {Uses("a", 10), Uses("b", 10)}, kNow).value().replicas == 1);
}

TEST_CASE("pods without figures make the change smaller", "[controllers][hpa]") {
  const std::vector<ObjectPtr> pods{Pod("a"), Pod("b"), Pod("c")};
  // Alone, a asks for 6; b and c counted as idle leave (100+0+0)/3 = 33 %.
  CHECK(ProposeForResource(Half(), 3, pods, {Uses("a", 100)}, kNow).value().replicas == 3);
  // Scaling down, the missing are taken to use all they asked for.
  CHECK(ProposeForResource(Half(), 3, pods, {Uses("a", 10), Uses("b", 10)}, kNow).value().replicas == 3);
  // A pod that is not ready yet counts as idle when scaling up.
  const std::vector<ObjectPtr> starting{Pod("a"), Pod("b", true, "Pending")};
  CHECK(ProposeForResource(Half(), 2, starting, {Uses("a", 150)}, kNow).value().replicas == 3);
}

TEST_CASE("what cannot be measured is said in upstream's words", "[controllers][hpa]") {
  CHECK(ProposeForResource(Half(), 1, {}, {}, kNow).error().message() == "no pods returned by selector while calculating replica count");
  CHECK(ProposeForResource(Half(), 1, {Pod("a")}, {}, kNow).error().message() == "did not receive metrics for targeted pods (pods might be unready)");
  ResourceTarget memory = Half();
  memory.resource = "memory";
  CHECK(ProposeForResource(memory, 1, {Pod("a")}, {Uses("a", 1)}, kNow).error().message() == "missing request for memory in container c of Pod a");
}

TEST_CASE("scaling down waits for the highest recommendation of the window to pass", "[controllers][hpa]") {
  const json::Value hpa = Parse(R"({"spec":{"minReplicas":1,"maxReplicas":20}})");
  ScaleHistory h;
  CHECK(LimitScale(hpa, 10, 3, kNow, h).replicas == 10);
  CHECK(LimitScale(hpa, 10, 3, kNow + std::chrono::seconds(299), h).stabilized_down);
  CHECK(LimitScale(hpa, 10, 3, kNow + std::chrono::seconds(301), h).replicas == 3);
}

TEST_CASE("scaling up at most doubles and stays within the bounds", "[controllers][hpa]") {
  const json::Value hpa = Parse(R"({"spec":{"minReplicas":2,"maxReplicas":20}})");
  ScaleHistory h;
  const Limited fast = LimitScale(hpa, 6, 19, kNow, h);
  CHECK(fast.replicas == 12);
  CHECK(fast.limit_reason == "ScaleUpLimit");
  ScaleHistory other;
  const Limited most = LimitScale(hpa, 15, 40, kNow, other);
  CHECK(most.replicas == 20);
  CHECK(most.limit_reason == "TooManyReplicas");
}

TEST_CASE("behavior limits the rate by pods and percent over a period", "[controllers][hpa]") {
  const json::Value hpa = Parse(R"({"spec":{"minReplicas":1,"maxReplicas":100,"behavior":{
    "scaleUp":{"stabilizationWindowSeconds":0,"selectPolicy":"Max","policies":[{"type":"Pods","value":4,"periodSeconds":60},{"type":"Percent","value":50,"periodSeconds":60}]},
    "scaleDown":{"stabilizationWindowSeconds":0,"selectPolicy":"Min","policies":[{"type":"Pods","value":4,"periodSeconds":60},{"type":"Percent","value":50,"periodSeconds":60}]}}}})");
  ScaleHistory h;
  CHECK(LimitScale(hpa, 10, 90, kNow, h).replicas == 15);
  h.ups.push_back({kNow, 5});
  CHECK(LimitScale(hpa, 15, 90, kNow + std::chrono::seconds(30), h).replicas == 15);
  CHECK(LimitScale(hpa, 15, 90, kNow + std::chrono::seconds(61), h).replicas == 23);
  ScaleHistory d;
  const Limited down = LimitScale(hpa, 20, 1, kNow, d);
  CHECK(down.replicas == 16);
  CHECK(down.limit_reason == "ScaleDownLimit");
}

}  // namespace skerry::kube
