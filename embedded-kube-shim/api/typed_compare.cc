#include <algorithm>
#include <map>

#include "core/json/layout.h"
#include "core/json/share.h"
#include "embedded-kube-shim/api/typed_walk.h"

// What differs between two documents, as sets of fields. What is equal on both sides is passed over without looking into it, so that the
// usual small change of a large object costs one comparison; paths are only made for what is told.
namespace skerry::kube {

using json::Value;

bool Identical(const Value& a, const Value& b) {
  if (a.kind() != b.kind() || json::HasNote(a) != json::HasNote(b)) return false;
  if (json::IsSamePart(a, b)) return true;
  switch (a.kind()) {
    case Value::Kind::kNull: return true;
    case Value::Kind::kBool: return a.Bool() == b.Bool();
    case Value::Kind::kInt: return a.Int() == b.Int();
    case Value::Kind::kString: return a.Str() == b.Str();
    case Value::Kind::kArray: return std::equal(a.Items().begin(), a.Items().end(), b.Items().begin(), b.Items().end(), Identical);
    case Value::Kind::kObject:
      return std::equal(a.Members().begin(), a.Members().end(), b.Members().begin(), b.Members().end(),
                        [](const json::Member& x, const json::Member& y) { return x.key == y.key && Identical(x.value, y.value); });
    default: return a == b;
  }
}

namespace {

constexpr std::size_t kMostPairs = 64;   // more elements are looked up by their keys

// Embedded raw objects are bytes to Go: another order of their keys is a change, or white space.
bool SameValue(SchemaPtr schema, const Value& a, const Value& b, RawObjects raw) {
  if (!schema || raw == RawObjects::kAsValues) return a == b;
  if (schema->type == Type::kRawExtension) return json::DumpAsWritten(a) == json::DumpAsWritten(b);
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
  Comparer(RawObjects raw, Seen seen) : raw_(raw), seen_(seen) {}
  Comparison result;

  void Run(SchemaPtr schema, const Value& before, const Value& after) {
    Place root;
    Visit(schema, &before, &after, root);
  }

 private:
  enum Set : std::uint8_t { kAdded, kRemoved, kModified };
  static constexpr std::size_t kManyMembers = 128;

  // Where the walk is, and the nodes of this place in the three sets once something at or below it was told.
  struct Place {
    Place* up = nullptr;                 // null: the root
    std::string_view name;               // of a member
    SchemaPtr list = nullptr;            // of an element
    const Value* item = nullptr;
    FieldSet::Node* nodes[3] = {};
    PathStep Step() const {
      if (!list) return FieldStep(name);
      PathStep step;
      ElementStep(list, *item, &step);
      return step;
    }
  };

  FieldSet& Of(Set set) { return set == kAdded ? result.added : set == kRemoved ? result.removed : result.modified; }
  FieldSet::Node& NodeAt(Place& at, Set set) {
    if (!at.nodes[set]) at.nodes[set] = &(at.up->up ? NodeAt(*at.up, set).below : Of(set)).Put(at.Step());
    return *at.nodes[set];
  }
  void Tell(Place& at, Set set) {
    if (at.up) NodeAt(at, set).member = true;
  }

  void Visit(SchemaPtr schema, const Value* before, const Value* after, Place& at) {
    if (before && after && Identical(*before, *after)) return;
    const Shape l = ShapeOf(schema, before), r = ShapeOf(schema, after);
    bool leaf = false;
    if (!after) {
      leaf = VisitShape(l, schema, before, after, at);
    } else if (!before || l == r) {
      leaf = VisitShape(r, schema, before, after, at);
    } else {
      VisitShape(l, schema, before, after, at);
      leaf = VisitShape(r, schema, before, after, at);
    }
    if (leaf) return;
    if (!before) Tell(at, kAdded);
    else if (!after || (after->is_null() && before->is_array())) Tell(at, kRemoved);   // nothing is left of a list
  }

  // Returns whether this node was settled as a leaf.
  bool VisitShape(const Shape& shape, SchemaPtr schema, const Value* before, const Value* after, Place& at) {
    if (shape.kind == Shape::kScalar) return Leaf(schema, before, after, at);
    const bool list = shape.kind == Shape::kList;
    if (shape.atomic || (!Filled(schema, list, before) && !Filled(schema, list, after))) return Leaf(schema, before, after, at);
    if (list) VisitList(schema, before, after, at);
    else if (seen_ == Seen::kAsWritten && schema && schema->type == Type::kStruct) VisitStruct(schema, before, after, at);
    else VisitMap(schema, before, after, at);
    return false;
  }

  bool Filled(SchemaPtr schema, bool list, const Value* value) const {
    if (!value || !(list ? value->is_array() : value->is_object())) return false;
    if (seen_ != Seen::kAsWritten || list || !schema || schema->type != Type::kStruct) return value->size() > 0;
    FieldFinder fields(schema);
    for (const auto& member : value->Members())
      if (const Field* field = fields.Find(member.key); !field || !IsLeftOut(*field, member.value)) return true;
    return std::any_of(schema->fields.begin(), schema->fields.end(), [&](const Field& field) { return IsAlwaysThere(field) && !value->Find(field.name); });
  }

  bool Leaf(SchemaPtr schema, const Value* before, const Value* after, Place& at) {
    if (!at.up) return true;
    if (!before) Tell(at, kAdded);
    else if (!after) Tell(at, kRemoved);
    else if (!Same(schema, *before, *after)) Tell(at, kModified);
    return true;
  }

  bool Same(SchemaPtr schema, const Value& before, const Value& after) const {
    if (seen_ != Seen::kAsWritten || !(before.is_object() || before.is_array())) return SameValue(schema, before, after, raw_);
    Value a = before.Clone(), b = after.Clone();
    FillAlwaysEmitted(schema, a);
    FillAlwaysEmitted(schema, b);
    return SameValue(schema, a, b, raw_);
  }

  void VisitMember(SchemaPtr type, std::string_view name, const Value* before, const Value* after, Place& at) {
    if (name == "managedFields" && seen_ != Seen::kAsIs && at.up && !at.up->up && at.name == "metadata") return;
    Place below;
    below.up = &at;
    below.name = name;
    Visit(type, before, after, below);
  }

  void VisitMap(SchemaPtr schema, const Value* before, const Value* after, Place& at) {
    FieldFinder fields(schema && schema->type == Type::kStruct ? schema : nullptr);
    const auto visit = [&](std::string_view key, const Value* l, const Value* r) {
      const Field* known = fields.Find(key);
      VisitMember(known ? known->type : FieldOf(schema, key).type, key, l, r, at);
    };
    const MemberIndex old_members(before), new_members(after);
    if ((before ? before->size() : 0) + (after ? after->size() : 0) > kManyMembers) return VisitInOrder(before, after, old_members, new_members, visit);
    if (before)
      for (const auto& member : before->Members()) visit(member.key, &member.value, new_members.Find(member.key));
    if (after)
      for (const auto& member : after->Members())
        if (!old_members.Find(member.key)) visit(member.key, nullptr, &member.value);
  }

  // The same by name: sets grow cheaply at their end only.
  template <typename VisitPair>
  static void VisitInOrder(const Value* before, const Value* after, const MemberIndex& old_members, const MemberIndex& new_members, VisitPair visit) {
    struct Pair {
      std::string_view key;
      const Value *before, *after;
    };
    std::vector<Pair> pairs;
    if (before)
      for (const auto& member : before->Members()) pairs.push_back({member.key, &member.value, new_members.Find(member.key)});
    if (after)
      for (const auto& member : after->Members())
        if (!old_members.Find(member.key)) pairs.push_back({member.key, nullptr, &member.value});
    std::sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) { return a.key < b.key; });
    for (const Pair& pair : pairs) visit(pair.key, pair.before, pair.after);
  }

