#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json/value.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/cel/decl_type.h"

// Values of the expression language. A value is small, immutable and cheap to copy. Texts, lists and maps that come from a JSON document are
// views into it: the document must outlive every value made from it. Values may be shared between threads.
namespace skerry::kube::cel {

enum class Kind : std::uint8_t { kError, kNull, kBool, kInt, kUint, kDouble, kString, kBytes, kDuration, kTimestamp, kList, kMap, kType, kOptional, kOpaque };

class Val;

// What values on the heap share. Reference-counted by Val.
class Heap {
 public:
  Heap() = default;
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;
  virtual ~Heap() = default;
  void Retain() const { count_.fetch_add(1, std::memory_order_relaxed); }
  void Release() const { if (count_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this; }

 private:
  mutable std::atomic<std::uint32_t> count_{1};
};

// Structs of the language are maps with a type name; their fields are members with text keys.
class ListLike;
class MapLike;
class Opaque;

class Val {
 public:
  Val() = default;   // null
  Val(const Val& o) : kind_(o.kind_), nanos_(o.nanos_), a_(o.a_), text_(o.text_), heap_(o.heap_) { if (heap_ != nullptr) heap_->Retain(); }
  Val(Val&& o) noexcept : kind_(o.kind_), nanos_(o.nanos_), a_(o.a_), text_(o.text_), heap_(o.heap_) { o.heap_ = nullptr; o.kind_ = Kind::kNull; }
  Val& operator=(Val o) noexcept { std::swap(kind_, o.kind_); std::swap(nanos_, o.nanos_); std::swap(a_, o.a_); std::swap(text_, o.text_); std::swap(heap_, o.heap_); return *this; }
  ~Val() { if (heap_ != nullptr) heap_->Release(); }

  static Val Bool(bool b) { Val v(Kind::kBool); v.a_.b = b; return v; }
  static Val Int(std::int64_t i) { Val v(Kind::kInt); v.a_.i = i; return v; }
  static Val Uint(std::uint64_t u) { Val v(Kind::kUint); v.a_.u = u; return v; }
  static Val Double(double d) { Val v(Kind::kDouble); v.a_.d = d; return v; }
  static Val String(std::string text);                // owns
  static Val StringView(std::string_view text);       // borrows
  static Val Bytes(std::string bytes);
  static Val Duration(std::int64_t nanoseconds) { Val v(Kind::kDuration); v.a_.i = nanoseconds; return v; }
  static Val Timestamp(std::int64_t seconds, std::int32_t nanos) { Val v(Kind::kTimestamp); v.a_.i = seconds; v.nanos_ = nanos; return v; }
  static Val TypeName(std::string name);
  static Val Error(std::string message);
  static Val List(std::vector<Val> items);
  static Val Map(std::vector<std::pair<Val, Val>> entries, std::string type_name = {});   // keys are distinct
  static Val None();
  static Val Some(Val inner);
  static Val Of(std::unique_ptr<const ListLike> list);
  static Val Of(std::unique_ptr<const MapLike> map);
  static Val Of(std::unique_ptr<const Opaque> opaque);
  // A view of `json`, read as `type` says (formats, int-or-string, escaped names, set and map lists); null type = as JSON shows it.
  static Val FromJson(const json::Value& json, const DeclType* type = nullptr);

