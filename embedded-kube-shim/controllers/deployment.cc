#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/controllers/deployment_sync.h"
#include "embedded-kube-shim/controllers/owned_pods.h"

namespace skerry::kube {
namespace {

constexpr const char* kSets = "apps/v1/replicasets";
constexpr const char* kDeployments = "apps/v1/deployments";

// Annotations of the deployment that say something about the deployment itself are not handed down.
bool IsOwnAnnotation(std::string_view key) {
  return key == "kubectl.kubernetes.io/last-applied-configuration" || key == kRevision || key == kRevisionHistory || key == kDesiredReplicas ||
         key == kMaxReplicas || key == "deprecated.deployment.rollback.to";
}

bool SetAnnotation(json::Value& object, std::string_view key, std::string_view value) {
  json::Value& a = object.Set("metadata").Set("annotations").Set(key);
  if (a.Str() == value && a.is_string()) return false;
  a = value;
  return true;
}

bool SetReplicaAnnotations(json::Value& set, std::int64_t desired, std::int64_t most) {
  const bool a = SetAnnotation(set, kDesiredReplicas, std::to_string(desired));
  const bool b = SetAnnotation(set, kMaxReplicas, std::to_string(most));
  return a || b;
}

// One pass over one deployment.
class Rollout {
 public:
  Rollout(const Ctx& ctx, Client& client, EventRecorder& events, const Lister& pods, const Clock& clock, const json::Value& deployment, std::vector<ObjectPtr> sets)
      : ctx_(ctx), client_(client), events_(events), pods_(pods), now_(clock.Now()), d_(deployment.Clone()), sets_(std::move(sets)) {
    new_ = FindNewSet(d_, sets_);
    want_ = d_["spec"]["replicas"].Int(1);
    most_ = want_ + LimitsOf(d_).max_surge;
  }

  Result<Outcome> Run() {
    if (IsTerminating(d_)) return WriteStatus(false);
    TRY_VOID(NotePause());
    if (d_["spec"]["paused"].Bool() || ScalingAskedFor()) {
      TRY_VOID(FindOrCreateNewSet(false));
      TRY_VOID(Scale());
      if (d_["spec"]["paused"].Bool()) TRY_VOID(CleanUp());
      return WriteStatus(false);
    }
    if (IsRecreate(d_)) return Recreate();
    return RollingUpdate();
  }

 private:
  std::vector<ObjectPtr> OldSets() const {
    std::vector<ObjectPtr> out;
    for (const ObjectPtr& s : sets_) {
      if (!new_ || Uid(*s) != Uid(*new_)) out.push_back(s);
    }
    return out;
  }
  bool HasDeadline() const { return d_["spec"]["progressDeadlineSeconds"].is_int() && d_["spec"]["progressDeadlineSeconds"].Int() != 2147483647; }

  bool ScalingAskedFor() const {
    return std::any_of(sets_.begin(), sets_.end(), [&](const ObjectPtr& s) {
      if (Replicas(*s) == 0) return false;
      const auto desired = ParseInt(Meta(*s)["annotations"][kDesiredReplicas].Str());
      return desired && *desired != want_;
    });
  }

