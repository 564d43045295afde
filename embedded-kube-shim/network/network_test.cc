#include <catch2/catch.hpp>
#include <condition_variable>
#include <cstdio>

#include "core/base/strings.h"
#include "core/net/address.h"
#include "core/net/tls_testing.h"
#include "embedded-kube-shim/network/change_loop.h"
#include "embedded-kube-shim/network/router.h"
#include "embedded-kube-shim/network/service_sync.h"
#include "embedded-kube-shim/network/slice_index.h"
#include "tests/support/fake_informers.h"
#include "tests/support/http_backend.h"
#include "tests/support/pod_network.h"

namespace skerry::kube::network {
namespace {

const Ctx kAlways{std::stop_token()};

// Waits until a condition that other threads bring about holds; the time is a limit, not a delay.
bool Eventually(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

std::string ServiceText(std::string_view name, std::string_view spec) {
  return Cat(R"({"metadata":{"namespace":"default","name":")", name, R"("},"spec":)", spec, "}");
}
std::string SliceText(std::string_view service, std::string_view address, int port, std::string_view protocol = "TCP") {
  return Cat(R"({"metadata":{"namespace":"default","name":")", service, R"(-1","labels":{"kubernetes.io/service-name":")", service,
             R"("}},"addressType":"IPv4","ports":[{"name":"p","port":)", port, R"(,"protocol":")", protocol, R"("}],"endpoints":[{"addresses":[")", address, R"("],"conditions":{"ready":true}}]})");
}

}  // namespace

TEST_CASE("changes that come while the worker is busy are one batch, and a failed batch comes again", "[kube-network]") {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<ChangeLoop::Batch> batches;
  bool busy = true, fail = false;
  ChangeLoop loop("test", [&](const Ctx&, const ChangeLoop::Batch& batch) -> Result<> {
    std::unique_lock lock(mutex);
    batches.push_back(batch);
    changed.notify_all();
    changed.wait(lock, [&] { return !busy; });
    if (std::exchange(fail, false)) return Fail(Code::kUnavailable, "not now");
    return {};
  });
  loop.Mark({"", "before"});
  loop.Start();
  {
    std::unique_lock lock(mutex);
    REQUIRE(changed.wait_for(lock, std::chrono::seconds(60), [&] { return batches.size() == 1; }));
  }
  for (const char* name : {"a", "b", "a"}) loop.Mark({"", name});
  {
    std::unique_lock lock(mutex);
    busy = false;
    fail = true;
    changed.notify_all();
    REQUIRE(changed.wait_for(lock, std::chrono::seconds(60), [&] { return batches.size() == 2; }));
  }
  loop.Stop();
  CHECK(batches[0] == ChangeLoop::Batch{{"", "before"}});
  CHECK(batches[1] == ChangeLoop::Batch{{"", "a"}, {"", "b"}, {"", "before"}});
}

TEST_CASE("a service and its slices reach the kernel and the names, live", "[net][root][kube-network]") {
  if (!test::IsRoot()) return;
  test::PodNetworkFixture f;
  const auto pod = f.AddPod("pod");
  const UniqueFd listener = test::ListenIn(pod->ns, SOCK_STREAM, {"0.0.0.0", 8080});
  test::FakeCluster cluster;
  cluster.Put(kServicesResource, ServiceText("web", R"({"clusterIP":"10.43.0.20","ports":[{"name":"p","port":80,"protocol":"TCP"}]})"));
  cluster.Put(kSlicesResource, SliceText("web", pod->address, 8080));
  ClusterZones zones("cluster.local", "10.43.0.10");
  std::unique_ptr<Component> sync;
  const auto resolves = [&](std::string_view name) { return zones.zones()[1]->Lookup(name, dns::Type::kA).kind == dns::Answer::Kind::kFound; };
  f.node.Run([&]() -> Result<> {
    sync = NewServiceSync(cluster, &f.network->services(), zones, {"node", "10.43.0.10"});
    return sync->Start(kAlways);   // its thread is born here, in the node's namespace
  });
  CHECK(test::Reaches(f.node, {"10.43.0.20", 80}, listener.get()));
  CHECK(resolves("web.default.svc.cluster.local."));
  cluster.Put(kServicesResource, ServiceText("late", R"({"type":"NodePort","clusterIP":"10.43.0.21","ports":[{"name":"p","port":81,"nodePort":30081,"protocol":"TCP"}]})"));
  cluster.Put(kSlicesResource, SliceText("late", pod->address, 8080));
  CHECK(Eventually([&] { return test::Reaches(f.outside, {f.kNodeAddress, 30081}, listener.get()); }));
  CHECK(resolves("late.default.svc.cluster.local."));
  cluster.Remove(kServicesResource, {"default", "web"});
  CHECK(Eventually([&] { return !test::Reaches(f.node, {"10.43.0.20", 80}, listener.get()); }));
  CHECK(Eventually([&] { return !resolves("web.default.svc.cluster.local."); }));
  sync->Stop();
}

