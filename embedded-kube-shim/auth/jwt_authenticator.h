#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/crypto/jwt.h"
#include "embedded-kube-shim/auth/authenticator.h"
#include "embedded-kube-shim/cel/program.h"

// Users whose identity somebody else vouches for: JSON Web Tokens of OpenID Connect issuers, as an AuthenticationConfiguration of
// apiserver.config.k8s.io describes them, and who may come without any identity.
namespace skerry::kube {

// Expressions over `claims`, and over the `user` they make.
struct ClaimExpression {
  cel::ProgramPtr program;
  std::string message;               // of a rule that does not hold; may be empty
};

struct JwtIssuer {
  std::string url, discovery_url, ca_pem;
  std::vector<std::string> audiences;
  // Claims; a prefix is put before what they hold.
  std::string username_claim = "sub", username_prefix, groups_claim, groups_prefix, uid_claim;
  std::map<std::string, std::string> required_claims;
  // Instead of the claims above, where given.
  cel::ProgramPtr username, groups, uid;
  std::vector<std::pair<std::string, cel::ProgramPtr>> extra;   // key of the user's extra -> a text or a list of texts
  std::vector<ClaimExpression> claim_rules, user_rules;
};

struct AuthenticationConfiguration {
  std::vector<JwtIssuer> issuers;
  std::optional<AnonymousAccess> anonymous;
};
// YAML or JSON. kInvalid names the member.
Result<AuthenticationConfiguration> ParseAuthenticationConfiguration(std::string_view text);

// Keys are fetched in the background, once at first and again when a token names a key that is not known; no request waits for that.
// `keys` replaces the fetching in tests.
using FetchKeys = std::function<Result<crypto::JwkSet>(const JwtIssuer&)>;
std::unique_ptr<TokenAuthenticator> NewJwtAuthenticator(JwtIssuer issuer, const Clock& clock, FetchKeys keys = {});

// "abcdef.0123456789abcdef": Secrets of type bootstrap.kubernetes.io/token in kube-system.
std::unique_ptr<TokenAuthenticator> NewBootstrapTokens(Informers& informers, const Clock& clock);

}  // namespace skerry::kube
