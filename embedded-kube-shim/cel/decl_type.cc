#include "embedded-kube-shim/cel/decl_type.h"

#include <algorithm>
#include <set>

#include "core/base/strings.h"

namespace skerry::kube::cel {
namespace {

constexpr std::int64_t kMinText = 2;             // ""
constexpr std::int64_t kMinDuration = 4;         // "0s"
constexpr std::int64_t kDate = 12;               // "2006-01-02"
constexpr std::int64_t kMinDateTime = 21;        // "2006-01-02T15:04:05Z" counted without one quote, as clients' numbers expect
constexpr std::uint64_t kMaxDuration = 32, kMaxDateTime = 37;
constexpr std::uint64_t kMaxText = kMaxRequestBytes - 2;

std::shared_ptr<DeclType> Make(TypeKind kind, std::int64_t min_size) {
  auto type = std::make_shared<DeclType>();
  type->kind = kind;
  type->min_size = min_size;
  return type;
}

std::optional<std::uint64_t> Limit(const json::Value& schema, std::string_view key) {
  const json::Value* limit = schema.Find(key);
  if (limit == nullptr || limit->is_null()) return std::nullopt;
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, limit->Int()));
}

std::uint64_t LongestEnum(const json::Value& values) {
  std::size_t longest = 0;
  for (const json::Value& value : values.Items()) longest = std::max(longest, value.Str().size());
  return longest;
}

DeclTypePtr Text(const json::Value& schema) {
  const std::string_view format = schema["format"].Str();
  const auto max_length = Limit(schema, "maxLength");
  if (format == "byte") {
    auto type = Make(TypeKind::kBytes, kMinText);
    type->text = DeclType::Text::kByte;
    type->max_elements = max_length.value_or(kMaxText);
    return type;
  }
  if (format == "duration") {
    auto type = Make(TypeKind::kDuration, kMinDuration);
    type->text = DeclType::Text::kDuration;
    type->max_elements = kMaxDuration;
    return type;
  }
  if (format == "date") {
    auto type = Make(TypeKind::kTimestamp, kDate);
    type->text = DeclType::Text::kDate;
    type->max_elements = kDate;
    return type;
  }
  if (format == "date-time") {
    auto type = Make(TypeKind::kTimestamp, kMinDateTime);
    type->text = DeclType::Text::kDateTime;
    type->max_elements = kMaxDateTime;
    return type;
  }
  auto type = Make(TypeKind::kString, kMinText);
  // maxLength counts code points, estimates count bytes: up to four each.
  if (max_length) type->max_elements = *max_length * 4;
  else if (!schema["enum"].Items().empty()) type->max_elements = LongestEnum(schema["enum"]);
  else type->max_elements = kMaxText;
  return type;
}

DeclTypePtr Convert(const json::Value& schema, bool is_root, const std::string& name);

bool IsEmbedded(const json::Value& schema) { return schema["x-kubernetes-embedded-resource"].Bool(); }

DeclTypePtr List(const json::Value& schema, const std::string& name) {
  const json::Value* items = schema.Find("items");
  if (items == nullptr || !items->is_object()) return nullptr;
  DeclTypePtr element = Convert(*items, IsEmbedded(*items), name + ".@idx");
  if (element == nullptr) return nullptr;
  auto type = Make(TypeKind::kList, 2);
  type->max_elements = Limit(schema, "maxItems").value_or(static_cast<std::uint64_t>((kMaxRequestBytes - 2) / (element->min_size + 1)));
  type->element = std::move(element);
  type->key = SimpleDecl(TypeKind::kInt);
  const std::string_view list_type = schema["x-kubernetes-list-type"].Str();
  if (list_type == "set") type->list = DeclType::List::kSet;
  if (list_type == "map") {
    type->list = DeclType::List::kMap;
    for (const json::Value& key : schema["x-kubernetes-list-map-keys"].Items()) type->map_keys.emplace_back(key.Str());
  }
  return type;
}

DeclTypePtr Map(const json::Value& schema, const json::Value& values, const std::string& name) {
  DeclTypePtr value = Convert(values, IsEmbedded(values), name + ".@elem");
  if (value == nullptr) return nullptr;
  auto type = Make(TypeKind::kMap, 2);
  type->max_elements = Limit(schema, "maxProperties").value_or(static_cast<std::uint64_t>((kMaxRequestBytes - 2) / (value->min_size + 6)));
  type->element = std::move(value);
  type->key = StringDecl();
  return type;
}

void AddField(DeclType& object, std::string_view json_name, DeclTypePtr type, bool required) {
  std::string escaped = EscapeName(json_name);
  if (escaped.empty()) return;
  object.fields[std::move(escaped)] = DeclField{std::string(json_name), std::move(type), required};
}

// What every resource has, whatever its schema says.
void AddIdentity(DeclType& object, const std::string& name) {
  for (const char* field : {"apiVersion", "kind"}) AddField(object, field, StringDecl(), false);
  auto metadata = Make(TypeKind::kObject, 2);
  metadata->name = name + ".metadata";
  AddField(*metadata, "name", StringDecl(), false);
  AddField(*metadata, "generateName", StringDecl(), false);
  AddField(object, "metadata", std::move(metadata), false);
}

