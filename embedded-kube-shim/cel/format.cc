#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/base/strings.h"
#include "core/json/utf8.h"
#include "core/text/base64.h"
#include "embedded-kube-shim/cel/functions.h"

namespace skerry::kube::cel {
namespace {

constexpr std::string_view kPrefix = "error during formatting: ";

struct Clause {
  char letter = 0;        // 's', 'd', …
  int precision = 6;
  std::size_t end = 0;    // behind it
};

// The clause behind the percent sign at `at`. False: *problem says why.
bool ParseClause(std::string_view pattern, std::size_t at, Clause* out, std::string* problem) {
  ++at;
  if (at >= pattern.size()) return *problem = "unexpected end of string", false;
  if (pattern[at] == '.') {
    const std::size_t digits = at + 1;
    std::size_t end = digits;
    while (end < pattern.size() && pattern[end] >= '0' && pattern[end] <= '9') ++end;
    constexpr std::string_view kWhere = "could not parse formatting clause: error while parsing precision: ";
    if (end >= pattern.size()) return *problem = Cat(kWhere, "could not find end of precision specifier"), false;
    if (end == digits) return *problem = Cat(kWhere, "error while converting precision to integer: strconv.Atoi: parsing \"\": invalid syntax"), false;
    out->precision = 0;
    const auto [stop, error] = std::from_chars(pattern.data() + digits, pattern.data() + end, out->precision);
    constexpr int kMost = 10'000;   // digits of one number; the text would be that long
    if (error != std::errc() || out->precision > kMost) return *problem = Cat(kWhere, "precision is too large"), false;
    at = end;
  }
  const std::size_t size = std::max<std::size_t>(1, json::Utf8Length(pattern.substr(at)));
  if (std::string_view("sdfexXob").find(pattern[at]) == std::string_view::npos) {
    *problem = Cat("could not parse formatting clause: unrecognized formatting clause ", Quote(pattern.substr(at, size)));
    return false;
  }
  out->letter = pattern[at];
  out->end = at + 1;
  return true;
}

std::string WrongType(char letter, std::string_view type) {
  switch (letter) {
    case 's': return Cat(kPrefix, "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given ", type);
    case 'd': return Cat(kPrefix, "decimal clause can only be used on integers, was given ", type);
    case 'f': return Cat(kPrefix, "fixed-point clause can only be used on doubles, was given ", type);
    case 'e': return Cat(kPrefix, "scientific clause can only be used on doubles, was given ", type);
    case 'b': return Cat(kPrefix, "only integers and bools can be formatted as binary, was given ", type);
    case 'o': return Cat(kPrefix, "octal clause can only be used on integers, was given ", type);
    default: return Cat(kPrefix, "only integers, byte buffers, and strings can be formatted as hex, was given ", type);
  }
}

std::string Fixed(double d, int precision) {
  std::string out(static_cast<std::size_t>(precision) + 350, '\0');
  const auto end = std::to_chars(out.data(), out.data() + out.size(), d, std::chars_format::fixed, precision).ptr;
  out.resize(static_cast<std::size_t>(end - out.data()));
  return out;
}

std::string FixedClause(double d, int precision) {
  if (std::isnan(d)) return "NaN";
  if (std::isinf(d)) return d < 0 ? "-∞" : "∞";
  return Fixed(d, precision);
}

// 1.5×10⁰³
std::string ScientificClause(double d) {
  if (std::isnan(d)) return "   NaN";
  if (std::isinf(d)) return d < 0 ? "    -∞" : "     ∞";
  char digits[64];
  const auto end = std::to_chars(digits, digits + sizeof digits, d, std::chars_format::scientific, 6).ptr;
  const std::string_view text(digits, static_cast<std::size_t>(end - digits));
  const std::size_t e = text.find('e');
  std::string out(text.substr(0, e));
  out += "×10";
  constexpr std::string_view kRaised[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  for (const char c : text.substr(e + 1)) {
    if (c == '-') out += "⁻";
    else if (c != '+') out += kRaised[c - '0'];
  }
  return out;
}

std::string InBase(const Val& v, int base) {
  char digits[80];
  const auto end = v.is(Kind::kUint) ? std::to_chars(digits, digits + sizeof digits, v.uint(), base).ptr : std::to_chars(digits, digits + sizeof digits, v.integer(), base).ptr;
  return std::string(digits, end);
}

std::string Upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  return text;
}

// A value inside a list or a map. False: *out says why not.
bool Inner(const Val& v, std::string* out);

bool Sequence(const Val& v, std::string* out) {
  std::string text = "[";
  for (std::size_t i = 0; i < v.list().size(); ++i) {
    std::string item;
    if (!Inner(v.list().At(i), &item)) return *out = std::move(item), false;
    text += i == 0 ? "" : ", ";
    text += item;
  }
  *out = text + "]";
  return true;
}

bool Mapping(const Val& v, std::string* out) {
  std::vector<std::pair<std::string, std::string>> entries;
  std::string problem;
  v.map().ForEach([&](Val key, Val value) {
    std::string k, m;
    const bool fits = key.is(Kind::kString) || key.is(Kind::kBool) || key.is(Kind::kInt) || key.is(Kind::kUint);
    if (!fits) problem = Cat(kPrefix, "no formatting function for map key of type ", key.type_name());
    else if (!Inner(key, &k)) problem = k;
    else if (!Inner(value, &m)) problem = m;
    entries.emplace_back(std::move(k), std::move(m));
    return problem.empty();
  });
  if (!problem.empty()) return *out = std::move(problem), false;
  std::ranges::sort(entries);
  std::string text = "{";
  for (const auto& [key, value] : entries) text += Cat(text.size() > 1 ? ", " : "", key, ":", value);
  *out = text + "}";
  return true;
}

bool Inner(const Val& v, std::string* out) {
  switch (v.kind()) {
    case Kind::kString: *out = Quote(v.text()); return true;
    case Kind::kBytes: *out = "b" + Quote(v.text()); return true;
    case Kind::kDouble: {
      const double d = v.number();
      *out = std::isfinite(d) ? Fixed(d, 6) : Quote(DoubleText(d));
      return true;
    }
    case Kind::kDuration: *out = Cat("duration(\"", DurationText(v.integer()), "\")"); return true;
    case Kind::kTimestamp: *out = Cat("timestamp(\"", TimestampText(v), "\")"); return true;
    case Kind::kList: return Sequence(v, out);
    case Kind::kMap: return Mapping(v, out);
    case Kind::kOptional:
    case Kind::kOpaque: *out = Cat(kPrefix, "no formatting function for ", v.type_name()); return false;
    default: *out = FormatValue(v); return true;
  }
}

bool IsUtf8(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size();) {
    const std::size_t n = json::Utf8Length(bytes.substr(i));
    if (n == 0) return false;
    i += n;
  }
  return true;
}

bool TextClause(const Val& v, std::string* out) {
  if (v.is(Kind::kList)) return Sequence(v, out);
  if (v.is(Kind::kMap)) return Mapping(v, out);
  if (v.is(Kind::kOptional) || v.is(Kind::kOpaque)) return *out = WrongType('s', v.type_name()), false;
  if (v.is(Kind::kBytes) && !IsUtf8(v.text())) return *out = Cat(kPrefix, "could not convert argument \"invalid UTF-8 in bytes, cannot convert to string\" to string"), false;
  *out = FormatValue(v);
  return true;
}

std::optional<double> AsDouble(const Val& v) {
  if (v.is(Kind::kDouble)) return v.number();
  if (!v.is(Kind::kString)) return std::nullopt;
  if (v.text() == "NaN") return std::nan("");
  if (v.text() == "Infinity") return HUGE_VAL;
  return v.text() == "-Infinity" ? std::optional(-HUGE_VAL) : std::nullopt;
}

bool Apply(const Clause& clause, const Val& v, std::string* out) {
  const bool whole = v.is(Kind::kInt) || v.is(Kind::kUint);
  const auto wrong = [&] { return *out = WrongType(clause.letter, v.type_name()), false; };
  switch (clause.letter) {
    case 's': return TextClause(v, out);
    case 'd':
      if (!whole) return wrong();
      *out = InBase(v, 10);
      return true;
    case 'f':
    case 'e': {
      const auto d = AsDouble(v);
      if (!d) return wrong();
      *out = clause.letter == 'f' ? FixedClause(*d, clause.precision) : ScientificClause(*d);
      return true;
    }
    case 'b':
      if (v.is(Kind::kBool)) return *out = v.boolean() ? "1" : "0", true;
      if (!whole) return wrong();
      *out = InBase(v, 2);
      return true;
    case 'o':
      if (!whole) return wrong();
      *out = InBase(v, 8);
      return true;
    default: break;
  }
  if (!whole && !v.is(Kind::kString) && !v.is(Kind::kBytes)) return wrong();
  *out = whole ? InBase(v, 16) : text::Hex(v.text());
  if (clause.letter == 'X') *out = Upper(std::move(*out));
  return true;
}

// Whether the clause may get a value of this declared type.
bool Allows(char letter, const Type& type) {
  const TypeKind k = type.kind;
  if (k == TypeKind::kDyn || k == TypeKind::kParam || k == TypeKind::kError) return true;
  const bool whole = k == TypeKind::kInt || k == TypeKind::kUint;
  switch (letter) {
    case 's': return k != TypeKind::kOpaque && k != TypeKind::kObject;
    case 'd':
    case 'o': return whole;
    case 'f':
    case 'e': return k == TypeKind::kDouble || k == TypeKind::kString;
    case 'b': return whole || k == TypeKind::kBool;
    default: return whole || k == TypeKind::kString || k == TypeKind::kBytes;
  }
}

Val Call(const CallSite&, Args a) {
  std::vector<Val> args;
  for (std::size_t i = 0; i < a[1].list().size(); ++i) args.push_back(a[1].list().At(i));
  return Format(a[0].text(), args);
}

constexpr FunctionRow kFormat[] = {{"format", "string_format", "string.(list(dyn)) -> string", Call}};

}  // namespace

