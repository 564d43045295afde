#include <charconv>
#include <cmath>

#include "core/base/strings.h"
#include "core/json/utf8.h"
#include "core/text/duration.h"
#include "embedded-kube-shim/cel/functions.h"

namespace skerry::kube::cel {
namespace {

Val IntOverflow() { return Val::Error("integer overflow"); }
Val UintOverflow() { return Val::Error("unsigned integer overflow"); }

Val IntMath(char op, std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  switch (op) {
    case '+': return __builtin_add_overflow(a, b, &out) ? IntOverflow() : Val::Int(out);
    case '-': return __builtin_sub_overflow(a, b, &out) ? IntOverflow() : Val::Int(out);
    case '*': return __builtin_mul_overflow(a, b, &out) ? IntOverflow() : Val::Int(out);
    default: break;
  }
  if (b == 0) return Val::Error(op == '/' ? "division by zero" : "modulus by zero");
  if (a == INT64_MIN && b == -1) return IntOverflow();
  return Val::Int(op == '/' ? a / b : a % b);
}

Val UintMath(char op, std::uint64_t a, std::uint64_t b) {
  std::uint64_t out = 0;
  switch (op) {
    case '+': return __builtin_add_overflow(a, b, &out) ? UintOverflow() : Val::Uint(out);
    case '-': return __builtin_sub_overflow(a, b, &out) ? UintOverflow() : Val::Uint(out);
    case '*': return __builtin_mul_overflow(a, b, &out) ? UintOverflow() : Val::Uint(out);
    default: break;
  }
  if (b == 0) return Val::Error(op == '/' ? "division by zero" : "modulus by zero");
  return Val::Uint(op == '/' ? a / b : a % b);
}

Val DoubleMath(char op, double a, double b) {
  switch (op) {
    case '+': return Val::Double(a + b);
    case '-': return Val::Double(a - b);
    case '*': return Val::Double(a * b);
    default: return Val::Double(a / b);
  }
}

// A time span in nanoseconds as timestamps are moved by it.
Val Moved(const Val& time, std::int64_t nanoseconds) {
  __extension__ using Wide = __int128;
  const Wide total = static_cast<Wide>(time.integer()) * 1'000'000'000 + time.nanos() + nanoseconds;
  Wide seconds = total / 1'000'000'000;
  Wide nanos = total % 1'000'000'000;
  if (nanos < 0) nanos += 1'000'000'000, --seconds;
  if (seconds < kMinTimestamp || seconds > kMaxTimestamp) return Val::Error("timestamp overflow");
  return Val::Timestamp(static_cast<std::int64_t>(seconds), static_cast<std::int32_t>(nanos));
}

Val Elapsed(const Val& to, const Val& from) {
  __extension__ using Wide = __int128;
  const Wide total = (static_cast<Wide>(to.integer()) - from.integer()) * 1'000'000'000 + to.nanos() - from.nanos();
  if (total > INT64_MAX || total < INT64_MIN) return Val::Error("duration overflow");
  return Val::Duration(static_cast<std::int64_t>(total));
}

template <char op>
Val Math(const CallSite&, Args a) { return Arithmetic(op, a[0], a[1]); }

template <class Keep>
Val Ordered(Args a, Keep keep) {
  const auto order = Compare(a[0], a[1]);
  if (!order) return Val::Error("NaN values cannot be ordered");
  return Val::Bool(keep(*order));
}
Val Less(const CallSite&, Args a) { return Ordered(a, [](int o) { return o < 0; }); }
Val LessEqual(const CallSite&, Args a) { return Ordered(a, [](int o) { return o <= 0; }); }
Val Greater(const CallSite&, Args a) { return Ordered(a, [](int o) { return o > 0; }); }
Val GreaterEqual(const CallSite&, Args a) { return Ordered(a, [](int o) { return o >= 0; }); }
Val Equals(const CallSite&, Args a) { return Val::Bool(Equal(a[0], a[1])); }
Val NotEquals(const CallSite&, Args a) { return Val::Bool(!Equal(a[0], a[1])); }
Val Not(const CallSite&, Args a) { return Val::Bool(!a[0].boolean()); }
Val Identity(const CallSite&, Args a) { return a[0]; }
Val Never(const CallSite&, Args) { return Val::Error("no such overload"); }   // forms that the interpreter runs itself

Val Negate(const CallSite&, Args a) {
  if (a[0].is(Kind::kDouble)) return Val::Double(-a[0].number());
  return a[0].integer() == INT64_MIN ? IntOverflow() : Val::Int(-a[0].integer());
}

Val ConcatText(const CallSite&, Args a) {
  std::string out(a[0].text());
  out += a[1].text();
  return a[0].is(Kind::kString) ? Val::String(std::move(out)) : Val::Bytes(std::move(out));
}

void Collect(const ListLike& list, std::vector<Val>& out) {
  for (std::size_t i = 0; i < list.size(); ++i) out.push_back(list.At(i));
}

// Sets take what is new, list maps replace by key, other lists grow.
Val ConcatLists(const CallSite&, Args a) {
  const ListLike& left = a[0].list();
  const ListLike& right = a[1].list();
  std::vector<Val> items;
  items.reserve(left.size() + right.size());
  Collect(left, items);
  const DeclType* type = left.type();
  if (type == nullptr || type->list == DeclType::List::kAtomic) {
    Collect(right, items);
    return Val::List(std::move(items));
  }
  const auto same = [&](const Val& x, const Val& y) {
    if (type->list == DeclType::List::kSet) return Equal(x, y);
    if (!x.is(Kind::kMap) || !y.is(Kind::kMap)) return false;
    for (const std::string& key : type->map_keys) {
      const Val name = Val::String(EscapeName(key));
      const auto mine = x.map().Find(name), theirs = y.map().Find(name);
      if (mine.has_value() != theirs.has_value() || (mine && !Equal(*mine, *theirs))) return false;
    }
    return true;
  };
  for (std::size_t i = 0; i < right.size(); ++i) {
    const Val item = right.At(i);
    const auto at = std::ranges::find_if(items, [&](const Val& have) { return same(have, item); });
    const bool is_set = type->list == DeclType::List::kSet;
    if (at == items.end() && (!is_set || left.TakesNew(item))) items.push_back(item);
    else if (at != items.end() && type->list == DeclType::List::kMap) *at = item;
  }
  return Val::List(std::move(items));
}

Val In(const CallSite&, Args a) {
  if (a[1].is(Kind::kMap)) {
    const auto found = a[1].map().Find(a[0]);
    return Val::Bool(found.has_value());
  }
  const ListLike& list = a[1].list();
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (Equal(a[0], list.At(i))) return Val::Bool(true);
  }
  return Val::Bool(false);
}

Val Size(const CallSite&, Args a) { return Val::Int(static_cast<std::int64_t>(a[0].Size())); }
Val TypeOfValue(const CallSite&, Args a) { return Val::TypeName(std::string(a[0].type_name())); }
Val Contains(const CallSite&, Args a) { return Val::Bool(a[0].text().find(a[1].text()) != std::string_view::npos); }
Val StartsWith(const CallSite&, Args a) { return Val::Bool(a[0].text().starts_with(a[1].text())); }
Val EndsWith(const CallSite&, Args a) { return Val::Bool(a[0].text().ends_with(a[1].text())); }

// ---- conversions ----

Val BadConversion(std::string_view from, std::string_view to) { return Val::Error(Cat("type conversion error from '", from, "' to '", to, "'")); }

Val ToBool(const CallSite&, Args a) {
  const std::string_view t = a[0].text();
  for (const char* yes : {"1", "t", "T", "TRUE", "true", "True"}) if (t == yes) return Val::Bool(true);
  for (const char* no : {"0", "f", "F", "FALSE", "false", "False"}) if (t == no) return Val::Bool(false);
  return BadConversion("string", "bool");
}

Val ToBytes(const CallSite&, Args a) { return Val::Bytes(std::string(a[0].text())); }

std::optional<double> ParseDouble(std::string_view t) {
  const bool signed_text = !t.empty() && (t[0] == '+' || t[0] == '-');
  const double sign = signed_text && t[0] == '-' ? -1 : 1;
  if (signed_text) t.remove_prefix(1);
  const bool hex = t.starts_with("0x") || t.starts_with("0X");
  if (hex) t.remove_prefix(2);
  if (t.empty() || t[0] == '+' || t[0] == '-' || (hex && t.find_first_of("pP") == std::string_view::npos)) return std::nullopt;
  for (const char* word : {"inf", "infinity", "nan"}) {
    if (!EqualsIgnoreCase(t, word)) continue;
    return std::string_view(word) == "nan" ? std::nan("") : sign * HUGE_VAL;
  }
  double d = 0;
  const auto [end, error] = std::from_chars(t.data(), t.data() + t.size(), d, hex ? std::chars_format::hex : std::chars_format::general);
  if (end != t.data() + t.size() || (error != std::errc() && error != std::errc::result_out_of_range)) return std::nullopt;
  if (error == std::errc::result_out_of_range && !(t.find("e-") != std::string_view::npos || t.find("E-") != std::string_view::npos)) return std::nullopt;
  return sign * d;
}

Val ToDouble(const CallSite&, Args a) {
  if (a[0].is(Kind::kInt)) return Val::Double(static_cast<double>(a[0].integer()));
  if (a[0].is(Kind::kUint)) return Val::Double(static_cast<double>(a[0].uint()));
  const auto d = ParseDouble(a[0].text());
  return d ? Val::Double(*d) : BadConversion("string", "double");
}

Val ToDuration(const CallSite&, Args a) {
  if (a[0].is(Kind::kInt)) return BadConversion("int", "google.protobuf.Duration");
  const auto d = text::ParseDuration(a[0].text());
  return d ? Val::Duration(d->count()) : BadConversion("string", "google.protobuf.Duration");
}

Val ToInt(const CallSite&, Args a) {
  switch (a[0].kind()) {
    case Kind::kDouble: {
      const double d = a[0].number();
      return d > -0x1p63 && d < 0x1p63 ? Val::Int(static_cast<std::int64_t>(d)) : IntOverflow();
    }
    case Kind::kUint: return a[0].uint() > INT64_MAX ? IntOverflow() : Val::Int(static_cast<std::int64_t>(a[0].uint()));
    case Kind::kTimestamp:
    case Kind::kDuration: return Val::Int(a[0].integer());
    default: break;
  }
  std::string_view t = a[0].text();
  if (t.starts_with('+') && t.size() > 1 && t[1] != '-') t.remove_prefix(1);
  const auto i = ParseInt(t);
  return i ? Val::Int(*i) : BadConversion("string", "int");
}

Val ToUint(const CallSite&, Args a) {
  if (a[0].is(Kind::kDouble)) {
    const double d = a[0].number();
    return d >= 0 && d < 0x1p64 ? Val::Uint(static_cast<std::uint64_t>(d)) : UintOverflow();
  }
  if (a[0].is(Kind::kInt)) return a[0].integer() < 0 ? UintOverflow() : Val::Uint(static_cast<std::uint64_t>(a[0].integer()));
  const auto u = ParseUint(a[0].text());
  return u ? Val::Uint(*u) : BadConversion("string", "uint");
}

bool IsUtf8(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size();) {
    const std::size_t n = json::Utf8Length(bytes.substr(i));
    if (n == 0) return false;
    i += n;
  }
  return true;
}

