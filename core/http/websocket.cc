#include "core/http/websocket.h"

#include <cstring>

#include "core/base/random.h"
#include "core/base/strings.h"
#include "core/crypto/digest.h"
#include "core/text/base64.h"

namespace skerry::http {
namespace {
constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";   // RFC 6455, 1.3
constexpr std::size_t kMaxControl = 125;

bool IsControl(Opcode o) { return (static_cast<unsigned>(o) & 8) != 0; }
}  // namespace

bool WantsWebSocket(const Request& request) {
  return HasToken(request.headers, "Connection", "upgrade") && HasToken(request.headers, "Upgrade", "websocket");
}

std::string WebSocketAcceptKey(std::string_view key) { return text::Base64(crypto::HashBytes(crypto::Hash::kSha1, Cat(key, kGuid))); }

Result<WebSocketAccept> AcceptWebSocket(const Request& request, std::span<const std::string_view> supported) {
  if (!WantsWebSocket(request) || request.method != "GET") return Fail(Code::kBadRequest, "not a WebSocket handshake");
  if (request.Get("Sec-WebSocket-Version") != "13") return Fail(Code::kBadRequest, "Sec-WebSocket-Version must be 13");
  const auto key = request.Get("Sec-WebSocket-Key");
  const auto raw = text::FromBase64(key);
  if (!raw || raw->size() != 16) return Fail(Code::kBadRequest, "malformed Sec-WebSocket-Key");
  WebSocketAccept out;
  const auto offers = ListValues(request.headers, "Sec-WebSocket-Protocol");
  for (const auto& offer : offers) {
    if (std::find(supported.begin(), supported.end(), offer) == supported.end()) continue;
    out.protocol = offer;
    break;
  }
  if (!offers.empty() && out.protocol.empty()) return Fail(Code::kUnsupported, "no common WebSocket subprotocol");
  out.headers.push_back({"Upgrade", "websocket"});
  out.headers.push_back({"Connection", "Upgrade"});
  out.headers.push_back({"Sec-WebSocket-Accept", WebSocketAcceptKey(key)});
  if (!out.protocol.empty()) out.headers.push_back({"Sec-WebSocket-Protocol", out.protocol});
  return out;
}

Result<std::optional<FrameHead>> ParseFrameHead(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])); };
  if (bytes.size() < 2) return std::nullopt;
  FrameHead out;
  if ((at(0) & 0x70) != 0) return Fail(Code::kBadRequest, "reserved bits set");
  out.fin = (at(0) & 0x80) != 0;
  out.opcode = static_cast<Opcode>(at(0) & 15);
  if ((at(0) & 7) > 2) return Fail(Code::kBadRequest, "unknown opcode");
  out.masked = (at(1) & 0x80) != 0;
  out.length = at(1) & 0x7f;
  if (IsControl(out.opcode) && (out.length > kMaxControl || !out.fin)) return Fail(Code::kBadRequest, "control frame too long or fragmented");
  const std::size_t extra = out.length == 126 ? 2 : out.length == 127 ? 8 : 0;
  out.size = 2 + extra + (out.masked ? 4 : 0);
  if (bytes.size() < out.size) return std::nullopt;
  if (extra > 0) {
    out.length = 0;
    for (std::size_t i = 0; i < extra; ++i) out.length = out.length << 8 | at(2 + i);
    if (out.length >> 63 != 0 || out.length < (extra == 2 ? 126U : 65536U)) return Fail(Code::kBadRequest, "malformed frame length");
  }
  for (std::size_t i = 0; out.masked && i < 4; ++i) out.mask |= static_cast<std::uint32_t>(at(2 + extra + i) << (8 * i));
  return out;
}

