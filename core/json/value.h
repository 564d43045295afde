#pragma once
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>
namespace skerry::json {
struct Member;

struct DumpOptions {
  bool escape_html = false;   // < > & U+2028 U+2029 as \uXXXX, as Go's encoder does by default
  bool sort_keys = false;     // by bytes
  int indent = 0;             // spaces per level; 0 = compact
};

// Mutable JSON document of 16 bytes; texts up to 14 bytes live inside. Move-only (Clone() is explicit). Not thread-safe; share as const.
// Members keep their order. Depth is bounded by whoever builds it (the parser: 512), as destruction, Clone and Dump recurse.
class Value {
 public:
  // Integers that only fit an unsigned 64-bit number are kDouble with is_uint(): exact in Uint(), Dump() and comparison.
  enum class Kind : std::uint8_t { kNull, kBool, kInt, kDouble, kString, kArray, kObject };
  Value() noexcept : kind_(Kind::kNull), flag_(0), i_(0) {}
  Value(bool b) noexcept : kind_(Kind::kBool), flag_(0), i_(b) {}
  Value(int v) noexcept : kind_(Kind::kInt), flag_(0), i_(v) {}
  Value(unsigned v) noexcept : kind_(Kind::kInt), flag_(0), i_(v) {}
  Value(long v) noexcept : kind_(Kind::kInt), flag_(0), i_(v) {}
  Value(long long v) noexcept : kind_(Kind::kInt), flag_(0), i_(v) {}
  Value(unsigned long v) noexcept : Value(static_cast<unsigned long long>(v)) {}
  Value(unsigned long long v) noexcept : kind_(v >> 63 ? Kind::kDouble : Kind::kInt), flag_(v >> 63 ? kUint : 0), i_(static_cast<std::int64_t>(v)) {}
  Value(double v) noexcept : kind_(Kind::kDouble), flag_(0), d_(v) {}
  Value(std::string_view s);
  Value(const char* s) : Value(std::string_view(s)) {}
  Value(const std::string& s) : Value(std::string_view(s)) {}
  Value(std::string&& s) : Value(std::string_view(s)) {}
  Value(Value&& o) noexcept {
    std::memcpy(static_cast<void*>(this), &o, sizeof *this);
    o.kind_ = Kind::kNull;
  }
  Value& operator=(Value&& o) noexcept {
    if (this != &o) {
      // The old content is destroyed last: `o` may live inside it.
      alignas(Value) unsigned char old[sizeof(Value)];
      std::memcpy(old, static_cast<void*>(this), sizeof *this);
      std::memcpy(static_cast<void*>(this), &o, sizeof *this);
      o.kind_ = Kind::kNull;
      reinterpret_cast<Value*>(old)->~Value();
    }
    return *this;
  }
  Value(const Value&) = delete;
  Value& operator=(const Value&) = delete;
  ~Value() { if (kind_ >= Kind::kString) Reset(); }
  static Value Object();
  static Value Array();
  // See core/json/parse.h for options and errors as Result.
  static bool Parse(std::string_view text, Value* out, std::string* err);
  Value Clone() const;
  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::kNull; }
  bool is_bool() const { return kind_ == Kind::kBool; }
  bool is_int() const { return kind_ == Kind::kInt; }
  bool is_uint() const { return kind_ == Kind::kDouble && flag_ == kUint; }
  bool is_number() const { return kind_ == Kind::kInt || kind_ == Kind::kDouble; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_array() const { return kind_ == Kind::kArray; }
  bool is_object() const { return kind_ == Kind::kObject; }
  // Deep equality: member order does not matter, 1 equals 1.0.
  bool operator==(const Value& o) const;
  double Double(double dflt = 0) const;
  std::uint64_t Uint(std::uint64_t dflt = 0) const;   // kInt >= 0 or is_uint()
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
  // Members in order; numbers as Go's encoder prints them; bytes that are no UTF-8 become U+FFFD; what JSON cannot hold (NaN) becomes null.
  void DumpTo(std::string& out) const;
  void DumpTo(std::string& out, const DumpOptions& options) const;
  std::string Dump() const { std::string s; DumpTo(s); return s; }
  std::string Dump(const DumpOptions& options) const { std::string s; DumpTo(s, options); return s; }
 private:
  struct Text { std::size_t size; char data[1]; };   // one allocation
  static constexpr std::uint8_t kUint = 1;
  static constexpr std::uint8_t kLong = 0xff;        // kString: text is in s_; otherwise flag_ is the size of the text at Small()
  static constexpr std::size_t kSmall = 14;
  void Reset() noexcept;
  char* Small() { return reinterpret_cast<char*>(this) + 2; }
  const char* Small() const { return reinterpret_cast<const char*>(this) + 2; }
  Kind kind_;
  std::uint8_t flag_;
  char head_[6];   // with the union: kSmall bytes of short text
  union { std::int64_t i_; double d_; Text* s_; std::vector<Value>* a_; std::vector<Member>* o_; };
};
static_assert(sizeof(Value) == 16);
struct Member { std::string key; Value value; };

// "text" with quotes and escapes.
void AppendQuoted(std::string& out, std::string_view text, bool escape_html = false);
// As Go's encoder prints a float64: shortest digits, exponent below 1e-6 and from 1e21.
void AppendNumber(std::string& out, double v);
}  // namespace skerry::json
