#include "embedded-kube-shim/cel/cost_model.h"

#include <algorithm>
#include <cmath>

#include "embedded-kube-shim/cel/cost.h"

// The numbers are a contract: they decide which rules an API server accepts. Kubernetes' prices of its libraries come first, then those
// of the language and its extensions; everything else costs one unit.
namespace skerry::kube::cel {
namespace {

std::uint64_t AddUp(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}
std::uint64_t Multiply(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}
std::uint64_t ScaleUp(std::uint64_t size, double factor) {
  const double scaled = std::ceil(static_cast<double>(size) * factor);
  return scaled >= 0x1p64 ? UINT64_MAX : static_cast<std::uint64_t>(scaled);
}

bool OneOf(std::string_view name, std::initializer_list<std::string_view> names) { return std::ranges::find(names, name) != names.end(); }
CallPrice Costs(Span cost, std::optional<Span> size = std::nullopt) { return {cost, size, false}; }

constexpr Span kOne{1, 1};

class Pricing {
 public:
  explicit Pricing(const CallModel& m) : m_(m), call_(*m.call), name_(call_.name) {}

  std::optional<CallPrice> Kubernetes(std::string_view overload) const {
    if (name_ == "check") return Costs({350'000, 350'000});
    if (OneOf(name_, {"serviceAccount", "path", "group", "resource", "subresource", "namespace", "name", "allowed", "reason", "error", "errored", "format.named", "sign", "asInteger",
                      "isInteger", "asApproximateFloat", "isGreaterThan", "isLessThan", "compareTo", "add", "sub", "major", "minor", "patch", "getScheme", "getHostname", "getHost",
                      "getPort", "getEscapedPath", "getQuery", "masked", "prefixLength", "family", "isUnspecified", "isLoopback", "isLinkLocalMulticast", "isLinkLocalUnicast", "isGlobalUnicast"})) {
      return Costs(kOne);
    }
    if (call_.target != nullptr && OneOf(name_, {"isSorted", "sum", "max", "min", "indexOf", "lastIndexOf"})) return Ordered();
    if (OneOf(name_, {"fieldSelector", "labelSelector"}) && args() == 1) return Costs(Selector(Arg(0)));
    if (OneOf(name_, {"url", "jsonpatch.escapeKey"}) && args() == 1) return Costs(Scaled(Arg(0), kTextFactor), Arg(0));
    if (OneOf(name_, {"lowerAscii", "upperAscii", "substring", "trim"}) && call_.target) return Costs(Scaled(Target(), kTextFactor), Target());
    if (name_ == "replace" && call_.target && args() >= 2) return Replace();
    if (name_ == "split" && call_.target) return Split();
    if (name_ == "join" && call_.target) return Join();
    if (OneOf(name_, {"find", "findAll"}) && call_.target && args() >= 1) return Costs(Search(Target(), Arg(0)), Span{0, Target().max});
    if (name_ == "ip" && overload == "cidr_ip") return Costs(kOne);
    if (OneOf(name_, {"ip", "cidr", "isIP", "isCIDR", "quantity", "isQuantity", "semver", "isSemver"}) && args() >= 1) return Costs(Scaled(Arg(0), kTextFactor));
    if (name_ == "ip.isCanonical" && args() >= 1) return Costs(Scaled(Arg(0), 2 * kTextFactor));
    if (OneOf(name_, {"containsIP", "containsCIDR"}) && args() >= 1) return Contains(overload);
    if (name_ == "validate" && args() >= 1) return Costs(Scaled(Scaled(Arg(0), kTextFactor), 128 * kPatternFactor));
    if (name_ == "_==_" && args() == 2) return LibraryEquality();
    return std::nullopt;
  }