void AppendFrameHead(std::string& out, Opcode opcode, bool fin, std::uint64_t length, std::optional<std::uint32_t> mask) {
  out += static_cast<char>((fin ? 0x80U : 0U) | static_cast<unsigned>(opcode));
  const unsigned mask_bit = mask ? 0x80U : 0U;
  int extra = 0;
  if (length < 126) {
    out += static_cast<char>(mask_bit | length);
  } else if (length < 65536) {
    out += static_cast<char>(mask_bit | 126);
    extra = 2;
  } else {
    out += static_cast<char>(mask_bit | 127);
    extra = 8;
  }
  for (int i = extra - 1; i >= 0; --i) out += static_cast<char>(length >> (8 * i));
  for (int i = 0; mask && i < 4; ++i) out += static_cast<char>(*mask >> (8 * i));
}

void Mask(char* bytes, std::size_t size, std::uint32_t mask, std::uint64_t offset) {
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(bytes[i] ^ static_cast<char>(mask >> (8 * ((offset + i) & 3))));
}

net::Task<Result<void>> WebSocket::TakeHead() {
  while (!frame_) {
    CO_TRY(frame_, ParseFrameHead(reader_.view()));
    if (frame_) {
      reader_.Consume(frame_->size);
      frame_done_ = 0;
      break;
    }
    CO_TRY(const bool more, co_await reader_.More());
    if (!more) co_return Fail(Code::kUnavailable, "connection closed without a close frame");
  }
  co_return Result<void>();
}

net::Task<Result<void>> WebSocket::TakePayload(std::string* into) {
  while (frame_done_ < frame_->length) {
    CO_TRY(const bool more, co_await reader_.Need(1));
    if (!more) co_return Fail(Code::kUnavailable, "connection closed inside a frame");
    const auto bytes = reader_.view().substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(frame_->length - frame_done_, SIZE_MAX)));
    const std::size_t start = into->size();
    into->append(bytes);
    if (frame_->masked) Mask(into->data() + start, bytes.size(), frame_->mask, frame_done_);
    frame_done_ += bytes.size();
    reader_.Consume(bytes.size());
  }
  co_return Result<void>();
}

net::Task<Result<bool>> WebSocket::Control() {
  CO_TRY_VOID(co_await TakePayload(&control_));
  const Opcode opcode = frame_->opcode;
  frame_.reset();
  const std::string payload = std::exchange(control_, std::string());
  if (opcode == Opcode::kPing) {
    CO_TRY_VOID(co_await Send(Opcode::kPong, payload));
  }
  if (opcode != Opcode::kClose) co_return false;
  if (!std::exchange(close_sent_, true)) {
    const std::string_view code = std::string_view(payload).substr(0, 2);
    const auto echoed = co_await Send(Opcode::kClose, code);
    static_cast<void>(echoed);   // the peer may be gone already
  }
  co_return true;
}

net::Task<Result<std::optional<WebSocket::Message>>> WebSocket::Refuse(std::uint16_t code, std::string_view why) {
  const auto closed = co_await Close(code, why);
  static_cast<void>(closed);
  co_return Fail(code == 1009 ? Code::kTooLarge : Code::kBadRequest, Cat("WebSocket: ", why));
}

std::string_view WebSocket::Violation() const {
  if (frame_->masked != (role_ == Role::kServer)) return "wrong masking";
  if (IsControl(frame_->opcode)) return {};
  const bool continues = frame_->opcode == Opcode::kContinuation;
  if (continues != message_kind_.has_value()) return "unexpected fragment";
  return {};
}

