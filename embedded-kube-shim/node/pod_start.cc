#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "core/base/fault.h"
#include "core/base/files.h"
#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/node/pod_pass.h"

// The half of a pass that brings things up.
namespace skerry::kube::node {
namespace {

constexpr std::chrono::seconds kFirstCrash{10}, kLastCrash{300};
constexpr std::chrono::minutes kLongRun{10};          // having run this long, a crash counts as the first again

std::chrono::seconds CrashDelay(int crashes) {
  auto d = kFirstCrash;
  for (int i = 1; i < crashes && d < kLastCrash; ++i) d *= 2;
  return std::min(d, kLastCrash);
}

bool IsSidecar(const json::Value& c) { return c["restartPolicy"].Str() == "Always"; }

}  // namespace

Result<bool> PodPass::Prepare() {
  TRY_VOID(MakeDirectories(place_.directory, 0750));
  TRY_VOID(MakeDirectories(place_.log_directory, 0755));
  const std::string inputs = VolumeInputs(Pod(), MakeSources());
  const bool renew = state_->renew_tokens && env_.clock.Now() >= *state_->renew_tokens;
  if (state_->volume_inputs != inputs || renew) {
    state_->volume_inputs.clear();
    auto volumes = SetUpVolumes(ctx_, Pod(), place_.directory, MakeSources(), env_.tokens, env_.runtime.images());
    if (!volumes) {
      env_.events.Event(Pod(), "Warning", "FailedMount", std::string(volumes.error().message()));
      return std::unexpected(std::move(volumes).error());
    }
    state_->volumes = std::move(*volumes);
    state_->volume_inputs = inputs;
  }
  volumes_ = state_->volumes;
  state_->renew_tokens = volumes_.renew_at;
  SKERRY_FAULT("node.start.after_volumes");
  return EnsureSandbox();
}

Result<bool> PodPass::EnsureSandbox() {
  if (!state_->sandbox_id.empty() && !sandbox_ready_) {
    // Its namespaces are gone (a reboot, a killed pause process): all containers start anew in another one.
    env_.events.Event(Pod(), "Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.");
    TRY_VOID(env_.network.Detach(state_->sandbox_id));
    for (const auto& [name, list] : attempts_) {
      for (const Attempt& a : list) tools_.prober.Forget(a.status.id);
      state_->next_number[name] = list.back().number + 1;
    }
    TRY_VOID(env_.runtime.RemoveSandbox(ctx_, state_->sandbox_id));
    attempts_.clear();
    state_->sandbox_id.clear();
    state_->network_ready = false;
    ++state_->sandbox_attempt;
  }
  if (state_->sandbox_id.empty()) state_->sandbox_id = Cat(state_->uid, ".", state_->sandbox_attempt);
  if (!sandbox_ready_) {
    auto sandbox = env_.runtime.EnsureSandbox(ctx_, MakeSandbox(Pod(), state_->sandbox_id, env_.dns.domain));
    if (!sandbox) {
      env_.events.Event(Pod(), "Warning", "FailedCreatePodSandBox", Cat("Failed to create pod sandbox: ", sandbox.error().message()));
      return std::unexpected(std::move(sandbox).error());
    }
    sandbox_ready_ = sandbox->ready;
    netns_path_ = sandbox->netns_path;
    if (!sandbox_ready_) {
      Again(std::chrono::milliseconds(1));
      return false;
    }
  }
  if (!state_->network_ready) {
    if (Pod()["spec"]["hostNetwork"].Bool()) {
      state_->pod_ip = env_.node_ip();
    } else {
      auto address = env_.network.Attach(state_->sandbox_id, netns_path_, Pod());
      if (!address) {
        env_.events.Event(Pod(), "Warning", "FailedCreatePodSandBox", Cat("Failed to set up the pod's network: ", address.error().message()));
        return std::unexpected(std::move(address).error());
      }
      state_->pod_ip = *address;
    }
    TRY_VOID(EnsureFiles());
    SKERRY_FAULT("node.start.after_network");
    state_->network_ready = true;
  }
  return true;
}

// In place, not replaced: running containers have these very files mounted.
static Result<> WriteInPlace(const std::string& path, std::string_view content) {
  if (auto now = ReadFile(path); now && *now == content) return {};
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return std::unexpected(ErrnoError(errno, "open " + path));
  ::fchmod(fd.get(), 0644);
  return WriteAll(fd.get(), content);
}

Result<> PodPass::EnsureFiles() {
  std::string host_file;
  if (Pod()["spec"]["hostNetwork"].Bool()) {
    if (auto text = ReadFile(env_.dns.hosts_file, 1 << 20)) host_file = std::move(*text);   // none: as empty
  }
  TRY_VOID(WriteInPlace(place_.directory + "/etc-hosts", HostsFile(Pod(), state_->pod_ip, env_.dns.domain, host_file)));
  TRY_VOID(WriteInPlace(place_.directory + "/resolv.conf", ResolvConf(Pod(), env_.dns)));
  return WriteInPlace(place_.directory + "/hostname", PodHostname(Pod()) + "\n");
}

// Init containers one after the other; a sidecar only has to have started.
Result<> PodPass::RunInit(bool* done) {
  *done = false;
  // Once an app container exists the init phase is over for this sandbox; sidecars still restart.
  bool past = false;
  for (const json::Value& c : Pod()["spec"]["containers"].Items()) past |= Latest(c["name"].Str()) != nullptr;
  for (const json::Value& c : Pod()["spec"]["initContainers"].Items()) {
    const Attempt* a = Latest(c["name"].Str());
    if (IsSidecar(c)) {
      TRY_VOID(StartIfDue(c, ContainerKind::kInit));
      a = Latest(c["name"].Str());
      const bool started = a && a->status.state == container::State::kRunning && tools_.prober.Results(a->status.id).started;
      if (!started && !past) return {};
      continue;
    }
    if (past || (a && a->status.state == container::State::kExited && a->status.exit_code == 0)) continue;
    if (a && a->status.state == container::State::kExited && Pod()["spec"]["restartPolicy"].Str() == "Never") return {};   // the pod has failed
    return StartIfDue(c, ContainerKind::kInit);
  }
  *done = true;
  return {};
}

Result<> PodPass::RunContainers() {
  Result<> first;
  const auto keep = [&](Result<> r) {
    if (!r && first) first = std::move(r);
  };
  for (const json::Value& c : Pod()["spec"]["ephemeralContainers"].Items()) {
    if (!Latest(c["name"].Str())) keep(StartIfDue(c, ContainerKind::kEphemeral));   // never restarted
  }
  for (const json::Value& c : Pod()["spec"]["containers"].Items()) keep(StartIfDue(c, ContainerKind::kContainer));
  return first;
}

// The restart count goes on when the runtime's record of earlier attempts is gone with their sandbox.
int PodPass::FirstNumber(const std::string& name) const {
  if (const auto it = state_->next_number.find(name); it != state_->next_number.end()) return it->second;
  for (const char* list : {"containerStatuses", "initContainerStatuses"}) {
    for (const json::Value& s : Pod()["status"][list].Items()) {
      if (s["name"].Str() == name) return static_cast<int>(s["restartCount"].Int()) + (s["containerID"].Str().empty() ? 0 : 1);
    }
  }
  return 0;
}

// May the container that ended so start again now? Otherwise says why it waits and when to look again.
bool PodPass::IsDue(const json::Value& c, ContainerKind kind, const Attempt& ended) {
  const std::string name(c["name"].Str());
  const auto hash = ended.status.labels.find(kContainerHash);
  const auto memory = state_->memory.find(ended.status.id);
  const bool changed = kind != ContainerKind::kEphemeral && hash != ended.status.labels.end() && hash->second != ContainerHash(c);
  const bool replace = changed || (memory != state_->memory.end() && memory->second.replace);
  const std::string_view policy = Pod()["spec"]["restartPolicy"].Str("Always");
  const bool failed = ended.status.exit_code != 0 || ended.status.state == container::State::kUnknown;
  const bool again = IsSidecar(c) || (kind == ContainerKind::kInit ? policy != "Never" : policy == "Always" || (policy == "OnFailure" && failed));
  if (!again && !replace) return false;
  int& series = state_->series[name];
  if (changed || ended.status.finished - ended.status.started >= kLongRun) series = ended.number;
  const int restarts = ended.number + 1 - series;
  const auto delay = restarts <= 1 ? std::chrono::seconds(0) : CrashDelay(restarts - 1);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(ended.status.finished + delay - env_.clock.Now());
  if (left.count() <= 0) return true;
  const std::string minutes = delay.count() >= 60 ? Cat(delay.count() / 60, "m") : "";
  const std::string whose = Cat("restarting failed container ", name, " in pod ", state_->key.name, "_", state_->key.ns, "(", state_->uid, ")");
  state_->waiting[name] = {"CrashLoopBackOff", Cat("back-off ", minutes, delay.count() % 60, "s restarting failed container=", name, " pod=", state_->key.name, "_",
                                                   state_->key.ns, "(", state_->uid, ")")};
  if (std::exchange(state_->backoff_told[name], ended.number + 1) != ended.number + 1) {
    env_.events.Event(Pod(), "Warning", "BackOff", "Back-off " + whose, FieldPath(c, kind));
  }
  Again(left);
  return false;
}

// Watches a running container, or starts the next attempt when it is due.
Result<> PodPass::StartIfDue(const json::Value& c, ContainerKind kind) {
  const std::string name(c["name"].Str());
  const Attempt* a = Latest(name);
  if (a && a->status.state == container::State::kRunning) {
    CheckRunning(c, kind);
    return {};
  }
  int number = 0;
  if (!a) {
    number = FirstNumber(name);
    state_->series[name] = number;
  } else if (a->status.state == container::State::kCreated) {
    number = a->number;                                // created, never started: go on with it
  } else {
    number = a->number + 1;
    if (!IsDue(c, kind, *a)) return {};
    state_->waiting[name] = {"ContainerCreating", ""};   // until it runs, the pod is not done
  }
  const std::string id = Cat(state_->uid, ".", name, ".", number);
  const Key key = state_->key;
  ImagePuller::Answer answer = tools_.puller.Ensure(pod_, c, id, tools_.secrets, [enqueue = tools_.enqueue, key] { enqueue(key); });
  if (const auto* wait = std::get_if<ImagePuller::Wait>(&answer)) {
    if (!wait->reason.reason.empty()) state_->waiting[name] = wait->reason;
    if (wait->retry_after) Again(*wait->retry_after);
    return {};
  }
  return Start(c, kind, number, std::get<container::ImageInfo>(answer));
}

Result<> PodPass::PrepareSubPaths(const json::Value& c, const Environment& env, ContainerInput* input) {
  std::size_t index = 0;
  for (const json::Value& m : c["volumeMounts"].Items()) {
    const std::string number = std::to_string(index++);
    std::string sub(m["subPath"].Str());
    if (const std::string_view expr = m["subPathExpr"].Str(); !expr.empty()) {
      bool missing = false;
      const Mapping values = MappingOf(env);
      sub = Expand(expr, [&](std::string_view n) {
        auto v = values(n);
        missing |= !v;
        return v;
      });
      if (missing) return Fail(Code::kInvalid, Cat("failed to expand subPathExpr ", Quote(expr), ": missing value"));
    }
    if (sub.empty()) continue;
    if (sub.front() == '/') return Fail(Code::kInvalid, Cat("subPath ", Quote(sub), " must not be an absolute path"));
    if (sub.find("..") != std::string::npos) {
      for (const std::string_view part : Split(sub, '/')) {
        if (part == "..") return Fail(Code::kInvalid, Cat("subPath ", Quote(sub), " must not contain '..'"));
      }
    }
    const auto volume = input->volumes.find(std::string(m["name"].Str()));
    if (volume == input->volumes.end()) continue;      // told by MakeContainer
    const std::string anchor = Cat(place_.directory, "/volume-subpaths/", c["name"].Str(), "/", number);
    TRY_VOID(MakeDirectories(Cat(place_.directory, "/volume-subpaths/", c["name"].Str()), 0750));
    TRY(input->sub_paths[number], volume::PrepareSubPath(volume->second, sub, anchor));
  }
  return {};
}

Result<> PodPass::Start(const json::Value& c, ContainerKind kind, int number, const container::ImageInfo& image) {
  const std::string name(c["name"].Str());
  const std::string id = Cat(state_->uid, ".", name, ".", number);
  const auto refuse = [&](const char* reason, const Error& e) -> Result<> {
    state_->waiting[name] = {reason, std::string(e.message())};
    env_.events.Event(Pod(), "Warning", "Failed", Cat("Error: ", e.message()), FieldPath(c, kind));
    Again(std::chrono::seconds(10));
    return {};
  };
  auto environment = MakeEnvironment(Pod(), c, MakeSources());
  if (!environment) return refuse("CreateContainerConfigError", environment.error());
  json::Value granted = c.Clone();
  if (!GrantedTo(c).is_null()) granted.Set("resources") = GrantedTo(c).Clone();
  ContainerInput input{Pod(), granted, *node_, kind, id, state_->sandbox_id, number, place_, std::move(*environment), volumes_.paths, {}, {}};
  if (const Attempt* target = Latest(c["targetContainerName"].Str()); target && target->status.state == container::State::kRunning) input.target = target->status.id;
  if (auto r = PrepareSubPaths(c, input.environment, &input); !r) return refuse("CreateContainerConfigError", r.error());
  const json::Value& mine = c["securityContext"]["runAsNonRoot"];
  const bool non_root = mine.is_null() ? Pod()["spec"]["securityContext"]["runAsNonRoot"].Bool() : mine.Bool();
  auto spec = MakeContainer(input);
  if (!spec) return refuse("CreateContainerConfigError", spec.error());
  if (non_root && (spec->user.uid ? *spec->user.uid == 0 : image.config.user.empty() || image.config.user == "0" || image.config.user == "root")) {
    return refuse("CreateContainerConfigError",
                  Error(Code::kInvalid, Cat("container has runAsNonRoot and image will run as root (pod: \"", state_->key.name, "_", state_->key.ns, "(", state_->uid, ")\", container: ", name, ")")));
  }
  TRY_VOID(MakeDirectories(Cat(place_.directory, "/containers/", id), 0755));
  TRY_VOID(MakeDirectories(Cat(place_.log_directory, "/", name), 0755));
  const std::string message_file = Cat(place_.directory, "/containers/", id, "/termination-log");
  {
    const UniqueFd fd(::open(message_file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
    if (!fd) return std::unexpected(ErrnoError(errno, "create " + message_file));
    ::fchmod(fd.get(), 0666);                          // the container's user writes it, whoever that is
  }
  if (auto r = env_.runtime.CreateContainer(ctx_, *spec); !r) return refuse("CreateContainerError", r.error());
  env_.events.Event(Pod(), "Normal", "Created", Cat("Created container: ", name), FieldPath(c, kind));
  auto started = env_.runtime.StartContainer(ctx_, id);
  auto status = env_.runtime.InspectContainer(id);
  if (status) {
    Attempt a;
    a.spec = &c;
    a.kind = kind;
    a.number = number;
    a.status = std::move(*status);
    auto& list = attempts_[name];
    std::erase_if(list, [&](const Attempt& old) { return old.number == number; });
    list.push_back(std::move(a));
  }
  if (!started) {
    state_->waiting[name] = {"RunContainerError", std::string(started.error().message())};
    env_.events.Event(Pod(), "Warning", "Failed", Cat("Error: ", started.error().message()), FieldPath(c, kind));
    if (started.error().code() != Code::kInvalid) return started;
    Again(std::chrono::milliseconds(1));               // it counts as an exit: the back-off follows
    return {};
  }
  state_->waiting.erase(name);
  env_.events.Event(Pod(), "Normal", "Started", Cat("Started container ", name), FieldPath(c, kind));
  RunPostStart(c, id);
  CheckRunning(c, kind);
  Trim(name);
  return {};
}

void PodPass::RunPostStart(const json::Value& c, const std::string& id) {
  const json::Value& hook = c["lifecycle"]["postStart"];
  if (!hook.is_object()) return;
  auto r = RunHook(ctx_, env_.runtime, hook, c, id, state_->pod_ip);
  if (r) return;
  env_.events.Event(Pod(), "Warning", "FailedPostStartHook", Cat("PostStartHook failed: ", r.error().message()), FieldPath(c, ContainerKind::kContainer));
  state_->memory[id].post_start_failed = true;
}

// Probes of a running container, and whether it has to be replaced.
void PodPass::CheckRunning(const json::Value& c, ContainerKind kind) {
  Attempt* a = Latest(c["name"].Str());
  if (!a || a->status.state != container::State::kRunning) return;
  if (kind == ContainerKind::kContainer || IsSidecar(c)) {
    std::optional<ProbeResults> reported;
    if (state_->adopted) {
      // What was last reported holds until the first answer, so that a restart of the agent empties no pool.
      const std::string id = Cat(env_.runtime.Info().name, "://", a->status.id);
      for (const char* list : {"containerStatuses", "initContainerStatuses"}) {
        for (const json::Value& s : Pod()["status"][list].Items()) {
          if (s["containerID"].Str() == id) reported = ProbeResults{s["started"].Bool(), s["ready"].Bool(), std::nullopt};
        }
      }
    }
    tools_.prober.Track(pod_, c, a->status.id, state_->pod_ip, a->status.started, reported);
  } else {
    json::Value bare;                                  // init and debug containers have no probes
    tools_.prober.Track(pod_, bare, a->status.id, state_->pod_ip, a->status.started, std::nullopt);
  }
  const ContainerMemory& memory = state_->memory[a->status.id];
  const ProbeResults results = tools_.prober.Results(a->status.id);
  const auto hash = a->status.labels.find(kContainerHash);
  if (memory.post_start_failed) {
    KillForRestart(*a, c, Cat("FailedPostStartHook"));
  } else if (results.unhealthy) {
    state_->memory[a->status.id].replace = Pod()["spec"]["restartPolicy"].Str() != "Never" || IsSidecar(c);
    KillForRestart(*a, c, Cat("Container ", c["name"].Str(), " failed ", results.started ? "liveness" : "startup", " probe, will be restarted"), results.started ? "livenessProbe" : "startupProbe");
  } else if (memory.resize) {
    KillForRestart(*a, c, Cat("Container ", c["name"].Str(), " resize requires restart"));
  } else if (hash != a->status.labels.end() && hash->second != ContainerHash(c) && kind != ContainerKind::kEphemeral) {
    KillForRestart(*a, c, Cat("Container ", c["name"].Str(), " definition changed, will be restarted"));
  }
}

// Keeps the latest attempt and the one before it, for `logs --previous` and lastState.
void PodPass::Trim(const std::string& name) {
  auto& list = attempts_[name];
  while (list.size() > 2) {
    static_cast<void>(env_.runtime.RemoveContainer(ctx_, list.front().status.id));
    ::unlink(list.front().status.log_path.c_str());
    state_->memory.erase(list.front().status.id);
    list.erase(list.begin());
  }
}

}  // namespace skerry::kube::node
