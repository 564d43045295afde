#include <catch2/catch.hpp>

#include "core/base/strings.h"
#include "embedded-kube-shim/network/exposure.h"

namespace skerry::kube::network {
namespace {

ObjectPtr Object(std::string_view text) {
  json::Value v;
  std::string error;
  if (!json::Value::Parse(text, &v, &error)) FAIL(error << " in " << text);
  return std::make_shared<const json::Value>(std::move(v));
}

ExposureContext Plain() {
  ExposureContext c;
  c.secret = [](const Key&) { return ObjectPtr(); };
  c.certificate = [](const net::TlsIdentity&) -> Result<std::shared_ptr<const net::TlsCertificate>> { return Fail(Code::kInvalid, "no certificate in it"); };
  c.issue = [](const std::string&) { return nullptr; };
  c.is_ours = [](std::string_view name) { return name.empty() || name == "skerry"; };
  return c;
}

ObjectPtr RouteObject(std::string_view ns, std::string_view name, std::string_view created, std::string_view spec) {
  return Object(Cat(R"({"metadata":{"namespace":")", ns, R"(","name":")", name, R"(","creationTimestamp":")", created, R"("},"spec":)", spec, "}"));
}

}  // namespace

TEST_CASE("an Ingress becomes routes by host, path and kind of path", "[kube-network]") {
  const auto ingress = Object(R"({"metadata":{"namespace":"n","name":"i"},"spec":{"tls":[{"hosts":["a.test"]}],
    "defaultBackend":{"service":{"name":"fallback","port":{"number":80}}},
    "rules":[{"host":"a.test","http":{"paths":[{"path":"/x","pathType":"Prefix","backend":{"service":{"name":"web","port":{"number":80}}}},
                                               {"path":"/y","pathType":"Exact","backend":{"service":{"name":"web","port":{"name":"http"}}}}]}},
             {"http":{"paths":[{"path":"/","pathType":"ImplementationSpecific","backend":{"service":{"name":"any","port":{"number":8080}}}}]}}]}})");
  const auto other = Object(R"({"metadata":{"namespace":"n","name":"other"},"spec":{"ingressClassName":"nginx","rules":[{"host":"b.test"}]}})");
  const Exposure e = Expose({ingress, other}, {}, Plain());
  CHECK(e.ingresses == std::vector<Key>{{"n", "i"}});
  const proxy::Table table(e.routes, nullptr);
  const auto pool = [&](std::string_view host, std::string_view path) {
    const proxy::Route* r = table.Find(host, path);
    return r == nullptr ? std::string("none") : r->pools.at(0).pool;
  };
  CHECK(pool("a.test", "/x/1") == "n/web/=80");
  CHECK(pool("a.test", "/y") == "n/web/http");
  CHECK(pool("a.test", "/z") == "n/fallback/=80");
  CHECK(pool("c.test", "/") == "n/any/=8080");
  CHECK(table.Find("a.test", "/x")->termination == proxy::Termination::kEdge);
  CHECK(table.Find("a.test", "/x")->insecure == proxy::Insecure::kAllow);
  CHECK(table.Find("c.test", "/")->termination == proxy::Termination::kNone);
  CHECK(e.pools.size() == 4);
}

