#include "core/crypto/key.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include <cstdlib>

#include "core/base/strings.h"
#include "core/crypto/digest.h"
#include "core/crypto/openssl.h"
#include "core/text/base64.h"

namespace skerry::crypto {
namespace {

using SignaturePtr = OpenSslPtr<ECDSA_SIG, ::ECDSA_SIG_free>;
using KeyContextPtr = OpenSslPtr<EVP_PKEY_CTX, ::EVP_PKEY_CTX_free>;

Result<KeyType> TypeOf(const EVP_PKEY* key) {
  if (key == nullptr) return OpenSslFail(Code::kBadRequest, "read public key");   // a certificate may hold a damaged one
  const int id = ::EVP_PKEY_get_base_id(key);
  if (id == EVP_PKEY_RSA) {
    if (::EVP_PKEY_get_bits(key) < 2048 || ::EVP_PKEY_get_bits(key) > 16384) return Fail(Code::kUnsupported, "RSA keys must have 2048 to 16384 bits");
    return KeyType::kRsa;
  }
  char group[32];
  std::size_t size = 0;
  if (id == EVP_PKEY_EC && ::EVP_PKEY_get_group_name(key, group, sizeof group, &size) == 1) {
    const std::string_view name(group, size);
    if (name == "prime256v1" || name == "P-256") return KeyType::kP256;
    if (name == "secp384r1" || name == "P-384") return KeyType::kP384;
  }
  return Fail(Code::kUnsupported, "only RSA, P-256 and P-384 keys are supported");
}

std::size_t Width(KeyType type) { return type == KeyType::kP256 ? 32 : 48; }

std::string BigParameter(const EVP_PKEY* key, const char* name, std::size_t width) {
  BIGNUM* raw = nullptr;
  if (::EVP_PKEY_get_bn_param(key, name, &raw) != 1) return {};
  const BigPtr number(raw);
  if (width == 0) width = static_cast<std::size_t>(BN_num_bytes(raw));
  std::string out(width, '\0');
  ::BN_bn2binpad(raw, reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(width));
  return out;
}

const EVP_MD* HashFor(KeyType type, int rsa_bits) {
  if (type == KeyType::kP384 || (type == KeyType::kRsa && rsa_bits == 384)) return ::EVP_sha384();
  return type == KeyType::kRsa && rsa_bits == 512 ? ::EVP_sha512() : ::EVP_sha256();
}

// r||s of fixed width, as JOSE has it, from OpenSSL's DER and back.
Result<std::string> FlatSignature(std::string_view der, std::size_t width) {
  const unsigned char* p = Data(der);
  const SignaturePtr parsed(::d2i_ECDSA_SIG(nullptr, &p, static_cast<long>(der.size())));
  if (!parsed) return OpenSslFail(Code::kInternal, "read signature");
  std::string out(width * 2, '\0');
  auto* at = reinterpret_cast<unsigned char*>(out.data());
  ::BN_bn2binpad(::ECDSA_SIG_get0_r(parsed.get()), at, static_cast<int>(width));
  ::BN_bn2binpad(::ECDSA_SIG_get0_s(parsed.get()), at + width, static_cast<int>(width));
  return out;
}

std::string DerSignature(std::string_view flat) {
  const std::size_t width = flat.size() / 2;
  const SignaturePtr parsed(::ECDSA_SIG_new());
  BIGNUM* r = ::BN_bin2bn(Data(flat), static_cast<int>(width), nullptr);
  BIGNUM* s = ::BN_bin2bn(Data(flat.substr(width)), static_cast<int>(width), nullptr);
  ::ECDSA_SIG_set0(parsed.get(), r, s);
  unsigned char* der = nullptr;
  const int size = ::i2d_ECDSA_SIG(parsed.get(), &der);
  std::string out(reinterpret_cast<char*>(der), static_cast<std::size_t>(size > 0 ? size : 0));
  ::OPENSSL_free(der);
  return out;
}

Result<PublicKey> FromParameters(const char* algorithm, OSSL_PARAM* parameters) {
  const OpenSslPtr<OSSL_PARAM, ::OSSL_PARAM_free> owner(parameters);
  const KeyContextPtr context(::EVP_PKEY_CTX_new_from_name(nullptr, algorithm, nullptr));
  EVP_PKEY* key = nullptr;
  if (!parameters || !context || ::EVP_PKEY_fromdata_init(context.get()) != 1 || ::EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1) {
    return OpenSslFail(Code::kBadRequest, "build public key");
  }
  return WrapPublicKey(std::make_shared<const KeyImpl>(KeyImpl{PkeyPtr(key)}));
}

}  // namespace

std::unexpected<Error> OpenSslFail(Code code, std::string_view what) {
  const unsigned long number = ::ERR_peek_last_error();
  const char* reason = number ? ::ERR_reason_error_string(number) : nullptr;
  ::ERR_clear_error();
  return Fail(code, reason ? Cat(what, ": ", reason) : std::string(what));
}

BioPtr ReadBio(std::string_view bytes) { return BioPtr(::BIO_new_mem_buf(bytes.empty() ? "" : bytes.data(), static_cast<int>(bytes.size()))); }

std::string TakeBio(const BioPtr& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<std::size_t>(size > 0 ? size : 0));
}

