#include "embedded-kube-shim/apis/custom_resource.h"

#include <algorithm>
#include <map>

#include "core/base/strings.h"
#include "core/crypto/digest.h"
#include "core/text/base64.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/custom_schema.h"
#include "embedded-kube-shim/api/go_value.h"
#include "embedded-kube-shim/apis/custom_rules.h"
#include "embedded-kube-shim/apis/custom_values.h"
#include "embedded-kube-shim/apis/rules_shared.h"
#include "embedded-kube-shim/apis/strategy.h"

namespace skerry::kube {
namespace {

using json::Value;

const Value* At(const Value& object, std::string_view path) {
  const Value* at = &object;
  for (const auto step : Split(path.substr(path.starts_with('.') ? 1 : 0), '.')) {
    if (!at->is_object()) return nullptr;
    at = at->Find(step);
    if (!at) return nullptr;
  }
  return at;
}

std::string WrongType(const Value& value, std::string_view path, std::string_view wanted) {
  return Cat(path, " accessor error: ", GoPrint(value), " is of the type ", GoType(value), ", expected ", wanted);
}

// Counts that a scale subresource reads and writes.
void CheckReplicas(const Value& object, const std::string& path, FieldErrors& errors) {
  constexpr std::int64_t kMost = 2147483647;
  const Value* count = At(object, path);
  if (!count || count->is_null()) return;
  if (!count->is_int()) {
    errors.push_back({FieldErrorType::kInvalid, path, "0", WrongType(*count, path, "int64")});
    return;
  }
  if (count->Int() < 0) errors.push_back({FieldErrorType::kInvalid, path, std::to_string(count->Int()), "should be a non-negative integer"});
  else if (count->Int() > kMost) errors.push_back({FieldErrorType::kInvalid, path, std::to_string(count->Int()), Cat("should be less than or equal to ", kMost)});
}

// Some problems make expressions pointless: they are not evaluated then, and the answer says so.
bool BlocksRules(const FieldErrors& errors) {
  return std::any_of(errors.begin(), errors.end(), [](const FieldError& e) {
    return e.type == FieldErrorType::kNotSupported || e.type == FieldErrorType::kRequired || e.type == FieldErrorType::kTooLong || e.type == FieldErrorType::kTooMany ||
           e.type == FieldErrorType::kTypeInvalid;
  });
}

class CustomStrategy final : public Strategy {
 public:
  // By version: its compiled rules. Versions without rules have none.
  using RulesOf = std::map<std::string, std::shared_ptr<const CustomRules>, std::less<>>;
  explicit CustomStrategy(RulesOf rules) : rules_(std::move(rules)) {}

  void ValidateRules(const ResourceDef& def, const Version& version, std::string_view subresource, const Value& object, const Value* old, FieldErrors& errors) const override {
    if (object["kind"].Str() != def.kind) {
      errors.push_back({FieldErrorType::kInvalid, "kind", Quote(object["kind"].Str()), Cat("must be ", def.kind)});
      return;
    }
    const auto& root = *version.schema->custom;
    rules::Run run{errors, def, version.name, subresource, object, old};
    static const Value kNone;
    rules::CheckCustomMeta(run, {&object["metadata"], old ? &(*old)["metadata"] : &kNone, FindBuiltinSchema("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"), nullptr, "metadata"});
    if (subresource == "status") {
      const auto* status = root.Property("status");
      const auto* before = old ? old->Find("status") : nullptr;
      if (const auto* value = object.Find("status"); value && status) ValidateCustomValue(*status, "status", *value, before, errors);
      if (version.scale) CheckReplicas(object, version.scale->status_replicas, errors);
      return SayWhetherBlocked(version.name, errors);
    }
    ValidateCustomValue(root, "", object, old, errors);
    if (version.scale) {
      CheckReplicas(object, version.scale->spec_replicas, errors);
      CheckReplicas(object, version.scale->status_replicas, errors);
    }
    ValidateEmbedded(root, object, errors);
    FieldErrors former;
    if (old) ValidateUniqueItems(root, *old, former);
    if (former.empty()) ValidateUniqueItems(root, object, errors);
    SayWhetherBlocked(version.name, errors);
  }

  void Validate(StrategyContext& context, const Value& object, const Value* old, FieldErrors& errors) const override {
    if (rules_.empty() || BlocksRules(errors)) return;
    const auto api_version = object["apiVersion"].Str();
    const auto at = rules_.find(api_version.substr(api_version.find('/') + 1));
    if (at == rules_.end()) return;
    std::vector<std::string> warnings;
    at->second->Validate(object, old, errors, warnings);
    for (auto& warning : warnings) context.AddWarning(std::move(warning));
  }

