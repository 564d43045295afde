#include <catch2/catch.hpp>

#include "embedded-kube-shim/admission/pod_security_checks.h"

using namespace skerry;
using namespace skerry::kube::pod_security;

namespace {

std::string Judge(Level level, int minor, std::string_view pod) {
  json::Value value;
  std::string error;
  REQUIRE(json::Value::Parse(pod, &value, &error));
  return Details(Evaluate({level, minor}, value["metadata"], value["spec"]));
}

constexpr std::string_view kHardened =
    R"({"spec":{"securityContext":{"runAsNonRoot":true,"seccompProfile":{"type":"RuntimeDefault"}},"containers":[{"name":"c","securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}})";

}  // namespace

TEST_CASE("a pod without any hardening breaks four rules of the restricted level and none of the baseline", "[podsecurity]") {
  constexpr std::string_view kBare = R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})";
  CHECK(Judge(Level::kPrivileged, LevelVersion::kLatest, kBare).empty());
  CHECK(Judge(Level::kBaseline, LevelVersion::kLatest, kBare).empty());
  CHECK(Judge(Level::kRestricted, LevelVersion::kLatest, kBare) ==
        R"(allowPrivilegeEscalation != false (containers "a", "b" must set securityContext.allowPrivilegeEscalation=false), )"
        R"(unrestricted capabilities (containers "a", "b" must set securityContext.capabilities.drop=["ALL"]), )"
        R"(runAsNonRoot != true (pod or containers "a", "b" must set securityContext.runAsNonRoot=true), )"
        R"(seccompProfile (pod or containers "a", "b" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"))");
  CHECK(Judge(Level::kRestricted, LevelVersion::kLatest, kHardened).empty());
}

TEST_CASE("a check counts from the version on that brought it", "[podsecurity]") {
  constexpr std::string_view kKeepalive = R"({"spec":{"securityContext":{"sysctls":[{"name":"net.ipv4.tcp_keepalive_time"}]}}})";
  CHECK(Judge(Level::kBaseline, 28, kKeepalive) == "forbidden sysctls (net.ipv4.tcp_keepalive_time)");
  CHECK(Judge(Level::kBaseline, 29, kKeepalive).empty());
  constexpr std::string_view kProbe = R"({"spec":{"containers":[{"name":"c","livenessProbe":{"httpGet":{"host":"10.0.0.1"}}}]}})";
  CHECK(Judge(Level::kBaseline, 33, kProbe).empty());
  CHECK(Judge(Level::kBaseline, 34, kProbe) == R"(probe or lifecycle host (container "c" uses probe or lifecycle host "10.0.0.1"))");
  CHECK(Judge(Level::kRestricted, 0, R"({"spec":{"containers":[{"name":"c"}]}})") == R"(runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true))");
}

TEST_CASE("the restricted level says of volumes and capabilities in its own words what the baseline says too", "[podsecurity]") {
  constexpr std::string_view kHostPath = R"({"spec":{"volumes":[{"name":"v0","hostPath":{"path":"/"}},{"name":"v1","nfs":{}}]}})";
  CHECK(Judge(Level::kBaseline, LevelVersion::kLatest, kHostPath) == R"(hostPath volumes (volume "v0"))");
  CHECK(Judge(Level::kRestricted, LevelVersion::kLatest, kHostPath) == R"(restricted volume types (volumes "v0", "v1" use restricted volume types "hostPath", "nfs"))");
}
