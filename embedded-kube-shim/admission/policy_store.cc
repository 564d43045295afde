#include "embedded-kube-shim/admission/policy_store.h"

#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/status.h"

namespace skerry::kube {
namespace {

constexpr std::string_view kGroup = "admissionregistration.k8s.io";

class Builder {
 public:
  explicit Builder(const json::Value& spec)
      : spec_(spec), features_{.params = !spec["paramKind"].is_null(), .mutation = spec.Find("mutations") != nullptr}, compiler_(features_) {}

  CompiledPolicy Build() {
    CompiledPolicy out;
    out.features = features_;
    out.fail = spec_["failurePolicy"].Str("Fail") != "Ignore";
    out.reinvoke = spec_["reinvocationPolicy"].Str() == "IfNeeded";
    out.conditions = CompileMatchConditions(spec_["matchConditions"], {.params = features_.params});
    if (!out.conditions.error.empty()) error_ = out.conditions.error;
    for (const json::Value& variable : spec_["variables"].Items()) {
      const std::string name(variable["name"].Str());
      out.variables.push_back({name, Keep(compiler_.AddVariable(name, variable["expression"].Str()))});
    }
    for (const json::Value& validation : spec_["validations"].Items()) out.validations.push_back(Validation(validation));
    for (const json::Value& annotation : spec_["auditAnnotations"].Items()) {
      out.annotations.push_back({std::string(annotation["key"].Str()), Compile(annotation["valueExpression"], cel::Yields::kStringOrNull)});
    }
    for (const json::Value& mutation : spec_["mutations"].Items()) {
      const bool is_patch = mutation["patchType"].Str() == "JSONPatch";
      const json::Value& expression = mutation[is_patch ? "jsonPatch" : "applyConfiguration"]["expression"];
      out.mutations.push_back({is_patch, Compile(expression, is_patch ? cel::Yields::kPatches : cel::Yields::kObject)});
    }
    out.error = error_;
    return out;
  }

 private:
  cel::ProgramPtr Keep(Result<cel::ProgramPtr> program) {
    if (program) return std::move(*program);
    if (error_.empty()) error_ = program.error().message();
    return nullptr;
  }
  cel::ProgramPtr Compile(const json::Value& expression, cel::Yields yields) { return Keep(compiler_.Compile(Trim(expression.Str()), yields)); }

  CompiledPolicy::Validation Validation(const json::Value& from) {
    CompiledPolicy::Validation out;
    out.expression = Trim(from["expression"].Str());
    out.message = Trim(from["message"].Str());
    out.reason = from["reason"].Str("Invalid");
    out.program = Compile(from["expression"], cel::Yields::kBool);
    if (!from["messageExpression"].Str().empty()) {
      out.message_program = Keep(compiler_.Compile(Trim(from["messageExpression"].Str()), cel::Yields::kString, cel::PolicyCompiler::Authorizer::kUnknown));
    }
    return out;
  }