Val ToText(const CallSite&, Args a) {
  switch (a[0].kind()) {
    case Kind::kBool: return Val::String(a[0].boolean() ? "true" : "false");
    case Kind::kInt: return Val::String(std::to_string(a[0].integer()));
    case Kind::kUint: return Val::String(std::to_string(a[0].uint()));
    case Kind::kDouble: return Val::String(DoubleText(a[0].number()));
    case Kind::kDuration: return Val::String(DurationText(a[0].integer()));
    case Kind::kTimestamp: return Val::String(TimestampText(a[0]));
    case Kind::kBytes: return IsUtf8(a[0].text()) ? Val::String(std::string(a[0].text())) : Val::Error("invalid UTF-8 in bytes, cannot convert to string");
    default: return a[0];
  }
}

Val ToTimestamp(const CallSite&, Args a) {
  if (a[0].is(Kind::kInt)) return a[0].integer() < kMinTimestamp || a[0].integer() > kMaxTimestamp ? Val::Error("timestamp overflow") : Val::Timestamp(a[0].integer(), 0);
  const auto t = ParseTimestamp(a[0].text());
  return t ? *t : BadConversion("string", "google.protobuf.Timestamp");
}

// ---- parts of times ----

// "UTC", "+05:30", "-7:0" or a name of the zone database. Nothing = unknown.
std::optional<std::int64_t> ZoneOffset(std::string_view zone, std::int64_t at) {
  if (zone.empty() || zone == "UTC") return 0;
  const std::size_t colon = zone.find(':');
  if (colon != std::string_view::npos) {
    std::string_view hours = zone.substr(0, colon);
    const bool negative = hours.starts_with('-');
    if (hours.starts_with('+')) hours.remove_prefix(1);
    const auto h = ParseInt(hours), m = ParseInt(zone.substr(colon + 1));
    if (!h || !m || *h < -24 || *h > 24 || *m < 0 || *m > 60) return std::nullopt;
    return *h * 3600 + (negative ? -*m : *m) * 60;
  }
  return ZoneOffsetByName(zone, at);
}

