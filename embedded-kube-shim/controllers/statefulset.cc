#include <algorithm>
#include <map>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/history.h"
#include "embedded-kube-shim/controllers/pod_control.h"
#include "embedded-kube-shim/controllers/stateful_pods.h"
#include "embedded-kube-shim/controllers/volume_match.h"
#include "embedded-kube-shim/controllers/write.h"

// StatefulSet: pods with names, one after the other. A pass goes over the ordinals from the lowest: pods are created and must become
// available (OrderedReady waits for each), then what is beyond the range goes from the highest, then outdated pods from the highest.
namespace skerry::kube {
namespace {

constexpr const char* kSets = "apps/v1/statefulsets";
constexpr const char* kController = "statefulset-controller";
const OwnerKind kKind{"apps/v1", "StatefulSet"};

std::string_view RevisionOf(const json::Value& pod) { return Meta(pod)["labels"][kRevisionLabel].Str(); }
bool IsRunningAndReady(const json::Value& pod) { return pod["status"]["phase"].Str() == "Running" && IsPodReady(pod); }

struct Revisions {
  std::vector<ObjectPtr> all;        // oldest first, the update revision included
  ObjectPtr current, update;
  std::int64_t collisions = 0;
};

class StatefulPass {
 public:
  StatefulPass(const Ctx& ctx, Client& client, EventRecorder& events, const Lister& claims, Clock::Wall now, const ObjectPtr& set, Revisions revisions,
               std::vector<ObjectPtr> pods)
      : ctx_(ctx), client_(client), events_(events), claims_(claims), now_(now), current_(set), set_(*set), revisions_(std::move(revisions)), pods_(std::move(pods)),
        min_ready_(set_["spec"]["minReadySeconds"].Int()), ordered_(set_["spec"]["podManagementPolicy"].Str("OrderedReady") == "OrderedReady") {}

  // Status first, so that a failing pass still tells how far it came.
  Result<Outcome> Run() {
    Sort();
    Result<> worked = IsTerminating(set_) ? Result<>() : Work();
    TRY_VOID(WriteStatus());
    if (!worked) return std::unexpected(std::move(worked).error());
    TRY_VOID(Truncate());
    Outcome outcome;
    outcome.requeue_after = due_;
    return outcome;
  }

 private:
  void Sort() {
    const std::int64_t first = FirstOrdinal(set_), count = set_["spec"]["replicas"].Int(1);
    for (const ObjectPtr& p : pods_) {
      const std::int64_t ordinal = *OrdinalIn(set_, *p);
      (ordinal >= first && ordinal < first + count ? replicas_ : condemned_)[ordinal] = p;
    }
  }

  // The lowest pod that is not well: of the wanted ones, then of the condemned.
  const json::Value* FirstUnhealthy() const {
    for (const auto* pods : {&replicas_, &condemned_}) {
      for (const auto& [ordinal, p] : *pods) {
        if (!IsRunningAndReady(*p) || IsTerminating(*p)) return p.get();
      }
    }
    return nullptr;
  }

  bool Available(const json::Value& pod) { return IsRunningAndReady(pod) && IsPodAvailable(pod, min_ready_, now_, &due_); }

  Result<> Work() {
    const std::int64_t first = FirstOrdinal(set_), count = set_["spec"]["replicas"].Int(1);
    const json::Value* unhealthy = FirstUnhealthy();
    for (std::int64_t i = first; i < first + count; ++i) {
      TRY(const bool settled, Replica(i));
      if (!settled && ordered_) return {};
    }
    for (const auto& [ordinal, p] : condemned_) TRY_VOID(OwnClaims(*p, ordinal, true));
    for (auto it = condemned_.rbegin(); it != condemned_.rend(); ++it) {
      const json::Value& pod = *it->second;
      if (IsTerminating(pod)) {
        if (ordered_) return {};
        continue;
      }
      if (ordered_ && !Available(pod) && &pod != unhealthy) return {};
      TRY_VOID(DeletePod(it->second));
      if (ordered_) return {};
    }
    if (set_["spec"]["updateStrategy"]["type"].Str() == "OnDelete") return {};
    return Update();
  }

