#include "embedded-kube-shim/server/local_client.h"

#include "core/base/strings.h"
#include "core/text/selector.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/server/pod_subresources.h"
#include "embedded-kube-shim/server/scale.h"
#include "embedded-kube-shim/server/token_request.h"
#include "embedded-kube-shim/server/watch_source.h"

namespace skerry::kube {
namespace {

class LocalClient final : public Client {
 public:
  LocalClient(Engine& engine, const Authorizer& authorizer, const ServiceAccountTokens& tokens, User user, std::string manager)
      : engine_(engine), authorizer_(authorizer), tokens_(tokens), user_(std::move(user)), manager_(std::move(manager)) {}

  Result<ObjectPtr> Get(const Ctx&, Resource resource, const Key& key) override {
    constexpr std::string_view kScale = "/scale";
    const bool scale = resource.ends_with(kScale);
    if (scale) resource.remove_suffix(kScale.size());
    TRY(auto target, Find(resource, key.ns, key.name, scale ? "scale" : ""));
    TRY_VOID(Allow(target, "get"));
    TRY(auto object, engine_.Read(target));
    if (!object) return std::unexpected(NotFoundError(target.def->group, target.def->resource, key.name));
    if (scale) return std::make_shared<const json::Value>(ScaleOf(target, *object));
    return object;
  }

  Result<std::vector<ObjectPtr>> List(const Ctx&, Resource resource, std::string_view ns, std::string_view label_selector) override {
    TRY(auto target, Find(resource, ns, "", {}));
    TRY_VOID(Allow(target, "list"));
    TRY(const auto labels, text::LabelSelector::Parse(label_selector));
    std::vector<ObjectPtr> out;
    for (const auto& item : engine_.CacheOf(*target.def).List(ns.empty() ? std::string() : Cat(ns, "/")).items) {
      if (!SelectedBy(*item, labels, {})) continue;
      TRY(auto object, engine_.SharedInVersion(*item, *target.def, target.version));
      out.push_back(std::move(object));
    }
    return out;
  }

  Result<ObjectPtr> Create(const Ctx& ctx, Resource resource, json::Value object, std::string_view subresource) override {
    if (subresource == "token") return Token(ctx, resource, std::move(object));
    TRY(auto operation, Creation(resource, std::move(object), subresource));
    const Target target = operation->target;
    return Write(ctx, target, std::move(operation));
  }

  std::vector<Result<ObjectPtr>> CreateAll(const Ctx& ctx, Resource resource, std::vector<json::Value> objects, std::string_view subresource) override {
    if (subresource == "token" || objects.size() < 2) return Client::CreateAll(ctx, resource, std::move(objects), subresource);
    std::vector<Result<Written>> written;
    std::vector<std::unique_ptr<WriteOperation>> operations;
    std::vector<Target> targets;
    for (json::Value& object : objects) {
      auto operation = Creation(resource, std::move(object), subresource);
      written.push_back(operation ? Result<Written>(Written{}) : std::unexpected(std::move(operation).error()));
      targets.push_back(operation ? (*operation)->target : Target());
      operations.push_back(operation ? std::move(*operation) : nullptr);
      if (operations.back()) Sign(*operations.back());
    }
    engine_.RunAllAndWait(ctx, std::move(operations), &written);
    std::vector<Result<ObjectPtr>> out;
    for (std::size_t i = 0; i < written.size(); ++i) {
      out.push_back(written[i] ? Shown(targets[i], std::move(*written[i])) : Result<ObjectPtr>(std::unexpected(std::move(written[i]).error())));
    }
    return out;
  }

  Result<ObjectPtr> Update(const Ctx& ctx, Resource resource, json::Value object, std::string_view subresource) override {
    const std::string ns(object.At({"metadata", "namespace"}).Str()), name(object.At({"metadata", "name"}).Str());
    TRY(auto target, Find(resource, ns, name, subresource));
    TRY_VOID(Allow(target, "update"));
    if (subresource == "scale") return Write(ctx, target, NewScaleUpdate(target, std::move(object)));
    TRY(auto decoded, Decoded(target, std::move(object)));
    return Write(ctx, target, NewUpdate(target, std::move(decoded)));
  }

  Result<ObjectPtr> Patch(const Ctx& ctx, Resource resource, const Key& key, PatchType type, json::Value patch, std::string_view subresource) override {
    TRY(auto target, Find(resource, key.ns, key.name, subresource));
    TRY_VOID(Allow(target, "patch"));
    PatchBody body;
    body.type = type;
    body.document = std::move(patch);
    auto operation = subresource == "scale" ? NewScalePatch(target, std::move(body)) : NewPatch(target, std::move(body));
    operation->options.force = type == PatchType::kApply;
    return Write(ctx, target, std::move(operation));
  }

