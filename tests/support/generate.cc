#include "tests/support/generate.h"

#include <algorithm>
#include <array>

#include "core/base/strings.h"

namespace skerry::testing {
namespace {

using json::Value;
using kube::Schema;
using kube::SchemaPtr;
using kube::Type;

template <std::size_t N>
std::string_view Pick(const std::array<std::string_view, N>& of, Random& random) { return of[random.Below(N)]; }

constexpr std::array<std::string_view, 8> kTexts = {"a", "b", "web", "x-1", "a.b/c", "some longer text, with a comma", "h\xC3\xA9", "Always"};
constexpr std::array<std::string_view, 5> kKeys = {"a", "b", "app.kubernetes.io/name", "k.1", "limits"};
constexpr std::array<std::string_view, 4> kQuantities = {"1", "100m", "1Gi", "1500m"};   // canonical: appliers are in conflict about spellings
constexpr std::array<std::string_view, 4> kDurations = {"1h0m0s", "30s", "1m30s", "1.5s"};

class Generator {
 public:
  Generator(Random& random, const GenerateOptions& options) : random_(random), options_(options) {}

  Value Make(SchemaPtr schema, int depth) {
    switch (schema->type) {
      case Type::kStruct: return Struct(schema, depth);
      case Type::kMap: return Map(schema, depth);
      case Type::kList: return List(schema, depth);
      case Type::kString: return Pick(kTexts, random_);
      case Type::kBool: return !options_.zeros || random_.Below(2) == 1;
      case Type::kInt32: return Number(2147483647);
      case Type::kInt64: return Number(9223372036854775807);
      case Type::kDouble: return static_cast<double>(random_.Below(1000)) / 8 + 0.125;
      case Type::kBytes: return random_.Below(2) ? "aGVsbG8=" : "AA==";
      case Type::kTime: return "2024-02-29T12:00:00Z";
      case Type::kMicroTime: return "2024-02-29T12:00:00.123456Z";
      case Type::kDuration: return Pick(kDurations, random_);
      case Type::kQuantity: return Pick(kQuantities, random_);
      case Type::kIntOrString: return random_.Below(2) ? Value(static_cast<int>(1 + random_.Below(9))) : Value("50%");
      case Type::kRawExtension: return Raw();
      case Type::kFieldsV1: return Fields();
      case Type::kAny: return schema->item ? Make(schema->item, depth + 1) : options_.zeros ? GenerateJson(random_, 2) : Value(Pick(kTexts, random_));
    }
    return {};
  }

 private:
  bool Chance(unsigned percent) { return random_.Below(100) < percent; }

  Value Number(std::int64_t most) {
    switch (random_.Below(8)) {
      case 0: return static_cast<long long>(most);
      case 1: return options_.zeros ? 0 : 1;
      default: return static_cast<int>(1 + random_.Below(100));
    }
  }

  static Value Raw() {
    Value out = Value::Object();
    out.Set("apiVersion") = "v1";
    out.Set("kind") = "ConfigMap";
    out.Set("data").Set("k") = "v";
    return out;
  }

  static Value Fields() {
    Value out = Value::Object();
    out.Set("f:spec").Set("f:a") = Value::Object();
    return out;
  }

  // What contains nothing but itself ends somewhere.
  bool TooDeep(SchemaPtr schema, int depth) const {
    const bool leaf = schema->type >= Type::kString;
    return depth >= options_.max_depth && !leaf;
  }

  bool IsKey(SchemaPtr list, std::string_view field) const {
    return list && std::find(list->list_map_keys.begin(), list->list_map_keys.end(), field) != list->list_map_keys.end();
  }

  Value Struct(SchemaPtr schema, int depth, SchemaPtr list = nullptr, const std::string& merge_key = "") {
    Value out = Value::Object();
    for (const kube::Field& field : schema->fields) {
      const bool key = IsKey(list, field.name) || (!merge_key.empty() && field.name == merge_key);
      if (!key && !(field.required && depth < options_.max_depth) && !Chance(options_.field_percent)) continue;
      if (TooDeep(field.type, depth + 1) || (options_.protobuf && field.proto == 0)) continue;
      Value value = field.type->type == Type::kList ? List(field.type, depth + 1, field.patch_merge_key) : Make(field.type, depth + 1);
      if (!options_.zeros && (value.is_object() || value.is_array()) && value.size() == 0) continue;
      out.Set(field.name) = std::move(value);
    }
    return out;
  }

