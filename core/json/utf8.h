#pragma once
#include <string_view>

namespace skerry::json {

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";   // U+FFFD

// Bytes of the UTF-8 sequence that `text` starts with; 0 when it is none (overlong, surrogate, cut, above U+10FFFF). `text` is not empty.
inline std::size_t Utf8Length(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char c = at(0);
  if (c < 0x80) return 1;
  const std::size_t n = c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;
  if (n == 0 || text.size() < n) return 0;
  for (std::size_t i = 1; i < n; ++i) {
    if ((at(i) & 0xC0) != 0x80) return 0;
  }
  if ((c == 0xE0 && at(1) < 0xA0) || (c == 0xED && at(1) >= 0xA0) || (c == 0xF0 && at(1) < 0x90) || (c == 0xF4 && at(1) >= 0x90)) return 0;
  return n;
}

}  // namespace skerry::json
