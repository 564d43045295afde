#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/telemetry/metrics.h"
#include "core/telemetry/rates.h"
#include "embedded-kube-shim/client/metrics.h"

namespace skerry::kube::network {

// How many requests the router has passed on, by what they were for: "ingress/<namespace>/<name>", "route/…", "service/…",
// "address/<ip>". A count lives as long as somebody counts with it, however often the router's table is built. Thread-safe.
class RequestCounts {
 public:
  using Count = std::shared_ptr<telemetry::Counter>;
  Count For(const std::string& what);
  // Those that begin so: the rest of the name, and how many.
  std::vector<std::pair<std::string, std::uint64_t>> Read(std::string_view prefix) const;
  void Prune();                        // lets go of what nobody counts any more

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Count, std::less<>> counts_;   // guarded
};

// "requests-per-second" of Ingresses, Routes, Services and Pods: what came through the router. `pause` runs between the two readings of a
// first question. Borrowed arguments outlive it.
class RequestRates final : public ObjectMetricsSource {
 public:
  RequestRates(const RequestCounts& counts, const Lister& pods, const Clock& clock, std::function<void(std::chrono::milliseconds)> pause)
      : counts_(counts), pods_(pods), clock_(clock), pause_(std::move(pause)) {}
  static const std::vector<Known>& Kinds();
  const std::vector<Known>& Offered() const override { return Kinds(); }
  std::vector<ObjectMetric> Values(const Known& which, std::string_view ns) override;

 private:
  std::vector<std::pair<std::string, std::uint64_t>> Read(const Known& which, std::string_view ns) const;   // by object's name

  const RequestCounts& counts_;
  const Lister& pods_;
  const Clock& clock_;
  const std::function<void(std::chrono::milliseconds)> pause_;
  telemetry::Rates rates_;
};

}  // namespace skerry::kube::network
