#pragma once
#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/json/value.h"
#include "embedded-kube-shim/api/field_error.h"
#include "embedded-kube-shim/api/schema.h"

// What the API server knows about one resource: data, plus a Strategy where data cannot say it. Built-ins and custom resources are the
// same type on the same request path.
namespace skerry::kube {

struct GroupVersionResource {
  std::string group, version, resource;
  auto operator<=>(const GroupVersionResource&) const = default;
};
struct GroupVersionKind {
  std::string group, version, kind;
  auto operator<=>(const GroupVersionKind&) const = default;
  std::string api_version() const { return group.empty() ? version : group + "/" + version; }
};

enum class Scope : std::uint8_t { kCluster, kNamespaced };
enum class DefaultDeletion : std::uint8_t { kBackground, kOrphan, kUnsupported };   // when no propagation policy is asked for

struct Subresource {
  std::string name;                 // "status", "scale", "eviction", "exec"…
  std::string group, version, kind; // of its body: autoscaling/v1 Scale, policy/v1 Eviction; empty group and version = the resource's own
  std::vector<std::string> verbs;
};

// Paths into the object for a scale subresource, as in a CustomResourceDefinition (".spec.replicas").
struct ScalePaths {
  std::string spec_replicas, status_replicas, label_selector;
};

// A printed column whose cell is a path (custom resources); built-ins are printed by api/table.
struct PrinterColumn {
  std::string name, type, format, description, json_path;
  std::int32_t priority = 0;
};

struct Version {
  std::string name;
  bool served = true, storage = true;
  SchemaPtr schema = nullptr;        // of the kind's object
  std::shared_ptr<const void> owner; // keeps the schema of a custom resource alive
  std::vector<PrinterColumn> columns;
  std::vector<std::string> selectable_fields;   // ".spec.color"
  std::optional<ScalePaths> scale;
  bool status = false;               // custom resources: this version has the status subresource
  std::string deprecation_warning;   // empty = not deprecated
};

class Strategy;

// How objects of a custom resource come into another version when not by renaming alone: by asking a webhook. Thread-safe, may block.
class VersionConversion {
 public:
  virtual ~VersionConversion() = default;
  // All of them into `to` ("example.com/v2"), in order. The error is the answer to the request.
  virtual Result<std::vector<json::Value>> Convert(std::string_view to, std::vector<json::Value> objects) const = 0;
};

struct ResourceDef {
  std::string group, resource, singular, kind, list_kind;
  std::vector<std::string> short_names, categories;
  Scope scope = Scope::kNamespaced;
  std::vector<Version> versions;     // in priority order
  std::vector<std::string> verbs;    // create delete deletecollection get list patch update watch
  std::vector<Subresource> subresources;
  std::string storage_version_hash;
  std::int32_t group_priority = 0, version_priority = 0;   // discovery order

  bool status_subresource = false;   // status is wiped on create and split on update
  bool create_on_update = false;     // PUT creates
  bool unconditional_update = true;  // PUT without resourceVersion
  bool has_generation = false;       // generation 1 on create, bumped on a spec change
  bool graceful_deletion = false;    // pods
  DefaultDeletion default_deletion = DefaultDeletion::kBackground;
  bool custom = false;               // from a CustomResourceDefinition: no strategic merge, no protobuf
  bool terminating = false;          // its definition is being deleted: nothing new is created
  bool coerces_reads = false;        // objects in storage may be older than the schema: defaults and pruning apply when they are read
  std::shared_ptr<const VersionConversion> conversion;   // null = None: only apiVersion changes
  bool virtual_resource = false;     // answered without storage: reviews, bindings
  std::string storage_key;           // kinds sharing storage share this ("events"): "<group>/<resource>"

  std::shared_ptr<const Strategy> strategy;

  const Version* FindVersion(std::string_view name) const;
  const Version& StorageVersion() const;
  const Subresource* FindSubresource(std::string_view name) const;
  bool HasVerb(std::string_view verb) const;
  // Custom resources may have other subresources in each version.
  bool Serves(const Version& version, const Subresource& subresource) const;
  bool SplitsStatus(const Version& version) const { return custom ? version.status : status_subresource; }
  GroupVersionKind Kind(std::string_view version) const { return {group, std::string(version), kind}; }
};
using ResourcePtr = std::shared_ptr<const ResourceDef>;

// What a hook may ask of the world around one write. Valid during the call only.
class StrategyContext {
 public:
  virtual ~StrategyContext() = default;
  virtual std::shared_ptr<const json::Value> Lookup(std::string_view group, std::string_view resource, std::string_view ns, std::string_view name) const = 0;
  virtual std::string_view subresource() const = 0;      // empty = the object itself
  virtual std::string_view user() const = 0;
  virtual const std::vector<std::string>& groups() const = 0;
  virtual std::chrono::system_clock::time_point now() const = 0;
  virtual void AddWarning(std::string text) = 0;
};

// Behaviour that data cannot express; one small file per kind in embedded-kube-shim/apis. The base class does nothing.
// The one request path: decode -> default -> prune -> admission (mutating) -> Prepare -> validate (constraint table, then Validate) ->
// admission (validating) -> Canonicalize -> store.
class Strategy {
 public:
  virtual ~Strategy() = default;
  // Defaults that the schema cannot say. Idempotent; `object` need not be canonical afterwards.
  virtual void Default(const Version&, json::Value& /*object*/) const {}
  // The rules of the kind, metadata included (codec.h: Validate). Runs without a StrategyContext: pure functions of the objects.
  virtual void ValidateRules(const ResourceDef&, const Version&, std::string_view /*subresource*/, const json::Value& /*object*/, const json::Value* /*old*/, FieldErrors&) const {}
  virtual void PrepareForCreate(StrategyContext&, json::Value& /*object*/) const {}
  virtual void PrepareForUpdate(StrategyContext&, json::Value& /*object*/, const json::Value& /*old*/) const {}
  virtual void Validate(StrategyContext&, const json::Value& /*object*/, const json::Value* /*old*/, FieldErrors&) const {}
  // What to tell the client about an object that is valid. Runs between validation and Canonicalize.
  virtual void Warn(const ResourceDef&, std::string_view /*subresource*/, const json::Value& /*object*/, const json::Value* /*old*/, std::vector<std::string>& /*warnings*/) const {}
  virtual void Canonicalize(json::Value& /*object*/) const {}
};

// The set of served resources. Look-ups take a snapshot and never block; a change bumps `generation`, from which discovery and OpenAPI
// derive their hashes.
class Registry {
 public:
  using Snapshot = std::shared_ptr<const std::vector<ResourcePtr>>;   // sorted by group priority, then name
  virtual ~Registry() = default;
  virtual Snapshot All() const = 0;
  virtual ResourcePtr Find(std::string_view group, std::string_view version, std::string_view resource) const = 0;
  virtual ResourcePtr FindKind(std::string_view group, std::string_view version, std::string_view kind) const = 0;
  virtual void Publish(ResourceDef def) = 0;              // replaces one of the same group and resource
  virtual void Withdraw(std::string_view group, std::string_view resource) = 0;
  virtual std::uint64_t generation() const = 0;
  virtual void OnChange(std::function<void()> notify) = 0;
};
std::unique_ptr<Registry> NewRegistry();

}  // namespace skerry::kube