  Result<> Delete(const Ctx& ctx, Resource resource, const Key& key, const DeleteOptions& options) override {
    TRY(auto target, Find(resource, key.ns, key.name, {}));
    TRY_VOID(Allow(target, "delete"));
    TRY_VOID(Write(ctx, target, NewDelete(target, options)));
    return {};
  }

 private:
  Result<Target> Find(Resource resource, std::string_view ns, std::string_view name, std::string_view subresource) const {
    const auto parts = Split(resource, '/');
    const bool core = parts.size() == 2;
    ResourcePtr def = parts.size() < 2 ? nullptr : engine_.resources().Find(core ? std::string_view() : parts[0], parts[parts.size() - 2], parts.back());
    if (!def) return std::unexpected(ResourceNotFoundError());
    Target target;
    target.ns = def->scope == Scope::kNamespaced ? ns : std::string_view();
    target.version = parts[parts.size() - 2];
    target.name = name;
    target.subresource = subresource;
    target.def = std::move(def);
    return target;
  }

  Result<> Allow(const Target& target, std::string_view verb) const {
    Attributes attributes;
    attributes.user = user_;
    attributes.verb = verb;
    attributes.group = target.def->group;
    attributes.version = target.version;
    attributes.resource = target.def->resource;
    attributes.subresource = target.subresource;
    attributes.ns = target.ns;
    attributes.name = target.name;
    const auto verdict = authorizer_.Authorize(attributes);
    if (verdict.decision == Decision::kAllow) return {};
    return std::unexpected(ForbiddenFor(attributes, verdict.reason));
  }

  static Result<json::Value> Decoded(const Target& target, json::Value object) {
    const auto gvk = target.gvk();
    object.Set("kind") = gvk.kind;
    object.Set("apiVersion") = gvk.api_version();
    TRY(auto decoded, DecodeValue(target.schema_version().schema, std::move(object)));
    decoded.object.Set("kind") = gvk.kind;
    decoded.object.Set("apiVersion") = gvk.api_version();
    return std::move(decoded.object);
  }

  Result<ObjectPtr> Token(const Ctx& ctx, Resource resource, json::Value object) {
    const std::string ns(object.At({"metadata", "namespace"}).Str()), name(object.At({"metadata", "name"}).Str());
    TRY(auto target, Find(resource, ns, name, "token"));
    TRY_VOID(Allow(target, "create"));
    if (!object["spec"]["expirationSeconds"].is_int()) object.Set("spec").Set("expirationSeconds") = 3600;
    TRY(auto token, CreateToken(ctx, engine_, tokens_, user_, target, std::move(object)));
    return std::make_shared<const json::Value>(std::move(token));
  }

  Result<std::unique_ptr<WriteOperation>> Creation(Resource resource, json::Value object, std::string_view subresource) {
    const std::string ns(object.At({"metadata", "namespace"}).Str()), name(object.At({"metadata", "name"}).Str());
    TRY(auto target, Find(resource, ns, subresource.empty() ? std::string_view() : std::string_view(name), subresource));
    TRY_VOID(Allow(target, "create"));
    if (subresource == "binding") return NewBinding(std::move(target), std::move(object));
    if (subresource == "eviction") return NewEviction(std::move(target), {});
    TRY(auto decoded, Decoded(target, std::move(object)));
    return NewCreate(std::move(target), std::move(decoded));
  }

  void Sign(WriteOperation& operation) const {
    operation.caller = {user_, manager_};
    operation.options.field_manager = manager_;
    operation.options.field_validation = FieldValidation::kIgnore;
  }

  Result<ObjectPtr> Write(const Ctx& ctx, const Target& target, std::unique_ptr<WriteOperation> operation) {
    Sign(*operation);
    TRY(auto written, engine_.RunAndWait(ctx, std::move(operation)));
    return Shown(target, std::move(written));
  }

  Result<ObjectPtr> Shown(const Target& target, Written written) const {
    if (written.answer) return std::make_shared<const json::Value>(std::move(*written.answer));
    if (!written.item) return std::make_shared<const json::Value>(json::Value::Object());
    return engine_.SharedInVersion(*written.item, *target.def, target.version);
  }

  Engine& engine_;
  const Authorizer& authorizer_;
  const ServiceAccountTokens& tokens_;
  const User user_;
  const std::string manager_;
};

}  // namespace

std::unique_ptr<Client> NewLocalClient(Engine& engine, const Authorizer& authorizer, const ServiceAccountTokens& tokens, User user, std::string manager) {
  return std::make_unique<LocalClient>(engine, authorizer, tokens, std::move(user), std::move(manager));
}

}  // namespace skerry::kube
