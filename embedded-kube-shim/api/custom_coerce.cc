#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/custom_schema.h"
#include "embedded-kube-shim/api/decode_value.h"

// Values of custom resources on their way in: pruning, nulls, defaults, metadata.
namespace skerry::kube {
namespace {

using json::Value;

bool IsTypeMeta(std::string_view name) { return name == "apiVersion" || name == "kind" || name == "metadata"; }

class Pruner {
 public:
  std::vector<std::string> unknown;

  // `node` null: nothing is known here. `root`: the object itself, which has type and metadata like an embedded one.
  void Prune(const CustomNode* node, Value& value, bool root) {
    if (node && node->preserve_unknown) return Keep(*node, value, root);
    if (value.is_array()) return Items(value, [&](Value& item) { Prune(node ? node->items.get() : nullptr, item, false); });
    if (!value.is_object()) return;
    auto& members = value.MutableMembers();
    std::size_t kept = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
      const auto mark = Push(members[i].key);
      const bool stays = Member(node, members[i], root);
      if (!stays) unknown.push_back(path_);
      path_.resize(mark);
      if (!stays) continue;
      if (kept != i) members[kept] = std::move(members[i]);
      ++kept;
    }
    members.resize(kept);
  }

 private:
  bool Member(const CustomNode* node, json::Member& member, bool root) {
    if (!node) return false;
    if ((root || node->embedded) && IsTypeMeta(member.key)) return true;
    if (const auto* property = node->Property(member.key)) Prune(property, member.value, false);
    else if (node->has_additional) Prune(node->additional.get(), member.value, false);
    else return false;
    return true;
  }

  // Unknown members stay here, but what is declared below is pruned as it says itself.
  void Keep(const CustomNode& node, Value& value, bool root) {
    if (value.is_array()) {
      if (node.items) Items(value, [&](Value& item) { Below(*node.items, item); });
      return;
    }
    if (!value.is_object()) return;
    for (auto& member : value.MutableMembers()) {
      if ((root || node.embedded) && IsTypeMeta(member.key)) continue;
      const CustomNode* below = node.Property(member.key);
      if (!below) below = node.additional.get();
      if (!below) continue;
      const auto mark = Push(member.key);
      Below(*below, member.value);
      path_.resize(mark);
    }
  }
  void Below(const CustomNode& node, Value& value) { Prune(&node, value, false); }

  template <class Visit>
  void Items(Value& list, Visit visit) {
    std::size_t index = 0;
    for (Value& item : list.MutableItems()) {
      const auto mark = path_.size();
      path_ += Cat("[", index++, "]");
      visit(item);
      path_.resize(mark);
    }
  }

  std::size_t Push(std::string_view name) {
    const auto mark = path_.size();
    if (!path_.empty()) path_ += '.';
    path_ += name;
    return mark;
  }

  std::string path_;
};

// Metadata of the object and of those embedded in it.
class MetadataTyper {
 public:
  explicit MetadataTyper(OnInvalidMetadata invalid) : invalid_(invalid), schema_(FindBuiltinSchema("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")) {}
  Coerced result;

  void Root(Value& object) {
    if (Value* metadata = object.Find("metadata")) Type(object, *metadata, "");
  }

  void Embedded(const CustomNode& node, Value& value, const std::string& path) {
    if (!result.error.empty()) return;
    if (value.is_array() && node.items) {
      std::size_t index = 0;
      for (Value& item : value.MutableItems()) Embedded(*node.items, item, Cat(path, "[", index++, "]"));
    }
    if (!value.is_object()) return;
    if (node.embedded) TypeMeta(value, path);
    for (auto& member : value.MutableMembers()) {
      const CustomNode* below = node.Property(member.key);
      if (below) Embedded(*below, member.value, path.empty() ? member.key : Cat(path, ".", member.key));
      else if (node.additional) Embedded(*node.additional, member.value, Cat(path, "[", member.key, "]"));
    }
  }

 private:
  void TypeMeta(Value& value, const std::string& path) {
    for (const std::string_view name : {"apiVersion", "kind"}) {
      const Value* text = value.Find(name);
      if (!text || text->is_string()) continue;
      if (invalid_ == OnInvalidMetadata::kDrop) value.Erase(name);
      else if (result.error.empty()) result.error = Cat(path, ".", name, ": Invalid value: ", text->Dump(), ": must be a string");
    }
    if (Value* metadata = value.Find("metadata")) Type(value, *metadata, path);
  }

