#include "core/http/h1_connection.h"

#include <boost/asio/this_coro.hpp>

#include "core/base/strings.h"

namespace skerry::http {
namespace {
constexpr std::size_t kHeadRead = 4 << 10;
constexpr std::size_t kBodyRead = 64 << 10;
constexpr std::size_t kLingerBytes = 256 << 10;
constexpr auto kLingerTime = std::chrono::seconds(2);
// A body that crawls is cut although it makes progress: below this rate after the body time-out.
constexpr std::int64_t kSlowestBodyBytesPerSecond = 256;
// Whoever gets his answer sooner is not asked meanwhile whether he is still there: that costs as much as a small reply.
constexpr auto kPromptReply = std::chrono::milliseconds(50);

net::Stream::TimePoint Now() { return std::chrono::steady_clock::now(); }
}  // namespace

H1Connection::H1Connection(std::shared_ptr<Server::Core> core, net::Executor executor, std::unique_ptr<net::Stream> stream)
    : core_(std::move(core)), executor_(std::move(executor)), wake_(net::Event::Create(executor_)), stream_(std::move(stream)) {}

void H1Connection::BeginStop() {
  stopping_ = true;
  keep_alive_ = false;
  if (idle_ && stream_) stream_->Abort();
  wake_->Notify();
}

void H1Connection::CutTunnel() {
  if (tunnel_ != nullptr) Cut();
}

void H1Connection::Cut() {
  gone_.request_stop();
  client_gone_ = true;
  if (stream_) stream_->Abort();
  if (tunnel_ != nullptr) tunnel_->Abort();
  wake_->Notify();
}

std::span<std::byte> H1Connection::MakeRoom(std::size_t wanted) {
  if (taken_ == filled_) taken_ = filled_ = 0;
  if (taken_ > 0 && in_.size() - filled_ < wanted) {
    in_.erase(0, taken_);
    filled_ -= taken_;
    taken_ = 0;
  }
  if (in_.size() - filled_ < wanted) in_.resize(filled_ + wanted);
  return {reinterpret_cast<std::byte*>(in_.data()) + filled_, in_.size() - filled_};
}

net::Task<Result<std::size_t>> H1Connection::Fill(std::size_t wanted, TimePoint deadline) {
  stream_->ReadExpiresAt(deadline);
  if (!reading_) {
    const auto room = MakeRoom(wanted);
    auto n = co_await stream_->Read(room);
    if (n) {
      filled_ += *n;
      client_gone_ = *n == 0;
    } else {
      client_gone_ = n.error().code() != Code::kTimeout;
    }
    co_return n;
  }
  const std::size_t before = filled_;
  while (reading_) co_await wake_->Wait();
  if (read_timed_out_) co_return Fail(Code::kTimeout, "read timed out");
  co_return filled_ - before;
}

void H1Connection::WatchClient(TimePoint deadline) {
  if (reading_ || client_gone_ || filled_ - taken_ >= kMaxBuffer) return;
  stream_->ReadExpiresAt(deadline);
  reading_ = true;
  read_timed_out_ = false;
  const auto room = MakeRoom(body_done_ ? kHeadRead : kBodyRead);   // a body is fetched in large pieces, what follows one is a head
  core_->tasks.Spawn(executor_, BackgroundRead(shared_from_this(), room));
}

net::Task<void> H1Connection::BackgroundRead(std::shared_ptr<H1Connection> self, std::span<std::byte> room) {
  const auto n = co_await self->stream_->Read(room);
  self->reading_ = false;
  if (n && *n > 0) {
    self->filled_ += *n;
  } else if (!n && n.error().code() == Code::kTimeout) {
    self->read_timed_out_ = true;
  } else {
    self->client_gone_ = true;
    self->gone_.request_stop();
  }
  self->wake_->Notify();
}

net::Task<void> H1Connection::EndBackgroundRead() {
  if (!reading_) co_return;
  stream_->ReadExpiresAt(TimePoint::min());
  while (reading_) co_await wake_->Wait();
  stream_->ReadExpiresAt(TimePoint::max());
}

net::Task<void> H1Connection::Run() {
  const auto self = shared_from_this();
  const auto& limits = core_->options.timeouts;
  TimePoint first_byte = Now() + limits.header;   // a new connection has to say something soon
  while (keep_alive_ && !stopping_) {
    idle_ = true;
    if (buffered().empty()) {
      const auto n = co_await Fill(kHeadRead, first_byte);
      if (!n || *n == 0) break;
    }
    auto request = std::make_shared<Request>();
    const auto fault = co_await ReadHead(request.get());
    idle_ = false;
    if (fault && fault->status == 0) break;   // the client left
    if (fault) {
      keep_alive_ = false;
      linger_ = true;
      auto refusal = PlainReply(fault->status, fault->why);
      co_await SendResponse(nullptr, std::move(refusal));
      break;
    }
    co_await Serve(std::move(request));
    first_byte = Now() + limits.idle;
    if (!stream_) co_return;   // a tunnel took it and ended
  }
  idle_ = false;
  if (!client_gone_) co_await Close();
  stream_->Abort();
  while (reading_) co_await wake_->Wait();
}

net::Task<std::optional<HeadFault>> H1Connection::ReadHead(Request* out) {
  const auto deadline = Now() + core_->options.timeouts.header;
  std::size_t scanned = 0;
  HeadFault fault;
  for (;;) {
    while (buffered().starts_with("\r\n")) {   // RFC 9112, 2.2: empty lines before a request are ignored
      Consume(2);
      scanned = 0;
    }
    if (const auto end = FindHeadEnd(buffered(), scanned)) {
      if (*end > kMaxHead) break;
      auto framing = ParseRequestHead(buffered().substr(0, *end), *out);
      Consume(*end);
      if (!framing) co_return std::move(framing.error());
      framing_ = *framing;
      body_left_ = framing_.length;
      body_done_ = framing_.body == Framing::Body::kNone;
      keep_alive_ = framing_.keep_alive && !stopping_;
      chunk_replies_ = !framing_.http10;
      co_return std::nullopt;
    }
    scanned = buffered().size();
    if (scanned >= kMaxHead) break;
    // A TLS client that tries this port must not wait for a time-out before it tries without: no method starts like that.
    if (scanned > 0 && buffered()[0] != '\r' && (buffered()[0] < 'A' || buffered()[0] > 'z')) {
      fault.status = 400;
      fault.why = "this is not an HTTP request (a TLS client on a plain port?)";
      co_return fault;
    }
    const auto n = co_await Fill(kHeadRead, deadline);
    if (n && *n > 0) continue;
    const bool slow = !n && n.error().code() == Code::kTimeout && !buffered().empty();
    fault.status = slow ? 408 : 0;
    if (slow) fault.why = "the request head did not arrive in time";
    co_return fault;
  }
  fault.status = 431;
  fault.why = "the request head is larger than 64 KiB";
  co_return fault;
}

net::Task<void> H1Connection::Serve(std::shared_ptr<Request> request) {
  const auto& info = stream_->info();
  request->remote_address = info.remote;
  request->tls = info.tls;
  request->peer = info.peer;
  request->peer_error = info.peer_error;
  const BodyPolicy policy = core_->options.handler->PolicyFor(*request);
  if (framing_.length > policy.limit) {
    keep_alive_ = false;
    linger_ = true;
    auto refusal = core_->options.handler->TooLarge(*request, policy.limit);
    co_await SendResponse(request.get(), std::move(refusal));
    co_return;
  }
  if (policy.mode == BodyPolicy::Mode::kReader) {
    co_await ServeReader(std::move(request), policy.limit);
  } else {
    co_await ServeBytes(std::move(request), policy.limit);
  }
}

net::Task<void> H1Connection::SendContinue() {
  if (!framing_.expects_continue || body_done_) co_return;
  framing_.expects_continue = false;
  if (!buffered().empty()) co_return;   // the client did not wait
  const bool sent = co_await WriteBytes("HTTP/1.1 100 Continue\r\n\r\n");
  static_cast<void>(sent);
}

net::Task<Result<void>> H1Connection::ReadWholeBody(std::string* out, std::int64_t limit) {
  const auto begin = Now();
  const auto& patience = core_->options.timeouts.body;
  ChunkedDecoder decoder;
  co_await SendContinue();
  if (framing_.body == Framing::Body::kLength) out->reserve(static_cast<std::size_t>(body_left_));
  while (!body_done_) {
    if (framing_.body == Framing::Body::kLength) {
      const auto n = static_cast<std::size_t>(std::min<std::int64_t>(body_left_, static_cast<std::int64_t>(buffered().size())));
      out->append(buffered().substr(0, n));
      Consume(n);
      body_left_ -= static_cast<std::int64_t>(n);
      body_done_ = body_left_ == 0;
      if (body_done_) break;
    } else {
      CO_TRY(const auto step, decoder.Next(buffered()));
      out->append(step.data);
      Consume(step.consumed);
      body_done_ = step.done;
      if (static_cast<std::int64_t>(out->size()) > limit) co_return Fail(Code::kTooLarge, "body too large");
      if (step.done || step.consumed > 0) continue;
    }
    const auto took = std::chrono::duration_cast<std::chrono::seconds>(Now() - begin);
    if (took > patience && static_cast<std::int64_t>(out->size()) < took.count() * kSlowestBodyBytesPerSecond) {
      co_return Fail(Code::kTimeout, "the request body is too slow");
    }
    const TimePoint deadline = Now() + patience;
    CO_TRY(const auto n, co_await Fill(kBodyRead, deadline));
    if (n == 0) co_return Fail(Code::kCancelled, "client went away");
  }
  co_return Result<void>();
}

net::Task<void> H1Connection::ServeBytes(std::shared_ptr<Request> request, std::int64_t limit) {
  Handler& handler = *core_->options.handler;
  if (!body_done_) {
    const auto body = co_await ReadWholeBody(&request->body, limit);
    if (!body) {
      keep_alive_ = false;
      const Code code = body.error().code();
      if (code != Code::kTooLarge && code != Code::kTimeout && code != Code::kBadRequest) co_return;
      linger_ = true;
      auto refusal = code == Code::kTooLarge ? handler.TooLarge(*request, limit) : PlainReply(code == Code::kTimeout ? 408 : 400, body.error().message());
      co_await SendResponse(request.get(), std::move(refusal));
      co_return;
    }
  }
  const Ctx ctx(gone_.get_token());
  Reply reply = handler.OnShard(ctx, *request);
  if (std::holds_alternative<NeedsWorker>(reply)) {
    const auto slot = std::make_shared<ReplySlot>(Waker());
    CallWorker(*core_, BodyPolicy::Mode::kBytes, gone_.get_token(), request, slot);
    auto answer = co_await AwaitReply(slot);
    if (!answer) co_return;
    reply = std::move(*answer);
  }
  co_await Send(request.get(), std::move(reply));
}

net::Task<std::optional<Reply>> H1Connection::AwaitReply(std::shared_ptr<ReplySlot> slot) {
  const TimePoint prompt = Now() + kPromptReply;
  bool late = false;
  for (;;) {
    auto reply = slot->Take();
    if (reply) co_return reply;
    if (client_gone_) {
      keep_alive_ = false;
      co_return std::nullopt;
    }
    if (late) WatchClient();
    const TimePoint deadline = late ? TimePoint::max() : prompt;
    const bool woken = co_await wake_->WaitUntil(deadline);
    late = late || !woken;
  }
}

// Moves what is buffered into the pipe, or waits until something can move.
net::Task<Result<void>> H1Connection::MovePiece(BodyPipe* pipe, ChunkedDecoder* decoder) {
  const std::size_t room = pipe->room();
  if (room > 0 && !buffered().empty()) {
    const auto available = buffered().substr(0, room);
    if (framing_.body == Framing::Body::kLength) {
      const auto n = static_cast<std::size_t>(std::min<std::int64_t>(body_left_, static_cast<std::int64_t>(available.size())));
      pipe->Push(available.substr(0, n));
      Consume(n);
      body_left_ -= static_cast<std::int64_t>(n);
      body_done_ = body_left_ == 0;
      co_return Result<void>();
    }
    CO_TRY(const auto step, decoder->Next(available));
    pipe->Push(step.data);
    Consume(step.consumed);
    body_left_ += static_cast<std::int64_t>(step.data.size());   // chunked: counts what came
    body_done_ = step.done;
    if (step.done || step.consumed > 0) co_return Result<void>();
  }
  if (client_gone_) co_return Fail(Code::kUnavailable, "the client went away before the end of the body");
  if (read_timed_out_) co_return Fail(Code::kTimeout, "the request body did not arrive in time");
  if (room > 0 && (!framing_.expects_continue || pipe->wanted())) {
    co_await SendContinue();
    const TimePoint deadline = Now() + core_->options.timeouts.body;
    WatchClient(deadline);
  }
  co_await wake_->Wait();
  co_return Result<void>();
}

net::Task<void> H1Connection::ServeReader(std::shared_ptr<Request> request, std::int64_t limit) {
  const auto pipe = std::make_shared<BodyPipe>(Waker());
  request->reader = pipe;
  if (body_done_) pipe->End();
  const auto slot = std::make_shared<ReplySlot>(Waker());
  CallWorker(*core_, BodyPolicy::Mode::kReader, gone_.get_token(), request, slot);
  ChunkedDecoder decoder;
  read_timed_out_ = false;
  std::optional<Reply> reply = slot->Take();
  bool broken = false;
  while (!body_done_ && !reply && !broken) {
    auto moved = co_await MovePiece(pipe.get(), &decoder);
    if (moved && framing_.body == Framing::Body::kChunked && body_left_ > limit) moved = Fail(Code::kTooLarge, "body too large");
    if (!moved) {
      broken = true;
      pipe->Fail(std::move(moved).error());
    } else if (body_done_) {
      pipe->End();
    }
    reply = slot->Take();
  }
  if (!body_done_) {   // refused early, or malformed: what is still to come is not worth reading
    keep_alive_ = false;
    linger_ = true;
    if (!broken) pipe->Fail(Error(Code::kCancelled, "the reply was sent before the end of the body"));
  }
  if (!reply) {
    auto answer = co_await AwaitReply(slot);
    if (!answer) co_return;
    reply = std::move(answer);
  }
  if (reading_) stream_->ReadExpiresAt(TimePoint::max());
  co_await Send(request.get(), std::move(*reply));
}

// Says goodbye. After a refusal the client may still be sending: closing with unread bytes resets the connection and may destroy the
// reply on its way (RFC 9112, 9.6), so they are read and dropped for a while.
net::Task<void> H1Connection::Close() {
  const TimePoint deadline = Now() + kLingerTime;
  stream_->WriteExpiresAt(deadline);
  const auto closed = co_await stream_->CloseWrite();
  if (!closed || !linger_) co_return;
  for (std::size_t dropped = 0; dropped < kLingerBytes;) {
    Consume(buffered().size());
    const auto n = co_await Fill(kBodyRead, deadline);
    if (!n || *n == 0) co_return;
    dropped += *n;
  }
}

net::Task<void> ServeHttp1(std::shared_ptr<Server::Core> core, std::size_t shard, std::unique_ptr<net::Stream> stream) {
  auto executor = co_await boost::asio::this_coro::executor;
  const auto connection = std::make_shared<H1Connection>(core, std::move(executor), std::move(stream));
  const OpenConnection open(*core, shard, connection.get());
  co_await connection->Run();
}

}  // namespace skerry::http
