#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/json/value.h"

// One type description for built-in kinds (compiled from tables of embedded-kube-shim/apis) and custom resources (compiled from a
// structural OpenAPI v3 schema). It drives decoding, canonical form, pruning, defaulting, validation, patches, server-side apply,
// protobuf, OpenAPI and explain. Immutable once built; shared between threads.
namespace skerry::kube {

class Schema;
using SchemaPtr = const Schema*;   // owned by the SchemaSet (built-ins: process life time) or the custom resource's definition

enum class Type : std::uint8_t {
  kAny,           // preserved as is
  kStruct,        // known fields
  kMap,           // string -> item
  kList,          // item*
  kString, kBool, kInt32, kInt64, kDouble,
  kBytes,         // base64 text
  kTime,          // RFC 3339, seconds;  null when zero
  kMicroTime,     // RFC 3339, microseconds
  kDuration,      // Go duration text
  kQuantity,      // canonical quantity text; accepts numbers
  kIntOrString,
  kRawExtension,  // embedded object, preserved
  kFieldsV1,      // managedFields.fieldsV1
};

enum class ListKind : std::uint8_t { kAtomic, kSet, kMap };

struct Field {
  std::string name;                  // JSON name
  SchemaPtr type = nullptr;
  int proto = 0;                     // protobuf number; 0 = not on the protobuf wire
  std::array<std::uint8_t, 2> proto_embed{};   // numbers of the messages this field is wrapped in (Go embeddings), outermost first; 0 = none
  std::string_view embedding;        // Go names of these, dotted: "RuleWithOperations.Rule"; decode errors show them
  std::string_view go_type;          // Go's name of a named scalar ("LimitType"); empty = the plain type
  bool omit_empty = false;           // dropped when zero (scalars, lists, maps, nil pointers)
  bool omit_zero = false;            // dropped when the struct is zero, too
  bool pointer = false;              // absent differs from zero
  bool required = false;
  json::Value default_value;         // null = none
  bool patch_merge = false;          // strategic merge: patchStrategy contains merge
  bool patch_retain_keys = false;    //                  ... retainKeys
  bool patch_replace = false;        //                  ... replace
  std::string patch_merge_key;       // for lists of structs
};

class Schema {
 public:
  std::string name;                  // definition name: "io.k8s.api.core.v1.PodSpec"; empty for anonymous nodes
  Type type = Type::kAny;            // kAny with an item: JSONSchemaPropsOr{Array,Bool,StringArray}, item = JSONSchemaProps
  std::vector<Field> fields;         // kStruct, in upstream's output order
  SchemaPtr item = nullptr;          // kMap, kList
  bool map_atomic = false;           // kStruct, kMap: x-kubernetes-map-type: atomic
  ListKind list_kind = ListKind::kAtomic;
  std::vector<std::string> list_map_keys;
  bool proto_wrapped = false;        // kList: a message of its own around the items on the protobuf wire (ExtraValue, Verbs)
  std::vector<std::string> gvks;     // "group/version/Kind" of a top-level definition
  bool preserve_unknown = false;     // custom resources: x-kubernetes-preserve-unknown-fields
  bool embedded_resource = false;
  bool nullable = false;
  std::shared_ptr<const json::Value> openapi;   // custom resources: the node as written
  const struct CustomNode* custom = nullptr;    // custom resources: at the root, see custom_schema.h

  const Field* Find(std::string_view field) const;
};

}  // namespace skerry::kube