  // A paused rollout must not time out.
  Result<> NotePause() {
    if (!HasDeadline()) return {};
    const json::Value* c = FindCondition(d_["status"], "Progressing");
    if (c && (*c)["reason"].Str() == "ProgressDeadlineExceeded") return {};
    const bool noted = c && (*c)["reason"].Str() == "DeploymentPaused";
    const bool paused = d_["spec"]["paused"].Bool();
    if (paused == noted) return {};
    json::Value& status = d_.Set("status");
    if (paused) {
      SetCondition(status, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now_, true);
    } else {
      SetCondition(status, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", now_, true);
    }
    return Store("status");
  }

  Result<> Store(std::string_view subresource) {
    TRY(const ObjectPtr written, client_.Update(ctx_, kDeployments, d_.Clone(), subresource));
    d_ = written->Clone();
    return {};
  }

  void Replace(const ObjectPtr& set) {
    for (ObjectPtr& s : sets_) {
      if (Uid(*s) == Uid(*set)) s = set;
    }
    if (new_ && Uid(*new_) == Uid(*set)) new_ = set;
  }

  Result<> Resize(const ObjectPtr& set, std::int64_t to) {
    json::Value next = set->Clone();
    const std::int64_t from = Replicas(*set);
    next.Set("spec").Set("replicas") = to;
    const bool changed = SetReplicaAnnotations(next, want_, most_);
    if (from == to && !changed) return {};
    TRY(const ObjectPtr written, client_.Update(ctx_, kSets, std::move(next)));
    Replace(written);
    if (from != to) {
      events_.Event(d_, "Normal", "ScalingReplicaSet", Cat("Scaled ", to > from ? "up" : "down", " replica set ", Name(*set), " from ", from, " to ", to));
    }
    return {};
  }

  // Revision annotations of the new set and the deployment; creates the new set when asked to and there is none.
  Result<> FindOrCreateNewSet(bool create) {
    std::int64_t revision = 0;
    for (const ObjectPtr& s : OldSets()) revision = std::max(revision, RevisionOf(*s));
    ++revision;
    if (!new_ && create) TRY_VOID(CreateNewSet(revision));
    if (!new_) return {};
    TRY_VOID(SyncNewSetAnnotations(revision));
    bool changed = SetAnnotation(d_, kRevision, Meta(*new_)["annotations"][kRevision].Str());
    if (changed) TRY_VOID(Store("status"));   // through the main resource it would count as a new generation
    if (HasDeadline() && !FindCondition(d_["status"], "Progressing")) {
      SetCondition(d_.Set("status"), "Progressing", "True", "FoundNewReplicaSet", Cat("Found new replica set ", Quote(Name(*new_))), now_, true);
      return Store("status");
    }
    return {};
  }

  Result<> SyncNewSetAnnotations(std::int64_t revision) {
    const json::Value& there = Meta(*new_)["annotations"];
    bool changed = (*new_)["spec"]["minReadySeconds"].Int() != d_["spec"]["minReadySeconds"].Int() || RevisionOf(*new_) < revision;
    for (const json::Member& m : Meta(d_)["annotations"].Members()) {
      if (!IsOwnAnnotation(m.key)) changed |= !there[m.key].is_string() || there[m.key].Str() != m.value.Str();
    }
    if (!changed) return {};
    json::Value next = new_->Clone();
    for (const json::Member& m : Meta(d_)["annotations"].Members()) {
      if (!IsOwnAnnotation(m.key)) SetAnnotation(next, m.key, m.value.Str());
    }
    const std::int64_t old = RevisionOf(*new_);
    if (old < revision) {
      SetAnnotation(next, kRevision, std::to_string(revision));
      if (old > 0) {
        const std::string_view history = Meta(*new_)["annotations"][kRevisionHistory].Str();
        SetAnnotation(next, kRevisionHistory, history.empty() ? std::to_string(old) : Cat(history, ",", old));
      }
    }
    const json::Value& min_ready = d_["spec"]["minReadySeconds"];
    if ((*new_)["spec"]["minReadySeconds"].Int() != min_ready.Int()) {
      next.Set("spec").Set("minReadySeconds") = min_ready.Int();
    }
    TRY(const ObjectPtr written, client_.Update(ctx_, kSets, std::move(next)));
    Replace(written);
    return {};
  }

  json::Value NewSetBody(const std::string& hash, std::int64_t revision) {
    json::Value set;
    set.Set("apiVersion") = "apps/v1";
    set.Set("kind") = "ReplicaSet";
    json::Value& meta = set.Set("metadata");
    meta.Set("name") = Cat(Name(d_), "-", hash);
    meta.Set("namespace") = Namespace(d_);
    meta.Set("labels") = d_["spec"]["template"]["metadata"]["labels"].Clone();
    meta.Set("labels").Set(kHashLabel) = hash;
    for (const json::Member& m : Meta(d_)["annotations"].Members()) {
      if (!IsOwnAnnotation(m.key)) SetAnnotation(set, m.key, m.value.Str());
    }
    meta.Set("ownerReferences").Append(NewControllerRef(d_, "apps/v1", "Deployment"));
    json::Value& spec = set.Set("spec");
    std::vector<ObjectPtr> all = sets_;
    spec.Set("replicas") = NewSetSize(d_, all, 0);
    if (d_["spec"]["minReadySeconds"].Int() > 0) spec.Set("minReadySeconds") = d_["spec"]["minReadySeconds"].Int();
    spec.Set("selector") = d_["spec"]["selector"].Clone();
    spec.Set("selector").Set("matchLabels").Set(kHashLabel) = hash;
    spec.Set("template") = d_["spec"]["template"].Clone();
    spec.Set("template").Set("metadata").Set("labels").Set(kHashLabel) = hash;
    SetAnnotation(set, kRevision, std::to_string(revision));
    SetReplicaAnnotations(set, want_, most_);
    return set;
  }

  Result<> CreateNewSet(std::int64_t revision) {
    const json::Value& collisions = d_["status"]["collisionCount"];
    const std::string hash = TemplateHash(d_["spec"]["template"], collisions.is_int() ? std::optional(collisions.Int()) : std::nullopt);
    json::Value body = NewSetBody(hash, revision);
    const std::int64_t size = body["spec"]["replicas"].Int();
    const std::string name(Name(body));
    auto created = client_.Create(ctx_, kSets, std::move(body));
    if (!created) return NewSetFailed(std::move(created).error(), name, hash);
    new_ = *created;
    sets_.push_back(new_);
    if (size > 0) events_.Event(d_, "Normal", "ScalingReplicaSet", Cat("Scaled up replica set ", name, " from 0 to ", size));
    if (!HasDeadline()) return {};
    SetCondition(d_.Set("status"), "Progressing", "True", "NewReplicaSetCreated", Cat("Created new replica set ", Quote(name)), now_, true);
    return Store("status");
  }

  Result<> NewSetFailed(Error error, const std::string& name, const std::string& hash) {
    if (error.code() == Code::kAlreadyExists || ReasonOf(error) == "AlreadyExists") {
      auto existing = client_.Get(ctx_, kSets, {std::string(Namespace(d_)), name});
      if (!existing) return std::unexpected(std::move(existing).error());
      if (IsControlledBy(**existing, Uid(d_)) && FindNewSet(d_, {*existing})) {   // ours, only not in the cache yet
        new_ = *existing;
        sets_.push_back(new_);
        return {};
      }
      json::Value& count = d_.Set("status").Set("collisionCount");   // another template with this hash: count on and hash anew
      count = count.Int() + 1;
      TRY_VOID(Store("status"));
      return Fail(Code::kConflict, Cat("replica set name ", name, " is taken; hash ", hash, " collides"));
    }
    for (const Error::Cause& c : error.causes()) {
      if (c.reason == "NamespaceTerminating") return std::unexpected(std::move(error));
    }
    const std::string message = Cat("Failed to create new replica set ", Quote(name), ": ", error.message());
    if (HasDeadline()) {
      SetCondition(d_.Set("status"), "Progressing", "False", "ReplicaSetCreateError", message, now_, true);
      TRY_VOID(Store("status"));
    }
    events_.Event(d_, "Warning", "ReplicaSetCreateError", message);
    return std::unexpected(std::move(error));
  }

  // spec.replicas changed (or the rollout is paused): one active set takes it, several share it.
  Result<> Scale() {
    std::vector<ObjectPtr> active;
    for (const ObjectPtr& s : sets_) {
      if (Replicas(*s) > 0) active.push_back(s);
    }
    const ObjectPtr only = active.size() == 1 ? active[0] : active.empty() ? new_ : nullptr;
    if (only) return Replicas(*only) == want_ && !ScalingAskedFor() ? Result<>() : Resize(only, want_);
    const bool saturated = new_ && Replicas(*new_) == want_ && Available(*new_) == want_ &&
                           ParseInt(Meta(*new_)["annotations"][kDesiredReplicas].Str()).value_or(-1) == want_;
    if (saturated) {
      for (const ObjectPtr& s : OldSets()) {
        if (Replicas(*s) > 0) TRY_VOID(Resize(s, 0));
      }
      return {};
    }
    if (IsRecreate(d_)) return {};
    for (const kube::Resize& r : Proportional(d_, active)) TRY_VOID(Resize(r.set, r.to));
    return {};
  }

  Result<Outcome> RollingUpdate() {
    TRY_VOID(FindOrCreateNewSet(true));
    if (const std::int64_t size = Replicas(*new_) > want_ ? want_ : NewSetSize(d_, sets_, Replicas(*new_)); size != Replicas(*new_)) {
      TRY_VOID(Resize(new_, size));
      return WriteStatus(true);
    }
    const std::vector<kube::Resize> shrink = ShrinkOldSets(d_, OldSets(), new_);
    for (const kube::Resize& r : shrink) TRY_VOID(Resize(r.set, r.to));
    if (shrink.empty() && Complete(d_["status"])) TRY_VOID(CleanUp());
    return WriteStatus(true);
  }

  Result<Outcome> Recreate() {
    TRY_VOID(FindOrCreateNewSet(false));
    bool shrunk = false;
    for (const ObjectPtr& s : OldSets()) {
      if (Replicas(*s) == 0) continue;
      TRY_VOID(Resize(s, 0));
      shrunk = true;
    }
    if (shrunk || OldPodsRun()) return WriteStatus(true);
    TRY_VOID(FindOrCreateNewSet(true));
    if (Replicas(*new_) != want_) TRY_VOID(Resize(new_, want_));
    if (Complete(d_["status"])) TRY_VOID(CleanUp());
    return WriteStatus(true);
  }

  bool OldPodsRun() const {
    for (const ObjectPtr& s : OldSets()) {
      for (const ObjectPtr& p : pods_.OwnedBy(Uid(*s))) {
        if (!IsPodFinished(*p)) return true;
      }
    }
    return false;
  }

  Result<> CleanUp() {
    const json::Value& limit = d_["spec"]["revisionHistoryLimit"];
    if (!limit.is_int()) return {};
    std::vector<ObjectPtr> old;
    for (const ObjectPtr& s : OldSets()) {
      if (!IsTerminating(*s)) old.push_back(s);
    }
    const std::int64_t surplus = static_cast<std::int64_t>(old.size()) - limit.Int();
    if (surplus <= 0) return {};
    std::sort(old.begin(), old.end(), [](const ObjectPtr& a, const ObjectPtr& b) { return RevisionOf(*a) < RevisionOf(*b); });
    for (std::int64_t i = 0; i < surplus; ++i) {
      const json::Value& s = *old[static_cast<std::size_t>(i)];
      if (s["status"]["replicas"].Int() != 0 || Replicas(s) != 0 || Meta(s)["generation"].Int() > s["status"]["observedGeneration"].Int()) continue;
      auto r = client_.Delete(ctx_, kSets, {std::string(Namespace(s)), std::string(Name(s))});
      if (!r && r.error().code() != Code::kNotFound) return r;
    }
    return {};
  }

  bool Complete(const json::Value& status) const {
    return status["updatedReplicas"].Int() == want_ && status["replicas"].Int() == want_ && status["availableReplicas"].Int() == want_ &&
           status["observedGeneration"].Int() >= Meta(d_)["generation"].Int();
  }

  json::Value Status() const {
    std::int64_t total = 0, ready = 0, available = 0, terminating = 0, spec = 0;
    for (const ObjectPtr& s : sets_) {
      const json::Value& st = (*s)["status"];
      total += st["replicas"].Int();
      ready += st["readyReplicas"].Int();
      available += st["availableReplicas"].Int();
      terminating += st["terminatingReplicas"].Int();
      spec += Replicas(*s);
    }
    json::Value status;
    status.Set("observedGeneration") = Meta(d_)["generation"].Int();
    const auto count = [&](std::string_view field, std::int64_t n) {
      if (n > 0) status.Set(field) = n;
    };
    count("replicas", total);
    count("updatedReplicas", new_ ? (*new_)["status"]["replicas"].Int() : 0);
    count("readyReplicas", ready);
    count("availableReplicas", available);
    count("unavailableReplicas", spec - available);
    status.Set("terminatingReplicas") = terminating;
    if (const json::Value* c = d_["status"].Find("conditions")) status.Set("conditions") = c->Clone();
    if (const json::Value* c = d_["status"].Find("collisionCount")) status.Set("collisionCount") = c->Clone();
    if (available >= want_ - LimitsOf(d_).max_unavailable) {
      SetCondition(status, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now_, true);
    } else {
      SetCondition(status, "Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.", now_, true);
    }
    return status;
  }

  bool Progressed(const json::Value& next) const {
    const json::Value& last = d_["status"];
    const auto grew = [&](std::string_view f) { return next[f].Int() > last[f].Int(); };
    return grew("updatedReplicas") || grew("readyReplicas") || grew("availableReplicas") ||
           next["replicas"].Int() - next["updatedReplicas"].Int() < last["replicas"].Int() - last["updatedReplicas"].Int();
  }

  void NoteProgress(json::Value& status, Outcome* outcome) const {
    const json::Value* current = FindCondition(status, "Progressing");
    const std::string subject = new_ ? Cat("ReplicaSet ", Quote(Name(*new_))) : Cat("Deployment ", Quote(Name(d_)));
    const bool was_complete = status["replicas"].Int() == status["updatedReplicas"].Int() && current && (*current)["reason"].Str() == "NewReplicaSetAvailable";
    if (!HasDeadline()) {
      RemoveCondition(status, "Progressing");
      return;
    }
    if (was_complete) return;
    if (Complete(status)) {
      SetCondition(status, "Progressing", "True", "NewReplicaSetAvailable", subject + " has successfully progressed.", now_, true);
    } else if (Progressed(status)) {
      const std::string since = current && (*current)["status"].Str() == "True" ? std::string((*current)["lastTransitionTime"].Str()) : FormatTime(now_);
      RemoveCondition(status, "Progressing");
      SetCondition(status, "Progressing", "True", "ReplicaSetUpdated", subject + " is progressing.", now_, true);
      status.Find("conditions")->MutableItems().back().Set("lastTransitionTime") = since;
    } else if (current && (*current)["reason"].Str() != "ProgressDeadlineExceeded" && (*current)["reason"].Str() != "NewReplicaSetAvailable") {
      const auto since = ParseTime((*current)["lastUpdateTime"].Str());
      const auto left = since ? *since + std::chrono::seconds(d_["spec"]["progressDeadlineSeconds"].Int()) - now_ : Clock::Wall::duration::zero();
      if (left.count() <= 0) {
        SetCondition(status, "Progressing", "False", "ProgressDeadlineExceeded", subject + " has timed out progressing.", now_, true);
      }
    }
    current = FindCondition(status, "Progressing");
    const std::string_view reason = current ? (*current)["reason"].Str() : "";
    if (current && reason != "ProgressDeadlineExceeded" && reason != "NewReplicaSetAvailable" && reason != "DeploymentPaused") {
      const auto since = ParseTime((*current)["lastUpdateTime"].Str());
      const auto due = since ? *since + std::chrono::seconds(d_["spec"]["progressDeadlineSeconds"].Int() + 1) - now_ : Clock::Wall::duration::zero();
      outcome->requeue_after = std::max(std::chrono::milliseconds(1000), std::chrono::ceil<std::chrono::milliseconds>(due));
    }
  }

  void NoteFailures(json::Value& status) const {
    for (const ObjectPtr& s : sets_) {
      const json::Value* c = FindCondition((*s)["status"], "ReplicaFailure");
      if (!c || (*c)["status"].Str() != "True") continue;
      SetCondition(status, "ReplicaFailure", "True", (*c)["reason"].Str(), (*c)["message"].Str(), now_, true);
      return;
    }
    RemoveCondition(status, "ReplicaFailure");
  }

  Result<Outcome> WriteStatus(bool rollout) {
    Outcome outcome;
    json::Value status = Status();
    if (rollout) {
      NoteProgress(status, &outcome);
      NoteFailures(status);
    }
    if (status == d_["status"]) return outcome;
    d_.Set("status") = std::move(status);
    TRY_VOID(Store("status"));
    return outcome;
  }

  const Ctx& ctx_;
  Client& client_;
  EventRecorder& events_;
  const Lister& pods_;
  const Clock::Wall now_;
  json::Value d_;
  std::vector<ObjectPtr> sets_;
  ObjectPtr new_;
  std::int64_t want_ = 0, most_ = 0;
};

class DeploymentReconciler final : public Reconciler {
 public:
  explicit DeploymentReconciler(const ControllerContext& c)
      : client_(c.client("deployment-controller")), events_(c.events("deployment-controller")), clock_(c.clock), deployments_(c.informers.Get(kDeployments)),
        sets_(c.informers.Get(kSets)), pods_(c.informers.Get("v1/pods")) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr d = deployments_.Get(key);
    if (!d) return Outcome{};
    const json::Value& selector = (*d)["spec"]["selector"];
    if (selector["matchLabels"].size() == 0 && selector["matchExpressions"].size() == 0) {
      events_.Event(*d, "Warning", "SelectingAll", "This deployment is selecting all pods. A non-empty selector is required.");
      if ((*d)["status"]["observedGeneration"].Int() >= Meta(*d)["generation"].Int()) return Outcome{};
      json::Value next = d->Clone();
      next.Set("status").Set("observedGeneration") = Meta(*d)["generation"].Int();
      TRY(const ObjectPtr written, client_.Update(ctx, kDeployments, std::move(next), "status"));
      static_cast<void>(written);
      return Outcome{};
    }
    TRY(std::vector<ObjectPtr> sets, ClaimChildren(ctx, client_, kSets, {"apps/v1", "Deployment"}, *d, ChildrenOrOrphans(sets_, *d),
                                                   [&](const json::Value& labels) { return MatchesSelector(selector, labels); }));
    return Rollout(ctx, client_, events_, pods_, clock_, *d, std::move(sets)).Run();
  }