  // As if both sides had what Go always writes, and nothing of what it leaves out.
  void VisitStruct(SchemaPtr schema, const Value* before, const Value* after, Place& at) {
    MemberFinder old_members(before), new_members(after);
    const bool fills_before = before && before->is_object(), fills_after = after && after->is_object();
    std::size_t known_before = 0, known_after = 0;
    for (const Field& field : schema->fields) {
      const Value* l = old_members.Find(field.name);
      const Value* r = new_members.Find(field.name);
      known_before += l != nullptr;
      known_after += r != nullptr;
      if ((!l && !r && fills_before && fills_after) || (l && r && Identical(*l, *r))) continue;
      if (l && IsLeftOut(field, *l)) l = nullptr;
      if (r && IsLeftOut(field, *r)) r = nullptr;
      Value zero;
      const bool fills = (!l || !r) && IsAlwaysThere(field);
      if (fills) zero = ZeroOf(field);
      if (!l && fills && fills_before) l = &zero;
      if (!r && fills && fills_after) r = &zero;
      if (l || r) VisitMember(field.type, field.name, l, r, at);
    }
    const auto unknown = [&](const Value* value, std::size_t known) { return value && value->Members().size() != known; };
    if (!unknown(before, known_before) && !unknown(after, known_after)) return;
    const MemberIndex old_index(before), new_index(after);
    if (before)
      for (const auto& member : before->Members())
        if (!schema->Find(member.key)) VisitMember(FieldOf(schema, member.key).type, member.key, &member.value, new_index.Find(member.key), at);
    if (after)
      for (const auto& member : after->Members())
        if (!schema->Find(member.key) && !old_index.Find(member.key)) VisitMember(FieldOf(schema, member.key).type, member.key, nullptr, &member.value, at);
  }

