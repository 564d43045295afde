#include "core/net/task_group.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <condition_variable>
#include <exception>

#include "core/net/event.h"
#include "core/net/task.h"

namespace skerry::net {
namespace asio = boost::asio;

struct TaskGroup::State {
  std::mutex mutex;
  std::condition_variable empty;
  std::size_t count = 0;           // guarded
  std::shared_ptr<Event> waiter;   // guarded
};

TaskGroup::TaskGroup() : state_(std::make_shared<State>()) {}
TaskGroup::~TaskGroup() { Join(); }

void TaskGroup::Spawn(const asio::any_io_executor& executor, Task<void> task) {
  {
    std::lock_guard lock(state_->mutex);
    ++state_->count;
  }
  asio::co_spawn(executor, std::move(task), [state = state_](std::exception_ptr thrown) {
    if (thrown) std::terminate();   // tasks answer with Result; an exception here is a bug
    std::shared_ptr<Event> waiter;
    {
      std::lock_guard lock(state->mutex);
      if (--state->count > 0) return;
      waiter = state->waiter;
      state->empty.notify_all();
    }
    if (waiter) waiter->Notify();
  });
}

void TaskGroup::Spawn(Shard& shard, Task<void> task) { Spawn(shard.executor(), std::move(task)); }

void TaskGroup::Join() noexcept {
  std::unique_lock lock(state_->mutex);
  state_->empty.wait(lock, [this] { return state_->count == 0; });
}

bool TaskGroup::JoinUntil(std::chrono::steady_clock::time_point deadline) noexcept {
  std::unique_lock lock(state_->mutex);
  return state_->empty.wait_until(lock, deadline, [this] { return state_->count == 0; });
}

Task<void> TaskGroup::Wait() {
  const auto state = state_;
  const auto executor = co_await asio::this_coro::executor;
  const auto event = Event::Create(executor);
  for (;;) {
    {
      std::lock_guard lock(state->mutex);
      if (state->count == 0) break;
      state->waiter = event;
    }
    co_await event->Wait();
  }
  std::lock_guard lock(state->mutex);
  state->waiter = nullptr;
}

std::size_t TaskGroup::size() const {
  std::lock_guard lock(state_->mutex);
  return state_->count;
}

}  // namespace skerry::net
