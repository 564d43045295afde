#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/crypto/jwt.h"
#include "embedded-kube-shim/auth/authenticator.h"

// Tokens of service accounts: JSON Web Tokens bound to a service account and, if wanted, to a pod, secret or node. Every use checks that
// the bound objects still exist under the same uid.
namespace skerry::kube {

// Dates ("2026-01-31") on a secret with a token: when it was last used, and since when it is not to be used any more.
inline constexpr std::string_view kTokenLastUsed = "kubernetes.io/legacy-token-last-used", kTokenInvalidSince = "kubernetes.io/legacy-token-invalid-since";

struct ObjectIdentity {
  std::string name, uid;
};

struct ServiceAccountClaims {
  std::string ns;
  ObjectIdentity account;
  std::optional<ObjectIdentity> pod, secret, node;
  std::vector<std::string> audiences;
  std::chrono::seconds lifetime{3600};
};

class ServiceAccountTokens final : public TokenAuthenticator {
 public:
  // `audiences`: what the API server itself accepts (the issuer when empty).
  ServiceAccountTokens(crypto::PrivateKey key, std::string issuer, std::vector<std::string> audiences, Informers& informers, const Clock& clock, Random& random);

  // Told, on any thread, of a use of a token whose secret does not say yet that it was used on this date. Set before the first use.
  using SecretUse = std::function<void(const Key& secret, const std::string& date)>;
  void OnSecretUse(SecretUse used) { secret_used_ = std::move(used); }

  Result<std::string> Issue(const ServiceAccountClaims& claims) const;
  const std::vector<std::string>& audiences() const { return audiences_; }
  Result<std::optional<User>> AuthenticateToken(std::string_view token, const std::vector<std::string>& audiences, std::vector<std::string>* granted) const override;

  // OpenID Connect discovery; `base` is the URL clients reach the API at.
  std::string DiscoveryDocument(std::string_view base) const;
  std::string KeySetDocument() const;

 private:
  Result<User> Check(const json::Value& claims) const;
  Result<> StillThere(const Lister& lister, std::string_view what, std::string_view ns, const json::Value& reference) const;

  Result<> NoteSecret(std::string_view ns, std::string_view account, const json::Value& reference) const;

  const crypto::JwtSigner signer_;
  crypto::JwkSet keys_;
  const std::string issuer_;
  const std::vector<std::string> audiences_;
  const Lister& accounts_;
  const Lister& pods_;
  const Lister& secrets_;
  const Lister& nodes_;
  const Clock& clock_;
  Random& random_;
  SecretUse secret_used_;              // may be empty
};

}  // namespace skerry::kube
