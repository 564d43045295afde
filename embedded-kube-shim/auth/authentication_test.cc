#include <catch2/catch.hpp>

#include <atomic>

#include "core/base/strings.h"
#include "core/crypto/key.h"
#include "core/text/base64.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/auth/impersonation.h"
#include "embedded-kube-shim/auth/jwt_authenticator.h"
#include "embedded-kube-shim/auth/node_authorizer.h"
#include "embedded-kube-shim/auth/service_account.h"
#include "tests/support/fixed_informers.h"
#include "tests/support/json.h"

namespace skerry::kube {
namespace {
using skerry::testing::FixedInformers;
using skerry::testing::Json;

// Allows what is listed as "verb group/resource/subresource name".
class Fixed final : public Authorizer {
 public:
  std::vector<std::string> allowed;
  Verdict Authorize(const Attributes& a) const override {
    const auto asked = Cat(a.verb, " ", a.group, "/", a.resource, a.subresource.empty() ? "" : "/", a.subresource, " ", a.name);
    for (const auto& each : allowed)
      if (each == asked) return {Decision::kAllow, ""};
    return {};
  }
};

http::Request Headers(std::initializer_list<http::Header> headers) {
  http::Request request;
  request.headers = headers;
  return request;
}

Attributes Action(std::string verb, std::string group, std::string resource, std::string ns = {}, std::string name = {}, std::string subresource = {}) {
  Attributes a;
  a.verb = std::move(verb);
  a.group = std::move(group);
  a.resource = std::move(resource);
  a.ns = std::move(ns);
  a.name = std::move(name);
  a.subresource = std::move(subresource);
  return a;
}

}  // namespace

TEST_CASE("who may impersonate a user becomes that user with the groups, uid and extras that are allowed", "[auth]") {
  Fixed authorizer;
  authorizer.allowed = {"impersonate /users jane", "impersonate /groups dev", "impersonate authentication.k8s.io/uids 7", "impersonate authentication.k8s.io/userextras/scopes view"};
  const Impersonation impersonation(authorizer);
  const User robot{"robot", "", {}, {}};
  const auto action = Action("list", "", "nodes");
  CHECK(impersonation.Apply(robot, Headers({}), action)->name == "robot");
  const auto jane = impersonation.Apply(robot, Headers({{"Impersonate-User", "jane"}, {"Impersonate-Group", "dev"}, {"Impersonate-Uid", "7"}, {"Impersonate-Extra-Scopes", "view"}}), action);
  REQUIRE(jane);
  CHECK(jane->name == "jane");
  CHECK(jane->groups == std::vector<std::string>{"dev", "system:authenticated"});
  CHECK(jane->uid == "7");
  CHECK(jane->extra.at("scopes") == std::vector<std::string>{"view"});
  const auto ops = impersonation.Apply(robot, Headers({{"Impersonate-User", "jane"}, {"Impersonate-Group", "ops"}}), action);
  REQUIRE(!ops);
  CHECK(ops.error().message() == R"(groups "ops" is forbidden: User "robot" cannot impersonate resource "groups" in API group "" at the cluster scope)");
  const auto nobody = impersonation.Apply(robot, Headers({{"Impersonate-Group", "ops"}}), action);
  REQUIRE(!nobody);
  CHECK(HttpStatusOf(nobody.error()) == 400);
}

TEST_CASE("impersonation for one kind of action only is allowed for that one alone", "[auth]") {
  Fixed authorizer;
  authorizer.allowed = {"impersonate-on:user-info:list /nodes ", "impersonate:user-info authentication.k8s.io/users jane"};
  const Impersonation impersonation(authorizer);
  const User robot{"robot", "", {}, {}};
  CHECK(impersonation.Apply(robot, Headers({{"Impersonate-User", "jane"}}), Action("list", "", "nodes")));
  const auto other = impersonation.Apply(robot, Headers({{"Impersonate-User", "jane"}}), Action("list", "", "secrets"));
  REQUIRE(!other);
  CHECK(other.error().message() == R"(secrets is forbidden: User "robot" cannot impersonate-on:user-info:list resource "secrets" in API group "" at the cluster scope)");
  CHECK(!impersonation.Apply(robot, Headers({{"Impersonate-User", "mary"}}), Action("list", "", "nodes")));
}

TEST_CASE("a token of a configured issuer is its user's; of another key, audience or time it is refused", "[auth]") {
  auto key = crypto::PrivateKey::GenerateP256();
  crypto::JwkSet keys;
  keys.Add(key.Public());
  const crypto::JwtSigner signer(std::move(key));
  const crypto::JwtSigner stranger(crypto::PrivateKey::GenerateP256());
  const auto parsed = ParseAuthenticationConfiguration(R"(
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: "https://issuer.example", audiences: [skerry]}
  claimMappings:
    username: {claim: sub, prefix: "oidc:"}
    groups: {claim: teams, prefix: ""}
    uid: {claim: sub}
  claimValidationRules: [{claim: hd, requiredValue: example.org}]
anonymous: {enabled: true, conditions: [{path: /livez}]}
)");
  REQUIRE(parsed);
  REQUIRE(parsed->issuers.size() == 1);
  REQUIRE(parsed->anonymous);
  CHECK(parsed->anonymous->paths == std::vector<std::string>{"/livez"});
  std::atomic<bool> fetched{false};
  const auto authenticator = NewJwtAuthenticator(parsed->issuers[0], Clock::System(), [&](const JwtIssuer&) -> Result<crypto::JwkSet> {
    fetched = true;
    return keys;
  });
  const auto now = std::chrono::system_clock::to_time_t(Clock::System().Now());
  const auto claims = [&](std::string_view audience, std::int64_t end, std::string_view hd) {
    auto value = Json(R"({"iss":"https://issuer.example","sub":"jane","teams":["dev","ops"]})");
    value.Set("aud") = audience;
    value.Set("exp") = end;
    value.Set("hd") = hd;
    return value;
  };
  const auto ask = [&](const crypto::JwtSigner& by, const json::Value& value) { return authenticator->AuthenticateToken(*by.Sign(value), {}, nullptr); };
  const auto good = claims("skerry", now + 600, "example.org");
  auto user = ask(signer, good);
  // The keys come from another thread: until then the answer says so.
  while (!user && user.error().message() == "oidc: authenticator not initialized") user = ask(signer, good);
  REQUIRE(user);
  REQUIRE(*user);
  CHECK((*user)->name == "oidc:jane");
  CHECK((*user)->groups == std::vector<std::string>{"dev", "ops"});
  CHECK((*user)->uid == "jane");
  CHECK(fetched);
  CHECK(!ask(stranger, good));
  CHECK(!ask(signer, claims("other", now + 600, "example.org")));
  CHECK(!ask(signer, claims("skerry", now - 600, "example.org")));
  CHECK(!ask(signer, claims("skerry", now + 600, "example.com")));
  auto foreign = good.Clone();
  foreign.Set("iss") = "https://elsewhere.example";
  const auto not_ours = ask(signer, foreign);
  REQUIRE(not_ours);
  CHECK(!*not_ours);
}

TEST_CASE("an authentication configuration that cannot be meant is refused with the place", "[auth]") {
  const auto refusal = [](std::string_view text) {
    const auto parsed = ParseAuthenticationConfiguration(Cat("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n", text));
    return parsed ? std::string() : std::string(parsed.error().message());
  };
  CHECK(refusal("jwt: [{issuer: {url: 'http://x', audiences: [a]}}]").find("jwt[0].issuer.url") != std::string::npos);
  CHECK(refusal("jwt: [{issuer: {url: 'https://x'}}]").find("jwt[0].issuer.audiences") != std::string::npos);
  CHECK(refusal("jwt: [{issuer: {url: 'https://x', audiences: [a]}, claimMappings: {username: {claim: sub}}}]").find("claimMappings.username.prefix") != std::string::npos);
  CHECK(refusal("anonymous: {enabled: false, conditions: [{path: /x}]}").find("anonymous.conditions") != std::string::npos);
  CHECK(refusal("jwt: []").empty());
}

TEST_CASE("expressions over claims name the user, and rules over claims and user may refuse it", "[auth]") {
  auto key = crypto::PrivateKey::GenerateP256();
  crypto::JwkSet keys;
  keys.Add(key.Public());
  const crypto::JwtSigner signer(std::move(key));
  const auto parsed = ParseAuthenticationConfiguration(R"yaml(
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: "https://issuer.example", audiences: [skerry]}
  claimMappings:
    username: {expression: "claims.email.split('@')[0]"}
    groups: {expression: "claims.roles.map(r, 'team:' + r)"}
    extra: [{key: "example.org/site", valueExpression: "claims.site"}]
  claimValidationRules: [{expression: "claims.age >= 18", message: "too young"}]
  userValidationRules: [{expression: "!user.username.startsWith('system:')", message: "reserved"}]
)yaml");
  if (!parsed) FAIL(parsed.error().message());
  const auto authenticator = NewJwtAuthenticator(parsed->issuers[0], Clock::System(), [&](const JwtIssuer&) -> Result<crypto::JwkSet> { return keys; });
  const auto now = std::chrono::system_clock::to_time_t(Clock::System().Now());
  const auto ask = [&](std::string_view email, int age) {
    auto claims = Json(R"({"iss":"https://issuer.example","aud":"skerry","sub":"1","roles":["dev"],"site":"north"})");
    claims.Set("email") = email;
    claims.Set("age") = age;
    claims.Set("exp") = now + 600;
    const auto token = signer.Sign(claims);
    auto user = authenticator->AuthenticateToken(*token, {}, nullptr);
    while (!user && user.error().message() == "oidc: authenticator not initialized") user = authenticator->AuthenticateToken(*token, {}, nullptr);
    return user;
  };
  const auto jane = ask("jane@example.org", 30);
  REQUIRE(jane);
  REQUIRE(*jane);
  CHECK((*jane)->name == "jane");
  CHECK((*jane)->groups == std::vector<std::string>{"team:dev"});
  CHECK((*jane)->extra.at("example.org/site") == std::vector<std::string>{"north"});
  const auto kid = ask("kid@example.org", 7);
  REQUIRE(!kid);
  CHECK(kid.error().message().find("too young") != std::string::npos);
  CHECK(!ask("system:admin@example.org", 30));
}

TEST_CASE("a use of a token in a secret is told once a date, and one marked invalid is refused", "[auth][tokens]") {
  FixedInformers caches;
  FakeClock clock;
  SeededRandom random(1);
  const auto secret = [](std::string_view name, std::string_view labels) {
    return Json(Cat(R"({"metadata":{"name":")", name, R"(","namespace":"d","uid":"s","labels":)", labels, "}}"));
  };
  caches.Add("v1/serviceaccounts", Json(R"({"metadata":{"name":"robot","namespace":"d","uid":"a"}})"));
  caches.Add("v1/secrets", secret("fresh", "{}"));
  caches.Add("v1/secrets", secret("known", R"({"kubernetes.io/legacy-token-last-used":"2023-11-14"})"));
  caches.Add("v1/secrets", secret("yesterday", R"({"kubernetes.io/legacy-token-last-used":"2023-11-13"})"));
  caches.Add("v1/secrets", secret("invalid", R"({"kubernetes.io/legacy-token-invalid-since":"2023-01-01"})"));
  ServiceAccountTokens tokens(crypto::PrivateKey::GenerateP256(), "https://issuer", {}, caches, clock, random);
  std::vector<std::string> used;
  tokens.OnSecretUse([&](const Key& key, const std::string& date) { used.push_back(Cat(key.ns, "/", key.name, " ", date)); });
  const auto use = [&](const char* name) {
    ServiceAccountClaims claims;
    claims.ns = "d";
    claims.account = {"robot", "a"};
    claims.secret = ObjectIdentity{name, "s"};
    return tokens.AuthenticateToken(tokens.Issue(claims).value(), {}, nullptr);
  };
  for (const char* good : {"fresh", "known", "yesterday"}) CHECK(use(good).has_value());
  CHECK(used == std::vector<std::string>{"d/fresh 2023-11-14", "d/yesterday 2023-11-14"});
  const auto refused = use("invalid");
  REQUIRE_FALSE(refused);
  CHECK_THAT(std::string(refused.error().message()), Catch::Contains("the token in secret d/invalid for service account d/robot has been marked invalid"));
  CHECK(used.size() == 2);
}

TEST_CASE("a bootstrap token is good with its secret, until it expires, and only for authentication", "[auth]") {
  const auto secret = [](std::string_view id, std::string_view usage, std::string_view expiration) {
    return Cat(R"({"metadata":{"name":"bootstrap-token-)", id, R"(","namespace":"kube-system"},"type":"bootstrap.kubernetes.io/token","data":{"token-id":")", text::Base64(id), R"(","token-secret":")",
               text::Base64("0123456789abcdef"), R"(","usage-bootstrap-authentication":")", text::Base64(usage), R"(","auth-extra-groups":")", text::Base64("system:bootstrappers:nodes"),
               expiration.empty() ? std::string() : Cat(R"(","expiration":")", text::Base64(expiration)), R"("}})");
  };
  FixedInformers caches;
  caches.Add("v1/secrets", Json(secret("aaaaaa", "true", "")));
  caches.Add("v1/secrets", Json(secret("bbbbbb", "false", "")));
  caches.Add("v1/secrets", Json(secret("cccccc", "true", "2020-01-01T00:00:00Z")));
  const auto tokens = NewBootstrapTokens(caches, Clock::System());
  const auto who = [&](std::string_view token) {
    const auto user = tokens->AuthenticateToken(token, {}, nullptr);
    return user && *user ? (*user)->name : std::string();
  };
  CHECK(who("aaaaaa.0123456789abcdef") == "system:bootstrap:aaaaaa");
  CHECK(who("aaaaaa.0123456789abcdee").empty());
  CHECK(who("bbbbbb.0123456789abcdef").empty());
  CHECK(who("cccccc.0123456789abcdef").empty());
  CHECK(who("dddddd.0123456789abcdef").empty());
  CHECK(who("not a token").empty());
}

