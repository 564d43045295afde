#include "core/base/strings.h"
#include "core/json/share.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/patch.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/server/engine.h"
#include "embedded-kube-shim/server/patch_apply.h"
#include "embedded-kube-shim/server/write_steps.h"

// Create, update and patch as operations that can be tried again.
namespace skerry::kube {
namespace {

constexpr int kNameAttempts = 8;
constexpr std::string_view kModified = "the object has been modified; please apply your changes to the latest version and try again";

// Nobody can create an object that is being deleted, nor own that it is.
void ForgetDeletion(json::Value& object) {
  object.Set("metadata").Erase("deletionTimestamp");
  object.Set("metadata").Erase("deletionGracePeriodSeconds");
}

class Create final : public WriteOperation {
 public:
  // `again` may be empty: then the object is copied for each attempt.
  Create(Target t, json::Value object, std::function<json::Value()> again = {}) : WriteOperation(std::move(t)), object_(std::move(object)), again_(std::move(again)) {
    generated_ = object_.At({"metadata", "name"}).Str().empty();
  }

  Result<Attempt> Prepare(Engine& engine, const Ctx& ctx, const ItemPtr&) override {
    engine_ = &engine;
    auto object = !again_ ? object_.Clone() : object_.is_null() ? again_() : std::move(object_);
    const auto& version = target.schema_version();
    TRY_VOID(PlaceInNamespace(target, object));
    for (const std::string_view member : {"deletionTimestamp", "deletionGracePeriodSeconds", "creationTimestamp", "uid", "selfLink"}) object.Set("metadata").Erase(member);
    if (generated_) target.name.clear();
    ForgetDeletion(object);
    ApplyDefaults(*target.def, version, object);
    UpdateManagedFields(*target.def, version.schema, nullptr, object, ManagerInfoOf(engine, *this));
    return engine.PrepareCreate(ctx, *this, std::move(object));
  }

  Result<> Conflict(bool on_own_key, int attempt) override {
    if (!on_own_key) return {};   // something this create depends on moved: look again
    if (generated_ && attempt < kNameAttempts) return {};
    auto taken = AlreadyExistsError(target.def->group, target.def->resource, target.name);
    if (const auto current = engine_->Find(target); current && !current->deletion_timestamp().empty()) return std::unexpected(std::move(taken).Wrap("object is being deleted"));
    return std::unexpected(std::move(taken));
  }

 private:
  json::Value object_;                        // null once it is used up
  const std::function<json::Value()> again_;
  bool generated_ = false;
  const Engine* engine_ = nullptr;   // of the last attempt
};

class Update final : public WriteOperation {
 public:
  // `again` as of a create.
  Update(Target t, json::Value object, std::function<json::Value()> again = {}) : WriteOperation(std::move(t)), object_(std::move(object)), again_(std::move(again)) {}

  Result<Attempt> Prepare(Engine& engine, const Ctx& ctx, const ItemPtr& current) override {
    const auto& def = *target.def;
    const auto& version = target.schema_version();
    auto object = !again_ ? object_.Clone() : object_.is_null() ? again_() : std::move(object_);
    TRY_VOID(PlaceInNamespace(target, object));
    creating_ = !current;
    const auto& metadata = object["metadata"];
    if (!current) {
      // By way of the status, too.
      if (!def.create_on_update || (!target.subresource.empty() && target.subresource != "status")) return std::unexpected(NotFoundError(def.group, def.resource, target.name));
      if (!metadata["uid"].Str().empty()) return std::unexpected(UidConflict(metadata["uid"].Str(), ""));
      if (!options.dry_run) object.Set("metadata").Erase("resourceVersion");
      ForgetDeletion(object);
      ApplyDefaults(def, version, object);
      UpdateManagedFields(def, version.schema, nullptr, object, ManagerInfoOf(engine, *this));
      return engine.PrepareCreate(ctx, *this, std::move(object));
    }
    const auto uid = metadata["uid"].Str();
    if (!uid.empty() && uid != current->uid()) return std::unexpected(UidConflict(uid, current->uid()));
    ApplyDefaults(def, version, object);
    TRY(const auto live, engine.SharedInVersion(*current, def, target.version));
    if (!def.custom) json::Unify(object, *live);
    UpdateManagedFields(def, version.schema, live.get(), object, ManagerInfoOf(engine, *this));
    return engine.PrepareUpdate(ctx, *this, current, std::move(object));
  }

  // The next attempt sees the fresh object: a resourceVersion in the body is then found to be stale.
  Result<> Conflict(bool, int) override { return {}; }

 private:
  Error UidConflict(std::string_view wanted, std::string_view found) const {
    const auto& def = *target.def;
    return ConflictError(def.group, def.resource, target.name,
                         UidMismatch(target, wanted, found, options.dry_run));
  }

