#include "embedded-kube-shim/api/openapi_schema.h"

#include "core/base/strings.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/descriptions.h"
#include "embedded-kube-shim/api/openapi_paths.h"

namespace skerry::kube::openapi {

namespace {

using json::Value;

constexpr std::string_view kMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.";

Value Typed(std::string_view type, std::string_view format = "") {
  Value out = Value::Object();
  out.Set("type") = Value(type);
  if (!format.empty()) out.Set("format") = Value(format);
  return out;
}

Value OneOf(std::string_view a, std::string_view b) {
  Value out = Value::Object();
  Value& list = out.Set("oneOf");
  list.Append(Typed(a));
  list.Append(Typed(b));
  return out;
}

// Scalars with a definition of their own; "" = written in place.
std::string_view SharedName(Type type) {
  switch (type) {
    case Type::kTime: return "io.k8s.apimachinery.pkg.apis.meta.v1.Time";
    case Type::kMicroTime: return "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime";
    case Type::kDuration: return "io.k8s.apimachinery.pkg.apis.meta.v1.Duration";
    case Type::kQuantity: return "io.k8s.apimachinery.pkg.api.resource.Quantity";
    case Type::kIntOrString: return "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
    case Type::kRawExtension: return "io.k8s.apimachinery.pkg.runtime.RawExtension";
    case Type::kFieldsV1: return "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1";
    default: return "";
  }
}

Value Shared(Type type, Flavor flavor) {
  switch (type) {
    case Type::kTime:
    case Type::kMicroTime: return Typed("string", "date-time");
    case Type::kDuration: return Typed("string");
    case Type::kQuantity: return flavor == Flavor::kV2 ? Typed("string") : OneOf("string", "number");
    case Type::kIntOrString: {
      Value out = flavor == Flavor::kV2 ? Typed("string") : OneOf("integer", "string");
      out.Set("format") = Value("int-or-string");
      return out;
    }
    default: return Typed("object");
  }
}

class Writer {
 public:
  Writer(Flavor flavor, std::set<std::string>& refs) : flavor_(flavor), refs_(refs) {}

  // A node in place: a reference when it is named.
  Value Node(SchemaPtr schema) {
    if (!schema) return Value::Object();
    const std::string_view shared = SharedName(schema->type);
    if (!shared.empty()) return Refer(shared);
    if (!schema->name.empty()) return Refer(schema->name);
    return Body(schema);
  }

  Value Body(SchemaPtr schema) {
    switch (schema->type) {
      case Type::kString: return Typed("string");
      case Type::kBool: return Typed("boolean");
      case Type::kInt32: return Typed("integer", "int32");
      case Type::kInt64: return Typed("integer", "int64");
      case Type::kDouble: return Typed("number", "double");
      case Type::kBytes: return Typed("string", "byte");
      case Type::kMap: {
        Value out = Typed("object");
        out.Set("additionalProperties") = Node(schema->item);
        return out;
      }
      case Type::kList: {
        Value out = Typed("array");
        out.Set("items") = Node(schema->item);
        return out;
      }
      case Type::kStruct: return Struct(schema);
      case Type::kAny: return Value::Object();
      default: return Shared(schema->type, flavor_);
    }
  }

 private:
  Value Refer(std::string_view name) {
    refs_.emplace(name);
    return Reference(name, flavor_);
  }

  Value Struct(SchemaPtr schema) {
    Value out = Typed("object");
    if (const auto text = DescriptionOf(schema->name, ""); !text.empty()) out.Set("description") = Value(text);
    Value required;
    if (!schema->fields.empty()) {
      Value& properties = out.Set("properties");
      properties = Value::Object();
      for (const auto& field : schema->fields) {
        properties.Set(field.name) = Property(schema->name, field);
        if (field.required) required.Append(Value(field.name));
      }
    }
    if (!required.is_null()) out.Set("required") = std::move(required);
    if (schema->map_atomic) out.Set("x-kubernetes-map-type") = Value("atomic");
    for (const auto& gvk : schema->gvks) {
      const auto parts = Split(gvk, '/');
      if (parts.size() != 3) continue;
      Value entry = Value::Object();
      entry.Set("group") = Value(parts[0]);
      entry.Set("kind") = Value(parts[2]);
      entry.Set("version") = Value(parts[1]);
      out.Set("x-kubernetes-group-version-kind").Append(std::move(entry));
    }
    return out;
  }

