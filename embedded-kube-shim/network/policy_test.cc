#include <poll.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "core/base/strings.h"
#include "embedded-kube-shim/network/policy_facts.h"
#include "embedded-kube-shim/network/policy_sync.h"
#include "tests/support/fake_informers.h"
#include "tests/support/pod_network.h"

namespace skerry::kube::network {
namespace {

std::string PodText(std::string_view ns, std::string_view name, std::string_view labels, std::string_view ip) {
  return Cat(R"({"metadata":{"namespace":")", ns, R"(","name":")", name, R"(","labels":)", labels,
             R"(},"spec":{"nodeName":"n1","containers":[{"ports":[{"name":"web","containerPort":8080}]}]},"status":{"phase":"Running","podIP":")", ip, R"("}})");
}

struct Sample : test::FakeCluster {
  Sample() {
    Put("v1/namespaces", R"({"metadata":{"name":"shop","labels":{"kubernetes.io/metadata.name":"shop"}}})");
    Put("v1/namespaces", R"({"metadata":{"name":"ops","labels":{"team":"ops"}}})");
    Put("v1/pods", PodText("shop", "db", R"({"app":"db"})", "10.42.0.1"));
    Put("v1/pods", PodText("shop", "api", R"({"app":"api"})", "10.42.0.2"));
    Put("v1/pods", PodText("ops", "probe", R"({"app":"api"})", "10.42.0.3"));
  }
  std::vector<podnet::PodPolicy> With(std::string_view spec) {
    Put("networking.k8s.io/v1/networkpolicies", Cat(R"({"metadata":{"namespace":"shop","name":"p"},"spec":)", spec, "}"));
    auto& informers = static_cast<kube::Informers&>(*this);
    PolicyInputs in;
    in.policies = informers.Get("networking.k8s.io/v1/networkpolicies").List();
    in.pods = informers.Get("v1/pods").List();
    in.namespace_of = [&informers](std::string_view ns) { return informers.Get("v1/namespaces").Get({"", std::string(ns)}); };
    in.node = "n1";
    return PoliciesOf(in);
  }
};
std::string Peers(const podnet::AllowRule& rule) {
  std::string out;
  for (const auto a : rule.peers) out += a.ToString() + " ";
  return out;
}

}  // namespace

TEST_CASE("a NetworkPolicy restricts the pods that it selects to the peers and ports of its rules", "[kube-network]") {
  Sample s;
  auto p = s.With(R"({"podSelector":{"matchLabels":{"app":"db"}},"policyTypes":["Ingress"],"ingress":[{"from":[{"podSelector":{"matchLabels":{"app":"api"}}}],"ports":[{"port":5432}]}]})");
  REQUIRE(p.size() == 1);
  CHECK(p[0].pod.ToString() == "10.42.0.1");
  CHECK_FALSE(p[0].egress);
  REQUIRE(p[0].ingress->size() == 1);
  CHECK(Peers(p[0].ingress->at(0)) == "10.42.0.2 ");   // of its own namespace only
  CHECK(p[0].ingress->at(0).ports == std::vector<podnet::PortRange>{{podnet::Protocol::kTcp, 5432, 5432}});
  p = s.With(R"({"podSelector":{"matchLabels":{"app":"db"}},"ingress":[{"from":[{"namespaceSelector":{"matchLabels":{"team":"ops"}}}]},
    {"from":[{"namespaceSelector":{},"podSelector":{"matchLabels":{"app":"api"}}}],"ports":[{"port":"web"},{"protocol":"UDP","port":1,"endPort":9},{"protocol":"UDP"}]}]})");
  REQUIRE(p.size() == 1);
  CHECK(Peers(p[0].ingress->at(0)) == "10.42.0.3 ");
  CHECK(p[0].ingress->at(0).any_port);
  auto peers = p[0].ingress->at(1).peers;
  std::sort(peers.begin(), peers.end());
  CHECK(peers == std::vector<netlink::Ipv4>{*netlink::Ipv4::Parse("10.42.0.2"), *netlink::Ipv4::Parse("10.42.0.3")});
  CHECK(p[0].ingress->at(1).ports ==
        std::vector<podnet::PortRange>{{podnet::Protocol::kTcp, 8080, 8080}, {podnet::Protocol::kUdp, 1, 9}, {podnet::Protocol::kUdp, 0, 0}});
}