TEST_CASE("a node reads what its pods refer to, itself and its lease, and nothing of other nodes", "[auth]") {
  FixedInformers caches;
  caches.Add("v1/pods", Json(R"({"metadata":{"name":"p","namespace":"d"},"spec":{"nodeName":"n1","serviceAccountName":"robot","volumes":[{"name":"v","secret":{"secretName":"mine"}},
    {"name":"c","persistentVolumeClaim":{"claimName":"disk"}}],"containers":[{"name":"c","envFrom":[{"configMapRef":{"name":"settings"}}]}]}})"));
  caches.Add("v1/pods", Json(R"({"metadata":{"name":"q","namespace":"d"},"spec":{"nodeName":"n2","volumes":[{"name":"v","secret":{"secretName":"theirs"}}]}})"));
  caches.Add("v1/persistentvolumeclaims", Json(R"({"metadata":{"name":"disk","namespace":"d"},"spec":{"volumeName":"pv1"}})"));
  caches.Add("v1/persistentvolumes", Json(R"({"metadata":{"name":"pv1"},"spec":{"claimRef":{"namespace":"d","name":"disk"}}})"));
  const auto node = NewNodeAuthorizer(caches);
  const auto ask = [&](Attributes a) {
    a.user = {"system:node:n1", "", {"system:nodes"}, {}};
    return node->Authorize(a);
  };
  const auto may = [&](Attributes a) { return ask(std::move(a)).decision == Decision::kAllow; };
  CHECK(may(Action("get", "", "secrets", "d", "mine")));
  CHECK(!may(Action("get", "", "secrets", "d", "theirs")));
  CHECK(!may(Action("list", "", "secrets", "d")));
  CHECK(!may(Action("get", "", "secrets", "other", "mine")));
  CHECK(may(Action("watch", "", "configmaps", "d", "settings")));
  CHECK(may(Action("get", "", "persistentvolumeclaims", "d", "disk")));
  CHECK(may(Action("get", "", "persistentvolumes", "", "pv1")));
  CHECK(!may(Action("get", "", "persistentvolumes", "", "pv2")));
  CHECK(may(Action("create", "", "serviceaccounts", "d", "robot", "token")));
  CHECK(!may(Action("create", "", "serviceaccounts", "d", "default", "token")));
  CHECK(may(Action("get", "", "pods", "d", "p")));
  CHECK(ask(Action("get", "", "pods", "d", "q")).reason == "no relationship found between node 'n1' and this object");
  CHECK(may(Action("get", "", "nodes", "", "n1")));
  CHECK(!may(Action("get", "", "nodes", "", "n2")));
  auto listing = Action("list", "", "pods");
  CHECK(!may(listing));
  listing.field_selector = "spec.nodeName=n1";
  CHECK(may(listing));
  listing.field_selector = "spec.nodeName!=n1";
  CHECK(!may(listing));
  CHECK(may(Action("update", "coordination.k8s.io", "leases", "kube-node-lease", "n1")));
  CHECK(!may(Action("update", "coordination.k8s.io", "leases", "kube-node-lease", "n2")));
  Attributes stranger = Action("get", "", "secrets", "d", "mine");
  stranger.user = {"system:node:n1", "", {}, {}};
  CHECK(node->Authorize(stranger).decision == Decision::kNoOpinion);
}

}  // namespace skerry::kube
