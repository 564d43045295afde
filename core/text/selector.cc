#include "core/text/selector.h"

#include <algorithm>

#include "core/base/strings.h"
#include "core/text/ascii.h"

namespace skerry::text {
namespace {

using internal::IsDigit;

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsAlnum(char c) { return IsLower(c) || IsDigit(c) || (c >= 'A' && c <= 'Z'); }

// ([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]
bool IsName(std::string_view s) {
  return !s.empty() && IsAlnum(s.front()) && IsAlnum(s.back()) &&
         std::all_of(s.begin(), s.end(), [](char c) { return IsAlnum(c) || c == '-' || c == '_' || c == '.'; });
}

// [a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*
bool IsSubdomain(std::string_view s) {
  for (const std::string_view part : Split(s, '.')) {
    const auto edge = [](char c) { return IsLower(c) || IsDigit(c); };
    if (part.empty() || !edge(part.front()) || !edge(part.back())) return false;
    if (!std::all_of(part.begin(), part.end(), [&](char c) { return edge(c) || c == '-'; })) return false;
  }
  return true;
}

constexpr std::string_view kNameRule =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or "
    "'123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

std::unexpected<Error> BadSelector(std::string message) { return Fail(Code::kBadRequest, std::move(message)); }

enum class Token : std::uint8_t { kEnd, kWord, kIn, kNotIn, kOpen, kClose, kComma, kNot, kEquals, kDoubleEquals, kNotEquals, kGreater, kLess };

struct Lexeme {
  Token token = Token::kEnd;
  std::string_view text;
};

bool IsSymbol(char c) { return std::string_view("=!(),><").find(c) != std::string_view::npos; }

std::vector<Lexeme> Tokenize(std::string_view text) {
  static constexpr std::pair<std::string_view, Token> kSymbols[] = {{"==", Token::kDoubleEquals}, {"!=", Token::kNotEquals}, {"=", Token::kEquals},
                                                                    {"!", Token::kNot}, {"(", Token::kOpen}, {")", Token::kClose},
                                                                    {",", Token::kComma}, {">", Token::kGreater}, {"<", Token::kLess}};
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  std::vector<Lexeme> out;
  while (!text.empty()) {
    if (is_space(text[0])) {
      text.remove_prefix(1);
      continue;
    }
    Lexeme lexeme{Token::kWord, text};
    for (const auto& [symbol, token] : kSymbols) {
      if (!text.starts_with(symbol)) continue;
      lexeme = {token, text.substr(0, symbol.size())};
      break;
    }
    if (lexeme.token == Token::kWord) {
      std::size_t n = 0;
      while (n < text.size() && !is_space(text[n]) && !IsSymbol(text[n])) ++n;
      lexeme.text = text.substr(0, n);
      if (lexeme.text == "in") lexeme.token = Token::kIn;
      if (lexeme.text == "notin") lexeme.token = Token::kNotIn;
    }
    text.remove_prefix(lexeme.text.size());
    out.push_back(lexeme);
  }
  return out;
}

Result<> CheckRequirement(const Requirement& r);

class LabelParser {
 public:
  explicit LabelParser(std::string_view text) : lexemes_(Tokenize(text)) {}

  Result<std::vector<Requirement>> Parse() {
    std::vector<Requirement> out;
    while (!AtEnd()) {
      if (!PeekWord() && Peek().token != Token::kNot) return BadSelector(Cat("found '", Peek().text, "', expected: !, identifier, or 'end of string'"));
      auto requirement = ParseRequirement();
      if (!requirement) return std::unexpected(std::move(requirement.error()).Wrap("unable to parse requirement"));
      out.push_back(*std::move(requirement));
      if (AtEnd()) break;
      const Lexeme separator = Next();
      if (separator.token != Token::kComma) return BadSelector(Cat("found '", separator.text, "', expected: ',' or 'end of string'"));
      if (!PeekWord() && Peek().token != Token::kNot) return BadSelector(Cat("found '", Peek().text, "', expected: identifier after ','"));
    }
    return out;
  }

