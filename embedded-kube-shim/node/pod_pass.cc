#include "embedded-kube-shim/node/pod_pass.h"

#include <algorithm>

#include "core/base/fault.h"
#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/container/log.h"
#include "core/process/mounts.h"
#include "core/telemetry/log.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

namespace skerry::kube::node {
namespace {

constexpr std::size_t kMessageBytes = 4096, kFallbackBytes = 2048;
constexpr std::int64_t kFallbackLines = 80;

int NumberOf(const container::StringMap& labels) {
  const auto it = labels.find(kContainerAttempt);
  return it == labels.end() ? 0 : static_cast<int>(ParseInt(it->second).value_or(0));
}

std::string LabelOf(const container::StringMap& labels, const char* name) {
  const auto it = labels.find(name);
  return it == labels.end() ? std::string() : it->second;
}

}  // namespace

PodPass::PodPass(const Ctx& ctx, const WorkerEnvironment& env, PassTools tools, std::shared_ptr<PodState> state, ObjectPtr pod)
    : ctx_(ctx), env_(env), tools_(std::move(tools)), state_(std::move(state)), pod_(std::move(pod)) {
  node_ = tools_.nodes.Get({"", env_.node_name});
  if (!node_) node_ = std::make_shared<json::Value>();
  place_.directory = env_.data_directory + "/pods/" + state_->uid;
  place_.log_directory = Cat(env_.data_directory, "/logs/", state_->key.ns, "_", state_->key.name, "_", state_->uid);
}

Result<PassResult> PodPass::Run() {
  TRY_VOID(Load());
  if (!pod_ || IsTerminating(*pod_) || !state_->failed_reason.empty() || Overdue() || state_->terminating) return Finish();
  if (IsPodFinished(*pod_) && (!AnyAlive() || state_->adopted)) {
    // Whatever decided so (a deadline, an eviction) did it before this agent started; its words stay.
    if (state_->failed_reason.empty() && Pod()["status"]["phase"].Str() == "Failed") {
      state_->failed_reason = Pod()["status"]["reason"].Str();
      state_->failed_message = Pod()["status"]["message"].Str();
    }
    return Finish();
  }
  return RunActive();
}

Result<> PodPass::Load() {
  if (state_->sandbox_id.empty()) return {};
  auto sandbox = env_.runtime.InspectSandbox(state_->sandbox_id);
  if (!sandbox && sandbox.error().code() != Code::kNotFound) return std::unexpected(std::move(sandbox).error());
  sandbox_ready_ = sandbox && sandbox->ready;
  netns_path_ = sandbox ? sandbox->netns_path : "";
  attempts_.clear();
  TRY(std::vector<container::ContainerStatus> all, env_.runtime.ListContainers(state_->sandbox_id));
  for (container::ContainerStatus& s : all) {
    Attempt a;
    const std::string name = LabelOf(s.labels, kContainerName), kind = LabelOf(s.labels, kContainerKind);
    a.kind = kind == "init" ? ContainerKind::kInit : kind == "ephemeral" ? ContainerKind::kEphemeral : ContainerKind::kContainer;
    a.number = NumberOf(s.labels);
    a.status = std::move(s);
    if (a.status.state != container::State::kRunning) tools_.prober.Forget(a.status.id);
    attempts_[name].push_back(std::move(a));
  }
  for (auto& [name, list] : attempts_) std::sort(list.begin(), list.end(), [](const Attempt& a, const Attempt& b) { return a.number < b.number; });
  if (!pod_) return {};
  BindSpecs();
  return {};
}

void PodPass::BindSpecs() {
  for (auto& [name, list] : attempts_) {
    for (Attempt& a : list) a.spec = nullptr;
  }
  for (const char* kind : {"initContainers", "containers", "ephemeralContainers"}) {
    for (const json::Value& c : Pod()["spec"][kind].Items()) {
      const auto it = attempts_.find(c["name"].Str());
      if (it == attempts_.end()) continue;
      for (Attempt& a : it->second) a.spec = &c;
    }
  }
}

PodPass::Attempt* PodPass::Latest(std::string_view name) {
  const auto it = attempts_.find(name);
  return it == attempts_.end() || it->second.empty() ? nullptr : &it->second.back();
}

const PodPass::Attempt* PodPass::Previous(std::string_view name) const {
  const auto it = attempts_.find(name);
  return it == attempts_.end() || it->second.size() < 2 ? nullptr : &it->second[it->second.size() - 2];
}

bool PodPass::AnyAlive() const {
  return std::any_of(attempts_.begin(), attempts_.end(), [](const auto& list) {
    return std::any_of(list.second.begin(), list.second.end(), [](const Attempt& a) { return a.status.state == container::State::kRunning; });
  });
}

void PodPass::Again(std::chrono::milliseconds after) {
  after = std::max(after, std::chrono::milliseconds(1));
  if (!outcome_.requeue_after || after < *outcome_.requeue_after) outcome_.requeue_after = after;
}

std::string PodPass::FieldPath(const json::Value& c, ContainerKind kind) const {
  return Cat(kind == ContainerKind::kInit ? "spec.initContainers{" : kind == ContainerKind::kEphemeral ? "spec.ephemeralContainers{" : "spec.containers{", c["name"].Str(), "}");
}

Sources PodPass::MakeSources() const {
  return {tools_.config_maps, tools_.secrets, tools_.services, node_, env_.node_ip(), state_->pod_ip, &env_.informers.Get("v1/persistentvolumeclaims"), &env_.informers.Get("v1/persistentvolumes")};
}

bool PodPass::Overdue() {
  const json::Value& limit = Pod()["spec"]["activeDeadlineSeconds"];
  const auto start = ParseTime(Pod()["status"]["startTime"].Str());
  if (!limit.is_int() || !start || IsPodFinished(Pod())) return false;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*start + std::chrono::seconds(limit.Int()) - env_.clock.Now());
  if (left.count() > 0) {
    Again(left);
    return false;
  }
  if (!state_->failed_reason.empty()) return true;
  state_->failed_reason = "DeadlineExceeded";
  state_->failed_message = "Pod was active on the node longer than the specified deadline";
  env_.events.Event(Pod(), "Normal", "DeadlineExceeded", state_->failed_message);
  return true;
}

