#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/apis/rules_shared.h"
#include "embedded-kube-shim/cel/policy.h"

// Webhook configurations and admission policies, their expressions included.
namespace skerry::kube::rules {
namespace {

using json::Value;

void CheckUnique(Run& run, const Node& list, std::string_view star, std::string_view what) {
  for (const Value& item : list->Items())
    if (item.Str() == star && list.size() > 1) return run.Invalid(list, Cat("if '", star, "' is present, must not specify other ", what));
}

void CheckResources(Run& run, const Node& resources) {
  if (resources.size() == 0) return run.Required(resources);
  std::set<std::string> parents, children;   // "pods" of "pods/*", "status" of "*/status"
  bool star = false, both = false, plain_other = false;
  for (const Node& resource : resources.Items()) {
    const std::string text(resource->Str());
    if (text.empty()) {
      run.Required(resource);
      continue;
    }
    if (text == "*/*") both = true;
    if (text == "*") star = true;
    const auto slash = text.find('/');
    if (slash == text.npos) {
      plain_other = text != "*";
      continue;
    }
    const std::string parent = text.substr(0, slash), child = text.substr(slash + 1);
    if (parents.contains(parent)) run.Invalid(resource, Cat("if '", parent, "/*' is present, must not specify ", text));
    if (children.contains(child)) run.Invalid(resource, Cat("if '*/", child, "' is present, must not specify ", text));
    if (child == "*") parents.insert(parent);
    if (parent == "*") children.insert(child);
  }
  if (resources.size() > 1 && both) run.Invalid(resources, "if '*/*' is present, must not specify other resources");
  if (star && plain_other) run.Invalid(resources, "if '*' is present, must not specify other resources without subresources");
}

void CheckRule(Run& run, const Node& rule) {
  const Node operations = rule["operations"];
  if (operations.size() == 0) run.Required(operations);
  CheckUnique(run, operations, "*", "operations");
  for (const Node& operation : operations.Items()) run.Enum(operation, {"*", "CONNECT", "CREATE", "DELETE", "UPDATE"});
  for (std::string_view field : {"apiGroups", "apiVersions"}) {
    const Node list = rule[field];
    if (list.size() == 0) run.Required(list);
    CheckUnique(run, list, "*", field == "apiGroups" ? "API groups" : "API versions");
    if (field == "apiVersions")
      for (const Node& version : list.Items())
        if (version->Str().empty()) run.Required(version);
  }
  CheckResources(run, rule["resources"]);
  if (const Node scope = rule["scope"]; !scope->is_null()) run.Enum(scope, {"*", "Cluster", "Namespaced"});
}

void CheckWebhookPath(Run& run, const Node& at) {
  const std::string_view path = at->Str();
  if (path == "/" || path.empty()) return;
  if (path == "//") return run.Invalid(at, "segment[0] may not be empty");
  if (!path.starts_with('/')) run.Invalid(at, "must start with a '/'");
  std::string_view rest = path.substr(1);   // whatever comes first
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const auto steps = Split(rest, '/');
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].empty()) run.Invalid(at, Cat("segment[", i, "] may not be empty"));
    else
      for (const std::string& message : format::Dns1123Subdomain(steps[i])) run.Invalid(at, Cat("segment[", i, "]: ", message));
  }
}

void CheckWebhookUrl(Run& run, const Node& at) {
  constexpr const char* kForm = "; desired format: https://host[/path]";
  std::string_view url = at->Str();
  const auto fragment = url.find('#');
  const std::string_view fragment_text = fragment == url.npos ? "" : url.substr(fragment + 1);
  url = url.substr(0, fragment);
  const auto query = url.find('?');
  const std::string_view query_text = query == url.npos ? "" : url.substr(query + 1);
  url = url.substr(0, query);
  const auto colon = url.find("://");
  const std::string scheme(colon == url.npos ? std::string_view() : url.substr(0, colon));
  std::string_view authority = colon == url.npos ? std::string_view() : url.substr(colon + 3);
  authority = authority.substr(0, authority.find('/'));
  if (scheme != "https") run.Invalid(at, Quote(scheme), Cat("'https' is the only allowed URL scheme", kForm));
  const auto user = authority.rfind('@');
  const std::string_view host = user == authority.npos ? authority : authority.substr(user + 1);
  if (host.empty()) run.Invalid(at, Quote(host), Cat("host must be specified", kForm));
  if (user != authority.npos) run.Invalid(at, Quote(authority.substr(0, user)), "user information is not permitted in the URL");
  if (!fragment_text.empty()) run.Invalid(at, Quote(fragment_text), "fragments are not permitted in the URL");
  if (!query_text.empty()) run.Invalid(at, Quote(query_text), "query parameters are not permitted in the URL");
}