 private:
  Lexeme Peek() const { return at_ < lexemes_.size() ? lexemes_[at_] : Lexeme{}; }
  Lexeme Next() {
    const Lexeme l = Peek();
    if (at_ < lexemes_.size()) ++at_;
    return l;
  }
  bool AtEnd() const { return at_ >= lexemes_.size(); }
  // "in" and "notin" are words where a key or a value stands.
  static bool IsWord(const Lexeme& l) { return l.token == Token::kWord || l.token == Token::kIn || l.token == Token::kNotIn; }
  bool PeekWord() const { return IsWord(Peek()); }

  Result<Requirement> ParseRequirement() {
    const bool absent = Peek().token == Token::kNot;
    if (absent) ++at_;
    const Lexeme key = Next();
    if (!IsWord(key)) return BadSelector(Cat("found '", key.text, "', expected: identifier"));
    Requirement r{std::string(key.text), absent ? Requirement::Op::kAbsent : Requirement::Op::kExists, {}};
    // The key is checked before what follows it, as the answer names the first problem.
    if (const auto problems = CheckLabelKey(r.key); !problems.empty()) return BadSelector(Cat("<nil>: Invalid value: ", Quote(r.key), ": ", Join(problems, "; ")));
    if (absent || AtEnd() || Peek().token == Token::kComma) return r;
    const Lexeme op = Next();
    switch (op.token) {
      case Token::kIn: r.op = Requirement::Op::kIn; break;
      case Token::kNotIn: r.op = Requirement::Op::kNotIn; break;
      case Token::kEquals:
      case Token::kDoubleEquals: r.op = Requirement::Op::kEquals; break;
      case Token::kNotEquals: r.op = Requirement::Op::kNotEquals; break;
      case Token::kGreater: r.op = Requirement::Op::kGreater; break;
      case Token::kLess: r.op = Requirement::Op::kLess; break;
      default: return BadSelector(Cat("found '", op.text, "', expected: in, notin, =, ==, !=, gt, lt"));
    }
    if (r.op == Requirement::Op::kIn || r.op == Requirement::Op::kNotIn) {
      TRY(r.values, ParseValues());
    } else if (AtEnd() || Peek().token == Token::kComma) {
      r.values.emplace_back();
    } else {
      const Lexeme value = Next();
      if (!IsWord(value)) return BadSelector(Cat("found '", value.text, "', expected: identifier"));
      r.values.emplace_back(value.text);
    }
    TRY_VOID(CheckRequirement(r));   // before what follows, too
    return r;
  }

  // "( a , b )"; an empty place between commas or parentheses is the empty value.
  Result<std::vector<std::string>> ParseValues() {
    if (const Lexeme open = Next(); open.token != Token::kOpen) return BadSelector(Cat("found '", open.text, "' expected: '('"));
    std::vector<std::string> values;
    if (!PeekWord() && Peek().token != Token::kComma && Peek().token != Token::kClose) {
      return BadSelector(Cat("found '", Peek().text, "', expected: ',', ')' or identifier"));
    }
    for (;;) {
      values.emplace_back(PeekWord() ? Next().text : std::string_view());
      const Lexeme after = Next();
      if (after.token == Token::kClose) return values;
      if (after.token == Token::kComma && (PeekWord() || Peek().token == Token::kComma || Peek().token == Token::kClose)) continue;
      if (after.token == Token::kComma) return BadSelector(Cat("found '", Peek().text, "', expected: ',', or identifier"));
      return BadSelector(Cat("found '", after.text, "', expected: ',' or ')'"));
    }
  }

