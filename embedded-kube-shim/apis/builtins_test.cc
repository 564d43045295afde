#include <catch2/catch.hpp>

#include "embedded-kube-shim/api/codec.h"

using namespace skerry;
using namespace skerry::kube;

TEST_CASE("built-in resources are registered with versions, subresources and schema") {
  auto registry = NewRegistry();
  RegisterBuiltins(*registry);
  CHECK(registry->All()->size() == 70);   // 69 rows, autoscaling v1 and v2 share one definition
  const auto deployments = registry->Find("apps", "v1", "deployments");
  REQUIRE(deployments);
  CHECK(deployments->kind == "Deployment");
  CHECK(deployments->status_subresource);
  CHECK(deployments->has_generation);
  const Subresource* scale = deployments->FindSubresource("scale");
  REQUIRE(scale);
  CHECK(scale->group == "autoscaling");
  CHECK(scale->version == "v1");
  CHECK(scale->kind == "Scale");
  const auto pods = registry->Find("", "v1", "pods");
  REQUIRE(pods);
  const Subresource* eviction = pods->FindSubresource("eviction");
  REQUIRE(eviction);
  CHECK(eviction->kind == "Eviction");
  CHECK(registry->Find("autoscaling", "v1", "horizontalpodautoscalers") == registry->Find("autoscaling", "v2", "horizontalpodautoscalers"));
  const auto accounts = registry->Find("", "v1", "serviceaccounts");
  REQUIRE(accounts);
  const Subresource* token = accounts->FindSubresource("token");
  REQUIRE(token);
  CHECK(token->group == "authentication.k8s.io");
  CHECK(token->kind == "TokenRequest");
  for (const ResourcePtr& resource : *registry->All())
    for (const Version& version : resource->versions) {
      INFO(resource->group << "/" << version.name << " " << resource->kind);
      REQUIRE(version.schema);
      CHECK(version.schema->type == Type::kStruct);
    }
}

TEST_CASE("a schema node carries patch, list and protobuf facts") {
  const SchemaPtr pod_spec = FindBuiltinSchema("io.k8s.api.core.v1.PodSpec");
  REQUIRE(pod_spec);
  const Field* containers = pod_spec->Find("containers");
  REQUIRE(containers);
  CHECK(containers->patch_merge);
  CHECK(containers->patch_merge_key == "name");
  CHECK(containers->type->list_kind == ListKind::kMap);
  CHECK(containers->type->list_map_keys == std::vector<std::string>{"name"});
  CHECK(containers->required);
  CHECK(containers->proto == 2);
  const Field* name = containers->type->item->Find("name");
  REQUIRE(name);
  CHECK(name->type->type == Type::kString);
  const Field* ephemeral_name = FindBuiltinSchema("io.k8s.api.core.v1.EphemeralContainer")->Find("name");
  CHECK(ephemeral_name->proto_embed[0] == 1);
  CHECK(FindBuiltinSchema(GroupVersionKind{"apps", "v1", "DeploymentList"}) != nullptr);
  CHECK(FindBuiltinSchema("io.k8s.api.core.v1.Nope") == nullptr);
}
