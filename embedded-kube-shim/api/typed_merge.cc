#include <algorithm>
#include <map>
#include <optional>

#include "core/json/share.h"
#include "embedded-kube-shim/api/typed_walk.h"

namespace skerry::kube {

using json::Value;

namespace {

using Maybe = std::optional<Value>;

Maybe Merge(SchemaPtr schema, const Value* base, const Value* config);

Maybe KeepNewer(const Value* base, const Value* config) {
  if (config) return config->Clone();
  if (base) return json::Share(*base);
  return {};
}

Maybe MergeMaps(SchemaPtr schema, const Value* base, const Value* config) {
  Value out = Value::Object();
  auto& members = out.MutableMembers();
  const auto take = [&](const std::string& key, const Value* l, const Value* r) {
    if (auto merged = Merge(FieldOf(schema, key).type, l, r)) members.push_back({key, std::move(*merged)});
  };
  const MemberIndex base_members(base), config_members(config);
  if (base)
    for (const auto& member : base->Members()) take(member.key, &member.value, config_members.Find(member.key));
  if (config)
    for (const auto& member : config->Members())
      if (!base_members.Find(member.key)) take(member.key, nullptr, &member.value);
  if (members.empty()) return {};
  return out;
}

struct Elements {
  std::vector<PathStep> steps;                 // in list order
  std::vector<const Value*> values;
  std::map<PathStep, const Value*> by_step;    // null value = duplicated: not merged with what is applied
  const Value* Find(const PathStep& step) const {
    const auto it = by_step.find(step);
    return it == by_step.end() ? nullptr : it->second;
  }
};

Elements IndexOf(SchemaPtr schema, const Value* list) {
  Elements out;
  if (!list) return out;
  for (const auto& item : list->Items()) {
    PathStep step;
    if (!ElementStep(schema, item, &step).empty()) continue;
    auto [it, added] = out.by_step.emplace(step, &item);
    if (!added) it->second = nullptr;
    out.steps.push_back(std::move(step));
    out.values.push_back(&item);
  }
  return out;
}

// Keeps the live order of elements that are not applied and the applied order of those that are; both advance together.
Maybe MergeLists(SchemaPtr schema, const Value* base, const Value* config) {
  const Elements l = IndexOf(schema, base), r = IndexOf(schema, config);
  std::vector<PathStep> shared;
  for (const auto& step : r.steps)
    if (l.by_step.contains(step)) shared.push_back(step);
  std::size_t next_shared = 0, li = 0, ri = 0;
  std::map<PathStep, bool> taken;
  Value out = Value::Array();
  const auto take = [&](const Value* a, const Value* b) {
    if (!a && !b) return;
    if (auto merged = Merge(ElementOf(schema), a, b)) out.Append(std::move(*merged));
  };
  while (li < l.steps.size() || ri < r.steps.size()) {
    if (li < l.steps.size() && ri < r.steps.size()) {
      const PathStep& step = l.steps[li];
      if (step == r.steps[ri]) {
        taken[step] = true;
        take(l.Find(step), r.Find(step));
        ++li, ++ri;
        if (next_shared < shared.size()) ++next_shared;
        continue;
      }
      if (r.by_step.contains(step) && next_shared < shared.size() && shared[next_shared] != step) {
        ++li;   // shared, but its turn comes later
        continue;
      }
    }
    if (li < l.steps.size()) {
      const PathStep& step = l.steps[li];
      if (!r.by_step.contains(step)) {
        take(l.values[li], nullptr);
        ++li;
        continue;
      }
      if (taken.contains(step)) ++li;
    }
    if (ri < r.steps.size()) {
      const PathStep& step = r.steps[ri];
      taken[step] = true;
      take(l.Find(step), r.Find(step));
      ++ri;
      if (next_shared < shared.size() && shared[next_shared] == step) ++next_shared;
    }
  }
  if (out.size() == 0) return {};
  return out;
}

Maybe Merge(SchemaPtr schema, const Value* base, const Value* config) {
  if (!base && !config) return {};
  // What is applied has every element of a list under a key of its own: alike, both merge to themselves.
  if (base && config && json::IsFrozen(*base) && Identical(*base, *config)) return json::Share(*base);
  const Shape shape = config ? ShapeOf(schema, config) : ShapeOf(schema, base);
  if (shape.kind == Shape::kScalar || shape.atomic) return KeepNewer(base, config);
  const auto filled = [&](const Value* v) { return v && v->size() > 0 && (shape.kind == Shape::kList ? v->is_array() : v->is_object()); };
  if (!filled(base) && !filled(config)) return KeepNewer(base, config);
  const Value* l = filled(base) ? base : nullptr;
  const Value* r = filled(config) ? config : nullptr;
  return shape.kind == Shape::kList ? MergeLists(schema, l, r) : MergeMaps(schema, l, r);
}

Value Remove(SchemaPtr schema, const Value& value, const FieldSet& items);

// What is left below a place that stays itself: empty rather than nothing.
Value RemoveBelow(SchemaPtr schema, const Value& value, const FieldSet& items) {
  Value left = Remove(schema, value, items);
  if (!left.is_null()) return left;
  return value.is_object() ? Value::Object() : value.is_array() ? Value::Array() : Value();
}

Value RemoveFromList(SchemaPtr schema, const Value& value, const FieldSet& items) {
  Value out;
  for (const auto& item : value.Items()) {
    PathStep step;
    if (!ElementStep(schema, item, &step).empty()) step.clear();
    if (!step.empty() && items.HasStep(step)) continue;
    const FieldSet& below = items.Below(step);
    out.Append(below.empty() ? json::Share(item) : RemoveBelow(ElementOf(schema), item, below));
  }
  return out;   // null when nothing is left
}

Value RemoveFromMap(SchemaPtr schema, const Value& value, const FieldSet& items) {
  Value out;
  for (const auto& member : value.Members()) {
    const PathStep step = FieldStep(member.key);
    if (items.HasStep(step)) continue;
    const FieldSet& below = items.Below(step);
    out.MutableMembers().push_back({member.key, below.empty() ? json::Share(member.value) : RemoveBelow(FieldOf(schema, member.key).type, member.value, below)});
  }
  return out;
}

Value Remove(SchemaPtr schema, const Value& value, const FieldSet& items) {
  const Shape shape = ShapeOf(schema, &value);
  if (shape.kind == Shape::kScalar) return value.Clone();
  if (shape.atomic || value.size() == 0) return Value();
  return shape.kind == Shape::kList ? RemoveFromList(schema, value, items) : RemoveFromMap(schema, value, items);
}

}  // namespace

Value MergeTyped(SchemaPtr schema, const Value& base, const Value& config) {
  auto merged = Merge(schema, &base, &config);
  return merged ? std::move(*merged) : Value();
}

Value RemoveItems(SchemaPtr schema, const Value& value, const FieldSet& items) { return Remove(schema, value, items); }

FieldSet ReconcileWithSchema(SchemaPtr schema, const FieldSet& fields) {
  FieldSet out = fields;
  if (!schema) return out;
  for (auto& node : out.nodes()) {
    if (node.below.empty()) continue;
    SchemaPtr type = nullptr;
    if (node.step[0] == 'f') {
      const TypedField field = FieldOf(schema, std::string_view(node.step).substr(2));
      if (!field.allowed) continue;
      type = field.type;
    } else if (node.step[0] == 'k') {
      type = ElementOf(schema);
    }
    if (!type || type->type == Type::kAny) continue;
    const Shape shape = ShapeOf(type, nullptr);
    if (shape.kind != Shape::kScalar && shape.atomic) {
      node.member = true;
      node.below = FieldSet();
    } else {
      node.below = ReconcileWithSchema(type, node.below);
    }
  }
  return out;
}

}  // namespace skerry::kube
