#include "core/http/h2_connection.h"

#include <boost/asio/this_coro.hpp>

#include "core/base/strings.h"
#include "core/http/head.h"

namespace skerry::http {
namespace {
constexpr std::uint32_t kMaxStreams = 250;
constexpr std::size_t kReadSize = 32 << 10;
constexpr std::size_t kWriteSize = 64 << 10;
constexpr std::int32_t kConnectionWindow = 4 << 20;

net::Stream::TimePoint Clock() { return std::chrono::steady_clock::now(); }
std::string_view Text(const std::uint8_t* bytes, std::size_t size) { return {reinterpret_cast<const char*>(bytes), size}; }
}  // namespace

H2Connection::H2Connection(std::shared_ptr<Server::Core> core, net::Executor executor, std::unique_ptr<net::Stream> stream)
    : core_(std::move(core)),
      executor_(std::move(executor)),
      wake_(net::Event::Create(executor_)),
      ready_(std::make_shared<H2Ready>(wake_)),
      stream_(std::move(stream)) {}

H2Connection::~H2Connection() { nghttp2_session_del(session_); }

Result<void> H2Connection::Open() {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_option* options = nullptr;
  if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&options) != 0) return Fail(Code::kInternal, "HTTP/2 session");
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, OnBeginHeaders);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnData);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnClose);
  nghttp2_option_set_no_auto_window_update(options, 1);   // a body's window comes back when its reader took the bytes
  nghttp2_option_set_max_send_header_block_length(options, kMaxHead);
  const int made = nghttp2_session_server_new2(&session_, callbacks, this, options);
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_option_del(options);
  if (made != 0) return Fail(Code::kInternal, "HTTP/2 session");
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kMaxStreams},
                                             {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<std::uint32_t>(BodyPipe::kCapacity)},
                                             {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(kMaxHead)}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
  return {};
}

void H2Connection::BeginStop() {
  stopping_ = true;
  if (session_ != nullptr) nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR, nullptr, 0);
  for (const auto& [id, s] : streams_) {
    if (s->source) ready_->Add(id);   // streaming replies end
  }
  wake_->Notify();
}

void H2Connection::Cut() {
  StopAll();
  stream_->Abort();
}

void H2Connection::StopAll() {
  ended_ = true;
  for (const auto& [id, s] : streams_) {
    s->gone.request_stop();
    if (s->pipe) s->pipe->Fail(Error(Code::kUnavailable, "the client went away before the end of the body"));
  }
  wake_->Notify();
}

net::Task<void> H2Connection::Run() {
  const auto self = shared_from_this();
  if (!Open()) co_return;
  reading_ = true;
  core_->tasks.Spawn(executor_, ReadLoop(self));
  std::string out;
  while (!ended_) {
    HandleReady();
    out.clear();
    if (Collect(out) > 0) {
      stream_->WriteExpiresAt(Clock() + core_->options.timeouts.write);
      const auto written = co_await stream_->Write(out);
      if (!written) break;
      continue;
    }
    const bool idle = nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
    if (idle || (stopping_ && streams_.empty())) break;
    const TimePoint deadline = NextDeadline();
    const bool woken = co_await wake_->WaitUntil(deadline);
    if (!woken) ExpireBodies();
  }
  const bool orderly = !ended_;
  StopAll();
  if (orderly) {
    stream_->WriteExpiresAt(Clock() + std::chrono::seconds(2));
    const auto closed = co_await stream_->CloseWrite();
    static_cast<void>(closed);
  }
  stream_->Abort();
  while (reading_) co_await wake_->Wait();
  streams_.clear();
}

net::Task<void> H2Connection::ReadLoop(std::shared_ptr<H2Connection> self) {
  std::string buffer(kReadSize, 0);
  const std::span<std::byte> room(reinterpret_cast<std::byte*>(buffer.data()), buffer.size());
  const auto& limits = self->core_->options.timeouts;
  TimePoint deadline = Clock() + limits.header;   // the preface
  while (!self->ended_) {
    self->stream_->ReadExpiresAt(deadline);
    const auto n = co_await self->stream_->Read(room);
    deadline = Clock() + limits.idle;
    if (!n && n.error().code() == Code::kTimeout && !self->streams_.empty()) continue;
    if (!n || *n == 0) break;
    const ssize_t used = nghttp2_session_mem_recv(self->session_, reinterpret_cast<const std::uint8_t*>(buffer.data()), *n);
    if (used < 0) break;
    self->wake_->Notify();
  }
  self->reading_ = false;
  self->StopAll();
}

