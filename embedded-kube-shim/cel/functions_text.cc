#include <algorithm>

#include "core/base/strings.h"
#include "core/json/utf8.h"
#include "core/text/base64.h"
#include "embedded-kube-shim/cel/functions.h"
#include "embedded-kube-shim/cel/unescape.h"

// Texts are indexed by code points.
namespace skerry::kube::cel {
namespace {

std::size_t Step(std::string_view text, std::size_t at) { return std::max<std::size_t>(1, json::Utf8Length(text.substr(at))); }

// Byte position of a code point; text.size() for the one behind the last; npos beyond.
std::size_t BytesAt(std::string_view text, std::int64_t index) {
  std::size_t at = 0;
  for (std::int64_t i = 0; i < index; ++i) {
    if (at >= text.size()) return std::string_view::npos;
    at += Step(text, at);
  }
  return at;
}

Val OutOfRange(std::int64_t index) { return Val::Error(Cat("index out of range: ", index)); }

Val CharAt(const CallSite&, Args a) {
  const std::int64_t index = a[1].integer();
  const std::size_t at = index < 0 ? std::string_view::npos : BytesAt(a[0].text(), index);
  if (at == std::string_view::npos) return OutOfRange(index);
  if (at == a[0].text().size()) return Val::String("");
  return Val::String(std::string(a[0].text().substr(at, Step(a[0].text(), at))));
}

std::int64_t RunesBefore(std::string_view text, std::size_t bytes) { return static_cast<std::int64_t>(RuneCount(text.substr(0, bytes))); }

Val IndexOf(const CallSite&, Args a) {
  const std::int64_t from = a.size() == 3 ? a[2].integer() : 0;
  if (from < 0) return OutOfRange(from);
  if (a[1].text().empty()) return Val::Int(std::min<std::int64_t>(from, static_cast<std::int64_t>(RuneCount(a[0].text()))));
  const std::size_t start = BytesAt(a[0].text(), from);
  const std::size_t found = start == std::string_view::npos ? start : a[0].text().find(a[1].text(), start);
  return Val::Int(found == std::string_view::npos ? -1 : RunesBefore(a[0].text(), found));
}

Val LastIndexOf(const CallSite&, Args a) {
  const auto length = static_cast<std::int64_t>(RuneCount(a[0].text()));
  const std::int64_t from = a.size() == 3 ? a[2].integer() : length;
  if (from < 0) return OutOfRange(from);
  if (a[1].text().empty()) return Val::Int(std::min(from, length));
  if (a.size() == 3 && from >= length) return Val::Int(-1);
  const std::size_t start = BytesAt(a[0].text(), from);
  const std::size_t found = a[0].text().rfind(a[1].text(), start);
  return Val::Int(found == std::string_view::npos ? -1 : RunesBefore(a[0].text(), found));
}

template <char from, char to, int delta>
Val MapAscii(const CallSite&, Args a) {
  std::string out(a[0].text());
  for (char& c : out) {
    if (c >= from && c <= to) c = static_cast<char>(c + delta);
  }
  return Val::String(std::move(out));
}

// Bounded by what a cost limit lets the caller pay for: the result is at most (matches + 1) texts long.
Val Replace(const CallSite&, Args a) {
  const std::string_view text = a[0].text(), from = a[1].text(), to = a[2].text();
  std::int64_t left = a.size() == 4 ? a[3].integer() : -1;
  constexpr std::size_t kLargest = 64u << 20;
  std::string out;
  std::size_t at = 0;
  while (left != 0 && out.size() < kLargest) {
    const std::size_t found = text.find(from, at);
    if (found == std::string_view::npos) break;
    if (from.empty()) {
      out += to;
      if (at >= text.size()) return Val::String(std::move(out));
      const std::size_t step = Step(text, at);
      out += text.substr(at, step);
      at += step;
    } else {
      out += text.substr(at, found - at);
      out += to;
      at = found + from.size();
    }
    if (left > 0) --left;
  }
  if (out.size() >= kLargest) return Val::Error("result of replace is too large");
  out += text.substr(at);
  return Val::String(std::move(out));
}

Val SplitText(const CallSite&, Args a) {
  const std::string_view text = a[0].text(), separator = a[1].text();
  std::int64_t left = a.size() == 3 ? a[2].integer() : -1;
  std::vector<Val> parts;
  if (left == 0) return Val::List({});
  if (left == 1) return Val::List({a[0]});
  std::size_t at = 0;
  while (left < 0 || static_cast<std::int64_t>(parts.size()) + 1 < left) {
    if (separator.empty()) {
      if (at >= text.size()) return Val::List(std::move(parts));
      const std::size_t step = Step(text, at);
      if (at + step >= text.size()) break;
      parts.push_back(Val::String(std::string(text.substr(at, step))));
      at += step;
      continue;
    }
    const std::size_t found = text.find(separator, at);
    if (found == std::string_view::npos) break;
    parts.push_back(Val::String(std::string(text.substr(at, found - at))));
    at = found + separator.size();
  }
  parts.push_back(Val::String(std::string(text.substr(at))));
  return Val::List(std::move(parts));
}

Val JoinTexts(const CallSite&, Args a) {
  std::string out;
  const ListLike& list = a[0].list();
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (i > 0 && a.size() == 2) out += a[1].text();
    const Val item = list.At(i);
    if (!item.is(Kind::kString)) return item.is_error() ? item : Val::Error("no such overload");
    out += item.text();
  }
  return Val::String(std::move(out));
}

Val Substring(const CallSite&, Args a) {
  const std::string_view text = a[0].text();
  const std::int64_t start = a[1].integer();
  const std::size_t from = start < 0 ? std::string_view::npos : BytesAt(text, start);
  if (a.size() == 2) return from == std::string_view::npos ? OutOfRange(start) : Val::String(std::string(text.substr(from)));
  const std::int64_t end = a[2].integer();
  if (start > end) return Val::Error(Cat("invalid substring range. start: ", start, ", end: ", end));
  if (from == std::string_view::npos) return OutOfRange(start);
  const std::size_t to = end < 0 ? std::string_view::npos : BytesAt(text, end);
  if (to == std::string_view::npos) return OutOfRange(end);
  return Val::String(std::string(text.substr(from, to - from)));
}

// Unicode's white space, as texts are trimmed.
bool IsSpaceRune(std::string_view rune) {
  if (rune.size() == 1) return rune[0] == ' ' || (rune[0] >= '\t' && rune[0] <= '\r');
  constexpr std::string_view kSpaces[] = {"\xC2\x85", "\xC2\xA0", "\xE1\x9A\x80", "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"};
  if (std::ranges::find(kSpaces, rune) != std::end(kSpaces)) return true;
  return rune.size() == 3 && rune.starts_with("\xE2\x80") && static_cast<unsigned char>(rune[2]) >= 0x80 && static_cast<unsigned char>(rune[2]) <= 0x8A;
}

Val TrimText(const CallSite&, Args a) {
  const std::string_view text = a[0].text();
  std::size_t begin = text.size(), end = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t step = Step(text, at);
    if (!IsSpaceRune(text.substr(at, step))) {
      begin = std::min(begin, at);
      end = at + step;
    }
    at += step;
  }
  return Val::String(begin < end ? std::string(text.substr(begin, end - begin)) : std::string());
}

