#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "core/base/result.h"
#include "core/text/time_zone.h"

// When a CronJob's schedule fires. Pure but for the reading of time zones.
namespace skerry::kube {

class CronSchedule {
 public:
  using Seconds = std::chrono::sys_seconds;

  // The schedule in a zone ("" = UTC; a schedule that begins with TZ= or CRON_TZ= has its own). kInvalid, or kNotFound for the zone.
  static Result<CronSchedule> Parse(std::string_view schedule, std::string_view zone);

  // The first time after `after`; none within the next five years = nullopt.
  std::optional<Seconds> Next(Seconds after) const;
  // The last time after `after` and not later than `until`, however many there were.
  std::optional<Seconds> Last(Seconds after, Seconds until) const;
  const text::TimeZone& zone() const { return *zone_; }

 private:
  bool MatchesDay(std::chrono::local_days day) const;

  std::shared_ptr<const text::TimeZone> zone_;
  std::chrono::seconds every_{};     // "@every": nothing else counts then
  std::uint64_t minutes_ = 0, hours_ = 0, days_ = 0, months_ = 0, weekdays_ = 0;
  bool any_day_ = false, any_weekday_ = false;   // "*": with it the other one decides, else either may match
};

}  // namespace skerry::kube
