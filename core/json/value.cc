#include "core/json/value.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "core/json/layout.h"
#include "core/json/share.h"

namespace skerry::json {
namespace {
const Value kNullValue;

// A note is one value of the byte behind the kind, which containers do not use otherwise and doubles for another value.
constexpr unsigned char kNote = 0xa5;
static_assert(std::is_standard_layout_v<Value>);
unsigned char* FlagOf(Value& value) { return reinterpret_cast<unsigned char*>(&value) + 1; }

// Every container lies in one of these: how many values hold it, 0 while it may change.
template <class T>
struct Counted : std::vector<T> {
  std::atomic<std::uint32_t> holders{0};
};

template <class T>
Counted<T>& CountOf(const std::vector<T>& list) { return const_cast<Counted<T>&>(static_cast<const Counted<T>&>(list)); }

template <class T>
void Release(std::vector<T>* list) noexcept {
  if (!list) return;
  auto& counted = CountOf(*list);
  if (counted.holders.load(std::memory_order_relaxed) == 0 || counted.holders.fetch_sub(1, std::memory_order_acq_rel) == 1) delete &counted;
}

Value Copy(const Value& value) { return Share(value); }
Member Copy(const Member& member) { return {member.key, Share(member.value)}; }

// A list that its only holder may change.
template <class T>
std::vector<T>* Own(std::vector<T>* list) {
  if (!list) return new Counted<T>();
  auto& counted = CountOf(*list);
  if (counted.holders.load(std::memory_order_relaxed) == 0) return list;
  if (counted.holders.load(std::memory_order_acquire) == 1) {
    counted.holders.store(0, std::memory_order_relaxed);   // nobody else can come to it meanwhile
    return list;
  }
  auto copy = std::make_unique<Counted<T>>();
  copy->reserve(list->size());
  for (const T& each : *list) copy->push_back(Copy(each));
  Release(list);
  return copy.release();
}
}  // namespace

bool HasNote(const Value& value) {
  const bool can = value.is_array() || value.is_object() || value.kind() == Value::Kind::kDouble;
  return can && reinterpret_cast<const unsigned char*>(&value)[1] == kNote;
}

void Note(Value& value) {
  if (value.is_array() || value.is_object() || (value.kind() == Value::Kind::kDouble && !value.is_uint())) *FlagOf(value) = kNote;
}

void Forget(Value& value) {
  if (HasNote(value)) *FlagOf(value) = 0;
}

Value::Value(std::string_view s) : kind_(Kind::kString) {
  if (s.size() <= kSmall) {
    flag_ = static_cast<std::uint8_t>(s.size());
    std::copy(s.begin(), s.end(), Small());
    return;
  }
  flag_ = kLong;
  s_ = static_cast<Text*>(::operator new(sizeof(std::size_t) + s.size()));
  s_->size = s.size();
  std::memcpy(s_->data, s.data(), s.size());
}

// An empty container has no memory of its own: a_ and o_ are null until something is put in.
Value Value::Object() {
  Value v;
  v.o_ = nullptr;
  v.kind_ = Kind::kObject;
  return v;
}

Value Value::Array() {
  Value v;
  v.a_ = nullptr;
  v.kind_ = Kind::kArray;
  return v;
}

void Value::Reset() noexcept {
  switch (kind_) {
    case Kind::kString:
      if (flag_ == kLong) ::operator delete(s_);
      break;
    case Kind::kArray: Release(a_); break;
    case Kind::kObject: Release(o_); break;
    default: break;
  }
  kind_ = Kind::kNull;
}

Value Value::Clone() const {
  switch (kind_) {
    case Kind::kString: return Value(Str());
    case Kind::kArray: {
      Value v = Array();
      if (size() == 0) return v;
      v.flag_ = flag_;
      auto& items = v.MutableItems();
      items.reserve(a_->size());
      for (const Value& item : *a_) items.push_back(item.Clone());
      return v;
    }
    case Kind::kObject: {
      Value v = Object();
      if (size() == 0) return v;
      v.flag_ = flag_;
      auto& members = v.MutableMembers();
      members.reserve(o_->size());
      for (const Member& m : *o_) members.push_back({m.key, m.value.Clone()});
      return v;
    }
    default: {
      Value v;
      v.kind_ = kind_;
      v.flag_ = flag_;
      v.i_ = i_;
      return v;
    }
  }
}

const Value* Value::Find(std::string_view key) const {
  if (kind_ != Kind::kObject || !o_) return nullptr;
  for (const Member& m : *o_) {
    if (m.key == key) return &m.value;
  }
  return nullptr;
}
Value* Value::Find(std::string_view key) {
  if (kind_ == Kind::kObject && o_) o_ = Own(o_);
  return const_cast<Value*>(std::as_const(*this).Find(key));
}

const Value& Value::operator[](std::string_view key) const {
  const Value* v = Find(key);
  return v ? *v : kNullValue;
}

const Value& Value::At(std::initializer_list<std::string_view> path) const {
  const Value* v = this;
  for (const std::string_view key : path) v = &(*v)[key];
  return *v;
}

Value& Value::Set(std::string_view key) {
  if (Value* v = Find(key)) return *v;
  auto& members = MutableMembers();
  members.push_back({std::string(key), Value()});
  return members.back().value;
}

Value& Value::Append(Value v) {
  auto& items = MutableItems();
  items.push_back(std::move(v));
  return items.back();
}

bool Value::Erase(std::string_view key) {
  if (kind_ != Kind::kObject || !o_ || !std::as_const(*this).Find(key)) return false;
  o_ = Own(o_);
  const auto it = std::find_if(o_->begin(), o_->end(), [&](const Member& m) { return m.key == key; });
  o_->erase(it);
  return true;
}

std::vector<Value>& Value::MutableItems() {
  if (kind_ == Kind::kNull) *this = Array();
  if (kind_ != Kind::kArray) std::abort();   // a caller's bug, and going on would corrupt memory
  a_ = Own(a_);
  return *a_;
}

std::vector<Member>& Value::MutableMembers() {
  if (kind_ == Kind::kNull) *this = Object();
  if (kind_ != Kind::kObject) std::abort();
  o_ = Own(o_);
  return *o_;
}

std::string_view Value::Str(std::string_view dflt) const {
  if (kind_ != Kind::kString) return dflt;
  return flag_ == kLong ? std::string_view(s_->data, s_->size) : std::string_view(Small(), flag_);
}

std::int64_t Value::Int(std::int64_t dflt) const { return kind_ == Kind::kInt ? i_ : dflt; }
bool Value::Bool(bool dflt) const { return kind_ == Kind::kBool ? i_ != 0 : dflt; }

double Value::Double(double dflt) const {
  if (kind_ == Kind::kInt) return static_cast<double>(i_);
  if (is_uint()) return static_cast<double>(static_cast<std::uint64_t>(i_));
  return kind_ == Kind::kDouble ? d_ : dflt;
}

std::uint64_t Value::Uint(std::uint64_t dflt) const {
  return (kind_ == Kind::kInt && i_ >= 0) || is_uint() ? static_cast<std::uint64_t>(i_) : dflt;
}

std::size_t Value::size() const { return kind_ == Kind::kArray && a_ ? a_->size() : kind_ == Kind::kObject && o_ ? o_->size() : 0; }
std::span<const Value> Value::Items() const { return kind_ == Kind::kArray && a_ ? std::span<const Value>(*a_) : std::span<const Value>(); }
std::span<const Member> Value::Members() const { return kind_ == Kind::kObject && o_ ? std::span<const Member>(*o_) : std::span<const Member>(); }

bool Value::operator==(const Value& o) const {
  if (IsSamePart(*this, o)) return true;
  if (is_number() && o.is_number()) {
    const bool mine = is_int() || is_uint(), other = o.is_int() || o.is_uint();
    if (mine && other) return i_ == o.i_ && is_uint() == o.is_uint();
    return Double() == o.Double();
  }
  if (kind_ != o.kind_) return false;
  switch (kind_) {
    case Kind::kNull: return true;
    case Kind::kBool: return i_ == o.i_;
    case Kind::kString: return Str() == o.Str();
    case Kind::kArray: return std::equal(Items().begin(), Items().end(), o.Items().begin(), o.Items().end());
    case Kind::kObject: {
      const auto a = Members(), b = o.Members();
      if (a.size() != b.size()) return false;
      constexpr std::size_t kMany = 64;
      std::unordered_map<std::string_view, const Value*> index;   // of many, once their order is found to differ
      const auto look = [&](const std::string& key) -> const Value* {
        if (b.size() <= kMany) return o.Find(key);
        if (index.empty())
          for (const Member& m : b) index.emplace(m.key, &m.value);
        const auto it = index.find(key);
        return it == index.end() ? nullptr : it->second;
      };
      for (std::size_t i = 0; i < a.size(); ++i) {
        // Objects to compare mostly have the same order.
        const Value* other = b[i].key == a[i].key ? &b[i].value : look(a[i].key);
        if (!other || !(a[i].value == *other)) return false;
      }
      return true;
    }
    default: return false;
  }
}

namespace {

bool IsContainer(const Value& value) { return value.is_array() || value.is_object(); }

// What a container points to: the last word of a Value. Null for an empty one.
static_assert(sizeof(Value) == 16 && sizeof(void*) == 8);
void* ListOf(const Value& container) {
  void* list = nullptr;
  std::memcpy(&list, reinterpret_cast<const unsigned char*>(&container) + 8, sizeof list);
  return list;
}

std::atomic<std::uint32_t>* HoldersOf(const Value& value) {
  if (!IsContainer(value) || !ListOf(value)) return nullptr;
  if (value.is_array()) return &CountOf(*static_cast<std::vector<Value>*>(ListOf(value))).holders;
  return &CountOf(*static_cast<std::vector<Member>*>(ListOf(value))).holders;
}

bool SameScalar(const Value& a, const Value& b) { return a.kind() == b.kind() && a.is_uint() == b.is_uint() && a == b; }

// Equal with order and notes.
bool IsAlike(const Value& a, const Value& b) {
  if (IsSamePart(a, b)) return HasNote(a) == HasNote(b);
  if (!IsContainer(a) || !IsContainer(b)) return HasNote(a) == HasNote(b) && SameScalar(a, b);
  return a.kind() == b.kind() && HasNote(a) == HasNote(b) && std::equal(a.Items().begin(), a.Items().end(), b.Items().begin(), b.Items().end(), IsAlike) &&
         std::equal(a.Members().begin(), a.Members().end(), b.Members().begin(), b.Members().end(),
                    [](const Member& x, const Member& y) { return x.key == y.key && IsAlike(x.value, y.value); });
}

bool UnifyPart(Value& part, const Value& known);

bool UnifyChildren(Value& part, const Value& known) {
  bool all = part.size() == known.size();
  if (part.is_array()) {
    auto& items = part.MutableItems();
    for (std::size_t i = 0; i < std::min(items.size(), known.size()); ++i) all &= UnifyPart(items[i], known.Items()[i]);
    return all;
  }
  // Objects mostly have the same order; what is far from its place is left as it is.
  constexpr std::size_t kFar = 32;
  const auto members = known.Members();
  std::size_t next = 0;
  for (Member& member : part.MutableMembers()) {
    const auto end = members.begin() + static_cast<std::ptrdiff_t>(std::min(members.size(), next + kFar));
    const auto it = std::find_if(members.begin() + static_cast<std::ptrdiff_t>(next), end, [&](const Member& m) { return m.key == member.key; });
    if (it == end || it != members.begin() + static_cast<std::ptrdiff_t>(next)) all = false;
    if (it == end) continue;
    next = static_cast<std::size_t>(it - members.begin()) + 1;
    if (!UnifyPart(member.value, it->value)) all = false;
  }
  return all;
}

// Whether the parts are alike.
bool UnifyPart(Value& part, const Value& known) {
  if (!IsContainer(part) || part.kind() != known.kind() || part.size() == 0 || known.size() == 0 || IsFrozen(part)) {
    if (!IsAlike(part, known)) return false;
  } else if (!UnifyChildren(part, known) || HasNote(part) != HasNote(known)) {
    return false;
  }
  if (IsFrozen(known) && !IsSamePart(part, known)) part = Share(known);
  return true;
}

}  // namespace

void Freeze(Value& document) {
  auto* holders = HoldersOf(document);
  if (!holders || document.size() == 0 || holders->load(std::memory_order_relaxed) > 0) return;
  for (const Value& item : document.Items()) Freeze(const_cast<Value&>(item));
  for (const Member& member : document.Members()) Freeze(const_cast<Value&>(member.value));
  holders->store(1, std::memory_order_relaxed);
}

bool IsFrozen(const Value& value) {
  const auto* holders = HoldersOf(value);
  return holders && holders->load(std::memory_order_relaxed) > 0;
}

bool IsSamePart(const Value& a, const Value& b) { return IsContainer(a) && a.kind() == b.kind() && ListOf(a) && ListOf(a) == ListOf(b); }

Value Share(const Value& value) {
  if (!IsContainer(value) || value.size() == 0) return value.Clone();
  if (auto* holders = HoldersOf(value); holders->load(std::memory_order_relaxed) > 0) {
    holders->fetch_add(1, std::memory_order_relaxed);
    Value out;
    std::memcpy(static_cast<void*>(&out), static_cast<const void*>(&value), sizeof out);
    return out;
  }
  Value out = value.is_array() ? Value::Array() : Value::Object();
  if (value.is_array()) {
    auto& items = out.MutableItems();
    items.reserve(value.size());
    for (const Value& item : value.Items()) items.push_back(Share(item));
  } else {
    auto& members = out.MutableMembers();
    members.reserve(value.size());
    for (const Member& member : value.Members()) members.push_back({member.key, Share(member.value)});
  }
  if (HasNote(value)) Note(out);
  return out;
}

void Unify(Value& document, const Value& known) { UnifyPart(document, known); }

}  // namespace skerry::json