Result<PassResult> PodPass::RunActive() {
  state_->waiting.clear();
  auto prepared = Prepare();
  Result<> failure;
  if (!prepared) {
    failure = std::unexpected(std::move(prepared).error());
  } else if (*prepared) {
    bool initialized = false;
    TRY_VOID(Resize());
    failure = RunInit(&initialized);
    if (failure && initialized) failure = RunContainers();
  }
  TRY_VOID(WriteStatus());
  if (!failure) return std::unexpected(std::move(failure).error());
  const Phase phase = PhaseOf(MakeInput());
  if (phase == Phase::kSucceeded || phase == Phase::kFailed) return Finish();   // sidecars end now
  if (state_->renew_tokens) Again(std::chrono::duration_cast<std::chrono::milliseconds>(*state_->renew_tokens - env_.clock.Now()) + std::chrono::seconds(1));
  return PassResult{outcome_, false};
}

// Ends what runs, then takes the pod off this node. A pod that ended by itself keeps its containers (for logs) until it is deleted.
Result<PassResult> PodPass::Finish() {
  if (AnyAlive()) {
    state_->terminating = true;
    TRY_VOID(Terminate());
    TRY_VOID(Load());
    if (AnyAlive()) {
      if (pod_) TRY_VOID(WriteStatus());
      return PassResult{outcome_, false};
    }
  }
  if (pod_ && !state_->final_status_written) {
    TRY_VOID(WriteStatus());
    state_->final_status_written = true;
  }
  if (pod_ && !IsTerminating(*pod_)) {
    // Its address and volumes are free now; the exited containers stay for `kubectl logs`.
    if (!state_->sandbox_id.empty()) TRY_VOID(env_.network.Detach(state_->sandbox_id));
    state_->network_ready = false;
    return PassResult{outcome_, false};
  }
  SKERRY_FAULT("node.stop.after_containers");
  TRY_VOID(RemoveEverything());
  SKERRY_FAULT("node.stop.before_delete");
  if (!pod_) return PassResult{outcome_, true};
  DeleteOptions options;
  options.uid = state_->uid;
  options.grace_seconds = 0;
  auto deleted = env_.client.Delete(ctx_, "v1/pods", state_->key, options);
  if (!deleted && deleted.error().code() != Code::kNotFound && deleted.error().code() != Code::kConflict) return std::unexpected(std::move(deleted).error());
  return PassResult{outcome_, true};
}

Result<> PodPass::RemoveEverything() {
  for (const auto& [name, list] : attempts_) {
    for (const Attempt& a : list) tools_.prober.Forget(a.status.id);
  }
  if (!state_->sandbox_id.empty()) {
    TRY_VOID(env_.network.Detach(state_->sandbox_id));
    SKERRY_FAULT("node.stop.after_network");
    TRY_VOID(env_.runtime.RemoveSandbox(ctx_, state_->sandbox_id));
    SKERRY_FAULT("node.stop.after_sandbox");
  }
  for (const auto& [name, list] : attempts_) {
    for (const Attempt& a : list) TRY_VOID(env_.runtime.RemoveContainer(ctx_, a.status.id));
  }
  TRY_VOID(RemovePodDirectory(ctx_, place_.directory, env_.runtime.images()));
  SKERRY_FAULT("node.stop.after_volumes");
  return process::RemoveTree(place_.log_directory);
}

