#include "embedded-kube-shim/server/api_handler.h"

#include <algorithm>
#include <array>
#include <exception>

#include "core/base/random.h"
#include "core/base/strings.h"
#include "core/http/gzip.h"
#include "core/telemetry/log.h"
#include "core/text/duration.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/server/encode.h"
#include "embedded-kube-shim/server/proxy.h"

namespace skerry::kube {
namespace {

http::Response Plain(int status, std::string text) {
  http::Response response;
  response.status = status;
  response.headers.push_back({"Content-Type", "text/plain; charset=utf-8"});
  response.headers.push_back({"Cache-Control", "no-cache, private"});
  response.headers.push_back({"X-Content-Type-Options", "nosniff"});
  response.body = Bytes(std::move(text));
  return response;
}

void Finish(http::Reply& reply, std::string id, std::string_view schema_uid, std::string_view level_uid) {
  const auto add = [&](http::Headers& headers) {
    headers.push_back({"Audit-Id", std::move(id)});
    if (schema_uid.empty()) return;
    headers.push_back({"X-Kubernetes-Pf-Flowschema-Uid", std::string(schema_uid)});
    headers.push_back({"X-Kubernetes-Pf-Prioritylevel-Uid", std::string(level_uid)});
  };
  if (auto* response = std::get_if<http::Response>(&reply)) add(response->headers);
  else if (auto* streaming = std::get_if<http::Streaming>(&reply)) add(streaming->headers);
}

// Requests that last as long as the client likes hold no seat.
bool IsLongRunning(const RequestInfo& info) {
  constexpr std::array<std::string_view, 5> kSubresources = {"exec", "attach", "portforward", "proxy", "log"};
  return info.verb == "watch" || std::find(kSubresources.begin(), kSubresources.end(), info.subresource) != kSubresources.end();
}

void Compress(http::Reply& reply);

// What goes with one answer: identifiers, compression, the audit record.
struct Answering {
  http::ReplyFn done;
  bool gzip = false;
  std::string id = NewUuid();
  FlowControl::Class which;
  std::unique_ptr<AuditRecord> record;

