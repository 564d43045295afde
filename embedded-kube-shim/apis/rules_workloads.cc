#include "embedded-kube-shim/apis/rules_shared.h"

namespace skerry::kube::rules {
std::span<const NamedCall> WorkloadCalls() { return {}; }
}  // namespace skerry::kube::rules