enum class Part { kYear, kMonth, kDate, kDayOfMonth, kDayOfWeek, kDayOfYear, kHours, kMinutes, kSeconds, kMillis };

template <Part part>
Val TimePart(const CallSite&, Args a) {
  std::int64_t seconds = a[0].integer();
  if (a.size() == 2) {
    const auto offset = ZoneOffset(a[1].text(), seconds);
    if (!offset) return Val::Error(Cat("unknown time zone ", a[1].text()));
    seconds += *offset;
  }
  const Civil civil = ToCivil(seconds);
  switch (part) {
    case Part::kYear: return Val::Int(civil.year);
    case Part::kMonth: return Val::Int(civil.month - 1);
    case Part::kDate: return Val::Int(civil.day);
    case Part::kDayOfMonth: return Val::Int(civil.day - 1);
    case Part::kDayOfWeek: return Val::Int(civil.weekday);
    case Part::kDayOfYear: return Val::Int(civil.yearday);
    case Part::kHours: return Val::Int(civil.hour);
    case Part::kMinutes: return Val::Int(civil.minute);
    case Part::kSeconds: return Val::Int(civil.second);
    case Part::kMillis: return Val::Int(a[0].nanos() / 1'000'000);
  }
  return Val();
}

template <std::int64_t unit>
Val SpanPart(const CallSite&, Args a) { return Val::Int(a[0].integer() / unit); }

