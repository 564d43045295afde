#include "embedded-kube-shim/cel/parser.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "core/base/strings.h"
#include "core/json/utf8.h"
#include "embedded-kube-shim/cel/unescape.h"

namespace skerry::kube::cel {
namespace {

constexpr std::string_view kReserved[] = {"as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package", "namespace", "return", "var", "void", "while"};

struct Operator { Tok token; std::string_view name; int precedence; };
constexpr Operator kBinary[] = {{Tok::kLess, "_<_", 1}, {Tok::kLessEqual, "_<=_", 1}, {Tok::kGreaterEqual, "_>=_", 1}, {Tok::kGreater, "_>_", 1}, {Tok::kEqual, "_==_", 1},
                                {Tok::kNotEqual, "_!=_", 1}, {Tok::kIn, "@in", 1}, {Tok::kPlus, "_+_", 2}, {Tok::kMinus, "_-_", 2}, {Tok::kStar, "_*_", 3},
                                {Tok::kSlash, "_/_", 3}, {Tok::kPercent, "_%_", 3}};

// Recursive descent over a text that may be wrong: stops at the first thing that does not fit (`failed()`); what it says then comes from
// SyntaxErrors(), which is slower and knows how to recover.
class Parser {
 public:
  Parser(const std::vector<Token>& tokens, const MacroSet& macros, const ParseLimits& limits, std::vector<SourceError>& errors)
      : tokens_(tokens), macros_(macros), limits_(limits), errors_(errors) {}

  ExprPtr Whole() {
    ExprPtr root = Ternary();
    if (failed_ || Peek() != Tok::kEof) return Stop();
    return root;
  }
  bool failed() const { return failed_; }
  bool too_deep() const { return too_deep_; }
  TreeBuilder& build() { return build_; }

 private:
  Tok Peek(std::size_t n = 0) const { return tokens_[std::min(at_ + n, tokens_.size() - 1)].type; }
  const Token& Current() const { return tokens_[at_]; }
  const Token& Take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool Accept(Tok type) {
    if (Peek() != type) return false;
    ++at_;
    return true;
  }
  ExprPtr Stop() {
    failed_ = true;
    return nullptr;
  }

  struct Deeper {
    explicit Deeper(Parser& p) : parser(p) {
      if (++parser.depth_ > parser.limits_.max_depth) parser.failed_ = parser.too_deep_ = true;
    }
    ~Deeper() { --parser.depth_; }
    Parser& parser;
  };

  ExprPtr Ternary() {
    const Deeper deeper(*this);
    if (failed_) return nullptr;
    ExprPtr condition = Logical(Tok::kOr);
    if (failed_ || Peek() != Tok::kQuestion) return condition;
    const std::int32_t offset = Take().offset;
    ExprPtr yes = Logical(Tok::kOr);
    if (failed_ || !Accept(Tok::kColon)) return Stop();
    ExprPtr no = Ternary();
    if (failed_) return nullptr;
    return build_.Call(offset, "_?_:_", std::move(condition), std::move(yes), std::move(no));
  }

  // a && b && c becomes a balanced tree, so that long chains stay shallow.
  ExprPtr Logical(Tok op) {
    std::vector<ExprPtr> terms;
    std::vector<std::int32_t> offsets;
    for (;;) {
      terms.push_back(op == Tok::kOr ? Logical(Tok::kAnd) : Binary(1));
      if (failed_) return nullptr;
      if (Peek() != op) break;
      offsets.push_back(Take().offset);
    }
    return Balance(op == Tok::kOr ? "_||_" : "_&&_", terms, offsets, 0, terms.size() - 1);
  }

  ExprPtr Balance(const char* name, std::vector<ExprPtr>& terms, const std::vector<std::int32_t>& offsets, std::size_t from, std::size_t to) {
    if (from == to) return std::move(terms[from]);
    const std::size_t middle = (from + to) / 2;
    ExprPtr left = Balance(name, terms, offsets, from, middle);
    ExprPtr right = Balance(name, terms, offsets, middle + 1, to);
    return build_.Call(offsets[middle], name, std::move(left), std::move(right));
  }

