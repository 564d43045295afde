#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

// URL syntax of RFC 3986 as far as HTTP needs it.
namespace skerry::http {

struct QueryParameter;

enum class Plus : bool { kLiteral, kSpace };
// Empty result: a malformed escape.
std::optional<std::string> PercentDecode(std::string_view text, Plus plus = Plus::kLiteral);
std::string EscapeSegment(std::string_view text);   // one path segment: '/' is escaped
std::string EscapePath(std::string_view path);      // keeps '/'
std::string EscapeQuery(std::string_view text);     // a key or a value; space becomes '+'

// "a=1&b&a=2" in order; malformed escapes are kept as they are.
std::vector<QueryParameter> ParseQuery(std::string_view query);
std::string EncodeQuery(const std::vector<QueryParameter>& query);

struct Url {
  std::string scheme;      // lower case
  std::string user_info;   // still encoded
  std::string host;        // lower case, IPv6 without brackets
  std::uint16_t port = 0;  // 0: none given
  std::string path;        // still encoded, "/" when empty
  std::string query;       // still encoded, without '?'

  std::string Target() const { return query.empty() ? path : path + "?" + query; }
  std::uint16_t PortOrDefault() const { return port != 0 ? port : scheme == "https" || scheme == "wss" ? 443 : 80; }
};
Result<Url> ParseUrl(std::string_view text);   // absolute URLs with an authority; kInvalid

}  // namespace skerry::http
