#include <catch2/catch.hpp>

#include "core/json/parse.h"
#include "core/text/yaml.h"

namespace skerry::text {
namespace {

std::string Json(std::string_view yaml) {
  const auto v = ParseYaml(yaml);
  return v ? v->Dump({.sort_keys = true}) : "error: " + std::string(v.error().message());
}
std::string Yaml(std::string_view json) { return ToYaml(json::Parse(json).value()); }

}  // namespace

TEST_CASE("YAML 1.1 scalars resolve as Kubernetes resolves them") {
  const std::pair<const char*, const char*> cases[] = {
      {"a: yes", R"({"a":true})"},
      {"a: off", R"({"a":false})"},
      {"a: y", R"({"a":true})"},
      {"a: 'yes'", R"({"a":"yes"})"},
      {"a: !!str yes", R"({"a":"yes"})"},
      {"a: ~", R"({"a":null})"},
      {"a:", R"({"a":null})"},
      {"a: 010", R"({"a":8})"},
      {"a: 0o17", R"({"a":15})"},
      {"a: 0x1F", R"({"a":31})"},
      {"a: -0b11", R"({"a":-3})"},
      {"a: 089", R"({"a":89})"},
      {"a: 1_000", R"({"a":1000})"},
      {"a: 1e3", R"({"a":1000})"},
      {"a: .5", R"({"a":0.5})"},
      {"a: +1", R"({"a":1})"},
      {"a: 1.0", R"({"a":1})"},
      {"a: 1:20", R"({"a":"1:20"})"},
      {"a: 2001-01-01", R"({"a":"2001-01-01"})"},
      {"a: 2001-01-01T00:00:00Z", R"({"a":"2001-01-01T00:00:00Z"})"},
      {"a: 18446744073709551615", R"({"a":18446744073709551615})"},
      {"a: 9223372036854775807", R"({"a":9223372036854775807})"},
      {"a: 1.2.3", R"({"a":"1.2.3"})"},
      {"a: 1Gi", R"({"a":"1Gi"})"},
      {"a: .", R"({"a":"."})"},
      {"a: -", R"(error: yaml: block sequence entries are not allowed in this context)"},
      {"a: !!binary aGk=", R"({"a":"hi"})"},
      {"1: a", R"({"1":"a"})"},
      {"yes: a", R"({"true":"a"})"},
      {"1.5: a", R"({"1.5":"a"})"},
      {"a: |\n  x\n  y\n", R"({"a":"x\ny\n"})"},
      {"a: >-\n  x\n  y\n", R"({"a":"x y"})"},
      {"a: \"\\u00e9\\n\"", "{\"a\":\"\xC3\xA9\\n\"}"},
      {"[1, {a: b}]", R"([1,{"a":"b"}])"},
      {"{\"a\":1,\"b\":[true,null,\"x\"]}", R"({"a":1,"b":[true,null,"x"]})"},
      {"", "null"},
      {"# only a comment\n", "null"},
      {"---\na: 1\n---\nb: 2\n", R"({"a":1})"}};
  for (const auto& [yaml, json] : cases) {
    INFO(yaml);
    CHECK(Json(yaml) == json);
  }
}

TEST_CASE("anchors, aliases and merge keys expand") {
  CHECK(Json("a: &x {k: 1, l: 2}\nb: *x\nc:\n  <<: *x\n  l: 3\n") == R"({"a":{"k":1,"l":2},"b":{"k":1,"l":2},"c":{"k":1,"l":3}})");
  CHECK(Json("d: &d {k: 0, z: 9}\na: &x {k: 1}\nc:\n  <<: [*x, *d]\n") == R"({"a":{"k":1},"c":{"k":1,"z":9},"d":{"k":0,"z":9}})");
  CHECK(Json("a: *nope") == "error: yaml: unknown anchor 'nope' referenced");
  CHECK(Json("a: &a [*a]") == "error: yaml: anchor 'a' value contains itself");
}

TEST_CASE("an alias bomb ends early") {
  std::string bomb = "a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string previous = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 9; ++k) bomb += (k ? "," : "") + previous;
    bomb += "]\n";
  }
  CHECK(Json(bomb) == "error: yaml: document contains excessive aliasing");
  std::string deep;
  for (int i = 0; i < 300; ++i) deep += "&x" + std::to_string(i) + " [";
  deep += std::string(100'000, 'a') + std::string(300, ']');
  CHECK(Json(deep) == "error: yaml: document contains excessive aliasing");
}

