#include "embedded-kube-shim/api/patch_typed.h"

#include <cmath>

#include "core/base/strings.h"
#include "core/json/share.h"
#include "core/text/base64.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/go_value.h"
#include "embedded-kube-shim/api/typed_walk.h"

namespace skerry::kube {

namespace {

using json::Value;
using Problem = std::optional<std::string>;

std::string Unrecognized(std::string_view kind) { return Cat("unrecognized type: ", kind); }

Problem CheckScalar(const Value& value, std::string_view kind, std::string_view type_name) {
  const bool integer = kind.starts_with("int");
  if (kind == "string") {
    if (value.is_string()) return {};
    if (value.is_int()) return Cat("cannot convert int64 to ", type_name);   // Go would make it a rune
    return Unrecognized(kind);
  }
  if (kind == "bool") return value.is_bool() ? Problem() : Unrecognized(kind);
  if (!value.is_number()) return Unrecognized(kind);
  if (integer && value.kind() == Value::Kind::kDouble && value.Double() != std::trunc(value.Double())) return Cat("cannot convert float64 to ", type_name);
  return {};
}

Problem CheckBytes(const Value& value) {
  if (value.is_string()) {
    const std::size_t bad = text::Base64ProblemAt(value.Str());
    if (bad == std::string_view::npos) return {};
    return Cat("error decoding from json: illegal base64 data at input byte ", bad);
  }
  if (!value.is_array()) return Cat("cannot restore slice from ", GoKind(value));
  for (const auto& item : value.Items())
    if (!item.is_number()) return Unrecognized("uint8");
  return {};
}

// "v1.SideEffectClass": the package of the struct's definition and Go's name of the scalar.
std::string GoTypeName(SchemaPtr owner, const Field& field, std::string_view plain) {
  if (field.go_type.empty()) return std::string(plain);
  if (field.go_type.find('.') != std::string_view::npos) return std::string(field.go_type);
  const auto pieces = Split(owner->name, '.');
  return pieces.size() < 2 ? std::string(plain) : Cat(pieces[pieces.size() - 2], '.', field.go_type);
}

Problem CheckStruct(SchemaPtr schema, const Value& value);

// `field` of `owner` holds the value; null at the root and for items.
Problem Check(SchemaPtr schema, const Value& value, SchemaPtr owner = nullptr, const Field* field = nullptr) {
  if (value.is_null() || !schema || json::IsFrozen(value)) return {};
  const auto scalar = [&](bool fits, std::string_view kind) { return fits ? Problem() : CheckScalar(value, kind, field ? GoTypeName(owner, *field, kind) : std::string(kind)); };
  switch (schema->type) {
    case Type::kAny:
    case Type::kRawExtension:
    case Type::kFieldsV1: return {};
    case Type::kString: return scalar(value.is_string(), "string");
    case Type::kBool: return scalar(value.is_bool(), "bool");
    case Type::kInt32: return scalar(value.is_int(), "int32");
    case Type::kInt64: return scalar(value.is_int(), "int64");
    case Type::kDouble: return scalar(value.is_number(), "float64");
    case Type::kBytes: return CheckBytes(value);
    case Type::kMap:
      if (!value.is_object()) return Cat("cannot restore map from ", GoKind(value));
      for (const auto& member : value.Members())
        if (auto problem = Check(schema->item, member.value)) return problem;
      return {};
    case Type::kList:
      if (!value.is_array()) return Cat("cannot restore slice from ", GoKind(value));
      for (const auto& item : value.Items())
        if (auto problem = Check(schema->item, item)) return problem;
      return {};
    case Type::kStruct: return CheckStruct(schema, value);
    default: {   // types with a decoder of their own: its words
      auto decoded = DecodeValue(schema, value.Clone());
      return decoded ? Problem() : Problem(std::string(decoded.error().message()));
    }
  }
}

Problem CheckStruct(SchemaPtr schema, const Value& value) {
  if (!value.is_object()) return Cat("cannot restore struct from: ", GoKind(value));
  MemberFinder members(&value);
  for (const auto& field : schema->fields)
    if (const Value* member = members.Find(field.name))
      if (auto problem = Check(field.type, *member, schema, &field)) return problem;
  return {};
}

}  // namespace

std::optional<std::string> TypedConversionProblem(SchemaPtr schema, const json::Value& document) { return Check(schema, document); }

}  // namespace skerry::kube
