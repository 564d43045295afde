#include "core/container/wire/http.h"

#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <algorithm>
#include <charconv>
#include <cstring>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/process/wait.h"

namespace skerry::container::wire {
namespace {

constexpr std::size_t kHeadLimit = 64 << 10, kRefusalLimit = 64 << 10;

Result<> FinishConnect(const Ctx& ctx, int fd) {
  pollfd one[1] = {{fd, POLLOUT, 0}};
  TRY_VOID(process::Poll(ctx, one));
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return std::unexpected(ErrnoError(error, "connect"));
  return {};
}

class Connection {
 public:
  Connection(const Ctx& ctx, int fd) : ctx_(ctx), fd_(fd) {}

  Result<> Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(n));
        continue;
      }
      if (n < 0 && errno != EAGAIN && errno != EINTR) return std::unexpected(ErrnoError(errno, "send request"));
      pollfd one[1] = {{fd_, POLLOUT, 0}};
      TRY_VOID(process::Poll(ctx_, one));
    }
    return {};
  }

  // Appends what is there to the buffer; false at the end of the stream.
  Result<bool> Fill() {
    TRY_VOID(process::WaitReadable(ctx_, fd_));
    char chunk[16384];
    const ssize_t n = ::recv(fd_, chunk, sizeof chunk, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (n < 0) return std::unexpected(ErrnoError(errno, "read response"));
    buffer_.append(chunk, static_cast<std::size_t>(n));
    return n > 0;
  }

  Result<std::string> Line() {
    for (;;) {
      if (const std::size_t end = buffer_.find("\r\n"); end != std::string::npos) {
        std::string line = buffer_.substr(0, end);
        buffer_.erase(0, end + 2);
        return line;
      }
      if (buffer_.size() > kHeadLimit) return Fail(Code::kTooLarge, "response head is too large");
      TRY(const bool more, Fill());
      if (!more) return Fail(Code::kUnavailable, "connection closed within a response");
    }
  }

  // `length` bytes, or -1: until the end of the stream.
  Result<> Body(std::int64_t length, const Sink& sink) {
    while (length != 0) {
      if (buffer_.empty()) {
        TRY(const bool more, Fill());
        if (!more && length < 0) return {};
        if (!more) return Fail(Code::kUnavailable, "connection closed within a body");
        continue;
      }
      const std::size_t take = length < 0 ? buffer_.size() : static_cast<std::size_t>(std::min<std::int64_t>(length, static_cast<std::int64_t>(buffer_.size())));
      const std::string piece = buffer_.substr(0, take);
      buffer_.erase(0, take);
      if (length > 0) length -= static_cast<std::int64_t>(take);
      if (!sink(piece)) return Fail(Code::kCancelled, "receiver stopped");
    }
    return {};
  }

  Result<> Chunks(const Sink& sink) {
    for (;;) {
      TRY(const std::string line, Line());
      std::int64_t size = 0;
      const std::string_view digits = std::string_view(line).substr(0, line.find(';'));
      const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), size, 16);
      if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() || size < 0) return Fail(Code::kUnavailable, "malformed chunk");
      if (size == 0) break;
      TRY_VOID(Body(size, sink));
      TRY(const std::string end, Line());
      if (!end.empty()) return Fail(Code::kUnavailable, "malformed chunk");
    }
    for (;;) {
      TRY(const std::string trailer, Line());
      if (trailer.empty()) return {};
    }
  }

  Result<Response> Head() {
    TRY(const std::string status, Line());
    const auto parts = Split(status, ' ');
    Response response;
    if (parts.size() < 2 || !parts[0].starts_with("HTTP/1.")) return Fail(Code::kUnavailable, "no HTTP response");
    response.status = static_cast<int>(ParseInt(parts[1]).value_or(0));
    if (response.status < 100 || response.status > 599) return Fail(Code::kUnavailable, "no HTTP response");
    for (std::size_t total = 0;;) {
      TRY(const std::string line, Line());
      if (line.empty()) return response;
      total += line.size();
      if (total > kHeadLimit) return Fail(Code::kTooLarge, "response head is too large");
      const std::size_t colon = line.find(':');
      if (colon == std::string::npos) return Fail(Code::kUnavailable, "malformed header");
      response.headers[ToLower(line.substr(0, colon))] = Trim(std::string_view(line).substr(colon + 1));
    }
  }
  std::string TakeBuffer() { return std::move(buffer_); }

 private:
  const Ctx& ctx_;
  const int fd_;
  std::string buffer_;
};

Result<> ReadBody(Connection& connection, Response& response, const Sink& sink) {
  if (EqualsIgnoreCase(response.headers["transfer-encoding"], "chunked")) return connection.Chunks(sink);
  const std::string& text = response.headers["content-length"];
  const auto length = ParseInt(text);
  if (!text.empty() && (!length || *length < 0)) return Fail(Code::kUnavailable, "malformed Content-Length");
  return connection.Body(length.value_or(-1), sink);
}

