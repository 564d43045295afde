#include "embedded-kube-shim/controllers/deployment_sync.h"

#include <algorithm>

#include "core/base/strings.h"

namespace skerry::kube {

RollingLimits LimitsOf(const json::Value& d) {
  if (IsRecreate(d)) return {};
  const std::int64_t replicas = d["spec"]["replicas"].Int(1);
  const json::Value& rolling = d["spec"]["strategy"]["rollingUpdate"];
  const auto value = [&](std::string_view field, bool up) {
    const json::Value& v = rolling[field];
    if (v.is_null()) return (25 * replicas + (up ? 99 : 0)) / 100;
    return ScaledValue(v, replicas, up).value_or(0);
  };
  RollingLimits limits{value("maxSurge", true), value("maxUnavailable", false)};
  if (limits.max_surge == 0 && limits.max_unavailable == 0) limits.max_unavailable = 1;   // both round to zero: nothing could ever move
  limits.max_unavailable = std::min(limits.max_unavailable, replicas);
  return limits;
}

bool IsRecreate(const json::Value& d) { return d["spec"]["strategy"]["type"].Str() == "Recreate"; }
std::int64_t Replicas(const json::Value& set) { return set["spec"]["replicas"].Int(1); }
// Pods beyond what the set is to have are as good as gone, even when its status has not seen them go.
std::int64_t Available(const json::Value& set) { return std::min(Replicas(set), set["status"]["availableReplicas"].Int()); }
std::int64_t RevisionOf(const json::Value& o) { return ParseInt(Meta(o)["annotations"][kRevision].Str()).value_or(0); }

// What was asked of the set has been done and told.
static bool IsObserved(const json::Value& set) { return set["status"]["observedGeneration"].Int() >= Meta(set)["generation"].Int(); }
// Pods that the set has or will have: those beyond its size exist until its controller has removed them.
static std::int64_t PodsNow(const json::Value& set) { return std::max(Replicas(set), set["status"]["replicas"].Int()); }

static bool Older(const ObjectPtr& a, const ObjectPtr& b) {
  const std::string_view x = Meta(*a)["creationTimestamp"].Str(), y = Meta(*b)["creationTimestamp"].Str();
  return x != y ? x < y : Name(*a) < Name(*b);
}

ObjectPtr FindNewSet(const json::Value& d, const std::vector<ObjectPtr>& sets) {
  const auto metadata_of = [](const json::Value& pod) {
    json::Value out = pod["metadata"].is_null() ? json::Value::Object() : pod["metadata"].Clone();
    if (json::Value* labels = out.Find("labels")) labels->Erase(kHashLabel);
    return out;
  };
  ObjectPtr found;
  const json::Value& wanted = d["spec"]["template"];
  const json::Value metadata = metadata_of(wanted);
  for (const ObjectPtr& set : sets) {
    const json::Value& mine = (*set)["spec"]["template"];
    if (mine["spec"] == wanted["spec"] && metadata_of(mine) == metadata && (!found || Older(set, found))) found = set;
  }
  return found;
}

static std::int64_t Sum(const std::vector<ObjectPtr>& sets, std::int64_t (*of)(const json::Value&)) {
  std::int64_t n = 0;
  for (const ObjectPtr& s : sets) n += of(*s);
  return n;
}

std::int64_t NewSetSize(const json::Value& d, const std::vector<ObjectPtr>& all, std::int64_t new_size) {
  const std::int64_t want = d["spec"]["replicas"].Int(1);
  if (IsRecreate(d)) return want;
  const std::int64_t most = want + LimitsOf(d).max_surge;
  const std::int64_t now = Sum(all, PodsNow);
  if (now >= most) return new_size;
  return new_size + std::min(most - now, want - new_size);
}

std::vector<Resize> ShrinkOldSets(const json::Value& d, const std::vector<ObjectPtr>& old_sets, const ObjectPtr& new_set) {
  std::vector<Resize> out;
  if (Sum(old_sets, Replicas) == 0) return out;
  // Figures from before the last change of a size would count pods that are as good as gone.
  if ((new_set && !IsObserved(*new_set)) || !std::all_of(old_sets.begin(), old_sets.end(), [](const ObjectPtr& s) { return IsObserved(*s); })) return out;
  const std::int64_t want = d["spec"]["replicas"].Int(1);
  const std::int64_t least = want - LimitsOf(d).max_unavailable;
  const std::int64_t total = Sum(old_sets, Replicas) + (new_set ? Replicas(*new_set) : 0);
  const std::int64_t new_unavailable = new_set ? Replicas(*new_set) - Available(*new_set) : 0;
  std::int64_t budget = total - least - new_unavailable;
  if (budget <= 0) return out;

  std::vector<ObjectPtr> sets = old_sets;
  std::sort(sets.begin(), sets.end(), Older);
  std::vector<std::int64_t> size;
  for (const ObjectPtr& s : sets) size.push_back(Replicas(*s));
  // Pods that serve nobody cost no availability.
  for (std::size_t i = 0; i < sets.size() && budget > 0; ++i) {
    const std::int64_t unhealthy = size[i] - Available(*sets[i]);
    if (size[i] == 0 || unhealthy <= 0) continue;
    const std::int64_t n = std::min(budget, unhealthy);
    size[i] -= n;
    budget -= n;
  }
  std::int64_t available = new_set ? Available(*new_set) : 0;
  for (const ObjectPtr& s : sets) available += Available(*s);
  std::int64_t spare = available - least;
  for (std::size_t i = 0; i < sets.size() && spare > 0; ++i) {
    const std::int64_t n = std::min(size[i], spare);
    size[i] -= n;
    spare -= n;
  }
  for (std::size_t i = 0; i < sets.size(); ++i) {
    if (size[i] != Replicas(*sets[i])) out.push_back({sets[i], size[i]});
  }
  return out;
}

std::vector<Resize> Proportional(const json::Value& d, const std::vector<ObjectPtr>& sets) {
  const std::int64_t want = d["spec"]["replicas"].Int(1);
  const std::int64_t allowed = want > 0 ? want + LimitsOf(d).max_surge : 0;
  std::vector<ObjectPtr> active;
  for (const ObjectPtr& s : sets) {
    if (Replicas(*s) > 0) active.push_back(s);
  }
  const std::int64_t total = Sum(active, Replicas);
  std::int64_t to_add = allowed - total;
  // The larger set takes the larger share; of equals the newer one when growing, the older one when shrinking.
  std::sort(active.begin(), active.end(), [&](const ObjectPtr& a, const ObjectPtr& b) {
    if (Replicas(*a) != Replicas(*b)) return Replicas(*a) > Replicas(*b);
    return to_add > 0 ? Older(b, a) : Older(a, b);
  });
  std::vector<Resize> out;
  std::int64_t added = 0;
  for (const ObjectPtr& s : active) {
    const std::int64_t size = Replicas(*s);
    std::int64_t share = 0;
    if (to_add != 0) {
      // The set's part of what the deployment may have now, against the total it was sized for before.
      const std::int64_t before = ParseInt(Meta(*s)["annotations"][kMaxReplicas].Str()).value_or(d["status"]["replicas"].Int());
      if (before > 0) {
        const double part = static_cast<double>(size) * static_cast<double>(allowed) / static_cast<double>(before);
        share = static_cast<std::int64_t>(part + 0.5) - size;
      }
      const std::int64_t left = to_add - added;
      share = to_add > 0 ? std::min(share, left) : std::max(share, left);
    }
    added += share;
    out.push_back({s, size + share});
  }
  if (!out.empty() && to_add != 0) out[0].to = std::max<std::int64_t>(0, out[0].to + to_add - added);   // what rounding left goes to the largest
  return out;
}

}  // namespace skerry::kube