DeclTypePtr Object(const json::Value& schema, bool is_root, const std::string& name) {
  if (const json::Value* values = schema.Find("additionalProperties"); values != nullptr && values->is_object()) return Map(schema, *values, name);
  auto type = Make(TypeKind::kObject, 2);
  type->name = name;
  std::set<std::string_view> required;
  for (const json::Value& field : schema["required"].Items()) required.insert(field.Str());
  for (const auto& [key, property] : schema["properties"].Members()) {
    if (is_root && key == "metadata") continue;
    const std::string escaped = EscapeName(key);
    DeclTypePtr field = Convert(property, IsEmbedded(property), Cat(name, ".", escaped.empty() ? key : escaped));
    if (field == nullptr) continue;
    const bool is_required = required.contains(key);
    if (is_required && property.Find("default") == nullptr) type->min_size += static_cast<std::int64_t>(key.size()) + field->min_size + 4;
    AddField(*type, key, std::move(field), is_required);
  }
  if (is_root) AddIdentity(*type, name);
  return type;
}

std::shared_ptr<DeclType> Untyped() {
  auto type = Make(TypeKind::kDyn, 1);
  type->max_elements = kMaxText;
  return type;
}

DeclTypePtr Typed(const json::Value& schema, bool is_root, const std::string& name) {
  if (schema["x-kubernetes-int-or-string"].Bool()) {
    auto type = Untyped();
    type->int_or_string = true;
    return type;
  }
  const std::string_view kind = is_root ? "object" : schema["type"].Str();
  if (kind == "array") return List(schema, name);
  if (kind == "object") return Object(schema, is_root, name);
  if (kind == "string") return Text(schema);
  if (kind == "boolean") return SimpleDecl(TypeKind::kBool);
  if (kind == "number") return SimpleDecl(TypeKind::kDouble);
  if (kind == "integer") return SimpleDecl(TypeKind::kInt);
  return nullptr;
}

DeclTypePtr Convert(const json::Value& schema, bool is_root, const std::string& name) {
  DeclTypePtr type = Typed(schema, is_root, name);
  if (type == nullptr || !schema["nullable"].Bool()) return type;
  auto nullable = std::make_shared<DeclType>(*type);
  nullable->nullable = true;
  return nullable;
}

constexpr std::string_view kReserved[] = {"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if",
                                          "import", "let", "loop", "package", "namespace", "return", "var", "void", "while"};
struct Escape { std::string_view plain, escaped; };
constexpr Escape kEscapes[] = {{"__", "__underscores__"}, {".", "__dot__"}, {"-", "__dash__"}, {"/", "__slash__"}};

}  // namespace

DeclTypePtr FromSchema(const json::Value& schema, SchemaRole role, std::string_view root_name) {
  return Convert(schema, role == SchemaRole::kResourceRoot || IsEmbedded(schema), std::string(root_name));
}

DeclTypePtr SimpleDecl(TypeKind kind) {
  auto type = Make(kind, kind == TypeKind::kBool ? 4 : kind == TypeKind::kString || kind == TypeKind::kBytes ? kMinText : 1);
  return type;
}

DeclTypePtr DynDecl() {
  static const DeclTypePtr dyn = Untyped();
  return dyn;
}

DeclTypePtr ListDecl(DeclTypePtr element, std::uint64_t max_elements) {
  auto type = Make(TypeKind::kList, 2);
  type->element = std::move(element);
  type->key = SimpleDecl(TypeKind::kInt);
  type->max_elements = max_elements;
  return type;
}

DeclTypePtr MapDecl(DeclTypePtr value, std::uint64_t max_elements) {
  auto type = Make(TypeKind::kMap, 2);
  type->element = std::move(value);
  type->key = StringDecl();
  type->max_elements = max_elements;
  return type;
}

DeclTypePtr ObjectDecl(std::string name, std::vector<std::pair<std::string, DeclTypePtr>> fields) {
  auto type = Make(TypeKind::kObject, 2);
  type->name = std::move(name);
  for (auto& [key, field] : fields) type->fields[key] = DeclField{key, std::move(field), false};
  return type;
}

const DeclField& AnyField() {
  static const DeclField field{{}, DynDecl(), false};
  return field;
}

std::uint64_t MaxCardinality(std::int64_t min_size) { return static_cast<std::uint64_t>(kMaxRequestBytes / (min_size + 1)); }

std::string EscapeName(std::string_view name) {
  if (name.empty() || !(name[0] == '_' || (name[0] >= 'a' && name[0] <= 'z') || (name[0] >= 'A' && name[0] <= 'Z'))) return {};
  if (std::ranges::find(kReserved, name) != std::end(kReserved)) return Cat("__", name, "__");
  std::string out;
  for (std::size_t i = 0; i < name.size();) {
    const auto escape = std::ranges::find_if(kEscapes, [&](const Escape& e) { return name.substr(i).starts_with(e.plain); });
    if (escape != std::end(kEscapes)) {
      out += escape->escaped;
      i += escape->plain.size();
      continue;
    }
    const char c = name[i++];
    if (!(c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) return {};
    out += c;
  }
  return out;
}

std::string UnescapeName(std::string_view escaped) {
  if (escaped.size() > 4 && escaped.starts_with("__") && escaped.ends_with("__")) {
    const std::string_view word = escaped.substr(2, escaped.size() - 4);
    if (std::ranges::find(kReserved, word) != std::end(kReserved)) return std::string(word);
  }
  std::string out;
  for (std::size_t i = 0; i < escaped.size();) {
    const auto escape = std::ranges::find_if(kEscapes, [&](const Escape& e) { return escaped.substr(i).starts_with(e.escaped); });
    if (escape == std::end(kEscapes)) {
      out += escaped[i++];
      continue;
    }
    out += escape->plain;
    i += escape->escaped.size();
  }
  return out;
}

}  // namespace skerry::kube::cel
