#pragma once
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace skerry::crypto {

// AES-256-GCM with a random nonce: 12 bytes nonce, ciphertext, 16 bytes tag. Good for 2^32 messages under one key.
// `context` is authenticated but not stored: a sealed value that is moved to another place (context) does not open.
class Sealer {
 public:
  static constexpr std::size_t kKeySize = 32, kOverhead = 28;
  static Result<Sealer> Create(std::string_view key);   // kInvalid unless 32 bytes
  static std::string GenerateKey();
  std::string Seal(std::string_view plain, std::string_view context) const;
  Result<std::string> Open(std::string_view sealed, std::string_view context) const;   // kCorruption

 private:
  explicit Sealer(std::string_view key) : key_(key) {}
  std::string key_;
};

}  // namespace skerry::crypto
