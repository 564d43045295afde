#include "embedded-kube-shim/controllers/job_rules.h"

#include <algorithm>

#include "core/base/strings.h"

namespace skerry::kube {
namespace {

constexpr std::size_t kLongestPrefix = 58;           // a generated name adds five characters to it

bool HasTrue(const json::Value& status, std::string_view type) {
  const json::Value* c = FindCondition(status, type);
  return c && (*c)["status"].Str() == "True";
}

const json::Value* MatchingContainer(const json::Value& pod, const json::Value& rule) {
  for (const char* list : {"containerStatuses", "initContainerStatuses"}) {
    for (const json::Value& c : pod["status"][list].Items()) {
      const json::Value& ended = c["state"]["terminated"];
      if (!ended.is_object()) continue;
      if (const std::string_view only = rule["containerName"].Str(); !only.empty() && only != c["name"].Str()) continue;
      const std::int64_t code = ended["exitCode"].Int();
      if (code == 0) continue;
      const auto values = rule["values"].Items();
      const bool listed = std::any_of(values.begin(), values.end(), [&](const json::Value& v) { return v.Int() == code; });
      if (listed == (rule["operator"].Str() == "In")) return &c;
    }
  }
  return nullptr;
}

const json::Value* MatchingCondition(const json::Value& pod, const json::Value& patterns) {
  for (const json::Value& p : patterns.Items()) {
    for (const json::Value& c : pod["status"]["conditions"].Items()) {
      if (c["type"].Str() == p["type"].Str() && c["status"].Str() == p["status"].Str("True")) return &c;
    }
  }
  return nullptr;
}

void AddIndexVariable(json::Value& spec) {
  for (const char* list : {"initContainers", "containers"}) {
    json::Value* containers = spec.Find(list);
    if (!containers || !containers->is_array()) continue;
    for (json::Value& c : containers->MutableItems()) {
      const auto env = c["env"].Items();
      if (std::any_of(env.begin(), env.end(), [](const json::Value& e) { return e["name"].Str() == "JOB_COMPLETION_INDEX"; })) continue;
      json::Value variable;
      variable.Set("name") = "JOB_COMPLETION_INDEX";
      variable.Set("valueFrom").Set("fieldRef").Set("fieldPath") = Cat("metadata.labels['", kIndex, "']");
      c.Set("env").Append(std::move(variable));
    }
  }
}

}  // namespace

bool IsJobFinished(const json::Value& job) { return HasTrue(job["status"], "Complete") || HasTrue(job["status"], "Failed"); }
bool IsIndexed(const json::Value& job) { return job["spec"]["completionMode"].Str() == "Indexed"; }
bool HasIndexBackoff(const json::Value& job) { return IsIndexed(job) && job["spec"]["backoffLimitPerIndex"].is_int(); }
bool IsJobOfOthers(const json::Value& job) {
  const std::string_view by = job["spec"]["managedBy"].Str();
  return !by.empty() && by != "kubernetes.io/job-controller";
}
bool WaitsForFailure(const json::Value& job) {
  return job["spec"]["podReplacementPolicy"].Str() == "Failed" || job["spec"]["podFailurePolicy"].is_object();
}

bool HasFailed(const json::Value& pod, const json::Value& job) {
  const std::string_view phase = pod["status"]["phase"].Str();
  if (phase == "Failed") return true;
  // One that was deleted never gets the chance to fail.
  return !WaitsForFailure(job) && IsTerminating(pod) && phase != "Succeeded";
}

bool HasTracking(const json::Value& pod) {
  const auto finalizers = Meta(pod)["finalizers"].Items();
  return std::any_of(finalizers.begin(), finalizers.end(), [](const json::Value& f) { return f.Str() == kTracking; });
}

std::optional<std::int64_t> IndexOf(const json::Value& pod, const json::Value& job) {
  const auto index = ParseInt(Meta(pod)["annotations"][kIndex].Str());
  if (!index || *index < 0 || *index >= job["spec"]["completions"].Int()) return std::nullopt;
  return index;
}

Clock::Wall FinishedAt(const json::Value& pod) {
  std::optional<Clock::Wall> latest;
  bool all_ended = pod["status"]["containerStatuses"].size() > 0;
  for (const json::Value& c : pod["status"]["containerStatuses"].Items()) {
    const auto at = ParseTime(c["state"]["terminated"]["finishedAt"].Str());
    if (!at) {
      all_ended = false;
    } else if (!latest || *at > *latest) {
      latest = *at;
    }
  }
  if (all_ended && latest) return *latest;
  if (const auto at = ParseTime(Meta(pod)["deletionTimestamp"].Str())) return *at;
  if (const json::Value* ready = FindCondition(pod["status"], "Ready")) {
    if (const auto at = ParseTime((*ready)["lastTransitionTime"].Str())) return *at;
  }
  return ParseTime(Meta(pod)["creationTimestamp"].Str()).value_or(Clock::Wall());
}

PolicyVerdict JudgeFailure(const json::Value& job, const json::Value& pod) {
  std::int64_t at = -1;
  for (const json::Value& rule : job["spec"]["podFailurePolicy"]["rules"].Items()) {
    ++at;
    std::string what;
    if (const json::Value& codes = rule["onExitCodes"]; codes.is_object()) {
      const json::Value* c = MatchingContainer(pod, codes);
      if (!c) continue;
      what = Cat("Container ", (*c)["name"].Str(), " for pod ", Namespace(pod), "/", Name(pod), " failed with exit code ", (*c)["state"]["terminated"]["exitCode"].Int());
    } else {
      const json::Value* c = MatchingCondition(pod, rule["onPodConditions"]);
      if (!c) continue;
      what = Cat("Pod ", Namespace(pod), "/", Name(pod), " has condition ", (*c)["type"].Str());
    }
    PolicyVerdict v;
    v.action = rule["action"].Str();
    v.counts = v.action != "Ignore";
    if (v.action == "FailJob") v.fail_message = Cat(what, " matching FailJob rule at index ", at);
    return v;
  }
  return {};
}

std::string_view MatchSuccessRule(const json::Value& job, const IndexSet& succeeded, std::string* message) {
  std::int64_t at = -1;
  for (const json::Value& rule : job["spec"]["successPolicy"]["rules"].Items()) {
    ++at;
    const json::Value& count = rule["succeededCount"];
    bool met = false;
    if (rule["succeededIndexes"].is_string()) {
      const IndexSet wanted = IndexSet::Parse(rule["succeededIndexes"].Str(), job["spec"]["completions"].Int());
      met = wanted.CountIn(succeeded) >= (count.is_int() ? count.Int() : wanted.Total());
    } else {
      met = count.is_int() && succeeded.Total() >= count.Int();
    }
    if (!met) continue;
    *message = Cat("Matched rules at index ", at);
    return "SuccessPolicy";
  }
  return {};
}

IndexFailures FailuresSoFar(const json::Value& pod) {
  const json::Value& notes = Meta(pod)["annotations"];
  return {ParseInt(notes[kIndexFailures].Str()).value_or(0), ParseInt(notes[kIndexIgnored].Str()).value_or(0)};
}

IndexFailures FailuresWith(const json::Value& job, const json::Value& pod) {
  IndexFailures f = FailuresSoFar(pod);
  ++(JudgeFailure(job, pod).counts ? f.counted : f.ignored);
  return f;
}

bool FailsItsIndex(const json::Value& job, const json::Value& pod) {
  if (!HasFailed(pod, job)) return false;
  const PolicyVerdict v = JudgeFailure(job, pod);
  if (v.action == "FailIndex") return true;
  return v.counts && FailuresSoFar(pod).counted >= job["spec"]["backoffLimitPerIndex"].Int();
}

std::chrono::milliseconds JobBackoff(std::int64_t failures) {
  constexpr std::chrono::seconds kFirst{10}, kLongest{600};
  std::chrono::seconds d = kFirst;
  for (std::int64_t i = 1; i < failures && d < kLongest; ++i) d *= 2;
  return std::min(d, kLongest);
}

json::Value JobPod(const json::Value& job, std::optional<std::int64_t> index, const json::Value* replaced) {
  std::string prefix = Cat(Name(job), "-");
  if (index) {
    const std::string tail = Cat("-", *index, "-");
    prefix = Cat(Name(job).substr(0, kLongestPrefix - tail.size()), tail);
  }
  json::Value pod = PodFromTemplate(job["spec"]["template"], Namespace(job), prefix, NewControllerRef(job, "batch/v1", "Job"));
  json::Value& meta = pod.Set("metadata");
  if (!HasTracking(pod)) meta.Set("finalizers").Append(kTracking);
  if (!index) return pod;
  meta.Set("annotations").Set(kIndex) = std::to_string(*index);
  meta.Set("labels").Set(kIndex) = std::to_string(*index);
  if (HasIndexBackoff(job)) {
    const IndexFailures f = replaced ? FailuresWith(job, *replaced) : IndexFailures{};
    meta.Set("annotations").Set(kIndexFailures) = std::to_string(f.counted);
    if (f.ignored > 0) meta.Set("annotations").Set(kIndexIgnored) = std::to_string(f.ignored);
  }
  json::Value& spec = pod.Set("spec");
  spec.Set("hostname") = Cat(Name(job), "-", *index);
  AddIndexVariable(spec);
  return pod;
}

}  // namespace skerry::kube
