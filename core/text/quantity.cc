#include "core/text/quantity.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "core/base/strings.h"

namespace skerry::text {
namespace {

__extension__ using Wide = __int128;
__extension__ using UWide = unsigned __int128;

constexpr Wide kMax = static_cast<Wide>((~UWide{0}) >> 1);
constexpr int kNano = -9;
constexpr int kMaxExponent = 1'000'000;   // an exponent beyond this cannot be meant

struct Suffix {
  std::string_view text;
  int base, exponent;
};
constexpr std::array<Suffix, 16> kSuffixes = {{{"n", 10, -9}, {"u", 10, -6}, {"m", 10, -3}, {"", 10, 0}, {"k", 10, 3}, {"M", 10, 6}, {"G", 10, 9}, {"T", 10, 12},
                                               {"P", 10, 15}, {"E", 10, 18}, {"Ki", 2, 10}, {"Mi", 2, 20}, {"Gi", 2, 30}, {"Ti", 2, 40}, {"Pi", 2, 50}, {"Ei", 2, 60}}};

bool Multiply(Wide a, Wide b, Wide* out) { return !__builtin_mul_overflow(a, b, out); }

// a / b rounded away from zero, b > 0.
Wide DivideUp(Wide a, Wide b) {
  const Wide q = a / b;
  if (a % b == 0) return q;
  return a < 0 ? q - 1 : q + 1;
}

// v × 10^by. Negative `by` rounds away from zero; nothing on overflow.
std::optional<Wide> Shift(Wide v, int by) {
  if (v == 0) return v;
  if (by < -38) return v < 0 ? Wide{-1} : Wide{1};
  if (by > 38) return std::nullopt;
  Wide power = 1;
  for (int i = 0; i < std::abs(by); ++i) power *= 10;
  if (by < 0) return DivideUp(v, power);
  Wide out;
  if (!Multiply(v, power, &out)) return std::nullopt;
  return out;
}

std::string Digits(Wide v) {
  UWide u = v < 0 ? UWide{0} - static_cast<UWide>(v) : static_cast<UWide>(v);
  std::string out;
  do {
    out += static_cast<char>('0' + static_cast<int>(u % 10));
    u /= 10;
  } while (u > 0);
  if (v < 0) out += '-';
  std::reverse(out.begin(), out.end());
  return out;
}

std::unexpected<Error> WrongFormat() {
  return Fail(Code::kBadRequest, "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
}
std::unexpected<Error> WrongNumber() { return Fail(Code::kBadRequest, "unable to parse numeric part of quantity"); }
std::unexpected<Error> WrongSuffix() { return Fail(Code::kBadRequest, "unable to parse quantity's suffix"); }

struct Unit {
  int base = 10, exponent = 0;
  Quantity::Format format = Quantity::Format::kDecimalSi;
};

std::optional<Unit> ParseUnit(std::string_view text) {
  for (const Suffix& s : kSuffixes) {
    if (s.text == text) return Unit{s.base, s.exponent, s.base == 2 ? Quantity::Format::kBinarySi : Quantity::Format::kDecimalSi};
  }
  if (text.size() < 2 || (text[0] != 'e' && text[0] != 'E')) return std::nullopt;
  std::string_view number = text.substr(1);
  if (number[0] == '+') number.remove_prefix(1);
  const auto exponent = ParseInt(number);
  if (!exponent || std::abs(*exponent) > kMaxExponent) return std::nullopt;
  return Unit{10, static_cast<int>(*exponent), Quantity::Format::kDecimalExponent};
}

}  // namespace

Result<Quantity> Quantity::Parse(std::string_view text) {
  std::size_t at = 0;
  const auto peek = [&] { return at < text.size() ? text[at] : '\0'; };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.empty()) return WrongFormat();
  const bool negative = peek() == '-';
  if (negative || peek() == '+') ++at;

  Wide mantissa = 0;
  int scale = 0;
  bool too_long = false;
  const auto take_digits = [&](bool fraction) {
    for (; is_digit(peek()); ++at) {
      Wide next;
      if (!Multiply(mantissa, 10, &next) || __builtin_add_overflow(next, Wide{text[at] - '0'}, &next)) {
        too_long = true;
        continue;
      }
      mantissa = next;
      if (fraction) --scale;
    }
  };
  take_digits(false);
  if (peek() == '.') {
    ++at;
    take_digits(true);
  }
  const std::size_t suffix_start = at;
  while (at < text.size() && std::string_view("eEinumkKMGTP").find(text[at]) != std::string_view::npos) ++at;
  if (peek() == '-' || peek() == '+') ++at;
  while (is_digit(peek())) ++at;
  if (at != text.size()) return WrongFormat();
  const auto unit = ParseUnit(text.substr(suffix_start));
  if (!unit) return WrongSuffix();
  if (too_long) return WrongNumber();

