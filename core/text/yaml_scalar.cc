#include "core/text/yaml_scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "core/text/ascii.h"

namespace skerry::text::internal {
namespace {

template <std::size_t N>
bool OneOf(std::string_view text, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}
constexpr std::array<std::string_view, 11> kTrue = {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"};
constexpr std::array<std::string_view, 11> kFalse = {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"};
constexpr std::array<std::string_view, 5> kNull = {"", "~", "null", "Null", "NULL"};
constexpr std::array<std::string_view, 9> kInf = {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF"};
constexpr std::array<std::string_view, 3> kNan = {".nan", ".NaN", ".NAN"};

// Digits of a base without sign; nothing unless all fit 64 bits.
std::optional<std::uint64_t> Magnitude(std::string_view digits, int base) {
  std::uint64_t v = 0;
  const auto r = std::from_chars(digits.data(), digits.data() + digits.size(), v, base);
  if (digits.empty() || r.ec != std::errc() || r.ptr != digits.data() + digits.size()) return std::nullopt;
  return v;
}

// Base by prefix: 0x, 0b, 0o, leading 0 is octal.
std::optional<json::Value> Integer(std::string_view text) {
  const bool negative = text.starts_with('-');
  const bool sign = negative || text.starts_with('+');
  if (sign) text.remove_prefix(1);
  int base = 10;
  if (text.size() > 2 && text[0] == '0' && !IsDigit(text[1])) {
    const char c = text[1];
    base = c == 'x' || c == 'X' ? 16 : c == 'b' || c == 'B' ? 2 : c == 'o' || c == 'O' ? 8 : 0;
    if (base == 0) return std::nullopt;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text[0] == '0') {
    base = 8;
    text.remove_prefix(1);
  }
  const auto magnitude = Magnitude(text, base);
  if (!magnitude) return std::nullopt;
  constexpr auto kTop = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (negative) {
    if (*magnitude > kTop + 1) return std::nullopt;
    return json::Value(static_cast<std::int64_t>(0 - *magnitude));
  }
  if (*magnitude <= kTop) return json::Value(static_cast<std::int64_t>(*magnitude));
  if (sign) return std::nullopt;
  return json::Value(*magnitude);
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
std::optional<double> Float(std::string_view text) {
  const char* p = text.data();
  const char* const end = p + text.size();
  const char* start = p;
  if (p < end && (*p == '+' || *p == '-')) {
    if (*p == '+') ++start;
    ++p;
  }
  const char* digits = p;
  while (p < end && IsDigit(*p)) ++p;
  bool any = p > digits;
  if (p < end && *p == '.') {
    const char* fraction = ++p;
    while (p < end && IsDigit(*p)) ++p;
    any = any || p > fraction;
  }
  if (!any) return std::nullopt;
  if (p < end && (*p == 'e' || *p == 'E')) {
    ++p;
    if (p < end && (*p == '+' || *p == '-')) ++p;
    const char* exponent = p;
    while (p < end && IsDigit(*p)) ++p;
    if (p == exponent) return std::nullopt;
  }
  if (p != end) return std::nullopt;
  double v = 0;
  const auto r = std::from_chars(start, end, v);
  if (r.ec != std::errc() || r.ptr != end) return std::nullopt;   // out of range stays text
  return v;
}

// Year-month-day, then optionally T, t or a space with a time, then optionally a zone after T or t.
bool IsTimestamp(std::string_view s) {
  std::size_t at = 0;
  const auto number = [&](std::size_t least, std::size_t most, int low, int high) {
    std::size_t n = 0;
    int v = 0;
    while (n < most && at < s.size() && IsDigit(s[at])) {
      v = v * 10 + (s[at++] - '0');
      ++n;
    }
    return n >= least && v >= low && v <= high;
  };
  const auto eat = [&](char c) { return at < s.size() && s[at] == c && ++at; };
  if (!number(4, 4, 0, 9999) || !eat('-') || !number(1, 2, 1, 12) || !eat('-') || !number(1, 2, 1, 31)) return false;
  if (at == s.size()) return true;
  const bool zoned = s[at] == 'T' || s[at] == 't';
  if (!zoned && s[at] != ' ') return false;
  ++at;
  if (!number(1, 2, 0, 23) || !eat(':') || !number(1, 2, 0, 59) || !eat(':') || !number(1, 2, 0, 59)) return false;
  if (at < s.size() && s[at] == '.') {
    const std::size_t point = at++;
    while (at < s.size() && IsDigit(s[at])) ++at;
    if (at == point + 1) return false;
  }
  if (!zoned) return at == s.size();
  if (eat('Z')) return at == s.size();
  return (eat('+') || eat('-')) && number(2, 2, 0, 24) && eat(':') && number(2, 2, 0, 59) && at == s.size();
}

}  // namespace

Scalar ResolvePlain(std::string_view text) {
  if (OneOf(text, kNull)) return {ScalarKind::kNull, json::Value()};
  if (OneOf(text, kTrue)) return {ScalarKind::kBool, json::Value(true)};
  if (OneOf(text, kFalse)) return {ScalarKind::kBool, json::Value(false)};
  if (text == "<<") return {ScalarKind::kMerge, json::Value(text)};
  if (OneOf(text, kInf) || OneOf(text, kNan)) return {ScalarKind::kFloat, json::Value(), false};
  const char first = text[0];
  if (!IsDigit(first) && first != '+' && first != '-' && first != '.') return {ScalarKind::kString, json::Value(text)};
  if (IsTimestamp(text)) return {ScalarKind::kTimestamp, json::Value(text)};
  std::string plain(text);
  if (first != '.') std::erase(plain, '_');
  if (auto v = Integer(plain)) return {ScalarKind::kInt, std::move(*v)};
  if (const auto v = Float(plain)) {
    // What prints without point and exponent is read back as an integer by the JSON side.
    std::string printed;
    json::AppendNumber(printed, *v);
    std::int64_t integer = 0;
    const auto r = std::from_chars(printed.data(), printed.data() + printed.size(), integer);
    if (r.ec == std::errc() && r.ptr == printed.data() + printed.size()) return {ScalarKind::kFloat, json::Value(integer)};
    return {ScalarKind::kFloat, json::Value(*v)};
  }
  return {ScalarKind::kString, json::Value(text)};
}

bool IsBase60(std::string_view s) {
  std::size_t at = 0;
  if (at < s.size() && (s[at] == '+' || s[at] == '-')) ++at;
  if (at >= s.size() || !IsDigit(s[at])) return false;
  while (at < s.size() && (IsDigit(s[at]) || s[at] == '_')) ++at;
  int groups = 0;
  while (at < s.size() && s[at] == ':') {
    ++at;
    if (at + 1 < s.size() && s[at] >= '0' && s[at] <= '5' && IsDigit(s[at + 1])) at += 2;
    else if (at < s.size() && IsDigit(s[at])) ++at;
    else return false;
    ++groups;
  }
  if (at < s.size() && s[at] == '.') {
    ++at;
    while (at < s.size() && (IsDigit(s[at]) || s[at] == '_')) ++at;
  }
  return groups > 0 && at == s.size();
}

std::string FormatShortest(double v) {
  if (std::isnan(v)) return ".nan";
  if (std::isinf(v)) return v > 0 ? ".inf" : "-.inf";
  char buffer[64];
  const auto r = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::scientific);
  const std::string_view scientific(buffer, static_cast<std::size_t>(r.ptr - buffer));
  const std::size_t e = scientific.find('e');
  int exponent = 0;
  std::from_chars(scientific.data() + e + (scientific[e + 1] == '+' ? 2 : 1), r.ptr, exponent);
  if (exponent < -4 || exponent >= 6) return std::string(scientific);   // as if six digits were asked for
  const auto f = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::fixed);
  return std::string(buffer, f.ptr);
}

}  // namespace skerry::text::internal