  ExprPtr Binary(int precedence) {
    ExprPtr left = precedence == 3 ? Unary() : Binary(precedence + 1);
    int chain = 0;
    while (!failed_) {
      const auto op = std::ranges::find_if(kBinary, [&](const Operator& o) { return o.token == Peek() && o.precedence == precedence; });
      if (op == std::end(kBinary)) break;
      if (++chain + depth_ > limits_.max_depth) {   // the tree would be that deep
        failed_ = too_deep_ = chain_too_deep_ = true;
        return nullptr;
      }
      const std::int32_t offset = Take().offset;
      ExprPtr right = precedence == 3 ? Unary() : Binary(precedence + 1);
      if (failed_) return nullptr;
      left = build_.Call(offset, std::string(op->name), std::move(left), std::move(right));
    }
    return left;
  }

  ExprPtr Unary() {
    const Tok op = Peek();
    if (op != Tok::kNot && op != Tok::kMinus) return Postfix();
    const std::int32_t offset = Current().offset;
    std::size_t count = 0;
    while (Peek() == op) {
      const bool signs_literal = op == Tok::kMinus && count == 0 && Peek(1) != Tok::kMinus && (Peek(1) == Tok::kInt || Peek(1) == Tok::kFloat);
      if (signs_literal) return Postfix();
      Take();
      ++count;
    }
    ExprPtr operand = Postfix();
    if (failed_ || count % 2 == 0) return operand;
    return build_.Call(offset, op == Tok::kNot ? "!_" : "-_", std::move(operand));
  }

  ExprPtr Postfix() {
    ExprPtr value = Primary();
    for (int links = 0; !failed_; ++links) {
      if (links + depth_ > limits_.max_depth) return failed_ = too_deep_ = chain_too_deep_ = true, nullptr;
      if (Peek() == Tok::kDot) value = Select(std::move(value));
      else if (Peek() == Tok::kLeftBracket) value = Index(std::move(value));
      else break;
    }
    return value;
  }

  ExprPtr Select(ExprPtr operand) {
    const std::int32_t offset = Take().offset;
    const bool optional = Accept(Tok::kQuestion);
    const Token name = Current();
    if (name.type == Tok::kEscapedIdent) {
      if (!macros_.quoted_fields) errors_.push_back({name.offset, "unsupported syntax: '`'"});
    } else if (name.type != Tok::kIdent) {
      return Stop();
    }
    Take();
    if (!optional && name.type == Tok::kIdent && Peek() == Tok::kLeftParen) return MemberCall(std::move(operand), std::string(name.text));
    const std::string_view plain = name.type == Tok::kEscapedIdent ? name.text.substr(1, name.text.size() - 2) : name.text;
    if (optional) {
      ExprPtr field = build_.Literal(name.offset, Val::String(std::string(plain)));
      return build_.Call(offset, "_?._", std::move(operand), std::move(field));
    }
    ExprPtr select = build_.New(ExprKind::kSelect, offset);
    select->target = std::move(operand);
    select->name = plain;
    return select;
  }

  ExprPtr MemberCall(ExprPtr target, std::string name) {
    const std::int32_t offset = Take().offset;
    std::vector<ExprPtr> args = Arguments();
    if (failed_) return nullptr;
    return FinishCall(offset, std::move(name), std::move(target), std::move(args));
  }

  ExprPtr FinishCall(std::int32_t offset, std::string name, ExprPtr target, std::vector<ExprPtr> args) {
    if (ExprPtr macro = ExpandMacro(macros_, build_, offset, name, target, args, errors_)) return macro;
    ExprPtr call = build_.New(ExprKind::kCall, offset);
    call->name = std::move(name);
    call->target = std::move(target);
    call->args = std::move(args);
    return call;
  }

  std::vector<ExprPtr> Arguments() {
    std::vector<ExprPtr> args;
    if (Accept(Tok::kRightParen)) return args;
    do {
      args.push_back(Ternary());
      if (failed_) return args;
    } while (Accept(Tok::kComma));
    if (!Accept(Tok::kRightParen)) Stop();
    return args;
  }

