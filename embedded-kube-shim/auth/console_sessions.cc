#include "embedded-kube-shim/auth/console_sessions.h"

#include "core/base/strings.h"
#include "core/crypto/digest.h"

namespace skerry::kube {
namespace {

constexpr std::string_view kIssuer = "skerry-console";
constexpr std::size_t kCodeLength = 20, kMostCodes = 256;   // 20 letters of 27: 95 bits

std::int64_t Seconds(Clock::Wall at) { return std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count(); }

}  // namespace

ConsoleSessions::ConsoleSessions(crypto::PrivateKey key, const Clock& clock, Random& random) : signer_(std::move(key)), clock_(clock), random_(random) { keys_.Add(signer_.Public()); }

Result<std::string> ConsoleSessions::NewCode(const User& user) {
  auto code = NameSuffix(kCodeLength, random_);
  const auto now = clock_.Mono();
  std::lock_guard lock(mutex_);
  std::erase_if(codes_, [&](const auto& entry) { return entry.second.expires <= now; });
  if (codes_.size() >= kMostCodes) return Fail(Code::kTooMany, "too many login codes wait to be used; try again later");
  codes_[crypto::Sha256Hex(code)] = {user, now + kCodeLife};
  return code;
}

Result<ConsoleSessions::Session> ConsoleSessions::Redeem(std::string_view code) {
  std::optional<Waiting> found;
  {
    std::lock_guard lock(mutex_);
    if (const auto node = codes_.extract(crypto::Sha256Hex(code))) found = node.mapped();
  }
  if (!found || found->expires <= clock_.Mono()) return Fail(Code::kUnauthenticated, "this login code is unknown, used or older than 15 minutes");
  const auto now = clock_.Now();
  auto claims = json::Value::Object();
  claims.Set("iss") = kIssuer;
  claims.Set("sub") = found->user.name;
  claims.Set("uid") = found->user.uid;
  claims.Set("groups") = json::Value::Array();
  for (const auto& group : found->user.groups) claims.Set("groups").Append(group);
  claims.Set("iat") = Seconds(now);
  claims.Set("nbf") = Seconds(now);
  claims.Set("exp") = Seconds(now + kSessionLife);
  claims.Set("jti") = NewUuid(random_);
  TRY(auto token, signer_.Sign(claims));
  return Session{std::move(token), now + kSessionLife};
}

Result<std::optional<User>> ConsoleSessions::AuthenticateToken(std::string_view token, const std::vector<std::string>& audiences, std::vector<std::string>*) const {
  const auto unverified = crypto::UnverifiedClaims(token);
  if (!unverified || (*unverified)["iss"].Str() != kIssuer) return std::optional<User>();
  if (!audiences.empty()) return Fail(Code::kUnauthenticated, "a console session is for this API alone");
  crypto::JwtExpectations expect;
  expect.issuer = kIssuer;
  TRY(const auto claims, keys_.Verify(token, clock_.Now(), expect));
  User user;
  user.name = claims["sub"].Str();
  user.uid = claims["uid"].Str();
  for (const auto& group : claims["groups"].Items()) user.groups.emplace_back(group.Str());
  if (const auto id = claims["jti"].Str(); !id.empty()) user.extra["authentication.kubernetes.io/credential-id"] = {Cat("JTI=", id)};
  return user;
}

}  // namespace skerry::kube
