#include "core/base/strings.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/patch.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/server/conversion.h"
#include "embedded-kube-shim/server/engine.h"
#include "embedded-kube-shim/server/write_steps.h"

// Create and update: the steps between a decoded object and a batch.
namespace skerry::kube {
namespace {

class Context final : public StrategyContext {
 public:
  Context(const Engine& engine, WriteOperation& op) : engine_(engine), op_(op) {}
  std::shared_ptr<const json::Value> Lookup(std::string_view group, std::string_view resource, std::string_view ns, std::string_view name) const override {
    return engine_.Lookup(group, resource, ns, name);
  }
  std::string_view subresource() const override { return op_.target.subresource; }
  std::string_view user() const override { return op_.caller.user.name; }
  const std::vector<std::string>& groups() const override { return op_.caller.user.groups; }
  std::chrono::system_clock::time_point now() const override { return engine_.now(); }
  void AddWarning(std::string text) override { op_.warnings.push_back(std::move(text)); }

 private:
  const Engine& engine_;
  WriteOperation& op_;
};

Result<> CheckValid(const Engine& engine, WriteOperation& op, const json::Value& object, const json::Value* old) {
  const auto& target = op.target;
  const auto& def = *target.def;
  Context context(engine, op);
  FieldErrors errors;
  Validate(def, target.schema_version(), target.subresource, object, old, errors);
  if (def.strategy) def.strategy->Validate(context, object, old, errors);
  if (errors.empty()) {
    if (def.strategy) def.strategy->Warn(def, target.subresource, object, old, op.warnings);
    return {};
  }
  const auto name = object.At({"metadata", "name"}).Str();
  if (def.custom) return std::unexpected(InvalidError(def.group, object["kind"].Str(), name, errors));   // the kind as sent
  return std::unexpected(InvalidObjectError(def, name, errors));
}

void FillNewMetadata(const Engine& engine, const WriteOperation& op, json::Value& object) {
  auto& metadata = object.Set("metadata");
  metadata.Erase("selfLink");
  metadata.Set("creationTimestamp") = FormatTime(engine.now());
  metadata.Set("uid") = NewUuid(engine.random());
  // What is named after an address has no room for more.
  const bool generates = op.target.def->resource != "ipaddresses" || op.target.def->custom;
  if (metadata["name"].Str().empty() && !metadata["generateName"].Str().empty() && !generates) metadata.Set("name") = metadata["generateName"].Clone();
  else if (metadata["name"].Str().empty() && !metadata["generateName"].Str().empty())
    metadata.Set("name") = Cat(metadata["generateName"].Str().substr(0, 58), NameSuffix(5, engine.random()));
  if (op.target.def->has_generation) metadata.Set("generation") = 1;
}

}  // namespace

std::string ManagerOf(const WriteOperation& op) {
  if (!op.options.field_manager.empty()) return op.options.field_manager;
  const std::string_view agent = op.caller.user_agent;
  return std::string(agent.substr(0, agent.find('/'))).substr(0, 128);
}

ManagerInfo ManagerInfoOf(const Engine& engine, const WriteOperation& op) {
  ManagerInfo info{ManagerOf(op), op.target.gvk().api_version(), op.target.subresource, engine.now(), op.resets_managed_fields, {}};
  const auto def = op.target.def;
  info.convert = [def](const json::Value& object, std::string_view api_version) -> std::optional<json::Value> {
      const auto slash = api_version.find('/');
      const auto group = slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
      const auto version = slash == std::string_view::npos ? api_version : api_version.substr(slash + 1);
      if (group != def->group || !def->FindVersion(version)) return std::nullopt;
      auto converted = object.Clone();
      if (def->custom && !def->conversion) {   // as it is: what the other version does not know is an error to whoever compares
        converted.Set("apiVersion") = api_version;
        return converted;
      }
      if (!ConvertObject(*def, object["apiVersion"].Str(), api_version, converted)) return std::nullopt;
      return converted;
    };
  return info;
}

Result<> PlaceInNamespace(const Target& target, json::Value& object) {
  auto& metadata = object.Set("metadata");
  const auto given = std::string(metadata["namespace"].Str());
  if (given == target.ns) {
    if (given.empty()) metadata.Erase("namespace");
    return {};
  }
  if (!given.empty() && !target.ns.empty())
    return std::unexpected(BadRequestError("the namespace of the provided object does not match the namespace sent on the request"));
  if (target.ns.empty()) metadata.Erase("namespace");
  else metadata.Set("namespace") = target.ns;
  return {};
}

// The query of the request as the object that its verb has for it.
json::Value OptionsOf(const WriteOperation& op, Operation operation) {
  auto out = json::Value::Object();
  out.Set("kind") = operation == Operation::kCreate ? "CreateOptions" : operation == Operation::kDelete ? "DeleteOptions" : "UpdateOptions";
  out.Set("apiVersion") = "meta.k8s.io/v1";
  if (op.options.dry_run) out.Set("dryRun").Append("All");
  if (!op.options.field_manager.empty() && operation != Operation::kDelete) out.Set("fieldManager") = op.options.field_manager;
  return out;
}

AdmissionRequest AdmissionFor(WriteOperation& op, Operation operation, json::Value* object, const json::Value* old, store::Batch& batch) {
  const auto& target = op.target;
  op.admission_options = OptionsOf(op, operation);
  return AdmissionRequest{*target.def, target.version, target.subresource, target.ns, target.name, operation, object, old, &op.admission_options, op.caller.user, op.options.dry_run, op.warnings, batch, op.caller.audit.get()};
}

Result<Attempt> Engine::PrepareCreate(const Ctx& ctx, WriteOperation& op, json::Value object) {
  const auto& target = op.target;
  const auto& def = *target.def;
  const auto& version = target.schema_version();
  Context context(*this, op);
  Attempt attempt;
  TRY_VOID(PlaceInNamespace(target, object));
  auto admission = AdmissionFor(op, Operation::kCreate, &object, nullptr, attempt.batch);
  TRY_VOID(chain_.Mutate(ctx, admission, *this));
  FillNewMetadata(*this, op, object);
  // A node comes with what its agent knows of it.
  const bool keeps_status = def.group.empty() && def.resource == "nodes";
  if (def.SplitsStatus(version) && !keeps_status) object.Erase("status");
  DropDisabledFields(def, object, nullptr);
  if (def.strategy) def.strategy->PrepareForCreate(context, object);
  TRY_VOID(BeginCreate(*this, op, object, attempt));
  TRY_VOID(CheckValid(*this, op, object, nullptr));
  if (def.strategy) def.strategy->Canonicalize(object);
  Canonicalize(version.schema, object);
  TRY_VOID(chain_.Validate(ctx, admission, *this));
  const bool has_version = !object.At({"metadata", "resourceVersion"}).Str().empty();
  if (has_version && !op.options.dry_run)
    return std::unexpected(PlainInternalError("resourceVersion should not be set on objects to be created"));
  const std::string name(object.At({"metadata", "name"}).Str());
  attempt.key = StorageKey(def, target.ns, name);
  attempt.answer.created = true;
  if (has_version) attempt.answer.answer = object.Clone();   // shown as it was sent
  // Of what has a specification somebody is waiting to look at it.
  const bool looked_at = def.has_generation && !op.options.dry_run;
  TRY(attempt.value, Encode(target, std::move(object), looked_at ? &attempt.parsed : nullptr));
  if (op.options.dry_run) {
    const auto below = attempt.key.substr(StoragePrefix(def).size());
    if (caches_.For(def).Get(below)) return std::unexpected(AlreadyExistsError(def.group, def.resource, name));
    attempt.batch = {};
    attempt.answer.item = std::make_shared<const Item>(below, store::Entry{attempt.key, *attempt.value, 0, 0});
    return attempt;
  }
  attempt.key_expect = attempt.batch.expects.size();
  attempt.batch.expects.push_back({attempt.key, 0});
  attempt.batch.ops.push_back({attempt.key, attempt.value});
  op.target.name = name;   // what Conflict speaks of
  return attempt;
}

Result<> CheckVersionPrecondition(const Target& target, const Item& current, const json::Value& next) {
  const auto& def = *target.def;
  const auto given = next.At({"metadata", "resourceVersion"}).Str();
  if (given.empty() || given == "0") {
    if (def.unconditional_update) return {};
    FieldErrors errors;
    errors.push_back({FieldErrorType::kInvalid, "metadata.resourceVersion", "0", "must be specified for an update"});
    return std::unexpected(InvalidError(def.group, def.resource, target.name, errors));
  }
  if (given.find_first_not_of("0123456789") != given.npos) return std::unexpected(PlainInternalError(Cat("strconv.ParseUint: parsing ", Quote(given), ": invalid syntax")));
  if (given == std::to_string(current.modified)) return {};
  return std::unexpected(ConflictError(def.group, def.resource, target.name, "the object has been modified; please apply your changes to the latest version and try again"));
}

// What an update never changes, whatever the body says.
void KeepSystemMetadata(const json::Value& old, json::Value& next) {
  auto& metadata = next.Set("metadata");
  const auto& before = old["metadata"];
  for (const std::string_view member : {"deletionTimestamp", "deletionGracePeriodSeconds"}) {
    if (metadata.Find(member)) continue;
    if (const auto* value = before.Find(member)) metadata.Set(member) = value->Clone();
  }
  if (const auto* generation = before.Find("generation")) metadata.Set("generation") = generation->Clone();
  else metadata.Erase("generation");
  if (metadata["uid"].Str().empty()) metadata.Set("uid") = before["uid"].Clone();
  if (!before["creationTimestamp"].is_null()) metadata.Set("creationTimestamp") = before["creationTimestamp"].Clone();
  metadata.Erase("selfLink");
}

Result<Attempt> Engine::PrepareUpdate(const Ctx& ctx, WriteOperation& op, const ItemPtr& current, json::Value next) {
  const auto& target = op.target;
  const auto& def = *target.def;
  const auto& version = target.schema_version();
  Context context(*this, op);
  TRY(const auto stored, SharedInVersion(*current, def, target.version));
  const json::Value& old = *stored;
  Attempt attempt;
  TRY_VOID(PlaceInNamespace(target, next));
  auto admission = AdmissionFor(op, Operation::kUpdate, &next, &old, attempt.batch);
  TRY_VOID(chain_.Mutate(ctx, admission, *this));
  TRY_VOID(CheckVersionPrecondition(target, *current, next));
  next.Set("metadata").Set("resourceVersion") = std::to_string(current->modified);
  TRY_VOID(BeginUpdate(*this, op, next, old, attempt));
  KeepSystemMetadata(old, next);
  SplitStatus(target, old, next);
  DropDisabledFields(def, next, &old);
  if (def.strategy) def.strategy->PrepareForUpdate(context, next, old);
  BumpGeneration(target, old, next);
  TRY_VOID(CheckValid(*this, op, next, &old));
  if (def.strategy) def.strategy->Canonicalize(next);
  Canonicalize(version.schema, next);
  TRY_VOID(chain_.Validate(ctx, admission, *this));
  KeepManagedFieldTimes(old, next);
  attempt.key = StorageKey(def, target.ns, target.name);
  attempt.created = current->created;
  const bool gone = IsFinallyDeleted(def, next);
  TRY(attempt.value, Encode(target, std::move(next), op.options.dry_run || gone ? nullptr : &attempt.parsed));
  if (op.options.dry_run || gone) attempt.answer.item = std::make_shared<const Item>(current->key(), store::Entry{attempt.key, *attempt.value, current->created, current->modified});
  if (op.options.dry_run) {
    attempt.batch = {};
    return attempt;
  }
  attempt.key_expect = attempt.batch.expects.size();
  attempt.batch.expects.push_back({attempt.key, current->modified});
  if (gone) {
    attempt.batch.ops.push_back({attempt.key, std::nullopt});
    BeginDelete(*this, op, old, attempt);
  } else {
    attempt.batch.ops.push_back({attempt.key, attempt.value});
  }
  return attempt;
}

}  // namespace skerry::kube