  std::vector<Lexeme> lexemes_;
  std::size_t at_ = 0;
};

Result<> CheckRequirement(const Requirement& r) {
  using Op = Requirement::Op;
  const auto list = [&] {
    std::string out = "[";
    for (const auto& v : r.values) out += (out.size() > 1 ? "," : "") + Quote(v);
    return out + "]";
  };
  const auto bad_values = [&](std::string_view why) { return BadSelector(Cat("values: Invalid value: ", list(), ": ", why)); };
  if (const auto problems = CheckLabelKey(r.key); !problems.empty()) return BadSelector(Cat("key: Invalid value: ", Quote(r.key), ": ", Join(problems, "; ")));
  switch (r.op) {
    case Op::kIn:
    case Op::kNotIn:
      if (r.values.empty()) return bad_values("for 'in', 'notin' operators, values set can't be empty");
      break;
    case Op::kEquals:
    case Op::kNotEquals:
      if (r.values.size() != 1) return bad_values("exact-match compatibility requires one single value");
      break;
    case Op::kExists:
    case Op::kAbsent:
      if (!r.values.empty()) return bad_values("values set must be empty for exists and does not exist");
      break;
    case Op::kGreater:
    case Op::kLess:
      if (r.values.size() != 1) return bad_values("for 'Gt', 'Lt' operators, exactly one value is required");
      if (!ParseInt(r.values[0])) return BadSelector(Cat("values[0]: Invalid value: ", Quote(r.values[0]), ": for 'Gt', 'Lt' operators, the value must be an integer"));
      break;
  }
  for (std::size_t i = 0; i < r.values.size(); ++i) {
    const auto problems = CheckLabelValue(r.values[i]);
    if (!problems.empty()) return BadSelector(Cat("values[", i, "][", r.key, "]: Invalid value: ", Quote(r.values[i]), ": ", Join(problems, "; ")));
  }
  return {};
}

// Undoes \\ \, \= in a field value.
Result<std::string> Unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ',' || text[i] == '=') return BadSelector(Cat("invalid field selector: unescaped character in value: ", text[i]));
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    if (++i == text.size()) return BadSelector("invalid field selector: invalid escape sequence: \\");
    if (text[i] != '\\' && text[i] != ',' && text[i] != '=') return BadSelector(Cat("invalid field selector: invalid escape sequence: \\", text[i]));
    out += text[i];
  }
  return out;
}

}  // namespace

std::vector<std::string> CheckLabelKey(std::string_view key) {
  std::vector<std::string> out;
  std::string_view name = key;
  if (const std::size_t slash = key.find('/'); slash != std::string_view::npos) {
    const std::string_view prefix = key.substr(0, slash);
    name = key.substr(slash + 1);
    if (name.find('/') != std::string_view::npos) return {Cat("a valid label key ", kNameRule, " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')")};
    if (prefix.empty()) {
      out.emplace_back("prefix part must be non-empty");
    } else {
      if (prefix.size() > 253) out.emplace_back("prefix part must be no more than 253 bytes");
      if (!IsSubdomain(prefix)) {
        out.emplace_back(
            "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric "
            "character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')");
      }
    }
  }
  if (name.empty()) out.emplace_back("name part must be non-empty");
  else if (name.size() > 63) out.emplace_back("name part must be no more than 63 bytes");
  if (!IsName(name)) out.push_back(Cat("name part ", kNameRule));
  return out;
}

std::vector<std::string> CheckLabelValue(std::string_view value) {
  std::vector<std::string> out;
  if (value.size() > 63) out.emplace_back("must be no more than 63 bytes");
  if (!value.empty() && !IsName(value)) {
    out.emplace_back(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. "
        "'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')");
  }
  return out;
}

bool Requirement::Matches(std::optional<std::string_view> value) const {
  const auto listed = [&] { return value && std::find(values.begin(), values.end(), *value) != values.end(); };
  switch (op) {
    case Op::kIn:
    case Op::kEquals: return listed();
    case Op::kNotIn:
    case Op::kNotEquals: return !listed();
    case Op::kExists: return value.has_value();
    case Op::kAbsent: return !value.has_value();
    case Op::kGreater:
    case Op::kLess: break;
  }
  if (!value) return false;
  const auto mine = ParseInt(*value), bound = ParseInt(values[0]);
  return mine && bound && (op == Op::kGreater ? *mine > *bound : *mine < *bound);
}

