#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/base/clock.h"
#include "core/container/runtime.h"
#include "embedded-kube-shim/controller/controller.h"

namespace skerry::kube::node {

enum class ProbeKind : std::uint8_t { kStartup, kLiveness, kReadiness };

struct ProbeAnswer {
  bool ok = false;
  std::string output;                  // why it failed
  bool warns = false;                  // it passed, and the output is worth an event
};
// Runs one probe against one container now; blocking, at most the timeout. The action is a Probe of the Pod API (exec, httpGet,
// tcpSocket, grpc).
using ProbeRunner = std::function<ProbeAnswer(const Ctx&, const json::Value& probe, const json::Value& container, const std::string& container_id, const std::string& pod_ip)>;
ProbeRunner NewProbeRunner(container::Runtime& runtime);

// What the probes of one container say so far.
struct ProbeResults {
  bool started = false;                // startup probe passed, or there is none
  bool ready = false;                  // readiness probe passed, or there is none; only meaningful when started
  std::optional<std::string> unhealthy;   // liveness or startup failed often enough: kill; the last output
};

// Periodic probes as keys of the manager's queue: no thread waits, a timer exists only for what is due. Thread-safe.
class Prober {
 public:
  // `changed` is called with the pod's key whenever a result changes.
  Prober(Manager& manager, ProbeRunner runner, EventRecorder& events, const Clock& clock, std::function<void(const Key& pod)> changed);
  ~Prober();

  // Starts probing a running container; repeated calls are ignored. `adopted` = what was last reported before a restart of the agent.
  void Track(const ObjectPtr& pod, const json::Value& container, const std::string& container_id, const std::string& pod_ip, Clock::Wall container_started,
             std::optional<ProbeResults> adopted);
  void Forget(const std::string& container_id);
  void StopLiveness(const std::string& container_id);   // termination has begun: readiness goes on, restarts do not
  ProbeResults Results(const std::string& container_id) const;

 private:
  struct State;
  class Worker;
  std::shared_ptr<State> state_;
};

}  // namespace skerry::kube::node
