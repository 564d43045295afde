#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/cel/functions.h"

namespace skerry::kube::cel {
namespace {

std::vector<Val> Items(const Val& list) {
  std::vector<Val> items;
  items.reserve(list.list().size());
  for (std::size_t i = 0; i < list.list().size(); ++i) items.push_back(list.list().At(i));
  return items;
}

Val NoOverload() { return Val::Error("no such overload"); }

Val IsSorted(const CallSite&, Args a) {
  const std::vector<Val> items = Items(a[0]);
  for (std::size_t i = 1; i < items.size(); ++i) {
    const auto order = Compare(items[i - 1], items[i]);
    if (!order) return NoOverload();
    if (*order > 0) return Val::Bool(false);
  }
  return Val::Bool(true);
}

Val Sum(const CallSite&, Args a) {
  const std::vector<Val> items = Items(a[0]);
  if (items.empty()) return Val();   // the declared element type decides: see SumOf
  Val total = items[0];
  for (std::size_t i = 1; i < items.size(); ++i) {
    total = Arithmetic('+', total, items[i]);
    if (total.is_error()) return total;
  }
  return total;
}

Val SumInt(const CallSite& site, Args a) { return a[0].list().size() == 0 ? Val::Int(0) : Sum(site, a); }
Val SumUint(const CallSite& site, Args a) { return a[0].list().size() == 0 ? Val::Uint(0) : Sum(site, a); }
Val SumDouble(const CallSite& site, Args a) { return a[0].list().size() == 0 ? Val::Double(0) : Sum(site, a); }
Val SumSpan(const CallSite& site, Args a) { return a[0].list().size() == 0 ? Val::Duration(0) : Sum(site, a); }

template <int sign>
Val Extreme(const CallSite&, Args a) {
  const std::vector<Val> items = Items(a[0]);
  if (items.empty()) return Val::Error(sign < 0 ? "min called on empty list" : "max called on empty list");
  const Val* best = &items[0];
  for (const Val& item : items) {
    if (&item == &items[0]) continue;
    const auto order = Compare(item, *best);
    if (order && *order * sign > 0) best = &item;   // what has no order leaves the best so far
  }
  return *best;
}

Val IndexOfItem(const CallSite&, Args a) {
  for (std::size_t i = 0; i < a[0].list().size(); ++i) {
    if (Equal(a[0].list().At(i), a[1])) return Val::Int(static_cast<std::int64_t>(i));
  }
  return Val::Int(-1);
}

Val LastIndexOfItem(const CallSite&, Args a) {
  for (std::size_t i = a[0].list().size(); i-- > 0;) {
    if (Equal(a[0].list().At(i), a[1])) return Val::Int(static_cast<std::int64_t>(i));
  }
  return Val::Int(-1);
}

Val Slice(const CallSite&, Args a) {
  const std::int64_t from = a[1].integer(), to = a[2].integer();
  const auto size = static_cast<std::int64_t>(a[0].list().size());
  const std::string what = Cat("cannot slice(", from, ", ", to, ")");
  if (from < 0 || to < 0) return Val::Error(what + ", negative indexes not supported");
  if (from > to) return Val::Error(what + ", start index must be less than or equal to end index");
  if (to > size) return Val::Error(Cat(what, ", list is length ", size));
  std::vector<Val> items;
  for (std::int64_t i = from; i < to; ++i) items.push_back(a[0].list().At(static_cast<std::size_t>(i)));
  return Val::List(std::move(items));
}

void FlattenInto(const Val& list, std::int64_t levels, std::vector<Val>& out) {
  for (std::size_t i = 0; i < list.list().size(); ++i) {
    Val item = list.list().At(i);
    if (levels > 0 && item.is(Kind::kList)) FlattenInto(item, levels - 1, out);
    else out.push_back(std::move(item));
  }
}

Val Flatten(const CallSite&, Args a) {
  const std::int64_t levels = a.size() == 2 ? a[1].integer() : 1;
  if (levels < 0) return Val::Error("level must be non-negative");
  std::vector<Val> out;
  FlattenInto(a[0], levels, out);
  return Val::List(std::move(out));
}

// Sorts `items` by `keys`; both have the same length. Elements must be of one kind that has an order.
Val SortBy(std::vector<Val> items, const std::vector<Val>& keys) {
  for (const Val& key : keys) {
    if (key.kind() != keys[0].kind()) return Val::Error("list elements must have the same type");
    if (!Compare(key, key) && !key.is(Kind::kDouble)) return Val::Error("list elements must be comparable");
  }
  std::vector<std::size_t> order(items.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, [&](std::size_t x, std::size_t y) { return Compare(keys[x], keys[y]).value_or(0) < 0; });
  std::vector<Val> out;
  out.reserve(items.size());
  for (const std::size_t i : order) out.push_back(std::move(items[i]));
  return Val::List(std::move(out));
}

Val Sort(const CallSite&, Args a) {
  std::vector<Val> items = Items(a[0]);
  const std::vector<Val> keys = items;
  return SortBy(std::move(items), keys);
}

Val SortByKeys(const CallSite&, Args a) {
  if (a[0].list().size() != a[1].list().size()) return Val::Error("@sortByAssociatedKeys() expected a list of the same size as the associated keys list");
  return SortBy(Items(a[0]), Items(a[1]));
}

Val Reverse(const CallSite&, Args a) {
  std::vector<Val> items = Items(a[0]);
  std::ranges::reverse(items);
  return Val::List(std::move(items));
}

Val Distinct(const CallSite&, Args a) {
  std::vector<Val> out;
  for (Val& item : Items(a[0])) {
    if (std::ranges::none_of(out, [&](const Val& have) { return Equal(have, item); })) out.push_back(std::move(item));
  }
  return Val::List(std::move(out));
}

Val Range(const CallSite&, Args a) {
  constexpr std::int64_t kMost = 1'000'000;   // as many as one evaluation may pay for
  if (a[0].integer() > kMost) return Val::Error("operation cancelled: actual cost limit exceeded");
  std::vector<Val> out;
  for (std::int64_t i = 0; i < a[0].integer(); ++i) out.push_back(Val::Int(i));
  return Val::List(std::move(out));
}

Val First(const CallSite&, Args a) { return a[0].list().size() == 0 ? Val::None() : Val::Some(a[0].list().At(0)); }
Val Last(const CallSite&, Args a) { return a[0].list().size() == 0 ? Val::None() : Val::Some(a[0].list().At(a[0].list().size() - 1)); }

constexpr FunctionRow kLists[] = {
    {"indexOf", "list_a_index_of_int", "list(A).(A) -> int", IndexOfItem},
    {"lastIndexOf", "list_a_last_index_of_int", "list(A).(A) -> int", LastIndexOfItem},
    {"sum", "list_int_sum_int", "list(int).() -> int", SumInt},
    {"sum", "list_uint_sum_uint", "list(uint).() -> uint", SumUint},
    {"sum", "list_double_sum_double", "list(double).() -> double", SumDouble},
    {"sum", "list_duration_sum_duration", "list(duration).() -> duration", SumSpan},
    {"slice", "list_slice", "list(A).(int, int) -> list(A)", Slice},
    {"flatten", "list_flatten", "list(list(A)).() -> list(A)", Flatten},
    {"flatten", "list_flatten_int", "list(dyn).(int) -> list(dyn)", Flatten},
    {"reverse", "list_reverse", "list(A).() -> list(A)", Reverse},
    {"distinct", "list_distinct", "list(A).() -> list(A)", Distinct},
    {"lists.range", "lists_range", "(int) -> list(int)", Range},
    {"first", "list_first", "list(A).() -> optional(A)", First},
    {"last", "list_last", "list(A).() -> optional(A)", Last},
};

constexpr std::string_view kOrderedTypes[] = {"int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes"};

// ---- sets ----

bool Includes(const ListLike& list, const Val& item) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (Equal(list.At(i), item)) return true;
  }
  return false;
}

