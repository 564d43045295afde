#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace skerry::crypto {

// SHA-256 of a stream. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void Update(std::string_view bytes);
  std::string Finish();          // 32 raw bytes; once
  std::string FinishHex();       // 64 lower-case digits; once

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string Sha256Hex(std::string_view bytes);
// "sha256:<64 hex>": the digests of the OCI specifications.
std::string OciDigest(std::string_view bytes);

}  // namespace skerry::crypto
