#include <catch2/catch.hpp>
#include <cstdlib>

#include "core/json/parse.h"
#include "embedded-kube-shim/admission/policy_match.h"
#include "embedded-kube-shim/admission/policy_store.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/status.h"
#include "tests/support/json.h"

namespace skerry::kube {
namespace {
using skerry::testing::Json;

using Shared = std::shared_ptr<const json::Value>;

// Holds what tests put into it; everybody may read configmaps and nothing else.
class World final : public AdmissionWorld {
 public:
  std::map<std::string, std::map<std::string, Shared>, std::less<>> objects;   // resource → "ns/name"

  void Put(const std::string& resource, const std::string& ns, std::string_view text) {
    auto object = std::make_shared<const json::Value>(Json(text));
    objects[resource][ns + "/" + std::string(object->At({"metadata", "name"}).Str())] = object;
  }
  Shared Lookup(std::string_view, std::string_view resource, std::string_view ns, std::string_view name) const override {
    const auto of = objects.find(resource);
    if (of == objects.end()) return nullptr;
    const auto at = of->second.find(std::string(ns) + "/" + std::string(name));
    return at == of->second.end() ? nullptr : at->second;
  }
  std::vector<Shared> List(std::string_view, std::string_view resource, std::string_view ns) const override {
    std::vector<Shared> out;
    const auto of = objects.find(resource);
    if (of == objects.end()) return out;
    for (const auto& [key, object] : of->second) {
      if (ns.empty() || key.starts_with(std::string(ns) + "/")) out.push_back(object);
    }
    return out;
  }
  Verdict Authorize(const Attributes& attributes) const override {
    return {attributes.resource == "configmaps" && attributes.verb == "get" ? Decision::kAllow : Decision::kNoOpinion, {}};
  }
  const RbacAuthorizer& rbac() const override { std::abort(); }
  const class Registry& registry() const override { std::abort(); }
  std::chrono::system_clock::time_point now() const override { return {}; }
  Random& random() const override { std::abort(); }
};

ResourceDef ConfigMaps() {
  ResourceDef def;
  def.resource = "configmaps";
  def.kind = "ConfigMap";
  def.versions.push_back({.name = "v1", .schema = FindBuiltinSchema("io.k8s.api.core.v1.ConfigMap")});
  return def;
}

struct Write {
  World world;
  ResourceDef def = ConfigMaps();
  User user{"ann", {}, {"devs"}, {}};
  std::vector<std::string> warnings;
  store::Batch batch;
  json::Value object = Json(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"bad","namespace":"n","labels":{"l":"m"}},"data":{"k":"v"}})");
  json::Value options = Json(R"({"kind":"CreateOptions"})");

  Write() { world.Put("namespaces", "", R"({"metadata":{"name":"n","labels":{"team":"blue"}}})"); }
  AdmissionRequest Request() { return {def, "v1", "", "n", "bad", Operation::kCreate, &object, nullptr, &options, user, false, warnings, batch}; }
  void Policy(std::string_view spec) {
    world.Put("validatingadmissionpolicies", "", std::string(R"({"metadata":{"name":"p","uid":"u1","generation":1},"spec":{"matchConstraints":{"matchPolicy":"Exact","resourceRules":[)") +
                                                     R"({"apiGroups":[""],"apiVersions":["v1"],"operations":["*"],"resources":["configmaps"]}]},)" + std::string(spec) + "}}");
  }
  void Binding(std::string_view spec) {
    world.Put("validatingadmissionpolicybindings", "", std::string(R"({"metadata":{"name":"b"},"spec":{"policyName":"p",)") + std::string(spec) + "}}");
  }
  std::string Refusal() {
    auto request = Request();
    const auto result = NewValidatingAdmissionPolicy()->Validate(Ctx(std::stop_token()), request, world);
    return result ? "" : std::string(result.error().message());
  }
};

}  // namespace

TEST_CASE("a validating policy refuses in upstream's words and with the status of its reason", "[policy]") {
  Write write;
  write.Policy(R"("failurePolicy":"Fail","variables":[{"name":"n","expression":"object.metadata.name"}],"validations":[
    {"expression":"variables.n != 'bad' || request.userInfo.username == 'bob'","messageExpression":"'not ' + variables.n","reason":"RequestEntityTooLarge"}])");
  write.Binding(R"("validationActions":["Deny"])");
  auto request = write.Request();
  const auto result = NewValidatingAdmissionPolicy()->Validate(Ctx(std::stop_token()), request, write.world);
  REQUIRE_FALSE(result);
  CHECK(result.error().message() == "configmaps \"bad\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: not bad");
  CHECK(HttpStatusOf(result.error()) == 413);
  write.user.name = "bob";
  CHECK(write.Refusal().empty());
}