TEST_CASE("an Ingress and a Route answer over HTTP and TLS, follow endpoints and get their status", "[net][kube-network]") {
  test::HttpBackend one([](test::HttpBackend::Request&) { return test::Ok("one"); });
  test::HttpBackend two([](test::HttpBackend::Request&) { return test::Ok("two"); });
  const auto port_of = [](const test::HttpBackend& b) { return static_cast<int>(net::SplitHostPort(b.address())->port); };
  net::Shards shards(2);
  proxy::Options options;
  options.http = {"127.0.0.1:0"};
  options.https = {"127.0.0.1:0"};
  auto proxy = *proxy::Proxy::Create(shards, options);
  proxy->Start();
  test::FakeCluster cluster;
  const std::string ingresses = "networking.k8s.io/v1/ingresses", routes = "route.openshift.io/v1/routes";
  cluster.Put(kServicesResource, ServiceText("web", R"({"clusterIP":"10.43.0.20","ports":[{"name":"p","port":80,"protocol":"TCP"}]})"));
  cluster.Put(kSlicesResource, SliceText("web", "127.0.0.1", port_of(one)));
  cluster.Put(ingresses, R"({"metadata":{"namespace":"default","name":"i"},"spec":{"rules":[{"host":"i.test","http":{"paths":[
    {"path":"/","pathType":"Prefix","backend":{"service":{"name":"web","port":{"number":80}}}}]}}]}})");
  net::testing::TestCa ca;
  RouterOptions o;
  o.address = [] { return std::string("192.0.2.1"); };
  o.default_host = "*.apps.test";
  o.issue = [&](const std::string& host) -> Result<net::TlsIdentity> { return ca.Issue("CN=x", "DNS:" + host); };
  FakeClock clock;
  const auto router = NewRouter(cluster, cluster, *proxy, clock, o);
  REQUIRE(router->Start(kAlways));
  const std::uint16_t port = net::SplitHostPort(proxy->http_addresses()[0])->port;
  const auto get = [&](const std::string& host) {
    const UniqueFd fd = test::DialLoopback(port);
    test::SendAllBytes(fd.get(), Cat("GET / HTTP/1.1\r\nHost: ", host, "\r\nConnection: close\r\n\r\n"));
    const std::string answer = test::ReadToEnd(fd.get());
    return Cat(answer.substr(9, 3), ' ', answer.size() > 3 ? answer.substr(answer.size() - 3) : "");
  };
  CHECK(get("i.test") == "200 one");
  CHECK(get("r.test").starts_with("503"));
  cluster.Put(routes, R"({"metadata":{"namespace":"default","name":"r","creationTimestamp":"2026-01-01T00:00:00Z"},"spec":{"host":"r.test","to":{"name":"web"},
    "tls":{"termination":"edge","insecureEdgeTerminationPolicy":"Allow"}}})");
  CHECK(Eventually([&] { return get("r.test") == "200 one"; }));
  const auto status_of = [&](const std::string& resource, const char* name) {
    auto object = static_cast<Client&>(cluster).Get(kAlways, resource, {"default", name});
    return object ? (**object)["status"].Dump() : std::string();
  };
  CHECK(Eventually([&] { return status_of(ingresses, "i") == R"({"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}})"; }));
  CHECK(Eventually([&] { return status_of(routes, "r").find(R"("type":"Admitted","status":"True")") != std::string::npos; }));
  // The certificate of our CA for the route's name.
  const auto https = net::SplitHostPort(proxy->https_addresses()[0])->port;
  const test::TempDirectory directory;
  if (FILE* file = ::fopen((directory.path() + "/ca").c_str(), "w")) {
    ::fputs(ca.pem().c_str(), file);
    ::fclose(file);
  }
  CHECK(test::RunText(Cat("curl -sS --noproxy '*' --cacert ", directory.path(), "/ca --resolve r.test:", https, ":127.0.0.1 https://r.test:", https, "/")) == "one");
  // The endpoint moves: requests follow, none fails on the way.
  cluster.Put(kSlicesResource, SliceText("web", "127.0.0.1", port_of(two)));
  CHECK(Eventually([&] {
    const std::string answer = get("i.test");
    CHECK((answer == "200 one" || answer == "200 two"));
    return answer == "200 two";
  }));
  one.Stop();
  for (int i = 0; i < 10; ++i) CHECK(get("i.test") == "200 two");
  cluster.Remove(ingresses, {"default", "i"});
  CHECK(Eventually([&] { return get("i.test").starts_with("503"); }));
  router->Stop();
  proxy->Stop();
}

}  // namespace skerry::kube::network
