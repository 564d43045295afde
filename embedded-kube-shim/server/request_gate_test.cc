#include <catch2/catch.hpp>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <thread>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/server/audit.h"
#include "embedded-kube-shim/server/flow_bootstrap.h"
#include "embedded-kube-shim/server/flow_control.h"
#include "tests/support/api_fixture.h"
#include "tests/support/json.h"

using namespace skerry;
using namespace skerry::kube;
using skerry::testing::Api;
using skerry::testing::Json;

namespace {

// Schemas and levels from a list, told to whoever subscribes.
class Flows final : public Informers {
 public:
  class Objects final : public Lister {
   public:
    std::vector<ObjectPtr> objects;
    ObjectPtr Get(const Key&) const override { return nullptr; }
    std::vector<ObjectPtr> List(std::string_view) const override { return objects; }
    std::vector<ObjectPtr> OwnedBy(std::string_view) const override { return {}; }
    std::vector<ObjectPtr> Matching(std::string_view, std::string_view) const override { return {}; }
    std::vector<ObjectPtr> OnNode(std::string_view) const override { return {}; }
  };
  Objects schemas, levels;
  explicit Flows(std::vector<json::Value> objects) {
    for (auto& object : objects) {
      object.Set("metadata").Set("uid") = Cat("uid-of-", object["metadata"]["name"].Str());
      auto& list = object["kind"].Str() == "FlowSchema" ? schemas : levels;
      list.objects.push_back(std::make_shared<const json::Value>(std::move(object)));
    }
  }
  const Lister& Get(Resource resource) override { return resource.ends_with("flowschemas") ? schemas : levels; }
  std::shared_ptr<void> Subscribe(Resource resource, std::function<void(const Notification&)> callback) override {
    for (const auto& object : (resource.ends_with("flowschemas") ? schemas : levels).objects) callback({Notification::Type::kAdded, object, nullptr});
    return nullptr;
  }
  bool HasSynced() const override { return true; }
};

Attributes Ask(std::string user, std::vector<std::string> groups, std::string verb, std::string resource) {
  Attributes a;
  a.user = {std::move(user), "", std::move(groups), {}};
  a.verb = std::move(verb);
  a.resource = std::move(resource);
  a.ns = "default";
  return a;
}

void RunNow(std::move_only_function<void()> job) { job(); }

// A level "l" of one queue set for whatever `subject` asks.
std::vector<json::Value> OneLevel(int queues, int hand, int length, std::string_view subject) {
  std::vector<json::Value> out;
  out.push_back(Json(Cat(R"({"kind":"PriorityLevelConfiguration","metadata":{"name":"l"},"spec":{"type":"Limited","limited":{"nominalConcurrencyShares":10,)",
                         R"("limitResponse":{"type":"Queue","queuing":{"queues":)", queues, R"(,"handSize":)", hand, R"(,"queueLengthLimit":)", length, "}}}}}")));
  out.push_back(Json(Cat(R"({"kind":"FlowSchema","metadata":{"name":"s"},"spec":{"priorityLevelConfiguration":{"name":"l"},"matchingPrecedence":10,"rules":[{"subjects":[)", subject,
                         R"(],"resourceRules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"],"namespaces":["*"]}]}]}})")));
  return out;
}

}  // namespace

TEST_CASE("64 clients race for the last ten pods of a quota: ten get one, and the count is right", "[admission]") {
  Api api;
  const auto client = api.Client("admin");
  const Ctx ctx{std::stop_token()};
  REQUIRE(client->Create(ctx, "v1/resourcequotas", Json(R"({"metadata":{"name":"q","namespace":"default"},"spec":{"hard":{"pods":"10"}}})")));
  REQUIRE(client->Patch(ctx, "v1/resourcequotas", {"default", "q"}, PatchType::kMerge, Json(R"({"status":{"hard":{"pods":"10"},"used":{"pods":"0"}}})"), "status"));
  std::atomic<int> made{0}, refused{0};
  std::mutex mutex;
  std::string other;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 64; ++i)
      threads.emplace_back([&, i] {
        const auto pod = client->Create(ctx, "v1/pods", Json(Cat(R"({"metadata":{"name":"p)", i, R"(","namespace":"default"},"spec":{"containers":[{"name":"c","image":"i"}]}})")));
        if (pod) ++made;
        else if (pod.error().message().find("exceeded quota: q, requested: pods=1, used: pods=10, limited: pods=10") != std::string::npos) ++refused;
        else {
          std::lock_guard lock(mutex);
          other = pod.error().message();
        }
      });
  }
  INFO(other);
  CHECK(made == 10);
  CHECK(refused == 54);
  CHECK((*client->Get(ctx, "v1/resourcequotas", {"default", "q"}))->At({"status", "used", "pods"}).Str() == "10");
  CHECK(client->List(ctx, "v1/pods", "default", {})->size() == 10);
}

