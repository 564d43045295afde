#include <catch2/catch.hpp>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/controllers/policy_status.h"

namespace skerry::kube {
namespace {

json::Value WarningsFor(std::string_view spec) {
  const auto registry = NewRegistry();
  RegisterBuiltins(*registry);
  json::Value policy;
  REQUIRE(json::Value::Parse(Cat(R"({"spec":)", spec, "}"), &policy, nullptr));
  return ExpressionWarnings(*registry, policy);
}

constexpr std::string_view kDeployments = R"("matchConstraints":{"resourceRules":[{"apiGroups":["apps"],"apiVersions":["v1"],"operations":["CREATE"],"resources":["deployments"]}]})";

}  // namespace

TEST_CASE("an expression that cannot be right for a matched type is warned of with its place", "[controllers][cel]") {
  const auto warnings = WarningsFor(Cat("{", kDeployments, R"(,"validations":[{"expression":"object.spec.replicas > 1"},
    {"expression":"object.spec.replicas > '1'","messageExpression":"'wants replicas > 1, got ' + object.spec.replicas"}]})"));
  REQUIRE(warnings.size() == 2);
  CHECK(warnings.Items()[0]["fieldRef"].Str() == "spec.validations[1].expression");
  CHECK(warnings.Items()[0]["warning"].Str() ==
        "apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload for '_>_' applied to '(int, string)'\n | object.spec.replicas > '1'\n | .....................^\n");
  CHECK(warnings.Items()[1]["fieldRef"].Str() == "spec.validations[1].messageExpression");
  CHECK_THAT(std::string(warnings.Items()[1]["warning"].Str()), Catch::Contains("found no matching overload for '_+_' applied to '(string, int)'"));
}

TEST_CASE("fields of built-in types are known to the bottom", "[controllers][cel]") {
  const std::string variables = R"(,"variables":[{"name":"pod","expression":"object.spec.template.spec"}],"validations":[)";
  const std::string right = R"x({"expression":"variables.pod.containers.all(c, c.image.startsWith('x') && !has(c.securityContext.privileged))"},
    {"expression":"object.metadata.labels['a'] == 'b' && object.metadata.creationTimestamp < timestamp('2030-01-01T00:00:00Z')"},
    {"expression":"object.spec.template.spec.containers[0].livenessProbe.httpGet.port == 80 || oldObject == null"},
    {"expression":"request.userInfo.username != '' && namespaceObject.metadata.name != '' && authorizer.group('').resource('pods').check('get').allowed()"}]})x";
  const auto none = WarningsFor(Cat("{", kDeployments, variables, right));
  INFO(none.Dump());
  CHECK(none.size() == 0);
  const std::string wrong = R"({"expression":"variables.pod.contaners.size() > 0"},{"expression":"object.spec.template.metadata.labels.size() == 'x'"}]})";
  const auto warnings = WarningsFor(Cat("{", kDeployments, variables, wrong));
  REQUIRE(warnings.size() == 2);
  CHECK_THAT(std::string(warnings.Items()[0]["warning"].Str()), Catch::Contains("undefined field 'contaners'"));
}

TEST_CASE("every named kind is checked in order, wildcards and subresources are not", "[controllers][cel]") {
  const auto warnings = WarningsFor(R"({"matchConstraints":{"resourceRules":[{"apiGroups":["*"],"apiVersions":["v1"],"resources":["nodes"]},
    {"apiGroups":["apps",""],"apiVersions":["v1"],"resources":["replicasets","pods","pods/status","*","nothing"]}]},"validations":[{"expression":"object.spec.nope"}]})");
  REQUIRE(warnings.size() == 1);
  const std::string text(warnings.Items()[0]["warning"].Str());
  CHECK_THAT(text, Catch::StartsWith("/v1, Kind=Pod: ERROR: <input>:1:12: undefined field 'nope'"));
  CHECK_THAT(text, Catch::Contains("^\n\napps/v1, Kind=ReplicaSet: ERROR:"));
  CHECK(text.find("Node") == text.npos);
  const auto none = WarningsFor(R"({"matchConstraints":{"resourceRules":[{"apiGroups":["*"],"apiVersions":["*"],"resources":["*"]}]},"validations":[{"expression":"object.spec.nope"}]})");
  CHECK(none.size() == 0);
}

TEST_CASE("parameters have the type of their kind", "[controllers][cel]") {
  const auto warnings = WarningsFor(Cat("{", kDeployments, R"(,"paramKind":{"apiVersion":"v1","kind":"ConfigMap"},"validations":[{"expression":"params.data['a'] == 'b'"},{"expression":"params.spec.x == 1"}]})"));
  REQUIRE(warnings.size() == 1);
  CHECK(warnings.Items()[0]["fieldRef"].Str() == "spec.validations[1].expression");
}

}  // namespace skerry::kube