  void Send(http::Reply reply) {
    if (record) record->Answered(reply);
    if (gzip) Compress(reply);
    Finish(reply, std::move(id), which.schema_uid, which.level_uid);
    done(std::move(reply));
  }
};

// Large answers only: small ones cost more to compress than to send.
void Compress(http::Reply& reply) {
  constexpr std::size_t kWorthIt = 128 << 10;
  auto* response = std::get_if<http::Response>(&reply);
  if (!response || response->status != 200 || response->body.size() <= kWorthIt || !http::Get(response->headers, "Content-Encoding").empty()) return;
  auto packed = http::Gzip(response->body.view());
  if (packed.empty()) return;
  response->body = Bytes(std::move(packed));
  response->headers.push_back({"Content-Encoding", "gzip"});
  response->headers.push_back({"Vary", "Accept-Encoding"});
}

// Segments that upstream's router would have to match one by one; an empty one matches nothing.
bool HasEmptySegment(std::string_view path) { return path.find("//") != std::string_view::npos; }

Attributes AttributesOf(const RequestInfo& info, User user, const http::Request& request) {
  Attributes attributes;
  attributes.user = std::move(user);
  attributes.verb = info.verb;
  attributes.resource_request = info.resource_request;
  attributes.group = info.group;
  attributes.version = info.version;
  attributes.resource = info.resource;
  attributes.subresource = info.subresource;
  attributes.ns = info.ns;
  attributes.name = info.name;
  attributes.path = info.path;
  if (info.verb == "list" || info.verb == "watch" || info.verb == "deletecollection") attributes.field_selector = request.Query("fieldSelector");
  return attributes;
}

bool IsCollectionVerb(std::string_view verb) { return verb == "list" || verb == "watch" || verb == "deletecollection"; }

// The name as a path segment: what upstream refuses before it looks anything up.
Result<> CheckName(std::string_view name) {
  const auto refuse = [&](std::string_view why) { return std::unexpected(BadRequestError(Cat("Name parameter invalid: ", Quote(name), ": ", why))); };
  if (name == "." || name == "..") return refuse(Cat("may not be '", name, "'"));
  if (name.find('/') != std::string_view::npos) return refuse("may not contain '/'");
  if (name.find('%') != std::string_view::npos) return refuse("may not contain '%'");
  return {};
}

// Whether this server's own kinds have the group (and answer for what it does not hold), or it exists through definitions alone.
bool IsOwnGroup(const Registry& registry, std::string_view group) {
  const auto all = registry.All();
  return std::any_of(all->begin(), all->end(), [&](const ResourcePtr& def) { return def->group == group && !def->custom; });
}

Error NotSupportedOn(const ResourceDef& def, std::string_view verb) {
  auto detail = std::make_shared<StatusDetail>();
  detail->http = 405;
  detail->reason = "MethodNotAllowed";
  detail->has_details = true;
  detail->group = def.group;
  detail->kind = def.resource;
  const bool ends = def.terminating && verb == "create";
  return Error(Code::kUnsupported, ends ? Cat(verb, " not allowed while custom resource definition is terminating")
                                        : Cat(verb, " is not supported on resources of kind ", Quote(Cat(def.resource, ".", def.group))))
      .WithAttachment(std::move(detail));
}

// Paths of custom resources are looked at by their own handler: it knows no route, only resource, name and verb.
// False: nothing is here (404 in plain text).
bool IsCustomPath(const Registry& registry, const RequestInfo& info) {
  const auto def = registry.Find(info.group, info.version, info.resource);
  if (!def || !def->custom) return false;
  if (def->scope == Scope::kCluster) return info.ns.empty();
  return !info.ns.empty() || info.verb == "list" || info.verb == "watch";
}

Result<> ResolveCustom(RestRequest& request) {
  auto& target = request.target;
  const auto& info = request.info;
  target.name = IsCollectionVerb(info.verb) ? std::string() : info.name;
  target.subresource = info.subresource;
  if (info.subresource.empty()) {
    const bool known = info.verb == "create" ? !target.def->terminating : target.def->HasVerb(info.verb);
    if (!known) return std::unexpected(NotSupportedOn(*target.def, info.verb));
    return info.name.empty() || IsCollectionVerb(info.verb) ? Result<>() : CheckName(info.name);
  }
  request.subresource = target.def->FindSubresource(info.subresource);
  if (!request.subresource || !target.def->Serves(target.schema_version(), *request.subresource)) return std::unexpected(NotFoundError(info.group, info.resource, info.name));
  const auto& verbs = request.subresource->verbs;
  if (std::find(verbs.begin(), verbs.end(), info.verb) == verbs.end()) return std::unexpected(NotSupportedOn(*target.def, info.verb));
  return CheckName(info.name);
}

// The target and its subresource, or why there is none. Methods are checked against what discovery promises.
Result<> ResolveTarget(const Registry& registry, RestRequest& request) {
  auto& info = request.info;
  const bool clean = !HasEmptySegment(request.http->path);   // a slash at the end is none too many
  const auto def = registry.Find(info.group, info.version, info.resource);
  if (def && info.legacy_watch && !def->HasVerb("watch")) return std::unexpected(ResourceNotFoundError());
  const bool proxies = info.subresource == "proxy";
  if (!def || (!clean && !proxies)) return std::unexpected(ResourceNotFoundError());
  const bool by_name = !info.name.empty() && !(IsCollectionVerb(info.verb) && !info.legacy_watch);
  const bool placed = def->scope == Scope::kNamespaced ? (!info.ns.empty() || (!by_name && info.subresource.empty())) : (info.ns.empty() || info.resource == "namespaces");
  if (!placed || (!info.trailing.empty() && !proxies)) return std::unexpected(ResourceNotFoundError());
  request.target.def = def;
  request.target.version = info.version;
  request.target.ns = def->scope == Scope::kNamespaced ? info.ns : std::string();
  request.target.name = IsCollectionVerb(info.verb) ? std::string() : info.name;
  request.target.subresource = info.subresource;
  if (def->custom) return ResolveCustom(request);
  if (!info.subresource.empty()) {
    request.subresource = def->FindSubresource(info.subresource);
    if (!request.subresource || info.legacy_watch) return std::unexpected(ResourceNotFoundError());
    const auto& verbs = request.subresource->verbs;
    const bool relayed = proxies && request.http->method == "OPTIONS";   // has no verb, and the backend answers it
    if (!relayed && std::find(verbs.begin(), verbs.end(), info.verb) == verbs.end()) return std::unexpected(MethodNotAllowedError());
    return CheckName(info.name);
  }
  const bool item_path = by_name && !info.legacy_watch;
  const bool wrong_place = item_path == (info.verb == "create") && info.verb != "list" && info.verb != "watch" && info.verb != "deletecollection";
  if (info.verb.empty() || wrong_place) return std::unexpected(MethodNotAllowedError());
  if (!def->HasVerb(info.verb)) return std::unexpected(item_path || info.verb != "watch" ? MethodNotAllowedError() : MethodNotAllowedError());
  // Writing to all namespaces at once is no route upstream has.
  if (def->scope == Scope::kNamespaced && info.ns.empty() && info.verb != "list" && info.verb != "watch" && !def->virtual_resource) return std::unexpected(MethodNotAllowedError());
  return item_path ? CheckName(info.name) : Result<>();
}

const std::string& DeprecationOf(const Target& target) {
  static const std::string none;
  const auto* version = target.subresource.empty() ? target.def->FindVersion(target.version) : nullptr;
  return version ? version->deprecation_warning : none;
}

// Every answer about a deprecated version says so, errors included.
http::ReplyFn WithWarning(http::ReplyFn done, const std::string& text) {
  return [done = std::move(done), text](http::Reply reply) mutable {
    const auto warn = [&](http::Headers& headers) {
      http::Headers first;
      AddWarnings(first, {text});
      headers.insert(headers.begin(), std::make_move_iterator(first.begin()), std::make_move_iterator(first.end()));
    };
    if (auto* response = std::get_if<http::Response>(&reply)) warn(response->headers);
    else if (auto* streaming = std::get_if<http::Streaming>(&reply)) warn(streaming->headers);
    done(std::move(reply));
  };
}

}  // namespace

Result<User> ApiHandler::Identify(const Ctx& ctx, const http::Request& request, const RequestInfo& info, User* original) const {
  TRY(auto user, authenticator_.Authenticate(ctx, request));
  if (!user) return Fail(Code::kUnauthenticated, "Unauthorized");
  if (original) *original = *user;
  const auto impersonates = [](const http::Header& header) { return !header.name.empty() && (header.name[0] | 0x20) == 'i'; };   // so do few other names begin
  if (std::none_of(request.headers.begin(), request.headers.end(), impersonates)) return std::move(*user);
  return impersonation_.Apply(std::move(*user), request, AttributesOf(info, User(), request));
}

http::BodyPolicy ApiHandler::PolicyFor(const http::Request& head) const {
  http::BodyPolicy policy;
  const bool others = door_.aggregator && door_.aggregator->Any();
  if (IsProxyRequest(head) || (others && OtherServer(ParseRequestInfo(head)))) policy = {http::BodyPolicy::Mode::kReader, std::int64_t{1} << 40};
  return policy;
}

http::Reply ApiHandler::OnShard(const Ctx& ctx, const http::Request& request) {
  if (request.method != "GET" || !request.path.starts_with("/api") || door_.audit_policy) return http::NeedsWorker{};
  // The request outlives this call, and the reply does not refer to it. Who asks is known to the attributes alone: what is served at once does
  // not depend on it.
  RestRequest rest{ctx, std::shared_ptr<const http::Request>(std::shared_ptr<void>(), &request), ParseRequestInfo(request), {}, {}, nullptr};
  const auto& verb = rest.info.verb;
  if (!rest.info.resource_request || (verb != "get" && verb != "list" && verb != "watch") || !rest.info.subresource.empty() || request.HasQuery("timeout")) return http::NeedsWorker{};
  auto& registry = rest_.engine().resources();
  if (OtherServer(rest.info)) return http::NeedsWorker{};
  if (!ResolveTarget(registry, rest) || rest.target.def->virtual_resource || !DeprecationOf(rest.target).empty()) return http::NeedsWorker{};
  auto user = Identify(ctx, request, rest.info);
  if (!user) return http::NeedsWorker{};
  const auto attributes = AttributesOf(rest.info, std::move(*user), request);
  if (authorizer_.Authorize(attributes).decision != Decision::kAllow) return http::NeedsWorker{};
  auto reply = rest_.ServeAtOnce(rest);
  if (!reply) return http::NeedsWorker{};
  const auto uids = door_.flow ? door_.flow->UidsFor(attributes) : FlowControl::Uids();
  Finish(*reply, NewUuid(), uids.schema, uids.level);
  return std::move(*reply);
}

namespace {

bool IsSmall(const Engine& engine, const ResourceDef& def, const RequestInfo& info) {
  constexpr std::size_t kMostStored = 16 << 10;
  const auto item = engine.caches().For(def).Get(info.ns.empty() ? std::string(info.name) : Cat(info.ns, "/", info.name));
  return item && item->size() <= kMostStored;
}

}  // namespace

bool ApiHandler::RunsOnShard(net::Shard& shard, const http::Request& request) const {
  constexpr std::size_t kMostBody = 4 << 10;   // a shard is held up for some tens of microseconds
  if (request.method == "GET" || request.body.size() > kMostBody || !request.path.starts_with("/api") || door_.audit_policy) return false;
  const auto info = ParseRequestInfo(request);
  const bool changes = info.verb == "update" || info.verb == "patch";
  if (!info.resource_request || (!changes && info.verb != "create" && info.verb != "delete") || !info.subresource.empty()) return false;
  const auto& engine = rest_.engine();
  const auto def = engine.resources().Find(info.group, info.version, info.resource);
  if (!def || def->custom || def->virtual_resource || def->group == "apiextensions.k8s.io") return false;
  // What has a specification is longer at work, and may wait for what it asks for; but most of a workload stays as it was.
  if ((def->has_generation || info.verb == "patch") && !(changes && def->group == "apps" && IsSmall(engine, *def, info))) return false;
  for (const auto* cache : slow_admission_)
    if (cache->size() > 0) return false;
  SetHomeShard(shard);
  return true;
}

void ApiHandler::OnWorker(const Ctx& ctx, std::shared_ptr<const http::Request> request, http::ReplyFn done) {
  auto answering = std::make_shared<Answering>(Answering{std::move(done), request->method == "GET" && http::HasToken(request->headers, "Accept-Encoding", "gzip"), NewUuid(), {}, nullptr});
  try {
    RestRequest rest{ctx, request, ParseRequestInfo(*request), {}, {}, nullptr};
    for (const std::string_view special : {"watch", "proxy"}) {
      if (rest.info.resource_request && !rest.info.resource.empty() && rest.info.resource != special) continue;
      if (request->path == Cat(rest.info.core ? "/api/" : Cat("/apis/", rest.info.group, "/"), rest.info.version, "/", special) && !rest.info.version.empty())
        return answering->Send(Plain(500, Cat("Internal Server Error: ", Quote(request->path), ": failed to create RequestInfo: unable to determine kind and namespace from url, ", request->path, "\n")));
    }
    User original;
    auto user = Identify(ctx, *request, rest.info, &original);
    if (!user) return answering->Send(EncodeError(*request, user.error()));
    rest.caller.user = std::move(*user);
    rest.caller.user_agent = request->Get("User-Agent");
    if (request->path.starts_with(kConsoleApi)) return answering->Send(console_.Serve(rest));
    const auto attributes = AttributesOf(rest.info, rest.caller.user, *rest.http);
    if (door_.audit_policy) {
      answering->record = std::make_unique<AuditRecord>(*door_.audit_policy, *door_.audit_log, *door_.clock, answering->id, *request, attributes, original);
      answering->record->Received();
      rest.caller.audit = answering->record->annotations();
    }
    if (door_.flow) answering->which = door_.flow->Classify(attributes);
    const auto verdict = authorizer_.Authorize(attributes);
    if (answering->record) answering->record->SetVerdict(verdict.decision == Decision::kAllow, verdict.reason);
    if (verdict.decision != Decision::kAllow) {
      auto response = EncodeError(*request, ForbiddenFor(attributes, verdict.reason));
      response.headers.push_back({"X-Content-Type-Options", "nosniff"});
      return answering->Send(std::move(response));
    }
    std::shared_ptr<const FlowControl::Class> which(answering, &answering->which);
    Admit(std::move(rest), std::move(which), [answering](http::Reply reply) { answering->Send(std::move(reply)); });
  } catch (const std::exception& error) {
    log::Error("request failed", {{"path", request->path}, {"error", error.what()}});
    if (answering->done) answering->Send(EncodeError(*request, Error(Code::kInternal, "Internal error occurred")));
  }
}

// The request runs when its priority level has a seat for it, and gives it back with its answer.
void ApiHandler::Admit(RestRequest request, std::shared_ptr<const FlowControl::Class> which, http::ReplyFn done) {
  if (!door_.flow || which->exempt || IsLongRunning(request.info)) return Route(std::move(request), std::move(done));
  auto shared = std::make_shared<std::pair<RestRequest, http::ReplyFn>>(std::move(request), std::move(done));
  door_.flow->Acquire(
      *which,
      [this, which, shared] {
        const auto http = shared->first.http;
        auto answered = std::make_shared<bool>(false);
        auto finish = std::make_shared<http::ReplyFn>([this, which, shared, answered](http::Reply reply) {
          *answered = true;
          shared->second(std::move(reply));
          door_.flow->Release(*which);
        });
        try {
          Route(std::move(shared->first), [finish](http::Reply reply) { (*finish)(std::move(reply)); });
        } catch (const std::exception& error) {
          log::Error("request failed", {{"path", http->path}, {"error", error.what()}});
          if (!*answered) (*finish)(EncodeError(*http, Error(Code::kInternal, "Internal error occurred")));
        }
      },
      [shared] {
        auto response = Plain(429, "Too many requests, please try again later.\n");
        response.headers.push_back({"Retry-After", "1"});
        shared->second(std::move(response));
      });
}

void ApiHandler::Route(RestRequest request, http::ReplyFn done) {
  const auto http = request.http;
  if (auto other = OtherServer(request.info)) return door_.aggregator->Serve(std::move(other), std::move(request), std::move(done));
  if (const auto timeout = http->Query("timeout"); !timeout.empty() && !IsLongRunning(request.info)) {
    if (auto parsed = text::ParseDuration(timeout); !parsed)
      return done(EncodeError(*http, BadRequestError(Cat("invalid timeout specified in the request URL - ", parsed.error().message()))));
  }
  if (!request.info.resource_request || http->path.starts_with("//")) {
    if (auto reply = nonresource_.Serve(request)) return done(std::move(*reply));
    return done(Plain(404, "404 page not found\n"));
  }
  auto& registry = rest_.engine().resources();
  if (!request.info.core && !IsOwnGroup(registry, request.info.group) && !IsCustomPath(registry, request.info)) return done(Plain(404, "404 page not found\n"));
  if (http->method == "HEAD" && request.info.subresource != "proxy") return done(EncodeError(*http, MethodNotAllowedError()));   // no route of objects knows it
  if (auto resolved = ResolveTarget(registry, request); !resolved) return done(EncodeError(*http, resolved.error()));
  if (const auto& text = DeprecationOf(request.target); !text.empty()) done = WithWarning(std::move(done), text);
  rest_.Serve(std::move(request), [http, done = std::move(done)](Result<http::Reply> reply) mutable {
    if (reply) done(std::move(*reply));
    else done(EncodeError(*http, reply.error()));
  });
}

http::Response ApiHandler::TooLarge(const http::Request& request, std::int64_t limit) const {
  return EncodeError(request, Error(Code::kTooLarge, Cat("limit is ", limit)));
}

http::Response ApiHandler::Overloaded(const http::Request& request) const {
  return EncodeError(request, Error(Code::kTooMany, "too many requests, please try again later").WithRetryAfter(std::chrono::seconds(1)));
}

}  // namespace skerry::kube
