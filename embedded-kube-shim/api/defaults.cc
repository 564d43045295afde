#include "core/json/share.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/custom_schema.h"
#include "embedded-kube-shim/api/typed_walk.h"

namespace skerry::kube {
namespace {

using json::Value;

void SchemaDefaults(SchemaPtr schema, Value& value) {
  if (json::IsFrozen(value)) return;   // a part of a stored object
  if (value.is_array() && schema->item)
    for (Value& item : value.MutableItems()) SchemaDefaults(schema->item, item);
  if (!value.is_object()) return;
  if (schema->item && value.size() > 0)
    for (json::Member& member : value.MutableMembers()) SchemaDefaults(schema->item, member.value);
  for (const Field& field : schema->fields) {
    if (field.default_value.is_null()) continue;
    const Value* found = value.Find(field.name);
    const bool absent = !found || found->is_null() || (!field.pointer && found->is_string() && found->Str().empty());
    if (absent) value.Set(field.name) = field.default_value.Clone();
  }
  if (schema->fields.empty() || value.size() == 0) return;
  FieldFinder fields(schema);
  for (json::Member& member : value.MutableMembers()) {
    if (!member.value.is_object() && !member.value.is_array()) continue;
    if (const Field* field = fields.Find(member.key)) SchemaDefaults(field->type, member.value);
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