  const json::Value& spec_;
  cel::PolicyFeatures features_;
  cel::PolicyCompiler compiler_;
  std::string error_;
};

ResourcePtr ParamResource(const json::Value& kind, const AdmissionWorld& world) {
  const std::string_view api_version = kind["apiVersion"].Str();
  const std::size_t slash = api_version.find('/');
  const std::string_view group = slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
  return world.registry().FindKind(group, slash == std::string_view::npos ? api_version : api_version.substr(slash + 1), kind["kind"].Str());
}

struct Params {
  std::vector<std::shared_ptr<const json::Value>> found;   // a null one: evaluate without
  std::string error;
};

Params NoParams(const json::Value& reference) {
  if (reference["parameterNotFoundAction"].Str() == "Deny") return {{}, "no params found for policy binding with `Deny` parameterNotFoundAction"};
  return {};
}

Params FindParams(const json::Value& kind, const json::Value& reference, const AdmissionRequest& request, const AdmissionWorld& world) {
  if (kind.is_null() || reference.is_null()) return {{nullptr}, {}};
  const ResourcePtr resource = ParamResource(kind, world);
  if (resource == nullptr) return {{}, Cat("failed to find resource referenced by paramKind: '", kind["apiVersion"].Str(), ", Kind=", kind["kind"].Str(), "'")};
  std::string_view ns = reference["namespace"].Str();
  if (resource->scope == Scope::kCluster) {
    if (!ns.empty()) return {{}, "paramRef.namespace must not be provided for a cluster-scoped `paramKind`"};
  } else if (ns.empty()) {
    ns = request.ns;
    if (ns.empty()) return {{}, "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"};
  }
  Params out;
  if (const std::string_view name = reference["name"].Str(); !name.empty()) {
    if (auto param = world.Lookup(resource->group, resource->resource, ns, name)) out.found.push_back(std::move(param));
  } else {
    for (auto& param : world.List(resource->group, resource->resource, ns)) {
      if (MatchesLabels(reference["selector"], &param->At({"metadata", "labels"}))) out.found.push_back(std::move(param));
    }
  }
  return out.found.empty() ? NoParams(reference) : out;
}

// Policies do not rule over themselves, or nobody could repair a wrong one.
bool IsExempt(const ResourceDef& def) {
  if (def.group != kGroup) return false;
  return def.resource.starts_with("validatingadmissionpolic") || def.resource.starts_with("mutatingadmissionpolic");
}

using Objects = std::vector<std::shared_ptr<const json::Value>>;
std::string_view NameOf(const json::Value& object) { return object.At({"metadata", "name"}).Str(); }

}  // namespace

std::shared_ptr<const CompiledPolicy> PolicyCache::Get(const json::Value& policy) {
  const json::Value& metadata = policy["metadata"];
  const std::string key = Cat(metadata["uid"].Str(), "/", metadata["generation"].Int(), metadata["generation"].is_null() ? metadata["resourceVersion"].Str() : std::string_view());
  {
    auto compiled = compiled_.Lock();
    if (const auto at = compiled->find(key); at != compiled->end()) return at->second;
  }
  auto built = std::make_shared<const CompiledPolicy>(Builder(policy["spec"]).Build());
  auto compiled = compiled_.Lock();
  constexpr std::size_t kMost = 4096;   // also generations that are gone
  if (compiled->size() >= kMost) compiled->clear();
  return compiled->emplace(key, std::move(built)).first->second;
}

std::vector<PolicyApplication> ApplicablePolicies(std::string_view policies, std::string_view bindings, PolicyCache& cache, const AdmissionRequest& request, const AdmissionWorld& world) {
  std::vector<PolicyApplication> out;
  if (IsExempt(request.def)) return out;
  Objects bound = world.List(kGroup, bindings, "");
  if (bound.empty()) return out;
  std::ranges::sort(bound, {}, [](const auto& binding) { return std::pair((*binding)["spec"]["policyName"].Str(), NameOf(*binding)); });
  for (const auto& binding : bound) {
    const json::Value& spec = (*binding)["spec"];
    const auto policy = world.Lookup(kGroup, policies, "", spec["policyName"].Str());
    if (policy == nullptr) continue;
    const json::Value& rules = (*policy)["spec"];
    auto as = MatchResources(rules["matchConstraints"], request, world);
    if (!as) continue;
    if (const json::Value* own = spec.Find("matchResources"); own != nullptr && !own->is_null() && !MatchResources(*own, request, world)) continue;
    const auto compiled = cache.Get(*policy);
    Params params = FindParams(rules["paramKind"], spec["paramRef"], request, world);
    if (!params.error.empty()) out.push_back({policy, binding, nullptr, compiled, *as, params.error});
    for (auto& param : params.found) out.push_back({policy, binding, std::move(param), compiled, *as, {}});
  }
  return out;
}

Error PolicyDenial(const AdmissionRequest& request, std::string message, std::string_view reason) {
  std::string name = RequestedName(request);
  if (name.empty() && request.object != nullptr) name = request.object->At({"metadata", "generateName"}).Str();
  if (name.empty()) name = "Unknown";
  const std::string resource = request.def.group.empty() ? request.def.resource : Cat(request.def.resource, ".", request.def.group);
  auto detail = std::make_shared<StatusDetail>();
  detail->http = reason == "Forbidden" ? 403 : reason == "Unauthorized" ? 401 : reason == "RequestEntityTooLarge" ? 413 : 422;
  detail->reason = reason;
  detail->has_details = true;
  detail->name = name;
  detail->group = request.def.group;
  detail->kind = request.def.resource;
  Error error(Code::kForbidden, Cat(resource, " ", Quote(name), " is forbidden: ", message));
  return std::move(std::move(error).WithCause({{}, {}, std::move(message)})).WithAttachment(std::move(detail));
}

}  // namespace skerry::kube
