#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/http/message.h"
#include "core/net/buffered_reader.h"
#include "core/net/stream.h"
#include "core/net/turn.h"

// WebSocket, RFC 6455, without extensions.
namespace skerry::http {

// --- Opening handshake
bool WantsWebSocket(const Request& request);   // Connection and Upgrade say so; version and key may still be wrong
struct WebSocketAccept {
  std::string protocol;   // chosen subprotocol, empty when the client offered none
  Headers headers;        // of the 101 reply
};
// The first of the client's offers that is in `supported`. No offer: no subprotocol. Offers without a match: kUnsupported.
// kBadRequest: malformed handshake.
Result<WebSocketAccept> AcceptWebSocket(const Request& request, std::span<const std::string_view> supported);
std::string WebSocketAcceptKey(std::string_view key);   // Sec-WebSocket-Accept for a Sec-WebSocket-Key

// --- Frames, no I/O
enum class Opcode : std::uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };
struct FrameHead {
  bool fin = true;
  Opcode opcode = Opcode::kBinary;
  bool masked = false;
  std::uint32_t mask = 0;      // first byte of the wire in the lowest bits
  std::uint64_t length = 0;
  std::size_t size = 0;        // of the head itself
};
Result<std::optional<FrameHead>> ParseFrameHead(std::string_view bytes);   // empty: more bytes needed; kBadRequest
void AppendFrameHead(std::string& out, Opcode opcode, bool fin, std::uint64_t length, std::optional<std::uint32_t> mask);
void Mask(char* bytes, std::size_t size, std::uint32_t mask, std::uint64_t offset = 0);

// --- A connection after the handshake
// One reader and any number of writers (they take turns), all on the stream's shard. Pings are answered inside Read.
class WebSocket {
 public:
  enum class Role : std::uint8_t { kServer, kClient };
  struct Message {
    Opcode kind = Opcode::kBinary;   // kText or kBinary
    std::string data;
  };
  // A longer message closes the connection with 1009.
  WebSocket(std::unique_ptr<net::Stream> stream, Role role, std::size_t max_message = 1 << 20)
      : stream_(std::move(stream)), role_(role), max_message_(max_message), reader_(*stream_) {}

  // Empty: the peer closed (its close was answered). A Read that timed out may be repeated.
  net::Task<Result<std::optional<Message>>> Read();
  net::Task<Result<void>> Write(Opcode kind, std::string_view data);      // one unfragmented message
  net::Task<Result<void>> Ping(std::string_view data);
  net::Task<Result<void>> Close(std::uint16_t code, std::string_view reason);   // sends the close frame once; Read on to see the peer's
  void Abort() noexcept { stream_->Abort(); }
  net::Stream& stream() { return *stream_; }   // deadlines

 private:
  net::Task<Result<void>> TakeHead();            // into frame_
  net::Task<Result<void>> TakePayload(std::string* into);   // the rest of frame_
  net::Task<Result<bool>> Control();             // true: it was a close
  std::string_view Violation() const;            // why frame_ must not come now; empty: it may
  net::Task<Result<void>> Send(Opcode opcode, std::string_view data);
  net::Task<Result<std::optional<Message>>> Refuse(std::uint16_t code, std::string_view why);

  const std::unique_ptr<net::Stream> stream_;
  const Role role_;
  const std::size_t max_message_;
  net::BufferedReader reader_;
  net::Turn turn_;
  std::optional<FrameHead> frame_;       // being read
  std::uint64_t frame_done_ = 0;         // bytes of its payload taken
  std::string control_, message_;        // payloads so far
  std::optional<Opcode> message_kind_;   // while a fragmented message is being read
  bool close_sent_ = false;
};

// The binary messages of a WebSocket as a plain byte stream (SPDY inside WebSocket). Text messages fail with kBadRequest.
std::unique_ptr<net::Stream> AsByteStream(std::unique_ptr<WebSocket> socket);

}  // namespace skerry::http
