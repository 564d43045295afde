#include "embedded-kube-shim/apis/custom_values.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/go_value.h"

namespace skerry::kube {
namespace {

using json::Value;

std::size_t Runes(std::string_view text) {
  std::size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

// Errors of one node and how many checks it stood: of several alternatives, the one that stood most is reported.
struct Outcome {
  FieldErrors errors;
  std::size_t matches = 0;
  bool valid() const { return errors.empty(); }
  void Merge(Outcome other) {
    for (auto& error : other.errors) errors.push_back(std::move(error));
    matches += other.matches;
  }
};

std::string_view TypeOf(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kNull: return "null";
    case Value::Kind::kBool: return "boolean";
    case Value::Kind::kInt: return "integer";
    case Value::Kind::kDouble: return "number";
    case Value::Kind::kString: return "string";
    case Value::Kind::kArray: return "array";
    case Value::Kind::kObject: return "object";
  }
  return "";
}

bool IsWhole(double number) {
  constexpr double kLargest = 9007199254740991.0;   // what JSON numbers hold exactly
  return number >= -kLargest && number <= kLargest && number == std::trunc(number);
}

class Validator {
 public:
  explicit Validator(std::string_view prefix) : prefix_(prefix) {}

  // `correlated`: `old` is what the value was before (it may be null, too). An invalid value that has not changed passes.
  Outcome Check(const CustomNode& node, const std::string& path, const Value& value, const Value* old) const {
    Outcome out = CheckFresh(node, path, value, old);
    if (out.valid() || !old || !(*old == value)) return out;
    out.errors.clear();
    return out;
  }

 private:
  std::string Field(std::string_view path) const {
    if (path.starts_with('.')) path.remove_prefix(1);
    if (prefix_.empty()) return std::string(path.empty() ? "<nil>" : path);
    return path.empty() ? prefix_ : Cat(prefix_, ".", path);
  }
  void Add(Outcome& out, FieldErrorType type, const std::string& path, std::string value, std::string detail) const {
    out.errors.push_back({type, Field(path), std::move(value), std::move(detail)});
  }
  // Problems of the validator that belong to no field.
  void AddPlain(Outcome& out, std::string text) const { out.errors.push_back({FieldErrorType::kInvalid, prefix_.empty() ? "<nil>" : prefix_, "\"\"", std::move(text)}); }

  Outcome CheckFresh(const CustomNode& node, const std::string& path, const Value& value, const Value* old) const {
    Outcome out;
    if (value.is_null()) {
      out.Merge(CheckType(node, path, value));
      out.Merge(CheckEnum(node, path, value));
      return out;
    }
    if (!node.type.empty() || node.int_or_string || !node.format.empty()) {
      out.Merge(CheckType(node, path, value));
      ++out.matches;
    }
    out.Merge(CheckAlternatives(node, path, value));
    ++out.matches;
    if (value.is_string()) {
      out.Merge(CheckText(node, path, value));
      ++out.matches;
      if (IsTextFormat(node.format)) {
        if (!MatchesTextFormat(node.format, value.Str()))
          Add(out, FieldErrorType::kTypeInvalid, path, RenderValue(value), Cat(path, " in body must be of type ", node.format, ": ", Quote(value.Str())));
        ++out.matches;
      }
    }
    if (value.is_number()) {
      out.Merge(CheckNumber(node, path, value));
      ++out.matches;
    }
    if (value.is_array()) {
      out.Merge(CheckArray(node, path, value, old));
      ++out.matches;
    }
    out.Merge(CheckEnum(node, path, value));
    ++out.matches;
    if (value.is_object()) {
      out.Merge(CheckObject(node, path, value, old));
      ++out.matches;
    }
    ++out.matches;
    return out;
  }

  Outcome CheckType(const CustomNode& node, const std::string& path, const Value& value) const {
    Outcome out;
    const bool integer = node.type == "integer" || node.int_or_string, number = node.type == "number", text = node.type == "string" || node.int_or_string;
    const std::string wanted = node.int_or_string ? "integer,string" : node.type;
    const auto refuse = [&](std::string_view type, std::string_view found) {
      Add(out, FieldErrorType::kTypeInvalid, path, Quote(found), Cat(path, " in body must be of type ", type, ": ", Quote(found)));
    };
    if (value.is_null()) {
      if (!wanted.empty() && !node.nullable) refuse(wanted, "null");
      else ++out.matches;
      return out;
    }
    const auto found = TypeOf(value);
    const bool contains = found == node.type || (node.int_or_string && (found == "integer" || found == "string"));
    const bool whole = value.kind() == Value::Kind::kDouble && IsWhole(value.Double()) && integer, widened = value.is_int() && number;
    const std::string_view found_format = value.is_int() ? "int64" : value.is_number() ? "float64" : "";
    const bool texty = value.is_string() || value.is_array();
    if (!texty && !node.format.empty() && !(contains || found_format == node.format || whole || widened)) {
      refuse(node.format, found_format);
      return out;
    }
    if (!number && !integer && !node.format.empty() && texty) {
      ++out.matches;
      return out;
    }
    static_cast<void>(text);
    if (!wanted.empty() && !(contains || whole || widened)) refuse(wanted, found);
    else ++out.matches;
    return out;
  }

