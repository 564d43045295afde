#include <boost/asio/this_coro.hpp>

#include "core/base/strings.h"
#include "core/http/spdy.h"
#include "core/http/websocket_channels.h"
#include "core/json/value.h"
#include "core/net/event.h"
#include "core/net/streams.h"
#include "core/net/task_group.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/server/stream/pod_streams.h"
#include "embedded-kube-shim/server/stream/upgrade.h"

// exec and attach: five channels between a client and a process. Whatever carries the channels, they are streams here.
namespace skerry::kube::stream {
namespace {

constexpr std::chrono::seconds kOpenTimeout{30};
constexpr std::size_t kPiece = 32 << 10;

struct Wanted {
  bool in = false, out = false, err = false, tty = false;
};

struct Channels {
  std::unique_ptr<net::Stream> in, out, err, error, resize;
};

// Copies until the source ends; then ends the destination.
net::Task<void> Pump(net::Stream* from, net::Stream* to) {
  std::string buffer(kPiece, '\0');
  for (;;) {
    const std::span<std::byte> room = std::as_writable_bytes(std::span<char>(buffer));
    const auto n = co_await from->Read(room);
    if (!n || *n == 0) break;
    const std::string_view bytes(buffer.data(), *n);
    const auto written = co_await to->Write(bytes);
    if (!written) break;
  }
  static_cast<void>(co_await to->CloseWrite());
}

// Terminal sizes as JSON texts, one after the other without separator.
net::Task<void> PumpSizes(net::Stream* from, container::Session* session) {
  std::string text;
  std::array<std::byte, 512> buffer;
  for (;;) {
    const std::span<std::byte> room(buffer);
    const auto n = co_await from->Read(room);
    if (!n || *n == 0) co_return;
    text.append(reinterpret_cast<const char*>(buffer.data()), *n);
    for (std::size_t end = text.find('}'); end != std::string::npos; end = text.find('}')) {
      json::Value size;
      std::string why;
      if (json::Value::Parse(std::string_view(text).substr(0, end + 1), &size, &why)) {
        static_cast<void>(session->Resize(static_cast<std::uint16_t>(size["Width"].Int()), static_cast<std::uint16_t>(size["Height"].Int())));
      }
      text.erase(0, end + 1);
    }
    if (text.size() > 4096) co_return;
  }
}

std::string StatusText(const Result<int>& exit, int version) {
  json::Value s;
  s.Set("metadata") = json::Value::Object();
  if (exit && *exit == 0) {
    s.Set("status") = "Success";
    return version >= 4 ? s.Dump() : "";
  }
  s.Set("status") = "Failure";
  if (exit) {
    s.Set("message") = Cat("command terminated with non-zero exit code: exit status ", *exit);
    s.Set("reason") = "NonZeroExitCode";
    json::Value cause;
    cause.Set("reason") = "ExitCode";
    cause.Set("message") = std::to_string(*exit);
    s.Set("details").Set("causes").Append(std::move(cause));
  } else {
    s.Set("message") = Cat("Internal error occurred: ", exit.error().message());
    s.Set("reason") = "InternalError";
    s.Set("code") = 500;
    json::Value cause;
    cause.Set("message") = exit.error().message();
    s.Set("details").Set("causes").Append(std::move(cause));
  }
  return version >= 4 ? s.Dump() : std::string(s["message"].Str());
}

class ProcessTunnel final : public http::Tunnel {
 public:
  ProcessTunnel(Upgrade upgrade, Wanted wanted, InputEnd input_end, std::unique_ptr<container::Session> session, ElasticPool& waiters)
      : upgrade_(std::move(upgrade)), wanted_(wanted), input_end_(input_end), session_(std::move(session)), waiters_(waiters) {}

  http::Headers headers() const override { return upgrade_.headers; }

  net::Task<void> Run(std::unique_ptr<net::Stream> stream) override {
    const auto executor = co_await boost::asio::this_coro::executor;
    net::TaskGroup tasks;
    if (upgrade_.carrier == Upgrade::Carrier::kSpdy) {
      auto session = http::SpdySession::Create(std::move(stream), http::SpdySession::Role::kServer, executor);
      tasks.Spawn(executor, RunSpdy(session, session_.get(), gone_));
      Channels channels;
      const bool open = co_await AcceptAll(session, &channels);
      if (open) co_await Serve(&channels);
      channels = Channels();
      static_cast<void>(co_await session->GoAway());
      session->Abort();
    } else {
      auto socket = std::make_unique<http::WebSocket>(std::move(stream), http::WebSocket::Role::kServer);
      http::WebSocketChannels::Options options;
      options.count = 5;
      options.base64 = upgrade_.base64;
      options.close_signal = upgrade_.version >= 5;
      auto mux = http::WebSocketChannels::Create(std::move(socket), options, executor);
      Channels channels;
      channels.in = mux->Open(0);
      channels.out = mux->Open(1);
      channels.err = mux->Open(2);
      channels.error = mux->Open(3);
      channels.resize = mux->Open(4);
      tasks.Spawn(executor, RunSocket(mux, session_.get(), gone_));
      co_await Serve(&channels);
      co_await mux->Shutdown(1000, "");
      channels = Channels();
    }
    co_await tasks.Wait();
  }

 private:
  // When the client is gone nobody waits for the process any more: it ends (exec) or is left alone (attach).
  static net::Task<void> RunSpdy(std::shared_ptr<http::SpdySession> carrier, container::Session* process, std::stop_source gone) {
    static_cast<void>(co_await carrier->Run());
    process->Kill();
    gone.request_stop();
  }
  static net::Task<void> RunSocket(std::shared_ptr<http::WebSocketChannels> carrier, container::Session* process, std::stop_source gone) {
    static_cast<void>(co_await carrier->Run());
    process->Kill();
    gone.request_stop();
  }

