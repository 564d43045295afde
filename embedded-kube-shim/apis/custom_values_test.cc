#include <catch2/catch.hpp>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/custom_schema.h"
#include "embedded-kube-shim/apis/custom_values.h"
#include "tests/support/json.h"

using namespace skerry;
using namespace skerry::kube;
using json::Value;
using skerry::testing::Json;

namespace {

// What is wrong with `spec` under a schema of it, one problem a line.
std::string Problems(std::string_view schema, std::string_view spec, std::string_view old = {}) {
  const auto compiled = CompileCustomSchema(Json(Cat(R"({"type":"object","properties":{"spec":)", schema, "}}")));
  const Value object = Json(Cat(R"({"spec":)", spec, "}"));
  Value before;
  if (!old.empty()) before = Json(Cat(R"({"spec":)", old, "}"));
  FieldErrors errors;
  ValidateCustomValue(*compiled->root, "", object, old.empty() ? nullptr : &before, errors);
  ValidateEmbedded(*compiled->root, object, errors);
  ValidateUniqueItems(*compiled->root, object, errors);
  std::vector<std::string> lines;
  for (const auto& error : errors) lines.push_back(error.Text());
  return Join(lines, "\n");
}

}  // namespace

TEST_CASE("values of custom resources are refused in the words of the OpenAPI validator", "[crd]") {
  struct Row { const char *schema, *value, *problem; };
  const Row rows[] = {
      {R"({"type":"string"})", "1", R"(spec: Invalid value: "integer": spec in body must be of type string: "integer")"},
      {R"({"type":"integer"})", "1.0", ""},
      {R"({"type":"integer","format":"int32"})", "3000000000", R"(<nil>: Invalid value: "": Checked value must be of type integer with format int32 in spec)"},
      {R"({"type":"number","maximum":1,"exclusiveMaximum":true})", "1", "spec: Invalid value: 1: spec in body should be less than 1"},
      {R"({"type":"string","minLength":3,"pattern":"^x"})", R"("yy")", R"(spec: Invalid value: "yy": spec in body should be at least 3 chars long)"},
      {R"({"type":"string","maxLength":2})", R"("äöü")", "spec: Too long: may not be more than 2 bytes"},
      {R"({"type":"string","maxLength":3})", R"("äöü")", ""},
      {R"({"type":"array","maxItems":1,"items":{"type":"string"}})", R"(["a","b"])", "spec: Too many: 2: must have at most 1 item"},
      {R"({"type":"string","enum":["a","b"]})", R"("c")", R"(spec: Unsupported value: "c": supported values: "a", "b")"},
      {R"({"type":"object","required":["k"]})", "{}", "spec.k: Required value"},
      {R"({"type":"object","minProperties":1,"additionalProperties":{"type":"integer"}})", "{}", "spec: Invalid value: 0: spec in body should have at least 1 properties"},
      {R"({"type":"object","additionalProperties":{"type":"integer"}})", R"({"a":"x"})", R"(spec.a: Invalid value: "string": spec.a in body must be of type integer: "string")"},
      {R"({"x-kubernetes-int-or-string":true})", "true", R"(spec: Invalid value: "boolean": spec in body must be of type integer,string: "boolean")"},
      {R"({"type":"string","nullable":true})", "null", ""},
      {R"({"type":"string","format":"ipv4"})", R"("::1")", R"(spec: Invalid value: "::1": spec in body must be of type ipv4: "::1")"},
      {R"({"type":"string","format":"nonsense"})", R"("x")", ""},
      {R"({"type":"integer","not":{"minimum":5}})", "6", R"(<nil>: Invalid value: "": "spec" must not validate the schema (not))"},
      {R"({"type":"array","x-kubernetes-list-type":"set","items":{"type":"string"}})", R"(["a","b","a","a"])", "spec[2]: Duplicate value: \"a\""},
      {R"({"type":"object","x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true})", R"({"apiVersion":"a/b/c","kind":"K"})",
       R"(spec.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c)"},
  };
  for (const Row& row : rows) CHECK(Problems(row.schema, row.value) == row.problem);
}