  void VisitElement(SchemaPtr schema, const Value* before, const Value* after, Place& at) {
    Place below;
    below.up = &at;
    below.list = schema;
    below.item = before ? before : after;
    Visit(ElementOf(schema), before, after, below);
  }

  static const Value* KeyOf(SchemaPtr list, const Value& item, const std::string& name) {
    const Value* value = item.Find(name);
    return value ? value : KeyDefault(list->item, name);
  }
  static bool SameKey(SchemaPtr list, const Value& a, const Value& b) {
    if (list->list_kind == ListKind::kSet) return Identical(a, b);
    return std::all_of(list->list_map_keys.begin(), list->list_map_keys.end(), [&](const std::string& name) {
      const Value* l = KeyOf(list, a, name);
      const Value* r = KeyOf(list, b, name);
      return l && r ? Identical(*l, *r) : l == r;
    });
  }

  // Whether both lists have the same elements in the same order as far as keys tell, each once: then they need no index.
  static bool Aligned(SchemaPtr schema, const Value* before, const Value* after) {
    if (!schema || !before || !after || before->size() != after->size() || before->size() > kMostPairs) return false;
    const auto l = before->Items(), r = after->Items();
    for (std::size_t i = 0; i < l.size(); ++i) {
      if (!ElementStep(schema, l[i], nullptr).empty() || !ElementStep(schema, r[i], nullptr).empty() || !SameKey(schema, l[i], r[i])) return false;
      for (std::size_t j = 0; j < i; ++j)
        if (SameKey(schema, l[i], l[j])) return false;
    }
    return true;
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

  void VisitList(SchemaPtr schema, const Value* before, const Value* after, Place& at) {
    if (Aligned(schema, before, after)) {
      for (std::size_t i = 0; i < before->size(); ++i) VisitElement(schema, &before->Items()[i], &after->Items()[i], at);
      return;
    }
    const Elements l = Index(schema, before), r = Index(schema, after);
    Elements all = l;
    all.insert(r.begin(), r.end());
    static const std::vector<const Value*> kNone;
    for (const auto& [step, unused] : all) {
      const auto li = l.find(step), ri = r.find(step);
      VisitElements(schema, li == l.end() ? kNone : li->second, ri == r.end() ? kNone : ri->second, at);
    }
  }

  // Elements that share a key are owned as a whole.
  void VisitElements(SchemaPtr schema, const std::vector<const Value*>& before, const std::vector<const Value*>& after, Place& at) {
    if (before.size() <= 1 && after.size() <= 1) return VisitElement(schema, before.empty() ? nullptr : before[0], after.empty() ? nullptr : after[0], at);
    Place below;
    below.up = &at;
    below.list = schema;
    below.item = before.empty() ? after[0] : before[0];
    if (before.size() > 1 && after.size() > 1) {
      const bool same = before.size() == after.size() && std::equal(before.begin(), before.end(), after.begin(), [](const Value* a, const Value* b) { return *a == *b; });
      if (!same) Tell(below, kModified);
    } else if (before.size() > 1) {
      if (!after.empty()) Visit(ElementOf(schema), nullptr, after[0], below);
      Tell(below, kRemoved);
    } else {
      if (!before.empty()) Visit(ElementOf(schema), before[0], nullptr, below);
      Tell(below, kAdded);
    }
  }

  const RawObjects raw_;
  const Seen seen_;
};

}  // namespace

Comparison CompareTyped(SchemaPtr schema, const Value& before, const Value& after, RawObjects raw, Seen seen) {
  Comparer comparer(raw, seen);
  comparer.Run(schema, before, after);
  return std::move(comparer.result);
}

}  // namespace skerry::kube
