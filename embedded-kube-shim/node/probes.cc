#include "embedded-kube-shim/node/probes.h"

#include "core/base/strings.h"
#include "core/telemetry/log.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

namespace skerry::kube::node {
namespace {

constexpr const char* kController = "prober";
constexpr const char* kFields[] = {"startupProbe", "livenessProbe", "readinessProbe"};
constexpr const char* kNames[] = {"Startup", "Liveness", "Readiness"};

struct Probe {
  json::Value spec;                    // null: the container has none
  int successes = 0, failures = 0;
  bool passed_once = false;
  Clock::MonoTime counted_from{};      // runs before this one's period is over are extra
};

struct Tracked {
  ObjectPtr pod;
  json::Value container;
  std::string pod_ip;
  Clock::Wall started_at;
  Probe probes[3];
  ProbeResults results;
  bool liveness_stopped = false;
};

std::chrono::milliseconds Seconds(const json::Value& v, std::int64_t otherwise) { return std::chrono::seconds(v.Int(otherwise)); }

// A program that has just been started rarely answers its first probe, and would stand unready for a whole period. Until a port answers for
// the first time it is asked again after 50 ms, then whenever the container has become twice as old. Of these extra answers only good ones count.
constexpr std::chrono::milliseconds kSoonest{50}, kEagerFor{10'000};
bool IsEager(int kind, const Probe& p, std::chrono::milliseconds age) {
  return kind != 1 && !p.passed_once && age < kEagerFor && p.spec["exec"].is_null() && p.spec["initialDelaySeconds"].Int(0) == 0;
}

}  // namespace

struct Prober::State {
  State(Manager& m, ProbeRunner r, EventRecorder& e, const Clock& c, std::function<void(const Key&)> f)
      : manager(m), runner(std::move(r)), events(e), clock(c), changed(std::move(f)) {}
  Manager& manager;
  const ProbeRunner runner;
  EventRecorder& events;
  const Clock& clock;
  const std::function<void(const Key&)> changed;
  mutable std::mutex mutex;
  std::map<std::string, Tracked> tracked;              // by container id
};

// Key: ns = container id, name = the kind's number.
class Prober::Worker final : public Reconciler {
 public:
  explicit Worker(std::shared_ptr<State> s) : s_(std::move(s)) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const int kind = key.name[0] - '0';
    json::Value probe, container;
    std::string ip;
    bool extra = false;
    {
      std::lock_guard lock(s_->mutex);
      const auto it = s_->tracked.find(key.ns);
      if (it == s_->tracked.end()) return Outcome{};
      Tracked& t = it->second;
      if (t.probes[kind].spec.is_null() || (kind == 1 && t.liveness_stopped) || t.results.unhealthy) return Outcome{};
      probe = t.probes[kind].spec.Clone();
      // Startup goes alone; its success starts the others. It ends with its first success.
      if (kind == 0 ? t.results.started : !t.results.started) return Outcome{};
      const auto delay = Seconds(probe["initialDelaySeconds"], 0) - std::chrono::duration_cast<std::chrono::milliseconds>(s_->clock.Now() - t.started_at);
      if (delay.count() > 0) return Outcome{delay};
      container = t.container.Clone();
      ip = t.pod_ip;
      extra = s_->clock.Mono() < t.probes[kind].counted_from;
      if (!extra) t.probes[kind].counted_from = s_->clock.Mono() + Seconds(probe["periodSeconds"], 10);
    }
    const Ctx limited(ctx.stop, std::chrono::steady_clock::now() + Seconds(probe["timeoutSeconds"], 1));
    const ProbeAnswer answer = s_->runner(limited, probe, container, key.ns, ip);
    if (ctx.stop.stop_requested()) return Outcome{};
    if (answer.ok || !extra) Note(key.ns, kind, answer);
    return Outcome{UntilNext(key.ns, kind)};
  }

 private:
  std::chrono::milliseconds UntilNext(const std::string& id, int kind) const {
    std::lock_guard lock(s_->mutex);
    const auto it = s_->tracked.find(id);
    if (it == s_->tracked.end()) return kSoonest;   // the next run finds it gone
    const Tracked& t = it->second;
    const Probe& p = t.probes[kind];
    const auto regular = std::max(std::chrono::ceil<std::chrono::milliseconds>(p.counted_from - s_->clock.Mono()), std::chrono::milliseconds(1));
    const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(s_->clock.Now() - t.started_at);
    return IsEager(kind, p, age) ? std::min(regular, std::max(age, kSoonest)) : regular;
  }

