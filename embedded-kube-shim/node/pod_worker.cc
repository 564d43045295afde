#include "embedded-kube-shim/node/pod_worker.h"

#include <algorithm>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/process/mounts.h"
#include "core/telemetry/log.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/node/housekeeping.h"
#include "embedded-kube-shim/node/pod_admission.h"
#include "embedded-kube-shim/node/pod_pass.h"

namespace skerry::kube::node {

constexpr std::chrono::seconds kRefusedAgain{5};

class PodWorkers::Impl final : public std::enable_shared_from_this<Impl> {
 public:
  explicit Impl(const WorkerEnvironment& env)
      : env_(env), pods_(env.informers.Get("v1/pods")), nodes_(env.informers.Get("v1/nodes")), config_maps_(env.informers.Get("v1/configmaps")),
        secrets_(env.informers.Get("v1/secrets")), services_(env.informers.Get("v1/services")), puller_(env.runtime.images(), env.pool, env.events, env.clock, env.stop),
        prober_(env.manager, env.probe_runner, env.events, env.clock, [this](const Key& key) { env_.manager.Enqueue(kPodController, key); }) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) {
    const ObjectPtr pod = pods_.Get(key);
    const bool mine = pod && (*pod)["spec"]["nodeName"].Str() == env_.node_name;
    Outcome outcome;
    // A name may pass from one pod to the next while the first still ends.
    for (const std::shared_ptr<PodState>& state : StatesOf(key)) {
      if (mine && state->uid == Uid(*pod)) continue;
      TRY(const Outcome o, Orphan(ctx, state));
      Earlier(outcome, o);
    }
    if (!mine) return outcome;
    const std::shared_ptr<PodState> state = StateOf(pod);
    if (!state) return outcome;        // nothing of it is here any more
    TakeEviction(*state, *pod);
    PodPass pass(ctx, env_, Tools(), state, pod);
    auto result = pass.Run();
    Publish(*state, pass);
    if (!result) return Retry(key, std::move(result).error());
    Earlier(outcome, result->outcome);
    if (result->removed) Drop(state);
    return outcome;
  }

  Result<> Adopt() {
    std::set<std::string> known;
    std::vector<std::string> stale;
    TRY(const std::vector<container::SandboxStatus> sandboxes, env_.runtime.ListSandboxes());
    for (const container::SandboxStatus& s : sandboxes) {
      const auto label = [&](const char* name) {
        const auto it = s.spec.labels.find(name);
        return it == s.spec.labels.end() ? std::string() : it->second;
      };
      const std::string uid = label(kPodUid);
      if (uid.empty()) continue;
      known.insert(s.id);
      auto state = std::make_shared<PodState>();
      state->uid = uid;
      state->key = {label(kPodNamespace), label(kPodName)};
      state->sandbox_id = s.id;
      state->sandbox_attempt = AttemptOf(s.id);
      state->pod_ip = env_.network.AddressOf(s.id);
      state->adopted = true;
      std::lock_guard lock(mutex_);
      std::shared_ptr<PodState>& slot = states_[uid];
      if (slot) stale.push_back(slot->sandbox_attempt < state->sandbox_attempt ? slot->sandbox_id : s.id);
      if (!slot || slot->sandbox_attempt < state->sandbox_attempt) slot = state;
    }
    for (const std::string& id : stale) known.erase(id);
    TRY_VOID(env_.network.RetainOnly(known));
    TRY_VOID(RemoveStrays(stale));
    std::lock_guard lock(mutex_);
    for (const auto& [uid, state] : states_) env_.manager.Enqueue(kPodController, state->key);
    return {};
  }

  void OnRuntimeEvent(const container::Event& event) {
    std::vector<Key> keys;
    {
      std::lock_guard lock(mutex_);
      for (const auto& [uid, state] : states_) {
        if (event.kind == container::Event::Kind::kResync || event.id.starts_with(uid)) keys.push_back(state->key);
      }
    }
    for (Key& k : keys) env_.manager.Enqueue(kPodController, std::move(k));
  }

  std::vector<std::pair<Key, PodView>> Views() const {
    std::lock_guard lock(mutex_);
    return {views_.begin(), views_.end()};
  }

  // Any thread: the pod's own next pass ends it.
  void Evict(const Key& key, const std::string& uid, WaitReason reason) {
    {
      std::lock_guard lock(mutex_);
      if (!states_.contains(uid)) return;
      evictions_.try_emplace(uid, std::move(reason));
    }
    env_.manager.Enqueue(kPodController, key);
  }

  const WorkerEnvironment& environment() const { return env_; }

