#include "embedded-kube-shim/controllers/cron_schedule.h"

#include <algorithm>

#include "core/base/strings.h"
#include "core/text/duration.h"
#include "embedded-kube-shim/apis/cron.h"

namespace skerry::kube {
namespace {

using namespace std::chrono;

constexpr std::string_view kMonths[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::string_view kDays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

struct Bounds {
  int low, high;
  std::span<const std::string_view> names;
};

int NumberOf(std::string_view text, const Bounds& b) {
  const std::string lower = ToLower(text);
  for (std::size_t i = 0; i < b.names.size(); ++i) {
    if (b.names[i] == lower) return b.low + static_cast<int>(i);
  }
  return static_cast<int>(ParseInt(text).value_or(b.low));
}

// One field as bits. The text has been checked before.
std::uint64_t BitsOf(std::string_view field, const Bounds& b, bool* any) {
  std::uint64_t bits = 0;
  for (const std::string_view range : Split(field, ',')) {
    if (range.empty()) continue;
    const auto range_and_step = Split(range, '/');
    const auto low_and_high = Split(range_and_step[0], '-');
    int low = b.low, high = b.high;
    const int step = range_and_step.size() == 2 ? NumberOf(range_and_step[1], {0, 0, {}}) : 1;
    if (low_and_high[0] == "*" || low_and_high[0] == "?") {
      if (any && step == 1) *any = true;
    } else {
      low = NumberOf(low_and_high[0], b);
      high = low_and_high.size() == 2 ? NumberOf(low_and_high[1], b) : range_and_step.size() == 2 ? b.high : low;
    }
    for (int i = low; i <= high; i += std::max(step, 1)) bits |= 1ULL << i;
  }
  return bits;
}

std::string_view Unfolded(std::string_view schedule) {
  struct Named {
    std::string_view name, fields;
  };
  static constexpr Named kNamed[] = {{"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"},
                                     {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@hourly", "0 * * * *"}};
  for (const Named& n : kNamed) {
    if (n.name == schedule) return n.fields;
  }
  return schedule;
}

}  // namespace

Result<CronSchedule> CronSchedule::Parse(std::string_view schedule, std::string_view zone) {
  if (std::string error = cron::CheckSchedule(schedule); !error.empty()) return Fail(Code::kInvalid, std::move(error));
  if (schedule.starts_with("TZ=") || schedule.starts_with("CRON_TZ=")) {
    const std::size_t space = schedule.find(' '), equals = schedule.find('=');
    zone = schedule.substr(equals + 1, space - equals - 1);
    schedule = Trim(schedule.substr(space));
  }
  CronSchedule out;
  TRY(out.zone_, text::TimeZone::Load(zone));
  if (schedule.starts_with("@every ")) {
    TRY(const auto every, text::ParseDuration(schedule.substr(7)));
    out.every_ = std::max(floor<seconds>(every), seconds(1));
    return out;
  }
  std::vector<std::string_view> fields;
  for (const std::string_view f : Split(Unfolded(schedule), ' ')) {
    if (!Trim(f).empty()) fields.push_back(Trim(f));
  }
  out.minutes_ = BitsOf(fields[0], {0, 59, {}}, nullptr);
  out.hours_ = BitsOf(fields[1], {0, 23, {}}, nullptr);
  out.days_ = BitsOf(fields[2], {1, 31, {}}, &out.any_day_);
  out.months_ = BitsOf(fields[3], {1, 12, kMonths}, nullptr);
  out.weekdays_ = BitsOf(fields[4], {0, 6, kDays}, &out.any_weekday_);
  return out;
}

bool CronSchedule::MatchesDay(local_days day) const {
  const bool by_day = days_ >> static_cast<unsigned>(year_month_day(day).day()) & 1, by_weekday = weekdays_ >> weekday(day).c_encoding() & 1;
  return any_day_ || any_weekday_ ? by_day && by_weekday : by_day || by_weekday;
}

std::optional<CronSchedule::Seconds> CronSchedule::Next(Seconds after) const {
  if (every_.count() > 0) return after + every_;
  Seconds t = floor<minutes>(after) + minutes(1);
  const Seconds end = after + days(5 * 366);
  while (t < end) {
    const local_seconds local = zone_->ToLocal(t);
    const local_days day = floor<days>(local);
    const year_month_day date(day);
    if (!(months_ >> static_cast<unsigned>(date.month()) & 1)) {
      t = std::max(zone_->FromLocal(local_days((date.year() / date.month() + months(1)) / 1)), t + minutes(1));
    } else if (!MatchesDay(day)) {
      t = std::max(zone_->FromLocal(day + days(1)), t + minutes(1));
    } else if (const hh_mm_ss time(local - day); !(hours_ >> time.hours().count() & 1)) {
      t += hours(1) - time.minutes();
    } else if (!(minutes_ >> time.minutes().count() & 1)) {
      t += minutes(1);
    } else {
      return t;
    }
  }
  return std::nullopt;
}

std::optional<CronSchedule::Seconds> CronSchedule::Last(Seconds after, Seconds until) const {
  if (until <= after) return std::nullopt;
  if (every_.count() > 0) {
    const auto steps = (until - after) / every_;
    return steps > 0 ? std::optional(after + steps * every_) : std::nullopt;
  }
  // Ever longer stretches before the end, so that a start every minute for ten years is found in an hour's worth of steps.
  for (const seconds back : {seconds(hours(1)), seconds(days(1)), seconds(days(32)), seconds(days(366)), seconds(days(5 * 366)), seconds::max()}) {
    const bool all = back == seconds::max() || until - after <= back;
    std::optional<Seconds> last;
    for (std::optional<Seconds> t = Next(all ? after : until - back); t && *t <= until; t = Next(*t)) last = t;
    if (last || all) return last;
  }
  return std::nullopt;
}

}  // namespace skerry::kube
