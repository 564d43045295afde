#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/base/strings.h"
#include "core/json/share.h"
#include "embedded-kube-shim/api/go_value.h"
#include "embedded-kube-shim/api/patch.h"
#include "embedded-kube-shim/api/patch_typed.h"
#include "embedded-kube-shim/api/raw_json.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/api/typed_value.h"

// Strategic merge patch. The patch is consumed while it is merged (directives and handled lists are taken out of it), because the texts of
// later errors show what is left of it.
namespace skerry::kube {

namespace {

using json::Value;
using Items = std::vector<Value>;

constexpr std::string_view kDirective = "$patch";
constexpr std::string_view kRetainKeys = "$retainKeys";
constexpr std::string_view kDeleteList = "$deleteFromPrimitiveList";
constexpr std::string_view kElementOrder = "$setElementOrder";

std::string_view StructName(SchemaPtr schema) {
  const std::string_view name = schema ? std::string_view(schema->name) : std::string_view();
  const auto dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

Error Plain(std::string message) { return PlainInternalError(std::move(message)); }

Error BadDirective(const Value& directive, const Value& map) {
  const std::string shown = directive.is_string() ? std::string(directive.Str()) : Cat("%!s(", GoType(directive), "=", GoPrint(directive), ")");
  return Plain(Cat("unknown patch type: ", shown, " in map: ", GoPrint(map)));
}
Error NoMergeKey(const Value& map, std::string_view key) { return Plain(Cat("map: ", GoPrint(map), " does not contain declared merge key: ", key)); }
Error BadArgument(std::string_view expected, const Value& actual) {
  return Plain(Cat("expected a ", expected, ", but received a ", actual.is_null() ? std::string_view("nil") : GoType(actual)));
}

// What the schema says about one member: how it merges and the type below.
struct Meta {
  SchemaPtr type = nullptr;   // of the member; null = unknown structure
  bool merge = false, replace = false;
  std::string_view merge_key;
};

Result<Meta> Lookup(SchemaPtr schema, std::string_view key) {
  if (!schema || schema->type == Type::kAny || schema->type == Type::kRawExtension) return Meta{};
  if (schema->type == Type::kMap) return Meta{schema->item};
  if (schema->type != Type::kStruct) return std::unexpected(Plain(Cat("unable to find api field in struct ", StructName(schema), " for the json field ", Quote(key))));
  const Field* field = schema->Find(key);
  if (!field) return std::unexpected(Plain(Cat("unable to find api field in struct ", StructName(schema), " for the json field ", Quote(key))));
  return Meta{field->type, field->patch_merge, field->patch_replace, field->patch_merge_key};
}

SchemaPtr ItemOf(SchemaPtr list) { return list ? list->item : nullptr; }

// Null members mean "delete"; where there is nothing to delete they vanish.
void DropNulls(Value& value) {
  if (value.is_object()) {
    auto& members = value.MutableMembers();
    std::erase_if(members, [](const json::Member& m) { return m.value.is_null(); });
    for (auto& member : members) DropNulls(member.value);
  } else if (value.is_array()) {
    for (auto& item : value.MutableItems()) DropNulls(item);
  }
}

// A value that is taken over as it is leaves its directives behind; false when it says that it is to be deleted.
bool DropDirectives(Value& value) {
  if (value.is_array()) {
    std::erase_if(value.MutableItems(), [](Value& item) { return !DropDirectives(item); });
    return true;
  }
  if (!value.is_object()) return true;
  if (value[kDirective].Str() == "delete") return false;
  std::erase_if(value.MutableMembers(), [](json::Member& m) {
    return m.key == kDirective || m.key == kRetainKeys || m.key.starts_with(kDeleteList) || m.key.starts_with(kElementOrder) || !DropDirectives(m.value);
  });
  return true;
}

bool SameKind(const Value& a, const Value& b) { return a.kind() == b.kind(); }
// Scalars equal as Go compares interfaces: 1 and 1.0 differ.
bool SameScalar(const Value& a, const Value& b) { return a.kind() == b.kind() && a == b; }

int IndexOf(const Items& list, const Value& item, std::string_view merge_key) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (merge_key.empty() ? SameScalar(list[i], item) : list[i].is_object() && SameScalar(list[i][merge_key], item[merge_key])) return static_cast<int>(i);
  }
  return -1;
}

// IndexOf() for many items: lists that come from clients may have tens of thousands.
class Places {
 public:
  Places(const Items& list, std::string_view merge_key) : list_(list), merge_key_(merge_key) {
    constexpr std::size_t kFew = 32;
    if (list.size() <= kFew || !std::all_of(list.begin(), list.end(), [&](const Value& item) { return IsSimple(item); })) return;
    for (std::size_t i = 0; i < list.size(); ++i) index_.emplace(TextOf(list[i]), static_cast<int>(i));
  }
  int Find(const Value& item) const {
    if (index_.empty() || !IsSimple(item)) return IndexOf(list_, item, merge_key_);
    const auto it = index_.find(TextOf(item));
    return it == index_.end() ? -1 : it->second;
  }

