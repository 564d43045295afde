#include <algorithm>
#include <map>
#include <span>
#include <type_traits>

#include "core/json/share.h"
#include "embedded-kube-shim/api/typed_walk.h"

namespace skerry::kube {

using json::Value;

namespace {

// What a place becomes. Mostly it stays what it was, and then nothing is made.
struct Merged {
  enum class Is : std::uint8_t { kNothing, kBase, kNew } is = Is::kNothing;
  Value value;   // kNew
  static Merged Nothing() { return {}; }
  static Merged Base() { return {Is::kBase, {}}; }
  static Merged New(Value v) { return {Is::kNew, std::move(v)}; }
};

Merged Merge(SchemaPtr schema, const Value* base, const Value* config);

Merged KeepNewer(const Value* base, const Value* config) {
  if (!config || (base && Identical(*base, *config))) return Merged::Base();
  return Merged::New(config->Clone());
}

Value Take(Merged merged, const Value* base) { return merged.is == Merged::Is::kBase ? json::Share(*base) : std::move(merged.value); }

// The members or items of a container that is being merged: made once one of them differs from those of `base` (null: there is none).
template <class Each>
class Differing {
 public:
  Differing(const Value* base, std::span<const Each> old, std::size_t most) : old_(old), most_(most), same_(base) {}
  // The next of the old ones became `merged`.
  void Next(Merged merged) {
    const Each& each = old_[next_++];
    if (same_ && merged.is == Merged::Is::kBase) return;
    if (same_) Start(next_ - 1);
    if (merged.is == Merged::Is::kNothing) return;
    if constexpr (std::is_same_v<Each, Value>) made_.Append(Take(std::move(merged), &each));
    else made_.MutableMembers().push_back({each.key, Take(std::move(merged), &each.value)});
  }
  // One that is not among the old ones, behind these.
  void Add(const std::string& key, Merged merged) requires std::is_same_v<Each, json::Member> {
    if (merged.is == Merged::Is::kNothing) return;
    if (same_) Start(old_.size());
    made_.MutableMembers().push_back({key, std::move(merged.value)});
  }
  Merged Finish() {
    if (same_) return Merged::Base();
    return made_.size() == 0 ? Merged::Nothing() : Merged::New(std::move(made_));
  }

 private:
  void Start(std::size_t count) {
    same_ = false;
    if constexpr (std::is_same_v<Each, Value>) {
      made_.MutableItems().reserve(most_);
      for (const Value& item : old_.first(count)) made_.Append(json::Share(item));
    } else {
      made_.MutableMembers().reserve(most_);
      for (const json::Member& member : old_.first(count)) made_.MutableMembers().push_back({member.key, json::Share(member.value)});
    }
  }

  const std::span<const Each> old_;
  const std::size_t most_;
  bool same_;
  std::size_t next_ = 0;
  Value made_;
};

Merged MergeMaps(SchemaPtr schema, const Value* base, const Value* config) {
  const auto old = base ? base->Members() : std::span<const json::Member>();
  const auto added = config ? config->Members() : std::span<const json::Member>();
  FieldFinder fields(schema && schema->type == Type::kStruct ? schema : nullptr);
  const auto type_of = [&](std::string_view key) {
    const Field* known = fields.Find(key);
    return known ? known->type : FieldOf(schema, key).type;
  };
  const MemberIndex base_members(base), config_members(config);
  Differing<json::Member> out(base, old, old.size() + added.size());
  for (const auto& member : old) out.Next(Merge(type_of(member.key), &member.value, config_members.Find(member.key)));
  for (const auto& member : added)
    if (!base_members.Find(member.key)) out.Add(member.key, Merge(type_of(member.key), nullptr, &member.value));
  return out.Finish();
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

// Whether nothing but the elements themselves has to be merged: nothing is applied, or the same elements in the same order, each once.
bool IsAligned(SchemaPtr schema, const Value& base, const Value* config) {
  constexpr std::size_t kMost = 64;
  const auto l = base.Items(), r = config ? config->Items() : std::span<const Value>();
  const auto has_step = [&](const Value& item) { return ElementStep(schema, item, nullptr).empty(); };
  if (!schema || !std::all_of(l.begin(), l.end(), has_step)) return false;
  if (!config) return true;
  if (l.size() != r.size() || l.size() > kMost || !std::all_of(r.begin(), r.end(), has_step)) return false;
  for (std::size_t i = 0; i < l.size(); ++i) {
    if (!SameElement(schema, l[i], r[i])) return false;
    if (std::any_of(l.begin(), l.begin() + static_cast<std::ptrdiff_t>(i), [&](const Value& earlier) { return SameElement(schema, earlier, l[i]); })) return false;
  }
  return true;
}

// Keeps the live order of elements that are not applied and the applied order of those that are; both advance together.
Merged MergeLists(SchemaPtr schema, const Value* base, const Value* config) {
  if (base && IsAligned(schema, *base, config)) {
    Differing<Value> out(base, base->Items(), base->size());
    for (std::size_t i = 0; i < base->size(); ++i) out.Next(Merge(ElementOf(schema), &base->Items()[i], config ? &config->Items()[i] : nullptr));
    return out.Finish();
  }
  const Elements l = IndexOf(schema, base), r = IndexOf(schema, config);
  std::vector<PathStep> shared;
  for (const auto& step : r.steps)
    if (l.by_step.contains(step)) shared.push_back(step);
  std::size_t next_shared = 0, li = 0, ri = 0;
  std::map<PathStep, bool> taken;
  Value out = Value::Array();
  const auto take = [&](const Value* a, const Value* b) {
    if (!a && !b) return;
    if (auto merged = Merge(ElementOf(schema), a, b); merged.is != Merged::Is::kNothing) out.Append(Take(std::move(merged), a));
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
  return out.size() == 0 ? Merged::Nothing() : Merged::New(std::move(out));
}

Merged Merge(SchemaPtr schema, const Value* base, const Value* config) {
  if (!base && !config) return Merged::Nothing();
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
  return merged.is == Merged::Is::kNothing ? Value() : Take(std::move(merged), &base);
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
