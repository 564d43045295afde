#include "embedded-kube-shim/api/decode_value.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "core/base/strings.h"
#include "core/json/share.h"
#include "core/text/base64.h"
#include "core/text/duration.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/api/typed_walk.h"

namespace skerry::kube {
namespace {

using json::Value;

constexpr int kMaxDepth = 200;
constexpr std::size_t kMaxStrictErrors = 100;

std::string_view JsonKind(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kNull: return "null";
    case Value::Kind::kBool: return "bool";
    case Value::Kind::kInt:
    case Value::Kind::kDouble: return "number";
    case Value::Kind::kString: return "string";
    case Value::Kind::kArray: return "array";
    case Value::Kind::kObject: return "object";
  }
  return "";
}

// "io.k8s.api.core.v1.PodSpec" -> "v1.PodSpec"
std::string_view QualifiedName(std::string_view definition) {
  const auto last = definition.rfind('.');
  if (last == definition.npos) return definition;
  const auto before = definition.rfind('.', last - 1);
  return before == definition.npos ? definition : definition.substr(before + 1);
}

std::string_view ShortName(std::string_view definition) { return definition.substr(definition.rfind('.') + 1); }

std::string GoType(SchemaPtr schema, std::string_view go_type) {
  switch (schema->type) {
    case Type::kStruct: return std::string(QualifiedName(schema->name));
    case Type::kMap: return schema->item->type == Type::kQuantity ? (go_type.empty() ? "v1.ResourceList" : Cat("map[", go_type, "]resource.Quantity")) : Cat("map[string]", schema->item->type == Type::kTime ? "v1.Time" : GoType(schema->item, go_type));
    case Type::kList: return Cat("[]", GoType(schema->item, go_type));
    case Type::kBool: return "bool";
    case Type::kInt32:
    case Type::kIntOrString: return "int32";
    case Type::kInt64: return "int64";
    case Type::kDouble: return "float64";
    case Type::kBytes: return "[]uint8";
    case Type::kQuantity: return "resource.Quantity";
    default: return go_type.empty() ? "string" : std::string(go_type);
  }
}

class Checker {
 public:
  TypeCheck result;

  void Check(SchemaPtr schema, const Field* field, Value& value) {
    if (value.is_null() || json::IsFrozen(value) || ++depth_ > kMaxDepth) return;
    switch (schema->type) {
      case Type::kStruct: Struct(schema, field, value); break;
      case Type::kMap: Map(schema, field, value); break;
      case Type::kList: List(schema, field, value); break;
      case Type::kAny: Any(schema, field, value); break;
      case Type::kRawExtension:
      case Type::kFieldsV1: break;
      default: Scalar(schema, field, value); break;
    }
    --depth_;
  }

 private:
  void Mismatch(SchemaPtr schema, const Field* field, std::string_view what) {
    if (!result.error.empty()) return;
    std::string type = GoType(schema, field ? field->go_type : std::string_view());
    std::vector<std::string> fields;   // no indexes, with embeddings
    for (const Place& place : places_) {
      if (!place.field) continue;
      if (!place.field->embedding.empty()) fields.emplace_back(place.field->embedding);
      fields.push_back(place.field->name);
    }
    if (fields.empty())
      result.error = Cat("json: cannot unmarshal ", what, " into Go value of type ", type);
    else
      result.error = Cat("json: cannot unmarshal ", what, " into Go struct field ", struct_, ".", Join(fields, "."), " of type ", type);
  }

  void Save(std::string_view text) {
    if (result.error.empty()) result.error = text;
  }

  // A type that reads itself (quantities, times) ends the decoding at once; a mismatch before it is never told.
  void Fail(std::string_view text) {
    if (!ended_) result.error = text;
    ended_ = true;
  }

  void Strict(std::string_view what, std::string_view name) {
    std::string path;
    for (const Place& place : places_) {
      if (place.field || place.key) path.append(path.empty() ? "" : ".").append(place.field ? std::string_view(place.field->name) : std::string_view(*place.key));
      else path += Cat("[", place.index, "]");
    }
    std::string text = Cat(what, " field ", Quote(path.empty() ? std::string(name) : Cat(path, ".", name)));
    if (result.strict.size() < kMaxStrictErrors && std::find(result.strict.begin(), result.strict.end(), text) == result.strict.end())
      result.strict.push_back(std::move(text));
  }

