#include "embedded-kube-shim/api/decode_value.h"

#include <algorithm>
#include <limits>

#include "core/base/strings.h"
#include "core/text/base64.h"
#include "core/text/duration.h"
#include "core/text/quantity.h"

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
    case Type::kMap: return schema->item->type == Type::kQuantity ? "v1.ResourceList" : Cat("map[string]", GoType(schema->item, go_type));
    case Type::kList: return Cat("[]", GoType(schema->item, go_type));
    case Type::kBool: return "bool";
    case Type::kInt32:
    case Type::kIntOrString: return "int32";
    case Type::kInt64: return "int64";
    case Type::kDouble: return "float64";
    case Type::kBytes: return "[]uint8";
    default: return go_type.empty() ? "string" : std::string(go_type);
  }
}

class Checker {
 public:
  TypeCheck result;

  void Check(SchemaPtr schema, const Field* field, Value& value) {
    if (value.is_null() || ++depth_ > kMaxDepth) return;
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
    if (stack_.empty())
      result.error = Cat("json: cannot unmarshal ", what, " into Go value of type ", type);
    else
      result.error = Cat("json: cannot unmarshal ", what, " into Go struct field ", struct_, ".", Join(stack_, "."), " of type ", type);
  }

  void Fail(std::string_view text) {
    if (result.error.empty()) result.error = text;
  }

  void Strict(std::string_view what, std::string_view name) {
    std::string text = Cat(what, " field ", Quote(path_.empty() ? std::string(name) : Cat(path_, ".", name)));
    if (result.strict.size() < kMaxStrictErrors && std::find(result.strict.begin(), result.strict.end(), text) == result.strict.end())
      result.strict.push_back(std::move(text));
  }

  void Struct(SchemaPtr schema, const Field* field, Value& value) {
    if (!value.is_object()) return Mismatch(schema, field, JsonKind(value));
    const std::string_view outer = struct_;
    struct_ = ShortName(schema->name);
    auto& members = value.MutableMembers();
    std::size_t kept = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
      const Field* known = schema->Find(members[i].key);
      if (!known) {
        if (!schema->preserve_unknown) {
          Strict("unknown", members[i].key);
          continue;
        }
      }
      const auto first = std::find_if(members.begin(), members.begin() + static_cast<std::ptrdiff_t>(kept), [&](const json::Member& m) { return m.key == members[i].key; });
      if (first != members.begin() + static_cast<std::ptrdiff_t>(kept)) {
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
    const std::size_t path_size = path_.size(), stack_size = stack_.size();
    if (!path_.empty()) path_ += '.';
    path_ += field.name;
    if (!field.embedding.empty()) stack_.emplace_back(field.embedding);
    stack_.push_back(field.name);
    Check(field.type, &field, value);
    stack_.resize(stack_size);
    path_.resize(path_size);
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
    auto& members = value.MutableMembers();
    std::size_t kept = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
      const std::size_t path_size = path_.size();
      path_.append(path_.empty() ? "" : ".").append(members[i].key);
      Check(schema->item, field, members[i].value);
      path_.resize(path_size);
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
    std::size_t index = 0;
    for (Value& item : value.MutableItems()) {
      const std::size_t path_size = path_.size();
      path_ += Cat("[", index++, "]");
      Check(schema->item, field, item);
      path_.resize(path_size);
    }
  }

  // JSONSchemaPropsOr…: an object is a schema, for OrArray a list of them.
  void Any(SchemaPtr schema, const Field* field, Value& value) {
    if (!schema->item) return;
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
      if (auto bytes = text::FromBase64(WithoutLineBreaks(value.Str())); !bytes) return Fail(bytes.error().message());
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
    auto quantity = text::Quantity::Parse(value.is_string() ? std::string(value.Str()) : value.Dump());
    if (!quantity) return Fail(quantity.error().message());
    value = Value(quantity->Canonical());
  }

  void TimeText(Value& value, bool micro) {
    auto time = CanonicalTime(value.Str(), micro);
    if (!time) return Fail(time.error().message());
    value = time->starts_with("0001-01-01T00:00:00") ? Value() : Value(*std::move(time));   // Go's zero time is no time
  }

  int depth_ = 0;
  std::string path_;                  // as strict errors show it
  std::vector<std::string> stack_;    // as type errors show it: no indexes, with embeddings
  std::string_view struct_;
};

}  // namespace

TypeCheck CheckTypes(SchemaPtr schema, json::Value& document) {
  Checker checker;
  checker.Check(schema, nullptr, document);
  return std::move(checker.result);
}

}  // namespace skerry::kube