 private:
  void SayWhetherBlocked(const std::string& version, FieldErrors& errors) const {
    if (rules_.contains(version) && BlocksRules(errors))
      errors.push_back({FieldErrorType::kInvalid, "<nil>", "null", "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"});
  }

  const RulesOf rules_;
};

PrinterColumn ColumnOf(const Value& v) {
  PrinterColumn column;
  column.name = v["name"].Str();
  column.type = v["type"].Str();
  column.format = v["format"].Str();
  column.description = v["description"].Str();
  column.json_path = v["jsonPath"].Str();
  column.priority = static_cast<std::int32_t>(v["priority"].Int());
  return column;
}

Version VersionOf(const Value& crd, const Value& v) {
  Version version;
  version.name = v["name"].Str();
  version.served = v["served"].Bool();
  version.storage = v["storage"].Bool();
  auto schema = CompileCustomSchema(v.At({"schema", "openAPIV3Schema"}));
  version.schema = schema->schema;
  version.owner = std::move(schema);
  for (const Value& column : v["additionalPrinterColumns"].Items()) version.columns.push_back(ColumnOf(column));
  for (const Value& field : v["selectableFields"].Items()) version.selectable_fields.emplace_back(field["jsonPath"].Str());
  if (const Value& scale = v.At({"subresources", "scale"}); !scale.is_null())
    version.scale = ScalePaths{std::string(scale["specReplicasPath"].Str()), std::string(scale["statusReplicasPath"].Str()), std::string(scale["labelSelectorPath"].Str())};
  version.status = !v.At({"subresources", "status"}).is_null();
  if (v["deprecated"].Bool()) {
    version.deprecation_warning = v["deprecationWarning"].Str();
    if (version.deprecation_warning.empty()) version.deprecation_warning = Cat(crd.At({"spec", "group"}).Str(), "/", version.name, " ", crd.At({"spec", "names", "kind"}).Str(), " is deprecated");
  }
  return version;
}

std::string StorageHash(const ResourceDef& def) {
  return text::Base64(crypto::HashBytes(crypto::Hash::kSha256, Cat(def.group, "/", def.StorageVersion().name, "/", def.kind)).substr(0, 8));
}

void AddSubresources(const ResourceDef& def, std::vector<Subresource>& out) {
  const bool status = std::any_of(def.versions.begin(), def.versions.end(), [](const Version& v) { return v.status; });
  const bool scale = std::any_of(def.versions.begin(), def.versions.end(), [](const Version& v) { return v.scale.has_value(); });
  if (status) out.push_back({"status", "", "", def.kind, {"get", "patch", "update"}});
  if (scale) out.push_back({"scale", "autoscaling", "v1", "Scale", {"get", "patch", "update"}});
}

}  // namespace

bool HasTrueCondition(const Value& crd, std::string_view type) {
  for (const Value& condition : crd.At({"status", "conditions"}).Items())
    if (condition["type"].Str() == type) return condition["status"].Str() == "True";
  return false;
}

ResourceDef DefineCustomResource(const Value& crd) {
  const Value &spec = crd["spec"], &accepted = crd.At({"status", "acceptedNames"});
  const Value& names = accepted["plural"].Str().empty() ? spec["names"] : accepted;
  ResourceDef def;
  def.custom = true;
  def.group = spec["group"].Str();
  def.resource = names["plural"].Str();
  def.singular = names["singular"].Str();
  def.kind = names["kind"].Str();
  def.list_kind = names["listKind"].Str();
  for (const Value& name : names["shortNames"].Items()) def.short_names.emplace_back(name.Str());
  for (const Value& category : names["categories"].Items()) def.categories.emplace_back(category.Str());
  def.scope = spec["scope"].Str() == "Namespaced" ? Scope::kNamespaced : Scope::kCluster;
  CustomStrategy::RulesOf rules;
  for (const Value& written : spec["versions"].Items()) {
    const auto& version = def.versions.emplace_back(VersionOf(crd, written));
    if (auto compiled = CompileCustomRules(*version.schema->custom)) rules.emplace(version.name, std::move(compiled));
  }
  def.terminating = HasTrueCondition(crd, "Terminating") || !crd.At({"metadata", "deletionTimestamp"}).Str().empty();
  def.verbs = {"delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"};
  if (def.terminating) std::erase(def.verbs, "create");
  AddSubresources(def, def.subresources);
  def.storage_version_hash = StorageHash(def);
  def.group_priority = 1000;
  def.version_priority = 100;
  def.unconditional_update = false;
  def.has_generation = true;
  def.storage_key = Cat(def.group, "/", def.resource);
  def.strategy = std::make_shared<const CustomStrategy>(std::move(rules));   // its rules refer to the schemas that the versions own
  return def;
}

}  // namespace skerry::kube
