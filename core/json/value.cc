#include "core/json/value.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace skerry::json {
namespace {
const Value kNullValue;
}  // namespace

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

Value Value::Object() {
  Value v;
  v.o_ = new std::vector<Member>();
  v.kind_ = Kind::kObject;
  return v;
}

Value Value::Array() {
  Value v;
  v.a_ = new std::vector<Value>();
  v.kind_ = Kind::kArray;
  return v;
}

void Value::Reset() noexcept {
  switch (kind_) {
    case Kind::kString:
      if (flag_ == kLong) ::operator delete(s_);
      break;
    case Kind::kArray: delete a_; break;
    case Kind::kObject: delete o_; break;
    default: break;
  }
  kind_ = Kind::kNull;
}

Value Value::Clone() const {
  switch (kind_) {
    case Kind::kString: return Value(Str());
    case Kind::kArray: {
      Value v = Array();
      v.a_->reserve(a_->size());
      for (const Value& item : *a_) v.a_->push_back(item.Clone());
      return v;
    }
    case Kind::kObject: {
      Value v = Object();
      v.o_->reserve(o_->size());
      for (const Member& m : *o_) v.o_->push_back({m.key, m.value.Clone()});
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
  if (kind_ != Kind::kObject) return nullptr;
  for (const Member& m : *o_) {
    if (m.key == key) return &m.value;
  }
  return nullptr;
}
Value* Value::Find(std::string_view key) { return const_cast<Value*>(std::as_const(*this).Find(key)); }

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
  if (kind_ != Kind::kObject) return false;
  const auto it = std::find_if(o_->begin(), o_->end(), [&](const Member& m) { return m.key == key; });
  if (it == o_->end()) return false;
  o_->erase(it);
  return true;
}

std::vector<Value>& Value::MutableItems() {
  if (kind_ == Kind::kNull) *this = Array();
  if (kind_ != Kind::kArray) std::abort();   // a caller's bug, and going on would corrupt memory
  return *a_;
}

std::vector<Member>& Value::MutableMembers() {
  if (kind_ == Kind::kNull) *this = Object();
  if (kind_ != Kind::kObject) std::abort();
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

std::size_t Value::size() const { return kind_ == Kind::kArray ? a_->size() : kind_ == Kind::kObject ? o_->size() : 0; }
std::span<const Value> Value::Items() const { return kind_ == Kind::kArray ? std::span<const Value>(*a_) : std::span<const Value>(); }
std::span<const Member> Value::Members() const { return kind_ == Kind::kObject ? std::span<const Member>(*o_) : std::span<const Member>(); }

bool Value::operator==(const Value& o) const {
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
    case Kind::kArray: return *a_ == *o.a_;
    case Kind::kObject: {
      const auto& a = *o_;
      const auto& b = *o.o_;
      if (a.size() != b.size()) return false;
      for (std::size_t i = 0; i < a.size(); ++i) {
        // Objects to compare mostly have the same order.
        const Value* other = b[i].key == a[i].key ? &b[i].value : o.Find(a[i].key);
        if (!other || !(a[i].value == *other)) return false;
      }
      return true;
    }
    default: return false;
  }
}

}  // namespace skerry::json
