#include "core/http/head.h"

#include "core/base/strings.h"
#include "core/http/url.h"

namespace skerry::http {
namespace {

constexpr std::array<bool, 256> MakeTokenTable() {
  std::array<bool, 256> t{};
  for (int c = '0'; c <= '9'; ++c) t[c] = true;
  for (int c = 'a'; c <= 'z'; ++c) t[c] = true;
  for (int c = 'A'; c <= 'Z'; ++c) t[c] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) t[static_cast<unsigned char>(c)] = true;
  return t;
}
constexpr auto kToken = MakeTokenTable();

bool IsToken(std::string_view text) {
  if (text.empty()) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return kToken[static_cast<unsigned char>(c)]; });
}

bool IsFieldValue(std::string_view text) {   // visible, space, tab, bytes above ASCII
  return std::all_of(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) >= ' ' && c != 0x7f) || c == '\t'; });
}

bool IsTarget(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) > ' ' && c != 0x7f; });
}

std::string_view TrimBlanks(std::string_view v) {
  while (!v.empty() && (v.front() == ' ' || v.front() == '\t')) v.remove_prefix(1);
  while (!v.empty() && (v.back() == ' ' || v.back() == '\t')) v.remove_suffix(1);
  return v;
}

std::unexpected<HeadFault> Bad(int status, std::string why) {
  HeadFault fault;
  fault.status = status;
  fault.why = std::move(why);
  return std::unexpected(std::move(fault));
}

// Takes one CRLF-terminated line; a bare CR or LF is refused by the character checks of the callers.
std::string_view TakeLine(std::string_view& rest) {
  const auto end = rest.find("\r\n");
  const auto line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 2);
  return line;
}

std::expected<void, HeadFault> ParseFields(std::string_view rest, Headers& out) {
  out.reserve(12);
  for (;;) {
    const auto line = TakeLine(rest);
    if (line.empty()) break;
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || !IsToken(line.substr(0, colon))) return Bad(400, "malformed header line");
    const auto value = TrimBlanks(line.substr(colon + 1));
    if (!IsFieldValue(value)) return Bad(400, "control character in a header value");
    if (out.size() >= kMaxHeaders) return Bad(431, "too many headers");
    auto& h = out.emplace_back();
    h.name = line.substr(0, colon);
    h.value = value;
  }
  if (!rest.empty()) return Bad(400, "junk after the head");
  return {};
}

struct FramingFields {
  std::optional<std::int64_t> length;
  bool chunked = false, close = false, keep_alive = false, expects_continue = false;
  int hosts = 0;
};

std::expected<void, HeadFault> ReadLength(std::string_view value, FramingFields& f) {
  const bool digits = !value.empty() && std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
  const auto n = digits ? ParseInt(value) : std::nullopt;
  if (!n) return Bad(400, "invalid Content-Length");
  if (f.length && *f.length != *n) return Bad(400, "conflicting Content-Length");
  f.length = n;
  return {};
}

std::expected<FramingFields, HeadFault> ReadFraming(const Headers& headers) {
  FramingFields f;
  for (const auto& h : headers) {
    switch (h.name.size()) {   // most names differ in length already
      case 4:
        if (EqualsIgnoreCase(h.name, "Host")) ++f.hosts;
        break;
      case 6:
        if (EqualsIgnoreCase(h.name, "Expect")) f.expects_continue = EqualsIgnoreCase(h.value, "100-continue");
        break;
      case 10:
        if (!EqualsIgnoreCase(h.name, "Connection")) break;
        for (const auto piece : Split(h.value, ',')) {
          const auto token = TrimBlanks(piece);
          f.close = f.close || EqualsIgnoreCase(token, "close");
          f.keep_alive = f.keep_alive || EqualsIgnoreCase(token, "keep-alive");
        }
        break;
      case 14:
        if (EqualsIgnoreCase(h.name, "Content-Length")) {
          if (auto ok = ReadLength(h.value, f); !ok) return std::unexpected(ok.error());
        }
        break;
      case 17:
        if (!EqualsIgnoreCase(h.name, "Transfer-Encoding")) break;
        if (f.chunked || !EqualsIgnoreCase(h.value, "chunked")) return Bad(501, "unsupported Transfer-Encoding");
        f.chunked = true;
        break;
      default: break;
    }
  }
  if (f.chunked && f.length) return Bad(400, "both Content-Length and Transfer-Encoding");
  return f;
}

