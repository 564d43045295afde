#include <catch2/catch.hpp>

#include "core/base/clock.h"
#include "embedded-kube-shim/controllers/cron_schedule.h"

namespace skerry::kube {
namespace {

CronSchedule::Seconds At(std::string_view text) { return std::chrono::floor<std::chrono::seconds>(ParseTime(text).value()); }
std::string Next(std::string_view schedule, std::string_view after) {
  const auto t = CronSchedule::Parse(schedule, "").value().Next(At(after));
  return t ? FormatTime(*t) : "never";
}

}  // namespace

TEST_CASE("schedules name minutes, hours, days, months and weekdays", "[controllers][cron]") {
  CHECK(Next("* * * * *", "2026-01-01T00:00:00Z") == "2026-01-01T00:01:00Z");
  CHECK(Next("* * * * *", "2026-01-01T00:00:59Z") == "2026-01-01T00:01:00Z");
  CHECK(Next("*/15 3,5-6 * * *", "2026-01-01T03:45:00Z") == "2026-01-01T05:00:00Z");
  CHECK(Next("5/20 * * * *", "2026-01-01T00:26:00Z") == "2026-01-01T00:45:00Z");
  CHECK(Next("0 0 1 1 *", "2026-01-01T00:00:00Z") == "2027-01-01T00:00:00Z");
  CHECK(Next("0 12 29 feb *", "2026-01-01T00:00:00Z") == "2028-02-29T12:00:00Z");
  CHECK(Next("0 0 31 2 *", "2026-01-01T00:00:00Z") == "never");
  CHECK(Next("@weekly", "2026-01-01T00:00:00Z") == "2026-01-04T00:00:00Z");
  CHECK(Next("@every 90m", "2026-01-01T00:00:00Z") == "2026-01-01T01:30:00Z");
}

TEST_CASE("day and weekday are alternatives unless one is a star", "[controllers][cron]") {
  CHECK(Next("0 0 13 * fri", "2026-01-01T00:00:00Z") == "2026-01-02T00:00:00Z");   // a Friday
  CHECK(Next("0 0 13 * *", "2026-01-01T00:00:00Z") == "2026-01-13T00:00:00Z");
  CHECK(Next("0 0 * * mon-tue", "2026-01-01T00:00:00Z") == "2026-01-05T00:00:00Z");
}

TEST_CASE("of all missed starts the last is found, however many there were", "[controllers][cron]") {
  const auto last = [](std::string_view schedule, std::string_view after, std::string_view until) {
    const auto t = CronSchedule::Parse(schedule, "").value().Last(At(after), At(until));
    return t ? FormatTime(*t) : "none";
  };
  CHECK(last("* * * * *", "2016-01-01T00:00:00Z", "2026-01-01T00:00:30Z") == "2026-01-01T00:00:00Z");
  CHECK(last("30 6 1 1 *", "2016-01-01T00:00:00Z", "2026-01-01T06:29:59Z") == "2025-01-01T06:30:00Z");
  CHECK(last("0 0 29 2 *", "2016-03-01T00:00:00Z", "2026-01-01T00:00:00Z") == "2024-02-29T00:00:00Z");
  CHECK(last("0 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:59:59Z") == "none");
  CHECK(last("0 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z") == "2026-01-01T01:00:00Z");
  CHECK(last("0 * * * *", "2026-01-02T00:00:00Z", "2026-01-01T01:00:00Z") == "none");
  CHECK(last("@every 1h", "2026-01-01T00:10:00Z", "2026-01-01T05:30:00Z") == "2026-01-01T05:10:00Z");
}

TEST_CASE("what is no schedule is refused", "[controllers][cron]") {
  CHECK_FALSE(CronSchedule::Parse("61 * * * *", ""));
  CHECK_FALSE(CronSchedule::Parse("* * * *", ""));
  CHECK_FALSE(CronSchedule::Parse("* * * * *", "No/Where"));
}

}  // namespace skerry::kube
