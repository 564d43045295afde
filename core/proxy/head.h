#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// HTTP/1.1 message heads and framing (RFC 9112) as views into the connection's buffer: the proxy copies a head once, into the head it sends.
// Strict where two parsers could disagree (request smuggling): such messages are refused, never repaired.
namespace skerry::proxy {

struct HeaderView {
  std::string_view name, value;
};

enum class Framing : std::uint8_t { kNone, kLength, kChunked, kUntilClose };

// What both heads have. Views point into the parsed text.
struct Head {
  int minor = 1;                       // HTTP/1.<minor>
  std::vector<HeaderView> headers;     // as sent, in order
  std::string_view connection;         // of the Connection header, all values seen
  std::string_view upgrade;            // of the Upgrade header
  bool keep_alive = true;              // by version and Connection
  bool connection_upgrade = false;     // Connection lists "upgrade"
  Framing framing = Framing::kNone;
  std::uint64_t length = 0;            // kLength
  std::size_t size = 0;                // bytes of the head, final blank line included
};
struct RequestHead : Head {
  std::string_view method, target, host;   // host as sent, with port
  bool expects_continue = false;
};
struct ResponseHead : Head {
  int status = 0;
  std::string_view reason;
};

enum class Parsed : std::uint8_t { kIncomplete, kDone, kBad };
// kBad carries a status to answer with in `status`: 400, 501 (transfer coding), 505 (version). Reuses `out`'s memory.
Parsed ParseRequest(std::string_view text, RequestHead& out, int& status);
// `method` of the request decides about the body.
Parsed ParseResponse(std::string_view text, std::string_view method, ResponseHead& out);

// Headers that concern one connection only and are not passed on (RFC 9110, 7.6.1), those named by Connection included.
bool IsHopByHop(std::string_view name, std::string_view connection);
bool SameName(std::string_view a, std::string_view b);   // ASCII, any case

// Value of one cookie in a Cookie header's value; empty when absent.
std::string_view CookieValue(std::string_view header, std::string_view name);

// Finds the end of a chunked body without changing a byte of it.
class ChunkScanner {
 public:
  std::size_t Feed(std::string_view bytes);   // how many of them belong to the body
  bool done() const { return state_ == State::kDone; }
  bool bad() const { return state_ == State::kBad; }

 private:
  enum class State : std::uint8_t { kSize, kSizeRest, kSizeEnd, kData, kDataCr, kDataLf, kTrailer, kTrailerEnd, kDone, kBad };
  State state_ = State::kSize;
  std::uint64_t left_ = 0;
  unsigned digits_ = 0;
  std::size_t line_ = 0;       // length of the current size or trailer line
  std::size_t trailers_ = 0;   // bytes of trailers
};

// How much of what was read belongs to the current body.
class Body {
 public:
  void Start(const Head& head);
  std::size_t Take(std::string_view available);
  void End() { ended_ = true; }   // kUntilClose: the connection ended
  bool done() const;
  bool bad() const { return framing_ == Framing::kChunked && chunks_.bad(); }
  Framing framing() const { return framing_; }
  std::uint64_t left() const { return left_; }

 private:
  Framing framing_ = Framing::kNone;
  std::uint64_t left_ = 0;
  bool ended_ = false;
  ChunkScanner chunks_;
};

}  // namespace skerry::proxy
