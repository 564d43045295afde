#include "embedded-kube-shim/api/typed_value.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/go_value.h"
#include "embedded-kube-shim/api/typed_walk.h"

namespace skerry::kube {

using json::Value;

namespace {

const Schema kUntypedSchema;   // Type::kAny

enum class Scalar : std::uint8_t { kString, kNumeric, kBool, kUntyped };

Scalar ScalarOf(Type type) {
  switch (type) {
    case Type::kBool: return Scalar::kBool;
    case Type::kInt32:
    case Type::kInt64:
    case Type::kDouble: return Scalar::kNumeric;
    case Type::kString:
    case Type::kBytes:
    case Type::kTime:
    case Type::kMicroTime:
    case Type::kDuration: return Scalar::kString;
    default: return Scalar::kUntyped;   // int-or-string and quantities take any scalar
  }
}

bool IsScalar(const Value& value) { return value.is_string() || value.is_number() || value.is_bool(); }

}  // namespace

Shape ShapeOf(SchemaPtr schema, const Value* value) {
  if (!schema) schema = &kUntypedSchema;
  switch (schema->type) {
    case Type::kStruct:
    case Type::kMap: return {Shape::kMap, schema->map_atomic};
    case Type::kFieldsV1: return {Shape::kMap, false};
    case Type::kRawExtension: return {Shape::kMap, true};
    case Type::kList: return {Shape::kList, schema->list_kind == ListKind::kAtomic};
    case Type::kAny:
      if (value && value->is_array()) return {Shape::kList, true};
      if (value && IsScalar(*value)) return {Shape::kScalar, false};
      return {Shape::kMap, false};
    default: return {Shape::kScalar, false};
  }
}

TypedField FieldOf(SchemaPtr schema, std::string_view name) {
  if (!schema) return {nullptr, false, true};
  if (schema->type == Type::kMap) return {schema->item, false, true};
  if (schema->type != Type::kStruct) return {nullptr, false, true};
  if (const Field* field = schema->Find(name)) return {field->type, true, true};
  // A free-form object: nothing declared, everything allowed.
  if (schema->preserve_unknown || schema->fields.empty()) return {nullptr, false, true};
  return {nullptr, false, false};
}

SchemaPtr ElementOf(SchemaPtr list) { return list && list->type == Type::kList ? list->item : nullptr; }

namespace {

// What a key means when it is left out: its default; built-in types default fields that are always written to their zero value.
const Value* KeyDefault(SchemaPtr item, std::string_view name) {
  static const Value kEmpty(""), kZero(0);
  const Field* field = item ? item->Find(name) : nullptr;
  if (!field) return nullptr;
  if (!field->default_value.is_null()) return &field->default_value;
  if (item->name.empty() || field->pointer) return nullptr;
  if (field->omit_empty && item->name != "io.k8s.api.core.v1.LocalObjectReference") return nullptr;
  return field->type->type == Type::kString ? &kEmpty : &kZero;
}

}  // namespace

std::string ElementStep(SchemaPtr list, const Value& item, PathStep* step) {
  if (list->list_kind == ListKind::kSet) {
    if (item.is_object()) return "associative list without keys has an element that's a map type";
    if (item.is_array()) return "not supported: associative list with lists as elements";
    if (item.is_null()) return "associative list without keys has an element that's an explicit null";
    *step = ValueStep(item);
    return {};
  }
  if (item.is_null()) return "associative list with keys may not have a null element";
  if (!item.is_object()) return "associative list with keys may not have non-map elements";
  std::vector<std::pair<std::string, const Value*>> keys;
  for (const auto& name : list->list_map_keys) {
    const Value* value = item.Find(name);
    if (!value) value = KeyDefault(list->item, name);
    if (value) keys.emplace_back(name, value);
  }
  if (keys.empty()) {
    std::string names;
    for (const auto& name : list->list_map_keys) names += (names.empty() ? "" : " ") + Quote(name);
    return Cat("associative list with keys has an element that omits all key fields [", names, "] (and doesn't have default values for any key fields)");
  }
  *step = KeyStep(std::move(keys));
  return {};
}

// --- validation

namespace {

class Validator {
 public:
  explicit Validator(Duplicates duplicates) : duplicates_(duplicates) {}
  std::vector<std::string> problems;

  void Visit(SchemaPtr schema, const Value& value) {
    const Shape shape = ShapeOf(schema, &value);
    if (value.is_null()) return;
    if (shape.kind == Shape::kScalar) return VisitScalar(schema, value);
    if (shape.kind == Shape::kList) return VisitList(schema, value);
    VisitMap(schema, value);
  }

