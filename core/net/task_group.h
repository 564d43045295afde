#pragma once
#include <chrono>
#include <cstddef>
#include <memory>

#include "core/net/shard.h"
#include "core/net/task_fwd.h"

namespace skerry::net {

// Owns root coroutines: they start only here and are joined here. Declare it as the last member of its owner.
class TaskGroup {
 public:
  TaskGroup();
  ~TaskGroup();                                                                  // Join()
  void Spawn(const boost::asio::any_io_executor& executor, Task<void> task);     // any thread; the task starts on that executor's shard
  void Spawn(Shard& shard, Task<void> task);
  void Join() noexcept;      // blocks until every task has ended; never on a shard that runs one of them
  bool JoinUntil(std::chrono::steady_clock::time_point deadline) noexcept;       // false: some still run
  Task<void> Wait();         // the same for a coroutine, one at a time
  std::size_t size() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace skerry::net