TEST_CASE("a Route becomes a proxy route with its weights, termination and annotations", "[kube-network]") {
  const auto simple = RouteObject("n", "simple", "1", R"({"host":"a.test","to":{"kind":"Service","name":"web","weight":3},"alternateBackends":[{"name":"canary","weight":1}],
    "port":{"targetPort":"8080"},"path":"/p"})");
  const auto edge = RouteObject("n", "edge", "1", R"({"host":"b.test","to":{"name":"web"},"tls":{"termination":"edge","insecureEdgeTerminationPolicy":"Redirect"}})");
  const auto pass = RouteObject("n", "pass", "1", R"({"host":"c.test","to":{"name":"web"},"tls":{"termination":"passthrough"},"port":{"targetPort":"https"}})");
  const auto again = RouteObject("n", "again", "1", R"({"host":"d.test","to":{"name":"web"},"tls":{"termination":"reencrypt","destinationCACertificate":"PEM"}})");
  const auto wild = RouteObject("n", "wild", "1", R"({"host":"www.apps.test","to":{"name":"web"},"wildcardPolicy":"Subdomain"})");
  const auto broken = RouteObject("n", "broken", "1", R"({"host":"e.test","to":{"name":"web"},"tls":{"termination":"edge","certificate":"x","key":"y"}})");
  const Exposure e = Expose({}, {simple, edge, pass, again, wild, broken}, Plain());
  const proxy::Table table(e.routes, nullptr);
  const proxy::Route* r = table.Find("a.test", "/p/q");
  REQUIRE(r != nullptr);
  REQUIRE(r->pools.size() == 2);
  CHECK(r->pools[0].pool == "n/web/#8080");
  CHECK(r->pools[0].weight == 3);
  CHECK(r->pools[1].pool == "n/canary/#8080");
  CHECK(table.Find("a.test", "/") == nullptr);
  CHECK(table.Find("b.test", "/")->insecure == proxy::Insecure::kRedirect);
  CHECK(table.FindPassthrough("c.test")->pools[0].pool == "n/web/https");
  CHECK(table.Find("c.test", "/") == nullptr);
  CHECK(e.pools.at(table.Find("d.test", "/")->pools[0].pool).reencrypt);
  CHECK(table.Find("x.apps.test", "/") != nullptr);
  CHECK(e.verdicts.at({"n", "simple"}).admitted);
  CHECK(e.verdicts.at({"n", "broken"}).reason == "ExtendedValidationFailed");
}

TEST_CASE("a host belongs to the namespace of its oldest route, a path to its oldest route", "[kube-network]") {
  const auto late = RouteObject("intruder", "late", "2026-02-01T00:00:00Z", R"({"host":"a.test","to":{"name":"evil"}})");
  const auto first = RouteObject("owner", "first", "2026-01-01T00:00:00Z", R"({"host":"a.test","to":{"name":"web"}})");
  const auto second = RouteObject("owner", "second", "2026-01-02T00:00:00Z", R"({"host":"A.test","path":"/two","to":{"name":"two"}})");
  const auto same = RouteObject("owner", "same", "2026-01-03T00:00:00Z", R"({"host":"a.test","to":{"name":"three"}})");
  const Exposure e = Expose({}, {late, same, second, first}, Plain());
  CHECK(e.verdicts.at({"owner", "first"}).admitted);
  CHECK(e.verdicts.at({"owner", "second"}).admitted);
  CHECK(e.verdicts.at({"owner", "same"}).reason == "HostAlreadyClaimed");
  CHECK(e.verdicts.at({"intruder", "late"}).reason == "HostAlreadyClaimed");
  const proxy::Table table(e.routes, nullptr);
  CHECK(table.Find("a.test", "/")->pools[0].pool == "owner/web/*");
  CHECK(table.Find("a.test", "/two")->pools[0].pool == "owner/two/*");
}

TEST_CASE("a pool finds its endpoints by the service's port, the endpoint's port or the first one", "[kube-network]") {
  const auto service = Object(R"({"spec":{"clusterIP":"10.43.0.1","ports":[{"name":"metrics","port":9090},{"name":"http","port":80,"targetPort":8080}]}})");
  const std::vector<ObjectPtr> slices = {Object(R"({"addressType":"IPv4","ports":[{"name":"metrics","port":9090,"protocol":"TCP"},{"name":"http","port":8080,"protocol":"TCP"}],
    "endpoints":[{"addresses":["10.42.0.5"]}]})")};
  PoolSpec by_number{{"n", "s"}, {}, 80, false, ""}, first{{"n", "s"}, {}, std::nullopt, false, ""};
  PoolSpec by_target{{"n", "s"}, {PortSelector::By::kNumber, "", 8080, "TCP"}, std::nullopt, false, ""}, unknown{{"n", "s"}, {}, 81, false, ""};
  CHECK(BackendsOf(by_number, service.get(), slices) == std::vector<proxy::Backend>{{"10.42.0.5:8080"}});
  CHECK(BackendsOf(by_target, service.get(), slices) == std::vector<proxy::Backend>{{"10.42.0.5:8080"}});
  CHECK(BackendsOf(first, service.get(), slices) == std::vector<proxy::Backend>{{"10.42.0.5:9090"}});
  CHECK(BackendsOf(unknown, service.get(), slices).empty());
  CHECK(BackendsOf(first, nullptr, slices).empty());
  const auto external = Object(R"({"spec":{"type":"ExternalName","externalName":"api.example.com"}})");
  CHECK(BackendsOf(by_number, external.get(), {}) == std::vector<proxy::Backend>{{"api.example.com:80"}});
}

}  // namespace skerry::kube::network
