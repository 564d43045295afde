#include <zlib.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "store/mvcc/codec.h"

// zlib's CRC-32, which every record carries, 64 bytes at a time where the processor multiplies polynomials: a change of an object of
// 6 KB is summed twice, as the current entry and as the previous one in the log.
namespace skerry::store {
namespace {

std::uint32_t Portable(std::uint32_t seed, const char* bytes, std::size_t size) {
  return static_cast<std::uint32_t>(::crc32_z(seed, reinterpret_cast<const unsigned char*>(bytes), size));
}

#if defined(__x86_64__)

constexpr std::size_t kLane = 16, kStride = 4 * kLane;

// Powers of x modulo the polynomial, bits reflected (Gopal et al., Fast CRC Computation for Generic Polynomials Using PCLMULQDQ, Intel 2009).
struct Folds {
  long long low, high;
};
constexpr Folds kByStride = {0x154442bd4, 0x1c6e41596}, kByLane = {0x1751997d0, 0x0ccaa009e};
constexpr long long kTo64 = 0x163cd6124, kPolynomial = 0x1db710641, kInverse = 0x1f7011641;

#define SKERRY_MULTIPLIES __attribute__((target("pclmul,sse4.1")))

SKERRY_MULTIPLIES inline __m128i ReadLane(const char* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }

// Moves what `lane` stands for behind the bytes of `next`.
SKERRY_MULTIPLIES inline __m128i Fold(__m128i lane, __m128i by, __m128i next) {
  return _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(lane, by, 0x00), _mm_clmulepi64_si128(lane, by, 0x11)), next);
}

// What 128 bits leave, by Barrett's reduction.
SKERRY_MULTIPLIES std::uint32_t Reduce(__m128i lane) {
  const __m128i halves = _mm_setr_epi32(-1, 0, -1, 0);
  const __m128i by_lane = _mm_set_epi64x(kByLane.high, kByLane.low);
  lane = _mm_xor_si128(_mm_srli_si128(lane, 8), _mm_clmulepi64_si128(lane, by_lane, 0x10));
  const __m128i rest = _mm_srli_si128(lane, 4);
  lane = _mm_xor_si128(_mm_clmulepi64_si128(_mm_and_si128(lane, halves), _mm_set_epi64x(0, kTo64), 0x00), rest);
  const __m128i barrett = _mm_set_epi64x(kInverse, kPolynomial);
  __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(lane, halves), barrett, 0x10);
  quotient = _mm_clmulepi64_si128(_mm_and_si128(quotient, halves), barrett, 0x00);
  return static_cast<std::uint32_t>(_mm_extract_epi32(_mm_xor_si128(lane, quotient), 1));
}

// At least one stride.
SKERRY_MULTIPLIES std::uint32_t Multiplied(std::uint32_t seed, const char* bytes, std::size_t size) {
  __m128i lanes[4];
  for (std::size_t i = 0; i < 4; ++i) lanes[i] = ReadLane(bytes + i * kLane);
  lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi32_si128(static_cast<int>(~seed)));
  bytes += kStride, size -= kStride;
  const __m128i by_stride = _mm_set_epi64x(kByStride.high, kByStride.low), by_lane = _mm_set_epi64x(kByLane.high, kByLane.low);
  for (; size >= kStride; bytes += kStride, size -= kStride)
    for (std::size_t i = 0; i < 4; ++i) lanes[i] = Fold(lanes[i], by_stride, ReadLane(bytes + i * kLane));
  __m128i lane = lanes[0];
  for (std::size_t i = 1; i < 4; ++i) lane = Fold(lane, by_lane, lanes[i]);
  for (; size >= kLane; bytes += kLane, size -= kLane) lane = Fold(lane, by_lane, ReadLane(bytes));
  return Portable(~Reduce(lane), bytes, size);
}

bool Multiplies() {
  static const bool does = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
  return does;
}

#endif

}  // namespace

std::uint32_t Crc32(std::string_view bytes, std::uint32_t seed) {
#if defined(__x86_64__)
  if (bytes.size() >= kStride && Multiplies()) return Multiplied(seed, bytes.data(), bytes.size());
#endif
  return Portable(seed, bytes.data(), bytes.size());
}

}  // namespace skerry::store
