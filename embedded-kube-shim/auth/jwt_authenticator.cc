#include "embedded-kube-shim/auth/jwt_authenticator.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "core/base/strings.h"
#include "core/crypto/digest.h"
#include "core/http/client.h"
#include "core/json/parse.h"
#include "core/telemetry/log.h"
#include "core/text/base64.h"
#include "core/text/yaml.h"

namespace skerry::kube {
namespace {

constexpr std::chrono::seconds kRetry{10}, kAgain{60};

std::vector<std::string> TextsOf(const json::Value& value) {
  std::vector<std::string> out;
  if (value.is_string()) out.emplace_back(value.Str());
  for (const auto& item : value.Items())
    if (item.is_string()) out.emplace_back(item.Str());
  return out;
}

Result<json::Value> FetchJson(const Ctx& ctx, const std::string& url, const std::string& ca_pem) {
  http::ClientRequest request;
  request.url = url;
  request.ca_pem = ca_pem;
  request.max_body = 1 << 20;
  TRY(const auto response, http::Client::Shared().Do(ctx, request));
  if (response.status != 200) return Fail(Code::kUnavailable, Cat(url, " answers ", response.status));
  return json::Parse(response.body);
}

Result<crypto::JwkSet> FetchFrom(const Ctx& ctx, const JwtIssuer& issuer) {
  const auto discovery = issuer.discovery_url.empty() ? Cat(issuer.url, issuer.url.ends_with('/') ? "" : "/", ".well-known/openid-configuration") : issuer.discovery_url;
  TRY(const auto document, FetchJson(ctx, discovery, issuer.ca_pem));
  if (document["issuer"].Str() != issuer.url) return Fail(Code::kInvalid, Cat(discovery, " is of the issuer ", Quote(document["issuer"].Str())));
  const std::string keys(document["jwks_uri"].Str());
  if (!keys.starts_with("https://")) return Fail(Code::kInvalid, Cat(discovery, " names no https address of its keys"));
  TRY(const auto set, FetchJson(ctx, keys, issuer.ca_pem));
  return crypto::JwkSet::Parse(set);
}

class JwtAuthenticator final : public TokenAuthenticator {
 public:
  JwtAuthenticator(JwtIssuer issuer, const Clock& clock, FetchKeys fetch) : issuer_(std::move(issuer)), clock_(clock), fetch_(std::move(fetch)) {
    if (!fetch_)
      fetch_ = [this](const JwtIssuer& from) {
        const Ctx ctx{stop_.get_token(), std::chrono::steady_clock::now() + std::chrono::seconds(30)};
        return FetchFrom(ctx, from);
      };
    thread_ = std::thread([this] { Run(); });
  }
  ~JwtAuthenticator() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    stop_.request_stop();
    wake_.notify_all();
    thread_.join();
  }

  Result<std::optional<User>> AuthenticateToken(std::string_view token, const std::vector<std::string>& audiences, std::vector<std::string>* granted) const override {
    const auto unverified = crypto::UnverifiedClaims(token);
    if (!unverified || (*unverified)["iss"].Str() != issuer_.url) return std::optional<User>();
    std::shared_ptr<const crypto::JwkSet> keys;
    {
      std::lock_guard lock(mutex_);
      keys = keys_;
    }
    if (!keys) return Fail(Code::kUnauthenticated, "oidc: authenticator not initialized");
    auto claims = keys->Verify(token, clock_.Now(), {issuer_.url, issuer_.audiences, std::chrono::seconds(0)});
    if (!claims) {
      Refresh();   // the issuer may have changed its keys
      return Fail(Code::kUnauthenticated, Cat("oidc: verify token: ", claims.error().message()));
    }
    if (!audiences.empty()) {
      for (const auto& audience : TextsOf((*claims)["aud"]))
        if (std::find(audiences.begin(), audiences.end(), audience) != audiences.end() && granted) granted->push_back(audience);
      if (granted && granted->empty()) return std::optional<User>();
    }
    TRY(auto user, UserOf(*claims));
    return std::optional<User>(std::move(user));
  }