void CheckFullyQualified(Run& run, const Node& at) {
  const std::string_view name = at->Str();
  if (name.empty()) return run.Required(at);
  if (const auto messages = format::Dns1123Subdomain(name); !messages.empty()) return run.Invalid(at, Join(messages, ","));
  if (Split(name, '.').size() < 3) run.Invalid(at, "should be a domain with at least three segments separated by dots");
}

using cel::PolicyCompiler;
using cel::Yields;

void CheckExpression(Run& run, const Node& at, const PolicyCompiler& compiler, Yields yields, PolicyCompiler::Authorizer authorizer = PolicyCompiler::Authorizer::kAllowed) {
  const auto program = compiler.Compile(Trim(at->Str()), yields, authorizer);
  if (!program) run.Invalid(at, std::string(program.error().message()));
}

void CheckMatchConditions(Run& run, const Node& conditions, const cel::PolicyFeatures& features) {
  if (conditions.size() == 0) return;
  const PolicyCompiler compiler(features);
  if (conditions.size() > 64) run.TooMany(conditions, 64);
  std::set<std::string> names;
  for (const Node& condition : conditions.Items()) {
    if (Trim(condition.Str("expression")).empty()) run.Required(condition["expression"]);
    else CheckExpression(run, condition["expression"], compiler, Yields::kBool);
    const std::string name(condition.Str("name"));
    if (name.empty()) run.Required(condition["name"]);
    else {
      run.Format(condition["name"], format::QualifiedName);
      if (!names.insert(name).second) run.Duplicate(condition["name"]);
    }
  }
}

void CheckReviewVersions(Run& run, const Node& versions) {
  if (versions.size() == 0) return run.Required(versions, "must specify one of v1, v1beta1");
  std::set<std::string> seen;
  bool known = false;
  for (const Node& version : versions.Items()) {
    const std::string text(version->Str());
    if (!seen.insert(text).second) {
      run.Invalid(version, "duplicate version");
      continue;
    }
    run.Format(version, format::Dns1035Label);
    known |= text == "v1" || text == "v1beta1";
  }
  if (!known) run.Invalid(versions, "must include at least one of v1, v1beta1");
}

void CheckWebhook(Run& run, const Node& webhook) {
  CheckFullyQualified(run, webhook["name"]);
  for (const Node& rule : webhook["rules"].Items()) CheckRule(run, rule);
  if (!webhook["failurePolicy"]->is_null()) run.Enum(webhook["failurePolicy"], {"Fail", "Ignore"});
  if (!webhook["matchPolicy"]->is_null()) run.Enum(webhook["matchPolicy"], {"Equivalent", "Exact"});
  const Node effects = webhook["sideEffects"], timeout = webhook["timeoutSeconds"];
  if (effects->is_null()) run.Required(effects, "must specify one of None, NoneOnDryRun");
  else run.Enum(effects, {"None", "NoneOnDryRun"});
  if (!timeout->is_null() && (timeout->Int() > 30 || timeout->Int() < 1)) run.Invalid(timeout, "the timeout value must be between 1 and 30 seconds");
  CheckSelector(run, webhook["namespaceSelector"]);
  CheckSelector(run, webhook["objectSelector"]);
  if (const Node policy = webhook["reinvocationPolicy"]; !policy->is_null()) run.Enum(policy, {"IfNeeded", "Never"});
  CheckWebhookClient(run, webhook["clientConfig"]);
  CheckMatchConditions(run, webhook["matchConditions"], {});
}

