#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace skerry::crypto {

enum class Hash : std::uint8_t { kSha1, kSha256, kSha384, kSha512 };   // SHA-1 only where a protocol names it (WebSocket)

// A digest of a stream. Not thread-safe.
class Digest {
 public:
  explicit Digest(Hash hash);
  ~Digest();
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;
  void Update(std::string_view bytes);
  std::string Finish();      // raw bytes; once
  std::string FinishHex();   // lower case; once

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// SHA-256 of a stream: 32 raw bytes, 64 digits.
class Sha256 : public Digest {
 public:
  Sha256() : Digest(Hash::kSha256) {}
};

std::string HashBytes(Hash hash, std::string_view bytes);   // raw
std::string Hmac(Hash hash, std::string_view key, std::string_view bytes);   // raw
std::string Sha256Hex(std::string_view bytes);
// "sha256:<64 hex>": the digests of the OCI specifications.
std::string OciDigest(std::string_view bytes);

// In time that depends only on the lengths. For tokens, passwords and MACs.
bool EqualSecrets(std::string_view a, std::string_view b);

}  // namespace skerry::crypto