  json::Value object_;                        // null once it is used up
  const std::function<json::Value()> again_;
  bool creating_ = false;
};

class Patch final : public WriteOperation {
 public:
  Patch(Target t, PatchBody body) : WriteOperation(std::move(t)), body_(std::move(body)) {}

  Result<Attempt> Prepare(Engine& engine, const Ctx& ctx, const ItemPtr& current) override {
    const auto& def = *target.def;
    const auto& version = target.schema_version();
    had_version_ = false;
    if (body_.type == PatchType::kApply) return PrepareApply(engine, ctx, current);
    if (!current) return std::unexpected(NotFoundError(def.group, def.resource, target.name));
    TRY(const auto live, engine.SharedInVersion(*current, def, target.version));
    TRY(auto next, ApplyPatch(target, body_, *live, options.field_validation, warnings));
    const auto given = next.At({"metadata", "resourceVersion"}).Str();
    had_version_ = given != live->At({"metadata", "resourceVersion"}).Str();
    TRY_VOID(CheckIdentity(next));
    ApplyDefaults(def, version, next);
    UpdateManagedFields(def, version.schema, live.get(), next, ManagerInfoOf(engine, *this));
    return engine.PrepareUpdate(ctx, *this, current, std::move(next));
  }

  Result<> Conflict(bool on_own_key, int attempt) override {
    if (!on_own_key || (!had_version_ && attempt <= 6)) return {};
    return std::unexpected(ConflictError(target.def->group, target.def->resource, target.name, kModified));
  }

 private:
  Result<> CheckIdentity(const json::Value& next) const {
    const auto name = next.At({"metadata", "name"}).Str();
    if (name != target.name)
      return std::unexpected(BadRequestError(name.empty() ? NamelessText(target.name) : Cat("the name of the object (", name, ") does not match the name on the URL (", target.name, ")")));
    return {};
  }

  Result<Attempt> PrepareApply(Engine& engine, const Ctx& ctx, const ItemPtr& current) {
    const auto& def = *target.def;
    const auto& version = target.schema_version();
    // Kinds that an update may create are created by way of their status, too.
    const bool creates = target.subresource.empty() || (target.subresource == "status" && def.create_on_update);
    if (!current && !creates) return std::unexpected(NotFoundError(def.group, def.resource, target.name));
    std::vector<std::string> repeated;
    TRY(auto applied, ParseApply(body_, repeated));
    std::shared_ptr<const json::Value> live;
    if (current) {
      TRY(live, engine.SharedInVersion(*current, def, target.version));
    }
    const auto conflicts = options.force ? Conflicts::kForce : Conflicts::kFail;
    TRY(auto next, ServerSideApply(def, version.schema, live.get(), applied, ManagerInfoOf(engine, *this), conflicts));
    TRY_VOID(ReportRepeated(options.field_validation, repeated, warnings));
    TRY_VOID(CheckIdentity(next));
    ApplyDefaults(def, version, next);
    if (current) {
      const auto uid = applied.At({"metadata", "uid"}).Str();
      if (!uid.empty() && uid != current->uid()) return std::unexpected(ConflictError(def.group, def.resource, target.name, Cat("Precondition failed: UID in precondition: ", uid, ", UID in object meta: ", current->uid())));
      return engine.PrepareUpdate(ctx, *this, current, std::move(next));
    }
    if (const auto uid = applied.At({"metadata", "uid"}).Str(); !uid.empty())
      return std::unexpected(ConflictError(def.group, def.resource, target.name, Cat("uid mismatch: the provided object specified uid ", uid, ", and no existing object was found")));
    next.Set("metadata").Erase("resourceVersion");
    return engine.PrepareCreate(ctx, *this, std::move(next));
  }

  const PatchBody body_;
  bool had_version_ = false;
};

}  // namespace

std::unique_ptr<WriteOperation> NewCreate(Target target, json::Value object) { return std::make_unique<Create>(std::move(target), std::move(object)); }
std::unique_ptr<WriteOperation> NewCreate(Target target, json::Value object, std::function<json::Value()> again) {
  return std::make_unique<Create>(std::move(target), std::move(object), std::move(again));
}
std::unique_ptr<WriteOperation> NewUpdate(Target target, json::Value object) { return std::make_unique<Update>(std::move(target), std::move(object)); }
std::unique_ptr<WriteOperation> NewUpdate(Target target, json::Value object, std::function<json::Value()> again) {
  return std::make_unique<Update>(std::move(target), std::move(object), std::move(again));
}
std::unique_ptr<WriteOperation> NewPatch(Target target, PatchBody body) { return std::make_unique<Patch>(std::move(target), std::move(body)); }

}  // namespace skerry::kube
