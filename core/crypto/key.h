#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/result.h"

// Asymmetric keys. Own keys are ECDSA P-256; RSA (2048 bits and up) and P-384 are read for what others bring.
// Values are cheap to copy, immutable and safe to use from several threads at once.
namespace skerry::crypto {

struct KeyImpl;

enum class KeyType : std::uint8_t { kP256, kP384, kRsa };

class PublicKey {
 public:
  // PEM "PUBLIC KEY" or "CERTIFICATE". kBadRequest; kUnsupported for other kinds of keys.
  static Result<PublicKey> FromPem(std::string_view pem);
  static Result<PublicKey> FromDer(std::string_view spki);
  // From the numbers of a JSON Web Key: raw big-endian bytes.
  static Result<PublicKey> FromEcPoint(KeyType curve, std::string_view x, std::string_view y);
  static Result<PublicKey> FromRsa(std::string_view modulus, std::string_view exponent);

  KeyType type() const { return type_; }
  std::string ToPem() const;
  std::string ToDer() const;                      // SubjectPublicKeyInfo
  std::string KeyId() const;                      // base64url(SHA-256(SPKI))
  std::string EcX() const, EcY() const;           // fixed width; empty for RSA
  std::string RsaModulus() const, RsaExponent() const;

  // JOSE signatures: r||s for EC, PKCS#1 v1.5 for RSA. EC keys use the hash of their curve; RSA uses `rsa_bits` of SHA-2 (256, 384, 512).
  bool Verify(std::string_view message, std::string_view signature, int rsa_bits = 256) const;

  const KeyImpl& impl() const { return *impl_; }

 private:
  friend class PrivateKey;
  friend Result<PublicKey> WrapPublicKey(std::shared_ptr<const KeyImpl> impl);
  PublicKey(std::shared_ptr<const KeyImpl> impl, KeyType type) : impl_(std::move(impl)), type_(type) {}
  std::shared_ptr<const KeyImpl> impl_;
  KeyType type_;
};
Result<PublicKey> WrapPublicKey(std::shared_ptr<const KeyImpl> impl);

class PrivateKey {
 public:
  static PrivateKey GenerateP256();
  static Result<PrivateKey> FromPem(std::string_view pem);   // PKCS#8, SEC1 or PKCS#1; no pass phrase
  KeyType type() const { return type_; }
  std::string ToPem() const;                                 // PKCS#8 ("PRIVATE KEY")
  PublicKey Public() const { return PublicKey(impl_, type_); }
  // As PublicKey::Verify reads it; RSA with SHA-256.
  Result<std::string> Sign(std::string_view message) const;
  const KeyImpl& impl() const { return *impl_; }

 private:
  PrivateKey(std::shared_ptr<const KeyImpl> impl, KeyType type) : impl_(std::move(impl)), type_(type) {}
  std::shared_ptr<const KeyImpl> impl_;
  KeyType type_;
};

}  // namespace skerry::crypto
