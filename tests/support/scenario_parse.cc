#include <utility>

#include "core/base/strings.h"
#include "tests/support/scenario.h"

namespace skerry::testing {
namespace {

std::string_view TakeWord(std::string_view& text) {
  const auto end = text.find(' ');
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end);
  while (text.starts_with(' ')) text.remove_prefix(1);
  return word;
}

constexpr std::pair<std::string_view, std::string_view> kPatchTypes[] = {
    {"PATCH+json", "application/json-patch+json"}, {"PATCH+merge", "application/merge-patch+json"},
    {"PATCH+strategic", "application/strategic-merge-patch+json"}, {"PATCH+apply", "application/apply-patch+yaml"}};

// One pass over the lines. What a continuation line (two spaces) belongs to is the text that was written last.
class ScenarioParser {
 public:
  explicit ScenarioParser(std::string_view file) : file_(file) {}

  Result<std::vector<Scenario>> Parse(std::string_view text) {
    while (!text.empty()) {
      const auto end = text.find('\n');
      ++line_;
      TRY_VOID(Line(text.substr(0, end)));
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    TRY_VOID(EndStep());
    TRY_VOID(EndScenario());
    if (scenarios_.empty()) return Wrong("no scenario: each starts with '# proves: '");
    return std::move(scenarios_);
  }

 private:
  std::unexpected<Error> Wrong(std::string_view what) const { return Fail(Code::kInvalid, Cat(file_, ":", line_, ": ", what)); }
  ScenarioStep& step() { return scenarios_.back().steps.back(); }

  Result<> Line(std::string_view line) {
    constexpr std::string_view kProves = "# proves: ";
    if (line.starts_with(kProves)) {
      TRY_VOID(EndStep());
      TRY_VOID(EndScenario());
      scenarios_.push_back({std::string(file_), line_, std::string(line.substr(kProves.size())), {}});
      return {};
    }
    if (line.empty() || line.starts_with('#')) return {};
    if (scenarios_.empty()) return Wrong("before the first '# proves: '");
    if (line.starts_with("  ")) return Continue(line.substr(2));
    if (line.starts_with("> ") || line.starts_with("< ")) return HeaderLine(line);
    if (line[0] == '~' || (line[0] >= '1' && line[0] <= '5')) return Expectation(line);
    TRY_VOID(EndStep());
    return Begin(line);
  }

  Result<> Begin(std::string_view line) {
    scenarios_.back().steps.emplace_back();
    step().line = line_;
    open_ = true;
    const std::string_view word = TakeWord(line);
    if (word == "AS" || word == "RESTART") {
      step().kind = word == "AS" ? ScenarioStep::Kind::kAs : ScenarioStep::Kind::kRestart;
      step().identity = line;
      open_ = false;
      return (word == "AS") == line.empty() ? Result<>(Wrong("AS NAME, or RESTART alone")) : Result<>();
    }
    if (word == "WATCH" || word == "EVENTS") {
      step().kind = word == "WATCH" ? ScenarioStep::Kind::kWatch : ScenarioStep::Kind::kEvents;
      if (line.starts_with('@')) step().watch = TakeWord(line);
      step().target = line;
      if (word == "WATCH" ? line.empty() : !line.empty() || step().watch.empty()) return Wrong("WATCH [@name] TARGET, EVENTS @name");
      return {};
    }
    step().method = word;
    for (const auto& [method, type] : kPatchTypes) {
      if (word != method) continue;
      step().method = "PATCH";
      step().headers.push_back({"Content-Type", std::string(type)});
    }
    for (const char c : step().method)
      if (c < 'A' || c > 'Z') return Wrong(Cat("not a request, an expectation or a word of scenarios: ", word));
    step().target = TakeWord(line);
    if (!step().target.starts_with('/')) return Wrong("the target must start with /");
    step().body = line;
    return {};
  }

  Result<> HeaderLine(std::string_view line) {
    const auto colon = line.find(": ");
    if (!open_ || colon == std::string_view::npos) return Wrong("a header ('> Name: value') belongs to a request");
    http::Header header{std::string(line.substr(2, colon - 2)), std::string(line.substr(colon + 2))};
    const bool answer = line[0] == '<';
    if (answer != (step().status != 0) || step().kind == ScenarioStep::Kind::kEvents) return Wrong("'>' before the status line, '<' after it");
    (answer ? step().expected_headers : step().headers).push_back(std::move(header));
    return {};
  }

  Result<> Expectation(std::string_view line) {
    if (!open_ || step().kind != ScenarioStep::Kind::kExchange || step().status != 0) return Wrong("an expectation without a request");
    step().eventually = line[0] == '~';
    if (step().eventually) line.remove_prefix(1);
    const auto status = ParseUint(TakeWord(line));
    if (!status || *status < 100 || *status > 599) return Wrong("not a status");
    step().status = static_cast<int>(*status);
    step().expected = line;
    return {};
  }

  Result<> Continue(std::string_view line) {
    if (!open_) return Wrong("a continuation of nothing");
    if (step().kind == ScenarioStep::Kind::kExchange) {
      std::string& text = step().status == 0 ? step().body : step().expected;
      if (!text.empty()) text += '\n';
      text += line;
      return {};
    }
    ScenarioEvent event;
    event.type = TakeWord(line);
    if (event.type != "ADDED" && event.type != "MODIFIED" && event.type != "DELETED" && event.type != "BOOKMARK" && event.type != "ERROR") {
      return Wrong(Cat("not a type of event: ", event.type));
    }
    if (!line.starts_with('{')) event.name = TakeWord(line);
    event.object = line;
    step().events.push_back(std::move(event));
    return {};
  }

  Result<> EndStep() {
    if (!std::exchange(open_, false)) return {};
    const bool wants_status = step().kind == ScenarioStep::Kind::kExchange, only_opens = step().kind == ScenarioStep::Kind::kWatch && !step().watch.empty();
    if (wants_status ? step().status == 0 : step().events.empty() != only_opens) {
      return Fail(Code::kInvalid, Cat(file_, ":", step().line, ": nothing is expected of this step (a named WATCH opens, EVENTS reads)"));
    }
    if (!step().expected.empty()) {
      json::Value parsed;
      std::string error;
      if (!json::Value::Parse(step().expected, &parsed, &error)) return Fail(Code::kInvalid, Cat(file_, ":", step().line, ": the expectation is no JSON: ", error));
    }
    return {};
  }

  Result<> EndScenario() {
    if (!scenarios_.empty() && scenarios_.back().steps.empty()) return Wrong(Cat("a scenario without steps: ", scenarios_.back().proves));
    return {};
  }

  const std::string_view file_;
  std::vector<Scenario> scenarios_;
  int line_ = 0;
  bool open_ = false;   // the last step may take more lines
};

}  // namespace

Result<std::vector<Scenario>> ParseScenarios(std::string_view file, std::string_view text) { return ScenarioParser(file).Parse(text); }

}  // namespace skerry::testing
