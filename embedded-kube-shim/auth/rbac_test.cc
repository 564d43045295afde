#include <catch2/catch.hpp>

#include "embedded-kube-shim/auth/rbac.h"

namespace skerry::kube {
namespace {

// Listers over plain vectors.
class FixedLister final : public Lister {
 public:
  std::vector<ObjectPtr> objects;
  ObjectPtr Get(const Key& key) const override {
    for (const ObjectPtr& o : objects) {
      if ((*o)["metadata"]["name"].Str() == key.name && (*o)["metadata"]["namespace"].Str() == key.ns) return o;
    }
    return nullptr;
  }
  std::vector<ObjectPtr> List(std::string_view ns) const override {
    std::vector<ObjectPtr> out;
    for (const ObjectPtr& o : objects) {
      if (ns.empty() || (*o)["metadata"]["namespace"].Str() == ns) out.push_back(o);
    }
    return out;
  }
  std::vector<ObjectPtr> OwnedBy(std::string_view) const override { return {}; }
  std::vector<ObjectPtr> Matching(std::string_view, std::string_view) const override { return {}; }
  std::vector<ObjectPtr> OnNode(std::string_view) const override { return {}; }
};

class FixedInformers final : public Informers {
 public:
  std::map<std::string, FixedLister, std::less<>> listers;
  const Lister& Get(Resource resource) override { return listers[std::string(resource)]; }
  std::shared_ptr<void> Subscribe(Resource, std::function<void(const Notification&)>) override { return nullptr; }
  bool HasSynced() const override { return true; }
  void Add(json::Value object) {
    std::string plural = std::string(object["kind"].Str());
    for (char& c : plural) c = static_cast<char>(::tolower(c));
    listers["rbac.authorization.k8s.io/v1/" + plural + "s"].objects.push_back(std::make_shared<json::Value>(std::move(object)));
  }
};

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

void AddText(FixedInformers& informers, std::string_view text) {
  json::Value v;
  std::string error;
  REQUIRE(json::Value::Parse(text, &v, &error));
  informers.Add(std::move(v));
}

}  // namespace

TEST_CASE("the bootstrap policy gives masters everything, users discovery, controllers their own and strangers nothing", "[rbac]") {
  FixedInformers informers;
  for (json::Value& object : BootstrapPolicy()) informers.Add(std::move(object));
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
  AddText(informers, R"({"kind":"Role","metadata":{"name":"r","namespace":"a"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["configmaps","pods/log"],"resourceNames":["one"]}]})");
  AddText(informers, R"({"kind":"RoleBinding","metadata":{"name":"b","namespace":"a"},"subjects":[{"kind":"User","name":"jane"}],"roleRef":{"kind":"Role","name":"r"}})");
  AddText(informers, R"({"kind":"RoleBinding","metadata":{"name":"c","namespace":"b"},"subjects":[{"kind":"User","name":"jane"}],"roleRef":{"kind":"Role","name":"r"}})");
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
  AddText(informers, R"({"kind":"ClusterRole","metadata":{"name":"r"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]})");
  AddText(informers, R"({"kind":"ClusterRoleBinding","metadata":{"name":"a"},"subjects":[{"kind":"Group","name":"h"},{"kind":"User","name":"jane"},{"kind":"Group","name":"g"}],"roleRef":{"kind":"ClusterRole","name":"r"}})");
  std::uint64_t version = 1;
  const RbacAuthorizer rbac(informers, [&] { return version; });
  const auto ask = [&](std::string user, std::vector<std::string> groups) { return rbac.Authorize(Ask(std::move(user), std::move(groups), "get", "", "pods", "x")); };
  CHECK(ask("jane", {"g"}).reason == R"(RBAC: allowed by ClusterRoleBinding "a" of ClusterRole "r" to User "jane")");
  CHECK(ask("joe", {"g", "h"}).reason == R"(RBAC: allowed by ClusterRoleBinding "a" of ClusterRole "r" to Group "h")");
  CHECK(ask("joe", {}).decision == Decision::kNoOpinion);
  AddText(informers, R"({"kind":"ClusterRoleBinding","metadata":{"name":"b"},"subjects":[{"kind":"User","name":"joe"}],"roleRef":{"kind":"ClusterRole","name":"r"}})");
  AddText(informers, R"({"kind":"RoleBinding","metadata":{"name":"c","namespace":"x"},"subjects":[{"kind":"ServiceAccount","name":"s"}],"roleRef":{"kind":"ClusterRole","name":"r"}})");
  CHECK(ask("joe", {}).decision == Decision::kNoOpinion);
  ++version;
  CHECK(ask("joe", {}).reason == R"(RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "r" to User "joe")");
  CHECK(ask("system:serviceaccount:x:s", {}).reason == R"(RBAC: allowed by RoleBinding "c/x" of ClusterRole "r" to ServiceAccount "s/")");
  CHECK(ask("jane", {"g"}).reason == R"(RBAC: allowed by ClusterRoleBinding "a" of ClusterRole "r" to User "jane")");
}

TEST_CASE("what a user lacks of a wanted rule is told item by item, verbs together", "[rbac]") {
  FixedInformers informers;
  AddText(informers, R"({"kind":"ClusterRole","metadata":{"name":"r"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]},{"verbs":["*"],"apiGroups":["apps"],"resources":["*"]}]})");
  AddText(informers, R"({"kind":"ClusterRoleBinding","metadata":{"name":"b"},"subjects":[{"kind":"Group","name":"g"}],"roleRef":{"kind":"ClusterRole","name":"r"}})");
  const RbacAuthorizer rbac(informers);
  const User user{"jane", "", {"g"}, {}};
  const auto missing = rbac.Missing(user, "", {{{"get", "list", "watch"}, {""}, {"pods"}, {}, {}}, {{"delete"}, {"apps"}, {"deployments"}, {}, {}}});
  REQUIRE(missing.size() == 1);
  CHECK(missing[0].Describe() == R"({APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]})");
}

}  // namespace skerry::kube
