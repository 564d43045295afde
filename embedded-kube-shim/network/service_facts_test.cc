#include <catch2/catch.hpp>

#include "core/base/strings.h"
#include "embedded-kube-shim/network/service_facts.h"
#include "embedded-kube-shim/network/slice_index.h"
#include "embedded-kube-shim/network/zones.h"
#include "tests/support/fake_informers.h"

namespace skerry::kube::network {
namespace {

ObjectPtr Object(std::string_view text) {
  json::Value v;
  std::string error;
  if (!json::Value::Parse(text, &v, &error)) FAIL(error << " in " << text);
  return std::make_shared<const json::Value>(std::move(v));
}
std::string Show(const std::vector<podnet::Endpoint>& list) {
  std::string out;
  for (const auto& e : list) out += Cat(e.address.ToString(), ':', e.port, ' ');
  return out;
}

const char* const kSlice = R"({"metadata":{"namespace":"default","name":"web-1","labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4",
  "ports":[{"name":"http","port":8080,"protocol":"TCP"},{"name":"dns","port":5353,"protocol":"UDP"}],
  "endpoints":[{"addresses":["10.42.0.5"],"conditions":{"ready":true},"nodeName":"n1","hostname":"web-0"},
               {"addresses":["10.42.1.6"],"conditions":{},"nodeName":"n2"},
               {"addresses":["10.42.0.7"],"conditions":{"ready":false,"serving":true,"terminating":true},"nodeName":"n1"},
               {"addresses":["10.42.0.8"],"conditions":{"ready":false},"nodeName":"n1"}]})";

}  // namespace

TEST_CASE("ready endpoints are used, and terminating ones only when no other is left", "[kube-network]") {
  const std::vector<ObjectPtr> slices = {Object(kSlice)};
  CHECK(Show(EndpointsOf(slices, {PortSelector::By::kName, "http", 0, "TCP"})) == "10.42.0.5:8080 10.42.1.6:8080 ");
  CHECK(Show(EndpointsOf(slices, {PortSelector::By::kName, "dns", 0, "UDP"})) == "10.42.0.5:5353 10.42.1.6:5353 ");
  CHECK(Show(EndpointsOf(slices, {PortSelector::By::kName, "dns", 0, "TCP"})).empty());
  CHECK(Show(EndpointsOf(slices, {PortSelector::By::kNumber, "", 8080, "TCP"})) == "10.42.0.5:8080 10.42.1.6:8080 ");
  CHECK(Show(EndpointsOf(slices, {}, {"n1"})) == "10.42.0.5:8080 ");
  json::Value drained = slices[0]->Clone();
  drained.Find("endpoints")->MutableItems().erase(drained.Find("endpoints")->MutableItems().begin(), drained.Find("endpoints")->MutableItems().begin() + 2);
  CHECK(Show(EndpointsOf({std::make_shared<const json::Value>(std::move(drained))}, {})) == "10.42.0.7:8080 ");
}

TEST_CASE("a service becomes its addresses, node ports, affinity and traffic policies", "[kube-network]") {
  const std::vector<ObjectPtr> slices = {Object(kSlice)};
  const auto service = Object(R"({"metadata":{"namespace":"default","name":"web"},"spec":{"type":"NodePort","clusterIP":"10.43.0.20","clusterIPs":["10.43.0.20","fd00::1"],
    "externalIPs":["203.0.113.9"],"sessionAffinity":"ClientIP","ports":[{"name":"http","port":80,"targetPort":8080,"nodePort":30080,"protocol":"TCP"},
    {"name":"dns","port":53,"protocol":"UDP"}]},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}})");
  auto ports = PortsOf(*service, slices, {"n1", "10.43.0.10"});
  REQUIRE(ports.size() == 2);
  CHECK(ports[0].id == "default/web/TCP/80");
  CHECK(Show(ports[0].addresses) == "10.43.0.20:80 203.0.113.9:80 192.0.2.1:80 ");
  CHECK(ports[0].node_port == 30080);
  CHECK(ports[0].affinity == std::chrono::seconds(10800));
  CHECK(Show(ports[0].endpoints) == "10.42.0.5:8080 10.42.1.6:8080 ");
  CHECK(ports[1].protocol == podnet::Protocol::kUdp);
  json::Value local = service->Clone();
  local.Set("spec").Set("externalTrafficPolicy") = "Local";
  ports = PortsOf(local, slices, {"n1", ""});
  REQUIRE(ports.size() == 4);
  CHECK(ports[0].id == "default/web/TCP/80/external");
  CHECK(Show(ports[0].endpoints) == "10.42.0.5:8080 ");
  CHECK(ports[1].node_port == 0);
  CHECK(PortsOf(*service, slices, {"n1", "10.43.0.20"}).empty());   // the DNS server's own
  for (const char* other : {R"({"spec":{"clusterIP":"None","ports":[{"port":80}]}})", R"({"spec":{"type":"ExternalName","externalName":"a.b"}})", R"({"spec":{}})"}) {
    CHECK(PortsOf(*Object(other), slices, {}).empty());
  }
}

