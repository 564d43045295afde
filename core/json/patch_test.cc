#include <catch2/catch.hpp>

#include "core/json/parse.h"
#include "core/json/patch.h"
#include "core/json/scanner.h"

namespace skerry::json {
namespace {

std::string Patched(std::string_view document, std::string_view patch, const PatchOptions& options = {}) {
  auto operations = ParsePatch(patch, options);
  if (!operations) return "bad: " + std::string(operations.error().message());
  auto out = ApplyPatch(Parse(document).value(), *operations, options);
  return out ? out->Dump() : "invalid";
}
std::string Merged(std::string_view target, std::string_view patch) { return MergePatch(Parse(target).value(), Parse(patch).value()).Dump(); }

}  // namespace

TEST_CASE("JSON patch operations apply as RFC 6902 says, with the liberties clients rely on") {
  struct Case { const char *document, *patch, *result; };
  const Case cases[] = {
      {R"({"a":1})", R"([{"op":"add","path":"/b","value":2}])", R"({"a":1,"b":2})"},
      {R"({"a":1})", R"([{"op":"add","path":"/a","value":{"x":[]}}])", R"({"a":{"x":[]}})"},
      {R"({"a":[1,2]})", R"([{"op":"add","path":"/a/1","value":9}])", R"({"a":[1,9,2]})"},
      {R"({"a":[1,2]})", R"([{"op":"add","path":"/a/2","value":9}])", R"({"a":[1,2,9]})"},
      {R"({"a":[1,2]})", R"([{"op":"add","path":"/a/-","value":9}])", R"({"a":[1,2,9]})"},
      {R"({"a":[1,2]})", R"([{"op":"add","path":"/a/-1","value":9}])", R"({"a":[1,2,9]})"},
      {R"({"a":[1,2]})", R"([{"op":"add","path":"/a/3","value":9}])", "invalid"},
      {R"({"a":[1,2]})", R"([{"op":"remove","path":"/a/0"}])", R"({"a":[2]})"},
      {R"({"a":[1,2]})", R"([{"op":"remove","path":"/a/-1"}])", R"({"a":[1]})"},
      {R"({"a":[1,2]})", R"([{"op":"remove","path":"/a/2"}])", "invalid"},
      {R"({"a":1})", R"([{"op":"remove","path":"/b"}])", "invalid"},
      {R"({"a":1})", R"([{"op":"remove","path":""}])", "invalid"},
      {R"({"a":1})", R"([{"op":"replace","path":"/b","value":2}])", R"({"a":1,"b":2})"},
      {R"({"a":[1]})", R"([{"op":"replace","path":"/a/1","value":2}])", "invalid"},
      {R"({"a":1})", R"([{"op":"replace","path":"","value":{"z":1}}])", R"({"z":1})"},
      {R"({"a":1})", R"([{"op":"replace","path":"/a"}])", R"({"a":null})"},
      {R"({"a":1})", R"([{"op":"move","from":"/a","path":"/b"}])", R"({"b":1})"},
      {R"({"a":{"b":1}})", R"([{"op":"move","from":"/a","path":"/a/c"}])", "invalid"},
      {R"({"a":1})", R"([{"op":"move","from":"/x","path":"/b"}])", "invalid"},
      {R"({"a":{"b":1}})", R"([{"op":"copy","from":"/a","path":"/a/c"}])", R"({"a":{"b":1,"c":{"b":1}}})"},
      {R"({"a":1})", R"([{"op":"copy","path":"/b"}])", "invalid"},
      {R"({"a":1})", R"([{"op":"test","path":"/a","value":1.0}])", R"({"a":1})"},
      {R"({"a":{"x":1,"y":2}})", R"([{"op":"test","path":"/a","value":{"y":2,"x":1}}])", R"({"a":{"x":1,"y":2}})"},
      {R"({"a":1})", R"([{"op":"test","path":"/b","value":null}])", R"({"a":1})"},
      {R"({"a":1})", R"([{"op":"test","path":"/b","value":1}])", "invalid"},
      {R"({"a":1})", R"([{"op":"test","path":"/b/c","value":null}])", "invalid"},
      {R"({"a/b":1,"m~n":2})", R"([{"op":"remove","path":"/a~1b"},{"op":"replace","path":"/m~0n","value":3}])", R"({"m~n":3})"},
      {R"({"a":1})", R"([{"op":"add","path":"/a~2","value":1}])", R"({"a":1,"a~2":1})"},
      {R"({"a":1})", R"([{"op":"add","path":"/x/y","value":1}])", "invalid"},
      {R"({"a":null})", R"([{"op":"add","path":"/a/y","value":1}])", "invalid"},
      {R"({"a":1})", R"([{"op":"add","path":"a","value":1}])", "invalid"},
      {R"({"a":1})", R"([{"op":"merge","path":"/a","value":1}])", "invalid"},
      {R"({"a":1})", R"([{"path":"/a","value":1}])", "invalid"},
      {R"({"a":1})", R"([{"op":"add","value":1}])", "invalid"},
      {R"({"a":1})", R"([null])", "invalid"},
      {R"({"a":1})", R"([{"op":"add","path":"/b","value":1},{"op":"remove","path":"/zz"}])", "invalid"},
      {R"({"a":1})", R"(null)", R"({"a":1})"},
      {R"({"a":1})", R"({})", "bad: json: cannot unmarshal object into Go value of type []json.Operation"},
      {R"({"a":1})", R"([1])", "bad: json: cannot unmarshal number into Go value of type json.Operation"},
      {R"({"a":1})", R"([{"op":1}])", "bad: json: cannot unmarshal number into Go struct field Operation.op of type string"},
      {R"({"a":1})", R"([{"op":"add")", "bad: unexpected end of JSON input"}};
  for (const Case& c : cases) {
    INFO(c.document << " " << c.patch);
    CHECK(Patched(c.document, c.patch) == c.result);
  }
}

TEST_CASE("a patch is bounded in operations, copies and depth") {
  CHECK(Patched("{}", R"([{"op":"add","path":"/a","value":1},{"op":"add","path":"/b","value":1}])", {.max_operations = 1}) ==
        "bad: The allowed maximum operations in a JSON patch is 1, got 2");
  std::string doubling = R"([{"op":"add","path":"/a","value":"xxxxxxxxxxxxxxxx"})";
  for (int i = 0; i < 40; ++i) doubling += R"(,{"op":"copy","from":"/a","path":"/b"},{"op":"replace","path":"/a","value":{}},{"op":"copy","from":"/b","path":"/a/x"},{"op":"copy","from":"/b","path":"/a/y"})";
  CHECK(Patched("{}", doubling + "]") == "invalid");
  std::string nesting = "[", path;
  for (int i = 0; i < 2000; ++i) {
    path += "/a";
    nesting += (i ? "," : "") + std::string(R"({"op":"add","path":")") + path + R"(","value":{}})";
  }
  CHECK(Patched("{}", nesting + "]") == "invalid");
}

TEST_CASE("merge patch follows every example of RFC 7386") {
  const char* const cases[][3] = {{R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
                                  {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
                                  {R"({"a":"b"})", R"({"a":null})", R"({})"},
                                  {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
                                  {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
                                  {R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
                                  {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
                                  {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
                                  {R"(["a","b"])", R"(["c","d"])", R"(["c","d"])"},
                                  {R"({"a":"b"})", R"(["c"])", R"(["c"])"},
                                  {R"({"a":"foo"})", R"(null)", R"(null)"},
                                  {R"({"a":"foo"})", R"("bar")", R"("bar")"},
                                  {R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
                                  {R"([1,2])", R"({"a":"b","c":null})", R"({"a":"b"})"},
                                  {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"}};
  for (const auto& c : cases) {
    INFO(c[0] << " " << c[1]);
    CHECK(Merged(c[0], c[1]) == c[2]);
  }
  const Value from = Parse(R"({"a":1,"b":{"c":1,"d":2},"e":[1]})").value(), to = Parse(R"({"a":1,"b":{"c":3},"e":[1,2],"f":"x"})").value();
  const Value patch = CreateMergePatch(from, to);
  CHECK(patch == Parse(R"({"b":{"c":3,"d":null},"e":[1,2],"f":"x"})").value());
  CHECK(MergePatch(from.Clone(), patch) == to);
}

TEST_CASE("pointers resolve as RFC 6901 says") {
  const Value v = Parse(R"({"foo":["bar","baz"],"":0,"a/b":1,"m~n":8," ":7})").value();
  const auto at = [&](std::string_view p) {
    const Value* found = Resolve(v, ParsePointer(p).value());
    return found ? found->Dump() : "nothing";
  };
  CHECK(at("") == v.Dump());
  CHECK(at("/foo/0") == "\"bar\"");
  CHECK(at("/") == "0");
  CHECK(at("/a~1b") == "1");
  CHECK(at("/m~0n") == "8");
  CHECK(at("/ ") == "7");
  CHECK(at("/foo/2") == "nothing");
  CHECK(at("/foo/01") == "nothing");
  CHECK(at("/foo/-1") == "nothing");
  CHECK(PointerText({"a/b", "m~n"}) == "/a~1b/m~0n");
  CHECK_FALSE(ParsePointer("foo"));
}

TEST_CASE("a merge patch of very many members does what one of few does") {
  Value target = Value::Object(), patch = Value::Object(), expected = Value::Object();
  for (int i = 0; i < 3000; ++i) target.MutableMembers().push_back({std::to_string(i), Value(i)});
  for (int i = 0; i < 3000; ++i) {
    if (i % 3 == 0) patch.MutableMembers().push_back({std::to_string(i), Value()});
    if (i % 3 == 1) patch.MutableMembers().push_back({std::to_string(i), Parse(R"({"n":1,"gone":null})").value()});
    if (i % 3 == 1) expected.MutableMembers().push_back({std::to_string(i), Parse(R"({"n":1})").value()});
    if (i % 3 == 2) expected.MutableMembers().push_back({std::to_string(i), Value(i)});
  }
  patch.MutableMembers().push_back({"new", Value("v")});
  patch.MutableMembers().push_back({"absent", Value()});
  expected.MutableMembers().push_back({"new", Value("v")});
  CHECK(MergePatch(std::move(target), patch).Dump() == expected.Dump());
}

TEST_CASE("large objects are equal whatever the order of their members is") {
  Value a = Value::Object(), b = Value::Object();
  for (int i = 0; i < 300; ++i) a.MutableMembers().push_back({std::to_string(i), Value(i)});
  for (int i = 299; i >= 0; --i) b.MutableMembers().push_back({std::to_string(i), Value(i)});
  CHECK(a == b);
  b.Set("7") = 8;
  CHECK_FALSE(a == b);
}

TEST_CASE("the scanner finds members and their offsets without a document") {
  const std::string_view text = R"( {"kind":"Pod" , "metadata" : {"name":"a\"b","labels":{"x":"}"},"resourceVersion":"12"},"items":[1,{"a":[]},"z"],"\u0065sc":true})";
  const auto rv = FindRaw(text, {"metadata", "resourceVersion"});
  REQUIRE(rv);
  CHECK(rv->In(text) == "\"12\"");
  CHECK(text.substr(rv->offset - 2, 2) == "\":");
  CHECK(PlainString(FindRaw(text, {"kind"})->In(text)) == "Pod");
  CHECK(DecodeString(FindRaw(text, {"metadata", "name"})->In(text)) == "a\"b");
  CHECK_FALSE(PlainString(FindRaw(text, {"metadata", "name"})->In(text)));
  CHECK(FindRaw(text, {"metadata", "labels"})->In(text) == R"({"x":"}"})");
  CHECK(FindRaw(text, {"esc"})->In(text) == "true");
  CHECK_FALSE(FindRaw(text, {"kind", "x"}));
  CHECK_FALSE(FindRaw(text, {"nope"}));
  std::string seen;
  CHECK(ForEachMember(text, [&](std::string_view key, RawValue) { return seen += std::string(key) + ' ', true; }));
  CHECK(seen == "kind metadata items \\u0065sc ");
  seen.clear();
  CHECK(ForEachItem(FindRaw(text, {"items"})->In(text), [&](RawValue item) { return seen += std::to_string(item.size) + ' ', true; }));
  CHECK(seen == "1 8 3 ");
  for (std::size_t n = 0; n < text.size(); ++n) FindRaw(text.substr(0, n), {"metadata", "resourceVersion"});   // no cut reads outside
}

}  // namespace skerry::json
