#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "embedded-kube-shim/cel/ast.h"
#include "embedded-kube-shim/cel/env.h"

// What calls cost, by the sizes of what they are given. Inside embedded-kube-shim/cel only.
namespace skerry::kube::cel {

struct Span { std::uint64_t min = 0, max = 0; };
inline constexpr Span kUnknown{0, UINT64_MAX};

Span Add(Span a, Span b);
Span Union(Span a, Span b);
Span Times(Span a, Span b);
Span Scaled(Span size, double factor);   // rounded up

struct CallModel {
  const Expr* call = nullptr;
  std::vector<Span> arg_costs;
  std::function<Span(const Expr&, bool strict)> size;
  std::function<Span(const Expr&)> element_size;
};

struct CallPrice {
  Span cost{1, 1};
  std::optional<Span> size;          // of the result
  bool replaces_arguments = false;   // the cost already has what of the arguments runs
};

CallPrice PriceOf(const CallModel& model, std::string_view overload);

}  // namespace skerry::kube::cel
