#include "embedded-kube-shim/network/request_rates.h"

#include <catch2/catch.hpp>

#include "tests/support/fake_informers.h"

using namespace std::chrono_literals;

namespace skerry::kube::network {
namespace {

const RequestRates::Known& KindOf(std::string_view kind) {
  for (const auto& k : RequestRates::Kinds()) {
    if (k.kind == kind) return k;
  }
  FAIL("no such kind");
  throw 0;
}

TEST_CASE("requests are counted per object and told as a rate, which the first question takes half a second to find") {
  FakeClock clock;
  RequestCounts counts;
  test::FakeCluster cluster;
  cluster.Put("v1/pods", R"({"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"a","name":"web-1"},"status":{"podIP":"10.42.0.7"}})");
  const auto ingress = counts.For("ingress/a/web"), elsewhere = counts.For("ingress/b/web"), address = counts.For("address/10.42.0.7");
  int pauses = 0;
  RequestRates rates(counts, cluster.Get("v1/pods"), clock, [&](std::chrono::milliseconds d) {
    ++pauses;
    ingress->Add(10);
    address->Add(5);
    clock.Advance(d);
  });
  auto values = rates.Values(KindOf("Ingress"), "a");
  REQUIRE(values.size() == 1);
  CHECK(pauses == 1);
  CHECK(values[0].object == Key{"a", "web"});
  CHECK(values[0].milli == 20'000);
  ingress->Add(30);
  clock.Advance(15s);
  values = rates.Values(KindOf("Ingress"), "a");
  REQUIRE(values.size() == 1);
  CHECK(pauses == 1);
  CHECK(values[0].milli == Approx(40'000 / 15.5).epsilon(0.01));

  values = rates.Values(KindOf("Pod"), "a");
  REQUIRE(values.size() == 1);
  CHECK(values[0].object == Key{"a", "web-1"});
  CHECK(values[0].milli == 10'000);
  CHECK(rates.Values(KindOf("Service"), "a").empty());
}

TEST_CASE("a count outlives a new table and goes when nobody counts with it") {
  RequestCounts counts;
  auto held = counts.For("service/a/web");
  held->Add(3);
  counts.For("service/a/gone");
  counts.Prune();
  const auto again = counts.For("service/a/web");
  CHECK(again == held);
  CHECK(counts.Read("service/a/") == std::vector<std::pair<std::string, std::uint64_t>>{{"web", 3}});
}

}  // namespace
}  // namespace skerry::kube::network
