#include "embedded-kube-shim/cel/value.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <unordered_map>

#include "core/base/strings.h"
#include "core/json/utf8.h"
#include "core/text/base64.h"
#include "core/text/duration.h"

namespace skerry::kube::cel {
namespace {

class Text : public Heap {
 public:
  explicit Text(std::string t) : text(std::move(t)) {}
  const std::string text;
};

class ItemList : public ListLike {
 public:
  explicit ItemList(std::vector<Val> items) : items_(std::move(items)) {}
  std::size_t size() const override { return items_.size(); }
  Val At(std::size_t i) const override { return items_[i]; }

 private:
  std::vector<Val> items_;
};

class OptionalVal : public Heap {
 public:
  explicit OptionalVal(Val v) : inner(std::move(v)) {}
  const Val inner;
};

// Keys that are equal hash equally: whole numbers of every kind by value.
std::size_t HashKey(const Val& key) {
  switch (key.kind()) {
    case Kind::kString: return std::hash<std::string_view>{}(key.text());
    case Kind::kBool: return key.boolean() ? 3 : 5;
    case Kind::kInt: return std::hash<std::int64_t>{}(key.integer());
    case Kind::kUint: return std::hash<std::int64_t>{}(static_cast<std::int64_t>(key.uint()));
    case Kind::kDouble: return std::hash<std::int64_t>{}(std::abs(key.number()) < 9e18 ? static_cast<std::int64_t>(key.number()) : 0);
    default: return 0;
  }
}

class EntryMap : public MapLike {
 public:
  EntryMap(std::vector<std::pair<Val, Val>> entries, std::string type_name) : entries_(std::move(entries)), type_name_(std::move(type_name)) {
    if (entries_.size() <= kScan) return;
    for (std::size_t i = 0; i < entries_.size(); ++i) index_.emplace(HashKey(entries_[i].first), i);
  }
  std::size_t size() const override { return entries_.size(); }
  std::optional<Val> Find(const Val& key) const override {
    if (entries_.size() <= kScan) {
      for (const auto& [k, v] : entries_) {
        if (Equal(k, key)) return v;
      }
      return std::nullopt;
    }
    const auto [from, to] = index_.equal_range(HashKey(key));
    for (auto it = from; it != to; ++it) {
      if (Equal(entries_[it->second].first, key)) return entries_[it->second].second;
    }
    return std::nullopt;
  }
  void ForEach(const std::function<bool(Val, Val)>& visit) const override {
    for (const auto& [k, v] : entries_) {
      if (!visit(k, v)) return;
    }
  }
  std::string_view type_name() const override { return type_name_; }

 private:
  static constexpr std::size_t kScan = 8;
  std::vector<std::pair<Val, Val>> entries_;
  std::string type_name_;
  std::unordered_multimap<std::size_t, std::size_t> index_;
};

class JsonList : public ListLike {
 public:
  JsonList(const json::Value& json, const DeclType* type) : json_(json), type_(type) {}
  std::size_t size() const override { return json_.size(); }
  Val At(std::size_t i) const override { return Val::FromJson(json_.Items()[i], type_ == nullptr ? nullptr : type_->element.get()); }
  const DeclType* type() const override { return type_; }
  bool TakesNew(const Val& item) const override {
    static std::mutex mutex;
    const std::lock_guard lock(mutex);
    if (std::ranges::any_of(taken_, [&](const Val& have) { return Equal(have, item); })) return false;
    taken_.push_back(item);
    return true;
  }

 private:
  const json::Value& json_;
  const DeclType* type_;
  mutable std::vector<Val> taken_;
};

class JsonMap : public MapLike {
 public:
  JsonMap(const json::Value& json, const DeclType* type) : json_(json), type_(type) {}
  std::size_t size() const override { return json_.size(); }
  std::optional<Val> Find(const Val& key) const override {
    if (!key.is(Kind::kString)) return std::nullopt;
    if (type_ != nullptr && type_->kind == TypeKind::kObject) {
      const DeclField* field = type_->FindField(key.text());
      const json::Value* value = json_.Find(field == nullptr ? key.text() : std::string_view(field->json_name));
      // A null is as absent as the field itself, also where the schema allows it.
      if (value == nullptr || field == nullptr || value->is_null()) return std::nullopt;
      return Val::FromJson(*value, field->type.get());
    }
    const json::Value* value = json_.Find(key.text());
    if (value == nullptr) return std::nullopt;
    return Val::FromJson(*value, type_ == nullptr ? nullptr : type_->element.get());
  }
  void ForEach(const std::function<bool(Val, Val)>& visit) const override {
    for (const auto& [key, value] : json_.Members()) {
      const DeclType* type = nullptr;
      std::string name = key;
      if (type_ != nullptr && type_->kind == TypeKind::kObject) {
        name = EscapeName(key);
        const DeclField* field = type_->FindField(name);
        if (field == nullptr || value.is_null()) continue;
        type = field->type.get();
      } else if (type_ != nullptr) {
        type = type_->element.get();
      }
      if (!visit(name == key ? Val::StringView(key) : Val::String(std::move(name)), Val::FromJson(value, type))) return;
    }
  }

