#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "embedded-kube-shim/controllers/pod_facts.h"

// The arithmetic of a Deployment: pure functions over the deployment and its replica sets, so that they can be tested alone.
namespace skerry::kube {

inline constexpr const char* kRevision = "deployment.kubernetes.io/revision";
inline constexpr const char* kRevisionHistory = "deployment.kubernetes.io/revision-history";
inline constexpr const char* kDesiredReplicas = "deployment.kubernetes.io/desired-replicas";
inline constexpr const char* kMaxReplicas = "deployment.kubernetes.io/max-replicas";
inline constexpr const char* kHashLabel = "pod-template-hash";

struct RollingLimits {
  std::int64_t max_surge = 0, max_unavailable = 0;
};
RollingLimits LimitsOf(const json::Value& deployment);   // resolved against spec.replicas; never both zero

bool IsRecreate(const json::Value& deployment);
std::int64_t Replicas(const json::Value& set);           // spec.replicas
std::int64_t Available(const json::Value& set);          // status.availableReplicas
std::int64_t RevisionOf(const json::Value& object);

// The replica set whose template is the deployment's (the hash label aside); the oldest if there are several. Null when none.
ObjectPtr FindNewSet(const json::Value& deployment, const std::vector<ObjectPtr>& sets);

// How large the new set may be now.
std::int64_t NewSetSize(const json::Value& deployment, const std::vector<ObjectPtr>& all, std::int64_t new_size);

struct Resize {
  ObjectPtr set;
  std::int64_t to;
};
// Old sets that a rolling update may shrink now: unhealthy pods first, then as far as availability allows.
std::vector<Resize> ShrinkOldSets(const json::Value& deployment, const std::vector<ObjectPtr>& old_sets, const ObjectPtr& new_set);
// Sets after spec.replicas changed during a rollout: the difference is shared out in proportion. Sorted as upstream walks them.
std::vector<Resize> Proportional(const json::Value& deployment, const std::vector<ObjectPtr>& sets);

}  // namespace skerry::kube
