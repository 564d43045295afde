#include "core/text/time_zone.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>

#include "core/base/files.h"
#include "core/base/strings.h"

namespace skerry::text {
namespace {

constexpr std::size_t kLargestFile = 1 << 20;

class Reader {
 public:
  explicit Reader(std::string_view data) : data_(data) {}
  bool ok() const { return ok_; }
  std::string_view Take(std::size_t n) {
    if (n > data_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view out = data_.substr(0, n);
    data_.remove_prefix(n);
    return out;
  }
  std::int64_t Number(std::size_t bytes) {
    const std::string_view s = Take(bytes);
    if (s.empty()) return 0;
    std::uint64_t v = (s[0] & 0x80) ? ~0ULL : 0;
    for (const char c : s) v = v << 8 | static_cast<unsigned char>(c);
    return static_cast<std::int64_t>(v);
  }
  std::string_view rest() const { return data_; }

 private:
  std::string_view data_;
  bool ok_ = true;
};

struct Counts {
  std::size_t utc, standard, leap, times, types, characters;
};

bool ReadHeader(Reader& in, Counts* c) {
  if (in.Take(4) != "TZif") return false;
  const std::string_view version = in.Take(16);
  if (version.empty() || version[0] < '2') return false;
  for (std::size_t* n : {&c->utc, &c->standard, &c->leap, &c->times, &c->types, &c->characters}) {
    *n = static_cast<std::size_t>(in.Number(4));
    if (*n > kLargestFile) return false;
  }
  return in.ok();
}

std::size_t BodySize(const Counts& c, std::size_t time_size) { return c.times * (time_size + 1) + c.types * 6 + c.characters + c.leap * (time_size + 4) + c.standard + c.utc; }

// "CET", "<+03>"
bool SkipName(std::string_view& s) {
  const std::size_t end = s.starts_with('<') ? s.find('>') + 1 : s.find_first_of("+-0123456789,");
  if (end == 0) return false;
  s.remove_prefix(std::min(end, s.size()));
  return true;
}

// "[+-]hh[:mm[:ss]]"
bool TakeTime(std::string_view& s, int* out) {
  int sign = 1, total = 0, unit = 3600;
  if (s.starts_with('+') || s.starts_with('-')) {
    sign = s[0] == '-' ? -1 : 1;
    s.remove_prefix(1);
  }
  for (; unit > 0; unit /= 60) {
    std::size_t n = 0;
    while (n < s.size() && n < 3 && s[n] >= '0' && s[n] <= '9') ++n;
    const auto v = ParseInt(s.substr(0, n));
    if (!v) return false;
    total += static_cast<int>(*v) * unit;
    s.remove_prefix(n);
    if (!s.starts_with(':') || unit == 1) break;
    s.remove_prefix(1);
  }
  *out = sign * total;
  return true;
}

bool TakeNumber(std::string_view& s, int* out) {
  std::size_t n = 0;
  while (n < s.size() && s[n] >= '0' && s[n] <= '9') ++n;
  const auto v = ParseInt(s.substr(0, n));
  if (!v || *v > 366) return false;
  *out = static_cast<int>(*v);
  s.remove_prefix(n);
  return true;
}

bool TakeSign(std::string_view& s, char c) {
  if (!s.starts_with(c)) return false;
  s.remove_prefix(1);
  return true;
}

}  // namespace

std::shared_ptr<const TimeZone> TimeZone::Utc() {
  static const std::shared_ptr<const TimeZone> utc = std::make_shared<TimeZone>();
  return utc;
}

Result<std::shared_ptr<const TimeZone>> TimeZone::Load(std::string_view name) {
  if (name.empty() || name == "UTC") return Utc();
  if (name.find("..") != name.npos || name.starts_with('/')) return Fail(Code::kNotFound, Cat("unknown time zone ", name));
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<const TimeZone>, std::less<>> known;
  std::lock_guard lock(mutex);
  if (const auto it = known.find(name); it != known.end()) return it->second;
  auto text = ReadFile(Cat("/usr/share/zoneinfo/", name), kLargestFile);
  if (!text) return Fail(Code::kNotFound, Cat("unknown time zone ", name));
  TRY(auto zone, Parse(*text));
  known.emplace(name, zone);
  return zone;
}

Result<std::shared_ptr<const TimeZone>> TimeZone::Parse(std::string_view tzif) {
  const auto broken = [] { return Fail(Code::kInvalid, "not a time zone file of version 2"); };
  Counts c{};
  Reader in(tzif);
  if (!ReadHeader(in, &c)) return broken();
  in.Take(BodySize(c, 4));             // the 32-bit times
  if (!in.ok() || !ReadHeader(in, &c) || c.types == 0) return broken();
  Reader times(in.Take(c.times * 8)), which(in.Take(c.times)), types(in.Take(c.types * 6));
  in.Take(c.characters + c.leap * 12 + c.standard + c.utc);
  if (!in.ok()) return broken();
  std::vector<std::int32_t> offsets;
  for (std::size_t i = 0; i < c.types; ++i) {
    offsets.push_back(static_cast<std::int32_t>(types.Number(4)));
    types.Take(2);
  }
  auto zone = std::make_shared<TimeZone>();
  zone->first_offset_ = offsets[0];
  for (std::size_t i = 0; i < c.times; ++i) {
    const std::int64_t at = times.Number(8);
    const auto type = static_cast<std::size_t>(which.Number(1) & 0xff);
    if (type >= offsets.size() || (i > 0 && at <= zone->changes_.back().at)) return broken();
    zone->changes_.push_back({at, offsets[type]});
  }
  std::string_view footer = in.rest();
  if (!TakeSign(footer, '\n') || footer.empty() || footer.back() != '\n') return broken();
  footer.remove_suffix(1);
  if (!footer.empty() && !ParseFooter(footer, zone.get())) return broken();
  return std::shared_ptr<const TimeZone>(std::move(zone));
}

bool TimeZone::ParseFooter(std::string_view s, TimeZone* zone) {
  int west = 0;
  if (!SkipName(s) || !TakeTime(s, &west)) return false;
  zone->standard_ = -west;
  zone->has_rule_ = true;
  if (s.empty()) return true;
  zone->has_summer_ = true;
  zone->summer_ = zone->standard_ + 3600;
  if (!SkipName(s)) return false;
  if (!s.starts_with(',')) {
    if (!TakeTime(s, &west)) return false;
    zone->summer_ = -west;
  }
  for (Rule* r : {&zone->begin_, &zone->end_}) {
    if (!TakeSign(s, ',')) return false;
    if (TakeSign(s, 'M')) {
      r->kind = Rule::Kind::kMonthWeekDay;
      if (!TakeNumber(s, &r->month) || !TakeSign(s, '.') || !TakeNumber(s, &r->week) || !TakeSign(s, '.') || !TakeNumber(s, &r->day)) return false;
      if (r->month < 1 || r->month > 12 || r->week < 1 || r->week > 5 || r->day > 6) return false;
    } else {
      if (TakeSign(s, 'J')) r->kind = Rule::Kind::kJulian;
      if (!TakeNumber(s, &r->day)) return false;
    }
    if (TakeSign(s, '/') && !TakeTime(s, &r->seconds)) return false;
  }
  return s.empty();
}

std::int64_t TimeZone::MomentOf(const Rule& rule, int year) {
  using namespace std::chrono;
  local_days day;
  const auto y = std::chrono::year(year);
  if (rule.kind == Rule::Kind::kMonthWeekDay) {
    const auto m = y / std::chrono::month(static_cast<unsigned>(rule.month));
    const weekday w(static_cast<unsigned>(rule.day));
    day = rule.week == 5 ? local_days(m / w[last]) : local_days(m / w[static_cast<unsigned>(rule.week)]);
  } else {
    int n = rule.day;                // Julian days leave out 29 February
    if (rule.kind == Rule::Kind::kJulian) n = n - 1 + (y.is_leap() && n >= 60 ? 1 : 0);
    day = local_days(y / January / 1) + days(n);
  }
  return duration_cast<std::chrono::seconds>(day.time_since_epoch()).count() + rule.seconds;
}

std::int32_t TimeZone::OffsetByRule(std::int64_t at) const {
  using namespace std::chrono;
  if (!has_summer_) return standard_;
  const year_month_day date(floor<days>(sys_seconds(std::chrono::seconds(at + standard_))));
  const int year = static_cast<int>(date.year());
  const std::int64_t begin = MomentOf(begin_, year) - standard_, end = MomentOf(end_, year) - summer_;
  const bool summer = begin < end ? at >= begin && at < end : at >= begin || at < end;
  return summer ? summer_ : standard_;
}

std::chrono::seconds TimeZone::OffsetAt(Seconds when) const {
  const std::int64_t at = when.time_since_epoch().count();
  const auto it = std::upper_bound(changes_.begin(), changes_.end(), at, [](std::int64_t t, const Change& c) { return t < c.at; });
  if (it == changes_.end() && has_rule_) return std::chrono::seconds(OffsetByRule(at));
  return std::chrono::seconds(it == changes_.begin() ? first_offset_ : std::prev(it)->offset);
}

TimeZone::Seconds TimeZone::FromLocal(std::chrono::local_seconds local) const {
  const Seconds naive(local.time_since_epoch());
  const std::chrono::seconds before = OffsetAt(naive - std::chrono::days(1)), after = OffsetAt(naive + std::chrono::days(1));
  if (OffsetAt(naive - before) == before) return naive - before;
  if (OffsetAt(naive - after) == after) return naive - after;
  // Skipped: when the clocks jump.
  Seconds low = naive - std::chrono::days(1), high = naive + std::chrono::days(1);
  while (high - low > std::chrono::seconds(1)) {
    const Seconds middle = low + (high - low) / 2;
    (ToLocal(middle) < local ? low : high) = middle;
  }
  return high;
}

std::string TimeZone::Format(Seconds at) const {
  using namespace std::chrono;
  const auto offset = OffsetAt(at);
  const local_seconds local = ToLocal(at);
  const auto day = floor<days>(local);
  const year_month_day date(day);
  const hh_mm_ss time(local - day);
  const auto two = [](std::int64_t n) { return Cat(n < 10 ? "0" : "", n); };
  std::string out = Cat(static_cast<int>(date.year()), "-", two(static_cast<unsigned>(date.month())), "-", two(static_cast<unsigned>(date.day())), "T",
                        two(time.hours().count()), ":", two(time.minutes().count()), ":", two(time.seconds().count()));
  if (offset.count() == 0) return out + "Z";
  const std::int64_t minutes = std::abs(offset.count()) / 60;
  return Cat(out, offset.count() < 0 ? "-" : "+", two(minutes / 60), ":", two(minutes % 60));
}

}  // namespace skerry::text
