#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

// Time zones of the system's data base (TZif files, RFC 9636).
namespace skerry::text {

class TimeZone {
 public:
  using Seconds = std::chrono::sys_seconds;

  static std::shared_ptr<const TimeZone> Utc();
  // "Europe/Paris", read from the system's data base; "" and "UTC" need none. kNotFound: no such zone. Read once per process and name.
  static Result<std::shared_ptr<const TimeZone>> Load(std::string_view name);
  // The contents of a TZif file of version 2 or later. kInvalid when it is damaged.
  static Result<std::shared_ptr<const TimeZone>> Parse(std::string_view tzif);

  std::chrono::seconds OffsetAt(Seconds at) const;                          // east of UTC
  // The moment at which clocks there show this time; when they show it twice the first one, when they skip it the moment after.
  Seconds FromLocal(std::chrono::local_seconds local) const;
  std::chrono::local_seconds ToLocal(Seconds at) const { return std::chrono::local_seconds(at.time_since_epoch() + OffsetAt(at)); }
  std::string Format(Seconds at) const;                                     // RFC 3339: "2026-01-01T00:00:00+01:00"

 private:
  struct Change {
    std::int64_t at;
    std::int32_t offset;
  };
  // When summer time starts or ends in a year: "M3.2.0/2", "J60", "59".
  struct Rule {
    enum class Kind : std::uint8_t { kMonthWeekDay, kJulian, kZeroBased } kind = Kind::kZeroBased;
    int month = 0, week = 0, day = 0, seconds = 7200;
  };
  static bool ParseFooter(std::string_view text, TimeZone* zone);
  static std::int64_t MomentOf(const Rule& rule, int year);                 // local seconds
  std::int32_t OffsetByRule(std::int64_t at) const;

  std::vector<Change> changes_;      // by time
  std::int32_t first_offset_ = 0;    // before the first change
  bool has_rule_ = false, has_summer_ = false;
  std::int32_t standard_ = 0, summer_ = 0;
  Rule begin_, end_;                 // of summer time
};

}  // namespace skerry::text