  // Brings one ordinal on its way. False: those after it have to wait.
  Result<bool> Replica(std::int64_t ordinal) {
    const auto it = replicas_.find(ordinal);
    if (it == replicas_.end()) return CreatePod(ordinal);
    const ObjectPtr pod = it->second;
    if (IsPodFinished(*pod)) {
      if (IsTerminating(*pod)) return false;
      const bool failed = (*pod)["status"]["phase"].Str() == "Failed";
      events_.Event(set_, failed ? "Warning" : "Normal", failed ? "RecreatingFailedPod" : "RecreatingTerminatedPod",
                    Cat("StatefulSet ", Namespace(set_), "/", Name(set_), " is recreating ", failed ? "failed" : "terminated", " Pod ", Name(*pod)));
      TRY_VOID(DeletePod(pod));
      return false;
    }
    if ((*pod)["status"]["phase"].Str() == "Pending" && !IsTerminating(*pod)) TRY_VOID(CreateClaims(*pod, ordinal));
    if (ordered_ && (IsTerminating(*pod) || !Available(*pod))) return false;
    TRY_VOID(OwnClaims(*pod, ordinal, false));
    if (IdentityMatches(set_, *pod) || IsTerminating(*pod)) return true;
    json::Value next = pod->Clone();
    RestoreIdentity(set_, next);
    TRY_VOID(UpdateIfChanged(ctx_, client_, "v1/pods", pod, std::move(next)));
    return true;
  }

  const ObjectPtr& RevisionFor(std::int64_t ordinal) const {
    const json::Value& strategy = set_["spec"]["updateStrategy"];
    if (strategy["type"].Str("RollingUpdate") != "RollingUpdate") return revisions_.update;
    const json::Value& rolling = strategy["rollingUpdate"];
    const std::int64_t old = rolling.is_null() ? set_["status"]["currentReplicas"].Int() : rolling["partition"].Int();
    return ordinal < FirstOrdinal(set_) + old ? revisions_.current : revisions_.update;
  }

  Result<bool> CreatePod(std::int64_t ordinal) {
    const ObjectPtr& revision = RevisionFor(ordinal);
    json::Value pod = StatefulPod(set_, TemplateOf(*revision), Name(*revision), ordinal);
    const std::string name(Name(pod));
    for (const json::Value& claim : ClaimsOf(set_, ordinal)) {
      const ObjectPtr there = claims_.Get(KeyOf(claim));
      if (there && IsStaleClaim(*there, pod)) return false;   // its deletion calls us again
    }
    TRY_VOID(CreateClaims(pod, ordinal));
    auto created = client_.Create(ctx_, "v1/pods", std::move(pod));
    if (!created) {
      if (NamespaceEnds(created.error())) return false;
      events_.Event(set_, "Warning", "FailedCreate", Cat("create Pod ", name, " in StatefulSet ", Name(set_), " failed error: ", created.error().message()));
      return std::unexpected(std::move(created).error());
    }
    events_.Event(set_, "Normal", "SuccessfulCreate", Cat("create Pod ", name, " in StatefulSet ", Name(set_), " successful"));
    replicas_[ordinal] = *created;
    return false;
  }

  Result<> CreateClaims(const json::Value& pod, std::int64_t ordinal) {
    for (json::Value& claim : ClaimsOf(set_, ordinal)) {
      const std::string name(Name(claim));
      if (const ObjectPtr there = claims_.Get(KeyOf(claim))) {
        if (IsTerminating(*there)) return Fail(Code::kConflict, Cat("pvc ", name, " is being deleted"));
        continue;
      }
      SetOrErase(claim.Set("metadata"), "ownerReferences", ClaimOwners(set_, pod, claim, false));
      auto created = client_.Create(ctx_, kClaims, std::move(claim));
      if (!created) {
        if (NamespaceEnds(created.error()) || AlreadyExists(created.error())) continue;
        events_.Event(set_, "Warning", "FailedCreate",
                      Cat("create Claim ", name, " for Pod ", Name(pod), " in StatefulSet ", Name(set_), " failed error: ", created.error().message()));
        return std::unexpected(std::move(created).error());
      }
      events_.Event(set_, "Normal", "SuccessfulCreate", Cat("create Claim ", name, " Pod ", Name(pod), " in StatefulSet ", Name(set_), " success"));
    }
    return {};
  }

  Result<> OwnClaims(const json::Value& pod, std::int64_t ordinal, bool condemned) {
    for (const json::Value& wanted : ClaimsOf(set_, ordinal)) {
      const ObjectPtr claim = claims_.Get(KeyOf(wanted));
      if (!claim) continue;
      json::Value next = claim->Clone();
      SetOrErase(next.Set("metadata"), "ownerReferences", ClaimOwners(set_, pod, *claim, condemned));
      TRY_VOID(UpdateIfChanged(ctx_, client_, kClaims, claim, std::move(next)));
    }
    return {};
  }

  Result<> DeletePod(const ObjectPtr& pod) {
    auto r = DeleteIfThere(ctx_, client_, "v1/pods", *pod);
    deleted_.push_back(std::string(Uid(*pod)));
    const std::string_view name = Name(*pod);
    if (r) {
      events_.Event(set_, "Normal", "SuccessfulDelete", Cat("delete Pod ", name, " in StatefulSet ", Name(set_), " successful"));
    } else {
      events_.Event(set_, "Warning", "FailedDelete", Cat("delete Pod ", name, " in StatefulSet ", Name(set_), " failed error: ", r.error().message()));
    }
    return r;
  }