Result<LabelSelector> LabelSelector::Parse(std::string_view text) {
  TRY(std::vector<Requirement> requirements, LabelParser(text).Parse());
  auto out = Create(std::move(requirements));
  if (!out) return std::unexpected(std::move(out.error()).Wrap("unable to parse requirement"));
  return out;
}

Result<LabelSelector> LabelSelector::Create(std::vector<Requirement> requirements) {
  for (Requirement& r : requirements) {
    std::sort(r.values.begin(), r.values.end());
    r.values.erase(std::unique(r.values.begin(), r.values.end()), r.values.end());
    TRY_VOID(CheckRequirement(r));
  }
  LabelSelector out;
  out.requirements_ = std::move(requirements);
  return out;
}

bool LabelSelector::Matches(const Lookup& labels) const {
  return std::all_of(requirements_.begin(), requirements_.end(), [&](const Requirement& r) { return r.Matches(labels(r.key)); });
}

std::string LabelSelector::Text() const {
  std::vector<const Requirement*> sorted;
  for (const Requirement& r : requirements_) sorted.push_back(&r);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Requirement* a, const Requirement* b) { return a->key < b->key; });
  std::string out;
  for (const Requirement* r : sorted) {
    if (!out.empty()) out += ',';
    using Op = Requirement::Op;
    const std::string values = Join(r->values, ",");
    switch (r->op) {
      case Op::kIn: out += Cat(r->key, " in (", values, ')'); break;
      case Op::kNotIn: out += Cat(r->key, " notin (", values, ')'); break;
      case Op::kEquals: out += Cat(r->key, '=', values); break;
      case Op::kNotEquals: out += Cat(r->key, "!=", values); break;
      case Op::kExists: out += r->key; break;
      case Op::kAbsent: out += Cat('!', r->key); break;
      case Op::kGreater: out += Cat(r->key, '>', values); break;
      case Op::kLess: out += Cat(r->key, '<', values); break;
    }
  }
  return out;
}

Result<std::vector<FieldTerm>> ParseFieldSelector(std::string_view text) {
  std::vector<FieldTerm> out;
  std::size_t start = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] == '\\') {
      ++i;   // whatever it is, it does not end the term
      if (i < text.size()) continue;
    }
    if (i < text.size() && text[i] != ',') continue;
    const std::string_view term = text.substr(start, std::min(i, text.size()) - start);
    start = i + 1;
    if (term.empty()) continue;
    const std::size_t at = term.find_first_of("!=");
    std::size_t op = at;
    // The first "!=", "==" or "=" divides; a lone "!" belongs to the field.
    while (op != std::string_view::npos && term[op] == '!' && !term.substr(op).starts_with("!=")) op = term.find_first_of("!=", op + 1);
    if (op == std::string_view::npos) return BadSelector(Cat("invalid selector: '", text, "'; can't understand '", term, "'"));
    const std::size_t width = term[op] == '!' || term.substr(op).starts_with("==") ? 2 : 1;
    TRY(std::string value, Unescape(term.substr(op + width)));
    out.push_back({std::string(term.substr(0, op)), std::move(value), term[op] != '!'});
  }
  return out;
}

bool Matches(const std::vector<FieldTerm>& terms, const Lookup& fields) {
  return std::all_of(terms.begin(), terms.end(), [&](const FieldTerm& t) { return (fields(t.field).value_or(std::string_view()) == t.value) == t.equals; });
}

std::string FieldSelectorText(const std::vector<FieldTerm>& terms) {
  std::string out;
  for (const FieldTerm& t : terms) {
    if (!out.empty()) out += ',';
    out += t.field;
    out += t.equals ? "=" : "!=";
    for (const char c : t.value) {
      if (c == '\\' || c == ',' || c == '=') out += '\\';
      out += c;
    }
  }
  return out;
}

}  // namespace skerry::text