 private:
  Result<User> UserOf(const json::Value& claims) const {
    const auto refuse = [](std::string why) { return Fail(Code::kUnauthenticated, "oidc: " + std::move(why)); };
    User user;
    for (const auto& rule : issuer_.claim_rules)
      if (!Holds(rule, claims)) return refuse(Cat("validation expression '", rule.program->source(), "' failed", rule.message.empty() ? "" : ": ", rule.message));
    std::string name(claims[issuer_.username_claim].Str());
    if (issuer_.username) {
      const auto names = TextsFrom(*issuer_.username, claims);
      if (names.size() != 1 || names[0].empty()) return refuse("the expression of the user name gives none");
      name = names[0];
    }
    if (name.empty()) return refuse(Cat("parse username claims ", Quote(issuer_.username_claim), ": claim not present"));
    if (issuer_.username_claim == "email" && claims.Find("email_verified") && !claims["email_verified"].Bool()) return refuse("email not verified");
    user.name = issuer_.username ? name : issuer_.username_prefix + name;
    if (issuer_.groups) user.groups = TextsFrom(*issuer_.groups, claims);
    if (!issuer_.groups_claim.empty())
      for (const auto& group : TextsOf(claims[issuer_.groups_claim])) user.groups.push_back(issuer_.groups_prefix + group);
    if (!issuer_.uid_claim.empty()) {
      user.uid = claims[issuer_.uid_claim].Str();
      if (user.uid.empty()) return refuse(Cat("claim ", Quote(issuer_.uid_claim), " is not present"));
    }
    if (issuer_.uid) {
      const auto uids = TextsFrom(*issuer_.uid, claims);
      user.uid = uids.size() == 1 ? uids[0] : std::string();
    }
    for (const auto& [claim, value] : issuer_.required_claims)
      if (claims[claim].Str() != value) return refuse(Cat("required claim ", claim, " not present in ID token or of another value"));
    for (const auto& [key, program] : issuer_.extra)
      if (auto values = TextsFrom(*program, claims); !values.empty()) user.extra[key] = std::move(values);
    if (const auto id = claims["jti"].Str(); !id.empty()) user.extra["authentication.kubernetes.io/credential-id"] = {Cat("JTI=", id)};
    for (const auto& rule : issuer_.user_rules)
      if (!Holds(rule, ShownUser(user))) return refuse(Cat("validation expression '", rule.program->source(), "' failed", rule.message.empty() ? "" : ": ", rule.message));
    return user;
  }

  static bool Holds(const ClaimExpression& rule, const json::Value& about) {
    const cel::Val variables[] = {cel::Val::FromJson(about)};
    return rule.program->Run(variables).value.IsTrue();
  }
  // A text or a list of texts; nothing for anything else, an error included.
  static std::vector<std::string> TextsFrom(const cel::Program& program, const json::Value& claims) {
    const cel::Val variables[] = {cel::Val::FromJson(claims)};
    const auto result = program.Run(variables);
    json::Value value;
    if (result.value.is_error() || !cel::ToJson(result.value, &value)) return {};
    return TextsOf(value);
  }
  static json::Value ShownUser(const User& user) {
    json::Value out;
    out.Set("username") = user.name;
    out.Set("uid") = user.uid;
    out.Set("groups") = json::Value::Array();
    for (const auto& group : user.groups) out.Set("groups").Append(json::Value(group));
    out.Set("extra") = json::Value::Object();
    for (const auto& [key, values] : user.extra)
      for (const auto& value : values) out.Set("extra").Set(key).Append(json::Value(value));
    return out;
  }

  void Refresh() const {
    std::lock_guard lock(mutex_);
    wanted_ = true;
    wake_.notify_all();
  }

  void Run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      wanted_ = false;
      lock.unlock();
      auto fetched = fetch_(issuer_);
      lock.lock();
      if (fetched) keys_ = std::make_shared<const crypto::JwkSet>(std::move(*fetched));
      else log::Warn("the keys of a token issuer cannot be had", {{"issuer", issuer_.url}, {"error", fetched.error().message()}});
      const auto stopped = [&] { return stopping_; };
      if (!keys_) {
        wake_.wait_for(lock, kRetry, stopped);
        continue;
      }
      // Wrong tokens must not make us ask the issuer more than once a minute.
      wake_.wait(lock, [&] { return stopping_ || wanted_; });
      if (asked_ && std::chrono::steady_clock::now() - *asked_ < kAgain) wake_.wait_until(lock, *asked_ + kAgain, stopped);
      asked_ = std::chrono::steady_clock::now();
    }
  }

  const JwtIssuer issuer_;
  const Clock& clock_;
  FetchKeys fetch_;
  std::stop_source stop_;
  mutable std::mutex mutex_;
  mutable std::condition_variable wake_;
  std::shared_ptr<const crypto::JwkSet> keys_;                             // guarded
  mutable bool wanted_ = false;                                            // guarded
  std::optional<std::chrono::steady_clock::time_point> asked_;             // guarded
  bool stopping_ = false;                                                  // guarded
  std::thread thread_;
};

