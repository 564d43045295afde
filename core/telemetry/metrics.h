#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/guarded.h"

// Counters, gauges and histograms with Prometheus' text exposition (format 0.0.4).
namespace skerry::telemetry {

using Labels = std::vector<std::pair<std::string, std::string>>;   // in the order they are printed

// All operations are lock-free and safe from any thread.
class Counter {
 public:
  void Add(std::uint64_t n = 1) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Gauge {
 public:
  void Set(double v) noexcept { value_.store(v, std::memory_order_relaxed); }
  void Add(double d) noexcept { value_.fetch_add(d, std::memory_order_relaxed); }
  double value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds);   // upper bounds, ascending; +Inf is implied
  void Observe(double v) noexcept;
  std::span<const double> bounds() const noexcept { return bounds_; }
  std::uint64_t bucket(std::size_t i) const noexcept { return counts_[i].load(std::memory_order_relaxed); }   // not cumulative
  double sum() const noexcept { return sum_.load(std::memory_order_relaxed); }

 private:
  const std::vector<double> bounds_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> counts_;   // bounds_.size() + 1
  std::atomic<double> sum_{0};
};

// Seconds, 5 ms … 60 s: requests.
const std::vector<double>& LatencyBuckets();

// Owns every series; a returned reference stays valid as long as the registry. The same name and labels give the same series.
// Asking for an existing name with another type is a bug and aborts. Look a series up once and keep the reference where labels are fixed.
// A family holds at most kMaxSeries series; further label sets share one whose values read "overflow" (a client must not be able to
// fill memory by inventing label values).
class Metrics {
 public:
  static constexpr std::size_t kMaxSeries = 2000;
  Counter& GetCounter(std::string_view name, std::string_view help, Labels labels = {});
  Gauge& GetGauge(std::string_view name, std::string_view help, Labels labels = {});
  Histogram& GetHistogram(std::string_view name, std::string_view help, Labels labels = {}, const std::vector<double>& bounds = LatencyBuckets());

  // Computed when read, e.g. a queue's length. `read` runs on the exposing thread under the registry's lock: it must be quick and must
  // not call into the registry; it must stay callable until RemoveReader(id).
  int AddReader(std::string_view name, std::string_view help, Labels labels, std::function<double()> read);
  void RemoveReader(int id);

  std::string Expose() const;   // families sorted by name
  static Metrics& Global();

 private:
  enum class Type : std::uint8_t { kCounter, kGauge, kHistogram };
  struct Series {
    Labels labels;
    std::unique_ptr<Counter> counter;
    std::unique_ptr<Gauge> gauge;
    std::unique_ptr<Histogram> histogram;
    std::function<double()> read;
    int reader_id = 0;
  };
  struct Family {
    Type type = Type::kCounter;
    std::string help;
    std::map<std::string, Series, std::less<>> series;   // by rendered labels
  };
  struct State {
    std::map<std::string, Family, std::less<>> families;
    int next_reader = 1;
  };
  static Series& Find(State& state, std::string_view name, std::string_view help, Type type, Labels labels);
  mutable Guarded<State> state_;
};

}  // namespace skerry::telemetry
