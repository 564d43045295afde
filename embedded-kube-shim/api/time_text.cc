#include <chrono>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/decode_value.h"

namespace skerry::kube {
namespace {

// Go's time.Parse names the layout element at which it gave up and the rest of the text from there.
class TimeReader {
 public:
  TimeReader(std::string_view text, bool micro) : text_(text), rest_(text), layout_(micro ? "2006-01-02T15:04:05.000000Z07:00" : "2006-01-02T15:04:05Z07:00") {}

  bool Number(std::size_t digits, int& out, std::string_view element) {
    if (rest_.size() < digits) return Stop(element);
    int value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      if (rest_[i] < '0' || rest_[i] > '9') return Stop(element);
      value = value * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(digits);
    out = value;
    return true;
  }
  bool Literal(char c) {
    if (rest_.empty() || rest_[0] != c) return Stop(std::string_view(&c, 1));
    rest_.remove_prefix(1);
    return true;
  }
  bool Stop(std::string_view element) {
    error = Cat("parsing time ", Quote(text_), " as ", Quote(layout_), ": cannot parse ", Quote(rest_), " as ", Quote(element));
    return false;
  }
  bool OutOfRange(std::string_view what) {
    error = Cat("parsing time ", Quote(text_), ": ", what, " out of range");
    return false;
  }
  // Fraction digits as nanoseconds.
  bool Fraction(bool required, std::int64_t& nanos) {
    nanos = 0;
    if (rest_.empty() || (rest_[0] != '.' && rest_[0] != ',')) return required ? Stop(".000000") : true;
    std::size_t n = 1;
    std::int64_t unit = 100'000'000;
    for (; n < rest_.size() && rest_[n] >= '0' && rest_[n] <= '9'; ++n) {
      nanos += unit * (rest_[n] - '0');
      unit /= 10;
    }
    if (required && n < 7) return Stop(".000000");
    rest_.remove_prefix(n);
    return true;
  }
  bool Zone(int& minutes) {
    minutes = 0;
    if (!rest_.empty() && rest_[0] == 'Z') {
      rest_.remove_prefix(1);
      return true;
    }
    if (rest_.size() < 6 || (rest_[0] != '+' && rest_[0] != '-') || rest_[3] != ':') return Stop("Z07:00");
    const int sign = rest_[0] == '-' ? -1 : 1;
    for (int i : {1, 2, 4, 5})
      if (rest_[static_cast<std::size_t>(i)] < '0' || rest_[static_cast<std::size_t>(i)] > '9') return Stop("Z07:00");
    minutes = sign * (((rest_[1] - '0') * 10 + rest_[2] - '0') * 60 + (rest_[4] - '0') * 10 + rest_[5] - '0');
    rest_.remove_prefix(6);
    return true;
  }
  bool End() {
    if (rest_.empty()) return true;
    error = Cat("parsing time ", Quote(text_), ": extra text: ", Quote(rest_));
    return false;
  }

  std::string error;

 private:
  std::string_view text_, rest_, layout_;
};

struct Instant { std::chrono::sys_seconds seconds; std::int64_t nanos = 0; };

bool Read(TimeReader& in, bool micro, Instant& out) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, zone = 0;
  if (!in.Number(4, year, "2006") || !in.Literal('-') || !in.Number(2, month, "01")) return false;
  if (month < 1 || month > 12) return in.OutOfRange("month");
  if (!in.Literal('-') || !in.Number(2, day, "02") || !in.Literal('T') || !in.Number(2, hour, "15")) return false;
  if (hour > 23) return in.OutOfRange("hour");
  if (!in.Literal(':') || !in.Number(2, minute, "04")) return false;
  if (minute > 59) return in.OutOfRange("minute");
  if (!in.Literal(':') || !in.Number(2, second, "05")) return false;
  if (second > 59) return in.OutOfRange("second");
  if (!in.Fraction(micro, out.nanos) || !in.Zone(zone) || !in.End()) return false;
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)), std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return in.OutOfRange("day");
  out.seconds = std::chrono::sys_days(date) + std::chrono::seconds(hour * 3600 + minute * 60 + second - zone * 60);
  return true;
}

void Pad(std::string& out, std::int64_t value, std::size_t width) {
  const std::string digits = std::to_string(value);
  out.append(width > digits.size() ? width - digits.size() : 0, '0').append(digits);
}

}  // namespace

Result<std::string> CanonicalTime(std::string_view text, bool micro) {
  TimeReader reader(text, micro);
  Instant at;
  if (!Read(reader, micro, at)) return Fail(Code::kBadRequest, reader.error);
  const auto days = std::chrono::floor<std::chrono::days>(at.seconds);
  const std::chrono::year_month_day date(days);
  const std::int64_t of_day = (at.seconds - days).count();
  std::string out;
  Pad(out, static_cast<int>(date.year()), 4);
  Pad(out += '-', static_cast<unsigned>(date.month()), 2);
  Pad(out += '-', static_cast<unsigned>(date.day()), 2);
  Pad(out += 'T', of_day / 3600, 2);
  Pad(out += ':', of_day / 60 % 60, 2);
  Pad(out += ':', of_day % 60, 2);
  if (micro) Pad(out += '.', at.nanos / 1000, 6);
  return out + 'Z';
}

}  // namespace skerry::kube
