#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/node_match.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/controllers/write.h"

// NoExecute taints drive pods off a node: at once, or when the time is over for which a pod tolerates the taint.
namespace skerry::kube {
namespace {

constexpr const char* kController = "taint-eviction-controller";

bool Executes(const json::Value& taint) { return taint["effect"].Str() == "NoExecute"; }

bool AnyExecutes(const json::Value& node) {
  const auto taints = node["spec"]["taints"].Items();
  return std::any_of(taints.begin(), taints.end(), Executes);
}

class TaintEviction final : public Reconciler {
 public:
  explicit TaintEviction(const ControllerContext& c)
      : client_(c.client("node-controller")), events_(c.events(kController)), clock_(c.clock), pods_(c.informers.Get("v1/pods")), nodes_(c.informers.Get("v1/nodes")) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr pod = pods_.Get(key);
    const ObjectPtr node = pod ? nodes_.Get({"", std::string((*pod)["spec"]["nodeName"].Str())}) : nullptr;
    if (!pod || !node || IsTerminating(*pod) || !AnyExecutes(*node)) {
      Forget(key, pod);
      return Outcome{};
    }
    // The shortest patience of all taints together; none = for ever.
    std::optional<std::chrono::seconds> patience;
    for (const json::Value& taint : (*node)["spec"]["taints"].Items()) {
      if (!Executes(taint)) continue;
      if (!Tolerates((*pod)["spec"]["tolerations"], taint)) return Evict(ctx, key, *pod);
      if (const auto p = PatienceWith(*pod, taint); p && (!patience || *p < *patience)) patience = p;
    }
    if (!patience) {
      Forget(key, pod);
      return Outcome{};
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(Since(key, Uid(*pod)) + *patience - clock_.Mono());
    if (left.count() <= 0) return Evict(ctx, key, *pod);
    Outcome outcome;
    outcome.requeue_after = left;
    return outcome;
  }

  bool IsWaiting(const Key& key) const {
    std::lock_guard lock(mutex_);
    return since_.contains(key);
  }

 private:
  static std::optional<std::chrono::seconds> PatienceWith(const json::Value& pod, const json::Value& taint) {
    std::optional<std::chrono::seconds> shortest;
    for (const json::Value& t : pod["spec"]["tolerations"].Items()) {
      json::Value one = json::Value::Array();
      one.Append(t.Clone());
      if (!t["tolerationSeconds"].is_int() || !Tolerates(one, taint)) continue;
      const std::chrono::seconds s(std::max<std::int64_t>(0, t["tolerationSeconds"].Int()));
      if (!shortest || s < *shortest) shortest = s;
    }
    return shortest;
  }

  Clock::MonoTime Since(const Key& key, std::string_view uid) {
    std::lock_guard lock(mutex_);
    auto& [known, at] = since_[key];
    if (known != uid) {
      known = uid;
      at = clock_.Mono();
    }
    return at;
  }

  void Forget(const Key& key, const ObjectPtr& pod) {
    {
      std::lock_guard lock(mutex_);
      if (since_.erase(key) == 0) return;
    }
    if (pod && !IsTerminating(*pod)) events_.Event(*pod, "Normal", "TaintManagerEviction", Cat("Cancelling deletion of Pod ", key.ns, "/", key.name));
  }

  Result<Outcome> Evict(const Ctx& ctx, const Key& key, const json::Value& pod) {
    {
      std::lock_guard lock(mutex_);
      since_.erase(key);
    }
    events_.Event(pod, "Normal", "TaintManagerEviction", Cat("Marking for deletion Pod ", key.ns, "/", key.name));
    json::Value patch, c;
    c.Set("type") = "DisruptionTarget";
    c.Set("status") = "True";
    c.Set("observedGeneration") = Meta(pod)["generation"].Int();
    c.Set("reason") = "DeletionByTaintManager";
    c.Set("message") = "Taint manager: deleting due to NoExecute taint";
    c.Set("lastTransitionTime") = FormatTime(clock_.Now());
    patch.Set("status").Set("conditions").Append(std::move(c));
    auto marked = client_.Patch(ctx, "v1/pods", key, PatchType::kStrategic, std::move(patch), "status");
    if (!marked && !IsGone(marked.error())) return std::unexpected(std::move(marked).error());
    TRY_VOID(DeleteIfThere(ctx, client_, "v1/pods", pod));
    return Outcome{};
  }

