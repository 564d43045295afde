#include <algorithm>
#include <mutex>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/daemon_pods.h"
#include "embedded-kube-shim/controllers/history.h"
#include "embedded-kube-shim/controllers/pod_control.h"
#include "embedded-kube-shim/controllers/write.h"

// DaemonSet: one pod on every node that fits. The pods are bound by the scheduler; they name their node by affinity.
namespace skerry::kube {
namespace {

constexpr const char* kSets = "apps/v1/daemonsets";
constexpr const char* kNodes = "v1/nodes";
constexpr const char* kController = "daemonset-controller";
constexpr std::size_t kMostAtOnce = 250;
constexpr std::chrono::seconds kFirstWait{1}, kLongestWait{15 * 60};
const OwnerKind kKind{"apps/v1", "DaemonSet"};

// A node that refuses the pod again and again is asked again ever later.
class FailureWaits {
 public:
  // Zero when the pod may be replaced now (and the next time is put off); else how long to wait.
  std::chrono::milliseconds Ask(const std::string& key, Clock::MonoTime now) {
    std::lock_guard lock(mutex_);
    std::erase_if(waits_, [&](const auto& w) { return now - w.second.until > 2 * kLongestWait; });
    auto [it, fresh] = waits_.try_emplace(key, Wait{now, kFirstWait});
    if (!fresh && now < it->second.until) return std::chrono::ceil<std::chrono::milliseconds>(it->second.until - now);
    if (!fresh) it->second.next = std::min<std::chrono::seconds>(it->second.next * 2, kLongestWait);
    it->second.until = now + it->second.next;
    return {};
  }

 private:
  struct Wait {
    Clock::MonoTime until;
    std::chrono::seconds next;
  };
  std::mutex mutex_;
  std::map<std::string, Wait> waits_;
};

class DaemonPass {
 public:
  DaemonPass(const Ctx& ctx, Client& client, EventRecorder& events, const Clock& clock, FailureWaits& waits, const ObjectPtr& set, std::string hash,
             std::vector<ObjectPtr> nodes, std::vector<ObjectPtr> pods)
      : ctx_(ctx), client_(client), events_(events), control_(client, events), clock_(clock), waits_(waits), current_(set), set_(*set), hash_(std::move(hash)),
        nodes_(std::move(nodes)), min_ready_(set_["spec"]["minReadySeconds"].Int()) {
    for (ObjectPtr& p : pods) Place(std::move(p));
    for (const ObjectPtr& n : nodes_) desired_ += WishOf(*n, set_).run;
  }

  Result<Outcome> Run() {
    Result<> worked = Manage();
    if (worked && set_["spec"]["updateStrategy"]["type"].Str("RollingUpdate") == "RollingUpdate") {
      worked = Apply(RollDaemons(set_, pods_, hash_, desired_, [this](const json::Value& p) { return Available(p); }));
    }
    TRY_VOID(WriteStatus());
    if (!worked) return std::unexpected(std::move(worked).error());
    Outcome outcome;
    outcome.requeue_after = due_;
    return outcome;
  }

 private:
  void Place(ObjectPtr pod) {
    if (IsPodFinished(*pod) && IsTerminating(*pod)) return;
    pods_[std::string(NodeOf(*pod))].push_back(std::move(pod));
  }

  bool Available(const json::Value& pod) { return IsPodAvailable(pod, min_ready_, clock_.Now(), &due_); }
  void WaitFor(std::chrono::milliseconds left) {
    if (!due_ || left < *due_) due_ = left;
  }

