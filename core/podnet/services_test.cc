#include <catch2/catch.hpp>
#include <chrono>
#include <map>

#include "core/base/strings.h"
#include "core/netlink/nftables.h"
#include "core/netlink/ruleset.h"
#include "core/podnet/elements.h"
#include "core/podnet/services.h"
#include "tests/support/pod_network.h"

namespace skerry::podnet {
namespace {

using test::ConnectFrom;
using test::ListenIn;
using test::PodNetworkFixture;

Endpoint At(std::string_view address, std::uint16_t port) { return {*netlink::Ipv4::Parse(address), port}; }

ServicePort Service(std::string id, Protocol protocol, std::vector<Endpoint> addresses, std::vector<Endpoint> endpoints, std::uint16_t node_port = 0) {
  ServicePort out;
  out.id = std::move(id);
  out.protocol = protocol;
  out.addresses = std::move(addresses);
  out.endpoints = std::move(endpoints);
  out.node_port = node_port;
  return out;
}

// Three pods that listen on 80/tcp and 53/udp.
struct ThreePods : PodNetworkFixture {
  ThreePods() {
    for (int i = 0; i < 3; ++i) {
      pods.push_back(AddPod(Cat("pod-", i)));
      tcp.push_back(ListenIn(pods[i]->ns, SOCK_STREAM, {"0.0.0.0", 80}));
      udp.push_back(ListenIn(pods[i]->ns, SOCK_DGRAM, {"0.0.0.0", 53}));
    }
    Replace({});
  }
  void Replace(std::vector<ServicePort> ports) {
    node.Run([&] { return network->services().Replace("service", std::move(ports)); });
  }
  void Change(std::vector<ServicePort> set, const std::vector<std::string>& remove = {}) {
    node.Run([&] { return network->services().Change("service", std::move(set), remove); });
  }
  std::vector<Endpoint> All(std::uint16_t port) const {
    std::vector<Endpoint> out;
    for (const auto& p : pods) out.push_back(At(p->address, port));
    return out;
  }
  // Which pod answers a TCP connection; -1 when none. `peer` is whom the pod sees.
  int Who(const test::TestNetns& from, const test::Endpoint& to, test::Endpoint* peer = nullptr, int* error = nullptr) {
    const UniqueFd client = ConnectFrom(from, SOCK_STREAM, to, error);
    if (!client) return -1;
    for (int i = 0; i < 3; ++i) {
      if (test::Accept(tcp[i].get(), peer, 0)) return i;
    }
    for (int i = 0; i < 3; ++i) {
      if (test::Accept(tcp[i].get(), peer, 200)) return i;
    }
    return -1;
  }
  // Which pod gets a datagram.
  int Whom(int socket) {
    if (!test::SendText(socket, "hello")) return -1;
    for (int wait : {0, 20, 200}) {
      for (int i = 0; i < 3; ++i) {
        if (test::ReceiveText(udp[i].get(), nullptr, wait) == "hello") return i;
      }
    }
    return -1;
  }
  std::vector<std::unique_ptr<Pod>> pods;
  std::vector<UniqueFd> tcp, udp;
};

std::string Connect(int error) { return error == ECONNREFUSED ? "refused" : Cat("error ", error); }

}  // namespace

TEST_CASE("of several claims to one key the first owner's is in force until it is released") {
  Elements e;
  const Element first{Set::kVip, "keykey01", "aaaa"}, second{Set::kVip, "keykey01", "bbbb"};
  e.Claim(7, second);
  e.Claim(3, first);
  auto pending = e.Pending();
  REQUIRE(pending.size() == 1);
  CHECK(pending[0].element.value == "aaaa");
  e.Commit();
  e.Release(3, first);
  pending = e.Pending();
  REQUIRE(pending.size() == 2);
  CHECK(pending[0].kind == netlink::NftChange::Kind::kDelete);
  CHECK(pending[1].element.value == "bbbb");
  e.Claim(3, first);
  CHECK(e.Pending().empty());   // back to what the kernel has
}

TEST_CASE("a service answers on its address from pods, host and itself, spread over its endpoints", "[net][root]") {
  if (!test::IsRoot()) return;
  ThreePods f;
  f.Change({Service("web", Protocol::kTcp, {At("10.43.0.20", 80), At("203.0.113.9", 80)}, f.All(80)),
            Service("dns", Protocol::kUdp, {At("10.43.0.20", 53)}, f.All(53))});
  std::map<int, int> seen;
  test::Endpoint peer;
  for (int i = 0; i < 40; ++i) ++seen[f.Who(f.pods[0]->ns, {"10.43.0.20", 80})];
  CHECK(seen.size() == 3);
  CHECK(seen.count(-1) == 0);
  CHECK(f.Who(f.pods[0]->ns, {"203.0.113.9", 80}) >= 0);
  CHECK(f.Who(f.node, {"10.43.0.20", 80}, &peer) >= 0);
  CHECK(peer.address == f.kNodeAddress);
  const UniqueFd s = ConnectFrom(f.pods[1]->ns, SOCK_DGRAM, {"10.43.0.20", 53});
  const int first = f.Whom(s.get());
  CHECK(first >= 0);
  CHECK(f.Whom(s.get()) == first);   // one socket, one flow, one endpoint
  // Hairpin: a pod that is its service's only endpoint.
  f.Change({Service("self", Protocol::kTcp, {At("10.43.0.30", 80)}, {At(f.pods[2]->address, 80)})});
  CHECK(f.Who(f.pods[2]->ns, {"10.43.0.30", 80}) == 2);
  CHECK(f.Who(f.pods[1]->ns, {"10.43.0.30", 80}, &peer) == 2);
  CHECK(peer.address == f.pods[1]->address);
}

TEST_CASE("a node port answers on every address of the node and keeps the client's address", "[net][root]") {
  if (!test::IsRoot()) return;
  ThreePods f;
  f.Change({Service("web", Protocol::kTcp, {At("10.43.0.20", 80)}, f.All(80), 30080), Service("dns", Protocol::kUdp, {}, f.All(53), 30053)});
  test::Endpoint peer;
  CHECK(f.Who(f.outside, {f.kNodeAddress, 30080}, &peer) >= 0);
  CHECK(peer.address == f.kOutsideAddress);
  CHECK(f.Who(f.node, {f.kNodeAddress, 30080}) >= 0);
  CHECK(f.Who(f.node, {"127.0.0.1", 30080}) >= 0);
  CHECK(f.Who(f.pods[0]->ns, {f.kNodeAddress, 30080}) >= 0);
  const UniqueFd s = ConnectFrom(f.outside, SOCK_DGRAM, {f.kNodeAddress, 30053});
  CHECK(f.Whom(s.get()) >= 0);
}

TEST_CASE("without endpoints clients are refused at once, also on unknown ports and addresses of the service range", "[net][root]") {
  if (!test::IsRoot()) return;
  ThreePods f;
  f.Change({Service("web", Protocol::kTcp, {At("10.43.0.20", 80), At("192.168.77.2", 8080)}, {}, 30080)});
  for (const test::TestNetns* from : {&f.node, &f.pods[0]->ns}) {
    for (const test::Endpoint& to : {test::Endpoint{"10.43.0.20", 80}, {f.kNodeAddress, 30080}, {"10.43.0.20", 81}, {"10.43.9.9", 80}, {"192.168.77.2", 8080}}) {
      int error = 0;
      CHECK(f.Who(*from, to, nullptr, &error) == -1);
      CHECK(Connect(error) == "refused");
    }
  }
  f.Change({Service("web", Protocol::kTcp, {At("10.43.0.20", 80)}, f.All(80), 30080)});
  CHECK(f.Who(f.node, {"10.43.0.20", 80}) >= 0);
  f.Change({}, {"web"});
  int error = 0;
  CHECK(f.Who(f.node, {"10.43.0.20", 80}, nullptr, &error) == -1);
  CHECK(Connect(error) == "refused");
}

TEST_CASE("with affinity a client stays with its endpoint while that lives and moves when it is gone", "[net][root]") {
  if (!test::IsRoot()) return;
  ThreePods f;
  ServicePort web = Service("web", Protocol::kTcp, {At("10.43.0.20", 80)}, f.All(80), 30080);
  web.affinity = std::chrono::hours(3);
  f.Change({web});
  const int from_pod = f.Who(f.pods[0]->ns, {"10.43.0.20", 80}), outside = f.Who(f.outside, {f.kNodeAddress, 30080});
  CHECK(from_pod >= 0);
  for (int i = 0; i < 15; ++i) {
    CHECK(f.Who(f.pods[0]->ns, {"10.43.0.20", 80}) == from_pod);
    CHECK(f.Who(f.outside, {f.kNodeAddress, 30080}) == outside);
  }
  // Another endpoint leaves: nothing moves.
  ServicePort less = web;
  std::erase(less.endpoints, At(f.pods[(from_pod + 1) % 3]->address, 80));
  f.Change({less});
  for (int i = 0; i < 10; ++i) CHECK(f.Who(f.pods[0]->ns, {"10.43.0.20", 80}) == from_pod);
  // Its own leaves: it moves once and stays there.
  ServicePort without = web;
  std::erase(without.endpoints, At(f.pods[from_pod]->address, 80));
  f.Change({without});
  const int next = f.Who(f.pods[0]->ns, {"10.43.0.20", 80});
  CHECK(next >= 0);
  CHECK(next != from_pod);
  for (int i = 0; i < 10; ++i) CHECK(f.Who(f.pods[0]->ns, {"10.43.0.20", 80}) == next);
  // Switched off: spread again.
  web.affinity = {};
  f.Change({web});
  std::map<int, int> seen;
  for (int i = 0; i < 40; ++i) ++seen[f.Who(f.pods[0]->ns, {"10.43.0.20", 80})];
  CHECK(seen.size() == 3);
}

TEST_CASE("a UDP client is moved when its endpoint leaves and found when the first endpoint comes", "[net][root]") {
  if (!test::IsRoot()) return;
  ThreePods f;
  f.Change({Service("dns", Protocol::kUdp, {At("10.43.0.20", 53)}, {At(f.pods[0]->address, 53)}, 30053)});
  const UniqueFd inside = ConnectFrom(f.pods[2]->ns, SOCK_DGRAM, {"10.43.0.20", 53}), outside = ConnectFrom(f.outside, SOCK_DGRAM, {f.kNodeAddress, 30053});
  CHECK(f.Whom(inside.get()) == 0);
  CHECK(f.Whom(outside.get()) == 0);
  f.Change({Service("dns", Protocol::kUdp, {At("10.43.0.20", 53)}, {At(f.pods[1]->address, 53)}, 30053)});
  CHECK(f.Whom(inside.get()) == 1);
  CHECK(f.Whom(outside.get()) == 1);
  f.Change({Service("dns", Protocol::kUdp, {At("10.43.0.20", 53)}, {}, 30053)});
  CHECK(f.Whom(outside.get()) == -1);
  f.Change({Service("dns", Protocol::kUdp, {At("10.43.0.20", 53)}, {At(f.pods[2]->address, 53)}, 30053)});
  const UniqueFd late = ConnectFrom(f.outside, SOCK_DGRAM, {f.kNodeAddress, 30053});
  CHECK(f.Whom(late.get()) == 2);
  // The old socket first reads the refusal of its earlier datagram, then works.
  if (!test::SendText(outside.get(), "probe")) {
    CHECK(errno == ECONNREFUSED);
    CHECK(test::SendText(outside.get(), "probe"));
  }
  CHECK(test::ReceiveText(f.udp[2].get(), nullptr, 500) == "probe");
}

TEST_CASE("a new process takes the table over: nothing is interrupted, and what was deleted meanwhile goes", "[net][root]") {
  if (!test::IsRoot()) return;
  ThreePods f;
  const auto web = Service("web", Protocol::kTcp, {At("10.43.0.20", 80)}, f.All(80), 30080);
  const auto old = Service("old", Protocol::kTcp, {At("10.43.0.21", 80)}, f.All(80));
  f.Change({web, old});
  const std::string before = test::RunIn(f.node, "nft 'list map ip skerry ep; list map ip skerry vip'");
  f.Reopen();
  CHECK(f.Who(f.pods[0]->ns, {"10.43.0.21", 80}) >= 0);   // until the source has spoken
  f.Replace({web, old});
  CHECK(test::RunIn(f.node, "nft 'list map ip skerry ep; list map ip skerry vip'") == before);
  f.Reopen();
  f.Replace({web});
  CHECK(f.Who(f.pods[0]->ns, {"10.43.0.20", 80}) >= 0);
  int error = 0;
  CHECK(f.Who(f.pods[0]->ns, {"10.43.0.21", 80}, nullptr, &error) == -1);
  CHECK(Connect(error) == "refused");
}

TEST_CASE("a table that others changed or deleted is repaired by the next change", "[net][root]") {
  if (!test::IsRoot()) return;
  ThreePods f;
  const auto web = Service("web", Protocol::kTcp, {At("10.43.0.20", 80)}, f.All(80), 30080);
  f.Change({web});
  test::RunIn(f.node, "nft flush map ip skerry ep");
  auto fewer = web;
  fewer.endpoints.resize(2);
  f.Change({fewer});
  CHECK(f.Who(f.node, {"10.43.0.20", 80}) >= 0);
  test::RunIn(f.node, "nft flush ruleset");
  f.Change({web});
  CHECK(f.Who(f.node, {"10.43.0.20", 80}) >= 0);
  test::RunIn(f.node, "nft delete table ip skerry");
  f.node.Run([&] { return f.network->services().Repair(); });
  CHECK(f.Who(f.node, {"10.43.0.20", 80}) >= 0);
}

TEST_CASE("ten thousand services load at once and change one by one; what that costs is told", "[net][root][slow]") {
  if (!test::IsRoot()) return;
  PodNetworkFixture f;
  std::vector<ServicePort> all;
  for (std::uint32_t i = 0; i < 10'000; ++i) {
    std::vector<Endpoint> endpoints;
    for (std::uint32_t e = 0; e < 3; ++e) endpoints.push_back({{0x0a2a0100 + 3 * i + e}, 8080});
    all.push_back(Service(Cat("svc-", i), Protocol::kTcp, {{{0x0a2b0001 + i}, 80}}, endpoints));
  }
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  Result<> loaded, changed;
  f.node.Run([&] {
    loaded = f.network->services().Replace("service", all);
    return Result<>();
  });
  const auto load = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  const auto one = Clock::now();
  for (std::uint32_t i = 0; i < 100; ++i) {
    all[i].endpoints.pop_back();
    f.node.Run([&] {
      if (auto r = f.network->services().Change("service", {all[i]}, {}); !r) changed = std::move(r);
      return Result<>();
    });
  }
  const auto change = std::chrono::duration<double, std::milli>(Clock::now() - one).count() / 100;
  WARN("10 000 services: load " << load << " ms, one change " << change << " ms");
  CHECK(loaded);
  CHECK(changed);
}

}  // namespace skerry::podnet