 private:
  void Report(std::string_view text) { problems.push_back(path_.empty() ? std::string(text) : Cat(PathText(path_), ": ", text)); }

  void VisitScalar(SchemaPtr schema, const Value& value) {
    switch (ScalarOf(schema ? schema->type : Type::kAny)) {
      case Scalar::kNumeric:
        if (!value.is_number()) Report(Cat("expected numeric (int or float), got ", GoType(value)));
        return;
      case Scalar::kString:
        if (!value.is_string()) Report(Cat("expected string, got &value.valueUnstructured{Value:", GoSyntax(value), "}"));
        return;
      case Scalar::kBool:
        if (!value.is_bool()) Report(Cat("expected boolean, got &{", GoPrint(value), "}"));
        return;
      case Scalar::kUntyped:
        if (!IsScalar(value)) Report(Cat("expected any scalar, got &{", GoPrint(value), "}"));
    }
  }

  void VisitList(SchemaPtr schema, const Value& value) {
    if (!value.is_array()) return Report(Cat("expected list, got &{", GoPrint(value), "}"));
    const bool keyed = schema && schema->type == Type::kList && schema->list_kind != ListKind::kAtomic;
    std::set<PathStep> seen;
    for (std::size_t i = 0; i < value.size(); ++i) {
      const Value& item = value.Items()[i];
      PathStep step = IndexStep(i);
      if (keyed) {
        if (const std::string problem = ElementStep(schema, item, &step); !problem.empty()) return Report(Cat("element ", i, ": ", problem));
        if (!seen.insert(step).second && duplicates_ == Duplicates::kRefuse) Report(Cat("duplicate entries for key ", StepText(step)));
      }
      path_.push_back(step);
      Visit(ElementOf(schema), item);
      path_.pop_back();
    }
  }

  void VisitMap(SchemaPtr schema, const Value& value) {
    if (!value.is_object()) return Report(Cat("expected map, got &{", GoPrint(value), "}"));
    for (const auto& member : value.Members()) {
      const TypedField field = FieldOf(schema, member.key);
      path_.push_back(FieldStep(member.key));
      if (!field.allowed) Report("field not declared in schema");
      else Visit(field.type, member.value);
      path_.pop_back();
      if (!field.allowed) return;   // upstream gives up on the map
    }
  }

  Duplicates duplicates_;
  FieldPath path_;
};

}  // namespace

std::vector<std::string> ValidateTyped(SchemaPtr schema, const Value& value, Duplicates duplicates) {
  Validator validator(duplicates);
  validator.Visit(schema, value);
  return std::move(validator.problems);
}

std::string JoinProblems(const std::vector<std::string>& problems) {
  if (problems.size() == 1) return problems.front();
  std::string out = "errors:";
  for (const auto& problem : problems) out += "\n  " + problem;
  return out;
}

// --- always emitted fields

namespace {

Value ZeroOf(SchemaPtr schema) {
  switch (schema->type) {
    case Type::kStruct: {
      Value object = Value::Object();
      FillAlwaysEmitted(schema, object);
      return object;
    }
    case Type::kString: return Value("");
    case Type::kBool: return Value(false);
    case Type::kInt32:
    case Type::kInt64:
    case Type::kDouble: return Value(0);
    case Type::kQuantity: return Value("0");
    case Type::kIntOrString: return Value(0);
    case Type::kDuration: return Value("0s");
    default: return Value();
  }
}

}  // namespace

void FillAlwaysEmitted(SchemaPtr schema, Value& value) {
  if (!schema) return;
  if (schema->type == Type::kMap && value.is_object())
    for (auto& member : value.MutableMembers()) FillAlwaysEmitted(schema->item, member.value);
  if (schema->type == Type::kList && value.is_array())
    for (auto& item : value.MutableItems()) FillAlwaysEmitted(schema->item, item);
  if (schema->type != Type::kStruct || !value.is_object()) return;
  for (const auto& field : schema->fields) {
    if (Value* member = value.Find(field.name)) {
      // Go's encoder leaves an empty list out, so nobody can own it.
      const bool collection = field.type->type == Type::kList || field.type->type == Type::kMap;
      if (collection && field.omit_empty && !field.pointer && (member->is_array() || member->is_object()) && member->size() == 0) value.Erase(field.name);
      else FillAlwaysEmitted(field.type, *member);
      continue;
    }
    // omitempty never drops a struct (nor a type with a struct behind it); only a nil pointer or omitzero does.
    const bool by_value = field.type->type == Type::kStruct || field.type->type == Type::kTime || field.type->type == Type::kMicroTime ||
                          field.type->type == Type::kQuantity || field.type->type == Type::kIntOrString || field.type->type == Type::kDuration;
    if (field.omit_zero || (field.omit_empty && (field.pointer || !by_value))) continue;
    value.Set(field.name) = field.pointer ? Value() : ZeroOf(field.type);
  }
}

// --- comparison

namespace {

// Embedded raw objects are bytes to Go: another order of their keys is a change.
bool SameValue(SchemaPtr schema, const Value& a, const Value& b, RawObjects raw) {
  if (!schema || raw == RawObjects::kAsValues) return a == b;
  if (schema->type == Type::kRawExtension) return a == b && a.Dump() == b.Dump();
  if (a.kind() != b.kind()) return a == b;
  if (a.is_array()) {
    return a.size() == b.size() && std::equal(a.Items().begin(), a.Items().end(), b.Items().begin(),
                                              [&](const Value& x, const Value& y) { return SameValue(ElementOf(schema), x, y, raw); });
  }
  if (!a.is_object()) return a == b;
  const MemberIndex others(&b);
  return a.size() == b.size() && std::all_of(a.Members().begin(), a.Members().end(), [&](const json::Member& m) {
           const Value* other = others.Find(m.key);
           return other && SameValue(FieldOf(schema, m.key).type, m.value, *other, raw);
         });
}

class Comparer {
 public:
  explicit Comparer(RawObjects raw) : raw_(raw) {}
  Comparison result;

