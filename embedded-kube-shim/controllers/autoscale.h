#pragma once
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "embedded-kube-shim/client/metrics.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

// The arithmetic of the HorizontalPodAutoscaler. Pure functions.
namespace skerry::kube {

// Replicas that a measurement asks for, with the value to be shown in the status.
struct Proposal {
  std::int64_t replicas = 0;
  std::int64_t average_milli = 0;                // per pod
  std::optional<std::int64_t> utilization;       // percent of the requests
};

// A quantity in thousandths; 0 for what is none.
std::int64_t MilliOf(const json::Value& quantity);

struct ResourceTarget {
  std::string resource;                          // "cpu", "memory"; empty: figures are thousandths of anything, given as memory
  std::string container;                         // only this one; empty = the whole pod
  std::optional<std::int64_t> utilization;       // percent of the requests, or
  std::int64_t average_milli = 0;                // an average per pod
  double up_tolerance = 0.1, down_tolerance = 0.1;
};
// kInvalid with upstream's words when nothing can be said.
Result<Proposal> ProposeForResource(const ResourceTarget& target, std::int64_t current, const std::vector<ObjectPtr>& pods, const std::vector<PodUsage>& usage, Clock::Wall now);

struct ScaleChange {
  Clock::Wall at;
  std::int64_t by = 0;                           // positive
};
struct Recommendation {
  Clock::Wall at;
  std::int64_t replicas = 0;
};
// What an autoscaler remembers between passes.
struct ScaleHistory {
  std::vector<Recommendation> recommendations;
  std::vector<ScaleChange> ups, downs;
};

struct Limited {
  std::int64_t replicas = 0;
  bool stabilized_down = false, stabilized_up = false;
  std::string limit_reason, limit_message;       // empty reason = within the range
};
// Applies stabilization, rates (spec.behavior, or the defaults without one) and the bounds. Notes the recommendation.
Limited LimitScale(const json::Value& autoscaler, std::int64_t current, std::int64_t wanted, Clock::Wall now, ScaleHistory& history);

}  // namespace skerry::kube
