#include "embedded-kube-shim/api/custom_schema.h"

#include <algorithm>

#include "embedded-kube-shim/api/codec.h"

namespace skerry::kube {
namespace {

using json::Value;

std::optional<double> Number(const Value& value) { return value.is_number() ? std::optional<double>(value.Double()) : std::nullopt; }
std::optional<std::int64_t> Integer(const Value& value) {
  if (!value.is_number()) return std::nullopt;
  return value.is_int() ? value.Int() : static_cast<std::int64_t>(value.Double());
}

std::vector<std::string> Texts(const Value& list) {
  std::vector<std::string> out;
  for (const Value& item : list.Items()) out.emplace_back(item.Str());
  return out;
}

class Compiler {
 public:
  // `whole` keeps the document alive; nodes refer into it.
  explicit Compiler(std::shared_ptr<const Value> whole) : whole_(std::move(whole)) {}

  std::unique_ptr<CustomNode> Node(const Value& v) {
    auto node = std::make_unique<CustomNode>();
    node->type = v["type"].Str();
    node->format = v["format"].Str();
    node->nullable = v["nullable"].Bool();
    node->preserve_unknown = v["x-kubernetes-preserve-unknown-fields"].Bool();
    node->int_or_string = v["x-kubernetes-int-or-string"].Bool();
    node->embedded = v["x-kubernetes-embedded-resource"].Bool();
    for (const auto& member : v["properties"].Members()) node->properties.emplace_back(member.key, Node(member.value));
    std::sort(node->properties.begin(), node->properties.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    if (v["items"].is_object()) node->items = Node(v["items"]);
    const Value& additional = v["additionalProperties"];
    if (additional.is_object()) node->additional = Node(additional);
    node->has_additional = additional.is_object() || additional.is_bool();
    node->forbids_additional = additional.is_bool() && !additional.Bool();
    node->map_atomic = v["x-kubernetes-map-type"].Str() == "atomic";
    const auto list = v["x-kubernetes-list-type"].Str();
    node->list_kind = list == "map" ? ListKind::kMap : list == "set" ? ListKind::kSet : ListKind::kAtomic;
    node->list_map_keys = Texts(v["x-kubernetes-list-map-keys"]);
    node->default_value = v["default"].Clone();
    node->written = std::shared_ptr<const Value>(whole_, &v);
    Limits(v, *node);
    for (const Value& rule : v["x-kubernetes-validations"].Items()) node->rules.push_back(Rule(rule));
    return node;
  }

 private:
  void Limits(const Value& v, CustomNode& node) {
    node.minimum = Number(v["minimum"]);
    node.maximum = Number(v["maximum"]);
    node.multiple_of = Number(v["multipleOf"]);
    node.exclusive_minimum = v["exclusiveMinimum"].Bool();
    node.exclusive_maximum = v["exclusiveMaximum"].Bool();
    node.unique_items = v["uniqueItems"].Bool();
    node.min_length = Integer(v["minLength"]);
    node.max_length = Integer(v["maxLength"]);
    node.min_items = Integer(v["minItems"]);
    node.max_items = Integer(v["maxItems"]);
    node.min_properties = Integer(v["minProperties"]);
    node.max_properties = Integer(v["maxProperties"]);
    node.pattern = v["pattern"].Str();
    if (!node.pattern.empty()) node.matcher = cel::CompilePattern(node.pattern, nullptr);
    for (const Value& item : v["enum"].Items()) node.enumeration.push_back(item.Clone());
    node.required = Texts(v["required"]);
    const auto nested = [&](std::string_view name, std::vector<std::unique_ptr<CustomNode>>& out) {
      for (const Value& item : v[name].Items()) out.push_back(Node(item));
    };
    nested("allOf", node.all_of);
    nested("anyOf", node.any_of);
    nested("oneOf", node.one_of);
    if (v["not"].is_object()) node.negated = Node(v["not"]);
  }

  static CustomRule Rule(const Value& v) {
    CustomRule rule;
    rule.rule = v["rule"].Str();
    rule.message = v["message"].Str();
    rule.message_expression = v["messageExpression"].Str();
    rule.reason = v["reason"].Str();
    rule.field_path = v["fieldPath"].Str();
    if (v["optionalOldSelf"].is_bool()) rule.optional_old_self = v["optionalOldSelf"].Bool();
    return rule;
  }

  const std::shared_ptr<const Value> whole_;
};

SchemaPtr TextSchema() {
  static const Schema text = [] {
    Schema s;
    s.type = Type::kString;
    return s;
  }();
  return &text;
}

SchemaPtr MetadataSchema() { return FindBuiltinSchema("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"); }

// apiVersion, kind and metadata are what they are everywhere, whatever the definition says of them.
void AddTypeMeta(Schema& schema) {
  for (const auto& [name, type] : {std::pair<const char*, SchemaPtr>("apiVersion", TextSchema()), {"kind", TextSchema()}, {"metadata", MetadataSchema()}}) {
    Field field;
    field.name = name;
    field.type = type;
    std::erase_if(schema.fields, [&](const Field& f) { return f.name == field.name; });
    schema.fields.push_back(std::move(field));
  }
}

Type TypeOf(const CustomNode& node) {
  if (node.int_or_string) return Type::kIntOrString;
  if (node.type == "string") return Type::kString;
  if (node.type == "integer") return Type::kInt64;
  if (node.type == "number") return Type::kDouble;
  if (node.type == "boolean") return Type::kBool;
  if (node.type == "array") return Type::kList;
  if (node.type == "object") return node.additional && node.properties.empty() ? Type::kMap : Type::kStruct;
  return Type::kAny;
}

SchemaPtr Typed(CustomSchema& owner, const CustomNode& node) {
  owner.nodes.push_back(std::make_unique<Schema>());
  Schema& schema = *owner.nodes.back();
  schema.type = TypeOf(node);
  schema.openapi = node.written;
  schema.map_atomic = node.map_atomic;
  schema.list_kind = node.list_kind;
  schema.list_map_keys = node.list_map_keys;
  schema.preserve_unknown = node.preserve_unknown || (node.has_additional && !node.additional);
  schema.nullable = node.nullable;
  schema.embedded_resource = node.embedded;
  if (schema.type == Type::kMap) schema.item = Typed(owner, *node.additional);
  if (schema.type == Type::kList && node.items) schema.item = Typed(owner, *node.items);
  if (schema.type != Type::kStruct && schema.type != Type::kAny) return &schema;
  for (const auto& [name, property] : node.properties) {
    Field field;
    field.name = name;
    field.type = Typed(owner, *property);
    field.default_value = property->default_value.Clone();
    schema.fields.push_back(std::move(field));
  }
  if (node.embedded) AddTypeMeta(schema);
  return &schema;
}

}  // namespace

const CustomNode* CustomNode::Property(std::string_view name) const {
  const auto at = std::lower_bound(properties.begin(), properties.end(), name, [](const auto& entry, std::string_view wanted) { return entry.first < wanted; });
  return at != properties.end() && at->first == name ? at->second.get() : nullptr;
}

std::shared_ptr<const CustomSchema> CompileCustomSchema(const Value& written) {
  auto out = std::make_shared<CustomSchema>();
  auto whole = std::make_shared<Value>(written.Clone());
  if (!whole->is_object()) {
    *whole = Value::Object();
    whole->Set("type") = "object";
    whole->Set("x-kubernetes-preserve-unknown-fields") = true;
  }
  out->root = Compiler(whole).Node(*whole);
  const SchemaPtr root = Typed(*out, *out->root);
  for (auto& node : out->nodes)
    if (node.get() == root) {
      AddTypeMeta(*node);
      node->custom = out->root.get();
      out->schema = root;
    }
  return out;
}

}  // namespace skerry::kube
