#pragma once
#include <string>
#include <string_view>

#include "core/json/value.h"

// Plain scalars of YAML 1.1. Shared by the reader and the writer: the writer quotes what the reader would not take as text.
namespace skerry::text::internal {

enum class ScalarKind : std::uint8_t { kString, kNull, kBool, kInt, kFloat, kTimestamp, kMerge };

struct Scalar {
  ScalarKind kind = ScalarKind::kString;
  json::Value value;   // for kString and kTimestamp the text itself; for kFloat without fraction an integer, as JSON would read it back
  bool finite = true;  // false for .inf and .nan, which JSON cannot hold
};

Scalar ResolvePlain(std::string_view text);
bool IsBase60(std::string_view text);             // "1:20": YAML 1.1 readers elsewhere take it as a number
std::string FormatShortest(double v);             // Go's 'g' with the fewest digits: 1.5, 1e+06

}  // namespace skerry::text::internal
