#include <algorithm>
#include <map>
#include <mutex>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

// Taints that follow a node's conditions, and nodes that fell silent: when neither lease nor heartbeat moved for the grace period, the
// conditions become Unknown.
namespace skerry::kube {
namespace {

constexpr std::chrono::seconds kGrace{50};
constexpr std::chrono::seconds kPatience{5};   // from not ready to eviction
constexpr const char* kNodes = "v1/nodes";
constexpr const char* kLeases = "coordination.k8s.io/v1/leases";
constexpr const char* kName = "node-controller";

struct TaintRule {
  const char *condition, *status, *key;
  bool execute;                      // NoExecute besides NoSchedule
};
constexpr TaintRule kRules[] = {
    {"Ready", "False", "node.kubernetes.io/not-ready", true},
    {"Ready", "Unknown", "node.kubernetes.io/unreachable", true},
    {"MemoryPressure", "True", "node.kubernetes.io/memory-pressure", false},
    {"DiskPressure", "True", "node.kubernetes.io/disk-pressure", false},
    {"PIDPressure", "True", "node.kubernetes.io/pid-pressure", false},
    {"NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable", false},
};

bool IsOurs(std::string_view key) {
  if (key == "node.kubernetes.io/unschedulable") return true;
  return std::any_of(std::begin(kRules), std::end(kRules), [&](const TaintRule& r) { return key == r.key; });
}

class NodeLifecycle final : public Reconciler {
 public:
  explicit NodeLifecycle(const ControllerContext& c)
      : client_(c.client(kName)), events_(c.events(kName)), clock_(c.clock), nodes_(c.informers.Get(kNodes)), leases_(c.informers.Get(kLeases)), pods_(c.informers.Get("v1/pods")) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    ObjectPtr node = nodes_.Get(key);
    if (!node) {
      std::lock_guard lock(mutex_);
      seen_.erase(key.name);
      return Outcome{};
    }
    const auto left = Silence(*node);
    if (left.count() <= 0) {
      TRY(node, MarkUnknown(ctx, node));
    }
    const auto evicts_in = EvictionDelay(*node);
    TRY_VOID(SyncTaints(ctx, *node, evicts_in.count() <= 0));
    Outcome outcome;
    if (left.count() > 0) outcome.requeue_after = left;
    if (evicts_in.count() > 0 && (left.count() <= 0 || evicts_in < left)) outcome.requeue_after = evicts_in;
    return outcome;
  }

 private:
  // How long the node may stay silent from now. Only changes that this process saw count: clocks of nodes may be wrong.
  std::chrono::milliseconds Silence(const json::Value& node) {
    const std::string name(Name(node));
    const ObjectPtr lease = leases_.Get({"kube-node-lease", name});
    std::string sign(lease ? (*lease)["spec"]["renewTime"].Str() : std::string_view());
    for (const json::Value& c : node["status"]["conditions"].Items()) sign += c["lastHeartbeatTime"].Str();
    const Clock::MonoTime now = clock_.Mono();
    std::lock_guard lock(mutex_);
    Seen& seen = seen_[name];
    if (seen.at == Clock::MonoTime{} || seen.sign != sign) {
      seen.sign = sign;
      seen.at = now;
    }
    return std::chrono::ceil<std::chrono::milliseconds>(seen.at + kGrace - now);
  }

  // How long a node that is not ready keeps its pods for certain: one that flickers evicts nobody.
  std::chrono::milliseconds EvictionDelay(const json::Value& node) {
    const json::Value* ready = FindCondition(node["status"], "Ready");
    const std::string status(ready ? (*ready)["status"].Str() : std::string_view());
    const Clock::MonoTime now = clock_.Mono();
    std::lock_guard lock(mutex_);
    Seen& seen = seen_[std::string(Name(node))];
    if (seen.ready_since == Clock::MonoTime{} || seen.ready != status) {
      seen.ready = status;
      seen.ready_since = now;
    }
    if (status != "False" && status != "Unknown") return {};
    return std::chrono::ceil<std::chrono::milliseconds>(seen.ready_since + kPatience - now);
  }

