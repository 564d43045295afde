#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json/value.h"
#include "embedded-kube-shim/api/schema.h"

// Sets of field paths, as managedFields store them (FieldsV1).
namespace skerry::kube {

// One step of a path in its stored form: "f:name", "k:{\"name\":\"c1\"}", "v:\"x\"", "i:3". Equal text = equal step, so texts are always
// built by the functions below (keys sorted, compact JSON).
using PathStep = std::string;
using FieldPath = std::vector<PathStep>;

PathStep FieldStep(std::string_view name);
PathStep KeyStep(std::span<std::pair<std::string_view, const json::Value*>> keys);   // sorts them
PathStep ValueStep(const json::Value& value);
PathStep IndexStep(std::size_t index);
// As messages show them: `.name`, `[name="c1"]`, `[="x"]`, `[3]`.
std::string StepText(std::string_view step);
std::string PathText(const FieldPath& path);

struct StepLess {   // fields, keys, values, indexes; numbers in keys and values by size
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const;
};

class FieldSet {
 public:
  struct Node;
  using Nodes = std::vector<Node>;   // sorted by StepLess

  // False when the document is no FieldsV1. Unknown kinds of steps are left out.
  static bool FromJson(const json::Value& fields, FieldSet* out);
  // Whether the set that `fields` (as ToJson made it) encodes has a member in common with this one, or below one of its members.
  // Nothing is decoded for it.
  bool Touches(const json::Value& fields) const;
  // Whether all members are members of the set that `fields` encodes.
  bool IsWithin(const json::Value& fields) const;
  json::Value ToJson() const;

  bool empty() const { return nodes_.empty(); }
  void Insert(std::span<const PathStep> path);
  Node& Put(PathStep step);                                  // the node of a step, made when there is none; valid until the next one is made
  bool Has(std::span<const PathStep> path) const;
  bool HasStep(std::string_view step) const;                 // is this one step a member?
  const FieldSet& Below(std::string_view step) const;        // what lies under a step; empty set when nothing does

  FieldSet Union(const FieldSet& o) const;
  FieldSet Intersection(const FieldSet& o) const;
  FieldSet Difference(const FieldSet& o) const;              // exactly the members of o
  FieldSet RecursiveDifference(const FieldSet& o) const;     // and everything below them
  // Adds the declared fields that lead to members.
  FieldSet WithNamedFields(SchemaPtr schema) const;
  // Members of a node first, then what lies below.
  void ForEach(const std::function<void(const FieldPath&)>& visit) const;
  bool operator==(const FieldSet& o) const;

  const Nodes& nodes() const { return nodes_; }
  Nodes& nodes() { return nodes_; }

 private:
  void Visit(FieldPath& path, const std::function<void(const FieldPath&)>& visit) const;
  const Node* Find(std::string_view step) const;
  Nodes nodes_;
};

struct FieldSet::Node {
  PathStep step;
  bool member = false;
  FieldSet below;
};

}  // namespace skerry::kube