net::Task<Result<std::optional<WebSocket::Message>>> WebSocket::Read() {
  for (;;) {
    const bool resumed = frame_.has_value();
    auto head = co_await TakeHead();
    if (!head && head.error().code() == Code::kBadRequest) co_return co_await Refuse(1002, "malformed frame");
    if (!head) co_return std::unexpected(std::move(head).error());
    if (!resumed) {
      const std::string_view violation = Violation();
      if (!violation.empty()) co_return co_await Refuse(1002, violation);
    }
    if (IsControl(frame_->opcode)) {
      CO_TRY(const bool closed, co_await Control());
      if (closed) co_return std::optional<Message>();
      continue;
    }
    if (frame_->length > max_message_ || message_.size() - frame_done_ + frame_->length > max_message_) {
      co_return co_await Refuse(1009, "message too long");
    }
    if (frame_->opcode != Opcode::kContinuation) message_kind_ = frame_->opcode;
    CO_TRY_VOID(co_await TakePayload(&message_));
    const bool fin = frame_->fin;
    frame_.reset();
    if (!fin) continue;
    std::optional<Message> out;
    out.emplace();
    out->kind = *std::exchange(message_kind_, std::nullopt);
    out->data = std::exchange(message_, std::string());
    co_return out;
  }
}

net::Task<Result<void>> WebSocket::Send(Opcode opcode, std::string_view data) {
  co_await turn_.Take();
  const net::TurnGuard mine(turn_);
  std::optional<std::uint32_t> mask;
  if (role_ == Role::kClient) mask = static_cast<std::uint32_t>(Random::System().Next());
  std::string frame;
  frame.reserve(data.size() + 14);
  AppendFrameHead(frame, opcode, true, data.size(), mask);
  const std::size_t start = frame.size();
  frame += data;
  if (mask) Mask(frame.data() + start, data.size(), *mask);
  co_return co_await stream_->Write(frame);
}

net::Task<Result<void>> WebSocket::Write(Opcode kind, std::string_view data) {
  if (close_sent_) co_return Fail(Code::kUnavailable, "write: WebSocket closed");
  co_return co_await Send(kind, data);
}

net::Task<Result<void>> WebSocket::Ping(std::string_view data) {
  const auto bounded = data.substr(0, kMaxControl);
  co_return co_await Send(Opcode::kPing, bounded);
}

net::Task<Result<void>> WebSocket::Close(std::uint16_t code, std::string_view reason) {
  if (std::exchange(close_sent_, true)) co_return Result<void>();
  std::string payload;
  payload += static_cast<char>(code >> 8);
  payload += static_cast<char>(code & 255);
  payload += reason.substr(0, kMaxControl - 2);
  co_return co_await Send(Opcode::kClose, payload);
}

namespace {

class MessageStream final : public net::Stream {
 public:
  explicit MessageStream(std::unique_ptr<WebSocket> socket) : socket_(std::move(socket)) {}
  net::Task<Result<std::size_t>> Read(std::span<std::byte> into) override {
    while (taken_ == data_.size()) {
      CO_TRY(auto message, co_await socket_->Read());
      if (!message) co_return std::size_t{0};
      if (message->kind != Opcode::kBinary) co_return Fail(Code::kBadRequest, "WebSocket: expected a binary message");
      data_ = std::move(message->data);
      taken_ = 0;
    }
    const std::size_t n = std::min(into.size(), data_.size() - taken_);
    std::memcpy(into.data(), data_.data() + taken_, n);
    taken_ += n;
    co_return n;
  }
  net::Task<Result<void>> Write(std::string_view bytes) override { return socket_->Write(Opcode::kBinary, bytes); }
  net::Task<Result<void>> CloseWrite() override { return socket_->Close(1000, ""); }
  void ReadExpiresAt(TimePoint deadline) override { socket_->stream().ReadExpiresAt(deadline); }
  void WriteExpiresAt(TimePoint deadline) override { socket_->stream().WriteExpiresAt(deadline); }
  void Abort() noexcept override { socket_->Abort(); }
  const net::ConnectionInfo& info() const override { return socket_->stream().info(); }

 private:
  const std::unique_ptr<WebSocket> socket_;
  std::string data_;
  std::size_t taken_ = 0;
};

}  // namespace

std::unique_ptr<net::Stream> AsByteStream(std::unique_ptr<WebSocket> socket) { return std::make_unique<MessageStream>(std::move(socket)); }

}  // namespace skerry::http