  Result<ObjectPtr> MarkUnknown(const Ctx& ctx, const ObjectPtr& node) {
    json::Value next = node->Clone();
    json::Value& status = next.Set("status");
    const std::string now = FormatTime(clock_.Now());
    bool changed = false;
    for (const char* type : {"Ready", "MemoryPressure", "DiskPressure", "PIDPressure"}) {
      const json::Value* old = FindCondition((*node)["status"], type);
      if (old && (*old)["status"].Str() == "Unknown") continue;
      changed = true;
      json::Value c = old ? old->Clone() : json::Value();
      c.Set("type") = type;
      c.Set("status") = "Unknown";
      if (!old) c.Set("lastHeartbeatTime") = Meta(*node)["creationTimestamp"].Str();
      c.Set("lastTransitionTime") = now;
      c.Set("reason") = old ? "NodeStatusUnknown" : "NodeStatusNeverUpdated";
      c.Set("message") = old ? "Kubelet stopped posting node status." : "Kubelet never posted node status.";
      RemoveCondition(status, type);
      status.Set("conditions").Append(std::move(c));
    }
    if (!changed) return node;
    events_.Event(*node, "Normal", "NodeNotReady", Cat("Node ", Name(*node), " status is now: NodeNotReady"));
    TRY(const ObjectPtr written, client_.Update(ctx, kNodes, std::move(next), "status"));
    TRY_VOID(MarkPodsUnready(ctx, *node));
    return written;
  }

  // Nobody on that node can say so: its pods leave the endpoints.
  Result<> MarkPodsUnready(const Ctx& ctx, const json::Value& node) {
    for (const ObjectPtr& pod : pods_.OnNode(Name(node))) {
      if (!IsPodReady(*pod)) continue;
      json::Value patch, c;
      c.Set("type") = "Ready";
      c.Set("status") = "False";
      c.Set("lastTransitionTime") = FormatTime(clock_.Now());
      patch.Set("status").Set("conditions").Append(std::move(c));
      auto r = client_.Patch(ctx, "v1/pods", KeyOf(*pod), PatchType::kStrategic, std::move(patch), "status");
      if (!r && r.error().code() != Code::kNotFound) return std::unexpected(std::move(r).error());
    }
    return {};
  }

  Result<> SyncTaints(const Ctx& ctx, const json::Value& node, bool evicts) {
    json::Value wanted = json::Value::Array();
    const auto has = [&](std::string_view key, std::string_view effect) {
      return std::ranges::any_of(node["spec"]["taints"].Items(), [&](const json::Value& t) { return t["key"].Str() == key && t["effect"].Str() == effect; });
    };
    const auto add = [&](std::string_view key, std::string_view effect) {
      // A taint that stays keeps its time.
      for (const json::Value& t : node["spec"]["taints"].Items()) {
        if (t["key"].Str() == key && t["effect"].Str() == effect) {
          wanted.Append(t.Clone());
          return;
        }
      }
      json::Value t;
      t.Set("key") = key;
      t.Set("effect") = effect;
      t.Set("timeAdded") = FormatTime(clock_.Now());
      wanted.Append(std::move(t));
    };
    for (const json::Value& t : node["spec"]["taints"].Items()) {
      if (!IsOurs(t["key"].Str())) wanted.Append(t.Clone());
    }
    if (node["spec"]["unschedulable"].Bool()) add("node.kubernetes.io/unschedulable", "NoSchedule");
    for (const TaintRule& r : kRules) {
      const json::Value* c = FindCondition(node["status"], r.condition);
      if (!c || (*c)["status"].Str() != r.status) continue;
      add(r.key, "NoSchedule");
      if (r.execute && (evicts || has(r.key, "NoExecute"))) add(r.key, "NoExecute");
    }
    if (wanted == node["spec"]["taints"] || (wanted.size() == 0 && node["spec"]["taints"].size() == 0)) return {};
    json::Value next = node.Clone();
    if (wanted.size() > 0) {
      next.Set("spec").Set("taints") = std::move(wanted);
    } else {
      next.Set("spec").Erase("taints");
    }
    auto r = client_.Update(ctx, kNodes, std::move(next));
    if (!r && r.error().code() != Code::kNotFound) return std::unexpected(std::move(r).error());
    return {};
  }

  Client& client_;
  EventRecorder& events_;
  const Clock& clock_;
  const Lister& nodes_;
  const Lister& leases_;
  const Lister& pods_;
  std::mutex mutex_;
  struct Seen {
    std::string sign, ready;           // last heartbeat; last status of the Ready condition
    Clock::MonoTime at{}, ready_since{};
  };
  std::map<std::string, Seen> seen_;
};

}  // namespace

void AddNodeLifecycle(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = kName;
  spec.triggers.push_back({kNodes, {}});
  spec.reconciler = std::make_unique<NodeLifecycle>(c);
  c.manager.Add(std::move(spec));
}

}  // namespace skerry::kube
