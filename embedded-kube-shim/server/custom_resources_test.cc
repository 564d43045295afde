#include <catch2/catch.hpp>

#include <condition_variable>
#include <mutex>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/server/custom_names.h"
#include "tests/support/api_fixture.h"
#include "tests/support/json.h"

using namespace skerry;
using namespace skerry::kube;
using skerry::testing::Api;
using skerry::testing::Json;

namespace {

constexpr std::string_view kDefinitions = "apiextensions.k8s.io/v1/customresourcedefinitions";

json::Value Widgets(std::string_view schema, std::string_view scope = "Namespaced") {
  return Json(Cat(R"({"metadata":{"name":"widgets.example.com"},"spec":{"group":"example.com","scope":")", scope,
                  R"(","names":{"plural":"widgets","singular":"widget","kind":"Widget","listKind":"WidgetList"},"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":)",
                  schema, "}}]}}"));
}

std::string_view ConditionOf(const json::Value& crd, std::string_view type, std::string_view field) {
  for (const auto& condition : crd.At({"status", "conditions"}).Items())
    if (condition["type"].Str() == type) return condition[field].Str();
  return "absent";
}

// Looks again after every change of the resource, for at most ten seconds.
bool Await(Api& api, std::string_view resource, const std::function<bool()>& holds) {
  std::mutex mutex;
  std::condition_variable changed;
  int changes = 0;
  const auto subscription = api.server().informers().Subscribe(resource, [&](const Notification&) {
    std::lock_guard lock(mutex);
    ++changes;
    changed.notify_all();
  });
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  for (int seen = 0;;) {
    if (holds()) return true;
    std::unique_lock lock(mutex);
    if (!changed.wait_until(lock, deadline, [&] { return changes > seen; })) return holds();
    seen = changes;
  }
}

json::Value Accepted(std::string_view group, std::string_view plural, std::string_view kind) {
  return Json(Cat(R"({"spec":{"group":")", group, R"(","names":{"plural":")", plural, R"(","singular":"x)", plural, R"(","kind":")", kind, R"(","listKind":")", kind,
                  R"(List"}},"status":{}})"));
}

}  // namespace

TEST_CASE("a definition is served when the answer to its creation arrives", "[crd]") {
  Api api;
  const auto client = api.Client("admin");
  const Ctx ctx{std::stop_token()};
  REQUIRE(client->Create(ctx, kDefinitions, Widgets(R"({"type":"object","properties":{"spec":{"type":"object","properties":{"size":{"type":"integer","default":3}}}}})")));
  const auto crd = client->Get(ctx, kDefinitions, {"", "widgets.example.com"});
  REQUIRE(crd);
  CHECK(ConditionOf(**crd, "Established", "reason") == "InitialNamesAccepted");
  CHECK(ConditionOf(**crd, "NamesAccepted", "message") == "no conflicts found");
  const auto made = client->Create(ctx, "example.com/v1/widgets", Json(R"({"metadata":{"name":"w","namespace":"default"},"spec":{"other":1}})"));
  REQUIRE(made);
  CHECK((*made)->At({"spec", "size"}).Int() == 3);
  CHECK((*made)->At({"spec", "other"}).is_null());
  CHECK((*made)->At({"metadata", "generation"}).Int() == 1);
}

TEST_CASE("deleting a definition removes its objects first and then itself", "[crd]") {
  Api api;
  const auto client = api.Client("admin");
  const Ctx ctx{std::stop_token()};
  REQUIRE(client->Create(ctx, kDefinitions, Widgets(R"({"type":"object"})")));
  REQUIRE(client->Create(ctx, "example.com/v1/widgets", Json(R"({"metadata":{"name":"w","namespace":"default","finalizers":["example.com/hold"]}})")));
  REQUIRE(client->Delete(ctx, kDefinitions, {"", "widgets.example.com"}));
  const auto marked = client->Get(ctx, kDefinitions, {"", "widgets.example.com"});
  REQUIRE(marked);
  CHECK((*marked)->At({"metadata", "finalizers"}).Items()[0].Str() == "customresourcecleanup.apiextensions.k8s.io");
  CHECK(ConditionOf(**marked, "Terminating", "status") == "True");
  // The object is marked and held; released, it goes, and the definition after it.
  REQUIRE(Await(api, "example.com/v1/widgets", [&] {
    const auto object = client->Get(ctx, "example.com/v1/widgets", {"default", "w"});
    return object && !(*object)->At({"metadata", "deletionTimestamp"}).Str().empty();
  }));
  REQUIRE(client->Patch(ctx, "example.com/v1/widgets", {"default", "w"}, PatchType::kMerge, Json(R"({"metadata":{"finalizers":null}})")));
  REQUIRE(Await(api, kDefinitions, [&] { return !client->Get(ctx, kDefinitions, {"", "widgets.example.com"}); }));
  CHECK_FALSE(client->Get(ctx, "example.com/v1/widgets", {"default", "w"}));
}

