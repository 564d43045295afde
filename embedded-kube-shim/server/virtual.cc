#include "embedded-kube-shim/server/connect.h"
#include "embedded-kube-shim/server/stream/pod_streams.h"
#include "embedded-kube-shim/server/virtual.h"

#include <array>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/auth/node_authorizer.h"
#include "embedded-kube-shim/server/metrics_api.h"
#include "embedded-kube-shim/server/object_metrics.h"
#include "embedded-kube-shim/server/projects.h"
#include "embedded-kube-shim/server/proxy.h"
#include "embedded-kube-shim/server/scale.h"
#include "embedded-kube-shim/server/pod_subresources.h"
#include "embedded-kube-shim/server/token_request.h"

namespace skerry::kube {
namespace {

using Handle = void (*)(Rest&, RestRequest, RestDone);

struct Route {
  std::string_view group, resource, subresource;
  Handle handle;
};

// The review as it was sent, in canonical form.
Result<json::Value> Body(const Rest& rest, const RestRequest& request, std::vector<std::string>* warnings) {
  TRY(auto options, ParseWriteOptions(*request.http, "CreateOptions"));
  const auto schema = request.target.schema_version().schema;
  TRY(auto body, ReadBody(request, schema, request.target.gvk(), options.field_validation, *warnings));
  RecordReviewFields(rest.engine(), request, options, schema, request.target.gvk().api_version(), body);
  return body;
}

void Answer(const RestRequest& request, Result<json::Value> object, std::vector<std::string> warnings, RestDone& done) {
  if (!object) return done(std::unexpected(std::move(object).error()));
  auto output = Negotiate(*request.http, MediaScope::kReview);
  if (!output) return done(std::unexpected(std::move(output).error()));
  Canonicalize(request.target.schema_version().schema, *object);
  auto response = EncodeValue(*output, 201, *object);
  AddWarnings(response.headers, warnings);
  done(http::Reply(std::move(response)));
}

json::Value UserInfo(const User& user) {
  auto info = json::Value::Object();
  info.Set("username") = user.name;
  if (!user.uid.empty()) info.Set("uid") = user.uid;
  for (const auto& group : user.groups) info.Set("groups").Append(group);
  for (const auto& [key, values] : user.extra)
    for (const auto& value : values) info.Set("extra").Set(key).Append(value);
  return info;
}

// Why selectors of a review do not count; empty = they do.
std::string SelectorProblems(const json::Value& attributes) {
  std::string out;
  for (const std::string_view kind : {"fieldSelector", "labelSelector"})
    for (const auto& requirement : attributes[kind]["requirements"].Items()) {
      const auto op = requirement["operator"].Str();
      if (op == "In" || op == "NotIn" || op == "Exists" || op == "DoesNotExist") continue;
      out += Cat(out.empty() ? "" : ", ", "spec.resourceAttributes.", kind, " ignored due to parse error");
      break;
    }
  return out;
}

Attributes AttributesOf(const json::Value& spec, User user) {
  Attributes attributes;
  attributes.user = std::move(user);
  if (const auto* path = spec.Find("nonResourceAttributes")) {
    attributes.resource_request = false;
    attributes.path = (*path)["path"].Str();
    attributes.verb = (*path)["verb"].Str();
    return attributes;
  }
  const auto& resource = spec["resourceAttributes"];
  attributes.verb = resource["verb"].Str();
  attributes.group = resource["group"].Str();
  attributes.version = resource["version"].Str("*");
  attributes.resource = resource["resource"].Str();
  attributes.subresource = resource["subresource"].Str();
  attributes.ns = resource["namespace"].Str();
  attributes.name = resource["name"].Str();
  attributes.field_selector = resource["fieldSelector"]["rawSelector"].Str();
  for (const auto& requirement : resource["fieldSelector"]["requirements"].Items())
    if (requirement["operator"].Str() == "In" && requirement["values"].size() == 1)
      attributes.field_selector += Cat(attributes.field_selector.empty() ? "" : ",", requirement["key"].Str(), "=", requirement["values"].Items()[0].Str());
  return attributes;
}

json::Value Judge(const Rest& rest, const Attributes& attributes) {
  const auto verdict = rest.services().authorizer->Authorize(attributes);
  auto status = json::Value::Object();
  status.Set("allowed") = verdict.decision == Decision::kAllow;
  if (verdict.decision == Decision::kDeny) status.Set("denied") = true;
  if (!verdict.reason.empty()) status.Set("reason") = verdict.reason;
  return status;
}

void AccessReview(Rest& rest, RestRequest request, RestDone done) {
  std::vector<std::string> warnings;
  auto body = Body(rest, request, &warnings);
  if (!body) return done(std::unexpected(std::move(body).error()));
  const auto& spec = (*body)["spec"];
  const bool self = request.target.def->resource == "selfsubjectaccessreviews";
  const bool local = request.target.def->resource == "localsubjectaccessreviews";
  if (local) body->Set("metadata").Set("namespace") = request.info.ns;
  FieldErrors errors;
  Validate(*request.target.def, request.target.schema_version(), "", *body, nullptr, errors);
  User user;
  if (self) {
    user = request.caller.user;
  } else {
    user.name = spec["user"].Str();
    user.uid = spec["uid"].Str();
    for (const auto& group : spec["groups"].Items()) user.groups.emplace_back(group.Str());
    for (const auto& [key, values] : spec["extra"].Members())
      for (const auto& value : values.Items()) user.extra[ToLower(key)].emplace_back(value.Str());
  }
  if (!errors.empty()) return done(std::unexpected(InvalidError(request.target.def->group, "", "", errors)));
  body->Set("status") = Judge(rest, AttributesOf(spec, std::move(user)));
  if (const auto problems = SelectorProblems(spec["resourceAttributes"]); !problems.empty()) body->Set("status").Set("evaluationError") = problems;
  Answer(request, std::move(body), std::move(warnings), done);
}

void RulesReview(Rest& rest, RestRequest request, RestDone done) {
  std::vector<std::string> warnings;
  auto body = Body(rest, request, &warnings);
  if (!body) return done(std::unexpected(std::move(body).error()));
  const std::string ns((*body).At({"spec", "namespace"}).Str());
  if (ns.empty()) return done(std::unexpected(BadRequestError("no namespace on request")));
  std::string incomplete;
  auto resources = json::Value::Array(), paths = json::Value::Array();
  const auto list = [](const std::vector<std::string>& values) {
    auto out = json::Value::Array();
    for (const auto& value : values) out.Append(value);
    return out;
  };
  auto rules = rest.services().rbac->RulesFor(request.caller.user, ns, &incomplete);
  if (request.caller.user.InGroup("system:masters")) rules.push_back({{"*"}, {"*"}, {"*"}, {}, {}}), rules.push_back({{"*"}, {}, {}, {}, {"*"}});
  for (const auto& rule : rules) {
    auto one = json::Value::Object();
    one.Set("verbs") = list(rule.verbs);
    if (!rule.non_resource_urls.empty()) {
      one.Set("nonResourceURLs") = list(rule.non_resource_urls);
      paths.Append(std::move(one));
      continue;
    }
    one.Set("apiGroups") = list(rule.api_groups);
    one.Set("resources") = list(rule.resources);
    if (!rule.resource_names.empty()) one.Set("resourceNames") = list(rule.resource_names);
    resources.Append(std::move(one));
  }
  auto& status = body->Set("status");
  status = json::Value::Object();
  status.Set("resourceRules") = std::move(resources);
  status.Set("nonResourceRules") = std::move(paths);
  status.Set("incomplete") = NodeIdentity(request.caller.user).is_node;   // of nodes more is allowed than rules say
  if (!incomplete.empty()) status.Set("evaluationError") = incomplete;
  body->Set("spec") = json::Value::Object();
  body->Set("metadata").Erase("managedFields");
  Answer(request, std::move(body), std::move(warnings), done);
}

void SelfReview(Rest& rest, RestRequest request, RestDone done) {
  std::vector<std::string> warnings;
  auto body = Body(rest, request, &warnings);
  if (body) {
    body->Set("metadata").Set("creationTimestamp") = FormatTime(rest.engine().now());
    body->Set("status").Set("userInfo") = UserInfo(request.caller.user);
  }
  Answer(request, std::move(body), std::move(warnings), done);
}

void TokenReview(Rest& rest, RestRequest request, RestDone done) {
  std::vector<std::string> warnings;
  auto body = Body(rest, request, &warnings);
  if (!body) return done(std::unexpected(std::move(body).error()));
  const std::string token((*body).At({"spec", "token"}).Str());
  if (token.empty()) return done(std::unexpected(BadRequestError("token is required for TokenReview in authentication")));
  std::vector<std::string> audiences, granted;
  for (const auto& audience : (*body).At({"spec", "audiences"}).Items()) audiences.emplace_back(audience.Str());
  auto status = json::Value::Object();
  auto user = rest.services().authenticator->AuthenticateToken(token, audiences, &granted);
  if (user && *user) {
    status.Set("authenticated") = true;
    status.Set("user") = UserInfo(**user);
    for (const auto& audience : granted) status.Set("audiences").Append(audience);
  } else {
    status.Set("user") = json::Value::Object();
    if (!user) status.Set("error") = user.error().message();
  }
  body->Set("status") = std::move(status);
  Answer(request, std::move(body), std::move(warnings), done);
}

void ComponentStatuses(Rest&, RestRequest request, RestDone done) {
  auto output = Negotiate(*request.http, MediaScope::kObject);
  if (!output) return done(std::unexpected(std::move(output).error()));
  const auto component = [](std::string_view name) {
    auto object = json::Value::Object();
    object.Set("metadata").Set("name") = name;
    auto condition = json::Value::Object();
    condition.Set("type") = "Healthy";
    condition.Set("status") = "True";
    condition.Set("message") = "ok";
    object.Set("conditions").Append(std::move(condition));
    return object;
  };
  constexpr std::array<std::string_view, 3> kNames = {"controller-manager", "scheduler", "etcd-0"};
  if (request.info.verb == "list") {
    auto list = json::Value::Object();
    list.Set("kind") = "ComponentStatusList";
    list.Set("apiVersion") = "v1";
    list.Set("metadata") = json::Value::Object();
    for (const auto name : kNames) list.Set("items").Append(component(name));
    return done(http::Reply(EncodeValue(*output, 200, list)));
  }
  for (const auto name : kNames) {
    if (name != request.target.name) continue;
    auto object = json::Value::Object();
    object.Set("kind") = "ComponentStatus";
    object.Set("apiVersion") = "v1";
    auto built = component(name);
    for (auto& [key, value] : built.MutableMembers()) object.Set(key) = std::move(value);
    return done(http::Reply(EncodeValue(*output, 200, object)));
  }
  done(std::unexpected(NotFoundError("", "componentstatus", request.target.name)));
}

// Needs a node agent: says whether the object exists, then that nobody can answer yet.
void NeedsNode(Rest& rest, RestRequest request, RestDone done) {
  const auto& target = request.target;
  if (!rest.engine().Find(target)) return done(std::unexpected(NotFoundError(target.def->group, target.def->resource, target.name)));
  done(std::unexpected(Error(Code::kUnavailable, Cat("no node serves ", target.def->resource, "/", target.subresource))));
}

// The container's input is closed with its first client's only when it says so and is no terminal.
stream::InputEnd InputEndOf(const json::Value& pod, std::string_view container) {
  if (container.empty()) container = pod.At({"metadata", "annotations", "kubectl.kubernetes.io/default-container"}).Str();
  if (container.empty() && pod["spec"]["containers"].size() > 0) container = pod["spec"]["containers"].Items()[0]["name"].Str();
  for (const char* list : {"containers", "initContainers", "ephemeralContainers"}) {
    for (const json::Value& c : pod["spec"][list].Items()) {
      if (c["name"].Str() == container) return c["stdinOnce"].Bool() && !c["tty"].Bool() ? stream::InputEnd::kReachesProcess : stream::InputEnd::kDetaches;
    }
  }
  return stream::InputEnd::kReachesProcess;
}

// log, exec, attach, portforward: answered by the agent of the pod's node, which is in this process.
void ServePodStream(Rest& rest, RestRequest request, RestDone done) {
  const auto& target = request.target;
  NodeStreams* node = rest.services().node ? rest.services().node() : nullptr;
  const ItemPtr found = rest.engine().Find(target);
  if (found && target.subresource == "log")
    if (const auto pod = found->Object(); pod->At({"spec", "nodeName"}).Str().empty()) return done(stream::LogOfUnscheduled(*request.http, *pod));
  if (!node || !found) return NeedsNode(rest, std::move(request), std::move(done));
  const Key pod{target.ns, target.name};
  const std::string& what = target.subresource;
  if (what == "log") return done(stream::Log(*node, *request.http, pod));
  if (what == "exec") return done(stream::Exec(request.ctx, *node, *rest.services().waiters, *request.http, pod));
  if (what == "attach") return done(stream::Attach(request.ctx, *node, *rest.services().waiters, *request.http, pod, InputEndOf(*found->Object(), request.http->Query("container"))));
  done(stream::PortForward(*node, *rest.services().waiters, *request.http, pod));
}

void ConnectPod(Rest& rest, RestRequest request, RestDone done) {
  if (auto admitted = AdmitConnect(rest, request); !admitted) return done(std::unexpected(std::move(admitted).error()));
  ServePodStream(rest, std::move(request), std::move(done));
}

void ConnectProxy(Rest& rest, RestRequest request, RestDone done) {
  if (auto admitted = AdmitConnect(rest, request); !admitted) return done(std::unexpected(std::move(admitted).error()));
  ServeProxy(rest, std::move(request), std::move(done));
}

constexpr Route kRoutes[] = {
    {"authorization.k8s.io", "subjectaccessreviews", "", AccessReview},
    {"authorization.k8s.io", "localsubjectaccessreviews", "", AccessReview},
    {"authorization.k8s.io", "selfsubjectaccessreviews", "", AccessReview},
    {"authorization.k8s.io", "selfsubjectrulesreviews", "", RulesReview},
    {"authentication.k8s.io", "selfsubjectreviews", "", SelfReview},
    {"authentication.k8s.io", "tokenreviews", "", TokenReview},
    {"", "serviceaccounts", "token", ServeTokenRequest},
    {"", "componentstatuses", "", ComponentStatuses},
    {"", "bindings", "", ServeBinding},
    {"", "pods", "binding", ServeBinding},
    {"", "pods", "eviction", ServeEviction},
    {"", "pods", "log", ServePodStream},
    {"", "pods", "exec", ConnectPod},
    {"", "pods", "attach", ConnectPod},
    {"", "pods", "portforward", ConnectPod},
    {"", "pods", "proxy", ConnectProxy},
    {"", "services", "proxy", ConnectProxy},
    {"", "nodes", "proxy", ConnectProxy},
    {"project.openshift.io", "projects", "", ServeProjects},
    {"project.openshift.io", "projectrequests", "", ServeProjectRequests},
    {"metrics.k8s.io", "nodes", "", ServeMetrics},
    {"metrics.k8s.io", "pods", "", ServeMetrics},
    {"custom.metrics.k8s.io", "*", "*", ServeObjectMetrics},
    {"external.metrics.k8s.io", "*", "*", ServeObjectMetrics},
    {"*", "*", "scale", ServeScale},
};

const Route* FindRoute(const RestRequest& request) {
  const auto& target = request.target;
  for (const auto& route : kRoutes) {
    if (route.group != "*" && route.resource == "*" && route.group == target.def->group) return &route;
    if (route.subresource != target.subresource) continue;
    if (route.group == "*" || (route.group == target.def->group && route.resource == target.def->resource)) return &route;
  }
  return nullptr;
}

}  // namespace

bool IsVirtual(const RestRequest& request) { return FindRoute(request) != nullptr; }

void ServeVirtual(Rest& rest, RestRequest request, RestDone done) { FindRoute(request)->handle(rest, std::move(request), std::move(done)); }

}  // namespace skerry::kube
