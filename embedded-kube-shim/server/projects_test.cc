#include <catch2/catch.hpp>

#include "core/base/strings.h"
#include "tests/support/api_fixture.h"

using namespace skerry;
using skerry::testing::Api;

namespace {

const std::string kProjects = "/apis/project.openshift.io/v1/projects", kRequests = "/apis/project.openshift.io/v1/projectrequests";

http::Headers As(const char* user) { return {{"Impersonate-User", user}, {"Impersonate-Group", "system:authenticated"}}; }

std::string NamesSeenBy(Api& api, const char* user) {
  std::string out;
  const auto answer = api.Call("GET", kProjects, "", As(user));
  CHECK(answer.status == 200);
  for (const auto& project : answer.body["items"].Items()) out += Cat(project["metadata"]["name"].Str(), " ");
  return out;
}

}  // namespace

TEST_CASE("who may ask for projects gets a namespace as its administrator, and others do not see it", "[projects]") {
  Api api;
  const std::string wanted = R"({"apiVersion":"project.openshift.io/v1","kind":"ProjectRequest","metadata":{"name":"shop","labels":{"pod-security.kubernetes.io/enforce":"privileged"}},"displayName":"The shop","description":"Sells"})";
  // No controller gathers the role's rules here.
  REQUIRE(api.Call("PATCH", "/apis/rbac.authorization.k8s.io/v1/clusterroles/admin", R"({"rules":[{"verbs":["*"],"apiGroups":[""],"resources":["namespaces","configmaps"]}]})",
                   {{"Content-Type", "application/merge-patch+json"}}).status == 200);
  CHECK(api.Call("GET", kRequests, "", As("ann")).status == 403);
  CHECK(api.Call("POST", kRequests, wanted, As("ann")).status == 403);
  REQUIRE(api.Call("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
                   R"({"metadata":{"name":"p"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"self-provisioner"},
                       "subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"ann"}]})").status == 201);
  CHECK(api.Call("GET", kRequests, "", As("ann")).body["status"].Str() == "Success");
  const auto made = api.Call("POST", kRequests, wanted, As("ann"));
  REQUIRE(made.status == 201);
  CHECK(made.body["kind"].Str() == "Project");
  CHECK(made.body["metadata"]["annotations"]["openshift.io/display-name"].Str() == "The shop");
  CHECK(made.body["metadata"]["annotations"]["openshift.io/requester"].Str() == "ann");
  CHECK_FALSE(made.body["metadata"]["labels"].Find("pod-security.kubernetes.io/enforce"));   // labels of namespaces are the administrator's
  CHECK(api.Call("POST", kRequests, wanted, As("ann")).status == 409);
  CHECK(api.Call("POST", kRequests, R"({"apiVersion":"project.openshift.io/v1","kind":"ProjectRequest","metadata":{"name":"kube-shop"}})", As("ann")).status == 403);

  CHECK(NamesSeenBy(api, "ann") == "shop ");
  CHECK(api.Call("GET", kProjects, "", As("bob")).status == 403);
  REQUIRE(api.Call("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
                   R"({"metadata":{"name":"b"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"basic-user"},
                       "subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"bob"}]})").status == 201);
  CHECK(NamesSeenBy(api, "bob").empty());
  CHECK(api.Call("GET", kProjects + "/shop", "", As("ann")).body["status"]["phase"].Str() == "Active");
  CHECK(api.Call("GET", kProjects + "/shop", "", As("bob")).status == 404);
  CHECK(api.Call("GET", kProjects + "/default", "", As("ann")).status == 404);
  CHECK(api.Call("POST", "/api/v1/namespaces/shop/configmaps", R"({"metadata":{"name":"c"}})", As("ann")).status == 201);
  CHECK(api.Call("POST", "/api/v1/namespaces/shop/configmaps", R"({"metadata":{"name":"d"}})", As("bob")).status == 403);
}

TEST_CASE("projects are namespaces to an administrator: listed in rows, created and deleted", "[projects]") {
  Api api;
  REQUIRE(api.Call("POST", kProjects, R"({"apiVersion":"project.openshift.io/v1","kind":"Project","metadata":{"name":"a","annotations":{"openshift.io/display-name":"First"}}})").status == 201);
  CHECK(api.Call("GET", "/api/v1/namespaces/a", "").status == 200);
  const auto table = api.Call("GET", kProjects + "?fieldSelector=metadata.name%3Da", "", {{"Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"}});
  REQUIRE(table.body["rows"].size() == 1);
  CHECK(table.body["rows"].Items()[0]["cells"].Dump() == R"(["a","First","Active"])");
  CHECK(api.Call("DELETE", kProjects + "/a", "").status == 200);
  CHECK(api.Call("DELETE", kProjects + "/b", "").status == 404);
  CHECK(api.Call("GET", "/api/v1/namespaces/a", "").body["status"]["phase"].Str() == "Terminating");
}
