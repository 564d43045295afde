#include "core/proxy/head.h"

#include <algorithm>
#include <array>
#include <limits>

namespace skerry::proxy {
namespace {

constexpr std::size_t kMaxHeaders = 256;
constexpr std::size_t kMaxLine = 4096, kMaxTrailers = 16 << 10;

constexpr std::array<bool, 256> kToken = [] {
  std::array<bool, 256> t{};
  for (int c = '0'; c <= '9'; ++c) t[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) t[static_cast<std::size_t>(c)] = t[static_cast<std::size_t>(c - 32)] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) t[static_cast<std::size_t>(c)] = true;
  return t;
}();

bool IsToken(std::string_view s) {
  return !s.empty() && std::all_of(s.begin(), s.end(), [](char c) { return kToken[static_cast<std::uint8_t>(c)]; });
}
bool IsValue(std::string_view s) {
  return std::all_of(s.begin(), s.end(), [](char c) { return static_cast<std::uint8_t>(c) >= 32 ? c != 127 : c == '\t'; });
}
char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string_view TrimBlanks(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

template <class F>
void ForEachToken(std::string_view list, F fn) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    const auto token = TrimBlanks(list.substr(0, comma));
    if (!token.empty()) fn(token);
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

// What the framing headers said, before they are judged together.
struct FramingHeaders {
  bool has_length = false, has_coding = false, chunked = false, conflict = false;
  std::uint64_t length = 0;
};

void NoteLength(std::string_view value, FramingHeaders& f) {
  std::uint64_t n = 0;
  bool good = !value.empty() && value.size() <= 18;
  for (const char c : value) {
    good = good && c >= '0' && c <= '9';
    n = n * 10 + static_cast<std::uint64_t>(c - '0');
  }
  if (!good || (f.has_length && f.length != n)) f.conflict = true;
  f.has_length = true;
  f.length = n;
}

bool NoteHeader(HeaderView h, Head& out, FramingHeaders& f) {
  switch (h.name.size()) {
    case 7:
      if (SameName(h.name, "upgrade")) out.upgrade = h.value;
      break;
    case 10:
      if (SameName(h.name, "connection")) {
        // A second Connection header is rare and would need a copy: its sender gets an error instead of a guess.
        if (!out.connection.empty()) return false;
        out.connection = h.value;
        ForEachToken(h.value, [&](std::string_view t) {
          if (SameName(t, "close")) out.keep_alive = false;
          if (SameName(t, "keep-alive") && out.minor == 0) out.keep_alive = true;
          if (SameName(t, "upgrade")) out.connection_upgrade = true;
        });
      }
      break;
    case 14:
      if (SameName(h.name, "content-length")) NoteLength(h.value, f);
      break;
    case 17:
      if (SameName(h.name, "transfer-encoding")) {
        f.conflict = f.conflict || f.has_coding;
        f.has_coding = true;
        f.chunked = SameName(h.value, "chunked");
      }
      break;
    default: break;
  }
  return true;
}

// Header lines from `at` to the blank line before `end`.
bool ParseHeaders(std::string_view text, std::size_t at, std::size_t end, Head& out, FramingHeaders& f) {
  while (at < end) {
    const std::size_t line_end = text.find("\r\n", at);
    const std::string_view line = text.substr(at, line_end - at);
    at = line_end + 2;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || out.headers.size() == kMaxHeaders) return false;
    const HeaderView h{line.substr(0, colon), TrimBlanks(line.substr(colon + 1))};
    if (!IsToken(h.name) || !IsValue(h.value)) return false;   // also refuses folded lines and blanks before the colon
    if (!NoteHeader(h, out, f)) return false;
    out.headers.push_back(h);
  }
  return true;
}

void Reset(Head& out) {
  out.headers.clear();
  out.connection = out.upgrade = {};
  out.connection_upgrade = false;
  out.framing = Framing::kNone;
  out.length = 0;
}

}  // namespace

bool SameName(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return Lower(x) == Lower(y); });
}

