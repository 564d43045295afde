#include "embedded-kube-shim/cel/interpreter.h"
namespace skerry::kube::cel {
std::uint64_t CallCost(const Expr&, std::span<const Val>, const Val&) { return 1; }
}  // namespace skerry::kube::cel
