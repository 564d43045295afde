#include "core/json/patch.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "core/base/strings.h"
#include "core/json/parse.h"

namespace skerry::json {
namespace {

std::unexpected<Error> Invalid(std::string message) { return Fail(Code::kInvalid, std::move(message)); }

std::string_view KindName(const Value& v) {
  switch (v.kind()) {
    case Value::Kind::kNull: return "null";
    case Value::Kind::kBool: return "bool";
    case Value::Kind::kInt:
    case Value::Kind::kDouble: return "number";
    case Value::Kind::kString: return "string";
    case Value::Kind::kArray: return "array";
    case Value::Kind::kObject: break;
  }
  return "object";
}

// What a copy of it costs, roughly its text.
std::size_t CopyCost(const Value& v) {
  std::size_t cost = 8 + v.Str().size();
  for (const Value& item : v.Items()) cost += CopyCost(item);
  for (const Member& m : v.Members()) cost += m.key.size() + 4 + CopyCost(m.value);
  return cost;
}

// An index into `size` places; negative ones count from the end.
std::optional<std::size_t> Index(std::string_view text, std::size_t size) {
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto n = ParseInt(text);
  if (!n) return std::nullopt;
  const std::int64_t at = *n < 0 ? *n + static_cast<std::int64_t>(size) : *n;
  if (at < 0 || at >= static_cast<std::int64_t>(size)) return std::nullopt;
  return static_cast<std::size_t>(at);
}

Value* Child(Value& parent, const std::string& key) {
  if (parent.is_object()) return parent.Find(key);
  if (!parent.is_array()) return nullptr;
  const auto at = Index(key, parent.size());
  return at ? &parent.MutableItems()[*at] : nullptr;
}

class Patcher {
 public:
  Patcher(Value& document, const PatchOptions& options) : document_(document), options_(options) {}

  Result<> Apply(const Value& operation) {
    if (!operation.is_object()) return Invalid("operation is null");
    const std::string_view op = operation["op"].Str();
    if (!operation["path"].is_string()) return Invalid("operation missing path field");
    TRY(path_, ParsePointer(operation["path"].Str()));
    Pointer from;
    if (op == "move" || op == "copy") {
      if (!operation["from"].is_string()) return Invalid(Cat(op, " operation missing from field"));
      TRY(from, ParsePointer(operation["from"].Str()));
    }
    if (op == "add") return Add(operation["value"].Clone());
    if (op == "remove") return Remove(path_).transform_to_void();
    if (op == "replace") return Replace(operation["value"].Clone());
    if (op == "test") return Test(operation["value"]);
    if (op == "move") {
      TRY(Value moved, Remove(from).value);
      return Add(moved.Clone());   // what is shared with a document stays in its place
    }
    if (op == "copy") {
      const Value* source = from.empty() ? nullptr : Find(from);
      if (!source) return Invalid(Cat("copy operation does not apply: nothing at ", PointerText(from)));
      copied_ += CopyCost(*source);
      if (copied_ > options_.max_copy_bytes) return Invalid("unable to copy, the accumulated size increase of copy is exceeding the limit");
      return Add(source->Clone());
    }
    return Invalid(Cat("unexpected kind: ", op));
  }

 private:
  struct Removed {
    Result<Value> value;
    Result<> transform_to_void() && {
      if (!value) return std::unexpected(std::move(value).error());
      return {};
    }
  };

  Value* Find(const Pointer& pointer) {
    Value* v = &document_;
    for (const std::string& key : pointer) {
      v = Child(*v, key);
      if (!v) return nullptr;
    }
    return v;
  }

  // The container that holds the last segment, or null.
  Value* Parent(const Pointer& pointer) {
    Value* v = &document_;
    for (std::size_t i = 0; i + 1 < pointer.size(); ++i) {
      v = Child(*v, pointer[i]);
      if (!v) return nullptr;
    }
    return v->is_object() || v->is_array() ? v : nullptr;
  }

  Result<> CheckDepth(const Value& value) const {
    if (static_cast<int>(std::min<std::size_t>(path_.size(), 1u << 20)) + Depth(value) > options_.max_depth) return Invalid("exceeded max depth");
    return {};
  }

