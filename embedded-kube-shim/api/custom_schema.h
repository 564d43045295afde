#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json/value.h"
#include "embedded-kube-shim/api/schema.h"
#include "embedded-kube-shim/cel/pattern.h"

// A custom resource's structural schema, compiled once: a tree of nodes for coercing and validating values, and the Schema that patches,
// ownership and canonical form go by. Immutable, shared between threads.
namespace skerry::kube {

// x-kubernetes-validations, as written. Expressions are compiled by whoever evaluates them.
struct CustomRule {
  std::string rule, message, message_expression, reason, field_path;
  std::optional<bool> optional_old_self;
};

struct CustomNode {
  std::string type, format;            // "" = any
  bool nullable = false, preserve_unknown = false, int_or_string = false, embedded = false;
  std::vector<std::pair<std::string, std::unique_ptr<CustomNode>>> properties;   // sorted by name
  std::unique_ptr<CustomNode> items, additional;
  bool has_additional = false;         // true with a null `additional`: members are allowed, nothing is known of them
  bool forbids_additional = false;
  bool map_atomic = false;
  ListKind list_kind = ListKind::kAtomic;
  std::vector<std::string> list_map_keys;
  json::Value default_value;           // null = none

  // Value validation.
  std::optional<double> minimum, maximum, multiple_of;
  bool exclusive_minimum = false, exclusive_maximum = false, unique_items = false;
  std::optional<std::int64_t> min_length, max_length, min_items, max_items, min_properties, max_properties;
  std::string pattern;
  std::shared_ptr<const cel::Pattern> matcher;   // null without a pattern
  std::vector<json::Value> enumeration;
  std::vector<std::string> required;
  std::vector<std::unique_ptr<CustomNode>> all_of, any_of, one_of;
  std::unique_ptr<CustomNode> negated;
  std::vector<CustomRule> rules;
  std::shared_ptr<const json::Value> written;            // the node as in the definition

  const CustomNode* Property(std::string_view name) const;
};

struct CustomSchema {
  std::unique_ptr<CustomNode> root;
  std::vector<std::unique_ptr<Schema>> nodes;
  SchemaPtr schema = nullptr;          // of the whole object, with apiVersion, kind and metadata; schema->custom is `root`
};

// `written` is openAPIV3Schema; null = everything is preserved.
std::shared_ptr<const CustomSchema> CompileCustomSchema(const json::Value& written);

// --- what happens to a value on its way in and out

// Drops what the schema does not know. Paths of what was dropped, sorted: "spec.foo", "spec.list[0].bar".
std::vector<std::string> PruneCustom(const CustomNode& root, json::Value& object);
// The same for a value inside of the object.
void PruneBelow(const CustomNode& node, json::Value& value);
// Explicit nulls where none is allowed and no default would take its place.
void DropNulls(const CustomNode& node, json::Value& value);
// Fills defaults, metadata of the root apart. Idempotent.
void DefaultCustom(const CustomNode& node, json::Value& value);

struct Coerced {
  std::string error;                   // why the object cannot be decoded; empty = it can
  std::vector<std::string> unknown;    // paths that were dropped, in upstream's order
};
enum class OnInvalidMetadata : std::uint8_t { kRefuse, kDrop };
// Metadata typed (of embedded objects, too), unknown fields pruned, nulls dropped. `kind`: another kind than this is only given its metadata.
Coerced CoerceCustom(SchemaPtr schema, std::string_view kind, json::Value& object, OnInvalidMetadata invalid = OnInvalidMetadata::kRefuse);

}  // namespace skerry::kube
