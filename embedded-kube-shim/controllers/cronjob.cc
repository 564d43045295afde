#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/cron_schedule.h"
#include "embedded-kube-shim/controllers/job_rules.h"
#include "embedded-kube-shim/controllers/write.h"

// CronJob: starts a Job when the schedule says so. Starts that were missed are made up for by one: the last of them.
namespace skerry::kube {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr const char* kCronJobs = "batch/v1/cronjobs";
constexpr const char* kJobs = "batch/v1/jobs";
constexpr const char* kController = "cronjob-controller";
constexpr std::int64_t kManyMissed = 100;
// A last start further in the future than this is from before the clock was set back.
constexpr std::chrono::minutes kClockSlack{10};

sys_seconds InSeconds(Clock::Wall t) { return std::chrono::floor<seconds>(t); }
std::optional<sys_seconds> TimeIn(const json::Value& v) {
  const auto t = ParseTime(v.Str());
  return t ? std::optional(InSeconds(*t)) : std::nullopt;
}

// Mon, 02 Jan 2006 15:04:05 UTC
std::string Rfc1123(sys_seconds t) {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(t);
  const std::chrono::year_month_day date(day);
  const std::string iso = FormatTime(t);
  return Cat(kDays[std::chrono::weekday(day).c_encoding()], ", ", iso.substr(8, 2), " ", kMonths[static_cast<unsigned>(date.month()) - 1], " ", iso.substr(0, 4), " ",
             iso.substr(11, 8), " UTC");
}

std::string_view FinishedBy(const json::Value& job) {
  for (const json::Value& c : job["status"]["conditions"].Items()) {
    if (c["status"].Str() == "True" && (c["type"].Str() == "Complete" || c["type"].Str() == "Failed")) return c["type"].Str();
  }
  return {};
}

class CronPass {
 public:
  CronPass(const Ctx& ctx, Client& client, EventRecorder& events, Clock::Wall now, const ObjectPtr& cron, std::vector<ObjectPtr> jobs)
      : ctx_(ctx), client_(client), events_(events), exact_now_(now), now_(InSeconds(now)), current_(cron), cron_(cron->Clone()), jobs_(std::move(jobs)) {}

  Result<Outcome> Run() {
    SyncActive();
    Result<> started = IsTerminating(cron_) ? Result<>() : Start();
    Result<> cleaned = CleanUp();
    TRY_VOID(UpdateIfChanged(ctx_, client_, kCronJobs, current_, cron_.Clone(), "status"));
    if (!started) return std::unexpected(std::move(started).error());
    if (!cleaned) return std::unexpected(std::move(cleaned).error());
    Outcome outcome;
    if (next_) outcome.requeue_after = std::max(std::chrono::ceil<std::chrono::milliseconds>(*next_ - exact_now_), std::chrono::milliseconds(1));
    return outcome;
  }

 private:
  bool IsActive(std::string_view uid) const {
    const auto active = cron_["status"]["active"].Items();
    return std::any_of(active.begin(), active.end(), [&](const json::Value& r) { return r["uid"].Str() == uid; });
  }
  void DropActive(std::string_view uid) {
    json::Value left = json::Value::Array();
    for (const json::Value& r : cron_["status"]["active"].Items()) {
      if (r["uid"].Str() != uid) left.Append(r.Clone());
    }
    SetOrErase(cron_.Set("status"), "active", left.size() > 0 ? std::move(left) : json::Value());
  }

  void SyncActive() {
    for (const ObjectPtr& j : jobs_) {
      const std::string_view finished = FinishedBy(*j);
      if (finished.empty()) {
        if (!IsActive(Uid(*j))) events_.Event(cron_, "Warning", "UnexpectedJob", Cat("Saw a job that the controller did not create or forgot: ", Name(*j)));
        continue;
      }
      if (IsActive(Uid(*j))) {
        events_.Event(cron_, "Normal", "SawCompletedJob", Cat("Saw completed job: ", Name(*j), ", condition: ", finished));
        DropActive(Uid(*j));
      }
      if (finished != "Complete") continue;
      const auto at = TimeIn((*j)["status"]["completionTime"]), last = TimeIn(cron_["status"]["lastSuccessfulTime"]);
      if (at && (!last || *at > *last)) cron_.Set("status").Set("lastSuccessfulTime") = FormatTime(*at);
    }
    std::vector<std::pair<std::string, std::string>> gone;
    for (const json::Value& r : cron_["status"]["active"].Items()) {
      if (std::none_of(jobs_.begin(), jobs_.end(), [&](const ObjectPtr& j) { return Uid(*j) == r["uid"].Str(); })) gone.emplace_back(r["uid"].Str(), r["name"].Str());
    }
    for (const auto& [uid, name] : gone) {
      events_.Event(cron_, "Normal", "MissingJob", Cat("Active job went missing: ", name));
      DropActive(uid);
    }
  }