bool IsHopByHop(std::string_view name, std::string_view connection) {
  switch (name.size()) {
    case 2:
      if (SameName(name, "te")) return true;
      break;
    case 7:
      if (SameName(name, "upgrade")) return true;
      break;
    case 10:
      if (SameName(name, "connection") || SameName(name, "keep-alive")) return true;
      break;
    case 16:
      if (SameName(name, "proxy-connection")) return true;
      break;
    default: break;
  }
  if (connection.empty()) return false;
  bool named = false;
  ForEachToken(connection, [&](std::string_view t) { named = named || SameName(t, name); });
  // Nobody may have the framing or the addressee removed.
  return named && !SameName(name, "content-length") && !SameName(name, "transfer-encoding") && !SameName(name, "host");
}

std::string_view CookieValue(std::string_view header, std::string_view name) {
  while (!header.empty()) {
    const std::size_t end = header.find(';');
    const auto pair = TrimBlanks(header.substr(0, end));
    const std::size_t equals = pair.find('=');
    if (equals != std::string_view::npos && pair.substr(0, equals) == name) return pair.substr(equals + 1);
    if (end == std::string_view::npos) break;
    header.remove_prefix(end + 1);
  }
  return {};
}

Parsed ParseRequest(std::string_view text, RequestHead& out, int& status) {
  status = 400;
  const std::size_t end = text.find("\r\n\r\n");
  if (end == std::string_view::npos) return Parsed::kIncomplete;
  Reset(out);
  out.host = {};
  out.expects_continue = false;
  out.size = end + 4;
  const std::size_t line_end = text.find("\r\n");
  const std::string_view line = text.substr(0, line_end);
  const std::size_t first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return Parsed::kBad;
  out.method = line.substr(0, first);
  out.target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (version.size() != 8 || !version.starts_with("HTTP/")) return Parsed::kBad;
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return status = 505, Parsed::kBad;
  out.minor = version.back() - '0';
  out.keep_alive = out.minor == 1;
  if (!IsToken(out.method) || out.target.empty() || std::any_of(out.target.begin(), out.target.end(), [](char c) { return c <= ' ' || c == 127; })) {
    return Parsed::kBad;
  }
  FramingHeaders f;
  if (!ParseHeaders(text, line_end + 2, end + 2, out, f) || f.conflict) return Parsed::kBad;
  for (const HeaderView& h : out.headers) {
    if (SameName(h.name, "host")) {
      if (out.host.data() != nullptr) return Parsed::kBad;
      out.host = h.value;
    } else if (SameName(h.name, "expect")) {
      out.expects_continue = SameName(h.value, "100-continue");
    }
  }
  if (out.host.data() == nullptr && out.minor == 1) return Parsed::kBad;
  if (f.has_coding) {
    if (f.has_length || out.minor == 0) return Parsed::kBad;
    if (!f.chunked) return status = 501, Parsed::kBad;
    out.framing = Framing::kChunked;
  } else if (f.has_length && f.length > 0) {
    out.framing = Framing::kLength;
    out.length = f.length;
  }
  return Parsed::kDone;
}

Parsed ParseResponse(std::string_view text, std::string_view method, ResponseHead& out) {
  const std::size_t end = text.find("\r\n\r\n");
  if (end == std::string_view::npos) return Parsed::kIncomplete;
  Reset(out);
  out.size = end + 4;
  const std::size_t line_end = text.find("\r\n");
  const std::string_view line = text.substr(0, line_end);
  if (line.size() < 12 || !line.starts_with("HTTP/1.") || (line[7] != '0' && line[7] != '1') || line[8] != ' ') return Parsed::kBad;
  out.minor = line[7] - '0';
  out.keep_alive = out.minor == 1;
  out.status = 0;
  for (int i = 9; i < 12; ++i) {
    if (line[static_cast<std::size_t>(i)] < '0' || line[static_cast<std::size_t>(i)] > '9') return Parsed::kBad;
    out.status = out.status * 10 + (line[static_cast<std::size_t>(i)] - '0');
  }
  if (out.status < 100 || (line.size() > 12 && line[12] != ' ')) return Parsed::kBad;
  out.reason = line.size() > 13 ? line.substr(13) : std::string_view();
  FramingHeaders f;
  if (!IsValue(out.reason) || !ParseHeaders(text, line_end + 2, end + 2, out, f) || f.conflict) return Parsed::kBad;
  if (method == "HEAD" || out.status < 200 || out.status == 204 || out.status == 304) {
    out.framing = Framing::kNone;
  } else if (f.has_coding) {
    // A response with both would be framed by its coding; one that lists others than chunked ends with the connection.
    if (f.has_length) return Parsed::kBad;
    out.framing = f.chunked ? Framing::kChunked : Framing::kUntilClose;
  } else if (f.has_length) {
    out.framing = f.length > 0 ? Framing::kLength : Framing::kNone;
    out.length = f.length;
  } else {
    out.framing = Framing::kUntilClose;
  }
  if (out.framing == Framing::kUntilClose) out.keep_alive = false;
  return Parsed::kDone;
}

