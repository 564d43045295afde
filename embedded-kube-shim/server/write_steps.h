#pragma once
#include "embedded-kube-shim/api/patch.h"
#include "embedded-kube-shim/server/engine.h"

// Steps that the operations of the engine share.
namespace skerry::kube {

// A create whose object is made again should it have to be tried again; then nobody keeps a copy meanwhile.
std::unique_ptr<WriteOperation> NewCreate(Target target, json::Value object, std::function<json::Value()> again);
std::unique_ptr<WriteOperation> NewUpdate(Target target, json::Value object, std::function<json::Value()> again);

std::string ManagerOf(const WriteOperation& op);
ManagerInfo ManagerInfoOf(const Engine& engine, const WriteOperation& op);
// Fills metadata.namespace from the URL; 400 when they differ.
Result<> PlaceInNamespace(const Target& target, json::Value& object);
// Why an update of another object of this name fails, in upstream's words (its storage names some kinds differently).
std::string UidMismatch(const Target& target, std::string_view wanted, std::string_view found, bool dry_run);
// Why a body without a name is refused where the URL has one.
std::string NamelessText(std::string_view name);
AdmissionRequest AdmissionFor(WriteOperation& op, Operation operation, json::Value* object, const json::Value* old, store::Batch& batch);
// 409 when the body names another resourceVersion, 422 when it must name one.
Result<> CheckVersionPrecondition(const Target& target, const Item& current, const json::Value& next);
// The object keeps the part that the other endpoint writes: status on the main resource, everything else on /status.
void SplitStatus(const Target& target, const json::Value& old, json::Value& next);
// Fields of features that are off do not get in; who sent them has been recorded by then. `old` is null on create.
void DropDisabledFields(const ResourceDef& def, json::Value& object, const json::Value* old);
// generation + 1 when what the kind counts has changed.
void BumpGeneration(const Target& target, const json::Value& old, json::Value& next);
// Marked for deletion, no grace left and no finalizer: this update removes it.
bool IsFinallyDeleted(const ResourceDef& def, const json::Value& object);
// Allocations that commit with the object (cluster addresses and node ports of Services).
Result<> BeginCreate(Engine& engine, WriteOperation& op, json::Value& object, Attempt& attempt);
Result<> BeginUpdate(Engine& engine, WriteOperation& op, json::Value& next, const json::Value& old, Attempt& attempt);
void BeginDelete(Engine& engine, WriteOperation& op, const json::Value& old, Attempt& attempt);

}  // namespace skerry::kube