  Value Property(std::string_view owner, const Field& field) {
    Value node = Node(field.type);
    Value extensions = Value::Object();
    if (const auto text = DescriptionOf(owner, field.name); !text.empty()) extensions.Set("description") = Value(text);
    const SchemaPtr type = field.type;
    if (type->type == Type::kList && type->name.empty()) {
      if (!type->list_map_keys.empty()) {
        Value& keys = extensions.Set("x-kubernetes-list-map-keys");
        for (const auto& key : type->list_map_keys) keys.Append(Value(key));
      }
      extensions.Set("x-kubernetes-list-type") = Value(type->list_kind == ListKind::kMap ? "map" : type->list_kind == ListKind::kSet ? "set" : "atomic");
    }
    if (type->type == Type::kMap && type->map_atomic) extensions.Set("x-kubernetes-map-type") = Value("atomic");
    if (!field.patch_merge_key.empty()) extensions.Set("x-kubernetes-patch-merge-key") = Value(field.patch_merge_key);
    std::vector<std::string> strategies;
    if (field.patch_merge) strategies.emplace_back("merge");
    if (field.patch_replace) strategies.emplace_back("replace");
    if (field.patch_retain_keys) strategies.emplace_back("retainKeys");
    if (!strategies.empty()) extensions.Set("x-kubernetes-patch-strategy") = Value(Join(strategies, ","));
    if (flavor_ == Flavor::kV3 && !field.default_value.is_null()) extensions.Set("default") = field.default_value.Clone();
    if (extensions.size() == 0) return node;
    // Nothing may stand beside a reference in v3.
    if (flavor_ == Flavor::kV3 && node.Find("$ref")) {
      Value wrapped = Value::Object();
      wrapped.Set("allOf").Append(std::move(node));
      node = std::move(wrapped);
    }
    for (auto& member : extensions.MutableMembers()) node.Set(member.key) = std::move(member.value);
    return node;
  }

