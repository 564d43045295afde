#include "core/http/spdy_frame.h"

#include <zlib.h>

#include <cstdlib>
#include <cstring>

#include "core/base/strings.h"

namespace skerry::http::spdy {
namespace {

constexpr std::size_t kMaxHeaderBytes = 64 << 10;
constexpr std::size_t kMaxHeaderCount = 256;

// The compression dictionary of SPDY/3: words with a 32-bit length in front, then a plain tail.
constexpr std::string_view kWords[] = {
    "options", "head", "post", "put", "delete", "trace", "accept", "accept-charset", "accept-encoding", "accept-language", "accept-ranges", "age",
    "allow", "authorization", "cache-control", "connection", "content-base", "content-encoding", "content-language", "content-length",
    "content-location", "content-md5", "content-range", "content-type", "date", "etag", "expect", "expires", "from", "host", "if-match",
    "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "last-modified", "location", "max-forwards", "pragma",
    "proxy-authenticate", "proxy-authorization", "range", "referer", "retry-after", "server", "te", "trailer", "transfer-encoding", "upgrade",
    "user-agent", "vary", "via", "warning", "www-authenticate", "method", "get", "status", "200 OK", "version", "HTTP/1.1", "url", "public",
    "set-cookie", "keep-alive", "origin"};
constexpr std::string_view kTail =
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found"
    "500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,public"
    "privatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

const std::string& Dictionary() {
  static const std::string text = [] {
    std::string out;
    for (const auto word : kWords) {
      AppendU32(out, static_cast<std::uint32_t>(word.size()));
      out += word;
    }
    out += kTail;
    return out;
  }();
  return text;
}

const Bytef* In(std::string_view s) { return reinterpret_cast<const Bytef*>(s.data()); }

Result<Headers> ParseBlock(std::string_view block) {
  Headers out;
  const auto number = [&](std::uint32_t& into) {
    if (block.size() < 4) return false;
    into = ReadU32(block, 0);
    block.remove_prefix(4);
    return true;
  };
  const auto text = [&](std::string_view& into) {
    std::uint32_t size = 0;
    if (!number(size) || size > block.size()) return false;
    into = block.substr(0, size);
    block.remove_prefix(size);
    return true;
  };
  std::uint32_t count = 0;
  if (!number(count) || count > kMaxHeaderCount) return Fail(Code::kBadRequest, "SPDY: malformed header block");
  for (std::uint32_t i = 0; i < count; ++i) {
    std::string_view name, value;
    if (!text(name) || name.empty() || !text(value)) return Fail(Code::kBadRequest, "SPDY: malformed header block");
    for (const auto piece : Split(value, '\0')) {
      auto& h = out.emplace_back();
      h.name = name;
      h.value = piece;
    }
  }
  return out;
}

}  // namespace

std::uint32_t ReadU32(std::string_view bytes, std::size_t at) {
  std::uint32_t v = 0;
  for (std::size_t i = 0; i < 4; ++i) v = v << 8 | static_cast<unsigned char>(bytes[at + i]);
  return v;
}

void AppendU32(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
}

Result<FrameHead> ParseHead(std::string_view bytes) {
  const std::uint32_t first = ReadU32(bytes, 0), second = ReadU32(bytes, 4);
  FrameHead out;
  out.control = first >> 31 != 0;
  out.flags = static_cast<std::uint8_t>(second >> 24);
  out.length = second & 0xffffff;
  if (!out.control) {
    out.stream = first;
    return out;
  }
  if ((first >> 16 & 0x7fff) != 3) return Fail(Code::kBadRequest, "SPDY: version is not 3");
  if (out.length > kMaxControlFrame) return Fail(Code::kBadRequest, "SPDY: control frame too long");
  out.type = static_cast<Type>(first & 0xffff);
  return out;
}

void AppendControl(std::string& out, Type type, std::uint8_t flags, std::string_view payload) {
  AppendU32(out, 0x80030000U | static_cast<std::uint32_t>(type));
  AppendU32(out, static_cast<std::uint32_t>(flags) << 24 | static_cast<std::uint32_t>(payload.size()));
  out += payload;
}

void AppendDataHead(std::string& out, std::uint32_t stream, std::uint8_t flags, std::size_t length) {
  AppendU32(out, stream);
  AppendU32(out, static_cast<std::uint32_t>(flags) << 24 | static_cast<std::uint32_t>(length));
}

struct HeaderCoder::State {
  Direction direction;
  z_stream z = {};
};

HeaderCoder::HeaderCoder(Direction direction) : state_(std::make_unique<State>()) {
  state_->direction = direction;
  const auto size = static_cast<uInt>(Dictionary().size());
  const bool ready = direction == Direction::kCompress
                         ? deflateInit(&state_->z, Z_BEST_SPEED) == Z_OK && deflateSetDictionary(&state_->z, In(Dictionary()), size) == Z_OK
                         : inflateInit(&state_->z) == Z_OK;
  if (!ready) std::abort();   // out of memory
}

HeaderCoder::~HeaderCoder() {
  if (state_->direction == Direction::kCompress) {
    deflateEnd(&state_->z);
  } else {
    inflateEnd(&state_->z);
  }
}

std::string HeaderCoder::Compress(const Headers& headers) {
  std::vector<std::pair<std::string, std::string>> joined;
  for (const auto& h : headers) {
    const std::string name = ToLower(h.name);
    const auto same = std::find_if(joined.begin(), joined.end(), [&](const auto& j) { return j.first == name; });
    if (same == joined.end()) {
      joined.emplace_back(name, h.value);
    } else {
      same->second += '\0';
      same->second += h.value;
    }
  }
  std::string plain;
  AppendU32(plain, static_cast<std::uint32_t>(joined.size()));
  for (const auto& [name, value] : joined) {
    AppendU32(plain, static_cast<std::uint32_t>(name.size()));
    plain += name;
    AppendU32(plain, static_cast<std::uint32_t>(value.size()));
    plain += value;
  }
  z_stream& z = state_->z;
  std::string out(deflateBound(&z, plain.size()) + 64, 0);
  z.next_in = const_cast<Bytef*>(In(plain));
  z.avail_in = static_cast<uInt>(plain.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_SYNC_FLUSH);
  out.resize(out.size() - z.avail_out);
  return out;
}

Result<Headers> HeaderCoder::Decompress(std::string_view block) {
  z_stream& z = state_->z;
  std::string plain;
  char buffer[4096];
  z.next_in = const_cast<Bytef*>(In(block));
  z.avail_in = static_cast<uInt>(block.size());
  for (;;) {
    z.next_out = reinterpret_cast<Bytef*>(buffer);
    z.avail_out = sizeof buffer;
    int r = inflate(&z, Z_SYNC_FLUSH);
    if (r == Z_NEED_DICT) {
      if (inflateSetDictionary(&z, In(Dictionary()), static_cast<uInt>(Dictionary().size())) != Z_OK) break;
      continue;
    }
    plain.append(buffer, sizeof buffer - z.avail_out);
    if (plain.size() > kMaxHeaderBytes) return Fail(Code::kBadRequest, "SPDY: headers too long");
    if (r == Z_BUF_ERROR && z.avail_in == 0) return ParseBlock(plain);   // everything is out
    if (r != Z_OK) break;
    if (z.avail_in == 0 && z.avail_out > 0) return ParseBlock(plain);
  }
  return Fail(Code::kBadRequest, "SPDY: broken header compression");
}

}  // namespace skerry::http::spdy
