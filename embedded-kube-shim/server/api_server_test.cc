#include <catch2/catch.hpp>

#include <thread>

#include "core/base/strings.h"
#include "core/http/gzip.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/server/list_options.h"
#include "tests/support/api_fixture.h"
#include "tests/support/json.h"

using namespace skerry;
using namespace skerry::kube;
using skerry::testing::Answer;
using skerry::testing::Api;
using skerry::testing::Json;

namespace {

TEST_CASE("a continue token that the history has left behind names one that goes on without consistency", "[server]") {
  Api api;
  for (const char* name : {"a", "b", "c"})
    CHECK(api.Call("POST", "/api/v1/namespaces/default/configmaps", Cat(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":")", name, R"("}})")).status == 201);
  // Issued in 1970, whatever the revision: too old.
  const auto revision = ParseInt(api.Call("GET", "/api/v1/namespaces/default/configmaps?limit=1", "").body.At({"metadata", "resourceVersion"}).Str()).value();
  const auto old = EncodeContinue({revision, std::string("/b", 2), 1});
  const auto gone = api.Call("GET", Cat("/api/v1/namespaces/default/configmaps?limit=1&continue=", old), "");
  REQUIRE(gone.status == 410);
  CHECK(gone.body["reason"].Str() == "Expired");
  const auto next = api.Call("GET", Cat("/api/v1/namespaces/default/configmaps?limit=1&continue=", gone.body.At({"metadata", "continue"}).Str()), "");
  REQUIRE(next.status == 200);
  CHECK(next.body["items"].Items()[0].At({"metadata", "name"}).Str() == "b");
}

TEST_CASE("a watch from before what is remembered begins, and says in its one event that it cannot", "[server]") {
  Api api(Api::Engine::kRocks);
  const std::string leases = "/apis/coordination.k8s.io/v1/leases";   // kept in memory only: their history begins at a start
  const auto before = ParseInt(api.Call("GET", leases, "").body.At({"metadata", "resourceVersion"}).Str()).value();
  api.Reopen();
  const auto watch = api.Call("GET", Cat(leases, "?watch=true&resourceVersion=", before), "");
  CHECK(watch.status == 200);
  REQUIRE(watch.source);
  const auto only = watch.source->Next();
  REQUIRE(only);
  const auto event = Json(only->view());
  CHECK(event["type"].Str() == "ERROR");
  CHECK(event.At({"object", "reason"}).Str() == "Expired");
  CHECK(event.At({"object", "code"}).Int() == 410);
  CHECK_THAT(std::string(event.At({"object", "message"}).Str()), Catch::StartsWith(Cat("too old resource version: ", before, " (")));
  const auto end = watch.source->Next();
  REQUIRE_FALSE(end);
  CHECK(end.error().code() == Code::kCancelled);
}

TEST_CASE("options of a deletion may come in the group of the kind, in protobuf, too", "[server]") {
  Api api;
  CHECK(api.Call("POST", "/apis/apps/v1/namespaces/default/controllerrevisions", R"({"apiVersion":"apps/v1","kind":"ControllerRevision","metadata":{"name":"a"},"revision":1,"data":{}})").status == 201);
  const std::string body = ProtobufEnvelope("apps/v1", "DeleteOptions", "");
  CHECK(api.Call("DELETE", "/apis/apps/v1/namespaces/default/controllerrevisions/a", body, {{"Content-Type", "application/vnd.kubernetes.protobuf"}}).status == 200);
}

}  // namespace

TEST_CASE("32 writers of one object lose no update", "[engine]") {
  Api api;
  const auto client = api.Client("writer");
  const Ctx ctx{std::stop_token()};
  REQUIRE(client->Create(ctx, "v1/configmaps", Json(R"({"metadata":{"name":"a","namespace":"default"},"data":{"n":"0"}})")));
  constexpr int kWriters = 32, kEach = 8;
  std::atomic<int> conflicts{0}, failures{0};
  {
    std::vector<std::jthread> threads;
    for (int w = 0; w < kWriters; ++w)
      threads.emplace_back([&] {
        for (int i = 0; i < kEach;) {
          auto current = client->Get(ctx, "v1/configmaps", {"default", "a"});
          if (!current) { ++failures; return; }
          auto next = (*current)->Clone();
          next.Set("data").Set("n") = std::to_string(ParseInt(next.At({"data", "n"}).Str()).value_or(-1) + 1);
          const auto written = client->Update(ctx, "v1/configmaps", std::move(next));
          if (written) ++i;
          else if (written.error().code() == Code::kConflict) ++conflicts;
          else { ++failures; return; }
        }
      });
  }
  CHECK(failures == 0);
  const auto last = client->Get(ctx, "v1/configmaps", {"default", "a"});
  REQUIRE(last);
  CHECK((*last)->At({"data", "n"}).Str() == std::to_string(kWriters * kEach));
}

