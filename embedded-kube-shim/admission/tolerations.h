#pragma once
#include "core/json/value.h"

namespace skerry::kube {

// Both lists without what another entry already tolerates; of equal ones the first stays.
json::Value MergeTolerations(const json::Value& first, const json::Value& second);
// Is every toleration covered by some entry of `allowed`?
bool AllTolerated(const json::Value& tolerations, const json::Value& allowed);

}  // namespace skerry::kube
