#include "embedded-kube-shim/auth/authenticator.h"

#include <algorithm>

#include "core/base/strings.h"
#include "core/crypto/certificate.h"
#include "core/crypto/digest.h"
#include "core/telemetry/log.h"
#include "embedded-kube-shim/api/status.h"

namespace skerry::kube {
namespace {

constexpr std::string_view kAuthenticated = "system:authenticated", kUnauthenticated = "system:unauthenticated";

class CertificateAuthenticator final : public Authenticator {
 public:
  Result<std::optional<User>> Authenticate(const Ctx&, const http::Request& request) const override {
    if (!request.peer || request.peer->common_name.empty()) return std::optional<User>();
    User user;
    user.name = request.peer->common_name;
    user.groups = request.peer->organizations;
    user.extra["authentication.kubernetes.io/credential-id"] = {"X509SHA256=" + crypto::Sha256Hex(request.peer->der)};
    return user;
  }
};

class StaticTokens final : public TokenAuthenticator {
 public:
  explicit StaticTokens(std::vector<StaticToken> tokens) : tokens_(std::move(tokens)) {}
  Result<std::optional<User>> AuthenticateToken(std::string_view token, const std::vector<std::string>&, std::vector<std::string>*) const override {
    const auto digest = crypto::Sha256Hex(token);
    const User* found = nullptr;
    for (const auto& known : tokens_)
      if (crypto::EqualSecrets(known.sha256, digest)) found = &known.user;
    if (!found) return std::optional<User>();
    return *found;
  }

 private:
  const std::vector<StaticToken> tokens_;
};

class UnionAuthorizer final : public Authorizer {
 public:
  explicit UnionAuthorizer(std::vector<const Authorizer*> all) : all_(std::move(all)) {}
  Verdict Authorize(const Attributes& attributes) const override {
    if (attributes.user.InGroup("system:masters")) return {Decision::kAllow, ""};
    std::string reasons;
    for (const auto* each : all_) {
      auto verdict = each->Authorize(attributes);
      if (verdict.decision != Decision::kNoOpinion) return verdict;
      if (!verdict.reason.empty()) reasons += Cat(reasons.empty() ? "" : "\n", verdict.reason);
    }
    return {Decision::kNoOpinion, std::move(reasons)};
  }

 private:
  const std::vector<const Authorizer*> all_;
};

class ConstantAuthorizer final : public Authorizer {
 public:
  explicit ConstantAuthorizer(Decision decision) : decision_(decision) {}
  Verdict Authorize(const Attributes&) const override { return {decision_, decision_ == Decision::kDeny ? "Everything is forbidden." : ""}; }

