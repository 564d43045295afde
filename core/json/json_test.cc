#include <catch2/catch.hpp>

#include <atomic>
#include <thread>
#include <vector>

#include "core/json/layout.h"
#include "core/json/parse.h"
#include "core/json/share.h"
#include "core/json/value.h"

namespace skerry::json {
namespace {

std::string RoundTrip(std::string_view text, const DumpOptions& options = {}) {
  const auto v = Parse(text);
  return v ? v->Dump(options) : "error: " + std::string(v.error().message());
}
std::string ErrorOf(std::string_view text) {
  const auto v = Parse(text);
  return v ? "accepted" : std::string(v.error().message());
}

}  // namespace

TEST_CASE("well-formed JSON is accepted") {
  for (const char* text :
       {"[]", "{}", "[[]   ]", "[\"\"]", "[\"a\",\"b\"]", "[-0]", "[-0.0]", "[0e1]", "[0e+1]", "[1E22]", "[1E-2]", "[1E+2]", "[123.456e78]", "[1.7976931348623157e308]",
        "[0.000000000000000000000000000000000000000000000000000000000000000000001]", "[5e-324]", "[1e-400]", " [1] ", "[1\n]", "[1,null,null,null,2]", "42", "-0.1",
        "\"asd\"", "\"\"", "true", "null", "[\"\\u0000\"]", "{\"a\":\"b\",\"a\":\"c\"}", "{\"\":0}", "{\"foo\\u0000bar\": 42}", "[\"\\u0060\\u012a\\u12AB\"]",
        "[\"\\uD801\\udc37\"]", "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]", "[\"a/*b*/c\"]", "[\"\\uFFFF\"]", "[\"\xE2\x80\xA8\"]", "[\"\xF4\x8F\xBF\xBF\"]", "[\"\x7f\"]",
        "\t[true]\r\n", "{\"min\": -1.0e+28, \"max\": 1.0e+28}", "[\"new\\u000Aline\"]"}) {
    INFO(text);
    CHECK(ErrorOf(text) == "accepted");
  }
}

TEST_CASE("malformed JSON is refused in Go's words") {
  const std::pair<const char*, const char*> cases[] = {
      {"", "unexpected end of JSON input"},
      {" ", "unexpected end of JSON input"},
      {"[1", "unexpected end of JSON input"},
      {"{\"a\":", "unexpected end of JSON input"},
      {"\"abc", "unexpected end of JSON input"},
      {"\"a\\", "invalid character ' ' in string escape code"},
      {"-", "invalid character ' ' in numeric literal"},
      {"1.", "invalid character ' ' after decimal point in numeric literal"},
      {"1e", "invalid character ' ' in exponent of numeric literal"},
      {"tru", "invalid character ' ' in literal true (expecting 'e')"},
      {"[1,]", "invalid character ']' looking for beginning of value"},
      {"[,1]", "invalid character ',' looking for beginning of value"},
      {"[1 2]", "invalid character '2' after array element"},
      {"[1:2]", "invalid character ':' after array element"},
      {"{bad", "invalid character 'b' looking for beginning of object key string"},
      {"{\"a\":1,}", "invalid character '}' looking for beginning of object key string"},
      {"{\"a\" 1}", "invalid character '1' after object key"},
      {"{\"a\":1 \"b\":2}", "invalid character '\"' after object key:value pair"},
      {"{\"a\":1]", "invalid character ']' after object key:value pair"},
      {"{1:1}", "invalid character '1' looking for beginning of object key string"},
      {"{'a':0}", "invalid character '\\'' looking for beginning of object key string"},
      {"[1]x", "invalid character 'x' after top-level value"},
      {"01", "invalid character '1' after top-level value"},
      {"[-01]", "invalid character '1' after array element"},
      {"-a", "invalid character 'a' in numeric literal"},
      {"1.a", "invalid character 'a' after decimal point in numeric literal"},
      {"1e+a", "invalid character 'a' in exponent of numeric literal"},
      {"+1", "invalid character '+' looking for beginning of value"},
      {".5", "invalid character '.' looking for beginning of value"},
      {"NaN", "invalid character 'N' looking for beginning of value"},
      {"tRue", "invalid character 'R' in literal true (expecting 'r')"},
      {"nul1", "invalid character '1' in literal null (expecting 'l')"},
      {"fals ", "invalid character ' ' in literal false (expecting 'e')"},
      {"\"a\nb\"", "invalid character '\\n' in string literal"},
      {"\"a\x01\"", "invalid character '\\x01' in string literal"},
      {"\"\\x\"", "invalid character 'x' in string escape code"},
      {"\"\\u00g0\"", "invalid character 'g' in \\u hexadecimal character escape"},
      {"\"\\ud800\\u1\"", "invalid character '\"' in \\u hexadecimal character escape"},
      {"\xEF\xBB\xBF{}", "invalid character '\xC3\xAF' looking for beginning of value"},
      {"\x80", "invalid character '\\u0080' looking for beginning of value"},
      {"[1e999]", "json: cannot unmarshal number 1e999 into Go value of type float64"},
      {"/**/", "invalid character '/' looking for beginning of value"}};
  for (const auto& [text, message] : cases) {
    INFO(text);
    CHECK(ErrorOf(text) == message);
  }
  CHECK(Parse(std::string_view("[1,\0]", 5)).error().message() == "invalid character '\\x00' looking for beginning of value");
}

TEST_CASE("implementation-defined JSON is read as Go reads it") {
  CHECK(RoundTrip("\"\\ud800\"") == "\"\xEF\xBF\xBD\"");
  CHECK(RoundTrip("\"\\ud800\\u0041\"") == "\"\xEF\xBF\xBD" "A\"");
  CHECK(RoundTrip("\"\\udc00\\ud801\\udc37\"") == "\"\xEF\xBF\xBD\xF0\x90\x90\xB7\"");
  CHECK(RoundTrip("\"\xff\xC0\x80z\xE2\x82\"") == "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\xEF\xBF\xBD\xEF\xBF\xBD\"");
  CHECK(RoundTrip("\"\xED\xA0\x80\"") == "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
  CHECK(RoundTrip("{\"a\":1,\"b\":2,\"a\":{\"c\":3}}") == "{\"a\":{\"c\":3},\"b\":2}");
  CHECK(RoundTrip("[1e-400,-0]") == "[0,0]");
}

TEST_CASE("integers are exact and doubles print as Go prints them") {
  for (const char* text : {"9223372036854775807", "-9223372036854775808", "9223372036854775808", "18446744073709551615", "0", "-1", "1.5", "0.1", "100", "1e+21", "1.5e-7",
                           "1e-9", "-0.000001", "123456789012345680000", "1.7976931348623157e+308", "5e-324", "1e+100"}) {
    CHECK(RoundTrip(text) == text);
  }
  CHECK(RoundTrip("18446744073709551616") == "18446744073709552000");
  CHECK(RoundTrip("-9223372036854775809") == "-9223372036854776000");
  CHECK(RoundTrip("[1.0,1e3,1e20,1e21,0.0000001,-0.0]") == "[1,1000,100000000000000000000,1e+21,1e-7,-0]");
  CHECK(Value(std::uint64_t{18446744073709551615u}).Uint() == 18446744073709551615u);
  CHECK(Value(std::uint64_t{7}).is_int());
  CHECK_FALSE(Parse("9223372036854775808").value() == Parse("9223372036854775809").value());
  CHECK(Value(std::uint64_t{1} << 63) == Value(9223372036854775808.0));
}

TEST_CASE("text is escaped like Go's encoder when asked") {
  const Value v = Value(std::string_view("<a>&\"\\/\b\f\n\r\t\x01\x7f\xE2\x80\xA8\xE2\x80\xA9\xC3\xA9"));
  CHECK(v.Dump() == "\"<a>&\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\x7f\xE2\x80\xA8\xE2\x80\xA9\xC3\xA9\"");
  CHECK(v.Dump({.escape_html = true}) == "\"\\u003ca\\u003e\\u0026\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\x7f\\u2028\\u2029\xC3\xA9\"");
}

TEST_CASE("keys can be sorted and output indented") {
  CHECK(RoundTrip("{\"b\":[1,{}],\"a\":[],\"B\":{\"x\":null}}", {.sort_keys = true}) == "{\"B\":{\"x\":null},\"a\":[],\"b\":[1,{}]}");
  CHECK(RoundTrip("{\"b\":[1,{}],\"a\":{\"c\":true}}", {.indent = 2}) == "{\n  \"b\": [\n    1,\n    {}\n  ],\n  \"a\": {\n    \"c\": true\n  }\n}");
}

TEST_CASE("repeated keys are reported with their paths, each once") {
  std::vector<std::string> duplicates;
  const auto v = Parse(R"({"kind":"a","spec":{"containers":[{"image":"x"},{"image":"a","image":"b","image":"c"}],"a":{"b.c":1,"b.c":2}},"kind":"b"})", {.duplicates = &duplicates});
  REQUIRE(v);
  CHECK(duplicates == std::vector<std::string>{"spec.containers[1].image", "spec.a.b.c", "kind"});
  CHECK(Parse(R"({"a":1,"a":2})", {.keep_duplicates = true})->Dump() == R"({"a":1,"a":2})");
  CHECK(v->At({"spec", "containers"}).Items()[1]["image"].Str() == "c");
  std::string large = "{";
  for (int i = 0; i < 500; ++i) large += "\"k" + std::to_string(i) + "\":0,";
  large += "\"k7\":1,\"k499\":2}";
  duplicates.clear();
  const auto w = Parse(large, {.duplicates = &duplicates});
  REQUIRE(w);
  CHECK(duplicates == std::vector<std::string>{"k7", "k499"});
  CHECK(w->size() == 500);
  CHECK((*w)["k7"].Int() == 1);
}

TEST_CASE("members that are to be skipped leave no trace, whatever is in them") {
  const NameSet skip{"skip", "managedFields"};
  const auto parse = [&](std::string_view text) { return Parse(text, {.skip = &skip}).value().Dump(); };
  CHECK(parse(R"({"skip":{"a":[1,{"b":"}]"}]},"keep":1,"managedFields":[]})") == R"({"keep":1})");
  CHECK(parse(R"({"a":[{"skip":"x"},{"b":{"skip":null,"skipped":true}}],"skip":-1.5e3})") == R"({"a":[{},{"b":{"skipped":true}}]})");
  // Quotes, escapes and brackets at every offset of a block of sixteen.
  for (std::size_t n = 0; n < 40; ++n) {
    const std::string pad(n, 'x');
    CHECK(parse(R"({"skip":{")" + pad + R"(\"}":"[\\","y":[[{"z":"\\\""}]]},"keep":")" + pad + R"("})") == R"({"keep":")" + pad + R"("})");
    CHECK(parse(R"({"skip":[")" + pad + R"("],"keep":[")" + pad + R"("]})") == R"({"keep":[")" + pad + R"("]})");
  }
  for (const std::string_view cut : {R"({"skip":{"a":1)", R"({"skip")", R"({"skip":)", R"({"skip":["])", R"({"skip":[]"a":1})"}) CHECK_FALSE(Parse(cut, {.skip = &skip}));
}