TEST_CASE("patches of one object by several writers at once are all applied", "[engine]") {
  Api api;
  const auto client = api.Client("writer");
  const Ctx ctx{std::stop_token()};
  REQUIRE(client->Create(ctx, "v1/configmaps", Json(R"({"metadata":{"name":"a","namespace":"default"}})")));
  constexpr int kWriters = 4, kEach = 10;
  std::atomic<int> failures{0};
  {
    std::vector<std::jthread> threads;
    for (int w = 0; w < kWriters; ++w)
      threads.emplace_back([&, w] {
        for (int i = 0; i < kEach;) {
          const auto written = client->Patch(ctx, "v1/configmaps", {"default", "a"}, PatchType::kMerge, Json(Cat(R"({"data":{"k)", w, "-", i, R"(":"x"}})")));
          if (written) ++i;
          else if (written.error().code() != Code::kConflict) { ++failures; return; }   // the server gives up after some lost races
        }
      });
  }
  CHECK(failures == 0);
  const auto last = client->Get(ctx, "v1/configmaps", {"default", "a"});
  REQUIRE(last);
  CHECK((*last)->At({"data"}).size() == kWriters * kEach);
}

TEST_CASE("a token is good as long as its account and its pod exist under the same uid", "[auth]") {
  Api api;
  const auto client = api.Client("admin");
  const Ctx ctx{std::stop_token()};
  REQUIRE(client->Create(ctx, "v1/serviceaccounts", Json(R"({"metadata":{"name":"robot","namespace":"default"}})")));
  REQUIRE(client->Create(ctx, "v1/pods", Json(R"({"metadata":{"name":"p","namespace":"default"},"spec":{"serviceAccountName":"robot","containers":[{"name":"c","image":"i"}]}})")));
  const auto token_for = [&](std::string_view spec) {
    auto made = client->Create(ctx, "v1/serviceaccounts", Json(Cat(R"({"metadata":{"name":"robot","namespace":"default"},"spec":)", spec, "}")), "token");
    REQUIRE(made);
    return std::string((*made)->At({"status", "token"}).Str());
  };
  const auto who = [&](const std::string& token) {
    auto answer = api.Call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", R"({"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"})", {{"Authorization", "Bearer " + token}}, Api::As::kAnonymous);
    return answer.status == 201 ? std::string(answer.body.At({"status", "userInfo", "username"}).Str()) : std::to_string(answer.status);
  };
  const auto plain = token_for("{}"), bound = token_for(R"({"boundObjectRef":{"apiVersion":"v1","kind":"Pod","name":"p"}})"), foreign = token_for(R"({"audiences":["elsewhere"]})");
  CHECK(who(plain) == "system:serviceaccount:default:robot");
  CHECK(who(bound) == "system:serviceaccount:default:robot");
  CHECK(who(foreign) == "401");
  CHECK(who(plain.substr(0, plain.size() - 4) + "AAAA") == "401");
  REQUIRE(client->Delete(ctx, "v1/pods", {"default", "p"}, DeleteOptions{"", "", 0, Propagation::kDefault}));
  CHECK(who(bound) == "401");
  CHECK(who(plain) == "system:serviceaccount:default:robot");
  REQUIRE(client->Delete(ctx, "v1/serviceaccounts", {"default", "robot"}));
  REQUIRE(client->Create(ctx, "v1/serviceaccounts", Json(R"({"metadata":{"name":"robot","namespace":"default"}})")));
  CHECK(who(plain) == "401");   // of the same name, but another one
}