TEST_CASE("a dry run and an object that is refused later charge nothing to a quota", "[admission]") {
  Api api;
  const auto client = api.Client("admin");
  const Ctx ctx{std::stop_token()};
  REQUIRE(client->Create(ctx, "v1/resourcequotas", Json(R"({"metadata":{"name":"q","namespace":"default"},"spec":{"hard":{"configmaps":"5"}}})")));
  REQUIRE(client->Patch(ctx, "v1/resourcequotas", {"default", "q"}, PatchType::kMerge, Json(R"({"status":{"hard":{"configmaps":"5"},"used":{"configmaps":"0"}}})"), "status"));
  CHECK(api.Call("POST", "/api/v1/namespaces/default/configmaps?dryRun=All", R"({"metadata":{"name":"a"}})").status == 201);
  CHECK(api.Call("POST", "/api/v1/namespaces/default/configmaps", R"({"metadata":{"name":"-"}})").status == 422);
  CHECK(api.Call("POST", "/api/v1/namespaces/default/configmaps", R"({"metadata":{"name":"a"}})").status == 201);
  CHECK(api.Call("POST", "/api/v1/namespaces/default/configmaps", R"({"metadata":{"name":"a"}})").status == 409);
  CHECK((*client->Get(ctx, "v1/resourcequotas", {"default", "q"}))->At({"status", "used", "configmaps"}).Str() == "1");
}

TEST_CASE("requests belong to the flow schema of the lowest precedence that names them", "[flow]") {
  Flows flows(BootstrapFlows());
  Timers timers;
  const FlowControl control(flows, timers, {}, RunNow);
  const auto level = [&](const Attributes& a) { return control.Classify(a).level; };
  CHECK(control.Classify(Ask("admin", {"system:masters", "system:authenticated"}, "get", "pods")).exempt);
  CHECK(level(Ask("system:node:n1", {"system:nodes", "system:authenticated"}, "get", "pods")) == "system");
  CHECK(level(Ask("system:kube-scheduler", {"system:authenticated"}, "get", "pods")) == "workload-high");
  CHECK(level(Ask("system:serviceaccount:default:x", {"system:serviceaccounts", "system:authenticated"}, "get", "pods")) == "workload-low");
  CHECK(level(Ask("jane", {"system:authenticated"}, "list", "pods")) == "global-default");
  CHECK(control.Classify(Ask("jane", {"system:authenticated"}, "list", "pods")).schema_uid == "uid-of-global-default");
  const auto uids = control.UidsFor(Ask("jane", {"system:authenticated"}, "list", "pods"));
  CHECK(uids.schema == "uid-of-global-default");
  CHECK(uids.level == control.Classify(Ask("jane", {"system:authenticated"}, "list", "pods")).level_uid);
  CHECK(control.UidsFor(Ask("nobody", {}, "list", "pods")).schema == control.Classify(Ask("nobody", {}, "list", "pods")).schema_uid);
  auto probe = Ask("system:anonymous", {"system:unauthenticated"}, "get", "");
  probe.resource_request = false;
  probe.path = "/readyz";
  CHECK(level(probe) == "exempt");
}