  Outcome CheckAlternatives(const CustomNode& node, const std::string& path, const Value& value) const {
    Outcome out;
    if (!node.any_of.empty()) {
      std::optional<Outcome> best;
      bool found = false;
      for (const auto& alternative : node.any_of) {
        Outcome tried = CheckFresh(*alternative, path, value, nullptr);
        if ((found = tried.valid())) {
          best = std::move(tried);
          break;
        }
        if (!best || tried.matches > best->matches) best = std::move(tried);
      }
      if (!found) AddPlain(out, Cat(Quote(path), " must validate at least one schema (anyOf)"));
      if (best) out.Merge(std::move(*best));
    }
    if (!node.one_of.empty()) {
      std::optional<Outcome> best, first;
      int valid = 0;
      for (const auto& alternative : node.one_of) {
        Outcome tried = CheckFresh(*alternative, path, value, nullptr);
        if (tried.valid()) {
          ++valid;
          best.reset();
          if (!first) first = std::move(tried);
        } else if (valid == 0 && (!best || tried.matches > best->matches)) {
          best = std::move(tried);
        }
      }
      if (valid != 1) {
        AddPlain(out, Cat(Quote(path), " must validate one and only one schema (oneOf). ", valid == 0 ? std::string("Found none valid") : Cat("Found ", valid, " valid alternatives")));
        if (best) out.Merge(std::move(*best));
      } else if (first) {
        out.Merge(std::move(*first));
      }
    }
    if (!node.all_of.empty()) {
      std::size_t valid = 0;
      for (const auto& part : node.all_of) {
        Outcome tried = CheckFresh(*part, path, value, nullptr);
        valid += tried.valid();
        out.Merge(std::move(tried));
      }
      if (valid != node.all_of.size()) AddPlain(out, Cat(Quote(path), " must validate all the schemas (allOf)", valid == 0 ? ". None validated" : ""));
    }
    if (node.negated && CheckFresh(*node.negated, path, value, nullptr).valid()) AddPlain(out, Cat(Quote(path), " must not validate the schema (not)"));
    ++out.matches;
    return out;
  }

  // Only the first problem of a text is told.
  Outcome CheckText(const CustomNode& node, const std::string& path, const Value& value) const {
    Outcome out;
    const auto text = value.Str();
    const auto length = static_cast<std::int64_t>(Runes(text));
    if (node.max_length && length > *node.max_length) Add(out, FieldErrorType::kTooLong, path, {}, *node.max_length < 0 ? std::string("value is too long") : Cat("may not be more than ", *node.max_length, *node.max_length == 1 ? " byte" : " bytes"));
    else if (node.min_length && length < *node.min_length)
      Add(out, FieldErrorType::kInvalid, path, RenderValue(value), Cat(path, " in body should be at least ", *node.min_length, " chars long"));
    else if (node.matcher && !node.matcher->Matches(text))
      Add(out, FieldErrorType::kInvalid, path, RenderValue(value), Cat(path, " in body should match '", node.pattern, "'"));
    return out;
  }

  // Whether a number can be of the declared type and format at all.
  std::optional<std::string> RangeProblem(const CustomNode& node, double number, bool is_int, std::string_view what, const std::string& path) const {
    bool fits = true;
    if (node.type == "integer") {
      fits = is_int || (IsWhole(number));
      if (fits && node.format == "int32") fits = number >= -2147483648.0 && number <= 2147483647.0;
      else if (fits && node.format == "uint32") fits = number >= 0 && number <= 4294967295.0;
      else if (fits && node.format == "uint64") fits = number >= 0;
      else if (fits && !is_int) fits = std::abs(number) < 9223372036854775807.0;
    } else if (node.format == "float" || node.format == "float32") {
      fits = std::abs(number) <= std::numeric_limits<float>::max();
    }
    if (fits) return std::nullopt;
    if (node.format.empty()) return Cat(what, " value must be of type ", node.type.empty() ? "number" : node.type, " (default format) in ", path);
    return Cat(what, " value must be of type ", node.type, " with format ", node.format, " in ", path);
  }

