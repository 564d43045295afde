#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "tests/support/api_fixture.h"

// Scenarios: requests and what must be answered, as plain text (the format is in tests/README.md).
namespace skerry::testing {

struct ScenarioEvent {
  std::string type, name;     // empty name: any (bookmarks have none)
  std::string object;         // subset; may be empty
};

struct ScenarioStep {
  enum class Kind : std::uint8_t { kExchange, kWatch, kEvents, kAs, kRestart };
  Kind kind = Kind::kExchange;
  int line = 0;
  std::string method, target, body;
  http::Headers headers;
  std::string identity;                  // kAs: "admin", "anonymous" or "NAME[,GROUP…]"
  std::string watch;                     // kWatch, kEvents: its name; empty: opened, read and closed by this step
  std::vector<ScenarioEvent> events;
  bool eventually = false;               // the request is repeated until the expectation holds
  int status = 0;
  std::string expected;                  // subset; empty: any body
  http::Headers expected_headers;
};

struct Scenario {
  std::string file;
  int line = 0;
  std::string proves;
  std::vector<ScenarioStep> steps;
};

// kInvalid names file and line: a request without expectation, an unknown word, a scenario that says nothing.
Result<std::vector<Scenario>> ParseScenarios(std::string_view file, std::string_view text);

// Values that a scenario captured, by name.
using Captures = std::map<std::string, std::string>;
// Replaces <name>; an unknown name stays as it is.
std::string Fill(std::string_view text, const Captures& captures);
// Empty when `got` holds everything of `want`, else where it differs. Names in `want` that are not known yet are captured.
std::string Mismatch(const json::Value& want, const json::Value& got, Captures& captures);

// What scenarios run against. One thread.
class ScenarioServer {
 public:
  virtual ~ScenarioServer() = default;
  virtual Answer Call(std::string_view method, std::string_view target, std::string body, http::Headers headers, Api::As as) = 0;
  virtual bool Restart() = 0;            // false: this one cannot, the scenario goes on
};

// Between exchanges, while no watch is open.
enum class Restarts : std::uint8_t { kWhereTold, kOncePerScenario, kAfterEveryExchange };

// Runs one scenario in a namespace of its own, which is <ns>. Empty when everything was as expected, else "FILE:LINE: what".
std::string RunScenario(const Scenario& scenario, ScenarioServer& server, std::string_view ns, Restarts restarts);

}  // namespace skerry::testing
