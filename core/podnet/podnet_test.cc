#include <catch2/catch.hpp>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/netlink/nftables.h"
#include "core/netlink/route.h"
#include "core/netlink/ruleset.h"
#include "core/podnet/podnet.h"
#include "tests/support/pod_network.h"

namespace skerry::podnet {
using test::ConnectFrom;
using test::ListenIn;
using test::PodNetworkFixture;

TEST_CASE("pods reach each other and the host, with their own addresses, and the outside with the node's", "[net][root]") {
  if (!test::IsRoot()) return;
  PodNetworkFixture f;
  const auto a = f.AddPod("pod-a"), b = f.AddPod("pod-b");
  test::Endpoint peer;
  const UniqueFd on_b = ListenIn(b->ns, SOCK_STREAM, {"0.0.0.0", 8080});
  UniqueFd c = ConnectFrom(a->ns, SOCK_STREAM, {b->address, 8080});
  CHECK(c);
  CHECK(test::Accept(on_b.get(), &peer));
  CHECK(peer.address == a->address);
  c = ConnectFrom(f.node, SOCK_STREAM, {b->address, 8080});
  CHECK(c);
  CHECK(test::Accept(on_b.get(), &peer));
  CHECK(peer.address == f.kNodeAddress);
  const UniqueFd on_host = ListenIn(f.node, SOCK_STREAM, {"0.0.0.0", 9000});
  c = ConnectFrom(a->ns, SOCK_STREAM, {f.kNodeAddress, 9000});
  CHECK(c);
  CHECK(test::Accept(on_host.get(), &peer));
  CHECK(peer.address == a->address);
  const UniqueFd outside = ListenIn(f.outside, SOCK_STREAM, {"0.0.0.0", 9001});
  c = ConnectFrom(a->ns, SOCK_STREAM, {f.kOutsideAddress, 9001});
  CHECK(c);
  CHECK(test::Accept(outside.get(), &peer));
  CHECK(peer.address == f.kNodeAddress);
  // Loopback inside the pod is up.
  const UniqueFd own = ListenIn(a->ns, SOCK_STREAM, {"127.0.0.1", 7000});
  CHECK(ConnectFrom(a->ns, SOCK_STREAM, {"127.0.0.1", 7000}));
}

TEST_CASE("a pod cannot use another's address nor reach the host's loopback", "[net][root]") {
  if (!test::IsRoot()) return;
  PodNetworkFixture f;
  const auto a = f.AddPod("pod-a"), b = f.AddPod("pod-b");
  a->ns.Run([&]() -> Result<> {
    TRY(netlink::Route route, netlink::Route::Open());
    TRY(const auto link, route.FindLink("eth0"));
    TRY_VOID(route.AddAddress(link.index, *netlink::Ipv4::Parse("10.42.0.77"), 32));
    TRY_VOID(netlink::WriteSysctl("net/ipv4/conf/all/route_localnet", "1"));
    return route.ReplaceRoute({*netlink::Ipv4Range::Parse("127.9.9.9/32"), link.index, netlink::Ipv4::Parse("169.254.1.1").value(), std::nullopt});
  });
  const UniqueFd sink = ListenIn(b->ns, SOCK_DGRAM, {"0.0.0.0", 5000});
  const test::Endpoint spoofed{"10.42.0.77", 0}, honest{a->address, 0};
  UniqueFd s = ConnectFrom(a->ns, SOCK_DGRAM, {b->address, 5000}, nullptr, &spoofed);
  CHECK(test::SendText(s.get(), "spoofed"));
  s = ConnectFrom(a->ns, SOCK_DGRAM, {b->address, 5000}, nullptr, &honest);
  CHECK(test::SendText(s.get(), "honest"));
  CHECK(test::ReceiveText(sink.get()) == "honest");
  const UniqueFd secret = ListenIn(f.node, SOCK_DGRAM, {"127.9.9.9", 5001});
  s = ConnectFrom(a->ns, SOCK_DGRAM, {"127.9.9.9", 5001}, nullptr, &honest);
  CHECK(test::SendText(s.get(), "to the loopback"));
  CHECK(test::ReceiveText(secret.get(), nullptr, 100).empty());
}

TEST_CASE("attach is idempotent, survives a new process, and repairs what was cut short", "[net][root]") {
  if (!test::IsRoot()) return;
  PodNetworkFixture f;
  const auto a = f.AddPod("pod-a");
  const UniqueFd listener = ListenIn(a->ns, SOCK_STREAM, {"0.0.0.0", 80});
  const UniqueFd before = ConnectFrom(f.node, SOCK_STREAM, {a->address, 80});
  const UniqueFd served = test::Accept(listener.get());
  f.Reopen();
  f.node.Run([&]() -> Result<> {
    TRY(const auto again, f.network->Attach("pod-a", a->ns.path(), {}));
    CHECK(again.address.ToString() == a->address);
    return {};
  });
  CHECK(test::SendText(before.get(), "still here"));
  CHECK(test::ReceiveText(served.get()) == "still here");
  // A crash between link and addresses: the host end is there, the pod's is not set up.
  f.node.Run([&]() -> Result<> {
    TRY(netlink::Route route, netlink::Route::Open());
    TRY_VOID(route.DeleteLink(f.network->List().at(0).link));
    TRY_VOID(route.CreateVeth({f.network->List().at(0).link, std::nullopt, -1}, {"eth0", std::nullopt, a->ns.fd()}, 0));
    TRY(const auto again, f.network->Attach("pod-a", a->ns.path(), {}));
    CHECK(again.address.ToString() == a->address);
    return {};
  });
  CHECK(ConnectFrom(f.node, SOCK_STREAM, {a->address, 80}));
}

TEST_CASE("host ports open with the pod, by protocol and host address, and close with it", "[net][root]") {
  if (!test::IsRoot()) return;
  PodNetworkFixture f;
  const auto loopback = *netlink::Ipv4::Parse("127.0.0.1");
  const auto a = f.AddPod("pod-a", {{Protocol::kTcp, 8080, 80, loopback}});
  const auto b = f.AddPod("pod-b", {{Protocol::kTcp, 8080, 80, *netlink::Ipv4::Parse(f.kNodeAddress)}});
  const auto c = f.AddPod("pod-c", {{Protocol::kUdp, 8080, 80, {}}});
  const UniqueFd on_a = ListenIn(a->ns, SOCK_STREAM, {"0.0.0.0", 80}), on_b = ListenIn(b->ns, SOCK_STREAM, {"0.0.0.0", 80});
  const UniqueFd on_c = ListenIn(c->ns, SOCK_DGRAM, {"0.0.0.0", 80});
  const test::Endpoint from_node{f.kNodeAddress, 0};
  UniqueFd s = ConnectFrom(f.node, SOCK_STREAM, {"127.0.0.1", 8080});
  CHECK(s);
  CHECK(test::Accept(on_a.get()));
  s = ConnectFrom(f.node, SOCK_STREAM, {"127.0.0.1", 8080}, nullptr, &from_node);
  CHECK(s);
  CHECK(test::Accept(on_a.get()));
  s = ConnectFrom(f.outside, SOCK_STREAM, {f.kNodeAddress, 8080});
  CHECK(s);
  CHECK(test::Accept(on_b.get()));
  s = ConnectFrom(f.outside, SOCK_DGRAM, {f.kNodeAddress, 8080});
  CHECK(test::SendText(s.get(), "one"));
  CHECK(test::ReceiveText(on_c.get()) == "one");
  f.Reopen();
  s = ConnectFrom(f.node, SOCK_STREAM, {"127.0.0.1", 8080});
  CHECK(s);
  CHECK(test::Accept(on_a.get()));
  f.node.Run([&] { return f.network->Detach("pod-a"); });
  int error = 0;
  CHECK_FALSE(ConnectFrom(f.node, SOCK_STREAM, {"127.0.0.1", 8080}, &error));
  CHECK(error == ECONNREFUSED);
}

TEST_CASE("Docker's chain lets pods pass once it is there", "[net][root]") {
  if (!test::IsRoot()) return;
  PodNetworkFixture f;
  const auto a = f.AddPod("pod-a"), b = f.AddPod("pod-b");
  const UniqueFd on_b = ListenIn(b->ns, SOCK_STREAM, {"0.0.0.0", 80});
  f.node.Run([&]() -> Result<> {
    TRY_VOID(netlink::LoadRuleset("table ip filter { chain DOCKER-USER { counter return; }\n"
                                  "chain FORWARD { type filter hook forward priority 0; policy drop; jump DOCKER-USER; }; }"));
    return {};
  });
  CHECK_FALSE(ConnectFrom(a->ns, SOCK_STREAM, {b->address, 80}, nullptr, nullptr, 100));
  f.node.Run([&]() -> Result<> {
    TRY_VOID(f.network->AcceptForwarding());
    TRY_VOID(f.network->AcceptForwarding());
    CHECK(netlink::FindRules("filter", "DOCKER-USER", "skerry")->size() == 2);
    return {};
  });
  CHECK(ConnectFrom(a->ns, SOCK_STREAM, {b->address, 80}));
  f.node.Run([&]() -> Result<> {
    TRY_VOID(PodNetwork::Uninstall(f.options));
    CHECK(netlink::FindRules("filter", "DOCKER-USER", "skerry")->empty());
    return {};
  });
}

TEST_CASE("uninstall leaves links, routes, rules, addresses, settings and files as they were", "[net][root]") {
  if (!test::IsRoot()) return;
  PodNetworkFixture f(PodNetworkFixture::Start::kNot);
  // Names only: the carrier of the fixture's own link may come up in between.
  const auto look = [&f] {
    std::string out;
    const std::string links = test::RunIn(f.node, "ip -br link");
    for (const std::string_view line : Split(links, '\n')) out += Cat(line.substr(0, line.find_first_of(" @")), "\n");
    for (const char* command : {"ip -o -4 addr show dev lo", "ip -4 route show table all", "nft list ruleset", "cat /proc/sys/net/ipv4/ip_forward"}) out += test::RunIn(f.node, command);
    for (std::size_t at = out.find(" linkdown"); at != std::string::npos; at = out.find(" linkdown")) out.erase(at, 9);   // says the same of it
    return out + test::RunText("ls " + f.options.state_directory);
  };
  f.node.Run([] { return netlink::WriteSysctl("net/ipv4/ip_forward", "0"); });
  const std::string before = look();
  f.Reopen();
  const auto a = f.AddPod("pod-a", {{Protocol::kTcp, 8080, 80, {}}}), b = f.AddPod("pod-b");
  f.node.Run([&]() -> Result<> {
    TRY_VOID(f.network->AddLocalAddress(*netlink::Ipv4::Parse("10.43.0.10")));
    return f.network->Detach("pod-b");
  });
  f.Reopen();   // a second start must not take "1" for the setting to restore
  CHECK(look() != before);
  f.network.reset();
  f.node.Run([&] { return PodNetwork::Uninstall(f.options); });
  CHECK(look() == before);
  f.node.Run([&] { return PodNetwork::Uninstall(f.options); });
}

TEST_CASE("sandboxes that the runtime no longer knows are detached", "[net][root]") {
  if (!test::IsRoot()) return;
  PodNetworkFixture f;
  const auto a = f.AddPod("pod-a"), b = f.AddPod("pod-b");
  f.node.Run([&]() -> Result<> {
    TRY_VOID(f.network->RetainOnly({"pod-b"}));
    REQUIRE(f.network->List().size() == 1);
    CHECK(f.network->List()[0].sandbox == "pod-b");
    TRY(netlink::Route route, netlink::Route::Open());
    TRY(const auto links, route.ListLinks());
    CHECK(std::count_if(links.begin(), links.end(), [](const auto& l) { return l.name.starts_with("skv"); }) == 1);
    return {};
  });
}

}  // namespace skerry::podnet
