#include <algorithm>
#include <map>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/controllers/write.h"

// PodDisruptionBudget: keeps count of how many pods may be evicted. The eviction API takes from that number and notes the pod in
// status.disruptedPods; it is given back here when the pod has not gone after a while.
namespace skerry::kube {
namespace {

constexpr const char* kBudgets = "policy/v1/poddisruptionbudgets";
constexpr const char* kController = "disruption-controller";
constexpr std::chrono::minutes kDeletionTimeout{2};

struct Expectation {
  std::int64_t pods = 0, healthy = 0;
};

class BudgetReconciler final : public Reconciler {
 public:
  explicit BudgetReconciler(const ControllerContext& c)
      : client_(c.client(kController)), events_(c.events("controllermanager")), clock_(c.clock), registry_(c.registry), budgets_(c.informers.Get(kBudgets)),
        pods_(c.informers.Get("v1/pods")), sets_(c.informers.Get("apps/v1/replicasets")) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr budget = budgets_.Get(key);
    if (!budget) return Outcome{};
    const json::Value& selector = (*budget)["spec"]["selector"];
    const std::vector<ObjectPtr> pods = selector.is_null() ? std::vector<ObjectPtr>() : pods_.Matching(key.ns, SelectorText(selector));
    if (pods.empty()) events_.Event(*budget, "Normal", "NoPods", "No matching pods found");
    auto expected = Expected(ctx, *budget, pods);
    if (!expected) {
      events_.Event(*budget, "Warning", "CalculateExpectedPodCountFailed", Cat("Failed to calculate the number of expected pods: ", expected.error().message()));
      TRY_VOID(WriteFailure(ctx, budget, expected.error()));
      return std::unexpected(std::move(expected).error());
    }
    Outcome outcome;
    const json::Value disrupted = Disrupted(*budget, pods, &outcome.requeue_after);
    const auto healthy = std::count_if(pods.begin(), pods.end(), [&](const ObjectPtr& p) { return IsPodReady(*p) && !IsTerminating(*p) && !disrupted.Find(Name(*p)); });
    TRY_VOID(WriteStatus(ctx, budget, *expected, healthy, disrupted));
    return outcome;
  }

 private:
  Result<Expectation> Expected(const Ctx& ctx, const json::Value& budget, const std::vector<ObjectPtr>& pods) {
    const json::Value& most = budget["spec"]["maxUnavailable"];
    const json::Value& least = budget["spec"]["minAvailable"];
    Expectation e;
    if (!most.is_null()) {
      TRY(e.pods, ExpectedScale(ctx, pods));
      TRY(const std::int64_t away, ScaledValue(most, e.pods, true));
      e.healthy = std::max<std::int64_t>(0, e.pods - away);
    } else if (least.is_int()) {
      e.pods = static_cast<std::int64_t>(pods.size());
      e.healthy = least.Int();
    } else if (!least.is_null()) {
      TRY(e.pods, ExpectedScale(ctx, pods));
      TRY(e.healthy, ScaledValue(least, e.pods, true));
    }
    return e;
  }

  // The sum of what the pods' controllers want. Pods of no controller do not count.
  Result<std::int64_t> ExpectedScale(const Ctx& ctx, const std::vector<ObjectPtr>& pods) {
    std::map<std::string, std::int64_t, std::less<>> scale;   // by the controller's uid
    std::map<std::string, std::string, std::less<>> known;    // the pods' owner -> controller
    for (const ObjectPtr& p : pods) {
      const json::Value* ref = ControllerRef(*p);
      if (!ref || known.contains((*ref)["uid"].Str())) continue;
      const std::string ns(Namespace(*p));
      const std::string owner((*ref)["uid"].Str());
      json::Value top;               // a replica set of a deployment stands for the deployment
      if ((*ref)["kind"].Str() == "ReplicaSet") {
        const ObjectPtr set = sets_.Get({ns, std::string((*ref)["name"].Str())});
        const json::Value* above = set && Uid(*set) == owner ? ControllerRef(*set) : nullptr;
        if (above && (*above)["kind"].Str() == "Deployment") {
          top = above->Clone();
          ref = &top;
        }
      }
      TRY(const std::optional<std::int64_t> n, ScaleOf(ctx, *ref, ns));
      known[owner] = (*ref)["uid"].Str();
      if (!n) return Fail(Code::kInvalid, Cat("found no controllers for pod ", Quote(Name(*p))));
      scale[std::string((*ref)["uid"].Str())] = *n;
    }
    std::int64_t sum = 0;
    for (const auto& [uid, n] : scale) sum += n;
    return sum;
  }

