#include "embedded-kube-shim/api/field_set.h"

#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/typed_value.h"

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
  std::vector<std::pair<std::string, const json::Value*>> keys;
  for (const auto& member : value.Members()) keys.emplace_back(member.key, &member.value);
  return KeyStep(std::move(keys));
}

std::string ShownValue(const json::Value& value) { return value.is_string() ? Quote(value.Str()) : value.Dump(); }

}  // namespace

PathStep FieldStep(std::string_view name) { return Cat("f:", name); }
PathStep IndexStep(std::size_t index) { return Cat("i:", index); }
PathStep ValueStep(const json::Value& value) { return Cat("v:", value.Dump()); }

PathStep KeyStep(std::vector<std::pair<std::string, const json::Value*>> keys) {
  std::sort(keys.begin(), keys.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  json::Value object = json::Value::Object();
  for (const auto& [name, value] : keys) object.Set(name) = value->Clone();
  return Cat("k:", object.Dump());
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
  for (const auto& member : fields.Members()) {
    if (member.key == ".") continue;
    const PathStep step = Canonical(member.key);
    if (step.empty()) continue;
    if (!member.value.is_object()) return false;
    Node node;
    if (!FromJson(member.value, &node.below)) return false;
    node.member = node.below.empty() || member.value.Find(".");
    out->nodes_[step] = std::move(node);
  }
  return true;
}

json::Value FieldSet::ToJson() const {
  json::Value out = json::Value::Object();
  auto& members = out.MutableMembers();
  for (const auto& [step, node] : nodes_) {
    json::Value below = json::Value::Object();
    if (!node.below.empty()) {
      below = node.below.ToJson();
      if (node.member) below.MutableMembers().insert(below.MutableMembers().begin(), json::Member{".", json::Value::Object()});
    }
    members.push_back({step, std::move(below)});
  }
  return out;
}

void FieldSet::Insert(std::span<const PathStep> path) {
  if (path.empty()) return;
  Node& node = nodes_[path.front()];
  if (path.size() == 1) node.member = true;
  else node.below.Insert(path.subspan(1));
}

bool FieldSet::Has(std::span<const PathStep> path) const {
  if (path.empty()) return false;
  const auto it = nodes_.find(path.front());
  if (it == nodes_.end()) return false;
  return path.size() == 1 ? it->second.member : it->second.below.Has(path.subspan(1));
}

bool FieldSet::HasStep(std::string_view step) const {
  const auto it = nodes_.find(step);
  return it != nodes_.end() && it->second.member;
}

const FieldSet& FieldSet::Below(std::string_view step) const {
  const auto it = nodes_.find(step);
  return it == nodes_.end() ? kEmptySet : it->second.below;
}

FieldSet FieldSet::Union(const FieldSet& o) const {
  FieldSet out = *this;
  for (const auto& [step, node] : o.nodes_) {
    auto [it, added] = out.nodes_.try_emplace(step, node);
    if (added) continue;
    it->second.member |= node.member;
    it->second.below = it->second.below.Union(node.below);
  }
  return out;
}

FieldSet FieldSet::Intersection(const FieldSet& o) const {
  FieldSet out;
  for (const auto& [step, node] : nodes_) {
    const auto it = o.nodes_.find(step);
    if (it == o.nodes_.end()) continue;
    Node both{node.member && it->second.member, node.below.Intersection(it->second.below)};
    if (both.member || !both.below.empty()) out.nodes_.emplace(step, std::move(both));
  }
  return out;
}

FieldSet FieldSet::Difference(const FieldSet& o) const {
  FieldSet out;
  for (const auto& [step, node] : nodes_) {
    const auto it = o.nodes_.find(step);
    Node rest = it == o.nodes_.end() ? node : Node{node.member && !it->second.member, node.below.Difference(it->second.below)};
    if (rest.member || !rest.below.empty()) out.nodes_.emplace(step, std::move(rest));
  }
  return out;
}

FieldSet FieldSet::RecursiveDifference(const FieldSet& o) const {
  FieldSet out;
  for (const auto& [step, node] : nodes_) {
    const auto it = o.nodes_.find(step);
    if (it != o.nodes_.end() && it->second.member) continue;
    Node rest = it == o.nodes_.end() ? node : Node{node.member, node.below.RecursiveDifference(it->second.below)};
    if (rest.member || !rest.below.empty()) out.nodes_.emplace(step, std::move(rest));
  }
  return out;
}

FieldSet FieldSet::WithNamedFields(SchemaPtr schema) const {
  FieldSet out = *this;
  for (auto& [step, node] : out.nodes_) {
    if (node.below.empty()) continue;
    SchemaPtr type = nullptr;
    if (schema && step[0] == 'f') {
      const TypedField field = FieldOf(schema, std::string_view(step).substr(2));
      type = field.type;
      if (field.declared) node.member = true;
    } else if (schema && step[0] == 'k' && schema->type == Type::kList) {
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
    for (const auto& [step, node] : nodes_) {
      if (members ? !node.member : node.below.empty()) continue;
      path.push_back(step);
      if (members) visit(path);
      else node.below.Visit(path, visit);
      path.pop_back();
    }
  }
}

bool FieldSet::operator==(const FieldSet& o) const {
  return nodes_.size() == o.nodes_.size() && std::equal(nodes_.begin(), nodes_.end(), o.nodes_.begin(), [](const auto& a, const auto& b) {
           return a.first == b.first && a.second.member == b.second.member && a.second.below == b.second.below;
         });
}

}  // namespace skerry::kube