constexpr FunctionRow kOperators[] = {
    {"_?_:_", "conditional", "(bool, A, A) -> A", Never},
    {"_&&_", "logical_and", "(bool, bool) -> bool", Never},
    {"_||_", "logical_or", "(bool, bool) -> bool", Never},
    {"!_", "logical_not", "(bool) -> bool", Not},
    {"@not_strictly_false", "not_strictly_false", "(bool) -> bool", Never},
    {"_==_", "equals", "(A, A) -> bool", Equals},
    {"_!=_", "not_equals", "(A, A) -> bool", NotEquals},
    {"_+_", "add_bytes", "(bytes, bytes) -> bytes", ConcatText},
    {"_+_", "add_double", "(double, double) -> double", Math<'+'>},
    {"_+_", "add_duration_duration", "(duration, duration) -> duration", Math<'+'>},
    {"_+_", "add_duration_timestamp", "(duration, timestamp) -> timestamp", Math<'+'>},
    {"_+_", "add_timestamp_duration", "(timestamp, duration) -> timestamp", Math<'+'>},
    {"_+_", "add_int64", "(int, int) -> int", Math<'+'>},
    {"_+_", "add_list", "(list(A), list(A)) -> list(A)", ConcatLists},
    {"_+_", "add_string", "(string, string) -> string", ConcatText},
    {"_+_", "add_uint64", "(uint, uint) -> uint", Math<'+'>},
    {"_-_", "subtract_double", "(double, double) -> double", Math<'-'>},
    {"_-_", "subtract_duration_duration", "(duration, duration) -> duration", Math<'-'>},
    {"_-_", "subtract_int64", "(int, int) -> int", Math<'-'>},
    {"_-_", "subtract_timestamp_duration", "(timestamp, duration) -> timestamp", Math<'-'>},
    {"_-_", "subtract_timestamp_timestamp", "(timestamp, timestamp) -> duration", Math<'-'>},
    {"_-_", "subtract_uint64", "(uint, uint) -> uint", Math<'-'>},
    {"_*_", "multiply_double", "(double, double) -> double", Math<'*'>},
    {"_*_", "multiply_int64", "(int, int) -> int", Math<'*'>},
    {"_*_", "multiply_uint64", "(uint, uint) -> uint", Math<'*'>},
    {"_/_", "divide_double", "(double, double) -> double", Math<'/'>},
    {"_/_", "divide_int64", "(int, int) -> int", Math<'/'>},
    {"_/_", "divide_uint64", "(uint, uint) -> uint", Math<'/'>},
    {"_%_", "modulo_int64", "(int, int) -> int", Math<'%'>},
    {"_%_", "modulo_uint64", "(uint, uint) -> uint", Math<'%'>},
    {"-_", "negate_double", "(double) -> double", Negate},
    {"-_", "negate_int64", "(int) -> int", Negate},
    {"_[_]", "index_list", "(list(A), int) -> A", Never},
    {"_[_]", "index_map", "(map(A, B), A) -> B", Never},
    {"@in", "in_list", "(A, list(A)) -> bool", In},
    {"@in", "in_map", "(A, map(A, B)) -> bool", In},
    {"size", "size_bytes", "(bytes) -> int", Size},
    {"size", "size_list", "(list(A)) -> int", Size},
    {"size", "size_map", "(map(A, B)) -> int", Size},
    {"size", "size_string", "(string) -> int", Size},
    {"size", "bytes_size", "bytes.() -> int", Size},
    {"size", "list_size", "list(A).() -> int", Size},
    {"size", "map_size", "map(A, B).() -> int", Size},
    {"size", "string_size", "string.() -> int", Size},
    {"type", "type", "(A) -> type(A)", TypeOfValue},
    {"contains", "contains_string", "string.(string) -> bool", Contains},
    {"endsWith", "ends_with_string", "string.(string) -> bool", EndsWith},
    {"startsWith", "starts_with_string", "string.(string) -> bool", StartsWith},
};

