#include "core/http/url.h"

#include "core/base/strings.h"
#include "core/http/message.h"

namespace skerry::http {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool IsUnreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
}

std::string Escape(std::string_view text, std::string_view also_kept, Plus plus) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (IsUnreserved(c) || also_kept.contains(c)) {
      out += c;
    } else if (c == ' ' && plus == Plus::kSpace) {
      out += '+';
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

}  // namespace

std::optional<std::string> PercentDecode(std::string_view text, Plus plus) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus == Plus::kSpace) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = HexDigit(text[i + 1]), low = HexDigit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return out;
}

std::string EscapeSegment(std::string_view text) { return Escape(text, "$&+=:@", Plus::kLiteral); }
std::string EscapePath(std::string_view path) { return Escape(path, "$&+=:@/,;!'()*", Plus::kLiteral); }
std::string EscapeQuery(std::string_view text) { return Escape(text, "", Plus::kSpace); }

std::vector<QueryParameter> ParseQuery(std::string_view query) {
  std::vector<QueryParameter> out;
  if (query.empty()) return out;
  for (const auto piece : Split(query, '&')) {
    if (piece.empty()) continue;
    const auto equals = piece.find('=');
    const auto key = piece.substr(0, equals);
    const auto value = equals == std::string_view::npos ? std::string_view() : piece.substr(equals + 1);
    QueryParameter p;
    p.key = PercentDecode(key, Plus::kSpace).value_or(std::string(key));
    p.value = PercentDecode(value, Plus::kSpace).value_or(std::string(value));
    out.push_back(std::move(p));
  }
  return out;
}

std::string EncodeQuery(const std::vector<QueryParameter>& query) {
  std::string out;
  for (const auto& p : query) {
    if (!out.empty()) out += '&';
    out += EscapeQuery(p.key);
    out += '=';
    out += EscapeQuery(p.value);
  }
  return out;
}

Result<Url> ParseUrl(std::string_view text) {
  const auto bad = [&](std::string_view why) { return Fail(Code::kInvalid, Cat("URL ", Quote(text), ": ", why)); };
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) return bad("control character or space");
  }
  Url out;
  const auto colon = text.find("://");
  if (colon == std::string_view::npos || colon == 0) return bad("missing scheme");
  out.scheme = ToLower(text.substr(0, colon));
  std::string_view rest = text.substr(colon + 3);
  rest = rest.substr(0, rest.find('#'));
  const auto authority_end = rest.find_first_of("/?");
  std::string_view authority = rest.substr(0, authority_end);
  const std::string_view tail = authority_end == std::string_view::npos ? std::string_view() : rest.substr(authority_end);
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
    out.user_info = authority.substr(0, at);
    authority.remove_prefix(at + 1);
  }
  std::string_view port;
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    if (end == std::string_view::npos) return bad("missing ]");
    out.host = ToLower(authority.substr(1, end - 1));
    if (!out.host.contains(':') || out.host.find_first_not_of("0123456789abcdef:.") != std::string::npos) return bad("malformed IPv6 address");
    port = authority.substr(end + 1);
    if (!port.empty() && port.front() != ':') return bad("junk after ]");
    if (!port.empty()) port.remove_prefix(1);
  } else {
    const auto separator = authority.find(':');
    out.host = ToLower(authority.substr(0, separator));
    if (separator != std::string_view::npos) port = authority.substr(separator + 1);
  }
  if (out.host.empty()) return bad("missing host");
  if (out.host.find_first_of("[]<>\"\\^`{|}") != std::string::npos) return bad("malformed host");
  if (!port.empty()) {
    const auto number = ParseUint(port);
    if (!number || *number == 0 || *number > 65535) return bad("invalid port");
    out.port = static_cast<std::uint16_t>(*number);
  }
  const auto question = tail.find('?');
  out.path = tail.substr(0, question);
  if (out.path.empty()) out.path = "/";
  if (question != std::string_view::npos) out.query = tail.substr(question + 1);
  return out;
}

}  // namespace skerry::http
