#include "embedded-kube-shim/server/delete.h"

#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/server/custom_resources.h"
#include "embedded-kube-shim/server/write_steps.h"

// Deletion of every kind is one table over what the object and the request say:
//
//   grace left (pods)   finalizers (after the policy added its own)   outcome
//   already counting    any                                           only a shorter grace is written; else answered as it is
//   > 0                 any                                           deletionTimestamp = now + grace; stays
//   0 / not graceful    some                                          deletionTimestamp = now, grace 0; stays until they are gone
//   0 / not graceful    none                                          removed
//
// Namespaces go to Terminating first and are removed when spec.finalizers is empty, too.
namespace skerry::kube {
namespace {

constexpr std::string_view kOrphan = "orphan", kForeground = "foregroundDeletion";

// Kinds whose deletion is answered with the object instead of a Status.
bool AnswersWithObject(const ResourceDef& def) {
  if (def.group == "storage.k8s.io") return def.resource != "csistoragecapacities";
  if (def.group == "resource.k8s.io") return true;
  if (!def.group.empty()) return false;
  for (const std::string_view resource : {"pods", "persistentvolumes", "persistentvolumeclaims", "podtemplates", "resourcequotas", "serviceaccounts", "services"})
    if (def.resource == resource) return true;
  return false;
}

class Delete final : public WriteOperation {
 public:
  Delete(Target t, ServerDeleteOptions requested) : WriteOperation(std::move(t)), delete_(std::move(requested)) {}

  Result<Attempt> Prepare(Engine& engine, const Ctx& ctx, const ItemPtr& current) override {
    const auto& def = *target.def;
    if (def.group == "batch" && def.resource == "jobs" && !delete_.propagation && !delete_.orphan_dependents)
      warnings.push_back("child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning");
    if (!current) return std::unexpected(NotFoundError(def.group, def.resource, target.name));
    Attempt attempt;
    attempt.key = StorageKey(def, target.ns, target.name);
    attempt.created = current->created;
    TRY(const auto old, engine.InVersion(*current, def, target.version));
    auto object = old.Clone();
    auto admission = AdmissionFor(*this, Operation::kDelete, nullptr, &old, attempt.batch);
    TRY_VOID(engine.admission().Mutate(ctx, admission, engine));
    TRY_VOID(CheckPreconditions(*current));
    TRY_VOID(engine.admission().Validate(ctx, admission, engine));
    const bool definition = def.group == "apiextensions.k8s.io" && def.resource == "customresourcedefinitions";
    const auto fate = def.group.empty() && def.resource == "namespaces" ? DecideNamespace(engine, object) : definition ? DecideDefinition(engine, object) : Decide(engine, object);
    attempt.key_expect = attempt.batch.expects.size();
    attempt.batch.expects.push_back({attempt.key, current->modified});
    if (fate == Fate::kUnchanged) {
      attempt.batch = {};
      attempt.answer.item = current;
      return attempt;
    }
    if (fate == Fate::kUpdate) {
      if (delete_.status_condition) SetStatusCondition(object);
      Canonicalize(target.schema_version().schema, object);
      TRY(attempt.value, engine.Encode(target, std::move(object)));
      if (options.dry_run) {
        attempt.batch = {};
        attempt.answer.item = std::make_shared<const Item>(current->key(), store::Entry{attempt.key, *attempt.value, current->created, current->modified});
        return attempt;
      }
      attempt.batch.ops.push_back({attempt.key, attempt.value});
      return attempt;
    }
    attempt.answer.as_status = !AnswersWithObject(def);
    attempt.answer.item = LastState(engine, current, std::move(object));
    if (options.dry_run) attempt.batch = {};
    else BeginDelete(engine, *this, old, attempt);
    if (!options.dry_run) attempt.batch.ops.push_back({attempt.key, std::nullopt});
    return attempt;
  }

  Result<> Conflict(bool, int) override { return {}; }

 private:
  enum class Fate : std::uint8_t { kUnchanged, kUpdate, kRemove };

  Result<> CheckPreconditions(const Item& current) const {
    const auto& def = *target.def;
    const bool ns = def.group.empty() && def.resource == "namespaces";
    if (delete_.uid && *delete_.uid != current.uid()) {
      if (ns) return std::unexpected(ConflictError("", "namespaces", target.name, Cat("Precondition failed: UID in precondition: ", *delete_.uid, ", UID in object meta: ", current.uid())));
      return std::unexpected(ConflictError(def.group, def.kind, target.name,
                                           Cat("the UID in the precondition (", *delete_.uid, ") does not match the UID in record (", current.uid(),
                                               "). The object might have been deleted and then recreated")));
    }
    const auto revision = std::to_string(current.modified);
    if (delete_.resource_version && *delete_.resource_version != revision) {
      if (ns) return std::unexpected(ConflictError("", "namespaces", target.name, Cat("Precondition failed: ResourceVersion in precondition: ", *delete_.resource_version, ", ResourceVersion in object meta: ", revision)));
      return std::unexpected(ConflictError(def.group, def.kind, target.name,
                                           Cat("the ResourceVersion in the precondition (", *delete_.resource_version, ") does not match the ResourceVersion in record (", revision,
                                               "). The object might have been modified")));
    }
    return {};
  }

