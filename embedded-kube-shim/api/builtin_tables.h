#pragma once
#include <cstddef>
#include <cstdint>

#include "embedded-kube-shim/api/schema.h"

// Constant tables of the built-in kinds, generated from embedded-kube-shim/apis/data by apis/generate.py. Only the files that build
// schemas and resources from them look in here.
namespace skerry::kube::builtin {

enum FieldBits : std::uint16_t { kOmitEmpty = 1, kOmitZero = 2, kPointer = 4, kRequired = 8, kPatchMerge = 16, kPatchReplace = 32, kPatchRetainKeys = 64 };

struct FieldRow {
  const char* name;
  const char* merge_key;       // null = none, here and below
  const char* default_json;
  const char* embedding;
  const char* go_type;
  std::uint16_t node, bits;
  std::uint8_t proto;
  std::uint8_t proto_embed[2];
};
struct NodeRow {
  const char* name;
  const char* list_keys;       // joined by +
  const char* gvks;            // "group/version/Kind", joined by comma
  Type type;
  ListKind list_kind;
  bool atomic, wrapped;
  std::int16_t item;           // -1 = none
  std::uint16_t first_field, field_count;
};
struct NameRow { const char* name; std::uint16_t node; };   // sorted by name
struct DefaultRow { const char *definition, *field, *json; };   // sorted by definition
struct RuleRow { const char *definition, *path, *check, *arg, *when, *message; };   // sorted by definition; texts may be empty
struct ResourceRow {
  const char *group, *version, *kind, *plural, *singular, *verbs, *subresources, *short_names, *categories, *storage_version_hash, *policy;
  bool namespaced;
  char deletion;
  std::int32_t group_priority, version_priority;
};

extern const FieldRow kFields[];
extern const NodeRow kNodes[];
extern const std::size_t kNodeCount;
extern const NameRow kNames[];
extern const std::size_t kNameCount;
extern const NameRow kKinds[];
extern const std::size_t kKindCount;
extern const DefaultRow kDefaults[];
extern const std::size_t kDefaultCount;
extern const RuleRow kRules[];
extern const std::size_t kRuleCount;
extern const ResourceRow kResources[];
extern const std::size_t kResourceCount;

}  // namespace skerry::kube::builtin
