#include "embedded-kube-shim/cel/authorizer.h"

#include "core/base/strings.h"
#include "embedded-kube-shim/cel/functions.h"

namespace skerry::kube::cel {
namespace {

constexpr std::string_view kAuthorizer = "kubernetes.authorization.Authorizer", kPath = "kubernetes.authorization.PathCheck", kGroup = "kubernetes.authorization.GroupCheck",
                           kResource = "kubernetes.authorization.ResourceCheck", kDecision = "kubernetes.authorization.Decision";

// One class for every stage of a check: they differ by what has been said so far.
class CheckVal : public Opaque {
 public:
  CheckVal(std::string_view type, std::shared_ptr<const AuthorizeHook> h, AccessCheck c) : type_(type), hook(std::move(h)), check(std::move(c)) {}
  std::string_view type_name() const override { return type_; }
  bool Equal(const Opaque& o) const override { return this == &o; }

 private:
  std::string_view type_;

 public:
  const std::shared_ptr<const AuthorizeHook> hook;
  const AccessCheck check;
};

class DecisionVal : public Opaque {
 public:
  explicit DecisionVal(AccessDecision d) : decision(std::move(d)) {}
  std::string_view type_name() const override { return kDecision; }
  bool Equal(const Opaque& o) const override { return this == &o; }
  const AccessDecision decision;
};

const CheckVal& CheckOf(const Val& v) { return static_cast<const CheckVal&>(v.opaque()); }
const AccessDecision& DecisionOf(const Val& v) { return static_cast<const DecisionVal&>(v.opaque()).decision; }
Val Stage(std::string_view type, std::shared_ptr<const AuthorizeHook> hook, AccessCheck check) {
  return Val::Of(std::unique_ptr<const Opaque>(new CheckVal(type, std::move(hook), std::move(check))));
}

template <std::string AccessCheck::* field>
Val With(std::string_view type, Args a) {
  AccessCheck check = CheckOf(a[0]).check;
  check.*field = a[1].text();
  return Stage(type, CheckOf(a[0]).hook, std::move(check));
}

Val Path(const CallSite&, Args a) { return a[1].text().empty() ? Val::Error("path must not be empty") : With<&AccessCheck::path>(kPath, a); }
Val Group(const CallSite&, Args a) { return With<&AccessCheck::group>(kGroup, a); }
Val ServiceAccount(const CallSite&, Args a) {
  AccessCheck check = CheckOf(a[0]).check;
  check.service_account_ns = a[1].text();
  check.service_account = a[2].text();
  if (check.service_account_ns.empty() || check.service_account.empty()) return Val::Error("Invalid service account namespace or name");
  return Stage(kAuthorizer, CheckOf(a[0]).hook, std::move(check));
}
Val Resource(const CallSite&, Args a) { return With<&AccessCheck::resource>(kResource, a); }
Val Subresource(const CallSite&, Args a) { return With<&AccessCheck::subresource>(kResource, a); }
Val Namespace(const CallSite&, Args a) { return With<&AccessCheck::ns>(kResource, a); }
Val Name(const CallSite&, Args a) { return With<&AccessCheck::name>(kResource, a); }
Val FieldSelector(const CallSite&, Args a) { return With<&AccessCheck::field_selector>(kResource, a); }
Val LabelSelector(const CallSite&, Args a) { return With<&AccessCheck::label_selector>(kResource, a); }
Val Check(const CallSite&, Args a) {
  const CheckVal& stage = CheckOf(a[0]);
  AccessCheck check = stage.check;
  check.verb = a[1].text();
  return Val::Of(std::unique_ptr<const Opaque>(new DecisionVal((*stage.hook)(check))));
}
Val Allowed(const CallSite&, Args a) { return Val::Bool(DecisionOf(a[0]).allowed); }
Val Reason(const CallSite&, Args a) { return Val::String(DecisionOf(a[0]).reason); }
Val Errored(const CallSite&, Args a) { return Val::Bool(!DecisionOf(a[0]).error.empty()); }
Val ErrorText(const CallSite&, Args a) { return Val::String(DecisionOf(a[0]).error); }

constexpr FunctionRow kRows[] = {
    {"path", "authorizer_path", "kubernetes.authorization.Authorizer.(string) -> kubernetes.authorization.PathCheck", Path},
    {"group", "authorizer_group", "kubernetes.authorization.Authorizer.(string) -> kubernetes.authorization.GroupCheck", Group},
    {"serviceAccount", "authorizer_serviceaccount", "kubernetes.authorization.Authorizer.(string, string) -> kubernetes.authorization.Authorizer", ServiceAccount},
    {"resource", "groupcheck_resource", "kubernetes.authorization.GroupCheck.(string) -> kubernetes.authorization.ResourceCheck", Resource},
    {"subresource", "resourcecheck_subresource", "kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.ResourceCheck", Subresource},
    {"namespace", "resourcecheck_namespace", "kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.ResourceCheck", Namespace},
    {"name", "resourcecheck_name", "kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.ResourceCheck", Name},
    {"fieldSelector", "resourcecheck_fieldselector", "kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.ResourceCheck", FieldSelector},
    {"labelSelector", "resourcecheck_labelselector", "kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.ResourceCheck", LabelSelector},
    {"check", "pathcheck_check", "kubernetes.authorization.PathCheck.(string) -> kubernetes.authorization.Decision", Check},
    {"check", "resourcecheck_check", "kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.Decision", Check},
    {"errored", "decision_errored", "kubernetes.authorization.Decision.() -> bool", Errored},
    {"error", "decision_error", "kubernetes.authorization.Decision.() -> string", ErrorText},
    {"allowed", "decision_allowed", "kubernetes.authorization.Decision.() -> bool", Allowed},
    {"reason", "decision_reason", "kubernetes.authorization.Decision.() -> string", Reason},
};

}  // namespace

Val AuthorizerValue(std::shared_ptr<const AuthorizeHook> hook) { return Stage(kAuthorizer, std::move(hook), {}); }
Val ResourceCheckValue(std::shared_ptr<const AuthorizeHook> hook, AccessCheck resource) { return Stage(kResource, std::move(hook), std::move(resource)); }
TypePtr AuthorizerType() { return StructType(std::string(kAuthorizer)); }
TypePtr ResourceCheckType() { return StructType(std::string(kResource)); }

void AddAuthorizer(Library& library) { library.Add(kRows); }

}  // namespace skerry::kube::cel
