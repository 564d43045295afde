#pragma once
#include <deque>
#include <memory>

#include "core/net/event.h"

namespace skerry::net {

// Lets one coroutine of a shard at a time through, in the order of asking: writers that share a connection.
//   co_await turn.Take();  const TurnGuard mine(turn);
class Turn {
 public:
  Task<void> Take();
  void Pass() noexcept;   // to the next one

 private:
  bool taken_ = false;
  std::deque<std::shared_ptr<Event>> waiting_;
};

class TurnGuard {
 public:
  explicit TurnGuard(Turn& turn) noexcept : turn_(turn) {}
  ~TurnGuard() { turn_.Pass(); }
  TurnGuard(const TurnGuard&) = delete;
  TurnGuard& operator=(const TurnGuard&) = delete;

 private:
  Turn& turn_;
};

}  // namespace skerry::net
