#include "embedded-kube-shim/server/token_request.h"

#include "core/base/strings.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/patch.h"
#include "embedded-kube-shim/api/status.h"

namespace skerry::kube {
namespace {

constexpr std::string_view kGroup = "authentication.k8s.io", kKind = "TokenRequest";
constexpr std::string_view kDefinition = "io.k8s.api.authentication.v1.TokenRequest";
constexpr std::int64_t kDefaultSeconds = 3600, kLeastSeconds = 600, kMostSeconds = std::int64_t{1} << 32;

Result<> CheckRequest(const Target& account, const json::Value& request) {
  FieldErrors errors;
  const auto same = [&](std::string_view member, std::string_view wanted, std::string_view what) {
    const auto given = request.At({"metadata", member}).Str();
    if (!given.empty() && given != wanted) errors.push_back({FieldErrorType::kInvalid, Cat("metadata.", member), Quote(given), Cat("must match the service account ", what, " if specified")});
  };
  same("name", account.name, "name");
  same("namespace", account.ns, "namespace");
  if (!errors.empty()) return std::unexpected(InvalidError(kGroup, kKind, account.name, errors));
  const auto seconds = request.At({"spec", "expirationSeconds"}).Int();
  const auto refuse = [&](std::string why) { errors.push_back({FieldErrorType::kInvalid, "spec.expirationSeconds", std::to_string(seconds), std::move(why)}); };
  if (seconds < kLeastSeconds) refuse("may not specify a duration less than 10 minutes");
  if (seconds > kMostSeconds) refuse("may not specify a duration larger than 2^32 seconds");
  if (errors.empty()) return {};
  return std::unexpected(InvalidError(kGroup, kKind, "", errors));
}

// Fills the claims that bind the token to an object, which must exist and be the one that is meant.
Result<> Bind(const Engine& engine, const Target& account, const json::Value& reference, ServiceAccountClaims& claims) {
  const auto version = reference["apiVersion"].Str(), kind = reference["kind"].Str(), name = reference["name"].Str();
  const std::string_view resource = kind == "Pod" ? "pods" : kind == "Secret" ? "secrets" : kind == "Node" ? "nodes" : "";
  if (version != "v1" || resource.empty())
    return std::unexpected(BadRequestError(Cat("cannot bind token to object of type ", version.find('/') == version.npos ? "/" : "", version, ", Kind=", kind)));
  const auto object = engine.Lookup("", resource, kind == "Node" ? std::string_view() : std::string_view(account.ns), name);
  if (!object) return std::unexpected(NotFoundError("", resource, name));
  const ObjectIdentity identity{std::string(name), std::string(object->At({"metadata", "uid"}).Str())};
  if (kind == "Pod") {
    if (object->At({"spec", "serviceAccountName"}).Str() != account.name)
      return std::unexpected(BadRequestError(Cat("cannot bind token for serviceaccount ", Quote(account.name), " to pod running with different serviceaccount name.")));
    claims.pod = identity;
    if (const auto node_name = object->At({"spec", "nodeName"}).Str(); !node_name.empty()) {
      const auto node = engine.Lookup("", "nodes", "", node_name);
      claims.node = ObjectIdentity{std::string(node_name), node ? std::string(node->At({"metadata", "uid"}).Str()) : std::string()};
    }
  }
  if (kind == "Secret") claims.secret = identity;
  if (kind == "Node") claims.node = identity;
  const auto uid = reference["uid"].Str();
  if (uid.empty() || uid == identity.uid) return {};
  return std::unexpected(ConflictError("", kind, name, Cat("the UID in the bound object reference (", uid, ") does not match the UID in record. The object might have been deleted and then recreated")));
}

}  // namespace

Result<json::Value> CreateToken(const Ctx& ctx, const Engine& engine, const ServiceAccountTokens& tokens, const User& user, const Target& account, json::Value request) {
  std::vector<std::string> warnings;
  store::Batch batch;
  AdmissionRequest admission{*account.def, account.version, "token", account.ns, account.name, Operation::kCreate, &request, nullptr, nullptr, user, false, warnings, batch};
  TRY_VOID(engine.admission().Mutate(ctx, admission, engine));
  TRY_VOID(engine.admission().Validate(ctx, admission, engine));
  TRY_VOID(CheckRequest(account, request));
  const auto found = engine.Lookup("", "serviceaccounts", account.ns, account.name);
  if (!found) return std::unexpected(NotFoundError("", "serviceaccounts", account.name));
  ServiceAccountClaims claims;
  claims.ns = account.ns;
  claims.account = {account.name, std::string(found->At({"metadata", "uid"}).Str())};
  auto& spec = request.Set("spec");
  if (spec["audiences"].size() == 0)
    for (const auto& audience : tokens.audiences()) spec.Set("audiences").Append(audience);
  for (const auto& audience : spec["audiences"].Items()) claims.audiences.emplace_back(audience.Str());
  if (const auto* reference = spec.Find("boundObjectRef"); reference && reference->is_object()) TRY_VOID(Bind(engine, account, *reference, claims));
  claims.lifetime = std::chrono::seconds(spec["expirationSeconds"].Int());
  TRY(auto token, tokens.Issue(claims));
  auto& metadata = request.Set("metadata");
  metadata.Set("name") = account.name;
  metadata.Set("namespace") = account.ns;
  metadata.Set("uid") = NewUuid(engine.random());
  metadata.Set("creationTimestamp") = FormatTime(engine.now());
  auto& status = request.Set("status");
  status.Set("token") = std::move(token);
  status.Set("expirationTimestamp") = FormatTime(engine.now() + claims.lifetime);
  Canonicalize(FindBuiltinSchema(kDefinition), request);
  return request;
}

void ServeTokenRequest(Rest& rest, RestRequest request, RestDone done) {
  std::vector<std::string> warnings;
  auto answer = [&]() -> Result<http::Reply> {
    TRY(auto output, Negotiate(*request.http, MediaScope::kObject));
    TRY(auto options, ParseWriteOptions(*request.http, "CreateOptions"));
    const auto schema = FindBuiltinSchema(kDefinition);
    TRY(auto body, ReadBody(request, schema, {std::string(kGroup), "v1", std::string(kKind)}, options.field_validation, warnings));
    if (!body["spec"]["expirationSeconds"].is_int()) body.Set("spec").Set("expirationSeconds") = kDefaultSeconds;
    RecordReviewFields(rest.engine(), request, options, schema, Cat(kGroup, "/v1"), body);
    TRY(auto token, CreateToken(request.ctx, rest.engine(), *rest.services().tokens, request.caller.user, request.target, std::move(body)));
    auto response = EncodeValue(output, 201, token);
    AddWarnings(response.headers, warnings);
    return http::Reply(std::move(response));
  };
  done(answer());
}

}  // namespace skerry::kube
