#include "core/json/scanner.h"

#include <cstring>

#include "core/json/parse.h"

namespace skerry::json {
namespace {

std::size_t SkipSpace(std::string_view t, std::size_t at) {
  while (at < t.size() && (t[at] == ' ' || t[at] == '\n' || t[at] == '\t' || t[at] == '\r')) ++at;
  return at;
}

// Behind the string literal that starts at `at`; npos when it does not end.
std::size_t SkipString(std::string_view t, std::size_t at) {
  for (++at; at < t.size();) {
    const void* quote = std::memchr(t.data() + at, '"', t.size() - at);
    if (!quote) return std::string_view::npos;
    const std::size_t end = static_cast<std::size_t>(static_cast<const char*>(quote) - t.data());
    std::size_t slashes = 0;
    while (end - slashes > at && t[end - slashes - 1] == '\\') ++slashes;
    if (slashes % 2 == 0) return end + 1;
    at = end + 1;
  }
  return std::string_view::npos;
}

// Behind the value that starts at `at`; npos when it does not end. Brackets are counted, not matched by kind.
std::size_t SkipValue(std::string_view t, std::size_t at) {
  std::size_t depth = 0;
  while (at < t.size()) {
    switch (t[at]) {
      case '"':
        at = SkipString(t, at);
        if (at == std::string_view::npos) return at;
        break;
      case '{':
      case '[':
        ++depth;
        ++at;
        continue;
      case '}':
      case ']':
        if (depth == 0) return std::string_view::npos;
        --depth;
        ++at;
        break;
      default:
        if (depth > 0) {
          ++at;
          continue;
        }
        while (at < t.size() && std::string_view(",]} \n\t\r").find(t[at]) == std::string_view::npos) ++at;
        return at;
    }
    if (depth == 0) return at;
  }
  return std::string_view::npos;
}

bool KeyIs(std::string_view raw, std::string_view key) {
  const std::string_view inner = raw.substr(1, raw.size() - 2);
  if (inner.find('\\') == std::string_view::npos) return inner == key;
  const auto decoded = DecodeString(raw);
  return decoded && *decoded == key;
}

// Visits members with raw keys, quotes included. `visit` returns false to stop.
template <class Visit>
bool Members(std::string_view t, std::size_t at, Visit visit) {
  at = SkipSpace(t, at);
  if (at >= t.size() || t[at] != '{') return false;
  at = SkipSpace(t, at + 1);
  while (at < t.size() && t[at] == '"') {
    const std::size_t key_end = SkipString(t, at);
    if (key_end == std::string_view::npos) return true;
    const std::string_view key = t.substr(at, key_end - at);
    at = SkipSpace(t, key_end);
    if (at >= t.size() || t[at] != ':') return true;
    at = SkipSpace(t, at + 1);
    const std::size_t end = SkipValue(t, at);
    if (end == std::string_view::npos || end == at) return true;
    if (!visit(key, RawValue{at, end - at})) return true;
    at = SkipSpace(t, end);
    if (at >= t.size() || t[at] != ',') return true;
    at = SkipSpace(t, at + 1);
  }
  return true;
}

}  // namespace

std::optional<RawValue> FindRaw(std::string_view text, std::initializer_list<std::string_view> path) {
  std::size_t at = SkipSpace(text, 0);
  const std::size_t end = SkipValue(text, at);
  if (end == std::string_view::npos) return std::nullopt;
  RawValue current{at, end - at};
  for (const std::string_view name : path) {
    std::optional<RawValue> found;
    Members(text, current.offset, [&](std::string_view key, RawValue value) {
      if (!KeyIs(key, name)) return true;
      found = value;
      return false;
    });
    if (!found) return std::nullopt;
    current = *found;
  }
  return current;
}

bool ForEachMember(std::string_view text, const std::function<bool(std::string_view key, RawValue value)>& visit) {
  return Members(text, 0, [&](std::string_view key, RawValue value) { return visit(key.substr(1, key.size() - 2), value); });
}

bool ForEachItem(std::string_view text, const std::function<bool(RawValue item)>& visit) {
  std::size_t at = SkipSpace(text, 0);
  if (at >= text.size() || text[at] != '[') return false;
  at = SkipSpace(text, at + 1);
  while (at < text.size() && text[at] != ']') {
    const std::size_t end = SkipValue(text, at);
    if (end == std::string_view::npos || end == at) return true;
    if (!visit(RawValue{at, end - at})) return true;
    at = SkipSpace(text, end);
    if (at >= text.size() || text[at] != ',') return true;
    at = SkipSpace(text, at + 1);
  }
  return true;
}

std::optional<std::string> DecodeString(std::string_view raw) {
  if (raw.size() < 2 || raw.front() != '"') return std::nullopt;
  const auto v = Parse(raw);
  if (!v || !v->is_string()) return std::nullopt;
  return std::string(v->Str());
}

std::optional<std::string_view> PlainString(std::string_view raw) {
  if (raw.size() < 2 || raw.front() != '"' || raw.back() != '"') return std::nullopt;
  const std::string_view inner = raw.substr(1, raw.size() - 2);
  if (inner.find_first_of("\\\"") != std::string_view::npos) return std::nullopt;
  return inner;
}

}  // namespace skerry::json
