#include <algorithm>
#include <set>
#include <unordered_map>

#include "core/base/guarded.h"
#include "core/base/strings.h"
#include "core/json/share.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/raw_json.h"
#include "embedded-kube-shim/api/typed_walk.h"

// The form an object has on the wire and in the store: members in upstream's order, empty ones dropped or always there as Go's
// encoder does it, and empty lists that are not droppable null (objects pass through protobuf before anybody reads them).
namespace skerry::kube {

bool IsPlainQuantity(std::string_view text) {
  std::size_t digits = 0;
  int number = 0;
  while (digits < text.size() && digits < 5 && text[digits] >= '0' && text[digits] <= '9') number = number * 10 + (text[digits++] - '0');
  if (digits == 0 || digits > 4 || text[0] == '0') return false;
  const std::string_view suffix = text.substr(digits);
  if (suffix.empty() || suffix == "m" || suffix == "k" || suffix == "M" || suffix == "G" || suffix == "T") return number % 1000 != 0;
  return (suffix == "Ki" || suffix == "Mi" || suffix == "Gi" || suffix == "Ti") && number % 1024 != 0;
}

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

// The canonical form of one field in place; false when it has none. A field that is not there is null.
bool CanonicalField(const Field& field, Value& value, Empties empties) {
  if (field.pointer) {
    if (value.is_null()) return !field.omit_empty && !field.omit_zero;
    CanonicalNode(field.type, value, empties);
    return true;
  }
  if (!value.is_null()) CanonicalNode(field.type, value, empties);
  const bool keep = empties == Empties::kKeep && !value.is_null();
  if (keep && value.is_array() && value.size() == 0 && field.name == "managedFields") return true;   // asks for a reset
  const bool collection = field.type->type == Type::kList || field.type->type == Type::kMap;
  if (keep && collection && value.size() == 0 && !field.omit_zero) return true;
  if ((field.omit_empty || field.omit_zero) && (value.is_null() || IsEmptyScalar(field.type, value))) return false;
  if (value.is_null()) value = Zero(field.type);
  if (collection && value.size() == 0 && !keep) value = Value();
  if (field.omit_zero && field.type->type == Type::kStruct && value == Zero(field.type)) return false;
  return !(field.omit_zero && field.type->type == Type::kQuantity && value.Str() == "0");
}

// Most objects have their members in order already, and none to be added: nothing needs to be built anew then.
bool CanonicalInPlace(SchemaPtr schema, std::vector<json::Member>& members, Empties empties) {
  constexpr std::size_t kMost = 64;
  const Field* fields[kMost];
  if (members.size() > kMost) return false;
  std::size_t at = 0;
  for (const Field& field : schema->fields) {
    if (at < members.size() && members[at].key == field.name) fields[at++] = &field;
    else if (!field.omit_empty && !field.omit_zero) return false;   // always there
  }
  if (at != members.size()) return false;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (!CanonicalField(*fields[i], members[i].value, empties)) continue;
    if (kept != i) members[kept] = std::move(members[i]);
    ++kept;
  }
  members.resize(kept);
  return true;
}

void CanonicalStruct(SchemaPtr schema, Value& value, Empties empties) {
  if (!value.is_object()) value = Value::Object();
  if (value.size() == 0 && std::all_of(schema->fields.begin(), schema->fields.end(), [](const Field& f) { return f.omit_empty || f.omit_zero; })) return;
  auto& members = value.MutableMembers();
  if (CanonicalInPlace(schema, members, empties)) return;
  std::vector<json::Member> out;
  out.reserve(members.size() + 2);
  MemberFinder finder(&value);
  for (const Field& field : schema->fields) {
    const Value* found = finder.Find(field.name);
    Value content = found ? std::move(*const_cast<Value*>(found)) : Value();
    if (CanonicalField(field, content, empties)) out.push_back({field.name, std::move(content)});
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
  if (value.size() == 0) return;
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
  if (json::IsFrozen(value)) return;   // a part of a stored object
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
      if (value.is_string() && IsPlainQuantity(value.Str())) return;
      if (auto quantity = text::Quantity::Parse(value.is_string() ? std::string(value.Str()) : value.Dump())) value = Value(quantity->Canonical());
      return;
    default: return;
  }
}

}  // namespace

namespace {

bool IsRaw(SchemaPtr schema) { return schema && !schema->openapi && (schema->type == Type::kRawExtension || (schema->type == Type::kAny && !schema->item)); }

bool HasRaw(SchemaPtr schema, std::set<SchemaPtr>& seen) {
  if (!schema || schema->openapi || !seen.insert(schema).second) return false;
  if (IsRaw(schema) || HasRaw(schema->item, seen)) return true;
  return std::any_of(schema->fields.begin(), schema->fields.end(), [&](const Field& field) { return HasRaw(field.type, seen); });
}

void ForgetAll(Value& value, Layout layout) {
  if (layout == Layout::kForget || !value.is_number()) json::Forget(value);
  if (value.is_array())
    for (Value& item : value.MutableItems()) ForgetAll(item, layout);
  if (value.is_object())
    for (json::Member& member : value.MutableMembers()) ForgetAll(member.value, layout);
}

void ForgetOutside(SchemaPtr schema, Value& value) {
  if (IsRaw(schema)) return;
  json::Forget(value);
  SchemaPtr inner = schema && schema->type == Type::kAny ? schema->item : schema;
  if (value.is_array())
    for (Value& item : value.MutableItems()) ForgetOutside(inner && inner->type == Type::kList ? inner->item : inner, item);
  if (!value.is_object()) return;
  for (json::Member& member : value.MutableMembers()) {
    const Field* field = inner && inner->type == Type::kStruct ? inner->Find(member.key) : nullptr;
    ForgetOutside(field ? field->type : inner ? inner->item : nullptr, member.value);
  }
}

}  // namespace

bool HoldsRawJson(SchemaPtr schema) {
  if (!schema || schema->openapi) return false;
  static Guarded<std::unordered_map<SchemaPtr, bool>> known;
  auto answers = known.Lock();
  if (const auto it = answers->find(schema); it != answers->end()) return it->second;
  std::set<SchemaPtr> seen;
  return answers->emplace(schema, HasRaw(schema, seen)).first->second;
}

void ForgetLayout(SchemaPtr schema, Value& value, Layout layout) {
  if (!HoldsRawJson(schema)) return;
  if (layout == Layout::kKeepRaw) ForgetOutside(schema, value);
  else ForgetAll(value, layout);
}

void DumpTyped(SchemaPtr schema, const Value& value, std::string& out) {
  if (HoldsRawJson(schema)) json::DumpAsWritten(value, out);
  else value.DumpTo(out);
}

void Canonicalize(SchemaPtr schema, json::Value& object, Empties empties) { CanonicalNode(schema, object, empties); }

}  // namespace skerry::kube