std::size_t H2Connection::Collect(std::string& out) {
  while (out.size() < kWriteSize) {
    const std::uint8_t* data = nullptr;
    const ssize_t n = nghttp2_session_mem_send(session_, &data);
    if (n < 0) ended_ = true;
    if (n <= 0) break;
    out.append(Text(data, static_cast<std::size_t>(n)));
  }
  return out.size();
}

H2Connection::H2Stream* H2Connection::Find(std::int32_t id) {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second.get();
}

void H2Connection::HandleReady() {
  for (const std::int32_t id : ready_->Take()) {
    H2Stream* s = Find(id);
    if (s == nullptr) continue;
    if (s->pipe) GiveBack(*s);
    if (s->source) nghttp2_session_resume_data(session_, id);
    if (s->slot && !s->replied) {
      if (auto reply = s->slot->Take()) Submit(*s, std::move(*reply));
    }
  }
}

net::Stream::TimePoint H2Connection::NextDeadline() const {
  TimePoint out = TimePoint::max();
  for (const auto& [id, s] : streams_) {
    if (!s->body_done && !s->replied) out = std::min(out, s->last_progress + core_->options.timeouts.body);
  }
  return out;
}

void H2Connection::ExpireBodies() {
  const TimePoint now = Clock();
  for (const auto& [id, s] : streams_) {
    if (s->body_done || s->replied || s->last_progress + core_->options.timeouts.body > now) continue;
    const bool waits_for_us = s->pipe && s->pipe->room() == 0;
    s->last_progress = now;
    if (waits_for_us) continue;
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  }
}

int H2Connection::OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  H2Connection& self = Self(user);
  auto s = std::make_unique<H2Stream>();
  s->id = frame->hd.stream_id;
  s->last_progress = Clock();
  s->request->headers.reserve(12);
  self.streams_[s->id] = std::move(s);
  return 0;
}

int H2Connection::OnHeader(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size, const std::uint8_t* value,
                           std::size_t value_size, std::uint8_t, void* user) {
  H2Stream* s = Self(user).Find(frame->hd.stream_id);
  if (s == nullptr || s->dispatched || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;   // trailers are dropped
  const auto n = Text(name, name_size), v = Text(value, value_size);
  s->head_bytes += n.size() + v.size() + 32;
  if (s->head_bytes > kMaxHead || s->request->headers.size() >= kMaxHeaders) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;   // resets the stream
  Request& r = *s->request;
  if (n == ":method") {
    r.method = v;
  } else if (n == ":path") {
    r.target = v;
  } else if (n == ":authority") {
    r.headers.push_back({"host", std::string(v)});
  } else if (!n.starts_with(':') && !(n == "host" && !r.Get("host").empty())) {
    if (n == "expect") s->expects_continue = EqualsIgnoreCase(v, "100-continue");
    r.headers.push_back({std::string(n), std::string(v)});
  }
  return 0;
}

int H2Connection::OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  H2Connection& self = Self(user);
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
  H2Stream* s = self.Find(frame->hd.stream_id);
  if (s == nullptr) return 0;
  const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
    self.OnHeadDone(*s, end);
  } else if (end) {
    self.OnBodyEnd(*s);
  }
  return 0;
}

void H2Connection::OnHeadDone(H2Stream& s, bool end_of_stream) {
  Request& r = *s.request;
  const auto& info = stream_->info();
  r.remote_address = info.remote;
  r.tls = info.tls;
  r.peer = info.peer;
  r.peer_error = info.peer_error;
  s.body_done = end_of_stream;
  auto split = r.target.starts_with('/') || r.target == "*" ? SplitTarget(r) : std::unexpected(HeadFault());
  if (!split) {
    SubmitResponse(s, PlainReply(400, split.error().why));
    return;
  }
  Handler& handler = *core_->options.handler;
  s.policy = handler.PolicyFor(r);
  const auto length = ParseInt(r.Get("content-length"));
  if (length && *length > s.policy.limit) {
    SubmitResponse(s, handler.TooLarge(r, s.policy.limit));
    return;
  }
  const bool reader = s.policy.mode == BodyPolicy::Mode::kReader;
  if (s.expects_continue && !end_of_stream) {
    static constexpr char kName[] = ":status", kValue[] = "100";
    nghttp2_nv nv = {};
    nv.name = reinterpret_cast<std::uint8_t*>(const_cast<char*>(kName));
    nv.value = reinterpret_cast<std::uint8_t*>(const_cast<char*>(kValue));
    nv.namelen = sizeof kName - 1;
    nv.valuelen = sizeof kValue - 1;
    nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, s.id, nullptr, &nv, 1, nullptr);
  }
  if (reader || end_of_stream) Dispatch(s);
}

