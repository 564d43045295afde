#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/http/message.h"

// Framing of SPDY/3.1 (draft-mbelshe-httpbis-spdy-00 with the session window of 3.1). No I/O.
namespace skerry::http::spdy {

enum class Type : std::uint16_t { kSynStream = 1, kSynReply = 2, kRstStream = 3, kSettings = 4, kPing = 6, kGoAway = 7, kHeaders = 8, kWindowUpdate = 9 };
enum : std::uint8_t { kFlagFin = 1, kFlagUnidirectional = 2 };
enum class Status : std::uint32_t { kProtocolError = 1, kInvalidStream = 2, kRefusedStream = 3, kCancel = 5, kInternalError = 6, kFlowControlError = 7 };
constexpr std::uint32_t kSettingInitialWindow = 7;
constexpr std::int64_t kInitialWindow = 64 << 10;
constexpr std::size_t kMaxControlFrame = 128 << 10;
constexpr std::size_t kHeadSize = 8;

struct FrameHead {
  bool control = false;
  Type type = Type::kSynStream;     // control frames
  std::uint32_t stream = 0;         // data frames
  std::uint8_t flags = 0;
  std::uint32_t length = 0;         // of what follows the head
};
Result<FrameHead> ParseHead(std::string_view bytes);   // exactly kHeadSize bytes; kBadRequest: other version
std::uint32_t ReadU32(std::string_view bytes, std::size_t at);

void AppendControl(std::string& out, Type type, std::uint8_t flags, std::string_view payload);
void AppendDataHead(std::string& out, std::uint32_t stream, std::uint8_t flags, std::size_t length);
void AppendU32(std::string& out, std::uint32_t value);

// The zlib stream of one direction's header blocks; order matters.
class HeaderCoder {
 public:
  enum class Direction : std::uint8_t { kCompress, kDecompress };
  explicit HeaderCoder(Direction direction);
  ~HeaderCoder();
  std::string Compress(const Headers& headers);             // names become lower case, values of equal names are joined by NUL
  Result<Headers> Decompress(std::string_view block);       // kBadRequest; the session cannot go on afterwards

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace skerry::http::spdy
