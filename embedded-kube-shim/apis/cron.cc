#include "embedded-kube-shim/apis/cron.h"

#include <unistd.h>

#include <algorithm>
#include <vector>

#include "core/base/strings.h"
#include "core/text/duration.h"

namespace skerry::kube::cron {
namespace {

struct Bounds { std::uint64_t low, high; std::span<const std::string_view> names; };

constexpr std::string_view kMonths[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::string_view kDays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

bool Number(std::string_view text, const Bounds& bounds, std::uint64_t& out, std::string& error) {
  const std::string lower = ToLower(text);
  for (std::size_t i = 0; i < bounds.names.size(); ++i)
    if (bounds.names[i] == lower) {
      out = bounds.low + i;
      return true;
    }
  const auto number = ParseInt(text);
  if (!number) {
    error = Cat("failed to parse int from ", text, ": strconv.Atoi: parsing ", Quote(text), ": invalid syntax");
    return false;
  }
  if (*number < 0) {
    error = Cat("negative number (", *number, ") not allowed: ", text);
    return false;
  }
  out = static_cast<std::uint64_t>(*number);
  return true;
}

std::string CheckRange(std::string_view expression, const Bounds& bounds) {
  const auto range_and_step = Split(expression, '/');
  const auto low_and_high = Split(range_and_step[0], '-');
  const bool single = low_and_high.size() == 1;
  std::string error;
  std::uint64_t start = bounds.low, end = bounds.high, step = 1;
  if (low_and_high[0] != "*" && low_and_high[0] != "?") {
    if (!Number(low_and_high[0], bounds, start, error)) return error;
    end = start;
    if (low_and_high.size() > 2) return Cat("too many hyphens: ", expression);
    if (low_and_high.size() == 2 && !Number(low_and_high[1], bounds, end, error)) return error;
  }
  if (range_and_step.size() > 2) return Cat("too many slashes: ", expression);
  if (range_and_step.size() == 2) {
    if (!Number(range_and_step[1], Bounds{0, 0, {}}, step, error)) return error;
    if (single && low_and_high[0] != "*" && low_and_high[0] != "?") end = bounds.high;
  }
  if (start < bounds.low) return Cat("beginning of range (", start, ") below minimum (", bounds.low, "): ", expression);
  if (end > bounds.high) return Cat("end of range (", end, ") above maximum (", bounds.high, "): ", expression);
  if (start > end) return Cat("beginning of range (", start, ") beyond end of range (", end, "): ", expression);
  if (step == 0) return Cat("step of range should be a positive number: ", expression);
  return "";
}

std::vector<std::string_view> Words(std::string_view text) {
  std::vector<std::string_view> out;
  for (std::string_view word : Split(text, ' '))
    if (!Trim(word).empty()) out.push_back(Trim(word));
  return out;
}

}  // namespace

std::string CheckSchedule(std::string_view schedule) {
  if (schedule.starts_with("TZ=") || schedule.starts_with("CRON_TZ=")) {
    const auto space = schedule.find(' ');
    const auto equals = schedule.find('=');
    if (space == schedule.npos) return "invalid schedule format: runtime error: slice bounds out of range [:-1]";
    const std::string_view zone = schedule.substr(equals + 1, space - equals - 1);
    if (!IsTimeZone(zone)) return Cat("provided bad location ", zone, ": unknown time zone ", zone);
    schedule = Trim(schedule.substr(space));
  }
  if (schedule.starts_with('@')) {
    static constexpr std::string_view kNames[] = {"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"};
    if (std::find(std::begin(kNames), std::end(kNames), schedule) != std::end(kNames)) return "";
    if (!schedule.starts_with("@every ")) return Cat("unrecognized descriptor: ", schedule);
    auto duration = text::ParseDuration(schedule.substr(7));
    return duration ? "" : Cat("failed to parse duration ", schedule, ": ", duration.error().message());
  }
  const auto fields = Words(schedule);
  if (fields.size() != 5) {
    std::string list;
    for (std::string_view field : fields) list += Cat(list.empty() ? "" : " ", field);
    return Cat("expected exactly 5 fields, found ", fields.size(), ": [", list, "]");
  }
  const Bounds kBounds[] = {{0, 59, {}}, {0, 23, {}}, {1, 31, {}}, {1, 12, kMonths}, {0, 6, kDays}};
  for (std::size_t i = 0; i < 5; ++i)
    for (std::string_view range : Split(fields[i], ',')) {
      if (range.empty()) continue;   // empty pieces between commas are ignored
      if (std::string error = CheckRange(range, kBounds[i]); !error.empty()) return error;
    }
  return "";
}

bool IsTimeZone(std::string_view name) {
  if (name == "UTC" || name.empty()) return true;
  if (name.find("..") != name.npos || name.starts_with('/')) return false;
  return access(Cat("/usr/share/zoneinfo/", name).c_str(), R_OK) == 0;
}

}  // namespace skerry::kube::cron
