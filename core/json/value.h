#pragma once
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>
namespace skerry::json {
struct Member;
// Mutable JSON document. Move-only by default (Clone() is explicit). Not thread-safe; share as const.
class Value {
 public:
  enum class Kind : std::uint8_t { kNull, kBool, kInt, kDouble, kString, kArray, kObject };
  Value() noexcept : kind_(Kind::kNull), i_(0) {}
  Value(bool b) noexcept : kind_(Kind::kBool), i_(b) {}
  Value(int v) noexcept : kind_(Kind::kInt), i_(v) {}
  Value(std::int64_t v) noexcept : kind_(Kind::kInt), i_(v) {}
  Value(double v) noexcept : kind_(Kind::kDouble), d_(v) {}
  Value(std::string_view s);
  Value(const char* s) : Value(std::string_view(s)) {}
  Value(const std::string& s) : Value(std::string_view(s)) {}
  Value(std::string&& s);
  Value(Value&& o) noexcept : kind_(o.kind_), i_(o.i_) { o.kind_ = Kind::kNull; }
  Value& operator=(Value&& o) noexcept { if (this != &o) { Reset(); kind_ = o.kind_; i_ = o.i_; o.kind_ = Kind::kNull; } return *this; }
  Value(const Value&) = delete;
  Value& operator=(const Value&) = delete;
  ~Value() { if (kind_ >= Kind::kString) Reset(); }
  static Value Object();
  static Value Array();
  static bool Parse(std::string_view text, Value* out, std::string* err);
  Value Clone() const;
  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::kNull; }
  bool is_bool() const { return kind_ == Kind::kBool; }
  bool is_int() const { return kind_ == Kind::kInt; }
  bool is_number() const { return kind_ == Kind::kInt || kind_ == Kind::kDouble; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_array() const { return kind_ == Kind::kArray; }
  bool is_object() const { return kind_ == Kind::kObject; }
  // Deep equality: member order does not matter, 1 equals 1.0.
  bool operator==(const Value& o) const;
  double Double(double dflt = 0) const;
  std::size_t size() const;                         // items or members; 0 for scalars
  const Value* Find(std::string_view key) const;    // null when absent: tells an absent member from an explicit null
  Value* Find(std::string_view key);
  std::vector<Value>& MutableItems();               // turns null into array; other kinds are a bug
  std::vector<Member>& MutableMembers();            // turns null into object; keeps order
  // Readers never throw: a missing path is the null value.
  const Value& operator[](std::string_view key) const;
  const Value& At(std::initializer_list<std::string_view> path) const;   // segments: keys may contain dots
  Value& Set(std::string_view key);              // insert-or-get; turns null into object
  Value& Append(Value v);                        // turns null into array
  bool Erase(std::string_view key);
  std::string_view Str(std::string_view dflt = {}) const;
  std::int64_t Int(std::int64_t dflt = 0) const;
  bool Bool(bool dflt = false) const;
  std::span<const Value> Items() const;
  std::span<const Member> Members() const;
  explicit operator bool() const { return kind_ != Kind::kNull; }
  void DumpTo(std::string& out) const;
  std::string Dump() const { std::string s; DumpTo(s); return s; }
 private:
  friend class Parser;
  void Reset() noexcept;
  Kind kind_;
  union { std::int64_t i_; double d_; std::string* s_; std::vector<Value>* a_; std::vector<Member>* o_; };
};
struct Member { std::string key; Value value; };
}  // namespace skerry::json