TEST_CASE("empty containers are read, compared, cloned and filled like others") {
  const Value parsed = Parse(R"({"a":[],"b":{}})").value();
  CHECK(parsed.Dump() == R"({"a":[],"b":{}})");
  CHECK(parsed["a"].is_array());
  CHECK(parsed["b"].is_object());
  CHECK(parsed["a"].Items().empty());
  CHECK(parsed["b"].Find("x") == nullptr);
  Value clone = parsed.Clone();
  CHECK(clone == parsed);
  CHECK_FALSE(clone["a"] == clone["b"]);
  CHECK_FALSE(clone.Find("b")->Erase("x"));
  clone.Find("b")->Set("x") = 1;
  clone.Find("a")->Append(2);
  CHECK(clone.Dump() == R"({"a":[2],"b":{"x":1}})");
  CHECK_FALSE(clone == parsed);
  clone.Find("b")->Erase("x");
  clone.Find("a")->MutableItems().clear();
  CHECK(clone == parsed);   // emptied, and never filled
}

TEST_CASE("a document can be written as it came in, and compares as ever") {
  const std::string text = R"({"a": 1, "b": [1, 2.0], "c":[1,2],"d":{},"e":1e3})";
  auto spaced = ParseAsWritten(text);
  REQUIRE(spaced);
  CHECK(spaced->Dump() == R"({"a":1,"b":[1,2],"c":[1,2],"d":{},"e":1000})");
  CHECK(DumpAsWritten(*spaced) == R"({"a": 1, "b": [1, 2.0], "c": [1,2], "d": {}, "e": 1000.0})");
  CHECK(DumpAsWritten(spaced->Clone()) == DumpAsWritten(*spaced));
  auto plain = Parse(text);
  REQUIRE(plain);
  CHECK(*plain == *spaced);
  CHECK(DumpAsWritten(*plain) == plain->Dump());
  CHECK(HasNote((*spaced)["b"]));
  CHECK_FALSE(HasNote((*spaced)["c"]));
  Forget(*spaced);
  CHECK_FALSE(HasNote(*spaced));
  auto compact = ParseAsWritten(R"({"a":1,"b":[1,2.5],"s":"x y"})");
  REQUIRE(compact);
  CHECK(DumpAsWritten(*compact) == compact->Dump());
}

