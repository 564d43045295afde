#include <algorithm>
#include <cmath>

#include "embedded-kube-shim/cel/cost.h"
#include "embedded-kube-shim/cel/functions.h"
#include "embedded-kube-shim/cel/interpreter.h"

// What a call cost, by the sizes it met. The same tables as for estimates, in the end with real values.
namespace skerry::kube::cel {
namespace {

bool OneOf(std::string_view name, std::initializer_list<std::string_view> names) { return std::ranges::find(names, name) != names.end(); }
std::uint64_t Scale(std::uint64_t size, double factor = kTextFactor) { return static_cast<std::uint64_t>(std::ceil(static_cast<double>(size) * factor)); }

// Looking at everything inside once.
std::uint64_t Traversal(const Val& v) {
  if (v.is(Kind::kString) || v.is(Kind::kBytes)) return static_cast<std::uint64_t>(static_cast<double>(v.text().size()) * kTextFactor);
  std::uint64_t cost = 0;
  if (v.is(Kind::kList)) {
    for (std::size_t i = 0; i < v.list().size(); ++i) cost += Traversal(v.list().At(i));
    return cost;
  }
  if (!v.is(Kind::kMap)) return 1;
  v.map().ForEach([&](Val key, Val value) { return cost += Traversal(key) + Traversal(value), true; });
  return cost;
}

std::uint64_t Search(const Val& text, const Val& pattern) { return Scale(text.Size() + 1) * Scale(pattern.Size(), kPatternFactor); }


bool IsKubernetes(const Val& v) { return v.is(Kind::kOpaque); }

struct Priced { bool known = false; std::uint64_t cost = 0; };

Priced OfLibrary(std::string_view name, std::string_view overload, std::span<const Val> a, const Val& result) {
  const auto price = [](std::uint64_t cost) { return Priced{true, cost}; };
  if (name == "check") return price(350'000);
  if (OneOf(name, {"isSorted", "sum", "max", "min", "indexOf", "lastIndexOf"})) return price(Traversal(a[0]));
  if (OneOf(name, {"url", "lowerAscii", "upperAscii", "substring", "trim", "jsonpatch.escapeKey", "cidr", "isIP", "isCIDR", "quantity", "isQuantity", "semver", "isSemver"})) return price(Scale(a[0].Size()));
  if (name == "ip") return price(overload == "cidr_ip" ? 1 : Scale(a[0].Size()));
  if (OneOf(name, {"replace", "split", "ip.isCanonical"})) return price(Scale(a[0].Size(), 2 * kTextFactor));
  if (name == "join") return price(Scale(result.is_error() ? 1 : result.Size(), 2 * kTextFactor));
  if (OneOf(name, {"find", "findAll"})) return price(Search(a[0], a[1]));
  if (OneOf(name, {"fieldSelector", "labelSelector"})) return price(10 + Scale(a[1].Size()) + Scale(Scale(a[1].Size(), 0.5), 50));
  if (name == "containsIP") return price(Scale(2 * a[0].Size()) + (overload.ends_with("_string") ? Scale(a[1].Size()) : 0));
  if (name == "containsCIDR") return price(Scale(2 * a[0].Size()) + Scale(a[0].Size()) + 1 + (overload.ends_with("_string") ? Scale(a[1].Size()) : 0));
  if (name == "validate") return price(Scale(a[1].Size() + 1) * Scale(PatternSizeOf(a[0]), kPatternFactor));
  if (name == "_==_" && IsKubernetes(a[0])) return price(1);
  return {};
}

std::uint64_t OfLanguage(std::string_view name, std::string_view overload, std::span<const Val> a, const Val& result) {
  if (overload == "string_format" || OneOf(name, {"strings.quote"}) || OneOf(overload, {"string_to_bytes", "bytes_to_string"})) return Scale(a[0].Size());
  if (OneOf(name, {"startsWith", "endsWith"})) return Scale(a[1].Size());
  if (overload == "in_list") return a[1].Size();
  if (name == "matches") return Search(a[0], a[1]);
  if (name == "contains") return Scale(a[0].Size()) * Scale(a[1].Size());
  if (OneOf(overload, {"add_string", "add_bytes"})) return Scale(a[0].Size() + a[1].Size());
  if (OneOf(name, {"_==_", "_!=_"}) || (OneOf(name, {"_<_", "_<=_", "_>_", "_>=_"}) && (a[0].is(Kind::kString) || a[0].is(Kind::kBytes)))) return Scale(std::min(a[0].Size(), a[1].Size()));
  if (OneOf(name, {"sets.contains", "sets.intersects"})) return 1 + a[0].Size() * a[1].Size();
  if (name == "sets.equivalent") return 1 + 2 * a[0].Size() * a[1].Size();
  constexpr std::uint64_t kBuild = 11;
  if (name == "flatten") return kBuild + a[0].Size() * static_cast<std::uint64_t>(a.size() == 2 ? std::max<std::int64_t>(0, a[1].integer()) : 1);
  if (OneOf(name, {"lists.range", "slice"}) || overload == "list_reverse") return kBuild + (result.is(Kind::kList) ? result.Size() : 0);
  if (name == "distinct") return kBuild + 2 * a[0].Size() * a[0].Size();
  if (OneOf(name, {"sort", "@sortByAssociatedKeys"})) {
    const Val& keys = a.back();
    return kBuild + 2 * keys.Size() * keys.Size();
  }
  return 1;
}

}  // namespace

std::uint64_t CallCost(const Expr& call, std::span<const Val> args, const Val& result) {
  const std::string_view overload = call.overloads.size() == 1 ? std::string_view(call.overloads[0]->id) : std::string_view();
  if (args.empty()) return 1;
  const Priced priced = OfLibrary(call.name, overload, args, result);
  return priced.known ? priced.cost : OfLanguage(call.name, overload, args, result);
}

}  // namespace skerry::kube::cel
