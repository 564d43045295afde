#include "embedded-kube-shim/api/openapi.h"

#include <catch2/catch.hpp>
#include <functional>
#include <set>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/descriptions.h"
#include "tests/support/json.h"

using namespace skerry;
using namespace skerry::kube;
using json::Value;
using skerry::testing::Json;

namespace {

std::unique_ptr<Registry> Builtins() {
  auto registry = NewRegistry();
  RegisterBuiltins(*registry);
  return registry;
}

ResourceDef Widgets() {
  static auto schema = [] {
    auto out = std::make_shared<Schema>();
    out->type = Type::kStruct;
    out->openapi = std::make_shared<const Value>(Json(R"({"type":"object","properties":{"spec":{"type":"object","properties":{"size":{"type":"integer","nullable":true},"any":{"x-kubernetes-preserve-unknown-fields":true,"properties":{"a":{"type":"string"}}}}}}})"));
    return out;
  }();
  ResourceDef def;
  def.custom = true;
  def.group = "stable.example.com";
  def.resource = "widgets";
  def.singular = "widget";
  def.kind = "Widget";
  def.list_kind = "WidgetList";
  def.verbs = {"delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"};
  def.versions.emplace_back();
  def.versions.back().name = "v1";
  def.versions.back().schema = schema.get();
  return def;
}

void CollectRefs(const Value& value, std::set<std::string>& out) {
  if (const auto ref = value["$ref"].Str(); !ref.empty()) out.emplace(ref.substr(ref.rfind('/') + 1));
  for (const auto& member : value.Members()) CollectRefs(member.value, out);
  for (const auto& item : value.Items()) CollectRefs(item, out);
}

std::set<std::string> ParameterNames(const Value& operation) {
  std::set<std::string> out;
  for (const auto& parameter : operation["parameters"].Items()) out.emplace(parameter["name"].Str());
  return out;
}

}  // namespace

TEST_CASE("discovery lists resources alphabetically with their subresources", "[discovery]") {
  const auto registry = Builtins();
  const Value apps = DiscoveryResources(*registry, "apps", "v1");
  std::vector<std::string> names;
  for (const auto& resource : apps["resources"].Items()) names.emplace_back(resource["name"].Str());
  CHECK(Join(names, " ") == "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets replicasets/scale replicasets/status "
                            "statefulsets statefulsets/scale statefulsets/status");
  CHECK(apps["resources"].Items()[4].Dump() ==
        R"({"name":"deployments/scale","singularName":"","namespaced":true,"group":"autoscaling","version":"v1","kind":"Scale","verbs":["get","patch","update"]})");
  CHECK(DiscoveryResources(*registry, "", "v1")["apiVersion"].is_null());
  CHECK(DiscoveryResources(*registry, "nothing", "v1").is_null());
  CHECK(DiscoveryGroup(*registry, "autoscaling").At({"preferredVersion", "version"}).Str() == "v2");
}

TEST_CASE("aggregated discovery leaves the enclosing group open for built-ins and names it for custom resources", "[discovery]") {
  const auto registry = Builtins();
  registry->Publish(Widgets());
  const Value core = DiscoveryAggregated(*registry, true);
  CHECK(core["items"].Items()[0]["versions"].Items()[0]["resources"].Items()[0].Dump() ==
        R"({"resource":"bindings","responseKind":{"group":"","version":"","kind":"Binding"},"scope":"Namespaced","singularResource":"binding","verbs":["create"]})");
  const Value groups = DiscoveryAggregated(*registry, false);
  const Value& last = groups["items"].Items()[groups["items"].size() - 1];
  CHECK(last.At({"metadata", "name"}).Str() == "stable.example.com");
  CHECK(last["versions"].Items()[0]["resources"].Items()[0]["responseKind"].Dump() == R"({"group":"stable.example.com","version":"v1","kind":"Widget"})");
}