TEST_CASE("depth and size are bounded") {
  const auto nested = [](int n) { return std::string(static_cast<std::size_t>(n), '[') + std::string(static_cast<std::size_t>(n), ']'); };
  CHECK(Parse(nested(512)));
  CHECK(Parse(nested(513)).error().message() == "exceeded max depth");
  CHECK(Parse(std::string(1'000'000, '[')).error().message() == "exceeded max depth");
  CHECK(Parse("[1,2,3]", {.max_bytes = 6}).error().code() == Code::kTooLarge);
}

TEST_CASE("short and long texts live through moves, clones and self-containing assignment") {
  for (std::size_t n = 0; n < 40; ++n) {
    Value a(std::string(n, 'x'));
    Value b = a.Clone();
    Value c = std::move(a);
    CHECK(a.is_null());
    CHECK(c == b);
    CHECK(c.Str() == std::string(n, 'x'));
  }
  Value tree = Parse(R"({"spec":{"template":{"a":[1,2,"a text that is longer than fourteen bytes"]}}})").value();
  tree = std::move(*tree.Find("spec"));   // the source lives inside the target
  CHECK(tree.Dump() == R"({"template":{"a":[1,2,"a text that is longer than fourteen bytes"]}})");
  tree.Set("n") = 5;
  tree.Set("n") = "six";
  CHECK(tree.Erase("template"));
  CHECK_FALSE(tree.Erase("template"));
  CHECK(tree == Parse(R"({"n":"six"})").value());
  CHECK(Parse(R"({"a":1,"b":2.0})").value() == Parse(R"({"b":2,"a":1.0})").value());
}

