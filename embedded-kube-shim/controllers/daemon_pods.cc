#include "embedded-kube-shim/controllers/daemon_pods.h"

#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/history.h"
#include "embedded-kube-shim/controllers/node_match.h"

namespace skerry::kube {
namespace {

constexpr const char* kGeneration = "deprecated.daemonset.template.generation";
constexpr const char* kGenerationLabel = "pod-template-generation";

struct Tolerated {
  const char *key, *effect;
};
constexpr Tolerated kTolerated[] = {
    {"node.kubernetes.io/not-ready", "NoExecute"},        {"node.kubernetes.io/unreachable", "NoExecute"},
    {"node.kubernetes.io/disk-pressure", "NoSchedule"},   {"node.kubernetes.io/memory-pressure", "NoSchedule"},
    {"node.kubernetes.io/pid-pressure", "NoSchedule"},    {"node.kubernetes.io/unschedulable", "NoSchedule"},
};
constexpr Tolerated kHostNetwork{"node.kubernetes.io/network-unavailable", "NoSchedule"};

void AddToleration(json::Value& list, const Tolerated& t) {
  for (const json::Value& old : list.Items()) {
    if (old["key"].Str() == t.key && old["effect"].Str() == t.effect && old["operator"].Str() == "Exists" && old["tolerationSeconds"].is_null()) return;
  }
  json::Value v;
  v.Set("key") = t.key;
  v.Set("operator") = "Exists";
  v.Set("effect") = t.effect;
  list.Append(std::move(v));
}

json::Value Tolerations(const json::Value& pod_spec) {
  json::Value out = pod_spec["tolerations"].Clone();
  for (const Tolerated& t : kTolerated) AddToleration(out, t);
  if (pod_spec["hostNetwork"].Bool()) AddToleration(out, kHostNetwork);
  return out;
}

// At most one old and one new pod, leaving out those that end; false when there are more: managing comes first.
bool OldAndNew(const json::Value& set, const std::vector<ObjectPtr>& pods, std::string_view hash, ObjectPtr* old_pod, ObjectPtr* new_pod) {
  for (const ObjectPtr& p : pods) {
    if (IsTerminating(*p)) continue;
    ObjectPtr& slot = IsUpdated(*p, set, hash) ? *new_pod : *old_pod;
    if (slot) return false;
    slot = p;
  }
  return true;
}

}  // namespace

std::string_view NodeOf(const json::Value& pod) {
  if (const std::string_view name = pod["spec"]["nodeName"].Str(); !name.empty()) return name;
  const json::Value& required = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
  for (const json::Value& term : required["nodeSelectorTerms"].Items()) {
    for (const json::Value& f : term["matchFields"].Items()) {
      if (f["key"].Str() == "metadata.name" && f["operator"].Str() == "In" && f["values"].size() == 1) return f["values"].Items()[0].Str();
    }
  }
  return {};
}

NodeWish WishOf(const json::Value& node, const json::Value& set) {
  const json::Value& spec = set["spec"]["template"]["spec"];
  if (const std::string_view wanted = spec["nodeName"].Str(); !wanted.empty() && wanted != Name(node)) return {};
  if (!MatchesRequiredNodeAffinity(spec, node)) return {};
  const json::Value tolerations = Tolerations(spec);
  bool run = true, keep = true;
  for (const json::Value& taint : node["spec"]["taints"].Items()) {
    const std::string_view effect = taint["effect"].Str();
    if ((effect != "NoSchedule" && effect != "NoExecute") || Tolerates(tolerations, taint)) continue;
    run = false;
    if (effect == "NoExecute") keep = false;
  }
  return {run, keep};
}

json::Value DaemonPod(const json::Value& set, std::string_view hash, std::string_view node) {
  json::Value pod = PodFromTemplate(set["spec"]["template"], Namespace(set), Cat(Name(set), "-"), NewControllerRef(set, "apps/v1", "DaemonSet"));
  json::Value& labels = pod.Set("metadata").Set("labels");
  if (const std::string_view generation = Meta(set)["annotations"][kGeneration].Str(); ParseInt(generation)) labels.Set(kGenerationLabel) = generation;
  labels.Set(kRevisionLabel) = hash;
  json::Value& spec = pod.Set("spec");
  spec.Set("tolerations") = Tolerations(spec);
  json::Value name, term;
  name.Set("key") = "metadata.name";
  name.Set("operator") = "In";
  name.Set("values").Append(node);
  term.Set("matchFields").Append(std::move(name));
  json::Value& required = spec.Set("affinity").Set("nodeAffinity").Set("requiredDuringSchedulingIgnoredDuringExecution");
  required = json::Value::Object();
  required.Set("nodeSelectorTerms").Append(std::move(term));
  return pod;
}

bool IsUpdated(const json::Value& pod, const json::Value& set, std::string_view hash) {
  const json::Value& labels = Meta(pod)["labels"];
  if (!hash.empty() && labels[kRevisionLabel].Str() == hash) return true;
  const std::string_view generation = Meta(set)["annotations"][kGeneration].Str();
  return !generation.empty() && labels[kGenerationLabel].Str() == generation;
}

RolloutLimits LimitsOfDaemons(const json::Value& set, std::int64_t desired) {
  const json::Value& rolling = set["spec"]["updateStrategy"]["rollingUpdate"];
  RolloutLimits out;
  out.surge = rolling["maxSurge"].is_null() ? 0 : ScaledValue(rolling["maxSurge"], desired, true).value_or(0);
  out.unavailable = rolling["maxUnavailable"].is_null() ? 1 : ScaledValue(rolling["maxUnavailable"], desired, true).value_or(1);
  if (desired > 0 && out.surge == 0 && out.unavailable == 0) out.unavailable = 1;
  return out;
}

void SortByAge(std::vector<ObjectPtr>& pods) {
  std::stable_sort(pods.begin(), pods.end(), [](const ObjectPtr& a, const ObjectPtr& b) {
    const bool x = !(*a)["spec"]["nodeName"].Str().empty(), y = !(*b)["spec"]["nodeName"].Str().empty();
    if (x != y) return x;
    const std::string_view t = Meta(*a)["creationTimestamp"].Str(), u = Meta(*b)["creationTimestamp"].Str();
    return t != u ? t < u : Name(*a) < Name(*b);
  });
}

DaemonChange RollDaemons(const json::Value& set, const PodsByNode& pods, std::string_view hash, std::int64_t desired,
                         const std::function<bool(const json::Value&)>& available) {
  const RolloutLimits limits = LimitsOfDaemons(set, desired);
  DaemonChange out;
  std::vector<std::pair<std::string, ObjectPtr>> candidates;   // old pods that are available
  std::int64_t busy = 0;                                       // nodes that use up the budget already
  for (const auto& [node, there] : pods) {
    ObjectPtr old_pod, new_pod;
    if (!OldAndNew(set, there, hash, &old_pod, &new_pod)) {
      ++busy;
      continue;
    }
    if (limits.surge == 0) {
      if (!old_pod != !new_pod) {
        if (new_pod) {
          busy += !available(*new_pod);
        } else if (available(*old_pod)) {
          candidates.emplace_back(node, old_pod);
        } else {
          out.remove.push_back(old_pod);   // it serves nobody: nothing is lost
          ++busy;
        }
      } else {
        ++busy;
      }
      continue;
    }
    if (!old_pod) continue;
    if (!new_pod) {
      if (available(*old_pod)) {
        candidates.emplace_back(node, old_pod);
      } else {
        out.create.push_back(node);
      }
    } else if (available(*new_pod)) {
      out.remove.push_back(old_pod);
    } else {
      ++busy;
    }
  }
  const std::int64_t most = limits.surge == 0 ? limits.unavailable : limits.surge;
  for (auto& [node, pod] : candidates) {
    if (busy >= most) break;
    ++busy;
    if (limits.surge == 0) {
      out.remove.push_back(std::move(pod));
    } else {
      out.create.push_back(node);
    }
  }
  return out;
}

}  // namespace skerry::kube
