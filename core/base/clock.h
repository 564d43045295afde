#pragma once
#include <atomic>
#include <chrono>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace skerry {

// The only source of time. Wall time may jump; deadlines and delays use Mono().
class Clock {
 public:
  using Wall = std::chrono::system_clock::time_point;
  using MonoTime = std::chrono::steady_clock::time_point;
  virtual ~Clock() = default;
  virtual Wall Now() const = 0;
  virtual MonoTime Mono() const = 0;
  static const Clock& System();
};

// Advances only when told to. Thread-safe.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(Wall start = Wall(std::chrono::seconds(1'700'000'000))) : wall_(start.time_since_epoch().count()) {}
  Wall Now() const override { return Wall(Wall::duration(wall_.load())); }
  MonoTime Mono() const override { return MonoTime(MonoTime::duration(mono_.load())); }
  void Advance(std::chrono::nanoseconds d) {
    JumpWall(d);
    mono_ += std::chrono::duration_cast<MonoTime::duration>(d).count();
  }
  void JumpWall(std::chrono::nanoseconds d) { wall_ += std::chrono::duration_cast<Wall::duration>(d).count(); }

 private:
  std::atomic<Wall::rep> wall_;
  std::atomic<MonoTime::rep> mono_{std::chrono::duration_cast<MonoTime::duration>(std::chrono::hours(1)).count()};
};

// RFC 3339 in UTC: "2026-11-21T01:34:33Z", with microseconds "2026-11-21T01:34:33.123456Z", with nanoseconds (trailing zeros kept).
std::string FormatTime(Clock::Wall t);
std::string FormatMicroTime(Clock::Wall t);
std::string FormatNanoTime(Clock::Wall t);
// Accepts any RFC 3339 offset and fraction. kBadRequest otherwise.
Result<Clock::Wall> ParseTime(std::string_view text);

}  // namespace skerry