TEST_CASE("selectors of a binding decide where a policy applies", "[policy]") {
  Write write;
  write.Policy(R"("validations":[{"expression":"false"}])");
  const std::pair<std::string_view, bool> cases[] = {
      {R"("matchResources":{"namespaceSelector":{"matchLabels":{"team":"blue"}}})", true},
      {R"("matchResources":{"namespaceSelector":{"matchLabels":{"team":"red"}}})", false},
      {R"("matchResources":{"objectSelector":{"matchExpressions":[{"key":"l","operator":"NotIn","values":["m"]}]}})", false},
      {R"("matchResources":{"objectSelector":{"matchExpressions":[{"key":"l","operator":"Exists"}]}})", true},
      {R"("matchResources":{"matchPolicy":"Exact","resourceRules":[{"apiGroups":["*"],"apiVersions":["*"],"operations":["UPDATE"],"resources":["*"]}]})", false},
      {R"("matchResources":{"matchPolicy":"Exact","resourceRules":[{"apiGroups":["*"],"apiVersions":["*"],"operations":["CREATE"],"resources":["*"],"resourceNames":["bad"]}]})", true},
      {R"("matchResources":{"matchPolicy":"Exact","excludeResourceRules":[{"apiGroups":["*"],"apiVersions":["*"],"operations":["*"],"resources":["configmaps"]}]})", false},
  };
  for (const auto& [resources, applies] : cases) {
    CAPTURE(resources);
    write.Binding(std::string(resources) + R"(,"validationActions":["Deny"])");
    CHECK(write.Refusal().empty() != applies);
  }
}

TEST_CASE("errors of expressions follow the failure policy, warnings never refuse", "[policy]") {
  Write write;
  write.Binding(R"("validationActions":["Deny"])");
  write.Policy(R"("failurePolicy":"Fail","validations":[{"expression":"object.data.none == 'x'"}])");
  CHECK(write.Refusal() == "configmaps \"bad\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: expression 'object.data.none == 'x'' resulted in error: no such key: none");
  write.Policy(R"("failurePolicy":"Ignore","validations":[{"expression":"object.data.none == 'x'"}])");
  CHECK(write.Refusal().empty());
  write.Policy(R"("matchConditions":[{"name":"c","expression":"request.userInfo.username != 'ann'"}],"validations":[{"expression":"false"}])");
  CHECK(write.Refusal().empty());
  write.Policy(R"x("validations":[{"expression":"authorizer.group('').resource('secrets').check('get').allowed()","message":"needs secrets"}])x");
  write.Binding(R"("validationActions":["Warn"])");
  CHECK(write.Refusal().empty());
  CHECK(write.warnings == std::vector<std::string>{"Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': needs secrets"});
}

TEST_CASE("mutating policies patch and apply, typed", "[policy]") {
  Write write;
  write.world.Put("mutatingadmissionpolicies", "", R"({"metadata":{"name":"p","uid":"u","generation":1},"spec":{"failurePolicy":"Fail","matchConstraints":{"matchPolicy":"Exact","resourceRules":[
    {"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["configmaps"]}]},"variables":[{"name":"n","expression":"object.metadata.name + '!'"}],"mutations":[
    {"patchType":"JSONPatch","jsonPatch":{"expression":"[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b'), value: variables.n}]"}},
    {"patchType":"ApplyConfiguration","applyConfiguration":{"expression":"Object{data: {'saw': object.metadata.labels['a/b']}}"}}]}})");
  write.world.Put("mutatingadmissionpolicybindings", "", R"({"metadata":{"name":"b"},"spec":{"policyName":"p"}})");
  auto request = write.Request();
  REQUIRE(NewMutatingAdmissionPolicy()->Mutate(Ctx(std::stop_token()), request, write.world));
  CHECK(write.object.At({"metadata", "labels", "a/b"}).Str() == "bad!");
  CHECK(write.object["data"] == Json(R"({"k":"v","saw":"bad!"})"));
}

}  // namespace skerry::kube
