#include "embedded-kube-shim/controllers/policy_status.h"

#include <algorithm>
#include <map>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/openapi.h"
#include "embedded-kube-shim/cel/policy.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

namespace skerry::kube {
namespace {

constexpr const char* kPolicies = "admissionregistration.k8s.io/v1/validatingadmissionpolicies";
constexpr std::size_t kMostTypes = 10;   // that the expressions of one policy are checked against

using CheckedKinds = std::map<GroupVersionKind, ResourcePtr>;

std::vector<std::string> Sorted(const json::Value& list) {
  std::vector<std::string> out;
  for (const json::Value& item : list.Items()) out.emplace_back(item.Str());
  std::sort(out.begin(), out.end());
  return out;
}

bool HasWildcard(const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [](const std::string& name) { return name.find('*') != name.npos; });
}

// The kinds that the rule names, not those that it means by wildcards; no subresources. False: enough.
bool CollectKinds(const Registry& registry, const json::Value& rule, CheckedKinds& kinds) {
  const auto groups = Sorted(rule["apiGroups"]), versions = Sorted(rule["apiVersions"]);
  if (HasWildcard(groups) || HasWildcard(versions)) return true;
  std::size_t count = 0;
  for (const auto& group : groups)
    for (const auto& version : versions)
      for (const auto& resource : Sorted(rule["resources"])) {
        if (resource.find_first_of("*/") != resource.npos) continue;
        const ResourcePtr def = registry.Find(group, version, resource);
        if (!def) continue;
        kinds.emplace(def->Kind(version), def);
        if (++count == kMostTypes) return false;
      }
  return true;
}

// As the checker wants them: what may be a number or a text has a mark of its own in custom resources.
void MarkIntOrString(json::Value& schema) {
  if (schema["format"].Str() == "int-or-string") schema.Set("x-kubernetes-int-or-string") = true;
  for (const std::string_view below : {"items", "additionalProperties"})
    if (json::Value* found = schema.Find(below); found != nullptr && found->is_object()) MarkIntOrString(*found);
  if (json::Value* properties = schema.Find("properties"); properties != nullptr && properties->is_object())
    for (auto& member : properties->MutableMembers()) MarkIntOrString(member.value);
}

cel::DeclTypePtr TypeOf(const ResourceDef& def, std::string_view version_name) {
  const Version* version = def.FindVersion(version_name);
  if (version == nullptr) return nullptr;
  json::Value schema = ResolvedSchema(def, *version);
  if (schema.is_null()) return nullptr;
  MarkIntOrString(schema);
  return cel::FromSchema(schema, cel::SchemaRole::kValue, def.kind);
}

cel::DeclTypePtr TypeOfParams(const Registry& registry, const json::Value& kind) {
  const std::string_view api_version = kind["apiVersion"].Str();
  const std::size_t slash = api_version.find('/');
  const auto group = slash == api_version.npos ? std::string_view() : api_version.substr(0, slash);
  const auto version = slash == api_version.npos ? api_version : api_version.substr(slash + 1);
  const ResourcePtr def = registry.FindKind(group, version, kind["kind"].Str());
  return def ? TypeOf(*def, version) : nullptr;
}

class PolicyTypeCheck {
 public:
  PolicyTypeCheck(const Registry& registry, const json::Value& spec) {
    CheckedKinds kinds;
    for (const json::Value& rule : spec.At({"matchConstraints", "resourceRules"}).Items())
      if (!CollectKinds(registry, rule, kinds)) break;
    const bool has_params = !spec["paramKind"].is_null();
    const cel::DeclTypePtr params = has_params ? TypeOfParams(registry, spec["paramKind"]) : nullptr;
    for (const auto& [kind, def] : kinds) {
      cel::PolicyCompiler compiler({.params = has_params}, {TypeOf(*def, kind.version), params});
      for (const json::Value& variable : spec["variables"].Items())
        static_cast<void>(compiler.AddVariable(std::string(variable["name"].Str()), variable["expression"].Str()));   // its uses tell
      compilers_.emplace_back(Cat(kind.group.empty() ? "/" : Cat(kind.group, "/"), kind.version, ", Kind=", kind.kind), std::move(compiler));
    }
  }

  std::string Warning(std::string_view expression) const {
    std::vector<std::string> out;
    for (const auto& [kind, compiler] : compilers_)
      if (const std::string report = compiler.Report(expression); !report.empty()) out.push_back(Cat(kind, ": ", report, "\n"));
    return Join(out, "\n");
  }

 private:
  std::vector<std::pair<std::string, cel::PolicyCompiler>> compilers_;   // by kind
};

class PolicyStatus final : public Reconciler {
 public:
  explicit PolicyStatus(const ControllerContext& c) : client_(c.client(kPolicyStatusClient)), registry_(c.registry), policies_(c.informers.Get(kPolicies)) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr policy = policies_.Get(key);
    if (!policy) return Outcome{};
    const std::int64_t generation = Meta(*policy)["generation"].Int();
    if (generation <= (*policy)["status"]["observedGeneration"].Int()) return Outcome{};
    json::Value apply;
    apply.Set("apiVersion") = "admissionregistration.k8s.io/v1";
    apply.Set("kind") = "ValidatingAdmissionPolicy";
    apply.Set("metadata").Set("name") = key.name;
    json::Value& status = apply.Set("status");
    status.Set("observedGeneration") = generation;
    json::Value& checking = status.Set("typeChecking");
    checking = json::Value::Object();
    if (json::Value warnings = ExpressionWarnings(registry_, *policy); warnings.size() > 0) checking.Set("expressionWarnings") = std::move(warnings);
    auto written = client_.Patch(ctx, kPolicies, key, PatchType::kApply, std::move(apply), "status");
    if (!written && written.error().code() != Code::kNotFound) return std::unexpected(std::move(written).error());
    return Outcome{};
  }

 private:
  Client& client_;
  const Registry& registry_;
  const Lister& policies_;
};

}  // namespace

json::Value ExpressionWarnings(const Registry& registry, const json::Value& policy) {
  const PolicyTypeCheck check(registry, policy["spec"]);
  json::Value out;
  const auto validations = policy.At({"spec", "validations"}).Items();
  for (std::size_t i = 0; i < validations.size(); ++i) {
    for (const std::string_view field : {"expression", "messageExpression"}) {
      const std::string_view expression = validations[i][field].Str();
      if (expression.empty()) continue;
      const std::string warning = check.Warning(expression);
      if (warning.empty()) continue;
      json::Value& item = out.Append(json::Value::Object());
      item.Set("fieldRef") = Cat("spec.validations[", i, "].", field);
      item.Set("warning") = warning;
    }
  }
  return out;
}

void AddPolicyStatus(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = kPolicyStatusClient;
  spec.workers = 5;
  spec.triggers.push_back({kPolicies, {}});
  spec.reconciler = std::make_unique<PolicyStatus>(c);
  c.manager.Add(std::move(spec));
}

}  // namespace skerry::kube
