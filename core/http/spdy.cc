#include "core/http/spdy.h"

#include <boost/asio/any_io_executor.hpp>

#include "core/base/strings.h"
#include "core/net/task_group.h"

namespace skerry::http {
namespace {
constexpr std::size_t kMaxDataFrame = 32 << 10;
constexpr std::size_t kMaxQueue = 64 << 10;   // control frames that a peer may provoke before it reads
constexpr std::uint32_t kStreamMask = 0x7fffffff;

std::size_t LeastPayload(spdy::Type type) {
  switch (type) {
    case spdy::Type::kSynStream: return 10;
    case spdy::Type::kRstStream:
    case spdy::Type::kGoAway:
    case spdy::Type::kWindowUpdate: return 8;
    case spdy::Type::kSynReply:
    case spdy::Type::kHeaders:
    case spdy::Type::kSettings:
    case spdy::Type::kPing: return 4;
  }
  return 0;
}
}  // namespace

std::shared_ptr<SpdySession> SpdySession::Create(std::unique_ptr<net::Stream> stream, Role role, const boost::asio::any_io_executor& executor) {
  return std::make_shared<SpdySession>(std::move(stream), role, executor);
}

SpdySession::SpdySession(std::unique_ptr<net::Stream> stream, Role role, const boost::asio::any_io_executor& executor)
    : stream_(std::move(stream)),
      role_(role),
      executor_(executor),
      reader_(*stream_),
      room_(net::Event::Create(executor)),
      queued_(net::Event::Create(executor)),
      opened_event_(net::Event::Create(executor)),
      window_(net::Event::Create(executor)),
      next_id_(role == Role::kServer ? 2 : 1) {}

SpdySession::Entry& SpdySession::Add(std::uint32_t id, Channel* channel) {
  Entry& entry = entries_[id];
  entry.channel = channel;
  entry.send_window = peer_initial_window_;
  entry.changed = net::Event::Create(executor_);
  return entry;
}

SpdySession::Entry* SpdySession::Find(std::uint32_t id) {
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : &found->second;
}

void SpdySession::Forget(std::uint32_t id) {
  const Entry* entry = Find(id);
  if (entry != nullptr && entry->channel == nullptr && entry->sent_end && entry->got_end) entries_.erase(id);
}

void SpdySession::Queue(spdy::Type type, std::string_view payload) {
  spdy::AppendControl(queue_, type, 0, payload);
  if (queue_.size() > kMaxQueue) stream_->Abort();   // a peer that provokes answers without reading them
  queued_->Notify();
}

void SpdySession::QueueReset(std::uint32_t id, spdy::Status status) {
  std::string payload;
  spdy::AppendU32(payload, id);
  spdy::AppendU32(payload, static_cast<std::uint32_t>(status));
  Queue(spdy::Type::kRstStream, payload);
}

net::Task<Result<void>> SpdySession::Send(std::string_view frames) {
  co_await turn_.Take();
  const net::TurnGuard mine(turn_);
  co_return co_await stream_->Write(frames);
}

net::Task<void> SpdySession::Flush(std::shared_ptr<SpdySession> self) {
  while (!self->ended_) {
    while (!self->queue_.empty()) {
      const std::string frames = std::exchange(self->queue_, std::string());
      const auto sent = co_await self->Send(frames);
      if (!sent) {
        self->stream_->Abort();
        co_return;
      }
    }
    if (!self->ended_) co_await self->queued_->Wait();
  }
}

net::Task<Result<void>> SpdySession::Run() {
  const auto self = shared_from_this();
  net::TaskGroup flusher;
  flusher.Spawn(executor_, Flush(self));
  auto outcome = co_await ReadFrames();
  ended_ = true;
  queued_->Notify();
  if (!outcome) stream_->Abort();
  EndAll(outcome);
  opened_.clear();   // they hold the session; nobody will want them
  co_await flusher.Wait();
  co_return outcome;
}

bool SpdySession::AnyFull() const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [](const auto& e) { return e.second.channel != nullptr && e.second.channel->unread() > kMaxUnread; });
}

net::Task<Result<void>> SpdySession::ReadFrames() {
  for (;;) {
    CO_TRY(const bool more, co_await reader_.Need(spdy::kHeadSize));
    if (!more && reader_.view().empty()) co_return Result<void>();
    if (!more) co_return Fail(Code::kUnavailable, "SPDY: connection closed inside a frame");
    CO_TRY(const auto head, spdy::ParseHead(reader_.view().substr(0, spdy::kHeadSize)));
    reader_.Consume(spdy::kHeadSize);
    if (head.control) {
      CO_TRY_VOID(co_await ReadControl(head));
    } else {
      CO_TRY_VOID(co_await ReadData(head));
    }
    while (AnyFull()) co_await room_->Wait();
  }
}

