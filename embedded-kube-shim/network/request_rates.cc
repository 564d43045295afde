#include "embedded-kube-shim/network/request_rates.h"

#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

namespace skerry::kube::network {

RequestCounts::Count RequestCounts::For(const std::string& what) {
  std::lock_guard lock(mutex_);
  Count& count = counts_[what];
  if (!count) count = std::make_shared<telemetry::Counter>();
  return count;
}

std::vector<std::pair<std::string, std::uint64_t>> RequestCounts::Read(std::string_view prefix) const {
  std::lock_guard lock(mutex_);
  std::vector<std::pair<std::string, std::uint64_t>> out;
  for (auto at = counts_.lower_bound(prefix); at != counts_.end() && at->first.starts_with(prefix); ++at) {
    out.emplace_back(at->first.substr(prefix.size()), at->second->value());
  }
  return out;
}

void RequestCounts::Prune() {
  std::lock_guard lock(mutex_);
  std::erase_if(counts_, [](const auto& entry) { return entry.second.use_count() == 1; });
}

const std::vector<RequestRates::Known>& RequestRates::Kinds() {
  static const std::vector<Known> kKinds = {
      {"networking.k8s.io", "ingresses", "networking.k8s.io/v1", "Ingress", "requests-per-second", true},
      {"route.openshift.io", "routes", "route.openshift.io/v1", "Route", "requests-per-second", true},
      {"", "services", "v1", "Service", "requests-per-second", false},
      {"", "pods", "v1", "Pod", "requests-per-second", false},
  };
  return kKinds;
}

std::vector<std::pair<std::string, std::uint64_t>> RequestRates::Read(const Known& which, std::string_view ns) const {
  if (which.kind != "Pod") return counts_.Read(Cat(ToLower(which.kind), "/", ns, "/"));
  std::map<std::string, std::uint64_t, std::less<>> by_address;
  for (auto& [address, n] : counts_.Read("address/")) by_address.emplace(std::move(address), n);
  std::vector<std::pair<std::string, std::uint64_t>> out;
  if (by_address.empty()) return out;
  for (const ObjectPtr& pod : pods_.List(ns)) {
    const auto at = by_address.find((*pod)["status"]["podIP"].Str());
    if (at != by_address.end()) out.emplace_back(Name(*pod), at->second);
  }
  return out;
}

std::vector<ObjectMetric> RequestRates::Values(const Known& which, std::string_view ns) {
  std::vector<ObjectMetric> out;
  bool complete = true;
  const auto measure = [&] {
    out.clear();
    complete = true;
    const Clock::MonoTime now = clock_.Mono();
    for (const auto& [name, count] : Read(which, ns)) {
      const auto rate = rates_.Note(Cat(which.kind, "/", ns, "/", name), count, now);
      complete = complete && rate;
      if (!rate) continue;
      out.push_back({which.api_version, which.kind, {std::string(ns), name}, clock_.Now(), rate->window, static_cast<std::int64_t>(rate->per_second * 1000 + 0.5)});
    }
    rates_.Forget(now);
  };
  measure();
  if (!complete) {
    pause_(telemetry::Rates::kShortest + std::chrono::milliseconds(100));
    measure();
  }
  return out;
}

}  // namespace skerry::kube::network