TEST_CASE("repeated keys are reported with the line of their value") {
  std::vector<YamlDuplicate> duplicates;
  const auto v = ParseYaml("a: 1\nb:\n  c: 1\n  c: 2\na:\n  x: z\n1: p\n1: q\n", {.duplicates = &duplicates});
  REQUIRE(v);
  REQUIRE(duplicates.size() == 3);
  CHECK(duplicates[0].Text() == "line 4: key \"c\" already set in map");
  CHECK(duplicates[1].Text() == "line 6: key \"a\" already set in map");
  CHECK(duplicates[2].Text() == "line 8: key 1 already set in map");
  CHECK(v->Dump() == R"({"a":{"x":"z"},"b":{"c":2},"1":"q"})");
}

TEST_CASE("malformed YAML is refused with its line") {
  CHECK(Json("a: b: c") == "error: yaml: mapping values are not allowed in this context");
  CHECK(Json("a: 1\nb: c: d\n") == "error: yaml: line 2: mapping values are not allowed in this context");
  CHECK(Json("a:\n\t- b\n") == "error: yaml: line 2: found character that cannot start any token");
  CHECK(Json("a: [1") == "error: yaml: line 1: did not find expected ',' or ']'");
  CHECK(Json("a: .nan").starts_with("error: yaml: "));
  CHECK(Json("a: \"\xff\"").starts_with("error: yaml: "));
  CHECK(Json("? [a]\n: b\n").starts_with("error: yaml: "));
  CHECK(Json(std::string(5000, '[')).starts_with("error: yaml: "));
  CHECK(ParseYaml("abc", {.max_bytes = 2}).error().code() == Code::kTooLarge);
}

TEST_CASE("a stream gives every document") {
  const auto documents = ParseYamlStream("a: 1\n---\n# nothing\n---\n- 2\n...\n").value();
  REQUIRE(documents.size() == 3);
  CHECK(documents[0].Dump() == R"({"a":1})");
  CHECK(documents[1].is_null());
  CHECK(documents[2].Dump() == "[2]");
  CHECK(ParseYamlStream("").value().empty());
}

TEST_CASE("YAML is printed as kubectl prints it") {
  CHECK(Yaml(R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","labels":{"x":"yes","n":"1","t":"2001-01-01T00:00:00Z","s":"1:20","e":""},"annotations":{}},
                 "spec":{"containers":[{"name":"c","args":["a b","- x","#c",": d","it's","a: b","null","~","1e3","0x1f","<<","multi\nline\n","tab\there"]}],"list":[],"f":1.5,"big":1000000.5,"n":null,"i":-7,"b":false}})") ==
        "apiVersion: v1\n"
        "kind: Pod\n"
        "metadata:\n"
        "  annotations: {}\n"
        "  labels:\n"
        "    e: \"\"\n"
        "    \"n\": \"1\"\n"
        "    s: \"1:20\"\n"
        "    t: \"2001-01-01T00:00:00Z\"\n"
        "    x: \"yes\"\n"
        "  name: a\n"
        "spec:\n"
        "  b: false\n"
        "  big: 1.0000005e+06\n"
        "  containers:\n"
        "  - args:\n"
        "    - a b\n"
        "    - '- x'\n"
        "    - '#c'\n"
        "    - ': d'\n"
        "    - it's\n"
        "    - 'a: b'\n"
        "    - \"null\"\n"
        "    - \"~\"\n"
        "    - \"1e3\"\n"
        "    - \"0x1f\"\n"
        "    - <<\n"
        "    - |\n"
        "      multi\n"
        "      line\n"
        "    - \"tab\\there\"\n"
        "    name: c\n"
        "  f: 1.5\n"
        "  i: -7\n"
        "  list: []\n"
        "  \"n\": null\n");
  CHECK(Yaml(R"({"a":"x\n\n","b":1})") == "a: |+\n  x\n\nb: 1\n");
  CHECK(Yaml(R"({"message":"0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }. preemption: 0/1 nodes are available"})") ==
        "message: '0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready:\n  }. preemption: 0/1 nodes are available'\n");
  CHECK(Yaml(R"({"a10":1,"a2":2,"b":3,"A":4,"a":5,"_":6})") == "_: 6\nA: 4\na: 5\na2: 2\na10: 1\nb: 3\n");
}

}  // namespace skerry::text