  void SetStatusCondition(json::Value& object) const {
    auto& conditions = object.Set("status").Set("conditions").MutableItems();
    std::erase_if(conditions, [&](const json::Value& c) { return c["type"].Str() == (*delete_.status_condition)["type"].Str(); });
    conditions.push_back(delete_.status_condition->Clone());
  }

  bool Orphans(const json::Value& metadata) const {
    if (target.def->default_deletion == DefaultDeletion::kUnsupported) return false;
    if (delete_.orphan_dependents) return *delete_.orphan_dependents;
    if (delete_.propagation) return *delete_.propagation == "Orphan";
    for (const auto& finalizer : metadata["finalizers"].Items()) {
      if (finalizer.Str() == kOrphan) return true;
      if (finalizer.Str() == kForeground) return false;
    }
    return target.def->default_deletion == DefaultDeletion::kOrphan;
  }

  bool WaitsForDependents(const json::Value& metadata) const {
    if (target.def->default_deletion == DefaultDeletion::kUnsupported || delete_.orphan_dependents) return false;
    if (delete_.propagation) return *delete_.propagation == "Foreground";
    for (const auto& finalizer : metadata["finalizers"].Items()) {
      if (finalizer.Str() == kForeground) return true;
      if (finalizer.Str() == kOrphan) return false;
    }
    return false;
  }

  // True when the finalizers of the garbage collector changed.
  bool SetPolicyFinalizers(json::Value& metadata) const {
    const bool orphans = Orphans(metadata), foreground = WaitsForDependents(metadata);
    bool had_orphan = false, had_foreground = false;
    auto kept = json::Value::Array();
    for (const auto& finalizer : metadata["finalizers"].Items()) {
      if (finalizer.Str() == kOrphan) had_orphan = true;
      else if (finalizer.Str() == kForeground) had_foreground = true;
      else kept.Append(finalizer.Clone());
    }
    if (orphans == had_orphan && foreground == had_foreground) return false;
    if (orphans) kept.Append(json::Value(kOrphan));
    if (foreground) kept.Append(json::Value(kForeground));
    if (kept.size() == 0) metadata.Erase("finalizers");
    else metadata.Set("finalizers") = std::move(kept);
    return true;
  }

  static void BumpOnMark(json::Value& metadata) {
    if (metadata["generation"].Int() > 0) metadata.Set("generation") = metadata["generation"].Int() + 1;
  }

  // What a graceful kind grants before it goes.
  std::int64_t GraceOf(const json::Value& object) const {
    std::int64_t grace = delete_.grace_seconds ? *delete_.grace_seconds : object.At({"spec", "terminationGracePeriodSeconds"}).Int();
    const auto phase = object.At({"status", "phase"}).Str();
    if (object.At({"spec", "nodeName"}).Str().empty() || phase == "Failed" || phase == "Succeeded") return 0;
    return grace < 0 ? 1 : grace;
  }

  Fate Decide(const Engine& engine, json::Value& object) const {
    auto& metadata = object.Set("metadata");
    const bool marked = !metadata["deletionTimestamp"].Str().empty();
    if (target.def->graceful_deletion) {
      if (marked && metadata.Find("deletionGracePeriodSeconds")) {
        const auto granted = metadata["deletionGracePeriodSeconds"].Int();
        if (!delete_.grace_seconds || *delete_.grace_seconds >= granted) return Fate::kUnchanged;
        const auto grace = std::max<std::int64_t>(*delete_.grace_seconds, 0);
        if (const auto due = ParseTime(metadata["deletionTimestamp"].Str()))
          metadata.Set("deletionTimestamp") = FormatTime(*due - std::chrono::seconds(granted) + std::chrono::seconds(grace));
        metadata.Set("deletionGracePeriodSeconds") = grace;
        SetPolicyFinalizers(metadata);
        return grace > 0 || metadata["finalizers"].size() > 0 ? Fate::kUpdate : Fate::kRemove;
      }
      if (!marked) {
        const auto grace = GraceOf(object);
        metadata.Set("deletionTimestamp") = FormatTime(engine.now() + std::chrono::seconds(grace));
        metadata.Set("deletionGracePeriodSeconds") = grace;
        BumpOnMark(metadata);
        SetPolicyFinalizers(metadata);
        return grace > 0 || metadata["finalizers"].size() > 0 ? Fate::kUpdate : Fate::kRemove;
      }
    }
    const bool changed = SetPolicyFinalizers(metadata);
    if (metadata["finalizers"].size() == 0) return Fate::kRemove;
    if (marked && metadata.Find("deletionGracePeriodSeconds") && metadata["deletionGracePeriodSeconds"].Int() == 0) return changed ? Fate::kUpdate : Fate::kUnchanged;
    if (!marked) {
      metadata.Set("deletionTimestamp") = FormatTime(engine.now());
      BumpOnMark(metadata);
    }
    metadata.Set("deletionGracePeriodSeconds") = 0;
    return Fate::kUpdate;
  }