TEST_CASE("a pod may follow its namespace at once: the default account is already there", "[admission]") {
  Api api;
  const auto client = api.Client("admin");
  const Ctx ctx{std::stop_token()};
  REQUIRE(client->Create(ctx, "v1/namespaces", Json(R"({"metadata":{"name":"fresh"}})")));
  auto pod = client->Create(ctx, "v1/pods", Json(R"({"metadata":{"name":"p","namespace":"fresh"},"spec":{"containers":[{"name":"c","image":"i"}]}})"));
  REQUIRE(pod);
  const auto& spec = (**pod)["spec"];
  CHECK(spec["serviceAccountName"].Str() == "default");
  CHECK(spec["volumes"].Items()[0]["name"].Str().starts_with("kube-api-access-"));
  CHECK(spec["containers"].Items()[0]["volumeMounts"].Items()[0]["mountPath"].Str() == "/var/run/secrets/kubernetes.io/serviceaccount");
}

TEST_CASE("a role may not grant what its author does not hold", "[auth]") {
  Api api;
  const auto admin = api.Client("admin");
  const Ctx ctx{std::stop_token()};
  REQUIRE(admin->Create(ctx, "rbac.authorization.k8s.io/v1/clusterroles",
                        Json(R"({"metadata":{"name":"author"},"rules":[{"apiGroups":["rbac.authorization.k8s.io"],"resources":["roles"],"verbs":["create"]},{"apiGroups":[""],"resources":["pods"],"verbs":["get"]}]})")));
  REQUIRE(admin->Create(ctx, "rbac.authorization.k8s.io/v1/clusterrolebindings",
                        Json(R"({"metadata":{"name":"author"},"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"eve"}],"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"author"}})")));
  User eve;
  eve.name = "eve";
  eve.groups = {"system:authenticated"};
  const auto client = api.server().NewClient(eve, "eve");
  const auto role = [](std::string_view name, std::string_view resource) {
    return Json(Cat(R"({"metadata":{"name":")", name, R"(","namespace":"default"},"rules":[{"apiGroups":[""],"resources":[")", resource, R"("],"verbs":["get"]}]})"));
  };
  CHECK(client->Create(ctx, "rbac.authorization.k8s.io/v1/roles", role("held", "pods")));
  const auto more = client->Create(ctx, "rbac.authorization.k8s.io/v1/roles", role("more", "secrets"));
  REQUIRE_FALSE(more);
  CHECK(more.error().code() == Code::kForbidden);
  CHECK(more.error().message().find("{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}") != std::string_view::npos);
}

