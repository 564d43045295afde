#include <algorithm>
#include <mutex>
#include <set>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/job_rules.h"
#include "embedded-kube-shim/controllers/owned_pods.h"
#include "embedded-kube-shim/controllers/pod_control.h"
#include "embedded-kube-shim/controllers/write.h"

// Job: pods run until enough have succeeded. Every pod carries a finalizer until it is counted, and it is counted in three writes: its uid
// into status.uncountedTerminatedPods, then the finalizer off, then the counter up. Whatever happens between them, no pod counts twice.
namespace skerry::kube {
namespace {

constexpr const char* kJobs = "batch/v1/jobs";
constexpr const char* kController = "job-controller";
constexpr std::size_t kMostAtOnce = 500;
constexpr std::chrono::milliseconds kBatch{200};
const OwnerKind kKind{"batch/v1", "Job", kTracking};

// Failures since the last success, per job: how long the next pod waits.
class JobFailures {
 public:
  struct Record {
    std::string uid;
    std::int64_t failures = 0;
    Clock::Wall last{};
    std::set<std::string> seen;      // uids of finished pods that are in it
  };
  Record Note(const json::Value& job, const std::vector<ObjectPtr>& finished) {
    std::lock_guard lock(mutex_);
    Record& r = records_[KeyOf(job)];
    if (r.uid != Uid(job)) r = {std::string(Uid(job)), 0, {}, {}};
    std::vector<std::pair<Clock::Wall, ObjectPtr>> fresh;
    for (const ObjectPtr& p : finished) {
      if (r.seen.insert(std::string(Uid(*p))).second) fresh.emplace_back(FinishedAt(*p), p);
    }
    std::stable_sort(fresh.begin(), fresh.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [at, p] : fresh) {
      const bool failed = HasFailed(*p, job);
      r.failures = failed ? r.failures + 1 : 0;
      if (failed) r.last = std::max(r.last, at);
    }
    return r;
  }
  void Forget(const Key& job) {
    std::lock_guard lock(mutex_);
    records_.erase(job);
  }

 private:
  std::mutex mutex_;
  std::map<Key, Record> records_;
};

struct Verdict {
  std::string type, reason, message; // type: FailureTarget or SuccessCriteriaMet; empty = it goes on
  explicit operator bool() const { return !type.empty(); }
  std::string final_type() const { return type == "FailureTarget" ? "Failed" : "Complete"; }
};

enum class Counted : std::uint8_t { kYes, kNo };

class JobPass {
 public:
  JobPass(const Ctx& ctx, Client& client, EventRecorder& events, const Clock& clock, JobFailures& failures, const ObjectPtr& job, std::vector<ObjectPtr> pods)
      : ctx_(ctx), client_(client), events_(events), control_(client, events), clock_(clock), now_(clock.Now()), failures_(failures), current_(job), job_(job->Clone()),
        pods_(std::move(pods)), completions_(job_["spec"]["completions"].Int()), suspended_(job_["spec"]["suspend"].Bool()) {}

  Result<Outcome> Run() {
    Count();
    json::Value& status = job_.Set("status");
    if (status["uncountedTerminatedPods"].is_null()) status.Set("uncountedTerminatedPods") = json::Value::Object();
    if (status["startTime"].is_null() && !suspended_) status.Set("startTime") = FormatTime(now_);
    verdict_ = Judge();
    Result<> managed;
    if (verdict_) {
      managed = DeletePods(active_, Counted::kYes);
    } else if (!IsTerminating(job_)) {
      managed = Manage();
      if (IsComplete()) {
        verdict_ = {"SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods"};
      } else {
        NoteSuspension();
      }
    }
    SetCount(job_.Set("status"), "active", static_cast<std::int64_t>(active_.size()));
    job_.Set("status").Set("ready") = std::count_if(active_.begin(), active_.end(), [](const ObjectPtr& p) { return IsPodReady(*p); });
    job_.Set("status").Set("terminating") = terminating_;
    TRY_VOID(Track());
    if (!managed) return std::unexpected(std::move(managed).error());
    Outcome outcome;
    outcome.requeue_after = due_;
    return outcome;
  }

 private:
  void WaitFor(std::chrono::milliseconds left) {
    left = std::max(left, std::chrono::milliseconds(1));
    if (!due_ || left < *due_) due_ = left;
  }