  CallPrice Language(std::string_view overload) const {
    if (overload == "string_format" && call_.target) return Costs(Scaled(Target(true), kTextFactor));
    if (overload == "strings_quote" && args() == 1) return Sized(Arg(0, true), [](Span s) { return Span{AddUp(s.min, 2), AddUp(Multiply(s.max, 2), 2)}; });
    if (overload == "string_to_bytes" && args() == 1) return Sized(Arg(0, true), [](Span s) { return Span{s.min, Multiply(s.max, 4)}; });
    if (overload == "bytes_to_string" && args() == 1) return Sized(Arg(0, true), [](Span s) { return Span{s.min / 4, s.max}; });
    if (OneOf(overload, {"starts_with_string", "ends_with_string"})) return Costs(Scaled(Arg(0, true), kTextFactor));
    if (overload == "in_list") return Costs(Arg(1, true));
    if (overload == "matches_string") return Costs(Search(Target(true), Arg(0, true)));
    if (overload == "contains_string") return Costs(Times(Scaled(Target(true), kTextFactor), Scaled(Arg(0, true), kTextFactor)));
    if (name_ == "_&&_" || name_ == "_||_") return {Span{m_.arg_costs[0].min, AddUp(m_.arg_costs[0].max, m_.arg_costs[1].max)}, std::nullopt, true};
    if (name_ == "_?_:_") return {Add(m_.arg_costs[0], Union(m_.arg_costs[1], m_.arg_costs[2])), Union(Arg(1, true), Arg(2, true)), true};
    if (OneOf(overload, {"add_string", "add_bytes"})) return Costs(Scaled(Add(Arg(0, true), Arg(1, true)), kTextFactor), Add(Arg(0, true), Arg(1, true)));
    if (overload == "add_list") return Costs(kOne, Add(Arg(0, true), Arg(1, true)));
    if (name_ == "_==_" || name_ == "_!=_" || overload.ends_with("_string") || overload.ends_with("_bytes")) {
      if (name_ == "_==_" || name_ == "_!=_" || (name_.starts_with('_') && OneOf(overload.substr(0, 4), {"less", "grea"}))) return Comparison();
    }
    return Extension(overload);
  }

 private:
  std::size_t args() const { return call_.args.size(); }
  Span Arg(std::size_t i, bool strict = false) const { return m_.size(*call_.args[i], strict); }
  Span Target(bool strict = false) const { return m_.size(*call_.target, strict); }

  template <class Result>
  static CallPrice Sized(Span size, Result result) { return Costs(Scaled(size, kTextFactor), result(size)); }

  // One character more, so that an expensive pattern costs something on an empty text.
  static Span Search(Span text, Span pattern) { return Times(Scaled(Add(text, kOne), kTextFactor), Scaled(pattern, kPatternFactor)); }

  static Span Selector(Span size) {
    return Add(Add(Span{10, 10}, Scaled(size, kTextFactor)), Scaled(Scaled(size, 0.5), 50));   // k,… a requirement in two characters
  }

  CallPrice Ordered() const {
    if (call_.target->type->params.empty()) return Costs(Scaled(Target(), kTextFactor));
    Span each = kOne;
    const TypeKind element = call_.target->type->params[0]->kind;
    if (element == TypeKind::kString || element == TypeKind::kBytes) each = Add(each, Scaled(m_.element_size(*call_.target), kTextFactor));
    return Costs(Times(Target(), each));
  }

  // How long a text gets when pieces of it are replaced, at least and at most.
  CallPrice Replace() const {
    const Span text = Target(), from = Arg(0), to = Arg(1);
    Span count, kept;
    if (from.min == 0) {
      count.max = AddUp(text.max, 1);
      kept.max = text.max;
    } else if (to.max <= from.min) {
      kept.max = text.max;
    } else {
      count.max = ScaleUp(text.max, 1.0 / static_cast<double>(from.min));
    }
    if (from.max == 0) {
      count.min = AddUp(text.min, 1);
      kept.min = text.min;
    } else if (from.max <= to.min) {
      kept.min = text.min;
    } else {
      count.min = ScaleUp(text.min, 1.0 / static_cast<double>(from.max));
    }
    return Costs(Scaled(text, 2 * kTextFactor), Add(Times(count, to), kept));
  }

  CallPrice Split() const {
    std::uint64_t most = Target().max;
    if (args() > 1 && call_.args[1]->kind == ExprKind::kLiteral && call_.args[1]->literal.is(Kind::kInt)) most = static_cast<std::uint64_t>(call_.args[1]->literal.integer());
    return Costs(Scaled(Target(), 2 * kTextFactor), Span{0, most});
  }

  CallPrice Join() const {
    const Span list = Target();
    Span size = call_.target->type->params.empty() ? Span{} : Times(list, m_.element_size(*call_.target));
    if (args() > 0) size = Add(size, Times(Arg(0), Span{list.min == 0 ? 0 : list.min - 1, list.max == 0 ? 0 : list.max - 1}));
    return Costs(Scaled(size, kTextFactor), size);
  }

  CallPrice Contains(std::string_view overload) const {
    constexpr Span kBytes{4, 16};
    Span cost = Scaled(Add(kBytes, kBytes), kTextFactor);
    if (name_ == "containsCIDR") cost = Add(Add(cost, Scaled(kBytes, kTextFactor)), kOne);
    if (overload.ends_with("_string")) cost = Add(cost, Scaled(Arg(0), kTextFactor));
    return Costs(cost);
  }