void Webhooks(Run& run, const Node& webhooks) {
  std::set<std::string> names;
  for (const Node& webhook : webhooks.Items()) {
    CheckWebhook(run, webhook);
    CheckReviewVersions(run, webhook["admissionReviewVersions"]);
    if (!names.insert(std::string(webhook.Str("name"))).second) run.Duplicate(webhook["name"]);
  }
}

void CheckNamedRules(Run& run, const Node& rules) {
  for (const Node& rule : rules.Items()) {
    std::set<std::string> seen;
    for (const Node& name : rule["resourceNames"].Items()) {
      run.Format(name, format::PathSegmentName);
      if (!seen.insert(std::string(name->Str())).second) run.Duplicate(name);
    }
    CheckRule(run, rule);
  }
}

void CheckMatchResources(Run& run, const Node& match) {
  const Node policy = match["matchPolicy"];
  if (policy->is_null()) run.Required(policy);
  else run.Enum(policy, {"Equivalent", "Exact"});
  for (std::string_view selector : {"namespaceSelector", "objectSelector"}) {
    if (match[selector]->is_null()) run.Required(match[selector]);
    else CheckSelector(run, match[selector]);
  }
  CheckNamedRules(run, match["resourceRules"]);
  CheckNamedRules(run, match["excludeResourceRules"]);
}

void CheckParamKind(Run& run, const Node& kind) {
  if (kind->is_null()) return;
  const Node version = kind["apiVersion"];
  if (version->Str().empty()) {
    run.Required(version);
  } else if (std::count(version->Str().begin(), version->Str().end(), '/') > 1) {
    run.Invalid(version, Cat("unexpected GroupVersion string: ", version->Str()));
  } else {
    const std::string_view text = version->Str();
    const auto slash = text.find('/');
    const std::string_view group = slash == text.npos ? std::string_view() : text.substr(0, slash), own = slash == text.npos ? text : text.substr(slash + 1);
    if (!group.empty())
      if (const auto messages = format::Dns1123Subdomain(group); !messages.empty()) run.Invalid(version, Quote(group), Join(messages, ","));
    if (own.empty()) run.Invalid(version, "version must be specified");
    else if (const auto messages = format::Dns1035Label(own); !messages.empty()) run.Invalid(version, Quote(own), Join(messages, ","));
  }
  const Node name = kind["kind"];
  if (name->Str().empty()) run.Required(name);
  else if (const auto messages = format::Dns1035Label(ToLower(name->Str())); !messages.empty())
    run.Invalid(name, Cat("may have mixed case, but should otherwise match: ", Join(messages, ",")));
}

bool IsCelIdentifier(std::string_view text) {
  static constexpr std::string_view kReserved[] = {"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
                                                   "namespace", "return", "var", "void", "while"};
  return format::CIdentifier(text).empty() && std::find(std::begin(kReserved), std::end(kReserved), text) == std::end(kReserved);
}

void CheckVariables(Run& run, const Node& variables, PolicyCompiler& compiler) {
  for (const Node& variable : variables.Items()) {
    if (Trim(variable.Str("name")).empty()) run.Required(variable["name"], "name is not specified");
    else if (!IsCelIdentifier(variable.Str("name"))) run.Invalid(variable["name"], "must be a valid CEL identifier");
    if (Trim(variable.Str("expression")).empty()) {
      run.Required(variable["expression"], "expression is not specified");
    } else if (const auto program = compiler.AddVariable(std::string(variable.Str("name")), variable.Str("expression")); !program) {
      run.Invalid(variable["expression"], std::string(program.error().message()));
    }
  }
}

