#include "embedded-kube-shim/auth/service_account.h"

#include <algorithm>

#include "core/base/strings.h"

namespace skerry::kube {
namespace {

constexpr std::string_view kPrivate = "kubernetes.io", kSubject = "system:serviceaccount:";
// A pod or account that is going away may still use its tokens this long after its time has come.
constexpr std::chrono::seconds kDeletionLeeway{60};

json::Value Reference(const ObjectIdentity& identity) {
  auto value = json::Value::Object();
  value.Set("name") = identity.name;
  value.Set("uid") = identity.uid;
  return value;
}

std::string ShowList(const std::vector<std::string>& values) {
  std::vector<std::string> quoted;
  for (const auto& value : values) quoted.push_back(Quote(value));
  return Cat("[", Join(quoted, " "), "]");
}

std::vector<std::string> Texts(const json::Value& value) {
  std::vector<std::string> out;
  if (value.is_string()) out.emplace_back(value.Str());
  for (const auto& item : value.Items()) out.emplace_back(item.Str());
  return out;
}

Error Refused(std::string why) { return Error(Code::kUnauthenticated, std::move(why)); }

}  // namespace

ServiceAccountTokens::ServiceAccountTokens(crypto::PrivateKey key, std::string issuer, std::vector<std::string> audiences, Informers& informers, const Clock& clock, Random& random)
    : signer_(std::move(key)),
      issuer_(std::move(issuer)),
      audiences_(audiences.empty() ? std::vector<std::string>{issuer_} : std::move(audiences)),
      accounts_(informers.Get("v1/serviceaccounts")),
      pods_(informers.Get("v1/pods")),
      secrets_(informers.Get("v1/secrets")),
      nodes_(informers.Get("v1/nodes")),
      clock_(clock),
      random_(random) {
  keys_.Add(signer_.Public());
}

Result<std::string> ServiceAccountTokens::Issue(const ServiceAccountClaims& wanted) const {
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(clock_.Now().time_since_epoch()).count();
  auto claims = json::Value::Object();
  claims.Set("aud") = json::Value::Array();
  for (const auto& audience : wanted.audiences.empty() ? audiences_ : wanted.audiences) claims.Set("aud").Append(audience);
  claims.Set("exp") = now + wanted.lifetime.count();
  claims.Set("iat") = now;
  claims.Set("iss") = issuer_;
  claims.Set("jti") = NewUuid(random_);
  auto& bound = claims.Set(kPrivate);
  bound.Set("namespace") = wanted.ns;
  if (wanted.node) bound.Set("node") = Reference(*wanted.node);
  if (wanted.pod) bound.Set("pod") = Reference(*wanted.pod);
  if (wanted.secret) bound.Set("secret") = Reference(*wanted.secret);
  bound.Set("serviceaccount") = Reference(wanted.account);
  claims.Set("nbf") = now;
  claims.Set("sub") = Cat(kSubject, wanted.ns, ":", wanted.account.name);
  return signer_.Sign(claims);
}

Result<> ServiceAccountTokens::StillThere(const Lister& lister, std::string_view what, std::string_view ns, const json::Value& reference) const {
  const std::string name(reference["name"].Str());
  const auto object = lister.Get({std::string(ns), name});
  if (!object) return std::unexpected(Refused(Cat(what, " ", name, " does not exist any more")));
  const auto& metadata = (*object)["metadata"];
  if (metadata["uid"].Str() != reference["uid"].Str()) return std::unexpected(Refused(Cat(what, " ", name, " has another uid than the token")));
  const auto deleted = metadata["deletionTimestamp"].Str();
  if (deleted.empty()) return {};
  const auto at = ParseTime(deleted);
  if (at && *at + kDeletionLeeway < clock_.Now()) return std::unexpected(Refused(Cat(what, " ", name, " has been deleted")));
  return {};
}

Result<> ServiceAccountTokens::NoteSecret(std::string_view ns, std::string_view account, const json::Value& reference) const {
  const auto secret = secrets_.Get({std::string(ns), std::string(reference["name"].Str())});
  if (!secret) return {};
  const auto& labels = (*secret)["metadata"]["labels"];
  if (const auto since = labels[kTokenInvalidSince].Str(); ParseTime(Cat(since, "T00:00:00Z"))) {
    return std::unexpected(Refused(Cat("the token in secret ", ns, "/", reference["name"].Str(), " for service account ", ns, "/", account, " has been marked invalid. Remove the label ",
                                       kTokenInvalidSince, " of the secret to use it for a while longer, or use tokens of the TokenRequest API")));
  }
  const std::string today = FormatTime(clock_.Now()).substr(0, 10);
  if (secret_used_ && labels[kTokenLastUsed].Str() != today) secret_used_({std::string(ns), std::string(reference["name"].Str())}, today);
  return {};
}

Result<User> ServiceAccountTokens::Check(const json::Value& claims) const {
  const auto& bound = claims[kPrivate];
  const auto ns = bound["namespace"].Str();
  const auto name = bound.At({"serviceaccount", "name"}).Str();
  if (ns.empty() || name.empty() || claims["sub"].Str() != Cat(kSubject, ns, ":", name)) return std::unexpected(Refused("the token names no service account"));
  TRY_VOID(StillThere(accounts_, "service account", ns, bound["serviceaccount"]));
  User user;
  user.name = claims["sub"].Str();
  user.uid = bound.At({"serviceaccount", "uid"}).Str();
  user.groups = {"system:serviceaccounts", Cat("system:serviceaccounts:", ns)};
  const auto remember = [&](std::string_view key, std::string_view value) { user.extra[Cat("authentication.kubernetes.io/", key)] = {std::string(value)}; };
  if (const auto id = claims["jti"].Str(); !id.empty()) remember("credential-id", Cat("JTI=", id));
  if (const auto* secret = bound.Find("secret")) {
    TRY_VOID(StillThere(secrets_, "secret", ns, *secret));
    TRY_VOID(NoteSecret(ns, name, *secret));
  }
  if (const auto* pod = bound.Find("pod")) {
    TRY_VOID(StillThere(pods_, "pod", ns, *pod));
    remember("pod-name", (*pod)["name"].Str());
    remember("pod-uid", (*pod)["uid"].Str());
  }
  if (const auto* node = bound.Find("node")) {
    // A pod's node is information; a token bound to the node alone ends with it.
    if (!bound.Find("pod")) TRY_VOID(StillThere(nodes_, "node", "", *node));
    remember("node-name", (*node)["name"].Str());
    if (const auto uid = (*node)["uid"].Str(); !uid.empty()) remember("node-uid", uid);
  }
  return user;
}

Result<std::optional<User>> ServiceAccountTokens::AuthenticateToken(std::string_view token, const std::vector<std::string>& audiences, std::vector<std::string>* granted) const {
  const auto unverified = crypto::UnverifiedClaims(token);
  if (!unverified || (*unverified)["iss"].Str() != issuer_) return std::optional<User>();
  crypto::JwtExpectations expect;
  expect.issuer = issuer_;
  TRY(const auto claims, keys_.Verify(token, clock_.Now(), expect));
  const auto held = Texts(claims["aud"]);
  const auto& wanted = audiences.empty() ? audiences_ : audiences;
  std::vector<std::string> accepted;
  for (const auto& audience : wanted)
    if (std::find(held.begin(), held.end(), audience) != held.end()) accepted.push_back(audience);
  if (accepted.empty()) return std::unexpected(Refused(Cat("token audiences ", ShowList(held), " is invalid for the target audiences ", ShowList(wanted))));
  TRY(auto user, Check(claims));
  if (granted) *granted = std::move(accepted);
  return user;
}

std::string ServiceAccountTokens::DiscoveryDocument(std::string_view base) const {
  auto document = json::Value::Object();
  document.Set("issuer") = issuer_;
  document.Set("jwks_uri") = Cat(base, "/openid/v1/jwks");
  document.Set("response_types_supported").Append("id_token");
  document.Set("subject_types_supported").Append("public");
  const auto type = signer_.Public().type();
  document.Set("id_token_signing_alg_values_supported").Append(type == crypto::KeyType::kP256 ? "ES256" : type == crypto::KeyType::kP384 ? "ES384" : "RS256");
  return document.Dump();
}

std::string ServiceAccountTokens::KeySetDocument() const { return keys_.ToJson().Dump(); }

}  // namespace skerry::kube