  std::optional<PodView> View(const Key& key) const {
    std::lock_guard lock(mutex_);
    const auto it = views_.find(key);
    if (it == views_.end()) return std::nullopt;
    return it->second;
  }

  // Pods of a namespace whose files or variables come from this config map or secret.
  std::vector<Key> PodsUsing(const char* kind, const json::Value& object) const {
    std::vector<Key> keys;
    const std::string reference = Cat(kind, "/", Name(object));
    for (const ObjectPtr& pod : pods_.OnNode(env_.node_name)) {
      if (Namespace(*pod) == Namespace(object) && ReferencedByVolumes(*pod).contains(reference)) keys.push_back(KeyOf(*pod));
    }
    return keys;
  }

 private:
  // What a crash between two steps of a removal left: older sandboxes of a pod, directories of pods that are nowhere else.
  Result<> RemoveStrays(const std::vector<std::string>& sandboxes) {
    const Ctx ctx(std::stop_token{});
    for (const std::string& id : sandboxes) TRY_VOID(env_.runtime.RemoveSandbox(ctx, id));
    std::set<std::string, std::less<>> known;
    for (const ObjectPtr& pod : pods_.OnNode(env_.node_name)) known.emplace(Uid(*pod));
    for (const auto& [uid, state] : states_) known.insert(uid);
    for (const std::string& uid : Entries(env_.data_directory + "/pods")) {
      if (!known.contains(uid)) TRY_VOID(RemovePodDirectory(ctx, Cat(env_.data_directory, "/pods/", uid), env_.runtime.images()));
    }
    for (const std::string& name : Entries(env_.data_directory + "/logs")) {
      const std::size_t last = name.rfind('_');          // "<namespace>_<name>_<uid>"
      if (last != std::string::npos && !known.contains(std::string_view(name).substr(last + 1))) {
        TRY_VOID(process::RemoveTree(Cat(env_.data_directory, "/logs/", name)));
      }
    }
    return {};
  }

  // What the API or the kernel refuses may be allowed later without a change of the pod: a role, a directory of the host.
  static Result<Outcome> Retry(const Key& key, Error error) {
    if (error.code() != Code::kInvalid && error.code() != Code::kForbidden) return std::unexpected(std::move(error));
    log::Warn("pod cannot go on", {{"pod", key.ns + "/" + key.name}, {"error", error}});
    return Outcome{kRefusedAgain};
  }

  PassTools Tools() {
    return {puller_, prober_, nodes_, config_maps_, secrets_, services_, [this](const Key& k) { env_.manager.Enqueue(kPodController, k); },
            [this](const std::string& uid) { return Others(uid); }};
  }

  static void Earlier(Outcome& into, const Outcome& o) {
    if (o.requeue_after && (!into.requeue_after || *o.requeue_after < *into.requeue_after)) into.requeue_after = o.requeue_after;
  }

  static int AttemptOf(const std::string& sandbox_id) {
    const std::size_t dot = sandbox_id.rfind('.');
    return dot == std::string::npos ? 0 : static_cast<int>(ParseInt(std::string_view(sandbox_id).substr(dot + 1)).value_or(0));
  }

  std::vector<std::shared_ptr<PodState>> StatesOf(const Key& key) const {
    std::vector<std::shared_ptr<PodState>> out;
    std::lock_guard lock(mutex_);
    for (const auto& [uid, state] : states_) {
      if (state->key == key) out.push_back(state);
    }
    return out;
  }

  std::shared_ptr<PodState> StateOf(const ObjectPtr& pod) {
    const std::string uid(Uid(*pod));
    {
      std::lock_guard lock(mutex_);
      const auto it = states_.find(uid);
      if (it != states_.end()) return it->second;
    }
    if (IsPodFinished(*pod) && !IsTerminating(*pod)) return nullptr;
    // Ended and let go by this node already; only its finalizers keep the object.
    if (IsTerminating(*pod) && Meta(*pod)["deletionGracePeriodSeconds"].Int(-1) == 0) return nullptr;
    auto state = std::make_shared<PodState>();
    state->uid = uid;
    state->key = KeyOf(*pod);
    // One at a time, so that of two that cannot be here together one is taken.
    std::lock_guard admission(admission_mutex_);
    const bool taken_before = (*pod)["status"]["containerStatuses"].size() > 0;
    const ObjectPtr node = nodes_.Get({"", env_.node_name});
    if (!taken_before && !IsTerminating(*pod) && node) {
      if (const auto refusal = Refusal(*pod, *node, Others(uid))) {
        state->failed_reason = refusal->reason;
        state->failed_message = "Pod was rejected: " + refusal->message;
        state->refused = true;
        env_.events.Event(*pod, "Warning", refusal->reason, refusal->message);
      }
    }
    std::lock_guard lock(mutex_);
    return states_[uid] = state;
  }