void CheckValidations(Run& run, const Node& spec, const PolicyCompiler& compiler) {
  const Node validations = spec["validations"], annotations = spec["auditAnnotations"];
  if (validations.size() == 0 && annotations.size() == 0) {
    constexpr const char* kText = "validations or auditAnnotations must contain at least one item";
    run.Required(validations, kText);
    run.Required(annotations, kText);
  }
  for (const Node& validation : validations.Items()) {
    if (Trim(validation.Str("expression")).empty()) run.Required(validation["expression"], "expression is not specified");
    else CheckExpression(run, validation["expression"], compiler, Yields::kBool);
    const Node message_expression = validation["messageExpression"], message = validation["message"];
    if (!message_expression->Str().empty() && Trim(message_expression->Str()).empty()) run.Invalid(message_expression, "must be non-empty if specified");
    else if (!message_expression->Str().empty()) CheckExpression(run, message_expression, compiler, Yields::kString, PolicyCompiler::Authorizer::kUnknown);
    const std::string_view text = Trim(message->Str());
    if (!message->Str().empty() && text.empty()) run.Invalid(message, "must be non-empty if specified");
    else if (text.find_first_of("\n\r") != text.npos) run.Invalid(message, "must not contain line breaks");
    if (const Node reason = validation["reason"]; !reason->is_null()) run.Enum(reason, {"Forbidden", "Invalid", "RequestEntityTooLarge"});
  }
  if (annotations.size() > 20) run.Invalid(annotations, "must not have more than 20 auditAnnotations");
  std::set<std::string> keys;
  const std::string name(run.root["metadata"]["name"].Str());
  for (const Node& annotation : annotations.Items()) {
    const std::string key(annotation.Str("key"));
    if (name.empty()) run.Invalid(annotation["key"], "requires metadata.name be non-empty");
    else
      for (const std::string& message : format::QualifiedName(Cat(name, "/", key))) run.Invalid(annotation["key"], Quote(Cat(name, "/", key)), message);
    const std::string_view expression = Trim(annotation.Str("valueExpression"));
    if (expression.empty()) run.Required(annotation["valueExpression"], "valueExpression is not specified");
    else if (expression.size() > 5120) run.Required(annotation["valueExpression"], "must not exceed 5120 bytes in length");
    else CheckExpression(run, annotation["valueExpression"], compiler, Yields::kStringOrNull);
    if (!keys.insert(key).second) run.Duplicate(annotation["key"]);
  }
}

void CheckNoDelete(Run& run, const Node& rules) {
  for (const Node& rule : rules.Items())
    for (const Value& operation : rule["operations"]->Items())
      if (operation.Str() != "*" && operation.Str() != "CONNECT" && operation.Str() != "CREATE" && operation.Str() != "UPDATE")
        run.Add(FieldErrorType::kNotSupported, rules.path + ".operations", Quote(operation.Str()), "supported values: \"*\", \"CONNECT\", \"CREATE\", \"UPDATE\"");
}

void CheckMutations(Run& run, const Node& spec, const PolicyCompiler& compiler) {
  const Node mutations = spec["mutations"];
  if (mutations.size() == 0) run.Required(mutations, "mutations must contain at least one item");
  for (const Node& mutation : mutations.Items()) {
    const std::string_view type = mutation.Str("patchType");
    const Node patch = mutation["jsonPatch"], apply = mutation["applyConfiguration"];
    if (type.empty()) run.Required(mutation["patchType"]);
    else if (type == "JSONPatch") {
      if (patch->is_null()) run.Required(patch, "must be specified when patchType is JSONPatch");
      else if (Trim(patch.Str("expression")).empty()) run.Required(patch["expression"]);
      else CheckExpression(run, patch["expression"], compiler, Yields::kPatches);
      if (!apply->is_null()) run.Invalid(apply, "\"{applyConfiguration}\"", "must not be specified when patchType is JSONPatch");
    } else if (type == "ApplyConfiguration") {
      if (apply->is_null()) run.Required(apply, "must be specified when patchType is ApplyConfiguration");
      else if (Trim(apply.Str("expression")).empty()) run.Required(apply["expression"]);
      else CheckExpression(run, apply["expression"], compiler, Yields::kObject);
      if (!patch->is_null()) run.Invalid(patch, "\"{jsonPatch}\"", "must not be specified when patchType is ApplyConfiguration");
    } else {
      run.NotSupported(mutation["patchType"], {"ApplyConfiguration", "JSONPatch"});
    }
  }
  if (spec.Str("reinvocationPolicy").empty()) run.Required(spec["reinvocationPolicy"]);
  else run.Enum(spec["reinvocationPolicy"], {"IfNeeded", "Never"});
}