TEST_CASE("objects older than the schema are pruned and defaulted when they are read", "[crd]") {
  Api api;
  const auto client = api.Client("admin");
  const Ctx ctx{std::stop_token()};
  REQUIRE(client->Create(ctx, kDefinitions, Widgets(R"({"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}})")));
  REQUIRE(client->Create(ctx, "example.com/v1/widgets", Json(R"({"metadata":{"name":"w","namespace":"default"},"a":"x","b":"y"})")));
  auto next = (*client->Get(ctx, kDefinitions, {"", "widgets.example.com"}))->Clone();
  next.Set("spec").Set("versions") =
      Json(R"([{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":{"a":{"type":"string"},"c":{"type":"string","default":"new"}}}}}])");
  REQUIRE(client->Update(ctx, kDefinitions, std::move(next)));
  const auto read = client->Get(ctx, "example.com/v1/widgets", {"default", "w"});
  REQUIRE(read);
  CHECK((**read)["a"].Str() == "x");
  CHECK((**read)["b"].is_null());
  CHECK((**read)["c"].Str() == "new");
}

TEST_CASE("a definition whose names are taken waits until they are free", "[crd]") {
  std::vector<std::shared_ptr<const json::Value>> all;
  auto first = Accepted("example.com", "widgets", "Widget");
  CHECK(DecideNames(all, first, "2030-01-01T00:00:00Z"));
  all.push_back(std::make_shared<const json::Value>(first.Clone()));
  auto second = Accepted("example.com", "gadgets", "Widget");
  CHECK_FALSE(DecideNames(all, second, "2030-01-01T00:00:00Z"));
  CHECK(ConditionOf(second, "NamesAccepted", "reason") == "ListKindConflict");
  CHECK(ConditionOf(second, "Established", "message") == "not all names are accepted");
  CHECK(second.At({"status", "acceptedNames", "plural"}).Str() == "gadgets");
  CHECK(second.At({"status", "acceptedNames", "kind"}).is_null());
  auto elsewhere = Accepted("example.org", "gadgets", "Widget");
  CHECK(DecideNames(all, elsewhere, "2030-01-01T00:00:00Z"));
  all.clear();
  CHECK(DecideNames(all, second, "2030-01-01T00:00:01Z"));
  CHECK(ConditionOf(second, "Established", "lastTransitionTime") == "2030-01-01T00:00:01Z");
}

TEST_CASE("rules of a schema are compiled with it and judge every object", "[crd]") {
  Api api;
  const auto client = api.Client("admin");
  const Ctx ctx{std::stop_token()};
  const auto bad = client->Create(ctx, kDefinitions, Widgets(R"({"type":"object","properties":{"n":{"type":"integer","x-kubernetes-validations":[{"rule":"self.x == 1"}]}}})"));
  REQUIRE_FALSE(bad);
  CHECK(bad.error().message().find("compilation failed: ERROR: <input>:1:5: type 'int' does not support field selection") != std::string::npos);
  const std::string item = R"({"type":"object","required":["k"],"properties":{"k":{"type":"string","maxLength":5},"v":{"type":"integer",
      "x-kubernetes-validations":[{"rule":"self == oldSelf","reason":"FieldValueForbidden"}]}}})";
  const std::string count = R"x({"type":"integer","x-kubernetes-validations":[{"rule":"self >= oldSelf","message":"must not shrink"},
      {"rule":"self < 100","messageExpression":"'too big: ' + (self == 100 ? '100' : 'more')"}]})x";
  REQUIRE(client->Create(ctx, kDefinitions, Widgets(Cat(R"({"type":"object","properties":{"n":)", count,
                                                        R"(,"l":{"type":"array","maxItems":3,"x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],"items":)", item, "}}}"))));
  const auto refused = [&](std::string_view object) {
    const auto written = client->Update(ctx, "example.com/v1/widgets", Json(object));
    return written ? std::string() : std::string(written.error().message());
  };
  const auto made = client->Create(ctx, "example.com/v1/widgets", Json(R"({"metadata":{"name":"w","namespace":"default"},"n":5,"l":[{"k":"a","v":1}]})"));
  REQUIRE(made);
  const auto version = Cat(R"("metadata":{"name":"w","namespace":"default","resourceVersion":")", (*made)->At({"metadata", "resourceVersion"}).Str(), "\"}");
  CHECK(refused(Cat("{", version, R"(,"n":4,"l":[{"k":"a","v":1}]})")) == "Widget.example.com \"w\" is invalid: n: Invalid value: 4: must not shrink");
  CHECK(refused(Cat("{", version, R"(,"n":100,"l":[{"k":"a","v":1}]})")) == "Widget.example.com \"w\" is invalid: n: Invalid value: 100: too big: 100");
  CHECK(refused(Cat("{", version, R"(,"n":5,"l":[{"k":"b","v":7},{"k":"a","v":2}]})")) == "Widget.example.com \"w\" is invalid: l[1].v: Forbidden: failed rule: self == oldSelf");
  CHECK(refused(Cat("{", version, R"(,"n":6,"l":[{"k":"a","v":1},{"k":"b","v":2}]})")).empty());
}