  ExprPtr Index(ExprPtr operand) {
    const std::int32_t offset = Take().offset;
    const bool optional = Accept(Tok::kQuestion);
    ExprPtr index = Ternary();
    if (failed_ || !Accept(Tok::kRightBracket)) return Stop();
    return build_.Call(offset, optional ? "_[?_]" : "_[_]", std::move(operand), std::move(index));
  }

  ExprPtr Primary() {
    switch (Peek()) {
      case Tok::kLeftParen: {
        Take();
        ExprPtr inner = Ternary();
        if (failed_ || !Accept(Tok::kRightParen)) return Stop();
        return inner;
      }
      case Tok::kLeftBracket: return List();
      case Tok::kLeftBrace: return Map();
      case Tok::kDot:
      case Tok::kIdent: return Name();
      default: return Literal();
    }
  }

  // An identifier, a call or a struct; its type may be qualified, so this looks ahead for the brace.
  ExprPtr Name() {
    std::size_t end = at_ + (Peek() == Tok::kDot);
    if (tokens_[std::min(end, tokens_.size() - 1)].type != Tok::kIdent) return Stop();
    const std::string dot = Peek() == Tok::kDot ? "." : "";
    while (end + 2 < tokens_.size() && tokens_[end + 1].type == Tok::kDot && tokens_[end + 2].type == Tok::kIdent) end += 2;
    if (end + 1 < tokens_.size() && tokens_[end + 1].type == Tok::kLeftBrace) return Struct(end);
    Accept(Tok::kDot);
    const Token& word = Take();
    if (std::ranges::find(kReserved, word.text) != std::end(kReserved)) errors_.push_back({word.offset, Cat("reserved identifier: ", word.text)});
    if (Peek() != Tok::kLeftParen) return build_.Ident(word.offset, dot + std::string(word.text));
    const std::int32_t offset = Take().offset;
    std::vector<ExprPtr> args = Arguments();
    if (failed_) return nullptr;
    return FinishCall(offset, dot + std::string(word.text), nullptr, std::move(args));
  }

  ExprPtr Struct(std::size_t last) {
    std::string name;
    for (; at_ <= last; ++at_) name += Current().text;
    ExprPtr out = build_.New(ExprKind::kStruct, Take().offset);
    out->name = std::move(name);
    while (!failed_ && Peek() != Tok::kRightBrace) {
      if (Peek() == Tok::kComma && Peek(1) == Tok::kRightBrace) break;   // also right after the brace
      out->optional_entries.push_back(Accept(Tok::kQuestion));
      const Token field = Take();
      if (field.type == Tok::kEscapedIdent) errors_.push_back({field.offset, "unsupported syntax: '`'"});
      else if (field.type != Tok::kIdent) return Stop();
      out->fields.emplace_back(field.text);
      if (!Accept(Tok::kColon)) return Stop();
      out->args.push_back(Ternary());
      if (failed_) return nullptr;
      if (Peek() != Tok::kComma || Peek(1) == Tok::kRightBrace) break;
      Take();
    }
    Accept(Tok::kComma);
    return Accept(Tok::kRightBrace) ? std::move(out) : Stop();
  }

  ExprPtr List() {
    ExprPtr out = build_.New(ExprKind::kList, Take().offset);
    while (!failed_ && Peek() != Tok::kRightBracket && !(Peek() == Tok::kComma && Peek(1) == Tok::kRightBracket)) {
      out->optional_entries.push_back(Accept(Tok::kQuestion));
      out->args.push_back(Ternary());
      if (failed_) return nullptr;
      if (Peek() != Tok::kComma || Peek(1) == Tok::kRightBracket) break;
      Take();
    }
    Accept(Tok::kComma);
    return Accept(Tok::kRightBracket) ? std::move(out) : Stop();
  }

  ExprPtr Map() {
    ExprPtr out = build_.New(ExprKind::kMap, Take().offset);
    while (!failed_ && Peek() != Tok::kRightBrace && !(Peek() == Tok::kComma && Peek(1) == Tok::kRightBrace)) {
      out->optional_entries.push_back(Accept(Tok::kQuestion));
      out->args.push_back(Ternary());
      if (failed_ || !Accept(Tok::kColon)) return Stop();
      out->args.push_back(Ternary());
      if (failed_) return nullptr;
      if (Peek() != Tok::kComma || Peek(1) == Tok::kRightBrace) break;
      Take();
    }
    Accept(Tok::kComma);
    return Accept(Tok::kRightBrace) ? std::move(out) : Stop();
  }

