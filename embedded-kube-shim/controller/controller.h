#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/component.h"
#include "core/base/random.h"
#include "embedded-kube-shim/client/client.h"

// The one shape of a controller: notifications -> queue of keys -> Reconcile. Level-triggered: a request is a name, never an event.
namespace skerry::kube {

struct Outcome {
  std::optional<std::chrono::milliseconds> requeue_after;
};

// Called for one key at a time (never twice concurrently for the same key). An error is retried with exponential backoff per key
// (5 ms … 1000 s as client-go's); kInvalid and kForbidden wait for the next change of the object.
class Reconciler {
 public:
  virtual ~Reconciler() = default;
  virtual Result<Outcome> Reconcile(const Ctx&, const Key&) = 0;
};

struct Trigger {
  std::string resource;                                                    // "apps/v1/replicasets"
  std::function<std::vector<Key>(const Notification&)> map;                // empty = the object's own key
};
// Maps an owned object to its controlling owner of this kind.
std::function<std::vector<Key>(const Notification&)> OwnerOf(std::string group, std::string kind);

struct ControllerSpec {
  std::string name;                  // "deployment-controller": metrics, field manager, events
  std::vector<Trigger> triggers;
  int workers = 1;
  std::unique_ptr<Reconciler> reconciler;
};

// Runs controllers over one Informers. Add before Start.
class Manager : public Component {
 public:
  virtual void Add(ControllerSpec spec) = 0;
  virtual void Enqueue(std::string_view controller, Key key) = 0;
  // True when no key is queued or being reconciled and no notification is undelivered; timers do not count. For tests.
  virtual bool Idle() const = 0;
};
std::unique_ptr<Manager> NewManager(Informers& informers, const Clock& clock, Random& random);

// Event recording (core/v1 Event; correlated: repeats raise count). Never fails and never blocks on the API: a bounded queue, oldest dropped.
class EventRecorder {
 public:
  virtual ~EventRecorder() = default;
  virtual void Event(const json::Value& involved, std::string_view type /* Normal, Warning */, std::string_view reason, std::string message) = 0;
};
std::unique_ptr<EventRecorder> NewEventRecorder(Client& client, std::string component, std::string host, const Clock& clock);

}  // namespace skerry::kube