constexpr FunctionRow kConversions[] = {
    {"bool", "bool_to_bool", "(bool) -> bool", Identity},
    {"bool", "string_to_bool", "(string) -> bool", ToBool},
    {"bytes", "bytes_to_bytes", "(bytes) -> bytes", Identity},
    {"bytes", "string_to_bytes", "(string) -> bytes", ToBytes},
    {"double", "double_to_double", "(double) -> double", Identity},
    {"double", "int64_to_double", "(int) -> double", ToDouble},
    {"double", "string_to_double", "(string) -> double", ToDouble},
    {"double", "uint64_to_double", "(uint) -> double", ToDouble},
    {"duration", "duration_to_duration", "(duration) -> duration", Identity},
    {"duration", "int64_to_duration", "(int) -> duration", ToDuration},
    {"duration", "string_to_duration", "(string) -> duration", ToDuration},
    {"dyn", "to_dyn", "(A) -> dyn", Identity},
    {"int", "int64_to_int64", "(int) -> int", Identity},
    {"int", "double_to_int64", "(double) -> int", ToInt},
    {"int", "duration_to_int64", "(duration) -> int", ToInt},
    {"int", "string_to_int64", "(string) -> int", ToInt},
    {"int", "timestamp_to_int64", "(timestamp) -> int", ToInt},
    {"int", "uint64_to_int64", "(uint) -> int", ToInt},
    {"string", "string_to_string", "(string) -> string", Identity},
    {"string", "bool_to_string", "(bool) -> string", ToText},
    {"string", "bytes_to_string", "(bytes) -> string", ToText},
    {"string", "double_to_string", "(double) -> string", ToText},
    {"string", "duration_to_string", "(duration) -> string", ToText},
    {"string", "int64_to_string", "(int) -> string", ToText},
    {"string", "timestamp_to_string", "(timestamp) -> string", ToText},
    {"string", "uint64_to_string", "(uint) -> string", ToText},
    {"timestamp", "timestamp_to_timestamp", "(timestamp) -> timestamp", Identity},
    {"timestamp", "int64_to_timestamp", "(int) -> timestamp", ToTimestamp},
    {"timestamp", "string_to_timestamp", "(string) -> timestamp", ToTimestamp},
    {"uint", "uint64_to_uint64", "(uint) -> uint", Identity},
    {"uint", "double_to_uint64", "(double) -> uint", ToUint},
    {"uint", "int64_to_uint64", "(int) -> uint", ToUint},
    {"uint", "string_to_uint64", "(string) -> uint", ToUint},
};

