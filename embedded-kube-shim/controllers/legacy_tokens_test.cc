#include <catch2/catch.hpp>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/legacy_tokens.h"
#include "tests/support/fake_informers.h"

namespace skerry::kube {
namespace {

using std::chrono::hours;

struct Quiet final : EventRecorder {
  void Event(const json::Value&, std::string_view, std::string_view, std::string, std::string_view) override {}
};

struct Years {
  Years() {
    const ControllerContext context{*manager, cluster, [this](std::string_view) -> Client& { return cluster; }, [this](std::string_view) -> EventRecorder& { return events; },
                                    clock, *registry, "", {}};
    Tracking("2020-01-01");
    cluster.Put("v1/serviceaccounts", R"({"metadata":{"name":"a","namespace":"x","uid":"account"},"secrets":[{"name":"old"},{"name":"used"},{"name":"mounted"},{"name":"young"}]})");
    AddLegacyTokens(context);
    Must(manager->Start(Ctx(std::stop_token())).has_value());
  }
  ~Years() { manager->Stop(); }
  static void Must(bool good) { REQUIRE(good); }
  void Tracking(const char* since) {
    cluster.Put("v1/configmaps", Cat(R"({"metadata":{"name":"kube-apiserver-legacy-service-account-token-tracking","namespace":"kube-system"},"data":{"since":")", since, R"("}})"));
  }
  void Token(const char* name, const char* created, const char* labels = "{}") {
    cluster.Put("v1/secrets", Cat(R"({"type":"kubernetes.io/service-account-token","metadata":{"name":")", name, R"(","namespace":"x","uid":"u","creationTimestamp":")", created, R"(","labels":)", labels,
                                  R"(,"annotations":{"kubernetes.io/service-account.name":"a","kubernetes.io/service-account.uid":"account"}}})"));
  }
  void Pass(hours time) {
    for (; time.count() > 0; time -= hours(24)) {
      clock.Advance(hours(24));
      manager->RunDue();
    }
  }
  std::string InvalidSince(const char* name) {
    const ObjectPtr secret = cluster.Get("v1/secrets").Get({"x", name});
    return secret ? std::string((*secret)["metadata"]["labels"]["kubernetes.io/legacy-token-invalid-since"].Str()) : "gone";
  }

  FakeClock clock;                                     // 2023-11-14T22:13:20Z
  test::FakeCluster cluster;
  Quiet events;
  std::unique_ptr<Registry> registry = NewRegistry();
  std::unique_ptr<Manager> manager = NewManager(cluster, clock, {.threads = 0});
};

}  // namespace

TEST_CASE("a token made for an account that nobody used for a year is marked, and a year later it is deleted", "[controllers][tokens]") {
  Years y;
  y.Token("old", "2021-01-01T00:00:00Z");
  y.Token("used", "2021-01-01T00:00:00Z", R"({"kubernetes.io/legacy-token-last-used":"2023-11-01"})");
  y.Token("mounted", "2021-01-01T00:00:00Z");
  y.Token("young", "2023-06-01T00:00:00Z");
  y.Token("by-hand", "2021-01-01T00:00:00Z");          // the account does not list it
  y.cluster.Put("v1/pods", R"({"metadata":{"name":"p","namespace":"x"},"spec":{"volumes":[{"name":"v","projected":{"sources":[{"secret":{"name":"mounted"}}]}}]}})");
  y.manager->RunDue();
  CHECK(y.InvalidSince("old") == "2023-11-14");
  for (const char* kept : {"used", "mounted", "young", "by-hand"}) CHECK(y.InvalidSince(kept).empty());
  y.Pass(hours(24 * 200));
  CHECK(y.InvalidSince("old") == "2023-11-14");
  CHECK_FALSE(y.InvalidSince("young").empty());        // a year old by now
  y.Pass(hours(24 * 170));
  CHECK(y.InvalidSince("old") == "gone");
  CHECK(y.InvalidSince("young") != "gone");
  CHECK(y.InvalidSince("used") != "");
  CHECK(y.InvalidSince("mounted").empty());
  CHECK(y.InvalidSince("by-hand").empty());
}

TEST_CASE("as long as uses were not recorded for a year, no token is unused", "[controllers][tokens]") {
  Years y;
  y.Tracking("2023-10-01");
  y.Token("old", "2021-01-01T00:00:00Z");
  y.manager->RunDue();
  y.Pass(hours(24 * 300));
  CHECK(y.InvalidSince("old").empty());
  y.Pass(hours(24 * 60));
  CHECK_FALSE(y.InvalidSince("old").empty());
}

}  // namespace skerry::kube
