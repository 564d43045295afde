#pragma once

// Inside core/text only.
namespace skerry::text::internal {

constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace skerry::text::internal
