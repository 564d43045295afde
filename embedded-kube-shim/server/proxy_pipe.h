#pragma once
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "core/http/message.h"

namespace skerry::kube {

// Carries a body from the thread that receives it to the shard that sends it. Bounded: the receiver waits for the client.
class ProxyPipe {
 public:
  static constexpr std::size_t kRoom = 256 << 10;

  Result<> Push(const Ctx& ctx, std::string_view piece) {
    std::function<void()> notify;
    {
      std::unique_lock lock(mutex_);
      if (!room_.wait(lock, ctx.stop, [&] { return closed_ || bytes_.size() < kRoom; })) return Fail(Code::kCancelled, "the client went away");
      if (closed_) return Fail(Code::kCancelled, "the client went away");
      bytes_ += piece;
      notify = notify_;
    }
    if (notify) notify();
    return {};
  }
  void End(Code how) {
    std::function<void()> notify;
    {
      std::lock_guard lock(mutex_);
      ended_ = how;
      notify = notify_;
    }
    if (notify) notify();
  }
  Result<Bytes> Take() {
    std::lock_guard lock(mutex_);
    if (!bytes_.empty()) {
      room_.notify_all();
      return Bytes(std::exchange(bytes_, {}));
    }
    if (ended_) return Fail(*ended_, "end of the body");
    return Bytes();
  }
  void OnReady(std::function<void()> notify) {
    std::lock_guard lock(mutex_);
    notify_ = std::move(notify);
  }
  void Close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    notify_ = nullptr;
    room_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any room_;
  std::string bytes_;               // guarded, as the rest
  std::optional<Code> ended_;
  bool closed_ = false;
  std::function<void()> notify_;
};

class ProxyPipeSource final : public http::Source {
 public:
  // `on_close` (may be empty) is called when nobody reads any more.
  explicit ProxyPipeSource(std::shared_ptr<ProxyPipe> pipe, std::function<void()> on_close = {}) : pipe_(std::move(pipe)), on_close_(std::move(on_close)) {}
  ~ProxyPipeSource() override {
    pipe_->Close();
    if (on_close_) on_close_();
  }
  Result<Bytes> Next() override { return pipe_->Take(); }
  void OnReady(std::function<void()> notify) override { pipe_->OnReady(std::move(notify)); }

 private:
  const std::shared_ptr<ProxyPipe> pipe_;
  const std::function<void()> on_close_;
};

bool IsHopByHop(std::string_view header);
// What another server gets of a client's headers: nothing by which the client is known to us.
http::Headers ForwardedHeaders(const http::Request& request);

}  // namespace skerry::kube