std::string PodPass::TerminationMessage(const Attempt& a) const {
  if (a.status.state != container::State::kExited) return {};
  auto text = ReadFile(Cat(place_.directory, "/containers/", a.status.id, "/termination-log"), 1 << 20);
  if (text && !text->empty()) {
    if (text->size() > kMessageBytes) text->erase(0, text->size() - kMessageBytes);
    return std::move(*text);
  }
  if (!a.spec || (*a.spec)["terminationMessagePolicy"].Str() != "FallbackToLogsOnError" || a.status.exit_code == 0) return {};
  container::LogOptions options;
  options.tail_lines = kFallbackLines;
  auto log = container::ReadLog(a.status.log_path, options);
  if (!log) return {};
  if (log->size() > kFallbackBytes) log->erase(0, log->size() - kFallbackBytes);
  return std::move(*log);
}

StatusInput PodPass::MakeInput() {
  // Told with the resources that it has, not with those that it would like.
  granted_ = state_->granted.empty() ? nullptr : std::make_shared<json::Value>(Granted());
  StatusInput in{granted_ ? *granted_ : Pod(), {}, env_.runtime.Info().name, env_.node_ip(), state_->pod_ip, sandbox_ready_ && state_->network_ready, AnyAlive(), state_->failed_reason,
                 state_->failed_message, env_.clock.Now()};
  in.refused = state_->refused;
  in.resize_pending = state_->resize_pending;
  in.resize_error = state_->resize_error;
  if (Pod()["spec"]["hostNetwork"].Bool()) in.pod_ip = env_.node_ip();
  for (const auto& [name, list] : attempts_) {
    const Attempt& a = list.back();
    ContainerView v;
    v.current = &a.status;
    v.restarts = a.number;
    v.termination_message = TerminationMessage(a);
    if (const Attempt* p = Previous(name)) {
      v.previous = &p->status;
      v.previous_message = TerminationMessage(*p);
    }
    if (a.status.state == container::State::kRunning) {
      const ProbeResults r = tools_.prober.Results(a.status.id);
      v.started = r.started;
      v.ready = r.started && r.ready;
      if (a.spec && a.kind == ContainerKind::kInit && (*a.spec)["restartPolicy"].Str() != "Always") v.ready = false;
    } else if (a.kind == ContainerKind::kInit && a.status.state == container::State::kExited && a.status.exit_code == 0) {
      v.ready = true;
    }
    in.containers[name] = std::move(v);
  }
  for (const char* list : {"containers", "initContainers"}) {
    for (const json::Value& c : Pod()["spec"][list].Items()) {
      const std::string name(c["name"].Str());
      if (!attempts_.contains(name)) in.containers[name].restarts = FirstNumber(name);
    }
  }
  for (const auto& [name, wait] : state_->waiting) {
    const auto it = attempts_.find(name);
    if (it == attempts_.end() || it->second.back().status.state != container::State::kRunning) in.containers[name].waiting = wait;
  }
  return in;
}

Result<> PodPass::WriteStatus() {
  json::Value status = MakeStatus(MakeInput());
  const json::Value& old = Pod()["status"];
  for (const char* kept : {"nominatedNodeName", "resize", "resourceClaimStatuses", "extendedResourceClaimStatus"}) {
    if (const json::Value* v = old.Find(kept)) status.Set(kept) = v->Clone();
  }
  if (status == old) return {};
  json::Value next = Pod().Clone();
  next.Set("status") = std::move(status);
  auto written = env_.client.Update(ctx_, "v1/pods", std::move(next), "status");
  if (written) {
    pod_ = *written;
    BindSpecs();
    return {};
  }
  if (written.error().code() == Code::kNotFound) return {};
  return std::unexpected(std::move(written).error());
}

PodView PodPass::View() const {
  PodView v;
  v.uid = state_->uid;
  v.sandbox_id = sandbox_ready_ ? state_->sandbox_id : "";
  v.pod_ip = state_->pod_ip;
  for (const auto& [name, list] : attempts_) {
    v.containers[name] = list.back().status.id;
    v.logs[name] = list.back().status.log_path;
    if (list.size() > 1) v.previous[name] = list[list.size() - 2].status.log_path;
  }
  return v;
}

}  // namespace skerry::kube::node
