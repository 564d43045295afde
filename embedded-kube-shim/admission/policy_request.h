#pragma once
#include <memory>
#include <string>
#include <vector>

#include "embedded-kube-shim/admission/admission.h"
#include "embedded-kube-shim/admission/policy_match.h"
#include "embedded-kube-shim/cel/policy.h"

// A request as the expressions of policies and match conditions see it.
namespace skerry::kube {

class PolicyRequest {
 public:
  // Refers to `request` and `world`, which outlive it.
  PolicyRequest(const AdmissionRequest& request, const AdmissionWorld& world, const MatchedResource& as);
  PolicyRequest(const PolicyRequest&) = delete;
  // `params` may be null. The object is looked at as it is now: ask again after a mutation.
  cel::PolicyValues Values(const json::Value* params) const;

 private:
  const AdmissionRequest& request_;
  json::Value shown_;                              // `request`
  std::shared_ptr<const json::Value> ns_;          // null: cluster-wide
  json::Value namespace_object_;
  std::shared_ptr<const cel::AuthorizeHook> authorize_;
};

// All of them must hold. Programs are named by their conditions.
struct MatchConditions {
  std::vector<cel::NamedProgram> programs;
  std::string error;   // not empty: does not compile
};
MatchConditions CompileMatchConditions(const json::Value& conditions, const cel::PolicyFeatures& features);
enum class ConditionOutcome : std::uint8_t { kMatch, kNoMatch, kError };
// kError only when no condition is false; *error names the first that failed in upstream's words.
ConditionOutcome EvaluateMatchConditions(const MatchConditions& conditions, const cel::PolicyValues& values, const cel::PolicyFeatures& features, std::string* error);

}  // namespace skerry::kube