TEST_CASE("text keeps what it says wherever a character stands that needs care") {
  for (const std::string_view special : {"\"", "\\", "\n", "\x01", "\x1f", "\x7f", "<", "\xC3\xA9", "\xE2\x80\xA8", "\xF0\x9F\x98\x80"}) {
    for (std::size_t size = 0; size < 20; ++size) {
      for (std::size_t at = 0; at <= size; ++at) {
        std::string text(size, 'x');
        text.insert(at, special);
        const std::string written = Value(text).Dump();
        std::string expected = "\"" + text.substr(0, at);
        if (special == "\"" || special == "\\") expected += "\\" + std::string(special);
        else if (special == "\n") expected += "\\n";
        else if (special == "\x01") expected += "\\u0001";
        else if (special == "\x1f") expected += "\\u001f";
        else expected += special;
        expected += text.substr(at + special.size()) + "\"";
        REQUIRE(written == expected);
        Value read;
        REQUIRE(Value::Parse(written, &read, nullptr));
        REQUIRE(read.Str() == text);
      }
    }
  }
}

TEST_CASE("a document that shares parts of a frozen one can be changed, and the other stays as it is") {
  constexpr std::string_view kText = R"({"a":{"x":[1,{"y":"a text that is not short"}],"z":{}},"b":{"c":[]},"d":[[2]]})";
  Value frozen = Parse(kText).value();
  Freeze(frozen);
  Value shared = Share(frozen);
  CHECK(IsSamePart(shared, frozen));
  CHECK(IsFrozen(shared));
  shared.Set("a").Set("x").MutableItems()[1].Set("y") = "other";
  shared.Set("a").Set("z").Set("new") = 1;
  CHECK(shared.Dump() == R"({"a":{"x":[1,{"y":"other"}],"z":{"new":1}},"b":{"c":[]},"d":[[2]]})");
  CHECK_FALSE(IsFrozen(shared));
  CHECK_FALSE(IsSamePart(shared["a"], frozen["a"]));
  CHECK(IsSamePart(shared["b"], frozen["b"]));
  shared.Find("b")->Erase("c");
  shared.Erase("d");
  shared.Set("d").Append(Share(frozen["d"].Items()[0])).Append(3);
  CHECK(shared.Dump() == R"({"a":{"x":[1,{"y":"other"}],"z":{"new":1}},"b":{},"d":[[2,3]]})");
  CHECK(frozen.Dump() == kText);
  Value copy = frozen.Clone();
  CHECK_FALSE(IsFrozen(copy));
  CHECK_FALSE(IsSamePart(copy["a"], frozen["a"]));
  const Value last = Share(frozen);
  frozen = Value();
  CHECK(last.Dump() == kText);
}

