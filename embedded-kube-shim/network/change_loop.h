#pragma once
#include <condition_variable>
#include <functional>
#include <set>
#include <string>
#include <thread>

#include "core/base/context.h"
#include "core/base/guarded.h"
#include "embedded-kube-shim/client/client.h"

namespace skerry::kube::network {

// Keys that changed, handed to one worker thread as a set: what comes while the worker is busy is one next batch. Batches make the data
// plane's changes cheap (one kernel transaction, one table swap), which a queue of single keys would not.
// A batch that fails is merged into the next one, which comes after 0.1 s, doubling up to 30 s, or when something changes.
class ChangeLoop {
 public:
  using Batch = std::set<Key>;
  using Work = std::function<Result<>(const Ctx&, const Batch&)>;
  ChangeLoop(std::string name, Work work) : name_(std::move(name)), work_(std::move(work)) {}
  ~ChangeLoop() { Stop(); }

  void Mark(Key key);      // any thread, also before Start
  void Start();
  void Stop() noexcept;    // waits for a running batch; what is marked then is dropped

 private:
  void Run(std::stop_token stop);

  const std::string name_;
  const Work work_;
  std::condition_variable_any changed_;
  std::mutex mutex_;
  Batch marked_;           // guarded
  std::jthread thread_;
};

}  // namespace skerry::kube::network
