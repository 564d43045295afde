#include "core/proxy/connection.h"

#include <algorithm>
#include <cstring>

#include "core/base/strings.h"
#include "core/net/address.h"
#include "core/net/dial.h"
#include "core/net/streams.h"
#include "core/net/task.h"

namespace skerry::proxy {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kFirstRoom = 4 << 10, kLargeBuffer = 32 << 10, kSmallBody = 16 << 10, kSpareBuffers = 256;
constexpr int kMaxAttempts = 4;
constexpr auto kLingerFor = std::chrono::seconds(1);

constexpr char kUnavailable[] =
    "<!DOCTYPE html><html><head><title>Application is not available</title></head><body><h1>Application is not available</h1>"
    "<p>The application is currently not serving requests at this address. It may not have been started or is still starting, "
    "the host name or path may be wrong, or no route leads to it.</p></body></html>\n";

// Headers that we set ourselves: a client's word for them would be taken for ours.
bool IsForwardingHeader(std::string_view name) {
  switch (name.size()) {
    case 16: return SameName(name, "x-forwarded-host") || SameName(name, "x-forwarded-port");
    case 17: return SameName(name, "x-forwarded-proto");
    default: return false;
  }
}

void AppendHeader(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

}  // namespace

std::span<std::byte> Buffer::Room(std::size_t want) {
  if (bytes_.size() - end_ < want && begin_ > 0) {
    std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (bytes_.size() - end_ < want) bytes_.resize(std::max(bytes_.size() * 2, end_ + want));
  return {reinterpret_cast<std::byte*>(bytes_.data()) + end_, bytes_.size() - end_};
}

Counters::Counters()
    : retries(telemetry::Metrics::Global().GetCounter("skerry_router_retries_total", "Requests sent to another backend")),
      connections(telemetry::Metrics::Global().GetCounter("skerry_router_connections_total", "Client connections accepted")) {
  for (int i = 0; i < 6; ++i) {
    by_class[i] = &telemetry::Metrics::Global().GetCounter("skerry_router_requests_total", "Requests by class of the answer", {{"code", Cat(i, "xx")}});
  }
}

std::unique_ptr<Buffer> ShardState::TakeBuffer() {
  if (spare.empty()) return std::make_unique<Buffer>();
  auto out = std::move(spare.back());
  spare.pop_back();
  return out;
}

void ShardState::GiveBuffer(std::unique_ptr<Buffer> buffer) {
  if (spare.size() >= kSpareBuffers || buffer->capacity() > 2 * kLargeBuffer) return;
  buffer->Clear();
  spare.push_back(std::move(buffer));
}

Connection::Connection(const Options& options, Counters& counters, ShardState& local, std::unique_ptr<net::Stream> client)
    : options_(options), counters_(counters), local_(local), client_(std::move(client)), tls_(client_->info().tls) {
  const auto remote = net::SplitHostPort(client_->info().remote);
  const auto near = net::SplitHostPort(client_->info().local);
  client_address_ = remote ? remote->host : "unknown";
  forwarded_ = Cat("X-Forwarded-For: ", client_address_, "\r\nX-Forwarded-Port: ", near ? near->port : 0, "\r\nX-Forwarded-Proto: ", tls_ ? "https" : "http", "\r\n");
  local_.connections.insert(this);
}

Connection::~Connection() { local_.connections.erase(this); }

void Connection::Drain() {
  if (idle_) client_->Abort();
}

void Connection::Abort() noexcept {
  client_->Abort();
  if (link_) link_->Abort();
}

net::Task<void> Connection::Run() {
  for (;;) {
    const bool have = co_await ReadRequest();
    if (!have) break;
    const Outcome outcome = co_await Serve();
    served_ = true;
    if (back_) local_.GiveBuffer(std::move(back_));
    if (out_.capacity() > kSmallBody) std::string().swap(out_);
    route_ = nullptr;
    table_.reset();
    if (outcome == Outcome::kClose) break;
  }
}

net::Task<bool> Connection::ReadRequest() {
  idle_ = in_.empty();
  client_->ReadExpiresAt(Clock::now() + (idle_ ? options_.keep_alive : options_.head_timeout));
  for (;;) {
    while (in_.view().starts_with("\r\n")) in_.Consume(2);   // RFC 9112, 2.2
    if (!in_.empty()) {
      int status = 0;
      const Parsed parsed = ParseRequest(in_.view(), request_, status);
      if (parsed == Parsed::kDone) {
        const bool whole = co_await ReadSmallBody();
        co_return whole;
      }
      const bool too_long = parsed == Parsed::kIncomplete && in_.size() >= options_.max_head;
      if (parsed == Parsed::kBad || too_long) {
        keep_client_ = head_only_ = false;
        const int answer = too_long ? 431 : status;
        const std::string_view reason = too_long ? "Request Header Fields Too Large" : status == 501 ? "Not Implemented" : status == 505 ? "HTTP Version Not Supported" : "Bad Request";
        const Outcome ignored = co_await Reply(answer, reason, "", reason);
        static_cast<void>(ignored);
        co_return false;
      }
    }
    if (idle_ && local_.draining) co_return false;
    if (idle_ && served_) client_->ExpectSilence();   // it has just been answered
    const auto room = in_.Room(kFirstRoom / 2);
    const auto n = co_await client_->Read(room);
    if (!n && n.error().code() == Code::kTimeout && !idle_) {
      keep_client_ = head_only_ = false;
      const Outcome ignored = co_await Reply(408, "Request Timeout", "", "Request Timeout");
      static_cast<void>(ignored);
    }
    if (!n || *n == 0) co_return false;
    if (idle_) client_->ReadExpiresAt(Clock::now() + options_.head_timeout);
    idle_ = false;
    in_.Added(*n);
  }
}

net::Task<Connection::Outcome> Connection::Serve() {
  keep_client_ = request_.keep_alive && !local_.draining;
  head_only_ = request_.method == "HEAD";
  request_body_.Start(request_);
  path_ = request_.target;
  host_ = request_.host;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!path_.starts_with(scheme)) continue;
    path_.remove_prefix(scheme.size());   // absolute form: its authority wins over Host (RFC 9112, 3.2.2)
    const std::size_t slash = path_.find('/');
    host_ = path_.substr(0, slash);
    path_ = slash == std::string_view::npos ? std::string_view("/") : path_.substr(slash);
    break;
  }
  table_ = local_.table;
  route_ = request_.method == "CONNECT" ? nullptr : table_->Find(host_, path_);
  const bool refused = route_ != nullptr && !tls_ && route_->termination != Termination::kNone && route_->insecure == Insecure::kRefuse;
  if (route_ == nullptr || refused) {
    const Outcome done = co_await Reply(503, "Service Unavailable", "Cache-Control: no-cache\r\n", kUnavailable);
    co_return done;
  }
  if (!tls_ && route_->termination != Termination::kNone && route_->insecure == Insecure::kRedirect) {
    const auto port = options_.public_https_port;
    const std::string location = Cat("Location: https://", HostWithoutPort(host_), port == 443 ? std::string() : Cat(':', port), path_, "\r\n");
    const Outcome done = co_await Reply(302, "Found", location, "");
    co_return done;
  }
  wants_upgrade_ = request_.connection_upgrade && !request_.upgrade.empty();
  const Outcome done = co_await Forward();
  co_return done;
}

