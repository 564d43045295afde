#include "core/crypto/jwt.h"

#include <algorithm>

#include "core/base/strings.h"
#include "core/json/parse.h"
#include "core/text/base64.h"

namespace skerry::crypto {
namespace {

constexpr std::size_t kMaxToken = 16 << 10;

std::unexpected<Error> Refuse(std::string message) { return Fail(Code::kUnauthenticated, "token: " + std::move(message)); }

std::string_view DefaultAlgorithm(KeyType type) { return type == KeyType::kP256 ? "ES256" : type == KeyType::kP384 ? "ES384" : "RS256"; }

// The RSA hash width of an algorithm that fits the key; 0 when it does not fit.
int FittingBits(KeyType type, std::string_view algorithm) {
  if (type != KeyType::kRsa) return algorithm == DefaultAlgorithm(type) ? 256 : 0;
  return algorithm == "RS256" ? 256 : algorithm == "RS384" ? 384 : algorithm == "RS512" ? 512 : 0;
}

struct Parts {
  std::string_view header, claims, signature, signed_text;
};

Result<Parts> SplitToken(std::string_view token) {
  if (token.size() > kMaxToken) return Refuse("too long");
  const auto pieces = Split(token, '.');
  if (pieces.size() != 3) return Refuse("is not a signed JSON web token");
  return Parts{pieces[0], pieces[1], pieces[2], token.substr(0, pieces[0].size() + 1 + pieces[1].size())};
}

Result<json::Value> DecodeObject(std::string_view part, std::string_view what) {
  const auto bytes = text::FromBase64Url(part);
  if (!bytes) return Refuse(Cat(what, " is not base64url"));
  auto value = json::Parse(*bytes, {.max_bytes = kMaxToken, .max_depth = 32});
  if (!value || !value->is_object()) return Refuse(Cat(what, " is not a JSON object"));
  return value;
}

// Seconds since the epoch; doubles are legal and rounded down.
bool NumericDate(const json::Value& v, Clock::Wall* out) {
  if (!v.is_number()) return false;
  const double seconds = v.Double();
  if (!(seconds > -1e11 && seconds < 2e11)) return false;
  *out = Clock::Wall(std::chrono::duration_cast<Clock::Wall::duration>(std::chrono::seconds(static_cast<std::int64_t>(seconds))));
  return seconds < 9e9;   // what a 64-bit nanosecond clock can hold
}

Result<> CheckTimes(const json::Value& claims, Clock::Wall now, std::chrono::seconds leeway) {
  Clock::Wall at;
  if (!NumericDate(claims["exp"], &at)) return Refuse("has no valid expiry");
  if (now - leeway >= at) return Refuse("has expired");
  if (claims.Find("nbf") && (!NumericDate(claims["nbf"], &at) || now + leeway < at)) return Refuse("is not valid yet");
  return {};
}

bool Covers(const json::Value& audience, const std::vector<std::string>& accepted) {
  const auto is_accepted = [&](const json::Value& v) { return v.is_string() && std::find(accepted.begin(), accepted.end(), v.Str()) != accepted.end(); };
  return is_accepted(audience) || std::any_of(audience.Items().begin(), audience.Items().end(), is_accepted);
}

Result<PublicKey> FromJwk(const json::Value& jwk) {
  const auto number = [&](std::string_view name) -> Result<std::string> { return text::FromBase64Url(jwk[name].Str()); };
  if (jwk["kty"].Str() == "RSA") {
    TRY(const std::string n, number("n"));
    TRY(const std::string e, number("e"));
    return PublicKey::FromRsa(n, e);
  }
  if (jwk["kty"].Str() != "EC") return Fail(Code::kUnsupported, "kind of key");
  TRY(const std::string x, number("x"));
  TRY(const std::string y, number("y"));
  if (jwk["crv"].Str() == "P-256") return PublicKey::FromEcPoint(KeyType::kP256, x, y);
  if (jwk["crv"].Str() == "P-384") return PublicKey::FromEcPoint(KeyType::kP384, x, y);
  return Fail(Code::kUnsupported, "curve");
}

}  // namespace

JwtSigner::JwtSigner(PrivateKey key) : key_(std::move(key)), key_id_(key_.Public().KeyId()) {
  json::Value header = json::Value::Object();
  header.Set("alg") = DefaultAlgorithm(key_.type());
  header.Set("kid") = key_id_;
  header.Set("typ") = "JWT";
  header_ = text::Base64Url(header.Dump());
}

Result<std::string> JwtSigner::Sign(const json::Value& claims) const {
  std::string token = Cat(header_, '.', text::Base64Url(claims.Dump()));
  TRY(const std::string signature, key_.Sign(token));
  return Cat(token, '.', text::Base64Url(signature));
}

void JwkSet::Add(PublicKey key) {
  std::string id = key.KeyId();
  Add(std::move(key), std::move(id));
}
void JwkSet::Add(PublicKey key, std::string key_id) { keys_.push_back({std::move(key_id), std::move(key)}); }

Result<JwkSet> JwkSet::Parse(const json::Value& document) {
  if (!document["keys"].is_array()) return Fail(Code::kBadRequest, "a key set has a list of keys");
  JwkSet out;
  for (const json::Value& jwk : document["keys"].Items()) {
    if (jwk["use"].is_string() && jwk["use"].Str() != "sig") continue;
    auto key = FromJwk(jwk);
    if (key) out.Add(*std::move(key), std::string(jwk["kid"].Str()));
  }
  return out;
}

json::Value JwkSet::ToJson() const {
  json::Value keys = json::Value::Array();
  for (const Entry& e : keys_) {
    json::Value jwk = json::Value::Object();
    jwk.Set("use") = "sig";
    jwk.Set("kty") = e.key.type() == KeyType::kRsa ? "RSA" : "EC";
    jwk.Set("kid") = e.id;
    if (e.key.type() == KeyType::kRsa) {
      jwk.Set("alg") = "RS256";
      jwk.Set("n") = text::Base64Url(e.key.RsaModulus());
      jwk.Set("e") = text::Base64Url(e.key.RsaExponent());
    } else {
      jwk.Set("crv") = e.key.type() == KeyType::kP256 ? "P-256" : "P-384";
      jwk.Set("alg") = DefaultAlgorithm(e.key.type());
      jwk.Set("x") = text::Base64Url(e.key.EcX());
      jwk.Set("y") = text::Base64Url(e.key.EcY());
    }
    keys.Append(std::move(jwk));
  }
  json::Value out = json::Value::Object();
  out.Set("keys") = std::move(keys);
  return out;
}

Result<json::Value> JwkSet::Verify(std::string_view token, Clock::Wall now, const JwtExpectations& expect) const {
  TRY(const Parts parts, SplitToken(token));
  TRY(const json::Value header, DecodeObject(parts.header, "header"));
  if (header.Find("crit")) return Refuse("has critical extensions");
  const auto signature = text::FromBase64Url(parts.signature);
  if (!signature) return Refuse("signature is not base64url");
  const std::string_view id = header["kid"].Str();
  bool good = false;
  for (const Entry& e : keys_) {
    if (!id.empty() && !e.id.empty() && e.id != id) continue;
    const int bits = FittingBits(e.key.type(), header["alg"].Str());
    if (bits != 0 && e.key.Verify(parts.signed_text, *signature, bits)) {
      good = true;
      break;
    }
  }
  if (!good) return Refuse("signature is not by a known key");
  TRY(json::Value claims, DecodeObject(parts.claims, "body"));
  TRY_VOID(CheckTimes(claims, now, expect.leeway));
  if (!expect.issuer.empty() && claims["iss"].Str() != expect.issuer) return Refuse("is from another issuer");
  if (!expect.audiences.empty() && !Covers(claims["aud"], expect.audiences)) return Refuse("is for another audience");
  return claims;
}

Result<json::Value> UnverifiedClaims(std::string_view token) {
  TRY(const Parts parts, SplitToken(token));
  return DecodeObject(parts.claims, "body");
}

}  // namespace skerry::crypto