  // From the highest ordinal down: an outdated pod goes as long as no more than allowed are away; an updated one must become available
  // before the next goes.
  Result<> Update() {
    const std::int64_t most = MostUnavailable(set_);
    std::int64_t away = 0;
    for (const auto& [ordinal, p] : replicas_) away += !Available(*p) || IsTerminating(*p);
    std::int64_t budget = most;
    const std::int64_t lowest = FirstOrdinal(set_) + set_["spec"]["updateStrategy"]["rollingUpdate"]["partition"].Int();
    for (auto it = replicas_.rbegin(); it != replicas_.rend() && it->first >= lowest && budget > 0; ++it) {
      const ObjectPtr pod = it->second;
      const bool available = Available(*pod) && !IsTerminating(*pod);
      if (RevisionOf(*pod) == Name(*revisions_.update) || IsTerminating(*pod)) {
        if (!available) --budget;
        continue;
      }
      if (available && away >= most) return {};
      TRY_VOID(DeletePod(pod));
      --budget;
      if (available) ++away;
    }
    return {};
  }

  Result<> WriteStatus() {
    std::int64_t replicas = 0, ready = 0, available = 0, current = 0, updated = 0;
    const auto count = [&](const json::Value& p) {
      ++replicas;
      if (IsRunningAndReady(p)) {
        ++ready;
        available += Available(p);
      }
      if (IsTerminating(p) || std::find(deleted_.begin(), deleted_.end(), Uid(p)) != deleted_.end()) return;
      current += RevisionOf(p) == Name(*revisions_.current);
      updated += RevisionOf(p) == Name(*revisions_.update);
    };
    for (const auto& [ordinal, p] : replicas_) count(*p);
    for (const auto& [ordinal, p] : condemned_) count(*p);
    std::string_view current_name = Name(*revisions_.current);
    const std::string_view update_name = Name(*revisions_.update);
    // A rolling update is through when every pod is new and ready: what was the update is what is current then.
    if (set_["spec"]["updateStrategy"]["type"].Str("RollingUpdate") == "RollingUpdate" && updated == replicas && ready == replicas) {
      current = updated;
      current_name = update_name;
    }
    json::Value next = set_.Clone();
    json::Value& status = next.Set("status");
    status.Set("observedGeneration") = Meta(set_)["generation"].Int();
    status.Set("replicas") = replicas;
    SetCount(status, "readyReplicas", ready);
    SetCount(status, "currentReplicas", current);
    SetCount(status, "updatedReplicas", updated);
    status.Set("currentRevision") = current_name;
    status.Set("updateRevision") = update_name;
    status.Set("collisionCount") = revisions_.collisions;
    status.Set("availableReplicas") = available;
    TRY_VOID(UpdateIfChanged(ctx_, client_, kSets, current_, std::move(next), "status"));
    return {};
  }

  Result<> Truncate() {
    std::vector<std::string> live{std::string(Name(*revisions_.current)), std::string(Name(*revisions_.update))};
    for (const ObjectPtr& p : pods_) live.emplace_back(RevisionOf(*p));
    return TruncateHistory(ctx_, client_, set_, revisions_.all, live);
  }

  const Ctx& ctx_;
  Client& client_;
  EventRecorder& events_;
  const Lister& claims_;
  const Clock::Wall now_;
  const ObjectPtr current_;
  const json::Value& set_;
  const Revisions revisions_;
  const std::vector<ObjectPtr> pods_;
  const std::chrono::seconds min_ready_;
  const bool ordered_;
  std::map<std::int64_t, ObjectPtr> replicas_, condemned_;   // by ordinal
  std::vector<std::string> deleted_;                         // uids of this pass
  std::optional<std::chrono::milliseconds> due_;
};

class StatefulReconciler final : public Reconciler {
 public:
  StatefulReconciler(const ControllerContext& c, std::shared_ptr<const OrphanPods> orphans)
      : orphans_(std::move(orphans)), client_(c.client(kController)), events_(c.events(kController)), clock_(c.clock), sets_(c.informers.Get(kSets)), pods_(c.informers.Get("v1/pods")),
        claims_(c.informers.Get(kClaims)), revisions_(c.informers.Get(kRevisions)) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr set = sets_.Get(key);
    if (!set) return Outcome{};
    std::vector<ObjectPtr> members;
    for (ObjectPtr& p : orphans_->Candidates(pods_, *set)) {
      if (OrdinalIn(*set, *p)) members.push_back(std::move(p));
    }
    const json::Value& selector = (*set)["spec"]["selector"];
    TRY(std::vector<ObjectPtr> pods,
        ClaimChildren(ctx, client_, "v1/pods", kKind, *set, members, [&](const json::Value& labels) { return MatchesSelector(selector, labels); }));
    TRY(Revisions revisions, FindRevisions(ctx, *set));
    return StatefulPass(ctx, client_, events_, claims_, clock_.Now(), set, std::move(revisions), std::move(pods)).Run();
  }