Sink Keep(std::string& into) {
  return [&into](std::string_view piece) {
    into.append(piece.substr(0, kRefusalLimit - std::min(kRefusalLimit, into.size())));
    return true;
  };
}

bool HasBreak(std::string_view text) { return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos; }

Result<> SendRequest(Connection& connection, const Request& request, bool close) {
  std::string head = Cat(request.method, " ", request.target, " HTTP/1.1\r\nHost: ", request.host, "\r\n");
  if (HasBreak(request.target) || HasBreak(request.host) || request.target.find(' ') != std::string::npos) return Fail(Code::kInvalid, "request target with a break");
  for (const auto& [name, value] : request.headers) {
    if (HasBreak(name) || HasBreak(value)) return Fail(Code::kInvalid, "header with a line break");
    head += Cat(name, ": ", value, "\r\n");
  }
  if (close) head += "Connection: close\r\n";
  if (request.body_file.empty()) {
    if (!request.body.empty() || request.method == "POST" || request.method == "PUT") head += Cat("Content-Length: ", request.body.size(), "\r\n");
    TRY_VOID(connection.Send(head + "\r\n"));
    return connection.Send(request.body);
  }
  const UniqueFd file(::open(request.body_file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return std::unexpected(ErrnoError(errno, "open " + request.body_file));
  TRY_VOID(connection.Send(head + "Transfer-Encoding: chunked\r\n\r\n"));
  std::string chunk(64 << 10, '\0');
  for (;;) {
    const ssize_t n = ::read(file.get(), chunk.data(), chunk.size());
    if (n < 0) return std::unexpected(ErrnoError(errno, "read " + request.body_file));
    if (n == 0) return connection.Send("0\r\n\r\n");
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", static_cast<std::size_t>(n));
    TRY_VOID(connection.Send(size));
    TRY_VOID(connection.Send(std::string_view(chunk).substr(0, static_cast<std::size_t>(n))));
    TRY_VOID(connection.Send("\r\n"));
  }
}

}  // namespace

Result<UniqueFd> DialUnix(const Ctx&, const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Fail(Code::kInvalid, "socket path is too long: " + path);
  path.copy(address.sun_path, path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // A Unix connect either succeeds or fails at once.
  if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return Fail(Code::kUnavailable, Cat("connect to ", path, ": ", ::strerror(errno)));
  return fd;
}

Result<UniqueFd> DialTcp(const Ctx& ctx, const std::string& host, const std::string& port) {
  addrinfo hints{}, *list = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &list); error != 0) return Fail(Code::kUnavailable, Cat("resolve ", host, ": ", ::gai_strerror(error)));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, ::freeaddrinfo);
  Error last(Code::kUnavailable, Cat("resolve ", host, ": no address"));
  for (const addrinfo* a = list; a != nullptr; a = a->ai_next) {
    UniqueFd fd(::socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) continue;
    Result<> connected;
    if (::connect(fd.get(), a->ai_addr, a->ai_addrlen) != 0) {
      connected = errno == EINPROGRESS ? FinishConnect(ctx, fd.get()) : std::unexpected(ErrnoError(errno, "connect"));
    }
    if (connected) return fd;
    last = std::move(connected).error().Wrap(Cat(host, ":", port));
    if (ctx.done()) break;
  }
  return std::unexpected(std::move(last));
}

Result<Response> Exchange(const Ctx& ctx, const UniqueFd& fd, const Request& request, const Sink& sink) {
  Connection connection(ctx, fd.get());
  TRY_VOID(SendRequest(connection, request, true));
  Response response;
  do {
    TRY(response, connection.Head());
  } while (response.status / 100 == 1);
  if (request.method == "HEAD" || response.status == 204 || response.status == 304) return response;
  std::string refusal;
  TRY_VOID(ReadBody(connection, response, response.status / 100 == 2 ? sink : Keep(refusal)));
  response.refusal = std::move(refusal);
  return response;
}

Result<Upgraded> Upgrade(const Ctx& ctx, const UniqueFd& fd, const Request& request) {
  Connection connection(ctx, fd.get());
  TRY_VOID(SendRequest(connection, request, false));
  Upgraded out;
  TRY(out.response, connection.Head());
  if (out.response.status == 101 || out.response.status == 200) {
    out.early = connection.TakeBuffer();
    return out;
  }
  std::string refusal;
  TRY_VOID(ReadBody(connection, out.response, Keep(refusal)));
  out.response.refusal = std::move(refusal);
  return out;
}

}  // namespace skerry::container::wire
