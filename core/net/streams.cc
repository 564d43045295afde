#include "core/net/streams.h"

#include <unistd.h>

#include <boost/asio/this_coro.hpp>
#include <cstring>

#include "core/base/files.h"
#include "core/net/event.h"
#include "core/net/task_group.h"

namespace skerry::net {
namespace asio = boost::asio;
namespace {

// One direction of an in-memory pair.
struct Pipe {
  Pipe(const Executor& reader_on, const Executor& writer_on, std::size_t limit)
      : capacity(limit), readable(Event::Create(reader_on)), writable(Event::Create(writer_on)) {}
  const std::size_t capacity;
  const std::shared_ptr<Event> readable, writable;
  std::mutex mutex;
  std::string bytes;            // guarded
  bool ended = false;           // guarded: no more will be written
  bool reader_gone = false;     // guarded
  bool reader_aborted = false;  // guarded
  bool writer_aborted = false;  // guarded
};

class MemoryStream final : public Stream {
 public:
  MemoryStream(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out) : in_(std::move(in)), out_(std::move(out)) {}
  ~MemoryStream() override {
    {
      std::lock_guard lock(in_->mutex);
      in_->reader_gone = true;
    }
    in_->writable->Notify();
    End();
  }

  Task<Result<std::size_t>> Read(std::span<std::byte> into) override {
    const auto pipe = in_;
    for (;;) {
      {
        std::lock_guard lock(pipe->mutex);
        if (pipe->reader_aborted) co_return Fail(Code::kCancelled, "stream aborted");
        const std::size_t n = std::min(into.size(), pipe->bytes.size());
        if (n > 0 || pipe->ended) {
          std::memcpy(into.data(), pipe->bytes.data(), n);
          pipe->bytes.erase(0, n);
          pipe->writable->Notify();
          co_return n;
        }
      }
      if (std::chrono::steady_clock::now() >= read_deadline_) co_return Fail(Code::kTimeout, "read timed out");
      const auto deadline = read_deadline_;
      const bool woken = co_await pipe->readable->WaitUntil(deadline);
      static_cast<void>(woken);
    }
  }

  Task<Result<void>> Write(std::string_view bytes) override {
    const auto pipe = out_;
    while (!bytes.empty()) {
      std::size_t n = 0;
      {
        std::lock_guard lock(pipe->mutex);
        if (pipe->writer_aborted) co_return Fail(Code::kCancelled, "stream aborted");
        if (pipe->reader_gone || pipe->ended) co_return Fail(Code::kUnavailable, "write: broken pipe");
        n = std::min(bytes.size(), pipe->capacity - pipe->bytes.size());
        pipe->bytes.append(bytes.substr(0, n));
      }
      if (n > 0) {
        pipe->readable->Notify();
        bytes.remove_prefix(n);
        continue;
      }
      if (std::chrono::steady_clock::now() >= write_deadline_) co_return Fail(Code::kTimeout, "write timed out");
      const auto deadline = write_deadline_;
      const bool woken = co_await pipe->writable->WaitUntil(deadline);
      static_cast<void>(woken);
    }
    co_return Result<void>();
  }

  Task<Result<void>> CloseWrite() override {
    End();
    co_return Result<void>();
  }
  void ReadExpiresAt(TimePoint deadline) override {
    read_deadline_ = deadline;
    in_->readable->Notify();
  }
  void WriteExpiresAt(TimePoint deadline) override {
    write_deadline_ = deadline;
    out_->writable->Notify();
  }
  void Abort() noexcept override {
    {
      std::lock_guard lock(in_->mutex);
      in_->reader_aborted = in_->reader_gone = true;
    }
    {
      std::lock_guard lock(out_->mutex);
      out_->writer_aborted = out_->ended = true;
    }
    in_->writable->Notify();
    out_->readable->Notify();
    in_->readable->Notify();
    out_->writable->Notify();
  }

 private:
  void End() {
    {
      std::lock_guard lock(out_->mutex);
      out_->ended = true;
    }
    out_->readable->Notify();
  }

