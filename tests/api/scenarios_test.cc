#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "tests/support/scenario.h"

namespace skerry::testing {
namespace {

class LocalServer final : public ScenarioServer {
 public:
  explicit LocalServer(Api::Engine engine) : engine_(engine), api_(engine) {}
  Answer Call(std::string_view method, std::string_view target, std::string body, http::Headers headers, Api::As as) override {
    return api_.Call(method, target, std::move(body), std::move(headers), as);
  }
  bool Restart() override {
    if (engine_ == Api::Engine::kMemory) return false;
    api_.Reopen();
    return true;
  }

 private:
  const Api::Engine engine_;
  Api api_;
};

// SKERRY_SCENARIO=<part of a file name or of what is proved> picks some.
std::vector<Scenario> AllScenarios() {
  std::filesystem::path folder = "tests/api/scenarios";
  if (!std::filesystem::exists(folder)) folder = "../.." / folder;
  INFO("run from the repository root: " << folder);
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".http") files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  const char* only = std::getenv("SKERRY_SCENARIO");
  std::vector<Scenario> out;
  for (const std::string& file : files) {
    const auto text = ReadFile(file);
    REQUIRE(text);
    auto parsed = ParseScenarios(std::filesystem::path(file).filename().string(), *text);
    if (!parsed) FAIL(parsed.error().message());
    for (Scenario& scenario : *parsed)
      if (!only || Cat(scenario.file, " ", scenario.proves).find(only) != std::string::npos) out.push_back(std::move(scenario));
  }
  REQUIRE_FALSE(out.empty());
  return out;
}

void RunAll(Api::Engine engine, Restarts restarts) {
  LocalServer server(engine);
  int number = 0;
  for (const Scenario& scenario : AllScenarios()) {
    INFO(scenario.proves);
    const std::string wrong = RunScenario(scenario, server, Cat("s", ++number), restarts);
    if (wrong.empty()) SUCCEED();
    else FAIL_CHECK(wrong);
  }
}

}  // namespace

TEST_CASE("every scenario holds on the memory engine", "[scenarios]") { RunAll(Api::Engine::kMemory, Restarts::kWhereTold); }
TEST_CASE("every scenario holds on disk, across a restart in its middle", "[scenarios]") { RunAll(Api::Engine::kRocks, Restarts::kOncePerScenario); }
TEST_CASE("every scenario holds on disk, across a restart after every exchange", "[scenarios][slow]") { RunAll(Api::Engine::kRocks, Restarts::kAfterEveryExchange); }

TEST_CASE("a scenario's text is refused where nothing could fail", "[scenarios]") {
  const auto refusal = [](std::string_view text) {
    const auto parsed = ParseScenarios("f", text);
    return parsed ? std::string("taken") : std::string(parsed.error().message());
  };
  CHECK(refusal("# proves: a\nGET /version\n200\n") == "taken");
  CHECK(refusal("GET /version\n200\n") == "f:1: before the first '# proves: '");
  CHECK(refusal("# proves: a\nGET /version\n") == "f:2: nothing is expected of this step (a named WATCH opens, EVENTS reads)");
  CHECK(refusal("# proves: a\nWATCH /api/v1/pods\n") == "f:2: nothing is expected of this step (a named WATCH opens, EVENTS reads)");
  CHECK(refusal("# proves: a\n# proves: b\nGET /version\n200\n").starts_with("f:2: a scenario without steps: a"));
  CHECK(refusal("# proves: a\nGET /version\n200 {\n").starts_with("f:2: the expectation is no JSON"));
  CHECK(refusal("# proves: a\nfetch /version\n200\n").starts_with("f:2: not a request"));
  CHECK(refusal("") == "f:0: no scenario: each starts with '# proves: '");
}

TEST_CASE("an expectation is a subset that captures, compares and forbids", "[scenarios]") {
  Captures captures;
  const auto mismatch = [&](std::string_view want, std::string_view got) {
    json::Value expected, answer;
    REQUIRE(json::Value::Parse(want, &expected, nullptr));
    REQUIRE(json::Value::Parse(got, &answer, nullptr));
    return Mismatch(expected, answer, captures);
  };
  CHECK(mismatch(R"({"a":{"b":1}})", R"({"a":{"b":1,"c":2},"d":3})").empty());
  CHECK(mismatch(R"({"a":{"b":1}})", R"({"a":{"b":2}})") == ".a.b: expected 1, got 2");
  CHECK_FALSE(mismatch(R"({"a":1})", R"({"b":1})").empty());
  CHECK(mismatch(R"({"rv":"<rv>","n":"<n>"})", R"({"rv":"12","n":7})").empty());
  CHECK(captures == Captures{{"rv", "12"}, {"n", "7"}});
  CHECK_FALSE(mismatch(R"({"rv":"<rv>"})", R"({"rv":"13"})").empty());
  CHECK(mismatch(R"({"m":"at <rv>: <*> end"})", R"({"m":"at 12: the end"})").empty());
  CHECK_FALSE(mismatch(R"({"m":"at <rv>: <*> end"})", R"({"m":"at 12: the end."})").empty());
  CHECK(mismatch(R"({"x":"<absent>","a":"<*>"})", R"({"a":null})").empty());
  CHECK_FALSE(mismatch(R"({"a":"<absent>"})", R"({"a":null})").empty());
  CHECK_FALSE(mismatch(R"([1,2])", R"([1,2,3])").empty());
  CHECK(mismatch(R"([1,2,"..."])", R"([1,2,3])").empty());
  CHECK(mismatch(R"(["...",3,1])", R"([1,2,3])").empty());
  CHECK_FALSE(mismatch(R"(["...",4])", R"([1,2,3])").empty());
  CHECK_FALSE(mismatch(R"({"a":"1"})", R"({"a":1})").empty());
}

TEST_CASE("a scenario that does not hold is reported with its file, line and difference", "[scenarios]") {
  LocalServer server(Api::Engine::kMemory);
  auto outcome = [&, number = 0](std::string_view text) mutable {
    const auto parsed = ParseScenarios("f", text);
    REQUIRE(parsed);
    return RunScenario(parsed->front(), server, Cat("n", ++number), Restarts::kWhereTold);
  };
  CHECK(outcome("# proves: a\nGET /api/v1/namespaces/<ns>\n200 {\"metadata\":{\"name\":\"<ns>\"}}\n").empty());
  CHECK(outcome("# proves: a\nGET /api/v1/namespaces/<ns>\n200 {\"kind\":\"Pod\"}\n") == "f:2: GET /api/v1/namespaces/n2: .kind: expected \"Pod\", got \"Namespace\"");
  CHECK(outcome("# proves: a\n\nGET /api/v1/namespaces/none\n200\n").starts_with("f:3: GET /api/v1/namespaces/none: expected 200, got 404"));
  CHECK(outcome("# proves: a\nGET /version\n200\n< Content-Type: text/html\n").starts_with("f:2: GET /version: header Content-Type"));
  CHECK(outcome("# proves: a\nWATCH /api/v1/namespaces?fieldSelector=metadata.name=<ns>\n  ADDED other\n").starts_with("f:2: /api/v1/namespaces?fieldSelector=metadata.name=n5: expected ADDED other, got"));
}

}  // namespace skerry::testing
