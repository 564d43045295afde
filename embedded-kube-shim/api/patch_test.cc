#include <catch2/catch.hpp>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/patch.h"
#include "embedded-kube-shim/api/typed_value.h"
#include "tests/support/json.h"

using namespace skerry;
using namespace skerry::kube;
using json::Value;
using skerry::testing::Json;

namespace {

SchemaPtr Kind(std::string_view definition) {
  SchemaPtr schema = FindBuiltinSchema(definition);
  REQUIRE(schema);
  return schema;
}

ResourceDef ConfigMaps() {
  ResourceDef def;
  def.resource = "configmaps";
  def.kind = "ConfigMap";
  def.versions.push_back({});
  def.versions.back().name = "v1";
  def.versions.back().schema = Kind("io.k8s.api.core.v1.ConfigMap");
  return def;
}

ManagerInfo By(std::string manager, int second = 0) {
  ManagerInfo info;
  info.manager = std::move(manager);
  info.api_version = "v1";
  info.now = std::chrono::system_clock::from_time_t(1'700'000'000 + second);
  return info;
}

std::string Merged(std::string_view original, std::string_view patch) {
  const auto result = StrategicMerge(Kind("io.k8s.api.core.v1.Pod"), Json(original), Json(patch));
  return result ? result->Dump() : "error: " + std::string(result.error().message());
}

std::string Owner(const Value& object, std::string_view manager) {
  for (const auto& entry : object.At({"metadata", "managedFields"}).Items())
    if (entry["manager"].Str() == manager) return std::string(entry["operation"].Str()) + " " + entry["fieldsV1"].Dump();
  return "nobody";
}

}  // namespace

TEST_CASE("objects compare as written without being filled first", "[ssa]") {
  const SchemaPtr schema = Kind("io.k8s.api.core.v1.Pod");
  const char* const kTexts[] = {
      R"({"apiVersion":"v1","kind":"Pod"})",
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","managedFields":[]},"spec":{"containers":[]},"status":{}})",
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":{},"finalizers":[]},"spec":{"containers":[{"name":"a","env":[{"name":"x"},{"name":"y","value":"1"}],"resources":{}}]}})",
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":{"l":"1"}},"spec":{"containers":[{"name":"b"},{"name":"a","env":[{"name":"y"},{"name":"x","value":"1"}],"resources":{"limits":{"cpu":"1"}}}]}})",
      R"({"metadata":{"labels":{"l":"2"},"finalizers":["f","g"]},"spec":{"containers":[{"name":"a","ports":[{"containerPort":1},{"containerPort":1,"protocol":"UDP"}]}],"affinity":{"nodeAffinity":{}},"nodeSelector":{}}})",
      R"({"metadata":{"finalizers":["g"]},"spec":{"containers":[{"name":"a","ports":[{"containerPort":2},{"containerPort":1,"protocol":"UDP"},{"containerPort":1,"protocol":"UDP"}]}],"affinity":{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[]}},"nodeSelector":{"d":"ssd"}}})",
      R"({"metadata":null,"spec":{"containers":null,"securityContext":{"sysctls":[]},"volumes":[{"name":"v","emptyDir":{}},{"name":"w","configMap":{"name":"c","items":[]}}]}})",
      R"({"metadata":{},"spec":{"securityContext":{},"volumes":[{"name":"w","configMap":{"name":"c"}},{"name":"v","hostPath":{"path":"/"}}],"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"z","whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchExpressions":[]}}]}})",
      R"({"metadata":{},"spec":{"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"z","whenUnsatisfiable":"DoNotSchedule","labelSelector":{}}],"overhead":{}},"status":{"conditions":[{"type":"a","status":"True"}],"hostIP":""}})"};
  for (const std::string_view one : kTexts) {
    for (const std::string_view other : kTexts) {
      const Value before = Json(one), after = Json(other);
      Value a = before.Clone(), b = after.Clone();
      for (Value* value : {&a, &b}) {
        if (Value* metadata = value->Find("metadata")) metadata->Erase("managedFields");
        FillAlwaysEmitted(schema, *value);
      }
      const Comparison seen = CompareTyped(schema, before, after, RawObjects::kAsBytes, Seen::kAsWritten), wanted = CompareTyped(schema, a, b);
      INFO(one);
      INFO(other);
      CHECK(seen.added.ToJson().Dump() == wanted.added.ToJson().Dump());
      CHECK(seen.removed.ToJson().Dump() == wanted.removed.ToJson().Dump());
      CHECK(seen.modified.ToJson().Dump() == wanted.modified.ToJson().Dump());
    }
  }
}

