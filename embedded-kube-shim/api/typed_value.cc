#include "embedded-kube-shim/api/typed_value.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <cmath>
#include <map>
#include <set>

#include "core/base/strings.h"
#include "core/json/layout.h"
#include "core/json/share.h"
#include "embedded-kube-shim/api/go_value.h"
#include "embedded-kube-shim/api/typed_walk.h"

namespace skerry::kube {

using json::Value;

namespace {

const Schema kUntypedSchema;   // Type::kAny
constexpr std::size_t kFewElements = 64;   // are compared with each other; of more, steps are made

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

const Value* KeyDefault(SchemaPtr item, std::string_view name) {
  static const Value kEmpty(""), kZero(0);
  const Field* field = item ? item->Find(name) : nullptr;
  if (!field) return nullptr;
  if (!field->default_value.is_null()) return &field->default_value;
  if (item->name.empty() || field->pointer) return nullptr;
  if (field->omit_empty && item->name != "io.k8s.api.core.v1.LocalObjectReference") return nullptr;
  return field->type->type == Type::kString ? &kEmpty : &kZero;
}

std::string ElementStep(SchemaPtr list, const Value& item, PathStep* step) {
  if (list->list_kind == ListKind::kSet) {
    if (item.is_object()) return "associative list without keys has an element that's a map type";
    if (item.is_array()) return "not supported: associative list with lists as elements";
    if (item.is_null()) return "associative list without keys has an element that's an explicit null";
    if (step) *step = ValueStep(item);
    return {};
  }
  if (item.is_null()) return "associative list with keys may not have a null element";
  if (!item.is_object()) return "associative list with keys may not have non-map elements";
  using Key = std::pair<std::string_view, const Value*>;
  std::array<Key, 4> usual;
  std::vector<Key> many(step && list->list_map_keys.size() > usual.size() ? list->list_map_keys.size() : 0);
  const std::span<Key> keys = many.empty() ? std::span<Key>(usual) : std::span<Key>(many);
  std::size_t count = 0;
  bool any = false;
  for (const auto& name : list->list_map_keys) {
    const Value* value = item.Find(name);
    if (!value) value = KeyDefault(list->item, name);
    any = any || value;
    if (value && step) keys[count++] = {name, value};
  }
  if (!any) {
    std::string names;
    for (const auto& name : list->list_map_keys) names += (names.empty() ? "" : " ") + Quote(name);
    return Cat("associative list with keys has an element that omits all key fields [", names, "] (and doesn't have default values for any key fields)");
  }
  if (step) *step = KeyStep(keys.first(count));
  return {};
}

bool SameElement(SchemaPtr list, const Value& a, const Value& b) {
  if (list->list_kind == ListKind::kSet) return a == b;
  const auto key = [&](const Value& item, const std::string& name) {
    const Value* value = item.Find(name);
    return value ? value : KeyDefault(list->item, name);
  };
  return std::all_of(list->list_map_keys.begin(), list->list_map_keys.end(), [&](const std::string& name) {
    const Value* l = key(a, name);
    const Value* r = key(b, name);
    return l && r ? *l == *r : l == r;
  });
}

// --- validation

namespace {

// Is the element one that comes earlier, too? All up to it have steps.
bool IsRepeated(SchemaPtr list, std::span<const Value> items, std::size_t index) {
  return std::any_of(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(index), [&](const Value& earlier) { return SameElement(list, earlier, items[index]); });
}

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
  // One step down; its text is only made for a message.
  struct Place {
    std::string_view name;
    SchemaPtr list = nullptr;            // null: `name` is a member
    const Value* item = nullptr;
    std::size_t index = 0;
    PathStep Step() const {
      if (!list) return FieldStep(name);
      PathStep step = IndexStep(index);
      if (list->type == Type::kList && list->list_kind != ListKind::kAtomic) ElementStep(list, *item, &step);
      return step;
    }
  };

  void Report(std::string_view text) {
    FieldPath path;
    for (const auto& place : path_) path.push_back(place.Step());
    problems.push_back(path.empty() ? std::string(text) : Cat(PathText(path), ": ", text));
  }

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
    const bool refuse = keyed && duplicates_ == Duplicates::kRefuse;
    const bool few = value.size() <= kFewElements;
    std::set<PathStep> seen;
    for (std::size_t i = 0; i < value.size(); ++i) {
      const Value& item = value.Items()[i];
      if (keyed) {
        PathStep step;
        if (const std::string problem = ElementStep(schema, item, refuse && !few ? &step : nullptr); !problem.empty()) return Report(Cat("element ", i, ": ", problem));
        if (refuse && (few ? IsRepeated(schema, value.Items(), i) : !seen.insert(step).second)) {
          if (few) ElementStep(schema, item, &step);
          Report(Cat("duplicate entries for key ", StepText(step)));
        }
      }
      path_.push_back({{}, schema ? schema : &kUntypedSchema, &item, i});
      Visit(ElementOf(schema), item);
      path_.pop_back();
    }
  }

