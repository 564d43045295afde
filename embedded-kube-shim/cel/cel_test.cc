#include <catch2/catch.hpp>

#include "core/base/strings.h"
#include "core/json/parse.h"
#include "embedded-kube-shim/cel/functions.h"
#include "embedded-kube-shim/cel/program.h"
#include "tests/support/json.h"

namespace skerry::kube::cel {
namespace {
using skerry::testing::Json;

constexpr std::string_view kSchema = R"({"type":"object","properties":{
  "name":{"type":"string"},"count":{"type":"integer"},"ratio":{"type":"number"},"flag":{"type":"boolean"},"port":{"x-kubernetes-int-or-string":true},
  "tags":{"type":"array","items":{"type":"string"}},"labels":{"type":"object","additionalProperties":{"type":"string"}},
  "when":{"type":"string","format":"date-time"},"span":{"type":"string","format":"duration"},"blob":{"type":"string","format":"byte"},
  "set":{"type":"array","x-kubernetes-list-type":"set","items":{"type":"integer"}},
  "ports":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["name"],"items":{"type":"object","properties":{"name":{"type":"string"},"port":{"type":"integer"}}}},
  "a-b":{"type":"string"},"namespace":{"type":"string"},"maybe":{"type":"string","nullable":true},"deep":{"type":"object","properties":{"x":{"type":"integer"}}}}})";
constexpr std::string_view kObject = R"({"name":"web","count":7,"ratio":2.5,"flag":true,"port":"http","tags":["b","a"],"labels":{"x":"1","a/b":"2"},
  "when":"2024-02-29T12:34:56.5Z","span":"90s","blob":"aGk=","set":[1,2,3],"ports":[{"name":"a","port":1},{"name":"b","port":2}],"a-b":"dash","namespace":"ns","maybe":null,"deep":{}})";

struct Outcome { std::string text; std::uint64_t cost = 0; };

Outcome Run(std::string_view source, const Library& library = KubernetesLibrary()) {
  static const json::Value schema = Json(kSchema), object = Json(kObject);
  static const DeclTypePtr self = FromSchema(schema, SchemaRole::kValue, "selfType1");
  Env env(library);
  env.Declare("self", self);
  const auto program = Program::Compile(env, source);
  if (!program) return {std::string(program.error().message())};
  const std::vector<Val> variables{Val::FromJson(object, self.get())};
  const EvalResult result = (*program)->Run(variables);
  return {result.value.is_error() ? "error: " + std::string(result.value.text()) : std::string(Format("%s", std::vector<Val>{result.value}).text()), result.cost};
}

struct Case { std::string_view source, result; };

}  // namespace