  void Visit(SchemaPtr schema, const Value* before, const Value* after, bool in_leaf = false) {
    const Shape l = ShapeOf(schema, before), r = ShapeOf(schema, after);
    bool leaf = in_leaf;
    if (!after) {
      leaf = VisitShape(l, schema, before, after, in_leaf);
    } else if (!before || l == r) {
      leaf = VisitShape(r, schema, before, after, in_leaf);
    } else {
      VisitShape(l, schema, before, after, in_leaf);
      leaf = VisitShape(r, schema, before, after, in_leaf);
    }
    if (leaf) return;
    if (!before) result.added.Insert(path_);
    else if (!after || (after->is_null() && before->is_array())) result.removed.Insert(path_);   // nothing is left of a list
  }

 private:
  // Returns whether this node was settled as a leaf.
  bool VisitShape(const Shape& shape, SchemaPtr schema, const Value* before, const Value* after, bool in_leaf) {
    if (shape.kind == Shape::kScalar) return Leaf(schema, before, after, in_leaf);
    const auto filled = [&](const Value* v) { return v && v->size() > 0 && (shape.kind == Shape::kList ? v->is_array() : v->is_object()); };
    if (shape.atomic || (!filled(before) && !filled(after))) return Leaf(schema, before, after, in_leaf);
    if (shape.kind == Shape::kList) VisitList(schema, before, after, in_leaf);
    else VisitMap(schema, before, after, in_leaf);
    return in_leaf;
  }

  bool Leaf(SchemaPtr schema, const Value* before, const Value* after, bool in_leaf) {
    if (in_leaf || path_.empty()) return true;
    if (!before) result.added.Insert(path_);
    else if (!after) result.removed.Insert(path_);
    else if (!SameValue(schema, *before, *after, raw_)) result.modified.Insert(path_);
    return true;
  }

  void VisitMap(SchemaPtr schema, const Value* before, const Value* after, bool in_leaf) {
    const auto visit = [&](const std::string& key, const Value* l, const Value* r) {
      path_.push_back(FieldStep(key));
      Visit(FieldOf(schema, key).type, l, r, in_leaf);
      path_.pop_back();
    };
    const MemberIndex old_members(before), new_members(after);
    if (before)
      for (const auto& member : before->Members()) visit(member.key, &member.value, new_members.Find(member.key));
    if (after)
      for (const auto& member : after->Members())
        if (!old_members.Find(member.key)) visit(member.key, nullptr, &member.value);
  }

  using Elements = std::map<PathStep, std::vector<const Value*>, StepLess>;
  static Elements Index(SchemaPtr schema, const Value* list) {
    Elements out;
    if (!list) return out;
    for (const auto& item : list->Items()) {
      PathStep step;
      if (ElementStep(schema, item, &step).empty()) out[step].push_back(&item);
    }
    return out;
  }