TEST_CASE("who loses nothing keeps the stored form of what he owns", "[ssa]") {
  const ResourceDef def = ConfigMaps();
  const SchemaPtr schema = def.versions.back().schema;
  Value first = Json(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"a":"1","b":"1"}})");
  UpdateManagedFields(def, schema, nullptr, first, By("one"));
  Value second = first.Clone();
  second.Find("data")->Set("c") = "1";
  UpdateManagedFields(def, schema, &first, second, By("two", 1));
  CHECK(Owner(second, "one") == Owner(first, "one"));
  CHECK(Owner(second, "two") == R"(Update {"f:data":{"f:c":{}}})");
  Value third = Json(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"a":"2","c":"1"}})");   // a client that forgets managers
  UpdateManagedFields(def, schema, &second, third, By("two", 2));
  CHECK(Owner(third, "one") == R"(Update {"f:data":{}})");
  CHECK(Owner(third, "two") == R"(Update {"f:data":{"f:a":{},"f:c":{}}})");
}

TEST_CASE("strategic merge joins keyed lists, removes by null and by directive", "[patch]") {
  const auto pod = R"({"spec":{"containers":[{"name":"a","image":"1","args":["x"]},{"name":"b","image":"2"}],"nodeSelector":{"d":"ssd"}}})";
  CHECK(Merged(pod, R"({"spec":{"containers":[{"name":"b","image":"3"}]}})") ==
        R"({"spec":{"containers":[{"name":"a","image":"1","args":["x"]},{"name":"b","image":"3"}],"nodeSelector":{"d":"ssd"}}})");
  CHECK(Merged(pod, R"({"spec":{"containers":[{"$patch":"delete","name":"a"}],"nodeSelector":null}})") == R"({"spec":{"containers":[{"name":"b","image":"2"}]}})");
  CHECK(Merged(pod, R"({"spec":{"containers":[{"$patch":"replace"},{"name":"c"}]}})") == R"({"spec":{"containers":[{"name":"c"}],"nodeSelector":{"d":"ssd"}}})");
  CHECK(Merged(pod, R"({"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}]}})") ==
        R"({"spec":{"containers":[{"name":"b","image":"2"},{"name":"a","image":"1","args":["x"]}],"nodeSelector":{"d":"ssd"}}})");
  CHECK(Merged(R"({"metadata":{"finalizers":["a","b"]}})", R"({"metadata":{"$deleteFromPrimitiveList/finalizers":["a"],"finalizers":["c"]}})") ==
        R"({"metadata":{"finalizers":["c","b"]}})");
  CHECK(Merged(R"({"spec":{"volumes":[{"name":"v","emptyDir":{}}]}})", R"({"spec":{"volumes":[{"$retainKeys":["name","configMap"],"name":"v","configMap":{"name":"c"}}]}})") ==
        R"({"spec":{"volumes":[{"name":"v","configMap":{"name":"c"}}]}})");
}

TEST_CASE("strategic merge refuses in upstream's words", "[patch]") {
  const auto pod = R"({"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"a"}]}})";
  CHECK(Merged(pod, R"({"spec":{"$patch":"wrong"}})") == "error: unknown patch type: wrong in map: map[$patch:wrong]");
  CHECK(Merged(pod, R"({"spec":{"containers":[{"image":"x"}]}})") == "error: map: map[image:x] does not contain declared merge key: name");
  CHECK(Merged(pod, R"({"spec":{"volumes":[{"name":"v","$retainKeys":1}],"$retainKeys":1}})") == "error: invalid patch format of retainKeys");
  CHECK(Merged(pod, R"({"spec":{"containers":"x"}})") == R"(error:  "" is invalid: patch: Invalid value: "map[spec:map[containers:x]]": cannot restore slice from string)");
  CHECK(Merged(pod, R"({"metadata":{"labels":{"a":1}}})") ==
        R"(error:  "" is invalid: patch: Invalid value: "map[metadata:map[labels:map[a:1]]]": cannot convert int64 to string)");
  CHECK(Merged(pod, "[]") == "error: json: cannot unmarshal array into Go value of type map[string]interface {}");
}

