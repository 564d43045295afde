#pragma once
#include <cstdint>

#include "embedded-kube-shim/cel/env.h"

// Static cost: what an expression costs at least and at most, by the sizes that declarations allow. Saturating.
namespace skerry::kube::cel {

struct CostEstimate {
  std::uint64_t min = 0, max = 0;
};

CostEstimate EstimateCost(const Env& env, const Expr& checked_root);

inline constexpr double kTextFactor = 0.1;      // a unit per ten characters traversed
inline constexpr double kPatternFactor = 0.25;  // a unit per four characters of a pattern

}  // namespace skerry::kube::cel