 private:
  Result<Revisions> FindRevisions(const Ctx& ctx, const json::Value& set) {
    Revisions out;
    TRY(out.all, ClaimRevisions(ctx, client_, revisions_, kKind, set));
    out.collisions = set["status"]["collisionCount"].Int();
    json::Value wanted;
    wanted.Set("data") = TemplatePatch(set);
    const auto equal = std::find_if(out.all.rbegin(), out.all.rend(), [&](const ObjectPtr& r) { return SameData(*r, wanted); });
    const std::int64_t next = out.all.empty() ? 1 : (*out.all.back())["revision"].Int() + 1;
    if (equal == out.all.rend()) {
      TRY(out.update, CreateRevision(ctx, set, wanted["data"], next, &out.collisions));
      out.all.push_back(out.update);
    } else if (equal == out.all.rbegin()) {
      out.update = *equal;
    } else {                         // rolled back: the old revision becomes the newest
      json::Value again = (*equal)->Clone();
      again.Set("revision") = next;
      TRY(out.update, client_.Update(ctx, kRevisions, std::move(again)));
      std::rotate(equal.base() - 1, equal.base(), out.all.end());
      out.all.back() = out.update;
    }
    const std::string_view current = set["status"]["currentRevision"].Str();
    const auto found = std::find_if(out.all.begin(), out.all.end(), [&](const ObjectPtr& r) { return Name(*r) == current; });
    out.current = found == out.all.end() ? out.update : *found;
    return out;
  }

  Result<ObjectPtr> CreateRevision(const Ctx& ctx, const json::Value& set, const json::Value& data, std::int64_t number, std::int64_t* collisions) {
    for (;;) {
      const std::string hash = DataHash(data, *collisions);
      json::Value r;
      r.Set("apiVersion") = "apps/v1";
      r.Set("kind") = "ControllerRevision";
      json::Value& meta = r.Set("metadata");
      meta.Set("name") = Cat(Name(set), "-", hash);
      meta.Set("namespace") = Namespace(set);
      if (const json::Value& labels = set["spec"]["template"]["metadata"]["labels"]; labels.is_object()) meta.Set("labels") = labels.Clone();
      meta.Set("labels").Set("controller.kubernetes.io/hash") = hash;
      if (const json::Value& notes = Meta(set)["annotations"]; notes.is_object()) meta.Set("annotations") = notes.Clone();
      meta.Set("ownerReferences").Append(NewControllerRef(set, kKind.api_version, kKind.kind));
      r.Set("data") = data.Clone();
      r.Set("revision") = number;
      const Key key = KeyOf(r);
      auto created = client_.Create(ctx, kRevisions, std::move(r));
      if (created || !AlreadyExists(created.error())) return created;
      TRY(const ObjectPtr there, client_.Get(ctx, kRevisions, key));
      if ((*there)["data"] == data && IsControlledBy(*there, Uid(set))) return there;
      ++*collisions;
    }
  }

  const std::shared_ptr<const OrphanPods> orphans_;
  Client& client_;
  EventRecorder& events_;
  const Clock& clock_;
  const Lister& sets_;
  const Lister& pods_;
  const Lister& claims_;
  const Lister& revisions_;
};

}  // namespace

void AddStatefulSet(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = kController;
  spec.workers = 5;
  spec.triggers.push_back({kSets, {}});
  const auto orphans = std::make_shared<OrphanPods>();
  spec.triggers.push_back(PodsOf(c, "apps", "StatefulSet", kSets, orphans));
  // A claim that ends makes room for the one of a new pod.
  const Lister& sets = c.informers.Get(kSets);
  spec.triggers.push_back({kClaims, [&sets](const Notification& n) {
                             std::vector<Key> keys;
                             if (n.type != Notification::Type::kDeleted) return keys;
                             for (const ObjectPtr& s : sets.List(Namespace(*n.object))) {
                               if (Name(*n.object).find(Cat("-", Name(*s), "-")) != std::string_view::npos) keys.push_back(KeyOf(*s));
                             }
                             return keys;
                           }});
  spec.reconciler = std::make_unique<StatefulReconciler>(c, orphans);
  c.manager.Add(std::move(spec));
}

}  // namespace skerry::kube
