#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/admission/policy_store.h"

// ValidatingAdmissionPolicy: every applicable policy is evaluated, the first refusal decides; warnings and audit annotations of all count.
namespace skerry::kube {
namespace {

struct Problem {
  std::string message, reason;
  bool denies = false;   // whatever the binding's actions are
};

// What a refusal says: the message expression if it yields one line, else the message, else the expression.
std::string MessageOf(const CompiledPolicy::Validation& validation, cel::PolicyRun& run) {
  if (validation.message_program != nullptr) {
    const cel::EvalResult result = run.Run(*validation.message_program);
    const std::string_view text = result.value.is(cel::Kind::kString) ? Trim(result.value.text()) : std::string_view();
    if (!text.empty() && text.size() <= cel::kMaxMessageBytes && text.find('\n') == std::string_view::npos) return std::string(text);
  }
  return validation.message.empty() ? Cat("failed expression: ", validation.expression) : validation.message;
}

class Plugin final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "ValidatingAdmissionPolicy"; }
  bool Handles(Operation) const override { return true; }

  Result<> Validate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    std::optional<Error> refusal;
    for (const PolicyApplication& application : ApplicablePolicies("validatingadmissionpolicies", "validatingadmissionpolicybindings", cache_, request, world)) {
      const std::string where = Cat("ValidatingAdmissionPolicy '", NameOf(application.policy), "' with binding '", NameOf(application.binding), "'");
      for (const Problem& problem : Evaluate(application, request, world)) {
        if (problem.denies && !refusal) refusal = PolicyDenial(request, Cat(where, " denied request: ", problem.message), problem.reason);
        if (problem.denies) continue;
        for (const json::Value& action : (*application.binding)["spec"]["validationActions"].Items()) {
          if (action.Str() == "Deny" && !refusal) refusal = PolicyDenial(request, Cat(where, " denied request: ", problem.message), problem.reason);
          if (action.Str() == "Warn") Warn(request, Cat("Validation failed for ", where, ": ", problem.message));
          if (action.Str() == "Audit") Audit(request, application, problem);
        }
      }
    }
    if (refusal) return std::unexpected(std::move(*refusal));
    return {};
  }

 private:
  static std::string_view NameOf(const std::shared_ptr<const json::Value>& object) { return object->At({"metadata", "name"}).Str(); }

  static void Warn(AdmissionRequest& request, std::string text) {
    if (std::ranges::find(request.warnings, text) == request.warnings.end()) request.warnings.push_back(std::move(text));
  }

  static void Audit(AdmissionRequest& request, const PolicyApplication& application, const Problem& problem) {
    if (request.audit == nullptr) return;
    json::Value failures;
    if (const auto known = request.audit->find("validation.policy.admission.k8s.io/validation_failure"); known != request.audit->end()) json::Value::Parse(known->second, &failures, nullptr);
    json::Value& failure = failures.Append(json::Value::Object());
    failure.Set("message") = problem.message;
    failure.Set("policy") = NameOf(application.policy);
    failure.Set("binding") = NameOf(application.binding);
    failure.Set("validationActions") = (*application.binding)["spec"]["validationActions"].Clone();
    (*request.audit)["validation.policy.admission.k8s.io/validation_failure"] = failures.Dump();
  }

  static std::vector<Problem> Evaluate(const PolicyApplication& application, AdmissionRequest& request, const AdmissionWorld& world) {
    const CompiledPolicy& policy = *application.compiled;
    if (!application.error.empty()) return {{application.error, "Invalid", false}};
    const auto failed = [&](std::string message) { return policy.fail ? std::vector<Problem>{{std::move(message), "Invalid", false}} : std::vector<Problem>(); };
    if (!policy.error.empty()) return failed(Cat("compilation error: ", policy.error));
    const PolicyRequest asked(request, world, application.as);
    const cel::PolicyValues values = asked.Values(application.param.get());
    std::string error;
    const ConditionOutcome outcome = EvaluateMatchConditions(policy.conditions, values, policy.features, &error);
    if (outcome == ConditionOutcome::kNoMatch) return {};
    if (outcome == ConditionOutcome::kError) return failed(std::move(error));
    return RunValidations(application, values, request);
  }

  static std::vector<Problem> RunValidations(const PolicyApplication& application, const cel::PolicyValues& values, AdmissionRequest& request) {
    const CompiledPolicy& policy = *application.compiled;
    cel::PolicyRun run(values, policy.variables, cel::kRuntimeBudget, policy.features);
    std::vector<Problem> problems;
    for (const CompiledPolicy::Validation& validation : policy.validations) {
      const cel::EvalResult result = run.Run(*validation.program);
      if (result.value.is_error()) {
        if (policy.fail) problems.push_back({Cat("expression '", validation.expression, "' resulted in error: ", result.value.text()), "Invalid", false});
      } else if (!result.value.IsTrue()) {
        problems.push_back({MessageOf(validation, run), validation.reason, false});
      }
      if (run.budget_left() == 0) break;
    }
    Annotate(application, run, request, problems);
    return problems;
  }

  static void Annotate(const PolicyApplication& application, cel::PolicyRun& run, AdmissionRequest& request, std::vector<Problem>& problems) {
    for (const cel::NamedProgram& annotation : application.compiled->annotations) {
      const cel::EvalResult result = run.Run(*annotation.program);
      if (result.value.is_error() && application.compiled->fail) {
        problems.push_back({Cat("valueExpression '", annotation.program->source(), "' resulted in error: ", result.value.text()), "Invalid", true});
      }
      if (request.audit == nullptr || !result.value.is(cel::Kind::kString) || Trim(result.value.text()).empty()) continue;
      constexpr std::size_t kLongest = 10 * 1024;
      (*request.audit)[Cat(NameOf(application.policy), "/", annotation.name)] = Trim(result.value.text()).substr(0, kLongest);
    }
  }

  mutable PolicyCache cache_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> NewValidatingAdmissionPolicy() { return std::make_unique<Plugin>(); }

}  // namespace skerry::kube