 private:
  Client& client_;
  EventRecorder& events_;
  const Clock& clock_;
  const Lister& deployments_;
  const Lister& sets_;
  const Lister& pods_;
};

// Whether there may be something to do. Labels of the deployment itself, its managers and the like concern nobody here; what does concern
// is the spec and the annotations (both count as a generation), deletion and the status.
bool Matters(const Notification& n) {
  if (n.type != Notification::Type::kModified || !n.previous) return true;
  const json::Value &now = Meta(*n.object), &before = Meta(*n.previous);
  for (const std::string_view member : {"uid", "generation", "annotations", "deletionTimestamp"})
    if (!(now[member] == before[member])) return true;
  return !((*n.object)["status"] == (*n.previous)["status"]);
}

}  // namespace

void AddDeployment(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = "deployment-controller";
  spec.workers = 5;
  const Lister& deployments = c.informers.Get(kDeployments);
  const Lister& sets = c.informers.Get(kSets);
  spec.triggers.push_back({kDeployments, [](const Notification& n) { return Matters(n) ? std::vector<Key>{KeyOf(*n.object)} : std::vector<Key>(); }});
  spec.triggers.push_back({kSets, [owner = OwnerOf("apps", "Deployment"), &deployments](const Notification& n) {
                             std::vector<Key> keys = owner(n);
                             if (keys.empty() && !ControllerRef(*n.object) && n.type != Notification::Type::kDeleted) {
                               for (const ObjectPtr& d : deployments.List(Namespace(*n.object))) {
                                 if (MatchesSelector((*d)["spec"]["selector"], Meta(*n.object)["labels"])) keys.push_back(KeyOf(*d));
                               }
                             }
                             return keys;
                           }});
  // Recreate waits for the last old pod to be gone.
  spec.triggers.push_back({"v1/pods", [&sets](const Notification& n) {
                             std::vector<Key> keys;
                             const json::Value* ref = ControllerRef(*n.object);
                             if (!ref || (*ref)["kind"].Str() != "ReplicaSet" || (n.type != Notification::Type::kDeleted && !IsPodFinished(*n.object))) return keys;
                             const ObjectPtr set = sets.Get({std::string(Namespace(*n.object)), std::string((*ref)["name"].Str())});
                             const json::Value* owner = set ? ControllerRef(*set) : nullptr;
                             if (owner) keys.push_back({std::string(Namespace(*n.object)), std::string((*owner)["name"].Str())});
                             return keys;
                           }});
  spec.reconciler = std::make_unique<DeploymentReconciler>(c);
  c.manager.Add(std::move(spec));
}

}  // namespace skerry::kube
