#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

namespace skerry::kube {

// One thread that calls back when something is due. Callbacks must only notify.
class Timers {
 public:
  using Time = std::chrono::steady_clock::time_point;
  Timers();
  ~Timers() { Stop(); }
  void Stop();
  std::uint64_t At(Time due, std::function<void()> call);
  void Cancel(std::uint64_t id);   // does not run afterwards; waits for a running call

 private:
  std::mutex mutex_;
  std::condition_variable changed_, idle_;
  std::map<std::pair<Time, std::uint64_t>, std::function<void()>> due_;   // guarded
  std::map<std::uint64_t, Time> by_id_;                                   // guarded
  std::uint64_t next_ = 1, running_ = 0;                                  // guarded
  bool stopping_ = false;                                                 // guarded
  std::thread thread_;
};

}  // namespace skerry::kube