 private:
  const Decision decision_;
};

void AddGroup(User& user, std::string_view group) {
  if (!user.InGroup(group)) user.groups.emplace_back(group);
}

Error Unauthorized() { return Error(Code::kUnauthenticated, "Unauthorized"); }

}  // namespace

Result<std::vector<StaticToken>> ParseTokenFile(std::string_view text) {
  std::vector<StaticToken> out;
  std::size_t number = 0;
  for (auto line : Split(text, '\n')) {
    ++number;
    line = Trim(line);
    if (line.empty() || line.front() == '#') continue;
    std::vector<std::string> fields(1);
    bool quoted = false;
    for (const char c : line) {
      if (c == '"') quoted = !quoted;
      else if (c == ',' && !quoted) fields.emplace_back();
      else fields.back() += c;
    }
    for (auto& field : fields) field = std::string(Trim(field));
    if (quoted || fields.size() < 3 || fields[0].empty() || fields[1].empty()) return Fail(Code::kBadRequest, Cat("token file line ", number, ": want token,user,uid[,\"group1,group2\"]"));
    StaticToken token{crypto::Sha256Hex(fields[0]), {}};
    token.user.name = fields[1];
    token.user.uid = fields[2];
    if (fields.size() > 3)
      for (const auto group : Split(fields[3], ','))
        if (!Trim(group).empty()) token.user.groups.emplace_back(Trim(group));
    out.push_back(std::move(token));
  }
  return out;
}

std::unique_ptr<Authenticator> NewCertificateAuthenticator() { return std::make_unique<CertificateAuthenticator>(); }
std::unique_ptr<TokenAuthenticator> NewStaticTokens(std::vector<StaticToken> tokens) { return std::make_unique<StaticTokens>(std::move(tokens)); }
std::unique_ptr<Authorizer> NewUnionAuthorizer(std::vector<const Authorizer*> authorizers) { return std::make_unique<UnionAuthorizer>(std::move(authorizers)); }
std::unique_ptr<Authorizer> NewConstantAuthorizer(Decision decision) { return std::make_unique<ConstantAuthorizer>(decision); }

Result<std::optional<User>> AuthenticatorChain::AuthenticateToken(std::string_view token, const std::vector<std::string>& audiences, std::vector<std::string>* granted) const {
  std::vector<std::string> refusals;
  for (const auto& authenticator : tokens_) {
    auto user = authenticator->AuthenticateToken(token, audiences, granted);
    if (!user) {
      refusals.emplace_back(user.error().message());
    } else if (*user) {
      AddGroup(**user, kAuthenticated);
      return user;
    }
  }
  constexpr std::string_view kUnknown = "invalid bearer token";
  return Fail(Code::kUnauthenticated, refusals.empty() ? std::string(kUnknown) : Cat("[", kUnknown, ", ", Join(refusals, ", "), "]"));
}

Result<std::optional<User>> AuthenticatorChain::Authenticate(const Ctx& ctx, const http::Request& request) const {
  for (const auto& authenticator : requests_) {
    TRY(auto user, authenticator->Authenticate(ctx, request));
    if (user) {
      AddGroup(*user, kAuthenticated);
      return user;
    }
  }
  const auto header = request.Get("Authorization");
  if (header.size() > 7 && EqualsIgnoreCase(header.substr(0, 7), "Bearer ")) {
    const auto token = Trim(header.substr(7));
    if (!token.empty()) {
      auto user = AuthenticateToken(token, {}, nullptr);
      if (user) return user;
      log::Warn("request refused", {{"error", user.error().message()}, {"from", request.remote_address}});
      return std::unexpected(Unauthorized());
    }
  }
  if (!anonymous_.enabled || (!anonymous_.paths.empty() && std::find(anonymous_.paths.begin(), anonymous_.paths.end(), request.path) == anonymous_.paths.end()))
    return std::unexpected(Unauthorized());
  User anonymous;
  anonymous.name = "system:anonymous";
  anonymous.groups.emplace_back(kUnauthenticated);
  return anonymous;
}

std::string ForbiddenText(const Attributes& attributes) {
  if (!attributes.resource_request) return Cat("User ", Quote(attributes.user.name), " cannot ", attributes.verb, " path ", Quote(attributes.path));
  auto resource = attributes.resource;
  if (!attributes.subresource.empty()) resource += "/" + attributes.subresource;
  return Cat("User ", Quote(attributes.user.name), " cannot ", attributes.verb, " resource ", Quote(resource), " in API group ", Quote(attributes.group),
             attributes.ns.empty() ? std::string(" at the cluster scope") : Cat(" in the namespace ", Quote(attributes.ns)));
}

Error ForbiddenFor(const Attributes& attributes, std::string_view reason) {
  auto text = ForbiddenText(attributes);
  if (!reason.empty()) text += Cat(": ", reason);
  if (!attributes.resource_request) {
    auto detail = std::make_shared<StatusDetail>();
    detail->http = 403;
    detail->reason = "Forbidden";
    detail->has_details = true;
    return Error(Code::kForbidden, Cat("forbidden: ", text)).WithAttachment(std::move(detail));
  }
  return ForbiddenError(attributes.group, attributes.resource, attributes.name, text);
}

}  // namespace skerry::kube