 private:
  const json::Value& json_;
  const DeclType* type_;
};

Val TypedText(std::string_view text, const DeclType& type);

bool EqualLists(const ListLike& a, const ListLike& b);
bool EqualMaps(const MapLike& a, const MapLike& b);

std::optional<int> Sign(auto a, auto b) { return a < b ? -1 : a > b ? 1 : 0; }

std::optional<int> CompareNumbers(const Val& a, const Val& b) {
  if (a.is(Kind::kDouble) && std::isnan(a.number())) return std::nullopt;
  if (b.is(Kind::kDouble)) {
    const double d = b.number();
    if (std::isnan(d)) return std::nullopt;
    if (a.is(Kind::kDouble)) return Sign(a.number(), d);
    // Whole numbers that a double cannot hold are rounded to the next one that it can: what clients are used to.
    if (a.is(Kind::kInt)) return Sign(static_cast<double>(a.integer()), d);
    return Sign(static_cast<double>(a.uint()), d);
  }
  if (a.is(Kind::kDouble)) {
    const auto flipped = CompareNumbers(b, a);
    return flipped ? std::optional(-*flipped) : std::nullopt;
  }
  if (a.is(Kind::kInt) && b.is(Kind::kInt)) return Sign(a.integer(), b.integer());
  if (a.is(Kind::kUint) && b.is(Kind::kUint)) return Sign(a.uint(), b.uint());
  if (a.is(Kind::kInt)) return a.integer() < 0 ? std::optional(-1) : Sign(static_cast<std::uint64_t>(a.integer()), b.uint());
  return b.integer() < 0 ? std::optional(1) : Sign(a.uint(), static_cast<std::uint64_t>(b.integer()));
}

bool IsNumber(const Val& v) { return v.is(Kind::kInt) || v.is(Kind::kUint) || v.is(Kind::kDouble); }

}  // namespace

Val Val::String(std::string text) {
  auto* heap = new Text(std::move(text));
  Val v(Kind::kString, heap);
  v.text_ = heap->text;
  return v;
}

Val Val::StringView(std::string_view text) {
  Val v(Kind::kString);
  v.text_ = text;
  return v;
}

Val Val::Bytes(std::string bytes) {
  Val v = String(std::move(bytes));
  v.kind_ = Kind::kBytes;
  return v;
}

Val Val::TypeName(std::string name) {
  Val v = String(std::move(name));
  v.kind_ = Kind::kType;
  return v;
}

Val Val::Error(std::string message) {
  Val v = String(std::move(message));
  v.kind_ = Kind::kError;
  return v;
}

Val Val::List(std::vector<Val> items) { return Val(Kind::kList, new ItemList(std::move(items))); }
Val Val::Map(std::vector<std::pair<Val, Val>> entries, std::string type_name) {
  return Val(Kind::kMap, new EntryMap(std::move(entries), std::move(type_name)));
}
Val Val::None() { return Val(Kind::kOptional); }
Val Val::Some(Val inner) { return Val(Kind::kOptional, new OptionalVal(std::move(inner))); }
Val Val::Of(std::unique_ptr<const ListLike> list) { return Val(Kind::kList, list.release()); }
Val Val::Of(std::unique_ptr<const MapLike> map) { return Val(Kind::kMap, map.release()); }
Val Val::Of(std::unique_ptr<const Opaque> opaque) { return Val(Kind::kOpaque, opaque.release()); }

Val Val::FromJson(const json::Value& json, const DeclType* type) {
  switch (json.kind()) {
    case json::Value::Kind::kNull:
      // A schema that allows no null says that the stored object is damaged; reading it is an error, not a value.
      if (type != nullptr && !type->nullable && type->kind != TypeKind::kDyn) return Error("invalid data, got null for schema with nullable=false");
      return Val();
    case json::Value::Kind::kBool: return Bool(json.Bool());
    case json::Value::Kind::kInt: return type != nullptr && type->kind == TypeKind::kDouble ? Double(static_cast<double>(json.Int())) : Int(json.Int());
    case json::Value::Kind::kDouble: return json.is_uint() ? Double(static_cast<double>(json.Uint())) : Double(json.Double());
    case json::Value::Kind::kString: return type == nullptr || type->text == DeclType::Text::kPlain ? StringView(json.Str()) : TypedText(json.Str(), *type);
    case json::Value::Kind::kArray: return Val(Kind::kList, new JsonList(json, type != nullptr && type->kind == TypeKind::kList ? type : nullptr));
    case json::Value::Kind::kObject: break;
  }
  const bool shaped = type != nullptr && (type->kind == TypeKind::kObject || type->kind == TypeKind::kMap);
  return Val(Kind::kMap, new JsonMap(json, shaped ? type : nullptr));
}

const ListLike& Val::list() const { return static_cast<const ListLike&>(*heap_); }
const MapLike& Val::map() const { return static_cast<const MapLike&>(*heap_); }
const Opaque& Val::opaque() const { return static_cast<const Opaque&>(*heap_); }
const Val* Val::inner() const { return heap_ == nullptr ? nullptr : &static_cast<const OptionalVal*>(heap_)->inner; }

std::string_view Val::type_name() const {
  switch (kind_) {
    case Kind::kError: return "error";
    case Kind::kNull: return "null_type";
    case Kind::kBool: return "bool";
    case Kind::kInt: return "int";
    case Kind::kUint: return "uint";
    case Kind::kDouble: return "double";
    case Kind::kString: return "string";
    case Kind::kBytes: return "bytes";
    case Kind::kDuration: return "google.protobuf.Duration";
    case Kind::kTimestamp: return "google.protobuf.Timestamp";
    case Kind::kList: return "list";
    case Kind::kMap: return map().type_name().empty() ? "map" : map().type_name();
    case Kind::kType: return "type";
    case Kind::kOptional: return "optional_type";
    case Kind::kOpaque: return opaque().type_name();
  }
  return {};
}

std::uint64_t Val::Size() const {
  switch (kind_) {
    case Kind::kString: return RuneCount(text_);
    case Kind::kBytes: return text_.size();
    case Kind::kList: return list().size();
    case Kind::kMap: return map().size();
    default: return 1;
  }
}

std::size_t RuneCount(std::string_view utf8) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < utf8.size(); ++n) i += std::max<std::size_t>(1, json::Utf8Length(utf8.substr(i)));
  return n;
}

