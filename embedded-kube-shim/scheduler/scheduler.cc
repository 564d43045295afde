#include "embedded-kube-shim/scheduler/scheduler.h"

#include <algorithm>
#include <deque>
#include <mutex>

#include "core/base/random.h"
#include "core/base/strings.h"
#include "core/telemetry/log.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/controllers/volume_match.h"
#include "embedded-kube-shim/scheduler/preemption.h"

namespace skerry::kube {
namespace scheduling {
namespace {

constexpr std::chrono::seconds kFirstBackoff{1}, kLastBackoff{10};
constexpr std::chrono::minutes kVolumesTimeout{10};
constexpr std::size_t kBatch = 256;
constexpr int kBinders = 2;              // one prepares bindings while those of the other are committed
constexpr std::size_t kBoundTogether = 64;
constexpr std::size_t kAllNodes = 100;   // clusters up to this size are looked at whole

struct Waiting {
  PodPtr pod;
  int attempts = 0;
  Clock::MonoTime not_before{};      // backoff
  Clock::MonoTime since{};           // when it came
  bool active = true;                // false: fits nowhere until something changes
  std::string volumes_on;            // its volumes are being bound for this node; empty = they are not
  Clock::MonoTime volumes_until{};   // then it has to choose again

  bool IsDue(Clock::MonoTime now) const { return (active && not_before <= now) || (!volumes_on.empty() && volumes_until <= now); }
};

struct Change {
  enum class What : std::uint8_t { kPod, kNode, kOther } what;
  Notification notification;
};

// A pod that has been given its node and is being bound to it.
struct Bound {
  std::string uid;
  Result<> result;
};

constexpr const char* kScheduler = "scheduler";
constexpr const char* kBinder = "scheduler-binder";

using Recorders = std::function<EventRecorder&(std::string_view profile)>;

// Notifications only queue changes; everything else happens on the one reconcile at a time that the manager runs. Bindings are written by
// others meanwhile: the pod counts on its node from the moment at which it was chosen.
class Scheduler final : public Reconciler {
 public:
  Scheduler(Manager& manager, Informers& informers, Client& client, const Recorders& events, const Clock& clock, const std::vector<SchedulerProfile>& profiles, Random& random)
      : manager_(manager), client_(client), clock_(clock), random_(random), pods_(informers.Get("v1/pods")),
        namespaces_(informers.Get("v1/namespaces")), budgets_(informers.Get("policy/v1/poddisruptionbudgets")),
        sources_{&informers.Get(kClaims), &informers.Get(kVolumes), &informers.Get(kStorageClasses)},
        spread_{&informers.Get("v1/services"), &informers.Get("v1/replicationcontrollers"), &informers.Get("apps/v1/replicasets"), &informers.Get("apps/v1/statefulsets")} {
    for (const SchedulerProfile& p : profiles) profiles_.emplace(p.name, Profile{p, events(p.name)});
  }

  void Note(Change::What what, const Notification& n) {
    {
      std::lock_guard lock(mutex_);
      changes_.push_back({what, n});
    }
    manager_.Enqueue(kScheduler, {"", "cycle"});
  }

  // Called by the binders, on any thread: writes what there is to be bound.
  void WriteBindings(const Ctx& ctx) {
    for (;;) {
      std::vector<std::string> uids;
      std::vector<json::Value> bindings;
      {
        std::lock_guard lock(mutex_);
        for (; !to_bind_.empty() && uids.size() < kBoundTogether; to_bind_.pop_front()) {
          uids.push_back(std::move(to_bind_.front().first));
          bindings.push_back(std::move(to_bind_.front().second));
        }
      }
      if (uids.empty()) return;
      std::vector<Result<ObjectPtr>> written = client_.CreateAll(ctx, "v1/pods", std::move(bindings), "binding");
      {
        std::lock_guard lock(mutex_);
        for (std::size_t i = 0; i < uids.size(); ++i) {
          bound_.push_back({std::move(uids[i]), written[i] ? Result<>() : std::unexpected(std::move(written[i]).error())});
        }
      }
      manager_.Enqueue(kScheduler, {"", "cycle"});
    }
  }

