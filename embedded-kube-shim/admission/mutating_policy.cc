#include <algorithm>

#include "core/base/strings.h"
#include "core/json/patch.h"
#include "embedded-kube-shim/admission/policy_store.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/typed_value.h"

// MutatingAdmissionPolicy: the policies change the object one after the other; those that want it see it once more when a later one changed
// it again. After each change the object is typed and defaulted anew, as if the client had sent it.
namespace skerry::kube {
namespace {

Result<json::Value> JsonOf(const cel::EvalResult& result) {
  if (result.value.is_error()) return Fail(Code::kInvalid, std::string(result.value.text()));
  json::Value out;
  if (!cel::ToJson(result.value, &out)) return Fail(Code::kInvalid, Cat("cannot convert ", result.value.type_name(), " to JSON"));
  return out;
}

SchemaPtr SchemaOf(const AdmissionRequest& request) {
  if (!request.subresource.empty() && request.subresource != "status") return nullptr;
  const Version* version = request.def.FindVersion(request.version);
  return version == nullptr ? nullptr : version->schema;
}

// A failed test means that the patch is not meant for this object.
bool IsFailedTest(const Error& error) { return error.message().find("test") != std::string_view::npos; }

Result<json::Value> Patched(const json::Value& object, const json::Value& patch) {
  TRY(const json::Value checked, json::ParsePatch(patch.Dump()));
  auto out = json::ApplyPatch(object.Clone(), checked);
  if (!out && IsFailedTest(out.error())) return object.Clone();
  return out;
}

Result<json::Value> Applied(SchemaPtr schema, const json::Value& object, json::Value config) {
  for (const char* field : {"apiVersion", "kind"}) config.Set(field) = object[field].Clone();
  if (schema == nullptr) return json::MergePatch(object.Clone(), config);
  if (const auto problems = ValidateTyped(schema, config, Duplicates::kRefuse); !problems.empty()) {
    return Fail(Code::kInvalid, Cat("error applying patch: invalid ApplyConfiguration: ", JoinProblems(problems)));
  }
  return MergeTyped(schema, object, config);
}

class Plugin final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "MutatingAdmissionPolicy"; }

  Result<> Mutate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    if (request.object == nullptr) return {};
    const auto applications = ApplicablePolicies("mutatingadmissionpolicies", "mutatingadmissionpolicybindings", cache_, request, world);
    std::vector<json::Value> left;   // the object as each policy left it
    for (const PolicyApplication& application : applications) {
      TRY_VOID(Run(application, request, world));
      left.push_back(application.compiled->reinvoke ? request.object->Clone() : json::Value());
    }
    for (std::size_t i = 0; i < applications.size(); ++i) {
      if (applications[i].compiled->reinvoke && !(left[i] == *request.object)) TRY_VOID(Run(applications[i], request, world));
    }
    return {};
  }

 private:
  static Result<> Run(const PolicyApplication& application, AdmissionRequest& request, const AdmissionWorld& world) {
    const CompiledPolicy& policy = *application.compiled;
    const auto changed = application.error.empty() ? Change(application, request, world) : Result<>(Fail(Code::kInvalid, application.error));
    if (changed || (!policy.fail && application.error.empty())) return {};
    const auto name = [](const json::Value& object) { return object.At({"metadata", "name"}).Str(); };
    return std::unexpected(PolicyDenial(request, Cat("policy '", name(*application.policy), "' with binding '", name(*application.binding), "' denied request: ", changed.error().message()), "Invalid"));
  }

  // Works on a copy: a policy that fails half-way leaves nothing behind.
  static Result<> Change(const PolicyApplication& application, AdmissionRequest& request, const AdmissionWorld& world) {
    const CompiledPolicy& policy = *application.compiled;
    if (!policy.error.empty()) return Fail(Code::kInvalid, Cat("compilation error: ", policy.error));
    json::Value object = request.object->Clone();
    AdmissionRequest view{request.def, request.version, request.subresource, request.ns, request.name, request.operation, &object, request.old, request.options, request.user, request.dry_run, request.warnings, request.batch};
    const PolicyRequest asked(view, world, application.as);
    std::string error;
    const ConditionOutcome outcome = EvaluateMatchConditions(policy.conditions, asked.Values(application.param.get()), policy.features, &error);
    if (outcome == ConditionOutcome::kNoMatch) return {};
    if (outcome == ConditionOutcome::kError) return Fail(Code::kInvalid, error);
    std::uint64_t budget = cel::kRuntimeBudget;
    for (const CompiledPolicy::Mutation& mutation : policy.mutations) {
      // Variables are computed again: they may look at the object that the mutation before has changed.
      cel::PolicyRun run(asked.Values(application.param.get()), policy.variables, budget, policy.features);
      const cel::EvalResult result = run.Run(*mutation.program);
      budget = run.budget_left();
      if (result.value.is_error()) return Fail(Code::kInvalid, Cat("expression '", mutation.program->source(), "' resulted in error: ", result.value.text()));
      TRY(json::Value change, JsonOf(result));
      TRY(json::Value next, mutation.is_patch ? Patched(object, change) : Applied(SchemaOf(request), object, std::move(change)));
      TRY_VOID(Typed(request, next));
      object = std::move(next);
    }
    *request.object = std::move(object);
    return {};
  }

  static Result<> Typed(const AdmissionRequest& request, json::Value& object) {
    const Version* version = request.def.FindVersion(request.version);
    if (SchemaOf(request) == nullptr) return {};
    TRY(Decoded decoded, DecodeValue(version->schema, std::move(object)));
    object = std::move(decoded.object);
    ApplyDefaults(request.def, *version, object);
    return {};
  }

  mutable PolicyCache cache_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> NewMutatingAdmissionPolicy() { return std::make_unique<Plugin>(); }

}  // namespace skerry::kube
