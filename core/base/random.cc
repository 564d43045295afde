#include "core/base/random.h"

#include <sys/random.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace skerry {
namespace {

class SystemRandom final : public Random {
 public:
  // Small requests (an id for every answer) share a system call; bytes that were handed out are wiped.
  void Fill(std::span<std::byte> out) override {
    constexpr std::size_t kSmall = 32;
    thread_local std::array<std::byte, 512> pool;
    thread_local std::size_t taken = pool.size();
    if (out.size() > kSmall) return FromKernel(out);
    if (pool.size() - taken < out.size()) {
      FromKernel(pool);
      taken = 0;
    }
    std::memcpy(out.data(), pool.data() + taken, out.size());
    ::explicit_bzero(pool.data() + taken, out.size());
    taken += out.size();
  }

 private:
  static void FromKernel(std::span<std::byte> out) {
    while (!out.empty()) {
      const ssize_t n = ::getrandom(out.data(), out.size(), 0);
      if (n < 0) {
        if (errno == EINTR) continue;
        std::abort();   // no entropy source: nothing secure can go on
      }
      out = out.subspan(static_cast<std::size_t>(n));
    }
  }
};

}  // namespace

Random& Random::System() {
  static SystemRandom random;
  return random;
}

std::uint64_t Random::Next() {
  std::uint64_t v;
  Fill(std::as_writable_bytes(std::span(&v, 1)));
  return v;
}

std::uint64_t Random::Below(std::uint64_t bound) {
  const std::uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
  for (;;) {
    const std::uint64_t v = Next();
    if (v < limit) return v % bound;
  }
}

void SeededRandom::Fill(std::span<std::byte> out) {
  while (!out.empty()) {
    // A server under simulation draws from several threads at its start: after as many draws the state is the same, whoever drew.
    constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = std::atomic_ref(state_).fetch_add(kStep, std::memory_order_relaxed) + kStep;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    z ^= z >> 31;
    const std::size_t n = out.size() < 8 ? out.size() : 8;
    std::memcpy(out.data(), &z, n);
    out = out.subspan(n);
  }
}

std::string NewUuid(Random& random) {
  unsigned char b[16];
  random.Fill(std::as_writable_bytes(std::span(b)));
  b[6] = static_cast<unsigned char>((b[6] & 0x0f) | 0x40);
  b[8] = static_cast<unsigned char>((b[8] & 0x3f) | 0x80);
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(36);
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += kHex[b[i] >> 4];
    out += kHex[b[i] & 15];
  }
  return out;
}

std::string NameSuffix(std::size_t length, Random& random) {
  static constexpr char kAlphabet[] = "bcdfghjklmnpqrstvwxz2456789";
  std::string out;
  for (std::size_t i = 0; i < length; ++i) out += kAlphabet[random.Below(sizeof kAlphabet - 1)];
  return out;
}

std::string HexToken(std::size_t bytes, Random& random) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string raw(bytes, '\0'), out;
  random.Fill(std::as_writable_bytes(std::span(raw)));
  for (const char c : raw) {
    out += kHex[static_cast<unsigned char>(c) >> 4];
    out += kHex[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

}  // namespace skerry