  Result<> Manage() {
    DaemonChange change;
    std::vector<std::string> known;
    for (const ObjectPtr& n : nodes_) {
      known.emplace_back(Name(*n));
      const NodeWish wish = WishOf(*n, set_);
      const auto it = pods_.find(Name(*n));
      if (it == pods_.end()) {
        if (wish.run) change.create.emplace_back(Name(*n));
      } else if (wish.keep) {
        Keep(it->second, Name(*n), change);
      } else {
        for (const ObjectPtr& p : it->second) {
          if (!IsTerminating(*p)) change.remove.push_back(p);
        }
      }
    }
    // Meant for a node that is no more: nobody will ever bind them.
    for (const auto& [node, there] : pods_) {
      if (std::find(known.begin(), known.end(), node) != known.end()) continue;
      for (const ObjectPtr& p : there) {
        if ((*p)["spec"]["nodeName"].Str().empty() && !IsTerminating(*p)) change.remove.push_back(p);
      }
    }
    return Apply(change);
  }

  // One pod on the node; during a surge a new one beside an old one until the new one is available.
  void Keep(const std::vector<ObjectPtr>& there, std::string_view node, DaemonChange& change) {
    std::vector<ObjectPtr> running;
    for (const ObjectPtr& p : there) {
      if (IsTerminating(*p)) continue;
      if (!IsPodFinished(*p)) {
        running.push_back(p);
      } else if ((*p)["status"]["phase"].Str() == "Succeeded") {
        events_.Event(set_, "Normal", "SucceededDaemonPod",
                      Cat("Found succeeded daemon pod ", Namespace(*p), "/", Name(*p), " on node ", node, ", will try to delete it"));
        change.remove.push_back(p);
      } else if (const auto wait = waits_.Ask(Cat(Uid(set_), "/", Meta(set_)["generation"].Int(), "/", node), clock_.Mono()); wait.count() > 0) {
        WaitFor(wait);
      } else {
        events_.Event(set_, "Warning", "FailedDaemonPod", Cat("Found failed daemon pod ", Namespace(*p), "/", Name(*p), " on node ", node, ", will try to kill it"));
        change.remove.push_back(p);
      }
    }
    if (running.size() < 2) return;
    SortByAge(running);
    if (LimitsOfDaemons(set_, desired_).surge == 0) {
      change.remove.insert(change.remove.end(), running.begin() + 1, running.end());
      return;
    }
    ObjectPtr old_pod, new_pod;
    for (const ObjectPtr& p : running) {
      ObjectPtr& slot = Meta(*p)["labels"][kRevisionLabel].Str() == hash_ ? new_pod : old_pod;
      if (slot) {
        change.remove.push_back(p);
      } else {
        slot = p;
      }
    }
    if (old_pod && new_pod && (!IsPodReady(*old_pod) || Available(*new_pod))) change.remove.push_back(old_pod);
  }

  Result<> Apply(const DaemonChange& change) {
    Result<> first;
    const auto note = [&](Result<> r) {
      if (!r && first) first = std::move(r);
    };
    for (std::size_t i = 0; i < std::min(change.create.size(), kMostAtOnce) && first; ++i) {
      auto created = control_.Create(ctx_, set_, DaemonPod(set_, hash_, change.create[i]));
      if (!created) {
        note(std::unexpected(std::move(created).error()));
      } else if (*created) {
        Place(*created);
      }
    }
    if (change.create.size() > kMostAtOnce) WaitFor(std::chrono::milliseconds(1));
    for (const ObjectPtr& p : change.remove) {
      note(control_.Delete(ctx_, set_, *p));
      Forget(*p);
    }
    return first;
  }

  // What was deleted is on its way out: it still occupies its node, but counts for nothing.
  void Forget(const json::Value& pod) {
    std::vector<ObjectPtr>& there = pods_[std::string(NodeOf(pod))];
    for (ObjectPtr& p : there) {
      if (Uid(*p) != Uid(pod)) continue;
      json::Value ending = p->Clone();
      ending.Set("metadata").Set("deletionTimestamp") = FormatTime(clock_.Now());
      p = std::make_shared<const json::Value>(std::move(ending));
    }
  }