  void VisitList(SchemaPtr schema, const Value* before, const Value* after, bool in_leaf) {
    const Elements l = Index(schema, before), r = Index(schema, after);
    const auto visit = [&](const Value* a, const Value* b) { Visit(ElementOf(schema), a, b, in_leaf); };
    Elements all = l;
    all.insert(r.begin(), r.end());
    static const std::vector<const Value*> kNone;
    for (const auto& [step, unused] : all) {
      const auto li = l.find(step), ri = r.find(step);
      const auto& lhs = li == l.end() ? kNone : li->second;
      const auto& rhs = ri == r.end() ? kNone : ri->second;
      path_.push_back(step);
      if (lhs.size() <= 1 && rhs.size() <= 1) {
        visit(lhs.empty() ? nullptr : lhs[0], rhs.empty() ? nullptr : rhs[0]);
      } else if (lhs.size() > 1 && rhs.size() > 1) {
        // Elements that share a key are owned as a whole.
        const bool same = lhs.size() == rhs.size() && std::equal(lhs.begin(), lhs.end(), rhs.begin(), [](const Value* a, const Value* b) { return *a == *b; });
        if (!same) result.modified.Insert(path_);
      } else if (lhs.size() > 1) {
        if (!rhs.empty()) visit(nullptr, rhs[0]);
        result.removed.Insert(path_);
      } else {
        if (!lhs.empty()) visit(lhs[0], nullptr);
        result.added.Insert(path_);
      }
      path_.pop_back();
    }
  }

  RawObjects raw_;
  FieldPath path_;
};

}  // namespace

Comparison CompareTyped(SchemaPtr schema, const Value& before, const Value& after, RawObjects raw) {
  Comparer comparer(raw);
  comparer.Visit(schema, &before, &after);
  return std::move(comparer.result);
}

// --- fields

void SortRawObjects(SchemaPtr schema, Value& value) {
  if (value.is_array()) {
    if (SchemaPtr item = ElementOf(schema))
      for (auto& element : value.MutableItems()) SortRawObjects(item, element);
    return;
  }
  if (!schema || !value.is_object()) return;
  if (schema->type == Type::kRawExtension) {
    value = SortedKeys(value);
    return;
  }
  for (auto& member : value.MutableMembers()) SortRawObjects(FieldOf(schema, member.key).type, member.value);
}

void CoerceIntegers(SchemaPtr schema, Value& value) {
  if (!schema) return;
  if (value.kind() == Value::Kind::kDouble) {
    const double number = value.Double();
    const bool fits = number == std::trunc(number) && std::fabs(number) < 9.2e18;
    if ((schema->type == Type::kInt32 || schema->type == Type::kInt64) && fits) value = Value(static_cast<std::int64_t>(number));
  } else if (value.is_array()) {
    if (SchemaPtr item = ElementOf(schema))
      for (auto& element : value.MutableItems()) CoerceIntegers(item, element);
  } else if (value.is_object()) {
    for (auto& member : value.MutableMembers()) CoerceIntegers(FieldOf(schema, member.key).type, member.value);
  }
}

Value SortedKeys(const Value& value) {
  if (value.is_array()) {
    Value out = Value::Array();
    for (const auto& item : value.Items()) out.Append(SortedKeys(item));
    return out;
  }
  if (!value.is_object()) return value.Clone();
  Value out = Value::Object();
  auto& members = out.MutableMembers();
  for (const auto& member : value.Members()) members.push_back({member.key, SortedKeys(member.value)});
  std::sort(members.begin(), members.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  return out;
}

namespace {

class Collector {
 public:
  FieldSet result;

  void Visit(SchemaPtr schema, const Value& value) {
    const Shape shape = ShapeOf(schema, &value);
    if (shape.kind == Shape::kScalar || shape.atomic) {
      result.Insert(path_);
      return;
    }
    if (shape.kind == Shape::kMap) VisitMap(schema, value);
    else VisitList(schema, value);
  }

 private:
  void VisitMap(SchemaPtr schema, const Value& value) {
    for (const auto& member : value.Members()) {
      const TypedField field = FieldOf(schema, member.key);
      path_.push_back(FieldStep(member.key));
      Visit(field.type, member.value);
      if (member.value.is_null() || (member.value.is_object() && member.value.size() == 0) || !field.declared) result.Insert(path_);
      path_.pop_back();
    }
  }

  void VisitList(SchemaPtr schema, const Value& value) {
    std::map<PathStep, int> count;
    for (const auto& item : value.Items()) {
      PathStep step;
      if (ElementStep(schema, item, &step).empty()) ++count[step];
    }
    for (const auto& item : value.Items()) {
      PathStep step;
      if (!ElementStep(schema, item, &step).empty()) continue;
      path_.push_back(step);
      if (count[step] == 1) Visit(ElementOf(schema), item);
      result.Insert(path_);
      path_.pop_back();
    }
  }

  FieldPath path_;
};

}  // namespace

FieldSet FieldsOf(SchemaPtr schema, const Value& value) {
  Collector collector;
  collector.Visit(schema, value);
  return std::move(collector.result);
}

}  // namespace skerry::kube
