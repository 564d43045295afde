#include "embedded-kube-shim/server/custom_names.h"

#include <algorithm>
#include <set>

#include "core/base/strings.h"
#include "embedded-kube-shim/apis/custom_resource.h"
#include "embedded-kube-shim/server/custom_resources.h"

namespace skerry::kube {
namespace {

using json::Value;

struct Taken {
  std::set<std::string, std::less<>> resources, kinds;
};

Taken TakenIn(const std::vector<std::shared_ptr<const Value>>& all, std::string_view group) {
  Taken taken;
  for (const auto& crd : all) {
    if (crd->At({"spec", "group"}).Str() != group) continue;
    const Value& names = crd->At({"status", "acceptedNames"});
    for (const std::string_view field : {"plural", "singular"}) taken.resources.emplace(names[field].Str());
    for (const Value& name : names["shortNames"].Items()) taken.resources.emplace(name.Str());
    for (const std::string_view field : {"kind", "listKind"}) taken.kinds.emplace(names[field].Str());
  }
  for (auto* set : {&taken.resources, &taken.kinds}) set->erase("");
  return taken;
}

struct Refusal {
  std::string reason, message;
};

bool Free(std::string_view wanted, std::string_view own, const std::set<std::string, std::less<>>& taken) { return wanted == own || !taken.contains(wanted); }

// Takes what is free into `accepted`; the last name that is not free is the one told.
Refusal Take(const Value& wanted, const Taken& taken, Value& accepted) {
  struct Row { std::string_view field, reason; bool kind; };
  static constexpr Row kRows[] = {{"plural", "PluralConflict", false}, {"singular", "SingularConflict", false}, {"shortNames", "ShortNamesConflict", false}, {"kind", "KindConflict", true},
                                  {"listKind", "ListKindConflict", true}};
  Refusal refusal;
  for (const Row& row : kRows) {
    if (row.field == "shortNames") {
      std::vector<std::string> used;
      for (const Value& name : wanted[row.field].Items()) {
        const auto own = accepted[row.field].Items();
        const bool ours = std::any_of(own.begin(), own.end(), [&](const Value& v) { return v.Str() == name.Str(); });
        if (!ours && taken.resources.contains(name.Str())) used.push_back(Cat(Quote(name.Str()), " is already in use"));
      }
      if (!used.empty()) refusal = {std::string(row.reason), used.size() == 1 ? used[0] : Cat("[", Join(used, ", "), "]")};
      else if (wanted[row.field].size() > 0) accepted.Set(row.field) = wanted[row.field].Clone();
      else accepted.Erase(row.field);
      continue;
    }
    const auto name = wanted[row.field].Str();
    if (!Free(name, accepted[row.field].Str(), row.kind ? taken.kinds : taken.resources)) refusal = {std::string(row.reason), Cat(Quote(name), " is already in use")};
    else accepted.Set(row.field) = name;
  }
  if (wanted["categories"].size() > 0) accepted.Set("categories") = wanted["categories"].Clone();
  else accepted.Erase("categories");
  return refusal;
}

}  // namespace

bool DecideNames(const std::vector<std::shared_ptr<const Value>>& all, Value& crd, std::string_view now) {
  const auto taken = TakenIn(all, crd.At({"spec", "group"}).Str());
  auto& status = crd.Set("status");
  const auto refusal = Take(crd.At({"spec", "names"}), taken, status.Set("acceptedNames"));
  const bool established = HasTrueCondition(crd, "Established");
  if (refusal.reason.empty()) SetCondition(status, {"NamesAccepted", "True", "NoConflicts", "no conflicts found"}, now);
  else SetCondition(status, {"NamesAccepted", "False", refusal.reason, refusal.message}, now);
  if (established) return true;
  if (refusal.reason.empty()) SetCondition(status, {"Established", "True", "InitialNamesAccepted", "the initial names have been accepted"}, now);
  else SetCondition(status, {"Established", "False", "NotAccepted", "not all names are accepted"}, now);
  return refusal.reason.empty();
}

void DecideApproval(Value& crd, std::string_view now) {
  constexpr std::string_view kAnnotation = "api-approved.kubernetes.io";
  const auto group = crd.At({"spec", "group"}).Str();
  const bool guarded = group == "k8s.io" || group == "kubernetes.io" || group.ends_with(".k8s.io") || group.ends_with(".kubernetes.io");
  if (!guarded) return;
  const std::string text(crd.At({"metadata", "annotations", kAnnotation}).Str());
  auto& status = crd.Set("status");
  constexpr std::string_view kType = "KubernetesAPIApprovalPolicyConformant";
  constexpr std::string_view kSee = "see https://github.com/kubernetes/enhancements/pull/1111";
  if (text.empty()) SetCondition(status, {kType, "False", "MissingAnnotation", Cat("protected groups must have approval annotation ", Quote(kAnnotation), ", ", kSee)}, now);
  else if (text.starts_with("unapproved")) SetCondition(status, {kType, "False", "UnapprovedAPI", Cat("not approved: ", Quote(text))}, now);
  else SetCondition(status, {kType, "True", "ApprovedAnnotation", Cat("approved in ", text)}, now);
}

}  // namespace skerry::kube