  bool IsUncounted(const json::Value& pod, const char* list) const {
    const auto uids = job_["status"]["uncountedTerminatedPods"][list].Items();
    return std::any_of(uids.begin(), uids.end(), [&](const json::Value& u) { return u.Str() == Uid(pod); });
  }

  // Sorts the pods and adds up what the status and the pods not yet counted say.
  void Count() {
    const json::Value& status = job_["status"];
    succeeded_ = status["succeeded"].Int() + static_cast<std::int64_t>(status["uncountedTerminatedPods"]["succeeded"].size());
    failed_ = status["failed"].Int() + static_cast<std::int64_t>(status["uncountedTerminatedPods"]["failed"].size());
    done_ = IndexSet::Parse(status["completedIndexes"].Str(), completions_);
    if (HasIndexBackoff(job_)) lost_ = IndexSet::Parse(status["failedIndexes"].Str(), completions_);
    std::vector<ObjectPtr> finished;
    for (const ObjectPtr& p : pods_) {
      if (IsPodActive(*p)) active_.push_back(p);
      if (IsTerminating(*p) && !IsPodFinished(*p)) ++terminating_;
      const bool success = (*p)["status"]["phase"].Str() == "Succeeded";
      if (success || HasFailed(*p, job_)) finished.push_back(p);
      if (!HasTracking(*p)) continue;
      const auto index = IndexOf(*p, job_);
      if (success && !IsUncounted(*p, "succeeded")) {
        ++succeeded_;
        if (index) done_.Add(*index);
      } else if (!success && HasFailed(*p, job_) && !IsUncounted(*p, "failed")) {
        failed_ += JudgeFailure(job_, *p).counts;
        if (HasIndexBackoff(job_) && index && FailsItsIndex(job_, *p)) lost_.Add(*index);
      }
    }
    if (IsIndexed(job_)) succeeded_ = done_.Total();
    record_ = failures_.Note(job_, finished);
  }

  Verdict Judge() {
    if (const json::Value* c = FindCondition(job_["status"], "SuccessCriteriaMet"); c && (*c)["status"].Str() == "True") return FromCondition(*c);
    if (const json::Value* c = FindCondition(job_["status"], "FailureTarget"); c && (*c)["status"].Str() == "True") return FromCondition(*c);
    const json::Value& spec = job_["spec"];
    for (const ObjectPtr& p : pods_) {
      if (!HasFailed(*p, job_)) continue;
      const PolicyVerdict v = JudgeFailure(job_, *p);
      if (!v.fail_message.empty()) return {"FailureTarget", "PodFailurePolicy", v.fail_message};
    }
    if (failed_ > spec["backoffLimit"].Int(6) || TooManyRestarts()) return {"FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit"};
    if (PastDeadline()) return {"FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline"};
    if (!IsIndexed(job_)) return {};
    if (HasIndexBackoff(job_)) {
      if (spec["maxFailedIndexes"].is_int() && lost_.Total() > spec["maxFailedIndexes"].Int()) {
        return {"FailureTarget", "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes"};
      }
      if (!lost_.empty() && lost_.Total() + done_.Total() >= completions_) return {"FailureTarget", "FailedIndexes", "Job has failed indexes"};
    }
    std::string message;
    if (const std::string_view reason = MatchSuccessRule(job_, done_, &message); !reason.empty()) return {"SuccessCriteriaMet", std::string(reason), message};
    return {};
  }

  static Verdict FromCondition(const json::Value& c) { return {std::string(c["type"].Str()), std::string(c["reason"].Str()), std::string(c["message"].Str())}; }

  // Containers that restart in their pods count as failures, too.
  bool TooManyRestarts() const {
    if (job_["spec"]["template"]["spec"]["restartPolicy"].Str() != "OnFailure") return false;
    std::int64_t restarts = 0;
    for (const ObjectPtr& p : pods_) {
      const std::string_view phase = (*p)["status"]["phase"].Str();
      if (phase != "Running" && phase != "Pending") continue;
      for (const char* list : {"initContainerStatuses", "containerStatuses"}) {
        for (const json::Value& c : (*p)["status"][list].Items()) restarts += c["restartCount"].Int();
      }
    }
    const std::int64_t limit = job_["spec"]["backoffLimit"].Int(6);
    return limit == 0 ? restarts > 0 : restarts >= limit;
  }