  Result<> WriteStatus() {
    std::int64_t scheduled = 0, misscheduled = 0, ready = 0, updated = 0, available = 0;
    for (const ObjectPtr& n : nodes_) {
      const auto it = pods_.find(Name(*n));
      if (it == pods_.end() || it->second.empty()) continue;
      if (!WishOf(*n, set_).run) {
        ++misscheduled;
        continue;
      }
      ++scheduled;
      SortByAge(it->second);
      const json::Value& pod = *it->second.front();
      ready += IsPodReady(pod);
      available += Available(pod);
      updated += IsUpdated(pod, set_, hash_);
    }
    json::Value next = set_.Clone();
    json::Value& status = next.Set("status");
    status.Set("currentNumberScheduled") = scheduled;
    status.Set("numberMisscheduled") = misscheduled;
    status.Set("desiredNumberScheduled") = desired_;
    status.Set("numberReady") = ready;
    status.Set("observedGeneration") = Meta(set_)["generation"].Int();
    SetCount(status, "updatedNumberScheduled", updated);
    SetCount(status, "numberAvailable", available);
    SetCount(status, "numberUnavailable", desired_ - available);
    TRY_VOID(UpdateIfChanged(ctx_, client_, kSets, current_, std::move(next), "status"));
    return {};
  }

  const Ctx& ctx_;
  Client& client_;
  EventRecorder& events_;
  PodControl control_;
  const Clock& clock_;
  FailureWaits& waits_;
  const ObjectPtr current_;
  const json::Value& set_;
  const std::string hash_;
  const std::vector<ObjectPtr> nodes_;
  const std::chrono::seconds min_ready_;
  PodsByNode pods_;
  std::int64_t desired_ = 0;
  std::optional<std::chrono::milliseconds> due_;
};

class DaemonReconciler final : public Reconciler {
 public:
  DaemonReconciler(const ControllerContext& c, std::shared_ptr<const OrphanPods> orphans)
      : orphans_(std::move(orphans)), client_(c.client("daemon-set-controller")), events_(c.events(kController)), clock_(c.clock), sets_(c.informers.Get(kSets)), pods_(c.informers.Get("v1/pods")),
        nodes_(c.informers.Get(kNodes)), revisions_(c.informers.Get(kRevisions)) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr set = sets_.Get(key);
    if (!set || IsTerminating(*set)) return Outcome{};
    const json::Value& selector = (*set)["spec"]["selector"];
    if (selector["matchLabels"].size() == 0 && selector["matchExpressions"].size() == 0) {
      events_.Event(*set, "Warning", "SelectingAll", "This daemon set is selecting all pods. A non-empty selector is required.");
      return Outcome{};
    }
    TRY(std::vector<ObjectPtr> pods,
        ClaimChildren(ctx, client_, "v1/pods", kKind, *set, orphans_->Candidates(pods_, *set), [&](const json::Value& labels) { return MatchesSelector(selector, labels); }));
    std::vector<ObjectPtr> old;
    TRY(const ObjectPtr current, FindRevision(ctx, set, &old));
    std::string hash(Meta(*current)["labels"][kRevisionLabel].Str());
    std::vector<std::string> live;
    for (const ObjectPtr& r : old) {
      const std::string_view label = Meta(*r)["labels"][kRevisionLabel].Str();
      if (std::any_of(pods.begin(), pods.end(), [&](const ObjectPtr& p) { return Meta(*p)["labels"][kRevisionLabel].Str() == label; })) live.emplace_back(Name(*r));
    }
    TRY(Outcome outcome, DaemonPass(ctx, client_, events_, clock_, waits_, set, std::move(hash), nodes_.List(), std::move(pods)).Run());
    TRY_VOID(TruncateHistory(ctx, client_, *set, old, live));
    return outcome;
  }

