#include <signal.h>

#include <algorithm>

#include "core/base/strings.h"
#include "core/telemetry/log.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/node/pod_pass.h"

// The half of a pass that takes things down. Nothing waits: each step leaves a timer or an event behind.
namespace skerry::kube::node {

Result<> PodPass::Terminate() {
  std::chrono::seconds grace(0);
  if (pod_) {
    const json::Value& own = Pod()["spec"]["terminationGracePeriodSeconds"];
    const json::Value& asked = Meta(Pod())["deletionGracePeriodSeconds"];
    grace = std::chrono::seconds(asked.is_int() ? asked.Int() : own.Int(30));
  }
  if (state_->failed_reason == "Evicted") grace = std::min(grace, std::chrono::seconds(1));   // the node is in need
  const Clock::MonoTime now = env_.clock.Mono();
  const Clock::MonoTime deadline = now + grace;
  if (state_->deadline == Clock::MonoTime{} || deadline < state_->deadline) state_->deadline = deadline;   // a second delete may only shorten
  const auto left = std::max(std::chrono::seconds(0), std::chrono::ceil<std::chrono::seconds>(state_->deadline - now));

  // App containers first; sidecars in the reverse order of their start, each when all after it are gone.
  bool busy = false;
  const auto stop_all = [&](const char* list, bool in_turn) {
    if (!pod_) return;
    const auto items = Pod()["spec"][list].Items();
    for (std::size_t i = items.size(); i-- > 0;) {
      if (in_turn && busy) return;
      Attempt* a = Latest(items[i]["name"].Str());
      if (a && a->status.state == container::State::kRunning) busy |= !StopContainer(*a, &items[i], left, "");
    }
  };
  stop_all("ephemeralContainers", false);
  stop_all("containers", false);
  stop_all("initContainers", true);
  for (auto& [name, list] : attempts_) {
    for (Attempt& a : list) {
      if (a.spec == nullptr && a.status.state == container::State::kRunning) StopContainer(a, nullptr, left, "");
    }
  }
  return {};
}

// Takes the next step towards the end of a container; true when it has ended.
bool PodPass::StopContainer(const Attempt& a, const json::Value* spec, std::chrono::seconds grace, std::string_view why) {
  const std::string& id = a.status.id;
  ContainerMemory& m = state_->memory[id];
  const Clock::MonoTime now = env_.clock.Mono();
  if (m.ending == Ending::kNone) {
    tools_.prober.StopLiveness(id);
    if (pod_ && spec) env_.events.Event(Pod(), "Normal", "Killing", why.empty() ? Cat("Stopping container ", (*spec)["name"].Str()) : std::string(why), FieldPath(*spec, a.kind));
    m.kill_at = now + grace;
    m.ending = Ending::kPreStop;
    m.pre_stop_done = std::make_shared<std::atomic<bool>>(true);
    const json::Value* hook = spec ? (*spec)["lifecycle"].Find("preStop") : nullptr;
    if (hook && hook->is_object() && grace.count() > 0) {
      m.pre_stop_done->store(false);
      const bool runs = env_.pool.TrySubmit([this_env = &env_, hook = std::make_shared<json::Value>(hook->Clone()), container = std::make_shared<json::Value>(spec->Clone()), id,
                                             ip = state_->pod_ip, done = m.pre_stop_done, grace, pod = pod_, key = state_->key, enqueue = tools_.enqueue] {
        const Ctx limited(this_env->stop, std::chrono::steady_clock::now() + grace);
        if (auto r = RunHook(limited, this_env->runtime, *hook, *container, id, ip); !r) {
          this_env->events.Event(*pod, "Warning", "FailedPreStopHook", Cat("PreStopHook failed: ", r.error().message()), Cat("spec.containers{", (*container)["name"].Str(), "}"));
        }
        if (this_env->stop.stop_requested()) return;
        done->store(true);
        enqueue(key);
      });
      if (!runs) m.pre_stop_done->store(true);
    }
  }
  m.kill_at = std::min(m.kill_at, now + grace);
  const bool out_of_time = now >= m.kill_at;
  if (m.ending == Ending::kPreStop && (m.pre_stop_done->load() || out_of_time)) {
    m.ending = Ending::kTerminating;
    if (out_of_time && grace.count() > 0) m.kill_at = now + std::chrono::seconds(2);   // the hook took it all: a last chance to end well
    if (auto r = env_.runtime.Signal(ctx_, id, a.status.stop_signal); !r) log::Warn("signal failed", {{"container", id}, {"error", r.error()}});
  }
  if (m.ending == Ending::kTerminating && now >= m.kill_at) {
    m.ending = Ending::kKilled;
    if (auto r = env_.runtime.Signal(ctx_, id, SIGKILL); !r) log::Warn("signal failed", {{"container", id}, {"error", r.error()}});
  }
  if (m.ending == Ending::kKilled) {
    if (auto r = env_.runtime.Signal(ctx_, id, SIGKILL); !r) log::Warn("signal failed", {{"container", id}, {"error", r.error()}});
    Again(std::chrono::seconds(1));
    return false;
  }
  Again(std::chrono::ceil<std::chrono::milliseconds>(m.kill_at - now));
  return false;
}

void PodPass::KillForRestart(const Attempt& a, const json::Value& c, std::string message, std::string_view probe) {
  const json::Value& probe_grace = c[probe]["terminationGracePeriodSeconds"];
  const std::chrono::seconds grace(!probe.empty() && probe_grace.is_int() ? probe_grace.Int() : Pod()["spec"]["terminationGracePeriodSeconds"].Int(30));
  const Clock::MonoTime now = env_.clock.Mono();
  const ContainerMemory& m = state_->memory[a.status.id];
  const auto left = m.ending == Ending::kNone ? grace : std::max(std::chrono::seconds(0), std::chrono::ceil<std::chrono::seconds>(m.kill_at - now));
  StopContainer(a, &c, left, message);
}

}  // namespace skerry::kube::node
