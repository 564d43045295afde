#include "core/crypto/digest.h"

#include <openssl/evp.h>

#include <cstdlib>

namespace skerry::crypto {

struct Sha256::State {
  EVP_MD_CTX* context = ::EVP_MD_CTX_new();
  State() {
    // Both fail only when memory is out; a digest that silently is none must not exist.
    if (context == nullptr || ::EVP_DigestInit_ex(context, ::EVP_sha256(), nullptr) != 1) std::abort();
  }
  ~State() { ::EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::Update(std::string_view bytes) {
  if (::EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) != 1) std::abort();
}

std::string Sha256::Finish() {
  std::string out(32, '\0');
  unsigned size = 0;
  if (::EVP_DigestFinal_ex(state_->context, reinterpret_cast<unsigned char*>(out.data()), &size) != 1 || size != 32) std::abort();
  return out;
}

std::string Sha256::FinishHex() {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char c : Finish()) {
    out += kDigits[static_cast<unsigned char>(c) >> 4];
    out += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

std::string Sha256Hex(std::string_view bytes) {
  Sha256 digest;
  digest.Update(bytes);
  return digest.FinishHex();
}

std::string OciDigest(std::string_view bytes) { return "sha256:" + Sha256Hex(bytes); }

}  // namespace skerry::crypto
