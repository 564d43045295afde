#include "core/http/body_pipe.h"

#include <cstring>

namespace skerry::http {

Result<std::size_t> BodyPipe::Read(const Ctx& ctx, std::span<std::byte> into) {
  std::size_t n = 0;
  {
    std::unique_lock lock(mutex_);
    if (!std::exchange(wanted_, true)) wake_();
    const auto ready = [this] { return taken_ < bytes_.size() || ended_ || failed_; };
    bool in_time = true;
    if (ctx.deadline == std::chrono::steady_clock::time_point::max()) {   // far deadlines overflow inside wait_until
      in_time = changed_.wait(lock, ctx.stop, ready);
    } else {
      in_time = changed_.wait_until(lock, ctx.stop, ctx.deadline, ready);
    }
    if (!in_time) return ctx.stop.stop_requested() ? skerry::Fail(Code::kCancelled, "request cancelled") : skerry::Fail(Code::kTimeout, "body read timed out");
    if (failed_) return std::unexpected(failed_->Clone());
    n = std::min(into.size(), bytes_.size() - taken_);
    std::memcpy(into.data(), bytes_.data() + taken_, n);
    taken_ += n;
    if (taken_ == bytes_.size()) {
      bytes_.clear();
      taken_ = 0;
    }
  }
  if (n > 0) wake_();
  return n;
}

std::size_t BodyPipe::room() const {
  std::lock_guard lock(mutex_);
  return kCapacity - std::min(kCapacity, bytes_.size());
}

bool BodyPipe::wanted() const {
  std::lock_guard lock(mutex_);
  return wanted_;
}

void BodyPipe::Push(std::string_view bytes) {
  {
    std::lock_guard lock(mutex_);
    if (failed_) return;
    if (taken_ > 0) {
      bytes_.erase(0, taken_);
      taken_ = 0;
    }
    bytes_ += bytes;
  }
  changed_.notify_one();
}

void BodyPipe::End() {
  {
    std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_one();
}

void BodyPipe::Fail(Error error) {
  {
    std::lock_guard lock(mutex_);
    if (ended_ || failed_) return;
    failed_.emplace(std::move(error));
  }
  changed_.notify_one();
}

}  // namespace skerry::http
