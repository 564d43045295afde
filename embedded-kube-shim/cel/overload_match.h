#pragma once
#include <span>
#include <string>

#include "embedded-kube-shim/cel/env.h"

// Choosing an overload by the values at hand, for calls whose types were not known before.
namespace skerry::kube::cel {

bool Fits(const Overload& overload, std::span<const Val> args);
std::string NoOverloadText(const Expr& call, std::span<const Val> args);

}  // namespace skerry::kube::cel