  void VisitMap(SchemaPtr schema, const Value& value) {
    if (!value.is_object()) return Report(Cat("expected map, got &{", GoPrint(value), "}"));
    FieldFinder fields(schema && schema->type == Type::kStruct ? schema : nullptr);
    for (const auto& member : value.Members()) {
      const Field* known = fields.Find(member.key);
      const TypedField field = known ? TypedField{known->type, true, true} : FieldOf(schema, member.key);
      path_.push_back({member.key, nullptr, nullptr, 0});
      if (!field.allowed) Report("field not declared in schema");
      else Visit(field.type, member.value);
      path_.pop_back();
      if (!field.allowed) return;   // upstream gives up on the map
    }
  }

  Duplicates duplicates_;
  std::vector<Place> path_;
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

Value ZeroOf(const Field& field) { return field.pointer ? Value() : ZeroOf(field.type); }

bool IsLeftOut(const Field& field, const Value& member) {
  // Go's encoder leaves an empty list out, so nobody can own it.
  const bool collection = field.type->type == Type::kList || field.type->type == Type::kMap;
  return collection && field.omit_empty && !field.pointer && (member.is_array() || member.is_object()) && member.size() == 0;
}

bool IsAlwaysThere(const Field& field) {
  // omitempty never drops a struct (nor a type with a struct behind it); only a nil pointer or omitzero does.
  const bool by_value = field.type->type == Type::kStruct || field.type->type == Type::kTime || field.type->type == Type::kMicroTime ||
                        field.type->type == Type::kQuantity || field.type->type == Type::kIntOrString || field.type->type == Type::kDuration;
  return !field.omit_zero && !(field.omit_empty && (field.pointer || !by_value));
}

void FillAlwaysEmitted(SchemaPtr schema, Value& value) {
  if (!schema || json::IsFrozen(value)) return;
  if (schema->type == Type::kMap && value.is_object())
    for (auto& member : value.MutableMembers()) FillAlwaysEmitted(schema->item, member.value);
  if (schema->type == Type::kList && value.is_array())
    for (auto& item : value.MutableItems()) FillAlwaysEmitted(schema->item, item);
  if (schema->type != Type::kStruct || !value.is_object()) return;
  MemberFinder members(&value);
  std::vector<const Field*> absent;
  bool left_out = false;
  for (const auto& field : schema->fields) {
    if (auto* member = const_cast<Value*>(members.Find(field.name))) {
      if (IsLeftOut(field, *member)) left_out = true;
      else FillAlwaysEmitted(field.type, *member);
    } else if (IsAlwaysThere(field)) {
      absent.push_back(&field);
    }
  }
  if (left_out)
    std::erase_if(value.MutableMembers(), [&](const json::Member& m) {
      const Field* field = schema->Find(m.key);
      return field && IsLeftOut(*field, m.value);
    });
  for (const Field* field : absent) value.Set(field->name) = ZeroOf(*field);
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
  if (!schema || json::IsFrozen(value)) return;
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

// What a value sets, as the node of the step that leads to it.
void Collect(SchemaPtr schema, const Value& value, FieldSet::Node& node);

void Keep(FieldSet::Node& parent, FieldSet::Node child) {
  if (!child.member && child.below.empty()) return;
  FieldSet::Node& kept = parent.below.Put(child.step);
  kept.member |= child.member;
  kept.below = std::move(child.below);
}

// Keeps the children of a node. A set grows cheaply at its end: very many are brought into its order first.
class Keeper {
 public:
  Keeper(FieldSet::Node& parent, std::size_t children) : parent_(parent) {
    constexpr std::size_t kMany = 64;
    if (children > kMany) waiting_.reserve(children);
  }
  void Add(FieldSet::Node child) {
    if (waiting_.capacity() == 0) Keep(parent_, std::move(child));
    else waiting_.push_back(std::move(child));
  }
  void Finish() {
    std::stable_sort(waiting_.begin(), waiting_.end(), [](const FieldSet::Node& a, const FieldSet::Node& b) { return StepLess()(a.step, b.step); });
    for (auto& child : waiting_) Keep(parent_, std::move(child));
  }

 private:
  FieldSet::Node& parent_;
  std::vector<FieldSet::Node> waiting_;
};

void CollectMap(SchemaPtr schema, const Value& value, FieldSet::Node& node) {
  FieldFinder fields(schema && schema->type == Type::kStruct ? schema : nullptr);
  Keeper kept(node, value.size());
  for (const auto& member : value.Members()) {
    const Field* known = fields.Find(member.key);
    const TypedField field = known ? TypedField{known->type, true, true} : FieldOf(schema, member.key);
    FieldSet::Node child{FieldStep(member.key), false, {}};
    Collect(field.type, member.value, child);
    child.member |= member.value.is_null() || (member.value.is_object() && member.value.size() == 0) || !field.declared;
    kept.Add(std::move(child));
  }
  kept.Finish();
}

void CollectList(SchemaPtr schema, const Value& value, FieldSet::Node& node) {
  std::map<PathStep, int> count;
  std::vector<PathStep> steps;
  for (const auto& item : value.Items()) {
    PathStep step;
    if (ElementStep(schema, item, &step).empty()) ++count[step];
    else step.clear();
    steps.push_back(std::move(step));
  }
  Keeper kept(node, steps.size());
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].empty()) continue;
    const bool alone = count[steps[i]] == 1;
    FieldSet::Node child{std::move(steps[i]), false, {}};
    if (alone) Collect(ElementOf(schema), value.Items()[i], child);
    child.member = true;
    kept.Add(std::move(child));
  }
  kept.Finish();
}

