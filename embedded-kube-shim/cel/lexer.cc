#include "embedded-kube-shim/cel/lexer.h"

#include <algorithm>
#include <optional>

#include "core/base/strings.h"
#include "core/json/utf8.h"

namespace skerry::kube::cel {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsHex(char c) { return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool IsOctal(char c) { return c >= '0' && c <= '7'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f'; }

struct Fixed { std::string_view text; Tok type; };
constexpr Fixed kFixed[] = {{"==", Tok::kEqual}, {"!=", Tok::kNotEqual}, {"<=", Tok::kLessEqual}, {">=", Tok::kGreaterEqual}, {"&&", Tok::kAnd}, {"||", Tok::kOr},
                            {"<", Tok::kLess}, {">", Tok::kGreater}, {"[", Tok::kLeftBracket}, {"]", Tok::kRightBracket}, {"{", Tok::kLeftBrace},
                            {"}", Tok::kRightBrace}, {"(", Tok::kLeftParen}, {")", Tok::kRightParen}, {".", Tok::kDot}, {",", Tok::kComma}, {"-", Tok::kMinus},
                            {"!", Tok::kNot}, {"?", Tok::kQuestion}, {":", Tok::kColon}, {"+", Tok::kPlus}, {"*", Tok::kStar}, {"/", Tok::kSlash}, {"%", Tok::kPercent}};
constexpr Fixed kWords[] = {{"in", Tok::kIn}, {"true", Tok::kTrue}, {"false", Tok::kFalse}, {"null", Tok::kNull}};

// How far a scan got: `accepted` is the end of the longest token (0 = none), `reached` the place where nothing fitted any more.
struct Scan {
  std::size_t accepted = 0, reached = 0;
  Tok type = Tok::kEof;
};

class Scanner {
 public:
  explicit Scanner(std::string_view source) : s_(source) {}

  Scan At(std::size_t i) const {
    const char c = s_[i];
    if (c == '`') return EscapedIdent(i);
    if (IsDigit(c) || (c == '.' && IsDigit(Char(i + 1)))) return Number(i);
    if (const std::size_t open = TextPrefix(i); open != std::string_view::npos) {
      Scan text = Text(i, open);
      if (text.accepted == 0 && IsLetter(c)) return Word(i);   // b, r and the like alone are identifiers
      return text;
    }
    if (IsLetter(c)) return Word(i);
    for (const Fixed& fixed : kFixed) {
      if (s_.substr(i).starts_with(fixed.text)) return {i + fixed.text.size(), i, fixed.type};
    }
    const bool half = c == '=' || c == '&' || c == '|';   // of a two-character token
    return {0, half ? i + 1 : i, Tok::kEof};
  }

 private:
  char Char(std::size_t i) const { return i < s_.size() ? s_[i] : '\0'; }

  Scan EscapedIdent(std::size_t i) const {
    std::size_t at = i + 1;
    while (at < s_.size() && (IsLetter(s_[at]) || IsDigit(s_[at]) || std::string_view("./- ").find(s_[at]) != std::string_view::npos)) ++at;
    if (at > i + 1 && Char(at) == '`') return {at + 1, at, Tok::kEscapedIdent};
    return {0, at, Tok::kEof};
  }

  std::size_t Digits(std::size_t i) const {
    while (IsDigit(Char(i))) ++i;
    return i;
  }

  std::size_t Exponent(std::size_t i) const {
    if (Char(i) != 'e' && Char(i) != 'E') return i;
    const std::size_t digits = i + 1 + (Char(i + 1) == '+' || Char(i + 1) == '-');
    return IsDigit(Char(digits)) ? Digits(digits) : i;
  }

  Scan Number(std::size_t i) const {
    if (Char(i) == '0' && Char(i + 1) == 'x' && IsHex(Char(i + 2))) {
      std::size_t end = i + 2;
      while (IsHex(Char(end))) ++end;
      return Suffixed(end);
    }
    const std::size_t whole = Digits(i);
    if (Char(whole) == '.' && IsDigit(Char(whole + 1))) return {Exponent(Digits(whole + 1)), 0, Tok::kFloat};
    const std::size_t exponent = Exponent(whole);
    return exponent != whole ? Scan{exponent, 0, Tok::kFloat} : Suffixed(whole);
  }

  Scan Suffixed(std::size_t end) const {
    if (Char(end) == 'u' || Char(end) == 'U') return {end + 1, 0, Tok::kUint};
    return {end, 0, Tok::kInt};
  }

