#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "embedded-kube-shim/api/custom_schema.h"
#include "embedded-kube-shim/api/field_error.h"
#include "embedded-kube-shim/apis/rules.h"

// x-kubernetes-validations: expressions that a schema's values must satisfy.
namespace skerry::kube {

// The compiled expressions of one version's schema. Immutable, thread-safe.
class CustomRules {
 public:
  virtual ~CustomRules() = default;
  // `old` null: a new object; rules that speak of it then wait for an update. What was as wrong before becomes a warning.
  virtual void Validate(const json::Value& object, const json::Value* old, FieldErrors& errors, std::vector<std::string>& warnings) const = 0;
};
// Null when the schema has no rules. `root` must outlive the result.
std::shared_ptr<const CustomRules> CompileCustomRules(const CustomNode& root);

// "a.b[c]" for a rule's fieldPath (".a.b['c']"), which must lead to something the schema declares. Nothing: it does not.
std::optional<std::string> NormalizeFieldPath(const json::Value& schema, std::string_view path);

namespace rules {

// The rules of a definition's schema: that they compile, and what they may cost. `place` is the schema's path.
void CheckCustomRules(Run& run, const Node& schema);

}  // namespace rules
}  // namespace skerry::kube
