#include "embedded-kube-shim/network/change_loop.h"

#include <algorithm>

#include "core/telemetry/log.h"

namespace skerry::kube::network {
namespace {
constexpr auto kFirstDelay = std::chrono::milliseconds(100), kLongestDelay = std::chrono::milliseconds(30'000);
}

void ChangeLoop::Mark(Key key) {
  {
    std::lock_guard lock(mutex_);
    marked_.insert(std::move(key));
  }
  changed_.notify_one();
}

void ChangeLoop::Start() {
  thread_ = std::jthread([this](std::stop_token stop) { Run(std::move(stop)); });
}

void ChangeLoop::Stop() noexcept {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void ChangeLoop::Run(std::stop_token stop) {
  const Ctx ctx(stop);
  Batch failed;
  auto delay = kFirstDelay;
  for (;;) {
    Batch batch;
    {
      std::unique_lock lock(mutex_);
      const auto some = [this] { return !marked_.empty(); };
      if (failed.empty()) {
        changed_.wait(lock, stop, some);
      } else {
        changed_.wait_for(lock, stop, delay, some);
      }
      batch.swap(marked_);
    }
    if (stop.stop_requested()) return;
    batch.merge(failed);
    failed.clear();
    if (batch.empty()) continue;
    auto r = work_(ctx, batch);
    if (r) {
      delay = kFirstDelay;
      continue;
    }
    log::Warn("network change failed, will be tried again", {{"what", name_}, {"reason", r.error()}, {"retry_in", delay}});
    failed = std::move(batch);
    delay = std::min(delay * 2, kLongestDelay);
  }
}

}  // namespace skerry::kube::network