  Kind kind() const { return kind_; }
  bool is_error() const { return kind_ == Kind::kError; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool boolean() const { return a_.b; }
  bool IsTrue() const { return kind_ == Kind::kBool && a_.b; }
  bool IsFalse() const { return kind_ == Kind::kBool && !a_.b; }
  std::int64_t integer() const { return a_.i; }       // also seconds of a timestamp, nanoseconds of a duration
  std::uint64_t uint() const { return a_.u; }
  double number() const { return a_.d; }
  std::int32_t nanos() const { return nanos_; }
  std::string_view text() const { return text_; }     // string, bytes, error message, type name
  const ListLike& list() const;
  const MapLike& map() const;
  const Opaque& opaque() const;
  const Val* inner() const;                           // of an optional; null = none

  std::string_view type_name() const;                 // "int", "google.protobuf.Duration", "kubernetes.Quantity", …
  // size() of strings (code points), bytes, lists, maps; 1 for the rest.
  std::uint64_t Size() const;

 private:
  explicit Val(Kind kind) : kind_(kind) {}
  Val(Kind kind, const Heap* owned) : kind_(kind), heap_(owned) {}

  Kind kind_ = Kind::kNull;
  std::int32_t nanos_ = 0;
  union { bool b; std::int64_t i; std::uint64_t u; double d; } a_{.i = 0};
  std::string_view text_;
  const Heap* heap_ = nullptr;
};

class ListLike : public Heap {
 public:
  virtual std::size_t size() const = 0;
  virtual Val At(std::size_t i) const = 0;            // i < size()
  virtual const DeclType* type() const { return nullptr; }
  // Whether a sum with this set on the left may take an item that the set does not hold. The reference implementation's sets keep what was
  // once added to them, so the same sum of the same value (a rule, then its message) has it the first time only; clients see that.
  virtual bool TakesNew(const Val& /*item*/) const { return true; }
};

class MapLike : public Heap {
 public:
  virtual std::size_t size() const = 0;
  virtual std::optional<Val> Find(const Val& key) const = 0;
  virtual void ForEach(const std::function<bool(Val key, Val value)>& visit) const = 0;
  virtual std::string_view type_name() const { return {}; }   // not empty: a struct
};

// Values of libraries. Equal() is asked with an operand of the same type_name().
class Opaque : public Heap {
 public:
  virtual std::string_view type_name() const = 0;
  virtual bool Equal(const Opaque& other) const = 0;
  // string(value); nothing when there is no such conversion.
  virtual std::optional<std::string> Text() const { return std::nullopt; }
};

class QuantityVal : public Opaque {
 public:
  QuantityVal(text::Quantity quantity, bool is_wide) : q(quantity), wide(is_wide) {}
  std::string_view type_name() const override { return "kubernetes.Quantity"; }
  bool Equal(const Opaque& other) const override { return q == static_cast<const QuantityVal&>(other).q; }
  const text::Quantity q;
  const bool wide;   // its text was no plain integer × power of ten (1.5Gi), or it came from such: clients know it as "no integer"
};

// Equality of the language: numbers by value across kinds, deep, sets without order, list maps by key. Never an error.
bool Equal(const Val& a, const Val& b);
// Order of two values that have one (numbers across kinds, texts, bytes, booleans, times); nothing for others and for NaN.
std::optional<int> Compare(const Val& a, const Val& b);

// RFC 3339 with up to nine digits, "Z" when offset is zero; the language's text forms of a time span ("1.5s") and of a number.
std::string TimestampText(const Val& timestamp);
std::string DurationText(std::int64_t nanoseconds);
std::string DoubleText(double d);
std::optional<Val> ParseTimestamp(std::string_view text);   // nothing: malformed or outside year 1–9999
// Seconds since the epoch of a civil time, and back.
struct Civil { std::int64_t year; int month, day, hour, minute, second, weekday, yearday; };   // month and day from 1, weekday 0 = Sunday, yearday from 0
Civil ToCivil(std::int64_t seconds);
// Seconds east of Greenwich that clocks of the named zone ("Europe/Berlin") show at that time; nothing when the zone is unknown.
std::optional<std::int64_t> ZoneOffsetByName(std::string_view zone, std::int64_t seconds);
inline constexpr std::int64_t kMinTimestamp = -62135596800, kMaxTimestamp = 253402300799;

std::size_t RuneCount(std::string_view utf8);
// The value as JSON; false when it holds something JSON cannot express (types, optionals, errors, library values).
bool ToJson(const Val& value, json::Value* out);

}  // namespace skerry::kube::cel