  Result<Outcome> Reconcile(const Ctx& ctx, const Key&) override {
    for (;;) {
      Drain();
      const std::vector<std::string> batch = NextBatch();
      if (batch.empty()) break;
      for (const std::string& uid : batch) {
        if (ctx.stop.stop_requested()) return Outcome{};
        ScheduleOne(ctx, uid);
      }
    }
    Outcome outcome;
    const Clock::MonoTime now = clock_.Mono();
    for (const auto& [uid, w] : waiting_) {
      if (!w.active && w.volumes_on.empty()) continue;
      const Clock::MonoTime at = w.active ? w.not_before : w.volumes_until;
      const auto left = std::max(std::chrono::milliseconds(1), std::chrono::ceil<std::chrono::milliseconds>(at - now));
      if (!outcome.requeue_after || left < *outcome.requeue_after) outcome.requeue_after = left;
    }
    return outcome;
  }

 private:
  void Drain() {
    std::vector<Change> changes;
    std::vector<Bound> bound;
    {
      std::lock_guard lock(mutex_);
      changes.swap(changes_);
      bound.swap(bound_);
    }
    bool helps = false;
    for (Bound& b : bound) OnBound(b);
    for (const Change& c : changes) {
      switch (c.what) {
        case Change::What::kPod: helps |= OnPod(c.notification); break;
        case Change::What::kNode: helps |= OnNode(c.notification); break;
        case Change::What::kOther: helps = true; break;
      }
    }
    if (!helps) return;
    for (auto& [uid, w] : waiting_) w.active = true;
  }

  // Returns whether waiting pods may fit now.
  bool OnPod(const Notification& n) {
    const json::Value& pod = *n.object;
    const std::string uid(Uid(pod));
    const std::string node((pod)["spec"]["nodeName"].Str());
    if (n.type == Notification::Type::kDeleted || IsPodFinished(pod)) {
      cluster_.RemovePod(uid);
      nominated_.erase(uid);
      binding_.erase(uid);
      return waiting_.erase(uid) == 0 || !node.empty();
    }
    if (!node.empty()) {
      waiting_.erase(uid);
      nominated_.erase(uid);
      if (const PodPtr known = cluster_.FindPod(uid, node); known && SameBoundFacts(*known, pod) && !(*known->object)["spec"].Find("containers")) return false;
      cluster_.SetPod(BoundFactsOf(n.object), node);
      return true;                   // a new pod may satisfy an affinity
    }
    if (binding_.contains(uid)) return false;
    if (!profiles_.contains(pod["spec"]["schedulerName"].Str("default-scheduler")) || pod["spec"]["schedulingGates"].size() > 0 || IsTerminating(pod)) {
      waiting_.erase(uid);
      return false;
    }
    const auto [it, fresh] = waiting_.try_emplace(uid);
    // A status write of ours is no reason to try again; a change of the pod's own wishes is.
    const bool changed = fresh || !((*it->second.pod->object)["spec"] == pod["spec"]) || !(Meta(*it->second.pod->object)["labels"] == Meta(pod)["labels"]);
    it->second.pod = FactsOf(n.object);
    if (fresh) it->second.since = clock_.Mono();
    if (changed) it->second.active = true;
    const std::string_view nominated = pod["status"]["nominatedNodeName"].Str();
    if (!nominated.empty()) {
      nominated_[uid] = {it->second.pod, std::string(nominated)};
    } else {
      nominated_.erase(uid);
    }
    return false;
  }

  bool OnNode(const Notification& n) {
    const std::string_view name = Name(*n.object);
    if (n.type == Notification::Type::kDeleted) {
      cluster_.RemoveNode(name);
      return false;
    }
    const NodeInfo* known = cluster_.Find(name);
    const ObjectPtr old = known ? known->object : nullptr;
    cluster_.SetNode(n.object);
    // Heartbeats change nothing that a pod could wait for.
    return !old || !((*old)["spec"] == (*n.object)["spec"]) || !((*old)["status"]["allocatable"] == (*n.object)["status"]["allocatable"]) ||
           !(Meta(*old)["labels"] == Meta(*n.object)["labels"]);
  }

