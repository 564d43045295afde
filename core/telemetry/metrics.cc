#include "core/telemetry/metrics.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace skerry::telemetry {
namespace {

std::string Number(double v) {
  if (std::isnan(v)) return "NaN";
  if (std::isinf(v)) return v > 0 ? "+Inf" : "-Inf";
  char buffer[40];
  const auto r = std::to_chars(buffer, buffer + sizeof buffer, v);
  return std::string(buffer, r.ptr);
}

void AppendEscaped(std::string& out, std::string_view text, bool quote) {
  for (const char c : text) {
    if (c == '\\') out += "\\\\";
    else if (c == '\n') out += "\\n";
    else if (c == '"' && quote) out += "\\\"";
    else out += c;
  }
}

std::string RenderLabels(const Labels& labels) {
  std::string out;
  for (const auto& [key, value] : labels) {
    if (!out.empty()) out += ',';
    out += key;
    out += "=\"";
    AppendEscaped(out, value, true);
    out += '"';
  }
  return out;
}

void AppendSample(std::string& out, std::string_view name, std::string_view suffix, std::string_view labels, std::string_view extra, std::string_view value) {
  out += name;
  out += suffix;
  if (!labels.empty() || !extra.empty()) {
    out += '{';
    out += labels;
    if (!labels.empty() && !extra.empty()) out += ',';
    out += extra;
    out += '}';
  }
  out += ' ';
  out += value;
  out += '\n';
}

void AppendHistogram(std::string& out, std::string_view name, std::string_view labels, const Histogram& h) {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i <= h.bounds().size(); ++i) {
    total += h.bucket(i);
    const std::string bound = i < h.bounds().size() ? Number(h.bounds()[i]) : "+Inf";
    AppendSample(out, name, "_bucket", labels, "le=\"" + bound + "\"", std::to_string(total));
  }
  AppendSample(out, name, "_sum", labels, "", Number(h.sum()));
  AppendSample(out, name, "_count", labels, "", std::to_string(total));
}

}  // namespace

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), counts_(std::make_unique<std::atomic<std::uint64_t>[]>(bounds_.size() + 1)) {}

void Histogram::Observe(double v) noexcept {
  const auto at = std::lower_bound(bounds_.begin(), bounds_.end(), v) - bounds_.begin();
  counts_[static_cast<std::size_t>(at)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(v, std::memory_order_relaxed);
}

const std::vector<double>& LatencyBuckets() {
  static const std::vector<double> buckets = {0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2, 4, 8, 15, 30, 60};
  return buckets;
}

Metrics::Series& Metrics::Find(State& state, std::string_view name, std::string_view help, Type type, Labels labels) {
  auto family = state.families.find(name);
  if (family == state.families.end()) {
    family = state.families.emplace(std::string(name), Family{type, std::string(help), {}}).first;
  } else if (family->second.type != type) {
    std::fprintf(stderr, "metric %s is used with two types\n", family->first.c_str());
    std::abort();
  }
  auto& series = family->second.series;
  std::string key = RenderLabels(labels);
  if (const auto it = series.find(key); it != series.end()) return it->second;
  if (series.size() >= kMaxSeries) {
    for (auto& label : labels) label.second = "overflow";
    key = RenderLabels(labels);
  }
  Series& s = series[key];
  s.labels = std::move(labels);
  return s;
}

Counter& Metrics::GetCounter(std::string_view name, std::string_view help, Labels labels) {
  auto state = state_.Lock();
  Series& s = Find(*state, name, help, Type::kCounter, std::move(labels));
  if (!s.counter) s.counter = std::make_unique<Counter>();
  return *s.counter;
}

Gauge& Metrics::GetGauge(std::string_view name, std::string_view help, Labels labels) {
  auto state = state_.Lock();
  Series& s = Find(*state, name, help, Type::kGauge, std::move(labels));
  if (!s.gauge) s.gauge = std::make_unique<Gauge>();
  return *s.gauge;
}

Histogram& Metrics::GetHistogram(std::string_view name, std::string_view help, Labels labels, const std::vector<double>& bounds) {
  auto state = state_.Lock();
  Series& s = Find(*state, name, help, Type::kHistogram, std::move(labels));
  if (!s.histogram) s.histogram = std::make_unique<Histogram>(bounds);
  return *s.histogram;
}

int Metrics::AddReader(std::string_view name, std::string_view help, Labels labels, std::function<double()> read) {
  auto state = state_.Lock();
  Series& s = Find(*state, name, help, Type::kGauge, std::move(labels));
  s.read = std::move(read);
  s.reader_id = state->next_reader++;
  return s.reader_id;
}

void Metrics::RemoveReader(int id) {
  auto state = state_.Lock();
  for (auto& [name, family] : state->families) {
    std::erase_if(family.series, [id](const auto& item) { return item.second.reader_id == id; });
  }
}

std::string Metrics::Expose() const {
  auto state = state_.Lock();
  std::string out;
  for (const auto& [name, family] : state->families) {
    if (family.series.empty()) continue;
    out += "# HELP " + name + ' ';
    AppendEscaped(out, family.help, false);
    const char* type = family.type == Type::kCounter ? "counter" : family.type == Type::kGauge ? "gauge" : "histogram";
    out += "\n# TYPE " + name + ' ' + type + '\n';
    for (const auto& [labels, s] : family.series) {
      if (s.counter) AppendSample(out, name, "", labels, "", std::to_string(s.counter->value()));
      else if (s.histogram) AppendHistogram(out, name, labels, *s.histogram);
      else if (s.read) AppendSample(out, name, "", labels, "", Number(s.read()));
      else if (s.gauge) AppendSample(out, name, "", labels, "", Number(s.gauge->value()));
    }
  }
  return out;
}

Metrics& Metrics::Global() {
  static Metrics metrics;
  return metrics;
}

}  // namespace skerry::telemetry
