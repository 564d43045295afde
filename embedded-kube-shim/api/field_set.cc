#include "embedded-kube-shim/api/field_set.h"

#include <algorithm>
#include <optional>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/typed_value.h"
#include "embedded-kube-shim/api/typed_walk.h"

namespace skerry::kube {

namespace {

const FieldSet kEmptySet;

int Rank(std::string_view step) {
  switch (step.empty() ? '\0' : step[0]) {
    case 'f': return 0;
    case 'k': return 1;
    case 'v': return 2;
    default: return 3;
  }
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Numbers that are values of keys compare by size.
bool NaturalLess(std::string_view a, std::string_view b) {
  std::size_t i = 0;
  while (i < a.size() && i < b.size()) {
    if (IsDigit(a[i]) && IsDigit(b[i]) && i > 0 && a[i - 1] == ':') {
      std::size_t end_a = i, end_b = i;
      while (end_a < a.size() && IsDigit(a[end_a])) ++end_a;
      while (end_b < b.size() && IsDigit(b[end_b])) ++end_b;
      if (end_a != end_b) return end_a < end_b;
    }
    if (a[i] != b[i]) return a[i] < b[i];
    ++i;
  }
  return a.size() < b.size();
}

// Canonical text of a stored step; empty for an unknown kind.
PathStep Canonical(std::string_view text) {
  if (text.size() < 2 || text[1] != ':') return {};
  const std::string_view rest = text.substr(2);
  if (text[0] == 'f') return std::string(text);
  if (text[0] == 'i') return ParseInt(rest) ? std::string(text) : std::string();
  json::Value value;
  if ((text[0] != 'k' && text[0] != 'v') || !json::Value::Parse(rest, &value, nullptr)) return {};
  if (text[0] == 'v') return ValueStep(value);
  if (!value.is_object()) return {};
  std::vector<std::pair<std::string_view, const json::Value*>> keys;
  for (const auto& member : value.Members()) keys.emplace_back(member.key, &member.value);
  return KeyStep(keys);
}

std::string ShownValue(const json::Value& value) { return value.is_string() ? Quote(value.Str()) : value.Dump(); }

}  // namespace

PathStep FieldStep(std::string_view name) { return Cat("f:", name); }
PathStep IndexStep(std::size_t index) { return Cat("i:", index); }
PathStep ValueStep(const json::Value& value) { return Cat("v:", value.Dump()); }

PathStep KeyStep(std::span<std::pair<std::string_view, const json::Value*>> keys) {
  std::sort(keys.begin(), keys.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  PathStep out;
  out.reserve(48);   // most need less
  out = "k:{";
  for (const auto& [name, value] : keys) {
    if (out.size() > 3) out += ',';
    json::AppendQuoted(out, name);
    out += ':';
    value->DumpTo(out);
  }
  return out += '}';
}

std::string StepText(std::string_view step) {
  const std::string_view rest = step.substr(2);
  if (step[0] == 'f') return Cat('.', rest);
  if (step[0] == 'i') return Cat('[', rest, ']');
  json::Value value;
  json::Value::Parse(rest, &value, nullptr);
  if (step[0] == 'v') return Cat("[=", ShownValue(value), ']');
  std::string out;
  for (const auto& member : value.Members()) out += Cat(out.empty() ? "" : ",", member.key, '=', ShownValue(member.value));
  return Cat('[', out, ']');
}

std::string PathText(const FieldPath& path) {
  std::string out;
  for (const auto& step : path) out += StepText(step);
  return out;
}

bool StepLess::operator()(std::string_view a, std::string_view b) const {
  if (Rank(a) != Rank(b)) return Rank(a) < Rank(b);
  return Rank(a) == 0 ? a < b : NaturalLess(a, b);
}

bool FieldSet::FromJson(const json::Value& fields, FieldSet* out) {
  if (!fields.is_object()) return false;
  out->nodes_.reserve(out->nodes_.size() + fields.size());
  for (const auto& member : fields.Members()) {
    if (member.key == ".") continue;
    PathStep step = Canonical(member.key);
    if (step.empty()) continue;
    if (!member.value.is_object()) return false;
    FieldSet below;
    if (!FromJson(member.value, &below)) return false;
    const bool is_member = below.empty() || member.value.Find(".");
    Node& node = out->Put(std::move(step));
    node.member = is_member;
    node.below = std::move(below);
  }
  return true;
}

namespace {

// Members of stored fields by step.
class StoredSteps {
 public:
  StoredSteps(const json::Value& fields, std::size_t looked_for) : fields_(fields) {
    constexpr std::size_t kMostPairs = 4096;
    if (fields.size() * looked_for > kMostPairs) index_.emplace(&fields);
  }
  const json::Value* Find(std::string_view step) const { return index_ ? index_->Find(step) : fields_.Find(step); }

 private:
  const json::Value& fields_;
  std::optional<MemberIndex> index_;   // of very many
};

}  // namespace

bool FieldSet::Touches(const json::Value& fields) const {
  const StoredSteps stored(fields, nodes_.size());
  for (const auto& node : nodes_) {
    const json::Value* found = stored.Find(node.step);
    if (found && (node.member || node.below.Touches(*found))) return true;
  }
  return false;
}

bool FieldSet::IsWithin(const json::Value& fields) const {
  const StoredSteps stored(fields, nodes_.size());
  return std::all_of(nodes_.begin(), nodes_.end(), [&](const Node& node) {
    const json::Value* found = stored.Find(node.step);
    if (!found || (node.member && found->size() > 0 && !found->Find("."))) return false;
    return node.below.IsWithin(*found);
  });
}

json::Value FieldSet::ToJson() const {
  json::Value out = json::Value::Object();
  auto& members = out.MutableMembers();
  members.reserve(nodes_.size());
  for (const auto& node : nodes_) {
    json::Value below = json::Value::Object();
    if (!node.below.empty()) {
      below = node.below.ToJson();
      if (node.member) below.MutableMembers().insert(below.MutableMembers().begin(), json::Member{".", json::Value::Object()});
    }
    members.push_back({node.step, std::move(below)});
  }
  return out;
}

FieldSet::Node& FieldSet::Put(PathStep step) {
  const StepLess less;
  if (nodes_.empty() || less(nodes_.back().step, step)) {
    if (nodes_.capacity() == 0) nodes_.reserve(4);   // few have one member only
    nodes_.push_back({std::move(step), false, {}});
    return nodes_.back();
  }
  const auto at = std::lower_bound(nodes_.begin(), nodes_.end(), step, [&](const Node& node, const PathStep& wanted) { return less(node.step, wanted); });
  if (at != nodes_.end() && at->step == step) return *at;
  return *nodes_.insert(at, {std::move(step), false, {}});
}

const FieldSet::Node* FieldSet::Find(std::string_view step) const {
  const StepLess less;
  const auto at = std::lower_bound(nodes_.begin(), nodes_.end(), step, [&](const Node& node, std::string_view wanted) { return less(node.step, wanted); });
  return at != nodes_.end() && at->step == step ? &*at : nullptr;
}

void FieldSet::Insert(std::span<const PathStep> path) {
  if (path.empty()) return;
  Node& node = Put(path.front());
  if (path.size() == 1) node.member = true;
  else node.below.Insert(path.subspan(1));
}

bool FieldSet::Has(std::span<const PathStep> path) const {
  if (path.empty()) return false;
  const Node* node = Find(path.front());
  return node && (path.size() == 1 ? node->member : node->below.Has(path.subspan(1)));
}

bool FieldSet::HasStep(std::string_view step) const {
  const Node* node = Find(step);
  return node && node->member;
}

const FieldSet& FieldSet::Below(std::string_view step) const {
  const Node* node = Find(step);
  return node ? node->below : kEmptySet;
}

namespace {

enum class Side : std::uint8_t { kLeft, kRight, kBoth };

// Visits the nodes of two sorted sets in order, equal steps together.
template <typename Visit>
void Together(const FieldSet::Nodes& a, const FieldSet::Nodes& b, Visit visit) {
  const StepLess less;
  auto i = a.begin(), j = b.begin();
  while (i != a.end() || j != b.end()) {
    if (i != a.end() && j != b.end() && i->step == j->step) visit(Side::kBoth, &*i++, &*j++);
    else if (j == b.end() || (i != a.end() && less(i->step, j->step))) visit(Side::kLeft, &*i++, static_cast<const FieldSet::Node*>(nullptr));
    else visit(Side::kRight, static_cast<const FieldSet::Node*>(nullptr), &*j++);
  }
}

}  // namespace

FieldSet FieldSet::Union(const FieldSet& o) const {
  if (o.empty()) return *this;
  FieldSet out;
  out.nodes_.reserve(nodes_.size() + o.nodes_.size());
  Together(nodes_, o.nodes_, [&](Side side, const Node* a, const Node* b) {
    if (side == Side::kBoth) out.nodes_.push_back({a->step, a->member || b->member, a->below.Union(b->below)});
    else out.nodes_.push_back(a ? *a : *b);
  });
  return out;
}

FieldSet FieldSet::Intersection(const FieldSet& o) const {
  FieldSet out;
  if (o.empty()) return out;
  Together(nodes_, o.nodes_, [&](Side side, const Node* a, const Node* b) {
    if (side != Side::kBoth) return;
    Node both{a->step, a->member && b->member, a->below.Intersection(b->below)};
    if (both.member || !both.below.empty()) out.nodes_.push_back(std::move(both));
  });
  return out;
}

FieldSet FieldSet::Difference(const FieldSet& o) const {
  if (o.empty()) return *this;
  FieldSet out;
  Together(nodes_, o.nodes_, [&](Side side, const Node* a, const Node* b) {
    if (side == Side::kRight) return;
    Node rest = side == Side::kLeft ? *a : Node{a->step, a->member && !b->member, a->below.Difference(b->below)};
    if (rest.member || !rest.below.empty()) out.nodes_.push_back(std::move(rest));
  });
  return out;
}

FieldSet FieldSet::RecursiveDifference(const FieldSet& o) const {
  if (o.empty()) return *this;
  FieldSet out;
  Together(nodes_, o.nodes_, [&](Side side, const Node* a, const Node* b) {
    if (side == Side::kRight || (side == Side::kBoth && b->member)) return;
    Node rest = side == Side::kLeft ? *a : Node{a->step, a->member, a->below.RecursiveDifference(b->below)};
    if (rest.member || !rest.below.empty()) out.nodes_.push_back(std::move(rest));
  });
  return out;
}

FieldSet FieldSet::WithNamedFields(SchemaPtr schema) const {
  FieldSet out = *this;
  for (auto& node : out.nodes_) {
    if (node.below.empty()) continue;
    SchemaPtr type = nullptr;
    if (schema && node.step[0] == 'f') {
      const TypedField field = FieldOf(schema, std::string_view(node.step).substr(2));
      type = field.type;
      if (field.declared) node.member = true;
    } else if (schema && node.step[0] == 'k' && schema->type == Type::kList) {
      type = schema->item;
    }
    node.below = node.below.WithNamedFields(type);
  }
  return out;
}

void FieldSet::ForEach(const std::function<void(const FieldPath&)>& visit) const {
  FieldPath path;
  Visit(path, visit);
}

void FieldSet::Visit(FieldPath& path, const std::function<void(const FieldPath&)>& visit) const {
  for (const bool members : {true, false}) {
    for (const auto& node : nodes_) {
      if (members ? !node.member : node.below.empty()) continue;
      path.push_back(node.step);
      if (members) visit(path);
      else node.below.Visit(path, visit);
      path.pop_back();
    }
  }
}

bool FieldSet::operator==(const FieldSet& o) const {
  return nodes_.size() == o.nodes_.size() &&
         std::equal(nodes_.begin(), nodes_.end(), o.nodes_.begin(), [](const Node& a, const Node& b) { return a.step == b.step && a.member == b.member && a.below == b.below; });
}

}  // namespace skerry::kube