// Absolute form ("GET http://host/path") becomes origin form; its authority replaces Host (RFC 9112, 3.2.2).
std::expected<void, HeadFault> NormalizeTarget(Request& out) {
  if (out.target.starts_with('/') || (out.target == "*" && out.method == "OPTIONS")) return {};
  const auto url = out.method == "CONNECT" ? Result<Url>(Fail(Code::kInvalid, "")) : ParseUrl(out.target);
  if (!url) return Bad(400, "malformed request target");
  std::string host = url->host.contains(':') ? Cat("[", url->host, "]") : url->host;
  if (url->port != 0) host += Cat(":", url->port);
  std::erase_if(out.headers, [](const Header& h) { return EqualsIgnoreCase(h.name, "Host"); });
  auto& h = out.headers.emplace_back();
  h.name = "Host";
  h.value = std::move(host);
  out.target = url->Target();
  return {};
}

}  // namespace

std::optional<std::size_t> FindHeadEnd(std::string_view bytes, std::size_t from) {
  const auto end = bytes.find("\r\n\r\n", from > 3 ? from - 3 : 0);
  if (end == std::string_view::npos) return std::nullopt;
  return end + 4;
}

std::expected<void, HeadFault> SplitTarget(Request& out) {
  const auto question = out.target.find('?');
  const std::string_view raw = std::string_view(out.target).substr(0, question);
  if (!raw.contains('%')) {
    out.path = raw;
  } else {
    auto decoded = PercentDecode(raw);
    if (!decoded || decoded->contains('\0')) return Bad(400, "malformed escape in the path");
    out.path = std::move(*decoded);
  }
  if (question != std::string::npos) out.query = ParseQuery(std::string_view(out.target).substr(question + 1));
  return {};
}

std::expected<Framing, HeadFault> ParseRequestHead(std::string_view head, Request& out) {
  const auto line = TakeLine(head);
  const auto first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return Bad(400, "malformed request line");
  const auto version = line.substr(last + 1);
  const auto target = line.substr(first + 1, last - first - 1);
  if (!IsToken(line.substr(0, first))) return Bad(400, "malformed method");
  if (target.empty() || !IsTarget(target)) return Bad(400, "malformed request target");
  Framing framing;
  framing.http10 = version == "HTTP/1.0";
  if (!framing.http10 && version != "HTTP/1.1") {
    return version.starts_with("HTTP/") ? Bad(505, "unsupported HTTP version") : Bad(400, "malformed HTTP version");
  }
  out.method = line.substr(0, first);
  out.target = target;
  if (auto ok = ParseFields(head, out.headers); !ok) return std::unexpected(ok.error());
  auto fields = ReadFraming(out.headers);
  if (!fields) return std::unexpected(fields.error());
  if (fields->hosts > 1 || (fields->hosts == 0 && !framing.http10)) return Bad(400, "missing or repeated Host header");
  if (fields->chunked && framing.http10) return Bad(400, "Transfer-Encoding in HTTP/1.0");
  if (auto ok = NormalizeTarget(out); !ok) return std::unexpected(ok.error());
  if (auto ok = SplitTarget(out); !ok) return std::unexpected(ok.error());
  framing.keep_alive = framing.http10 ? fields->keep_alive && !fields->close : !fields->close;
  framing.expects_continue = fields->expects_continue && !framing.http10;
  framing.length = fields->length.value_or(0);
  if (fields->chunked) framing.body = Framing::Body::kChunked;
  if (framing.length > 0) framing.body = Framing::Body::kLength;
  return framing;
}

std::expected<ResponseHead, HeadFault> ParseResponseHead(std::string_view head, std::string_view request_method) {
  const auto line = TakeLine(head);
  ResponseHead out;
  out.framing.http10 = line.starts_with("HTTP/1.0 ");
  if (!out.framing.http10 && !line.starts_with("HTTP/1.1 ")) return Bad(502, "malformed status line");
  const auto status = ParseUint(line.substr(9, 3));
  if (!status || *status < 100 || (line.size() > 12 && line[12] != ' ') || !IsFieldValue(line)) return Bad(502, "malformed status line");
  out.status = static_cast<int>(*status);
  if (line.size() > 13) out.reason = line.substr(13);
  if (auto ok = ParseFields(head, out.headers); !ok) return std::unexpected(ok.error());
  auto fields = ReadFraming(out.headers);
  if (!fields) return std::unexpected(fields.error());
  out.framing.keep_alive = out.framing.http10 ? fields->keep_alive && !fields->close : !fields->close;
  out.framing.length = fields->length.value_or(0);
  if (request_method == "HEAD" || out.status < 200 || out.status == 204 || out.status == 304) return out;
  if (fields->chunked) {
    out.framing.body = Framing::Body::kChunked;
  } else if (!fields->length) {
    out.framing.body = Framing::Body::kUntilClose;
    out.framing.keep_alive = false;
  } else if (*fields->length > 0) {
    out.framing.body = Framing::Body::kLength;
  }
  return out;
}

void AppendHeader(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  const auto start = out.size();
  out += value;
  for (auto i = start; i < out.size(); ++i) {
    if (out[i] == '\r' || out[i] == '\n' || out[i] == '\0') out[i] = ' ';
  }
  out += "\r\n";
}

}  // namespace skerry::http
