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
    if (head_end_ == std::string::npos) {
      head_end_ = text_.find("\r\n\r\n");
      if (head_end_ == std::string::npos) return text_.size() <= kHeadLimit;
      length_ = ParseInt(Header("content-length")).value_or(kBodyLimit);
    }
    // Whoever says how much it sends need not close the connection for us to know.
    const std::size_t body = text_.size() - head_end_ - 4;
    return body <= kBodyLimit && static_cast<std::int64_t>(body) < length_;
  }
  bool empty() const { return text_.empty(); }
  Result<HttpAnswer> Parse(const std::string& what) const {
    if (text_.empty()) return Fail(Code::kUnavailable, what + ": EOF");
    const auto status = text_.size() > 12 && text_.starts_with("HTTP/1.") ? ParseInt(std::string_view(text_).substr(9, 3)) : std::nullopt;
    if (!status || head_end_ == std::string::npos) return Fail(Code::kInvalid, what + ": malformed HTTP response");
    return HttpAnswer{static_cast<int>(*status), text_.substr(head_end_ + 4, kBodyLimit), *status >= 300 && *status < 400 ? Header("location") : std::string()};
  }

 private:
  std::string Header(std::string_view name) const {
    for (const std::string_view line : Split(std::string_view(text_).substr(0, head_end_), '\n')) {
      const std::size_t colon = line.find(':');
      if (colon != std::string_view::npos && EqualsIgnoreCase(line.substr(0, colon), name)) return std::string(Trim(line.substr(colon + 1)));
    }
    return {};
  }

  std::string text_;
  std::int64_t length_ = 0;            // that the head tells, once it is there
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

struct Place {
  bool tls = false;
  std::string host;
  int port = 80;
  std::string path;                    // with the query
};

// Where a Location leads from here; nothing when it leaves the host or is no HTTP address.
std::optional<Place> Follow(const Place& from, std::string_view location) {
  location = location.substr(0, location.find('#'));
  if (location.empty() || location.find_first_of(" \r\n\t") != std::string_view::npos) return std::nullopt;
  Place to = from;
  const std::size_t scheme = location.starts_with("//") ? 0 : location.find("://");
  const bool absolute = scheme == 0 || (scheme != std::string_view::npos && location.substr(0, scheme).find_first_of("/?") == std::string_view::npos);
  if (!absolute) {
    if (location.front() == '?') to.path = Cat(from.path.substr(0, from.path.find('?')), location);
    else if (location.front() == '/') to.path = location;
    else to.path = Cat(from.path.substr(0, from.path.substr(0, from.path.find('?')).rfind('/') + 1), location);
    return to;
  }
  if (scheme != 0) {
    const std::string name = ToLower(location.substr(0, scheme));
    if (name != "http" && name != "https") return std::nullopt;
    to.tls = name == "https";
    location.remove_prefix(scheme + 1);
  }
  location.remove_prefix(2);
  const std::size_t slash = std::min(location.find_first_of("/?"), location.size());
  const std::string_view authority = location.substr(0, slash);
  const std::size_t colon = authority.find(':');
  if (!EqualsIgnoreCase(authority.substr(0, colon), from.host)) return std::nullopt;
  to.port = to.tls ? 443 : 80;
  if (colon != std::string_view::npos) {
    const auto port = ParseInt(authority.substr(colon + 1));
    if (!port || *port < 1 || *port > 65535) return std::nullopt;
    to.port = static_cast<int>(*port);
  }
  to.path = location.substr(slash);
  if (!to.path.starts_with('/')) to.path.insert(0, 1, '/');
  return to;
}

}  // namespace

Result<HttpAnswer> HttpGet(const Ctx& ctx, const json::Value& action, const json::Value& container, const std::string& pod_ip) {
  constexpr int kRedirects = 10;
  Place at;
  TRY(at.port, PortOf(action["port"], container));
  at.host = action["host"].Str().empty() ? pod_ip : std::string(action["host"].Str());
  at.path = action["path"].Str("/");
  if (!at.path.starts_with('/')) at.path.insert(0, 1, '/');
  if (at.path.find_first_of(" \r\n\t") != std::string::npos) return Fail(Code::kInvalid, Cat("not a path: ", Quote(at.path)));
  at.tls = action["scheme"].Str("HTTP") == "HTTPS";
  for (int redirects = 0;; ++redirects) {
    const std::string what = Cat("Get \"", at.tls ? "https" : "http", "://", at.host, ":", at.port, at.path, "\"");
    if (redirects == kRedirects) return Fail(Code::kInvalid, what + ": stopped after 10 redirects");
    const std::string request = RequestText(action, at.host, at.port, at.path);
    TRY(HttpAnswer answer, at.tls ? Tls(ctx, at.host, at.port, request, what) : Plain(ctx, at.host, at.port, request, what));
    const auto next = answer.location.empty() ? std::nullopt : Follow(at, answer.location);
    if (!next) return answer;
    at = *next;
  }
}

}  // namespace skerry::kube::node
