#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/custom_schema.h"

namespace skerry::kube {
namespace {

using json::Value;

void SchemaDefaults(SchemaPtr schema, Value& value) {
  if (value.is_array() && schema->item)
    for (Value& item : value.MutableItems()) SchemaDefaults(schema->item, item);
  if (!value.is_object()) return;
  if (schema->item)
    for (json::Member& member : value.MutableMembers()) SchemaDefaults(schema->item, member.value);
  for (const Field& field : schema->fields) {
    Value* found = value.Find(field.name);
    const bool absent = !found || found->is_null() || (!field.pointer && found->is_string() && found->Str().empty());
    if (absent && !field.default_value.is_null()) {
      value.Set(field.name) = field.default_value.Clone();
      found = value.Find(field.name);
    }
    if (found) SchemaDefaults(field.type, *found);
  }
}

}  // namespace

void ApplyDefaults(const ResourceDef& def, const Version& version, json::Value& object) {
  if (version.schema->custom) DefaultCustom(*version.schema->custom, object);
  else SchemaDefaults(version.schema, object);
  if (def.strategy) def.strategy->Default(version, object);
  Canonicalize(version.schema, object, Empties::kKeep);
}

}  // namespace skerry::kube