TEST_CASE("an update owns what it changed and takes it from others", "[ssa]") {
  const ResourceDef def = ConfigMaps();
  const SchemaPtr schema = def.versions[0].schema;
  Value first = Json(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","labels":{"l":"1"}},"data":{"a":"1","b":"1"}})");
  UpdateManagedFields(def, schema, nullptr, first, By("one"));
  CHECK(Owner(first, "one") == R"(Update {"f:data":{".":{},"f:a":{},"f:b":{}},"f:metadata":{"f:labels":{".":{},"f:l":{}}}})");
  first.Set("metadata").Set("uid") = Value("u");
  Value second = first.Clone();
  second.Set("data").Set("b") = Value("2");
  UpdateManagedFields(def, schema, &first, second, By("two", 1));
  CHECK(Owner(second, "one") == R"(Update {"f:data":{".":{},"f:a":{}},"f:metadata":{"f:labels":{".":{},"f:l":{}}}})");
  CHECK(Owner(second, "two") == R"(Update {"f:data":{"f:b":{}}})");
  Value reset = second.Clone();
  reset.Set("metadata").Set("managedFields") = Json("[{}]");
  UpdateManagedFields(def, schema, &second, reset, By("three", 2));
  CHECK_FALSE(reset["metadata"].Find("managedFields"));
}

TEST_CASE("more than ten updaters are merged into ancient-changes", "[ssa]") {
  const ResourceDef def = ConfigMaps();
  const SchemaPtr schema = def.versions[0].schema;
  Value object = Json(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","uid":"u"},"data":{"k0":"1"}})");
  UpdateManagedFields(def, schema, nullptr, object, By("m0"));
  for (int i = 1; i < 13; ++i) {
    Value next = object.Clone();
    next.Set("data").Set("k" + std::to_string(i)) = Value("1");
    UpdateManagedFields(def, schema, &object, next, By("m" + std::to_string(i), i));
    object = std::move(next);
  }
  CHECK(object.At({"metadata", "managedFields"}).size() == 10);
  CHECK(Owner(object, "ancient-changes") == R"(Update {"f:data":{".":{},"f:k0":{},"f:k1":{},"f:k2":{},"f:k3":{}}})");
}

TEST_CASE("apply merges, drops what is no longer applied and reports conflicts", "[ssa]") {
  const ResourceDef def = ConfigMaps();
  const SchemaPtr schema = def.versions[0].schema;
  const auto config = [](std::string_view data) { return Json(std::string(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":)") + std::string(data) + "}"); };
  auto live = ServerSideApply(def, schema, nullptr, config(R"({"a":"1","b":"1"})"), By("alice"), Conflicts::kFail);
  REQUIRE(live);
  live->Set("metadata").Set("uid") = Value("u");
  auto shared = ServerSideApply(def, schema, &*live, config(R"({"b":"1","c":"1"})"), By("bob", 1), Conflicts::kFail);
  REQUIRE(shared);
  auto dropped = ServerSideApply(def, schema, &*shared, config(R"({})"), By("alice", 2), Conflicts::kFail);
  REQUIRE(dropped);
  CHECK((*dropped)["data"].Dump() == R"({"b":"1","c":"1"})");   // a was alice's alone, b is bob's, too
  const auto conflict = ServerSideApply(def, schema, &*dropped, config(R"({"b":"2"})"), By("alice", 3), Conflicts::kFail);
  REQUIRE_FALSE(conflict);
  CHECK(conflict.error().message() == R"(Apply failed with 1 conflict: conflict with "bob": .data.b)");
  REQUIRE(conflict.error().causes().size() == 1);
  CHECK(conflict.error().causes()[0].field == ".data.b");
  const auto forced = ServerSideApply(def, schema, &*dropped, config(R"({"b":"2"})"), By("alice", 3), Conflicts::kForce);
  REQUIRE(forced);
  CHECK(Owner(*forced, "bob") == R"(Apply {"f:data":{"f:c":{}}})");
  CHECK(Owner(*forced, "alice") == R"(Apply {"f:data":{"f:b":{}}})");
}