void H2Connection::Dispatch(H2Stream& s) {
  s.dispatched = true;
  Handler& handler = *core_->options.handler;
  const auto waker = [ready = ready_, id = s.id] { ready->Add(id); };
  if (s.policy.mode == BodyPolicy::Mode::kReader) {
    s.pipe = std::make_shared<BodyPipe>(waker);
    s.request->reader = s.pipe;
    if (s.body_done) s.pipe->End();
  } else {
    Reply reply = handler.OnShard(Ctx(s.gone.get_token()), *s.request);
    if (!std::holds_alternative<NeedsWorker>(reply)) {
      Submit(s, std::move(reply));
      return;
    }
  }
  s.slot = std::make_shared<ReplySlot>(waker);
  CallWorker(*core_, s.policy.mode, s.gone.get_token(), s.request, s.slot);
}

int H2Connection::OnData(nghttp2_session* session, std::uint8_t, std::int32_t id, const std::uint8_t* data, std::size_t size, void* user) {
  H2Connection& self = Self(user);
  nghttp2_session_consume_connection(session, size);   // one slow reader must not hold the others back
  H2Stream* s = self.Find(id);
  if (s == nullptr) return 0;
  s->last_progress = Clock();
  s->received += static_cast<std::int64_t>(size);
  if (s->replied || s->too_large) {
    nghttp2_session_consume_stream(session, id, size);
    return 0;
  }
  s->too_large = s->received > s->policy.limit;
  if (s->pipe) {
    if (s->too_large) {
      s->pipe->Fail(Error(Code::kTooLarge, "body too large"));
    } else {
      s->pipe->Push(Text(data, size));   // never more than the stream's window, which is the pipe's size
    }
    return 0;
  }
  nghttp2_session_consume_stream(session, id, size);
  if (s->too_large) {
    self.SubmitResponse(*s, self.core_->options.handler->TooLarge(*s->request, s->policy.limit));
  } else {
    s->request->body += Text(data, size);
  }
  return 0;
}

void H2Connection::GiveBack(H2Stream& s) {
  const auto buffered = static_cast<std::int64_t>(BodyPipe::kCapacity - s.pipe->room());
  const std::int64_t taken = s.received - buffered - s.returned;
  if (taken <= 0) return;
  s.returned += taken;
  nghttp2_session_consume_stream(session_, s.id, static_cast<std::size_t>(taken));
}

void H2Connection::OnBodyEnd(H2Stream& s) {
  s.body_done = true;
  if (s.pipe) {
    s.pipe->End();
  } else if (!s.replied && !s.dispatched) {
    Dispatch(s);
  }
}

int H2Connection::OnClose(nghttp2_session*, std::int32_t id, std::uint32_t, void* user) {
  H2Connection& self = Self(user);
  const auto found = self.streams_.find(id);
  if (found == self.streams_.end()) return 0;
  const auto s = std::move(found->second);
  self.streams_.erase(found);
  s->gone.request_stop();
  if (s->pipe) s->pipe->Fail(Error(Code::kUnavailable, "the client went away before the end of the body"));
  self.wake_->Notify();
  return 0;
}

net::Task<void> ServeHttp2(std::shared_ptr<Server::Core> core, std::size_t shard, std::unique_ptr<net::Stream> stream) {
  auto executor = co_await boost::asio::this_coro::executor;
  const auto connection = std::make_shared<H2Connection>(core, std::move(executor), std::move(stream));
  const OpenConnection open(*core, shard, connection.get());
  co_await connection->Run();
}

}  // namespace skerry::http
