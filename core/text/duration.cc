#include "core/text/duration.h"

#include <cstdint>
#include <limits>

#include "core/base/strings.h"
#include "core/text/ascii.h"

namespace skerry::text {
namespace {

using internal::IsDigit;

constexpr std::uint64_t kLimit = std::uint64_t{1} << 63;   // |minimum|

std::uint64_t UnitSize(std::string_view unit) {
  if (unit == "ns") return 1;
  if (unit == "us" || unit == "\xC2\xB5s" || unit == "\xCE\xBCs") return 1'000;   // U+00B5 and U+03BC
  if (unit == "ms") return 1'000'000;
  if (unit == "s") return 1'000'000'000;
  if (unit == "m") return 60'000'000'000;
  if (unit == "h") return 3'600'000'000'000;
  return 0;
}

}  // namespace

Result<std::chrono::nanoseconds> ParseDuration(std::string_view text) {
  const auto invalid = [&] { return Fail(Code::kBadRequest, "time: invalid duration " + Quote(text)); };
  std::string_view rest = text;
  bool negative = false;
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) {
    negative = rest[0] == '-';
    rest.remove_prefix(1);
  }
  if (rest == "0") return std::chrono::nanoseconds(0);
  if (rest.empty()) return invalid();
  std::uint64_t total = 0;
  while (!rest.empty()) {
    if (rest[0] != '.' && !IsDigit(rest[0])) return invalid();
    std::uint64_t whole = 0;
    bool digits = false;
    while (!rest.empty() && IsDigit(rest[0])) {
      if (__builtin_mul_overflow(whole, std::uint64_t{10}, &whole) || __builtin_add_overflow(whole, static_cast<std::uint64_t>(rest[0] - '0'), &whole)) return invalid();
      rest.remove_prefix(1);
      digits = true;
    }
    std::uint64_t fraction = 0, scale = 1;
    if (!rest.empty() && rest[0] == '.') {
      rest.remove_prefix(1);
      while (!rest.empty() && IsDigit(rest[0])) {
        if (scale < 1'000'000'000'000'000) {   // beyond this a digit is below any unit's nanosecond
          fraction = fraction * 10 + static_cast<std::uint64_t>(rest[0] - '0');
          scale *= 10;
        }
        rest.remove_prefix(1);
        digits = true;
      }
    }
    if (!digits) return invalid();
    std::size_t length = 0;
    while (length < rest.size() && rest[length] != '.' && !IsDigit(rest[length])) ++length;
    if (length == 0) return Fail(Code::kBadRequest, "time: missing unit in duration " + Quote(text));
    const std::uint64_t unit = UnitSize(rest.substr(0, length));
    if (unit == 0) return Fail(Code::kBadRequest, Cat("time: unknown unit ", Quote(rest.substr(0, length)), " in duration ", Quote(text)));
    rest.remove_prefix(length);
    if (whole > kLimit / unit) return invalid();
    const auto part = static_cast<std::uint64_t>(static_cast<unsigned __int128>(fraction) * unit / scale);
    total += whole * unit + part;
    if (whole * unit + part > kLimit || total > kLimit) return invalid();
  }
  if (negative) return std::chrono::nanoseconds(static_cast<std::int64_t>(0 - total));
  if (total > kLimit - 1) return invalid();
  return std::chrono::nanoseconds(static_cast<std::int64_t>(total));
}

std::string FormatDuration(std::chrono::nanoseconds d) {
  const std::int64_t count = d.count();
  if (count == 0) return "0s";
  std::uint64_t n = count < 0 ? 0 - static_cast<std::uint64_t>(count) : static_cast<std::uint64_t>(count);
  const auto decimal = [](std::uint64_t value, std::uint64_t unit) {   // value / unit without trailing zeros
    std::string out = std::to_string(value / unit);
    std::string fraction = std::to_string(unit + value % unit).substr(1);
    while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
    return fraction.empty() ? out : out + '.' + fraction;
  };
  std::string out = count < 0 ? "-" : "";
  if (n < 1'000) return out + std::to_string(n) + "ns";
  if (n < 1'000'000) return out + decimal(n, 1'000) + "\xC2\xB5s";
  if (n < 1'000'000'000) return out + decimal(n, 1'000'000) + "ms";
  const std::uint64_t hours = n / 3'600'000'000'000, minutes = n / 60'000'000'000 % 60;
  if (hours > 0) out += std::to_string(hours) + 'h';
  if (hours > 0 || minutes > 0) out += std::to_string(minutes) + 'm';
  return out + decimal(n % 60'000'000'000, 1'000'000'000) + 's';
}

}  // namespace skerry::text