TEST_CASE("of several alternatives the one that fits best is told", "[crd]") {
  CHECK(Problems(R"({"type":"integer","anyOf":[{"minimum":10},{"maximum":5}]})", "7") ==
        "<nil>: Invalid value: \"\": \"spec\" must validate at least one schema (anyOf)\nspec: Invalid value: 7: spec in body should be greater than or equal to 10");
  CHECK(Problems(R"({"type":"object","oneOf":[{"required":["a"]},{"required":["b"]}]})", R"({"a":1,"b":1})") ==
        "<nil>: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found 2 valid alternatives");
}

TEST_CASE("what was invalid before and has not changed does not block an update", "[crd]") {
  constexpr const char* kSchema = R"({"type":"object","properties":{"a":{"type":"string","maxLength":1},"b":{"type":"string"}}})";
  CHECK(Problems(kSchema, R"({"a":"long","b":"2"})", R"({"a":"long","b":"1"})").empty());
  CHECK_FALSE(Problems(kSchema, R"({"a":"longer","b":"2"})", R"({"a":"long","b":"1"})").empty());
  // Items of a map list are compared by their keys, items of other lists are not compared at all.
  constexpr const char* kList = R"({"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],"items":{"type":"object","properties":{"k":{"type":"string"},"v":{"type":"integer","maximum":1}}}})";
  CHECK(Problems(kList, R"([{"k":"new","v":1},{"k":"old","v":9}])", R"([{"k":"old","v":9}])").empty());
  constexpr const char* kAtomic = R"({"type":"array","items":{"type":"integer","maximum":1}})";
  CHECK_FALSE(Problems(kAtomic, "[9,1]", "[9]").empty());
}

TEST_CASE("text formats of custom resources", "[crd]") {
  struct Row { const char *format, *good, *bad; };
  const Row rows[] = {{"date-time", "2024-02-29T00:00:00+01:00", "2023-02-29T00:00:00Z"}, {"date", "2024-02-29", "2024-2-1"}, {"duration", "2 days 3 h", "1x"}, {"byte", "QUJD", "QUJ"},
                      {"email", "a@b.c", "a@"}, {"cidr", "10.0.0.0/8", "10.0.0.0/33"}, {"mac", "00:11:22:33:44:55", "00:11"}, {"uuid", "123e4567-e89b-12d3-a456-426614174000", "123"},
                      {"uri", "https://a/b", "a b"}, {"hostname", "a.example", "a_b"}, {"isbn10", "0-306-40615-2", "0-306-40615-3"}, {"k8s-short-name", "a-b", "a.b"}, {"k8s-long-name", "a.b", "A"}};
  for (const Row& row : rows) {
    INFO(row.format);
    CHECK(IsTextFormat(row.format));
    CHECK(MatchesTextFormat(row.format, row.good));
    CHECK_FALSE(MatchesTextFormat(row.format, row.bad));
  }
}

TEST_CASE("pruning follows the schema, also below what preserves unknown fields", "[crd]") {
  const auto compiled = CompileCustomSchema(Json(
      R"({"type":"object","properties":{"keep":{"type":"object","x-kubernetes-preserve-unknown-fields":true,"properties":{"inner":{"type":"object","properties":{"k":{"type":"string"}}}}},"l":{"type":"array","items":{"type":"object","properties":{"a":{"type":"string"}}}}}})"));
  auto object = Json(R"({"kind":"K","metadata":{"name":"n"},"keep":{"free":{"x":1},"inner":{"k":"v","z":1}},"l":[{"a":"1","b":"2"}],"gone":1})");
  const auto unknown = PruneCustom(*compiled->root, object);
  CHECK(Join(unknown, ",") == "gone,keep.inner.z,l[0].b");
  CHECK(object == Json(R"({"kind":"K","metadata":{"name":"n"},"keep":{"free":{"x":1},"inner":{"k":"v"}},"l":[{"a":"1"}]})"));
}

TEST_CASE("defaults fill what is absent, and nulls that are not allowed", "[crd]") {
  const auto compiled = CompileCustomSchema(
      Json(R"({"type":"object","properties":{"a":{"type":"string","default":"x"},"n":{"type":"string","nullable":true,"default":"y"},"e":{"type":"string"},"o":{"type":"object","default":{},"properties":{"d":{"type":"integer","default":1}}}}})"));
  auto object = Json(R"({"a":null,"n":null,"e":null})");
  DropNulls(*compiled->root, object);
  DefaultCustom(*compiled->root, object);
  CHECK(object == Json(R"({"a":"x","n":null,"o":{"d":1}})"));
}
