#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/table_format.h"

namespace skerry::kube::printer {

namespace {

struct Restarts {
  std::int64_t count = 0;
  std::string last;   // RFC 3339 in UTC compares as text
  void Add(const Value& status) {
    count += status["restartCount"].Int();
    last = std::max(last, std::string(status.At({"lastState", "terminated", "finishedAt"}).Str()));
  }
};

std::string TerminationReason(const Value& terminated, std::string_view prefix) {
  if (!terminated["reason"].Str().empty()) return Cat(prefix, terminated["reason"].Str());
  if (terminated["signal"].Int() != 0) return Cat(prefix, "Signal:", terminated["signal"].Int());
  return Cat(prefix, "ExitCode:", terminated["exitCode"].Int());
}

struct Progress {
  std::string reason;
  std::int64_t ready = 0, total = 0;
  Restarts restarts;
};

bool IsSidecar(const Value& spec, std::string_view name) {
  for (const auto& container : spec["initContainers"].Items())
    if (container["name"].Str() == name) return container["restartPolicy"].Str() == "Always";
  return false;
}

// Returns whether an init container still holds the pod up.
bool VisitInitContainers(const Value& spec, const Value& status, Progress& progress, Restarts& sidecars) {
  std::size_t index = 0;
  for (const auto& container : status["initContainerStatuses"].Items()) {
    const std::size_t at = index++;
    progress.restarts.Add(container);
    const bool sidecar = IsSidecar(spec, container["name"].Str());
    if (sidecar) sidecars.Add(container);
    const Value& terminated = container.At({"state", "terminated"});
    const std::string_view waiting = container.At({"state", "waiting", "reason"}).Str();
    if (!terminated.is_null() && terminated["exitCode"].Int() == 0) continue;
    if (sidecar && container["started"].Bool()) {
      progress.ready += container["ready"].Bool();
      continue;
    }
    if (!terminated.is_null()) progress.reason = TerminationReason(terminated, "Init:");
    else if (!waiting.empty() && waiting != "PodInitializing") progress.reason = Cat("Init:", waiting);
    else progress.reason = Cat("Init:", at, '/', spec["initContainers"].size());
    return true;
  }
  return false;
}

void VisitContainers(const Value& status, Progress& progress) {
  bool running = false;
  const auto statuses = status["containerStatuses"].Items();
  for (auto it = statuses.rbegin(); it != statuses.rend(); ++it) {
    const Value& state = (*it)["state"];
    progress.restarts.Add(*it);
    if (!state.At({"waiting", "reason"}).Str().empty()) progress.reason = state.At({"waiting", "reason"}).Str();
    else if (!state["terminated"].is_null()) progress.reason = TerminationReason(state["terminated"], "");
    else if ((*it)["ready"].Bool() && !state["running"].is_null()) {
      running = true;
      ++progress.ready;
    }
  }
  // One container is done, another goes on.
  if (progress.reason == "Completed" && running) progress.reason = HasCondition(status["conditions"], "Ready") ? "Running" : "NotReady";
}

Value Completed(std::string_view reason, std::string_view message) {
  Value condition = Value::Object();
  condition.Set("type") = Value("Completed");
  condition.Set("status") = Value("True");
  condition.Set("reason") = Value(reason);
  condition.Set("message") = Value(message);
  Value out = Value::Array();
  out.Append(std::move(condition));
  return out;
}

Value ReadinessGates(const Value& spec, const Value& status) {
  const Value& gates = spec["readinessGates"];
  if (gates.size() == 0) return Value("<none>");
  std::size_t passed = 0;
  for (const auto& gate : gates.Items()) passed += HasCondition(status["conditions"], gate["conditionType"].Str());
  return Value(Cat(passed, '/', gates.size()));
}

}  // namespace

void PrintPod(Row& row) {
  const Value& spec = row.object["spec"];
  const Value& status = row.object["status"];
  const std::string_view phase = status["phase"].Str();
  Progress progress;
  progress.reason = status["reason"].Str().empty() ? phase : status["reason"].Str();
  for (const auto& condition : status["conditions"].Items())
    if (condition["type"].Str() == "PodScheduled" && condition["reason"].Str() == "SchedulingGated") progress.reason = "SchedulingGated";
  if (phase == "Succeeded") row.conditions = Completed("Succeeded", "The pod has completed successfully.");
  if (phase == "Failed") row.conditions = Completed("Failed", "The pod failed.");

  progress.total = static_cast<std::int64_t>(spec["containers"].size());
  for (const auto& container : spec["initContainers"].Items()) progress.total += container["restartPolicy"].Str() == "Always";
  Restarts sidecars;
  const bool initializing = VisitInitContainers(spec, status, progress, sidecars);
  if (!initializing || HasCondition(status["conditions"], "Initialized")) {
    progress.restarts = sidecars;
    VisitContainers(status, progress);
  }
  if (!row.object.At({"metadata", "deletionTimestamp"}).is_null()) {
    if (status["reason"].Str() == "NodeLost") progress.reason = "Unknown";
    else if (phase != "Succeeded" && phase != "Failed") progress.reason = "Terminating";
  }
  std::string restarts = Cat(progress.restarts.count);
  if (progress.restarts.count != 0 && !progress.restarts.last.empty()) restarts += Cat(" (", row.Since(Value(progress.restarts.last)), " ago)");

  row.AddName().Add(Value(Cat(progress.ready, '/', progress.total))).Add(Value(progress.reason)).Add(Value(restarts)).AddAge();
  const auto ips = status["podIPs"].Items();
  static const Value kNone;
  row.AddText(ips.empty() ? kNone : ips[0]["ip"], "<none>").AddText(spec["nodeName"], "<none>").AddText(status["nominatedNodeName"], "<none>");
  row.Add(ReadinessGates(spec, status));
}

}  // namespace skerry::kube::printer
