#pragma once
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/crypto/key.h"
#include "core/json/value.h"

// JSON Web Tokens (RFC 7519) in compact form, signed with ES256, ES384, RS256, RS384 or RS512, and JSON Web Key sets (RFC 7517).
namespace skerry::crypto {

struct JwtExpectations {
  std::string issuer;                    // empty: any
  std::vector<std::string> audiences;    // empty: any; otherwise one of them must be in "aud"
  std::chrono::seconds leeway{0};
};

// Signs with one key; the header names the algorithm and the key's id. Immutable, thread-safe.
class JwtSigner {
 public:
  explicit JwtSigner(PrivateKey key);
  const std::string& key_id() const { return key_id_; }
  PublicKey Public() const { return key_.Public(); }
  Result<std::string> Sign(const json::Value& claims) const;

 private:
  PrivateKey key_;
  std::string key_id_, header_;
};

// The keys that tokens are accepted from. Thread-safe when const.
class JwkSet {
 public:
  void Add(PublicKey key);                                     // under its own id
  void Add(PublicKey key, std::string key_id);
  static Result<JwkSet> Parse(const json::Value& document);    // {"keys":[…]}; keys of other kinds or uses are skipped
  json::Value ToJson() const;
  std::size_t size() const { return keys_.size(); }

  // The claims of a token whose signature, times (exp, nbf; exp is required) and expectations hold. kUnauthenticated otherwise, with a reason
  // that is safe to log and names no secret. The algorithm follows from the key, never from the token alone; tokens beyond 16 KiB are refused.
  Result<json::Value> Verify(std::string_view token, Clock::Wall now, const JwtExpectations& expect = {}) const;

 private:
  struct Entry {
    std::string id;
    PublicKey key;
  };
  std::vector<Entry> keys_;
};

// The claims of a token without any check: to choose who should verify it (issuer), never to trust it.
Result<json::Value> UnverifiedClaims(std::string_view token);

}  // namespace skerry::crypto