net::Task<Result<void>> SpdySession::ReadControl(spdy::FrameHead head) {
  CO_TRY(const bool whole, co_await reader_.Need(head.length));
  if (!whole) co_return Fail(Code::kUnavailable, "SPDY: connection closed inside a frame");
  const std::string payload(reader_.view().substr(0, head.length));
  reader_.Consume(head.length);
  const std::size_t least = LeastPayload(head.type);
  if (payload.size() < least) co_return Fail(Code::kBadRequest, "SPDY: frame too short");
  switch (head.type) {
    case spdy::Type::kSynStream: co_return OnSynStream(head.flags, payload);
    case spdy::Type::kSynReply:
    case spdy::Type::kHeaders: co_return OnReply(head.type, head.flags, payload);
    case spdy::Type::kRstStream: OnReset(payload); break;
    case spdy::Type::kSettings: OnSettings(payload); break;
    case spdy::Type::kPing:   // an id of ours would be an answer; we send none
      if ((spdy::ReadU32(payload, 0) & 1) == (role_ == Role::kServer ? 1U : 0U)) Queue(spdy::Type::kPing, std::string_view(payload).substr(0, 4));
      break;
    case spdy::Type::kWindowUpdate: OnWindowUpdate(payload); break;
    case spdy::Type::kGoAway: break;   // the streams that are open go on; the end of the connection follows
    default: break;                    // unknown control frames are ignored
  }
  co_return Result<void>();
}

net::Task<Result<void>> SpdySession::ReadData(spdy::FrameHead head) {
  std::uint32_t left = head.length;
  while (left > 0) {
    CO_TRY(const bool more, co_await reader_.Need(1));
    if (!more) co_return Fail(Code::kUnavailable, "SPDY: connection closed inside a frame");
    const auto bytes = reader_.view().substr(0, left);
    left -= static_cast<std::uint32_t>(bytes.size());
    Entry* entry = Find(head.stream);
    if (entry != nullptr && entry->channel != nullptr && !entry->got_end) {
      entry->channel->Deliver(bytes);
    } else {
      OnTaken(0, bytes.size());   // dropped, but the session's window has to come back
    }
    reader_.Consume(bytes.size());
    while (AnyFull()) co_await room_->Wait();
  }
  Entry* entry = Find(head.stream);
  if (entry == nullptr) {
    if (head.stream > last_peer_id_) QueueReset(head.stream, spdy::Status::kInvalidStream);
    co_return Result<void>();
  }
  if ((head.flags & spdy::kFlagFin) == 0) co_return Result<void>();
  entry->got_end = true;
  if (entry->channel != nullptr) entry->channel->DeliverEnd();
  Forget(head.stream);
  co_return Result<void>();
}

Result<void> SpdySession::OnSynStream(std::uint8_t flags, std::string_view payload) {
  const std::uint32_t id = spdy::ReadU32(payload, 0) & kStreamMask;
  TRY(auto headers, decompress_.Decompress(payload.substr(10)));   // always: the compression state runs through refused streams as well
  const bool theirs = (id & 1) == (role_ == Role::kServer ? 1U : 0U);
  if (!theirs || id <= last_peer_id_) return Fail(Code::kBadRequest, "SPDY: bad stream id");
  last_peer_id_ = id;
  if (entries_.size() >= kMaxStreams) {
    QueueReset(id, spdy::Status::kRefusedStream);
    return {};
  }
  Opened opened;
  opened.headers = std::move(headers);
  opened.channel = std::make_unique<Channel>(shared_from_this(), id, executor_);
  Entry& entry = Add(id, opened.channel.get());
  entry.replied = true;
  entry.got_end = (flags & spdy::kFlagFin) != 0;
  entry.sent_end = (flags & spdy::kFlagUnidirectional) != 0;
  if (entry.got_end) opened.channel->DeliverEnd();
  std::string reply;
  spdy::AppendU32(reply, id);
  reply += compress_.Compress({});
  Queue(spdy::Type::kSynReply, reply);
  opened_.push_back(std::move(opened));
  opened_event_->Notify();
  return {};
}

