#pragma once
#include <cstddef>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/net/task_fwd.h"

namespace skerry::net {

// One thread with one event loop. Everything that lives on it runs without locks.
class Shard {
 public:
  explicit Shard(const std::string& name);   // starts the thread
  ~Shard();                                  // Stop()
  const boost::asio::any_io_executor& executor() const noexcept;
  void Post(std::move_only_function<void()> fn);                                               // any thread
  void PostAt(std::chrono::steady_clock::time_point when, std::move_only_function<void()> fn); // any thread; dropped by Stop
  bool IsCurrent() const noexcept;           // called on the shard's own thread?
  // Ends the thread; what was still waiting is destroyed on the caller's thread. Owners of tasks join them before.
  void Stop() noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class Shards {
 public:
  explicit Shards(std::size_t count = 0);   // 0: clamp(cores, 2, 4)
  std::size_t size() const noexcept { return shards_.size(); }
  Shard& at(std::size_t i) noexcept { return *shards_[i]; }
  Shard& Next() noexcept;                   // round robin, any thread
  void Stop() noexcept;
  ~Shards();

 private:
  std::vector<std::unique_ptr<Shard>> shards_;
  std::unique_ptr<struct ShardTurn> turn_;
};

}  // namespace skerry::net
