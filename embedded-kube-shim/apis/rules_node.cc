#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/apis/rules.h"

namespace skerry::kube::rules {
namespace {

using json::Value;

const Value kNull;

const Value& Or(const Value* value) { return value ? *value : kNull; }

// The old list item that the new one at `index` continues.
const Value* Counterpart(SchemaPtr list, const Value& item, const Value& old, std::size_t index) {
  if (!old.is_array()) return nullptr;
  if (list && list->list_kind == ListKind::kMap) {
    for (const Value& candidate : old.Items()) {
      bool same = true;
      for (const std::string& key : list->list_map_keys) same = same && candidate[key] == item[key];
      if (same) return &candidate;
    }
    return nullptr;
  }
  return index < old.size() ? &old.Items()[index] : nullptr;
}

// "podIP" -> "PodIP", "apiGroup" -> "APIGroup": Go's capitals for initialisms at the front.
std::string GoName(std::string_view json) {
  static constexpr std::string_view kInitialisms[] = {"api", "uid", "url", "uri", "ip", "id", "cpu", "dns", "fs", "io", "se", "csi", "nfs", "rbd", "iscsi", "fc"};
  std::size_t word = 0;
  while (word < json.size() && json[word] >= 'a' && json[word] <= 'z') ++word;
  for (std::string_view initialism : kInitialisms)
    if (json.substr(0, word) == initialism) {
      std::string out(json);
      for (std::size_t i = 0; i < word; ++i) out[i] = static_cast<char>(out[i] - 32);
      return out;
    }
  std::string out(json);
  if (!out.empty() && out[0] >= 'a' && out[0] <= 'z') out[0] = static_cast<char>(out[0] - 32);
  return out;
}

// Go's encoder escapes what could end a script element.
void AppendJsonText(std::string& out, std::string_view text) {
  const std::string plain = Value(text).Dump();
  for (char c : plain) {
    if (c == '<') out += "\\u003c";
    else if (c == '>') out += "\\u003e";
    else if (c == '&') out += "\\u0026";
    else out += c;
  }
}

void AppendTagged(std::string& out, const Value& value) {
  if (value.is_string()) return AppendJsonText(out, value.Str());
  if (value.is_array()) {
    out += '[';
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (i) out += ',';
      AppendTagged(out, value.Items()[i]);
    }
    out += ']';
    return;
  }
  if (!value.is_object()) {
    out += value.Dump();
    return;
  }
  out += '{';
  bool first = true;
  for (const json::Member& member : value.Members()) {
    if (!first) out += ',';
    first = false;
    AppendJsonText(out, member.key);
    out += ':';
    AppendTagged(out, member.value);
  }
  out += '}';
}

bool HasTags(SchemaPtr schema) { return !schema->name.starts_with("io.k8s.api."); }   // meta types keep their JSON names

void AppendInternal(std::string& out, SchemaPtr schema, const Value& value, const Field* field) {
  switch (schema->type) {
    case Type::kStruct: {
      if (value.is_null() && field && field->pointer) {
        out += "null";
        return;
      }
      if (HasTags(schema) && value.is_null()) {
        out += "{}";
        return;
      }
      if (HasTags(schema)) {
        Value ordered = value.Clone();
        Canonicalize(schema, ordered);
        return AppendTagged(out, ordered);
      }
      out += '{';
      bool first = true;
      for (const Field& member : schema->fields) {
        if (!first) out += ',';
        first = false;
        out += '"' + GoName(member.name) + "\":";
        AppendInternal(out, member.type, value[member.name], &member);
      }
      out += '}';
      return;
    }
    case Type::kList:
      if (!value.is_array()) {
        out += "null";
        return;
      }
      out += '[';
      for (std::size_t i = 0; i < value.size(); ++i) {
        if (i) out += ',';
        AppendInternal(out, schema->item, value.Items()[i], nullptr);
      }
      out += ']';
      return;
    case Type::kMap: {
      if (!value.is_object()) {
        out += "null";
        return;
      }
      std::vector<const json::Member*> members;
      for (const json::Member& member : value.Members()) members.push_back(&member);
      std::sort(members.begin(), members.end(), [](auto* a, auto* b) { return a->key < b->key; });
      out += '{';
      for (std::size_t i = 0; i < members.size(); ++i) {
        if (i) out += ',';
        AppendJsonText(out, members[i]->key);
        out += ':';
        AppendInternal(out, schema->item, members[i]->value, nullptr);
      }
      out += '}';
      return;
    }
    default: break;
  }
  if (!value.is_null()) return AppendTagged(out, value);
  if (field && field->pointer) out += "null";
  else if (schema->type == Type::kString) out += "\"\"";
  else if (schema->type == Type::kBool) out += "false";
  else if (schema->type == Type::kInt32 || schema->type == Type::kInt64 || schema->type == Type::kIntOrString) out += "0";
  else if (schema->type == Type::kQuantity) out += "\"0\"";
  else out += "null";
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

std::string RenderJson(SchemaPtr schema, const Value& value) {
  std::string out;
  if (schema) AppendInternal(out, schema, value, nullptr);
  else AppendTagged(out, value);
  return out;
}

std::string RenderInternal(SchemaPtr schema, const Value& value) { return RenderJson(schema, value); }

std::string Render(const Node& node) {
  const bool named = node.field && (node.field->pointer || !node.field->go_type.empty());
  if (node->is_null()) {
    if (named && node.field->pointer) return "null";
    std::string out;
    if (node.schema) AppendInternal(out, node.schema, *node.value, node.field);
    return out.empty() ? "\"\"" : out;
  }
  if (node->is_string() && (!node.schema || node.schema->type == Type::kString) && !named) return Quote(node->Str());
  return RenderJson(node.schema, *node.value);
}

bool SameValue(const Value& a, const Value& b) {
  const auto empty = [](const Value& v) { return v.is_null() || ((v.is_object() || v.is_array() || v.is_string()) && v.size() == 0 && v.Str().empty()); };
  if (empty(a) && empty(b)) return true;
  if (a.is_object() && b.is_object()) {
    for (const json::Member& member : a.Members())
      if (!SameValue(member.value, b[member.key])) return false;
    for (const json::Member& member : b.Members())
      if (!a.Find(member.key) && !empty(member.value)) return false;
    return true;
  }
  if (a.is_array() && b.is_array() && a.size() == b.size()) {
    for (std::size_t i = 0; i < a.size(); ++i)
      if (!SameValue(a.Items()[i], b.Items()[i])) return false;
    return true;
  }
  return a == b;
}

}  // namespace skerry::kube::rules
