#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"

namespace skerry::telemetry {

// Rates of counters that are read only when somebody asks. Earlier readings are remembered for a minute, and a new one is compared with
// one that lies some way back; nothing runs in between. Thread-safe.
class Rates {
 public:
  struct Rate {
    double per_second = 0;
    std::chrono::milliseconds window{};
  };
  static constexpr std::chrono::milliseconds kShortest{400};   // two readings closer together say nothing
  static constexpr std::chrono::milliseconds kSteady{10'000};  // the window that is chosen when there is one
  static constexpr std::chrono::milliseconds kLongest{60'000};

  // Notes that counter `key` stands at `value`. `zero`: when it began to count, if that is known. nullopt: there is nothing to compare
  // with yet; who reads again after kShortest gets a rate. A counter that went back has begun anew.
  std::optional<Rate> Note(std::string_view key, std::uint64_t value, Clock::MonoTime now, std::optional<Clock::MonoTime> zero = std::nullopt);
  // Lets go of counters that nobody has noted for kLongest.
  void Forget(Clock::MonoTime now);
  std::size_t size() const;

 private:
  struct Reading {
    Clock::MonoTime at;
    std::uint64_t value = 0;
  };
  mutable std::mutex mutex_;
  std::map<std::string, std::vector<Reading>, std::less<>> readings_;   // guarded; oldest first, at most one a second
};

}  // namespace skerry::telemetry
