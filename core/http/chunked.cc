#include "core/http/chunked.h"

#include <charconv>

namespace skerry::http {
namespace {
constexpr std::size_t kMaxSizeLine = 1024;
constexpr std::size_t kMaxTrailer = 16 << 10;
}  // namespace

Result<bool> ChunkedDecoder::TakeLine(std::string_view& input, std::size_t limit) {
  const auto end = input.find('\n');
  const auto piece = input.substr(0, end);
  if (line_.size() + piece.size() > limit) return Fail(Code::kBadRequest, "chunk line too long");
  line_ += piece;
  input.remove_prefix(end == std::string_view::npos ? input.size() : end + 1);
  if (end == std::string_view::npos) return false;
  if (!line_.ends_with('\r')) return Fail(Code::kBadRequest, "chunk line without CRLF");
  line_.pop_back();
  return true;
}

Result<> ChunkedDecoder::ParseSize() {
  const char* begin = line_.data();
  const char* end = begin + line_.size();
  const auto [stop, error] = std::from_chars(begin, end, left_, 16);
  if (error != std::errc() || stop - begin > 15) return Fail(Code::kBadRequest, "malformed chunk size");
  if (stop != end && *stop != ';' && *stop != ' ' && *stop != '\t') return Fail(Code::kBadRequest, "malformed chunk size");
  return {};
}

Result<ChunkedDecoder::Step> ChunkedDecoder::Next(std::string_view input) {
  const std::size_t size = input.size();
  Step out;
  while (!input.empty() && state_ != State::kDone) {
    if (state_ == State::kData) {
      out.data = input.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size())));
      left_ -= out.data.size();
      input.remove_prefix(out.data.size());
      if (left_ == 0) state_ = State::kDataEnd;
      break;
    }
    const std::size_t limit = state_ == State::kTrailer ? kMaxTrailer - trailer_bytes_ : kMaxSizeLine;
    TRY(const bool complete, TakeLine(input, limit));
    if (!complete) break;
    if (state_ == State::kSize) {
      TRY_VOID(ParseSize());
      state_ = left_ > 0 ? State::kData : State::kTrailer;
    } else if (state_ == State::kDataEnd) {
      if (!line_.empty()) return Fail(Code::kBadRequest, "chunk longer than announced");
      state_ = State::kSize;
    } else {
      trailer_bytes_ += line_.size();
      if (line_.empty()) state_ = State::kDone;
    }
    line_.clear();
  }
  out.consumed = size - input.size();
  out.done = state_ == State::kDone;
  return out;
}

void AppendChunkHead(std::string& out, std::size_t size) {
  char text[20];
  const auto [end, error] = std::to_chars(text, text + sizeof text, size, 16);
  static_cast<void>(error);
  out.append(text, end);
  out += "\r\n";
}

void AppendChunk(std::string& out, std::string_view data) {
  if (data.empty()) return;
  AppendChunkHead(out, data.size());
  out += data;
  out += "\r\n";
}

}  // namespace skerry::http