  Outcome CheckNumber(const CustomNode& node, const std::string& path, const Value& value) const {
    Outcome out;
    const bool is_int = value.is_int();
    const double number = value.Double();
    const auto plain = [&](std::optional<std::string> problem) {
      if (problem) AddPlain(out, std::move(*problem));
      return problem.has_value();
    };
    plain(RangeProblem(node, number, is_int, "Checked", path));
    // Limits count as whole numbers where both they and the value are meant to be.
    const auto shown = [&](double limit, bool whole) { return whole ? std::to_string(static_cast<std::int64_t>(limit)) : GoFloat(limit); };
    if (node.multiple_of) {
      const bool whole = is_int && !plain(RangeProblem(node, *node.multiple_of, false, "MultipleOf", path)) && static_cast<std::int64_t>(*node.multiple_of) != 0;
      bool divides;
      if (whole) divides = value.Int() % static_cast<std::int64_t>(*node.multiple_of) == 0;
      else divides = IsWhole(*node.multiple_of < 1 ? 1 / *node.multiple_of * number : number / *node.multiple_of);
      if (!divides) Add(out, FieldErrorType::kInvalid, path, RenderValue(value), Cat(path, " in body should be a multiple of ", shown(*node.multiple_of, whole)));
      ++out.matches;
    }
    if (node.minimum) {
      const bool whole = !plain(RangeProblem(node, *node.minimum, false, "Minimum boundary", path)) && is_int;
      const double limit = whole ? std::trunc(*node.minimum) : *node.minimum;
      if (number < limit || (node.exclusive_minimum && number == limit))
        Add(out, FieldErrorType::kInvalid, path, RenderValue(value), Cat(path, " in body should be greater than ", node.exclusive_minimum ? "" : "or equal to ", shown(limit, whole)));
      ++out.matches;
    }
    if (node.maximum) {
      const bool whole = !plain(RangeProblem(node, *node.maximum, false, "Maximum boundary", path)) && is_int;
      const double limit = whole ? std::trunc(*node.maximum) : *node.maximum;
      if (number > limit || (node.exclusive_maximum && number == limit))
        Add(out, FieldErrorType::kInvalid, path, RenderValue(value), Cat(path, " in body should be less than ", node.exclusive_maximum ? "" : "or equal to ", shown(limit, whole)));
      ++out.matches;
    }
    ++out.matches;
    return out;
  }

  static const Value* Correlated(const CustomNode& node, const Value* old, const Value& item) {
    if (!old || node.list_kind != ListKind::kMap) return nullptr;
    const auto same = [&](const Value& before) {
      return std::all_of(node.list_map_keys.begin(), node.list_map_keys.end(), [&](const std::string& key) { return before[key] == item[key]; });
    };
    for (const Value& before : old->Items())
      if (before.is_object() && same(before)) return &before;
    return nullptr;
  }

  Outcome CheckArray(const CustomNode& node, const std::string& path, const Value& value, const Value* old) const {
    Outcome out;
    std::size_t index = 0;
    if (node.items)
      for (const Value& item : value.Items()) out.Merge(Check(*node.items, Cat(path, "[", index++, "]"), item, Correlated(node, old, item)));
    const auto size = static_cast<std::int64_t>(value.size());
    if (node.min_items && size < *node.min_items)
      Add(out, FieldErrorType::kInvalid, path, std::to_string(size), Cat(path, " in body should have at least ", *node.min_items, " items"));
    if (node.max_items && size > *node.max_items) Add(out, FieldErrorType::kTooMany, path, std::to_string(size), Cat("must have at most ", *node.max_items, *node.max_items == 1 ? " item" : " items"));
    ++out.matches;
    return out;
  }

  static bool SameEnum(const Value& allowed, const Value& value) {
    if (allowed.is_null() || value.is_null()) return false;
    if (allowed.is_int() && value.kind() == Value::Kind::kDouble) return allowed.Int() == static_cast<std::int64_t>(value.Double());
    return allowed == value;
  }

  Outcome CheckEnum(const CustomNode& node, const std::string& path, const Value& value) const {
    Outcome out;
    if (node.enumeration.empty()) return out;
    if (std::any_of(node.enumeration.begin(), node.enumeration.end(), [&](const Value& allowed) { return SameEnum(allowed, value); })) return out;
    std::vector<std::string> allowed;
    for (const Value& v : node.enumeration) allowed.push_back(v.is_string() ? Quote(v.Str()) : Quote(v.Dump()));
    Add(out, FieldErrorType::kNotSupported, path, RenderValue(value), Cat("supported values: ", Join(allowed, ", ")));
    return out;
  }

