#include "core/crypto/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <cstdlib>

#include "core/text/base64.h"

namespace skerry::crypto {
namespace {

const EVP_MD* Algorithm(Hash hash) {
  // Fetched once: an implicit fetch at each use costs as much as hashing a kilobyte.
  static const EVP_MD* const kTable[] = {::EVP_MD_fetch(nullptr, "SHA1", nullptr), ::EVP_MD_fetch(nullptr, "SHA256", nullptr), ::EVP_MD_fetch(nullptr, "SHA384", nullptr),
                                         ::EVP_MD_fetch(nullptr, "SHA512", nullptr)};
  const EVP_MD* md = kTable[static_cast<std::size_t>(hash)];
  if (!md) std::abort();
  return md;
}

}  // namespace

struct Digest::State {
  EVP_MD_CTX* context = ::EVP_MD_CTX_new();
  explicit State(Hash hash) {
    // Both fail only when memory is out; a digest that silently is none must not exist.
    if (context == nullptr || ::EVP_DigestInit_ex(context, Algorithm(hash), nullptr) != 1) std::abort();
  }
  ~State() { ::EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Digest::Digest(Hash hash) : state_(std::make_unique<State>(hash)) {}
Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;

void Digest::Update(std::string_view bytes) {
  if (::EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) != 1) std::abort();
}

std::string Digest::Finish() {
  std::string out(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  if (::EVP_DigestFinal_ex(state_->context, reinterpret_cast<unsigned char*>(out.data()), &size) != 1) std::abort();
  out.resize(size);
  return out;
}

std::string Digest::FinishHex() { return text::Hex(Finish()); }

namespace {

// Making a context costs more than hashing what a request brings (its token): each thread keeps one. What was hashed does not stay in it: this
// algorithm wipes its block when it is finished.
std::string HashSha256(std::string_view bytes) {
  struct Kept {
    EVP_MD_CTX* const context = ::EVP_MD_CTX_new();
    ~Kept() { ::EVP_MD_CTX_free(context); }
  };
  thread_local Kept kept;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  if (!kept.context || ::EVP_DigestInit_ex(kept.context, Algorithm(Hash::kSha256), nullptr) != 1 || ::EVP_DigestUpdate(kept.context, bytes.data(), bytes.size()) != 1 ||
      ::EVP_DigestFinal_ex(kept.context, digest.data(), &size) != 1) {
    std::abort();   // as above
  }
  return std::string(reinterpret_cast<const char*>(digest.data()), size);
}

}  // namespace

std::string HashBytes(Hash hash, std::string_view bytes) {
  if (hash == Hash::kSha256) return HashSha256(bytes);
  Digest digest(hash);
  digest.Update(bytes);
  return digest.Finish();
}

std::string Hmac(Hash hash, std::string_view key, std::string_view bytes) {
  std::string out(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  if (!::HMAC(Algorithm(hash), key.data() ? key.data() : "", static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
              reinterpret_cast<unsigned char*>(out.data()), &size)) {
    std::abort();
  }
  out.resize(size);
  return out;
}

std::string Sha256Hex(std::string_view bytes) { return text::Hex(HashBytes(Hash::kSha256, bytes)); }
std::string OciDigest(std::string_view bytes) { return "sha256:" + Sha256Hex(bytes); }

bool EqualSecrets(std::string_view a, std::string_view b) {
  return a.size() == b.size() && (a.empty() || ::CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

}  // namespace skerry::crypto
