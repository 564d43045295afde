#include "embedded-kube-shim/server/list_options.h"

#include <array>
#include <limits>

#include "core/base/strings.h"
#include "core/json/value.h"
#include "embedded-kube-shim/api/status.h"

namespace skerry::kube {
namespace {

constexpr std::string_view kBase64Url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string EncodeBase64Url(std::string_view in) {
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const unsigned char c : in) {
    bits = (bits << 8) | c;
    count += 8;
    while (count >= 6) {
      count -= 6;
      out += kBase64Url[(bits >> count) & 63];
    }
  }
  if (count > 0) out += kBase64Url[(bits << (6 - count)) & 63];
  return out;
}

// Position of the first illegal byte in *bad; std::nullopt then.
std::optional<std::string> DecodeBase64Url(std::string_view in, std::size_t* bad) {
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (std::size_t i = 0; i < in.size(); ++i) {
    const auto value = kBase64Url.find(in[i]);
    if (value == std::string_view::npos) { *bad = i; return std::nullopt; }
    bits = (bits << 6) | static_cast<std::uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>((bits >> count) & 255);
    }
  }
  if (in.size() % 4 == 1) { *bad = in.size() - 1; return std::nullopt; }
  return out;
}

Error BadContinue(std::string why) { return BadRequestError(Cat("invalid continue token: continue key is not valid: ", why)); }

// What encoding/json says about text that does not start a value or whose literal is broken. The token's author is a client that made it
// up, so only the first byte or literal matters.
std::string JsonComplaint(std::string_view text) {
  const auto shown = [](unsigned char c) -> std::string {
    if (c == '\'') return "'\\''";
    if (c == '"') return "'\"'";
    if (c >= 0x20 && c < 0x7f) return std::string("'") + static_cast<char>(c) + "'";
    if (c >= 0xa1 && c != 0xad) {   // the byte printed as a Latin-1 rune
      std::string out = "'";
      out += static_cast<char>(0xc0 | (c >> 6));
      out += static_cast<char>(0x80 | (c & 63));
      return out + "'";
    }
    static constexpr char kHex[] = "0123456789abcdef";
    std::string out = c < 0x80 ? "'\\x" : "'\\u00";
    out += kHex[c >> 4];
    out += kHex[c & 15];
    return out + "'";
  };
  const auto trimmed = Trim(text);
  if (trimmed.empty()) return "unexpected end of JSON input";
  for (const std::string_view literal : {"null", "true", "false"}) {
    if (trimmed.front() != literal.front()) continue;
    for (std::size_t i = 1; i < literal.size(); ++i) {
      if (i >= trimmed.size()) return "unexpected end of JSON input";
      if (trimmed[i] != literal[i]) return Cat("invalid character ", shown(static_cast<unsigned char>(trimmed[i])), " in literal ", literal, " (expecting '", literal[i], "')");
    }
  }
  if (trimmed.front() == '{' || trimmed.front() == '[' || trimmed.front() == '"') return "unexpected end of JSON input";
  return Cat("invalid character ", shown(static_cast<unsigned char>(trimmed.front())), " looking for beginning of value");
}

}  // namespace

bool QueryFlag(const http::Request& request, std::string_view key) {
  if (!request.HasQuery(key)) return false;
  const auto value = request.Query(key);
  return value != "0" && !EqualsIgnoreCase(value, "false");
}

Result<std::int64_t> ParseGoInt(std::string_view text) {
  auto digits = text;
  if (!digits.empty() && (digits.front() == '-' || digits.front() == '+')) digits.remove_prefix(1);
  bool numeric = !digits.empty();
  for (const char c : digits) numeric = numeric && c >= '0' && c <= '9';
  if (!numeric) return std::unexpected(BadRequestError(Cat("strconv.ParseInt: parsing ", Quote(text), ": invalid syntax")));
  if (text.front() == '+') text.remove_prefix(1);
  if (const auto value = ParseInt(text)) return *value;
  return std::unexpected(BadRequestError(Cat("strconv.ParseInt: parsing ", Quote(text), ": value out of range")));
}

Result<ListOptions> ParseListOptions(const http::Request& request) {
  ListOptions options;
  options.label_selector = request.Query("labelSelector");
  options.field_selector = request.Query("fieldSelector");
  options.resource_version = request.Query("resourceVersion");
  options.resource_version_match = request.Query("resourceVersionMatch");
  options.continue_token = request.Query("continue");
  options.watch = QueryFlag(request, "watch");
  options.allow_watch_bookmarks = QueryFlag(request, "allowWatchBookmarks");
  if (request.HasQuery("sendInitialEvents")) options.send_initial_events = QueryFlag(request, "sendInitialEvents");
  if (const auto text = request.Query("timeoutSeconds"); !text.empty()) {
    TRY(options.timeout_seconds, ParseGoInt(text));
  }
  if (const auto text = request.Query("limit"); !text.empty()) {
    TRY(options.limit, ParseGoInt(text));
  }
  return options;
}