Result<void> SpdySession::OnReply(spdy::Type type, std::uint8_t flags, std::string_view payload) {
  const std::uint32_t id = spdy::ReadU32(payload, 0) & kStreamMask;
  TRY(const auto headers, decompress_.Decompress(payload.substr(4)));
  Entry* entry = Find(id);
  if (entry == nullptr) return {};
  if (type == spdy::Type::kSynReply) entry->replied = true;
  if ((flags & spdy::kFlagFin) != 0) {
    entry->got_end = true;
    if (entry->channel != nullptr) entry->channel->DeliverEnd();
  }
  entry->changed->Notify();
  return {};
}

void SpdySession::OnReset(std::string_view payload) {
  const std::uint32_t id = spdy::ReadU32(payload, 0) & kStreamMask;
  Entry* entry = Find(id);
  if (entry == nullptr) return;
  entry->got_end = entry->sent_end = true;
  if (entry->channel != nullptr) entry->channel->Fail(Error(Code::kCancelled, Cat("SPDY: stream reset by the peer, status ", spdy::ReadU32(payload, 4))));
  entry->changed->Notify();
  Forget(id);
}

void SpdySession::OnSettings(std::string_view payload) {
  const std::uint64_t count = spdy::ReadU32(payload, 0);
  for (std::uint64_t i = 0; i < count && payload.size() >= 4 + (i + 1) * 8; ++i) {
    const std::size_t at = static_cast<std::size_t>(4 + i * 8);
    if ((spdy::ReadU32(payload, at) & 0xffffff) != spdy::kSettingInitialWindow) continue;
    const auto value = static_cast<std::int64_t>(spdy::ReadU32(payload, at + 4) & kStreamMask);
    for (auto& [id, entry] : entries_) {
      entry.send_window += value - peer_initial_window_;
      entry.changed->Notify();
    }
    peer_initial_window_ = value;
    peer_keeps_windows_ = true;
  }
}

void SpdySession::OnWindowUpdate(std::string_view payload) {
  const std::uint32_t id = spdy::ReadU32(payload, 0) & kStreamMask;
  const auto delta = static_cast<std::int64_t>(spdy::ReadU32(payload, 4) & kStreamMask);
  peer_keeps_windows_ = true;
  if (id == 0) {
    session_window_ = std::min<std::int64_t>(session_window_ + delta, kStreamMask);
    for (auto& [other, entry] : entries_) entry.changed->Notify();
    return;
  }
  Entry* entry = Find(id);
  if (entry == nullptr) return;
  entry->send_window = std::min<std::int64_t>(entry->send_window + delta, kStreamMask);
  entry->changed->Notify();
}

void SpdySession::EndAll(const Result<void>& outcome) {
  opened_event_->Notify();
  for (auto& [id, entry] : entries_) {
    const bool orderly = outcome && entry.got_end;
    if (entry.channel != nullptr && !orderly) {
      entry.channel->Fail(outcome ? Error(Code::kUnavailable, "SPDY: the session ended") : outcome.error().Clone());
    }
    entry.changed->Notify();
  }
}

net::Task<Result<SpdySession::Opened>> SpdySession::Accept(net::Stream::TimePoint deadline) {
  const auto self = shared_from_this();
  for (;;) {
    if (!opened_.empty()) {
      Opened out = std::move(opened_.front());
      opened_.pop_front();
      co_return out;
    }
    if (ended_) co_return Fail(Code::kCancelled, "SPDY: the session ended");
    if (std::chrono::steady_clock::now() >= deadline) co_return Fail(Code::kTimeout, "SPDY: the peer opened no stream in time");
    const bool woken = co_await opened_event_->WaitUntil(deadline);
    static_cast<void>(woken);
  }
}

net::Task<Result<std::unique_ptr<Channel>>> SpdySession::Open(Headers headers, net::Stream::TimePoint deadline) {
  const auto self = shared_from_this();
  if (ended_) co_return Fail(Code::kUnavailable, "SPDY: the session ended");
  const std::uint32_t id = std::exchange(next_id_, next_id_ + 2);
  auto channel = std::make_unique<Channel>(self, id, executor_);
  const auto changed = Add(id, channel.get()).changed;
  std::string payload;
  spdy::AppendU32(payload, id);
  spdy::AppendU32(payload, 0);
  payload += std::string(2, '\0');
  payload += compress_.Compress(headers);   // queued at once: blocks must leave in the order of their compression
  Queue(spdy::Type::kSynStream, payload);
  for (;;) {
    const Entry* entry = Find(id);
    if (entry == nullptr || (!entry->replied && (entry->sent_end || ended_))) co_return Fail(Code::kUnavailable, "SPDY: the peer refused the stream");
    if (entry->replied) co_return channel;
    if (std::chrono::steady_clock::now() >= deadline) co_return Fail(Code::kTimeout, "SPDY: no reply to a new stream in time");
    const bool woken = co_await changed->WaitUntil(deadline);
    static_cast<void>(woken);
  }
}