  // The most urgent pods that are due, a bounded number: what happens meanwhile is looked at before the next ones.
  std::vector<std::string> NextBatch() const {
    const Clock::MonoTime now = clock_.Mono();
    std::vector<const Waiting*> due;
    for (const auto& [uid, w] : waiting_) {
      if (w.IsDue(now)) due.push_back(&w);
    }
    const auto end = due.begin() + static_cast<std::ptrdiff_t>(std::min(due.size(), kBatch));
    std::partial_sort(due.begin(), end, due.end(), [](const Waiting* a, const Waiting* b) {
      return a->pod->priority != b->pod->priority ? a->pod->priority > b->pod->priority : a->since < b->since;
    });
    std::vector<std::string> out;
    for (auto it = due.begin(); it != end; ++it) out.push_back((*it)->pod->uid);
    return out;
  }

  // The node with the pods on it that were promised to it: nominated ones of at least the same priority.
  NodeInfo WithNominated(const NodeInfo& node, const PodFacts& pod, bool* any) const {
    NodeInfo out = node;
    for (const auto& [uid, n] : nominated_) {
      if (n.second != node.name || uid == pod.uid || n.first->priority < pod.priority) continue;
      out.Add(n.first);
      *any = true;
    }
    return out;
  }

  Verdict Check(const CycleState& state, const std::vector<const Filter*>& filters, const NodeInfo& node) const {
    bool any = false;
    if (!nominated_.empty()) {
      const NodeInfo full = WithNominated(node, *state.pod, &any);
      if (any) {
        for (const Filter* f : filters) {
          if (Verdict v = f->check(state, full); !v.fits()) return v;
        }
      }
    }
    for (const Filter* f : filters) {
      if (Verdict v = f->check(state, node); !v.fits()) return v;
    }
    return {};
  }

  static std::size_t EnoughNodes(std::size_t count, int wanted) {
    if (count <= kAllNodes || wanted >= 100) return count;
    const std::size_t percent = wanted > 0 ? static_cast<std::size_t>(wanted) : count < 5625 ? 50 - count / 125 : 5;
    return std::max(kAllNodes, count * percent / 100);
  }

  void ScheduleOne(const Ctx& ctx, const std::string& uid) {
    Waiting& w = waiting_.at(uid);
    const PodPtr pod = w.pod;
    if (!w.volumes_on.empty() && !ChooseAgain(w)) return;
    ++w.attempts;
    const Profile& profile = ProfileOf(*pod);
    const CycleState state = Prepare(cluster_, pod, namespaces_, &sources_, &profile.rules, DefaultConstraints(profile.rules, *pod->object, spread_));
    if (!state.volumes.rejection.empty() && cluster_.size() > 0) return Reject(ctx, w, state.volumes.rejection);
    const std::vector<const Filter*> filters = FiltersFor(state, profile.rules);
    std::vector<const NodeInfo*> fitting;
    std::map<std::string, std::int64_t> reasons;
    std::vector<std::string> resolvable;
    // Of a large cluster a share is enough; the next pod begins where this one ended.
    const auto& nodes = cluster_.nodes();
    const std::size_t enough = EnoughNodes(cluster_.size(), profile.rules.percentage_of_nodes);
    auto at = nodes.upper_bound(last_node_);
    for (std::size_t i = 0; i < nodes.size() && fitting.size() < enough; ++i, ++at) {
      if (at == nodes.end()) at = nodes.begin();
      const auto& [name, node] = *at;
      if (!node.object) continue;
      last_node_ = name;
      const Verdict v = Check(state, filters, node);
      if (v.fits()) {
        fitting.push_back(&node);
        continue;
      }
      for (const std::string& r : v.reasons) ++reasons[r];
      if (v.resolvable) resolvable.push_back(name);
    }
    if (fitting.empty()) return NoNode(ctx, w, state, reasons, resolvable);
    const std::string node = Pick(state, fitting, profile.rules);
    if (state.volumes.unbound.empty()) return Bind(w, node);
    BindVolumes(ctx, w, state, node);
  }

