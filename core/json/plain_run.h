#pragma once
#include <cstdint>
#include <cstring>

namespace skerry::json {

// The first octet of [p, end) that does not stand for itself inside a string literal: a control character, a quote, a backslash or a part
// of a longer character. Looks at eight at a time.
inline const char* SkipPlain(const char* p, const char* end) {
  constexpr std::uint64_t kEach = 0x0101010101010101, kHigh = kEach << 7;
  for (; end - p >= 8; p += 8) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, p, sizeof eight);
    // A subtraction sets the high bit of the lowest octet that it makes negative; those above may be wrong then, but no run goes on.
    const std::uint64_t quote = (eight ^ kEach * '"') - kEach, backslash = (eight ^ kEach * '\\') - kEach, control = eight - kEach * 0x20;
    if ((eight | quote | backslash | control) & kHigh) break;
  }
  for (; p < end; ++p)
    if (const auto c = static_cast<unsigned char>(*p); c < 0x20 || c == '"' || c == '\\' || c >= 0x80) break;
  return p;
}

}  // namespace skerry::json
