#include "core/text/jsonpath.h"

#include <catch2/catch.hpp>

using namespace skerry;
using json::Value;

namespace {

std::string Selected(std::string_view path, std::string_view document) {
  Value value;
  REQUIRE(Value::Parse(document, &value, nullptr));
  const auto parsed = text::JsonPath::Parse(path);
  if (!parsed) return "bad";
  std::string out;
  for (const Value* found : parsed->Find(value)) out += (out.empty() ? "" : " ") + found->Dump();
  return out;
}

}  // namespace

TEST_CASE("paths select by name, index, wildcard and filter", "[text]") {
  const auto doc = R"({"a":{"b.c":1,"list":[{"t":"x","n":1},{"t":"y","n":2},{"t":"z","n":3}]}})";
  CHECK(Selected(".a.list[1].t", doc) == R"("y")");
  CHECK(Selected("{.a.list[-1].n}", doc) == "3");
  CHECK(Selected("$.a['b.c']", doc) == "1");
  CHECK(Selected(R"(.a.b\.c)", doc) == "1");
  CHECK(Selected(".a.list[*].n", doc) == "1 2 3");
  CHECK(Selected(".a.list[0:2].n", doc) == "1 2");
  CHECK(Selected("..t", doc) == R"("x" "y" "z")");
  CHECK(Selected(R"(.a.list[?(@.t=="y")].n)", doc) == "2");
  CHECK(Selected(".a.list[?(@.n>=2)].t", doc) == R"("y" "z")");
  CHECK(Selected(".a.list[?(@.nope)].t", doc) == "");
  CHECK(Selected(".nope.x", doc) == "");
}

TEST_CASE("a malformed path is refused", "[text]") {
  for (const auto* path : {".a[", ".a[x]", ".a]", ".a[?(@.x=1)]", ".a."}) {
    INFO(path);
    CHECK(Selected(path, "{}") == "bad");
  }
}

TEST_CASE("a JSONPath that looks everywhere again and again selects nothing in the end", "[text]") {
  std::string nested(60, '[');
  nested += "1,2" + std::string(60, ']');
  Value document;
  REQUIRE(Value::Parse(nested, &document, nullptr));
  std::string path = "$";
  for (int i = 0; i < 30; ++i) path += "..*";
  CHECK(text::JsonPath::Parse(path)->Find(document).empty());
  CHECK(text::JsonPath::Parse("$..*")->Find(document).size() == 61);
  CHECK(text::JsonPath::Parse("$..*..*")->Find(document).size() > 1000);
}