  // Claims that waited for this choice are bound first; until that is done the pod keeps its place on the node.
  void BindVolumes(const Ctx& ctx, Waiting& w, const CycleState& state, const std::string& node) {
    std::vector<VolumePlan> plan;
    const NodeInfo* info = cluster_.Find(node);
    Result<> done;
    if (!info || !PlanVolumes(state.volumes, *info, sources_, &plan)) done = Fail(Code::kConflict, "the volumes are taken");
    cluster_.SetPod(w.pod, node);
    for (const VolumePlan& p : plan) {
      if (!done) break;
      if (p.volume) {
        auto r = client_.Update(ctx, kVolumes, BoundVolume(*p.volume, *p.claim));
        if (!r) done = std::unexpected(std::move(r).error());
      } else {
        json::Value next = p.claim->Clone();
        next.Set("metadata").Set("annotations").Set(kSelectedNode) = node;
        auto r = client_.Update(ctx, kClaims, std::move(next));
        if (!r) done = std::unexpected(std::move(r).error());
      }
    }
    if (!done) {
      log::Debug("volumes will be chosen again", {{"pod", w.pod->key.ns + "/" + w.pod->key.name}, {"error", done.error()}});
      cluster_.RemovePod(w.pod->uid);
      return BackOff(w);
    }
    w.volumes_on = node;
    w.volumes_until = clock_.Mono() + kVolumesTimeout;
    w.active = false;                // a change of its claims wakes it
    if (ChooseAgain(w)) w.active = true;
  }

  // Goes on with binding the pod when its volumes are ready. True: the choice has failed and the pod needs another node.
  bool ChooseAgain(Waiting& w) {
    const std::string node = w.volumes_on;
    bool ready = true, failed = !cluster_.Find(node) || !cluster_.Find(node)->object || w.volumes_until <= clock_.Mono();
    for (const std::string& name : w.pod->claims) {
      const ObjectPtr claim = sources_.claims->Get({w.pod->key.ns, name});
      failed |= !claim || IsTerminating(*claim);
      if (!claim || IsFullyBound(*claim)) continue;
      ready = false;
      const bool reserved = Reserved(*claim);
      // A provisioner that cannot do it for this node takes the annotation away.
      failed |= !reserved && Meta(*claim)["annotations"][kSelectedNode].Str() != node;
    }
    if (failed) {
      w.volumes_on.clear();
      cluster_.RemovePod(w.pod->uid);
      return true;
    }
    w.active = false;
    if (!ready) return false;
    w.volumes_on.clear();
    Bind(w, node);
    return false;
  }

  bool Reserved(const json::Value& claim) const {
    const std::vector<ObjectPtr> all = sources_.volumes->List();
    return std::any_of(all.begin(), all.end(), [&](const ObjectPtr& v) { return (*v)["spec"]["claimRef"]["uid"].Str() == Uid(claim); });
  }

  // Nothing about the nodes matters: the pod itself is not ready to run.
  void Reject(const Ctx& ctx, Waiting& w, const std::string& why) {
    const std::string message = Cat("0/", cluster_.size(), " nodes are available: ", why, ". not found");
    w.active = false;
    BackOff(w);
    EventsOf(*w.pod).Event(*w.pod->object, "Warning", "FailedScheduling", message);
    WriteCondition(ctx, w, message, "");
  }