  std::optional<CallPrice> LibraryEquality() const {
    const Type& left = *call_.args[0]->type;
    if (!SameType(left, *call_.args[1]->type)) return std::nullopt;
    if (left.name == "net.IP" || left.name == "net.CIDR") return Costs(kOne);
    if (left.kind != TypeKind::kObject || !left.name.starts_with("kubernetes.")) return std::nullopt;
    if (left.name == "kubernetes.NamedFormat") return Costs(Scaled({1, 64}, kTextFactor));
    if (left.name == "kubernetes.URL") {
      const Span size = Arg(1, true);
      return Costs(Scaled({1, size.max == UINT64_MAX ? 1 : size.max}, kTextFactor));
    }
    return Costs(kOne);
  }

  CallPrice Comparison() const {
    const std::uint64_t least = std::min(Arg(0, true).max, Arg(1, true).max);
    return Costs(Scaled({least > 0 ? std::uint64_t{1} : 0, least}, kTextFactor));
  }

  // Lists, sets and maps of the language's extensions. Those that build a list pay for it.
  CallPrice Extension(std::string_view overload) const {
    if (overload == "to_dyn") return Costs(kOne, Arg(0, true));
    if (OneOf(name_, {"sets.contains", "sets.intersects"})) return Costs(Add(kOne, Times(Arg(0, true), Arg(1, true))));
    if (name_ == "sets.equivalent") return Costs(Add(kOne, Times(Span{2, 2}, Times(Arg(0, true), Arg(1, true)))));
    if (name_ == "lists.range") return Built(Fixed(Literal(0).value_or(-1), UINT64_MAX));
    if (call_.target == nullptr) return Costs(kOne);
    const Span list = Target(true);
    const Span squared = Times(list, list);
    if (overload == "list_reverse") return Built(list);
    if (overload == "list_distinct") return {Add(kBuild, Times(Span{2, 2}, squared)), squared};
    if (name_ == "sort") return {Add(kBuild, Scaled(squared, ComparisonFactor(overload))), squared};
    if (name_ == "@sortByAssociatedKeys") return {Add(kBuild, Scaled(squared, ComparisonFactor(overload))), squared};
    if (name_ == "slice") return Slice(list);
    if (name_ == "flatten") {
      const Span depth = args() == 0 ? kOne : Fixed(Literal(0).value_or(-1), UINT64_MAX);
      return {Add(kBuild, Times(depth, list)), list};
    }
    return Costs(kOne);
  }

  static constexpr Span kBuild{11, 11};   // the call and the new list
  static CallPrice Built(Span size) { return {Add(kBuild, size), size}; }
  static Span Fixed(std::int64_t n, std::uint64_t unknown) {
    const std::uint64_t size = n < 0 ? unknown : static_cast<std::uint64_t>(n);
    return {size, size};
  }
  std::optional<std::int64_t> Literal(std::size_t i) const {
    if (call_.args[i]->kind != ExprKind::kLiteral || !call_.args[i]->literal.is(Kind::kInt)) return std::nullopt;
    return std::max<std::int64_t>(0, call_.args[i]->literal.integer());
  }
  CallPrice Slice(Span list) const {
    const auto from = Literal(0), to = Literal(1);
    if (!from || !to) return Built({list.max, list.max});
    return Built(Fixed(std::max<std::int64_t>(0, *to - *from), 0));
  }
  static double ComparisonFactor(std::string_view overload) {
    const bool texts = overload.starts_with("list_string_") || overload.starts_with("list_bytes_");
    return texts ? 2 + kTextFactor : 2;
  }

  const CallModel& m_;
  const Expr& call_;
  std::string_view name_;
};

}  // namespace

Span Add(Span a, Span b) { return {AddUp(a.min, b.min), AddUp(a.max, b.max)}; }
Span Union(Span a, Span b) { return {std::min(a.min, b.min), std::max(a.max, b.max)}; }
Span Times(Span a, Span b) { return {Multiply(a.min, b.min), Multiply(a.max, b.max)}; }
Span Scaled(Span size, double factor) { return {ScaleUp(size.min, factor), ScaleUp(size.max, factor)}; }

CallPrice PriceOf(const CallModel& model, std::string_view overload) {
  const Pricing pricing(model);
  if (auto price = pricing.Kubernetes(overload)) return *price;
  return pricing.Language(overload);
}

}  // namespace skerry::kube::cel