TEST_CASE("policies without rules deny, an empty rule allows all, egress takes blocks with exceptions", "[kube-network]") {
  Sample s;
  auto p = s.With(R"({"podSelector":{}})");
  REQUIRE(p.size() == 2);
  CHECK((p[0].ingress->empty() && !p[0].egress));
  p = s.With(R"({"podSelector":{},"policyTypes":["Ingress","Egress"],"ingress":[{}],"egress":[{"to":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.1.0.0/16"]}}]}]})");
  REQUIRE(p.size() == 2);
  CHECK((p[0].ingress->at(0).any_peer && p[0].ingress->at(0).any_port));
  REQUIRE(p[0].egress->size() == 1);
  CHECK(p[0].egress->at(0).blocks == std::vector<podnet::AddressBlock>{{*netlink::Ipv4Range::Parse("10.0.0.0/8"), {*netlink::Ipv4Range::Parse("10.1.0.0/16")}}});
  CHECK_FALSE(p[0].egress->at(0).any_peer);
  // A selector that matches nobody is not "anybody".
  p = s.With(R"({"podSelector":{},"ingress":[{"from":[{"podSelector":{"matchLabels":{"app":"none"}}}]}]})");
  CHECK((!p[0].ingress->at(0).any_peer && p[0].ingress->at(0).peers.empty()));
}

TEST_CASE("a policy reaches the kernel, follows labels and goes with its object", "[net][root][kube-network]") {
  if (!test::IsRoot()) return;
  test::PodNetworkFixture f;
  const auto a = f.AddPod("a"), b = f.AddPod("b");
  const UniqueFd listener = test::ListenIn(a->ns, SOCK_STREAM, {"0.0.0.0", 80});
  const auto reaches = [&] { return test::Reaches(b->ns, {a->address, 80}, listener.get(), 100); };
  const auto eventually = [&](bool wanted) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (reaches() != wanted) {
      if (std::chrono::steady_clock::now() > end) return false;
    }
    return true;
  };
  test::FakeCluster cluster;
  cluster.Put("v1/namespaces", R"({"metadata":{"name":"shop"}})");
  cluster.Put("v1/pods", PodText("shop", "a", R"({"app":"a"})", a->address));
  cluster.Put("v1/pods", PodText("shop", "b", R"({"app":"b"})", b->address));
  podnet::PolicyTable table{podnet::PolicyOptions()};
  std::unique_ptr<Component> sync;
  f.node.Run([&] {
    sync = NewPolicySync(cluster, table, "n1");
    return sync->Start(Ctx(std::stop_token()));
  });
  CHECK(reaches());
  cluster.Put("networking.k8s.io/v1/networkpolicies", R"({"metadata":{"namespace":"shop","name":"p"},"spec":{"podSelector":{"matchLabels":{"app":"a"}},
    "policyTypes":["Ingress"],"ingress":[{"from":[{"podSelector":{"matchLabels":{"role":"client"}}}]}]}})");
  CHECK(eventually(false));
  cluster.Put("v1/pods", PodText("shop", "b", R"({"app":"b","role":"client"})", b->address));
  CHECK(eventually(true));
  cluster.Put("v1/pods", PodText("shop", "b", R"({"app":"b"})", b->address));
  CHECK(eventually(false));
  cluster.Remove("networking.k8s.io/v1/networkpolicies", {"shop", "p"});
  CHECK(eventually(true));
  sync->Stop();
}

}  // namespace skerry::kube::network
