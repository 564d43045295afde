#include <catch2/catch.hpp>

#include "core/podnet/policy.h"
#include "tests/support/pod_network.h"

namespace skerry::podnet {
namespace {

using test::ConnectFrom;
using test::ListenIn;

netlink::Ipv4 Ip(const std::string& text) { return *netlink::Ipv4::Parse(text); }

struct Pods : test::PodNetworkFixture {
  Pods() {
    for (const char* id : {"a", "b", "c"}) {
      pods.push_back(AddPod(id));
      for (const std::uint16_t port : {80, 81}) listeners.push_back(ListenIn(pods.back()->ns, SOCK_STREAM, {"0.0.0.0", port}));
    }
    host = ListenIn(node, SOCK_STREAM, {"0.0.0.0", 9000});
  }
  bool Reaches(const test::TestNetns& from, const std::string& address, std::uint16_t port) {
    return static_cast<bool>(ConnectFrom(from, SOCK_STREAM, {address, port}));
  }
  bool Blocked(const test::TestNetns& from, const std::string& address, std::uint16_t port) {   // dropped: only silence tells
    return !ConnectFrom(from, SOCK_STREAM, {address, port}, nullptr, nullptr, 150);
  }
  void Use(std::vector<PodPolicy> policies) {
    node.Run([&] { return table.Replace(std::move(policies)); });
  }
  std::vector<std::unique_ptr<Pod>> pods;
  std::vector<UniqueFd> listeners;
  UniqueFd host;
  PolicyTable table{PolicyOptions()};
};

}  // namespace

TEST_CASE("a restricted pod takes only what its rules allow, by peer and port, and the host still reaches it", "[net][root]") {
  if (!test::IsRoot()) return;
  Pods f;
  const std::string a = f.pods[0]->address, b = f.pods[1]->address;
  AllowRule from_b;
  from_b.peers = {Ip(b)};
  from_b.ports = {{Protocol::kTcp, 80, 80}};
  f.Use({{Ip(a), std::vector<AllowRule>{from_b}, std::nullopt}});
  CHECK(f.Reaches(f.pods[1]->ns, a, 80));
  CHECK(f.Blocked(f.pods[1]->ns, a, 81));
  CHECK(f.Blocked(f.pods[2]->ns, a, 80));
  CHECK(f.Reaches(f.pods[0]->ns, b, 80));    // not restricted in the other direction
  CHECK(f.Reaches(f.pods[2]->ns, b, 80));
  CHECK(f.Reaches(f.node, a, 81));
  // Nothing allowed at all; through a service as well.
  f.Use({{Ip(a), std::vector<AllowRule>{}, std::nullopt}});
  CHECK(f.Blocked(f.pods[1]->ns, a, 80));
  ServicePort web;
  web.id = "web";
  web.addresses = {{Ip("10.43.0.20"), 80}};
  web.endpoints = {{Ip(a), 80}};
  f.node.Run([&] { return f.network->services().Replace("service", {web}); });
  CHECK(f.Blocked(f.pods[1]->ns, "10.43.0.20", 80));
  f.Use({});
  CHECK(f.Reaches(f.pods[1]->ns, "10.43.0.20", 80));
  CHECK(test::RunIn(f.node, "nft list tables") == "table ip skerry\n");
}

TEST_CASE("a pod restricted in what it may reach keeps its DNS and its allowed blocks, the host included", "[net][root]") {
  if (!test::IsRoot()) return;
  Pods f;
  const std::string a = f.pods[0]->address, b = f.pods[1]->address, c = f.pods[2]->address;
  const UniqueFd outside = ListenIn(f.outside, SOCK_STREAM, {"0.0.0.0", 80});
  AllowRule block;
  block.any_port = true;
  block.blocks = {{*netlink::Ipv4Range::Parse("10.42.0.0/24"), {{Ip(c), 32}}}};
  f.Use({{Ip(a), std::nullopt, std::vector<AllowRule>{block}}});
  CHECK(f.Reaches(f.pods[0]->ns, b, 80));
  CHECK(f.Blocked(f.pods[0]->ns, c, 80));
  CHECK(f.Blocked(f.pods[0]->ns, f.kOutsideAddress, 80));
  CHECK(f.Blocked(f.pods[0]->ns, f.kNodeAddress, 9000));
  CHECK(f.Reaches(f.pods[1]->ns, f.kNodeAddress, 9000));
  // Both sides have their say.
  AllowRule any;
  any.any_peer = any.any_port = true;
  f.Use({{Ip(a), std::nullopt, std::vector<AllowRule>{any}}, {Ip(b), std::vector<AllowRule>{}, std::nullopt}});
  CHECK(f.Blocked(f.pods[0]->ns, b, 80));
  CHECK(f.Reaches(f.pods[0]->ns, c, 80));
  CHECK(f.Reaches(f.pods[0]->ns, f.kNodeAddress, 9000));
  f.node.Run([&] { return f.network->AddLocalAddress(Ip("10.43.0.10")); });
  const UniqueFd dns = ListenIn(f.node, SOCK_STREAM, {"10.43.0.10", 53});
  PolicyTable with_dns({"skerry_policy", {Ip("10.43.0.10")}});
  f.node.Run([&] { return with_dns.Replace({{Ip(a), std::nullopt, std::vector<AllowRule>{}}}); });
  CHECK(f.Reaches(f.pods[0]->ns, "10.43.0.10", 53));
  CHECK(f.Blocked(f.pods[0]->ns, c, 80));
}

TEST_CASE("ports of a rule may be ranges of either protocol or all of one", "[podnet]") {
  AllowRule rule;
  rule.any_peer = true;
  rule.ports = {{Protocol::kTcp, 80, 80}, {Protocol::kTcp, 1000, 2000}, {Protocol::kUdp, 0, 0}};
  const std::string text = PolicyTable::Text({}, {{Ip("10.42.0.5"), std::vector<AllowRule>{rule}, std::nullopt}});
  CHECK(text.find("tcp dport { 1000-2000, 80 } return\n") != std::string::npos);
  CHECK(text.find("meta l4proto udp return\n") != std::string::npos);
  CHECK(PolicyTable::Text({}, {{Ip("10.42.0.5"), std::nullopt, std::nullopt}}).empty());
  AllowRule nobody;
  nobody.any_port = true;
  CHECK(PolicyTable::Text({}, {{Ip("10.42.0.5"), std::vector<AllowRule>{nobody}, std::nullopt}}).find("return") == std::string::npos);
}

}  // namespace skerry::podnet