TEST_CASE("expressions have the values that the language defines", "[cel]") {
  const Case cases[] = {
      {"self.count + 1 == 8 && self.flag", "true"},
      {"self.count / 0 == 1 || true", "true"},
      {"self.count / 0 == 1 || false", "error: division by zero"},
      {"9223372036854775807 + self.count", "error: integer overflow"},
      {"1 < 1.5 && 2u > 1 && self.ratio * 2.0 == 5.0", "true"},
      {"{1: 'a'}[dyn(1.0)]", "a"},
      {"dyn(1) == dyn(1u) && dyn(1) == dyn(1.0) && dyn('1') != dyn(1)", "true"},
      {"self.tags.map(t, t + '!') + ['c']", "[\"b!\", \"a!\", \"c\"]"},
      {"self.tags.exists_one(t, t == 'a') && self.tags.all(t, size(t) == 1) && self.tags.exists(t, t == 'b')", "true"},
      {"[1, 2, 3].filter(x, x % 2 == 1).map(x, x * x).sum()", "10"},
      {"self.labels.transformMap(k, v, v + k)", "{\"a/b\":\"2a/b\", \"x\":\"1x\"}"},
      {"self.tags.transformList(i, v, string(i) + v)", "[\"0b\", \"1a\"]"},
      {"['x', 'x'].transformMapEntry(i, v, {v: i})", "error: insert failed: key x already exists"},
      {"self.?missing.orValue('d')", "compilation failed: ERROR: <input>:1:5: undefined field 'missing'\n | self.?missing.orValue('d')\n | ....^"},
      {"self.deep.?x.orValue(5)", "5"},
      {"self.deep.x", "error: no such key: x"},
      {"has(self.deep.x) ? 'has' : 'not'", "not"},
      {"self.labels[?'x'].optMap(v, v + v).value()", "11"},
      {"self.a__dash__b + self.__namespace__", "dashns"},
      {"type(self.port) == string && self.port.startsWith('ht')", "true"},
      {"self.when.getFullYear() + self.when.getDayOfYear()", "2083"},
      {"self.when.getHours('+05:30')", "18"},
      {"self.when + duration('36h')", "2024-03-02T00:34:56.5Z"},
      {"self.when - timestamp('2024-02-29T00:00:00Z')", "45296.5s"},
      {"timestamp('9999-12-31T23:59:59Z') + self.span", "error: timestamp overflow"},
      {"self.span == duration('1m30s') && self.span.getSeconds() == 90", "true"},
      {"self.blob == b'hi' && size(self.blob) == 2", "true"},
      {"self.set == [3, 2, 1] && self.set + [3, 4] == [1, 2, 3, 4]", "true"},
      {"(self.ports + self.ports).size() == 2", "true"},
      {"'%s is %d, %.1f, %x and %s'.format(['a', 1, 2.25, 255, [1.5, 2.0]])", "a is 1, 2.2, ff and [1.500000, 2.000000]"},
      {"'%e'.format([1234.5])", "1.234500×10⁰³"},
      {"'héllo'.charAt(1) + 'héllo'.substring(2, 4) + string('héllo'.size())", "éll5"},
      {"'a,b,,c'.split(',', 2)", "[\"a\", \"b,,c\"]"},
      {"'hello'.replace('l', 'L', 1) + ['x', 'y'].join('-') + '  t '.trim()", "heLlox-yt"},
      {"'abc'.charAt(4)", "error: index out of range: 4"},
      {"'foo123bar45'.findAll('[0-9]+')", "[\"123\", \"45\"]"},
      {"[3, 1, 2].sort() == [1, 2, 3] && [1, 2].reverse() == [2, 1] && [1, 1, 2].distinct().size() == 2", "true"},
      {"['bb', 'a'].sortBy(s, size(s))", "[\"a\", \"bb\"]"},
      {"[].min()", "error: min called on empty list"},
      {"sets.equivalent([1, 2], [2, 1, 1]) && !sets.contains([1], [2])", "true"},
      {"cidr('10.0.0.0/8').containsIP('10.1.2.3') && ip('::1').isLoopback() && string(cidr('10.1.2.3/8').masked()) == '10.0.0.0/8'", "true"},
      {"ip('1.2.3')", "error: IP Address \"1.2.3\" parse error during conversion from string: ParseAddr(\"1.2.3\"): IPv4 address too short"},
      {"url('https://h:8443/a%20b?x=1&x=2#f').getQuery()", "{\"x\":[\"1\", \"2\"]}"},
      {"url('bad').getHost()", "error: URL parse error during conversion from string: parse \"bad\": invalid URI for request"},
      {"quantity('1Gi').compareTo(quantity('1G')) == 1 && quantity('1k').add(1).asInteger() == 1001", "true"},
      {"semver('1.2.3-rc.2').isLessThan(semver('1.2.3')) && !isSemver('v1.2') && isSemver('v1.2', true)", "true"},
      {"format.dns1123Label().validate('ok').hasValue()", "false"},
      {"format.uuid().validate('bad').value()", "[\"does not match the UUID format\"]"},
      {"'\\x41\\u00e9\\103' + r'\\n'", "AéC\\n"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.source);
    CHECK(Run(c.source).text == std::string(c.result));
  }
}

TEST_CASE("a field that is null counts as absent, a member of a map does not", "[cel]") {
  CHECK(Run("has(self.maybe)").text == "false");
  CHECK(Run("self.maybe == 'a'").text == "error: no such key: maybe");
  CHECK(Run("self.?maybe.orValue('none')").text == "none");
}

TEST_CASE("what does not type-check is reported at its place in upstream's words", "[cel]") {
  const Case cases[] = {
      {"self.count == 'a'", "found no matching overload for '_==_' applied to '(int, string)'\n | self.count == 'a'\n | ...........^"},
      {"self.tags.all(t, t)", "expected type 'bool' but found 'string'\n | self.tags.all(t, t)\n | .................^"},
      {"self.nope", "undefined field 'nope'\n | self.nope\n | ....^"},
      {"self.count.x", "type 'int' does not support field selection\n | self.count.x\n | ..........^"},
      {"params == 1", "undeclared reference to 'params' (in container '')\n | params == 1\n | ^"},
      {"self.all(x, true)", "expression of type 'selfType1' cannot be range of a comprehension (must be list, map, or dynamic)\n | self.all(x, true)\n | ^"},
      {"has(self)", "invalid argument to has() macro\n | has(self)\n | ....^"},
      {"[1, 'a']", "expected type 'int' but found 'string'\n | [1, 'a']\n | ....^"},
      {"duration('1d') == self.span", "invalid duration argument\n | duration('1d') == self.span\n | .........^"},
      {"self.name.matches('(')", "invalid matches argument\n | self.name.matches('(')\n | ..................^"},
      {"'%d'.format(['a'])", "error during formatting: decimal clause can only be used on integers, was given string\n | '%d'.format(['a'])\n | .............^"},
      {"1 +\n  'é' + foo", "undeclared reference to 'foo' (in container '')\n |   'é' + foo\n | ...．....^"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.source);
    const std::string text = Run(c.source).text;
    CHECK(text.starts_with("compilation failed: ERROR: <input>:"));
    CHECK(text.find(c.result) != std::string::npos);
  }
  CHECK(Run("int('x') == 1").text == "program instantiation failed: type conversion error from 'string' to 'int'");
  CHECK(Run("self.name.find('[') == ''").text == "program instantiation failed: error parsing regexp: missing closing ]: `[`");
}

