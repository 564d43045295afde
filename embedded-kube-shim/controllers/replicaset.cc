#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/owned_pods.h"
#include "embedded-kube-shim/controllers/pod_control.h"
#include "embedded-kube-shim/controllers/write.h"

// ReplicaSet and ReplicationController: the same machine over two kinds.
namespace skerry::kube {
namespace {

constexpr std::int64_t kBurst = 500;   // pods created or deleted in one pass
constexpr std::int64_t kTogether = 64; // created at the same time

struct Flavor {
  OwnerKind kind;
  const char* resource;
  const char* controller;
  bool label_selector;                 // false: spec.selector is a plain map
};

std::function<bool(const json::Value&)> Selector(const Flavor& flavor, const json::Value& owner) {
  auto selector = std::make_shared<json::Value>();
  if (flavor.label_selector) {
    *selector = owner["spec"]["selector"].Clone();
  } else {
    selector->Set("matchLabels") = owner["spec"]["selector"].Clone();
  }
  return [selector](const json::Value& labels) { return MatchesSelector(*selector, labels); };
}

class ReplicaReconciler final : public Reconciler {
 public:
  ReplicaReconciler(const ControllerContext& context, Flavor flavor, std::shared_ptr<const OrphanPods> orphans)
      : flavor_(std::move(flavor)), orphans_(std::move(orphans)), client_(context.client(flavor_.controller)), pods_control_(client_, context.events(flavor_.controller)), clock_(context.clock),
        owners_(context.informers.Get(flavor_.resource)), pods_(context.informers.Get("v1/pods")), quotas_(context.informers.Get("v1/resourcequotas")) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr owner = owners_.Get(key);
    if (!owner) return Outcome{};
    TRY(const std::vector<ObjectPtr> claimed,
        ClaimChildren(ctx, client_, "v1/pods", flavor_.kind, *owner, orphans_->Candidates(pods_, *owner), Selector(flavor_, *owner)));
    std::vector<ObjectPtr> active, terminating;
    for (const ObjectPtr& p : claimed) {
      if (IsPodActive(*p)) active.push_back(p);
      if (IsTerminating(*p) && !IsPodFinished(*p)) terminating.push_back(p);
    }
    Result<> managed;
    if (!IsTerminating(*owner)) managed = Manage(ctx, *owner, active);
    // What was reported as failed may have happened: no pod that is on its way out is counted as one that serves.
    if (!managed) {
      std::erase_if(active, [&](const ObjectPtr& p) {
        const ObjectPtr now = pods_.Get(KeyOf(*p));
        return now && Uid(*now) == Uid(*p) && !IsPodActive(*now);
      });
    }
    Outcome outcome;
    TRY_VOID(WriteStatus(ctx, owner, active, terminating.size(), managed, &outcome));
    if (!managed) return std::unexpected(std::move(managed).error());
    return outcome;
  }

 private:
  // Creates or deletes pods until `active` has the wanted size; it is kept up to date with what was done.
  Result<> Manage(const Ctx& ctx, const json::Value& owner, std::vector<ObjectPtr>& active) {
    const std::int64_t want = owner["spec"]["replicas"].Int(1);
    const std::int64_t missing = std::min(want - static_cast<std::int64_t>(active.size()), kBurst);
    if (missing > 0) return CreateMissing(ctx, owner, active, missing);
    const std::int64_t surplus = std::min(static_cast<std::int64_t>(active.size()) - want, kBurst);
    if (surplus > 0) return DeleteSurplus(ctx, owner, active, surplus);
    return {};
  }

  // In batches that grow while all goes well: what is refused once is not tried hundreds of times.
  Result<> CreateMissing(const Ctx& ctx, const json::Value& owner, std::vector<ObjectPtr>& active, std::int64_t missing) {
    // A quota is charged by one pod after the other: together they would only be in each other's way.
    const bool counted = !quotas_.List(Namespace(owner)).empty();
    for (std::int64_t batch = 1; missing > 0; batch = counted ? 1 : std::min(2 * batch, kTogether)) {
      batch = std::min(batch, missing);
      std::vector<json::Value> pods;
      for (std::int64_t i = 0; i < batch; ++i) {
        pods.push_back(PodFromTemplate(owner["spec"]["template"], Namespace(owner), Cat(Name(owner), "-"), NewControllerRef(owner, flavor_.kind.api_version, flavor_.kind.kind)));
      }
      const std::size_t before = active.size();
      TRY_VOID(pods_control_.CreateAll(ctx, owner, std::move(pods), &active));
      if (active.size() == before) return {};          // the namespace ends
      missing -= batch;
    }
    return {};
  }

  Result<> DeleteSurplus(const Ctx& ctx, const json::Value& owner, std::vector<ObjectPtr>& active, std::int64_t surplus) {
    const std::map<std::string, int, std::less<>> related = RelatedPerNode(owner, active);
    SortForDeletion(active, [&](const json::Value& pod) {
      const auto it = related.find(pod["spec"]["nodeName"].Str());
      return it == related.end() ? 0 : it->second;
    }, clock_.Now());
    for (; surplus > 0; --surplus) {
      TRY_VOID(pods_control_.Delete(ctx, owner, *active.front()));
      active.erase(active.begin());
    }
    return {};
  }