  std::unexpected<Error> Missing(std::string_view op, const Pointer& at) const { return Invalid(Cat(op, " operation does not apply: nothing at ", PointerText(at))); }

  Result<> Add(Value value) {
    TRY_VOID(CheckDepth(value));
    if (path_.empty()) return Missing("add", path_);
    Value* parent = Parent(path_);
    if (!parent) return Missing("add", path_);
    const std::string& key = path_.back();
    if (parent->is_object()) {
      parent->Set(key) = std::move(value);
      return {};
    }
    auto& items = parent->MutableItems();
    if (key == "-") {
      items.push_back(std::move(value));
      return {};
    }
    const auto at = Index(key, items.size() + 1);
    if (!at) return Missing("add", path_);
    items.insert(items.begin() + static_cast<std::ptrdiff_t>(*at), std::move(value));
    return {};
  }

  Removed Remove(const Pointer& at) {
    Value* parent = at.empty() ? nullptr : Parent(at);
    Value* found = parent ? Child(*parent, at.back()) : nullptr;
    if (!found) return {Missing("remove", at)};
    Value out = std::move(*found);
    if (parent->is_object()) {
      parent->Erase(at.back());
    } else {
      auto& items = parent->MutableItems();
      items.erase(items.begin() + (found - items.data()));
    }
    return {std::move(out)};
  }

  Result<> Replace(Value value) {
    TRY_VOID(CheckDepth(value));
    if (path_.empty()) {
      if (!value.is_object() && !value.is_array()) return Invalid("replace operation value must be object or array");
      document_ = std::move(value);
      return {};
    }
    Value* parent = Parent(path_);
    if (parent && parent->is_object()) {
      parent->Set(path_.back()) = std::move(value);
      return {};
    }
    Value* found = parent ? Child(*parent, path_.back()) : nullptr;
    if (!found) return Missing("replace", path_);
    *found = std::move(value);
    return {};
  }

  Result<> Test(const Value& expected) {
    Value* parent = path_.empty() ? nullptr : Parent(path_);
    if (!path_.empty() && !parent) return Missing("test", path_);
    const Value* found = path_.empty() ? &document_ : Child(*parent, path_.back());
    if (!found && parent->is_array()) return Missing("test", path_);
    if (found ? *found == expected : expected.is_null()) return {};
    return Invalid(Cat("testing path ", PointerText(path_), " failed"));
  }

