#include "core/net/blocking.h"

#include <optional>

#include "core/net/task.h"
#include "core/net/task_group.h"

namespace skerry::net {
namespace {

constexpr auto kPast = Stream::TimePoint::min();

Task<void> ReadOnce(Stream* stream, std::span<std::byte> into, Stream::TimePoint deadline, Result<std::size_t>* out) {
  stream->ReadExpiresAt(deadline);
  *out = co_await stream->Read(into);
}

Task<void> WriteOnce(Stream* stream, std::string_view bytes, Stream::TimePoint deadline, Result<>* out) {
  stream->WriteExpiresAt(deadline);
  *out = co_await stream->Write(bytes);
}

Task<void> CloseOnce(Stream* stream, Stream::TimePoint deadline, Result<>* out) {
  stream->WriteExpiresAt(deadline);
  *out = co_await stream->CloseWrite();
}

Task<void> DialOnce(DialTarget target, Stream::TimePoint deadline, Result<std::unique_ptr<Stream>>* out) {
  *out = co_await Dial(std::move(target), deadline);
}

Task<void> Destroy(std::unique_ptr<Stream> stream) {
  stream.reset();
  co_return;
}

template <class R>
R Answer(const Ctx& ctx, R result) {
  if (!result && result.error().code() == Code::kTimeout && ctx.stop.stop_requested()) return Fail(Code::kCancelled, "stopped");
  return result;
}

}  // namespace

void RunOn(Shard& shard, Task<void> task) {
  TaskGroup group;
  group.Spawn(shard, std::move(task));
  group.Join();
}

Result<std::unique_ptr<BlockingStream>> BlockingStream::Dial(const Ctx& ctx, Shard& shard, DialTarget target) {
  if (ctx.stop.stop_requested()) return Fail(Code::kCancelled, "stopped");
  Result<std::unique_ptr<Stream>> stream = Fail(Code::kInternal, "not dialed");
  RunOn(shard, DialOnce(std::move(target), ctx.deadline, &stream));
  if (!stream) return std::unexpected(std::move(stream).error());
  return std::make_unique<BlockingStream>(shard, std::move(*stream));
}

BlockingStream::BlockingStream(Shard& shard, std::unique_ptr<Stream> stream) : shard_(shard), stream_(std::move(stream)) {}

BlockingStream::~BlockingStream() {
  RunOn(shard_, Destroy(std::move(stream_)));
}

Result<std::size_t> BlockingStream::Read(const Ctx& ctx, std::span<std::byte> into) {
  Result<std::size_t> out = std::size_t{0};
  TaskGroup group;
  group.Spawn(shard_, ReadOnce(stream_.get(), into, ctx.deadline, &out));
  const std::stop_callback on_stop(ctx.stop, [this] { shard_.Post([stream = stream_.get()] { stream->ReadExpiresAt(kPast); }); });
  group.Join();
  return Answer(ctx, std::move(out));
}

Result<> BlockingStream::Write(const Ctx& ctx, std::string_view bytes) {
  Result<> out;
  TaskGroup group;
  group.Spawn(shard_, WriteOnce(stream_.get(), bytes, ctx.deadline, &out));
  const std::stop_callback on_stop(ctx.stop, [this] { shard_.Post([stream = stream_.get()] { stream->WriteExpiresAt(kPast); }); });
  group.Join();
  return Answer(ctx, std::move(out));
}

Result<> BlockingStream::CloseWrite(const Ctx& ctx) {
  Result<> out;
  RunOn(shard_, CloseOnce(stream_.get(), ctx.deadline, &out));
  return Answer(ctx, std::move(out));
}

void BlockingStream::Abort() noexcept { stream_->Abort(); }
const ConnectionInfo& BlockingStream::info() const { return stream_->info(); }

}  // namespace skerry::net
