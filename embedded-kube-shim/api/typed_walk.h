#pragma once
#include <span>
#include <string_view>
#include <unordered_map>

#include "embedded-kube-shim/api/typed_value.h"

// Shared by the walkers over typed documents in embedded-kube-shim/api and embedded-kube-shim/apis.
namespace skerry::kube {

struct Shape {
  enum Kind : std::uint8_t { kScalar, kList, kMap } kind;
  bool atomic;
  bool operator==(const Shape&) const = default;
};
// How a node is treated; where the schema leaves it open, the value decides.
Shape ShapeOf(SchemaPtr schema, const json::Value* value);
SchemaPtr ElementOf(SchemaPtr list);
// The step to an element of a keyed list or set; returns why there is none, else "". A null `step` only asks for that.
std::string ElementStep(SchemaPtr list, const json::Value& item, PathStep* step);
// Whether two elements, which have steps, have the same one. No step is made.
bool SameElement(SchemaPtr list, const json::Value& a, const json::Value& b);
// What a key means when it is left out: its default; built-in types default fields that are always written to their zero value. May be null.
const json::Value* KeyDefault(SchemaPtr item, std::string_view name);
// Whether FillAlwaysEmitted() takes the member away (true) when it is there, or adds it when it is not.
bool IsLeftOut(const Field& field, const json::Value& member);
bool IsAlwaysThere(const Field& field);
json::Value ZeroOf(const Field& field);
// Equal in everything, the order of members included.
bool Identical(const json::Value& a, const json::Value& b);

// Surely a quantity in its canonical text (most are): one to four digits and a usual suffix.
bool IsPlainQuantity(std::string_view text);

// Finds fields by name. Objects mostly have their members in the schema's order: the search starts behind the last find.
class FieldFinder {
 public:
  explicit FieldFinder(SchemaPtr schema) : fields_(schema ? std::span<const Field>(schema->fields) : std::span<const Field>()) {}
  const Field* Find(std::string_view name) {
    for (std::size_t i = next_; i < fields_.size(); ++i)
      if (fields_[i].name == name) return &fields_[(next_ = i + 1) - 1];
    for (std::size_t i = 0; i < next_ && i < fields_.size(); ++i)
      if (fields_[i].name == name) return &fields_[(next_ = i + 1) - 1];
    return nullptr;
  }

 private:
  const std::span<const Field> fields_;
  std::size_t next_ = 0;
};

// The same the other way around: members of an object by name.
class MemberFinder {
 public:
  explicit MemberFinder(const json::Value* object) : members_(object ? object->Members() : std::span<const json::Member>()) {}
  const json::Value* Find(std::string_view key) {
    for (std::size_t i = next_; i < members_.size(); ++i)
      if (members_[i].key == key) return &members_[(next_ = i + 1) - 1].value;
    for (std::size_t i = 0; i < next_ && i < members_.size(); ++i)
      if (members_[i].key == key) return &members_[(next_ = i + 1) - 1].value;
    return nullptr;
  }
  std::size_t size() const { return members_.size(); }

 private:
  const std::span<const json::Member> members_;
  std::size_t next_ = 0;
};

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