Val ReverseText(const CallSite&, Args a) {
  std::string out;
  std::string_view text = a[0].text();
  std::vector<std::string_view> runes;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t step = Step(text, at);
    runes.push_back(text.substr(at, step));
    at += step;
  }
  for (auto rune = runes.rbegin(); rune != runes.rend(); ++rune) out += *rune;
  return Val::String(std::move(out));
}

Val QuoteText(const CallSite&, Args a) {
  std::string out = "\"";
  const std::string_view text = a[0].text();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t n = json::Utf8Length(text.substr(at));
    constexpr std::string_view kPlain = "\a\b\f\n\r\t\v\\\"", kLetters = "abfnrtv\\\"";
    const std::size_t special = n == 1 ? kPlain.find(text[at]) : std::string_view::npos;
    if (special != std::string_view::npos) {
      out += '\\';
      out += kLetters[special];
    } else if (n == 0) {
      out += json::kReplacement;
    } else {
      out += text.substr(at, n);
    }
    at += std::max<std::size_t>(1, n);
  }
  return Val::String(out + '"');
}

constexpr FunctionRow kTexts[] = {
    {"charAt", "string_char_at_int", "string.(int) -> string", CharAt},
    {"indexOf", "string_index_of_string", "string.(string) -> int", IndexOf},
    {"indexOf", "string_index_of_string_int", "string.(string, int) -> int", IndexOf},
    {"join", "list_join", "list(string).() -> string", JoinTexts},
    {"join", "list_join_string", "list(string).(string) -> string", JoinTexts},
    {"lastIndexOf", "string_last_index_of_string", "string.(string) -> int", LastIndexOf},
    {"lastIndexOf", "string_last_index_of_string_int", "string.(string, int) -> int", LastIndexOf},
    {"lowerAscii", "string_lower_ascii", "string.() -> string", MapAscii<'A', 'Z', 32>},
    {"upperAscii", "string_upper_ascii", "string.() -> string", MapAscii<'a', 'z', -32>},
    {"replace", "string_replace_string_string", "string.(string, string) -> string", Replace},
    {"replace", "string_replace_string_string_int", "string.(string, string, int) -> string", Replace},
    {"split", "string_split_string", "string.(string) -> list(string)", SplitText},
    {"split", "string_split_string_int", "string.(string, int) -> list(string)", SplitText},
    {"substring", "string_substring_int", "string.(int) -> string", Substring},
    {"substring", "string_substring_int_int", "string.(int, int) -> string", Substring},
    {"trim", "string_trim", "string.() -> string", TrimText},
    {"strings.quote", "strings_quote", "(string) -> string", QuoteText},
};

Val Encode(const CallSite&, Args a) { return Val::String(text::Base64(a[0].text())); }
Val Decode(const CallSite&, Args a) {
  auto bytes = text::FromBase64(a[0].text());
  if (!bytes) {   // padding may be missing
    std::string padded(a[0].text());
    padded.append((4 - padded.size() % 4) % 4, '=');
    bytes = text::FromBase64(padded);
  }
  return bytes ? Val::Bytes(std::move(*bytes)) : Val::Error(std::string(bytes.error().message()));
}

constexpr FunctionRow kEncoders[] = {
    {"base64.encode", "base64_encode_bytes", "(bytes) -> string", Encode},
    {"base64.decode", "base64_decode_string", "(string) -> bytes", Decode},
    {"reverse", "string_reverse", "string.() -> string", ReverseText},
};

Val EscapePointer(const CallSite&, Args a) {
  std::string out;
  for (const char c : a[0].text()) {
    if (c == '~') out += "~0";
    else if (c == '/') out += "~1";
    else out += c;
  }
  return Val::String(std::move(out));
}

constexpr FunctionRow kJsonPatch[] = {{"jsonpatch.escapeKey", "string_jsonpatch_escapeKey_string", "(string) -> string", EscapePointer}};

}  // namespace

void AddTexts(Library& library) { library.Add(kTexts); }
void AddEncoders(Library& library) { library.Add(kEncoders); }
void AddJsonPatch(Library& library) { library.Add(kJsonPatch); }

}  // namespace skerry::kube::cel