void Collect(SchemaPtr schema, const Value& value, FieldSet::Node& node) {
  const Shape shape = ShapeOf(schema, &value);
  if (shape.kind == Shape::kScalar || shape.atomic) node.member = true;
  else if (shape.kind == Shape::kMap) CollectMap(schema, value, node);
  else CollectList(schema, value, node);
}

}  // namespace

FieldSet FieldsOf(SchemaPtr schema, const Value& value) {
  FieldSet::Node root;
  Collect(schema, value, root);
  return std::move(root.below);
}

// --- fields compared with stored ones

namespace {

constexpr std::size_t kMostStored = 256, kMostComparisons = 4096;   // of one object or list with what is stored of it

// The members of stored fields that were met.
class StoredNodes {
 public:
  explicit StoredNodes(const Value* stored) : members_(stored ? stored->Members() : std::span<const json::Member>()) {}
  bool TooMany(std::size_t looked_for) const { return members_.size() > kMostStored || members_.size() * looked_for > kMostComparisons; }
  const Value* Meet(char kind, std::string_view rest) {
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const std::string_view step = members_[i].key;
      if (step.size() != rest.size() + 2 || step[0] != kind || step.substr(2) != rest) continue;
      if (!met_[i]) ++count_;
      met_[i] = true;
      return &members_[i].value;
    }
    return nullptr;
  }
  std::size_t count() const { return count_; }

 private:
  const std::span<const json::Member> members_;
  std::bitset<kMostStored> met_;
  std::size_t count_ = 0;
};

const FieldSet::Node* NamedField(const FieldSet& fields, std::string_view name) {
  for (const auto& node : fields.nodes())
    if (node.step.size() == name.size() + 2 && node.step[0] == 'f' && std::string_view(node.step).substr(2) == name) return &node;
  return nullptr;
}

bool SetsNode(SchemaPtr schema, const Value& value, bool member, const FieldSet::Node* without, const Value* stored);

// Walks a value beside what is stored of it, as Collect() would make the set of one and take `without` from it. `found`: so many nodes.
bool SetsMembers(SchemaPtr schema, const Value& value, const FieldSet* without, const Value* stored, std::size_t* found) {
  StoredNodes nodes(stored);
  if (nodes.TooMany(value.size())) return false;
  FieldFinder fields(schema && schema->type == Type::kStruct ? schema : nullptr);
  for (const auto& [name, content] : value.Members()) {
    const Field* known = fields.Find(name);
    const TypedField field = known ? TypedField{known->type, true, true} : FieldOf(schema, name);
    const bool alone = content.is_null() || (content.is_object() && content.size() == 0) || !field.declared;
    if (!SetsNode(field.type, content, alone, without ? NamedField(*without, name) : nullptr, nodes.Meet('f', name))) return false;
  }
  *found = nodes.count();
  return true;
}

bool SetsElements(SchemaPtr schema, const Value& value, const Value* stored, std::size_t* found) {
  StoredNodes nodes(stored);
  if (nodes.TooMany(value.size())) return false;
  for (const Value& item : value.Items()) {
    PathStep step;
    if (!ElementStep(schema, item, &step).empty()) continue;
    if (!SetsNode(ElementOf(schema), item, true, nullptr, nodes.Meet(step[0], std::string_view(step).substr(2)))) return false;
  }
  *found = nodes.count();
  return true;
}

// `member`: what the place of the value says. `stored` null: there is no such node.
bool SetsNode(SchemaPtr schema, const Value& value, bool member, const FieldSet::Node* without, const Value* stored) {
  const Shape shape = ShapeOf(schema, &value);
  std::size_t below = 0;
  if (shape.kind == Shape::kScalar || shape.atomic) {
    member = true;
  } else if (shape.kind == Shape::kMap) {
    if (!SetsMembers(schema, value, without ? &without->below : nullptr, stored, &below)) return false;
  } else if (!SetsElements(schema, value, stored, &below)) {
    return false;
  }
  if (without && without->member) member = false;
  if (!stored) return !member && below == 0;
  const bool told = stored->Find(".");
  return stored->size() - (told ? 1 : 0) == below && (below == 0 ? member && !told : member == told);
}

}  // namespace

bool SetsExactly(SchemaPtr schema, const Value& value, const FieldSet& without, const Value& stored) {
  std::size_t found = 0;
  return SetsMembers(schema, value, &without, &stored, &found) && found == stored.size();
}

}  // namespace skerry::kube