  void Note(const std::string& id, int kind, const ProbeAnswer& answer) {
    Key pod_key;
    {
      std::lock_guard lock(s_->mutex);
      const auto it = s_->tracked.find(id);
      if (it == s_->tracked.end()) return;
      Tracked& t = it->second;
      Probe& p = t.probes[kind];
      const ProbeResults before = t.results;
      if (answer.ok) {
        p.passed_once = true;
        if (answer.warns) s_->events.Event(*t.pod, "Warning", "ProbeWarning", Cat(kNames[kind], " probe warning: ", answer.output), Cat("spec.containers{", t.container["name"].Str(), "}"));
        p.failures = 0;
        if (++p.successes >= p.spec["successThreshold"].Int(1)) Pass(t, kind);
      } else {
        p.successes = 0;
        s_->events.Event(*t.pod, "Warning", "Unhealthy", Cat(kNames[kind], " probe failed: ", answer.output), Cat("spec.containers{", t.container["name"].Str(), "}"));
        if (++p.failures >= p.spec["failureThreshold"].Int(3)) Fail(t, kind, answer.output);
      }
      if (before.started == t.results.started && before.ready == t.results.ready && before.unhealthy == t.results.unhealthy) return;
      if (!before.started && t.results.started) {
        for (const char* next : {"1", "2"}) s_->manager.Enqueue(kController, {id, next});
      }
      pod_key = KeyOf(*t.pod);
    }
    s_->changed(pod_key);
  }

  static void Pass(Tracked& t, int kind) {
    if (kind == 0) {
      t.results.started = true;
      if (t.probes[2].spec.is_null()) t.results.ready = true;
    }
    if (kind == 2) t.results.ready = true;
  }
  static void Fail(Tracked& t, int kind, const std::string& output) {
    if (kind == 2) {
      t.results.ready = false;
    } else {
      t.results.unhealthy = output;
    }
  }

  const std::shared_ptr<State> s_;
};

Prober::Prober(Manager& manager, ProbeRunner runner, EventRecorder& events, const Clock& clock, std::function<void(const Key&)> changed)
    : state_(std::make_shared<State>(manager, std::move(runner), events, clock, std::move(changed))) {
  ControllerSpec spec;
  spec.name = kController;
  spec.workers = 32;
  spec.reconciler = std::make_unique<Worker>(state_);
  manager.Add(std::move(spec));
}
Prober::~Prober() = default;

void Prober::Track(const ObjectPtr& pod, const json::Value& container, const std::string& id, const std::string& pod_ip, Clock::Wall started,
                   std::optional<ProbeResults> adopted) {
  std::vector<Key> keys;
  {
    std::lock_guard lock(state_->mutex);
    const auto [it, fresh] = state_->tracked.try_emplace(id);
    it->second.pod = pod;
    if (!fresh) return;
    Tracked& t = it->second;
    t.container = container.Clone();
    t.pod_ip = pod_ip;
    t.started_at = started;
    for (int k = 0; k < 3; ++k) {
      if (const json::Value* p = container.Find(kFields[k])) t.probes[k].spec = p->Clone();
      if (!t.probes[k].spec.is_null()) keys.push_back({id, std::to_string(k)});
    }
    t.results.started = t.probes[0].spec.is_null();
    t.results.ready = t.results.started && t.probes[2].spec.is_null();
    if (adopted) t.results = *adopted;
    for (Probe& p : t.probes) p.passed_once = adopted && adopted->started;
  }
  for (Key& k : keys) state_->manager.Enqueue(kController, std::move(k));
}

void Prober::Forget(const std::string& id) {
  std::lock_guard lock(state_->mutex);
  state_->tracked.erase(id);
}

void Prober::StopLiveness(const std::string& id) {
  std::lock_guard lock(state_->mutex);
  const auto it = state_->tracked.find(id);
  if (it != state_->tracked.end()) it->second.liveness_stopped = true;
}

ProbeResults Prober::Results(const std::string& id) const {
  std::lock_guard lock(state_->mutex);
  const auto it = state_->tracked.find(id);
  return it == state_->tracked.end() ? ProbeResults{} : it->second.results;
}

}  // namespace skerry::kube::node