TEST_CASE("small reads are answered on the shard, large lists are not", "[server]") {
  Api api;
  const auto client = api.Client("admin");
  const Ctx ctx{std::stop_token()};
  const std::string big(100'000, 'x');
  for (int i = 0; i < 4; ++i) REQUIRE(client->Create(ctx, "v1/configmaps", Json(Cat(R"({"metadata":{"name":"c)", i, R"(","namespace":"default"},"data":{"k":")", big, R"("}})"))));
  const auto on_shard = [&](std::string_view target) { return !std::holds_alternative<http::NeedsWorker>(api.server().handler().OnShard(ctx, *api.Request("GET", target, "", {}, Api::As::kAdmin))); };
  CHECK(on_shard("/api/v1/namespaces/default/configmaps/c0"));
  CHECK(on_shard("/api/v1/namespaces/default/serviceaccounts"));
  CHECK_FALSE(on_shard("/api/v1/namespaces/default/configmaps"));
  CHECK_FALSE(on_shard("/api/v1/namespaces/default/configmaps/missing"));
  CHECK_FALSE(on_shard("/api/v1/namespaces/default/serviceaccounts?resourceVersion=1&resourceVersionMatch=Exact"));
  const auto packed = api.Call("GET", "/api/v1/namespaces/default/configmaps", "", {{"Accept-Encoding", "gzip"}});
  CHECK(packed.Header("Content-Encoding") == "gzip");
  CHECK(packed.text.size() < 20'000);
  const auto whole = api.Call("GET", "/api/v1/namespaces/default/configmaps", "");
  REQUIRE(whole.body["items"].size() == 4);
  CHECK(whole.body["items"].Items()[3].At({"data", "k"}).Str() == big);
  CHECK(http::Gunzip(packed.text, 1 << 20) == whole.text);
  // In protobuf the first answer is encoded, the second comes from what was kept; a changed object is not.
  const auto messages = [&] {
    const auto answer = api.Call("GET", "/api/v1/namespaces/default/configmaps", "", {{"Accept", "application/vnd.kubernetes.protobuf"}});
    const auto envelope = ParseProtobufEnvelope(answer.text);
    REQUIRE(envelope);
    CHECK(envelope->kind == "ConfigMapList");
    return std::string(envelope->message);
  };
  const std::string first = messages();
  CHECK(first.size() > 400'000);
  CHECK(messages() == first);
  REQUIRE(api.Call("PATCH", "/api/v1/namespaces/default/configmaps/c1", R"({"data":{"k":"short"}})", {{"Content-Type", "application/merge-patch+json"}}).status == 200);
  const std::string changed = messages();
  CHECK(changed.size() < first.size() - 90'000);
  CHECK(changed.find("short") != std::string::npos);
}

namespace {

// --- answers of the write path that only the whole of it can give

const http::Headers kApply = {{"Content-Type", "application/apply-patch+yaml"}};
const http::Headers kJsonPatch = {{"Content-Type", "application/json-patch+json"}};
const http::Headers kStrategic = {{"Content-Type", "application/strategic-merge-patch+json"}};
constexpr const char* kMaps = "/api/v1/namespaces/default/configmaps";

std::string Message(const Answer& answer) { return std::string(answer.body["message"].Str()); }

}  // namespace

TEST_CASE("an apply is refused for what it says before repeated keys are", "[server]") {
  Api api;
  const std::string url = Cat(kMaps, "/a?fieldManager=m&fieldValidation=Strict");
  const Answer unknown = api.Call("PATCH", url, R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"bogus":1,"bogus":2})", kApply);
  CHECK(unknown.status == 500);
  CHECK(Message(unknown).ends_with(".bogus: field not declared in schema"));
  const Answer repeated = api.Call("PATCH", url, R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"1","k":"2"}})", kApply);
  CHECK(repeated.status == 400);
  CHECK(Message(repeated).starts_with("error strict decoding YAML: "));
  const Answer nameless = api.Call("PATCH", url, R"({"apiVersion":"v1","kind":"ConfigMap"})", kApply);
  CHECK(nameless.status == 400);
  CHECK(Message(nameless) == "the name of the object (a based on URL) was undeterminable: name must be provided");
  CHECK(api.Call("GET", Cat(kMaps, "/a"), "").status == 404);
}

TEST_CASE("a service that is applied by way of its status has to be one", "[server]") {
  Api api;
  const Answer answer = api.Call("PATCH", "/api/v1/namespaces/default/services/s/status?fieldManager=m", R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},"status":{}})", kApply);
  CHECK(answer.status == 422);
  CHECK(Message(answer) == "Service \"s\" is invalid: spec.ports: Required value");
}

TEST_CASE("a merged object is of the kind of its address when it no longer says which", "[server]") {
  Api api;
  REQUIRE(api.Call("POST", kMaps, R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"1"}})").status == 201);
  const Answer answer = api.Call("PATCH", Cat(kMaps, "/a"), R"({"apiVersion":null,"data":{"k":"2"}})", kStrategic);
  REQUIRE(answer.status == 200);
  CHECK(answer.body["apiVersion"].Str() == "v1");
  CHECK(answer.body.At({"data", "k"}).Str() == "2");
}

TEST_CASE("an object that is patched into another kind is read as that kind first", "[server]") {
  Api api;
  REQUIRE(api.Call("POST", kMaps, R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"one"}})").status == 201);
  const Answer secret = api.Call("PATCH", Cat(kMaps, "/a"), R"([{"op":"replace","path":"/kind","value":"Secret"}])", kJsonPatch);
  CHECK(secret.status == 422);
  CHECK(Message(secret).ends_with(": illegal base64 data at input byte 0"));
  const Answer unknown = api.Call("PATCH", Cat(kMaps, "/a"), R"([{"op":"replace","path":"/kind","value":"Nope"}])", kJsonPatch);
  CHECK(Message(unknown).find("no kind \"Nope\" is registered for version \"v1\"") != std::string::npos);
}

TEST_CASE("the ports that a dry run shows are none of the range and follow each other", "[server]") {
  Api api;
  const Answer answer = api.Call("POST", "/api/v1/namespaces/default/services?dryRun=All",
                                 R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},"spec":{"type":"NodePort","ports":[{"name":"a","port":80},{"name":"b","port":81}]}})");
  REQUIRE(answer.status == 201);
  CHECK(answer.body.At({"spec", "ports"}).Items()[0]["nodePort"].Int() == 32769);
  CHECK(answer.body.At({"spec", "ports"}).Items()[1]["nodePort"].Int() == 32770);
}