bool Connection::IsIdempotent() const {
  const std::string_view m = request_.method;
  return m == "GET" || m == "HEAD" || m == "OPTIONS" || m == "PUT" || m == "DELETE" || m == "TRACE";
}

// A small body is read whole with its head: then the request can be sent again, and no second coroutine is needed.
net::Task<bool> Connection::ReadSmallBody() {
  if (request_.framing != Framing::kLength || request_.length > kSmallBody || request_.expects_continue) co_return true;
  const std::size_t whole = request_.size + static_cast<std::size_t>(request_.length);
  if (in_.size() >= whole) co_return true;
  client_->ReadExpiresAt(Clock::now() + options_.body_timeout);
  while (in_.size() < whole) {
    const auto room = in_.Room(whole - in_.size());
    const auto n = co_await client_->Read(room);
    if (!n || *n == 0) co_return false;
    in_.Added(*n);
  }
  int status = 0;
  co_return ParseRequest(in_.view(), request_, status) == Parsed::kDone;   // the views may have moved
}

net::Task<bool> Connection::Reach(bool fresh) {
  if (!fresh) link_ = local_.upstreams.TakeIdle(target_.key);
  link_reused_ = link_ != nullptr;
  if (link_reused_) co_return true;
  net::DialTarget to;
  to.address = target_.address;
  to.tls = target_.tls;
  to.server_name = target_.server_name;
  const auto deadline = Clock::now() + options_.connect_timeout;
  auto dialed = co_await net::Dial(to, deadline);
  if (!dialed) {
    local_.upstreams.MarkDown(target_.address);
    co_return false;
  }
  link_ = std::move(*dialed);
  co_return true;
}

