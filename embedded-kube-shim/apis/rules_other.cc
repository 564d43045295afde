#include <algorithm>
#include <cmath>

#include "core/base/strings.h"
#include "core/crypto/certificate.h"
#include "core/text/base64.h"
#include "embedded-kube-shim/apis/rules_shared.h"
#include "embedded-kube-shim/apis/same_value.h"

// flowcontrol, apiregistration, certificates, authorization.
namespace skerry::kube::rules {
namespace {

using json::Value;

bool HasStar(const Value& list) {
  for (const Value& item : list.Items())
    if (item.Str() == "*") return true;
  return false;
}

void CheckStar(Run& run, const Node& list, std::string_view what) {
  if (list.size() > 1 && HasStar(*list)) run.Invalid(list, Cat("if '*' is present, must not specify other ", what));
}

void CheckVerbs(Run& run, const Node& verbs) {
  if (verbs.size() == 0) return run.Required(verbs, "verbs must contain at least one value");
  if (HasStar(*verbs)) return CheckStar(run, verbs, "verbs");
  static constexpr std::string_view kVerbs[] = {"create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"};
  std::string bad;
  for (const Value& verb : verbs->Items())
    if (std::find(std::begin(kVerbs), std::end(kVerbs), verb.Str()) == std::end(kVerbs)) bad = "x";
  if (!bad.empty()) {
    std::string detail = "supported values: ";
    for (std::size_t i = 0; i < std::size(kVerbs); ++i) detail += Cat(i ? ", " : "", Quote(kVerbs[i]));
    run.Add(FieldErrorType::kNotSupported, verbs.path, RenderJson(verbs.schema, *verbs), detail);
  }
}

void CheckFlowSubject(Run& run, const Node& subject) {
  const std::string_view kind = subject.Str("kind");
  struct Row { std::string_view kind, field; };
  static constexpr Row kRows[] = {{"ServiceAccount", "serviceAccount"}, {"User", "user"}, {"Group", "group"}};
  bool known = false;
  for (const Row& row : kRows) known = known || row.kind == kind;
  if (!known) return run.NotSupported(subject["kind"], {"Group", "ServiceAccount", "User"});
  for (const Row& row : kRows) {
    const Node part = subject[row.field];
    if (row.kind != kind) continue;
    if (part->is_null()) {
      run.Required(part, Cat(row.field, " is required when subject kind is '", row.kind, "'"));
      continue;
    }
    if (part.Str("name").empty()) run.Required(part["name"]);
    else if (kind == "ServiceAccount" && part.Str("name") != "*") run.Format(part["name"], format::Dns1123Subdomain);
    if (kind != "ServiceAccount") continue;
    if (part.Str("namespace").empty()) run.Required(part["namespace"], "must specify namespace for service account");
    else run.Format(part["namespace"], format::Dns1123Label);
  }
  for (const Row& row : {kRows[1], kRows[0], kRows[2]})
    if (row.kind != kind && !subject[row.field]->is_null()) run.Forbidden(subject[row.field], Cat(row.field, " is forbidden when subject kind is not '", row.kind, "'"));
}

void CheckUrl(Run& run, const Node& url) {
  const std::string_view text = url->Str();
  if (text.empty()) return run.Invalid(url, "must not be empty");
  if (text == "/") return;
  if (!text.starts_with('/')) return run.Invalid(url, "must start with slash");
  if (text.find(' ') != text.npos) return run.Invalid(url, "must not contain white-space");
  if (text.find("//") != text.npos) return run.Invalid(url, "must not contain double slash");
  if (const auto star = text.find('*'); star != text.npos && !(star + 1 == text.size() && text.ends_with("/*"))) run.Invalid(url, "wildcard can only do suffix matching");
}

void CheckFlowRule(Run& run, const Node& rule) {
  if (rule["subjects"].size() == 0) run.Required(rule["subjects"], "subjects must contain at least one value");
  for (const Node& subject : rule["subjects"].Items()) CheckFlowSubject(run, subject);
  if (rule["resourceRules"].size() + rule["nonResourceRules"].size() == 0) run.Required(rule, "at least one of resourceRules and nonResourceRules has to be non-empty");
  for (const Node& resource : rule["resourceRules"].Items()) {
    CheckVerbs(run, resource["verbs"]);
    const auto list = [&](std::string_view field, const char* required, std::string_view what) {
      if (resource[field].size() == 0) run.Required(resource[field], required);
      else CheckStar(run, resource[field], what);
    };
    list("apiGroups", "resource rules must supply at least one api group", "api groups");
    list("resources", "resource rules must supply at least one resource", "resources");
    const Node namespaces = resource["namespaces"];
    if (namespaces.size() == 0) {
      if (!(*resource)["clusterScope"].Bool()) run.Required(namespaces, "resource rules that are not cluster scoped must supply at least one namespace");
    } else if (HasStar(*namespaces)) {
      CheckStar(run, namespaces, "namespaces");
    } else {
      for (const Node& ns : namespaces.Items())
        for (const std::string& message : format::Dns1123Label(ns->Str())) run.Invalid(ns, Cat("each member of this list must be '*' or a DNS-1123 label; ", message));
    }
  }
  for (const Node& other : rule["nonResourceRules"].Items()) {
    CheckVerbs(run, other["verbs"]);
    const Node urls = other["nonResourceURLs"];
    if (urls.size() == 0) run.Required(urls, "nonResourceURLs must contain at least one value");
    else if (HasStar(*urls)) CheckStar(run, urls, "non-resource URLs");
    else
      for (const Node& url : urls.Items()) CheckUrl(run, url);
  }
}

void FlowConditions(Run& run, const Node& conditions) {
  std::set<std::string> seen;
  for (const Node& condition : conditions.Items()) {
    if (!seen.insert(std::string(condition.Str("type"))).second) run.Duplicate(condition["type"]);
    if (condition.Str("type").empty()) run.Required(condition["type"]);
  }
}

void FlowSchema(Run& run, const Node& object) {
  const Node spec = object["spec"], precedence = spec["matchingPrecedence"];
  const std::int64_t number = precedence->Int();
  if (number <= 0) run.Invalid(precedence, "must be a positive value");
  if (number > 10000) run.Invalid(precedence, "must not be greater than 10000");
  if (number == 1 && object["metadata"].Str("name") != "exempt") run.Invalid(precedence, "only the schema named 'exempt' may have matchingPrecedence 1");
  if (const Node method = spec["distinguisherMethod"]; !method->is_null() && method.Str("type") != "ByNamespace" && method.Str("type") != "ByUser")
    run.Add(FieldErrorType::kNotSupported, method.path + ".type", RenderInternal(method.schema, *method), "supported values: \"ByNamespace\", \"ByUser\"");
  const Node level = spec["priorityLevelConfiguration"]["name"];
  if (level->Str().empty()) run.Required(level, "must reference a priority level");
  else run.Format(level, format::Dns1123Subdomain);
  for (const Node& rule : spec["rules"].Items()) CheckFlowRule(run, rule);
  FlowConditions(run, object["status"]["conditions"]);
}

void CheckQueuing(Run& run, const Node& queuing) {
  const Node limit = queuing["queueLengthLimit"], queues = queuing["queues"], hand = queuing["handSize"];
  if (limit->Int() <= 0) run.Invalid(limit, "must be positive");
  if (queues->Int() <= 0) run.Invalid(queues, "must be positive");
  else if (queues->Int() > 10000000) run.Invalid(queues, "must not be greater than 10000000");
  if (hand->Int() <= 0) return run.Invalid(hand, "must be positive");
  if (hand->Int() > queues->Int()) return run.Invalid(hand, Cat("should not be greater than queues (", queues->Int(), ")"));
  if (std::ceil(std::log2(static_cast<double>(queues->Int())) * static_cast<double>(hand->Int())) > 60)
    run.Invalid(hand, Cat("required entropy bits of deckSize ", queues->Int(), " and handSize ", hand->Int(), " should not be greater than 60"));
}

void CheckPercent(Run& run, const Node& at) {
  if (!at->is_null() && (at->Int() < 0 || at->Int() > 100)) run.Invalid(at, "must be between 0 and 100, inclusive");
}

void PriorityLevel(Run& run, const Node& object) {
  const Node spec = object["spec"], limited = spec["limited"], exempt = spec["exempt"];
  const std::string_view type = spec.Str("type");
  if ((object["metadata"].Str("name") == "exempt") != (type == "Exempt")) run.Invalid(spec["type"], "must be 'Exempt' if and only if `name` is 'exempt'");
  if (type == "Exempt") {
    if (!limited->is_null()) run.Forbidden(limited, "must be nil if the type is not Limited");
    if (const Node shares = exempt["nominalConcurrencyShares"]; shares->Int() < 0) run.Invalid(shares, "must be a non-negative integer");
    CheckPercent(run, exempt["lendablePercent"]);
  } else if (type == "Limited") {
    if (!exempt->is_null()) run.Forbidden(exempt, "must be nil if the type is Limited");
    if (limited->is_null()) {
      run.Required(limited, "must not be empty when type is Limited");
    } else {
      if (const Node shares = limited["nominalConcurrencyShares"]; shares->Int() < 0) run.Invalid(shares, "must be a non-negative integer");
      const Node response = limited["limitResponse"], queuing = response["queuing"];
      if (response.Str("type") == "Reject") {
        if (!queuing->is_null()) run.Forbidden(queuing, "must be nil if limited.limitResponse.type is not Limited");
      } else if (response.Str("type") == "Queue") {
        if (queuing->is_null()) run.Required(queuing, "must not be empty if limited.limitResponse.type is Limited");
        else CheckQueuing(run, queuing);
      } else {
        run.NotSupported(response["type"], {"Queue", "Reject"});
      }
      CheckPercent(run, limited["lendablePercent"]);
      if (const Node borrowing = limited["borrowingLimitPercent"]; !borrowing->is_null() && borrowing->Int() < 0) run.Invalid(borrowing, "if specified, must be a non-negative integer");
    }
  } else {
    run.NotSupported(spec["type"], {"Exempt", "Limited"});
  }
  FlowConditions(run, object["status"]["conditions"]);
}

void ApiService(Run& run, const Node& object) {
  const Node spec = object["spec"], meta = object["metadata"], service = spec["service"];
  const std::string want = Cat(spec.Str("version"), ".", spec.Str("group"));
  const std::string name(meta.Str("name"));
  if (const Node prefix = meta["generateName"]; !prefix->Str().empty() && !run.updating()) {
    if (const auto messages = format::PathSegmentPrefix(prefix->Str()); !messages.empty()) {
      for (const std::string& message : messages) run.Invalid(prefix, message);
    } else if (prefix->Str() != want) {
      run.Invalid(prefix, Cat("must be `spec.version+\".\"+spec.group`: ", Quote(want)));
    }
  }
  if (name.empty()) run.Required(meta["name"], "name or generateName is required");
  else if (const auto messages = format::PathSegmentName(name); !messages.empty()) {
    for (const std::string& message : messages) run.Invalid(meta["name"], message);
  } else if (name != want) {
    run.Invalid(meta["name"], Cat("must be `spec.version+\".\"+spec.group`: ", Quote(want)));
  }
  CheckLabels(run, meta["labels"]);
  CheckAnnotations(run, meta["annotations"]);
  if (spec.Str("group").empty() && spec.Str("version") != "v1") run.Required(spec["group"], "only v1 may have an empty group and it better be legacy kube");
  if (!spec.Str("group").empty()) run.Format(spec["group"], format::Dns1123Subdomain);
  run.Format(spec["version"], format::Dns1035Label);
  if (const Node minimum = spec["groupPriorityMinimum"]; minimum->Int() <= 0 || minimum->Int() > 20000) run.Invalid(minimum, "must be positive and less than 20000");
  if (const Node priority = spec["versionPriority"]; priority->Int() <= 0 || priority->Int() > 1000) run.Invalid(priority, "must be positive and less than 1000");
  const std::size_t bundle = text::FromBase64(spec.Str("caBundle")).value_or("").size();
  if (service->is_null()) {
    if (bundle > 0) run.Invalid(spec["caBundle"], Quote(Cat(bundle, " bytes")), "local APIServices may not have a caBundle");
    if ((*spec)["insecureSkipTLSVerify"].Bool()) run.Invalid(spec["insecureSkipTLSVerify"], "local APIServices may not have insecureSkipTLSVerify");
    return;
  }
  if (service.Str("namespace").empty()) run.Required(service["namespace"]);
  if (service.Str("name").empty()) run.Required(service["name"]);
  if (const Node port = service["port"]; port->Int() < 1 || port->Int() > 65535) run.Invalid(port, "port is not valid: must be between 1 and 65535, inclusive");
  if ((*spec)["insecureSkipTLSVerify"].Bool() && bundle > 0) run.Invalid(spec["insecureSkipTLSVerify"], "may not be true if caBundle is present");
}

void CheckSignerName(Run& run, const Node& at) {
  const std::string_view name = at->Str();
  if (name.empty()) return run.Required(at);
  const auto parts = Split(name, '/');
  if (parts.size() != 2) return run.Invalid(at, "must be a fully qualified domain and path of the form 'example.com/signer-name'");
  const std::string_view host = parts[0], path = parts[1];
  if (host.size() > 253) run.TooLong(at, 253);
  for (std::string_view label : Split(host, '.'))
    if (const auto messages = format::Dns1123Label(label); !messages.empty()) {
      for (const std::string& message : messages) run.Invalid(at, Quote(host), Cat("validating label ", Quote(label), ": ", message));
      break;
    }
  if (Split(host, '.').size() < 2) run.Invalid(at, Quote(host), "should be a domain with at least two segments separated by dots");
  for (std::string_view label : Split(path, '.'))
    if (const auto messages = format::Dns1123Subdomain(label); !messages.empty()) {
      for (const std::string& message : messages) run.Invalid(at, Quote(path), Cat("validating label ", Quote(label), ": ", message));
      break;
    }
  if (name.size() > 571) run.TooLong(at, 571);
}

void CheckSigningConditions(Run& run, const Node& conditions) {
  std::set<std::string> seen;
  bool approved = false, denied = false;
  for (const Node& condition : conditions.Items()) {
    const std::string type(condition.Str("type"));
    if (type.empty()) run.Required(condition["type"]);
    if (type == "Approved" || type == "Denied" || type == "Failed") {
      if (condition.Str("status").empty()) run.Required(condition["status"]);
      else run.Enum(condition["status"], {"True"});
    } else if (condition.Str("status").empty()) {
      run.Required(condition["status"]);
    } else {
      run.Enum(condition["status"], {"False", "True", "Unknown"});
    }
    approved |= type == "Approved";
    denied |= type == "Denied";
    if (approved && denied && (type == "Approved" || type == "Denied"))
      run.Add(FieldErrorType::kInvalid, conditions.path, Quote(type), "Approved and Denied conditions are mutually exclusive");
    if (!seen.insert(type).second) run.Duplicate(condition["type"]);
  }
}

// Certificates in PEM and nothing else.
void CheckCertificateBlocks(Run& run, const Node& certificate) {
  constexpr std::string_view kBegin = "-----BEGIN ", kEnd = "-----";
  const std::string pem = text::FromBase64(certificate->Str()).value_or("");
  if (certificate->Str().empty()) return;
  const auto refuse = [&](std::string why) { run.Add(FieldErrorType::kInvalid, certificate.path, "\"<certificate data>\"", std::move(why)); };
  std::size_t blocks = 0;
  for (std::size_t at = pem.find(kBegin); at != pem.npos; at = pem.find(kBegin, at + 1)) {
    const auto name_end = pem.find(kEnd, at + kBegin.size());
    if (name_end == pem.npos) break;
    const auto type = std::string_view(pem).substr(at + kBegin.size(), name_end - at - kBegin.size());
    if (pem.find(Cat("-----END ", type, "-----"), name_end) == pem.npos) continue;
    ++blocks;
    if (type != "CERTIFICATE") return refuse(Cat("only CERTIFICATE PEM blocks are allowed, found ", Quote(type)));
    if (const auto line = pem.find('\n', name_end); line != pem.npos && pem.substr(line + 1, pem.find('\n', line + 1) - line - 1).find(':') != pem.npos) return refuse("no PEM block headers are permitted");
  }
  if (blocks == 0) refuse("must contain at least one CERTIFICATE PEM block");
}

// Whose signature it bears is the signer's business.
bool IsRequest(std::string_view pem) {
  const auto parsed = crypto::ParseRequest(pem);
  return parsed || parsed.error().code() != Code::kBadRequest || parsed.error().message().find("not signed") != std::string_view::npos;
}

void SigningRequest(Run& run, const Node& object) {
  const Node spec = object["spec"], usages = spec["usages"];
  const std::string pem = text::FromBase64(spec.Str("request")).value_or("");
  if (pem.find("-----BEGIN CERTIFICATE REQUEST-----") == std::string::npos && pem.find("-----BEGIN NEW CERTIFICATE REQUEST-----") == std::string::npos)
    run.Invalid(spec["request"], spec["request"]->is_null() ? "null" : RenderJson(nullptr, *spec["request"]), "PEM block type must be CERTIFICATE REQUEST");
  else if (!run.updating() && !IsRequest(pem))
    run.Invalid(spec["request"], RenderJson(nullptr, *spec["request"]), "asn1: structure error: not a certificate request");
  static constexpr std::string_view kUsages[] = {"any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment", "decipher only",
                                                 "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel", "ipsec user", "key agreement",
                                                 "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime", "server auth", "signing", "timestamping"};
  if (usages.size() == 0) run.Required(usages);
  std::set<std::string> seen;
  for (const Node& usage : usages.Items()) {
    if (std::find(std::begin(kUsages), std::end(kUsages), usage->Str()) == std::end(kUsages)) run.NotSupported(usage, kUsages);
    if (!seen.insert(std::string(usage->Str())).second) run.Duplicate(usage);
  }
  if (spec.Str("signerName") == "kubernetes.io/legacy-unknown") run.Invalid(spec["signerName"], "the legacy signerName is not allowed via this API version");
  else CheckSignerName(run, spec["signerName"]);
  if (const Node seconds = spec["expirationSeconds"]; !seconds->is_null() && seconds->Int() < 600) run.Invalid(seconds, "may not specify a duration less than 600 seconds (10 minutes)");
  const Node conditions = object["status"]["conditions"];
  CheckSigningConditions(run, conditions);
  if (!run.updating()) return;
  const auto count = [](const Value& list, std::string_view type) {
    return std::count_if(list.Items().begin(), list.Items().end(), [&](const Value& c) { return c["type"].Str() == type; });
  };
  for (std::string_view type : {"Approved", "Denied", "Failed"})
    if (count(*conditions, type) < count(*conditions.old, type)) run.Forbidden(conditions, Cat("updates may not remove a condition of type ", Quote(type)));
  if (run.subresource != "approval")
    for (std::string_view type : {"Approved", "Denied"})
      if (count(*conditions, type) > count(*conditions.old, type)) run.Forbidden(conditions, Cat("updates may not add a condition of type ", Quote(type)));
  const Node certificate = object["status"]["certificate"];
  if (Unchanged(certificate)) return;
  CheckCertificateBlocks(run, certificate);
  if (run.subresource != "status") run.Forbidden(certificate, "updates may not set certificate content");
  else if (!certificate.old->Str().empty()) run.Forbidden(certificate, "updates may not modify existing certificate content");
}

void CheckAccessSelector(Run& run, const Node& attributes, std::string_view kind) {
  const Node selector = attributes[kind];
  if (selector->is_null()) return;
  const Node raw = selector["rawSelector"], requirements = selector["requirements"];
  if (!raw->Str().empty() && requirements.size() > 0) run.Invalid(raw, "may not specified at the same time as requirements");
  if (raw->Str().empty() && requirements.size() == 0)
    run.Required(requirements, Cat("when spec.resourceAttributes.", kind, " is specified, requirements or rawSelector is required"));
  for (const Node& requirement : requirements.Items()) {
    const std::string_view op = requirement.Str("operator");
    if ((op == "In" || op == "NotIn") && requirement["values"].size() == 0) run.Required(requirement["values"], "must be specified when `operator` is 'In' or 'NotIn'");
    if ((op == "Exists" || op == "DoesNotExist") && requirement["values"].size() > 0) run.Forbidden(requirement["values"], "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    if (kind == "labelSelector") run.Format(requirement["key"], format::QualifiedName);
    else if (requirement.Str("key").empty()) run.Required(requirement["key"], "must be specified");
  }
}

// A pointer that is set to nothing is set.
void RequiredPointer(Run& run, const Node& at) {
  if (at->is_null()) run.Required(at);
}

void ClassParameters(Run& run, const Node& parameters) {
  if (parameters->is_null()) return;
  const std::string_view scope = parameters.Str("scope");
  const Node ns = parameters["namespace"];
  if (scope == "Namespace") {
    if (ns->is_null()) run.Required(ns, "`parameters.scope` is set to 'Namespace'");
    else run.Format(ns, format::Dns1123Label);
  }
  if (scope == "Cluster" && !ns->is_null()) run.Forbidden(ns, "`parameters.scope` is set to 'Cluster'");
}

// The internal form names only what is set, with Go's names.
void AccessReview(Run& run, const Node& review) {
  const Node spec = review["spec"], resource = spec["resourceAttributes"], other = spec["nonResourceAttributes"];
  if (!resource->is_null() && !other->is_null())
    run.Invalid(other, RenderInternal(other.schema, *other), "cannot be specified in combination with resourceAttributes");
  if (resource->is_null() && other->is_null())
    run.Add(FieldErrorType::kInvalid, resource.path, "null", "exactly one of nonResourceAttributes or resourceAttributes must be specified");
  if (run.def.kind != "SelfSubjectAccessReview" && spec.Str("user").empty() && spec["groups"].size() == 0) run.Invalid(spec["user"], "\"\"", "at least one of user or group must be specified");
  if (!resource->is_null())
    for (std::string_view kind : {"fieldSelector", "labelSelector"}) CheckAccessSelector(run, resource, kind);
  Value meta = review["metadata"]->Clone();
  for (std::string_view field : {"managedFields", "uid", "creationTimestamp"}) meta.Erase(field);
  const bool local = run.def.kind == "LocalSubjectAccessReview";
  const std::string ns(meta["namespace"].Str());
  if (local) meta.Erase("namespace");
  if (meta.size() > 0)
    run.Add(FieldErrorType::kInvalid, "metadata", RenderJson(review["metadata"].schema, meta), local ? "must be empty except for namespace" : "must be empty");
  if (!local) return;
  if (!resource->is_null() && resource.Str("namespace") != ns) run.Invalid(resource["namespace"], "must match metadata.namespace");
  if (!other->is_null()) run.Invalid(other, RenderInternal(other.schema, *other), "disallowed on this kind of request");
}

}  // namespace

std::span<const NamedCall> OtherCalls() {
  static constexpr NamedCall kCalls[] = {
      {"FlowConditions", FlowConditions}, {"FlowSchema", FlowSchema}, {"PriorityLevel", PriorityLevel}, {"ApiService", ApiService}, {"SigningRequest", SigningRequest},
      {"AccessReview", AccessReview}, {"RequiredPointer", RequiredPointer}, {"ClassParameters", ClassParameters},
  };
  return kCalls;
}

}  // namespace skerry::kube::rules
