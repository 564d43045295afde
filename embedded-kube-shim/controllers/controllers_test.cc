#include <catch2/catch.hpp>

#include "embedded-kube-shim/controllers/deployment_sync.h"

namespace skerry::kube {
namespace {

json::Value Parse(std::string_view text) {
  json::Value v;
  std::string error;
  REQUIRE(json::Value::Parse(text, &v, &error));
  return v;
}

ObjectPtr Set(std::string name, int replicas, int available, std::string_view created, std::string_view most = "") {
  json::Value v;
  v.Set("metadata").Set("name") = name;
  v.Set("metadata").Set("creationTimestamp") = created;
  if (!most.empty()) v.Set("metadata").Set("annotations").Set(kMaxReplicas) = most;
  v.Set("spec").Set("replicas") = replicas;
  v.Set("status").Set("availableReplicas") = available;
  v.Set("status").Set("replicas") = replicas;
  return std::make_shared<json::Value>(std::move(v));
}

}  // namespace

TEST_CASE("a rolling update surges and shrinks within its limits", "[controllers]") {
  const json::Value d = Parse(R"({"spec":{"replicas":10,"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"}}}})");
  CHECK(LimitsOf(d).max_surge == 3);
  CHECK(LimitsOf(d).max_unavailable == 2);
  const ObjectPtr old_set = Set("old", 10, 10, "2026-01-01T00:00:00Z");
  CHECK(NewSetSize(d, {old_set}, 0) == 3);
  const ObjectPtr fresh = Set("new", 3, 0, "2026-01-01T00:01:00Z");
  const auto shrink = ShrinkOldSets(d, {old_set}, fresh);
  REQUIRE(shrink.size() == 1);
  CHECK(shrink[0].to == 8);
  CHECK(NewSetSize(d, {Set("old", 8, 8, ""), fresh}, 3) == 5);
  CHECK(ShrinkOldSets(d, {Set("old", 8, 8, "")}, Set("new", 5, 0, "")).empty());
}

TEST_CASE("unhealthy old pods are removed first", "[controllers]") {
  const json::Value d = Parse(R"({"spec":{"replicas":4,"strategy":{"rollingUpdate":{"maxSurge":1,"maxUnavailable":1}}}})");
  const auto shrink = ShrinkOldSets(d, {Set("healthy", 2, 2, "2026-01-01T00:00:00Z"), Set("broken", 2, 0, "2026-01-01T00:01:00Z")}, Set("new", 1, 1, ""));
  REQUIRE(shrink.size() == 1);
  CHECK(shrink[0].to == 0);
}

TEST_CASE("scaling during a rollout is shared out in proportion and the rest goes to the largest", "[controllers]") {
  const json::Value d = Parse(R"({"spec":{"replicas":15,"strategy":{"rollingUpdate":{"maxSurge":3,"maxUnavailable":2}}}})");
  const auto sizes = Proportional(d, {Set("old", 8, 8, "2026-01-01T00:00:00Z", "13"), Set("new", 5, 0, "2026-01-01T00:01:00Z", "13")});
  REQUIRE(sizes.size() == 2);
  CHECK(sizes[0].to == 11);
  CHECK(sizes[1].to == 7);
}

TEST_CASE("both limits rounding to zero leaves one pod to be unavailable", "[controllers]") {
  CHECK(LimitsOf(Parse(R"({"spec":{"replicas":1,"strategy":{"rollingUpdate":{"maxSurge":0,"maxUnavailable":"10%"}}}})")).max_unavailable == 1);
}

TEST_CASE("selectors match by labels and expressions and nothing matches the absent one", "[controllers]") {
  const json::Value labels = Parse(R"({"a":"1","b":"2"})");
  CHECK(MatchesSelector(Parse(R"({"matchLabels":{"a":"1"},"matchExpressions":[{"key":"b","operator":"In","values":["2","3"]},{"key":"c","operator":"DoesNotExist"}]})"), labels));
  CHECK_FALSE(MatchesSelector(Parse(R"({"matchExpressions":[{"key":"b","operator":"NotIn","values":["2"]}]})"), labels));
  CHECK_FALSE(MatchesSelector(json::Value(), labels));
  CHECK(MatchesSelector(json::Value::Object(), labels));
  CHECK(SelectorText(Parse(R"({"matchLabels":{"a":"1"},"matchExpressions":[{"key":"b","operator":"In","values":["2","3"]}]})")) == "a=1,b in (2,3)");
}

}  // namespace skerry::kube