TEST_CASE("the last who holds a frozen document changes it without a copy") {
  Value frozen = Parse(R"({"a":{"b":1}})").value();
  Freeze(frozen);
  const Value* inside = frozen["a"].Find("b");
  Value shared = Share(frozen);
  frozen = Value();
  shared.Set("a").Set("b") = 2;
  CHECK(shared["a"].Find("b") == inside);
}

TEST_CASE("unified documents share what is alike in the same place, and nothing else") {
  Value known = Parse(R"({"a":{"x":[1,{"y":2}]},"b":{"c":{"d":1},"e":[1]},"f":{"g":1,"h":2},"i":[{"k":1},{"k":2}]})").value();
  Freeze(known);
  constexpr std::string_view kText = R"({"a":{"x":[1,{"y":2}]},"new":{"n":1},"b":{"c":{"d":1},"e":[1.0]},"f":{"h":2,"g":1},"i":[{"k":1},{"k":3},{"k":2}]})";
  Value document = Parse(kText).value();
  Unify(document, known);
  CHECK(document.Dump() == Parse(kText).value().Dump());
  CHECK(IsSamePart(document["a"], known["a"]));
  CHECK(IsSamePart(document["b"]["c"], known["b"]["c"]));
  CHECK_FALSE(IsSamePart(document["b"]["e"], known["b"]["e"]));   // 1.0 is another kind of number
  CHECK_FALSE(IsFrozen(document["f"]));                           // another order
  CHECK(IsSamePart(document["i"].Items()[0], known["i"].Items()[0]));
  CHECK_FALSE(IsFrozen(document["i"].Items()[1]));
  CHECK_FALSE(IsFrozen(document));
  Unify(document["a"].is_null() ? known : document, Value());
  CHECK(IsSamePart(document["a"], known["a"]));
}

TEST_CASE("frozen documents are shared and let go by several threads") {
  Value frozen = Parse(R"({"a":{"b":[1,2,{"c":"a text that is not short"}]}})").value();
  Freeze(frozen);
  std::vector<std::thread> threads;
  std::atomic<int> bad{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&frozen, &bad, t] {
      for (int i = 0; i < 2000; ++i) {
        Value mine = Share(frozen);
        mine.Set("a").Set("b").MutableItems()[0] = t;
        if (mine["a"]["b"].Items()[0].Int() != t || frozen["a"]["b"].Items()[0].Int() != 1) ++bad;
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(bad == 0);
  CHECK(IsFrozen(frozen["a"]["b"]));
}

}  // namespace skerry::json
