#include "embedded-kube-shim/server/scale.h"

#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/patch.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/server/patch_apply.h"
#include "embedded-kube-shim/server/write_steps.h"

namespace skerry::kube {
namespace {

const GroupVersionKind kScale{"autoscaling", "v1", "Scale"};

SchemaPtr ScaleSchema() { return FindBuiltinSchema("io.k8s.api.autoscaling.v1.Scale"); }

const json::Value* At(const json::Value& object, std::string_view path) {
  const json::Value* at = &object;
  for (const auto segment : Split(path.substr(path.starts_with('.') ? 1 : 0), '.')) {
    at = at->Find(segment);
    if (!at) return nullptr;
  }
  return at;
}

json::Value& SetAt(json::Value& object, std::string_view path) {
  json::Value* at = &object;
  for (const auto segment : Split(path.substr(path.starts_with('.') ? 1 : 0), '.')) at = &at->Set(segment);
  return *at;
}

ScalePaths PathsOf(const Target& target) {
  const auto& version = target.schema_version();
  return version.scale ? *version.scale : ScalePaths{".spec.replicas", ".status.replicas", ""};
}

// A label selector in text form: what autoscalers list pods by.
std::string SelectorText(const json::Value& selector) {
  std::vector<std::string> terms;
  const auto* labels = selector.Find("matchLabels");
  const bool structured = labels || selector.Find("matchExpressions");
  for (const auto& [key, value] : (structured ? selector["matchLabels"] : selector).Members()) terms.push_back(Cat(key, "=", value.Str()));
  for (const auto& expression : selector["matchExpressions"].Items()) {
    const auto key = expression["key"].Str(), op = expression["operator"].Str();
    std::vector<std::string> values;
    for (const auto& value : expression["values"].Items()) values.emplace_back(value.Str());
    if (op == "Exists") terms.emplace_back(key);
    else if (op == "DoesNotExist") terms.push_back(Cat("!", key));
    else terms.push_back(Cat(key, op == "In" ? " in (" : " notin (", Join(values, ","), ")"));
  }
  std::sort(terms.begin(), terms.end());
  return Join(terms, ",");
}

class ScaleOperation final : public WriteOperation {
 public:
  ScaleOperation(Target t, json::Value scale, std::optional<PatchBody> patch) : WriteOperation(std::move(t)), scale_(std::move(scale)), patch_(std::move(patch)) {}

  Result<Attempt> Prepare(Engine& engine, const Ctx& ctx, const ItemPtr& current) override {
    const auto& def = *target.def;
    if (!current) return std::unexpected(NotFoundError(def.group, def.resource, target.name));
    TRY(const auto live, engine.InVersion(*current, def, target.version));
    json::Value wanted = scale_.Clone();
    // Owners of the replicas are found and kept on the Scale object, then carried over to the object itself.
    const auto parent_version = target.gvk().api_version();
    const auto paths = PathsOf(target);
    json::Value owned = ScaleOf(target, live);
    auto owners = ScaleManagedFields(live.At({"metadata", "managedFields"}), parent_version, paths.spec_replicas);
    if (!owners.is_null()) owned.Set("metadata").Set("managedFields") = std::move(owners);
    auto info = ManagerInfoOf(engine, *this);
    info.api_version = "autoscaling/v1";
    info.convert = {};
    bool applied = false;
    if (patch_) {
      const auto shown = owned.Clone();
      auto scale_target = target;
      scale_target.def = ScaleDef();
      scale_target.version = "v1";
      if (patch_->type == PatchType::kApply) {
        std::vector<std::string> repeated;
        TRY(const auto config, ParseApply(*patch_, repeated));
        TRY(wanted, ServerSideApply(*ScaleDef(), ScaleSchema(), &owned, config, info, options.force ? Conflicts::kForce : Conflicts::kFail));
        TRY_VOID(ReportRepeated(options.field_validation, repeated, warnings));
        // Upstream takes the Scale for a version of the custom resource then.
        if (def.custom)
          return std::unexpected(PlainInternalError(Cat("failed to convert new object (", config.At({"metadata", "namespace"}).Str(), "/", config.At({"metadata", "name"}).Str(),
                                                        "; autoscaling/v1, Kind=Scale) to proper version: request to convert CR to an invalid group/version: autoscaling/v1")));
        applied = true;
      } else {
        TRY(wanted, ApplyPatch(scale_target, *patch_, shown, options.field_validation, warnings));
      }
    }
    const auto replicas = wanted.At({"spec", "replicas"}).Int();
    if (replicas < 0 && !def.custom) {
      FieldErrors errors;
      errors.push_back({FieldErrorType::kInvalid, "spec.replicas", std::to_string(replicas), "must be greater than or equal to 0"});
      return std::unexpected(InvalidError("autoscaling", "Scale", target.name, errors));
    }
    const auto uid = wanted.At({"metadata", "uid"}).Str();
    if (!uid.empty() && uid != current->uid())
      return std::unexpected(ConflictError(def.group, def.resource, target.name, UidMismatch(target, uid, current->uid(), options.dry_run)));
    auto next = live.Clone();
    SetAt(next, paths.spec_replicas) = replicas;
    const auto given = wanted.At({"metadata", "resourceVersion"}).Str();
    next.Set("metadata").Set("resourceVersion") = given.empty() || given == "0" ? std::string_view(live.At({"metadata", "resourceVersion"}).Str()) : given;
    if (!applied) UpdateManagedFields(*ScaleDef(), ScaleSchema(), &owned, wanted, info);
    auto entries = ParentManagedFields(live.At({"metadata", "managedFields"}), wanted.At({"metadata", "managedFields"}), parent_version, paths.spec_replicas);
    // Upstream forgets when a custom resource was scaled.
    if (def.custom && entries.is_array())
      for (auto& entry : entries.MutableItems())
        if (entry["subresource"].Str() == "scale") entry.Erase("time");
    if (entries.is_null()) next.Set("metadata").Erase("managedFields");
    else next.Set("metadata").Set("managedFields") = std::move(entries);
    return engine.PrepareUpdate(ctx, *this, current, std::move(next));
  }