TEST_CASE("a full level queues what its queues hold, refuses the rest, and serves the queue as seats come free", "[flow]") {
  Flows flows(OneLevel(1, 1, 3, R"({"kind":"Group","group":{"name":"*"}})"));
  Timers timers;
  FlowControl control(flows, timers, {2, std::chrono::seconds(3600)}, RunNow);
  const auto which = control.Classify(Ask("jane", {"g"}, "get", "pods"));
  CHECK(which.level == "l");
  CHECK(!which.exempt);
  int running = 0, refused = 0;
  for (int i = 0; i < 7; ++i) control.Acquire(which, [&] { ++running; }, [&] { ++refused; });
  CHECK(running == 2);
  CHECK(refused == 2);
  CHECK(control.State()[0].waiting == 3);
  const auto told = control.Metrics();
  const auto value = [&](const char* name, int n) {
    return told.find(Cat("\napiserver_flowcontrol_", name, "{priority_level=\"l\"} ", n, "\n"));
  };
  CHECK(value("current_executing_seats", 2) != std::string::npos);
  CHECK(value("current_inqueue_requests", 3) != std::string::npos);
  CHECK(value("nominal_limit_seats", 2) != std::string::npos);
  CHECK(value("rejected_requests_total", 2) != std::string::npos);
  for (int i = 0; i < 3; ++i) control.Release(which);
  CHECK(running == 5);
  CHECK(control.State()[0].in_use == 2);
  control.Release(which);
  control.Release(which);
  CHECK(control.State()[0].in_use == 0);
}

TEST_CASE("a request that waited too long is refused", "[flow]") {
  Flows flows(OneLevel(4, 2, 3, R"({"kind":"User","user":{"name":"*"}})"));
  Timers timers;
  FlowControl control(flows, timers, {1, std::chrono::seconds(0)}, RunNow);
  const auto which = control.Classify(Ask("jane", {}, "get", "pods"));
  std::mutex mutex;
  std::condition_variable changed;
  bool refused = false;
  control.Acquire(which, [] {}, [] {});
  control.Acquire(which, [] {}, [&] {
    std::lock_guard lock(mutex);
    refused = true;
    changed.notify_all();
  });
  std::unique_lock lock(mutex);
  CHECK(changed.wait_for(lock, std::chrono::seconds(60), [&] { return refused; }));
  lock.unlock();
  timers.Stop();
}

