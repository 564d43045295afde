#pragma once
#include <string_view>
#include <unordered_map>

#include "embedded-kube-shim/api/typed_value.h"

// Shared by the walkers over typed documents; private to embedded-kube-shim/api.
namespace skerry::kube {

struct Shape {
  enum Kind : std::uint8_t { kScalar, kList, kMap } kind;
  bool atomic;
  bool operator==(const Shape&) const = default;
};
// How a node is treated; where the schema leaves it open, the value decides.
Shape ShapeOf(SchemaPtr schema, const json::Value* value);
SchemaPtr ElementOf(SchemaPtr list);
// The step to an element of a keyed list or set; returns why there is none, else "".
std::string ElementStep(SchemaPtr list, const json::Value& item, PathStep* step);

// Looks members up by key; objects may have tens of thousands (a ConfigMap's data), so a scan for each would be quadratic.
class MemberIndex {
 public:
  explicit MemberIndex(const json::Value* object) : members_(object ? object->Members() : std::span<const json::Member>()) {
    if (members_.size() <= kSmall) return;
    by_key_.reserve(members_.size());
    for (const auto& member : members_) by_key_.emplace(member.key, &member.value);
  }
  const json::Value* Find(std::string_view key) const {
    if (members_.size() > kSmall) {
      const auto it = by_key_.find(key);
      return it == by_key_.end() ? nullptr : it->second;
    }
    for (const auto& member : members_)
      if (member.key == key) return &member.value;
    return nullptr;
  }

 private:
  static constexpr std::size_t kSmall = 16;
  std::span<const json::Member> members_;
  std::unordered_map<std::string_view, const json::Value*> by_key_;
};

}  // namespace skerry::kube