TEST_CASE("a service or a slice that is labelled as another proxy's or as headless is left alone", "[kube-network]") {
  const auto service = Object(R"({"metadata":{"namespace":"default","name":"web"},"spec":{"clusterIP":"10.43.0.20","ports":[{"name":"http","port":80,"protocol":"TCP"}]}})");
  CHECK(PortsOf(*service, {Object(kSlice)}, {"n1", ""}).size() == 1);
  for (const char* label : {"service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless"}) {
    json::Value labelled = service->Clone();
    labelled.Set("metadata").Set("labels").Set(label) = "";
    CHECK(PortsOf(labelled, {Object(kSlice)}, {"n1", ""}).empty());
    json::Value slice = Object(kSlice)->Clone();
    slice.Set("metadata").Set("labels").Set(label) = "";
    const auto ports = PortsOf(*service, {std::make_shared<json::Value>(std::move(slice))}, {"n1", ""});
    REQUIRE(ports.size() == 1);
    CHECK(ports[0].endpoints.empty());
    CHECK(EndpointsOf({Object(kSlice)}, {PortSelector::By::kName, "http", 0, "TCP"}).size() == 2);   // routes do not look at it
  }
}

TEST_CASE("services have the names of the DNS specification", "[kube-network]") {
  ClusterZones zones("cluster.local", "10.43.0.10");
  const auto ask = [&](std::string_view name, dns::Type type) {
    for (const auto& zone : zones.zones()) {
      auto a = zone->Lookup(name, type);
      if (a.kind == dns::Answer::Kind::kNotMine) continue;
      if (a.kind == dns::Answer::Kind::kNxDomain) return std::string("nxdomain");
      std::set<std::string> texts;
      for (const auto& r : a.records) {
        if (r.type == dns::Type::kA) texts.insert(netlink::Ipv4::FromWire(r.data.data()).ToString());
        if (r.type == dns::Type::kCname || r.type == dns::Type::kPtr || r.type == dns::Type::kSrv) texts.insert(*dns::NameInData(r));
      }
      std::string out;
      for (const auto& t : texts) out += t + " ";
      return out;
    }
    return std::string("not ours");
  };
  const auto service = [](std::string_view spec) { return Object(Cat(R"({"metadata":{"namespace":"default","name":"web"},"spec":)", spec, "}")); };
  const Key key{"default", "web"};
  const std::string domain = zones.domain();
  zones.Set(key, RecordsOf(*service(R"({"clusterIP":"10.43.0.20","ports":[{"name":"http","port":80,"protocol":"TCP"}]})"), {}, domain));
  CHECK(ask("web.default.svc.cluster.local.", dns::Type::kA) == "10.43.0.20 ");
  CHECK(ask("web.default.svc.cluster.local.", dns::Type::kAaaa).empty());
  CHECK(ask("_http._tcp.web.default.svc.cluster.local.", dns::Type::kSrv) == "web.default.svc.cluster.local. ");
  CHECK(ask("20.0.43.10.in-addr.arpa.", dns::Type::kPtr) == "web.default.svc.cluster.local. ");
  CHECK(ask("21.0.43.10.in-addr.arpa.", dns::Type::kPtr) == "not ours");
  CHECK(ask("other.default.svc.cluster.local.", dns::Type::kA) == "nxdomain");
  // Headless: the pods themselves, by hostname and by address.
  const std::vector<ObjectPtr> slices = {Object(kSlice)};
  zones.Set(key, RecordsOf(*service(R"({"clusterIP":"None"})"), slices, domain));
  CHECK(ask("web.default.svc.cluster.local.", dns::Type::kA) == "10.42.0.5 10.42.1.6 ");
  CHECK(ask("web-0.web.default.svc.cluster.local.", dns::Type::kA) == "10.42.0.5 ");
  CHECK(ask("10-42-1-6.web.default.svc.cluster.local.", dns::Type::kA) == "10.42.1.6 ");
  CHECK(ask("_http._tcp.web.default.svc.cluster.local.", dns::Type::kSrv) == "10-42-1-6.web.default.svc.cluster.local. web-0.web.default.svc.cluster.local. ");
  CHECK(ask("5.0.42.10.in-addr.arpa.", dns::Type::kPtr) == "web-0.web.default.svc.cluster.local. ");
  CHECK(ask("20.0.43.10.in-addr.arpa.", dns::Type::kPtr) == "not ours");
  // A second service over the same pods: both names for the address, and one stays when the other goes.
  zones.Set({"default", "two"}, RecordsOf(*Object(R"({"metadata":{"namespace":"default","name":"two"},"spec":{"clusterIP":"None"}})"), slices, domain));
  CHECK(ask("5.0.42.10.in-addr.arpa.", dns::Type::kPtr) == "web-0.two.default.svc.cluster.local. web-0.web.default.svc.cluster.local. ");
  zones.Set(key, RecordsOf(*service(R"({"type":"ExternalName","externalName":"Example.COM"})"), {}, domain));
  CHECK(ask("web.default.svc.cluster.local.", dns::Type::kA) == "example.com. ");
  CHECK(ask("5.0.42.10.in-addr.arpa.", dns::Type::kPtr) == "web-0.two.default.svc.cluster.local. ");
  zones.Set(key, {});
  CHECK(ask("web.default.svc.cluster.local.", dns::Type::kA) == "nxdomain");
  // Pods by address; names that only contain others.
  CHECK(ask("10-42-0-9.default.pod.cluster.local.", dns::Type::kA) == "10.42.0.9 ");
  CHECK(ask("10-42-0-9.default.pod.cluster.local.", dns::Type::kAaaa).empty());
  CHECK(ask("nonsense.default.pod.cluster.local.", dns::Type::kA) == "nxdomain");
  CHECK(ask("ns.dns.cluster.local.", dns::Type::kA) == "10.43.0.10 ");
  CHECK(*ReverseName("2001:db8::1") == "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.");
}

TEST_CASE("slices are found by service through changes of label and deletion", "[kube-network]") {
  test::FakeCluster cluster;
  cluster.Put(kSlicesResource, kSlice);
  const kube::Lister& lister = static_cast<kube::Informers&>(cluster).Get(kSlicesResource);
  SliceIndex index(lister);
  CHECK(index.Of({"default", "web"}).size() == 1);
  std::vector<Key> told;
  const auto subscription = cluster.Subscribe(kSlicesResource, [&](const Notification& n) {
    for (const Key& k : index.Note(n)) told.push_back(k);
  });
  told.clear();
  json::Value moved = lister.Get({"default", "web-1"})->Clone();
  moved.Set("metadata").Set("labels").Set("kubernetes.io/service-name") = "other";
  cluster.PutValue(kSlicesResource, std::move(moved));
  CHECK(told == std::vector<Key>{{"default", "web"}, {"default", "other"}});
  CHECK(index.Of({"default", "web"}).empty());
  CHECK(index.Of({"default", "other"}).size() == 1);
  cluster.Remove(kSlicesResource, {"default", "web-1"});
  CHECK(index.Of({"default", "other"}).empty());
}

}  // namespace skerry::kube::network
