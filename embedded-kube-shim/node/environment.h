#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "embedded-kube-shim/node/sources.h"

// Environment, command and downward values of a container, as the Pod API defines them. Pure but for the listers.
namespace skerry::kube::node {

using Mapping = std::function<std::optional<std::string>(std::string_view name)>;
// $(NAME) becomes the mapped value, or stays as written when there is none; $$ is a dollar sign.
std::string Expand(std::string_view text, const Mapping& mapping);

using Environment = std::vector<std::pair<std::string, std::string>>;   // in order of definition, names unique
// envFrom, env and the variables of the namespace's services. Errors (shown as CreateContainerConfigError): `configmap "x" not found`,
// `couldn't find key k in ConfigMap ns/x`, likewise for secrets; kInvalid for a field that does not exist.
Result<Environment> MakeEnvironment(const json::Value& pod, const json::Value& container, const Sources& sources);
Mapping MappingOf(const Environment& environment);

// A fieldRef path: metadata.name, metadata.labels['k'], status.podIP, …; the whole label and annotation maps as `key="value"` lines.
Result<std::string> FieldValue(const json::Value& pod, std::string_view path, const Sources& sources);
// A resourceFieldRef: limits and requests of a container over its divisor, rounded up; limits default to what the node can give.
Result<std::string> ResourceValue(const json::Value& pod, const json::Value& ref, std::string_view default_container, const Sources& sources);

}  // namespace skerry::kube::node