constexpr FunctionRow kTimes[] = {
    {"getFullYear", "timestamp_to_year", "timestamp.() -> int", TimePart<Part::kYear>},
    {"getFullYear", "timestamp_to_year_with_tz", "timestamp.(string) -> int", TimePart<Part::kYear>},
    {"getMonth", "timestamp_to_month", "timestamp.() -> int", TimePart<Part::kMonth>},
    {"getMonth", "timestamp_to_month_with_tz", "timestamp.(string) -> int", TimePart<Part::kMonth>},
    {"getDate", "timestamp_to_day_of_month_1_based", "timestamp.() -> int", TimePart<Part::kDate>},
    {"getDate", "timestamp_to_day_of_month_1_based_with_tz", "timestamp.(string) -> int", TimePart<Part::kDate>},
    {"getDayOfMonth", "timestamp_to_day_of_month", "timestamp.() -> int", TimePart<Part::kDayOfMonth>},
    {"getDayOfMonth", "timestamp_to_day_of_month_with_tz", "timestamp.(string) -> int", TimePart<Part::kDayOfMonth>},
    {"getDayOfWeek", "timestamp_to_day_of_week", "timestamp.() -> int", TimePart<Part::kDayOfWeek>},
    {"getDayOfWeek", "timestamp_to_day_of_week_with_tz", "timestamp.(string) -> int", TimePart<Part::kDayOfWeek>},
    {"getDayOfYear", "timestamp_to_day_of_year", "timestamp.() -> int", TimePart<Part::kDayOfYear>},
    {"getDayOfYear", "timestamp_to_day_of_year_with_tz", "timestamp.(string) -> int", TimePart<Part::kDayOfYear>},
    {"getHours", "timestamp_to_hours", "timestamp.() -> int", TimePart<Part::kHours>},
    {"getHours", "timestamp_to_hours_with_tz", "timestamp.(string) -> int", TimePart<Part::kHours>},
    {"getHours", "duration_to_hours", "duration.() -> int", SpanPart<3'600'000'000'000>},
    {"getMinutes", "timestamp_to_minutes", "timestamp.() -> int", TimePart<Part::kMinutes>},
    {"getMinutes", "timestamp_to_minutes_with_tz", "timestamp.(string) -> int", TimePart<Part::kMinutes>},
    {"getMinutes", "duration_to_minutes", "duration.() -> int", SpanPart<60'000'000'000>},
    {"getSeconds", "timestamp_to_seconds", "timestamp.() -> int", TimePart<Part::kSeconds>},
    {"getSeconds", "timestamp_to_seconds_tz", "timestamp.(string) -> int", TimePart<Part::kSeconds>},
    {"getSeconds", "duration_to_seconds", "duration.() -> int", SpanPart<1'000'000'000>},
    {"getMilliseconds", "timestamp_to_milliseconds", "timestamp.() -> int", TimePart<Part::kMillis>},
    {"getMilliseconds", "timestamp_to_milliseconds_with_tz", "timestamp.(string) -> int", TimePart<Part::kMillis>},
    {"getMilliseconds", "duration_to_milliseconds", "duration.() -> int", SpanPart<1'000'000>},
};

struct Order { std::string_view function, word; Implementation run; };
constexpr Order kOrders[] = {{"_<_", "less", Less}, {"_<=_", "less_equals", LessEqual}, {"_>_", "greater", Greater}, {"_>=_", "greater_equals", GreaterEqual}};
constexpr std::pair<std::string_view, std::string_view> kOrdered[] = {
    {"bool", "(bool, bool) -> bool"},
    {"int64", "(int, int) -> bool"},
    {"int64_double", "(int, double) -> bool"},
    {"int64_uint64", "(int, uint) -> bool"},
    {"uint64", "(uint, uint) -> bool"},
    {"uint64_double", "(uint, double) -> bool"},
    {"uint64_int64", "(uint, int) -> bool"},
    {"double", "(double, double) -> bool"},
    {"double_int64", "(double, int) -> bool"},
    {"double_uint64", "(double, uint) -> bool"},
    {"string", "(string, string) -> bool"},
    {"bytes", "(bytes, bytes) -> bool"},
    {"timestamp", "(timestamp, timestamp) -> bool"},
    {"duration", "(duration, duration) -> bool"},
};

}  // namespace

Val Arithmetic(char op, const Val& a, const Val& b) {
  if (a.is(Kind::kInt) && b.is(Kind::kInt)) return IntMath(op, a.integer(), b.integer());
  if (a.is(Kind::kUint) && b.is(Kind::kUint)) return UintMath(op, a.uint(), b.uint());
  if (a.is(Kind::kDouble) && b.is(Kind::kDouble)) return DoubleMath(op, a.number(), b.number());
  if (a.is(Kind::kTimestamp) && b.is(Kind::kTimestamp)) return op == '-' ? Elapsed(a, b) : Val::Error("no such overload");
  if (a.is(Kind::kTimestamp) && b.is(Kind::kDuration)) return b.integer() == INT64_MIN ? Val::Error("timestamp overflow") : Moved(a, op == '-' ? -b.integer() : b.integer());
  if (a.is(Kind::kDuration) && b.is(Kind::kTimestamp)) return Moved(b, a.integer());
  if (a.is(Kind::kDuration) && b.is(Kind::kDuration)) {
    Val sum = IntMath(op, a.integer(), b.integer());
    return sum.is_error() ? Val::Error("duration overflow") : Val::Duration(sum.integer());
  }
  return Val::Error("no such overload");
}

void AddStandard(Library& library) {
  library.Add(kOperators);
  library.Add(kConversions);
  library.Add(kTimes);
  for (const Order& order : kOrders) {
    for (const auto& [suffix, signature] : kOrdered) {
      const std::string id = Cat(order.word, "_", suffix);
      const FunctionRow row[] = {{order.function, id, signature, order.run}};
      library.Add(row);
    }
  }
  for (const char* name : {"bool", "int", "uint", "double", "string", "bytes"}) library.AddTypeName(name, ParseSignature(Cat("() -> ", name)).result);
  library.AddTypeName("list", ListOf(Simple(TypeKind::kDyn)));
  library.AddTypeName("map", MapOf(Simple(TypeKind::kDyn), Simple(TypeKind::kDyn)));
  library.AddTypeName("null_type", Simple(TypeKind::kNull));
  library.AddTypeName("type", Simple(TypeKind::kType));
  library.AddTypeName("google.protobuf.Timestamp", Simple(TypeKind::kTimestamp));
  library.AddTypeName("google.protobuf.Duration", Simple(TypeKind::kDuration));
}

}  // namespace skerry::kube::cel
