#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/guarded.h"
#include "embedded-kube-shim/admission/policy_request.h"

// Admission policies as their plugins use them: compiled, with their bindings and parameters.
namespace skerry::kube {

struct CompiledPolicy {
  struct Validation {
    std::string expression, message, reason;
    cel::ProgramPtr program, message_program;   // the latter may be null
  };
  struct Mutation {
    bool is_patch = false;                      // JSONPatch; else ApplyConfiguration
    cel::ProgramPtr program;
  };
  cel::PolicyFeatures features;
  bool fail = true;                             // failurePolicy
  bool reinvoke = false;
  MatchConditions conditions;
  std::vector<cel::NamedProgram> variables;
  std::vector<Validation> validations;
  std::vector<cel::NamedProgram> annotations;
  std::vector<Mutation> mutations;
  std::string error;                            // not empty: something does not compile
};

// Compiles each generation of a policy once. Thread-safe.
class PolicyCache {
 public:
  std::shared_ptr<const CompiledPolicy> Get(const json::Value& policy);

 private:
  Guarded<std::map<std::string, std::shared_ptr<const CompiledPolicy>>> compiled_;   // by uid and generation
};

// One pair of a policy and a binding that mean a request, with one parameter (null: the policy has none, or the binding names none).
struct PolicyApplication {
  std::shared_ptr<const json::Value> policy, binding, param;
  std::shared_ptr<const CompiledPolicy> compiled;
  MatchedResource as;
  std::string error;                            // not empty: parameters could not be found; counts as a failed evaluation
};

// "validatingadmissionpolicies" or "mutatingadmissionpolicies" with their bindings, by name of policy, then of binding, then of parameter.
std::vector<PolicyApplication> ApplicablePolicies(std::string_view policies, std::string_view bindings, PolicyCache& cache, const AdmissionRequest& request, const AdmissionWorld& world);

// Refuses like upstream's policies do: "<resource> "x" is forbidden: <message>" with the status of `reason`.
Error PolicyDenial(const AdmissionRequest& request, std::string message, std::string_view reason);

}  // namespace skerry::kube