TEST_CASE("a text that is no expression is reported like the reference parser reports it", "[cel]") {
  constexpr std::string_view kAny = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";
  const std::pair<std::string_view, std::string> cases[] = {
      {"self.", "1:6: Syntax error: no viable alternative at input '.'\n | self.\n | .....^"},
      {"1 +", Cat("1:4: Syntax error: mismatched input '<EOF>' expecting ", kAny, "\n | 1 +\n | ...^")},
      {"(1", "1:3: Syntax error: missing ')' at '<EOF>'\n | (1\n | ..^"},
      {"[1, 2", "1:6: Syntax error: mismatched input '<EOF>' expecting {']', ','}\n | [1, 2\n | .....^"},
      {"1 2", "1:3: Syntax error: extraneous input '2' expecting <EOF>\n | 1 2\n | ..^"},
      {"{'a'}", "1:5: Syntax error: mismatched input '}' expecting ':'\n | {'a'}\n | ....^"},
      {"1 = 2", "1:3: Syntax error: token recognition error at: '= '\n | 1 = 2\n | ..^\nERROR: <input>:1:5: Syntax error: extraneous input '2' expecting <EOF>\n | 1 = 2\n | ....^"},
      {"", Cat("1:0: Syntax error: mismatched input '<EOF>' expecting ", kAny)},
      {"for", "1:1: reserved identifier: for\n | for\n | ^"},
  };
  for (const auto& [source, report] : cases) {
    CAPTURE(source);
    CHECK(Run(source).text == Cat("compilation failed: ERROR: <input>:", report));
  }
}

TEST_CASE("an evaluation beyond its cost limit is cancelled and no operator hides that", "[cel]") {
  Env env(KubernetesLibrary());
  const auto program = Program::Compile(env, "lists.range(1000).all(x, lists.range(1000).all(y, x >= 0)) || true");
  REQUIRE(program);
  const EvalResult result = (*program)->Run({}, 10'000);
  CHECK(result.cancelled);
  CHECK(result.value.text() == "operation cancelled: actual cost limit exceeded");
  CHECK(result.cost < 20'000);
}

TEST_CASE("estimates of cost follow from the sizes that a schema allows", "[cel]") {
  struct Estimate { std::string_view schema, source; std::uint64_t min, max; };
  const Estimate cases[] = {
      {R"({"type":"array","items":{"type":"string"}})", "self.all(x, true)", 2, 3'145'727},
      {R"({"type":"array","maxItems":10,"items":{"type":"integer"}})", "self.all(x, self.all(y, x != y || true))", 2, 552},
      {R"({"type":"string","maxLength":10})", "self == self", 3, 6},
      {R"({"type":"string"})", "self.matches('a.*b')", 2, 314'574},
      {R"({"type":"object","additionalProperties":{"type":"boolean"}})", "self.exists(k, self[k])", 2, 2'202'006},
      {R"({"type":"array","items":{"type":"string"}})", "self.sort().size() > 0", 14, 2'308'970'014'327},
      {R"({"type":"integer"})", "self > 1 && self < 5", 2, 4},
  };
  for (const Estimate& c : cases) {
    CAPTURE(c.schema, c.source);
    const json::Value schema = Json(c.schema);
    Env env(KubernetesLibrary());
    env.Declare("self", FromSchema(schema, SchemaRole::kValue, "selfType1"));
    const auto program = Program::Compile(env, c.source);
    REQUIRE(program);
    CHECK((*program)->estimate().min == c.min);
    CHECK((*program)->estimate().max == c.max);
  }
}

TEST_CASE("hostile expressions are refused without deep recursion", "[cel]") {
  CHECK(Run(std::string(300, '(') + "1" + std::string(300, ')')).text == "compilation failed: ERROR: <input>:-1:0: expression recursion limit exceeded: 250");
  CHECK(Run(std::string(100'001, 'a')).text == "compilation failed: ERROR: <input>:-1:0: expression code point size exceeds limit: size: 100001, limit 100000");
  std::string lists = "[";
  for (int i = 0; i < 30'000; ++i) lists += "[],";
  CHECK(Run(lists + "[]].size()").text == "30001");   // type variables by the thousand
}

}  // namespace skerry::kube::cel
