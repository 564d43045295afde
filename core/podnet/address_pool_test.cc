#include <catch2/catch.hpp>
#include <set>

#include "core/base/files.h"
#include "core/podnet/address_pool.h"
#include "tests/support/netns.h"

namespace skerry::podnet {
namespace {
const netlink::Ipv4Range kRange = *netlink::Ipv4Range::Parse("10.42.0.0/29");
const std::vector<HostPort> kPorts = {{Protocol::kUdp, 53, 5353, *netlink::Ipv4::Parse("127.0.0.1")}, {Protocol::kTcp, 80, 8080, {}}};
}  // namespace

TEST_CASE("a pool gives each id one address, keeps it, and reuses freed ones last") {
  const test::TempDirectory directory;
  const std::string path = directory.path() + "/addresses";
  auto pool = AddressPool::Open(path, kRange, "boot");
  REQUIRE(pool);
  CHECK(pool->Acquire("a", {})->address.ToString() == "10.42.0.1");
  CHECK(pool->Acquire("b", {})->address.ToString() == "10.42.0.2");
  CHECK(pool->Acquire("a", {})->address.ToString() == "10.42.0.1");
  CHECK(pool->Release("a"));
  CHECK(pool->Release("a"));
  for (const char* next : {"10.42.0.3", "10.42.0.4", "10.42.0.5", "10.42.0.6", "10.42.0.1"}) {
    CHECK(pool->Acquire(std::string("c") + next, {})->address.ToString() == next);
  }
  CHECK(pool->Acquire("full", {}).error().code() == Code::kUnavailable);
  CHECK(pool->Acquire("b", {})->address.ToString() == "10.42.0.2");
  CHECK(pool->Acquire("a b", {}).error().code() == Code::kInvalid);
  CHECK(pool->Acquire("", {}).error().code() == Code::kInvalid);
}

TEST_CASE("a host port belongs to one lease until it is released; different protocols and addresses do not clash") {
  const test::TempDirectory directory;
  auto pool = AddressPool::Open(directory.path() + "/addresses", kRange, "boot");
  REQUIRE(pool);
  REQUIRE(pool->Acquire("a", kPorts));
  const auto taken = pool->Acquire("b", {{Protocol::kTcp, 80, 9090, *netlink::Ipv4::Parse("192.0.2.1")}});
  REQUIRE(!taken);
  CHECK(taken.error().code() == Code::kConflict);
  CHECK(taken.error().message() == "host port 80/tcp is taken by sandbox a");
  CHECK(pool->Acquire("b", {{Protocol::kUdp, 80, 80, {}}, {Protocol::kUdp, 53, 53, *netlink::Ipv4::Parse("192.0.2.1")}}));
  CHECK(pool->Acquire("a", kPorts));
  CHECK(pool->Release("a"));
  CHECK(pool->Acquire("c", kPorts));
}

TEST_CASE("leases survive a new process of the same boot and end with the boot") {
  const test::TempDirectory directory;
  const std::string path = directory.path() + "/addresses";
  Lease a;
  {
    auto pool = AddressPool::Open(path, kRange, "boot-1");
    REQUIRE(pool);
    a = *pool->Acquire("a", kPorts);
    CHECK(pool->Acquire("b", {}));
    CHECK(pool->Release("b"));
  }
  {
    auto pool = AddressPool::Open(path, kRange, "boot-1");
    REQUIRE(pool);
    CHECK(pool->leases() == std::map<std::string, Lease>{{"a", a}});
    CHECK(pool->leases().at("a").host_ports == kPorts);
  }
  auto pool = AddressPool::Open(path, kRange, "boot-2");
  REQUIRE(pool);
  CHECK(pool->leases().empty());
}

TEST_CASE("a pool file cut at any byte opens with the leases of its whole lines") {
  const test::TempDirectory directory;
  const std::string path = directory.path() + "/addresses";
  {
    auto pool = AddressPool::Open(path, kRange, "boot");
    REQUIRE(pool);
    for (const char* id : {"a", "b", "c"}) REQUIRE(pool->Acquire(id, {{Protocol::kTcp, static_cast<std::uint16_t>(id[0]), 8080, {}}}));
    REQUIRE(pool->Release("b"));
  }
  const std::string text = *ReadFile(path);
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    REQUIRE(WriteFileDurably(path, text.substr(0, cut)));
    auto pool = AddressPool::Open(path, kRange, "boot");
    REQUIRE(pool);
    std::size_t lines = 0;
    for (const char c : text.substr(0, cut)) lines += c == '\n';
    const std::size_t expected[] = {0, 0, 1, 2, 3, 2};
    CHECK(pool->leases().size() == expected[lines]);
    CHECK(pool->Acquire("fresh", {}));
  }
  REQUIRE(WriteFileDurably(path, "skerry-podnet 1 boot\n+ 10.42.0.1\n"));
  CHECK(AddressPool::Open(path, kRange, "boot").error().code() == Code::kCorruption);
}

TEST_CASE("the pool file stays small over many leases") {
  const test::TempDirectory directory;
  const std::string path = directory.path() + "/addresses";
  auto pool = AddressPool::Open(path, kRange, "boot");
  REQUIRE(pool);
  REQUIRE(pool->Acquire("stays", {}));
  for (int i = 0; i < 3000; ++i) {
    REQUIRE(pool->Acquire("comes-and-goes", {}));
    REQUIRE(pool->Release("comes-and-goes"));
  }
  CHECK(ReadFile(path)->size() < 60'000);
  auto again = AddressPool::Open(path, kRange, "boot");
  REQUIRE(again);
  CHECK(again->leases() == pool->leases());
}

}  // namespace skerry::podnet
