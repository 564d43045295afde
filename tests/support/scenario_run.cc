#include <condition_variable>
#include <mutex>

#include "core/base/strings.h"
#include "tests/support/scenario.h"

namespace skerry::testing {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(30);   // for what should come at once: a busy machine is no failure

// The events of one watch. The source's owner may be any one thread; this one.
class WatchReader {
 public:
  explicit WatchReader(std::unique_ptr<http::Source> source) : source_(std::move(source)), signal_(std::make_shared<Signal>()) {
    source_->OnReady([signal = signal_] {
      { std::lock_guard lock(signal->mutex); signal->ready = true; }
      signal->changed.notify_one();
    });
  }

  // kTimeout: nothing came; kCancelled: the watch has ended.
  Result<json::Value> Next(Clock::time_point deadline) {
    for (;;) {
      if (const auto end = buffer_.find('\n'); end != std::string::npos) {
        const std::string line = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        json::Value event;
        std::string error;
        if (!json::Value::Parse(line, &event, &error)) return Fail(Code::kInternal, Cat("not an event: ", line));
        return event;
      }
      TRY(const Bytes bytes, source_->Next());
      if (!bytes.view().empty()) {
        buffer_ += bytes.view();
        continue;
      }
      std::unique_lock lock(signal_->mutex);
      if (!signal_->changed.wait_until(lock, deadline, [&] { return signal_->ready; })) return Fail(Code::kTimeout, "no event came");
      signal_->ready = false;
    }
  }

 private:
  struct Signal {
    std::mutex mutex;
    std::condition_variable changed;
    bool ready = false;   // guarded
  };
  std::unique_ptr<http::Source> source_;
  std::shared_ptr<Signal> signal_;   // shared with the source, which may call after us
  std::string buffer_;
};

class ScenarioRun {
 public:
  ScenarioRun(const Scenario& scenario, ScenarioServer& server, std::string_view ns, Restarts restarts)
      : scenario_(scenario), server_(server), restarts_(restarts) {
    captures_["ns"] = ns;
  }

  std::string Run() {
    const Answer made = server_.Call("POST", "/api/v1/namespaces", Cat(R"({"metadata":{"name":")", captures_["ns"], R"("}})"), {}, Api::As::kAdmin);
    if (made.status != 201) return Cat(scenario_.file, ":", scenario_.line, ": the scenario's namespace: ", made.text);
    const std::size_t restart_after = scenario_.steps.size() / 2;
    for (std::size_t i = 0; i < scenario_.steps.size(); ++i) {
      const ScenarioStep& step = scenario_.steps[i];
      auto wrong = RunStep(step);
      if (!wrong.empty()) return Cat(scenario_.file, ":", step.line, ": ", step.method, step.method.empty() ? "" : " ", Fill(step.target, captures_), ": ", wrong);
      const bool due = restarts_ == Restarts::kAfterEveryExchange || (restarts_ == Restarts::kOncePerScenario && i + 1 == restart_after);
      if (due && watches_.empty()) server_.Restart();
    }
    return {};
  }

 private:
  std::string RunStep(const ScenarioStep& step) {
    switch (step.kind) {
      case ScenarioStep::Kind::kExchange: return Exchange(step);
      case ScenarioStep::Kind::kWatch: return Watch(step);
      case ScenarioStep::Kind::kEvents: return watches_.contains(step.watch) ? ReadEvents(*watches_[step.watch], step) : "no such watch";
      case ScenarioStep::Kind::kAs: identity_ = Fill(step.identity, captures_); return {};
      case ScenarioStep::Kind::kRestart:
        if (!watches_.empty()) return "a watch is open";
        server_.Restart();
        return {};
    }
    return {};
  }