class BootstrapTokens final : public TokenAuthenticator {
 public:
  BootstrapTokens(Informers& informers, const Clock& clock) : secrets_(informers.Get("v1/secrets")), clock_(clock) {}

  Result<std::optional<User>> AuthenticateToken(std::string_view token, const std::vector<std::string>&, std::vector<std::string>*) const override {
    const auto plain = [](std::string_view text) { return std::all_of(text.begin(), text.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }); };
    if (token.size() != 23 || token[6] != '.' || !plain(token.substr(0, 6)) || !plain(token.substr(7))) return std::optional<User>();
    const std::string id(token.substr(0, 6));
    const auto secret = secrets_.Get({"kube-system", "bootstrap-token-" + id});
    if (!secret || (*secret)["metadata"].Find("deletionTimestamp") || (*secret)["type"].Str() != "bootstrap.kubernetes.io/token") return std::optional<User>();
    const auto field = [&](std::string_view name) { return text::FromBase64(secret->At({"data", name}).Str()).value_or(""); };
    if (!crypto::EqualSecrets(field("token-secret"), token.substr(7)) || field("token-id") != id) return std::optional<User>();
    if (const auto end = field("expiration"); !end.empty()) {
      const auto when = ParseTime(end);
      if (!when || *when <= clock_.Now()) return std::optional<User>();
    }
    if (field("usage-bootstrap-authentication") != "true") return std::optional<User>();
    User user;
    user.name = Cat("system:bootstrap:", id);
    user.groups = {"system:bootstrappers"};
    const auto groups = field("auth-extra-groups");
    for (const auto group : Split(groups, ',')) {
      if (Trim(group).empty()) continue;
      if (!Trim(group).starts_with("system:bootstrappers:")) return std::optional<User>();
      user.groups.emplace_back(Trim(group));
    }
    return std::optional<User>(std::move(user));
  }

 private:
  const Lister& secrets_;
  const Clock& clock_;
};

Result<cel::ProgramPtr> Compile(std::string_view text, const char* variable, const std::string& where) {
  cel::Env env(cel::KubernetesLibrary());
  env.Declare(variable, cel::MapOf(cel::Simple(cel::TypeKind::kString), cel::Simple(cel::TypeKind::kDyn)));
  auto program = cel::Program::Compile(env, text);
  if (!program) return std::unexpected(std::move(program).error().Wrap(where));
  return program;
}

// A claim with its prefix, or an expression.
struct Mapping {
  std::string claim, prefix;
  cel::ProgramPtr expression;
};

Result<Mapping> MappingOf(const json::Value& mapping, const std::string& where, bool prefixed) {
  Mapping out;
  const auto text = mapping["expression"].Str();
  out.claim = mapping["claim"].Str();
  out.prefix = mapping["prefix"].Str();
  if (!text.empty() && (!out.claim.empty() || mapping.Find("prefix"))) return Fail(Code::kInvalid, Cat(where, ": claim and prefix cannot be given with an expression"));
  if (prefixed && !out.claim.empty() && !mapping.Find("prefix")) return Fail(Code::kInvalid, Cat(where, ".prefix: required when claim is set (it may be empty)"));
  if (!text.empty()) {
    TRY(out.expression, Compile(text, "claims", where + ".expression"));
  }
  return out;
}

