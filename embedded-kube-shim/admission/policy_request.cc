#include "embedded-kube-shim/admission/policy_request.h"

#include "core/base/strings.h"

namespace skerry::kube {
namespace {

void SetKind(json::Value& at, std::string_view group, std::string_view version, std::string_view member, std::string_view name) {
  at.Set("group") = group;
  at.Set("version") = version;
  at.Set(member) = name;
}

json::Value UserInfo(const User& user) {
  json::Value out = json::Value::Object();
  if (!user.name.empty()) out.Set("username") = user.name;
  if (!user.uid.empty()) out.Set("uid") = user.uid;
  for (const std::string& group : user.groups) out.Set("groups").Append(group);
  for (const auto& [key, values] : user.extra) {
    json::Value& list = out.Set("extra").Set(key) = json::Value::Array();
    for (const std::string& value : values) list.Append(value);
  }
  return out;
}

// request, as admission.k8s.io/v1 has it, without the objects.
json::Value Shown(const AdmissionRequest& request, const MatchedResource& as) {
  json::Value out = json::Value::Object();
  const GroupVersionKind kind = RequestedKind(request);
  const bool same = as.group == request.def.group && as.version == request.version;
  SetKind(out.Set("kind"), same ? kind.group : as.group, same ? kind.version : as.version, "kind", same ? kind.kind : as.kind);
  SetKind(out.Set("resource"), as.group, as.version, "resource", as.resource);
  if (!request.subresource.empty()) out.Set("subResource") = request.subresource;
  SetKind(out.Set("requestKind"), kind.group, kind.version, "kind", kind.kind);
  SetKind(out.Set("requestResource"), request.def.group, request.version, "resource", request.def.resource);
  if (!request.subresource.empty()) out.Set("requestSubResource") = request.subresource;
  if (const std::string name = RequestedName(request); !name.empty()) out.Set("name") = name;
  if (!request.ns.empty()) out.Set("namespace") = request.ns;
  out.Set("operation") = OperationName(request.operation);
  out.Set("userInfo") = UserInfo(request.user);
  out.Set("dryRun") = request.dry_run;
  if (request.options != nullptr) out.Set("options") = request.options->Clone();
  return out;
}

// What expressions may know of a namespace.
json::Value Trimmed(const json::Value& ns) {
  json::Value out = json::Value::Object();
  for (const char* field : {"name", "generateName", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "finalizers"}) {
    if (const json::Value* value = ns["metadata"].Find(field)) out.Set("metadata").Set(field) = value->Clone();
  }
  for (const char* part : {"spec", "status"}) {
    if (const json::Value* value = ns.Find(part)) out.Set(part) = value->Clone();
  }
  return out;
}

User ServiceAccountUser(std::string_view ns, std::string_view name) {
  User user;
  user.name = Cat("system:serviceaccount:", ns, ":", name);
  user.groups = {"system:serviceaccounts", Cat("system:serviceaccounts:", ns), "system:authenticated"};
  return user;
}

cel::AccessDecision Ask(const AdmissionWorld& world, const User& user, const cel::AccessCheck& check) {
  Attributes attributes;
  attributes.user = check.service_account.empty() ? user : ServiceAccountUser(check.service_account_ns, check.service_account);
  attributes.verb = check.verb;
  attributes.resource_request = check.path.empty();
  attributes.path = check.path;
  attributes.group = check.group;
  attributes.version = "*";
  attributes.resource = check.resource;
  attributes.subresource = check.subresource;
  attributes.ns = check.ns;
  attributes.name = check.name;
  attributes.field_selector = check.field_selector;
  const Verdict verdict = world.Authorize(attributes);
  return {verdict.decision == Decision::kAllow, verdict.reason, {}};
}

}  // namespace

PolicyRequest::PolicyRequest(const AdmissionRequest& request, const AdmissionWorld& world, const MatchedResource& as) : request_(request), shown_(Shown(request, as)) {
  const bool is_namespace = request.def.group.empty() && request.def.resource == "namespaces";
  if (!request.ns.empty() && !is_namespace) ns_ = world.Lookup("", "namespaces", "", request.ns);
  if (ns_ != nullptr) namespace_object_ = Trimmed(*ns_);
  authorize_ = std::make_shared<const cel::AuthorizeHook>([&request, &world](const cel::AccessCheck& check) { return Ask(world, request.user, check); });
}

cel::PolicyValues PolicyRequest::Values(const json::Value* params) const {
  cel::PolicyValues values;
  if (request_.object != nullptr) values.object = cel::Val::FromJson(*request_.object);
  if (request_.old != nullptr) values.old_object = cel::Val::FromJson(*request_.old);
  values.request = cel::Val::FromJson(shown_);
  values.namespace_object = cel::Val::FromJson(namespace_object_);
  values.authorizer = cel::AuthorizerValue(authorize_);
  cel::AccessCheck own;
  own.group = request_.def.group;
  own.resource = request_.def.resource;
  own.subresource = request_.subresource;
  own.ns = request_.ns;
  own.name = RequestedName(request_);
  values.request_resource = cel::ResourceCheckValue(authorize_, std::move(own));
  if (params != nullptr) values.params = cel::Val::FromJson(*params);
  return values;
}

MatchConditions CompileMatchConditions(const json::Value& conditions, const cel::PolicyFeatures& features) {
  MatchConditions out;
  if (conditions.size() == 0) return out;
  const cel::PolicyCompiler compiler(features);
  for (const json::Value& condition : conditions.Items()) {
    auto program = compiler.Compile(condition["expression"].Str(), cel::Yields::kBool);
    if (!program) {
      out.error = program.error().message();
      return out;
    }
    out.programs.push_back({std::string(condition["name"].Str()), std::move(*program)});
  }
  return out;
}

ConditionOutcome EvaluateMatchConditions(const MatchConditions& conditions, const cel::PolicyValues& values, const cel::PolicyFeatures& features, std::string* error) {
  const std::vector<cel::NamedProgram> no_variables;
  cel::PolicyRun run(values, no_variables, cel::kMatchConditionBudget, features);
  for (const cel::NamedProgram& condition : conditions.programs) {
    const cel::EvalResult result = run.Run(*condition.program);
    if (result.value.IsFalse()) return ConditionOutcome::kNoMatch;
    if (!result.value.is_error() || !error->empty()) continue;
    *error = Cat("expression '", condition.program->source(), "' resulted in error: ", result.value.text());
  }
  return error->empty() ? ConditionOutcome::kMatch : ConditionOutcome::kError;
}

}  // namespace skerry::kube
