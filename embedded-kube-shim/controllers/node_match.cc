#include "embedded-kube-shim/controllers/node_match.h"

#include <algorithm>

#include "core/base/strings.h"

namespace skerry::kube {
namespace {

bool MatchesExpression(const json::Value& e, const json::Value* value) {
  const std::string_view op = e["operator"].Str();
  const auto values = e["values"].Items();
  const auto listed = [&] { return std::any_of(values.begin(), values.end(), [&](const json::Value& v) { return v.Str() == value->Str(); }); };
  if (op == "Exists") return value != nullptr;
  if (op == "DoesNotExist") return value == nullptr;
  if (op == "In") return value && listed();
  if (op == "NotIn") return !value || !listed();
  if (op == "Gt" || op == "Lt") {
    const auto a = value ? ParseInt(value->Str()) : std::nullopt;
    const auto b = values.size() == 1 ? ParseInt(values[0].Str()) : std::nullopt;
    return a && b && (op == "Gt" ? *a > *b : *a < *b);
  }
  return false;
}

}  // namespace

bool Tolerates(const json::Value& tolerations, const json::Value& taint) {
  for (const json::Value& t : tolerations.Items()) {
    const std::string_view effect = t["effect"].Str(), key = t["key"].Str(), op = t["operator"].Str("Equal");
    if (!effect.empty() && effect != taint["effect"].Str()) continue;
    if (!key.empty() && key != taint["key"].Str()) continue;
    if (op == "Exists" || (op.empty() || op == "Equal" ? t["value"].Str() == taint["value"].Str() && !key.empty() : false)) return true;
    if (op == "Lt" || op == "Gt") {
      const auto a = ParseInt(taint["value"].Str()), b = ParseInt(t["value"].Str());
      if (a && b && (op == "Gt" ? *a > *b : *a < *b)) return true;
    }
  }
  return false;
}

bool MatchesNodeTerm(const json::Value& term, const json::Value& node) {
  if (term["matchExpressions"].size() == 0 && term["matchFields"].size() == 0) return false;
  const json::Value& meta = node["metadata"];
  for (const json::Value& e : term["matchExpressions"].Items()) {
    if (!MatchesExpression(e, meta["labels"].Find(e["key"].Str()))) return false;
  }
  for (const json::Value& e : term["matchFields"].Items()) {
    if (e["key"].Str() != "metadata.name" || !MatchesExpression(e, &meta["name"])) return false;
  }
  return true;
}

bool MatchesNodeSelector(const json::Value& selector, const json::Value& node) {
  const auto terms = selector["nodeSelectorTerms"].Items();
  return std::any_of(terms.begin(), terms.end(), [&](const json::Value& t) { return MatchesNodeTerm(t, node); });
}

bool MatchesRequiredNodeAffinity(const json::Value& spec, const json::Value& node) {
  for (const json::Member& m : spec["nodeSelector"].Members()) {
    const json::Value* v = node["metadata"]["labels"].Find(m.key);
    if (!v || v->Str() != m.value.Str()) return false;
  }
  const json::Value& required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
  return required.is_null() || MatchesNodeSelector(required, node);
}

}  // namespace skerry::kube
