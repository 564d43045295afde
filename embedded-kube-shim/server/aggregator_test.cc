#include <catch2/catch.hpp>

#include <condition_variable>
#include <mutex>

#include "core/base/strings.h"
#include "core/crypto/certificate.h"
#include "core/http/testing.h"
#include "core/net/tls_testing.h"
#include "core/text/base64.h"
#include "embedded-kube-shim/server/aggregator.h"
#include "tests/support/api_fixture.h"

using namespace skerry;
using namespace skerry::kube;
using skerry::testing::Api;

namespace {

constexpr const char* kRemoteGroup = "/apis/wardle.example.com/v1alpha1";

http::Response JsonText(std::string body, int status = 200, std::string_view type = "application/json") {
  auto out = http::testing::Text(std::move(body), status);
  out.headers.push_back({"Content-Type", std::string(type)});
  return out;
}

// Bytes that the test hands out one after the other.
class Drip final : public http::Source {
 public:
  struct State {
    std::mutex mutex;
    std::string waiting;
    bool ended = false, closed = false;
    std::function<void()> notify;
    std::condition_variable changed;
  };
  explicit Drip(std::shared_ptr<State> state) : state_(std::move(state)) {}
  ~Drip() override {
    std::lock_guard lock(state_->mutex);
    state_->notify = nullptr;
    state_->closed = true;
    state_->changed.notify_all();
  }
  Result<Bytes> Next() override {
    std::lock_guard lock(state_->mutex);
    if (state_->waiting.empty() && state_->ended) return Fail(Code::kCancelled, "end");
    return Bytes(std::exchange(state_->waiting, {}));
  }
  void OnReady(std::function<void()> notify) override {
    std::lock_guard lock(state_->mutex);
    state_->notify = std::move(notify);
  }
  static void Give(State& state, std::string text) {
    std::lock_guard lock(state.mutex);
    state.waiting += text;
    if (state.notify) state.notify();
  }

 private:
  const std::shared_ptr<State> state_;
};

// A server of our own behind an APIService: asks for the certificate by which it knows us, and keeps what it was asked.
struct Remote {
  Remote() {
    net::TlsServerConfig config;
    config.identity = authority.Issue("CN=wardle", "DNS:wardle.default.svc");
    config.client_ca_pem = proxy_authority.pem();
    config.client_auth = net::ClientAuth::kRequire;
    http::ServerOptions options;
    options.listen = "127.0.0.1:0";
    options.tls = net::TlsServerContext::Create(std::move(config)).value();
    server = std::make_unique<http::testing::TestServer>(std::move(options));
    server->handler.on_worker = [this](const Ctx&, std::shared_ptr<const http::Request> request, http::ReplyFn done) {
      Next next;
      {
        std::lock_guard lock(mutex);
        if (request->Get("X-Remote-User") != "system:kube-aggregator") asked.push_back(request);
        changed.notify_all();
        next = answer;
      }
      done(next ? next(*request) : http::Reply(JsonText("{}", 404)));
    };
  }

  std::unique_ptr<Api> Front(bool available = true) {
    const auto identity = proxy_authority.Issue("CN=front-proxy-client", "");
    auto api = std::make_unique<Api>(Api::Engine::kMemory, [&](ApiServerOptions& options) {
      options.proxy_ca = proxy_authority.pem();
      options.proxy_certificate = identity.chain_pem;
      options.proxy_key = identity.key_pem;
    });
    const auto client = api->Client("admin");
    const Ctx ctx{std::stop_token()};
    json::Value service, object;
    service.Set("metadata").Set("name") = "wardle";
    service.Set("metadata").Set("namespace") = "default";
    service.Set("spec").Set("type") = "ExternalName";
    service.Set("spec").Set("externalName") = "localhost";
    REQUIRE(client->Create(ctx, "v1/services", std::move(service)));
    object.Set("metadata").Set("name") = "v1alpha1.wardle.example.com";
    auto& spec = object.Set("spec");
    spec.Set("group") = "wardle.example.com";
    spec.Set("version") = "v1alpha1";
    spec.Set("groupPriorityMinimum") = 2000;
    spec.Set("versionPriority") = 200;
    spec.Set("caBundle") = text::Base64(authority.pem());
    spec.Set("service").Set("namespace") = "default";
    spec.Set("service").Set("name") = "wardle";
    spec.Set("service").Set("port") = server->server->bound_port();
    auto made = client->Create(ctx, kApiServices, std::move(object));
    REQUIRE(made);
    if (available) SetAvailable(*api, "True");
    return api;
  }