  // The start that is due: the last one since the one before, or none.
  std::optional<sys_seconds> Due(const CronSchedule& schedule) {
    sys_seconds since = TimeIn(Meta(cron_)["creationTimestamp"]).value_or(now_);
    if (const auto last = TimeIn(cron_["status"]["lastScheduleTime"])) {
      if (*last > now_ + kClockSlack) {
        cron_.Set("status").Set("lastScheduleTime") = FormatTime(now_);
        return std::nullopt;
      }
      since = *last;
    }
    if (const json::Value& deadline = cron_["spec"]["startingDeadlineSeconds"]; deadline.is_int()) since = std::max(since, now_ - seconds(deadline.Int()));
    const auto due = schedule.Last(since, now_);
    if (!due) return due;
    const auto first = schedule.Next(since), second = first ? schedule.Next(*first) : std::nullopt;
    if (second && *second > *first && (now_ - *first) / (*second - *first) + 1 > kManyMissed) {
      events_.Event(cron_, "Warning", "TooManyMissedTimes", "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew");
    }
    return due;
  }

  Result<> Start() {
    const json::Value& spec = cron_["spec"];
    const std::string_view zone = spec["timeZone"].Str();
    if (auto known = text::TimeZone::Load(zone); !known) {
      events_.Event(cron_, "Warning", "UnknownTimeZone", Cat("invalid timeZone: ", Quote(zone), ": unknown time zone ", zone));
      return {};
    }
    if (spec["suspend"].Bool()) return {};
    const auto schedule = CronSchedule::Parse(spec["schedule"].Str(), zone);
    if (!schedule) {
      events_.Event(cron_, "Warning", "UnparseableSchedule", Cat("unparseable schedule: ", Quote(spec["schedule"].Str()), " : ", schedule.error().message()));
      return {};
    }
    const auto due = Due(*schedule);
    next_ = schedule->Next(now_);
    if (due && spec["startingDeadlineSeconds"].is_int() && *due + seconds(spec["startingDeadlineSeconds"].Int()) < now_) {
      events_.Event(cron_, "Warning", "MissSchedule", Cat("Missed scheduled time to start a job: ", Rfc1123(*due)));
      return {};
    }
    return due ? StartAt(*due, schedule->zone()) : Result<>();
  }

  Result<> StartAt(sys_seconds due, const text::TimeZone& zone) {
    const std::string_view policy = cron_["spec"]["concurrencyPolicy"].Str();
    if (policy == "Forbid" && cron_["status"]["active"].size() > 0) {
      events_.Event(cron_, "Normal", "JobAlreadyActive", "Not starting job because prior execution is running and concurrency policy is Forbid");
      return {};
    }
    if (policy == "Replace") {
      for (const ObjectPtr& j : jobs_) {
        if (IsActive(Uid(*j))) TRY_VOID(DeleteJob(*j));
      }
    }
    json::Value job = JobAt(due, zone);
    const Key key = KeyOf(job);
    auto created = client_.Create(ctx_, kJobs, std::move(job));
    if (!created && AlreadyExists(created.error())) {
      // Ours, when the status of the last try was not written any more.
      created = client_.Get(ctx_, kJobs, key);
      if (created && !IsControlledBy(**created, Uid(cron_))) return Fail(Code::kInvalid, Cat("job ", key.name, " exists and belongs to another"));
      if (created && (IsActive(Uid(**created)) || IsJobFinished(**created))) {
        cron_.Set("status").Set("lastScheduleTime") = FormatTime(due);
        return {};
      }
    } else if (created) {
      events_.Event(cron_, "Normal", "SuccessfulCreate", Cat("Created job ", key.name));
    }
    if (!created) {
      if (NamespaceEnds(created.error())) return {};
      events_.Event(cron_, "Warning", "FailedCreate", Cat("Error creating job: ", created.error().message()));
      return std::unexpected(std::move(created).error());
    }
    json::Value ref;
    ref.Set("kind") = "Job";
    ref.Set("namespace") = key.ns;
    ref.Set("name") = key.name;
    ref.Set("uid") = Uid(**created);
    ref.Set("apiVersion") = "batch/v1";
    ref.Set("resourceVersion") = Meta(**created)["resourceVersion"].Str();
    cron_.Set("status").Set("active").Append(std::move(ref));
    cron_.Set("status").Set("lastScheduleTime") = FormatTime(due);
    return {};
  }

  json::Value JobAt(sys_seconds due, const text::TimeZone& zone) const {
    const json::Value& pattern = cron_["spec"]["jobTemplate"];
    json::Value job;
    job.Set("apiVersion") = "batch/v1";
    job.Set("kind") = "Job";
    json::Value& meta = job.Set("metadata");
    meta.Set("name") = Cat(Name(cron_), "-", due.time_since_epoch().count() / 60);
    meta.Set("namespace") = Namespace(cron_);
    for (const char* part : {"labels", "annotations"}) {
      if (const json::Value& v = Meta(pattern)[part]; v.is_object()) meta.Set(part) = v.Clone();
    }
    meta.Set("annotations").Set("batch.kubernetes.io/cronjob-scheduled-timestamp") = zone.Format(due);
    meta.Set("ownerReferences").Append(NewControllerRef(cron_, "batch/v1", "CronJob"));
    job.Set("spec") = pattern["spec"].Clone();
    return job;
  }