 private:
  const Value& KeyOf(const Value& item) const { return merge_key_.empty() ? item : item[merge_key_]; }
  bool IsSimple(const Value& item) const { return (merge_key_.empty() || item.is_object()) && !KeyOf(item).is_object() && !KeyOf(item).is_array(); }
  // Kinds of numbers differ.
  std::string TextOf(const Value& item) const { return Cat(static_cast<int>(KeyOf(item).kind()), KeyOf(item).Dump()); }

  const Items& list_;
  const std::string_view merge_key_;
  std::unordered_map<std::string, int> index_;   // empty: few items, or such that have no simple key
};

bool IsDeletion(const Value& item) { return item[kDirective].Str() == "delete"; }

Result<bool> ElementsAreMaps(const Items& a, const Items& b) {
  const Value* first = nullptr;
  for (const Items* list : {&a, &b}) {
    for (const auto& item : *list) {
      if (!first) {
        first = &item;
        if (item.is_array()) return Fail(Code::kInvalid, "lists of lists are not supported");
      } else if (!SameKind(*first, item)) {
        std::string shown = "[";
        for (const Items* shown_list : {&a, &b}) {
          std::string one;
          for (const auto& i : *shown_list) one += (one.empty() ? "" : " ") + GoPrint(i);
          shown += (shown_list == &b ? " [" : "[") + one + "]";
        }
        return std::unexpected(Plain(Cat("list element types are not identical: ", shown, "]")));
      }
    }
  }
  if (!first) return std::unexpected(Plain("no elements in any of the given slices"));
  return first->is_object();
}

Result<> RequireKeys(const Items& list, std::string_view merge_key) {
  for (const auto& item : list)
    if (!item.is_object() || !item.Find(merge_key)) return std::unexpected(NoMergeKey(item, merge_key));
  return {};
}

// Orders `list` by the place of its items in `order`; items with $patch: delete go last.
Result<Items> SortBy(Items list, const Items& order, std::string_view merge_key, bool maps) {
  Items deletions;
  if (maps) {
    TRY_VOID(RequireKeys(list, merge_key));
    TRY_VOID(RequireKeys(order, merge_key));
    Items kept;
    for (auto& item : list) (IsDeletion(item) ? deletions : kept).push_back(std::move(item));
    list = std::move(kept);
  }
  std::vector<std::pair<int, Value>> indexed;
  const Places places(order, maps ? merge_key : "");
  for (auto& item : list) {
    const int place = places.Find(item);
    indexed.emplace_back(place, std::move(item));
  }
  std::stable_sort(indexed.begin(), indexed.end(), [](const auto& a, const auto& b) { return a.first >= 0 && b.first >= 0 ? a.first < b.first : a.first < b.first; });
  Items out;
  for (auto& [index, item] : indexed) out.push_back(std::move(item));
  for (auto& item : deletions) out.push_back(std::move(item));
  return out;
}

// The items named by the patch in its order, those only the server has in the server's; where both are known to the server its order decides.
Result<Items> Interleave(Items patched, Items server_only, const Items& patch_order, const Items& server_order, std::string_view merge_key, bool maps) {
  TRY(auto right, SortBy(std::move(patched), patch_order, merge_key, maps));
  TRY(auto left, SortBy(std::move(server_only), server_order, merge_key, maps));
  const Places places(server_order, maps ? merge_key : "");
  Items out;
  std::size_t i = 0, j = 0;
  while (i < left.size() || j < right.size()) {
    bool take_left = j >= right.size();
    if (i < left.size() && j < right.size()) {
      const int l = places.Find(left[i]), r = places.Find(right[j]);
      take_left = l >= 0 && r >= 0 && l < r;
    }
    out.push_back(std::move(take_left ? left[i++] : right[j++]));
  }
  return out;
}

Items CloneAll(const Items& list) {
  Items out;
  for (const auto& item : list) out.push_back(json::Share(item));
  return out;
}

Result<> Partition(Items merged, const Items& named, std::string_view merge_key, bool maps, Items& in, Items& out) {
  if (maps) {
    TRY_VOID(RequireKeys(merged, merge_key));
    TRY_VOID(RequireKeys(named, merge_key));
  }
  const Places places(named, maps ? merge_key : "");
  for (auto& item : merged) (places.Find(item) >= 0 ? in : out).push_back(std::move(item));
  return {};
}

Result<> MergeMap(Value& original, Value& patch, SchemaPtr schema);

Result<Items> MergeMaps(Items original, Items& patch, SchemaPtr item_schema, std::string_view merge_key) {
  const auto text_of = [](const Value& key) { return Cat(static_cast<int>(key.kind()), key.Dump({.sort_keys = true})); };
  std::unordered_map<std::string, std::size_t> places;   // of the first with each key
  for (std::size_t i = 0; i < original.size(); ++i)
    if (const Value* key = std::as_const(original[i]).Find(merge_key)) places.emplace(text_of(*key), i);
  for (auto& item : patch) {
    const Value* key = std::as_const(item).Find(merge_key);
    if (!key) return std::unexpected(NoMergeKey(item, merge_key));
    const auto [match, is_new] = places.emplace(text_of(*key), original.size());
    if (is_new) {
      original.push_back(item.Clone());
      continue;
    }
    TRY_VOID(MergeMap(original[match->second], item, item_schema));
  }
  return original;
}

// Elements that are directives: {$patch: delete, <key>: v} removes, {$patch: replace} drops all that was there.
Result<> ApplyElementDirectives(Items& original, Items& patch, std::string_view merge_key) {
  Items plain, deleted;
  bool replace = false;
  for (auto& item : patch) {
    const Value* directive = item.Find(kDirective);
    if (!directive) {
      plain.push_back(std::move(item));
    } else if (directive->Str() == "delete") {
      const Value* key = item.Find(merge_key);
      if (!key) return std::unexpected(NoMergeKey(item, merge_key));
      deleted.push_back(std::move(item));
    } else if (directive->Str() == "replace") {
      replace = true;
    } else if (directive->Str() == "merge") {
      return std::unexpected(Plain("merging lists cannot yet be specified in the patch"));
    } else {
      return std::unexpected(BadDirective(*directive, item));
    }
  }
  if (!deleted.empty()) {
    const Places places(deleted, merge_key);
    std::erase_if(original, [&](const Value& v) { return std::as_const(v).Find(merge_key) && places.Find(v) >= 0; });
  }
  if (replace) {
    original = std::move(plain);
    patch.clear();
  } else {
    patch = std::move(plain);
  }
  return {};
}

Items Deduplicated(const Items& a, const Items& b) {
  Items out;
  std::unordered_set<std::string> seen;   // of texts, the usual case
  for (const Items* list : {&a, &b})
    for (const auto& item : *list)
      if (item.is_string() ? seen.emplace(item.Str()).second : IndexOf(out, item, "") < 0) out.push_back(json::Share(item));
  return out;
}

Result<Items> MergeList(Items original, const Items& patch_items, SchemaPtr list, std::string_view merge_key, bool deletion) {
  if (original.empty() && patch_items.empty()) return original;
  TRY(const bool maps, ElementsAreMaps(original, patch_items));
  Items patch = CloneAll(patch_items), merged;
  if (!maps) {
    if (deletion) {
      const Places places(patch, "");
      std::erase_if(original, [&](const Value& v) { return places.Find(v) >= 0; });
      return original;
    }
    merged = Deduplicated(original, patch);
  } else {
    if (merge_key.empty()) return std::unexpected(Plain(Cat("cannot merge lists without merge key for ", StructName(ItemOf(list)))));
    TRY_VOID(ApplyElementDirectives(original, patch, merge_key));
    TRY(merged, MergeMaps(CloneAll(original), patch, ItemOf(list), merge_key));
  }
  Items named, others;
  TRY_VOID(Partition(std::move(merged), patch, merge_key, maps, named, others));
  return Interleave(std::move(named), std::move(others), patch, original, merge_key, maps);
}

Result<> RetainKeys(Value& original, Value& patch) {
  const Value* found = patch.Find(kRetainKeys);
  if (!found) return {};
  const Value directive = found->Clone();
  patch.Erase(kRetainKeys);
  const Error bad = BadRequestError("invalid patch format of retainKeys");
  if (!directive.is_array()) return std::unexpected(bad.Clone());
  std::set<std::string, std::less<>> keys;
  for (const auto& key : directive.Items())
    if (key.is_string()) keys.emplace(key.Str());
  for (const auto& member : patch.Members()) {
    if (member.value.is_null() || member.key.starts_with(kDeleteList) || member.key.starts_with(kElementOrder)) continue;
    if (!keys.contains(member.key)) return std::unexpected(bad.Clone());
  }
  if (original.is_object()) std::erase_if(original.MutableMembers(), [&](const json::Member& m) { return !keys.contains(m.key); });
  return {};
}

// The patch's own list has to name its elements in the order it asks for.
Result<> CheckOrder(const Items& patch, const Value& order, std::string_view merge_key) {
  if (order.size() == 0 || patch.empty()) return {};
  std::vector<const Value*> wanted;
  for (const auto& item : patch)
    if (merge_key.empty() || !IsDeletion(item)) wanted.push_back(&item);
  std::size_t next = 0;
  for (const auto& item : order.Items()) {
    if (next == wanted.size()) break;
    if (!merge_key.empty() && (!item.is_object() || !item.Find(merge_key))) return std::unexpected(NoMergeKey(item, merge_key));
    if (!merge_key.empty() && !wanted[next]->Find(merge_key)) return std::unexpected(NoMergeKey(*wanted[next], merge_key));
    const bool same = merge_key.empty() ? SameScalar(*wanted[next], item) : SameScalar((*wanted[next])[merge_key], item[merge_key]);
    if (same) ++next;
  }
  if (next == wanted.size()) return {};
  std::string shown = "[";
  for (const auto& item : patch) shown += (shown.size() > 1 ? " " : "") + GoPrint(item);
  return std::unexpected(Plain(Cat("The order in patch list:\n", shown, "]\n doesn't match ", kElementOrder, " list:\n", GoPrint(order), "\n")));
}

// $setElementOrder/<field> together with the field's own list in the patch.
Result<> MergeOrdered(Value& original, Value& patch, const std::string& directive_key, SchemaPtr schema) {
  const Value order = patch[directive_key].Clone();
  patch.Erase(directive_key);
  if (!order.is_array()) return std::unexpected(BadArgument("[]interface {}", order));
  const auto slash = directive_key.find('/');
  if (slash != kElementOrder.size()) return std::unexpected(BadRequestError("invalid patch format of setElementOrder list"));
  const std::string key = directive_key.substr(slash + 1);
  Value* live = original.Find(key);
  Value* list = patch.Find(key);
  if (live && !live->is_array()) return std::unexpected(BadArgument("[]interface {}", *live));
  if (list && !list->is_array()) return std::unexpected(BadArgument("[]interface {}", *list));
  TRY(const Meta meta, Lookup(schema, key));
  if (meta.type && meta.type->type != Type::kList && meta.type->type != Type::kAny)
    return std::unexpected(Plain("expected slice or array type, but got: struct"));
  const Items empty;
  const Items& live_items = live ? live->MutableItems() : empty;
  const Items& patch_items = list ? list->MutableItems() : empty;
  TRY_VOID(CheckOrder(patch_items, order, meta.merge_key));
  if (!live && !list) return {};

  Items merged;
  if (live && !list) {
    merged = CloneAll(live_items);
  } else if (!live) {
    for (const auto& item : patch_items)
      if (!IsDeletion(item)) merged.push_back(item.Clone());
  } else if (meta.merge) {
    TRY(merged, MergeList(CloneAll(live_items), patch_items, meta.type, meta.merge_key, false));
  } else {
    merged = CloneAll(patch_items);
  }
  TRY(const bool maps, ElementsAreMaps(live_items, patch_items));
  Items named, others, wanted;
  for (const auto& item : order.Items()) wanted.push_back(item.Clone());
  TRY_VOID(Partition(std::move(merged), wanted, meta.merge_key, !meta.merge_key.empty(), named, others));
  TRY(auto both, Interleave(std::move(named), std::move(others), wanted, live_items, meta.merge_key, maps));
  Value result = Value::Array();
  result.MutableItems() = std::move(both);
  patch.Erase(key);
  original.Set(key) = std::move(result);
  return {};
}

Result<> MergeMember(Value& original, std::string key, Value& patch_value, SchemaPtr schema) {
  bool deletion = false;
  if (key.starts_with(kDeleteList)) {
    const auto slash = key.find('/');
    if (slash != kDeleteList.size()) return std::unexpected(BadRequestError("invalid patch format of primitive list"));
    key = key.substr(slash + 1);
    deletion = true;
  }
  if (patch_value.is_null()) {
    original.Erase(key);
    return {};
  }
  Value* live = original.Find(key);
  if (!live || !SameKind(*live, patch_value)) {
    if (deletion) return {};
    DropNulls(patch_value);
    Value taken = patch_value.Clone();
    if (!DropDirectives(taken)) original.Erase(key);
    else original.Set(key) = std::move(taken);
    return {};
  }
  if (patch_value.is_object()) {
    TRY(const Meta meta, Lookup(schema, key));
    if (!meta.replace) return MergeMap(*live, patch_value, meta.type);
    *live = patch_value.Clone();
    return {};
  }
  if (patch_value.is_array()) {
    TRY(const Meta meta, Lookup(schema, key));
    if (!meta.merge && !deletion) {
      *live = patch_value.Clone();
      return {};
    }
    TRY(auto merged, MergeList(std::move(live->MutableItems()), patch_value.MutableItems(), meta.type, meta.merge_key, deletion));
    live->MutableItems() = std::move(merged);
    return {};
  }
  *live = patch_value.Clone();
  return {};
}

Result<> MergeMap(Value& original, Value& patch, SchemaPtr schema) {
  if (const Value* directive = patch.Find(kDirective)) {
    if (directive->Str() == "replace") {
      patch.Erase(kDirective);
      original = patch.Clone();
      return {};
    }
    if (directive->Str() == "delete") {
      original = Value::Object();
      return {};
    }
    return std::unexpected(BadDirective(*directive, patch));
  }
  if (!original.is_object()) original = Value::Object();
  TRY_VOID(RetainKeys(original, patch));
  std::vector<std::string> orders;
  for (const auto& member : patch.Members())
    if (member.key.starts_with(kElementOrder)) orders.push_back(member.key);
  for (const auto& key : orders) TRY_VOID(MergeOrdered(original, patch, key, schema));
  for (auto& member : patch.MutableMembers()) TRY_VOID(MergeMember(original, member.key, member.value, schema));
  return {};
}

}  // namespace

Result<json::Value> StrategicMerge(SchemaPtr schema, const json::Value& original, const json::Value& patch, std::string* shown) {
  if (!patch.is_object() && !patch.is_null()) {
    const std::string_view kind = patch.is_array() ? "array" : patch.is_number() ? "number" : GoKind(patch);
    return std::unexpected(BadRequestError(Cat("json: cannot unmarshal ", kind, " into Go value of type map[string]interface {}")));
  }
  Value merged = json::Share(original), rest = patch.is_null() ? Value::Object() : patch.Clone();
  if (auto done = MergeMap(merged, rest, schema); !done) return std::unexpected(std::move(done).error());
  if (shown) *shown = GoPrint(rest);
  if (auto problem = TypedConversionProblem(schema, merged)) {
    FieldErrors errors;
    errors.push_back({FieldErrorType::kInvalid, "patch", Quote(GoPrint(rest)), std::move(*problem)});
    return std::unexpected(InvalidError("", "", "", errors));
  }
  if (HoldsRawJson(schema)) SortRawObjects(schema, merged);
  CoerceIntegers(schema, merged);
  return merged;
}

}  // namespace skerry::kube
