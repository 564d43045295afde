#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace skerry {

// A fixed number of threads behind a bounded queue, for work that never waits for the outside.
// Jobs start in the order of their submission. An exception that leaves a job is counted and dropped.
class WorkerPool {
 public:
  WorkerPool(std::string name, std::size_t threads, std::size_t queue_limit);
  ~WorkerPool() { Stop(); }
  [[nodiscard]] bool TrySubmit(std::move_only_function<void()> job);   // any thread; false: queue full or stopped
  void Stop() noexcept;                                                // refuses new jobs, runs the queued ones, joins; idempotent
  std::uint64_t uncaught() const noexcept { return uncaught_; }

 private:
  void Run();

  const std::string name_;
  const std::size_t limit_;
  std::atomic<std::uint64_t> uncaught_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::move_only_function<void()>> queue_;   // guarded
  bool stopped_ = false;                                // guarded
  std::vector<std::thread> threads_;
};

// Threads on demand up to a limit, for jobs that wait for the outside. No queue: a job has a thread at once or is refused.
// A thread without work leaves after `idle`.
class ElasticPool {
 public:
  explicit ElasticPool(std::string name, std::size_t max_threads = 256, std::chrono::milliseconds idle = std::chrono::seconds(10));
  ~ElasticPool() { Stop(); }
  [[nodiscard]] bool TrySubmit(std::move_only_function<void()> job);   // any thread; false: every thread is busy or stopped
  void Stop() noexcept;                                                // refuses new jobs, waits for the running ones, joins; idempotent
  std::size_t threads() const;
  std::uint64_t uncaught() const noexcept { return uncaught_; }

 private:
  using Handle = std::list<std::thread>::iterator;
  void Run(Handle self);
  bool StartThread();   // with the lock held

  const std::string name_;
  const std::size_t max_;
  const std::chrono::milliseconds idle_;
  std::atomic<std::uint64_t> uncaught_{0};
  mutable std::mutex mutex_;
  std::condition_variable wake_, left_;
  std::deque<std::move_only_function<void()>> queue_;   // guarded; never longer than free_
  std::size_t running_ = 0, free_ = 0;                  // guarded: threads, and those without a job
  std::list<std::thread> alive_, gone_;                 // guarded: gone_ has left and is not yet joined
  bool stopped_ = false;                                // guarded
};

}  // namespace skerry