  void Type(Value& holder, Value& metadata, const std::string& path) {
    if (metadata.is_null()) return;
    auto check = CheckTypes(schema_, metadata);
    if (!check.error.empty()) {
      if (invalid_ == OnInvalidMetadata::kDrop) {
        holder.Erase("metadata");
        return;
      }
      if (result.error.empty()) result.error = path.empty() ? check.error : Cat(path, ".metadata: Invalid value: ", metadata.Dump(), ": ", check.error);
      return;
    }
    for (const auto& text : check.strict) {
      // unknown field "x" -> metadata.x
      const auto quote = text.find('"');
      if (!text.starts_with("unknown") || quote == std::string::npos) continue;
      result.unknown.push_back(Cat(path, path.empty() ? "" : ".", "metadata.", text.substr(quote + 1, text.size() - quote - 2)));
    }
    const bool resets = metadata["managedFields"].is_array() && metadata["managedFields"].size() == 0;
    Canonicalize(schema_, metadata, resets ? Empties::kKeep : Empties::kNull);
  }

  const OnInvalidMetadata invalid_;
  const SchemaPtr schema_;
};

bool NullForbidden(const CustomNode* node, const Value& value) { return node && value.is_null() && !node->nullable; }

void DefaultBelow(const CustomNode& node, Value& value, bool root) {
  if (value.is_array() && node.items) {
    for (Value& item : value.MutableItems()) {
      if (NullForbidden(node.items.get(), item)) item = node.items->default_value.Clone();
      DefaultBelow(*node.items, item, false);
    }
  }
  if (!value.is_object()) return;
  for (const auto& [name, property] : node.properties) {
    if (root && IsTypeMeta(name)) continue;
    Value* found = value.Find(name);
    if (!property->default_value.is_null() && (!found || NullForbidden(property.get(), *found))) {
      value.Set(name) = property->default_value.Clone();
      found = value.Find(name);
    }
    if (found) DefaultBelow(*property, *found, false);
  }
  if (!node.additional) return;
  for (auto& member : value.MutableMembers()) {
    if (node.Property(member.key) || (root && IsTypeMeta(member.key))) continue;
    if (NullForbidden(node.additional.get(), member.value)) member.value = node.additional->default_value.Clone();
    DefaultBelow(*node.additional, member.value, false);
  }
}

}  // namespace

std::vector<std::string> PruneCustom(const CustomNode& root, Value& object) {
  Pruner pruner;
  pruner.Prune(&root, object, true);
  std::sort(pruner.unknown.begin(), pruner.unknown.end());
  return std::move(pruner.unknown);
}

void PruneBelow(const CustomNode& node, Value& value) { Pruner().Prune(&node, value, node.embedded); }

void DropNulls(const CustomNode& node, Value& value) {
  if (value.is_array() && node.items)
    for (Value& item : value.MutableItems()) DropNulls(*node.items, item);
  if (!value.is_object()) return;
  auto& members = value.MutableMembers();
  std::erase_if(members, [&](const json::Member& member) {
    const CustomNode* below = node.Property(member.key);
    return NullForbidden(below, member.value) && below->default_value.is_null();
  });
  for (auto& member : members) {
    const CustomNode* below = node.Property(member.key);
    if (!below) below = node.additional.get();
    if (below) DropNulls(*below, member.value);
  }
}

void DefaultCustom(const CustomNode& node, Value& value) { DefaultBelow(node, value, true); }

Coerced CoerceCustom(SchemaPtr schema, std::string_view kind, Value& object, OnInvalidMetadata invalid) {
  MetadataTyper typer(invalid);
  typer.Root(object);
  if (!typer.result.error.empty() || object["kind"].Str() != kind) return std::move(typer.result);
  auto unknown = PruneCustom(*schema->custom, object);
  typer.result.unknown.insert(typer.result.unknown.end(), unknown.begin(), unknown.end());
  DropNulls(*schema->custom, object);
  for (auto& member : object.MutableMembers()) {
    if (IsTypeMeta(member.key)) continue;
    if (const auto* below = schema->custom->Property(member.key)) typer.Embedded(*below, member.value, member.key);
  }
  return std::move(typer.result);
}

}  // namespace skerry::kube