  ExprPtr Literal() {
    const Token token = Current();
    const bool negative = token.type == Tok::kMinus;
    if (negative) Take();
    const Token digits = Take();
    switch (digits.type) {
      case Tok::kInt: return Integer(token.offset, digits.text, negative);
      case Tok::kFloat: {
        double d = 0;
        const auto [end, error] = std::from_chars(digits.text.data(), digits.text.data() + digits.text.size(), d);
        const bool underflow = error == std::errc::result_out_of_range && digits.text.find_first_of("eE") != std::string_view::npos && digits.text[digits.text.find_first_of("eE") + 1] == '-';
        if (underflow) d = 0;
        if ((error != std::errc() && !underflow) || end != digits.text.data() + digits.text.size()) return Bad(token.offset, "invalid double literal");
        return build_.Literal(token.offset, Val::Double(negative ? -d : d));
      }
      default: break;
    }
    if (negative) return Stop();
    switch (token.type) {
      case Tok::kUint: return Unsigned(token.offset, token.text.substr(0, token.text.size() - 1));
      case Tok::kTrue: return build_.Literal(token.offset, Val::Bool(true));
      case Tok::kFalse: return build_.Literal(token.offset, Val::Bool(false));
      case Tok::kNull: return build_.Literal(token.offset, Val());
      case Tok::kString:
      case Tok::kBytes: {
        auto text = Unescape(token.text);
        if (!text) return Bad(token.offset, "unable to unescape string");
        return build_.Literal(token.offset, token.type == Tok::kString ? Val::String(std::move(*text)) : Val::Bytes(std::move(*text)));
      }
      default: return Stop();
    }
  }

  ExprPtr Bad(std::int32_t offset, const char* message) {
    errors_.push_back({offset, message});
    return build_.Literal(offset, Val());
  }

  static bool Magnitude(std::string_view digits, std::uint64_t* out) {
    const bool hex = digits.starts_with("0x");
    if (hex) digits.remove_prefix(2);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *out, hex ? 16 : 10);
    return error == std::errc() && end == digits.data() + digits.size();
  }

  ExprPtr Integer(std::int32_t offset, std::string_view digits, bool negative) {
    std::uint64_t magnitude = 0;
    constexpr std::uint64_t kLimit = std::uint64_t{1} << 63;
    if (!Magnitude(digits, &magnitude) || magnitude > (negative ? kLimit : kLimit - 1)) return Bad(offset, "invalid int literal");
    return build_.Literal(offset, Val::Int(static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude)));
  }

  ExprPtr Unsigned(std::int32_t offset, std::string_view digits) {
    std::uint64_t magnitude = 0;
    if (!Magnitude(digits, &magnitude)) return Bad(offset, "invalid uint literal");
    return build_.Literal(offset, Val::Uint(magnitude));
  }

 public:
  bool chain_too_deep() const { return chain_too_deep_; }

 private:
  const std::vector<Token>& tokens_;
  const MacroSet& macros_;
  const ParseLimits& limits_;
  std::vector<SourceError>& errors_;
  TreeBuilder build_;
  std::size_t at_ = 0;
  int depth_ = 0;
  bool failed_ = false, too_deep_ = false, chain_too_deep_ = false;
};

struct Place { std::size_t line, column; std::string_view text; };

Place PlaceOf(std::string_view source, std::int32_t offset) {
  Place place{1, 0, {}};
  std::size_t line_start = 0;
  std::size_t i = 0;
  for (std::int32_t n = 0; n < offset && i < source.size(); ++n) {
    const bool newline = source[i] == '\n';
    i += std::max<std::size_t>(1, json::Utf8Length(source.substr(i)));
    ++place.column;
    if (newline) {
      ++place.line;
      place.column = 0;
      line_start = i;
    }
  }
  place.text = source.substr(line_start, std::min(source.find('\n', line_start), source.size()) - line_start);
  return place;
}

}  // namespace