TEST_CASE("every reference of every OpenAPI v3 document is answered in it", "[openapi]") {
  const auto registry = Builtins();
  registry->Publish(Widgets());
  for (const auto& name : OpenApiV3Paths(*registry)) {
    INFO(name);
    const Value document = Json(OpenApiV3Json(*registry, name));
    std::set<std::string> refs;
    CollectRefs(document, refs);
    for (const auto& ref : refs) {
      INFO(ref);
      CHECK(document.At({"components", "schemas", ref}).is_object());
    }
  }
  CHECK(OpenApiV3Json(*registry, "apis/nothing/v1").empty());
}

TEST_CASE("the patch operation carries what kubectl looks for", "[openapi]") {
  const auto registry = Builtins();
  registry->Publish(Widgets());
  for (const auto& [document, path, kind] : {std::tuple("apis/apps/v1", "/apis/apps/v1/namespaces/{namespace}/deployments/{name}", "Deployment"),
                                             std::tuple("apis/stable.example.com/v1", "/apis/stable.example.com/v1/namespaces/{namespace}/widgets/{name}", "Widget")}) {
    const Value patch = Json(OpenApiV3Json(*registry, document)).At({"paths", path, "patch"}).Clone();
    CHECK(patch.At({"x-kubernetes-group-version-kind", "kind"}).Str() == kind);
    CHECK(ParameterNames(patch) == std::set<std::string>{"dryRun", "fieldManager", "fieldValidation", "force", "pretty"});
  }
}

TEST_CASE("merge keys and list types are in the schemas", "[openapi]") {
  const auto registry = Builtins();
  const Value document = Json(OpenApiV3Json(*registry, "api/v1"));
  const Value& containers = document.At({"components", "schemas", "io.k8s.api.core.v1.PodSpec", "properties", "containers"});
  CHECK(containers["x-kubernetes-list-type"].Str() == "map");
  CHECK(containers["x-kubernetes-patch-merge-key"].Str() == "name");
  CHECK(containers["x-kubernetes-patch-strategy"].Str() == "merge");
  CHECK(document.At({"components", "schemas", "io.k8s.apimachinery.pkg.api.resource.Quantity", "oneOf"}).size() == 2);
}

TEST_CASE("OpenAPI v2 says nothing about parts of custom resources that its readers would misread", "[openapi]") {
  const auto registry = Builtins();
  registry->Publish(Widgets());
  const Value document = Json(OpenApiV2Json(*registry));
  const Value& widget = document.At({"definitions", "com.example.stable.v1.Widget"});
  CHECK(widget.At({"properties", "spec", "properties", "size"}).Dump() == "{}");
  CHECK(widget.At({"properties", "spec", "properties", "any"}).Dump() == R"({"x-kubernetes-preserve-unknown-fields":true})");
  CHECK(widget.At({"properties", "metadata", "$ref"}).Str() == "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
  std::set<std::string> refs;
  CollectRefs(document, refs);
  for (const auto& ref : refs) CHECK(document.At({"definitions", ref}).is_object());
}

TEST_CASE("the protobuf document starts as gnostic's does", "[openapi]") {
  const auto registry = Builtins();
  const std::string bytes = OpenApiV2Protobuf(*registry);
  // swagger = 1 "2.0", info = 2 {title = 1 "Kubernetes", version = 2 "unversioned"}, paths = 8
  CHECK(bytes.substr(0, 33) == std::string("\x0a\x03" "2.0\x12\x19\x0a\x0a" "Kubernetes\x12\x0b" "unversioned\x42", 33));
}

TEST_CASE("every described field exists, and what everybody asks about is described") {
  for (const auto& [definition, field] : openapi::DescribedFields()) {
    INFO(definition << " " << field);
    const SchemaPtr schema = FindBuiltinSchema(definition);
    REQUIRE(schema);
    CHECK((field.empty() || schema->Find(field) != nullptr));
  }
  CHECK(!openapi::DescriptionOf("io.k8s.api.core.v1.PodSpec", "containers").empty());
  CHECK(openapi::DescriptionOf("io.k8s.api.core.v1.PodSpec", "apiVersion") == openapi::DescriptionOf("", "apiVersion"));
  CHECK(openapi::DescriptionOf("io.k8s.api.core.v1.PodSpec", "nope").empty());
}
