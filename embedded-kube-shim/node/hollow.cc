#include "embedded-kube-shim/node/hollow.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/controllers/write.h"

namespace skerry::kube::node {
namespace {

constexpr const char* kName = "hollow-nodes";
constexpr const char* kNodes = "v1/nodes";
constexpr const char* kPods = "v1/pods";
constexpr const char* kLeases = "coordination.k8s.io/v1/leases";
constexpr const char* kLeaseNamespace = "kube-node-lease";
constexpr std::chrono::seconds kRenew{20}, kLease{40}, kJobTime{1};
constexpr std::uint32_t kAddresses = 10u << 24 | 128u << 16;                  // 10.128.0.0/9

bool Ends(const json::Value& pod) { return pod["spec"]["restartPolicy"].Str() != "Always"; }

// A node's key has no namespace; a pod's has one.
class HollowReconciler final : public Reconciler {
 public:
  HollowReconciler(Informers& informers, Client& client, const Clock& clock, HollowOptions options)
      : client_(client), clock_(clock), options_(std::move(options)), pods_(informers.Get(kPods)), nodes_(informers.Get(kNodes)) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    if (!key.ns.empty()) return PlayPod(ctx, key);
    const ObjectPtr node = nodes_.Get(key);
    if (!node) {
      TRY_VOID(Register(ctx, key.name));
    } else if (const json::Value* ready = FindCondition((*node)["status"], "Ready"); !ready || (*ready)["status"].Str() != "True") {
      json::Value next = node->Clone();
      SetCondition(next.Set("status"), "Ready", "True", "KubeletReady", "", clock_.Now());
      TRY_VOID(UpdateIfChanged(ctx, client_, kNodes, node, std::move(next), "status"));
    }
    Outcome outcome;
    TRY(outcome.requeue_after, Renew(ctx, key.name));
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

  // How long the lease is fresh enough. Its last state is kept here: nobody else writes it, and a watch would bring back every renewal.
  Result<std::chrono::milliseconds> Renew(const Ctx& ctx, const std::string& name) {
    Lease& mine = LeaseOf(name);
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(mine.due - clock_.Mono());
    if (mine.object && left.count() > 0) return left;
    if (!mine.object) {
      auto found = client_.Get(ctx, kLeases, {kLeaseNamespace, name});
      if (!found && !IsGone(found.error())) return std::unexpected(std::move(found).error());
      if (found) mine.object = std::move(*found);
    }
    json::Value lease = mine.object ? mine.object->Clone() : json::Value();
    lease.Set("apiVersion") = "coordination.k8s.io/v1";
    lease.Set("kind") = "Lease";
    lease.Set("metadata").Set("name") = name;
    lease.Set("metadata").Set("namespace") = kLeaseNamespace;
    if (const ObjectPtr node = nodes_.Get({"", name}); node && lease["metadata"]["ownerReferences"].size() == 0) {
      json::Value ref;                                 // it goes with its node
      ref.Set("apiVersion") = "v1";
      ref.Set("kind") = "Node";
      ref.Set("name") = name;
      ref.Set("uid") = Uid(*node);
      lease.Set("metadata").Set("ownerReferences").Append(std::move(ref));
    }
    json::Value& spec = lease.Set("spec");
    spec.Set("holderIdentity") = name;
    spec.Set("leaseDurationSeconds") = static_cast<std::int64_t>(kLease.count());
    spec.Set("renewTime") = FormatMicroTime(clock_.Now());
    auto written = mine.object ? client_.Update(ctx, kLeases, std::move(lease)) : client_.Create(ctx, kLeases, std::move(lease));
    mine.object = written ? std::move(*written) : nullptr;   // asked for again next time
    if (!written) return std::unexpected(std::move(written).error());
    mine.due = clock_.Mono() + kRenew;
    return std::chrono::milliseconds(kRenew);
  }

  Result<Outcome> PlayPod(const Ctx& ctx, const Key& key) {
    const ObjectPtr pod = pods_.Get(key);
    if (!pod || !(*pod)["spec"]["nodeName"].Str().starts_with(options_.prefix)) return Outcome{};
    Outcome outcome;
    if (IsTerminating(*pod)) {
      DeleteOptions now;
      now.grace_seconds = 0;
      TRY_VOID(DeleteIfThere(ctx, client_, kPods, *pod, now));
      return outcome;
    }
    const std::string_view phase = (*pod)["status"]["phase"].Str();
    if (phase == "Pending") {
      TRY_VOID(SetStatus(ctx, pod, "Running", !Ends(*pod)));
      if (Ends(*pod)) outcome.requeue_after = kJobTime;
    } else if (phase == "Running" && Ends(*pod)) {
      const auto began = ParseTime((*pod)["status"]["startTime"].Str());
      const auto left = began ? std::chrono::ceil<std::chrono::milliseconds>(*began + kJobTime - clock_.Now()) : std::chrono::milliseconds(0);
      if (left.count() > 0 && left <= kJobTime) {
        outcome.requeue_after = left;
        return outcome;
      }
      TRY_VOID(SetStatus(ctx, pod, "Succeeded", false));
    } else if (phase == "Running" && !IsPodReady(*pod)) {
      TRY_VOID(SetStatus(ctx, pod, "Running", true));    // the node was not heard of for a while, and its pods were taken for not ready
    }
    return outcome;
  }