  std::string Pick(const CycleState& state, const std::vector<const NodeInfo*>& nodes, const SchedulerProfile& profile) {
    if (nodes.size() == 1) return nodes[0]->name;
    // A node that was cleared for this pod is taken when it fits.
    const std::string_view nominated = (*state.pod->object)["status"]["nominatedNodeName"].Str();
    for (const NodeInfo* n : nodes) {
      if (n->name == nominated) return n->name;
    }
    const std::vector<std::int64_t> scores = Scores(cluster_, state, nodes, profile);
    const std::int64_t most = *std::max_element(scores.begin(), scores.end());
    std::vector<const NodeInfo*> best;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (scores[i] == most) best.push_back(nodes[i]);
    }
    return best[random_.Below(best.size())]->name;
  }

  // From here on the next pod sees it on the node. Ends `w`.
  void Bind(Waiting& w, const std::string& node) {
    const PodPtr pod = w.pod;
    json::Value binding;
    binding.Set("apiVersion") = "v1";
    binding.Set("kind") = "Binding";
    json::Value& meta = binding.Set("metadata");
    meta.Set("name") = pod->key.name;
    meta.Set("namespace") = pod->key.ns;
    meta.Set("uid") = pod->uid;
    json::Value& target = binding.Set("target");
    target.Set("apiVersion") = "v1";
    target.Set("kind") = "Node";
    target.Set("name") = node;
    cluster_.SetPod(pod, node);
    binding_.insert_or_assign(pod->uid, std::pair(std::move(w), node));
    waiting_.erase(pod->uid);
    {
      std::lock_guard lock(mutex_);
      to_bind_.emplace_back(pod->uid, std::move(binding));
    }
    manager_.Enqueue(kBinder, {"", std::to_string(turn_++ % kBinders)});
  }

  void OnBound(const Bound& b) {
    const auto it = binding_.find(b.uid);
    if (it == binding_.end()) return;                    // deleted meanwhile
    auto [w, node] = std::move(it->second);
    binding_.erase(it);
    const PodPtr pod = w.pod;
    if (b.result) {
      nominated_.erase(pod->uid);
      EventsOf(*pod).Event(*pod->object, "Normal", "Scheduled", Cat("Successfully assigned ", pod->key.ns, "/", pod->key.name, " to ", node));
      return;
    }
    // Bound after all, and its notification was here first: then the cluster has what the API says.
    if (const ObjectPtr now = pods_.Get(pod->key); now && Uid(*now) == pod->uid && !(*now)["spec"]["nodeName"].Str().empty()) return;
    cluster_.RemovePod(pod->uid);
    if (b.result.error().code() == Code::kNotFound || b.result.error().code() == Code::kConflict) return;   // gone or bound by somebody else: a notification tells
    log::Warn("binding failed", {{"pod", pod->key.ns + "/" + pod->key.name}, {"node", node}, {"error", b.result.error()}});
    BackOff(w);
    waiting_.insert_or_assign(pod->uid, std::move(w));
  }

  void BackOff(Waiting& w) {
    auto d = kFirstBackoff;
    for (int i = 1; i < w.attempts && d < kLastBackoff; ++i) d *= 2;
    w.not_before = clock_.Mono() + std::min(d, kLastBackoff);
  }

  static std::string Told(std::size_t nodes, const std::map<std::string, std::int64_t>& reasons) {
    std::vector<std::string> parts;
    for (const auto& [reason, n] : reasons) parts.push_back(Cat(n, " ", reason));
    std::sort(parts.begin(), parts.end());
    return Cat("0/", nodes, " nodes are available: ", Join(parts, ", "), ".");
  }

  void NoNode(const Ctx& ctx, Waiting& w, const CycleState& state, const std::map<std::string, std::int64_t>& reasons, const std::vector<std::string>& resolvable) {
    const std::size_t nodes = cluster_.size();
    std::string message = nodes == 0 ? "no nodes available to schedule pods" : Told(nodes, reasons);
    std::string nominated((*w.pod->object)["status"]["nominatedNodeName"].Str());
    if (nodes > 0 && ProfileOf(*w.pod).rules.preemption) Preempt(ctx, w, state, resolvable, &message, &nominated);
    w.active = false;
    BackOff(w);
    EventsOf(*w.pod).Event(*w.pod->object, "Warning", "FailedScheduling", message);
    WriteCondition(ctx, w, message, nominated);
  }

