#include "embedded-kube-shim/server/console_api.h"

#include "core/base/strings.h"
#include "core/http/url.h"
#include "embedded-kube-shim/api/status.h"

namespace skerry::kube {
namespace {

constexpr std::size_t kMostSubscriptions = 16, kMostExtras = 16, kMostDepth = 8, kMostBody = 64 << 10, kMostText = 1024;

Result<json::Value> BodyOf(const http::Request& request) {
  json::Value body;
  std::string error;
  if (request.body.size() > kMostBody) return std::unexpected(Error(Code::kTooLarge, Cat("limit is ", kMostBody)));
  if (!json::Value::Parse(request.body, &body, &error) || !body.is_object()) return std::unexpected(BadRequestError(Cat("the body is no JSON object: ", error)));
  return body;
}

Result<std::string> TextOf(const json::Value& object, std::string_view key) {
  const auto& value = object[key];
  if (value.is_null()) return std::string();
  if (!value.is_string() || value.Str().size() > kMostText) return std::unexpected(BadRequestError(Cat(key, ": want a text of at most ", kMostText, " bytes")));
  return std::string(value.Str());
}

http::Reply Answer(int status, const json::Value& value) {
  http::Response response;
  response.status = status;
  response.headers = {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}};
  response.body = Bytes(value.Dump() + "\n");
  return response;
}

Result<std::vector<std::vector<std::string>>> PathsOf(const json::Value& value) {
  const auto refuse = [] { return std::unexpected(BadRequestError(Cat("extra: want at most ", kMostExtras, " lists of at most ", kMostDepth, " texts"))); };
  std::vector<std::vector<std::string>> out;
  if (value.size() > kMostExtras) return refuse();
  for (const auto& path : value.Items()) {
    if (!path.is_array() || path.size() > kMostDepth) return refuse();
    auto& segments = out.emplace_back();
    for (const auto& segment : path.Items()) {
      if (!segment.is_string()) return refuse();
      segments.emplace_back(segment.Str());
    }
  }
  return out;
}

}  // namespace

http::Reply ConsoleApi::Serve(const RestRequest& request) {
  const auto& http = *request.http;
  const auto what = std::string_view(http.path).substr(kConsoleApi.size());
  const bool known = what == "login" || what == "codes" || what == "stream";
  if (!known) return EncodeError(http, ResourceNotFoundError());
  if (http.method != "POST") return EncodeError(http, MethodNotAllowedError());
  auto reply = what == "login" ? Login(http) : what == "codes" ? NewCode(request) : Stream(request);
  return reply ? std::move(*reply) : http::Reply(EncodeError(http, reply.error()));
}

Result<http::Reply> ConsoleApi::Login(const http::Request& request) {
  TRY(const auto body, BodyOf(request));
  TRY(const auto code, TextOf(body, "code"));
  TRY(const auto session, sessions_.Redeem(code));
  auto answer = json::Value::Object();
  answer.Set("token") = session.token;
  answer.Set("expires") = FormatTime(session.expires);
  return Answer(200, answer);
}

Result<http::Reply> ConsoleApi::NewCode(const RestRequest& request) {
  // A token could turn itself into one that lives longer; a certificate's holder can come back at any time anyway.
  if (!request.http->peer) return std::unexpected(Error(Code::kForbidden, "login codes are for callers with a client certificate"));
  TRY(const auto code, sessions_.NewCode(request.caller.user));
  auto answer = json::Value::Object();
  answer.Set("code") = code;
  return Answer(201, answer);
}

Result<RowQuery> ConsoleApi::QueryFrom(const RestRequest& request, const json::Value& sub) const {
  RowQuery query;
  TRY(query.id, TextOf(sub, "id"));
  TRY(const auto path, TextOf(sub, "path"));
  TRY(const auto labels, TextOf(sub, "labels"));
  TRY(const auto fields, TextOf(sub, "fields"));
  TRY(const auto after, TextOf(sub, "rv"));
  // The same reading of path and selector, and so the same right, as a watch of it over the API.
  http::Request watch;
  watch.method = "GET";
  watch.path = path;
  watch.query = {{"watch", "1"}, {"fieldSelector", fields}};
  const auto info = ParseRequestInfo(watch);
  query.def = info.resource_request ? engine_.resources().Find(info.group, info.version, info.resource) : nullptr;
  if (!query.def || query.def->virtual_resource || !query.def->HasVerb("watch") || info.verb != "watch" || !info.subresource.empty() || info.legacy_watch ||
      (query.def->scope == Scope::kCluster && !info.ns.empty() && info.resource != "namespaces"))
    return std::unexpected(ResourceNotFoundError());
  Attributes attributes;
  attributes.user = request.caller.user;
  attributes.verb = "watch";
  attributes.group = info.group;
  attributes.version = info.version;
  attributes.resource = info.resource;
  attributes.ns = info.ns;
  attributes.name = info.name;
  attributes.path = path;
  if (const auto verdict = authorizer_.Authorize(attributes); verdict.decision != Decision::kAllow) return std::unexpected(ForbiddenFor(attributes, verdict.reason));
  query.version = info.version;
  query.ns = info.ns;
  TRY(query.labels, text::LabelSelector::Parse(labels));
  TRY(query.fields, FieldSelector::Parse(fields, *query.def, query.version));
  TRY(query.after, ParseResourceVersion(after, VersionUse::kWatch));
  if (query.after > engine_.caches().revision()) query.after = 0;   // of another life of this server
  query.cells = sub["cells"].Bool(true);
  TRY(query.extra, PathsOf(sub["extra"]));
  return query;
}

Result<http::Reply> ConsoleApi::Stream(const RestRequest& request) {
  if (request.caller.user.name == "system:anonymous") return std::unexpected(Error(Code::kUnauthenticated, "Unauthorized"));
  TRY(const auto body, BodyOf(*request.http));
  const auto subs = body["subs"].Items();
  if (subs.empty() || subs.size() > kMostSubscriptions) return std::unexpected(BadRequestError(Cat("subs: want 1 to ", kMostSubscriptions)));
  std::vector<RowQuery> queries;
  std::vector<RowRefusal> refusals;
  for (const auto& sub : subs) {
    TRY(auto id, TextOf(sub, "id"));
    auto query = QueryFrom(request, sub);
    if (query) queries.push_back(std::move(*query));
    else refusals.push_back({std::move(id), std::move(query).error()});
  }
  http::Streaming streaming;
  streaming.headers = {{"Content-Type", "application/x-ndjson"}, {"Cache-Control", "no-store"}};
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(1800 + engine_.random().Below(1800));
  streaming.source = NewRowStream(engine_, timers_, std::move(queries), std::move(refusals), deadline);
  return http::Reply(std::move(streaming));
}

}  // namespace skerry::kube