  Value Map(SchemaPtr schema, int depth) {
    Value out = Value::Object();
    if (TooDeep(schema->item, depth + 1)) return out;
    for (std::uint64_t n = random_.Below(4); n > 0; --n) out.Set(Pick(kKeys, random_)) = Make(schema->item, depth + 1);
    return out;
  }

  // No two items of a keyed list or a set are the same one.
  Value List(SchemaPtr schema, int depth, const std::string& merge_key = "") {
    Value out = Value::Array();
    if (TooDeep(schema->item, depth + 1)) return out;
    std::vector<std::string> seen;
    for (std::uint64_t n = random_.Below(4); n > 0; --n) {
      Value item = schema->item->type == Type::kStruct ? Struct(schema->item, depth + 1, schema, merge_key) : Make(schema->item, depth + 1);
      // Patches merge by one key, apply by several: the items differ in each of them.
      bool twice = false;
      for (const std::string& name : Names(schema, merge_key, item)) {
        twice |= std::find(seen.begin(), seen.end(), name) != seen.end();
        seen.push_back(name);
      }
      if (!twice) out.Append(std::move(item));
    }
    return out;
  }

  static std::vector<std::string> Names(SchemaPtr schema, const std::string& merge_key, const Value& item) {
    if (schema->item->type != Type::kStruct) return {item.Dump()};
    std::vector<std::string> out;
    for (const std::string& key : schema->list_map_keys) out.push_back(Cat(key, "=", item[key].Dump()));
    if (!merge_key.empty()) out.push_back(Cat(merge_key, "=", item[merge_key].Dump()));
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }

  Random& random_;
  const GenerateOptions& options_;
};

Value* Somewhere(Value& value, Random& random) {
  Value* at = &value;
  while (at->size() > 0 && random.Below(4) != 0) {
    const std::size_t index = random.Below(at->size());
    at = at->is_array() ? &at->MutableItems()[index] : &at->MutableMembers()[index].value;
  }
  return at;
}

}  // namespace

Value Generate(SchemaPtr schema, Random& random, const GenerateOptions& options) { return Generator(random, options).Make(schema, 0); }

Value GenerateObject(SchemaPtr schema, const std::string& api_version, const std::string& kind, Random& random, const GenerateOptions& options) {
  Value out = Generate(schema, random, options);
  out.Set("apiVersion") = api_version;
  out.Set("kind") = kind;
  if (schema->Find("metadata")) {
    out.Set("metadata").Erase("managedFields");
    out.Set("metadata").Set("name") = "made-up";
  }
  return out;
}

Value GenerateJson(Random& random, int max_depth) {
  switch (random.Below(max_depth > 0 ? 8 : 5)) {
    case 0: return Value();
    case 1: return random.Below(2) == 1;
    case 2: return static_cast<long long>(random.Below(2000)) - 1000;
    case 3:
    case 4: return Pick(kTexts, random);
    case 5: {
      Value out = Value::Array();
      for (std::uint64_t n = random.Below(4); n > 0; --n) out.Append(GenerateJson(random, max_depth - 1));
      return out;
    }
    default: {
      Value out = Value::Object();
      for (std::uint64_t n = random.Below(4); n > 0; --n) out.Set(Pick(kKeys, random)) = GenerateJson(random, max_depth - 1);
      return out;
    }
  }
}

void Mutate(Value& value, Random& random) {
  static const std::array<std::string_view, 12> odd = {"", "-", "..", "a/b/c", "0", "-1", "99999999999999999999", "2024-13-45T99:00:00Z", "\xEF\xBF\xBD", "1Gi1", "[", "{{.}}"};
  Value& at = *Somewhere(value, random);
  switch (random.Below(9)) {
    case 0: at = Value(); break;
    case 1: at = Pick(odd, random); break;
    case 2: at = random.Below(2) ? -1LL : 9223372036854775807LL; break;
    case 3: at = std::string(1 + random.Below(600), 'x'); break;
    case 4: at = GenerateJson(random, 3); break;
    case 5:
      if (at.is_array() && at.size() > 0) at.Append(at.Items()[random.Below(at.size())].Clone());
      else if (at.is_object() && at.size() > 0) at.Erase(std::string(at.Members()[random.Below(at.size())].key));
      else at = Value::Object();
      break;
    case 6: at = Value::Array(); break;
    case 7: at = random.Below(2) == 1; break;
    default: at = 1e300; break;
  }
}

}  // namespace skerry::testing
