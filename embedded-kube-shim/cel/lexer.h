#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Tokens of the expression language (its published grammar). Texts are views into the source.
namespace skerry::kube::cel {

// The order is the order in which messages list expected tokens.
enum class Tok : std::uint8_t {
  kEof, kEqual, kNotEqual, kIn, kLess, kLessEqual, kGreaterEqual, kGreater, kAnd, kOr, kLeftBracket, kRightBracket, kLeftBrace, kRightBrace,
  kLeftParen, kRightParen, kDot, kComma, kMinus, kNot, kQuestion, kColon, kPlus, kStar, kSlash, kPercent, kTrue, kFalse, kNull,
  kFloat, kInt, kUint, kString, kBytes, kIdent, kEscapedIdent,
};
inline constexpr int kTokens = static_cast<int>(Tok::kEscapedIdent) + 1;

struct Token {
  Tok type = Tok::kEof;
  std::string_view text;      // "<EOF>" at the end
  std::int32_t offset = 0;    // in code points
  std::size_t byte = 0;       // in bytes
};

struct SourceError {
  std::int32_t offset = 0;    // in code points; -1 = no place
  std::string message;
};

struct Lexed {
  std::vector<Token> tokens;          // the last is kEof
  std::vector<SourceError> errors;    // "Syntax error: token recognition error at: '…'"
};

// Never fails: what is no token is reported and skipped. `source` must outlive the result.
Lexed Lex(std::string_view source);

}  // namespace skerry::kube::cel