  Client& client_;
  EventRecorder& events_;
  const Clock& clock_;
  const Lister& pods_;
  const Lister& nodes_;
  mutable std::mutex mutex_;
  std::map<Key, std::pair<std::string, Clock::MonoTime>> since_;   // pods whose time runs: uid, since when
};

// node.alpha.kubernetes.io/ttl: how long agents may cache secrets and maps; more nodes, longer. The bands overlap so that a node coming
// and going does not rewrite them all.
class NodeTtl final : public Reconciler {
 public:
  explicit NodeTtl(const ControllerContext& c) : client_(c.client("ttl-controller")), nodes_(c.informers.Get("v1/nodes")) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr node = nodes_.Get(key);
    if (!node) return Outcome{};
    struct Band {
      std::size_t from, to;
      const char* seconds;
    };
    static constexpr Band kBands[] = {{0, 100, "0"}, {90, 500, "15"}, {450, 1000, "30"}, {900, 2000, "60"}, {1800, SIZE_MAX, "300"}};
    const std::size_t count = nodes_.Size();
    const std::string_view now = Meta(*node)["annotations"]["node.alpha.kubernetes.io/ttl"].Str();
    std::string_view wanted;
    for (const Band& b : kBands) {
      if (count < b.from || count > b.to) continue;
      if (wanted.empty() || now == b.seconds) wanted = b.seconds;
    }
    if (wanted == now) return Outcome{};
    json::Value patch;
    patch.Set("metadata").Set("annotations").Set("node.alpha.kubernetes.io/ttl") = wanted;
    auto r = client_.Patch(ctx, "v1/nodes", key, PatchType::kMerge, std::move(patch));
    if (!r && !IsGone(r.error())) return std::unexpected(std::move(r).error());
    return Outcome{};
  }

 private:
  Client& client_;
  const Lister& nodes_;
};

}  // namespace

void AddTaintEviction(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = kController;
  spec.workers = 4;
  auto reconciler = std::make_unique<TaintEviction>(c);
  const TaintEviction* eviction = reconciler.get();
  spec.reconciler = std::move(reconciler);
  const Lister& nodes = c.informers.Get("v1/nodes");
  const Lister& pods = c.informers.Get("v1/pods");
  spec.triggers.push_back({"v1/pods", [&nodes, eviction](const Notification& n) {
                             std::vector<Key> keys;
                             const std::string_view name = (*n.object)["spec"]["nodeName"].Str();
                             const ObjectPtr node = name.empty() ? nullptr : nodes.Get({"", std::string(name)});
                             const Key key = KeyOf(*n.object);
                             if ((node && AnyExecutes(*node)) || eviction->IsWaiting(key)) keys.push_back(key);
                             return keys;
                           }});
  spec.triggers.push_back({"v1/nodes", [&pods](const Notification& n) {
                             std::vector<Key> keys;
                             if (n.previous && (*n.previous)["spec"]["taints"] == (*n.object)["spec"]["taints"]) return keys;
                             if (n.type == Notification::Type::kAdded && !AnyExecutes(*n.object)) return keys;
                             for (const ObjectPtr& p : pods.OnNode(Name(*n.object))) keys.push_back(KeyOf(*p));
                             return keys;
                           }});
  c.manager.Add(std::move(spec));

  ControllerSpec ttl;
  ttl.name = "ttl-controller";
  ttl.triggers.push_back({"v1/nodes", [](const Notification& n) {
                            std::vector<Key> keys;
                            if (n.type != Notification::Type::kModified) keys.push_back(KeyOf(*n.object));
                            return keys;
                          }});
  ttl.reconciler = std::make_unique<NodeTtl>(c);
  c.manager.Add(std::move(ttl));
}

}  // namespace skerry::kube
