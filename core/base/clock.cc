#include "core/base/clock.h"

#include <cstdio>

namespace skerry {
namespace {

class SystemClock final : public Clock {
 public:
  Wall Now() const override { return std::chrono::system_clock::now(); }
  MonoTime Mono() const override { return std::chrono::steady_clock::now(); }
};

std::string Format(Clock::Wall t, int digits) {
  using namespace std::chrono;
  const auto ns = duration_cast<nanoseconds>(t.time_since_epoch());
  const auto secs = floor<seconds>(ns);
  const auto day = floor<days>(secs);
  const year_month_day ymd{sys_days(day)};
  const hh_mm_ss hms{secs - day};
  char buffer[64];
  int n = std::snprintf(buffer, sizeof buffer, "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(ymd.year()), static_cast<unsigned>(ymd.month()),
                        static_cast<unsigned>(ymd.day()), static_cast<int>(hms.hours().count()), static_cast<int>(hms.minutes().count()),
                        static_cast<int>(hms.seconds().count()));
  std::string out(buffer, static_cast<std::size_t>(n));
  if (digits > 0) {
    char fraction[16];
    std::snprintf(fraction, sizeof fraction, "%09lld", static_cast<long long>((ns - secs).count()));
    out += '.';
    out.append(fraction, static_cast<std::size_t>(digits));
  }
  return out + "Z";
}

}  // namespace

const Clock& Clock::System() {
  static const SystemClock clock;
  return clock;
}

std::string FormatTime(Clock::Wall t) { return Format(t, 0); }
std::string FormatMicroTime(Clock::Wall t) { return Format(t, 6); }
std::string FormatNanoTime(Clock::Wall t) { return Format(t, 9); }

Result<Clock::Wall> ParseTime(std::string_view text) {
  using namespace std::chrono;
  const auto bad = [&] { return Fail(Code::kBadRequest, "not an RFC 3339 time: \"" + std::string(text) + "\""); };
  const auto number = [&](std::size_t at, std::size_t length, int* out) {
    if (at + length > text.size()) return false;
    int v = 0;
    for (std::size_t i = at; i < at + length; ++i) {
      if (text[i] < '0' || text[i] > '9') return false;
      v = v * 10 + (text[i] - '0');
    }
    *out = v;
    return true;
  };
  int y, mo, d, h, mi, s;
  if (text.size() < 20 || !number(0, 4, &y) || text[4] != '-' || !number(5, 2, &mo) || text[7] != '-' || !number(8, 2, &d) ||
      (text[10] != 'T' && text[10] != 't') || !number(11, 2, &h) || text[13] != ':' || !number(14, 2, &mi) || text[16] != ':' || !number(17, 2, &s)) {
    return bad();
  }
  const year_month_day ymd{year(y), month(static_cast<unsigned>(mo)), day(static_cast<unsigned>(d))};
  if (!ymd.ok() || h > 23 || mi > 59 || s > 59) return bad();
  std::size_t at = 19;
  std::int64_t nanos = 0;
  if (text[at] == '.') {
    std::int64_t scale = 100'000'000;
    const std::size_t first = ++at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10) nanos += (text[at] - '0') * scale;
    if (at == first) return bad();
  }
  int offset_minutes = 0;
  if (at < text.size() && (text[at] == 'Z' || text[at] == 'z')) {
    ++at;
  } else if (at < text.size() && (text[at] == '+' || text[at] == '-')) {
    int oh, om;
    if (!number(at + 1, 2, &oh) || at + 3 >= text.size() || text[at + 3] != ':' || !number(at + 4, 2, &om) || oh > 23 || om > 59) return bad();
    offset_minutes = (text[at] == '-' ? -1 : 1) * (oh * 60 + om);
    at += 6;
  } else {
    return bad();
  }
  if (at != text.size()) return bad();
  const auto t = sys_days(ymd) + hours(h) + minutes(mi) + seconds(s) - minutes(offset_minutes);
  return Clock::Wall(duration_cast<Clock::Wall::duration>(t.time_since_epoch() + nanoseconds(nanos)));
}

}  // namespace skerry