  Format format = unit->format;
  if (unit->base == 2) {
    // A binary suffix saturates at 2^63-1, as clients are used to; what is below one is shown with a decimal suffix.
    const auto limit = Shift(std::numeric_limits<std::int64_t>::max(), -scale);
    Wide scaled;
    const bool fits = Multiply(mantissa, Wide{1} << unit->exponent, &scaled);
    if (limit && (!fits || scaled > *limit)) {
      scaled = std::numeric_limits<std::int64_t>::max();
      scale = 0;
    } else if (!fits) {
      return WrongNumber();
    }
    mantissa = scaled;
  } else {
    scale += unit->exponent;
  }
  if (scale < kNano && mantissa != 0) {
    mantissa = *Shift(mantissa, scale - kNano);
    scale = kNano;
  }
  Quantity q(negative ? -mantissa : mantissa, scale, format);
  if (format == Format::kBinarySi && q.scale_ < 0 && !q.is_zero()) {
    const Quantity one = Of(1);
    if (q < one && -q < one) q.format_ = Format::kDecimalSi;
  }
  return q;
}

void Quantity::Normalize() {
  if (mantissa_ == 0) {
    scale_ = 0;
    return;
  }
  while (mantissa_ % 10 == 0) {
    mantissa_ /= 10;
    ++scale_;
  }
}

std::string Quantity::Canonical() const {
  if (mantissa_ == 0) return "0";
  if (format_ == Format::kBinarySi && scale_ >= 0) {
    const Quantity small = Of(1024);
    const auto whole = Shift(mantissa_, scale_);
    if (whole && !(*this < small && -*this < small)) {
      Wide v = *whole;
      int exponent = 0;
      while (v % 1024 == 0 && exponent < 60) {
        v /= 1024;
        exponent += 10;
      }
      for (const Suffix& s : kSuffixes) {
        if (exponent == 0) break;
        if (s.base == 2 && s.exponent == exponent) return Digits(v) + std::string(s.text);
      }
      return Digits(v);
    }
  }
  int exponent = scale_;
  const int over = ((exponent % 3) + 3) % 3;
  exponent -= over;
  if (format_ != Format::kDecimalExponent) {
    const int top = std::min(exponent, 18);
    if (const auto v = Shift(mantissa_, scale_ - top)) {
      for (const Suffix& s : kSuffixes) {
        if (s.base == 10 && s.exponent == top) return Digits(*v) + std::string(s.text);
      }
    }
  }
  std::string out = Digits(mantissa_) + std::string(static_cast<std::size_t>(over), '0');
  return exponent == 0 ? out : Cat(out, 'e', exponent);
}

std::int64_t Quantity::Scaled(int scale) const {
  const auto v = Shift(mantissa_, scale_ - scale);
  constexpr auto kHigh = std::numeric_limits<std::int64_t>::max();
  constexpr auto kLow = std::numeric_limits<std::int64_t>::min();
  if (!v) return mantissa_ < 0 ? kLow : kHigh;
  return static_cast<std::int64_t>(std::clamp<Wide>(*v, kLow, kHigh));
}

double Quantity::Approximate() const { return static_cast<double>(mantissa_) * std::pow(10.0, scale_); }

Quantity Quantity::operator+(const Quantity& o) const {
  if (o.mantissa_ == 0) return *this;
  if (mantissa_ == 0) return o;
  int scale = std::min(scale_, o.scale_);
  for (;; ++scale) {   // coarser until both and their sum fit; the digits lost are far below the result's 38
    const auto a = Shift(mantissa_, scale_ - scale), b = Shift(o.mantissa_, o.scale_ - scale);
    Wide sum;
    if (a && b && !__builtin_add_overflow(*a, *b, &sum) && sum != -kMax - 1) return Quantity(sum, scale, format_);
    scale = std::max(scale, std::max(scale_, o.scale_) - 39);
  }
}

Quantity Quantity::operator-(const Quantity& o) const { return *this + -o; }

Quantity Quantity::operator*(std::int64_t n) const {
  Wide product;
  int scale = scale_;
  Wide mantissa = mantissa_;
  while (!Multiply(mantissa, n, &product)) {
    mantissa = *Shift(mantissa, -1);
    ++scale;
  }
  return Quantity(product, scale, format_);
}

std::strong_ordering Quantity::operator<=>(const Quantity& o) const {
  if (sign() != o.sign()) return sign() <=> o.sign();
  if (scale_ == o.scale_) return mantissa_ < o.mantissa_ ? std::strong_ordering::less : mantissa_ > o.mantissa_ ? std::strong_ordering::greater : std::strong_ordering::equal;
  // The one with the larger scale grows; when it does not fit in 38 digits it is the larger in magnitude, as the other one fits.
  const bool mine = scale_ > o.scale_;
  const auto grown = Shift(mine ? mantissa_ : o.mantissa_, std::abs(scale_ - o.scale_));
  if (!grown) return (mine == (sign() > 0)) ? std::strong_ordering::greater : std::strong_ordering::less;
  const Wide a = mine ? *grown : mantissa_, b = mine ? o.mantissa_ : *grown;
  return a < b ? std::strong_ordering::less : a > b ? std::strong_ordering::greater : std::strong_ordering::equal;
}

}  // namespace skerry::text