  Fate DecideNamespace(const Engine& engine, json::Value& object) const {
    auto& metadata = object.Set("metadata");
    if (metadata["deletionTimestamp"].Str().empty()) {
      metadata.Set("deletionTimestamp") = FormatTime(engine.now());
      object.Set("status").Set("phase") = "Terminating";
      if (delete_.orphan_dependents || delete_.propagation) SetPolicyFinalizers(metadata);
      return Fate::kUpdate;
    }
    if (object.At({"spec", "finalizers"}).size() > 0) return Fate::kUnchanged;
    return Decide(engine, object);
  }

  // A definition stays until its objects are gone.
  Fate DecideDefinition(const Engine& engine, json::Value& object) const {
    auto& metadata = object.Set("metadata");
    if (!metadata["deletionTimestamp"].Str().empty()) return Decide(engine, object);
    metadata.Set("deletionTimestamp") = FormatTime(engine.now());
    bool known = false;
    for (const auto& finalizer : metadata["finalizers"].Items()) known |= finalizer.Str() == kCustomResourceCleanup;
    if (!known) metadata.Set("finalizers").Append(json::Value(kCustomResourceCleanup));
    SetCondition(object.Set("status"), {"Terminating", "True", "InstanceDeletionPending", "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"},
                 FormatTime(engine.now()));
    return Fate::kUpdate;
  }

  // The answer of a removal shows the object as it was marked; its revision is that of the last write.
  ItemPtr LastState(const Engine& engine, const ItemPtr& current, json::Value object) const {
    if (!target.def->graceful_deletion) return current;
    Canonicalize(target.schema_version().schema, object);
    auto shown = engine.Encode(target, std::move(object));
    if (!shown) return current;
    return std::make_shared<const Item>(current->key(), store::Entry{StorageKey(*target.def, target.ns, target.name), std::move(*shown), current->created, current->modified});
  }

  const ServerDeleteOptions delete_;
};

}  // namespace

Result<> ValidateDeleteOptions(const ServerDeleteOptions& options) {
  FieldErrors errors;
  const auto& propagation = options.propagation;
  if (propagation && options.orphan_dependents)
    errors.push_back({FieldErrorType::kInvalid, "propagationPolicy", Quote(*propagation), "orphanDependents and deletionPropagation cannot be both set"});
  if (propagation && *propagation != "Foreground" && *propagation != "Background" && *propagation != "Orphan")
    errors.push_back({FieldErrorType::kNotSupported, "propagationPolicy", Quote(*propagation), "supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""});
  const bool known = std::ranges::all_of(options.dry_run, [](const std::string& value) { return value == "All"; });
  if (!known) {
    auto shown = json::Value::Array();
    for (const auto& value : options.dry_run) shown.Append(value);
    errors.push_back({FieldErrorType::kNotSupported, "dryRun", shown.Dump(), "supported values: \"All\""});
  }
  if (errors.empty()) return {};
  return std::unexpected(InvalidError("meta.k8s.io", "DeleteOptions", "", errors));
}

ServerDeleteOptions FromClient(const DeleteOptions& options) {
  ServerDeleteOptions out;
  out.grace_seconds = options.grace_seconds;
  if (!options.uid.empty()) out.uid = options.uid;
  if (!options.resource_version.empty()) out.resource_version = options.resource_version;
  switch (options.propagation) {
    case Propagation::kForeground: out.propagation = "Foreground"; break;
    case Propagation::kBackground: out.propagation = "Background"; break;
    case Propagation::kOrphan: out.propagation = "Orphan"; break;
    case Propagation::kDefault: break;
  }
  return out;
}

std::unique_ptr<WriteOperation> NewServerDelete(Target target, ServerDeleteOptions options) {
  return std::make_unique<Delete>(std::move(target), std::move(options));
}

std::unique_ptr<WriteOperation> NewDelete(Target target, DeleteOptions options) { return NewServerDelete(std::move(target), FromClient(options)); }

}  // namespace skerry::kube
