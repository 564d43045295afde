#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/random.h"
#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/server/api_server.h"
#include "store/store.h"

// A cluster in one thread: the real store, API, controllers and scheduler on a clock that only moves when told to, agents that are played,
// and faults thrown in. Everything that happens follows from the seed: notifications are held back and handed out in the order of commits.
namespace skerry::sim {

struct Faults {
  int conflict = 0, refused = 0, lost_reply = 0;   // of a thousand writes by controllers
  int failed_commit = 0, slow_commit = 0;          // of a thousand commits of such writes; a slow one takes one to three seconds
};

// What is asked of every write of a controller before it is made; a text says what is wrong with it.
using WriteCheck = std::function<std::string(std::string_view controller, std::string_view verb, kube::Resource resource, const kube::Key& key)>;

class World {
 public:
  explicit World(std::uint64_t seed);
  ~World();

  kube::Client& user() { return *admin_; }         // never fails
  const kube::Lister& Lister(kube::Resource resource) { return server_->informers().Get(resource); }
  SeededRandom& random() { return random_; }
  FakeClock& clock() { return clock_; }
  void SetFaults(Faults faults) { faults_ = faults; }
  void SetCheck(WriteCheck check) { check_ = std::move(check); }
  const std::vector<std::string>& violations() const { return violations_; }
  std::size_t writes() const { return writes_; }   // by controllers, so far
  std::size_t fingerprint() const { return fingerprint_; }   // of who wrote what, in order
  std::size_t MostWritesToOne(std::string* object) const;   // of them, to a single object
  std::string LastWrites() const;                   // the last twenty of them

  void StartControllers();
  void StopControllers();

  void Deliver();                                   // every notification of what was committed
  bool Reconcile();                                 // one key; false: nothing is due
  // Lets the time pass and everything run that is due, at most so many keys. Returns how many there were.
  std::size_t Run(std::chrono::nanoseconds passes, std::size_t most = 20'000);
  std::size_t CountEvents(std::string_view part) const;   // "Kind name Reason: message", those that have it
  void SetClock(std::chrono::nanoseconds by) {       // the wall clock jumps, nothing else passes
    clock_.JumpWall(by);
    manager_->WakeDelayed();
  }
  std::size_t foreign_draws() const;                // random numbers that a thread of the server's own took: 0, or a seed says nothing
  store::Revision revision() const { return store_->current(); }
  std::optional<Clock::MonoTime> NextDue() const { return manager_->NextDue(); }

 private:
  class Client;
  class Dice;
  class Disk;
  class Notices;
  class Notebook;
  friend class Client;
  friend class Dice;
  friend class Disk;

  std::uint64_t Roll() { return random_.Below(1000); }

  FakeClock clock_;
  SeededRandom random_;
  std::unique_ptr<Dice> dice_;
  Faults faults_;
  WriteCheck check_;
  std::vector<std::string> violations_;
  std::size_t writes_ = 0, fingerprint_ = 0;
  bool writing_ = false;                            // a controller is in a write
  std::map<std::string, std::size_t> writes_to_;
  std::deque<std::string> last_writes_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<kube::Registry> registry_;
  std::unique_ptr<kube::ApiServer> server_;
  std::unique_ptr<kube::Client> admin_;
  std::unique_ptr<Notices> notices_;
  std::map<std::string, std::unique_ptr<kube::Client>> clients_;
  std::deque<std::string> events_;
  std::unique_ptr<kube::EventRecorder> notebook_;
  std::unique_ptr<kube::Manager> manager_;
  std::shared_ptr<void> collector_, scheduler_;
};

}  // namespace skerry::sim