bool Equal(const Val& a, const Val& b) {
  if (IsNumber(a) && IsNumber(b)) return CompareNumbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kNull: return true;
    case Kind::kBool: return a.boolean() == b.boolean();
    case Kind::kString:
    case Kind::kBytes:
    case Kind::kType: return a.text() == b.text();
    case Kind::kDuration: return a.integer() == b.integer();
    case Kind::kTimestamp: return a.integer() == b.integer() && a.nanos() == b.nanos();
    case Kind::kList: return EqualLists(a.list(), b.list());
    case Kind::kMap: return EqualMaps(a.map(), b.map());
    case Kind::kOptional: return a.inner() == nullptr || b.inner() == nullptr ? a.inner() == b.inner() : Equal(*a.inner(), *b.inner());
    case Kind::kOpaque: return a.opaque().type_name() == b.opaque().type_name() && a.opaque().Equal(b.opaque());
    default: return false;
  }
}

std::optional<int> Compare(const Val& a, const Val& b) {
  if (IsNumber(a) && IsNumber(b)) return CompareNumbers(a, b);
  if (a.kind() != b.kind()) return std::nullopt;
  switch (a.kind()) {
    case Kind::kBool: return Sign(a.boolean(), b.boolean());
    case Kind::kString:
    case Kind::kBytes: {
      const int c = a.text().compare(b.text());
      return Sign(c, 0);
    }
    case Kind::kDuration: return Sign(a.integer(), b.integer());
    case Kind::kTimestamp: return a.integer() != b.integer() ? Sign(a.integer(), b.integer()) : Sign(a.nanos(), b.nanos());
    default: return std::nullopt;
  }
}

