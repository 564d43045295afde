#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "embedded-kube-shim/node/hooks.h"

// grpc.health.v1.Health/Check over cleartext HTTP/2 (RFC 9113), one call on one connection. Only what a unary call needs: no header of
// the answer has to be read, its message says everything, and an answer without a message is a failure.
namespace skerry::kube::node {
namespace {

constexpr std::size_t kFrameLimit = 16384, kAnswerLimit = 4096;
enum FrameType : std::uint8_t { kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kGoAway = 7 };
constexpr unsigned kEndStream = 1, kAck = 1, kEndHeaders = 4, kPadded = 8;

std::string Frame(FrameType type, unsigned flags, std::uint32_t stream, std::string_view payload) {
  std::string out;
  const auto size = static_cast<std::uint32_t>(payload.size());
  for (const int shift : {16, 8, 0}) out += static_cast<char>(size >> shift);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(stream >> shift);
  out += payload;
  return out;
}

// HPACK string without Huffman coding: length with a 7-bit prefix, then the bytes.
void AppendText(std::string& out, std::string_view text) {
  std::size_t n = text.size();
  if (n < 127) {
    out += static_cast<char>(n);
  } else {
    out += 127;
    for (n -= 127; n >= 128; n >>= 7) out += static_cast<char>(n % 128 + 128);
    out += static_cast<char>(n);
  }
  out += text;
}

std::string RequestHeaders(const std::string& authority) {
  std::string out = "\x83\x86";                        // :method POST, :scheme http
  const auto named = [&](std::string_view index, std::string_view value) {
    out += index;
    AppendText(out, value);
  };
  named("\x04", "/grpc.health.v1.Health/Check");       // :path
  named("\x01", authority);
  named("\x0f\x10", "application/grpc");                // content-type
  named("\x0f\x2b", "kube-probe/1.36");                 // user-agent
  out += '\0';
  AppendText(out, "te");
  AppendText(out, "trailers");
  return out;
}

std::string RequestMessage(std::string_view service) {
  std::string message;
  if (!service.empty()) {
    message += 0x0a;                                   // field 1, text
    std::size_t n = service.size();
    for (; n >= 128; n >>= 7) message += static_cast<char>(n % 128 + 128);
    message += static_cast<char>(n);
    message += service;
  }
  std::string out(1, '\0');                            // not compressed
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(message.size() >> shift);
  return out + message;
}

class Call {
 public:
  Call(const Ctx& ctx, const UniqueFd& fd) : ctx_(ctx), fd_(fd) {}

  // The first message on the stream.
  Result<std::string> Run(const std::string& authority, std::string_view service) {
    std::string hello = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + Frame(kSettings, 0, 0, "");
    hello += Frame(kHeaders, kEndHeaders, 1, RequestHeaders(authority)) + Frame(kData, kEndStream, 1, RequestMessage(service));
    TRY_VOID(Send(hello));
    std::string body;
    for (;;) {
      TRY(const std::string head, Read(9));
      const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(head[i]); };
      const std::size_t size = std::size_t(byte(0)) << 16 | std::size_t(byte(1)) << 8 | byte(2);
      const unsigned type = byte(3), flags = byte(4);
      if (size > kFrameLimit) return Fail(Code::kInvalid, "answer is not HTTP/2");
      TRY(std::string payload, Read(size));
      if (type == kSettings && !(flags & kAck)) TRY_VOID(Send(Frame(kSettings, kAck, 0, "")));
      if (type == kPing && !(flags & kAck)) TRY_VOID(Send(Frame(kPing, kAck, 0, payload)));
      if (type == kReset || type == kGoAway) return Fail(Code::kUnavailable, "the server ended the call");
      if (type == kData) {
        if (flags & kPadded) {
          const std::size_t pad = payload.empty() ? 0 : static_cast<unsigned char>(payload[0]);
          if (pad + 1 > payload.size()) return Fail(Code::kInvalid, "answer is not HTTP/2");
          payload = payload.substr(1, payload.size() - 1 - pad);
        }
        body += payload;
        if (body.size() > kAnswerLimit) return Fail(Code::kTooLarge, "answer is too long");
        if (const auto message = Message(body)) return *message;
      }
      if ((type == kData || type == kHeaders) && (flags & kEndStream)) return Fail(Code::kUnavailable, "the server answered with an error");
    }
  }

 private:
  static std::optional<std::string> Message(const std::string& body) {
    if (body.size() < 5) return std::nullopt;
    std::size_t size = 0;
    for (int i = 1; i < 5; ++i) size = size << 8 | static_cast<unsigned char>(body[i]);
    if (body.size() < 5 + size) return std::nullopt;
    return body.substr(5, size);
  }

  Result<> Wait(short events) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(ctx_.deadline - std::chrono::steady_clock::now());
    pollfd p{fd_.get(), events, 0};
    if (left.count() > 0 && ::poll(&p, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 600'000))) > 0) return {};
    return Fail(Code::kTimeout, "context deadline exceeded");
  }

  Result<> Send(std::string_view rest) {
    while (!rest.empty()) {
      const ssize_t n = ::send(fd_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
      if (n > 0) rest.remove_prefix(static_cast<std::size_t>(n));
      else if (errno == EAGAIN) TRY_VOID(Wait(POLLOUT));
      else if (errno != EINTR) return std::unexpected(ErrnoError(errno, "write"));
    }
    return {};
  }

  Result<std::string> Read(std::size_t size) {
    std::string out(size, '\0');
    for (std::size_t have = 0; have < size;) {
      const ssize_t n = ::recv(fd_.get(), out.data() + have, size - have, 0);
      if (n > 0) have += static_cast<std::size_t>(n);
      else if (n == 0) return Fail(Code::kUnavailable, "the server closed the connection");
      else if (errno == EAGAIN) TRY_VOID(Wait(POLLIN));
      else if (errno != EINTR) return std::unexpected(ErrnoError(errno, "read"));
    }
    return out;
  }

  const Ctx& ctx_;
  const UniqueFd& fd_;
};

}  // namespace

Result<> GrpcHealth(const Ctx& ctx, const std::string& host, int port, std::string_view service) {
  static constexpr std::string_view kStatus[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
  const std::string where = Cat(host, ":", port);
  auto fd = ConnectTo(ctx, host, port);
  if (!fd) return std::unexpected(std::move(fd.error()).Wrap(Cat("failed to connect service ", Quote(where))));
  auto message = Call(ctx, *fd).Run(where, service);
  if (!message) return std::unexpected(std::move(message.error()).Wrap(Cat("health rpc to ", Quote(where), " failed")));
  // HealthCheckResponse: field 1, an enumeration; absent means 0.
  const std::size_t status = message->size() >= 2 && (*message)[0] == 0x08 ? static_cast<unsigned char>((*message)[1]) : 0;
  if (status == 1) return {};
  return Fail(Code::kUnavailable, Cat("service unhealthy (responded with ", Quote(status < std::size(kStatus) ? kStatus[status] : "UNKNOWN"), ")"));
}

}  // namespace skerry::kube::node
