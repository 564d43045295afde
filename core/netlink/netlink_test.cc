#include <catch2/catch.hpp>

#include "core/base/strings.h"
#include "core/netlink/conntrack.h"
#include "core/netlink/netns.h"
#include "core/netlink/nftables.h"
#include "core/netlink/route.h"
#include "core/netlink/ruleset.h"
#include "tests/support/sockets.h"

namespace skerry::netlink {
namespace {

Ipv4 Ip(std::string_view text) { return *Ipv4::Parse(text); }
Ipv4Range Range(std::string_view text) { return *Ipv4Range::Parse(text); }

}  // namespace

TEST_CASE("addresses and ranges parse strictly") {
  CHECK(Ip("10.42.0.255").value == 0x0a2a00ff);
  CHECK(Ip("10.42.0.255").ToString() == "10.42.0.255");
  for (const char* bad : {"", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", "a.b.c.d", "+1.2.3.4", "1..2.3"}) {
    CHECK_FALSE(Ipv4::Parse(bad).has_value());
  }
  CHECK(Range("10.42.0.0/16").Contains(Ip("10.42.255.1")));
  CHECK_FALSE(Range("10.42.0.0/16").Contains(Ip("10.43.0.0")));
  CHECK(Range("0.0.0.0/0").Contains(Ip("255.1.2.3")));
  for (const char* bad : {"10.42.0.1/16", "10.42.0.0", "10.42.0.0/33", "10.42.0.0/", "/8"}) CHECK_FALSE(Ipv4Range::Parse(bad).has_value());
}

TEST_CASE("truncated attributes end the walk") {
  MessageWriter w;
  w.Begin(1, 0, "");
  w.PutU32(5, 7);
  w.PutString(6, "name");
  w.End();
  const std::string attributes = w.bytes().substr(16);
  for (std::size_t cut = 0; cut <= attributes.size(); ++cut) {
    int seen = 0;
    ForEachAttribute(std::string_view(attributes).substr(0, cut), [&](std::uint16_t, std::string_view) { ++seen; });
    CHECK(seen == (cut >= 8 + 9 ? 2 : cut >= 8 ? 1 : 0));
  }
  CHECK(ReadString(FindAttribute(attributes, 6)) == "name");
  CHECK(FindAttribute(attributes, 9).data() == nullptr);
}

TEST_CASE("a veth pair carries packets between two namespaces", "[net][root]") {
  if (!test::IsRoot()) return;
  const test::TestNetns a, b;
  a.Run([&]() -> Result<> {
    TRY(Route route, Route::Open());
    TRY_VOID(route.CreateVeth({"left", MacAddress{0xee, 0xee, 0xee, 0xee, 0xee, 0xee}, -1}, {"right", std::nullopt, b.fd()}, 1400));
    CHECK(route.CreateVeth({"left", std::nullopt, -1}, {"other", std::nullopt, -1}, 0).error().code() == Code::kAlreadyExists);
    TRY(const Link link, route.FindLink("left"));
    CHECK(link.kind == "veth");
    CHECK(link.mtu == 1400);
    CHECK(link.mac[0] == 0xee);
    CHECK_FALSE(link.up);
    TRY_VOID(route.RenameLink(link.index, "west"));
    TRY_VOID(route.SetUp(link.index));
    TRY_VOID(route.AddAddress(link.index, Ip("10.1.0.1"), 32));
    TRY_VOID(route.AddAddress(link.index, Ip("10.1.0.1"), 32));   // present is fine
    TRY_VOID(route.ReplaceRoute({Range("10.1.0.2/32"), link.index, std::nullopt, Ip("10.1.0.1")}));
    TRY(const auto routes, route.ListRoutes());
    CHECK(routes == std::vector<RouteEntry>{{Range("10.1.0.2/32"), link.index, std::nullopt, Ip("10.1.0.1")}});
    return {};
  });
  b.Run([&]() -> Result<> {
    TRY(Route route, Route::Open());
    TRY(const Link link, route.FindLink("right"));
    TRY_VOID(route.SetUp(link.index));
    TRY_VOID(route.AddAddress(link.index, Ip("10.1.0.2"), 32));
    TRY_VOID(route.ReplaceRoute({Range("169.254.1.1/32"), link.index, std::nullopt, std::nullopt}));
    TRY_VOID(route.ReplaceRoute({Range("0.0.0.0/0"), link.index, Ip("169.254.1.1"), std::nullopt}));
    return route.ReplaceNeighbour(link.index, Ip("169.254.1.1"), {0xee, 0xee, 0xee, 0xee, 0xee, 0xee});
  });
  const UniqueFd listener = test::ListenIn(a, SOCK_STREAM, {"10.1.0.1", 80});
  CHECK(test::ConnectFrom(b, SOCK_STREAM, {"10.1.0.1", 80}));
  a.Run([&]() -> Result<> {
    TRY(Route route, Route::Open());
    TRY(const Link link, route.FindLink("west"));
    TRY_VOID(route.DeleteRoute(Range("10.1.0.2/32"), link.index));
    TRY_VOID(route.DeleteRoute(Range("10.1.0.2/32"), link.index));
    TRY_VOID(route.DeleteAddress(link.index, Ip("10.1.0.1"), 32));
    TRY_VOID(route.DeleteAddress(link.index, Ip("10.1.0.1"), 32));
    TRY_VOID(route.DeleteLink("west"));
    TRY_VOID(route.DeleteLink("west"));
    CHECK(route.FindLink("west").error().code() == Code::kNotFound);
    TRY(const auto links, route.ListLinks());
    CHECK(std::none_of(links.begin(), links.end(), [](const Link& l) { return l.kind == "veth"; }));
    return {};
  });
}

TEST_CASE("a namespace is pinned once and removed without a trace", "[net][root]") {
  if (!test::IsRoot()) return;
  const test::TempDirectory directory;
  const std::string path = directory.path() + "/pod";
  REQUIRE(CreateNetns(path).has_value());
  CHECK(CreateNetns(path).error().code() == Code::kAlreadyExists);
  CHECK(OpenNetns(path).has_value());
  CHECK(DeleteNetns(path).has_value());
  CHECK(DeleteNetns(path).has_value());
  CHECK(OpenNetns(path).error().code() == Code::kNotFound);
  CHECK(OpenNetns("/etc/hostname").error().code() == Code::kInvalid);
}

TEST_CASE("a sysctl is that of the namespace entered", "[net][root]") {
  if (!test::IsRoot()) return;
  const test::TestNetns a, b;
  a.Run([] { return WriteSysctl("net/ipv4/ip_forward", "1"); });
  b.Run([] { return WriteSysctl("net/ipv4/ip_forward", "0"); });
  a.Run([]() -> Result<> {
    CHECK(*ReadSysctl("net/ipv4/ip_forward") == "1");
    return {};
  });
}

TEST_CASE("elements of sets, maps and verdict maps are added, listed, replaced and deleted in one transaction", "[net][root]") {
  if (!test::IsRoot()) return;
  const test::TestNetns ns;
  ns.Run([]() -> Result<> {
    TRY_VOID(LoadRuleset("table ip t { set s { type ipv4_addr . inet_proto . inet_service; }; map m { type mark . mark : ipv4_addr . inet_service; };\n"
                         " map v { type mark : verdict; }; chain one { accept; }; chain four { drop; }; }\n"));
    TRY(NftTable table, NftTable::Open("t"));
    using enum NftChange::Kind;
    const std::string key = NftBytes().Address(Ip("10.0.0.1")).Protocol(17).Port(53).Take();
    const std::string slot = NftBytes().Mark(7).Mark(0).Take();
    const std::string to = NftBytes().Address(Ip("10.0.0.9")).Port(8080).Take();
    const std::string other = NftBytes().Address(Ip("10.0.0.10")).Port(8080).Take();
    const std::string seven = NftBytes().Mark(7).Take();
    TRY_VOID(table.Apply({{kAdd, "s", {key, ""}}, {kAdd, "m", {slot, to}}, {kAdd, "v", {seven, NftGoto("one")}}}));
    CHECK(*table.List("s") == std::vector<NftElement>{{key, ""}});
    CHECK(*table.List("m") == std::vector<NftElement>{{slot, to}});
    CHECK(*table.List("v") == std::vector<NftElement>{{seven, NftGoto("one")}});
    // Another value for a key: refused as a plain addition, atomic as delete and add.
    CHECK(table.Apply({{kDelete, "s", {key, ""}}, {kAdd, "m", {slot, other}}}).error().code() == Code::kAlreadyExists);
    CHECK(table.List("s")->size() == 1);
    TRY_VOID(table.Apply({{kDelete, "m", {slot, ""}}, {kDelete, "v", {seven, ""}}, {kAdd, "m", {slot, other}}, {kAdd, "v", {seven, NftGoto("four")}}}));
    CHECK(*table.List("m") == std::vector<NftElement>{{slot, other}});
    CHECK(*table.List("v") == std::vector<NftElement>{{seven, NftGoto("four")}});
    CHECK(table.Apply({{kDelete, "m", {slot, ""}}, {kDelete, "m", {key, ""}}}).error().code() != Code::kUnavailable);
    CHECK(table.List("m")->size() == 1);
    CHECK(table.List("nosuch").error().code() == Code::kNotFound);
    CHECK(LoadRuleset("table ip t { nonsense }").error().code() == Code::kInvalid);
    return {};
  });
  const std::string text = test::RunIn(ns, "nft list table ip t");
  CHECK(text.find("10.0.0.1 . udp . 53") != std::string::npos);
  CHECK(text.find("0x00000007 . 0x00000000 : 10.0.0.10 . 8080") != std::string::npos);
  CHECK(text.find("0x00000007 : goto four") != std::string::npos);
}

TEST_CASE("forty thousand elements load in one transaction and are listed back", "[net][root]") {
  if (!test::IsRoot()) return;
  const test::TestNetns ns;
  ns.Run([]() -> Result<> {
    TRY_VOID(LoadRuleset("table ip t { map m { type mark . mark : ipv4_addr . inet_service; }; }"));
    TRY(NftTable table, NftTable::Open("t"));
    std::vector<NftChange> changes;
    for (std::uint32_t i = 0; i < 40'000; ++i) {
      changes.push_back({NftChange::Kind::kAdd, "m", {NftBytes().Mark(i / 4).Mark(i % 4).Take(), NftBytes().Address({i}).Port(80).Take()}});
    }
    TRY_VOID(table.Apply(changes));
    TRY(const auto listed, table.List("m"));
    CHECK(listed.size() == changes.size());
    return {};
  });
}

TEST_CASE("rules are found by their comment", "[net][root]") {
  if (!test::IsRoot()) return;
  const test::TestNetns ns;
  ns.Run([]() -> Result<> {
    CHECK(*HasChain("filter", "DOCKER-USER") == false);
    CHECK(FindRules("filter", "DOCKER-USER", "mine")->empty());
    TRY_VOID(LoadRuleset("table ip filter { chain DOCKER-USER { counter accept comment \"mine\"; counter accept comment \"theirs\"; accept; }; }"));
    CHECK(*HasChain("filter", "DOCKER-USER") == true);
    CHECK(FindRules("filter", "DOCKER-USER", "mine")->size() == 1);
    return {};
  });
}

TEST_CASE("flows of one protocol are deleted by predicate", "[net][root]") {
  if (!test::IsRoot()) return;
  const test::TestNetns ns;
  ns.Run([]() -> Result<> {
    // A rule that asks for the connection state turns tracking on.
    TRY_VOID(LoadRuleset("table ip t { chain c { type filter hook output priority 0; ct state new accept; }; }"));
    for (const std::uint16_t port : {5000, 5001}) {
      const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(port);
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      ::sendto(fd.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof to);
    }
    const auto first = [](const Flow& f) { return f.destination == Ip("127.0.0.1") && f.destination_port == 5000 && f.reply_source_port == 5000; };
    CHECK(*DeleteFlows(IPPROTO_TCP, first) == 0);
    CHECK(*DeleteFlows(IPPROTO_UDP, first) == 1);
    CHECK(*DeleteFlows(IPPROTO_UDP, first) == 0);
    CHECK(*DeleteFlows(IPPROTO_UDP, [](const Flow&) { return true; }) == 1);
    return {};
  });
}

}  // namespace skerry::netlink