  bool PastDeadline() {
    const json::Value& deadline = job_["spec"]["activeDeadlineSeconds"];
    const auto start = ParseTime(job_["status"]["startTime"].Str());
    if (!deadline.is_int() || !start || suspended_) return false;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*start + std::chrono::seconds(deadline.Int()) - now_);
    if (left.count() <= 0) return true;
    WaitFor(left);
    return false;
  }

  bool IsComplete() const {
    if (!active_.empty()) return false;
    return job_["spec"]["completions"].is_int() ? succeeded_ >= completions_ : succeeded_ > 0;
  }

  Result<> Manage() {
    if (suspended_) return DeletePods(active_, Counted::kNo);
    const std::int64_t active = static_cast<std::int64_t>(active_.size()), parallelism = job_["spec"]["parallelism"].Int(1);
    std::int64_t want = parallelism;
    if (!job_["spec"]["completions"].is_int()) {
      if (succeeded_ > 0) want = active;   // the first success: whatever runs may finish, nothing new starts
    } else {
      want = std::clamp<std::int64_t>(completions_ - succeeded_, 0, parallelism);
    }
    if (const std::vector<ObjectPtr> surplus = Surplus(static_cast<std::size_t>(std::max<std::int64_t>(0, active - want))); !surplus.empty()) {
      return DeletePods(surplus, Counted::kNo);
    }
    const std::int64_t missing = want - active - (WaitsForFailure(job_) ? terminating_ : 0);
    return missing > 0 ? CreatePods(std::min<std::int64_t>(missing, kMostAtOnce)) : Result<>();
  }

  // Pods of no index or of one that has a pod already, then as many others as it takes.
  std::vector<ObjectPtr> Surplus(std::size_t at_least) {
    std::vector<ObjectPtr> sorted = active_, out, rest;
    SortForDeletion(sorted, {}, now_);
    if (IsIndexed(job_)) {
      IndexSet seen;
      for (auto it = sorted.rbegin(); it != sorted.rend(); ++it) {   // the best pod of an index stays
        const auto index = IndexOf(**it, job_);
        const bool keep = index && !seen.Has(*index);
        if (keep) seen.Add(*index);
        (keep ? rest : out).push_back(*it);
      }
      std::reverse(rest.begin(), rest.end());
    } else {
      rest = std::move(sorted);
    }
    for (const ObjectPtr& p : rest) {
      if (out.size() >= at_least) break;
      out.push_back(p);
    }
    return out;
  }

  Result<> CreatePods(std::int64_t count) {
    if (!HasIndexBackoff(job_) && record_.failures > 0) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(record_.last + JobBackoff(record_.failures) - now_);
      if (left.count() > 0) {
        WaitFor(left);
        return {};
      }
    }
    if (!IsIndexed(job_)) {
      for (; count > 0; --count) TRY_VOID(CreatePod(std::nullopt, nullptr));
      return {};
    }
    IndexSet busy;
    for (const ObjectPtr& p : pods_) {
      const auto index = IndexOf(*p, job_);
      if (index && (IsPodActive(*p) || (WaitsForFailure(job_) && IsTerminating(*p) && !IsPodFinished(*p)))) busy.Add(*index);
    }
    const std::map<std::int64_t, ObjectPtr> waiting = KeptFailures();
    for (const std::int64_t index : IndexSet::FirstMissing({&done_, &lost_, &busy}, completions_, static_cast<std::size_t>(count))) {
      const auto it = waiting.find(index);
      if (it != waiting.end()) {
        const IndexFailures f = FailuresWith(job_, *it->second);
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(FinishedAt(*it->second) + JobBackoff(f.counted + f.ignored) - now_);
        if (left.count() > 0) {
          WaitFor(left);
          continue;
        }
      }
      TRY_VOID(CreatePod(index, it == waiting.end() ? nullptr : it->second.get()));
    }
    return {};
  }

  Result<> CreatePod(std::optional<std::int64_t> index, const json::Value* replaced) {
    TRY(ObjectPtr pod, control_.Create(ctx_, job_, JobPod(job_, index, replaced)));
    if (!pod) return {};
    active_.push_back(pod);
    pods_.push_back(std::move(pod));
    return {};
  }