bool IncludesAll(const ListLike& list, const ListLike& items) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!Includes(list, items.At(i))) return false;
  }
  return true;
}

Val SetContains(const CallSite&, Args a) { return Val::Bool(IncludesAll(a[0].list(), a[1].list())); }
Val SetEquivalent(const CallSite&, Args a) { return Val::Bool(IncludesAll(a[0].list(), a[1].list()) && IncludesAll(a[1].list(), a[0].list())); }
Val SetIntersects(const CallSite&, Args a) {
  for (std::size_t i = 0; i < a[0].list().size(); ++i) {
    if (Includes(a[1].list(), a[0].list().At(i))) return Val::Bool(true);
  }
  return Val::Bool(false);
}

constexpr FunctionRow kSets[] = {
    {"sets.contains", "list_sets_contains_list", "(list(A), list(A)) -> bool", SetContains},
    {"sets.equivalent", "list_sets_equivalent_list", "(list(A), list(A)) -> bool", SetEquivalent},
    {"sets.intersects", "list_sets_intersects_list", "(list(A), list(A)) -> bool", SetIntersects},
};

// ---- optionals ----

Val OptionalOfValue(const CallSite&, Args a) { return Val::Some(a[0]); }
Val OptionalNone(const CallSite&, Args) { return Val::None(); }

bool IsZero(const Val& v) {
  switch (v.kind()) {
    case Kind::kNull: return true;
    case Kind::kBool: return !v.boolean();
    case Kind::kInt:
    case Kind::kDuration: return v.integer() == 0;
    case Kind::kUint: return v.uint() == 0;
    case Kind::kDouble: return v.number() == 0;
    case Kind::kString:
    case Kind::kBytes: return v.text().empty();
    case Kind::kList: return v.list().size() == 0;
    case Kind::kMap: return v.map().size() == 0;
    case Kind::kOptional: return v.inner() == nullptr;
    default: return false;
  }
}