  // Active pods per node of all replica sets of the same owner (a Deployment), so that doubled-up pods go first.
  std::map<std::string, int, std::less<>> RelatedPerNode(const json::Value& owner, const std::vector<ObjectPtr>& active) const {
    std::map<std::string, int, std::less<>> count;
    const auto add = [&](const std::vector<ObjectPtr>& pods) {
      for (const ObjectPtr& p : pods) {
        if (IsPodActive(*p) && !(*p)["spec"]["nodeName"].Str().empty()) ++count[std::string((*p)["spec"]["nodeName"].Str())];
      }
    };
    const json::Value* ref = ControllerRef(owner);
    if (!ref) {
      add(active);
      return count;
    }
    for (const ObjectPtr& sibling : owners_.OwnedBy((*ref)["uid"].Str())) add(pods_.OwnedBy(Uid(*sibling)));
    return count;
  }

  Result<> WriteStatus(const Ctx& ctx, const ObjectPtr& current, const std::vector<ObjectPtr>& active, std::size_t terminating, const Result<>& managed,
                       Outcome* outcome) {
    const json::Value& owner = *current;
    const std::chrono::seconds min_ready(owner["spec"]["minReadySeconds"].Int());
    const json::Value& labels = owner["spec"]["template"]["metadata"]["labels"];
    std::int64_t labeled = 0, ready = 0, available = 0;
    const Clock::Wall now = clock_.Now();
    for (const ObjectPtr& p : active) {
      const json::Value& mine = Meta(*p)["labels"];
      labeled += std::all_of(labels.Members().begin(), labels.Members().end(), [&](const json::Member& m) { return mine[m.key] == m.value; });
      ready += IsPodReady(*p);
      available += IsPodAvailable(*p, min_ready, now, &outcome->requeue_after);
    }
    json::Value next = owner.Clone();
    json::Value& status = next.Set("status");
    status.Set("replicas") = static_cast<std::int64_t>(active.size());
    SetCount(status, "fullyLabeledReplicas", labeled);
    SetCount(status, "readyReplicas", ready);
    SetCount(status, "availableReplicas", available);
    if (flavor_.label_selector) status.Set("terminatingReplicas") = static_cast<std::int64_t>(terminating);
    status.Set("observedGeneration") = Meta(owner)["generation"].Int();
    if (!managed) {
      const bool creating = static_cast<std::int64_t>(active.size()) < owner["spec"]["replicas"].Int(1);
      const std::string_view reason = creating ? "FailedCreate" : "FailedDelete";
      // The first message stays: each has the name of another pod, and a status that changes brings us here again.
      const json::Value* told = FindCondition(status, "ReplicaFailure");
      if (!told || (*told)["status"].Str() != "True" || (*told)["reason"].Str() != reason) SetCondition(status, "ReplicaFailure", "True", reason, managed.error().message(), now);
    } else {
      RemoveCondition(status, "ReplicaFailure");
    }
    TRY_VOID(UpdateIfChanged(ctx, client_, flavor_.resource, current, std::move(next), "status"));
    return {};
  }

  const Flavor flavor_;
  const std::shared_ptr<const OrphanPods> orphans_;
  Client& client_;
  PodControl pods_control_;
  const Clock& clock_;
  const Lister& owners_;
  const Lister& pods_;
  const Lister& quotas_;
};

// A pod of a large set that goes on in its life changes a figure of the status. Many do so together: one look a moment later tells of all of
// them, and each look costs what the set has.
std::chrono::milliseconds WaitFor(const Notification& n, const ObjectPtr& owner) {
  constexpr std::int64_t kLarge = 20;
  const std::int64_t size = owner ? (*owner)["spec"]["replicas"].Int(1) : 0;
  if (n.type != Notification::Type::kModified || size <= kLarge || IsTerminating(*n.object) || IsPodFinished(*n.object)) return {};
  return std::min(std::chrono::milliseconds(500), std::chrono::milliseconds(5) * size);
}

void AddFlavor(const ControllerContext& context, Flavor flavor) {
  ControllerSpec spec;
  spec.name = flavor.controller;
  spec.workers = 5;
  spec.triggers.push_back({flavor.resource, {}});
  // A pod tells its owner; a pod without one tells every owner that might want it.
  const Lister& owners = context.informers.Get(flavor.resource);
  const auto orphans = std::make_shared<OrphanPods>();
  const std::string group = flavor.label_selector ? "apps" : "";
  spec.triggers.push_back({"v1/pods", [owner = OwnerOf(group, flavor.kind.kind), &owners, &manager = context.manager, flavor, orphans](const Notification& n) {
                             orphans->Note(n);
                             std::vector<Key> keys = owner(n);
                             if (const auto wait = keys.size() == 1 ? WaitFor(n, owners.Get(keys[0])) : std::chrono::milliseconds(0); wait.count() > 0) {
                               manager.EnqueueAfter(flavor.controller, std::move(keys[0]), wait);
                               keys.clear();
                               return keys;
                             }
                             if (keys.empty() && !ControllerRef(*n.object) && n.type != Notification::Type::kDeleted) {
                               for (const ObjectPtr& o : owners.List(Namespace(*n.object))) {
                                 if (Selector(flavor, *o)(Meta(*n.object)["labels"])) keys.push_back(KeyOf(*o));
                               }
                             }
                             return keys;
                           }});
  spec.reconciler = std::make_unique<ReplicaReconciler>(context, flavor, orphans);
  context.manager.Add(std::move(spec));
}

}  // namespace

void AddReplicaSet(const ControllerContext& context) { AddFlavor(context, {{"apps/v1", "ReplicaSet"}, "apps/v1/replicasets", "replicaset-controller", true}); }
void AddReplicationController(const ControllerContext& context) {
  AddFlavor(context, {{"v1", "ReplicationController"}, "v1/replicationcontrollers", "replication-controller", false});
}

}  // namespace skerry::kube