ExprPtr TreeBuilder::New(ExprKind kind, std::int32_t offset) {
  auto node = std::make_unique<Expr>();
  node->kind = kind;
  node->offset = offset;
  node->id = next_id_++;
  return node;
}

ExprPtr TreeBuilder::Ident(std::int32_t offset, std::string name) {
  ExprPtr node = New(ExprKind::kIdent, offset);
  node->name = std::move(name);
  return node;
}

ExprPtr TreeBuilder::Literal(std::int32_t offset, Val value) {
  ExprPtr node = New(ExprKind::kLiteral, offset);
  node->literal = std::move(value);
  return node;
}

ExprPtr TreeBuilder::Member(std::int32_t offset, std::string name, ExprPtr target) {
  ExprPtr call = New(ExprKind::kCall, offset);
  call->name = std::move(name);
  call->target = std::move(target);
  return call;
}

ExprPtr TreeBuilder::Copy(const Expr& tree) {
  ExprPtr out = New(tree.kind, tree.offset);
  out->test_only = tree.test_only;
  out->name = tree.name;
  out->literal = tree.literal;
  out->fields = tree.fields;
  out->optional_entries = tree.optional_entries;
  if (tree.target) out->target = Copy(*tree.target);
  for (const ExprPtr& arg : tree.args) out->args.push_back(Copy(*arg));
  if (tree.loop) {
    const Loop& from = *tree.loop;
    out->loop = std::make_unique<Loop>(Loop{from.variable, from.second, from.accumulator, Copy(*from.range), Copy(*from.init), Copy(*from.condition), Copy(*from.step), Copy(*from.result)});
  }
  return out;
}

Parsed Parse(std::string_view source, const MacroSet& macros, const ParseLimits& limits) {
  Parsed out;
  if (const std::size_t size = RuneCount(source); size > limits.max_code_points) {
    out.errors.push_back({-1, Cat("expression code point size exceeds limit: size: ", size, ", limit ", limits.max_code_points)});
    return out;
  }
  Lexed lexed = Lex(source);
  Parser parser(lexed.tokens, macros, limits, out.errors);
  out.root = parser.Whole();
  out.ids = parser.build().ids();
  if (parser.chain_too_deep()) {
    out.errors = {{-1, "max recursion depth exceeded"}};
  } else if (parser.too_deep()) {
    out.errors = {{-1, Cat("expression recursion limit exceeded: ", limits.max_depth)}};
  } else if (parser.failed()) {
    for (SourceError& error : SyntaxErrors(source, lexed.tokens)) out.errors.push_back(std::move(error));
  }
  for (SourceError& error : lexed.errors) out.errors.push_back(std::move(error));
  if (!out.errors.empty()) out.root = nullptr;
  return out;
}

std::string ErrorText(std::string_view source, std::vector<SourceError> errors) {
  constexpr std::size_t kMost = 100;
  std::ranges::stable_sort(errors, {}, &SourceError::offset);
  std::string out;
  for (std::size_t i = 0; i < std::min(errors.size(), kMost); ++i) {
    const SourceError& error = errors[i];
    if (i > 0) out += '\n';
    if (error.offset < 0) {
      out += Cat("ERROR: <input>:-1:0: ", error.message);
      continue;
    }
    const Place place = PlaceOf(source, error.offset);
    if (source.empty()) {
      out += Cat("ERROR: <input>:1:0: ", error.message);
      continue;
    }
    out += Cat("ERROR: <input>:", place.line, ":", place.column + 1, ": ", error.message, "\n | ");
    std::string line(place.text);
    std::ranges::replace(line, '\t', ' ');
    out += line;
    out += "\n | ";
    std::string_view rest = line;
    for (std::size_t column = 0; column < place.column && !rest.empty(); ++column) {
      const std::size_t size = std::max<std::size_t>(1, json::Utf8Length(rest));
      out += size > 1 ? "\xEF\xBC\x8E" : ".";   // full width, like the character above it
      rest.remove_prefix(size);
    }
    out += !rest.empty() && json::Utf8Length(rest) > 1 ? "\xEF\xBC\xBE" : "^";
  }
  if (errors.size() > kMost) out += Cat("\n", errors.size() - kMost, " more errors were truncated");
  return out;
}

}  // namespace skerry::kube::cel