  Result<> Conflict(bool, int) override { return {}; }

  std::optional<json::Value> Answer(const Engine& engine, const Item& written) const override {
    const auto object = engine.InVersion(written, *target.def, target.version);
    return object ? std::optional(ScaleOf(target, *object)) : std::nullopt;
  }

 private:
  // The Scale kind as a definition that patches can be decoded by.
  static ResourcePtr ScaleDef() {
    static const ResourcePtr def = [] {
      ResourceDef built;
      built.group = kScale.group;
      built.kind = kScale.kind;
      built.resource = "scales";
      Version version;
      version.name = "v1";
      version.schema = ScaleSchema();
      built.versions.push_back(std::move(version));
      return std::make_shared<const ResourceDef>(std::move(built));
    }();
    return def;
  }

  const json::Value scale_;
  const std::optional<PatchBody> patch_;
};

}  // namespace

json::Value ScaleOf(const Target& target, const json::Value& object) {
  const auto paths = PathsOf(target);
  auto scale = json::Value::Object();
  scale.Set("kind") = "Scale";
  scale.Set("apiVersion") = "autoscaling/v1";
  auto& metadata = scale.Set("metadata");
  for (const std::string_view member : {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"})
    if (const auto* value = object["metadata"].Find(member)) metadata.Set(member) = value->Clone();
  const auto* wanted = At(object, paths.spec_replicas);
  scale.Set("spec").Set("replicas") = wanted ? wanted->Int() : target.def->custom ? 0 : 1;
  const auto* seen = At(object, paths.status_replicas);
  auto& status = scale.Set("status");
  status.Set("replicas") = seen ? seen->Int() : 0;
  if (!target.def->custom) {
    status.Set("selector") = SelectorText(object.At({"spec", "selector"}));
  } else if (const auto* text = At(object, paths.label_selector)) {
    status.Set("selector") = text->Str();
  }
  Canonicalize(ScaleSchema(), scale);
  return scale;
}

std::unique_ptr<WriteOperation> NewScaleUpdate(Target target, json::Value scale) { return std::make_unique<ScaleOperation>(std::move(target), std::move(scale), std::nullopt); }
std::unique_ptr<WriteOperation> NewScalePatch(Target target, PatchBody body) { return std::make_unique<ScaleOperation>(std::move(target), json::Value(), std::move(body)); }

void ServeScale(Rest& rest, RestRequest request, RestDone done) {
  auto output = Negotiate(*request.http, MediaScope::kObject);
  if (!output) return done(std::unexpected(std::move(output).error()));
  if (request.info.verb == "get") {
    const auto read = rest.engine().Read(request.target);
    if (!read) return done(std::unexpected(read.error().Clone()));
    const auto& object = *read;
    if (!object) return done(std::unexpected(NotFoundError(request.target.def->group, request.target.def->resource, request.target.name)));
    if (const auto path = PathsOf(request.target).spec_replicas; request.target.def->custom && !At(*object, path)) {
      const std::string why = Cat("the spec replicas field ", Quote(path), " does not exist");
      return done(std::unexpected(Error(Code::kInternal, Cat("Internal error occurred: ", why)).WithCause({"", "", why})));
    }
    return done(http::Reply(EncodeValue(*output, 200, ScaleOf(request.target, *object))));
  }
  auto prepare = [&]() -> Result<std::unique_ptr<WriteOperation>> {
    TRY(auto options, ParseWriteOptions(*request.http, request.info.verb == "patch" ? "PatchOptions" : "UpdateOptions"));
    std::vector<std::string> warnings;
    std::unique_ptr<WriteOperation> operation;
    if (request.info.verb == "patch") {
      TRY(auto body, ParsePatchBody(request));
      operation = NewScalePatch(request.target, std::move(body));
    } else {
      if (json::Value sent; json::Value::Parse(request.http->body, &sent, nullptr) && sent["kind"].Str() == "Scale" && !sent["apiVersion"].Str().empty() && sent["apiVersion"].Str() != "autoscaling/v1")
        return std::unexpected(BadRequestError(Cat("the API version in the data (", sent["apiVersion"].Str(), ") does not match the expected API version (autoscaling/v1)")));
      TRY(auto scale, ReadBody(request, ScaleSchema(), kScale, options.field_validation, warnings));
      const auto name = scale.At({"metadata", "name"}).Str();
      if (name != request.target.name)
        return std::unexpected(BadRequestError(name.empty() ? NamelessText(request.target.name) : Cat("the name of the object (", name, ") does not match the name on the URL (", request.target.name, ")")));
      operation = NewScaleUpdate(request.target, std::move(scale));
    }
    operation->options = std::move(options);
    operation->decode_warnings = std::move(warnings);
    return operation;
  };
  auto operation = prepare();
  if (!operation) return done(std::unexpected(std::move(operation).error()));
  rest.Run(std::make_shared<RestRequest>(std::move(request)), std::move(*output), std::move(*operation), 200, std::move(done));
}

}  // namespace skerry::kube
