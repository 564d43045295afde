#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "embedded-kube-shim/api/resource_def.h"

// The served operations as data, from which both OpenAPI documents are written. Private to embedded-kube-shim/api.
namespace skerry::kube::openapi {

struct Operation {
  std::string method;                             // "get"
  std::string id, tag, description;
  std::string action;                             // x-kubernetes-action; empty for discovery
  GroupVersionKind gvk;                           // with an empty kind there is none
  std::vector<std::string_view> parameters;       // query parameters, by name; sorted
  std::vector<int> codes;
  std::vector<std::string> consumes, produces;
  std::string body, answer;                       // definition names; empty = none
};
struct Path {
  std::string path;
  std::vector<std::string_view> parameters;       // in the path: "name", "namespace", "path"
  std::vector<Operation> operations;
};

// All paths of "api/v1", "apis/apps/v1", "apis/apps", "api", "apis", "version"…; sorted. Empty when unknown.
std::vector<Path> PathsOf(const Registry& registry, std::string_view document);
std::vector<std::string> Documents(const Registry& registry);   // sorted

// Type of a parameter ("string", "boolean", "integer") and what it is for.
struct ParameterInfo {
  std::string_view name, type, description;
};
const ParameterInfo& FindParameter(std::string_view name);

// Definition names: of built-ins as their types are called, of custom resources by the reversed group.
std::string DefinitionName(const ResourceDef& def, const Version& version, std::string_view suffix = "");

}  // namespace skerry::kube::openapi
