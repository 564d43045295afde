#include "embedded-kube-shim/cel/overload_match.h"

#include <algorithm>

#include "core/base/strings.h"

namespace skerry::kube::cel {
namespace {

bool FitsType(const Type& type, const Val& value) {
  switch (type.kind) {
    case TypeKind::kBool: return value.is(Kind::kBool);
    case TypeKind::kInt: return value.is(Kind::kInt);
    case TypeKind::kUint: return value.is(Kind::kUint);
    case TypeKind::kDouble: return value.is(Kind::kDouble);
    case TypeKind::kString: return value.is(Kind::kString);
    case TypeKind::kBytes: return value.is(Kind::kBytes);
    case TypeKind::kDuration: return value.is(Kind::kDuration);
    case TypeKind::kTimestamp: return value.is(Kind::kTimestamp);
    case TypeKind::kNull: return value.is(Kind::kNull);
    case TypeKind::kList: return value.is(Kind::kList);
    case TypeKind::kMap: return value.is(Kind::kMap);
    case TypeKind::kType: return value.is(Kind::kType);
    case TypeKind::kObject:
    case TypeKind::kOpaque: return value.type_name() == type.name;
    default: return true;
  }
}

// Operators whose left operand's kind alone says whether there is such an operation at all.
bool LeftDecides(std::string_view name) {
  constexpr std::string_view kNames[] = {"_+_", "_-_", "_*_", "_/_", "_%_", "_<_", "_<=_", "_>_", "_>=_", "-_", "!_", "@in", "contains", "startsWith", "endsWith", "matches"};
  return std::ranges::find(kNames, name) != std::end(kNames);
}

bool KnowsLeft(const Expr& call, const Val& left) {
  if (!call.name.starts_with('_')) return true;
  return std::ranges::any_of(call.overloads, [&](const Overload* overload) { return FitsType(*overload->signature.arguments[0], left); });
}

}  // namespace

bool Fits(const Overload& overload, std::span<const Val> args) {
  const auto& wanted = overload.signature.arguments;
  return wanted.size() == args.size() && std::ranges::equal(wanted, args, [](const TypePtr& type, const Val& value) { return FitsType(*type, value); });
}

std::string NoOverloadText(const Expr& call, std::span<const Val> args) {
  if (LeftDecides(call.name)) return !args.empty() && KnowsLeft(call, args[0]) ? "no such overload" : Cat("no such overload: ", call.name);
  if (call.name == "size") return "no such overload: size";
  std::vector<std::string> types;
  for (const Val& arg : args) types.emplace_back(arg.type_name());
  return Cat("no such overload: ", call.name, "(", Join(types, ", "), ")");
}

}  // namespace skerry::kube::cel
