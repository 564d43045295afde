#include <algorithm>
#include <map>
#include <mutex>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/controllers/write.h"

// Removes pods that nobody else will: bound to a node that is no more, ending without ever having been bound, ending on a node that is out
// of service, and the oldest finished ones when there are too many.
namespace skerry::kube {
namespace {

constexpr const char* kController = "pod-garbage-collector";
constexpr std::size_t kMostFinished = 12500;
constexpr std::chrono::seconds kQuarantine{40};        // how long a node must be missing
constexpr std::chrono::seconds kCountLater{20};        // finished pods are counted at most this often
const Key kFinished{"", "finished"};

bool IsOutOfService(const json::Value& node) {
  const json::Value* ready = FindCondition(node["status"], "Ready");
  if (ready && (*ready)["status"].Str() == "True") return false;
  const auto taints = node["spec"]["taints"].Items();
  return std::any_of(taints.begin(), taints.end(), [](const json::Value& t) { return t["key"].Str() == "node.kubernetes.io/out-of-service"; });
}

class PodCollector final : public Reconciler {
 public:
  explicit PodCollector(const ControllerContext& c) : client_(c.client(kController)), clock_(c.clock), pods_(c.informers.Get("v1/pods")), nodes_(c.informers.Get("v1/nodes")) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    Outcome outcome;
    if (key == kFinished) {
      TRY_VOID(TrimFinished(ctx));
      return outcome;
    }
    const ObjectPtr pod = pods_.Get(key);
    if (!pod) return outcome;
    const std::string_view name = (*pod)["spec"]["nodeName"].Str();
    if (name.empty()) {
      if (!IsTerminating(*pod)) return outcome;
      // Whoever holds it with a finalizer has some time to let it go first.
      const auto since = ParseTime(Meta(*pod)["deletionTimestamp"].Str()).value_or(clock_.Now());
      if (const auto left = since + kCountLater - clock_.Now(); left.count() > 0) outcome.requeue_after = std::chrono::ceil<std::chrono::milliseconds>(left);
      else TRY_VOID(Remove(ctx, *pod, {}));
      return outcome;
    }
    const ObjectPtr node = nodes_.Get({"", std::string(name)});
    if (node) {
      if (IsTerminating(*pod) && IsOutOfService(*node)) TRY_VOID(Remove(ctx, *pod, {}));
      return outcome;
    }
    const auto left = MissingFor(std::string(name));
    if (left.count() > 0) {
      outcome.requeue_after = left;
      return outcome;
    }
    TRY_VOID(Remove(ctx, *pod, "PodGC: node no longer exists"));
    return outcome;
  }

  void NodeSeen(const std::string& name) {
    std::lock_guard lock(mutex_);
    missing_.erase(name);
  }

 private:
  std::chrono::milliseconds MissingFor(const std::string& node) {
    std::lock_guard lock(mutex_);
    const Clock::MonoTime since = missing_.try_emplace(node, clock_.Mono()).first->second;
    return std::chrono::ceil<std::chrono::milliseconds>(since + kQuarantine - clock_.Mono());
  }

  // A pod that has not finished is marked as failed first, so that its owner counts it.
  Result<> Remove(const Ctx& ctx, const json::Value& pod, std::string_view disruption) {
    if (!IsPodFinished(pod)) {
      json::Value patch;
      json::Value& status = patch.Set("status");
      status.Set("phase") = "Failed";
      if (!disruption.empty()) {
        json::Value c;
        c.Set("type") = "DisruptionTarget";
        c.Set("status") = "True";
        c.Set("observedGeneration") = Meta(pod)["generation"].Int();
        c.Set("reason") = "DeletionByPodGC";
        c.Set("message") = disruption;
        c.Set("lastTransitionTime") = FormatTime(clock_.Now());
        status.Set("conditions").Append(std::move(c));
      }
      auto r = client_.Patch(ctx, "v1/pods", KeyOf(pod), PatchType::kStrategic, std::move(patch), "status");
      if (!r && !IsGone(r.error())) return std::unexpected(std::move(r).error());
    }
    DeleteOptions options;
    options.grace_seconds = 0;
    return DeleteIfThere(ctx, client_, "v1/pods", pod, options);
  }

  Result<> TrimFinished(const Ctx& ctx) {
    std::vector<std::pair<std::string, ObjectPtr>> finished;
    for (ObjectPtr& p : pods_.List()) {
      if (IsPodFinished(*p) && !IsTerminating(*p)) finished.emplace_back(Meta(*p)["creationTimestamp"].Str(), std::move(p));
    }
    if (finished.size() <= kMostFinished) return {};
    std::sort(finished.begin(), finished.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    DeleteOptions options;
    options.grace_seconds = 0;
    for (std::size_t i = 0; i < finished.size() - kMostFinished; ++i) TRY_VOID(DeleteIfThere(ctx, client_, "v1/pods", *finished[i].second, options));
    return {};
  }

  Client& client_;
  const Clock& clock_;
  const Lister& pods_;
  const Lister& nodes_;
  std::mutex mutex_;
  std::map<std::string, Clock::MonoTime> missing_;
};

}  // namespace

void AddPodGc(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = kController;
  auto reconciler = std::make_unique<PodCollector>(c);
  PodCollector* collector = reconciler.get();          // the manager owns it and calls the triggers
  spec.reconciler = std::move(reconciler);
  const Lister& nodes = c.informers.Get("v1/nodes");
  const Lister& pods = c.informers.Get("v1/pods");
  Manager& manager = c.manager;
  spec.triggers.push_back({"v1/pods", [&nodes, &manager](const Notification& n) {
                             std::vector<Key> keys;
                             if (n.type == Notification::Type::kDeleted) return keys;
                             const std::string_view node = (*n.object)["spec"]["nodeName"].Str();
                             if (node.empty() ? IsTerminating(*n.object) : IsTerminating(*n.object) || !nodes.Get({"", std::string(node)})) keys.push_back(KeyOf(*n.object));
                             if (IsPodFinished(*n.object) && !(n.previous && IsPodFinished(*n.previous))) manager.EnqueueAfter(kController, kFinished, kCountLater);
                             return keys;
                           }});
  spec.triggers.push_back({"v1/nodes", [collector, &pods](const Notification& n) {
                             std::vector<Key> keys;
                             const bool gone = n.type == Notification::Type::kDeleted;
                             if (!gone) collector->NodeSeen(std::string(Name(*n.object)));
                             if (!gone && !IsOutOfService(*n.object)) return keys;
                             for (const ObjectPtr& p : pods.OnNode(Name(*n.object))) keys.push_back(KeyOf(*p));
                             return keys;
                           }});
  c.manager.Add(std::move(spec));
}

}  // namespace skerry::kube