bool Connection::PickBackend(int attempt) {
  tell_cookie_ = !route_->cookie.empty();
  if (tell_cookie_ && attempt == 0) {
    for (const HeaderView& h : request_.headers) {
      if (!SameName(h.name, "cookie")) continue;
      const auto value = CookieValue(h.value, route_->cookie);
      if (value.empty() || !local_.upstreams.PickSticky(route_->pools, value, target_)) continue;
      tell_cookie_ = false;
      return true;
    }
  }
  return local_.upstreams.Pick(route_->pools, target_);
}

net::Task<Connection::Outcome> Connection::Forward() {
  route_->requests->Add();
  if (route_->counter) route_->counter->Add();
  const bool idempotent = IsIdempotent();
  const auto body = in_.view().substr(request_.size);
  const auto here = body.substr(0, request_body_.Take(body));
  const bool replayable = request_body_.done();
  bool was_reached = false;
  for (int attempt = 0; attempt < kMaxAttempts && !request_body_.bad(); ++attempt) {
    if (!PickBackend(attempt)) {
      const Outcome done = co_await Reply(503, "Service Unavailable", "Cache-Control: no-cache\r\n", kUnavailable);
      co_return done;
    }
    if (attempt > 0) counters_.retries.Add();
    // A kept connection may be closed by its server at any moment, and then it is unknown whether the request was seen.
    const bool fresh = !idempotent || !replayable || wants_upgrade_ || attempt > 1;
    const bool reached = co_await Reach(fresh);
    if (!reached) continue;
    was_reached = true;
    ComposeRequest(here);
    link_->ExpiresAt(Clock::now() + route_->timeout);
    const std::string_view head(out_);
    const auto written = co_await link_->Write(head);
    const bool again = idempotent && replayable && attempt + 1 < kMaxAttempts;
    if (!written) {
      link_.reset();
      if (again) continue;
      break;
    }
    if (!replayable) {
      in_.Consume(request_.size + here.size());   // the views die here
      pump_failed_ = false;
      pump_.emplace();
      pump_->Spawn(local_.shard, PumpRequestBody());
    }
    link_->ExpectSilence();
    const ResponseRead read = co_await ReadResponse();
    if (read == ResponseRead::kGot) {
      if (replayable) in_.Consume(request_.size + here.size());
      const Outcome done = co_await Deliver();
      co_return done;
    }
    if (pump_) co_await StopPump();
    link_.reset();
    if (read == ResponseRead::kClosedBeforeFirstByte && again) continue;
    keep_client_ = keep_client_ && replayable;
    const bool late = read == ResponseRead::kTimedOut;
    const int code = late ? 504 : 502;
    const std::string_view phrase = late ? "Gateway Timeout" : "Bad Gateway";
    const std::string_view text = late ? "The application did not answer in time.\n" : "The application closed the connection.\n";
    const Outcome failed = co_await Reply(code, phrase, "", text);
    co_return failed;
  }
  const bool bad = request_body_.bad();
  keep_client_ = keep_client_ && !bad;
  const int status = bad ? 400 : was_reached ? 502 : 503;
  const std::string_view reason = bad ? "Bad Request" : was_reached ? "Bad Gateway" : "Service Unavailable";
  const std::string_view page = bad || was_reached ? std::string_view() : std::string_view(kUnavailable);
  const Outcome done = co_await Reply(status, reason, "Cache-Control: no-cache\r\n", page);
  co_return done;
}

