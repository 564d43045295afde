#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/context.h"
#include "core/base/result.h"
#include "core/http/message.h"
#include "embedded-kube-shim/auth/rbac.h"

// Who sent a request.
namespace skerry::kube {

// Thread-safe. nullopt: nothing here that this authenticator knows; kUnauthenticated: a credential that is wrong.
class Authenticator {
 public:
  virtual ~Authenticator() = default;
  virtual Result<std::optional<User>> Authenticate(const Ctx& ctx, const http::Request& request) const = 0;
};

// A bearer token's owner. nullopt: not a token of this kind.
class TokenAuthenticator {
 public:
  virtual ~TokenAuthenticator() = default;
  // `audiences` empty: those of the API server. *granted receives the accepted ones.
  virtual Result<std::optional<User>> AuthenticateToken(std::string_view token, const std::vector<std::string>& audiences, std::vector<std::string>* granted) const = 0;
};

// CN and O of a verified client certificate.
std::unique_ptr<Authenticator> NewCertificateAuthenticator();

struct StaticToken {
  std::string sha256;      // lower-case hexadecimal digest: the token itself is never kept
  User user;
};
// Lines of `token,user,uid[,"group1,group2"]` (CSV); only digests of the tokens are kept. kBadRequest names the line.
Result<std::vector<StaticToken>> ParseTokenFile(std::string_view text);
std::unique_ptr<TokenAuthenticator> NewStaticTokens(std::vector<StaticToken> tokens);

// Who may come without any credentials.
struct AnonymousAccess {
  bool enabled = true;
  std::vector<std::string> paths;    // empty = any
};

// Certificate, then bearer token (each in order), then anonymous. A wrong token is an error even when anonymous access exists.
// Adds system:authenticated or system:unauthenticated.
class AuthenticatorChain final : public Authenticator {
 public:
  AuthenticatorChain(std::vector<std::unique_ptr<Authenticator>> requests, std::vector<std::shared_ptr<const TokenAuthenticator>> tokens, AnonymousAccess anonymous = {})
      : requests_(std::move(requests)), tokens_(std::move(tokens)), anonymous_(std::move(anonymous)) {}
  Result<std::optional<User>> Authenticate(const Ctx& ctx, const http::Request& request) const override;
  // kUnauthenticated says why every authenticator refused: for TokenReview, not for whoever sent the token.
  Result<std::optional<User>> AuthenticateToken(std::string_view token, const std::vector<std::string>& audiences, std::vector<std::string>* granted) const;

 private:
  const std::vector<std::unique_ptr<Authenticator>> requests_;
  const std::vector<std::shared_ptr<const TokenAuthenticator>> tokens_;
  const AnonymousAccess anonymous_;
};

// Upstream's sentence for a refusal: `User "x" cannot list resource "y" in API group "z" at the cluster scope`.
std::string ForbiddenText(const Attributes& attributes);
Error ForbiddenFor(const Attributes& attributes, std::string_view reason);
// The first that allows or denies decides; when none does, their reasons are the answer's, one a line. system:masters may do everything.
std::unique_ptr<Authorizer> NewUnionAuthorizer(std::vector<const Authorizer*> authorizers);
std::unique_ptr<Authorizer> NewConstantAuthorizer(Decision decision);

}  // namespace skerry::kube
