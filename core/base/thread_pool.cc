#include "core/base/thread_pool.h"

#include <pthread.h>

#include <system_error>

namespace skerry {
namespace {
void NameThread(const std::string& name) { pthread_setname_np(pthread_self(), name.substr(0, 15).c_str()); }

void RunJob(std::move_only_function<void()>& job, std::atomic<std::uint64_t>& uncaught) {
  try {
    job();
  } catch (...) {
    ++uncaught;
  }
}
}  // namespace

WorkerPool::WorkerPool(std::string name, std::size_t threads, std::size_t queue_limit) : name_(std::move(name)), limit_(queue_limit) {
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

bool WorkerPool::TrySubmit(std::move_only_function<void()> job) {
  {
    std::lock_guard lock(mutex_);
    if (stopped_ || queue_.size() >= limit_) return false;
    queue_.push_back(std::move(job));
  }
  wake_.notify_one();
  return true;
}

void WorkerPool::Stop() noexcept {
  std::vector<std::thread> threads;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    threads.swap(threads_);
  }
  wake_.notify_all();
  for (auto& t : threads) t.join();
}

void WorkerPool::Run() {
  NameThread(name_);
  for (;;) {
    std::move_only_function<void()> job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopped_ || !queue_.empty(); });
      if (queue_.empty()) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    RunJob(job, uncaught_);
  }
}

ElasticPool::ElasticPool(std::string name, std::size_t max_threads, std::chrono::milliseconds idle)
    : name_(std::move(name)), max_(max_threads), idle_(idle) {}

bool ElasticPool::StartThread() {
  alive_.emplace_front();
  const Handle self = alive_.begin();
  try {
    *self = std::thread([this, self] { Run(self); });
  } catch (const std::system_error&) {   // the kernel has no thread for us: as good as a full pool
    alive_.erase(self);
    return false;
  }
  ++running_;
  ++free_;
  return true;
}

bool ElasticPool::TrySubmit(std::move_only_function<void()> job) {
  std::list<std::thread> gone;
  bool accepted = false;
  {
    std::lock_guard lock(mutex_);
    gone.swap(gone_);
    accepted = !stopped_ && (queue_.size() < free_ || (running_ < max_ && StartThread()));
    if (accepted) queue_.push_back(std::move(job));
  }
  if (accepted) wake_.notify_one();
  for (auto& t : gone) t.join();
  return accepted;
}

std::size_t ElasticPool::threads() const {
  std::lock_guard lock(mutex_);
  return running_;
}

void ElasticPool::Stop() noexcept {
  std::list<std::thread> gone;
  {
    std::unique_lock lock(mutex_);
    stopped_ = true;
    wake_.notify_all();
    left_.wait(lock, [this] { return running_ == 0; });
    gone.swap(gone_);
  }
  for (auto& t : gone) t.join();
}

void ElasticPool::Run(Handle self) {
  NameThread(name_);
  std::unique_lock lock(mutex_);
  for (;;) {
    const bool woken = wake_.wait_for(lock, idle_, [this] { return stopped_ || !queue_.empty(); });
    if (queue_.empty() && (stopped_ || !woken)) break;
    auto job = std::move(queue_.front());
    queue_.pop_front();
    --free_;
    lock.unlock();
    RunJob(job, uncaught_);
    job = nullptr;
    lock.lock();
    ++free_;
  }
  --free_;
  --running_;
  gone_.splice(gone_.end(), alive_, self);
  left_.notify_all();
}

}  // namespace skerry