Result<JwtIssuer> IssuerOf(const json::Value& jwt, const std::string& at) {
  JwtIssuer out;
  const auto& issuer = jwt["issuer"];
  out.url = issuer["url"].Str();
  if (!out.url.starts_with("https://")) return Fail(Code::kInvalid, Cat(at, ".issuer.url: ", Quote(out.url), " is no https URL"));
  out.discovery_url = issuer["discoveryURL"].Str();
  if (!out.discovery_url.empty() && !out.discovery_url.starts_with("https://")) return Fail(Code::kInvalid, Cat(at, ".issuer.discoveryURL: must be an https URL"));
  out.ca_pem = issuer["certificateAuthority"].Str();
  out.audiences = TextsOf(issuer["audiences"]);
  if (out.audiences.empty()) return Fail(Code::kInvalid, Cat(at, ".issuer.audiences: at least one is needed"));
  if (out.audiences.size() > 1 && issuer["audienceMatchPolicy"].Str() != "MatchAny") return Fail(Code::kInvalid, Cat(at, ".issuer.audienceMatchPolicy: must be MatchAny for multiple audiences"));
  const auto& mappings = jwt["claimMappings"];
  const auto in = at + ".claimMappings.";
  TRY(auto username, MappingOf(mappings["username"], in + "username", true));
  if (username.claim.empty() && !username.expression) return Fail(Code::kInvalid, Cat(in, "username: a claim or an expression is needed"));
  out.username_claim = username.claim, out.username_prefix = username.prefix, out.username = std::move(username.expression);
  TRY(auto groups, MappingOf(mappings["groups"], in + "groups", true));
  out.groups_claim = groups.claim, out.groups_prefix = groups.prefix, out.groups = std::move(groups.expression);
  TRY(auto uid, MappingOf(mappings["uid"], in + "uid", false));
  out.uid_claim = uid.claim, out.uid = std::move(uid.expression);
  for (const auto& extra : mappings["extra"].Items()) {
    const std::string key(extra["key"].Str());
    if (key.find('/') == key.npos || key != ToLower(key)) return Fail(Code::kInvalid, Cat(in, "extra: the key ", Quote(key), " is no lower-case domain/path"));
    TRY(auto program, Compile(extra["valueExpression"].Str(), "claims", in + "extra"));
    out.extra.emplace_back(key, std::move(program));
  }
  for (const auto& rule : jwt["claimValidationRules"].Items()) {
    if (!rule.Find("expression")) {
      out.required_claims[std::string(rule["claim"].Str())] = rule["requiredValue"].Str();
      continue;
    }
    TRY(auto program, Compile(rule["expression"].Str(), "claims", at + ".claimValidationRules"));
    if (!program->IsBool() && program->type()->kind != cel::TypeKind::kDyn) return Fail(Code::kInvalid, Cat(at, ".claimValidationRules: the expression must give true or false"));
    out.claim_rules.push_back({std::move(program), std::string(rule["message"].Str())});
  }
  for (const auto& rule : jwt["userValidationRules"].Items()) {
    TRY(auto program, Compile(rule["expression"].Str(), "user", at + ".userValidationRules"));
    out.user_rules.push_back({std::move(program), std::string(rule["message"].Str())});
  }
  return out;
}

}  // namespace

Result<AuthenticationConfiguration> ParseAuthenticationConfiguration(std::string_view text) {
  TRY(const json::Value document, text::ParseYaml(text));
  if (document["kind"].Str() != "AuthenticationConfiguration" || !document["apiVersion"].Str().starts_with("apiserver.config.k8s.io/"))
    return Fail(Code::kInvalid, "expected an AuthenticationConfiguration of apiserver.config.k8s.io/v1");
  AuthenticationConfiguration out;
  std::size_t number = 0;
  for (const auto& jwt : document["jwt"].Items()) {
    TRY(auto issuer, IssuerOf(jwt, Cat("jwt[", number++, "]")));
    for (const auto& other : out.issuers)
      if (other.url == issuer.url) return Fail(Code::kInvalid, Cat("jwt: two authenticators of the issuer ", issuer.url));
    out.issuers.push_back(std::move(issuer));
  }
  if (const auto* anonymous = document.Find("anonymous")) {
    out.anonymous.emplace();
    out.anonymous->enabled = (*anonymous)["enabled"].Bool();
    for (const auto& condition : (*anonymous)["conditions"].Items()) out.anonymous->paths.emplace_back(condition["path"].Str());
    if (!out.anonymous->enabled && !out.anonymous->paths.empty()) return Fail(Code::kInvalid, "anonymous.conditions: only with enabled: true");
  }
  return out;
}

std::unique_ptr<TokenAuthenticator> NewJwtAuthenticator(JwtIssuer issuer, const Clock& clock, FetchKeys keys) { return std::make_unique<JwtAuthenticator>(std::move(issuer), clock, std::move(keys)); }
std::unique_ptr<TokenAuthenticator> NewBootstrapTokens(Informers& informers, const Clock& clock) { return std::make_unique<BootstrapTokens>(informers, clock); }

}  // namespace skerry::kube
