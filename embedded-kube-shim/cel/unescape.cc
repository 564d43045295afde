#include "embedded-kube-shim/cel/unescape.h"

#include <charconv>

namespace skerry::kube::cel {
namespace {

struct Simple { char letter, value; };
constexpr Simple kSimple[] = {{'a', '\a'}, {'b', '\b'}, {'f', '\f'}, {'n', '\n'}, {'r', '\r'}, {'t', '\t'}, {'v', '\v'}, {'"', '"'}, {'\'', '\''}, {'\\', '\\'}, {'?', '?'}, {'`', '`'}};

// Appends what the escape at the start of `rest` (after the backslash) means and removes it.
bool AppendEscape(std::string& out, std::string_view& rest, bool is_bytes) {
  const char c = rest[0];
  for (const Simple& simple : kSimple) {
    if (simple.letter != c) continue;
    out += simple.value;
    rest.remove_prefix(1);
    return true;
  }
  const std::size_t skip = c >= '0' && c <= '3' ? 0 : 1;
  const std::size_t digits = skip == 0 ? 3 : c == 'u' ? 4 : c == 'U' ? 8 : 2;
  if (is_bytes && (c == 'u' || c == 'U')) return false;
  std::uint32_t code = 0;
  const std::string_view text = rest.substr(skip, digits);
  std::from_chars(text.data(), text.data() + text.size(), code, skip == 0 ? 8 : 16);
  rest.remove_prefix(skip + digits);
  if (is_bytes) {
    out += static_cast<char>(code);
    return true;
  }
  if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return false;
  AppendUtf8(out, code);
  return true;
}

}  // namespace

void AppendUtf8(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

std::optional<std::string> Unescape(std::string_view literal) {
  bool is_bytes = false, raw = false;
  for (; literal[0] != '"' && literal[0] != '\''; literal.remove_prefix(1)) {
    is_bytes |= literal[0] == 'b' || literal[0] == 'B';
    raw |= literal[0] == 'r' || literal[0] == 'R';
  }
  const bool triple = literal.size() >= 6 && literal[1] == literal[0] && literal[2] == literal[0];
  std::string_view rest = literal.substr(triple ? 3 : 1, literal.size() - (triple ? 6 : 2));
  std::string out;
  while (!rest.empty()) {
    const char c = rest[0];
    rest.remove_prefix(1);
    if (c == '\r' && rest.starts_with('\n')) continue;   // line ends are one character
    if (c == '\r') {
      out += '\n';
    } else if (c != '\\' || raw) {
      out += c;
    } else if (!AppendEscape(out, rest, is_bytes)) {
      return std::nullopt;
    }
  }
  return out;
}

}  // namespace skerry::kube::cel