  static void SetAvailable(Api& api, std::string_view status) {
    const auto client = api.Client("admin");
    const Ctx ctx{std::stop_token()};
    const auto found = client->Get(ctx, kApiServices, {"", "v1alpha1.wardle.example.com"});
    REQUIRE(found);
    auto next = (*found)->Clone();
    auto condition = json::Value::Object();
    condition.Set("type") = "Available";
    condition.Set("status") = status;
    condition.Set("lastTransitionTime") = "2026-01-01T00:00:00Z";
    auto& conditions = next.Set("status").Set("conditions");
    conditions = json::Value::Array();
    conditions.Append(std::move(condition));
    REQUIRE(client->Update(ctx, kApiServices, std::move(next), "status"));
  }

  void Answers(std::function<http::Reply(const http::Request&)> with) {
    std::lock_guard lock(mutex);
    answer = std::move(with);
  }
  std::shared_ptr<const http::Request> Last() {
    std::lock_guard lock(mutex);
    return asked.empty() ? nullptr : asked.back();
  }

  static constexpr const char* kApiServices = "apiregistration.k8s.io/v1/apiservices";
  using Next = std::function<http::Reply(const http::Request&)>;
  net::testing::TestCa authority, proxy_authority;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::shared_ptr<const http::Request>> asked;   // guarded: not by the aggregator itself
  Next answer;                                               // guarded
  std::unique_ptr<http::testing::TestServer> server;         // last: its threads use the others
};

// What the aggregated server says of itself.
http::Reply Documents(const http::Request& request) {
  if (request.path == "/apis")
    return JsonText(R"({"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","items":[{"metadata":{"name":"wardle.example.com"},"versions":[{"version":"v1alpha1","resources":[
      {"resource":"flunders","scope":"Namespaced","singularResource":"flunder","responseKind":{"group":"wardle.example.com","version":"v1alpha1","kind":"Flunder"},"verbs":["get","list","delete"]}]}]}]})",
                    200, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
  if (request.path == "/openapi/v3") return JsonText(R"({"paths":{"apis/wardle.example.com/v1alpha1":{"serverRelativeURL":"/openapi/v3/apis/wardle.example.com/v1alpha1?hash=1"},"version":{"serverRelativeURL":"/no"}}})");
  if (request.path == "/openapi/v2")
    return JsonText(R"({"swagger":"2.0","paths":{"/apis/wardle.example.com/v1alpha1/flunders":{"get":{"responses":{"200":{"description":"OK","schema":{"$ref":"#/definitions/example.Flunder"}}}}},"/version/":{"get":{}}},
      "definitions":{"example.Flunder":{"type":"object","properties":{"metadata":{"$ref":"#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}}},
      "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta":{"type":"object","description":"theirs"},"example.Unused":{"type":"object"}}})");
  return JsonText("{}", 404);
}

// Asks again until the answer is as wanted: documents are fetched by a thread of their own.
bool Eventually(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

const json::Value* GroupNamed(const json::Value& list, std::string_view name) {
  for (const auto& group : list["items"].Items())
    if (group.At({"metadata", "name"}).Str() == name) return &group;
  return nullptr;
}

}  // namespace

TEST_CASE("a request to an aggregated API names the user and us, and nothing that the client made up", "[aggregation]") {
  Remote remote;
  const auto api = remote.Front();
  remote.Answers([](const http::Request&) { return http::Reply(JsonText(R"({"kind":"Flunder"})", 201)); });
  const auto answer = api->Call("POST", Cat(kRemoteGroup, "/namespaces/default/flunders?dryRun=All&x=a%20b"), R"({"kind":"Flunder"})",
                                {{"X-Remote-User", "root"}, {"X-Remote-Group", "system:masters"}, {"Authorization", "Bearer secret"}, {"X-Own", "kept"}});
  CHECK(answer.status == 201);
  CHECK(answer.body["kind"].Str() == "Flunder");
  const auto got = remote.Last();
  REQUIRE(got);
  CHECK(got->method == "POST");
  CHECK(got->target == Cat(kRemoteGroup, "/namespaces/default/flunders?dryRun=All&x=a%20b"));
  CHECK(got->body == R"({"kind":"Flunder"})");
  CHECK(http::ListValues(got->headers, "X-Remote-User") == std::vector<std::string>{"admin"});
  CHECK(http::ListValues(got->headers, "X-Remote-Group") == std::vector<std::string>{"system:masters", "system:authenticated"});
  CHECK(got->Get("Authorization").empty());
  CHECK(got->Get("X-Own") == "kept");
  REQUIRE(got->peer);
  CHECK(got->peer->common_name == "front-proxy-client");
}

TEST_CASE("who may not use an aggregated API is refused before its server is asked", "[aggregation]") {
  Remote remote;
  const auto api = remote.Front();
  const auto answer = api->Call("GET", Cat(kRemoteGroup, "/flunders"), "", {}, Api::As::kAnonymous);
  CHECK(answer.status == 403);
  CHECK(answer.body["message"].Str() == R"(flunders.wardle.example.com is forbidden: User "system:anonymous" cannot list resource "flunders" in API group "wardle.example.com" at the cluster scope)");
  CHECK_FALSE(remote.Last());
}

TEST_CASE("an aggregated API without an available server is a 503 in plain text", "[aggregation]") {
  Remote remote;
  const auto api = remote.Front(false);
  const auto answer = api->Call("GET", Cat(kRemoteGroup, "/flunders"), "");
  CHECK(answer.status == 503);
  CHECK(answer.text == "service unavailable\n");
  CHECK(answer.Header("Content-Type") == "text/plain; charset=utf-8");
  Remote::SetAvailable(*api, "True");
  remote.server->server->Stop();
  const auto refused = api->Call("GET", Cat(kRemoteGroup, "/flunders"), "");
  CHECK(refused.status == 503);
  CHECK_THAT(refused.text, Catch::StartsWith("error trying to reach service: dial tcp localhost:"));
}

TEST_CASE("a server with another certificate than the APIService promises is not asked", "[aggregation]") {
  Remote remote;
  const auto api = remote.Front();
  const auto client = api->Client("admin");
  const Ctx ctx{std::stop_token()};
  auto other = (*client->Get(ctx, Remote::kApiServices, {"", "v1alpha1.wardle.example.com"}))->Clone();
  other.Set("spec").Set("caBundle") = text::Base64(remote.proxy_authority.pem());
  REQUIRE(client->Update(ctx, Remote::kApiServices, std::move(other)));
  const auto answer = api->Call("GET", Cat(kRemoteGroup, "/flunders"), "");
  CHECK(answer.status == 503);
  CHECK_THAT(answer.text, Catch::Contains("x509: certificate signed by unknown authority"));
  CHECK_FALSE(remote.Last());
}

TEST_CASE("a watch of an aggregated API answers before its first event and passes each on as it comes", "[aggregation]") {
  Remote remote;
  const auto api = remote.Front();
  const auto state = std::make_shared<Drip::State>();
  remote.Answers([state](const http::Request& request) {
    if (!request.path.ends_with("/flunders")) return Documents(request);   // the aggregator asks too, when it likes
    http::Streaming out;
    out.headers = {{"Content-Type", "application/json"}};
    out.source = std::make_unique<Drip>(state);
    return http::Reply(std::move(out));
  });
  auto answer = api->Call("GET", Cat(kRemoteGroup, "/flunders?watch=true"), "");
  CHECK(answer.status == 200);
  REQUIRE(answer.source);
  struct Signal {
    std::mutex mutex;
    std::condition_variable changed;
    int count = 0;
  };
  const auto signal = std::make_shared<Signal>();
  answer.source->OnReady([signal] {
    std::lock_guard lock(signal->mutex);
    ++signal->count;
    signal->changed.notify_all();
  });
  std::string seen;
  for (const std::string event : {"{\"type\":\"ADDED\"}\n", "{\"type\":\"DELETED\"}\n"}) {
    Drip::Give(*state, event);
    while (!seen.ends_with(event)) {   // one event may come in pieces, and a piece may be announced twice
      std::unique_lock lock(signal->mutex);
      REQUIRE(signal->changed.wait_for(lock, std::chrono::seconds(60), [&] { return signal->count > 0; }));
      signal->count = 0;
      lock.unlock();
      auto piece = answer.source->Next();
      REQUIRE(piece);
      seen += piece->view();
    }
  }
  CHECK(seen == "{\"type\":\"ADDED\"}\n{\"type\":\"DELETED\"}\n");
  answer.source.reset();   // the client goes: the server is told so
  std::unique_lock lock(state->mutex);
  CHECK(state->changed.wait_for(lock, std::chrono::seconds(60), [&] { return state->closed; }));
}

TEST_CASE("discovery has what aggregated servers say of themselves, and says when it does not know", "[aggregation]") {
  Remote remote;
  remote.Answers(Documents);
  const auto api = remote.Front(false);
  const http::Headers aggregated = {{"Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}};
  json::Value version;
  const auto freshness_is = [&](std::string_view wanted) {
    const auto list = api->Call("GET", "/apis", "", aggregated);
    const auto* group = GroupNamed(list.body, "wardle.example.com");
    if (!group) return false;
    version = (*group)["versions"].Items()[0].Clone();
    return version["freshness"].Str() == wanted;
  };
  REQUIRE(Eventually([&] { return freshness_is("Stale"); }));
  CHECK(version["version"].Str() == "v1alpha1");
  CHECK(version["resources"].size() == 0);
  Remote::SetAvailable(*api, "True");
  REQUIRE(Eventually([&] { return freshness_is("Current"); }));
  REQUIRE(version["resources"].size() == 1);
  CHECK(version["resources"].Items()[0]["resource"].Str() == "flunders");

  const auto groups = api->Call("GET", "/apis", "");
  const auto& last = groups.body["groups"].Items().back();
  CHECK(last["name"].Str() == "wardle.example.com");
  CHECK(last.At({"preferredVersion", "groupVersion"}).Str() == "wardle.example.com/v1alpha1");
  CHECK(api->Call("GET", "/apis/wardle.example.com", "").body["kind"].Str() == "APIGroup");
  const auto found = api->server().aggregated_apis().Discover();
  REQUIRE(found.resources.size() == 1);
  CHECK(found.resources[0].namespaced);
  CHECK(found.resources[0].HasVerb("delete"));
  CHECK(found.stale.empty());

  const auto client = api->Client("admin");
  REQUIRE(client->Delete(Ctx{std::stop_token()}, Remote::kApiServices, {"", "v1alpha1.wardle.example.com"}));
  CHECK(Eventually([&] { return api->Call("GET", "/apis/wardle.example.com", "").status == 404; }));
  CHECK(api->Call("GET", Cat(kRemoteGroup, "/flunders"), "").status == 404);
}

TEST_CASE("an aggregated server that only knows the older discovery is shown in the newer form", "[aggregation]") {
  Remote remote;
  remote.Answers([](const http::Request& request) {
    if (request.path != kRemoteGroup) return http::Reply(JsonText("{}", 404));
    return http::Reply(JsonText(R"({"kind":"APIResourceList","groupVersion":"wardle.example.com/v1alpha1","resources":[{"name":"flunders/status","namespaced":true,"kind":"Flunder","verbs":["get"]},
      {"name":"flunders","singularName":"flunder","namespaced":true,"kind":"Flunder","verbs":["list"],"shortNames":["fl"]},{"name":"fischers","singularName":"","namespaced":false,"kind":"Fischer","verbs":[]}]})"));
  });
  const auto api = remote.Front();
  const http::Headers aggregated = {{"Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}};
  json::Value resources;
  REQUIRE(Eventually([&] {
    const auto list = api->Call("GET", "/apis", "", aggregated);
    const auto* group = GroupNamed(list.body, "wardle.example.com");
    if (group) resources = (*group)["versions"].Items()[0]["resources"].Clone();
    return resources.size() == 2;
  }));
  const auto& flunders = resources.Items()[0];
  CHECK(flunders["resource"].Str() == "flunders");
  CHECK(flunders["scope"].Str() == "Namespaced");
  CHECK(flunders["shortNames"].Items()[0].Str() == "fl");
  CHECK(flunders["subresources"].Items()[0]["subresource"].Str() == "status");
  CHECK(flunders.At({"responseKind", "group"}).Str() == "wardle.example.com");
  CHECK(resources.Items()[1]["scope"].Str() == "Cluster");
}

TEST_CASE("OpenAPI has the documents of aggregated servers; where names meet, ours stands", "[aggregation]") {
  Remote remote;
  remote.Answers(Documents);
  const auto api = remote.Front();
  json::Value index;
  REQUIRE(Eventually([&] {
    index = std::move(api->Call("GET", "/openapi/v3", "").body);
    return !index.At({"paths", "apis/wardle.example.com/v1alpha1"}).is_null();
  }));
  CHECK(index.At({"paths", "apis/wardle.example.com/v1alpha1", "serverRelativeURL"}).Str() == "/openapi/v3/apis/wardle.example.com/v1alpha1?hash=1");
  CHECK(index.At({"paths", "version", "serverRelativeURL"}).Str() != "/no");
  json::Value document;
  REQUIRE(Eventually([&] {
    document = std::move(api->Call("GET", "/openapi/v2", "").body);
    return !document.At({"definitions", "example.Flunder"}).is_null();
  }));
  CHECK_FALSE(document.At({"paths", "/apis/wardle.example.com/v1alpha1/flunders"}).is_null());
  CHECK_FALSE(document.At({"paths", "/api/v1/pods"}).is_null());
  CHECK(document.At({"definitions", "example.Unused"}).is_null());
  CHECK(document.At({"definitions", "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "description"}).Str() != "theirs");
  std::vector<std::string> names;
  for (const auto& [name, definition] : document["definitions"].Members()) names.push_back(name);
  CHECK(std::is_sorted(names.begin(), names.end()));
}

TEST_CASE("our own group versions are APIServices from the first moment", "[aggregation]") {
  Api api;
  const auto list = api.Call("GET", "/apis/apiregistration.k8s.io/v1/apiservices", "");
  std::map<std::string, const json::Value*> by_name;
  for (const auto& item : list.body["items"].Items()) by_name[std::string(item.At({"metadata", "name"}).Str())] = &item;
  CHECK(by_name.contains("v1."));
  CHECK_FALSE(by_name.contains("v1.apiregistration.k8s.io"));
  REQUIRE(by_name.contains("v2.autoscaling"));
  const auto& hpa = *by_name["v2.autoscaling"];
  CHECK(hpa.At({"spec", "groupPriorityMinimum"}).Int() == 17500);
  CHECK(hpa.At({"spec", "versionPriority"}).Int() == 30);
  CHECK(hpa.At({"metadata", "labels", "kube-aggregator.kubernetes.io/automanaged"}).Str() == "onstart");
  CHECK(hpa.At({"status", "conditions"}).Items()[0]["reason"].Str() == "Local");
  CHECK(by_name["v1.autoscaling"]->At({"spec", "versionPriority"}).Int() == 15);
}

TEST_CASE("APIServices of our own kinds are put right at the next start", "[aggregation]") {
  Api api(Api::Engine::kRocks);
  CHECK(api.Call("PATCH", "/apis/apiregistration.k8s.io/v1/apiservices/v1.apps", R"({"spec":{"versionPriority":7}})", {{"Content-Type", "application/merge-patch+json"}}).status == 200);
  CHECK(api.Call("POST", "/apis/apiregistration.k8s.io/v1/apiservices",
                 R"({"metadata":{"name":"v1.gone.example.com","labels":{"kube-aggregator.kubernetes.io/automanaged":"onstart"}},"spec":{"group":"gone.example.com","version":"v1","groupPriorityMinimum":9,"versionPriority":9}})")
            .status == 201);
  api.Reopen();
  CHECK(api.Call("GET", "/apis/apiregistration.k8s.io/v1/apiservices/v1.apps", "").body.At({"spec", "versionPriority"}).Int() == 15);
  CHECK(api.Call("GET", "/apis/apiregistration.k8s.io/v1/apiservices/v1.gone.example.com", "").status == 404);
}

TEST_CASE("servers behind an APIService find in a config map how to know us", "[aggregation]") {
  Remote remote;
  const auto api = remote.Front(false);
  const auto map = api->Call("GET", "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication", "");
  CHECK(map.body.At({"data", "requestheader-client-ca-file"}).Str() == remote.proxy_authority.pem());
  CHECK(map.body.At({"data", "requestheader-allowed-names"}).Str() == R"(["front-proxy-client"])");
  CHECK(map.body.At({"data", "requestheader-username-headers"}).Str() == R"(["X-Remote-User"])");
  CHECK(map.body.At({"data", "requestheader-extra-headers-prefix"}).Str() == R"(["X-Remote-Extra-"])");
}

TEST_CASE("a key of the user's extra travels in a header's name", "[aggregation]") {
  http::Headers headers = {{"x-remote-extra-scopes", "made up"}, {"Accept", "*/*"}};
  User user;
  user.name = "jane";
  user.uid = "42";
  user.extra = {{"example.com/a b", {"1", "2"}}};
  SetRemoteUser(headers, user);
  CHECK(http::Get(headers, "X-Remote-Uid") == "42");
  CHECK(http::Get(headers, "x-remote-extra-scopes").empty());
  CHECK(http::ListValues(headers, "X-Remote-Extra-example.com%2Fa%20b") == std::vector<std::string>{"1", "2"});
}

TEST_CASE("a connection upgraded by an aggregated server is handed through", "[aggregation]") {
  Remote remote;
  remote.Answers([](const http::Request& r) {
    if (r.path.ends_with("/no")) return http::Reply(JsonText("{\"message\":\"not here\"}", 403));
    if (!r.path.ends_with("/flunders")) return Documents(r);
    return http::Reply(http::testing::EchoTunnel({{"Connection", "Upgrade"}, {"Upgrade", "echo"}}));
  });
  const auto api = remote.Front();
  http::testing::TestServer front;
  front.handler.on_worker = [&](const Ctx& ctx, std::shared_ptr<const http::Request> request, http::ReplyFn done) {
    auto admin = std::make_shared<http::Request>(*request);
    admin->peer = api->Request("GET", "/", "", {}, Api::As::kAdmin)->peer;
    api->server().handler().OnWorker(ctx, admin, std::move(done));
  };
  const auto head = [](std::string_view path) { return Cat("GET ", kRemoteGroup, path, " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\nX-Remote-User: root\r\n\r\n"); };
  {
    const auto client = front.Connect();
    REQUIRE(client->Write(http::testing::Soon(), head("/flunders")));
    CHECK_THAT(http::testing::ReadUntil(*client, "\r\n\r\n"), Catch::StartsWith("HTTP/1.1 101"));
    REQUIRE(client->Write(http::testing::Soon(), "over there"));
    CHECK(http::testing::ReadUntil(*client, "over there") == "over there");
    const auto got = remote.Last();
    REQUIRE(got);
    CHECK(http::ListValues(got->headers, "X-Remote-User") == std::vector<std::string>{"admin"});
    CHECK(got->Get("Upgrade") == "echo");
  }
  const auto client = front.Connect();
  REQUIRE(client->Write(http::testing::Soon(), head("/no")));
  const auto refused = http::testing::ReadUntil(*client, "not here");
  CHECK_THAT(refused, Catch::StartsWith("HTTP/1.1 403"));
}