namespace {

Val TypedText(std::string_view text, const DeclType& type);

std::string KeyOf(const Val& item, const std::vector<std::string>& keys) {
  std::string out;
  for (const std::string& key : keys) {
    const auto value = item.is(Kind::kMap) ? item.map().Find(Val::StringView(EscapeName(key))) : std::nullopt;
    json::Value shown;
    if (value) ToJson(*value, &shown);
    shown.DumpTo(out);
    out += '\n';
  }
  return out;
}

bool EqualByKey(const ListLike& a, const ListLike& b, const std::vector<std::string>& keys) {
  std::unordered_map<std::string, Val> by_key;
  for (std::size_t i = 0; i < b.size(); ++i) by_key.emplace(KeyOf(b.At(i), keys), b.At(i));
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto other = by_key.find(KeyOf(a.At(i), keys));
    if (other == by_key.end() || !Equal(a.At(i), other->second)) return false;
  }
  return true;
}

bool EqualAsSets(const ListLike& a, const ListLike& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    bool found = false;
    const Val item = a.At(i);
    for (std::size_t j = 0; j < b.size() && !found; ++j) found = Equal(item, b.At(j));
    if (!found) return false;
  }
  return true;
}

// The left operand's declaration says how lists compare.
bool EqualLists(const ListLike& a, const ListLike& b) {
  if (a.size() != b.size()) return false;
  const DeclType* type = a.type() != nullptr ? a.type() : nullptr;
  if (type != nullptr && type->list == DeclType::List::kSet) return EqualAsSets(a, b);
  if (type != nullptr && type->list == DeclType::List::kMap) return EqualByKey(a, b, type->map_keys);
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!Equal(a.At(i), b.At(i))) return false;
  }
  return true;
}

bool EqualMaps(const MapLike& a, const MapLike& b) {
  if (a.size() != b.size() || a.type_name() != b.type_name()) return false;
  bool equal = true;
  a.ForEach([&](Val key, Val value) {
    const auto other = b.Find(key);
    equal = other && Equal(value, *other);
    return equal;
  });
  return equal;
}

}  // namespace

bool ToJson(const Val& value, json::Value* out) {
  switch (value.kind()) {
    case Kind::kNull: *out = json::Value(); return true;
    case Kind::kBool: *out = json::Value(value.boolean()); return true;
    case Kind::kInt: *out = json::Value(value.integer()); return true;
    case Kind::kUint: *out = json::Value(static_cast<unsigned long long>(value.uint())); return true;
    case Kind::kDouble: *out = json::Value(value.number()); return true;
    case Kind::kString: *out = json::Value(value.text()); return true;
    case Kind::kDuration: *out = json::Value(DurationText(value.integer())); return true;
    case Kind::kTimestamp: *out = json::Value(TimestampText(value)); return true;
    case Kind::kList: {
      *out = json::Value::Array();
      for (std::size_t i = 0; i < value.list().size(); ++i) {
        json::Value item;
        if (!ToJson(value.list().At(i), &item)) return false;
        out->Append(std::move(item));
      }
      return true;
    }
    case Kind::kMap: {
      *out = json::Value::Object();
      bool ok = true;
      value.map().ForEach([&](Val key, Val member) {
        ok = key.is(Kind::kString) && ToJson(member, &out->Set(key.text()));
        return ok;
      });
      return ok;
    }
    default: return false;
  }
}

namespace {

Val TypedText(std::string_view text, const DeclType& type) {
  switch (type.text) {
    case DeclType::Text::kByte: {
      auto bytes = text::FromBase64(text);
      return bytes ? Val::Bytes(std::move(*bytes)) : Val::Error("Illegal base64 in a value of format byte");
    }
    case DeclType::Text::kDuration: {
      const auto d = text::ParseDuration(text);
      return d ? Val::Duration(d->count()) : Val::Error(Cat("Invalid duration ", text, ": ", d.error().message()));
    }
    case DeclType::Text::kDate:
    case DeclType::Text::kDateTime: {
      const auto t = ParseTimestamp(type.text == DeclType::Text::kDate ? Cat(text, "T00:00:00Z") : std::string(text));
      return t ? *t : Val::Error(Cat("Invalid date formatted string ", text));
    }
    case DeclType::Text::kPlain: break;
  }
  return Val::StringView(text);
}

}  // namespace

}  // namespace skerry::kube::cel