Val OptionalNonZero(const CallSite&, Args a) { return IsZero(a[0]) ? Val::None() : Val::Some(a[0]); }
Val HasValue(const CallSite&, Args a) { return Val::Bool(a[0].inner() != nullptr); }
Val Value(const CallSite&, Args a) { return a[0].inner() == nullptr ? Val::Error("optional.none() dereference") : *a[0].inner(); }
Val Or(const CallSite&, Args a) { return a[0].inner() != nullptr ? a[0] : a[1]; }
Val OrValue(const CallSite&, Args a) { return a[0].inner() != nullptr ? *a[0].inner() : a[1]; }
Val Unwrap(const CallSite&, Args a) {
  std::vector<Val> out;
  for (const Val& item : Items(a[0])) {
    if (!item.is(Kind::kOptional)) return NoOverload();
    if (item.inner() != nullptr) out.push_back(*item.inner());
  }
  return Val::List(std::move(out));
}
Val Special(const CallSite&, Args) { return NoOverload(); }   // run by the interpreter

// cel.@mapInsert outside of a fold that appends.
Val MapInsert(const CallSite&, Args a) {
  std::vector<std::pair<Val, Val>> entries;
  a[0].map().ForEach([&](Val key, Val value) { return entries.emplace_back(std::move(key), std::move(value)), true; });
  if (a.size() == 3) entries.emplace_back(a[1], a[2]);
  else a[1].map().ForEach([&](Val key, Val value) { return entries.emplace_back(std::move(key), std::move(value)), true; });
  return Val::Map(std::move(entries));
}

constexpr FunctionRow kOptionals[] = {
    {"optional.of", "optional_of", "(A) -> optional(A)", OptionalOfValue},
    {"optional.ofNonZeroValue", "optional_ofNonZeroValue", "(A) -> optional(A)", OptionalNonZero},
    {"optional.none", "optional_none", "() -> optional(A)", OptionalNone},
    {"optional.unwrap", "optional_unwrap", "(list(optional(A))) -> list(A)", Unwrap},
    {"unwrapOpt", "optional_unwrapOpt", "list(optional(A)).() -> list(A)", Unwrap},
    {"hasValue", "optional_hasValue", "optional(A).() -> bool", HasValue},
    {"value", "optional_value", "optional(A).() -> A", Value},
    {"or", "optional_or_optional", "optional(A).(optional(A)) -> optional(A)", Or},
    {"orValue", "optional_orValue_value", "optional(A).(A) -> A", OrValue},
    {"_?._", "select_optional_field", "(dyn, string) -> optional(A)", Special},
    {"_[?_]", "list_optindex_optional_int", "(list(A), int) -> optional(A)", Special},
    {"_[?_]", "optional_list_optindex_optional_int", "(optional(list(A)), int) -> optional(A)", Special},
    {"_[?_]", "map_optindex_optional_value", "(map(A, B), A) -> optional(B)", Special},
    {"_[?_]", "optional_map_optindex_optional_value", "(optional(map(A, B)), A) -> optional(B)", Special},
    {"_[_]", "optional_list_index_int", "(optional(list(A)), int) -> optional(A)", Special},
    {"_[_]", "optional_map_index_value", "(optional(map(A, B)), A) -> optional(B)", Special},
    {"cel.@mapInsert", "@mapInsert_map_map", "(map(A, B), map(A, B)) -> map(A, B)", MapInsert},
    {"cel.@mapInsert", "@mapInsert_map_key_value", "(map(A, B), A, B) -> map(A, B)", MapInsert},
};

}  // namespace

void AddLists(Library& library) {
  library.Add(kLists);
  for (const std::string_view type : kOrderedTypes) {
    const std::string list = Cat("list(", type, ")");
    const std::string sorted = Cat(list, ".() -> bool"), extreme = Cat(list, ".() -> ", type), sort = Cat(list, ".() -> ", list);
    const std::string keyed = Cat("list(A).(", list, ") -> list(A)");
    const std::string ids[] = {Cat("list_", type, "_is_sorted_bool"), Cat("list_", type, "_min_self"), Cat("list_", type, "_max_self"), Cat("list_", type, "_sort"), Cat("list_", type, "_sortByAssociatedKeys")};
    const FunctionRow rows[] = {{"isSorted", ids[0], sorted, IsSorted}, {"min", ids[1], extreme, Extreme<-1>}, {"max", ids[2], extreme, Extreme<1>},
                                {"sort", ids[3], sort, Sort}, {"@sortByAssociatedKeys", ids[4], keyed, SortByKeys}};
    library.Add(rows);
  }
}

void AddSets(Library& library) { library.Add(kSets); }

void AddOptionals(Library& library) {
  library.Add(kOptionals);
  library.AddTypeName("optional_type", OptionalOf(Simple(TypeKind::kDyn)));
}

}  // namespace skerry::kube::cel
