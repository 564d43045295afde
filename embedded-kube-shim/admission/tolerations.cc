#include "embedded-kube-shim/admission/tolerations.h"

#include <algorithm>
#include <vector>

namespace skerry::kube {
namespace {

// Does `wide` tolerate everything that `narrow` does?
bool Covers(const json::Value& wide, const json::Value& narrow) {
  if (wide == narrow) return true;
  const auto op = wide["operator"].Str("Equal");
  const bool all_keys = wide["key"].Str().empty() && op == "Exists";
  if (wide["key"].Str() != narrow["key"].Str() && !all_keys) return false;
  const auto effect = wide["effect"].Str();
  if (!effect.empty() && effect != narrow["effect"].Str()) return false;
  if (effect == "NoExecute" && wide.Find("tolerationSeconds")) {
    const auto* seconds = narrow.Find("tolerationSeconds");
    if (!seconds || seconds->Int() > wide["tolerationSeconds"].Int()) return false;
  }
  if (op == "Exists") return true;
  return narrow["operator"].Str("Equal") == "Equal" && wide["value"].Str() == narrow["value"].Str();
}

}  // namespace

json::Value MergeTolerations(const json::Value& first, const json::Value& second) {
  std::vector<const json::Value*> all;
  for (const auto& toleration : first.Items()) all.push_back(&toleration);
  for (const auto& toleration : second.Items()) all.push_back(&toleration);
  auto merged = json::Value::Array();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto kept = merged.Items();
    const bool before = std::any_of(kept.begin(), kept.end(), [&](const json::Value& other) { return Covers(other, *all[i]); });
    const bool after = std::any_of(all.begin() + static_cast<std::ptrdiff_t>(i) + 1, all.end(), [&](const json::Value* other) { return !(*other == *all[i]) && Covers(*other, *all[i]); });
    if (!before && !after) merged.Append(all[i]->Clone());
  }
  return merged;
}

bool AllTolerated(const json::Value& tolerations, const json::Value& allowed) {
  const auto wanted = tolerations.Items(), wide = allowed.Items();
  return std::all_of(wanted.begin(), wanted.end(), [&](const json::Value& toleration) {
    return std::any_of(wide.begin(), wide.end(), [&](const json::Value& other) { return Covers(other, toleration); });
  });
}

}  // namespace skerry::kube
