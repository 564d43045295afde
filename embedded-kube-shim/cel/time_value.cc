#include <charconv>
#include <cmath>

#include "core/base/strings.h"
#include "embedded-kube-shim/cel/value.h"

// Civil time by the proleptic Gregorian calendar, days counted from 1970-01-01 in eras of 400 years.
namespace skerry::kube::cel {
namespace {

std::int64_t DaysFromCivil(std::int64_t year, int month, int day) {
  year -= month <= 2;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const std::int64_t of_era = year - era * 400;
  const std::int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

bool IsLeap(std::int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

int DaysIn(std::int64_t year, int month) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && IsLeap(year) ? 29 : kDays[month - 1];
}

void AppendPadded(std::string& out, std::int64_t value, int width) {
  std::string digits = std::to_string(value);
  out.append(static_cast<std::size_t>(std::max(0, width - static_cast<int>(digits.size()))), '0');
  out += digits;
}

void AppendFraction(std::string& out, std::int64_t nanos) {
  if (nanos == 0) return;
  std::string digits;
  AppendPadded(digits, nanos, 9);
  digits.erase(digits.find_last_not_of('0') + 1);
  out += '.';
  out += digits;
}

// Reads exactly `width` digits.
bool Digits(std::string_view& text, std::size_t width, int* out) {
  if (text.size() < width) return false;
  *out = 0;
  for (std::size_t i = 0; i < width; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
    *out = *out * 10 + (text[i] - '0');
  }
  text.remove_prefix(width);
  return true;
}

bool Skip(std::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

bool Fraction(std::string_view& text, std::int32_t* nanos) {
  *nanos = 0;
  if (text.empty() || (text[0] != '.' && text[0] != ',')) return true;
  text.remove_prefix(1);
  std::size_t n = 0;
  std::int32_t scale = 100'000'000;
  for (; n < text.size() && text[n] >= '0' && text[n] <= '9'; ++n, scale /= 10) *nanos += (text[n] - '0') * scale;
  text.remove_prefix(n);
  return n > 0;
}

bool Offset(std::string_view& text, int* seconds) {
  if (Skip(text, 'Z')) return *seconds = 0, true;
  if (text.empty() || (text[0] != '+' && text[0] != '-')) return false;
  const int sign = text[0] == '-' ? -1 : 1;
  text.remove_prefix(1);
  int hours = 0, minutes = 0;
  if (!Digits(text, 2, &hours) || !Skip(text, ':') || !Digits(text, 2, &minutes) || hours > 24 || minutes > 60) return false;
  *seconds = sign * (hours * 3600 + minutes * 60);
  return true;
}

}  // namespace

Civil ToCivil(std::int64_t seconds) {
  std::int64_t days = seconds / 86400, rest = seconds % 86400;
  if (rest < 0) rest += 86400, --days;
  const std::int64_t shifted = days + 719468;
  const std::int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
  const std::int64_t of_era = shifted - era * 146097;
  const std::int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  const std::int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t shifted_month = (5 * of_year + 2) / 153;
  Civil civil{};
  civil.day = static_cast<int>(of_year - (153 * shifted_month + 2) / 5 + 1);
  civil.month = static_cast<int>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
  civil.year = year_of_era + era * 400 + (civil.month <= 2);
  civil.hour = static_cast<int>(rest / 3600);
  civil.minute = static_cast<int>(rest % 3600 / 60);
  civil.second = static_cast<int>(rest % 60);
  civil.weekday = static_cast<int>(((days + 4) % 7 + 7) % 7);
  civil.yearday = static_cast<int>(days - DaysFromCivil(civil.year, 1, 1));
  return civil;
}

std::string TimestampText(const Val& timestamp) {
  const Civil c = ToCivil(timestamp.integer());
  std::string out;
  AppendPadded(out, c.year, 4);
  for (const auto& [separator, value] : {std::pair('-', c.month), {'-', c.day}, {'T', c.hour}, {':', c.minute}, {':', c.second}}) {
    out += separator;
    AppendPadded(out, value, 2);
  }
  AppendFraction(out, timestamp.nanos());
  out += 'Z';
  return out;
}

std::optional<Val> ParseTimestamp(std::string_view text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, offset = 0;
  std::int32_t nanos = 0;
  if (!Digits(text, 4, &year) || !Skip(text, '-') || !Digits(text, 2, &month) || !Skip(text, '-') || !Digits(text, 2, &day) || !Skip(text, 'T') ||
      !Digits(text, 2, &hour) || !Skip(text, ':') || !Digits(text, 2, &minute) || !Skip(text, ':') || !Digits(text, 2, &second) ||
      !Fraction(text, &nanos) || !Offset(text, &offset) || !text.empty()) {
    return std::nullopt;
  }
  if (month < 1 || month > 12 || day < 1 || day > DaysIn(year, month) || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  const std::int64_t seconds = DaysFromCivil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
  if (seconds < kMinTimestamp || seconds > kMaxTimestamp) return std::nullopt;
  return Val::Timestamp(seconds, nanos);
}

std::string DurationText(std::int64_t nanoseconds) {
  std::string out = nanoseconds < 0 ? "-" : "";
  const std::uint64_t magnitude = nanoseconds < 0 ? 0 - static_cast<std::uint64_t>(nanoseconds) : static_cast<std::uint64_t>(nanoseconds);
  out += std::to_string(magnitude / 1'000'000'000);
  AppendFraction(out, static_cast<std::int64_t>(magnitude % 1'000'000'000));
  out += 's';
  return out;
}

std::string DoubleText(double d) {
  if (std::isnan(d)) return "NaN";
  if (std::isinf(d)) return d < 0 ? "-Inf" : "+Inf";
  // Shortest digits; an exponent below -4 and from 6 on, as Go's %g prints.
  char digits[40];
  const auto end = std::to_chars(digits, digits + sizeof digits, d, std::chars_format::scientific).ptr;
  std::string_view text(digits, static_cast<std::size_t>(end - digits));
  const std::size_t e = text.find('e');
  int exponent = 0;
  std::from_chars(text.data() + e + (text[e + 1] == '+' ? 2 : 1), text.data() + text.size(), exponent);
  if (exponent >= -4 && exponent < 6) {
    char fixed[64];
    const auto fixed_end = std::to_chars(fixed, fixed + sizeof fixed, d, std::chars_format::fixed).ptr;
    return std::string(fixed, fixed_end);
  }
  return std::string(text);
}

}  // namespace skerry::kube::cel