std::size_t ChunkScanner::Feed(std::string_view in) {
  std::size_t i = 0;
  while (i < in.size() && state_ != State::kDone && state_ != State::kBad) {
    const char c = in[i];
    switch (state_) {
      case State::kSize: {
        const int digit = c >= '0' && c <= '9' ? c - '0' : Lower(c) >= 'a' && Lower(c) <= 'f' ? Lower(c) - 'a' + 10 : -1;
        if (digit >= 0) {
          left_ = left_ << 4 | static_cast<std::uint64_t>(digit);
          if (++digits_ > 15) state_ = State::kBad;
        } else if (digits_ == 0) {
          state_ = State::kBad;
        } else if (c == '\r') {
          state_ = State::kSizeEnd;
        } else if (c == ';' || c == ' ' || c == '\t') {
          line_ = 0;
          state_ = State::kSizeRest;
        } else {
          state_ = State::kBad;
        }
        break;
      }
      case State::kSizeRest:   // extensions
        if (c == '\r') {
          state_ = State::kSizeEnd;
        } else if (c == '\n' || ++line_ > kMaxLine) {
          state_ = State::kBad;
        }
        break;
      case State::kSizeEnd:
        line_ = 0;
        state_ = c != '\n' ? State::kBad : left_ > 0 ? State::kData : State::kTrailer;
        break;
      case State::kData: {
        const std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, in.size() - i));
        left_ -= n;
        i += n;
        if (left_ == 0) state_ = State::kDataCr;
        continue;
      }
      case State::kDataCr: state_ = c == '\r' ? State::kDataLf : State::kBad; break;
      case State::kDataLf:
        digits_ = 0;
        state_ = c == '\n' ? State::kSize : State::kBad;
        break;
      case State::kTrailer:
        if (c == '\r') {
          state_ = State::kTrailerEnd;
        } else if (c == '\n' || ++trailers_ > kMaxTrailers) {
          state_ = State::kBad;
        } else {
          ++line_;
        }
        break;
      case State::kTrailerEnd:
        state_ = c != '\n' ? State::kBad : line_ == 0 ? State::kDone : State::kTrailer;
        line_ = 0;
        break;
      case State::kDone:
      case State::kBad: break;
    }
    ++i;
  }
  return i;
}

void Body::Start(const Head& head) {
  framing_ = head.framing;
  left_ = head.length;
  ended_ = false;
  chunks_ = ChunkScanner();
}

std::size_t Body::Take(std::string_view available) {
  switch (framing_) {
    case Framing::kNone: return 0;
    case Framing::kLength: {
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, available.size()));
      left_ -= n;
      return n;
    }
    case Framing::kChunked: return chunks_.Feed(available);
    case Framing::kUntilClose: return available.size();
  }
  return 0;
}

bool Body::done() const {
  switch (framing_) {
    case Framing::kNone: return true;
    case Framing::kLength: return left_ == 0;
    case Framing::kChunked: return chunks_.done();
    case Framing::kUntilClose: return ended_;
  }
  return true;
}

}  // namespace skerry::proxy