 private:
  Result<ObjectPtr> FindRevision(const Ctx& ctx, const ObjectPtr& set, std::vector<ObjectPtr>* old) {
    TRY(const std::vector<ObjectPtr> all, ClaimRevisions(ctx, client_, revisions_, kKind, *set));
    json::Value wanted;
    wanted.Set("data") = TemplatePatch(*set);
    ObjectPtr current;
    std::int64_t newest = 0;
    for (const ObjectPtr& r : all) {
      if (SameData(*r, wanted)) {
        if (current) old->push_back(current);
        current = r;
      } else {
        newest = std::max(newest, (*r)["revision"].Int());
        old->push_back(r);
      }
    }
    if (!current) return CreateRevision(ctx, set, wanted["data"], newest + 1);
    if ((*current)["revision"].Int() > newest) return current;
    json::Value again = current->Clone();
    again.Set("revision") = newest + 1;
    return client_.Update(ctx, kRevisions, std::move(again));
  }

  Result<ObjectPtr> CreateRevision(const Ctx& ctx, const ObjectPtr& set, const json::Value& data, std::int64_t number) {
    const json::Value& collisions = (*set)["status"]["collisionCount"];
    const std::string hash = TemplateHash((*set)["spec"]["template"], collisions.is_int() ? std::optional(collisions.Int()) : std::nullopt);
    json::Value r;
    r.Set("apiVersion") = "apps/v1";
    r.Set("kind") = "ControllerRevision";
    json::Value& meta = r.Set("metadata");
    meta.Set("name") = Cat(Name(*set), "-", hash);
    meta.Set("namespace") = Namespace(*set);
    if (const json::Value& labels = (*set)["spec"]["template"]["metadata"]["labels"]; labels.is_object()) meta.Set("labels") = labels.Clone();
    meta.Set("labels").Set(kRevisionLabel) = hash;
    if (const json::Value& notes = Meta(*set)["annotations"]; notes.is_object()) meta.Set("annotations") = notes.Clone();
    meta.Set("ownerReferences").Append(NewControllerRef(*set, kKind.api_version, kKind.kind));
    r.Set("data") = data.Clone();
    r.Set("revision") = number;
    const Key key = KeyOf(r);
    auto created = client_.Create(ctx, kRevisions, std::move(r));
    if (created || !AlreadyExists(created.error())) return created;
    TRY(const ObjectPtr there, client_.Get(ctx, kRevisions, key));
    if ((*there)["data"] == data && IsControlledBy(*there, Uid(*set))) return there;
    json::Value next = set->Clone();
    next.Set("status").Set("collisionCount") = collisions.Int() + 1;
    TRY_VOID(UpdateIfChanged(ctx, client_, kSets, set, std::move(next), "status"));
    return std::unexpected(std::move(created).error());   // the status brings us here again
  }

  const std::shared_ptr<const OrphanPods> orphans_;
  Client& client_;
  EventRecorder& events_;
  const Clock& clock_;
  const Lister& sets_;
  const Lister& pods_;
  const Lister& nodes_;
  const Lister& revisions_;
  FailureWaits waits_;
};

}  // namespace

void AddDaemonSet(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = kController;
  spec.workers = 2;
  spec.triggers.push_back({kSets, {}});
  const auto orphans = std::make_shared<OrphanPods>();
  spec.triggers.push_back(PodsOf(c, "apps", "DaemonSet", kSets, orphans));
  // Heartbeats concern nobody; labels and taints may change which sets want the node.
  const Lister& sets = c.informers.Get(kSets);
  spec.triggers.push_back({kNodes, [&sets](const Notification& n) {
                             std::vector<Key> keys;
                             if (n.previous && Meta(*n.previous)["labels"] == Meta(*n.object)["labels"] && (*n.previous)["spec"] == (*n.object)["spec"]) return keys;
                             for (const ObjectPtr& s : sets.List()) keys.push_back(KeyOf(*s));
                             return keys;
                           }});
  spec.reconciler = std::make_unique<DaemonReconciler>(c, orphans);
  c.manager.Add(std::move(spec));
}

}  // namespace skerry::kube
