#include "embedded-kube-shim/apis/defaults.h"

#include <cmath>
#include <string>
#include <unordered_map>

#include "core/json/share.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/api/builtin_tables.h"
#include "embedded-kube-shim/api/codec.h"

namespace skerry::kube {
namespace {

using json::Value;

struct FieldDefault { const Field* field; Value value; };
struct DefinitionDefaults { std::vector<FieldDefault> fields; std::vector<defaults::Rule> rules; };

class Table {
 public:
  Table() {
    for (std::size_t i = 0; i < builtin::kDefaultCount; ++i) {
      const builtin::DefaultRow& row = builtin::kDefaults[i];
      const SchemaPtr schema = FindBuiltinSchema(row.definition);
      const Field* field = schema ? schema->Find(row.field) : nullptr;
      if (!field) continue;
      FieldDefault entry{field, Value()};
      Value::Parse(row.json, &entry.value, nullptr);
      by_name_[row.definition].fields.push_back(std::move(entry));
    }
    for (const auto rules : {defaults::CoreRules(), defaults::WorkloadRules(), defaults::OtherRules()})
      for (const defaults::NamedRule& rule : rules) by_name_[rule.definition].rules.push_back(rule.rule);
  }

  const DefinitionDefaults* Find(std::string_view definition) const {
    const auto it = by_name_.find(definition);
    return it == by_name_.end() ? nullptr : &it->second;
  }

 private:
  std::unordered_map<std::string_view, DefinitionDefaults> by_name_;   // keys live in the tables
};

const Table& Defaults() {
  static const Table table;
  return table;
}

bool IsZero(const Field& field, const Value* value) {
  if (!value || value->is_null()) return true;
  if (field.pointer) return false;
  switch (value->kind()) {
    case Value::Kind::kString: return value->Str().empty();
    case Value::Kind::kInt: return value->Int() == 0;
    case Value::Kind::kBool: return !value->Bool();
    case Value::Kind::kArray: return value->size() == 0;
    default: return false;
  }
}

// Amounts are counted in thousandths at most.
void RoundUp(Value& amounts) {
  for (json::Member& member : amounts.MutableMembers()) {
    const auto quantity = text::Quantity::Parse(member.value.Str());
    if (!quantity) continue;
    const auto rounded = text::Quantity::OfMilli(quantity->MilliValue(), quantity->format());
    // Beyond 2^63 thousandths nothing is rounded: MilliValue saturates.
    if (*quantity != rounded && std::abs(quantity->Approximate()) < 1e15) member.value = Value(rounded.Canonical());
  }
}

void Walk(SchemaPtr schema, Value& value) {
  if (json::IsFrozen(value)) return;   // a part of a stored object
  if (schema->type == Type::kMap && schema->item->type == Type::kQuantity && value.is_object()) return RoundUp(value);
  if (schema->name == "io.k8s.api.storage.v1.VolumeAttachmentSource") {   // an inlined volume is taken as it is, but for one field
    Value* inlined = value.is_object() ? value.Find("inlineVolumeSpec") : nullptr;
    Value* path = inlined && inlined->is_object() ? inlined->Find("hostPath") : nullptr;
    if (path && path->is_object() && (*path)["type"].is_null()) path->Set("type") = "";
    return;
  }
  if (schema->type == Type::kStruct && value.is_object()) {
    if (const DefinitionDefaults* own = schema->name.empty() ? nullptr : Defaults().Find(schema->name)) {
      for (defaults::Rule rule : own->rules) rule(value);
      for (const FieldDefault& entry : own->fields)
        if (IsZero(*entry.field, value.Find(entry.field->name))) value.Set(entry.field->name) = entry.value.Clone();
    }
    if (value.size() == 0) return;
    for (json::Member& member : value.MutableMembers()) {
      if (member.value.size() == 0 && !member.value.is_object()) continue;
      if (const Field* field = schema->Find(member.key)) Walk(field->type, member.value);
    }
    return;
  }
  if (!schema->item || value.size() == 0) return;
  if (value.is_array())
    for (Value& item : value.MutableItems()) Walk(schema->item, item);
  if (value.is_object())
    for (json::Member& member : value.MutableMembers()) Walk(schema->item, member.value);
}

}  // namespace

void ApplyBuiltinDefaults(SchemaPtr schema, json::Value& object) { Walk(schema, object); }

namespace defaults {

bool Lacks(const json::Value& object, std::string_view field) {
  const Value* value = object.Find(field);
  return !value || value->is_null() || (value->is_string() && value->Str().empty()) || ((value->is_array() || value->is_object()) && value->size() == 0);
}

void SetIfLacking(json::Value& object, std::string_view field, json::Value value) {
  if (Lacks(object, field)) object.Set(field) = std::move(value);
}

void SetIfNull(json::Value& object, std::string_view field, json::Value value) {
  if (object[field].is_null()) object.Set(field) = std::move(value);
}

}  // namespace defaults
}  // namespace skerry::kube
