#pragma once
#include <chrono>
#include <string>
#include <string_view>

#include "core/base/result.h"

// Durations in Go's notation: a signed sequence of decimal numbers with units ns, us (µs), ms, s, m, h: "1h2m3.5s", "-1.5h", "0".
namespace skerry::text {

// kBadRequest with Go's words: `time: invalid duration "x"`, `time: missing unit in duration "1"`, `time: unknown unit "d" in duration "1d"`.
Result<std::chrono::nanoseconds> ParseDuration(std::string_view text);
std::string FormatDuration(std::chrono::nanoseconds d);   // "1h2m3.5s", "1.5ms", "0s"

}  // namespace skerry::text