Result<PublicKey> WrapPublicKey(std::shared_ptr<const KeyImpl> impl) {
  TRY(const KeyType type, TypeOf(impl->key.get()));
  return PublicKey(std::move(impl), type);
}

Result<PublicKey> PublicKey::FromPem(std::string_view pem) {
  if (pem.find("-----BEGIN CERTIFICATE-----") != std::string_view::npos) {
    const X509Ptr certificate(::PEM_read_bio_X509(ReadBio(pem).get(), nullptr, nullptr, nullptr));
    if (!certificate) return OpenSslFail(Code::kBadRequest, "read certificate");
    return WrapPublicKey(std::make_shared<const KeyImpl>(KeyImpl{PkeyPtr(::X509_get_pubkey(certificate.get()))}));
  }
  PkeyPtr key(::PEM_read_bio_PUBKEY(ReadBio(pem).get(), nullptr, nullptr, nullptr));
  if (!key) return OpenSslFail(Code::kBadRequest, "read public key");
  return WrapPublicKey(std::make_shared<const KeyImpl>(KeyImpl{std::move(key)}));
}

Result<PublicKey> PublicKey::FromDer(std::string_view spki) {
  const unsigned char* p = Data(spki);
  PkeyPtr key(::d2i_PUBKEY(nullptr, &p, static_cast<long>(spki.size())));
  if (!key) return OpenSslFail(Code::kBadRequest, "read public key");
  return WrapPublicKey(std::make_shared<const KeyImpl>(KeyImpl{std::move(key)}));
}

Result<PublicKey> PublicKey::FromEcPoint(KeyType curve, std::string_view x, std::string_view y) {
  if (curve == KeyType::kRsa || x.size() != Width(curve) || y.size() != Width(curve)) return Fail(Code::kBadRequest, "coordinates have the wrong size");
  const std::string point = Cat('\x04', x, y);
  const OpenSslPtr<OSSL_PARAM_BLD, ::OSSL_PARAM_BLD_free> builder(::OSSL_PARAM_BLD_new());
  ::OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve == KeyType::kP256 ? "P-256" : "P-384", 0);
  ::OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size());
  return FromParameters("EC", ::OSSL_PARAM_BLD_to_param(builder.get()));
}

Result<PublicKey> PublicKey::FromRsa(std::string_view modulus, std::string_view exponent) {
  if (modulus.empty() || modulus.size() > 2048 || exponent.empty() || exponent.size() > 8) return Fail(Code::kBadRequest, "RSA numbers have the wrong size");
  const OpenSslPtr<OSSL_PARAM_BLD, ::OSSL_PARAM_BLD_free> builder(::OSSL_PARAM_BLD_new());
  const BigPtr n(::BN_bin2bn(Data(modulus), static_cast<int>(modulus.size()), nullptr));
  const BigPtr e(::BN_bin2bn(Data(exponent), static_cast<int>(exponent.size()), nullptr));
  ::OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get());
  ::OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get());
  return FromParameters("RSA", ::OSSL_PARAM_BLD_to_param(builder.get()));
}

