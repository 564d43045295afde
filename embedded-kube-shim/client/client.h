#pragma once
#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/context.h"
#include "core/base/result.h"
#include "core/json/value.h"

// How controllers, scheduler and node agent see the API: a client that runs the whole chain (RBAC, admission, field manager) with its own
// identity, and listers over the process's caches. In process it is LocalClient (embedded-kube-shim/server); over the wire RemoteClient.
namespace skerry::kube {

struct Key {
  std::string ns, name;
  auto operator<=>(const Key&) const = default;
};
using ObjectPtr = std::shared_ptr<const json::Value>;   // shared, immutable: Clone() before changing. Null = absent.

// A resource as "v1/pods", "apps/v1/deployments".
using Resource = std::string_view;

enum class PatchType : std::uint8_t { kJson, kMerge, kStrategic, kApply };
enum class Propagation : std::uint8_t { kDefault, kForeground, kBackground, kOrphan };
struct DeleteOptions {
  std::string uid, resource_version;                  // preconditions; empty = none
  std::optional<std::int64_t> grace_seconds;
  Propagation propagation = Propagation::kDefault;
};

// Thread-safe. Errors carry the server's Status (embedded-kube-shim/api/status.h). A write that changes nothing commits nothing and
// returns the current object.
class Client {
 public:
  virtual ~Client() = default;
  virtual Result<ObjectPtr> Get(const Ctx&, Resource, const Key&) = 0;   // also "apps/v1/deployments/scale": the object's Scale
  virtual Result<std::vector<ObjectPtr>> List(const Ctx&, Resource, std::string_view ns, std::string_view label_selector = {}) = 0;   // ns empty = all
  virtual Result<ObjectPtr> Create(const Ctx&, Resource, json::Value object, std::string_view subresource = {}) = 0;   // namespace and name from metadata
  // Each of them on its own, in order; the answers in the same order. For many at a time: nobody waits for one before the next is begun, and
  // what can be is committed together.
  virtual std::vector<Result<ObjectPtr>> CreateAll(const Ctx& ctx, Resource resource, std::vector<json::Value> objects, std::string_view subresource = {}) {
    std::vector<Result<ObjectPtr>> out;
    for (json::Value& object : objects) out.push_back(Create(ctx, resource, std::move(object), subresource));
    return out;
  }
  virtual Result<ObjectPtr> Update(const Ctx&, Resource, json::Value object, std::string_view subresource = {}) = 0;
  virtual Result<ObjectPtr> Patch(const Ctx&, Resource, const Key&, PatchType, json::Value patch, std::string_view subresource = {}) = 0;
  virtual Result<> Delete(const Ctx&, Resource, const Key&, const DeleteOptions& = {}) = 0;
};

// A consistent, never backwards view of one resource. Thread-safe; reads never block on the network or disk.
class Lister {
 public:
  virtual ~Lister() = default;
  virtual ObjectPtr Get(const Key&) const = 0;
  virtual std::vector<ObjectPtr> List(std::string_view ns = {}) const = 0;   // ns empty = all
  // Objects whose controller owner reference has this uid.
  virtual std::vector<ObjectPtr> OwnedBy(std::string_view uid) const = 0;
  // Objects of the namespace whose labels match a label selector in text form ("a=b,c in (d)"); invalid selectors match nothing.
  virtual std::vector<ObjectPtr> Matching(std::string_view ns, std::string_view label_selector) const = 0;
  // Pods only: objects with spec.nodeName == node.
  virtual std::vector<ObjectPtr> OnNode(std::string_view node) const = 0;
  // How many there are in all namespaces.
  virtual std::size_t Size() const { return List().size(); }
  // Objects of the namespace (empty = of all) without a controller owner reference. May be far cheaper than List.
  virtual std::vector<ObjectPtr> Uncontrolled(std::string_view ns = {}) const {
    std::vector<ObjectPtr> out;
    for (ObjectPtr& object : List(ns)) {
      bool controlled = false;
      for (const json::Value& ref : (*object)["metadata"]["ownerReferences"].Items()) controlled |= ref["controller"].Bool();
      if (!controlled) out.push_back(std::move(object));
    }
    return out;
  }
};

struct Notification {
  enum class Type : std::uint8_t { kAdded, kModified, kDeleted } type;
  ObjectPtr object;      // kDeleted: the last state
  ObjectPtr previous;    // kModified, when it is at hand; else null
};

// Caches for whoever runs in this process (or of a RemoteClient's watches).
class Informers {
 public:
  virtual ~Informers() = default;
  virtual const Lister& Get(Resource) = 0;            // creates the cache on first use; lives as long as Informers
  // Calls back for every object there is and then for every change, in order, on one delivery thread (never the commit thread): must
  // only enqueue. The returned handle unsubscribes when destroyed; no call runs afterwards.
  virtual std::shared_ptr<void> Subscribe(Resource, std::function<void(const Notification&)> callback) = 0;
  virtual bool HasSynced() const = 0;
};

}  // namespace skerry::kube
