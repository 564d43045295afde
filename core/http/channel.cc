#include "core/http/channel.h"

#include <cstring>

namespace skerry::http {

net::Task<Result<std::size_t>> Channel::Read(std::span<std::byte> into) {
  for (;;) {
    const std::size_t n = std::min(into.size(), unread());
    if (n > 0) {
      std::memcpy(into.data(), bytes_.data() + taken_, n);
      taken_ += n;
      if (taken_ == bytes_.size()) {
        bytes_.clear();
        taken_ = 0;
      }
      owner_->OnTaken(id_, n);
      co_return n;
    }
    if (ended_) co_return std::size_t{0};
    if (failed_) co_return std::unexpected(failed_->Clone());
    if (std::chrono::steady_clock::now() >= read_deadline_) co_return skerry::Fail(Code::kTimeout, "read timed out");
    const TimePoint deadline = read_deadline_;
    const bool woken = co_await changed_->WaitUntil(deadline);
    static_cast<void>(woken);
  }
}

net::Task<Result<void>> Channel::Write(std::string_view bytes) {
  if (failed_) co_return std::unexpected(failed_->Clone());
  if (write_closed_) co_return skerry::Fail(Code::kUnavailable, "write: channel closed");
  if (bytes.empty()) co_return Result<void>();
  const TimePoint deadline = write_deadline_;
  co_return co_await owner_->SendData(id_, bytes, deadline);
}

net::Task<Result<void>> Channel::CloseWrite() {
  if (std::exchange(write_closed_, true) || failed_) co_return Result<void>();
  co_return co_await owner_->SendEnd(id_);
}

void Channel::ReadExpiresAt(TimePoint deadline) {
  read_deadline_ = deadline;
  changed_->Notify();
}

void Channel::Abort() noexcept {
  if (failed_) return;
  Fail(Error(Code::kCancelled, "channel aborted"));
  owner_->OnAbort(id_);
}

void Channel::Deliver(std::string_view bytes) {
  if (ended_ || failed_) return;
  if (taken_ > 0) {
    bytes_.erase(0, taken_);
    taken_ = 0;
  }
  bytes_ += bytes;
  changed_->Notify();
}

void Channel::DeliverEnd() {
  ended_ = true;
  changed_->Notify();
}

void Channel::Fail(Error error) {
  if (!failed_) failed_.emplace(std::move(error));
  changed_->Notify();
}

}  // namespace skerry::http
