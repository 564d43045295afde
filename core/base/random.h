#pragma once
#include <cstdint>
#include <span>
#include <string>

namespace skerry {

// The only source of randomness. System() is the kernel's generator and fit for keys; Seeded() replays.
class Random {
 public:
  virtual ~Random() = default;
  virtual void Fill(std::span<std::byte> out) = 0;
  std::uint64_t Next();
  std::uint64_t Below(std::uint64_t bound);   // uniform in [0, bound); bound > 0
  static Random& System();                    // thread-safe
};

// Deterministic (splitmix64). Not thread-safe, never for secrets.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  void Fill(std::span<std::byte> out) override;

 private:
  std::uint64_t state_;
};

std::string NewUuid(Random& random = Random::System());                              // RFC 4122 version 4, lower case
std::string NameSuffix(std::size_t length = 5, Random& random = Random::System());   // over bcdfghjklmnpqrstvwxz2456789
std::string HexToken(std::size_t bytes, Random& random = Random::System());

}  // namespace skerry