  Scan Word(std::size_t i) const {
    std::size_t end = i;
    while (IsLetter(Char(end)) || IsDigit(Char(end))) ++end;
    const auto word = std::ranges::find(kWords, s_.substr(i, end - i), &Fixed::text);
    return {end, 0, word == std::end(kWords) ? Tok::kIdent : word->type};
  }

  // Where the opening quote of a text that starts at `i` is; npos when none does.
  std::size_t TextPrefix(std::size_t i) const {
    const auto is_bytes = [&](std::size_t at) { return Char(at) == 'b' || Char(at) == 'B'; };
    std::size_t at = i + is_bytes(i);
    at += Char(at) == 'r' || Char(at) == 'R';
    return Char(at) == '"' || Char(at) == '\'' ? at : std::string_view::npos;
  }

  // The end of an escape sequence at the backslash; on failure 0 and `*reached`.
  std::size_t Escape(std::size_t i, std::size_t* reached) const {
    const char c = Char(i + 1);
    *reached = i + 1;
    if (c != '\0' && std::string_view("abfnrtv\"'\\?`").find(c) != std::string_view::npos) return i + 2;
    const auto fixed = [&](std::size_t from, std::size_t n, bool (*is)(char)) -> std::size_t {
      for (std::size_t k = 0; k < n; ++k) {
        *reached = from + k;
        if (!is(Char(from + k))) return 0;
      }
      return from + n;
    };
    if (c == 'x' || c == 'X') return fixed(i + 2, 2, IsHex);
    if (c == 'u') return fixed(i + 2, 4, IsHex);
    if (c == 'U') return fixed(i + 2, 8, IsHex);
    if (c >= '0' && c <= '3') return fixed(i + 2, 2, IsOctal);
    return 0;
  }

  Scan Text(std::size_t i, std::size_t open) const {
    const Tok type = Char(i) == 'b' || Char(i) == 'B' ? Tok::kBytes : Tok::kString;
    const char last = open > i ? s_[open - 1] : '\0';
    const bool raw = last == 'r' || last == 'R';
    const char quote = s_[open];
    if (Char(open + 1) == quote && Char(open + 2) == quote) {
      Scan triple = Body(open + 3, quote, true, raw, type);
      if (triple.accepted != 0) return triple;
      return {open + 2, triple.reached, type};   // the empty text is the longest token
    }
    return Body(open + 1, quote, false, raw, type);
  }

  Scan Body(std::size_t at, char quote, bool triple, bool raw, Tok type) const {
    while (at < s_.size()) {
      const char c = s_[at];
      if (c == quote && !triple) return {at + 1, at, type};
      if (c == quote && Char(at + 1) == quote && Char(at + 2) == quote) return {at + 3, at, type};
      if (!triple && (c == '\n' || c == '\r')) return {0, at, type};
      if (c == '\\' && !raw) {
        std::size_t reached = 0;
        const std::size_t next = Escape(at, &reached);
        if (next == 0) return {0, reached, type};
        at = next;
        continue;
      }
      ++at;
    }
    return {0, at, type};
  }

  std::string_view s_;
};

}  // namespace

Lexed Lex(std::string_view source) {
  Lexed out;
  const Scanner scanner(source);
  std::int32_t offset = 0;
  std::size_t i = 0;
  const auto advance = [&](std::size_t to) {
    while (i < to) {
      i += std::max<std::size_t>(1, json::Utf8Length(source.substr(i)));
      ++offset;
    }
  };
  while (i < source.size()) {
    if (IsSpace(source[i])) {
      advance(i + 1);
      continue;
    }
    if (source.substr(i).starts_with("//")) {
      advance(std::min(source.find('\n', i), source.size()));
      continue;
    }
    const Scan scan = scanner.At(i);
    if (scan.accepted != 0) {
      out.tokens.push_back({scan.type, source.substr(i, scan.accepted - i), offset, i});
      advance(scan.accepted);
      continue;
    }
    std::size_t end = scan.reached;
    if (end < source.size()) end += std::max<std::size_t>(1, json::Utf8Length(source.substr(end)));
    out.errors.push_back({offset, Cat("Syntax error: token recognition error at: '", source.substr(i, end - i), "'")});
    advance(end);
  }
  out.tokens.push_back({Tok::kEof, "<EOF>", offset, source.size()});
  return out;
}

}  // namespace skerry::kube::cel
