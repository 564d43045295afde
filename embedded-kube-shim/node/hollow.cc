#include "embedded-kube-shim/node/hollow.h"

#include <atomic>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/controllers/write.h"

namespace skerry::kube::node {
namespace {

constexpr const char* kName = "hollow-nodes";
constexpr const char* kNodes = "v1/nodes";
constexpr const char* kLeases = "coordination.k8s.io/v1/leases";
constexpr const char* kLeaseNamespace = "kube-node-lease";
constexpr std::chrono::seconds kRenew{20}, kLease{40}, kJobTime{1};
const Key kHeartbeat{"", "heartbeat"};

class HollowReconciler final : public Reconciler {
 public:
  HollowReconciler(Informers& informers, Client& client, const Clock& clock, HollowOptions options)
      : client_(client), clock_(clock), options_(std::move(options)), pods_(informers.Get("v1/pods")), nodes_(informers.Get(kNodes)), leases_(informers.Get(kLeases)) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    if (key != kHeartbeat) return PlayPod(ctx, key);
    for (int i = 0; i < options_.count; ++i) {
      const std::string name = Cat(options_.prefix, i);
      if (!nodes_.Get({"", name})) TRY_VOID(Register(ctx, name));
      TRY_VOID(Renew(ctx, name));
    }
    Outcome outcome;
    outcome.requeue_after = kRenew;
    return outcome;
  }

 private:
  Result<> Register(const Ctx& ctx, const std::string& name) {
    json::Value node;
    node.Set("apiVersion") = "v1";
    node.Set("kind") = "Node";
    json::Value& meta = node.Set("metadata");
    meta.Set("name") = name;
    meta.Set("labels").Set("kubernetes.io/hostname") = name;
    meta.Set("labels").Set("kubernetes.io/os") = "linux";
    meta.Set("labels").Set("skerry.io/hollow") = "true";
    json::Value& status = node.Set("status");
    for (const char* what : {"capacity", "allocatable"}) {
      json::Value& amounts = status.Set(what);
      amounts.Set("cpu") = options_.cpu;
      amounts.Set("memory") = options_.memory;
      amounts.Set("pods") = options_.pods;
    }
    const std::string now = FormatTime(clock_.Now());
    const auto condition = [&](const char* type, const char* value, const char* reason) {
      json::Value c;
      c.Set("type") = type;
      c.Set("status") = value;
      c.Set("reason") = reason;
      c.Set("lastHeartbeatTime") = now;
      c.Set("lastTransitionTime") = now;
      status.Set("conditions").Append(std::move(c));
    };
    condition("MemoryPressure", "False", "KubeletHasSufficientMemory");
    condition("DiskPressure", "False", "KubeletHasNoDiskPressure");
    condition("PIDPressure", "False", "KubeletHasSufficientPID");
    condition("Ready", "True", "KubeletReady");
    auto created = client_.Create(ctx, kNodes, std::move(node));
    if (!created && !AlreadyExists(created.error())) return std::unexpected(std::move(created).error());
    return {};
  }

  Result<> Renew(const Ctx& ctx, const std::string& name) {
    const ObjectPtr old = leases_.Get({kLeaseNamespace, name});
    json::Value lease = old ? old->Clone() : json::Value();
    lease.Set("apiVersion") = "coordination.k8s.io/v1";
    lease.Set("kind") = "Lease";
    lease.Set("metadata").Set("name") = name;
    lease.Set("metadata").Set("namespace") = kLeaseNamespace;
    json::Value& spec = lease.Set("spec");
    spec.Set("holderIdentity") = name;
    spec.Set("leaseDurationSeconds") = static_cast<std::int64_t>(kLease.count());
    spec.Set("renewTime") = FormatMicroTime(clock_.Now());
    auto written = old ? client_.Update(ctx, kLeases, std::move(lease)) : client_.Create(ctx, kLeases, std::move(lease));
    if (!written && !IsGone(written.error()) && !AlreadyExists(written.error())) return std::unexpected(std::move(written).error());
    return {};
  }

