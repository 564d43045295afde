#include "embedded-kube-shim/cel/url.h"

#include <algorithm>

#include "core/base/strings.h"

namespace skerry::kube::cel {
namespace {

enum class Where { kHost, kPath, kQuery };

int Hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool IsAlpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsUnreserved(char c) { return IsAlpha(c) || IsDigit(c) || std::string_view("-_.~").find(c) != std::string_view::npos; }
bool StaysInHost(char c) { return IsUnreserved(c) || (c & 0x80) != 0 || std::string_view("!$&'()*+,;=:[]<>\"").find(c) != std::string_view::npos; }

std::expected<std::string, std::string> Unescaped(std::string_view text, Where where) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '%') {
      const bool whole = i + 2 < text.size() && Hex(text[i + 1]) >= 0 && Hex(text[i + 2]) >= 0;
      const int value = whole ? Hex(text[i + 1]) * 16 + Hex(text[i + 2]) : 0;
      // In hosts only bytes that are no ASCII may be escaped.
      if (!whole || (where == Where::kHost && value < 0x80 && text.substr(i, 3) != "%25")) return std::unexpected(Cat("invalid URL escape ", Quote(text.substr(i, 3))));
      out += static_cast<char>(value);
      i += 2;
    } else if (where == Where::kQuery && c == '+') {
      out += ' ';
    } else if (where == Where::kHost && !StaysInHost(c)) {
      return std::unexpected(Cat("invalid character ", Quote(text.substr(i, 1)), " in host name"));
    } else {
      out += c;
    }
  }
  return out;
}

std::string Escaped(std::string_view path) {
  std::string out;
  for (const char c : path) {
    if (IsUnreserved(c) || std::string_view("$&+,/:;=@").find(c) != std::string_view::npos) {
      out += c;
      continue;
    }
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

bool IsValidlyEscaped(std::string_view path) {
  return std::ranges::all_of(path, [](char c) { return IsUnreserved(c) || std::string_view("!$&'()*+,;=:@[]%/").find(c) != std::string_view::npos; });
}

bool IsOptionalPort(std::string_view port) { return port.empty() || (port[0] == ':' && std::all_of(port.begin() + 1, port.end(), IsDigit)); }

std::expected<std::string, std::string> Host(std::string_view host) {
  if (host.starts_with('[')) {
    const std::size_t close = host.rfind(']');
    if (close == std::string_view::npos) return std::unexpected("missing ']' in host");
    const std::string_view port = host.substr(close + 1);
    if (!IsOptionalPort(port)) return std::unexpected(Cat("invalid port ", Quote(port), " after host"));
  } else if (const std::size_t colon = host.rfind(':'); colon != std::string_view::npos) {
    if (!IsOptionalPort(host.substr(colon))) return std::unexpected(Cat("invalid port ", Quote(host.substr(colon)), " after host"));
  }
  return Unescaped(host, Where::kHost);
}

std::expected<void, std::string> Authority(std::string_view authority, Url& url) {
  const std::size_t at = authority.rfind('@');
  if (at != std::string_view::npos) {
    url.user = authority.substr(0, at);
    const bool ok = std::ranges::all_of(url.user, [](char c) { return IsAlpha(c) || IsDigit(c) || std::string_view("-._:~!$&'()*+,;=%@").find(c) != std::string_view::npos; });
    if (!ok) return std::unexpected("net/url: invalid userinfo");
    authority.remove_prefix(at + 1);
  }
  auto host = Host(authority);
  if (!host) return std::unexpected(host.error());
  url.host = std::move(*host);
  return {};
}

// The scheme and what follows its colon; false = *problem.
bool SplitScheme(std::string_view text, std::string* scheme, std::string_view* rest, std::string* problem) {
  *rest = text;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (IsAlpha(c)) continue;
    if (IsDigit(c) || c == '+' || c == '-' || c == '.') {
      if (i == 0) return true;
      continue;
    }
    if (c != ':') return true;
    if (i == 0) return *problem = "missing protocol scheme", false;
    *scheme = ToLower(text.substr(0, i));
    *rest = text.substr(i + 1);
    return true;
  }
  return true;
}

std::expected<Url, std::string> Parse(std::string_view text, bool request) {
  Url url;
  if (std::ranges::any_of(text, [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; })) return std::unexpected("net/url: invalid control character in URL");
  if (text.empty() && request) return std::unexpected("empty url");
  if (text == "*") {
    url.path = "*";
    return url;
  }
  std::string_view rest;
  std::string problem;
  if (!SplitScheme(text, &url.scheme, &rest, &problem)) return std::unexpected(problem);
  if (const std::size_t question = rest.find('?'); question != std::string_view::npos) {
    url.has_query = true;
    url.query = rest.substr(question + 1);
    rest = rest.substr(0, question);
  }
  if (!rest.starts_with('/')) {
    if (!url.scheme.empty()) {
      url.opaque = rest;
      return url;
    }
    if (request) return std::unexpected("invalid URI for request");
  }
  if ((!url.scheme.empty() || (!request && !rest.starts_with("///"))) && rest.starts_with("//")) {
    rest.remove_prefix(2);
    const std::string_view authority = rest.substr(0, rest.find('/'));
    rest.remove_prefix(authority.size());
    if (auto ok = Authority(authority, url); !ok) return std::unexpected(ok.error());
  }
  auto path = Unescaped(rest, Where::kPath);
  if (!path) return std::unexpected(path.error());
  url.path = std::move(*path);
  url.raw_path = rest;
  return url;
}

}  // namespace

std::string Url::Hostname() const {
  const std::size_t colon = host.rfind(':');
  std::string_view name = host;
  if (colon != std::string::npos && IsOptionalPort(std::string_view(host).substr(colon))) name = name.substr(0, colon);
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  return std::string(name);
}

std::string Url::Port() const {
  const std::size_t colon = host.rfind(':');
  if (colon == std::string::npos || !IsOptionalPort(std::string_view(host).substr(colon))) return {};
  return host.substr(colon + 1);
}

std::string Url::EscapedPath() const {
  if (!raw_path.empty() && IsValidlyEscaped(raw_path)) return raw_path;
  return path == "*" ? "*" : Escaped(path);
}

std::map<std::string, std::vector<std::string>> Url::Query() const {
  std::map<std::string, std::vector<std::string>> out;
  for (const std::string_view pair : Split(query, '&')) {
    if (pair.empty() || pair.find(';') != std::string_view::npos) continue;
    const std::size_t equals = pair.find('=');
    auto key = Unescaped(pair.substr(0, equals), Where::kQuery);
    auto value = Unescaped(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), Where::kQuery);
    if (key && value) out[*key].push_back(std::move(*value));
  }
  return out;
}

std::expected<Url, std::string> ParseUrl(std::string_view text) {
  const auto failed = [&](std::string_view why) { return std::unexpected(Cat("parse ", Quote(text), ": ", why)); };
  // First as a request target, which knows no fragment, then with one.
  if (auto strict = Parse(text, true); !strict) return failed(strict.error());
  const std::size_t hash = text.find('#');
  auto url = Parse(text.substr(0, hash), false);
  if (!url) return failed(url.error());
  if (hash != std::string_view::npos) url->fragment = text.substr(hash + 1);
  return url;
}

}  // namespace skerry::kube::cel
