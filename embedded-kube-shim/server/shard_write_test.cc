#include <catch2/catch.hpp>

#include <future>

#include "core/base/strings.h"
#include "core/net/shard.h"
#include "tests/support/api_fixture.h"

using namespace skerry;
using skerry::testing::Api;

namespace {

// A request as its connection's shard treats it.
struct Asked {
  bool runs_on_shard = false, answered_on_shard = false;
  int status = 0;
};

Asked Ask(Api& api, net::Shard& shard, std::string_view target, std::string body, std::string_view method = "POST") {
  const auto request = api.Request(method, target, std::move(body), {{"Content-Type", method == "PATCH" ? "application/merge-patch+json" : "application/json"}}, Api::As::kAdmin);
  std::promise<Asked> answered;
  shard.Post([&] {
    Asked asked;
    asked.runs_on_shard = api.server().RunsOnShard(shard, *request);
    if (!asked.runs_on_shard) return answered.set_value(asked);
    api.server().handler().OnWorker(Ctx(std::stop_token()), request, [&, asked](http::Reply reply) mutable {
      asked.answered_on_shard = shard.IsCurrent();
      if (const auto* response = std::get_if<http::Response>(&reply)) asked.status = response->status;
      answered.set_value(asked);
    });
  });
  return answered.get_future().get();
}

std::string ConfigMap(std::string_view name, std::size_t size) {
  return Cat(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":")", name, R"("},"data":{"v":")", std::string(size, 'x'), R"("}})");
}

}  // namespace

TEST_CASE("a small create of a simple kind begins and ends on its shard", "[engine]") {
  net::Shards shards(1);
  Api api;
  constexpr std::string_view kMaps = "/api/v1/namespaces/default/configmaps";
  const auto small = Ask(api, shards.at(0), kMaps, ConfigMap("a", 100));
  CHECK(small.runs_on_shard);
  CHECK(small.answered_on_shard);
  CHECK(small.status == 201);
  CHECK(Ask(api, shards.at(0), kMaps, ConfigMap("a", 100)).status == 409);
  CHECK(api.Call("GET", Cat(kMaps, "/a"), "").status == 200);
  CHECK_FALSE(Ask(api, shards.at(0), kMaps, ConfigMap("b", 10'000)).runs_on_shard);
  CHECK_FALSE(Ask(api, shards.at(0), "/apis/apps/v1/namespaces/default/deployments", "{}").runs_on_shard);
  CHECK_FALSE(Ask(api, shards.at(0), "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "{}").runs_on_shard);
  CHECK_FALSE(Ask(api, shards.at(0), "/api/v1/namespaces/default/serviceaccounts/default/token", "{}").runs_on_shard);
  CHECK_FALSE(Ask(api, shards.at(0), "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "{}").runs_on_shard);
}

TEST_CASE("where a webhook or a policy has a say no write begins on a shard", "[engine]") {
  net::Shards shards(1);
  Api api;
  REQUIRE(Ask(api, shards.at(0), "/api/v1/namespaces/default/configmaps", ConfigMap("a", 100)).runs_on_shard);
  REQUIRE(api.Call("POST", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
                   R"({"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingWebhookConfiguration","metadata":{"name":"w"}})").status == 201);
  CHECK_FALSE(Ask(api, shards.at(0), "/api/v1/namespaces/default/configmaps", ConfigMap("b", 100)).runs_on_shard);
}

TEST_CASE("a small change of a small workload begins and ends on its shard", "[engine]") {
  net::Shards shards(1);
  Api api;
  constexpr std::string_view kDeployments = "/apis/apps/v1/namespaces/default/deployments";
  const auto deployment = [](std::string_view name, std::size_t size) {
    return Cat(R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":")", name, R"(","annotations":{"a":")", std::string(size, 'x'),
               R"("}},"spec":{"selector":{"matchLabels":{"app":"a"}},"template":{"metadata":{"labels":{"app":"a"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})");
  };
  REQUIRE(api.Call("POST", kDeployments, deployment("small", 10)).status == 201);
  REQUIRE(api.Call("POST", kDeployments, deployment("large", 20'000)).status == 201);
  const auto patched = Ask(api, shards.at(0), Cat(kDeployments, "/small"), R"({"metadata":{"labels":{"a":"b"}}})", "PATCH");
  CHECK(patched.runs_on_shard);
  CHECK(patched.answered_on_shard);
  CHECK(patched.status == 200);
  CHECK(Ask(api, shards.at(0), Cat(kDeployments, "/small"), deployment("small", 20), "PUT").status == 200);
  CHECK_FALSE(Ask(api, shards.at(0), Cat(kDeployments, "/large"), R"({"metadata":{"labels":{"a":"b"}}})", "PATCH").runs_on_shard);
  CHECK_FALSE(Ask(api, shards.at(0), Cat(kDeployments, "/none"), R"({"metadata":{"labels":{"a":"b"}}})", "PATCH").runs_on_shard);
  CHECK_FALSE(Ask(api, shards.at(0), Cat(kDeployments, "/small/scale"), R"({"spec":{"replicas":2}})", "PATCH").runs_on_shard);
}
