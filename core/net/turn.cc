#include "core/net/turn.h"

#include <boost/asio/this_coro.hpp>

namespace skerry::net {

Task<void> Turn::Take() {
  if (!taken_) {
    taken_ = true;
    co_return;
  }
  const auto executor = co_await boost::asio::this_coro::executor;
  const auto mine = Event::Create(executor);
  waiting_.push_back(mine);
  // Pass() hands the turn over by taking us out of the line: a wake-up without that is spurious.
  while (std::find(waiting_.begin(), waiting_.end(), mine) != waiting_.end()) co_await mine->Wait();
}

void Turn::Pass() noexcept {
  if (waiting_.empty()) {
    taken_ = false;
    return;
  }
  const auto next = std::move(waiting_.front());
  waiting_.pop_front();
  next->Notify();
}

}  // namespace skerry::net