  Value& document_;
  const PatchOptions& options_;
  Pointer path_;
  std::size_t copied_ = 0;
};

}  // namespace

Result<Pointer> ParsePointer(std::string_view text) {
  Pointer out;
  if (text.empty()) return out;
  if (text[0] != '/') return Invalid(Cat("a pointer must be empty or start with '/': ", Quote(text)));
  for (const std::string_view raw : Split(text.substr(1), '/')) {
    std::string& segment = out.emplace_back();
    for (std::size_t i = 0; i < raw.size(); ++i) {
      const char next = raw[i] == '~' && i + 1 < raw.size() ? raw[i + 1] : '\0';
      if (next == '0' || next == '1') {
        segment += next == '0' ? '~' : '/';
        ++i;
      } else {
        segment += raw[i];
      }
    }
  }
  return out;
}

std::string PointerText(const Pointer& pointer) {
  std::string out;
  for (const std::string& segment : pointer) {
    out += '/';
    for (const char c : segment) {
      if (c == '~') out += "~0";
      else if (c == '/') out += "~1";
      else out += c;
    }
  }
  return out;
}

const Value* Resolve(const Value& document, const Pointer& pointer) {
  const Value* v = &document;
  for (const std::string& key : pointer) {
    if (v->is_array()) {
      const auto n = ParseUint(key);
      if (!n || *n >= v->size() || (key.size() > 1 && key[0] == '0')) return nullptr;
      v = &v->Items()[*n];
    } else {
      v = v->Find(key);
    }
    if (!v) return nullptr;
  }
  return v;
}

Result<Value> ParsePatch(std::string_view text, const PatchOptions& options) {
  TRY(Value patch, Parse(text));
  if (patch.is_null()) return Value::Array();
  const auto mismatch = [](const Value& v, std::string_view type) {
    return Fail(Code::kBadRequest, Cat("json: cannot unmarshal ", KindName(v), " into Go value of type ", type));
  };
  if (!patch.is_array()) return mismatch(patch, Cat("[]", options.type_name));
  const std::size_t dot = options.type_name.find('.');
  const std::string_view short_name = options.type_name.substr(dot == std::string_view::npos ? 0 : dot + 1);
  for (const Value& operation : patch.Items()) {
    if (operation.is_null()) continue;   // refused when it is applied
    if (!operation.is_object()) return mismatch(operation, options.type_name);
    for (const Member& m : operation.Members()) {
      if ((m.key != "op" && m.key != "path" && m.key != "from") || m.value.is_string() || m.value.is_null()) continue;
      return Fail(Code::kBadRequest, Cat("json: cannot unmarshal ", KindName(m.value), " into Go struct field ", short_name, ".", m.key, " of type string"));
    }
  }
  if (patch.size() > options.max_operations) {
    return Fail(Code::kTooLarge, Cat("The allowed maximum operations in a JSON patch is ", options.max_operations, ", got ", patch.size()));
  }
  return patch;
}

Result<Value> ApplyPatch(Value document, const Value& patch, const PatchOptions& options) {
  Patcher patcher(document, options);
  for (const Value& operation : patch.Items()) TRY_VOID(patcher.Apply(operation));
  return document;
}

namespace {

// Looking for each member would take time that grows with the product of both sizes.
void MergeMany(std::vector<Member>& members, const Value& patch) {
  members.reserve(members.size() + patch.size());   // the keys stay where they are
  std::unordered_map<std::string_view, std::size_t> places;
  for (std::size_t i = 0; i < members.size(); ++i) places.emplace(members[i].key, i);
  std::vector<bool> erased(members.size() + patch.size());
  for (const Member& m : patch.Members()) {
    const auto it = places.find(m.key);
    if (m.value.is_null()) {
      if (it == places.end()) continue;
      erased[it->second] = true;
      places.erase(it);
    } else if (it == places.end()) {
      members.push_back({m.key, MergePatch(Value(), m.value)});
      places.emplace(members.back().key, members.size() - 1);
    } else {
      Value& slot = members[it->second].value;
      slot = MergePatch(std::move(slot), m.value);
    }
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (erased[i]) continue;
    if (kept != i) members[kept] = std::move(members[i]);
    ++kept;
  }
  members.resize(kept);
}

}  // namespace

Value MergePatch(Value target, const Value& patch) {
  constexpr std::size_t kMostPairs = 4096;
  if (!patch.is_object()) return patch.Clone();
  if (!target.is_object()) target = Value::Object();
  if (patch.size() * (target.size() + patch.size()) > kMostPairs) {
    MergeMany(target.MutableMembers(), patch);
    return target;
  }
  for (const Member& m : patch.Members()) {
    if (m.value.is_null()) {
      target.Erase(m.key);
      continue;
    }
    Value& slot = target.Set(m.key);
    slot = MergePatch(std::move(slot), m.value);
  }
  return target;
}

Value CreateMergePatch(const Value& from, const Value& to) {
  Value patch = Value::Object();
  for (const Member& m : from.Members()) {
    if (!to.Find(m.key)) patch.Set(m.key) = Value();
  }
  for (const Member& m : to.Members()) {
    const Value* before = from.Find(m.key);
    if (before && *before == m.value) continue;
    if (before && before->is_object() && m.value.is_object()) {
      Value below = CreateMergePatch(*before, m.value);
      if (below.size() > 0) patch.Set(m.key) = std::move(below);
    } else if (!m.value.is_null()) {
      patch.Set(m.key) = m.value.Clone();
    }
  }
  return patch;
}

int Depth(const Value& value) {
  int depth = 0;
  for (const Value& item : value.Items()) depth = std::max(depth, Depth(item));
  for (const Member& m : value.Members()) depth = std::max(depth, Depth(m.value));
  return depth + 1;
}

}  // namespace skerry::json