  void Struct(SchemaPtr schema, const Field* field, Value& value) {
    if (!value.is_object()) return Mismatch(schema, field, JsonKind(value));
    if (value.size() == 0) return;
    const std::string_view outer = struct_;
    struct_ = ShortName(schema->name);
    auto& members = value.MutableMembers();
    FieldFinder fields(schema);
    std::uint64_t seen = 0;   // the first 64 fields that were there: most objects repeat nothing
    std::size_t kept = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
      const Field* known = fields.Find(members[i].key);
      if (!known) {
        if (!schema->preserve_unknown) {
          Strict("unknown", members[i].key);
          continue;
        }
      }
      const auto end = members.begin() + static_cast<std::ptrdiff_t>(kept);
      const auto number = known ? static_cast<std::size_t>(known - schema->fields.data()) : 64;
      const bool is_first = number < 64 && !(seen >> number & 1);
      if (number < 64) seen |= std::uint64_t{1} << number;
      const auto first = is_first ? end : std::find_if(members.begin(), end, [&](const json::Member& m) { return m.key == members[i].key; });
      if (first != end) {
        Strict("duplicate", members[i].key);
        if (known) CheckMember(*known, members[i].value);
        Overlay(first->value, std::move(members[i].value), known && known->type->type == Type::kStruct);
        continue;
      }
      if (known) CheckMember(*known, members[i].value);
      if (kept != i) members[kept] = std::move(members[i]);
      ++kept;
    }
    members.resize(kept);
    struct_ = outer;
  }

  void CheckMember(const Field& field, Value& value) {
    places_.push_back({&field, nullptr, 0});
    Check(field.type, &field, value);
    places_.pop_back();
  }

  // Go decodes a repeated object over the first one.
  static void Overlay(Value& first, Value second, bool is_struct) {
    if (!is_struct || !first.is_object() || !second.is_object()) {
      first = std::move(second);
      return;
    }
    for (json::Member& member : second.MutableMembers()) first.Set(member.key) = std::move(member.value);
  }