  // With a limit per index the failures are written on the pods: the last failed pod of an index keeps its finalizer until the next is there.
  std::map<std::int64_t, ObjectPtr> KeptFailures() const {
    std::map<std::int64_t, ObjectPtr> out;
    if (!HasIndexBackoff(job_)) return out;
    IndexSet active;
    for (const ObjectPtr& p : active_) {
      if (const auto index = IndexOf(*p, job_)) active.Add(*index);
    }
    for (const ObjectPtr& p : pods_) {
      const auto index = IndexOf(*p, job_);
      if (!index || !HasTracking(*p) || !HasFailed(*p, job_) || IsUncounted(*p, "failed")) continue;
      if (active.Has(*index) || done_.Has(*index) || lost_.Has(*index)) continue;
      ObjectPtr& slot = out[*index];
      const auto total = [](const json::Value& pod) { return FailuresSoFar(pod).counted + FailuresSoFar(pod).ignored; };
      if (!slot || (total(*slot) <= total(*p) && FinishedAt(*slot) <= FinishedAt(*p))) slot = p;
    }
    return out;
  }

  // Pods that are only too many are no failures: they lose their finalizer first. Takes a copy: `gone` may be active_.
  Result<> DeletePods(const std::vector<ObjectPtr> gone, Counted counted) {
    if (counted == Counted::kNo) TRY_VOID(Release(gone));
    for (const ObjectPtr& pod : gone) {
      TRY_VOID(control_.Delete(ctx_, job_, *pod));
      std::erase_if(active_, [&](const ObjectPtr& p) { return Uid(*p) == Uid(*pod); });
      ++terminating_;                // until a notification says otherwise
    }
    return {};
  }

  void NoteSuspension() {
    json::Value& status = job_.Set("status");
    const json::Value* c = FindCondition(status, "Suspended");
    if (suspended_) {
      if (c && (*c)["status"].Str() == "True") return;
      Condition("Suspended", "True", "JobSuspended", "Job suspended");
      events_.Event(job_, "Normal", "Suspended", "Job suspended");
    } else if (c && (*c)["status"].Str() == "True") {
      Condition("Suspended", "False", "JobResumed", "Job resumed");
      events_.Event(job_, "Normal", "Resumed", "Job resumed");
      status.Set("startTime") = FormatTime(now_);   // the deadline counts from here
    }
  }

  void Condition(std::string_view type, std::string_view value, std::string_view reason, std::string_view message) {
    json::Value& status = job_.Set("status");
    if (!SetCondition(status, type, value, reason, message, now_)) return;
    for (json::Value& c : status.Set("conditions").MutableItems()) {
      if (c["type"].Str() == type) c.Set("lastProbeTime") = FormatTime(now_);
    }
  }

  Result<> Write() {
    TRY(ObjectPtr written, UpdateIfChanged(ctx_, client_, kJobs, current_, job_.Clone(), "status"));
    if (!written) return Fail(Code::kCancelled, "the job is gone");
    current_ = std::move(written);
    job_.Set("metadata") = Meta(*current_).Clone();
    return {};
  }

  // Counts finished pods (see the top) and ends the job when nothing is left to count.
  Result<> Track() {
    const std::map<std::int64_t, ObjectPtr> kept = KeptFailures();
    std::vector<ObjectPtr> release;
    json::Value& uncounted = job_.Set("status").Set("uncountedTerminatedPods");
    std::size_t listed = uncounted["succeeded"].size() + uncounted["failed"].size();
    bool full = false;
    for (const ObjectPtr& pod : pods_) {
      if (!HasTracking(*pod) || released_.contains(Uid(*pod))) continue;
      const bool success = (*pod)["status"]["phase"].Str() == "Succeeded", failed = HasFailed(*pod, job_);
      if (!IsTerminating(job_) && !verdict_ && !success && !failed) continue;
      const auto index = IndexOf(*pod, job_);
      if (failed && !verdict_ && !IsTerminating(job_) && index && kept.contains(*index) && Uid(*kept.at(*index)) == Uid(*pod)) continue;
      if (listed >= kMostAtOnce) {
        full = true;
        break;
      }
      release.push_back(pod);
      if (success) {
        if (!IsIndexed(job_) && !IsUncounted(*pod, "succeeded")) {   // an index speaks for itself
          uncounted.Set("succeeded").Append(Uid(*pod));
          ++listed;
        }
      } else if (failed || verdict_.type == "FailureTarget") {
        if (IsUncounted(*pod, "failed") || (IsIndexed(job_) && !index) || !JudgeFailure(job_, *pod).counts) continue;
        uncounted.Set("failed").Append(Uid(*pod));
        ++listed;
      }
    }
    json::Value& status = job_.Set("status");
    if (IsIndexed(job_)) {
      SetCount(status, "succeeded", done_.Total());
      SetOrErase(status, "completedIndexes", done_.empty() ? json::Value() : json::Value(done_.Text()));
      if (HasIndexBackoff(job_)) status.Set("failedIndexes") = lost_.Text();
    }
    if (verdict_) Condition(verdict_.type, "True", verdict_.reason, verdict_.message);
    TRY_VOID(Write());
    TRY_VOID(Release(release));
    SettleCounted();
    if (full) WaitFor(std::chrono::milliseconds(1));
    if (!full && verdict_) Finish();
    return Write();
  }

