#include "core/net/shard.h"

#include <pthread.h>
#include <signal.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace skerry::net {
namespace asio = boost::asio;

struct Shard::Impl {
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  asio::any_io_executor executor{context.get_executor()};
  std::thread thread;
};

struct ShardTurn {
  std::atomic<std::size_t> next{0};
};

Shard::Shard(const std::string& name) : impl_(std::make_unique<Impl>()) {
  static const bool ignored = [] { return signal(SIGPIPE, SIG_IGN) != SIG_ERR; }();   // a peer that left is an error code, not a signal
  static_cast<void>(ignored);
  impl_->thread = std::thread([impl = impl_.get(), name] {
    pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
    impl->context.run();
  });
}

Shard::~Shard() { Stop(); }

const asio::any_io_executor& Shard::executor() const noexcept { return impl_->executor; }

void Shard::Post(std::move_only_function<void()> fn) { asio::post(impl_->context, std::move(fn)); }

void Shard::PostAt(std::chrono::steady_clock::time_point when, std::move_only_function<void()> fn) {
  Post([this, when, fn = std::move(fn)]() mutable {
    auto timer = std::make_shared<asio::steady_timer>(impl_->context, when);
    timer->async_wait([timer, fn = std::move(fn)](boost::system::error_code failed) mutable {
      if (!failed) fn();
    });
  });
}

bool Shard::IsCurrent() const noexcept { return impl_->thread.get_id() == std::this_thread::get_id(); }

void Shard::Stop() noexcept {
  if (!impl_->thread.joinable()) return;
  impl_->context.stop();
  impl_->thread.join();
}

Shards::Shards(std::size_t count) : turn_(std::make_unique<ShardTurn>()) {
  if (count == 0) count = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 2, 4);
  for (std::size_t i = 0; i < count; ++i) shards_.push_back(std::make_unique<Shard>("shard-" + std::to_string(i)));
}

Shards::~Shards() { Stop(); }

Shard& Shards::Next() noexcept { return *shards_[turn_->next.fetch_add(1, std::memory_order_relaxed) % shards_.size()]; }

void Shards::Stop() noexcept {
  for (auto& s : shards_) s->Stop();
}

}  // namespace skerry::net
