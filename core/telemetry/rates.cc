#include "core/telemetry/rates.h"

namespace skerry::telemetry {
namespace {

constexpr std::chrono::milliseconds kApart{1000};

}  // namespace

std::optional<Rates::Rate> Rates::Note(std::string_view key, std::uint64_t value, Clock::MonoTime now, std::optional<Clock::MonoTime> zero) {
  std::lock_guard lock(mutex_);
  auto at = readings_.find(key);
  if (at == readings_.end()) at = readings_.emplace(std::string(key), std::vector<Reading>()).first;
  auto& known = at->second;
  if (!known.empty() && known.back().value > value) known.clear();
  std::erase_if(known, [&](const Reading& r) { return now - r.at > kLongest; });

  // The newest that lies far enough back, else the oldest, else the counter's own beginning.
  std::optional<Reading> before;
  for (const Reading& r : known) {
    if (!before || now - r.at >= kSteady) before = r;
  }
  if (zero && now - *zero <= kLongest && (!before || (now - before->at < kSteady && *zero < before->at))) before = Reading{*zero, 0};
  if (known.empty() || now - known.back().at >= kApart) known.push_back({now, value});
  if (!before || now - before->at < kShortest) return std::nullopt;
  const std::chrono::duration<double> span = now - before->at;
  return Rate{static_cast<double>(value - before->value) / span.count(), std::chrono::duration_cast<std::chrono::milliseconds>(now - before->at)};
}

void Rates::Forget(Clock::MonoTime now) {
  std::lock_guard lock(mutex_);
  std::erase_if(readings_, [&](const auto& entry) { return entry.second.empty() || now - entry.second.back().at > kLongest; });
}

std::size_t Rates::size() const {
  std::lock_guard lock(mutex_);
  return readings_.size();
}

}  // namespace skerry::telemetry
