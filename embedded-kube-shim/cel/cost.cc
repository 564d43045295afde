#include "embedded-kube-shim/cel/cost.h"
namespace skerry::kube::cel {
CostEstimate EstimateCost(const Env&, const Expr&) { return {}; }
}  // namespace skerry::kube::cel
