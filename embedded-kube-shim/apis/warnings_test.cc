#include <catch2/catch.hpp>

#include "embedded-kube-shim/apis/warnings.h"

namespace skerry::kube {
namespace {

json::Value Object(std::string_view text) {
  json::Value out;
  std::string error;
  REQUIRE(json::Value::Parse(text, &out, &error));
  return out;
}

warnings::Texts Of(std::string_view group, std::string_view resource, std::string_view text, const json::Value* old = nullptr, std::string_view subresource = "") {
  ResourceDef def;
  def.group = group;
  def.resource = resource;
  warnings::Texts out;
  warnings::ForBuiltin(def, subresource, Object(text), old, out);
  return out;
}

using Texts = warnings::Texts;

}  // namespace

TEST_CASE("a pod is told of names, ports and values that surprise", "[warnings]") {
  CHECK(Of("", "pods", R"({"metadata":{"name":"a.b"},"spec":{}})") ==
        Texts{"metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]"});
  CHECK(Of("", "pods", R"({"metadata":{"name":"a"},"spec":{"containers":[{"name":"c","ports":[{"containerPort":80,"protocol":"TCP"},{"containerPort":80,"protocol":"TCP","hostPort":8}]}]}})") ==
        Texts{"spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]"});
  CHECK(Of("", "pods", R"({"metadata":{"name":"a"},"spec":{"terminationGracePeriodSeconds":-1,"containers":[{"name":"c","resources":{"limits":{"memory":"1500m"}}}]}})") ==
        Texts{"spec.containers[0].resources.limits[memory]: fractional byte value \"1500m\" is invalid, must be an integer",
              "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"});
}

TEST_CASE("a later environment variable that hides an earlier one is told, one that extends it is not", "[warnings]") {
  CHECK(Of("", "pods", R"({"metadata":{"name":"a"},"spec":{"containers":[{"name":"c","env":[{"name":"A","value":"1"},{"name":"A","value":"$(A)2"}]}]}})").empty());
  CHECK(Of("", "pods", R"({"metadata":{"name":"a"},"spec":{"containers":[{"name":"c","env":[{"name":"A","value":"1"},{"name":"A","value":"2"}]}]}})") ==
        Texts{"spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply"});
}

TEST_CASE("files of a volume that overlap are told", "[warnings]") {
  CHECK(Of("", "pods", R"({"metadata":{"name":"a"},"spec":{"volumes":[{"name":"v","configMap":{"name":"m","items":[{"key":"a","path":"x/"},{"key":"b","path":"x/y"}]}}]}})") ==
        Texts{"volume \"v\" (ConfigMap \"m\"): overlapping paths: \"x/y\" with \"x\""});
}

TEST_CASE("a template is looked at only when the generation moves", "[warnings]") {
  const std::string_view text = R"({"metadata":{"name":"d","generation":2},"spec":{"template":{"spec":{"nodeSelector":{"beta.kubernetes.io/os":"linux"}}}}})";
  const Texts told{"spec.template.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead"};
  CHECK(Of("apps", "deployments", text) == told);
  auto old = Object(text);
  CHECK(Of("apps", "deployments", text, &old).empty());
  old.Set("metadata").Set("generation") = 1;
  CHECK(Of("apps", "deployments", text, &old) == told);
}

TEST_CASE("addresses in old forms are told with the form to use", "[warnings]") {
  CHECK(Of("", "services", R"({"spec":{"type":"LoadBalancer","sessionAffinity":"None","loadBalancerIP":"010.0.0.1","loadBalancerSourceRanges":["10.0.0.1/8","2001:DB8::/32"]}})") ==
        Texts{"spec.loadBalancerIP: non-standard IP address \"010.0.0.1\" is invalid: use \"10.0.0.1\"",
              "spec.loadBalancerSourceRanges[0]: CIDR value \"10.0.0.1/8\" is ambiguous in this context (should be \"10.0.0.0/8\" or \"10.0.0.1/32\"?)",
              "spec.loadBalancerSourceRanges[1]: IPv6 CIDR value \"2001:DB8::/32\" should be in RFC 5952 canonical format (\"2001:db8::/32\")"});
}

TEST_CASE("a TLS secret whose parts do not fit is told so", "[warnings]") {
  CHECK(Of("", "secrets", R"({"type":"kubernetes.io/tls","data":{"tls.crt":"eA==","tls.key":"eA=="}})") == Texts{"tls: failed to find any PEM data in certificate input"});
  CHECK(Of("", "secrets", R"({"type":"Opaque","data":{"tls.crt":"eA=="}})").empty());
}

}  // namespace skerry::kube