  Result<> Release(const std::vector<ObjectPtr>& pods) {
    json::Value patch;
    patch.Set("metadata").Set("$deleteFromPrimitiveList/finalizers").Append(kTracking);
    for (const ObjectPtr& p : pods) {
      json::Value one = patch.Clone();
      one.Set("metadata").Set("uid") = Uid(*p);
      auto r = client_.Patch(ctx_, "v1/pods", KeyOf(*p), PatchType::kStrategic, std::move(one));
      if (!r && !IsGone(r.error()) && r.error().code() != Code::kConflict && r.error().code() != Code::kInvalid) return std::unexpected(std::move(r).error());
      released_.insert(std::string(Uid(*p)));
    }
    return {};
  }

  // Uids whose pod has no finalizer any more become part of the counters.
  void SettleCounted() {
    json::Value& status = job_.Set("status");
    std::set<std::string, std::less<>> tracked;
    for (const ObjectPtr& p : pods_) {
      if (HasTracking(*p) && !released_.contains(Uid(*p))) tracked.insert(std::string(Uid(*p)));
    }
    json::Value uncounted = std::move(status.Set("uncountedTerminatedPods"));
    for (const char* what : {"succeeded", "failed"}) {
      json::Value left = json::Value::Array();
      std::int64_t settled = 0;
      for (const json::Value& uid : uncounted[what].Items()) {
        if (tracked.contains(uid.Str())) {
          left.Append(uid.Clone());
        } else {
          ++settled;
        }
      }
      if (settled > 0) SetCount(status, what, status[what].Int() + settled);
      SetOrErase(uncounted, what, left.size() > 0 ? std::move(left) : json::Value());
    }
    status.Set("uncountedTerminatedPods") = uncounted.size() > 0 ? std::move(uncounted) : json::Value::Object();
  }

  // Once every pod is counted and gone; pods deleted in this pass call for another one.
  void Finish() {
    json::Value& status = job_.Set("status");
    const json::Value& uncounted = status["uncountedTerminatedPods"];
    if (uncounted["succeeded"].size() + uncounted["failed"].size() > 0 || terminating_ > 0 || !active_.empty()) return;
    Condition(verdict_.final_type(), "True", verdict_.reason, verdict_.message);
    if (verdict_.type == "FailureTarget") {
      events_.Event(job_, "Warning", verdict_.reason, verdict_.message);
    } else {
      status.Set("completionTime") = FormatTime(now_);
      events_.Event(job_, "Normal", "Completed", "Job completed");
    }
    failures_.Forget(KeyOf(job_));
  }

  const Ctx& ctx_;
  Client& client_;
  EventRecorder& events_;
  PodControl control_;
  const Clock& clock_;
  const Clock::Wall now_;
  JobFailures& failures_;
  ObjectPtr current_;                // as the server has it
  json::Value job_;                  // with the status in the making
  std::vector<ObjectPtr> pods_;
  const std::int64_t completions_;
  const bool suspended_;
  std::vector<ObjectPtr> active_;
  std::int64_t succeeded_ = 0, failed_ = 0, terminating_ = 0;
  IndexSet done_, lost_;             // indexes that succeeded and failed
  JobFailures::Record record_;
  Verdict verdict_;
  std::set<std::string, std::less<>> released_;
  std::optional<std::chrono::milliseconds> due_;
};