  void Preempt(const Ctx& ctx, Waiting& w, const CycleState& state, const std::vector<std::string>& resolvable, std::string* message, std::string* nominated) {
    const json::Value& pod = *w.pod->object;
    if (pod["spec"]["preemptionPolicy"].Str() == "Never") {
      *message += " no new claims to deallocate, preemption: not eligible due to preemptionPolicy=Never.";
      return;
    }
    if (const NodeInfo* node = nominated->empty() ? nullptr : cluster_.Find(*nominated)) {
      for (const PodPtr& p : node->pods) {
        if (p->priority < w.pod->priority && IsTerminating(*p->object)) {
          *message += " no new claims to deallocate, preemption: not eligible due to a terminating pod on the nominated node.";
          return;
        }
      }
    }
    const std::optional<Eviction> eviction = FindVictims(cluster_, state, resolvable, budgets_);
    if (!eviction) {
      std::map<std::string, std::int64_t> why;
      const std::size_t nodes = cluster_.size();
      if (!resolvable.empty()) why["No preemption victims found for incoming pod"] = static_cast<std::int64_t>(resolvable.size());
      if (nodes > resolvable.size()) why["Preemption is not helpful for scheduling"] = static_cast<std::int64_t>(nodes - resolvable.size());
      *message += Cat(" no new claims to deallocate, preemption: ", Told(nodes, why));
      nominated->clear();
      return;
    }
    for (const PodPtr& victim : eviction->victims) Evict(ctx, *w.pod, *victim, eviction->node);
    *nominated = eviction->node;
    nominated_[w.pod->uid] = {w.pod, eviction->node};
  }

  void Evict(const Ctx& ctx, const PodFacts& winner, const PodFacts& victim, const std::string& node) {
    if (IsTerminating(*victim.object)) return;
    json::Value patch, condition;
    condition.Set("type") = "DisruptionTarget";
    condition.Set("status") = "True";
    condition.Set("observedGeneration") = Meta(*victim.object)["generation"].Int();
    condition.Set("reason") = "PreemptionByScheduler";
    condition.Set("message") = std::string((*winner.object)["spec"]["schedulerName"].Str("default-scheduler")) + ": preempting to accommodate a higher priority pod";
    condition.Set("lastTransitionTime") = FormatTime(clock_.Now());
    patch.Set("status").Set("conditions").Append(std::move(condition));
    static_cast<void>(client_.Patch(ctx, "v1/pods", victim.key, PatchType::kStrategic, std::move(patch), "status"));
    DeleteOptions options;
    options.uid = victim.uid;
    if (auto r = client_.Delete(ctx, "v1/pods", victim.key, options); !r) {
      log::Warn("preemption could not delete a pod", {{"pod", victim.key.ns + "/" + victim.key.name}, {"error", r.error()}});
      return;
    }
    EventsOf(winner).Event(*victim.object, "Normal", "Preempted", Cat("Preempted by pod ", winner.uid, " on node ", node));
  }

  void WriteCondition(const Ctx& ctx, const Waiting& w, const std::string& message, const std::string& nominated) {
    const json::Value& pod = *w.pod->object;
    const json::Value* old = FindCondition(pod["status"], "PodScheduled");
    const bool same_status = old && (*old)["status"].Str() == "False";
    if (same_status && (*old)["reason"].Str() == "Unschedulable" && (*old)["message"].Str() == message &&
        pod["status"]["nominatedNodeName"].Str() == nominated) {
      return;
    }
    json::Value patch, condition;
    condition.Set("type") = "PodScheduled";
    condition.Set("observedGeneration") = Meta(pod)["generation"].Int();
    condition.Set("status") = "False";
    condition.Set("lastTransitionTime") = same_status ? std::string((*old)["lastTransitionTime"].Str()) : FormatTime(clock_.Now());
    condition.Set("reason") = "Unschedulable";
    condition.Set("message") = message;
    patch.Set("status").Set("conditions").Append(std::move(condition));
    if (!nominated.empty()) {
      patch.Set("status").Set("nominatedNodeName") = nominated;
    } else if (!pod["status"]["nominatedNodeName"].Str().empty()) {
      patch.Set("status").Set("nominatedNodeName") = json::Value();
    }
    auto r = client_.Patch(ctx, "v1/pods", w.pod->key, PatchType::kStrategic, std::move(patch), "status");
    if (!r && r.error().code() != Code::kNotFound && r.error().code() != Code::kCancelled) {
      log::Warn("pod condition not written", {{"pod", w.pod->key.ns + "/" + w.pod->key.name}, {"error", r.error()}});
    }
  }

