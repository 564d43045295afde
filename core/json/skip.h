#pragma once
#ifdef __SSE2__
#include <emmintrin.h>
#endif

// Steps over well-formed JSON sixteen bytes at a time. Nothing outside [p, end) is read; what is stepped over is not checked.
namespace skerry::json {

// The next '"' or '\\' at or behind `p`; `end` when there is none.
inline const char* FindQuoteOrEscape(const char* p, const char* end) {
#ifdef __SSE2__
  for (; end - p >= 16; p += 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i stops = _mm_or_si128(_mm_cmpeq_epi8(block, _mm_set1_epi8('"')), _mm_cmpeq_epi8(block, _mm_set1_epi8('\\')));
    if (const auto mask = static_cast<unsigned>(_mm_movemask_epi8(stops)); mask != 0) return p + __builtin_ctz(mask);
  }
#endif
  while (p < end && *p != '"' && *p != '\\') ++p;
  return p;
}

// Behind the object or array that begins at `p`; null when it does not end before `end`.
inline const char* SkipContainer(const char* p, const char* end) {
  int depth = 0;
  bool quoted = false;
  while (p < end) {
#ifdef __SSE2__
    if (end - p >= 16) {
      const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
      const __m128i folded = _mm_or_si128(block, _mm_set1_epi8(0x20));   // '[' and ']' become '{' and '}'
      const auto mask_of = [](__m128i where, char c) { return static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(where, _mm_set1_epi8(c)))); };
      const unsigned quotes = mask_of(block, '"'), opens = mask_of(folded, '{'), closes = mask_of(folded, '}'), escapes = mask_of(block, '\\');
      unsigned beyond = 0;   // an escape at the very end takes the next block's first byte along
      for (unsigned left = quotes | opens | closes | escapes; left != 0; left &= left - 1) {
        const unsigned bit = left & (~left + 1);
        if (quotes & bit) {
          quoted = !quoted;
        } else if (escapes & bit) {
          if (!quoted) continue;
          left &= ~(bit << 1);
          beyond = bit >> 15;
        } else if (quoted) {
          continue;
        } else if (opens & bit) {
          ++depth;
        } else if (--depth == 0) {
          return p + __builtin_ctz(bit) + 1;
        }
      }
      p += 16;
      p += beyond != 0 && p < end;
      continue;
    }
#endif
    const char c = *p++;
    if (c == '\\' && quoted) p += p < end;
    else if (c == '"') quoted = !quoted;
    else if (quoted) continue;
    else if (c == '{' || c == '[') ++depth;
    else if ((c == '}' || c == ']') && --depth == 0) return p;
  }
  return nullptr;
}

}  // namespace skerry::json