class JobReconciler final : public Reconciler {
 public:
  JobReconciler(const ControllerContext& c, std::shared_ptr<const OrphanPods> orphans)
      : orphans_(std::move(orphans)), client_(c.client(kController)), events_(c.events(kController)), clock_(c.clock), jobs_(c.informers.Get(kJobs)), pods_(c.informers.Get("v1/pods")) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr job = jobs_.Get(key);
    if (!job) failures_.Forget(key);
    if (!job || IsJobOfOthers(*job) || IsJobFinished(*job)) return Outcome{};
    const json::Value& selector = (*job)["spec"]["selector"];
    TRY(std::vector<ObjectPtr> pods,
        ClaimChildren(ctx, client_, "v1/pods", kKind, *job, orphans_->Candidates(pods_, *job), [&](const json::Value& labels) { return MatchesSelector(selector, labels); }));
    return JobPass(ctx, client_, events_, clock_, failures_, job, std::move(pods)).Run();
  }

 private:
  const std::shared_ptr<const OrphanPods> orphans_;
  Client& client_;
  EventRecorder& events_;
  const Clock& clock_;
  const Lister& jobs_;
  const Lister& pods_;
  JobFailures failures_;
};

// Pods whose job is gone or over: nobody will count them any more, so the finalizer goes.
class OrphanReconciler final : public Reconciler {
 public:
  explicit OrphanReconciler(const ControllerContext& c) : client_(c.client(kController)), jobs_(c.informers.Get(kJobs)), pods_(c.informers.Get("v1/pods")) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr pod = pods_.Get(key);
    if (!pod || !HasTracking(*pod)) return Outcome{};
    if (const json::Value* ref = ControllerRef(*pod); ref && (*ref)["kind"].Str() == "Job") {
      const ObjectPtr job = jobs_.Get({key.ns, std::string((*ref)["name"].Str())});
      if (job && Uid(*job) == (*ref)["uid"].Str() && (IsJobOfOthers(*job) || !IsJobFinished(*job))) return Outcome{};
    }
    json::Value patch;
    patch.Set("metadata").Set("uid") = Uid(*pod);
    patch.Set("metadata").Set("$deleteFromPrimitiveList/finalizers").Append(kTracking);
    auto r = client_.Patch(ctx, "v1/pods", key, PatchType::kStrategic, std::move(patch));
    if (!r && !IsGone(r.error()) && r.error().code() != Code::kConflict) return std::unexpected(std::move(r).error());
    return Outcome{};
  }

 private:
  Client& client_;
  const Lister& jobs_;
  const Lister& pods_;
};

void AddOrphans(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = "job-orphan-pods";
  spec.triggers.push_back({"v1/pods", [](const Notification& n) {
                             std::vector<Key> keys;
                             if (n.type != Notification::Type::kDeleted && HasTracking(*n.object)) keys.push_back(KeyOf(*n.object));
                             return keys;
                           }});
  const Lister& pods = c.informers.Get("v1/pods");
  spec.triggers.push_back({kJobs, [&pods](const Notification& n) {
                             std::vector<Key> keys;
                             if (n.type != Notification::Type::kDeleted && !IsJobFinished(*n.object)) return keys;
                             for (const ObjectPtr& p : pods.OwnedBy(Uid(*n.object))) {
                               if (HasTracking(*p)) keys.push_back(KeyOf(*p));
                             }
                             return keys;
                           }});
  spec.reconciler = std::make_unique<OrphanReconciler>(c);
  c.manager.Add(std::move(spec));
}

}  // namespace

void AddJob(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = kController;
  spec.workers = 5;
  spec.triggers.push_back({kJobs, {}});
  // Pods often end together: one pass a little later counts them all, and takes no half for the whole.
  const auto orphans = std::make_shared<OrphanPods>();
  Trigger pods = PodsOf(c, "batch", "Job", kJobs, orphans);
  spec.triggers.push_back({pods.resource, [owners = std::move(pods.map), &manager = c.manager](const Notification& n) {
                             std::vector<Key> keys = owners(n);
                             if (n.type != Notification::Type::kModified) return keys;
                             for (Key& key : keys) manager.EnqueueAfter(kController, std::move(key), kBatch);
                             return std::vector<Key>();
                           }});
  spec.reconciler = std::make_unique<JobReconciler>(c, orphans);
  c.manager.Add(std::move(spec));
  AddOrphans(c);
}

}  // namespace skerry::kube
