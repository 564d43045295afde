#pragma once
#include <optional>
#include <string>

#include "embedded-kube-shim/controllers/job_indexes.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

// What a Job's fields say about its pods. Pure functions.
namespace skerry::kube {

inline constexpr const char* kTracking = "batch.kubernetes.io/job-tracking";
inline constexpr const char* kIndex = "batch.kubernetes.io/job-completion-index";
inline constexpr const char* kIndexFailures = "batch.kubernetes.io/job-index-failure-count";
inline constexpr const char* kIndexIgnored = "batch.kubernetes.io/job-index-ignored-failure-count";

bool IsJobFinished(const json::Value& job);          // condition Complete or Failed
bool IsIndexed(const json::Value& job);
bool HasIndexBackoff(const json::Value& job);
bool IsJobOfOthers(const json::Value& job);          // spec.managedBy names another controller
// Pods are replaced only when they have failed, not as soon as they end.
bool WaitsForFailure(const json::Value& job);
bool HasFailed(const json::Value& pod, const json::Value& job);
bool HasTracking(const json::Value& pod);
std::optional<std::int64_t> IndexOf(const json::Value& pod, const json::Value& job);   // only valid ones
Clock::Wall FinishedAt(const json::Value& pod);

// What the pod failure policy says of a failed pod.
struct PolicyVerdict {
  std::string action;                // of the rule that matched; empty = none
  std::string fail_message;          // FailJob
  bool counts = true;                // towards the backoff limit
};
PolicyVerdict JudgeFailure(const json::Value& job, const json::Value& pod);

std::string_view MatchSuccessRule(const json::Value& job, const IndexSet& succeeded, std::string* message);   // reason; empty = no rule is met
struct IndexFailures {
  std::int64_t counted = 0, ignored = 0;
};
IndexFailures FailuresSoFar(const json::Value& pod);                                     // before this pod
IndexFailures FailuresWith(const json::Value& job, const json::Value& failed_pod);       // this pod's failure included
bool FailsItsIndex(const json::Value& job, const json::Value& pod);

// 10 s doubling to 10 min.
std::chrono::milliseconds JobBackoff(std::int64_t failures);

// The pod of a job, for an index or (nullopt) any.
json::Value JobPod(const json::Value& job, std::optional<std::int64_t> index, const json::Value* replaced);

}  // namespace skerry::kube
