#include <boost/asio/this_coro.hpp>

#include "core/base/clock.h"
#include "core/base/strings.h"
#include "core/http/websocket.h"
#include "core/net/event.h"
#include "core/net/task_group.h"
#include "core/text/base64.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/server/stream/pod_streams.h"

namespace skerry::kube::stream {
namespace {

// A container's log as a reply; the reader already has the shape of a source.
class LogSource final : public http::Source {
 public:
  explicit LogSource(std::unique_ptr<container::LogReader> reader) : reader_(std::move(reader)) {}
  Result<Bytes> Next() override {
    TRY(std::string text, reader_->Next());
    return Bytes(std::move(text));
  }
  void OnReady(std::function<void()> notify) override { reader_->OnReady(std::move(notify)); }

 private:
  const std::unique_ptr<container::LogReader> reader_;
};

constexpr std::array<std::string_view, 3> kLogProtocols = {"binary.k8s.io", "base64.binary.k8s.io", ""};
constexpr std::chrono::seconds kFarewell{5};

// The log as messages of one WebSocket, for clients that can have nothing else (browsers). What they send means nothing.
class LogTunnel final : public http::Tunnel {
 public:
  LogTunnel(http::WebSocketAccept accept, std::unique_ptr<container::LogReader> reader) : accept_(std::move(accept)), reader_(std::move(reader)) {}

  http::Headers headers() const override { return accept_.headers; }

  net::Task<void> Run(std::unique_ptr<net::Stream> stream) override {
    const auto executor = co_await boost::asio::this_coro::executor;
    const auto more = net::Event::Create(executor);
    reader_->OnReady([more] { more->Notify(); });
    http::WebSocket socket(std::move(stream), http::WebSocket::Role::kServer);
    bool gone = false;
    net::TaskGroup tasks;
    tasks.Spawn(executor, ReadUntilGone(&socket, more, &gone));
    const bool base64 = accept_.protocol == "base64.binary.k8s.io";
    const auto kind = base64 ? http::Opcode::kText : http::Opcode::kBinary;
    while (!gone) {
      auto piece = reader_->Next();
      if (!piece) break;
      if (piece->empty()) {
        co_await more->Wait();
        continue;
      }
      const std::string message = base64 ? text::Base64(*piece) : std::move(*piece);
      const auto written = co_await socket.Write(kind, message);
      if (!written) break;
    }
    const auto now = std::chrono::steady_clock::now();
    socket.stream().ExpiresAt(now + kFarewell);
    const std::string_view no_reason;
    const auto closed = co_await socket.Close(1000, no_reason);
    if (!closed) socket.Abort();
    co_await tasks.Wait();
    reader_.reset();
  }

 private:
  static net::Task<void> ReadUntilGone(http::WebSocket* socket, std::shared_ptr<net::Event> more, bool* gone) {
    for (;;) {
      const auto message = co_await socket->Read();
      if (!message || !*message) break;
    }
    *gone = true;
    more->Notify();
  }

  const http::WebSocketAccept accept_;
  std::unique_ptr<container::LogReader> reader_;
};

bool Flag(const http::Request& r, std::string_view name) {
  const std::string_view v = r.Query(name);
  return v == "true" || v == "1" || v == "True" || v == "t" || v == "T" || v == "TRUE";
}

FieldErrors Problems(const http::Request& r, container::LogOptions* options) {
  FieldErrors errors;
  const auto number = [&](const char* name, std::int64_t least, const char* rule) -> std::optional<std::int64_t> {
    if (!r.HasQuery(name) || r.Query(name).empty()) return std::nullopt;
    const auto n = ParseInt(r.Query(name));
    if (n && *n >= least) return n;
    errors.push_back({FieldErrorType::kInvalid, name, n ? std::to_string(*n) : Quote(r.Query(name)), rule});
    return std::nullopt;
  };
  options->tail_lines = number("tailLines", 0, "must be greater than or equal to 0");
  options->limit_bytes = number("limitBytes", 1, "must be greater than 0");
  const auto seconds = number("sinceSeconds", 1, "must be greater than 0");
  if (seconds && !r.Query("sinceTime").empty()) errors.push_back({FieldErrorType::kForbidden, "", "", "at most one of `sinceTime` or `sinceSeconds` may be specified"});
  if (seconds) options->since = Clock::System().Now() - std::chrono::seconds(*seconds);
  if (!r.Query("sinceTime").empty()) {
    if (auto t = ParseTime(r.Query("sinceTime"))) options->since = *t;
  }
  const std::string_view which = r.Query("stream");
  if (which == "Stdout") options->streams = container::LogOptions::Streams::kStdout;
  if (which == "Stderr") options->streams = container::LogOptions::Streams::kStderr;
  if (!which.empty() && which != "All" && which != "Stdout" && which != "Stderr") {
    errors.push_back({FieldErrorType::kNotSupported, "stream", Quote(which), "supported values: \"All\", \"Stderr\", \"Stdout\""});
  }
  return errors;
}

}  // namespace

Result<http::Reply> Log(NodeStreams& node, const http::Request& r, const Key& pod) {
  container::LogOptions options;
  options.follow = Flag(r, "follow");
  options.timestamps = Flag(r, "timestamps");
  if (const FieldErrors errors = Problems(r, &options); !errors.empty()) return std::unexpected(InvalidError("", "PodLogOptions", pod.name, errors));
  TRY(std::unique_ptr<container::LogReader> reader, node.Logs(pod, r.Query("container"), Flag(r, "previous"), options));
  if (http::WantsWebSocket(r)) {
    TRY(http::WebSocketAccept accept, http::AcceptWebSocket(r, kLogProtocols));
    return http::Reply(std::unique_ptr<http::Tunnel>(std::make_unique<LogTunnel>(std::move(accept), std::move(reader))));
  }
  http::Streaming reply;
  reply.headers = {{"Content-Type", "text/plain"}, {"Cache-Control", "no-cache, private"}};
  reply.source = std::make_unique<LogSource>(std::move(reader));
  return http::Reply(std::move(reply));
}

Result<http::Reply> LogOfUnscheduled(const http::Request& r, const json::Value& pod) {
  const std::string_view name = pod["metadata"]["name"].Str(), wanted = r.Query("container");
  container::LogOptions options;
  if (const FieldErrors errors = Problems(r, &options); !errors.empty()) return std::unexpected(InvalidError("", "PodLogOptions", name, errors));
  std::vector<std::string> names;
  bool known = false;
  for (const char* list : {"containers", "initContainers", "ephemeralContainers"})
    for (const json::Value& container : pod["spec"][list].Items()) {
      names.emplace_back(container["name"].Str());
      known |= names.back() == wanted;
    }
  const std::string_view preferred = pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"].Str();
  if (wanted.empty() && preferred.empty() && pod["spec"]["containers"].size() != 1) {
    names.resize(pod["spec"]["containers"].size());
    return std::unexpected(BadRequestError(Cat("a container name must be specified for pod ", name, ", choose one of: [", Join(names, " "), "]")));
  }
  if (!wanted.empty() && !known) return std::unexpected(BadRequestError(Cat("container ", wanted, " is not valid for pod ", name)));
  http::Response nothing;
  nothing.status = 204;
  nothing.headers.push_back({"Cache-Control", "no-cache, private"});
  return http::Reply(std::move(nothing));
}

}  // namespace skerry::kube::stream
