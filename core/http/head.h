#pragma once
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "core/http/message.h"

// Strict HTTP/1.x heads (RFC 9112). No I/O: the caller finds the end, hands in the whole head and keeps what follows.
namespace skerry::http {

constexpr std::size_t kMaxHead = 64 << 10;
constexpr std::size_t kMaxHeaders = 256;

struct HeadFault {
  int status = 400;
  std::string why;
};

// How the body of a message is delimited and what its connection is for afterwards.
struct Framing {
  enum class Body : std::uint8_t { kNone, kLength, kChunked, kUntilClose } body = Body::kNone;
  std::int64_t length = 0;
  bool http10 = false;
  bool keep_alive = true;
  bool expects_continue = false;
};

// Offset just after the empty line that ends the head, scanning from `from` on; empty while it is incomplete.
std::optional<std::size_t> FindHeadEnd(std::string_view bytes, std::size_t from = 0);

// `head` ends with the empty line. Fills method, target, path, query and headers of `out`.
std::expected<Framing, HeadFault> ParseRequestHead(std::string_view head, Request& out);

// Fills path and query from target (origin form).
std::expected<void, HeadFault> SplitTarget(Request& out);

struct ResponseHead {
  int status = 0;
  std::string reason;
  Headers headers;
  Framing framing;
};
std::expected<ResponseHead, HeadFault> ParseResponseHead(std::string_view head, std::string_view request_method);

// "name: value" lines as sent on the wire; line breaks inside a value become spaces.
void AppendHeader(std::string& out, std::string_view name, std::string_view value);

}  // namespace skerry::http
