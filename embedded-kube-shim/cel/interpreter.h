#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "embedded-kube-shim/cel/env.h"

namespace skerry::kube::cel {

struct EvalResult {
  Val value;                  // may be an error; its text is the message
  std::uint64_t cost = 0;     // in the language's cost units
  bool cancelled = false;     // the limit was reached: "operation cancelled: actual cost limit exceeded"
};

// Prepares a checked tree: constant parts are computed, constant patterns compiled. On failure the message ("type conversion error from …").
bool Plan(Expr& root, std::string* error);

// Runs a planned tree. Thread-safe. Stack use is bounded by the parser's depth limit, time by `cost_limit`.
EvalResult Evaluate(const Expr& root, std::span<const Val> variables, std::uint64_t cost_limit);

// The price of one call at run time, beyond its arguments.
std::uint64_t CallCost(const Expr& call, std::span<const Val> args, const Val& result);

}  // namespace skerry::kube::cel
