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
#include "embedded-kube-shim/client/change.h"

// The one shape of a controller: notifications -> queue of keys -> Reconcile. Level-triggered: a request is a name, never an event.
namespace skerry::kube {

struct Outcome {
  std::optional<std::chrono::milliseconds> requeue_after;
};

// Called for one key at a time (never twice concurrently). Every error, a refusal too, is retried with exponential backoff per key (5 ms
// doubling to 1000 s, kInvalid from 30 s on), or at once when something changes: a quota that is raised tells nobody.
class Reconciler {
 public:
  virtual ~Reconciler() = default;
  virtual Result<Outcome> Reconcile(const Ctx&, const Key&) = 0;
};

struct Trigger {
  std::string resource;                                                    // "apps/v1/replicasets"
  std::function<std::vector<Key>(const Notification&)> map;                // empty = the object's own key
  // Asked first, before anything is parsed: is the change one for `map`? Empty = every one is.
  std::function<bool(const Change&)> wants = {};
};
// Maps an owned object to its controlling owner of this kind (after a change of owner: to both).
std::function<std::vector<Key>(const Notification&)> OwnerOf(std::string group, std::string kind);
Key KeyOf(const json::Value& object);

struct ControllerSpec {
  std::string name;                  // "deployment-controller": metrics, logs
  std::vector<Trigger> triggers;
  int workers = 1;                   // keys reconciled at the same time
  std::unique_ptr<Reconciler> reconciler;
};

// Runs controllers over one Informers on a shared pool that grows while all of its threads are blocked. Nothing polls.
class Manager : public Component {
 public:
  virtual void Add(ControllerSpec spec) = 0;                               // before Start
  virtual void Enqueue(std::string_view controller, Key key) = 0;
  virtual void EnqueueAfter(std::string_view controller, Key key, std::chrono::milliseconds delay) = 0;
  // Keys that wait for their time are looked at now: the wall clock was set, and what is due by it may have changed.
  virtual void WakeDelayed() = 0;
  // True when no key is queued or being reconciled; keys that wait for their time do not count.
  virtual bool Idle() const = 0;
  // For simulations (ManagerOptions::threads == 0): reconciles on the caller's thread until nothing is due by the clock. Returns how many.
  virtual std::size_t RunDue() = 0;
  // The same for one key only. False: nothing is due.
  virtual bool RunNext() = 0;
  // The earliest time at which a delayed key is due.
  virtual std::optional<Clock::MonoTime> NextDue() const = 0;
};
struct ManagerOptions {
  int threads = 64;                  // upper limit; 0 = none, RunDue only
};
std::unique_ptr<Manager> NewManager(Informers& informers, const Clock& clock, ManagerOptions options = {});

// Event recording (core/v1 Event). Repeats within ten minutes raise the count of the first one; an object may burst 25 events, then one
// every five minutes. Never fails and never blocks on the API: a bounded queue, the newest is dropped when it is full.
class EventRecorder {
 public:
  virtual ~EventRecorder() = default;
  virtual void Event(const json::Value& involved, std::string_view type /* Normal, Warning */, std::string_view reason, std::string message,
                     std::string_view field_path = {}) = 0;
};
std::unique_ptr<EventRecorder> NewEventRecorder(Client& client, std::string component, std::string host, const Clock& clock);

}  // namespace skerry::kube