TEST_CASE("nobody owns the fields of an object whose lists have elements without a name", "[server]") {
  Api api;
  const Answer answer = api.Call("POST", "/api/v1/namespaces/default/serviceaccounts", R"({"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"a"},"secrets":[{}]})");
  REQUIRE(answer.status == 201);
  CHECK(answer.body["metadata"]["managedFields"].is_null());
}

TEST_CASE("an address is never a generated name", "[server]") {
  Api api;
  const Answer answer = api.Call("POST", "/apis/networking.k8s.io/v1/ipaddresses",
                                 R"({"apiVersion":"networking.k8s.io/v1","kind":"IPAddress","metadata":{"generateName":"gen-"},"spec":{"parentRef":{"resource":"services","name":"s","namespace":"default"}}})");
  CHECK(answer.status == 422);
  CHECK(answer.body["details"]["name"].Str() == "gen-");
}

TEST_CASE("devices of others are looked into from marked namespaces only", "[server]") {
  Api api;
  const std::string claim = R"({"apiVersion":"resource.k8s.io/v1","kind":"ResourceClaim","metadata":{"name":"c"},"spec":{"devices":{"requests":[{"name":"r","exactly":{"deviceClassName":"d","adminAccess":true}}]}}})";
  const Answer refused = api.Call("POST", "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims", claim);
  CHECK(refused.status == 422);
  CHECK(Message(refused).find("spec.devices.requests[0].adminAccess: Forbidden: ") != std::string::npos);
  REQUIRE(api.Call("POST", "/api/v1/namespaces", R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"admin","labels":{"resource.kubernetes.io/admin-access":"true"}}})").status == 201);
  CHECK(api.Call("POST", "/apis/resource.k8s.io/v1/namespaces/admin/resourceclaims", claim).status == 201);
}

TEST_CASE("rows made from stored text are those of whole objects", "[server]") {
  Api api;
  const auto pod = [](std::string_view name, std::string_view more) {
    return Cat(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")", name, R"(","annotations":{"a":"}{\"[","b":"1"},"finalizers":["x.example.com/y"]},"spec":{)", more,
               R"("containers":[{"name":"c","image":"i","args":["]}"],"resources":{"limits":{"cpu":"1"}}},{"name":"d","image":"i"}]}})");
  };
  constexpr std::string_view kPods = "/api/v1/namespaces/default/pods";
  const std::string statuses[] = {
      R"("phase":"Running","podIPs":[{"ip":"10.0.0.1"}],"containerStatuses":[{"name":"c","ready":true,"restartCount":3,"image":"i","imageID":"x","state":{"running":{}},"lastState":{"terminated":{"exitCode":1,"finishedAt":"2025-12-31T23:55:00Z"}}}])",
      R"("phase":"Pending","initContainerStatuses":[{"name":"a","ready":false,"restartCount":0,"image":"i","imageID":"x","state":{"waiting":{"reason":"ImagePullBackOff","message":"m"}}}])",
      R"("phase":"Failed","reason":"Evicted","message":"gone","conditions":[{"type":"Ready","status":"False"}])", R"("phase":"Succeeded")",
      R"("phase":"Running","conditions":[{"type":"Initialized","status":"True"},{"type":"example.com/g","status":"True"}],"containerStatuses":[{"name":"c","ready":false,"restartCount":1,"image":"i","imageID":"x","state":{"terminated":{"exitCode":0,"signal":9}}}])"};
  int number = 0;
  for (const auto& status : statuses) {
    const std::string name = Cat("p", number++);
    REQUIRE(api.Call("POST", kPods, pod(name, R"("readinessGates":[{"conditionType":"example.com/g"}],"initContainers":[{"name":"a","image":"i","restartPolicy":"Always"}],"tolerations":[{"operator":"Exists"}],)")).status == 201);
    REQUIRE(api.Call("PATCH", Cat(kPods, "/", name, "/status"), Cat(R"({"status":{)", status, "}}"), {{"Content-Type", "application/merge-patch+json"}}).status == 200);
  }
  REQUIRE(api.Call("DELETE", Cat(kPods, "/p0"), "").status == 200);   // it stays for its finalizer
  const http::Headers table = {{"Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"}};
  std::size_t rows = 0;
  for (const std::string_view path : {kPods, std::string_view("/api/v1/namespaces"), std::string_view("/api/v1/services"), std::string_view("/api/v1/configmaps"), std::string_view("/api/v1/serviceaccounts"),
                                      std::string_view("/apis/rbac.authorization.k8s.io/v1/clusterroles"), std::string_view("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"),
                                      std::string_view("/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas"), std::string_view("/apis/scheduling.k8s.io/v1/priorityclasses")}) {
    const auto list = [&](std::string_view query) { return api.Call("GET", Cat(path, query), "", table); };
    Answer whole = list("?includeObject=Object"), metadata = list(""), none = list("?includeObject=None");
    // Ages are cells: all three are of one moment when the first has not changed meanwhile.
    for (Answer again = list("?includeObject=Object"); !(again.body["rows"] == whole.body["rows"]); again = list("?includeObject=Object")) {
      whole = std::move(again);
      metadata = list("");
      none = list("?includeObject=None");
    }
    REQUIRE(whole.status == 200);
    const auto want = whole.body["rows"].Items(), shown = metadata.body["rows"].Items(), bare = none.body["rows"].Items();
    REQUIRE(shown.size() == want.size());
    REQUIRE(bare.size() == want.size());
    for (std::size_t i = 0; i < want.size(); ++i, ++rows) {
      CHECK(shown[i]["cells"] == want[i]["cells"]);
      CHECK(bare[i]["cells"] == want[i]["cells"]);
      CHECK(shown[i]["conditions"] == want[i]["conditions"]);
      CHECK(shown[i].At({"object", "metadata"}) == want[i].At({"object", "metadata"}));
      CHECK(bare[i]["object"].is_null());
    }
  }
  CHECK(rows > 50);
}