TEST_CASE("apply refuses what the schema does not know", "[ssa]") {
  const ResourceDef def = ConfigMaps();
  const auto problem = [&](std::string_view text) {
    const auto result = ServerSideApply(def, def.versions[0].schema, nullptr, Json(text), By("a"), Conflicts::kFail);
    return result ? std::string() : std::string(result.error().message());
  };
  CHECK(problem(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"bogus":1})") ==
        "failed to create typed patch object (/x; /v1, Kind=ConfigMap): .bogus: field not declared in schema");
  CHECK(problem(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","finalizers":["a","a"]}})") ==
        R"(failed to create typed patch object (/x; /v1, Kind=ConfigMap): .metadata.finalizers: duplicate entries for key [="a"])");
  CHECK(problem(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"k":1}})") ==
        "failed to create typed patch object (/x; /v1, Kind=ConfigMap): .data.k: expected string, got &value.valueUnstructured{Value:1}");
  CHECK(problem(R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"}})") == "invalid object type: /v1, Kind=Secret");
  CHECK(problem(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","managedFields":[]}})") == "metadata.managedFields must be nil");
}

TEST_CASE("replicas keep their owner when they are scaled by somebody else", "[ssa]") {
  const Value parent = Json(R"([{"manager":"a","operation":"Apply","apiVersion":"apps/v1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:replicas":{},"f:paused":{}}}}])");
  const Value scale = ScaleManagedFields(parent, "apps/v1", ".spec.replicas");
  CHECK(scale.Dump() == R"([{"manager":"a","operation":"Apply","apiVersion":"autoscaling/v1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:replicas":{}}}}])");
  CHECK(ParentManagedFields(parent, scale, "apps/v1", ".spec.replicas")[""].is_null());
  const Value stolen = Json(R"([{"manager":"s","operation":"Update","apiVersion":"autoscaling/v1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:replicas":{}}},"subresource":"scale"}])");
  CHECK(ParentManagedFields(parent, stolen, "apps/v1", ".spec.replicas").Dump() ==
        R"([{"manager":"a","operation":"Apply","apiVersion":"apps/v1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:paused":{}}}},)"
        R"({"manager":"s","operation":"Update","apiVersion":"apps/v1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:replicas":{}}},"subresource":"scale"}])");
}

TEST_CASE("a strategic merge of many elements merges, deletes and orders them as it does few") {
  const auto containers = [](int from, int to, std::string_view image) {
    std::string out;
    for (int i = from; i < to; ++i) out += Cat(out.empty() ? "" : ",", R"({"name":"c)", i, R"(","image":")", image, R"("})");
    return out;
  };
  std::string order, deletions;
  for (int i = 99; i >= 0; --i) order += Cat(order.empty() ? "" : ",", R"({"name":"c)", i, R"("})");
  for (int i = 40; i < 90; ++i) deletions += Cat(R"(,{"name":"c)", i, R"(","$patch":"delete"})");
  const std::string original = Cat(R"({"spec":{"containers":[)", containers(0, 90, "old"), "]}}");
  CHECK(Merged(original, Cat(R"({"spec":{"containers":[)", containers(80, 100, "new"), "]}}")) ==
        Cat(R"({"spec":{"containers":[)", containers(0, 80, "old"), ",", containers(80, 100, "new"), "]}}"));
  CHECK(Merged(original, Cat(R"({"spec":{"containers":[)", containers(0, 1, "new"), deletions, "]}}")) ==
        Cat(R"({"spec":{"containers":[)", containers(0, 1, "new"), ",", containers(1, 40, "old"), "]}}"));
  const Value ordered = Json(Merged(original, Cat(R"({"spec":{"$setElementOrder/containers":[)", order, "]}}")));
  CHECK(ordered.At({"spec", "containers"}).size() == 90);
  CHECK(ordered.At({"spec", "containers"}).Items()[0]["name"].Str() == "c89");
  CHECK(ordered.At({"spec", "containers"}).Items()[89]["name"].Str() == "c0");
  std::string finalizers;
  for (int i = 0; i < 100; ++i) finalizers += Cat(i ? "," : "", R"("f/)", i, "\"");
  const Value left = Json(Merged(Cat(R"({"metadata":{"finalizers":[)", finalizers, "]}}"), Cat(R"({"metadata":{"$deleteFromPrimitiveList/finalizers":[)", finalizers.substr(0, finalizers.rfind(',')), "]}}")));
  CHECK(left.At({"metadata", "finalizers"}).Dump() == R"(["f/99"])");
}
