#include "core/crypto/seal.h"

#include <openssl/evp.h>

#include <cstdlib>
#include <span>

#include "core/base/random.h"
#include "core/crypto/openssl.h"

namespace skerry::crypto {
namespace {

constexpr std::size_t kNonce = 12, kTag = 16;
using CipherPtr = OpenSslPtr<EVP_CIPHER_CTX, ::EVP_CIPHER_CTX_free>;

unsigned char* Data(std::string& s) { return reinterpret_cast<unsigned char*>(s.data()); }
int Size(std::string_view s) { return static_cast<int>(s.size()); }

}  // namespace

Result<Sealer> Sealer::Create(std::string_view key) {
  if (key.size() != kKeySize) return Fail(Code::kInvalid, "a sealing key has 32 bytes");
  return Sealer(key);
}

std::string Sealer::GenerateKey() {
  std::string key(kKeySize, '\0');
  Random::System().Fill(std::as_writable_bytes(std::span(key)));
  return key;
}

std::string Sealer::Seal(std::string_view plain, std::string_view context) const {
  std::string out(kNonce + plain.size() + kTag, '\0');
  Random::System().Fill(std::as_writable_bytes(std::span(out).first(kNonce)));
  const CipherPtr cipher(::EVP_CIPHER_CTX_new());
  int n = 0;
  unsigned char* body = Data(out) + kNonce;
  const bool good = ::EVP_EncryptInit_ex(cipher.get(), ::EVP_aes_256_gcm(), nullptr, Data(key_), Data(out)) == 1 &&
                    (context.empty() || ::EVP_EncryptUpdate(cipher.get(), nullptr, &n, Data(context), Size(context)) == 1) &&
                    (plain.empty() || ::EVP_EncryptUpdate(cipher.get(), body, &n, Data(plain), Size(plain)) == 1) &&
                    ::EVP_EncryptFinal_ex(cipher.get(), body + plain.size(), &n) == 1 &&
                    ::EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTag, body + plain.size()) == 1;
  if (!good) std::abort();   // a secret must not be stored in the clear instead
  return out;
}

Result<std::string> Sealer::Open(std::string_view sealed, std::string_view context) const {
  if (sealed.size() < kOverhead) return Fail(Code::kCorruption, "sealed value is too short");
  std::string tag(sealed.substr(sealed.size() - kTag));
  const std::string_view body = sealed.substr(kNonce, sealed.size() - kOverhead);
  std::string out(body.size(), '\0');
  const CipherPtr cipher(::EVP_CIPHER_CTX_new());
  int n = 0;
  const bool good = ::EVP_DecryptInit_ex(cipher.get(), ::EVP_aes_256_gcm(), nullptr, Data(key_), Data(sealed)) == 1 &&
                    (context.empty() || ::EVP_DecryptUpdate(cipher.get(), nullptr, &n, Data(context), Size(context)) == 1) &&
                    (body.empty() || ::EVP_DecryptUpdate(cipher.get(), Data(out), &n, Data(body), Size(body)) == 1) &&
                    ::EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTag, tag.data()) == 1 &&
                    ::EVP_DecryptFinal_ex(cipher.get(), Data(out) + out.size(), &n) == 1;
  ::ERR_clear_error();
  if (!good) return Fail(Code::kCorruption, "sealed value does not open: wrong key, wrong place, or damaged");
  return out;
}

}  // namespace skerry::crypto