TEST_CASE("every answer names its flow schema and priority level", "[flow]") {
  Api api;
  auto answer = api.Call("GET", "/api/v1/namespaces/default/configmaps", "");
  for (int i = 0; i < 10'000 && answer.Header("X-Kubernetes-Pf-Flowschema-Uid").empty(); ++i) answer = api.Call("GET", "/api/v1/namespaces/default/configmaps", "");   // the schemas arrive by a watch
  CHECK(answer.status == 200);
  const auto exempt = api.Call("GET", "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas/exempt", "");
  CHECK(exempt.body.At({"metadata", "uid"}).Str() == answer.Header("X-Kubernetes-Pf-Flowschema-Uid"));
}

TEST_CASE("the counters of the server tell the seats of each priority level", "[flow]") {
  Api api(Api::Engine::kMemory, [](kube::ApiServerOptions& options) { options.metrics = [] { return "other 1\n"; }; });
  constexpr std::string_view kLevel = "\napiserver_flowcontrol_nominal_limit_seats{priority_level=\"workload-low\"} ";
  std::string told;
  // The levels arrive by a watch.
  for (int i = 0; i < 10'000 && told.find(kLevel) == std::string::npos; ++i) told = api.Call("GET", "/metrics", "").text;
  CHECK(told.find(kLevel) != std::string::npos);
  CHECK(told.starts_with("other 1\n"));
}

TEST_CASE("the first audit rule that matches decides, by user, verb, resource, namespace and path", "[audit]") {
  const auto policy = AuditPolicy::Parse(R"(
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, users: ["system:kube-proxy"]}
- {level: Metadata, resources: [{group: "", resources: ["secrets", "pods/log"]}]}
- {level: RequestResponse, verbs: [create], namespaces: [prod]}
- {level: Request, nonResourceURLs: ["/logs/*"]}
- {level: Metadata, userGroups: [auditors]}
)");
  REQUIRE(policy);
  const auto level = [&](Attributes a) { return policy->Decide(a).level; };
  CHECK(level(Ask("system:kube-proxy", {}, "get", "secrets")) == AuditLevel::kNone);
  CHECK(level(Ask("jane", {}, "get", "secrets")) == AuditLevel::kMetadata);
  CHECK(level(Ask("jane", {}, "create", "pods")) == AuditLevel::kNone);
  auto prod = Ask("jane", {}, "create", "pods");
  prod.ns = "prod";
  CHECK(level(prod) == AuditLevel::kRequestResponse);
  auto log = Ask("jane", {}, "get", "pods");
  log.subresource = "log";
  CHECK(level(log) == AuditLevel::kMetadata);
  auto path = Ask("jane", {}, "get", "");
  path.resource_request = false;
  path.path = "/logs/x";
  CHECK(level(path) == AuditLevel::kRequest);
  CHECK(!policy->Decide(path).stages[static_cast<int>(AuditStage::kRequestReceived)]);
  CHECK(level(Ask("ann", {"auditors"}, "get", "pods")) == AuditLevel::kMetadata);
  CHECK(!AuditPolicy::Parse("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Some}]"));
  CHECK(!AuditPolicy::Parse("apiVersion: audit.k8s.io/v1\nkind: Policy\n"));
}

TEST_CASE("audit records say who did what, hide what is secret, and full logs are set aside", "[audit]") {
  char name[] = "/tmp/skerry-audit.XXXXXX";
  const std::string directory = ::mkdtemp(name);
  FakeClock clock;
  const auto policy = AuditPolicy::Parse("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: RequestResponse}]");
  REQUIRE(policy);
  auto log = AuditLog::Open({directory + "/audit.log", 4000, 2, std::chrono::hours(0)}, clock);
  REQUIRE(log);
  http::Request request;
  request.method = "POST";
  request.target = "/api/v1/namespaces/default/secrets";
  request.remote_address = "10.0.0.7:40312";
  request.headers = {{"User-Agent", "test/1"}, {"Content-Type", "application/json"}, {"Authorization", "Bearer very-secret-token"}};
  request.body = R"({"kind":"Secret","metadata":{"name":"s"},"data":{"password":"aHVudGVyMg=="}})";
  auto attributes = Ask("jane", {"dev"}, "create", "secrets");
  AuditRecord record(*policy, **log, clock, "id-1", request, attributes, User{"admin", "", {}, {}});
  record.Received();
  record.SetVerdict(true, "RBAC: allowed");
  (*record.annotations())["policy.example.com/size"] = "17";
  http::Response response;
  response.status = 201;
  response.headers.push_back({"Content-Type", "application/json"});
  response.body = Bytes(std::string(request.body));
  record.Answered(http::Reply(std::move(response)));
  const auto text = ReadFile(directory + "/audit.log", 1 << 20);
  REQUIRE(text);
  CHECK(text->find("aHVudGVyMg") == std::string::npos);
  CHECK(text->find("very-secret-token") == std::string::npos);
  const auto lines = Split(*text, '\n');
  REQUIRE(lines.size() == 3);
  CHECK(Json(lines[0])["stage"].Str() == "RequestReceived");
  const auto event = Json(lines[1]);
  CHECK(event["stage"].Str() == "ResponseComplete");
  CHECK(event.At({"user", "username"}).Str() == "admin");
  CHECK(event.At({"impersonatedUser", "username"}).Str() == "jane");
  CHECK(event["sourceIPs"].Items()[0].Str() == "10.0.0.7");
  CHECK(event["annotations"]["policy.example.com/size"].Str() == "17");
  CHECK(event.At({"objectRef", "resource"}).Str() == "secrets");
  CHECK(event.At({"responseStatus", "code"}).Int() == 201);
  CHECK(event.At({"requestObject", "data", "password"}).Str() == "<redacted>");
  CHECK(event.At({"annotations", "authorization.k8s.io/decision"}).Str() == "allow");
  for (int i = 0; i < 40; ++i) (*log)->Write(std::string(1000, 'x'));
  int files = 0;
  std::size_t kept = 0;
  for (const auto& each : std::filesystem::directory_iterator(directory)) {
    ++files;
    kept += each.file_size();
  }
  CHECK(files == 3);
  CHECK(kept <= 3 * 4100);
  std::filesystem::remove_all(directory);
}