void Connection::ComposeRequest(std::string_view body) {
  out_.clear();
  out_.append(request_.method).append(1, ' ');
  if (route_->rewrite_prefix.empty()) {
    out_.append(path_);
  } else {
    std::string_view rest = path_.substr(std::min(path_.size(), route_->path == "/" ? 0 : route_->path.size()));
    if (rest.starts_with('/') && route_->rewrite_prefix.ends_with('/')) rest.remove_prefix(1);
    out_.append(route_->rewrite_prefix).append(rest);
  }
  out_.append(request_.minor == 1 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
  if (host_.data() != request_.host.data()) AppendHeader(out_, "Host", host_);
  for (const HeaderView& h : request_.headers) {
    if (IsHopByHop(h.name, request_.connection) || IsForwardingHeader(h.name)) continue;
    if (host_.data() != request_.host.data() && SameName(h.name, "host")) continue;
    AppendHeader(out_, h.name, h.value);
  }
  if (wants_upgrade_) {
    out_.append("Connection: Upgrade\r\n");
    AppendHeader(out_, "Upgrade", request_.upgrade);
  } else if (request_.minor == 0) {
    out_.append("Connection: keep-alive\r\n");
  }
  out_.append(forwarded_);
  AppendHeader(out_, "X-Forwarded-Host", host_);
  out_.append("Forwarded: for=").append(client_address_.find(':') == std::string::npos ? client_address_ : Cat("\"[", client_address_, "]\""));
  out_.append(";host=").append(host_.find(':') == std::string_view::npos ? std::string(host_) : Cat('"', host_, '"'));
  out_.append(tls_ ? ";proto=https\r\n\r\n" : ";proto=http\r\n\r\n");
  out_.append(body);
}

net::Task<Connection::ResponseRead> Connection::ReadResponse() {
  if (!back_) back_ = local_.TakeBuffer();
  back_->Clear();
  bool first = true;
  const std::string_view method = head_only_ ? std::string_view("HEAD") : std::string_view();
  for (;;) {
    if (!back_->empty()) {
      const Parsed parsed = ParseResponse(back_->view(), method, response_);
      if (parsed == Parsed::kBad || (parsed == Parsed::kIncomplete && back_->size() >= options_.max_head)) co_return ResponseRead::kBroken;
      if (parsed == Parsed::kDone) {
        const bool interim = response_.status < 200 && response_.status != 101;
        if (!interim) co_return ResponseRead::kGot;
        if (request_.minor == 1) {
          const std::string_view head = back_->view().substr(0, response_.size);
          client_->WriteExpiresAt(Clock::now() + options_.body_timeout);
          const auto written = co_await client_->Write(head);
          if (!written) co_return ResponseRead::kBroken;
        }
        back_->Consume(response_.size);
        continue;
      }
    }
    const auto room = back_->Room(kLargeBuffer);
    link_->ReadExpiresAt(Clock::now() + route_->timeout);
    const auto n = co_await link_->Read(room);
    if (!n && n.error().code() == Code::kTimeout) {
      // The backend waits for a body that is still on its way: the client's time-out judges that, not this one.
      if (pump_ && pump_->size() > 0 && !pump_failed_) continue;
      co_return ResponseRead::kTimedOut;
    }
    if (!n || *n == 0) co_return first && back_->empty() ? ResponseRead::kClosedBeforeFirstByte : ResponseRead::kBroken;
    first = false;
    back_->Added(*n);
  }
}

void Connection::ComposeResponse() {
  out_.clear();
  out_.append("HTTP/1.1 ").append(std::to_string(response_.status)).append(1, ' ').append(response_.reason).append("\r\n");
  for (const HeaderView& h : response_.headers) {
    if (!IsHopByHop(h.name, response_.connection)) AppendHeader(out_, h.name, h.value);
  }
  if (response_.status == 101) {
    out_.append("Connection: Upgrade\r\n");
    AppendHeader(out_, "Upgrade", response_.upgrade);
  } else if (!keep_client_) {
    out_.append("Connection: close\r\n");
  } else if (request_.minor == 0) {
    out_.append("Connection: keep-alive\r\n");
  }
  if (tell_cookie_) {
    out_.append("Set-Cookie: ").append(route_->cookie).append(1, '=').append(StickyValue(target_.address));
    out_.append(tls_ ? "; path=/; HttpOnly; Secure; SameSite=None\r\n" : "; path=/; HttpOnly\r\n");
  }
  if (tls_ && !route_->hsts.empty()) AppendHeader(out_, "Strict-Transport-Security", route_->hsts);
  out_.append("\r\n");
}

net::Task<Connection::Outcome> Connection::Deliver() {
  counters_.by_class[std::clamp(response_.status / 100, 0, 5)]->Add();
  if (response_.status == 101) {
    const bool strange = !wants_upgrade_ || pump_;   // nobody asked for it, or a body is still on its way
    if (pump_) co_await StopPump();
    if (strange) co_return Outcome::kClose;
    const Outcome done = co_await Tunnel();
    co_return done;
  }
  response_body_.Start(response_);
  const bool undeliverable = request_.minor == 0 && response_.framing == Framing::kChunked;
  keep_client_ = keep_client_ && response_.framing != Framing::kUntilClose && !(pump_ && pump_->size() > 0);
  ComposeResponse();
  const bool backend_keeps = response_.keep_alive;
  back_->Consume(response_.size);
  bool copied = false;
  if (!undeliverable) copied = co_await CopyBody();
  if (pump_) {
    const bool finished = pump_->size() == 0 && !pump_failed_;
    co_await StopPump();
    keep_client_ = keep_client_ && finished;
    Release(copied && backend_keeps && finished);
    if (!finished && copied) co_await Linger();
  } else {
    Release(copied && backend_keeps);
  }
  co_return copied && keep_client_ ? Outcome::kNextRequest : Outcome::kClose;
}

net::Task<bool> Connection::CopyBody() {
  // The head leaves together with what has come of the body.
  {
    const auto available = back_->view();
    const std::size_t n = response_body_.Take(available);
    out_.append(available.substr(0, n));
    back_->Consume(n);
  }
  client_->WriteExpiresAt(Clock::now() + options_.body_timeout);
  const std::string_view first(out_);
  const auto sent = co_await client_->Write(first);
  if (!sent) co_return false;
  while (!response_body_.done()) {
    if (response_body_.bad()) co_return false;
    const auto room = back_->Room(kLargeBuffer);
    link_->ReadExpiresAt(Clock::now() + route_->timeout);
    const auto n = co_await link_->Read(room);
    if (!n) co_return false;
    if (*n == 0) {
      response_body_.End();
      co_return response_body_.done();   // anything but kUntilClose is cut short: the client must see that
    }
    back_->Added(*n);
    const auto available = back_->view();
    const auto part = available.substr(0, response_body_.Take(available));
    client_->WriteExpiresAt(Clock::now() + options_.body_timeout);
    const auto written = co_await client_->Write(part);
    if (!written) co_return false;
    back_->Consume(part.size());
  }
  co_return true;
}

void Connection::Release(bool reusable) {
  if (reusable && back_->empty() && !local_.draining) {
    local_.upstreams.Keep(target_.key, std::move(link_));
  }
  link_.reset();
}

net::Task<Connection::Outcome> Connection::Tunnel() {
  ComposeResponse();
  back_->Consume(response_.size);
  out_.append(back_->view());
  local_.GiveBuffer(std::move(back_));
  client_->ExpiresAt(Clock::now() + options_.body_timeout);
  link_->ExpiresAt(Clock::now() + options_.body_timeout);
  const std::string_view head(out_);
  const auto answered = co_await client_->Write(head);
  if (!answered) co_return Outcome::kClose;
  const std::string early(in_.view());   // what the client sent without waiting
  const std::string_view early_bytes(early);
  const auto passed = co_await link_->Write(early_bytes);
  if (!passed) co_return Outcome::kClose;
  client_->ExpiresAt(Clock::time_point::max());
  link_->ExpiresAt(Clock::time_point::max());
  co_await net::Relay(*client_, *link_, options_.tunnel_idle);
  co_return Outcome::kClose;
}

// Runs beside ReadResponse and Deliver: the backend may answer before it has read everything, or ask with 100 Continue.
net::Task<void> Connection::PumpRequestBody() {
  while (!request_body_.done()) {
    if (in_.empty()) {
      client_->ReadExpiresAt(Clock::now() + options_.body_timeout);
      const auto room = in_.Room(kLargeBuffer);
      const auto n = co_await client_->Read(room);
      pump_failed_ = !n || *n == 0;
      if (pump_failed_) break;
      in_.Added(*n);
    }
    const auto available = in_.view();
    const auto part = available.substr(0, request_body_.Take(available));
    pump_failed_ = request_body_.bad();
    if (pump_failed_) break;
    link_->WriteExpiresAt(Clock::now() + route_->timeout);
    const auto written = co_await link_->Write(part);
    pump_failed_ = !written;
    if (pump_failed_) co_return;   // the backend may have answered before it stopped reading: ReadResponse finds out
    in_.Consume(part.size());
  }
  if (pump_failed_) link_->Abort();
}

net::Task<void> Connection::StopPump() {
  if (pump_->size() > 0) {
    client_->ReadExpiresAt(Clock::now());
    link_->Abort();
    keep_client_ = false;
  }
  co_await pump_->Wait();
  pump_.reset();
}

net::Task<Connection::Outcome> Connection::Reply(int status, std::string_view reason, std::string_view extra, std::string_view text) {
  counters_.by_class[std::clamp(status / 100, 0, 5)]->Add();
  // What is left of a body would be taken for the next request: it is here as a whole, or the connection ends.
  const bool has_head = in_.size() >= request_.size;
  const std::size_t body = has_head ? in_.size() - request_.size : 0;
  keep_client_ = keep_client_ && has_head && (request_.framing == Framing::kNone || (request_.framing == Framing::kLength && body >= request_.length));
  const std::string_view type = text.starts_with('<') ? std::string_view("text/html; charset=utf-8") : std::string_view("text/plain; charset=utf-8");
  out_ = Cat("HTTP/1.1 ", status, ' ', reason, "\r\n", extra, "Content-Type: ", type, "\r\nContent-Length: ", text.size(), "\r\n");
  if (!keep_client_) out_ += "Connection: close\r\n";
  out_ += "\r\n";
  if (!head_only_) out_ += text;
  client_->WriteExpiresAt(Clock::now() + options_.body_timeout);
  const std::string_view bytes(out_);
  const auto written = co_await client_->Write(bytes);
  if (!written) co_return Outcome::kClose;
  if (!keep_client_) {
    co_await Linger();
    co_return Outcome::kClose;
  }
  in_.Consume(request_.size + (request_.framing == Framing::kLength ? static_cast<std::size_t>(request_.length) : 0));
  co_return Outcome::kNextRequest;
}

// Closing with unread bytes makes the kernel send a reset, which may overtake the answer.
net::Task<void> Connection::Linger() {
  const auto closed = co_await client_->CloseWrite();
  if (!closed) co_return;
  in_.Clear();
  client_->ReadExpiresAt(Clock::now() + kLingerFor);
  for (;;) {
    const auto room = in_.Room(kFirstRoom);
    const auto n = co_await client_->Read(room);
    if (!n || *n == 0) break;
  }
}

}  // namespace skerry::proxy
