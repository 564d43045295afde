#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace skerry::text {

// A number with a unit suffix: "250m", "1.5Gi", "2e9". Exact: mantissa × 10^scale with up to 38 digits, never a double.
// The suffix family it was written in is kept and decides the canonical text. Immutable value type; nothing below 10^-9 is kept
// (such parts round away from zero, as whoever asks for a little must get something).
class Quantity {
 public:
  enum class Format : std::uint8_t { kDecimalSi, kBinarySi, kDecimalExponent };

  Quantity() = default;   // 0
  static Quantity Of(std::int64_t value, Format format = Format::kDecimalSi) { return Quantity(value, 0, format); }
  static Quantity OfMilli(std::int64_t milli, Format format = Format::kDecimalSi) { return Quantity(milli, -3, format); }

  // kBadRequest with the words API clients know: "quantities must match the regular expression …",
  // "unable to parse quantity's suffix", "unable to parse numeric part of quantity" (also for more than 38 digits).
  static Result<Quantity> Parse(std::string_view text);

  // The shortest text without loss: no fraction, no exponent that is not a multiple of three, largest suffix. "0.5Gi" gives "512Mi",
  // "1500m" stays, "1000m" gives "1", "1000Ki" stays, "1024Ki" gives "1Mi". Parse(Canonical()) == *this.
  std::string Canonical() const;

  Format format() const { return format_; }
  bool is_zero() const { return mantissa_ == 0; }
  int sign() const { return mantissa_ < 0 ? -1 : mantissa_ > 0; }
  std::int64_t Value() const { return Scaled(0); }        // units, rounded away from zero, saturating
  std::int64_t MilliValue() const { return Scaled(-3); }  // thousandths, likewise
  std::int64_t Scaled(int scale) const;                   // in 10^scale units, likewise
  double Approximate() const;

  // Operands align at the finer scale; digits beyond 38 round away from zero. A zero left operand takes over the other's format.
  Quantity operator+(const Quantity& o) const;
  Quantity operator-(const Quantity& o) const;
  Quantity operator-() const { return Quantity(-mantissa_, scale_, format_); }
  Quantity operator*(std::int64_t n) const;
  Quantity& operator+=(const Quantity& o) { return *this = *this + o; }
  Quantity& operator-=(const Quantity& o) { return *this = *this - o; }

  // By value: "1" equals "1000m". The format does not count.
  std::strong_ordering operator<=>(const Quantity& o) const;
  bool operator==(const Quantity& o) const { return (*this <=> o) == 0; }

 private:
  __extension__ using Wide = __int128;
  Quantity(Wide mantissa, std::int32_t scale, Format format) : mantissa_(mantissa), scale_(scale), format_(format) { Normalize(); }
  void Normalize();   // no trailing zeros in the mantissa; zero has scale 0

  Wide mantissa_ = 0;
  std::int32_t scale_ = 0;
  Format format_ = Format::kDecimalSi;
};

}  // namespace skerry::text
