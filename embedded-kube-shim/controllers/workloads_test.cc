#include <catch2/catch.hpp>

#include "embedded-kube-shim/controllers/daemon_pods.h"
#include "embedded-kube-shim/controllers/history.h"
#include "embedded-kube-shim/controllers/stateful_pods.h"
#include "embedded-kube-shim/controllers/write.h"

namespace skerry::kube {
namespace {

json::Value Parse(std::string_view text) {
  json::Value v;
  std::string error;
  REQUIRE(json::Value::Parse(text, &v, &error));
  return v;
}
ObjectPtr Shared(std::string_view text) { return std::make_shared<const json::Value>(Parse(text)); }

const char* const kSet = R"({"metadata":{"name":"web","namespace":"x","uid":"set-uid","annotations":{"deprecated.daemonset.template.generation":"3"}},
  "spec":{"replicas":2,"serviceName":"svc","selector":{"matchLabels":{"app":"web"}},
  "template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"c","image":"i"}],"volumes":[{"name":"data"},{"name":"other"}]}},
  "volumeClaimTemplates":[{"metadata":{"name":"data","labels":{"x":"1"}},"spec":{"accessModes":["ReadWriteOnce"]}}]}})";

ObjectPtr DaemonPodOn(std::string node, std::string hash, bool available, bool ending = false) {
  return Shared(R"({"metadata":{"name":"p-)" + node + hash + R"(","uid":")" + node + hash + R"(","labels":{"controller-revision-hash":")" + hash + R"("})" +
                (ending ? R"(,"deletionTimestamp":"2026-01-01T00:00:00Z")" : "") + R"(},"spec":{"nodeName":")" + node + R"("},"status":{"available":)" +
                (available ? "true" : "false") + "}}");
}
bool Available(const json::Value& pod) { return pod["status"]["available"].Bool(); }

}  // namespace

TEST_CASE("absent, null and empty lists are the same content and everything else counts", "[controllers]") {
  CHECK(SameContent(Parse(R"({"a":1,"b":[]})"), Parse(R"({"a":1,"c":null})")));
  CHECK(SameContent(Parse(R"({"l":[{"x":null}]})"), Parse(R"({"l":[{}]})")));
  CHECK_FALSE(SameContent(Parse(R"({"a":{}})"), Parse(R"({})")));
  CHECK_FALSE(SameContent(Parse(R"({"l":[1,2]})"), Parse(R"({"l":[2,1]})")));
  CHECK_FALSE(SameContent(Parse(R"({"a":1})"), Parse(R"({"a":"1"})")));
}

TEST_CASE("a revision holds the template with sorted keys and gives it back", "[controllers]") {
  const json::Value set = Parse(kSet);
  json::Value revision;
  revision.Set("data") = TemplatePatch(set);
  CHECK(revision["data"].Dump().starts_with(R"({"spec":{"template":{"$patch":"replace","metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"image":"i","name":"c"}])"));
  CHECK(TemplateOf(revision) == set["spec"]["template"]);
  CHECK(DataHash(revision["data"], 0) == DataHash(revision["data"], 0));
  CHECK(DataHash(revision["data"], 0) != DataHash(revision["data"], 1));
}

TEST_CASE("a stateful pod has its name, host name, labels and the volumes of its claims", "[controllers]") {
  const json::Value set = Parse(kSet);
  const json::Value pod = StatefulPod(set, set["spec"]["template"], "web-abc", 4);
  CHECK(Name(pod) == "web-4");
  CHECK(pod["spec"]["hostname"].Str() == "web-4");
  CHECK(pod["spec"]["subdomain"].Str() == "svc");
  CHECK(Meta(pod)["labels"][kPodIndex].Str() == "4");
  CHECK(Meta(pod)["labels"][kRevisionLabel].Str() == "web-abc");
  REQUIRE(pod["spec"]["volumes"].size() == 2);
  CHECK(pod["spec"]["volumes"].Items()[0]["persistentVolumeClaim"]["claimName"].Str() == "data-web-4");
  CHECK(pod["spec"]["volumes"].Items()[1]["name"].Str() == "other");
  CHECK(IdentityMatches(set, pod));
  const auto claims = ClaimsOf(set, 4);
  REQUIRE(claims.size() == 1);
  CHECK(Name(claims[0]) == "data-web-4");
  CHECK(Meta(claims[0])["labels"].Dump() == R"({"x":"1","app":"web"})");
  json::Value stranger = pod.Clone();
  stranger.Set("metadata").Set("labels").Erase(std::string(kPodName));
  CHECK_FALSE(IdentityMatches(set, stranger));
  RestoreIdentity(set, stranger);
  CHECK(IdentityMatches(set, stranger));
}

TEST_CASE("only names made of the set's and a number are members", "[controllers]") {
  const json::Value set = Parse(kSet);
  const auto ordinal = [&](std::string name) { return OrdinalIn(set, Parse(R"({"metadata":{"name":")" + name + R"("}})")); };
  CHECK(ordinal("web-0") == 0);
  CHECK(ordinal("web-12") == 12);
  CHECK_FALSE(ordinal("web-1a"));
  CHECK_FALSE(ordinal("web-"));
  CHECK_FALSE(ordinal("webb-1"));
  CHECK_FALSE(ordinal("web--1"));
}

