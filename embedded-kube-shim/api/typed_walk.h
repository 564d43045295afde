#pragma once
#include "embedded-kube-shim/api/typed_value.h"

// Shared by the walkers over typed documents; private to embedded-kube-shim/api.
namespace skerry::kube {

struct Shape {
  enum Kind : std::uint8_t { kScalar, kList, kMap } kind;
  bool atomic;
  bool operator==(const Shape&) const = default;
};
// How a node is treated; where the schema leaves it open, the value decides.
Shape ShapeOf(SchemaPtr schema, const json::Value* value);
SchemaPtr ElementOf(SchemaPtr list);
// The step to an element of a keyed list or set; returns why there is none, else "".
std::string ElementStep(SchemaPtr list, const json::Value& item, PathStep* step);

}  // namespace skerry::kube
