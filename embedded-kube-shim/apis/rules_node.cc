#include <algorithm>

#include "core/base/strings.h"
#include "core/json/layout.h"
#include "core/json/share.h"
#include "embedded-kube-shim/api/typed_walk.h"
#include "embedded-kube-shim/apis/rules_shared.h"
#include "embedded-kube-shim/apis/same_value.h"

namespace skerry::kube::rules {
namespace {

using json::Value;

const Value kNull;

const Value& Or(const Value* value) { return value ? *value : kNull; }

// The old list item that the new one at `index` continues.
const Value* Counterpart(SchemaPtr list, const Value& item, const Value& old, std::size_t index) {
  if (!old.is_array()) return nullptr;
  if (list && list->list_kind == ListKind::kMap) {
    const auto same = [&](const Value& candidate) {
      return std::all_of(list->list_map_keys.begin(), list->list_map_keys.end(), [&](const std::string& key) { return candidate[key] == item[key]; });
    };
    if (index < old.size() && same(old.Items()[index])) return &old.Items()[index];   // mostly
    for (const Value& candidate : old.Items())
      if (same(candidate)) return &candidate;
    return nullptr;
  }
  return index < old.size() ? &old.Items()[index] : nullptr;
}

}  // namespace

Node Node::As(std::string_view name, std::string_view shown) const {
  Node out{&Or(value->Find(name)), &Or(old->Find(name)), nullptr, nullptr, path.empty() ? std::string(shown) : Cat(path, ".", shown)};
  if (schema && schema->type == Type::kStruct) {
    out.field = schema->Find(name);
    out.schema = out.field ? out.field->type : nullptr;
  }
  return out;
}

Node Node::operator[](std::string_view name) const { return As(name, name); }

Node Node::At(std::size_t index) const {
  const Value& item = index < value->size() ? value->Items()[index] : kNull;
  return {&item, &Or(Counterpart(schema, item, *old, index)), schema ? schema->item : nullptr, nullptr, Cat(path, "[", index, "]")};
}

Node Node::Flat(std::size_t index) const {
  Node out = At(index);
  out.path = path;
  return out;
}

Node Node::Key(std::string_view key) const {
  return {&Or(value->Find(key)), &Or(old->Find(key)), schema ? schema->item : nullptr, nullptr, Cat(path, "[", key, "]")};
}

Node Node::Key(const json::Member& member, const Value* before) const {
  return {&member.value, &Or(before), schema ? schema->item : nullptr, nullptr, Cat(path, "[", member.key, "]")};
}

std::vector<Node> Node::Items() const {
  std::vector<Node> out;
  for (std::size_t i = 0; value->is_array() && i < value->size(); ++i) out.push_back(At(i));
  return out;
}

bool Node::Has() const {
  switch (value->kind()) {
    case Value::Kind::kNull: return false;
    case Value::Kind::kString: return !value->Str().empty() || (field && field->pointer);
    case Value::Kind::kArray: return value->size() > 0;
    case Value::Kind::kObject: return value->size() > 0 || (field && field->pointer) || (schema && schema->type == Type::kStruct);
    default: return true;
  }
}

std::string Render(const Node& node) {
  const bool named = node.field && (node.field->pointer || !node.field->go_type.empty());
  if (node->is_null() && named && node.field->pointer) return "null";
  if (!node.schema) return node->is_null() ? "\"\"" : node->is_string() ? Quote(node->Str()) : RenderJson(nullptr, *node);
  if (node->is_string() && node.schema->type == Type::kString && !named) return Quote(node->Str());
  return RenderField(node);
}

bool SameValue(const Value& a, const Value& b) {
  if (json::IsSamePart(a, b)) return true;
  const auto empty = [](const Value& v) { return v.is_null() || ((v.is_object() || v.is_array() || v.is_string()) && v.size() == 0 && v.Str().empty()); };
  if (empty(a) && empty(b)) return true;
  if (a.is_object() && b.is_object()) {
    const MemberIndex mine(&a), others(&b);
    for (const json::Member& member : a.Members())
      if (!SameValue(member.value, Or(others.Find(member.key)))) return false;
    for (const json::Member& member : b.Members())
      if (!mine.Find(member.key) && !empty(member.value)) return false;
    return true;
  }
  if (a.is_array() && b.is_array() && a.size() == b.size()) {
    for (std::size_t i = 0; i < a.size(); ++i)
      if (!SameValue(a.Items()[i], b.Items()[i])) return false;
    return true;
  }
  return a == b;
}

bool SameField(const Field& field, const Value& a, const Value& b) {
  if (field.pointer && a.is_null() != b.is_null()) return false;
  return SameTyped(field.type, a, b);
}

namespace {

bool SameMap(SchemaPtr schema, const Value& a, const Value& b) {
  if (a.size() != b.size()) return false;
  const MemberIndex others(&b);
  for (const json::Member& member : a.Members()) {
    const Value* other = others.Find(member.key);
    if (!other || !SameTyped(schema->item, member.value, *other)) return false;
  }
  return true;
}

bool SameList(SchemaPtr schema, const Value& a, const Value& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!SameTyped(schema->item, a.Items()[i], b.Items()[i])) return false;
  return true;
}

bool SameText(const Value& a, const Value& b) {
  return json::DumpAsWritten(a) == json::DumpAsWritten(b);
}

}  // namespace

bool SameTyped(SchemaPtr schema, const Value& a, const Value& b) {
  if ((a.is_null() && b.is_null()) || json::IsSamePart(a, b)) return true;   // types may contain themselves
  if (!schema || schema->openapi) return SameValue(a, b);
  switch (schema->type) {
    case Type::kStruct:
      for (const Field& field : schema->fields)
        if (!SameField(field, a[field.name], b[field.name])) return false;
      return true;
    case Type::kMap: return SameMap(schema, a, b);
    case Type::kList: return SameList(schema, a, b);
    case Type::kAny:
      if (schema->item && a.is_object() && b.is_object()) return SameTyped(schema->item, a, b);
      if (schema->item) return SameValue(a, b);
      return SameText(a, b);
    case Type::kRawExtension: return SameText(a, b);
    default: {
      const auto zero = [](const Value& v) { return v.is_null() || (v.is_number() && v.Double() == 0) || (v.is_bool() && !v.Bool()); };
      return (zero(a) && zero(b)) || SameValue(a, b);
    }
  }
}

bool Unchanged(const Node& node) { return node.field ? SameField(*node.field, *node, *node.old) : SameTyped(node.schema, *node, *node.old); }

}  // namespace skerry::kube::rules