std::string FormatValue(const Val& v) {
  switch (v.kind()) {
    case Kind::kNull: return "null";
    case Kind::kBool: return v.boolean() ? "true" : "false";
    case Kind::kInt:
    case Kind::kUint: return InBase(v, 10);
    case Kind::kDouble: return DoubleText(v.number());
    case Kind::kDuration: return DurationText(v.integer());
    case Kind::kTimestamp: return TimestampText(v);
    default: return std::string(v.text());
  }
}

Val Format(std::string_view pattern, Args args) {
  std::string out;
  std::size_t next = 0;
  for (std::size_t i = 0; i < pattern.size();) {
    if (pattern[i] != '%') {
      out += pattern[i++];
      continue;
    }
    if (i + 1 < pattern.size() && pattern[i + 1] == '%') {
      out += '%';
      i += 2;
      continue;
    }
    Clause clause;
    std::string piece;
    if (i + 1 < pattern.size() && next >= args.size()) return Val::Error(Cat("index ", next, " out of range"));
    if (!ParseClause(pattern, i, &clause, &piece) || !Apply(clause, args[next], &piece)) return Val::Error(std::move(piece));
    out += piece;
    ++next;
    i = clause.end;
  }
  return Val::String(std::move(out));
}

bool CheckFormat(std::string_view pattern, std::span<const Type* const> types, FormatProblem* problem) {
  std::size_t next = 0;
  for (std::size_t i = 0; i < pattern.size();) {
    if (pattern[i] != '%' || pattern.substr(i).starts_with("%%")) {
      i += pattern[i] == '%' ? 2 : 1;
      continue;
    }
    Clause clause;
    if (i + 1 < pattern.size() && next >= types.size()) return problem->message = Cat("index ", next, " out of range"), false;
    if (!ParseClause(pattern, i, &clause, &problem->message)) return false;
    if (!Allows(clause.letter, *types[next])) {
      problem->argument = static_cast<int>(next);
      problem->message = WrongType(clause.letter, RuntimeName(*types[next]));
      return false;
    }
    ++next;
    i = clause.end;
  }
  if (next == types.size()) return true;
  problem->message = Cat("too many arguments supplied to string.format (expected ", next, ", got ", types.size(), ")");
  return false;
}

void AddFormat(Library& library) { library.Add(kFormat); }

}  // namespace skerry::kube::cel