  net::Task<void> PumpInput(net::Stream* from, net::Stream* to) {
    co_await Pump(from, to);
    if (input_end_ != InputEnd::kDetaches) co_return;
    detached_ = true;
    session_->Kill();                  // of an attachment: lets go
  }

  net::Task<bool> AcceptAll(std::shared_ptr<http::SpdySession> session, Channels* channels) {
    int expected = 1 + wanted_.in + wanted_.out + (wanted_.err && !wanted_.tty) + (wanted_.tty && upgrade_.version >= 3);
    const auto deadline = std::chrono::steady_clock::now() + kOpenTimeout;
    while (expected-- > 0) {
      auto opened = co_await session->Accept(deadline);
      if (!opened) co_return false;
      const std::string type(http::Get(opened->headers, "streamtype"));
      if (type == "stdin") channels->in = std::move(opened->channel);
      if (type == "stdout") channels->out = std::move(opened->channel);
      if (type == "stderr") channels->err = std::move(opened->channel);
      if (type == "error") channels->error = std::move(opened->channel);
      if (type == "resize") channels->resize = std::move(opened->channel);
    }
    co_return true;
  }

  net::Task<void> Serve(Channels* channels) {
    const auto executor = co_await boost::asio::this_coro::executor;
    std::unique_ptr<net::Stream> in, out, err;
    const auto open = [&](UniqueFd fd, std::unique_ptr<net::Stream>* to) {
      if (!fd) return;
      auto s = net::FromDescriptor(executor, std::move(fd));
      if (s) *to = std::move(*s);
    };
    open(session_->TakeInput(), &in);
    open(session_->TakeOutput(), &out);
    open(session_->TakeError(), &err);
    net::TaskGroup inputs, outputs;
    if (in && channels->in && wanted_.in) inputs.Spawn(executor, PumpInput(channels->in.get(), in.get()));
    if (channels->resize && wanted_.tty) inputs.Spawn(executor, PumpSizes(channels->resize.get(), session_.get()));
    if (out && channels->out) outputs.Spawn(executor, Pump(out.get(), channels->out.get()));
    if (err && channels->err) outputs.Spawn(executor, Pump(err.get(), channels->err.get()));
    co_await outputs.Wait();
    // The process has closed its output; its exit code follows. A thread waits for it, the connection's shard does not.
    auto ended = net::Event::Create(executor);
    Result<int> exit = 0;
    const bool waits = !detached_ && waiters_.TrySubmit([&exit, ended, session = session_.get(), gone = gone_.get_token()] {
      exit = session->Wait(Ctx(gone));
      ended->Notify();
    });
    if (waits) {
      co_await ended->Wait();
    } else if (!detached_) {
      exit = Fail(Code::kTooMany, "too many processes are waited for");
    }
    const std::string status = StatusText(exit, upgrade_.version);
    if (channels->error) {
      if (!status.empty()) static_cast<void>(co_await channels->error->Write(status));
      static_cast<void>(co_await channels->error->CloseWrite());
    }
    if (channels->in) channels->in->Abort();
    if (channels->resize) channels->resize->Abort();
    if (in) in->Abort();
    co_await inputs.Wait();
  }

  const Upgrade upgrade_;
  const Wanted wanted_;
  const InputEnd input_end_;
  bool detached_ = false;            // the client's input ended and with it the attachment
  const std::unique_ptr<container::Session> session_;
  ElasticPool& waiters_;
  std::stop_source gone_;            // the client left
};

Wanted WantedOf(const http::Request& r, bool attach) {
  const auto flag = [&](const char* name) { return r.Query(name) == "true" || r.Query(name) == "1"; };
  Wanted w{flag("stdin"), flag("stdout"), flag("stderr"), flag("tty")};
  if (attach && !w.in && !w.out && !w.err) w.out = w.err = true;
  if (w.tty) w.err = false;
  return w;
}

}  // namespace

Result<http::Reply> Exec(const Ctx& ctx, NodeStreams& node, ElasticPool& waiters, const http::Request& r, const Key& pod) {
  const Wanted wanted = WantedOf(r, false);
  container::ExecSpec spec;
  for (const std::string_view a : r.QueryAll("command")) spec.argv.emplace_back(a);
  FieldErrors errors;
  if (spec.argv.empty()) errors.push_back({FieldErrorType::kRequired, "command", "", ""});
  if (!errors.empty()) return std::unexpected(BadRequestError("you must specify at least 1 command for the container"));
  if (!wanted.in && !wanted.out && !wanted.err) return std::unexpected(BadRequestError("you must specify at least 1 of stdin, stdout, stderr"));
  spec.tty = wanted.tty;
  spec.with_stdin = wanted.in;
  TRY(Upgrade upgrade, NegotiateExec(r));
  TRY(std::unique_ptr<container::Session> session, node.Exec(ctx, pod, r.Query("container"), spec));
  return http::Reply(std::unique_ptr<http::Tunnel>(std::make_unique<ProcessTunnel>(std::move(upgrade), wanted, InputEnd::kReachesProcess, std::move(session), waiters)));
}

Result<http::Reply> Attach(const Ctx& ctx, NodeStreams& node, ElasticPool& waiters, const http::Request& r, const Key& pod, InputEnd input_end) {
  const Wanted wanted = WantedOf(r, true);
  TRY(Upgrade upgrade, NegotiateExec(r));
  TRY(std::unique_ptr<container::Session> session, node.Attach(ctx, pod, r.Query("container"), wanted.in));
  return http::Reply(std::unique_ptr<http::Tunnel>(std::make_unique<ProcessTunnel>(std::move(upgrade), wanted, input_end, std::move(session), waiters)));
}

}  // namespace skerry::kube::stream
