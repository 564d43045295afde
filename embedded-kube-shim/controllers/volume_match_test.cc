#include <catch2/catch.hpp>

#include "embedded-kube-shim/controllers/volume_match.h"

namespace skerry::kube {
namespace {

json::Value Parse(std::string_view text) {
  json::Value v;
  std::string error;
  REQUIRE(json::Value::Parse(text, &v, &error));
  return v;
}
ObjectPtr Volume(std::string name, std::string size, std::string more = "") {
  return std::make_shared<const json::Value>(Parse(R"({"metadata":{"name":")" + name + R"(","labels":{"tier":")" + name + R"("}},"spec":{"capacity":{"storage":")" + size +
                                                   R"("},"accessModes":["ReadWriteOnce"],"storageClassName":"fast")" + more + R"(},"status":{"phase":"Available"}})"));
}
json::Value Claim(std::string size, std::string more = "") {
  return Parse(R"({"metadata":{"name":"c","namespace":"x","uid":"u"},"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":"fast","resources":{"requests":{"storage":")" + size +
               R"("}})" + more + "}}");
}

}  // namespace

TEST_CASE("the smallest volume that fits is taken unless one is reserved", "[controllers]") {
  std::vector<ObjectPtr> volumes{Volume("big", "10Gi"), Volume("small", "1Gi"), Volume("middle", "3Gi")};
  CHECK(Name(*FindVolume(volumes, Claim("2Gi"), nullptr, false)) == "middle");
  CHECK(Name(*FindVolume(volumes, Claim("2Gi"), nullptr, false, {"middle"})) == "big");
  CHECK_FALSE(FindVolume(volumes, Claim("20Gi"), nullptr, false));
  CHECK_FALSE(FindVolume(volumes, Claim("2Gi"), nullptr, true));
  CHECK(Name(*FindVolume(volumes, Claim("1Gi", R"(,"selector":{"matchLabels":{"tier":"big"}})"), nullptr, false)) == "big");
  volumes.push_back(Volume("reserved", "9Gi", R"(,"claimRef":{"namespace":"x","name":"c"})"));
  CHECK(Name(*FindVolume(volumes, Claim("2Gi"), nullptr, true)) == "reserved");
  volumes.push_back(Volume("others", "2Gi", R"(,"claimRef":{"namespace":"x","name":"d"})"));
  volumes.erase(volumes.end() - 2);
  CHECK(Name(*FindVolume(volumes, Claim("2Gi"), nullptr, false)) == "middle");
}

TEST_CASE("a volume is refused for its size, class, mode or access", "[controllers]") {
  CHECK(Mismatch(*Volume("v", "1Gi"), Claim("2Gi")) == "requested PV is too small");
  CHECK(Mismatch(*Volume("v", "1Gi"), Parse(R"({"metadata":{},"spec":{"storageClassName":""}})")) == "storageClassName does not match");
  CHECK(Mismatch(*Volume("v", "1Gi"), Claim("1Gi", R"(,"volumeMode":"Block")")) == "incompatible volumeMode");
  json::Value many = Claim("1Gi");
  many.Set("spec").Set("accessModes").Append("ReadWriteMany");
  CHECK(Mismatch(*Volume("v", "1Gi"), many) == "incompatible accessMode");
  CHECK(Mismatch(*Volume("v", "1Gi"), Claim("1Gi")).empty());
}

TEST_CASE("a volume tied to other nodes is left out", "[controllers]") {
  const std::vector<ObjectPtr> volumes{
      Volume("v", "1Gi", R"(,"nodeAffinity":{"required":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"host","operator":"In","values":["a"]}]}]}})")};
  const json::Value here = Parse(R"({"metadata":{"name":"a","labels":{"host":"a"}}})"), there = Parse(R"({"metadata":{"name":"b","labels":{"host":"b"}}})");
  CHECK(FindVolume(volumes, Claim("1Gi"), &here, false));
  CHECK_FALSE(FindVolume(volumes, Claim("1Gi"), &there, false));
}

TEST_CASE("a binding made here is marked and one that a user made is not", "[controllers]") {
  const json::Value fresh = BoundVolume(*Volume("v", "1Gi"), Claim("1Gi"));
  CHECK(fresh["spec"]["claimRef"]["uid"].Str() == "u");
  CHECK(Meta(fresh)["annotations"][kBoundByController].Str() == "yes");
  const json::Value wished = BoundVolume(*Volume("v", "1Gi", R"(,"claimRef":{"namespace":"x","name":"c"})"), Claim("1Gi"));
  CHECK(wished["spec"]["claimRef"]["uid"].Str() == "u");
  CHECK(Meta(wished)["annotations"].is_null());
}

}  // namespace skerry::kube