  const std::shared_ptr<Pipe> in_, out_;
  TimePoint read_deadline_ = TimePoint::max(), write_deadline_ = TimePoint::max();
};

class PrefixStream final : public Stream {
 public:
  PrefixStream(std::string bytes, std::unique_ptr<Stream> stream) : bytes_(std::move(bytes)), stream_(std::move(stream)) {}
  Task<Result<std::size_t>> Read(std::span<std::byte> into) override {
    if (taken_ == bytes_.size()) return stream_->Read(into);
    const std::size_t n = std::min(into.size(), bytes_.size() - taken_);
    std::memcpy(into.data(), bytes_.data() + taken_, n);
    taken_ += n;
    if (taken_ == bytes_.size()) {
      std::string().swap(bytes_);
      taken_ = 0;
    }
    return Ready(n);
  }
  Task<Result<void>> Write(std::string_view bytes) override { return stream_->Write(bytes); }
  Task<Result<std::int64_t>> WriteFile(int file, std::int64_t offset, std::int64_t length) override { return stream_->WriteFile(file, offset, length); }
  Task<Result<void>> CloseWrite() override { return stream_->CloseWrite(); }
  void ReadExpiresAt(TimePoint deadline) override { stream_->ReadExpiresAt(deadline); }
  void WriteExpiresAt(TimePoint deadline) override { stream_->WriteExpiresAt(deadline); }
  void Abort() noexcept override { stream_->Abort(); }
  const ConnectionInfo& info() const override { return stream_->info(); }

 private:
  static Task<Result<std::size_t>> Ready(std::size_t n) { co_return n; }

  std::string bytes_;
  std::size_t taken_ = 0;
  const std::unique_ptr<Stream> stream_;
};

struct RelayState {
  Stream* ends[2];
  std::chrono::milliseconds idle;
  std::chrono::steady_clock::time_point moved;
};

// Copies one direction. Idleness is a property of the pair: a direction whose read times out goes on while the other one moves bytes.
Task<void> CopyOneWay(RelayState* state, Stream* from, Stream* to) {
  std::vector<std::byte> buffer(32 << 10);
  const std::span<std::byte> room(buffer);
  bool failed = false;
  for (;;) {
    if (state->idle.count() > 0) {
      const auto deadline = state->moved + state->idle;
      from->ReadExpiresAt(deadline);
      to->WriteExpiresAt(std::chrono::steady_clock::now() + state->idle);
    }
    const auto n = co_await from->Read(room);
    if (!n && n.error().code() == Code::kTimeout && std::chrono::steady_clock::now() < state->moved + state->idle) continue;
    failed = !n;
    if (failed || *n == 0) break;
    state->moved = std::chrono::steady_clock::now();
    const std::string_view bytes(reinterpret_cast<const char*>(buffer.data()), *n);
    const auto written = co_await to->Write(bytes);
    failed = !written;
    if (failed) break;
    state->moved = std::chrono::steady_clock::now();
  }
  if (!failed) {
    const auto closed = co_await to->CloseWrite();
    failed = !closed;
  }
  if (failed) {
    state->ends[0]->Abort();
    state->ends[1]->Abort();
  }
}

}  // namespace

Task<Result<std::int64_t>> Stream::WriteFile(int file, std::int64_t offset, std::int64_t length) {
  std::vector<char> buffer(static_cast<std::size_t>(std::min<std::int64_t>(length, 256 << 10)));
  ssize_t n = ::pread(file, buffer.data(), buffer.size(), offset);
  while (n < 0 && errno == EINTR) n = ::pread(file, buffer.data(), buffer.size(), offset);
  if (n < 0) co_return std::unexpected(ErrnoError(errno, "read"));
  if (n == 0) co_return Fail(Code::kCorruption, "the file is shorter than announced");
  const std::string_view bytes(buffer.data(), static_cast<std::size_t>(n));
  CO_TRY_VOID(co_await Write(bytes));
  co_return static_cast<std::int64_t>(n);
}

const ConnectionInfo& Stream::info() const {
  static const ConnectionInfo none;
  return none;
}

std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> MakePair(const asio::any_io_executor& first, const asio::any_io_executor& second,
                                                                     std::size_t capacity) {
  auto forth = std::make_shared<Pipe>(second, first, capacity);
  auto back = std::make_shared<Pipe>(first, second, capacity);
  return {std::make_unique<MemoryStream>(back, forth), std::make_unique<MemoryStream>(forth, back)};
}

std::unique_ptr<Stream> WithPrefix(std::string bytes, std::unique_ptr<Stream> stream) {
  if (bytes.empty()) return stream;
  return std::make_unique<PrefixStream>(std::move(bytes), std::move(stream));
}

Task<void> Relay(Stream& a, Stream& b, std::chrono::milliseconds idle) {
  const auto executor = co_await asio::this_coro::executor;
  RelayState state;
  state.ends[0] = &a;
  state.ends[1] = &b;
  state.idle = idle;
  state.moved = std::chrono::steady_clock::now();
  TaskGroup back;
  back.Spawn(executor, CopyOneWay(&state, &b, &a));
  co_await CopyOneWay(&state, &a, &b);
  co_await back.Wait();
}

}  // namespace skerry::net
