#include <cmath>

#include "core/base/strings.h"
#include "embedded-kube-shim/cel/functions.h"

namespace skerry::kube::cel {
namespace {

template <int sign>
Val ExtremeOf(Args values) {
  const Val* best = &values[0];
  for (const Val& value : values) {
    const auto order = Compare(value, *best);
    if (!order) return Val::Error("no such overload");
    if (*order * sign > 0) best = &value;
  }
  return *best;
}

template <int sign>
Val OfArguments(const CallSite&, Args a) { return ExtremeOf<sign>(a); }
template <int sign>
Val OfList(const CallSite&, Args a) {
  std::vector<Val> items;
  for (std::size_t i = 0; i < a[0].list().size(); ++i) items.push_back(a[0].list().At(i));
  if (items.empty()) return Val::Error(sign > 0 ? "math.@max(list) argument must not be empty" : "math.@min(list) argument must not be empty");
  return ExtremeOf<sign>(items);
}

template <double (*f)(double)>
Val Rounded(const CallSite&, Args a) { return Val::Double(f(a[0].number())); }
double HalfAway(double d) { return std::round(d); }
double Ceil(double d) { return std::ceil(d); }
double Floor(double d) { return std::floor(d); }
double Trunc(double d) { return std::trunc(d); }

Val Abs(const CallSite&, Args a) {
  if (a[0].is(Kind::kDouble)) return Val::Double(std::abs(a[0].number()));
  if (a[0].is(Kind::kUint)) return a[0];
  return a[0].integer() == INT64_MIN ? Val::Error("integer overflow") : Val::Int(std::abs(a[0].integer()));
}
Val Sign(const CallSite&, Args a) {
  if (a[0].is(Kind::kDouble)) return Val::Double(std::isnan(a[0].number()) ? a[0].number() : (a[0].number() > 0) - (a[0].number() < 0));
  if (a[0].is(Kind::kUint)) return Val::Uint(a[0].uint() > 0);
  return Val::Int((a[0].integer() > 0) - (a[0].integer() < 0));
}
Val IsNan(const CallSite&, Args a) { return Val::Bool(std::isnan(a[0].number())); }
Val IsInf(const CallSite&, Args a) { return Val::Bool(std::isinf(a[0].number())); }
Val IsFinite(const CallSite&, Args a) { return Val::Bool(std::isfinite(a[0].number())); }
Val SquareRoot(const CallSite&, Args a) {
  return Val::Double(std::sqrt(a[0].is(Kind::kDouble) ? a[0].number() : a[0].is(Kind::kInt) ? static_cast<double>(a[0].integer()) : static_cast<double>(a[0].uint())));
}

template <char op>
Val Bits(const CallSite&, Args a) {
  const std::uint64_t x = a[0].uint(), y = a.size() == 2 ? a[1].uint() : 0;
  std::uint64_t out = 0;
  switch (op) {
    case '&': out = x & y; break;
    case '|': out = x | y; break;
    case '^': out = x ^ y; break;
    case '~': out = ~x; break;
    default:
      if (a[1].integer() < 0) return Val::Error(Cat("math.bitShift", op == '<' ? "Left" : "Right", "() negative offset: ", a[1].integer()));
      out = a[1].integer() > 63 ? 0 : op == '<' ? x << a[1].integer() : x >> a[1].integer();
  }
  return a[0].is(Kind::kUint) ? Val::Uint(out) : Val::Int(static_cast<std::int64_t>(out));
}

constexpr FunctionRow kMath[] = {
    {"math.ceil", "math_ceil_double", "(double) -> double", Rounded<Ceil>},
    {"math.floor", "math_floor_double", "(double) -> double", Rounded<Floor>},
    {"math.round", "math_round_double", "(double) -> double", Rounded<HalfAway>},
    {"math.trunc", "math_trunc_double", "(double) -> double", Rounded<Trunc>},
    {"math.isNaN", "math_isNaN_double", "(double) -> bool", IsNan},
    {"math.isInf", "math_isInf_double", "(double) -> bool", IsInf},
    {"math.isFinite", "math_isFinite_double", "(double) -> bool", IsFinite},
    {"math.greatest", "math_greatest_list", "(list(dyn)) -> dyn", OfList<1>},
    {"math.least", "math_least_list", "(list(dyn)) -> dyn", OfList<-1>},
    {"math.sqrt", "math_sqrt_double", "(double) -> double", SquareRoot},
    {"math.sqrt", "math_sqrt_int", "(int) -> double", SquareRoot},
    {"math.sqrt", "math_sqrt_uint", "(uint) -> double", SquareRoot},
};

}  // namespace

void AddMath(Library& library) {
  library.Add(kMath);
  for (const char* type : {"int", "uint", "double"}) {
    const std::string same = Cat("(", type, ") -> ", type), id = Cat("_", type), abs = "math_abs" + id, sign = "math_sign" + id;
    const FunctionRow rows[] = {{"math.abs", abs, same, Abs}, {"math.sign", sign, same, Sign}};
    library.Add(rows);
  }
  for (const auto& [name, most] : {std::pair("math.greatest", true), std::pair("math.least", false)}) {
    std::string arguments;
    for (int n = 1; n <= 8; ++n) {
      arguments += n == 1 ? "dyn" : ", dyn";
      const std::string id = Cat(name, "_", n), signature = Cat("(", arguments, ") -> dyn");
      const FunctionRow row[] = {{name, id, signature, most ? OfArguments<1> : OfArguments<-1>}};
      library.Add(row);
    }
  }
  for (const char* type : {"int", "uint"}) {
    const std::string two = Cat("(", type, ", ", type, ") -> ", type), one = Cat("(", type, ") -> ", type), shift = Cat("(", type, ", int) -> ", type);
    const std::string ids[] = {Cat("math_bitAnd_", type), Cat("math_bitOr_", type), Cat("math_bitXor_", type), Cat("math_bitNot_", type), Cat("math_bitShiftLeft_", type), Cat("math_bitShiftRight_", type)};
    const FunctionRow rows[] = {{"math.bitAnd", ids[0], two, Bits<'&'>}, {"math.bitOr", ids[1], two, Bits<'|'>}, {"math.bitXor", ids[2], two, Bits<'^'>},
                                {"math.bitNot", ids[3], one, Bits<'~'>}, {"math.bitShiftLeft", ids[4], shift, Bits<'<'>}, {"math.bitShiftRight", ids[5], shift, Bits<'>'>}};
    library.Add(rows);
  }
}

}  // namespace skerry::kube::cel
