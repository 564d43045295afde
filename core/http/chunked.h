#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace skerry::http {

// Incremental decoder of the chunked coding (RFC 9112, 7.1). Extensions and trailers are read and dropped; both are bounded.
class ChunkedDecoder {
 public:
  struct Step {
    std::size_t consumed = 0;    // of the input
    std::string_view data;       // body bytes inside the consumed input; may be empty
    bool done = false;           // the body is complete; what follows `consumed` belongs to the next message
  };
  // Takes at most one run of body bytes. consumed == 0 and !done: more input is needed. kBadRequest: malformed.
  Result<Step> Next(std::string_view input);

 private:
  enum class State : std::uint8_t { kSize, kData, kDataEnd, kTrailer, kDone };
  Result<bool> TakeLine(std::string_view& input, std::size_t limit);   // into line_; false: incomplete
  Result<> ParseSize();

  State state_ = State::kSize;
  std::uint64_t left_ = 0;
  std::string line_;
  std::size_t trailer_bytes_ = 0;
};

void AppendChunk(std::string& out, std::string_view data);   // nothing for empty data: that would end the body
void AppendChunkHead(std::string& out, std::size_t size);
constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace skerry::http