  Result<Outcome> PlayPod(const Ctx& ctx, const Key& key) {
    const ObjectPtr pod = pods_.Get(key);
    if (!pod || !(*pod)["spec"]["nodeName"].Str().starts_with(options_.prefix)) return Outcome{};
    Outcome outcome;
    if (IsTerminating(*pod)) {
      DeleteOptions now;
      now.grace_seconds = 0;
      TRY_VOID(DeleteIfThere(ctx, client_, "v1/pods", *pod, now));
      return outcome;
    }
    const std::string_view phase = (*pod)["status"]["phase"].Str();
    const bool ends = (*pod)["spec"]["restartPolicy"].Str() != "Always";
    if (phase == "Pending") {
      TRY_VOID(SetStatus(ctx, pod, "Running", !ends));
      if (ends) outcome.requeue_after = kJobTime;
    } else if (phase == "Running" && ends) {
      TRY_VOID(SetStatus(ctx, pod, "Succeeded", false));
    }
    return outcome;
  }

  Result<> SetStatus(const Ctx& ctx, const ObjectPtr& pod, const char* phase, bool ready) {
    const Clock::Wall wall = clock_.Now();
    const std::string now = FormatTime(wall);
    json::Value next = pod->Clone();
    json::Value& status = next.Set("status");
    status.Set("phase") = phase;
    if (status["startTime"].is_null()) status.Set("startTime") = now;
    if (status["podIP"].Str().empty()) {
      const std::uint32_t n = ++addresses_;            // 10.128.0.0/9
      const std::string ip = Cat("10.", 128 + (n >> 16 & 0x7f), ".", n >> 8 & 0xff, ".", n & 0xff);
      json::Value one;
      one.Set("ip") = ip;
      status.Set("podIP") = ip;
      status.Set("podIPs").Append(std::move(one));
    }
    for (const char* type : {"Initialized", "Ready", "ContainersReady"}) {
      const bool good = ready || type[0] == 'I';
      SetCondition(status, type, good ? "True" : "False", good ? "" : "PodCompleted", "", wall);
    }
    json::Value containers = json::Value::Array();
    for (const json::Value& c : (*pod)["spec"]["containers"].Items()) {
      json::Value s;
      s.Set("name") = c["name"].Str();
      s.Set("image") = c["image"].Str();
      s.Set("imageID") = "";
      s.Set("ready") = ready;
      s.Set("started") = phase[0] == 'R';
      s.Set("restartCount") = 0;
      json::Value& state = s.Set("state");
      if (phase[0] == 'R') {
        state.Set("running").Set("startedAt") = now;
      } else {
        json::Value& ended = state.Set("terminated");
        ended.Set("exitCode") = 0;
        ended.Set("reason") = "Completed";
        ended.Set("startedAt") = (*pod)["status"]["startTime"].Str();
        ended.Set("finishedAt") = now;
      }
      containers.Append(std::move(s));
    }
    status.Set("containerStatuses") = std::move(containers);
    TRY_VOID(UpdateIfChanged(ctx, client_, "v1/pods", pod, std::move(next), "status"));
    return {};
  }

  Client& client_;
  const Clock& clock_;
  const HollowOptions options_;
  const Lister& pods_;
  const Lister& nodes_;
  const Lister& leases_;
  std::atomic<std::uint32_t> addresses_{0};
};

}  // namespace

void AddHollowNodes(Manager& manager, Informers& informers, Client& client, const Clock& clock, HollowOptions options) {
  ControllerSpec spec;
  spec.name = kName;
  spec.workers = 4;
  spec.triggers.push_back({"v1/pods", [prefix = options.prefix](const Notification& n) {
                             std::vector<Key> keys;
                             const json::Value& pod = *n.object;
                             if (n.type == Notification::Type::kDeleted || !pod["spec"]["nodeName"].Str().starts_with(prefix)) return keys;
                             if (IsTerminating(pod) || pod["status"]["phase"].Str() == "Pending") keys.push_back(KeyOf(pod));
                             return keys;
                           }});
  spec.reconciler = std::make_unique<HollowReconciler>(informers, client, clock, std::move(options));
  manager.Add(std::move(spec));
  manager.Enqueue(kName, kHeartbeat);
}

}  // namespace skerry::kube::node
