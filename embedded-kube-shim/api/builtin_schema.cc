#include <algorithm>
#include <mutex>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/builtin_tables.h"
#include "embedded-kube-shim/api/codec.h"

namespace skerry::kube {
namespace {

using namespace builtin;

// Nodes are built when somebody first asks for a definition that reaches them; a finished node never changes.
class BuiltinSchemas {
 public:
  BuiltinSchemas() : nodes_(kNodeCount) {}

  SchemaPtr Get(std::size_t index) {
    std::lock_guard lock(mutex_);
    return Build(index);
  }

 private:
  SchemaPtr Build(std::size_t index) {
    if (nodes_[index]) return nodes_[index].get();
    const NodeRow& row = kNodes[index];
    nodes_[index] = std::make_unique<Schema>();
    Schema& schema = *nodes_[index];
    if (row.name) schema.name = row.name;
    schema.type = row.type;
    schema.map_atomic = row.atomic;
    schema.list_kind = row.list_kind;
    schema.proto_wrapped = row.wrapped;
    if (row.list_keys)
      for (std::string_view key : Split(row.list_keys, '+')) schema.list_map_keys.emplace_back(key);
    if (row.gvks)
      for (std::string_view gvk : Split(row.gvks, ',')) schema.gvks.emplace_back(gvk);
    if (row.item >= 0) schema.item = Build(static_cast<std::size_t>(row.item));
    schema.fields.reserve(row.field_count);
    for (std::size_t i = 0; i < row.field_count; ++i) schema.fields.push_back(BuildField(kFields[row.first_field + i]));
    return &schema;
  }

  Field BuildField(const FieldRow& row) {
    Field field;
    field.name = row.name;
    field.type = Build(row.node);
    field.proto = row.proto;
    field.proto_embed = {row.proto_embed[0], row.proto_embed[1]};
    if (row.embedding) field.embedding = row.embedding;
    if (row.go_type) field.go_type = row.go_type;
    field.omit_empty = row.bits & kOmitEmpty;
    field.omit_zero = row.bits & kOmitZero;
    field.pointer = row.bits & kPointer;
    field.required = row.bits & kRequired;
    field.patch_merge = row.bits & kPatchMerge;
    field.patch_replace = row.bits & kPatchReplace;
    field.patch_retain_keys = row.bits & kPatchRetainKeys;
    if (row.merge_key) field.patch_merge_key = row.merge_key;
    if (row.default_json) json::Value::Parse(row.default_json, &field.default_value, nullptr);
    return field;
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Schema>> nodes_;
};

BuiltinSchemas& Schemas() {
  static BuiltinSchemas schemas;
  return schemas;
}

SchemaPtr Find(const NameRow* rows, std::size_t count, std::string_view name) {
  const NameRow* end = rows + count;
  const NameRow* it = std::lower_bound(rows, end, name, [](const NameRow& row, std::string_view wanted) { return row.name < wanted; });
  return it != end && it->name == name ? Schemas().Get(it->node) : nullptr;
}

}  // namespace

SchemaPtr FindBuiltinSchema(std::string_view definition) { return Find(kNames, kNameCount, definition); }

SchemaPtr FindBuiltinSchema(const GroupVersionKind& gvk) { return Find(kKinds, kKindCount, Cat(gvk.group, '/', gvk.version, '/', gvk.kind)); }

std::vector<SchemaPtr> AllBuiltinSchemas() {
  std::vector<SchemaPtr> all;
  for (std::size_t i = 0; i < kNameCount; ++i) all.push_back(Schemas().Get(kNames[i].node));
  return all;
}

}  // namespace skerry::kube