net::Task<void> SpdySession::GoAway() {
  std::string payload, frame;
  spdy::AppendU32(payload, last_peer_id_);
  spdy::AppendU32(payload, 0);
  spdy::AppendControl(frame, spdy::Type::kGoAway, 0, payload);
  const auto sent = co_await Send(frame);
  if (!sent) stream_->Abort();
}

net::Task<Result<void>> SpdySession::SendData(std::uint32_t channel, std::string_view bytes, net::Stream::TimePoint deadline) {
  const auto self = shared_from_this();
  std::string frame;
  while (!bytes.empty()) {
    Entry* entry = Find(channel);
    if (entry == nullptr || entry->sent_end || ended_) co_return Fail(Code::kUnavailable, "write: SPDY stream closed");
    std::size_t size = std::min(bytes.size(), kMaxDataFrame);
    if (peer_keeps_windows_) {
      const std::int64_t window = std::min(entry->send_window, session_window_);
      if (window <= 0) {
        if (std::chrono::steady_clock::now() >= deadline) co_return Fail(Code::kTimeout, "write timed out");
        const auto changed = entry->changed;
        const bool woken = co_await changed->WaitUntil(deadline);
        static_cast<void>(woken);
        continue;
      }
      size = std::min(size, static_cast<std::size_t>(window));
    }
    entry->send_window -= static_cast<std::int64_t>(size);
    session_window_ -= static_cast<std::int64_t>(size);
    frame = std::exchange(queue_, std::string());   // a reply to SYN_STREAM goes before the first data
    spdy::AppendDataHead(frame, channel, 0, size);
    frame += bytes.substr(0, size);
    bytes.remove_prefix(size);
    stream_->WriteExpiresAt(deadline);
    CO_TRY_VOID(co_await Send(frame));
  }
  co_return Result<void>();
}

net::Task<Result<void>> SpdySession::SendEnd(std::uint32_t channel) {
  const auto self = shared_from_this();
  Entry* entry = Find(channel);
  if (entry == nullptr || entry->sent_end) co_return Result<void>();
  entry->sent_end = true;
  std::string frame = std::exchange(queue_, std::string());
  spdy::AppendDataHead(frame, channel, spdy::kFlagFin, 0);
  auto sent = co_await Send(frame);
  Forget(channel);
  co_return sent;
}

void SpdySession::OnTaken(std::uint32_t channel, std::size_t bytes) {
  room_->Notify();
  if (!peer_keeps_windows_) return;
  const auto give_back = [this](std::uint32_t id, std::int64_t& taken) {
    if (taken < spdy::kInitialWindow / 2) return;
    std::string payload;
    spdy::AppendU32(payload, id);
    spdy::AppendU32(payload, static_cast<std::uint32_t>(std::exchange(taken, 0)));
    Queue(spdy::Type::kWindowUpdate, payload);
  };
  session_taken_ += static_cast<std::int64_t>(bytes);
  give_back(0, session_taken_);
  Entry* entry = Find(channel);
  if (entry == nullptr || entry->got_end) return;
  entry->taken += static_cast<std::int64_t>(bytes);
  give_back(channel, entry->taken);
}

void SpdySession::OnAbort(std::uint32_t channel) noexcept {
  Entry* entry = Find(channel);
  if (entry == nullptr || (entry->sent_end && entry->got_end)) return;
  entry->sent_end = entry->got_end = true;
  if (!ended_) QueueReset(channel, spdy::Status::kCancel);
  entry->changed->Notify();
  room_->Notify();
}

void SpdySession::OnGone(std::uint32_t channel) noexcept {
  Entry* entry = Find(channel);
  if (entry == nullptr) return;
  entry->channel = nullptr;
  if (!entry->sent_end) {
    entry->sent_end = entry->got_end = true;
    if (!ended_) QueueReset(channel, spdy::Status::kCancel);
  }
  room_->Notify();
  Forget(channel);
}

}  // namespace skerry::http