TEST_CASE("the retention policy decides who owns a claim", "[controllers]") {
  json::Value set = Parse(kSet);
  const json::Value pod = Parse(R"({"metadata":{"name":"web-1","namespace":"x","uid":"pod-uid"}})");
  const json::Value claim = Parse(R"({"metadata":{"name":"data-web-1"}})");
  const auto owner = [&](const char* deleted, const char* scaled, bool condemned) {
    json::Value& policy = set.Set("spec").Set("persistentVolumeClaimRetentionPolicy");
    policy.Set("whenDeleted") = deleted;
    policy.Set("whenScaled") = scaled;
    const json::Value owners = ClaimOwners(set, pod, claim, condemned);
    return owners.size() == 0 ? std::string("nobody") : std::string(owners.Items()[0]["kind"].Str());
  };
  CHECK(owner("Retain", "Retain", true) == "nobody");
  CHECK(owner("Delete", "Retain", true) == "StatefulSet");
  CHECK(owner("Retain", "Delete", false) == "nobody");
  CHECK(owner("Retain", "Delete", true) == "Pod");
  CHECK(owner("Delete", "Delete", false) == "StatefulSet");
  CHECK(owner("Delete", "Delete", true) == "Pod");
  CHECK(IsStaleClaim(Parse(R"({"metadata":{"ownerReferences":[{"kind":"Pod","name":"web-1","uid":"earlier"}]}})"), pod));
  CHECK_FALSE(IsStaleClaim(Parse(R"({"metadata":{"ownerReferences":[{"kind":"Pod","name":"web-1","uid":"pod-uid"}]}})"), pod));
}

TEST_CASE("a node runs a daemon pod by labels and taints and keeps one despite NoSchedule", "[controllers]") {
  const json::Value set = Parse(R"({"spec":{"template":{"spec":{"nodeSelector":{"disk":"fast"}}}}})");
  const auto wish = [&](std::string labels, std::string taints) {
    return WishOf(Parse(R"({"metadata":{"name":"n","labels":)" + labels + R"(},"spec":{"taints":)" + taints + "}}"), set);
  };
  CHECK(wish(R"({"disk":"fast"})", "[]").run);
  CHECK_FALSE(wish(R"({"disk":"slow"})", "[]").keep);
  CHECK_FALSE(wish(R"({"disk":"fast"})", R"([{"key":"k","effect":"NoSchedule"}])").run);
  CHECK(wish(R"({"disk":"fast"})", R"([{"key":"k","effect":"NoSchedule"}])").keep);
  CHECK_FALSE(wish(R"({"disk":"fast"})", R"([{"key":"k","effect":"NoExecute"}])").keep);
  CHECK(wish(R"({"disk":"fast"})", R"([{"key":"node.kubernetes.io/unschedulable","effect":"NoSchedule"}])").run);
}

TEST_CASE("a daemon pod names its node by affinity and its set's generation by label", "[controllers]") {
  const json::Value pod = DaemonPod(Parse(kSet), "h1", "node-7");
  CHECK(NodeOf(pod) == "node-7");
  CHECK(Meta(pod)["labels"]["pod-template-generation"].Str() == "3");
  CHECK(IsUpdated(pod, Parse(R"({"metadata":{}})"), "h1"));
  CHECK_FALSE(IsUpdated(pod, Parse(R"({"metadata":{}})"), "h2"));
}

TEST_CASE("a rolling daemon update never takes more pods away than it may", "[controllers]") {
  const json::Value set = Parse(R"({"spec":{"updateStrategy":{"rollingUpdate":{"maxUnavailable":2,"maxSurge":0}}}})");
  PodsByNode pods;
  for (const char* n : {"a", "b", "c", "d"}) pods[n] = {DaemonPodOn(n, "old", true)};
  CHECK(RollDaemons(set, pods, "new", 4, Available).remove.size() == 2);
  pods["a"] = {DaemonPodOn("a", "new", false)};
  CHECK(RollDaemons(set, pods, "new", 4, Available).remove.size() == 1);
  pods["b"] = {DaemonPodOn("b", "old", false)};   // serves nobody: may always go, but uses up the budget
  const DaemonChange change = RollDaemons(set, pods, "new", 4, Available);
  REQUIRE(change.remove.size() == 1);
  CHECK(NodeOf(*change.remove[0]) == "b");
  pods["b"] = {DaemonPodOn("b", "old", true, true)};   // on its way out
  CHECK(RollDaemons(set, pods, "new", 4, Available).remove.empty());
}

TEST_CASE("a surging daemon update creates first and removes the old pod when the new one is available", "[controllers]") {
  const json::Value set = Parse(R"({"spec":{"updateStrategy":{"rollingUpdate":{"maxUnavailable":0,"maxSurge":"50%"}}}})");
  PodsByNode pods;
  for (const char* n : {"a", "b", "c"}) pods[n] = {DaemonPodOn(n, "old", true)};
  CHECK(RollDaemons(set, pods, "new", 3, Available).create.size() == 2);
  pods["a"].push_back(DaemonPodOn("a", "new", false));
  CHECK(RollDaemons(set, pods, "new", 3, Available).create.size() == 1);
  pods["b"].push_back(DaemonPodOn("b", "new", true));
  const DaemonChange change = RollDaemons(set, pods, "new", 3, Available);
  REQUIRE(change.remove.size() == 1);
  CHECK(Name(*change.remove[0]) == "p-bold");
  CHECK(change.create == std::vector<std::string>{"c"});
}

}  // namespace skerry::kube