std::string PublicKey::ToPem() const {
  const BioPtr out(::BIO_new(::BIO_s_mem()));
  if (::PEM_write_bio_PUBKEY(out.get(), impl_->key.get()) != 1) std::abort();
  return TakeBio(out);
}

std::string PublicKey::ToDer() const {
  unsigned char* der = nullptr;
  const int size = ::i2d_PUBKEY(impl_->key.get(), &der);
  if (size <= 0) std::abort();
  std::string out(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  ::OPENSSL_free(der);
  return out;
}

std::string PublicKey::KeyId() const { return text::Base64Url(HashBytes(Hash::kSha256, ToDer())); }
std::string PublicKey::EcX() const { return type_ == KeyType::kRsa ? "" : BigParameter(impl_->key.get(), OSSL_PKEY_PARAM_EC_PUB_X, Width(type_)); }
std::string PublicKey::EcY() const { return type_ == KeyType::kRsa ? "" : BigParameter(impl_->key.get(), OSSL_PKEY_PARAM_EC_PUB_Y, Width(type_)); }
std::string PublicKey::RsaModulus() const { return type_ == KeyType::kRsa ? BigParameter(impl_->key.get(), OSSL_PKEY_PARAM_RSA_N, 0) : ""; }
std::string PublicKey::RsaExponent() const { return type_ == KeyType::kRsa ? BigParameter(impl_->key.get(), OSSL_PKEY_PARAM_RSA_E, 0) : ""; }

bool PublicKey::Verify(std::string_view message, std::string_view signature, int rsa_bits) const {
  std::string der;
  if (type_ != KeyType::kRsa) {
    if (signature.size() != Width(type_) * 2) return false;
    der = DerSignature(signature);
    signature = der;
  }
  const MdContextPtr context(::EVP_MD_CTX_new());
  const bool good = ::EVP_DigestVerifyInit(context.get(), nullptr, HashFor(type_, rsa_bits), nullptr, impl_->key.get()) == 1 &&
                    ::EVP_DigestVerify(context.get(), Data(signature), signature.size(), Data(message), message.size()) == 1;
  ::ERR_clear_error();
  return good;
}

PrivateKey PrivateKey::GenerateP256() {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  if (!key) std::abort();   // no memory or no entropy: nothing can be served then
  return PrivateKey(std::make_shared<const KeyImpl>(KeyImpl{PkeyPtr(key)}), KeyType::kP256);
}

Result<PrivateKey> PrivateKey::FromPem(std::string_view pem) {
  // An empty pass phrase instead of the default callback, which would ask on the terminal.
  PkeyPtr key(::PEM_read_bio_PrivateKey(ReadBio(pem).get(), nullptr, nullptr, const_cast<char*>("")));
  if (!key) return OpenSslFail(Code::kBadRequest, "read private key");
  TRY(const KeyType type, TypeOf(key.get()));
  return PrivateKey(std::make_shared<const KeyImpl>(KeyImpl{std::move(key)}), type);
}

std::string PrivateKey::ToPem() const {
  const BioPtr out(::BIO_new(::BIO_s_mem()));
  if (::PEM_write_bio_PKCS8PrivateKey(out.get(), impl_->key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) std::abort();
  return TakeBio(out);
}

Result<std::string> PrivateKey::Sign(std::string_view message) const {
  const MdContextPtr context(::EVP_MD_CTX_new());
  std::size_t size = 0;
  if (::EVP_DigestSignInit(context.get(), nullptr, HashFor(type_, 256), nullptr, impl_->key.get()) != 1 ||
      ::EVP_DigestSign(context.get(), nullptr, &size, Data(message), message.size()) != 1) {
    return OpenSslFail(Code::kInternal, "sign");
  }
  std::string out(size, '\0');
  if (::EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size, Data(message), message.size()) != 1) return OpenSslFail(Code::kInternal, "sign");
  out.resize(size);
  return type_ == KeyType::kRsa ? Result<std::string>(std::move(out)) : FlatSignature(out, Width(type_));
}

}  // namespace skerry::crypto
