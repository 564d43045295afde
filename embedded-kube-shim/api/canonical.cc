#include <algorithm>

#include "core/base/strings.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/api/codec.h"

// The form an object has on the wire and in the store: members in upstream's order, empty ones dropped or always there as Go's
// encoder does it, and empty lists that are not droppable null (objects pass through protobuf before anybody reads them).
namespace skerry::kube {
namespace {

using json::Value;

void CanonicalNode(SchemaPtr schema, Value& value, Empties empties);

Value Zero(SchemaPtr schema) {
  switch (schema->type) {
    case Type::kStruct: {
      Value value = Value::Object();
      CanonicalNode(schema, value, Empties::kNull);
      return value;
    }
    case Type::kString: return Value("");
    case Type::kBool: return Value(false);
    case Type::kInt32:
    case Type::kInt64:
    case Type::kIntOrString: return Value(0);
    case Type::kDouble: return Value(0);
    case Type::kDuration: return Value("0s");
    case Type::kQuantity: return Value("0");
    default: return Value();
  }
}

bool IsEmptyScalar(SchemaPtr schema, const Value& value) {
  switch (schema->type) {
    case Type::kString:
    case Type::kBytes: return value.Str().empty();
    case Type::kBool: return !value.Bool();
    case Type::kInt32:
    case Type::kInt64:
    case Type::kDouble: return value.Double() == 0;
    case Type::kList:
    case Type::kMap: return value.size() == 0;
    case Type::kTime:
    case Type::kMicroTime: return value.is_null();
    case Type::kAny:
    case Type::kRawExtension:
    case Type::kFieldsV1: return value.is_null();
    default: return false;
  }
}

// Appends the canonical form of one field, if it has one. `found` is null when the object does not have the member.
void EmitField(const Field& field, Value* found, Empties empties, std::vector<json::Member>& out) {
  Value value = found ? std::move(*found) : Value();
  if (field.pointer) {
    if (value.is_null()) {
      if (!field.omit_empty && !field.omit_zero) out.push_back({field.name, Value()});
      return;
    }
    CanonicalNode(field.type, value, empties);
    out.push_back({field.name, std::move(value)});
    return;
  }
  if (!value.is_null()) CanonicalNode(field.type, value, empties);
  const bool keep = empties == Empties::kKeep && !value.is_null();
  if (keep && value.is_array() && value.size() == 0 && field.name == "managedFields") return out.push_back({field.name, std::move(value)});   // asks for a reset
  const bool empty_collection = keep && (field.type->type == Type::kList || field.type->type == Type::kMap) && value.size() == 0;
  if (empty_collection && !field.omit_zero) return out.push_back({field.name, std::move(value)});
  if ((field.omit_empty || field.omit_zero) && (value.is_null() || IsEmptyScalar(field.type, value))) return;
  if (value.is_null()) value = Zero(field.type);
  if ((field.type->type == Type::kList || field.type->type == Type::kMap) && value.size() == 0 && !keep) value = Value();
  if (field.omit_zero && field.type->type == Type::kStruct && value == Zero(field.type)) return;
  if (field.omit_zero && field.type->type == Type::kQuantity && value.Str() == "0") return;
  out.push_back({field.name, std::move(value)});
}

void CanonicalStruct(SchemaPtr schema, Value& value, Empties empties) {
  if (!value.is_object()) value = Value::Object();
  auto& members = value.MutableMembers();
  std::vector<json::Member> out;
  out.reserve(members.size());
  for (const Field& field : schema->fields) {
    const auto it = std::find_if(members.begin(), members.end(), [&](const json::Member& m) { return m.key == field.name; });
    EmitField(field, it == members.end() ? nullptr : &it->value, empties, out);
  }
  if (schema->preserve_unknown)
    for (json::Member& member : members)
      if (!schema->Find(member.key)) out.push_back(std::move(member));
  members = std::move(out);
}

void SortMembers(Value& value) {
  if (value.is_array())
    for (Value& item : value.MutableItems()) SortMembers(item);
  if (!value.is_object()) return;
  auto& members = value.MutableMembers();
  std::sort(members.begin(), members.end(), [](const json::Member& a, const json::Member& b) { return a.key < b.key; });
  for (json::Member& member : members) SortMembers(member.value);
}

// Custom resources have no Go type behind them: members are sorted, what the schema does not know is pruned, everything else stays as written.
void CanonicalCustom(SchemaPtr schema, Value& value, Empties empties) {
  if (value.is_array() && schema->item)
    for (Value& item : value.MutableItems()) CanonicalNode(schema->item, item, empties);
  if (!value.is_object()) return;
  auto& members = value.MutableMembers();
  std::erase_if(members, [&](const json::Member& m) { return !schema->preserve_unknown && !schema->item && schema->type != Type::kAny && !schema->Find(m.key); });
  for (json::Member& member : members) {
    const Field* field = schema->Find(member.key);
    SchemaPtr child = field ? field->type : schema->type == Type::kMap ? schema->item : nullptr;
    if (child) CanonicalNode(child, member.value, empties);
    else SortMembers(member.value);
  }
  std::sort(members.begin(), members.end(), [](const json::Member& a, const json::Member& b) { return a.key < b.key; });
}

void CanonicalItems(SchemaPtr schema, Value& value, Empties empties) {
  if (schema->type == Type::kList) {
    if (!value.is_array()) return;
    for (Value& item : value.MutableItems()) {
      if (item.is_null()) item = Zero(schema->item);
      CanonicalNode(schema->item, item, empties);
    }
    return;
  }
  if (!value.is_object()) return;
  auto& members = value.MutableMembers();
  for (json::Member& member : members) {
    if (member.value.is_null()) member.value = schema->item->type == Type::kBytes ? Value("") : Zero(schema->item);
    CanonicalNode(schema->item, member.value, empties);
  }
  std::sort(members.begin(), members.end(), [](const json::Member& a, const json::Member& b) { return a.key < b.key; });   // Go sorts map keys
}

void CanonicalNode(SchemaPtr schema, Value& value, Empties empties) {
  if (schema->openapi) return CanonicalCustom(schema, value, empties);
  switch (schema->type) {
    case Type::kStruct: return CanonicalStruct(schema, value, empties);
    case Type::kMap:
    case Type::kList: return CanonicalItems(schema, value, empties);
    case Type::kAny:
      if (schema->item && value.is_object()) return CanonicalNode(schema->item, value, empties);
      if (schema->item && value.is_array())
        for (Value& item : value.MutableItems())
          if (item.is_object()) CanonicalNode(schema->item, item, empties);
      return;
    case Type::kQuantity:
      if (auto quantity = text::Quantity::Parse(value.is_string() ? std::string(value.Str()) : value.Dump())) value = Value(quantity->Canonical());
      return;
    default: return;
  }
}

}  // namespace

void Canonicalize(SchemaPtr schema, json::Value& object, Empties empties) { CanonicalNode(schema, object, empties); }

}  // namespace skerry::kube
