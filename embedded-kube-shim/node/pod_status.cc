#include "embedded-kube-shim/node/pod_status.h"

#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

namespace skerry::kube::node {
namespace {

using container::State;

bool IsSidecar(const json::Value& c) { return c["restartPolicy"].Str() == "Always"; }
bool Ended(const ContainerView& v) { return v.current && (v.current->state == State::kExited || v.current->state == State::kUnknown); }
bool Running(const ContainerView& v) { return v.current && v.current->state == State::kRunning; }

const ContainerView& ViewOf(const StatusInput& in, const json::Value& c) {
  static const ContainerView none;
  const auto it = in.containers.find(std::string(c["name"].Str()));
  return it == in.containers.end() ? none : it->second;
}

// Has this container ended for good? An exit that the restart policy repairs does not count.
bool Done(const StatusInput& in, const ContainerView& v) {
  if (!Ended(v)) return false;
  if (!in.failed_reason.empty() || IsTerminating(in.pod)) return true;
  if (v.waiting) return false;
  const std::string_view policy = in.pod["spec"]["restartPolicy"].Str("Always");
  return policy == "Never" || (policy == "OnFailure" && v.current->exit_code == 0);
}

std::string IdOf(const StatusInput& in, const std::string& id) { return in.runtime_name + "://" + id; }

json::Value Terminated(const StatusInput& in, const container::ContainerStatus& c, const std::string& message) {
  json::Value t;
  t.Set("exitCode") = c.exit_code;
  std::string reason = c.reason;
  if (reason.empty()) reason = c.exit_code == 0 ? "Completed" : "Error";
  t.Set("reason") = reason;
  const std::string& text = message.empty() ? c.message : message;
  if (!text.empty()) t.Set("message") = text;
  t.Set("startedAt") = c.started.time_since_epoch().count() ? json::Value(FormatTime(c.started)) : json::Value();
  t.Set("finishedAt") = c.finished.time_since_epoch().count() ? json::Value(FormatTime(c.finished)) : json::Value();
  t.Set("containerID") = IdOf(in, c.id);
  return t;
}

json::Value StateOf(const StatusInput& in, const ContainerView& v, std::string_view default_wait) {
  json::Value s;
  if (v.waiting) {
    s.Set("waiting").Set("reason") = v.waiting->reason;
    if (!v.waiting->message.empty()) s.Set("waiting").Set("message") = v.waiting->message;
  } else if (Running(v)) {
    s.Set("running").Set("startedAt") = FormatTime(v.current->started);
  } else if (Ended(v)) {
    s.Set("terminated") = Terminated(in, *v.current, v.termination_message);
  } else {
    s.Set("waiting").Set("reason") = default_wait;
  }
  return s;
}

json::Value ContainerStatusOf(const StatusInput& in, const json::Value& c, std::string_view default_wait) {
  const ContainerView& v = ViewOf(in, c);
  json::Value s;
  s.Set("name") = c["name"].Str();
  s.Set("state") = StateOf(in, v, default_wait);
  json::Value last = json::Value::Object();
  if (v.waiting && Ended(v)) {
    last.Set("terminated") = Terminated(in, *v.current, v.termination_message);   // it ended and waits to run again
  } else if (v.previous) {
    last.Set("terminated") = Terminated(in, *v.previous, v.previous_message);
  }
  s.Set("lastState") = std::move(last);
  s.Set("ready") = v.ready;
  s.Set("restartCount") = v.restarts;
  s.Set("image") = v.current && !v.current->image_name.empty() ? std::string(v.current->image_name) : std::string(c["image"].Str());
  s.Set("imageID") = v.current ? (v.current->image_digest.empty() ? v.current->image_id : v.current->image_digest) : std::string();
  if (v.current) s.Set("containerID") = IdOf(in, v.current->id);
  s.Set("started") = v.started;
  if (const json::Value& resources = c["resources"]; resources.size() > 0) {
    if (const json::Value* requests = resources.Find("requests")) s.Set("allocatedResources") = requests->Clone();
    s.Set("resources") = resources.Clone();
  } else {
    s.Set("resources") = json::Value::Object();
  }
  if (const json::Value& mounts = c["volumeMounts"]; mounts.size() > 0) {
    for (const json::Value& m : mounts.Items()) {
      json::Value mount;
      mount.Set("name") = m["name"].Str();
      mount.Set("mountPath") = m["mountPath"].Str();
      if (m["readOnly"].Bool()) {
        mount.Set("readOnly") = true;
        mount.Set("recursiveReadOnly") = "Disabled";
      }
      s.Set("volumeMounts").Append(std::move(mount));
    }
  }
  return s;
}

bool InitDone(const StatusInput& in, const json::Value& c) {
  const ContainerView& v = ViewOf(in, c);
  if (IsSidecar(c)) return v.started;
  return Ended(v) && v.current->exit_code == 0 && !v.waiting;
}

void PutCondition(json::Value& status, const StatusInput& in, std::string_view type, bool value, std::string_view reason, std::string_view message) {
  const std::string_view text = value ? "True" : "False";
  const json::Value* old = FindCondition(in.pod["status"], type);
  json::Value c;
  c.Set("type") = type;
  c.Set("observedGeneration") = Meta(in.pod)["generation"].Int();
  c.Set("status") = text;
  c.Set("lastProbeTime") = json::Value();
  c.Set("lastTransitionTime") = old && (*old)["status"].Str() == text ? std::string((*old)["lastTransitionTime"].Str()) : FormatTime(in.now);
  if (!reason.empty()) c.Set("reason") = reason;
  if (!message.empty()) c.Set("message") = message;
  status.Set("conditions").Append(std::move(c));
}

std::string Names(const std::vector<std::string>& names) { return "[" + Join(names, " ") + "]"; }

void PutConditions(json::Value& status, const StatusInput& in, Phase phase) {
  static constexpr std::string_view kOwn[] = {"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled", "PodResizePending", "PodResizeInProgress"};
  const json::Value& spec = in.pod["spec"];
  PutCondition(status, in, "PodReadyToStartContainers", in.sandbox_ready, "", "");
  std::vector<std::string> incomplete, unready;
  for (const json::Value& c : spec["initContainers"].Items()) {
    if (!InitDone(in, c)) incomplete.emplace_back(c["name"].Str());
    if (IsSidecar(c) && !ViewOf(in, c).ready) unready.emplace_back(c["name"].Str());
  }
  for (const json::Value& c : spec["containers"].Items()) {
    if (!ViewOf(in, c).ready) unready.emplace_back(c["name"].Str());
  }
  const bool finished = phase == Phase::kSucceeded || phase == Phase::kFailed;
  const std::string_view done = phase == Phase::kSucceeded ? "PodCompleted" : "PodFailed";
  if (phase == Phase::kSucceeded) {
    PutCondition(status, in, "Initialized", true, "PodCompleted", "");
  } else if (incomplete.empty()) {
    PutCondition(status, in, "Initialized", true, "", "");
  } else {
    PutCondition(status, in, "Initialized", false, "ContainersNotInitialized", "containers with incomplete status: " + Names(incomplete));
  }
  const std::string message = "containers with unready status: " + Names(unready);
  std::vector<std::string> gates;
  for (const json::Value& gate : spec["readinessGates"].Items()) {
    const json::Value* c = FindCondition(in.pod["status"], gate["conditionType"].Str());
    if (!c || (*c)["status"].Str() != "True") gates.push_back(Cat("corresponding condition of pod readiness gate ", Quote(gate["conditionType"].Str()), " does not exist."));
  }
  if (finished) {
    PutCondition(status, in, "Ready", false, done, "");
    PutCondition(status, in, "ContainersReady", false, done, "");
  } else if (!unready.empty()) {
    PutCondition(status, in, "Ready", false, "ContainersNotReady", message);
    PutCondition(status, in, "ContainersReady", false, "ContainersNotReady", message);
  } else {
    PutCondition(status, in, "Ready", gates.empty(), gates.empty() ? "" : "ReadinessGatesNotReady", gates.empty() ? "" : Join(gates, ", "));
    PutCondition(status, in, "ContainersReady", true, "", "");
  }
  PutCondition(status, in, "PodScheduled", true, "", "");
  if (in.resize_pending) PutCondition(status, in, "PodResizePending", true, in.resize_pending->reason, in.resize_pending->message);
  if (in.resize_error) PutCondition(status, in, "PodResizeInProgress", true, in.resize_error->reason, in.resize_error->message);
  const bool evicted = in.failed_reason == "Evicted";
  if (evicted) PutCondition(status, in, "DisruptionTarget", true, "TerminationByKubelet", in.failed_message);
  for (const json::Value& c : in.pod["status"]["conditions"].Items()) {
    if (evicted && c["type"].Str() == "DisruptionTarget") continue;
    if (std::find(std::begin(kOwn), std::end(kOwn), c["type"].Str()) == std::end(kOwn)) status.Set("conditions").Append(c.Clone());
  }
}

}  // namespace

// A container that has not started yet keeps the pod pending, also beside others that run; one that ended and will start again does not.
Phase PhaseOf(const StatusInput& in) {
  const json::Value& spec = in.pod["spec"];
  int running = 0, waiting = 0, stopped = 0, done = 0, failed = 0, total = 0;
  for (const json::Value& c : spec["containers"].Items()) {
    const ContainerView& v = ViewOf(in, c);
    ++total;
    if (Running(v)) {
      ++running;
    } else if (Ended(v)) {
      ++stopped;
      done += Done(in, v);
      failed += Done(in, v) && v.current->exit_code != 0;
    } else if (v.restarts == 0) {
      ++waiting;                                       // with a count it ran in an earlier sandbox
    }
  }
  bool initializing = false, init_failed = false;
  for (const json::Value& c : spec["initContainers"].Items()) {
    const ContainerView& v = ViewOf(in, c);
    if (!IsSidecar(c)) {
      if (Ended(v) && v.current->exit_code != 0 && spec["restartPolicy"].Str() == "Never") init_failed = true;
      initializing |= !(Ended(v) && v.current->exit_code == 0);
    } else {
      initializing |= !v.started && running == 0 && stopped == 0;
    }
  }
  if (!in.failed_reason.empty()) return Phase::kFailed;
  if (init_failed) return Phase::kFailed;
  if (done == total && total > 0) return failed == 0 ? Phase::kSucceeded : Phase::kFailed;
  if (initializing && running == 0 && stopped == 0) return Phase::kPending;
  return waiting > 0 ? Phase::kPending : Phase::kRunning;
}

json::Value MakeStatus(const StatusInput& in) {
  static constexpr const char* kPhases[] = {"Pending", "Running", "Succeeded", "Failed"};
  static constexpr const char* kQos[] = {"Guaranteed", "Burstable", "BestEffort"};
  const json::Value& spec = in.pod["spec"];
  const json::Value& old = in.pod["status"];
  const Phase outcome = PhaseOf(in);
  const bool ending = in.containers_alive && (outcome == Phase::kSucceeded || outcome == Phase::kFailed);
  const Phase phase = ending ? (old["phase"].Str() == "Pending" ? Phase::kPending : Phase::kRunning) : outcome;
  json::Value s;
  s.Set("observedGeneration") = Meta(in.pod)["generation"].Int();
  s.Set("phase") = kPhases[static_cast<int>(phase)];
  PutConditions(s, in, phase);
  if (!in.failed_reason.empty() && !ending) {
    s.Set("reason") = in.failed_reason;
    if (!in.failed_message.empty()) s.Set("message") = in.failed_message;
  }
  s.Set("hostIP") = in.host_ip;
  s.Set("hostIPs").Append(json::Value()).Set("ip") = in.host_ip;
  const std::string ip = in.pod_ip.empty() ? std::string(old["podIP"].Str()) : in.pod_ip;
  if (!ip.empty()) {
    s.Set("podIP") = ip;
    s.Set("podIPs").Append(json::Value()).Set("ip") = ip;
  }
  s.Set("startTime") = old["startTime"].Str().empty() ? FormatTime(in.now) : std::string(old["startTime"].Str());
  s.Set("qosClass") = kQos[static_cast<int>(QosOf(in.pod))];
  if (in.refused) return s;
  bool init_done = true;
  for (const json::Value& c : spec["initContainers"].Items()) {
    s.Set("initContainerStatuses").Append(ContainerStatusOf(in, c, "PodInitializing"));
    init_done &= InitDone(in, c);
  }
  for (const json::Value& c : spec["containers"].Items()) s.Set("containerStatuses").Append(ContainerStatusOf(in, c, init_done ? "ContainerCreating" : "PodInitializing"));
  for (const json::Value& c : spec["ephemeralContainers"].Items()) s.Set("ephemeralContainerStatuses").Append(ContainerStatusOf(in, c, "ContainerCreating"));
  return s;
}

}  // namespace skerry::kube::node
