#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/context.h"
#include "core/base/result.h"
#include "core/json/value.h"
#include "embedded-kube-shim/client/client.h"

// Who asks for what, and whether role-based access control allows it (rbac.authorization.k8s.io/v1).
namespace skerry::kube {

struct User {
  std::string name, uid;
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;
  bool InGroup(std::string_view group) const;
};

struct Attributes {
  User user;
  std::string verb;
  bool resource_request = true;      // false: path is what is asked for
  std::string group, version, resource, subresource, ns, name;
  std::string path;
  std::string field_selector;        // of a list, watch or deletecollection, as it was sent
};

enum class Decision : std::uint8_t { kAllow, kDeny, kNoOpinion };
struct Verdict {
  Decision decision = Decision::kNoOpinion;
  std::string reason;                // "RBAC: allowed by ClusterRoleBinding …"; for a denial what could not be resolved
};

// Thread-safe, never blocks: answers from caches.
class Authorizer {
 public:
  virtual ~Authorizer() = default;
  virtual Verdict Authorize(const Attributes& attributes) const = 0;
};

// One rule of a Role or ClusterRole, and what a subject may do in a namespace ("" = cluster-wide).
struct PolicyRule {
  std::vector<std::string> verbs, api_groups, resources, resource_names, non_resource_urls;
  static PolicyRule From(const json::Value& rule);
  json::Value ToJson() const;
  bool Allows(const Attributes& attributes) const;
  std::string Describe() const;      // as upstream prints a rule that is missing in an escalation error
};

class RbacIndex;
class RbacScope;

class RbacAuthorizer final : public Authorizer {
 public:
  // `version` grows with every change of a role or binding, no later than the listers show it; without it each request reads them anew.
  explicit RbacAuthorizer(Informers& informers, std::function<std::uint64_t()> version = {});
  ~RbacAuthorizer() override;
  Verdict Authorize(const Attributes& attributes) const override;
  // Every rule that applies to the user in the namespace; `incomplete` names what could not be resolved.
  std::vector<PolicyRule> RulesFor(const User& user, std::string_view ns, std::string* incomplete) const;
  // The rules that `user` lacks of `wanted`: escalation check on roles (and on the roles of a binding). Empty = all held.
  std::vector<PolicyRule> Missing(const User& user, std::string_view ns, const std::vector<PolicyRule>& wanted) const;
  std::vector<PolicyRule> RulesOfRole(std::string_view kind, std::string_view ns, std::string_view name, Result<>* found) const;

 private:
  const Lister& roles_;
  const Lister& cluster_roles_;
  const Lister& role_bindings_;
  const Lister& cluster_role_bindings_;
  const std::unique_ptr<RbacIndex> index_;

  RbacScope ScopeOf(std::string_view ns) const;
};

// Cluster roles, roles and bindings that exist from the first start; reconciled (missing rules and subjects are added back) unless an
// object carries rbac.authorization.kubernetes.io/autoupdate: "false".
std::vector<json::Value> BootstrapPolicy();   // complete objects with apiVersion and kind
std::vector<json::Value> MetricsPolicy();     // where metrics.k8s.io is served: who may read is allowed to see what is used

}  // namespace skerry::kube