  struct Profile {
    SchedulerProfile rules;
    EventRecorder& events;
  };
  // Of a pod that waits: others have no profile here.
  const Profile& ProfileOf(const PodFacts& pod) const { return profiles_.find((*pod.object)["spec"]["schedulerName"].Str("default-scheduler"))->second; }
  EventRecorder& EventsOf(const PodFacts& pod) const { return ProfileOf(pod).events; }

  Manager& manager_;
  Client& client_;
  const Clock& clock_;
  Random& random_;
  std::map<std::string, Profile, std::less<>> profiles_;
  const Lister& pods_;
  const Lister& namespaces_;
  const Lister& budgets_;
  const VolumeSources sources_;
  const SpreadSources spread_;

  std::mutex mutex_;
  std::vector<Change> changes_;                                        // these guarded by mutex_
  std::vector<Bound> bound_;
  std::deque<std::pair<std::string, json::Value>> to_bind_;            // uid, binding; in the order of the choices

  unsigned turn_ = 0;                                                  // whose turn it is to bind
  std::string last_node_;
  Cluster cluster_;                                                    // the rest: the reconcile's own
  std::map<std::string, Waiting> waiting_;                             // by uid
  std::map<std::string, std::pair<Waiting, std::string>> binding_;     // by uid: those being bound, and where
  std::map<std::string, std::pair<PodPtr, std::string>> nominated_;    // uid -> pod, node
};

class Binder final : public Reconciler {
 public:
  explicit Binder(Scheduler& scheduler) : scheduler_(scheduler) {}
  Result<Outcome> Reconcile(const Ctx& ctx, const Key&) override {
    scheduler_.WriteBindings(ctx);
    return Outcome{};
  }

 private:
  Scheduler& scheduler_;
};

struct Handle {
  std::vector<std::shared_ptr<void>> subscriptions;
};

}  // namespace
}  // namespace scheduling

std::shared_ptr<void> AddScheduler(Manager& manager, Informers& informers, Client& client, const std::function<EventRecorder&(std::string_view profile)>& events, const Clock& clock,
                                   const std::vector<SchedulerProfile>& profiles, Random& random) {
  using scheduling::Change;
  auto scheduler = std::make_unique<scheduling::Scheduler>(manager, informers, client, events, clock, profiles, random);
  scheduling::Scheduler* s = scheduler.get();                          // owned by the manager, which outlives the subscriptions
  ControllerSpec spec;
  spec.name = scheduling::kScheduler;
  spec.reconciler = std::move(scheduler);
  manager.Add(std::move(spec));
  ControllerSpec binder;
  binder.name = scheduling::kBinder;
  binder.workers = scheduling::kBinders;
  binder.reconciler = std::make_unique<scheduling::Binder>(*s);
  manager.Add(std::move(binder));
  auto handle = std::make_shared<scheduling::Handle>();
  const auto subscribe = [&](const char* resource, Change::What what) {
    handle->subscriptions.push_back(informers.Subscribe(resource, [s, what](const Notification& n) { s->Note(what, n); }));
  };
  subscribe("v1/nodes", Change::What::kNode);
  subscribe("v1/pods", Change::What::kPod);
  for (const char* other : {kClaims, kVolumes, kStorageClasses}) subscribe(other, Change::What::kOther);
  return handle;
}

}  // namespace skerry::kube
