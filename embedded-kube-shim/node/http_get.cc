#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/net/blocking.h"
#include "core/net/tls.h"
#include "embedded-kube-shim/node/hooks.h"

// Plain HTTP without the weight of a full client: probes run for ever, every few seconds, for every container.
namespace skerry::kube::node {
namespace {

constexpr std::size_t kBodyLimit = 10 << 10, kHeadLimit = 64 << 10;

int Left(const Ctx& ctx) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(ctx.deadline - std::chrono::steady_clock::now());
  return left.count() <= 0 ? 0 : static_cast<int>(std::min<std::int64_t>(left.count(), 600'000));
}

Result<> Await(const Ctx& ctx, int fd, short events, std::string_view what) {
  pollfd p{fd, events, 0};
  const int n = ::poll(&p, 1, Left(ctx));
  if (n > 0) return {};
  return Fail(Code::kTimeout, Cat(what, ": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"));
}

std::string RequestText(const json::Value& action, const std::string& host, int port, const std::string& path) {
  std::string host_header = Cat(host, ":", port), extra;
  bool agent = false, accept = false;
  for (const json::Value& h : action["httpHeaders"].Items()) {
    const std::string_view name = h["name"].Str(), value = h["value"].Str();
    if (name.find_first_of("\r\n:") != std::string_view::npos || value.find_first_of("\r\n") != std::string_view::npos) continue;
    if (EqualsIgnoreCase(name, "Host")) {
      host_header = value;
      continue;
    }
    agent |= EqualsIgnoreCase(name, "User-Agent");
    accept |= EqualsIgnoreCase(name, "Accept");
    extra += Cat(name, ": ", value, "\r\n");
  }
  if (!agent) extra += "User-Agent: kube-probe/1.36\r\n";
  if (!accept) extra += "Accept: */*\r\n";
  return Cat("GET ", path, " HTTP/1.1\r\nHost: ", host_header, "\r\n", extra, "Connection: close\r\n\r\n");
}

// Takes what a read gave; false when there is enough.
class Reply {
 public:
  bool Add(std::string_view bytes) {
    text_ += bytes;
    if (head_end_ == std::string::npos) head_end_ = text_.find("\r\n\r\n");
    return head_end_ != std::string::npos ? text_.size() - head_end_ <= kBodyLimit : text_.size() <= kHeadLimit;
  }
  bool empty() const { return text_.empty(); }
  Result<HttpAnswer> Parse(const std::string& what) const {
    if (text_.empty()) return Fail(Code::kUnavailable, what + ": EOF");
    const auto status = text_.size() > 12 && text_.starts_with("HTTP/1.") ? ParseInt(std::string_view(text_).substr(9, 3)) : std::nullopt;
    if (!status || head_end_ == std::string::npos) return Fail(Code::kInvalid, what + ": malformed HTTP response");
    return HttpAnswer{static_cast<int>(*status), text_.substr(head_end_ + 4, kBodyLimit)};
  }

 private:
  std::string text_;
  std::size_t head_end_ = std::string::npos;
};

Result<HttpAnswer> Plain(const Ctx& ctx, const std::string& host, int port, const std::string& request, const std::string& what) {
  auto connected = ConnectTo(ctx, host, port);
  if (!connected) return std::unexpected(std::move(connected.error()).Wrap(what));
  const UniqueFd fd = std::move(*connected);
  for (std::string_view rest = request; !rest.empty();) {
    const ssize_t n = ::send(fd.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n > 0) {
      rest.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      TRY_VOID(Await(ctx, fd.get(), POLLOUT, what));
    } else if (errno != EINTR) {
      return std::unexpected(ErrnoError(errno, what + ": write"));
    }
  }
  Reply reply;
  char buffer[8192];
  for (;;) {
    const ssize_t n = ::recv(fd.get(), buffer, sizeof buffer, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      TRY_VOID(Await(ctx, fd.get(), POLLIN, what));
      continue;
    }
    if (n < 0 && reply.empty()) return std::unexpected(ErrnoError(errno, what + ": read"));
    if (n <= 0 || !reply.Add({buffer, static_cast<std::size_t>(n)})) break;
  }
  return reply.Parse(what);
}

// HTTPS probes are rare: a loop of its own for the time of one request is cheaper than one that always waits.
Result<HttpAnswer> Tls(const Ctx& ctx, const std::string& host, int port, const std::string& request, const std::string& what) {
  net::TlsClientConfig config;
  config.verification = net::ServerVerification::kNone;
  net::DialTarget target{Cat(host, ":", port), nullptr, host};
  TRY(target.tls, net::TlsClientContext::Create(config));
  net::Shard shard("https-get");
  auto stream = net::BlockingStream::Dial(ctx, shard, std::move(target));
  if (!stream) return std::unexpected(std::move(stream.error()).Wrap(what));
  if (auto r = (*stream)->Write(ctx, request); !r) return std::unexpected(std::move(r.error()).Wrap(what));
  Reply reply;
  std::array<std::byte, 8192> buffer;
  for (;;) {
    auto n = (*stream)->Read(ctx, buffer);
    if (!n && reply.empty()) return std::unexpected(std::move(n.error()).Wrap(what));
    if (!n || *n == 0 || !reply.Add({reinterpret_cast<const char*>(buffer.data()), *n})) break;
  }
  return reply.Parse(what);
}

}  // namespace

Result<HttpAnswer> HttpGet(const Ctx& ctx, const json::Value& action, const json::Value& container, const std::string& pod_ip) {
  TRY(const int port, PortOf(action["port"], container));
  const std::string host = action["host"].Str().empty() ? pod_ip : std::string(action["host"].Str());
  std::string path(action["path"].Str("/"));
  if (!path.starts_with('/')) path.insert(0, 1, '/');
  if (path.find_first_of(" \r\n\t") != std::string::npos) return Fail(Code::kInvalid, Cat("not a path: ", Quote(path)));
  const bool tls = action["scheme"].Str("HTTP") == "HTTPS";
  const std::string what = Cat("Get \"", tls ? "https" : "http", "://", host, ":", port, path, "\"");
  const std::string request = RequestText(action, host, port, path);
  return tls ? Tls(ctx, host, port, request, what) : Plain(ctx, host, port, request, what);
}

}  // namespace skerry::kube::node