TEST_CASE("the status of an API service has no table form", "[server]") {
  Api api;
  const http::Headers table = {{"Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"}};
  CHECK(api.Call("PUT", "/apis/apiregistration.k8s.io/v1/apiservices/v1.apps/status", "{}", table).status == 406);
}

TEST_CASE("watchers that one thread serves see each change once, each in the form that he asked for", "[watch]") {
  Api api;
  constexpr std::string_view kMaps = "/api/v1/namespaces/default/configmaps";
  const auto put = [&](std::string_view labels) {
    const auto body = Cat(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","labels":)", labels, "}}");
    return api.Call("PUT", Cat(kMaps, "/a"), body, {{"Content-Type", "application/json"}}).status;
  };
  REQUIRE(api.Call("POST", kMaps, R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}})", {{"Content-Type", "application/json"}}).status == 201);
  const auto watch = [&](std::string_view query, std::string_view accept) {
    const auto now = api.Call("GET", Cat(kMaps, "/a"), "");
    return api.Call("GET", Cat(kMaps, "?watch=1&resourceVersion=", now.body.At({"metadata", "resourceVersion"}).Str(), query), "", {{"Accept", std::string(accept)}});
  };
  constexpr std::string_view kJson = "application/json";
  const auto all = watch("", kJson), again = watch("", kJson), table = watch("", "application/json;as=Table;v=v1;g=meta.k8s.io");
  const auto few = watch("&labelSelector=app%3Dx", kJson), named = watch("&fieldSelector=metadata.name%3Db", kJson);
  const auto next = [](const auto& answer) {
    REQUIRE(answer.source);
    std::string out = "before ";
    REQUIRE(answer.source->AppendNext(out));
    REQUIRE(out.starts_with("before "));
    const auto came = out.substr(7);
    out.clear();
    REQUIRE(answer.source->AppendNext(out));
    CHECK(out.empty());   // nothing has come since
    return came;
  };
  for (const auto* answer : {&all, &again, &table, &few, &named}) CHECK(next(*answer).empty());
  REQUIRE(put(R"({"app":"x"})") == 200);
  const auto shown = next(all);
  CHECK(shown.starts_with(R"({"type":"MODIFIED","object":{"kind":"ConfigMap")"));
  CHECK(next(again) == shown);
  CHECK(next(table).starts_with(R"({"type":"MODIFIED","object":{"kind":"Table")"));
  CHECK(next(few).starts_with(R"({"type":"ADDED","object":{"kind":"ConfigMap")"));
  CHECK(next(named).empty());
  REQUIRE(put("{}") == 200);
  const auto left = next(few);   // as it last was selected
  CHECK(left.starts_with(R"({"type":"DELETED","object":{"kind":"ConfigMap")"));
  CHECK(left.contains(R"("app":"x")"));
  CHECK_FALSE(next(all).contains(R"("app":"x")"));
  CHECK(next(table).contains(R"("columnDefinitions":null)"));
}
