#include <catch2/catch.hpp>

#include "embedded-kube-shim/auth/rbac.h"
#include "tests/support/fixed_informers.h"
#include "tests/support/json.h"

namespace skerry::kube {
namespace {
using skerry::testing::FixedInformers;
using skerry::testing::Json;

Attributes Ask(std::string user, std::vector<std::string> groups, std::string verb, std::string group, std::string resource, std::string ns, std::string name = "") {
  Attributes a;
  a.user = {std::move(user), "", std::move(groups), {}};
  a.verb = std::move(verb);
  a.group = std::move(group);
  a.resource = std::move(resource);
  a.ns = std::move(ns);
  a.name = std::move(name);
  return a;
}

}  // namespace

TEST_CASE("the bootstrap policy gives masters everything, users discovery, controllers their own and strangers nothing", "[rbac]") {
  FixedInformers informers;
  for (json::Value& object : BootstrapPolicy()) informers.AddRbac(std::move(object));
  const RbacAuthorizer rbac(informers);
  CHECK(rbac.Authorize(Ask("admin", {"system:masters"}, "delete", "apps", "deployments", "x")).decision == Decision::kAllow);
  CHECK(rbac.Authorize(Ask("jane", {"system:authenticated"}, "get", "", "pods", "x")).decision == Decision::kNoOpinion);
  Attributes path = Ask("jane", {"system:authenticated"}, "get", "", "", "");
  path.resource_request = false;
  path.path = "/apis/apps/v1";
  CHECK(rbac.Authorize(path).decision == Decision::kAllow);
  path.user.groups = {"system:unauthenticated"};
  CHECK(rbac.Authorize(path).decision == Decision::kNoOpinion);
  path.path = "/version";
  CHECK(rbac.Authorize(path).decision == Decision::kAllow);
  const Verdict v = rbac.Authorize(Ask("system:serviceaccount:kube-system:deployment-controller", {}, "create", "apps", "replicasets", "x"));
  CHECK(v.decision == Decision::kAllow);
  CHECK(v.reason == "RBAC: allowed by ClusterRoleBinding \"system:controller:deployment-controller\" of ClusterRole \"system:controller:deployment-controller\" to "
                    "ServiceAccount \"deployment-controller/kube-system\"");
  CHECK(rbac.Authorize(Ask("system:serviceaccount:kube-system:deployment-controller", {}, "create", "", "pods", "x")).decision == Decision::kNoOpinion);
}

TEST_CASE("a role binding reaches only its namespace and only the names and subresources it lists", "[rbac]") {
  FixedInformers informers;
  informers.AddRbac(Json(R"({"kind":"Role","metadata":{"name":"r","namespace":"a"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["configmaps","pods/log"],"resourceNames":["one"]}]})"));
  informers.AddRbac(Json(R"({"kind":"RoleBinding","metadata":{"name":"b","namespace":"a"},"subjects":[{"kind":"User","name":"jane"}],"roleRef":{"kind":"Role","name":"r"}})"));
  informers.AddRbac(Json(R"({"kind":"RoleBinding","metadata":{"name":"c","namespace":"b"},"subjects":[{"kind":"User","name":"jane"}],"roleRef":{"kind":"Role","name":"r"}})"));
  const RbacAuthorizer rbac(informers);
  CHECK(rbac.Authorize(Ask("jane", {}, "get", "", "configmaps", "a", "one")).decision == Decision::kAllow);
  CHECK(rbac.Authorize(Ask("jane", {}, "get", "", "configmaps", "a", "two")).decision == Decision::kNoOpinion);
  CHECK(rbac.Authorize(Ask("jane", {}, "get", "", "pods", "a", "one")).decision == Decision::kNoOpinion);
  Attributes log = Ask("jane", {}, "get", "", "pods", "a", "one");
  log.subresource = "log";
  CHECK(rbac.Authorize(log).decision == Decision::kAllow);
  const Verdict elsewhere = rbac.Authorize(Ask("jane", {}, "get", "", "configmaps", "b", "one"));
  CHECK(elsewhere.decision == Decision::kNoOpinion);
  CHECK(elsewhere.reason == "RBAC: role.rbac.authorization.k8s.io \"r\" not found");
}

TEST_CASE("what was read of the policy holds until a role or binding changes; the first binding of the list is the one that is told", "[rbac]") {
  FixedInformers informers;
  informers.AddRbac(Json(R"({"kind":"ClusterRole","metadata":{"name":"r"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]})"));
  informers.AddRbac(Json(R"({"kind":"ClusterRoleBinding","metadata":{"name":"a"},"subjects":[{"kind":"Group","name":"h"},{"kind":"User","name":"jane"},{"kind":"Group","name":"g"}],"roleRef":{"kind":"ClusterRole","name":"r"}})"));
  std::uint64_t version = 1;
  const RbacAuthorizer rbac(informers, [&] { return version; });
  const auto ask = [&](std::string user, std::vector<std::string> groups) { return rbac.Authorize(Ask(std::move(user), std::move(groups), "get", "", "pods", "x")); };
  CHECK(ask("jane", {"g"}).reason == R"(RBAC: allowed by ClusterRoleBinding "a" of ClusterRole "r" to User "jane")");
  CHECK(ask("joe", {"g", "h"}).reason == R"(RBAC: allowed by ClusterRoleBinding "a" of ClusterRole "r" to Group "h")");
  CHECK(ask("joe", {}).decision == Decision::kNoOpinion);
  informers.AddRbac(Json(R"({"kind":"ClusterRoleBinding","metadata":{"name":"b"},"subjects":[{"kind":"User","name":"joe"}],"roleRef":{"kind":"ClusterRole","name":"r"}})"));
  informers.AddRbac(Json(R"({"kind":"RoleBinding","metadata":{"name":"c","namespace":"x"},"subjects":[{"kind":"ServiceAccount","name":"s"}],"roleRef":{"kind":"ClusterRole","name":"r"}})"));
  CHECK(ask("joe", {}).decision == Decision::kNoOpinion);
  ++version;
  CHECK(ask("joe", {}).reason == R"(RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "r" to User "joe")");
  CHECK(ask("system:serviceaccount:x:s", {}).reason == R"(RBAC: allowed by RoleBinding "c/x" of ClusterRole "r" to ServiceAccount "s/")");
  CHECK(ask("jane", {"g"}).reason == R"(RBAC: allowed by ClusterRoleBinding "a" of ClusterRole "r" to User "jane")");
}

TEST_CASE("a verdict that is kept is nobody else's, no other name's and no older than the policy", "[rbac]") {
  FixedInformers informers;
  informers.AddRbac(Json(R"({"kind":"Role","metadata":{"name":"r","namespace":"a"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["secrets"],"resourceNames":["one"]},
                            {"verbs":["get"],"apiGroups":[""],"resources":["configmaps"]}]})"));
  informers.AddRbac(Json(R"({"kind":"RoleBinding","metadata":{"name":"b","namespace":"a"},"subjects":[{"kind":"User","name":"jane"},{"kind":"Group","name":"team"}],"roleRef":{"kind":"Role","name":"r"}})"));
  std::uint64_t version = 1;
  const RbacAuthorizer rbac(informers, [&] { return version; });
  for (int turn = 0; turn < 2; ++turn) {
    CHECK(rbac.Authorize(Ask("jane", {}, "get", "", "configmaps", "a", "x")).decision == Decision::kAllow);
    CHECK(rbac.Authorize(Ask("jane", {}, "get", "", "secrets", "a", "one")).decision == Decision::kAllow);
    CHECK(rbac.Authorize(Ask("jane", {}, "get", "", "secrets", "a", "two")).decision == Decision::kNoOpinion);
    CHECK(rbac.Authorize(Ask("jane", {}, "list", "", "configmaps", "a")).decision == Decision::kNoOpinion);
    CHECK(rbac.Authorize(Ask("jane", {}, "get", "", "configmaps", "b", "x")).decision == Decision::kNoOpinion);
    CHECK(rbac.Authorize(Ask("john", {}, "get", "", "configmaps", "a", "x")).decision == Decision::kNoOpinion);
    CHECK(rbac.Authorize(Ask("john", {"team"}, "get", "", "configmaps", "a", "x")).decision == Decision::kAllow);
    Attributes part = Ask("jane", {}, "get", "", "configmaps", "a", "x");
    part.subresource = "status";
    CHECK(rbac.Authorize(part).decision == Decision::kNoOpinion);
  }
  informers.Clear("rbac.authorization.k8s.io/v1/rolebindings");
  ++version;
  CHECK(rbac.Authorize(Ask("jane", {}, "get", "", "configmaps", "a", "x")).decision == Decision::kNoOpinion);
  CHECK(rbac.Authorize(Ask("john", {"team"}, "get", "", "configmaps", "a", "x")).decision == Decision::kNoOpinion);
}

TEST_CASE("what a user lacks of a wanted rule is told item by item, verbs together", "[rbac]") {
  FixedInformers informers;
  informers.AddRbac(Json(R"({"kind":"ClusterRole","metadata":{"name":"r"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]},{"verbs":["*"],"apiGroups":["apps"],"resources":["*"]}]})"));
  informers.AddRbac(Json(R"({"kind":"ClusterRoleBinding","metadata":{"name":"b"},"subjects":[{"kind":"Group","name":"g"}],"roleRef":{"kind":"ClusterRole","name":"r"}})"));
  const RbacAuthorizer rbac(informers);
  const User user{"jane", "", {"g"}, {}};
  const auto missing = rbac.Missing(user, "", {{{"get", "list", "watch"}, {""}, {"pods"}, {}, {}}, {{"delete"}, {"apps"}, {"deployments"}, {}, {}}});
  REQUIRE(missing.size() == 1);
  CHECK(missing[0].Describe() == R"({APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]})");
}

}  // namespace skerry::kube