  std::string NextAddress() {
    std::lock_guard lock(mutex_);
    if (!counted_) {                                   // pods from before a restart keep theirs
      counted_ = true;
      for (const ObjectPtr& pod : pods_.List()) {
        const auto parts = Split((*pod)["status"]["podIP"].Str(), '.');
        if (parts.size() != 4 || parts[0] != "10") continue;
        std::uint32_t n = 10;
        for (std::size_t i = 1; i < 4; ++i) n = n << 8 | static_cast<std::uint32_t>(ParseUint(parts[i]).value_or(0) & 0xff);
        if (n >= kAddresses && n - kAddresses < 1u << 23) address_ = std::max(address_, n - kAddresses);
      }
    }
    address_ = (address_ + 1) & ((1u << 23) - 1);
    const std::uint32_t n = kAddresses + address_;
    return Cat(n >> 24, ".", n >> 16 & 0xff, ".", n >> 8 & 0xff, ".", n & 0xff);
  }

  Result<> SetStatus(const Ctx& ctx, const ObjectPtr& pod, const char* phase, bool ready) {
    const Clock::Wall wall = clock_.Now();
    const std::string now = FormatTime(wall);
    json::Value next = pod->Clone();
    json::Value& status = next.Set("status");
    status.Set("phase") = phase;
    if (status["startTime"].is_null()) status.Set("startTime") = now;
    if (status["podIP"].Str().empty()) {
      const std::string ip = NextAddress();
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
    TRY_VOID(UpdateIfChanged(ctx, client_, kPods, pod, std::move(next), "status"));
    return {};
  }

  struct Lease {
    ObjectPtr object;
    Clock::MonoTime due{};
  };
  // One key at a time: a node's lease is its reconcile's own.
  Lease& LeaseOf(const std::string& name) {
    std::lock_guard lock(mutex_);
    return leases_[name];
  }

  Client& client_;
  const Clock& clock_;
  const HollowOptions options_;
  const Lister& pods_;
  const Lister& nodes_;
  std::mutex mutex_;
  std::map<std::string, Lease> leases_;                // guarded: the map, not what is in it
  std::uint32_t address_ = 0;                          // guarded
  bool counted_ = false;                               // guarded
};

}  // namespace

void AddHollowNodes(Manager& manager, Informers& informers, Client& client, const Clock& clock, HollowOptions options) {
  ControllerSpec spec;
  spec.name = kName;
  spec.workers = 4;
  const int count = options.count;
  const std::string prefix = options.prefix;
  spec.triggers.push_back({kPods, [prefix](const Notification& n) {
                             std::vector<Key> keys;
                             const json::Value& pod = *n.object;
                             if (n.type == Notification::Type::kDeleted || !pod["spec"]["nodeName"].Str().starts_with(prefix)) return keys;
                             const std::string_view phase = pod["status"]["phase"].Str();
                             if (IsTerminating(pod) || phase == "Pending" || (phase == "Running" && (Ends(pod) || !IsPodReady(pod)))) keys.push_back(KeyOf(pod));
                             return keys;
                           }});
  spec.triggers.push_back({kNodes, [prefix, count](const Notification& n) {
                             std::vector<Key> keys;
                             const std::string_view name = Name(*n.object);
                             if (!name.starts_with(prefix)) return keys;
                             const auto number = ParseInt(name.substr(prefix.size()));
                             const json::Value* ready = FindCondition((*n.object)["status"], "Ready");
                             const bool well = n.type != Notification::Type::kDeleted && ready && (*ready)["status"].Str() == "True";
                             if (!well && number && *number >= 0 && *number < count) keys.push_back(KeyOf(*n.object));
                             return keys;
                           }});
  spec.reconciler = std::make_unique<HollowReconciler>(informers, client, clock, std::move(options));
  manager.Add(std::move(spec));
  for (int i = 0; i < count; ++i) manager.Enqueue(kName, {"", Cat(prefix, i)});
}

}  // namespace skerry::kube::node