  // Pods that this node has taken and that have not ended.
  std::vector<ObjectPtr> Others(const std::string& uid) const {
    std::vector<ObjectPtr> out;
    for (ObjectPtr& pod : pods_.OnNode(env_.node_name)) {
      if (Uid(*pod) == uid || IsPodFinished(*pod)) continue;
      std::lock_guard lock(mutex_);
      const auto it = states_.find(std::string(Uid(*pod)));
      if (it != states_.end() && !it->second->refused) out.push_back(std::move(pod));
    }
    return out;
  }

  // The object is gone (deleted by force) or belongs to another pod now: what runs must end.
  Result<Outcome> Orphan(const Ctx& ctx, const std::shared_ptr<PodState>& state) {
    PodPass pass(ctx, env_, Tools(), state, nullptr);
    TRY(const PassResult result, pass.Run());
    if (result.removed) Drop(state);
    return result.outcome;
  }

  void TakeEviction(PodState& state, const json::Value& pod) {
    std::unique_lock lock(mutex_);
    const auto it = evictions_.find(state.uid);
    if (it == evictions_.end() || !state.failed_reason.empty() || IsPodFinished(pod)) return;
    state.failed_reason = it->second.reason;
    state.failed_message = it->second.message;
    lock.unlock();
    env_.events.Event(pod, "Warning", state.failed_reason, state.failed_message);
  }

  void Drop(const std::shared_ptr<PodState>& state) {
    puller_.Forget(state->uid);
    std::lock_guard lock(mutex_);
    evictions_.erase(state->uid);
    states_.erase(state->uid);
    const auto it = views_.find(state->key);
    if (it != views_.end() && it->second.uid == state->uid) views_.erase(it);
  }

  void Publish(const PodState& state, const PodPass& pass) {
    PodView view = pass.View();
    std::lock_guard lock(mutex_);
    views_[state.key] = std::move(view);
  }

  const WorkerEnvironment env_;
  const Lister& pods_;
  const Lister& nodes_;
  const Lister& config_maps_;
  const Lister& secrets_;
  const Lister& services_;
  ImagePuller puller_;
  Prober prober_;
  std::mutex admission_mutex_;                                // taken before mutex_
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<PodState>> states_;   // by uid; the contents belong to the pod's own pass
  std::map<Key, PodView> views_;
  std::map<std::string, WaitReason> evictions_;               // by uid, decided and perhaps not yet seen by the pod's pass
};

PodWorkers::PodWorkers(const WorkerEnvironment& env) : impl_(std::make_shared<Impl>(env)) {
  class Worker final : public Reconciler {
   public:
    explicit Worker(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
    Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override { return impl_->Reconcile(ctx, key); }

   private:
    const std::shared_ptr<Impl> impl_;
  };
  ControllerSpec spec;
  spec.name = kPodController;
  spec.workers = 32;
  const std::string node = env.node_name;
  spec.triggers.push_back({"v1/pods", [node](const Notification& n) {
                             std::vector<Key> keys;
                             if ((*n.object)["spec"]["nodeName"].Str() == node) keys.push_back(KeyOf(*n.object));
                             return keys;
                           }});
  spec.triggers.push_back({"v1/configmaps", [i = impl_.get()](const Notification& n) { return i->PodsUsing("configmaps", *n.object); }});
  spec.triggers.push_back({"v1/secrets", [i = impl_.get()](const Notification& n) { return i->PodsUsing("secrets", *n.object); }});
  spec.reconciler = std::make_unique<Worker>(impl_);
  env.manager.Add(std::move(spec));
  AddHousekeeping(env.manager, impl_->environment(),
                  {[i = impl_.get()] { return i->Views(); }, [i = impl_.get()](const Key& k, const std::string& uid, WaitReason r) { i->Evict(k, uid, std::move(r)); }});
}
PodWorkers::~PodWorkers() = default;

Result<> PodWorkers::Adopt() { return impl_->Adopt(); }
void PodWorkers::OnRuntimeEvent(const container::Event& event) { impl_->OnRuntimeEvent(event); }
std::optional<PodView> PodWorkers::View(const Key& pod) const { return impl_->View(pod); }
std::vector<std::pair<Key, PodView>> PodWorkers::Views() const { return impl_->Views(); }

}  // namespace skerry::kube::node