void AdmissionPolicy(Run& run, const Node& spec) {
  const bool mutating = run.def.kind == "MutatingAdmissionPolicy";
  const Node failure = spec["failurePolicy"], match = spec["matchConstraints"];
  if (failure->is_null()) run.Required(failure);
  else run.Enum(failure, {"Fail", "Ignore"});
  CheckParamKind(run, spec["paramKind"]);
  if (match->is_null()) {
    run.Required(match);
  } else {
    CheckMatchResources(run, match);
    if (match["resourceRules"].size() == 0) run.Required(match["resourceRules"]);
    else if (mutating) CheckNoDelete(run, match["resourceRules"]);
  }
  const cel::PolicyFeatures features{.params = !spec["paramKind"]->is_null(), .mutation = mutating};
  CheckMatchConditions(run, spec["matchConditions"], {.params = features.params});
  PolicyCompiler compiler(features);
  if (mutating || spec["variables"].size() > 0) compiler.DeclareVariables();
  CheckVariables(run, spec["variables"], compiler);
  if (mutating) CheckMutations(run, spec, compiler);
  else CheckValidations(run, spec, compiler);
}

void CheckParamRef(Run& run, const Node& reference) {
  if (reference->is_null()) return;
  const Node name = reference["name"], selector = reference["selector"];
  const bool named = !name->Str().empty(), selected = !selector->is_null();
  if (named) {
    run.Format(name, format::PathSegmentName);
    if (selected) run.Forbidden(name, "name and selector are mutually exclusive");
  }
  if (selected) {
    CheckSelector(run, selector);
    if (named) run.Forbidden(selector, "name and selector are mutually exclusive");
  }
  if (!named && !selected) run.Required(reference, "one of name or selector must be specified");
  const Node action = reference["parameterNotFoundAction"];
  if (action->Str().empty()) run.Required(action);
  else run.Enum(action, {"Deny", "Allow"});
}

void AdmissionBinding(Run& run, const Node& spec) {
  CheckParamRef(run, spec["paramRef"]);
  if (const Node match = spec["matchResources"]; !match->is_null()) {
    CheckMatchResources(run, match);
    if (run.def.kind == "MutatingAdmissionPolicyBinding") CheckNoDelete(run, match["resourceRules"]);
  }
  if (run.def.kind == "MutatingAdmissionPolicyBinding") return;
  const Node actions = spec["validationActions"];
  std::set<std::string> seen;
  for (const Node& action : actions.Items()) {
    const std::string text(action->Str());
    if (text != "Audit" && text != "Deny" && text != "Warn") run.NotSupported(action, {"Audit", "Deny", "Warn"});
    if (!seen.insert(text).second) run.Duplicate(action);
  }
  if (seen.contains("Deny") && seen.contains("Warn"))
    run.Invalid(actions, "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)");
  if (actions.size() == 0) run.Required(actions, "at least one validation action is required");
}

}  // namespace

namespace {

void CheckWebhookService(Run& run, const Node& service) {
  // Upstream passes name and namespace in the wrong order.
  if (service.Str("namespace").empty()) run.Required(service["name"]);
  if (service.Str("name").empty()) run.Required(service["namespace"]);
  if (const Node port = service["port"]; port->Int() < 1 || port->Int() > 65535) run.Invalid(port, "port is not valid: must be between 1 and 65535, inclusive");
  if (!service["path"]->is_null()) CheckWebhookPath(run, service["path"]);
}

}  // namespace

void CheckWebhookClient(Run& run, const Node& client) {
  const Node url = client["url"], service = client["service"];
  if (url->is_null() == service->is_null()) run.Required(client, "exactly one of url or service is required");
  else if (!url->is_null()) CheckWebhookUrl(run, url);
  else CheckWebhookService(run, service);
}

std::span<const NamedCall> AdmissionCalls() {
  static constexpr NamedCall kCalls[] = {{"Webhooks", Webhooks}, {"AdmissionPolicy", AdmissionPolicy}, {"AdmissionBinding", AdmissionBinding}};
  return kCalls;
}

}  // namespace skerry::kube::rules