  Outcome CheckObject(const CustomNode& node, const std::string& path, const Value& value, const Value* old) const {
    Outcome out;
    const auto count = static_cast<std::int64_t>(value.size());
    if (node.min_properties && count < *node.min_properties) {
      Add(out, FieldErrorType::kInvalid, path, std::to_string(count), Cat(path, " in body should have at least ", *node.min_properties, " properties"));
      return out;
    }
    if (node.max_properties && count > *node.max_properties) {
      Add(out, FieldErrorType::kTooMany, path, std::to_string(count), Cat("must have at most ", *node.max_properties, *node.max_properties == 1 ? " item" : " items"));
      return out;
    }
    for (const auto& name : node.required)
      if (!value.Find(name)) Add(out, FieldErrorType::kRequired, Cat(path, ".", name), {}, {});
    const auto before = [&](const std::string& key) -> const Value* { return old && old->is_object() && !node.map_atomic ? old->Find(key) : nullptr; };
    if (node.additional)
      for (const auto& member : value.Members())
        if (!node.Property(member.key)) out.Merge(Check(*node.additional, Cat(path, ".", member.key), member.value, before(member.key)));
    for (const auto& [name, property] : node.properties)
      if (const Value* member = value.Find(name)) out.Merge(Check(*property, path.empty() ? name : Cat(path, ".", name), *member, before(name)));
    ++out.matches;
    return out;
  }

  const std::string prefix_;
};

class UniqueItems {
 public:
  explicit UniqueItems(FieldErrors& errors) : errors_(errors) {}

  void Check(const CustomNode& node, const Value& value, const std::string& path) {
    if (value.is_array()) {
      if (node.list_kind == ListKind::kSet) Set(value, path);
      if (node.list_kind == ListKind::kMap) Map(node, value, path);
      std::size_t index = 0;
      if (node.items)
        for (const Value& item : value.Items()) Check(*node.items, item, Cat(path, "[", index++, "]"));
    }
    if (!value.is_object()) return;
    for (const auto& member : value.Members()) {
      if (const auto* property = node.Property(member.key)) Check(*property, member.value, path.empty() ? member.key : Cat(path, ".", member.key));
      else if (node.additional) Check(*node.additional, member.value, Cat(path, "[", member.key, "]"));
    }
  }

 private:
  void Duplicate(const std::string& path, std::size_t index, const Value& shown) { errors_.push_back({FieldErrorType::kDuplicate, Cat(path, "[", index, "]"), RenderValue(shown), {}}); }

  static std::string KeyOf(const Value& value) {
    json::DumpOptions options;
    options.sort_keys = true;
    return value.Dump(options);
  }

  void Set(const Value& list, const std::string& path) {
    std::vector<std::string> seen;
    std::size_t index = 0;
    for (const Value& item : list.Items()) {
      auto key = KeyOf(item);
      const auto times = std::count(seen.begin(), seen.end(), key);
      if (times == 1) Duplicate(path, index, item);   // told once, where it is first repeated
      seen.push_back(std::move(key));
      ++index;
    }
  }

  void Map(const CustomNode& node, const Value& list, const std::string& path) {
    std::vector<std::string> seen;
    std::size_t index = 0;
    for (const Value& item : list.Items()) {
      Value keys = Value::Object();
      for (const auto& name : node.list_map_keys)
        if (const Value* value = item.Find(name)) keys.Set(name) = value->Clone();
      auto key = KeyOf(keys);
      if (std::count(seen.begin(), seen.end(), key) == 1) {
        Value shown;
        Value::Parse(key, &shown, nullptr);
        Duplicate(path, index, shown);
      }
      seen.push_back(std::move(key));
      ++index;
    }
  }

  FieldErrors& errors_;
};

}  // namespace

std::string RenderValue(const Value& value) {
  if (value.is_string()) return Quote(value.Str());
  if (value.kind() == Value::Kind::kDouble) return GoFloat(value.Double());
  return value.Dump();
}

void ValidateCustomValue(const CustomNode& node, std::string_view prefix, const Value& value, const Value* old, FieldErrors& errors) {
  auto outcome = Validator(prefix).Check(node, "", value, old);
  for (auto& error : outcome.errors) errors.push_back(std::move(error));
}

void ValidateUniqueItems(const CustomNode& root, const Value& object, FieldErrors& errors) { UniqueItems(errors).Check(root, object, ""); }

}  // namespace skerry::kube
