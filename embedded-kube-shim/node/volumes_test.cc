#include "embedded-kube-shim/node/volumes.h"

#include <catch2/catch.hpp>

#include "core/base/strings.h"
#include "core/container/fake/fake.h"
#include "tests/support/fake_informers.h"
#include "tests/support/netns.h"

namespace skerry::kube::node {
namespace {

const Ctx kCtx{std::stop_token()};

struct Rig {
  test::FakeCluster cluster;
  container::fake::FakeRuntime runtime;
  test::TempDirectory directory;
  const TokenSource no_tokens = [](const Ctx&, const json::Value&, std::string_view, std::int64_t) -> Result<IssuedToken> { return Fail(Code::kUnsupported, "none"); };

  Result<MountedVolumes> SetUp(std::string_view volume) {
    json::Value pod;
    std::string error;
    REQUIRE(json::Value::Parse(Cat(R"({"metadata":{"name":"p","namespace":"x","uid":"pod-uid"},"spec":{"volumes":[)", volume, "]}}"), &pod, &error));
    const Sources sources{cluster.Get("v1/configmaps"), cluster.Get("v1/secrets"), cluster.Get("v1/services"), nullptr, "192.0.2.1", "", &cluster.Get("v1/persistentvolumeclaims"),
                          &cluster.Get("v1/persistentvolumes")};
    return SetUpVolumes(kCtx, pod, directory.path() + "/pod", sources, no_tokens, runtime.images());
  }
  void Claim(std::string_view name, std::string_view phase, std::string_view owner = "") {
    const std::string owners = owner.empty() ? "" : Cat(R"(,"ownerReferences":[{"uid":")", owner, R"(","controller":true}])");
    cluster.Put("v1/persistentvolumeclaims", Cat(R"({"metadata":{"name":")", name, R"(","namespace":"x","uid":"claim-uid")", owners, R"(},"spec":{"volumeName":"disk"},"status":{"phase":")", phase, R"("}})"));
  }
  void Disk(std::string_view source, std::string_view claim_uid = "claim-uid") {
    cluster.Put("v1/persistentvolumes", Cat(R"({"metadata":{"name":"disk"},"spec":{"claimRef":{"uid":")", claim_uid, R"("},)", source, "}}"));
  }
};
constexpr std::string_view kVolume = R"({"name":"data","persistentVolumeClaim":{"claimName":"c"}})";

TEST_CASE("a claim leads to the path of the volume that is bound to it", "[node]") {
  Rig rig;
  rig.Claim("c", "Bound");
  const std::string path = rig.directory.path() + "/disk";
  rig.Disk(Cat(R"("hostPath":{"path":")", path, R"(","type":"DirectoryOrCreate"})"));
  CHECK(rig.SetUp(kVolume).value().paths.at("data") == path);
  rig.Disk(Cat(R"("local":{"path":")", path, R"("})"));
  CHECK(rig.SetUp(kVolume).value().paths.at("data") == path);
  rig.Disk(Cat(R"("local":{"path":")", path, R"(-not-there"})"));
  CHECK_FALSE(rig.SetUp(kVolume));
  rig.Disk(R"("csi":{"driver":"d"})");
  CHECK(rig.SetUp(kVolume).error().message().find("neither a hostPath nor a local volume") != std::string_view::npos);
}

TEST_CASE("a claim that is absent, unbound or another's is told in words", "[node]") {
  Rig rig;
  const auto said = [&](std::string_view volume) { return std::string(rig.SetUp(volume).error().message()); };
  CHECK(said(kVolume).find("error processing PVC x/c: failed to fetch PVC from API server: persistentvolumeclaims \"c\" not found") != std::string::npos);
  rig.Claim("c", "Pending");
  CHECK(said(kVolume).find("PVC is not bound") != std::string::npos);
  rig.Claim("c", "Bound");
  CHECK(said(kVolume).find("failed to fetch PV disk") != std::string::npos);
  rig.Disk(R"("hostPath":{"path":"/"})", "other-uid");
  CHECK(said(kVolume).find("bound to another claim") != std::string::npos);

  constexpr std::string_view kOwn = R"({"name":"scratch","ephemeral":{"volumeClaimTemplate":{}}})";
  rig.Disk(R"("hostPath":{"path":"/"})");
  rig.Claim("p-scratch", "Bound", "somebody");
  CHECK(said(kOwn).find("PVC was not created for the pod") != std::string::npos);
  rig.Claim("p-scratch", "Bound", "pod-uid");
  CHECK(rig.SetUp(kOwn).value().paths.at("scratch") == "/");
}

}  // namespace
}  // namespace skerry::kube::node
