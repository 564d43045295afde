#include "core/container/oci/download.h"

#include <condition_variable>
#include <cstring>
#include <optional>
#include <thread>

#include "core/base/guarded.h"

namespace skerry::container::oci {
namespace {

constexpr std::size_t kBuffer = 1 << 20;

class Download final : public ByteSource {
 public:
  Download(const Ctx& ctx, std::function<Result<>(const Ctx&, const Transport::Sink&)> transfer)
      : ctx_(ctx), forward_stop_(ctx.stop, [this] { stop_.request_stop(); }), transfer_(std::move(transfer)), thread_([this] { Run(); }) {}
  ~Download() override {
    stop_.request_stop();
    {
      auto state = state_.Lock();
      state->abandoned = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  Result<std::size_t> Read(std::span<char> into) override {
    auto state = state_.Lock();
    state.Wait(changed_, [&] { return !state->bytes.empty() || state->done; });
    if (state->bytes.empty()) {
      if (state->failure) return std::unexpected(state->failure->Clone());
      return std::size_t{0};
    }
    const std::size_t n = std::min(into.size(), state->bytes.size());
    std::memcpy(into.data(), state->bytes.data(), n);
    state->bytes.erase(0, n);
    changed_.notify_all();
    return n;
  }

 private:
  struct State {
    std::string bytes;
    bool done = false, abandoned = false;
    std::optional<Error> failure;
  };
  bool Push(std::string_view piece) {
    auto state = state_.Lock();
    state.Wait(changed_, [&] { return state->bytes.size() < kBuffer || state->abandoned; });
    if (state->abandoned) return false;
    state->bytes += piece;
    changed_.notify_all();
    return true;
  }
  void Run() {
    auto result = transfer_(Ctx(stop_.get_token(), ctx_.deadline), [this](std::string_view piece) { return Push(piece); });
    auto state = state_.Lock();
    state->done = true;
    if (!result) state->failure = std::move(result).error();
    changed_.notify_all();
  }

  const Ctx ctx_;
  std::stop_source stop_;
  std::stop_callback<std::function<void()>> forward_stop_;
  const std::function<Result<>(const Ctx&, const Transport::Sink&)> transfer_;
  Guarded<State> state_;
  std::condition_variable changed_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<ByteSource>> StartDownload(const Ctx& ctx, std::function<Result<>(const Ctx&, const Transport::Sink&)> transfer) {
  return std::make_unique<Download>(ctx, std::move(transfer));
}

}  // namespace skerry::container::oci