Result<> ValidateListOptions(const ListOptions& options, bool watch) {
  FieldErrors errors;
  const auto forbid = [&](std::string path, std::string text) { errors.push_back({FieldErrorType::kForbidden, std::move(path), "", std::move(text)}); };
  const auto& match = options.resource_version_match;
  const std::string field = "resourceVersionMatch";
  if (watch) {
    if (options.send_initial_events && match != "NotOlderThan") forbid(field, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    if (!match.empty()) {
      if (!options.send_initial_events) forbid(field, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
      if (match != "NotOlderThan") errors.push_back({FieldErrorType::kNotSupported, field, Quote(match), "supported values: \"NotOlderThan\""});
    }
    if (!options.continue_token.empty()) forbid(field, "resourceVersionMatch is forbidden when continue is provided");
  } else {
    if (!match.empty()) {
      if (options.resource_version.empty()) forbid(field, "resourceVersionMatch is forbidden unless resourceVersion is provided");
      if (!options.continue_token.empty()) forbid(field, "resourceVersionMatch is forbidden when continue is provided");
      if (match != "Exact" && match != "NotOlderThan") errors.push_back({FieldErrorType::kNotSupported, field, Quote(match), "supported values: \"Exact\", \"NotOlderThan\", \"\""});
      if (match == "Exact" && options.resource_version == "0") forbid(field, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
    }
    if (options.send_initial_events) forbid("sendInitialEvents", "sendInitialEvents is forbidden for list");
  }
  if (errors.empty()) return {};
  return std::unexpected(InvalidError("meta.k8s.io", "ListOptions", "", errors));
}

Result<std::int64_t> ParseResourceVersion(std::string_view text, VersionUse use) {
  if (text.empty()) return 0;
  bool numeric = true;
  for (const char c : text) numeric = numeric && c >= '0' && c <= '9';
  const auto value = numeric ? ParseUint(text) : std::nullopt;
  if (value) return static_cast<std::int64_t>(std::min<std::uint64_t>(*value, std::numeric_limits<std::int64_t>::max()));
  const auto complaint = Cat("resourceVersion: Invalid value: ", Quote(text), ": strconv.ParseUint: parsing ", Quote(text), numeric ? ": value out of range" : ": invalid syntax");
  if (use == VersionUse::kWatch) return std::unexpected(PlainInternalError(complaint));
  return std::unexpected(BadRequestError(Cat("invalid resource version: ", complaint)));
}

std::string EncodeContinue(const ContinueToken& token) {
  auto value = json::Value::Object();
  value.Set("v") = "meta.k8s.io/v1";
  value.Set("rv") = token.revision;
  value.Set("start") = token.start;
  if (token.issued != 0) value.Set("at") = token.issued;
  return EncodeBase64Url(value.Dump());
}

Result<ContinueToken> DecodeContinue(std::string_view token) {
  std::size_t bad = 0;
  const auto text = DecodeBase64Url(token, &bad);
  if (!text) return std::unexpected(BadContinue(Cat("illegal base64 data at input byte ", bad)));
  json::Value value;
  std::string error;
  if (!json::Value::Parse(*text, &value, &error) || !value.is_object()) return std::unexpected(BadContinue(JsonComplaint(*text)));
  const auto version = value["v"].Str();
  if (version != "meta.k8s.io/v1") return std::unexpected(BadContinue(Cat("server does not recognize this encoded version ", version)));
  ContinueToken out{value["rv"].Int(), std::string(value["start"].Str()), value["at"].Int()};
  if (out.revision == 0) return std::unexpected(BadContinue("incorrect encoded start resourceVersion (version meta.k8s.io/v1)"));
  if (out.start.empty()) return std::unexpected(BadContinue("encoded start key empty (version meta.k8s.io/v1)"));
  // A key that would leave the list's prefix after cleaning is an attack, not a continuation.
  const std::string rooted = out.start.front() == '/' ? out.start : "/" + out.start;
  for (const auto segment : Split(rooted, '/'))
    if (segment == "." || segment == "..") return std::unexpected(BadContinue(out.start));
  return out;
}

}  // namespace skerry::kube