  // Any kind with a scale will do.
  Result<std::optional<std::int64_t>> ScaleOf(const Ctx& ctx, const json::Value& ref, const std::string& ns) {
    const std::string_view api_version = ref["apiVersion"].Str();
    const std::size_t slash = api_version.find('/');
    const std::string_view group = slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
    const std::string_view version = slash == std::string_view::npos ? api_version : api_version.substr(slash + 1);
    const ResourcePtr def = registry_.FindKind(group, version, ref["kind"].Str());
    if (!def || !def->FindSubresource("scale")) {
      return Fail(Code::kInvalid, Cat(ref["kind"].Str(), ".", group, " does not implement the scale subresource"));
    }
    auto owner = client_.Get(ctx, Cat(api_version, "/", def->resource, "/scale"), {ns, std::string(ref["name"].Str())});
    if (!owner) {
      if (IsGone(owner.error())) return std::optional<std::int64_t>();
      return std::unexpected(std::move(owner).error());
    }
    return std::optional((**owner)["spec"]["replicas"].Int());
  }

  // Evicted pods that are still there, with the time of their eviction.
  json::Value Disrupted(const json::Value& budget, const std::vector<ObjectPtr>& pods, std::optional<std::chrono::milliseconds>* due) {
    json::Value out = json::Value::Object();
    const json::Value& noted = budget["status"]["disruptedPods"];
    for (const ObjectPtr& p : pods) {
      const json::Value* since = noted.Find(Name(*p));
      if (!since || IsTerminating(*p)) continue;
      const auto at = ParseTime(since->Str());
      if (!at) continue;
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*at + kDeletionTimeout - clock_.Now());
      if (left.count() <= 0) {
        events_.Event(*p, "Warning", "NotDeleted", Cat("Pod was expected by PDB ", Namespace(budget), "/", Name(budget), " to be deleted but it wasn't"));
        continue;
      }
      if (!*due || left < **due) *due = left;
      out.Set(Name(*p)) = since->Clone();
    }
    return out;
  }

  Result<> WriteStatus(const Ctx& ctx, const ObjectPtr& budget, const Expectation& expected, std::int64_t healthy, const json::Value& disrupted) {
    json::Value next = budget->Clone();
    json::Value& status = next.Set("status");
    status.Set("currentHealthy") = healthy;
    status.Set("desiredHealthy") = expected.healthy;
    status.Set("expectedPods") = expected.pods;
    const std::int64_t allowed = expected.pods > 0 ? std::max<std::int64_t>(0, healthy - expected.healthy) : 0;
    status.Set("disruptionsAllowed") = allowed;
    SetOrErase(status, "disruptedPods", disrupted.size() > 0 ? disrupted.Clone() : json::Value());
    status.Set("observedGeneration") = Meta(*budget)["generation"].Int();
    Condition(next, allowed > 0 ? "True" : "False", allowed > 0 ? "SufficientPods" : "InsufficientPods", "");
    TRY_VOID(UpdateIfChanged(ctx, client_, kBudgets, budget, std::move(next), "status"));
    return {};
  }

