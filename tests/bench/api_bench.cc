// What the API does for a request, without sockets, TLS, fsync and controllers: CPU of the whole process an operation. For profiles
// (perf, callgrind) and for telling the API's part of a figure of the other benches from the rest.
// usage: skerry_api_bench [operation... [count]]     create update json merge strategic apply get list table protobuf; none: all
#include <sys/resource.h>

#include <cstdio>
#include <cstring>
#include <future>

#include "core/base/strings.h"
#include "tests/support/api_fixture.h"

namespace {
using namespace skerry;
using skerry::testing::Api;

double CpuMicroseconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 + static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

// The answer is thrown away; only its status is looked at.
int Send(Api& api, std::string_view method, std::string_view target, std::string body, std::string_view type, std::string_view accept = {}) {
  http::Headers headers = {{"Content-Type", std::string(type)}, {"User-Agent", "bench/1"}};
  if (!accept.empty()) headers.push_back({"Accept", std::string(accept)});
  const auto request = api.Request(method, target, std::move(body), std::move(headers), Api::As::kAdmin);
  const Ctx ctx{std::stop_token(), std::chrono::steady_clock::now() + std::chrono::seconds(60)};
  auto reply = api.server().handler().OnShard(ctx, *request);
  if (std::holds_alternative<http::NeedsWorker>(reply)) {
    auto promise = std::make_shared<std::promise<http::Reply>>();
    auto future = promise->get_future();
    api.server().handler().OnWorker(ctx, request, [promise](http::Reply made) { promise->set_value(std::move(made)); });
    reply = future.get();
  }
  if (auto* response = std::get_if<http::Response>(&reply)) return response->status;
  auto* streaming = std::get_if<http::Streaming>(&reply);
  if (!streaming) return 0;
  streaming->source->OnReady([] {});
  for (auto piece = streaming->source->Next(); piece; piece = streaming->source->Next()) {
  }
  return streaming->status;
}

std::string Deployment(std::string_view turn) {
  std::string env;
  for (int i = 0; i < 10; ++i) env += Cat(i ? "," : "", R"({"name":"SETTING_)", i, R"(","value":"value-)", i, R"("})");
  return Cat(R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"default","labels":{"app":"web","turn":")", turn,
             R"("}},"spec":{"replicas":0,"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"web",)",
             R"("image":"registry.example.com/web:1","ports":[{"containerPort":8080}],"env":[)", env,
             R"(],"resources":{"limits":{"cpu":"500m","memory":"256Mi"},"requests":{"cpu":"100m","memory":"64Mi"}},"readinessProbe":{"httpGet":{"path":"/","port":8080}},)",
             R"("volumeMounts":[{"name":"config","mountPath":"/etc/web"}]}],"volumes":[{"name":"config","configMap":{"name":"web"}}]}}}})");
}

std::string Pod(std::size_t number) {
  std::string env;
  for (int i = 0; i < 60; ++i) env += Cat(i ? "," : "", R"({"name":"SETTING_)", i, R"(","value":"some value of setting )", i, R"("})");
  return Cat(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p)", number, R"(","namespace":"default","labels":{"app":"web"}},"spec":{"containers":[{"name":"web",)",
             R"("image":"registry.example.com/web:1","ports":[{"containerPort":8080}],"env":[)", env, R"(]}]}})");
}

constexpr std::string_view kDeployments = "/apis/apps/v1/namespaces/default/deployments", kPods = "/api/v1/namespaces/default/pods", kConfigMaps = "/api/v1/namespaces/default/configmaps";

// One request of an operation; its status.
int One(Api& api, std::string_view operation, std::size_t n) {
  const std::string path(kDeployments), web = path + "/web";
  const auto turn = Cat("turn-", n);
  if (operation == "create")
    return Send(api, "POST", kConfigMaps, Cat(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c)", n, R"(","namespace":"default","labels":{"app":"bench"}},"data":{"value":")",
                                              std::string(880, 'x'), R"("}})"), "application/json");
  if (operation == "update") return Send(api, "PUT", web, Deployment(turn), "application/json");
  if (operation == "json") return Send(api, "PATCH", web, Cat(R"([{"op":"replace","path":"/metadata/labels/turn","value":")", turn, R"("}])"), "application/json-patch+json");
  if (operation == "merge") return Send(api, "PATCH", web, Cat(R"({"metadata":{"labels":{"turn":")", turn, R"("}}})"), "application/merge-patch+json");
  if (operation == "strategic")
    return Send(api, "PATCH", web, Cat(R"({"metadata":{"labels":{"turn":")", turn, R"("}},"spec":{"template":{"spec":{"containers":[{"name":"web","imagePullPolicy":"IfNotPresent"}]}}}})"),
                "application/strategic-merge-patch+json");
  if (operation == "apply") return Send(api, "PATCH", web + "?fieldManager=bench&force=true", Deployment(turn), "application/apply-patch+yaml");
  if (operation == "get") return Send(api, "GET", web, "", "");
  if (operation == "list") return Send(api, "GET", kPods, "", "");
  if (operation == "table") return Send(api, "GET", kPods, "", "", "application/json;as=Table;v=v1;g=meta.k8s.io");
  if (operation == "protobuf") return Send(api, "GET", kPods, "", "", "application/vnd.kubernetes.protobuf");
  return -1;
}

// Lists are of 1000 pods which have changed since they were last shown.
bool IsList(std::string_view operation) { return operation == "table" || operation == "protobuf" || operation == "list"; }
constexpr std::size_t kPodCount = 1000;

void Measure(Api& api, std::string_view operation, std::size_t count) {
  static std::size_t next = 0;
  if (IsList(operation)) {
    double used = 0;
    for (int round = 0; round < 3; ++round) {
      for (std::size_t i = 0; i < kPodCount; ++i)
        Send(api, "PATCH", Cat(kPods, "/p", i), Cat(R"({"metadata":{"labels":{"turn":")", operation, round, R"("}}})"), "application/merge-patch+json");
      const double before = CpuMicroseconds();
      One(api, operation, ++next);
      used += CpuMicroseconds() - before;
    }
    std::printf("%-10s %8.1f us for each of %zu pods\n", std::string(operation).c_str(), used / 3 / kPodCount, kPodCount);
    return;
  }
  for (int i = 0; i < 20; ++i) One(api, operation, ++next);   // warm
  const double before = CpuMicroseconds();
  int bad = 0;
  for (std::size_t i = 0; i < count; ++i) bad += One(api, operation, ++next) / 100 != 2;
  std::printf("%-10s %8.1f us%s\n", std::string(operation).c_str(), (CpuMicroseconds() - before) / static_cast<double>(count), bad ? "  (with failures)" : "");
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> operations;
  std::size_t count = 2000;
  for (int i = 1; i < argc; ++i) {
    if (const auto number = ParseUint(argv[i])) count = *number;
    else operations.emplace_back(argv[i]);
  }
  if (operations.empty()) operations = {"create", "update", "json", "merge", "strategic", "apply", "get", "list", "table", "protobuf"};
  Api api;
  Send(api, "POST", kDeployments, Deployment("0"), "application/json");
  if (std::any_of(operations.begin(), operations.end(), [](const auto& o) { return IsList(o); }))
    for (std::size_t i = 0; i < kPodCount; ++i) Send(api, "POST", kPods, Pod(i), "application/json");
  for (const auto& operation : operations) Measure(api, operation, count);
}