  void Map(SchemaPtr schema, const Field* field, Value& value) {
    if (!value.is_object()) return Mismatch(schema, field, JsonKind(value));
    if (value.size() == 0) return;
    auto& members = value.MutableMembers();
    std::size_t kept = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
      places_.push_back({nullptr, &members[i].key, 0});
      Check(schema->item, field, members[i].value);
      places_.pop_back();
      const auto end = members.begin() + static_cast<std::ptrdiff_t>(kept);
      // Large maps are checked for duplicates by sorting once, small ones in place.
      const auto first = members.size() > 64 ? end : std::find_if(members.begin(), end, [&](const json::Member& m) { return m.key == members[i].key; });
      if (first != end) {
        Strict("duplicate", members[i].key);
        first->value = std::move(members[i].value);
        continue;
      }
      if (kept != i) members[kept] = std::move(members[i]);
      ++kept;
    }
    members.resize(kept);
    if (members.size() > 64) DropDuplicatesBySorting(members);
  }

  void DropDuplicatesBySorting(std::vector<json::Member>& members) {
    std::stable_sort(members.begin(), members.end(), [](const json::Member& a, const json::Member& b) { return a.key < b.key; });
    std::size_t kept = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (kept > 0 && members[kept - 1].key == members[i].key) {
        Strict("duplicate", members[i].key);
        members[kept - 1].value = std::move(members[i].value);
        continue;
      }
      if (kept != i) members[kept] = std::move(members[i]);
      ++kept;
    }
    members.resize(kept);
  }

  void List(SchemaPtr schema, const Field* field, Value& value) {
    if (!value.is_array()) return Mismatch(schema, field, JsonKind(value));
    if (value.size() == 0) return;
    std::size_t index = 0;
    for (Value& item : value.MutableItems()) {
      places_.push_back({nullptr, nullptr, index++});
      Check(schema->item, field, item);
      places_.pop_back();
    }
  }

  // JSONSchemaPropsOr…: an object is a schema, for OrArray a list of them.
  void Any(SchemaPtr schema, const Field* field, Value& value) {
    if (!schema->item) return;
    if (schema->name.ends_with("OrBool") && !value.is_object() && !value.is_bool()) return Fail("boolean or JSON schema expected");
    if (value.is_object()) Check(schema->item, field, value);
    if (value.is_array() && schema->name.ends_with("OrArray")) {
      for (Value& item : value.MutableItems()) Check(schema->item, field, item);
    }
  }

  void Integer(SchemaPtr schema, const Field* field, Value& value) {
    if (value.kind() == Value::Kind::kDouble) {
      const double number = value.Double();
      const bool whole = number == static_cast<double>(static_cast<std::int64_t>(number)) && number > -9e15 && number < 9e15;
      if (!whole || value.Dump().find_first_of(".eE") == std::string::npos) return Mismatch(schema, field, Cat("number ", NumberText(number)));
      value = Value(static_cast<std::int64_t>(number));
    }
    const std::int64_t number = value.Int();
    if (schema->type != Type::kInt64 && (number > std::numeric_limits<std::int32_t>::max() || number < std::numeric_limits<std::int32_t>::min()))
      Mismatch(schema, field, Cat("number ", number));
  }

  static std::string NumberText(double number) {
    char text[400];
    if (number == static_cast<double>(static_cast<long double>(number)) && number > -1e21 && number < 1e21) {
      const auto end = std::to_chars(text, text + sizeof text, number, std::chars_format::fixed).ptr;
      return std::string(text, end);
    }
    return std::string(text, std::to_chars(text, text + sizeof text, number).ptr);
  }

  void Scalar(SchemaPtr schema, const Field* field, Value& value) {
    switch (schema->type) {
      case Type::kBool:
        if (!value.is_bool()) Mismatch(schema, field, JsonKind(value));
        return;
      case Type::kInt32:
      case Type::kInt64:
        if (!value.is_number()) return Mismatch(schema, field, JsonKind(value));
        return Integer(schema, field, value);
      case Type::kDouble:
        if (!value.is_number()) Mismatch(schema, field, JsonKind(value));
        return;
      case Type::kIntOrString:
        if (value.is_string()) return;
        if (!value.is_number()) return Mismatch(schema, field, JsonKind(value));
        return Integer(schema, field, value);
      case Type::kQuantity: return QuantityText(value);
      default: break;
    }
    if (!value.is_string()) return Mismatch(schema, field, JsonKind(value));
    if (schema->type == Type::kBytes) {
      if (auto bytes = text::FromBase64(WithoutLineBreaks(value.Str())); !bytes) return Save(bytes.error().message());
      if (value.Str().find_first_of("\r\n") != std::string_view::npos) value = Value(WithoutLineBreaks(value.Str()));
    }
    if (schema->type == Type::kTime || schema->type == Type::kMicroTime) TimeText(value, schema->type == Type::kMicroTime);
    if (schema->type == Type::kDuration) {
      if (auto duration = text::ParseDuration(value.Str()); !duration) Fail(duration.error().message());
      else value = Value(text::FormatDuration(*duration));
    }
  }

  static std::string WithoutLineBreaks(std::string_view text) {
    std::string out;
    for (char c : text)
      if (c != '\n' && c != '\r') out += c;
    return out;
  }

  void QuantityText(Value& value) {
    if (value.is_string() && IsPlainQuantity(value.Str())) return;
    auto quantity = text::Quantity::Parse(value.is_string() ? std::string(value.Str()) : value.Dump());
    if (!quantity) return Fail(quantity.error().message());
    value = Value(quantity->Canonical());
  }

  void TimeText(Value& value, bool micro) {
    auto time = CanonicalTime(value.Str(), micro);
    if (!time) return Fail(time.error().message());
    value = time->starts_with("0001-01-01T00:00:00") ? Value() : Value(*std::move(time));   // Go's zero time is no time
  }

  // A step down; texts are only made of it for messages.
  struct Place {
    const Field* field;               // of a struct
    const std::string* key;           // of a map; both null: an element of a list
    std::size_t index;
  };

  bool ended_ = false;
  int depth_ = 0;
  std::vector<Place> places_;
  std::string_view struct_;
};

}  // namespace

TypeCheck CheckTypes(SchemaPtr schema, json::Value& document) {
  Checker checker;
  checker.Check(schema, nullptr, document);
  return std::move(checker.result);
}

}  // namespace skerry::kube