  // What cannot be counted must not be disrupted.
  Result<> WriteFailure(const Ctx& ctx, const ObjectPtr& budget, const Error& why) {
    json::Value next = budget->Clone();
    next.Set("status").Set("disruptionsAllowed") = 0;
    Condition(next, "False", "SyncFailed", why.message());
    TRY_VOID(UpdateIfChanged(ctx, client_, kBudgets, budget, std::move(next), "status"));
    return {};
  }

  void Condition(json::Value& budget, std::string_view value, std::string_view reason, std::string_view message) {
    const std::int64_t generation = Meta(budget)["generation"].Int();
    SetCondition(budget.Set("status"), "DisruptionAllowed", value, reason, message, clock_.Now());
    for (json::Value& c : budget.Set("status").Set("conditions").MutableItems()) {
      if (c["type"].Str() == "DisruptionAllowed") c.Set("observedGeneration") = generation;
    }
  }

  Client& client_;
  EventRecorder& events_;
  const Clock& clock_;
  Registry& registry_;
  const Lister& budgets_;
  const Lister& pods_;
  const Lister& sets_;
};

const json::Value* DisruptionOf(const json::Value& pod) {
  const json::Value* c = FindCondition(pod["status"], "DisruptionTarget");
  return c && (*c)["status"].Str() == "True" && !IsTerminating(pod) && !IsPodFinished(pod) ? c : nullptr;
}

// A pod that was to be disrupted and is not being deleted after a while is no target any more.
class StaleTargets final : public Reconciler {
 public:
  explicit StaleTargets(const ControllerContext& c) : client_(c.client(kController)), clock_(c.clock), pods_(c.informers.Get("v1/pods")) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr pod = pods_.Get(key);
    const json::Value* c = pod ? DisruptionOf(*pod) : nullptr;
    if (!c) return Outcome{};
    const auto at = ParseTime((*c)["lastTransitionTime"].Str());
    Outcome outcome;
    const auto left = at ? std::chrono::ceil<std::chrono::milliseconds>(*at + kDeletionTimeout - clock_.Now()) : std::chrono::milliseconds(0);
    if (left.count() > 0) {
      outcome.requeue_after = left;
      return outcome;
    }
    json::Value patch, reset;
    reset.Set("type") = "DisruptionTarget";
    reset.Set("status") = "False";
    reset.Set("lastTransitionTime") = FormatTime(clock_.Now());
    patch.Set("status").Set("conditions").Append(std::move(reset));
    auto r = client_.Patch(ctx, "v1/pods", key, PatchType::kStrategic, std::move(patch), "status");
    if (!r && !IsGone(r.error())) return std::unexpected(std::move(r).error());
    return outcome;
  }

 private:
  Client& client_;
  const Clock& clock_;
  const Lister& pods_;
};

}  // namespace

void AddDisruption(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = kController;
  spec.triggers.push_back({kBudgets, {}});
  const Lister& budgets = c.informers.Get(kBudgets);
  spec.triggers.push_back({"v1/pods", [&budgets](const Notification& n) {
                             std::vector<Key> keys;
                             for (const ObjectPtr& b : budgets.List(Namespace(*n.object))) {
                               const json::Value& selector = (*b)["spec"]["selector"];
                               const bool mine = MatchesSelector(selector, Meta(*n.object)["labels"]) || (n.previous && MatchesSelector(selector, Meta(*n.previous)["labels"]));
                               if (mine) keys.push_back(KeyOf(*b));
                             }
                             return keys;
                           }});
  spec.reconciler = std::make_unique<BudgetReconciler>(c);
  c.manager.Add(std::move(spec));

  ControllerSpec stale;
  stale.name = "disruption-stale-targets";
  stale.triggers.push_back({"v1/pods", [](const Notification& n) {
                              std::vector<Key> keys;
                              if (n.type != Notification::Type::kDeleted && DisruptionOf(*n.object)) keys.push_back(KeyOf(*n.object));
                              return keys;
                            }});
  stale.reconciler = std::make_unique<StaleTargets>(c);
  c.manager.Add(std::move(stale));
}

}  // namespace skerry::kube
