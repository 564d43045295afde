#include "embedded-kube-shim/controllers/autoscale.h"

#include <algorithm>
#include <cmath>

#include "core/base/strings.h"
#include "core/text/quantity.h"

namespace skerry::kube {
namespace {

using std::chrono::seconds;

constexpr seconds kDefaultWindow{300}, kStartUp{300}, kFirstReadiness{30};

enum class Group : std::uint8_t { kReady, kUnready, kMissing, kIgnored };

// Pods whose figures cannot be trusted yet (processor: starting up) or that have none.
Group GroupOf(const json::Value& pod, const PodUsage* usage, std::string_view resource, Clock::Wall now) {
  if (IsTerminating(pod) || pod["status"]["phase"].Str() == "Failed") return Group::kIgnored;
  if (pod["status"]["phase"].Str() == "Pending") return Group::kUnready;
  if (!usage) return Group::kMissing;
  if (resource != "cpu") return Group::kReady;
  const json::Value* ready = FindCondition(pod["status"], "Ready");
  const auto started = ParseTime(pod["status"]["startTime"].Str());
  if (!ready || !started) return Group::kUnready;
  const bool is_ready = (*ready)["status"].Str() == "True";
  const auto changed = ParseTime((*ready)["lastTransitionTime"].Str());
  if (*started + kStartUp > now) {
    // While it starts: only figures from after it became ready.
    return !is_ready || (changed && usage->at < *changed + usage->window) ? Group::kUnready : Group::kReady;
  }
  return !is_ready && changed && *started + kFirstReadiness > *changed ? Group::kUnready : Group::kReady;
}

Result<std::int64_t> UsageOf(const PodUsage& usage, const ResourceTarget& target) {
  std::int64_t sum = 0;
  bool found = target.container.empty();
  for (const ContainerUsage& c : usage.containers) {
    if (!target.container.empty() && c.name != target.container) continue;
    found = true;
    sum += target.resource == "cpu" ? (c.cpu_nanos + 999'999) / 1'000'000 : target.resource.empty() ? c.memory_bytes : c.memory_bytes * 1000;
  }
  if (!found) return Fail(Code::kInvalid, Cat("container ", target.container, " not present in metrics for pod ", usage.pod.ns, "/", usage.pod.name));
  return sum;
}

Result<std::int64_t> RequestOf(const json::Value& pod, const ResourceTarget& target) {
  std::int64_t sum = 0;
  for (const char* list : {"containers", "initContainers"}) {
    for (const json::Value& c : pod["spec"][list].Items()) {
      if (list[0] == 'i' && c["restartPolicy"].Str() != "Always") continue;
      if (!target.container.empty() && c["name"].Str() != target.container) continue;
      const json::Value& request = c["resources"]["requests"][target.resource];
      if (request.is_null()) return Fail(Code::kInvalid, Cat("missing request for ", target.resource, " in container ", c["name"].Str(), " of Pod ", Name(pod)));
      sum += MilliOf(request);
    }
  }
  return sum;
}

struct Figures {
  std::map<std::string, std::int64_t> used, requested;   // thousandths, by pod
};

double RatioOf(const Figures& f, const ResourceTarget& target, Proposal* shown) {
  std::int64_t used = 0, requested = 0;
  for (const auto& [pod, n] : f.used) {
    used += n;
    if (const auto it = f.requested.find(pod); it != f.requested.end()) requested += it->second;
  }
  const std::int64_t average = f.used.empty() ? 0 : used / static_cast<std::int64_t>(f.used.size());
  if (shown) shown->average_milli = average;
  if (!target.utilization) return static_cast<double>(average) / static_cast<double>(std::max<std::int64_t>(1, target.average_milli));
  const std::int64_t percent = requested > 0 ? used * 100 / requested : 0;
  if (shown) shown->utilization = percent;
  return static_cast<double>(percent) / static_cast<double>(std::max<std::int64_t>(1, *target.utilization));
}

bool WithinTolerance(double ratio, const ResourceTarget& t) { return ratio >= 1.0 - t.down_tolerance && ratio <= 1.0 + t.up_tolerance; }

std::int64_t Ceil(double ratio, std::size_t n) { return static_cast<std::int64_t>(std::ceil(ratio * static_cast<double>(n))); }

}  // namespace

std::int64_t MilliOf(const json::Value& quantity) {
  const auto q = text::Quantity::Parse(quantity.is_string() ? std::string(quantity.Str()) : quantity.Dump());
  return q ? q->MilliValue() : 0;
}

Result<Proposal> ProposeForResource(const ResourceTarget& target, std::int64_t current, const std::vector<ObjectPtr>& pods, const std::vector<PodUsage>& usage, Clock::Wall now) {
  if (pods.empty()) return Fail(Code::kInvalid, "no pods returned by selector while calculating replica count");
  Figures f;
  std::size_t ready = 0;
  std::vector<std::string> unready, missing;
  for (const ObjectPtr& pod : pods) {
    const auto it = std::find_if(usage.begin(), usage.end(), [&](const PodUsage& u) { return u.pod.name == Name(*pod) && u.pod.ns == Namespace(*pod); });
    const PodUsage* mine = it == usage.end() ? nullptr : &*it;
    const Group group = GroupOf(*pod, mine, target.resource, now);
    if (group == Group::kIgnored) continue;
    const std::string name(Name(*pod));
    if (target.utilization) {
      TRY(f.requested[name], RequestOf(*pod, target));
    }
    if (group == Group::kReady) {
      TRY(f.used[name], UsageOf(*mine, target));
      ++ready;
    } else {
      (group == Group::kUnready ? unready : missing).push_back(name);
    }
  }
  if (f.used.empty()) return Fail(Code::kInvalid, "did not receive metrics for targeted pods (pods might be unready)");
  Proposal out;
  out.replicas = current;
  const double ratio = RatioOf(f, target, &out);
  const bool up_with_unready = !unready.empty() && ratio > 1.0;
  if (!up_with_unready && missing.empty()) {
    if (!WithinTolerance(ratio, target)) out.replicas = Ceil(ratio, ready);
    return out;
  }
  // Pods without figures are assumed to use what makes the change smaller.
  for (const std::string& name : missing) {
    if (ratio < 1.0) {
      f.used[name] = target.utilization ? f.requested[name] * std::max<std::int64_t>(100, *target.utilization) / 100 : target.average_milli;
    } else if (ratio > 1.0) {
      f.used[name] = 0;
    }
  }
  if (up_with_unready) {
    for (const std::string& name : unready) f.used[name] = 0;
  }
  const double careful = RatioOf(f, target, nullptr);
  if (WithinTolerance(careful, target) || (ratio < 1.0 && careful > 1.0) || (ratio > 1.0 && careful < 1.0)) return out;
  const std::int64_t replicas = Ceil(careful, f.used.size());
  if ((careful < 1.0 && replicas > current) || (careful > 1.0 && replicas < current)) return out;
  out.replicas = replicas;
  return out;
}

namespace {

std::int64_t ChangeWithin(const std::vector<ScaleChange>& changes, seconds period, Clock::Wall now) {
  std::int64_t sum = 0;
  for (const ScaleChange& c : changes) {
    if (c.at > now - period) sum += c.by;
  }
  return sum;
}

// The most (or least) replicas that the rules of one direction allow now.
std::int64_t RateLimit(const json::Value& rules, bool up, std::int64_t current, const ScaleHistory& h, Clock::Wall now) {
  const std::string_view select = rules["selectPolicy"].Str("Max");
  if (select == "Disabled") return current;
  std::optional<std::int64_t> best;
  for (const json::Value& p : rules["policies"].Items()) {
    const seconds period(p["periodSeconds"].Int());
    const std::int64_t value = p["value"].Int();
    const std::int64_t start = current - ChangeWithin(h.ups, period, now) + ChangeWithin(h.downs, period, now);
    const bool pods = p["type"].Str() == "Pods";
    std::int64_t limit;
    if (up) {
      limit = pods ? start + value : static_cast<std::int64_t>(std::ceil(static_cast<double>(start) * (1.0 + static_cast<double>(value) / 100.0)));
    } else {
      limit = pods ? start - value : static_cast<std::int64_t>(static_cast<double>(start) * (1.0 - static_cast<double>(value) / 100.0));
    }
    // Max means the larger change.
    const bool larger = (select == "Max") == up;
    if (!best || (larger ? limit > *best : limit < *best)) best = limit;
  }
  if (!best) return current;
  return up ? std::max(*best, current) : std::min(*best, current);
}

seconds WindowOf(const json::Value& rules, seconds otherwise) {
  const json::Value& w = rules["stabilizationWindowSeconds"];
  return w.is_int() ? seconds(w.Int()) : otherwise;
}

}  // namespace

Limited LimitScale(const json::Value& autoscaler, std::int64_t current, std::int64_t wanted, Clock::Wall now, ScaleHistory& h) {
  const json::Value& spec = autoscaler["spec"];
  const json::Value& behavior = spec["behavior"];
  const std::int64_t least = spec["minReplicas"].Int(1), most = spec["maxReplicas"].Int();
  const seconds down_window = WindowOf(behavior["scaleDown"], kDefaultWindow), up_window = WindowOf(behavior["scaleUp"], seconds(0));
  if (h.recommendations.empty()) h.recommendations.push_back({now, current});
  std::int64_t highest = wanted, lowest = wanted;
  for (const Recommendation& r : h.recommendations) {
    if (r.at > now - down_window) highest = std::max(highest, r.replicas);
    if (r.at > now - up_window) lowest = std::min(lowest, r.replicas);
  }
  std::erase_if(h.recommendations, [&](const Recommendation& r) { return r.at <= now - std::max(down_window, up_window); });
  h.recommendations.push_back({now, wanted});
  for (auto* changes : {&h.ups, &h.downs}) std::erase_if(*changes, [&](const ScaleChange& c) { return c.at <= now - seconds(1800); });

  Limited out;
  std::int64_t stable = current;       // neither above what was asked for lately nor below
  if (stable < lowest) stable = lowest;
  if (stable > highest) stable = highest;
  out.stabilized_down = stable > wanted;
  out.stabilized_up = stable < wanted;
  out.replicas = stable;

  const auto limit = [&](std::int64_t to, const char* reason, const char* message) {
    out.replicas = to;
    out.limit_reason = reason;
    out.limit_message = message;
  };
  std::int64_t ceiling = most, floor_ = least;
  bool by_rate = false;
  if (stable > current) {
    const std::int64_t rate = behavior.is_object() ? RateLimit(behavior["scaleUp"], true, current, h, now) : std::max<std::int64_t>(2 * current, 4);
    by_rate = rate < most;
    ceiling = std::min(rate, most);
  } else if (stable < current && behavior.is_object()) {
    const std::int64_t rate = RateLimit(behavior["scaleDown"], false, current, h, now);
    by_rate = rate > least;
    floor_ = std::max(rate, least);
  }
  if (stable < floor_) {
    if (by_rate) {
      limit(floor_, "ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate");
    } else {
      limit(floor_, "TooFewReplicas", "the desired replica count is less than the minimum replica count");
    }
  } else if (stable > ceiling) {
    if (by_rate) {
      limit(ceiling, "ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate");
    } else {
      limit(ceiling, "TooManyReplicas", "the desired replica count is more than the maximum replica count");
    }
  }
  return out;
}

}  // namespace skerry::kube