  // Anybody but the administrator and the anonymous is impersonated.
  Answer Send(const ScenarioStep& step, std::string_view method) {
    http::Headers headers;
    for (const auto& header : step.headers) headers.push_back({header.name, Fill(header.value, captures_)});
    if (identity_ != "admin" && identity_ != "anonymous") {
      const auto names = Split(identity_, ',');
      headers.push_back({"Impersonate-User", std::string(names[0])});
      for (std::size_t i = 1; i < names.size(); ++i) headers.push_back({"Impersonate-Group", std::string(names[i])});
    }
    return server_.Call(method, Fill(step.target, captures_), Fill(step.body, captures_), std::move(headers),
                        identity_ == "anonymous" ? Api::As::kAnonymous : Api::As::kAdmin);
  }

  std::string Compare(const ScenarioStep& step, const Answer& answer, Captures& captures) {
    if (answer.status != step.status) return Cat("expected ", step.status, ", got ", answer.status, " ", std::string_view(answer.text).substr(0, 800));
    for (const auto& header : step.expected_headers) {
      const json::Value got(answer.Header(header.name)), want(header.value);
      const bool absent = header.value == "<absent>";
      if (absent ? !got.Str().empty() : !Mismatch(want, got, captures).empty()) return Cat("header ", header.name, ": expected ", Fill(header.value, captures), ", got \"", got.Str(), "\"");
    }
    if (step.expected.empty()) return {};
    json::Value want;
    if (!json::Value::Parse(step.expected, &want, nullptr)) return "the expectation is no JSON";
    // A text in quotes is compared with an answer that is no JSON.
    const json::Value text(answer.text);
    return Mismatch(want, answer.body.is_null() && want.is_string() ? text : answer.body, captures);
  }

  std::string Exchange(const ScenarioStep& step) {
    const auto deadline = Clock::now() + kPatience;
    std::mutex mutex;
    std::condition_variable pause;
    for (;;) {
      Captures captures = captures_;
      auto wrong = Compare(step, Send(step, step.method), captures);
      if (wrong.empty()) captures_ = std::move(captures);
      if (wrong.empty() || !step.eventually || Clock::now() >= deadline) return wrong;
      std::unique_lock lock(mutex);
      pause.wait_for(lock, std::chrono::milliseconds(20));   // between two questions; nothing announces the answer
    }
  }

  std::string Watch(const ScenarioStep& step) {
    ScenarioStep asked = step;
    asked.target += asked.target.find('?') == std::string::npos ? "?watch=1" : "&watch=1";
    Answer answer = Send(asked, "GET");
    if (!answer.source) return Cat("expected a watch, got ", answer.status, " ", answer.text);
    auto reader = std::make_unique<WatchReader>(std::move(answer.source));
    if (!step.watch.empty()) {
      watches_[step.watch] = std::move(reader);
      return {};
    }
    return ReadEvents(*reader, step);
  }

  // Exactly these, in this order; what comes behind the last stays unread.
  std::string ReadEvents(WatchReader& reader, const ScenarioStep& step) {
    const auto deadline = Clock::now() + kPatience;
    for (const ScenarioEvent& expected : step.events) {
      const std::string name = Fill(expected.name, captures_);
      auto event = reader.Next(deadline);
      const auto expectation = Cat("expected ", expected.type, " ", name);
      if (!event) return Cat(expectation, ": ", event.error().message());
      if ((*event)["type"].Str() != expected.type || (!name.empty() && event->At({"object", "metadata", "name"}).Str() != name)) {
        return Cat(expectation, ", got ", event->Dump().substr(0, 600));
      }
      if (expected.object.empty()) continue;
      json::Value want;
      if (!json::Value::Parse(expected.object, &want, nullptr)) return Cat(expectation, ": the object is no JSON");
      auto wrong = Mismatch(want, (*event)["object"], captures_);
      if (!wrong.empty()) return Cat(expectation, ": ", wrong);
    }
    return {};
  }

  const Scenario& scenario_;
  ScenarioServer& server_;
  const Restarts restarts_;
  std::string identity_ = "admin";
  Captures captures_;
  std::map<std::string, std::unique_ptr<WatchReader>> watches_;
};

}  // namespace

std::string RunScenario(const Scenario& scenario, ScenarioServer& server, std::string_view ns, Restarts restarts) {
  return ScenarioRun(scenario, server, ns, restarts).Run();
}

}  // namespace skerry::testing
