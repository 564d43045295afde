#include "embedded-kube-shim/server/timers.h"

namespace skerry::kube {

Timers::Timers() {
  thread_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (due_.empty()) {
        changed_.wait(lock);
        continue;
      }
      const auto first = due_.begin()->first;
      if (std::chrono::steady_clock::now() < first.first) {
        changed_.wait_until(lock, first.first);
        continue;
      }
      auto call = std::move(due_.begin()->second);
      due_.erase(due_.begin());
      by_id_.erase(first.second);
      running_ = first.second;
      lock.unlock();
      call();
      lock.lock();
      running_ = 0;
      idle_.notify_all();
    }
  });
}

void Timers::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::uint64_t Timers::At(Time due, std::function<void()> call) {
  std::lock_guard lock(mutex_);
  const auto id = next_++;
  due_.emplace(std::pair(due, id), std::move(call));
  by_id_.emplace(id, due);
  changed_.notify_all();
  return id;
}

void Timers::Cancel(std::uint64_t id) {
  std::unique_lock lock(mutex_);
  if (const auto it = by_id_.find(id); it != by_id_.end()) {
    due_.erase({it->second, id});
    by_id_.erase(it);
    return;
  }
  if (std::this_thread::get_id() != thread_.get_id()) idle_.wait(lock, [&] { return running_ != id; });
}

}  // namespace skerry::kube
