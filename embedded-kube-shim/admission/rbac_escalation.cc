#include "core/base/strings.h"
#include "embedded-kube-shim/admission/admission.h"
#include "embedded-kube-shim/api/status.h"

// Nobody grants what he does not hold: roles need every right they contain (or the verb escalate), bindings every right of their role (or
// the verb bind). Last of the mutators, so that it sees what will be stored.
namespace skerry::kube {
namespace {

constexpr std::string_view kGroup = "rbac.authorization.k8s.io";

class RbacEscalation final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "RBACEscalation"; }

  Result<> Mutate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    if (request.def.group != kGroup || !request.object || request.user.InGroup("system:masters")) return {};
    const auto resource = request.def.resource;
    if (resource == "roles" || resource == "clusterroles") return CheckRole(request, world);
    if (resource == "rolebindings" || resource == "clusterrolebindings") return CheckBinding(request, world);
    return {};
  }

 private:
  static bool May(const AdmissionRequest& request, const AdmissionWorld& world, std::string_view verb, std::string_view resource, std::string_view name) {
    Attributes attributes;
    attributes.user = request.user;
    attributes.verb = verb;
    attributes.group = kGroup;
    attributes.version = "v1";
    attributes.resource = resource;
    attributes.ns = request.ns;
    attributes.name = name;
    return world.Authorize(attributes).decision == Decision::kAllow;
  }

  static std::string_view NameOf(const AdmissionRequest& request) { return request.object->At({"metadata", "name"}).Str(request.name); }

  static Result<> Confirm(const AdmissionRequest& request, const AdmissionWorld& world, const std::vector<PolicyRule>& wanted) {
    std::string incomplete;
    const auto& rbac = world.rbac();
    const auto missing = rbac.Missing(request.user, request.ns, wanted);
    if (missing.empty()) return {};
    rbac.RulesFor(request.user, request.ns, &incomplete);
    std::vector<std::string> groups;
    for (const auto& group : request.user.groups) groups.push_back(Quote(group));
    auto why = Cat("user ", Quote(request.user.name), " (groups=[", Join(groups, " "), "]) is attempting to grant RBAC permissions not currently held:");
    for (const auto& rule : missing) why += Cat("\n", rule.Describe());
    if (!incomplete.empty()) why += Cat("; resolution errors: [", incomplete, "]");
    return std::unexpected(ForbiddenError(kGroup, request.def.resource, NameOf(request), why));
  }

  static Result<> CheckRole(const AdmissionRequest& request, const AdmissionWorld& world) {
    if (May(request, world, "escalate", request.def.resource, NameOf(request))) return {};
    std::vector<PolicyRule> wanted;
    for (const auto& rule : (*request.object)["rules"].Items()) wanted.push_back(PolicyRule::From(rule));
    TRY_VOID(Confirm(request, world, wanted));
    const bool aggregates = request.object->Find("aggregationRule") || (request.old && request.old->Find("aggregationRule"));
    if (!aggregates) return {};
    const std::vector<PolicyRule> everything = {{{"*"}, {"*"}, {"*"}, {}, {}}, {{"*"}, {}, {}, {}, {"*"}}};
    if (world.rbac().Missing(request.user, "", everything).empty()) return {};
    return std::unexpected(ForbiddenError(kGroup, request.def.resource, NameOf(request), "must have cluster-admin privileges to use the aggregationRule"));
  }

  static Result<> CheckBinding(const AdmissionRequest& request, const AdmissionWorld& world) {
    const auto& reference = (*request.object)["roleRef"];
    const auto kind = reference["kind"].Str(), role = reference["name"].Str();
    const std::string_view resource = kind == "ClusterRole" ? "clusterroles" : "roles";
    if (May(request, world, "bind", resource, role)) return {};
    Result<> found;
    const auto wanted = world.rbac().RulesOfRole(kind, request.ns, role, &found);
    if (!found) return std::unexpected(NotFoundError(kGroup, request.def.resource, role));   // upstream names the binding's resource
    return Confirm(request, world, wanted);
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> NewRbacEscalation() { return std::make_unique<RbacEscalation>(); }

}  // namespace skerry::kube