  Flavor flavor_;
  std::set<std::string>& refs_;
};

Value VersionInfo() {
  Value out = Typed("object");
  for (const char* name : {"buildDate", "compiler", "emulationMajor", "emulationMinor", "gitCommit", "gitTreeState", "gitVersion", "goVersion", "major", "minCompatibilityMajor",
                           "minCompatibilityMinor", "minor", "platform"})
    out.Set("properties").Set(name) = Typed("string");
  for (const char* name : {"major", "minor", "gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"}) out.Set("required").Append(Value(name));
  return out;
}

// A structural schema as it was written, without what OpenAPI v2 cannot say (its readers would refuse valid objects).
Value ToV2(const Value& node) {
  Value out = Value::Object();
  const bool open = node["x-kubernetes-preserve-unknown-fields"].Bool(), nullable = node["nullable"].Bool(), any_scalar = node["x-kubernetes-int-or-string"].Bool();
  for (const auto& member : node.Members()) {
    const std::string& key = member.key;
    if (key == "oneOf" || key == "anyOf" || key == "allOf" || key == "not" || key == "nullable" || key == "default") continue;
    if ((open || nullable) && (key == "properties" || key == "items")) continue;
    if ((nullable || any_scalar) && key == "type") continue;
    // kubectl cannot read an open object with a type, nor an array without items.
    if (key == "type" && ((open && member.value.Str() == "object") || (member.value.Str() == "array" && (open || !node.Find("items"))))) continue;
    if (key == "properties") {
      Value& properties = out.Set(key);
      properties = Value::Object();
      for (const auto& property : member.value.Members()) properties.Set(property.key) = ToV2(property.value);
    } else if (key == "items" || (key == "additionalProperties" && member.value.is_object())) {
      out.Set(key) = ToV2(member.value);
    } else {
      out.Set(key) = member.value.Clone();
    }
  }
  return out;
}

void AddGvk(Value& definition, const ResourceDef& def, const Version& version, std::string_view kind) {
  Value entry = Value::Object();
  entry.Set("group") = Value(def.group);
  entry.Set("kind") = Value(kind);
  entry.Set("version") = Value(version.name);
  definition.Set("x-kubernetes-group-version-kind").Append(std::move(entry));
}

}  // namespace

Value Reference(std::string_view name, Flavor flavor) {
  Value out = Value::Object();
  out.Set("$ref") = Value(Cat(flavor == Flavor::kV2 ? "#/definitions/" : "#/components/schemas/", name));
  return out;
}

Value Definition(std::string_view name, Flavor flavor, std::set<std::string>& refs) {
  for (const Type type : {Type::kTime, Type::kMicroTime, Type::kDuration, Type::kQuantity, Type::kIntOrString, Type::kRawExtension, Type::kFieldsV1})
    if (SharedName(type) == name) return Shared(type, flavor);
  if (name == Cat(kMeta, "Patch")) return Typed("object");
  if (name == "io.k8s.apimachinery.pkg.version.Info") return VersionInfo();
  const SchemaPtr schema = FindBuiltinSchema(name);
  if (!schema) return Value();
  return Writer(flavor, refs).Body(schema);
}

Value CustomDefinition(const ResourceDef& def, const Version& version, std::string_view suffix, Flavor flavor, std::set<std::string>& refs) {
  const auto refer = [&](std::string_view name) {
    refs.insert(Cat(kMeta, name));
    return Reference(Cat(kMeta, name), flavor);
  };
  const auto described = [&](Value node, std::string_view field) {
    Value out = std::move(node);
    if (flavor == Flavor::kV3 && out.Find("$ref")) {   // nothing may stand beside a reference
      Value wrapped = Value::Object();
      wrapped.Set("allOf").Append(std::move(out));
      out = std::move(wrapped);
    }
    out.Set("description") = Value(DescriptionOf("", field));
    return out;
  };
  if (suffix == "List") {
    Value out = Typed("object");
    Value& properties = out.Set("properties");
    properties.Set("apiVersion") = Typed("string");
    Value items = Typed("array");
    items.Set("items") = Reference(DefinitionName(def, version), flavor);
    refs.insert(DefinitionName(def, version));
    properties.Set("items") = std::move(items);
    properties.Set("kind") = Typed("string");
    properties.Set("metadata") = refer("ListMeta");
    out.Set("required").Append(Value("items"));
    AddGvk(out, def, version, def.list_kind);
    return out;
  }
  static const Value kNone;
  const Value& written = version.schema && version.schema->openapi ? *version.schema->openapi : kNone;
  Value out = flavor == Flavor::kV2 ? ToV2(written) : written.Clone();
  const bool open = written["x-kubernetes-preserve-unknown-fields"].Bool() && flavor == Flavor::kV2;
  if (open || !out.is_object()) out = Typed("object");   // anything said beside it would be taken for all there is
  if (!open && out.Find("type")) {
    Value& properties = out.Set("properties");
    if (!properties.is_object()) properties = Value::Object();
    properties.Set("apiVersion") = described(Typed("string"), "apiVersion");
    properties.Set("kind") = described(Typed("string"), "kind");
    properties.Set("metadata") = described(refer("ObjectMeta"), "metadata");
  }
  AddGvk(out, def, version, def.kind);
  return out;
}

}  // namespace skerry::kube::openapi
