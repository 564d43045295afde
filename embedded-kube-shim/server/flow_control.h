#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "embedded-kube-shim/auth/rbac.h"
#include "embedded-kube-shim/client/client.h"
#include "embedded-kube-shim/server/timers.h"

// Priority and fairness: flow schemas say which priority level a request belongs to, levels share the seats of the server. A request that
// finds no seat waits in one of its level's queues (chosen by its flow, so that one flow cannot fill them all) or is refused.
namespace skerry::kube {

struct FlowOptions {
  int seats = 600;                                  // --max-requests-inflight and --max-mutating-requests-inflight together; 0 = no limit
  std::chrono::seconds max_wait{15};                // in a queue
};

// Thread-safe.
class FlowControl {
 public:
  using Run = std::move_only_function<void()>;
  using Post = std::function<void(std::move_only_function<void()>)>;   // runs a job on a thread that may work
  FlowControl(Informers& informers, Timers& timers, FlowOptions options, Post post);
  ~FlowControl();

  struct Class {
    std::string schema_uid, level_uid;              // empty before the configuration is there
    std::string level, flow;                        // flow: whose requests share fate
    bool exempt = true;
  };
  Class Classify(const Attributes& attributes) const;
  // What an answer tells of its class, for requests that take no seat. Views live as long as `keep`; empty as in Class.
  struct Uids {
    std::shared_ptr<const void> keep;
    std::string_view schema, level;
  };
  Uids UidsFor(const Attributes& attributes) const;

  // One of both is called, once: `admitted` with a seat taken (give it back with Release), on this thread or a posted one; or `refused`.
  void Acquire(const Class& which, Run admitted, Run refused);
  void Release(const Class& which);

  struct LevelState { std::string name; int limit, in_use; std::size_t waiting; std::uint64_t refused; };
  std::vector<LevelState> State() const;            // of the levels that limit, by name
  std::string Metrics() const;                      // the same for /metrics, under the names of Kubernetes

 private:
  struct Schema;
  struct Configuration;
  struct Waiting { std::uint64_t id; Run admitted, refused; std::uint64_t timer; };
  struct Level {
    int limit = 0, lendable = 0, in_use = 0, queues = 0, hand = 0, queue_limit = 0;
    std::map<int, std::deque<Waiting>> waiting;     // by queue
    int next = 0;                                   // queue that is served next
    std::uint64_t refused = 0;
  };

  void Reload();
  std::shared_ptr<const Schema> Match(const Attributes& attributes) const;   // null: none
  bool HasSeat(const Level& level) const;           // with the lock held
  void Expire(const std::string& level, std::uint64_t id);
  // Takes as many waiting requests as there are seats; with the lock held.
  std::vector<Run> TakeDue(Level& level);

  Timers& timers_;
  const FlowOptions options_;
  const Post post_;
  const Lister& schemas_;
  const Lister& levels_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Configuration> configuration_;   // guarded
  std::map<std::string, Level, std::less<>> seats_;      // guarded
  std::uint64_t next_id_ = 1;                            // guarded
  std::vector<std::shared_ptr<void>> subscriptions_;     // last: no notification after destruction has begun
};

}  // namespace skerry::kube