  Result<> DeleteJob(const json::Value& job) {
    const std::string name(Name(job));
    DeleteOptions options;
    options.propagation = Propagation::kBackground;
    if (auto r = DeleteIfThere(ctx_, client_, kJobs, job, options); !r) {
      events_.Event(cron_, "Warning", "FailedDelete", Cat("Deleted job: ", r.error().message()));
      return r;
    }
    events_.Event(cron_, "Normal", "SuccessfulDelete", Cat("Deleted job ", name));
    DropActive(Uid(job));
    return {};
  }

  Result<> CleanUp() {
    for (const auto& [limit, kind] : {std::pair("failedJobsHistoryLimit", "Failed"), std::pair("successfulJobsHistoryLimit", "Complete")}) {
      const json::Value& most = cron_["spec"][limit];
      if (!most.is_int()) continue;
      std::vector<ObjectPtr> finished;
      for (const ObjectPtr& j : jobs_) {
        if (FinishedBy(*j) == kind && !IsTerminating(*j)) finished.push_back(j);
      }
      std::stable_sort(finished.begin(), finished.end(), [](const ObjectPtr& a, const ObjectPtr& b) {
        const std::string_view x = (*a)["status"]["startTime"].Str(), y = (*b)["status"]["startTime"].Str();
        return x != y ? x < y : Name(*a) < Name(*b);
      });
      const std::int64_t surplus = static_cast<std::int64_t>(finished.size()) - most.Int();
      for (std::int64_t i = 0; i < surplus; ++i) TRY_VOID(DeleteJob(*finished[static_cast<std::size_t>(i)]));
    }
    return {};
  }

  const Ctx& ctx_;
  Client& client_;
  EventRecorder& events_;
  const Clock::Wall exact_now_;
  const sys_seconds now_;
  const ObjectPtr current_;
  json::Value cron_;                 // with the status in the making
  const std::vector<ObjectPtr> jobs_;
  std::optional<sys_seconds> next_;
};

class CronReconciler final : public Reconciler {
 public:
  explicit CronReconciler(const ControllerContext& c)
      : client_(c.client(kController)), events_(c.events(kController)), clock_(c.clock), crons_(c.informers.Get(kCronJobs)), jobs_(c.informers.Get(kJobs)) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr cron = crons_.Get(key);
    if (!cron) return Outcome{};
    return CronPass(ctx, client_, events_, clock_.Now(), cron, jobs_.OwnedBy(Uid(*cron))).Run();
  }

 private:
  Client& client_;
  EventRecorder& events_;
  const Clock& clock_;
  const Lister& crons_;
  const Lister& jobs_;
};

// Jobs with ttlSecondsAfterFinished are deleted when their time is over.
class TtlReconciler final : public Reconciler {
 public:
  explicit TtlReconciler(const ControllerContext& c) : client_(c.client("ttl-after-finished-controller")), clock_(c.clock), jobs_(c.informers.Get(kJobs)) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr job = jobs_.Get(key);
    if (!job || IsTerminating(*job)) return Outcome{};
    const json::Value& ttl = (*job)["spec"]["ttlSecondsAfterFinished"];
    if (!ttl.is_int()) return Outcome{};
    const std::string_view finished = FinishedBy(*job);
    const json::Value* c = finished.empty() ? nullptr : FindCondition((*job)["status"], finished);
    const auto at = ParseTime(c ? (*c)["lastTransitionTime"].Str() : std::string_view());
    if (!at) return Outcome{};
    Outcome outcome;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*at + seconds(ttl.Int()) - clock_.Now());
    if (left.count() > 0) {
      outcome.requeue_after = left;
      return outcome;
    }
    DeleteOptions options;
    options.propagation = Propagation::kForeground;
    TRY_VOID(DeleteIfThere(ctx, client_, kJobs, *job, options));
    return outcome;
  }

 private:
  Client& client_;
  const Clock& clock_;
  const Lister& jobs_;
};

}  // namespace

void AddCronJob(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = kController;
  spec.workers = 5;
  spec.triggers.push_back({kCronJobs, {}});
  spec.triggers.push_back({kJobs, OwnerOf("batch", "CronJob")});
  spec.reconciler = std::make_unique<CronReconciler>(c);
  c.manager.Add(std::move(spec));
}

void AddTtlAfterFinished(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = "ttl-after-finished-controller";
  spec.workers = 5;
  spec.triggers.push_back({kJobs, [](const Notification& n) {
                             std::vector<Key> keys;
                             if (n.type != Notification::Type::kDeleted && (*n.object)["spec"]["ttlSecondsAfterFinished"].is_int()) keys.push_back(KeyOf(*n.object));
                             return keys;
                           }});
  spec.reconciler = std::make_unique<TtlReconciler>(c);
  c.manager.Add(std::move(spec));
}

}  // namespace skerry::kube
