#include "embedded-kube-shim/server/projects.h"

#include <algorithm>

#include "core/base/strings.h"
#include "core/text/selector.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/server/field_selector.h"
#include "embedded-kube-shim/server/local_client.h"
#include "embedded-kube-shim/server/metrics_api.h"
#include "embedded-kube-shim/server/watch_source.h"

namespace skerry::kube {
namespace {

constexpr std::string_view kGroup = "project.openshift.io", kNamespaces = "v1/namespaces";

bool Sees(const Rest& rest, const User& user, std::string_view ns) {
  Attributes attributes;
  attributes.user = user;
  attributes.verb = "get";
  attributes.version = "v1";
  attributes.resource = "namespaces";
  attributes.ns = attributes.name = ns;
  return rest.services().authorizer->Authorize(attributes).decision == Decision::kAllow;
}

json::Value ProjectOf(const json::Value& ns) {
  json::Value out;
  out.Set("metadata") = ns["metadata"].Clone();
  out.Set("metadata").Erase("managedFields");   // of the namespace's own version
  if (const auto* finalizers = ns["spec"].Find("finalizers")) out.Set("spec").Set("finalizers") = finalizers->Clone();
  out.Set("status") = ns["status"].Clone();
  return out;
}

ItemPtr ItemOfProject(const RestRequest& request, const json::Value& ns) {
  return MadeItem(request, {"", std::string(ns["metadata"]["name"].Str())}, ProjectOf(ns));
}

Result<http::Reply> Read(Rest& rest, const RestRequest& request) {
  const bool list = request.info.verb == "list";
  const User& user = request.caller.user;
  TRY(auto output, Negotiate(*request.http, MediaScope::kObject));
  Result<> include;
  const auto encoder = EncoderFor(rest.engine(), request, std::move(output), &include);
  TRY_VOID(std::move(include));
  if (!list) {
    const auto ns = Sees(rest, user, request.target.name) ? rest.engine().Lookup("", "namespaces", "", request.target.name) : nullptr;
    if (!ns) return std::unexpected(NotFoundError(kGroup, "projects", request.target.name));   // nor is it told that there is one
    TRY(auto response, encoder.One(200, ItemOfProject(request, *ns)));
    return http::Reply(std::move(response));
  }
  TRY(const auto options, ParseListOptions(*request.http));
  TRY(const auto labels, text::LabelSelector::Parse(options.label_selector));
  TRY(const auto fields, FieldSelector::Parse(options.field_selector, *request.target.def, request.target.version));
  std::vector<ItemPtr> items;
  for (const auto& ns : rest.engine().List("", "namespaces", "")) {
    if (!Sees(rest, user, (*ns)["metadata"]["name"].Str())) continue;
    if (auto item = ItemOfProject(request, *ns); SelectedBy(*item, labels, fields)) items.push_back(std::move(item));
  }
  std::sort(items.begin(), items.end(), [](const ItemPtr& a, const ItemPtr& b) { return a->key() < b->key(); });
  TRY(auto response, encoder.List(items, {}));
  return http::Reply(std::move(response));
}

std::unique_ptr<Client> ClientFor(Rest& rest, User user) {
  return NewLocalClient(rest.engine(), *rest.services().authorizer, *rest.services().tokens, std::move(user), "projects");
}

// Error of the namespace behind a project, in the project's name.
Error AsProjects(Error error, std::string_view name) {
  if (error.code() == Code::kAlreadyExists) return AlreadyExistsError(kGroup, "projects", name);
  if (error.code() == Code::kNotFound) return NotFoundError(kGroup, "projects", name);
  return error;
}

http::Reply Success() {
  auto status = json::Value::Object();
  status.Set("kind") = "Status";
  status.Set("apiVersion") = "v1";
  status.Set("metadata") = json::Value::Object();
  status.Set("status") = "Success";
  return http::Reply(EncodeValue(Output(), 200, status));
}

Result<http::Reply> Created(const RestRequest& request, const json::Value& ns) {
  TRY(auto output, Negotiate(*request.http, MediaScope::kObject));
  auto project = ProjectOf(ns);
  project.Set("kind") = "Project";
  project.Set("apiVersion") = Cat(kGroup, "/v1");
  return http::Reply(EncodeValue(output, 201, project));
}

Result<json::Value> BodyOf(const RestRequest& request) {
  std::vector<std::string> warnings;
  TRY(const auto options, ParseWriteOptions(*request.http, "CreateOptions"));
  if (options.dry_run) return std::unexpected(BadRequestError("dryRun is not supported"));
  return ReadBody(request, request.target.schema_version().schema, request.target.gvk(), options.field_validation, warnings);
}

// What `oc adm new-project` does, with the caller's own rights.
Result<http::Reply> Create(Rest& rest, const RestRequest& request) {
  TRY(auto body, BodyOf(request));
  const std::string name(body["metadata"]["name"].Str());
  json::Value ns;
  ns.Set("metadata") = body["metadata"].Clone();
  auto made = ClientFor(rest, request.caller.user)->Create(request.ctx, kNamespaces, std::move(ns));
  if (!made) return std::unexpected(AsProjects(std::move(made).error(), name));
  return Created(request, **made);
}

Result<http::Reply> Delete(Rest& rest, const RestRequest& request) {
  const auto deleted = ClientFor(rest, request.caller.user)->Delete(request.ctx, kNamespaces, {"", request.target.name});
  if (!deleted) return std::unexpected(AsProjects(deleted.error().Clone(), request.target.name));
  return Success();
}

// A namespace of the caller's own. The server's rights make it: the caller's were asked for at the door.
Result<http::Reply> Request(Rest& rest, const RestRequest& request) {
  TRY(auto body, BodyOf(request));
  const std::string name(body["metadata"]["name"].Str());
  const User& user = request.caller.user;
  for (const std::string_view reserved : {"openshift", "kubernetes", "kube"}) {
    if (name == reserved || name.starts_with(Cat(reserved, "-"))) return std::unexpected(ForbiddenError(kGroup, "projectrequests", name, Cat("the name is kept for the system: names that begin with ", Quote(reserved))));
  }
  json::Value ns;
  ns.Set("metadata").Set("name") = name;
  auto& annotations = ns.Set("metadata").Set("annotations");
  annotations = json::Value::Object();
  annotations.Set("openshift.io/description") = body["description"].Str();
  annotations.Set("openshift.io/display-name") = body["displayName"].Str();
  annotations.Set("openshift.io/requester") = user.name;
  const auto client = ClientFor(rest, {"system:apiserver", "", {"system:masters", "system:authenticated"}, {}});
  auto made = client->Create(request.ctx, kNamespaces, std::move(ns));
  if (!made) return std::unexpected(AsProjects(std::move(made).error(), name));
  json::Value binding;
  binding.Set("metadata").Set("name") = "admin";
  binding.Set("metadata").Set("namespace") = name;
  auto& role = binding.Set("roleRef");
  role.Set("apiGroup") = "rbac.authorization.k8s.io";
  role.Set("kind") = "ClusterRole";
  role.Set("name") = "admin";
  auto& subject = binding.Set("subjects").Append(json::Value::Object());
  subject.Set("apiGroup") = "rbac.authorization.k8s.io";
  subject.Set("kind") = "User";
  subject.Set("name") = user.name;
  auto bound = client->Create(request.ctx, "rbac.authorization.k8s.io/v1/rolebindings", std::move(binding));
  if (!bound) {
    if (auto undone = client->Delete(request.ctx, kNamespaces, {"", name}); !undone) return std::unexpected(std::move(undone).error());
    return std::unexpected(std::move(bound).error());
  }
  return Created(request, **made);
}

// Writes wait for the store: on a thread that may.
void OnWaiter(Rest& rest, RestRequest request, RestDone done, Result<http::Reply> (*answer)(Rest&, const RestRequest&)) {
  auto shared = std::make_shared<std::pair<RestRequest, RestDone>>(std::move(request), std::move(done));
  if (!rest.services().waiters->TrySubmit([&rest, shared, answer] { shared->second(answer(rest, shared->first)); }))
    shared->second(std::unexpected(Error(Code::kUnavailable, "too many requests wait for their namespaces")));
}

}  // namespace

void ServeProjects(Rest& rest, RestRequest request, RestDone done) {
  const std::string& verb = request.info.verb;
  if (verb == "create") return OnWaiter(rest, std::move(request), std::move(done), Create);
  if (verb == "delete") return OnWaiter(rest, std::move(request), std::move(done), Delete);
  if (verb == "get" || verb == "list") return done(Read(rest, request));
  done(std::unexpected(MethodNotAllowedError()));
}

void ServeProjectRequests(Rest& rest, RestRequest request, RestDone done) {
  const std::string& verb = request.info.verb;
  if (verb == "create") return OnWaiter(rest, std::move(request), std::move(done), Request);
  if (verb == "list") return done(Success());   // "may I?": who came this far may
  done(std::unexpected(MethodNotAllowedError()));
}

}  // namespace skerry::kube
