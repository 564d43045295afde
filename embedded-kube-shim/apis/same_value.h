#pragma once
#include "embedded-kube-shim/apis/rules.h"

// Equality of values of a type as upstream compares them: no pointer differs from a pointer to a zero, while empty and absent lists and maps are
// the same, and embedded raw objects are compared as they are written. SameValue() of rules.h knows no types.
namespace skerry::kube::rules {

bool SameTyped(SchemaPtr schema, const json::Value& a, const json::Value& b);
bool SameField(const Field& field, const json::Value& a, const json::Value& b);
bool Unchanged(const Node& node);

}  // namespace skerry::kube::rules
