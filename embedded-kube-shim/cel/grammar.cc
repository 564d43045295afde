#include <bitset>
#include <set>

#include "core/base/strings.h"
#include "embedded-kube-shim/cel/parser.h"

// What is wrong with a text that is no expression, in the words clients know: those of an LL(*) parser generated from the published grammar
// with its standard way to recover (ANTLR's: drop a token, imagine a token, or skip to what some rule on the way may be followed by). Each
// method is a rule of the grammar; `Sync` stands where such a parser looks at the next token before it decides. Runs only on refused input.
namespace skerry::kube::cel {
namespace {

using Mask = std::bitset<kTokens>;

// Tokens that may come next; `open`: the rule may also end here, then its caller decides.
struct Next {
  Mask tokens;
  bool open = false;
};

Mask Of(std::initializer_list<Tok> tokens) {
  Mask mask;
  for (const Tok token : tokens) mask.set(static_cast<std::size_t>(token));
  return mask;
}
bool Has(const Mask& mask, Tok token) { return mask.test(static_cast<std::size_t>(token)); }

const Mask kLiteral = Of({Tok::kMinus, Tok::kTrue, Tok::kFalse, Tok::kNull, Tok::kFloat, Tok::kInt, Tok::kUint, Tok::kString, Tok::kBytes});
const Mask kPrimary = kLiteral | Of({Tok::kLeftBracket, Tok::kLeftBrace, Tok::kLeftParen, Tok::kDot, Tok::kIdent});
const Mask kExpr = kPrimary | Of({Tok::kNot});
const Mask kOptExpr = kExpr | Of({Tok::kQuestion});
const Mask kRelation = Of({Tok::kEqual, Tok::kNotEqual, Tok::kIn, Tok::kLess, Tok::kLessEqual, Tok::kGreaterEqual, Tok::kGreater});
const Mask kProduct = Of({Tok::kStar, Tok::kSlash, Tok::kPercent});
const Mask kSum = Of({Tok::kPlus, Tok::kMinus});
const Mask kEnd = Of({Tok::kEof});

constexpr std::string_view kNames[kTokens] = {"<EOF>", "'=='", "'!='", "'in'", "'<'", "'<='", "'>='", "'>'", "'&&'", "'||'", "'['", "']'", "'{'", "'}'", "'('", "')'", "'.'", "','",
                                              "'-'", "'!'", "'?'", "':'", "'+'", "'*'", "'/'", "'%'", "'true'", "'false'", "'null'", "NUM_FLOAT", "NUM_INT", "NUM_UINT", "STRING", "BYTES",
                                              "IDENTIFIER", "ESC_IDENTIFIER"};

std::string SetText(const Mask& mask) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kTokens; ++i) {
    if (mask.test(i)) names.emplace_back(kNames[i]);
  }
  return names.size() == 1 ? names[0] : Cat("{", Join(names, ", "), "}");
}

std::string Shown(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\n') out += "\\n";
    else if (c == '\r') out += "\\r";
    else if (c == '\t') out += "\\t";
    else out += c;
  }
  return out + "'";
}

class Recovering {
 public:
  Recovering(std::string_view source, const std::vector<Token>& tokens) : source_(source), tokens_(tokens) {}

  std::vector<SourceError> Whole() {
    Into({kEnd, false}, [&] { Expr(); });
    Rule([&] { Match(Tok::kEof, {}, 0); });
    if (aborted_) errors_.push_back({-1, aborted_});
    return std::move(errors_);
  }

 private:
  enum class Point { kBlock, kLoopBack };   // before a decision; behind an iteration

  Tok Peek(std::size_t n = 0) const { return tokens_[std::min(at_ + n, tokens_.size() - 1)].type; }
  const Token& Current() const { return tokens_[at_]; }
  void Consume() {
    if (at_ + 1 < tokens_.size()) ++at_;
  }

  // ---- rules ----

  // Calls a rule that may be followed by `follow` here.
  template <class Body>
  void Into(Next follow, Body body) {
    follow_.push_back(follow);
    body();
    follow_.pop_back();
  }

  // A rule: what fails in it is reported and skipped, then its caller goes on.
  template <class Body>
  void Rule(Body body) {
    if (aborted_) return;
    failed_ = false;
    body();
    if (failed_ && !aborted_) Recover();
    failed_ = false;
  }
  bool stop() const { return failed_ || aborted_ != nullptr; }

  void Expr() {
    if (++depth_ > kMaxDepth) aborted_ = "expression recursion limit exceeded: 250";
    Rule([&] {
      Into({Of({Tok::kQuestion}), true}, [&] { Or(); });
      if (stop() || Peek() != Tok::kQuestion) return;
      Match(Tok::kQuestion, {kExpr, false}, 1);
      Into({Of({Tok::kColon}), false}, [&] { Or(); });
      Match(Tok::kColon, {kExpr, false}, 2);
      if (!stop()) Into({{}, true}, [&] { Expr(); });
    });
    --depth_;
  }

  void Or() { Chain(Tok::kOr, [&] { And(); }); }
  void And() { Chain(Tok::kAnd, [&] { Relation(); }); }

  template <class Term>
  void Chain(Tok op, Term term) {
    Rule([&] {
      const Next follow{Of({op}), true};
      Into(follow, term);
      while (!stop() && Peek() == op) {
        Match(op, {kExpr, false}, 3);
        Into(follow, term);
      }
    });
  }

  void Relation() {
    Rule([&] {
      Into({kRelation, true}, [&] { Sum(); });
      while (!stop() && Has(kRelation, Peek())) {
        Accept();
        Into({kRelation, true}, [&] { Rule([&] { Into({kRelation, true}, [&] { Sum(); }); }); });
      }
    });
  }

  void Sum() { Calc(kSum | kProduct); }

  // Left-recursive in the grammar: the right operand of a sum is a product of its own.
  void Calc(const Mask& operators) {
    Rule([&] {
      Into({kSum | kProduct, true}, [&] { Unary(); });
      while (!stop() && Has(operators, Peek())) {
        const bool product = Has(kProduct, Peek());
        Accept();
        Into({kSum | kProduct, true}, [&] { Calc(product ? Mask() : kProduct); });
      }
    });
  }

  void Unary() {
    Rule([&] {
      if (!Sync({kExpr, false}, Point::kBlock, 4)) return;
      const std::size_t start = at_;
      if (Peek() == Tok::kNot) {
        do {
          Match(Tok::kNot, {}, 5);
          if (stop() || !Sync({kExpr, false}, Point::kLoopBack, 6)) return;
        } while (Peek() == Tok::kNot);
      } else if (Peek() == Tok::kMinus && Peek(1) != Tok::kInt && Peek(1) != Tok::kFloat) {
        if (!Has(kPrimary, Peek(1))) return NoViable(start, 1, {kExpr, false}, 4);
        do {
          Match(Tok::kMinus, {}, 7);
          if (stop() || !Sync({kPrimary, false}, Point::kLoopBack, 8)) return;
          if (Peek() == Tok::kMinus && !Has(kPrimary, Peek(1))) return NoViable(at_, 1, {kPrimary, false}, 8);
        } while (Peek() == Tok::kMinus);
      } else if (!Has(kExpr, Peek())) {
        return NoViable(start, 0, {kExpr, false}, 4);
      }
      Into({{}, true}, [&] { Member(); });
    });
  }

  void Member() {
    Rule([&] {
      const Next follow{Of({Tok::kDot, Tok::kLeftBracket}), true};
      Into(follow, [&] { Primary(); });
      while (!stop() && (Peek() == Tok::kDot || Peek() == Tok::kLeftBracket)) {
        if (Peek() == Tok::kLeftBracket) Index();
        else if (Peek(1) == Tok::kIdent && Peek(2) == Tok::kLeftParen) MemberCall();
        else if (Peek(1) == Tok::kQuestion || Peek(1) == Tok::kIdent || Peek(1) == Tok::kEscapedIdent) Select(follow);
        else return NoViable(at_, 1, follow, 9);
      }
    });
  }

  void Select(const Next& follow) {
    Accept();
    if (!Sync({kField, false}, Point::kBlock, 10)) return;
    if (Peek() == Tok::kQuestion) Accept();
    const std::size_t errors = errors_.size();
    Into(follow, [&] { EscapeIdent(); });
    if (errors_.size() > errors) errors_.push_back({Current().offset, "unsupported ident kind"});
  }

  void MemberCall() {
    Accept();
    Accept();
    Arguments();
  }

  void Arguments() {
    Accept();
    if (!Sync({kExpr | Of({Tok::kRightParen}), false}, Point::kBlock, 11)) return;
    if (Has(kExpr, Peek())) {
      Into({Of({Tok::kRightParen}), false}, [&] { Rule([&] { ExprList(); }); });
    }
    Match(Tok::kRightParen, {Of({Tok::kDot, Tok::kLeftBracket}), true}, 12);
  }

  void ExprList() {
    const Next follow{Of({Tok::kComma}), true};
    Into(follow, [&] { Expr(); });
    while (!stop() && Peek() == Tok::kComma) {
      Accept();
      Into(follow, [&] { Expr(); });
    }
  }

  void Index() {
    Accept();
    if (!Sync({kOptExpr, false}, Point::kBlock, 13)) return;
    if (Peek() == Tok::kQuestion) Accept();
    Into({Of({Tok::kRightBracket}), false}, [&] { Expr(); });
    Match(Tok::kRightBracket, {Of({Tok::kDot, Tok::kLeftBracket}), true}, 14);
  }

  void Primary() {
    Rule([&] {
      if (!Sync({kPrimary, false}, Point::kBlock, 15)) return;
      switch (Peek()) {
        case Tok::kLeftParen:
          Accept();
          Into({Of({Tok::kRightParen}), false}, [&] { Expr(); });
          return Match(Tok::kRightParen, {{}, true}, 16);
        case Tok::kLeftBracket: return List();
        case Tok::kLeftBrace: return Map();
        case Tok::kDot:
        case Tok::kIdent: return Name();
        default: break;
      }
      if (!Has(kLiteral, Peek())) return NoViable(at_, 0, {kPrimary, false}, 15);
      Into({{}, true}, [&] { Literal(); });
    });
  }

  void Name() {
    const std::size_t dot = Peek() == Tok::kDot;
    if (Peek(dot) != Tok::kIdent) return NoViable(at_, dot, {kPrimary, false}, 15);
    std::size_t end = dot;
    while (Peek(end + 1) == Tok::kDot && Peek(end + 2) == Tok::kIdent) end += 2;
    if (Peek(end + 1) == Tok::kLeftBrace) return Struct(end + 1);
    if (dot) Accept();
    Accept();
    if (Peek() == Tok::kLeftParen) Arguments();
  }

  void Struct(std::size_t tokens) {
    for (std::size_t i = 0; i < tokens; ++i) Accept();
    Accept();
    const Mask end = Of({Tok::kComma, Tok::kRightBrace});
    if (!Sync({kField | end, false}, Point::kBlock, 17)) return;
    if (Has(kField, Peek())) {
      Into({end, false}, [&] { Rule([&] { Fields(); }); });
    }
    Close(Tok::kRightBrace, 18);
  }

  void Fields() {
    for (;;) {
      Into({Of({Tok::kColon}), false}, [&] {
        Rule([&] {
          if (!Sync({kField, false}, Point::kBlock, 19)) return;
          if (Peek() == Tok::kQuestion) Accept();
          Into({{}, true}, [&] { EscapeIdent(); });
        });
      });
      Match(Tok::kColon, {kExpr, false}, 20);
      if (stop()) return;
      Into({Of({Tok::kComma}), true}, [&] { Expr(); });
      if (stop() || Peek() != Tok::kComma || !Has(kField, Peek(1))) return;
      Accept();
    }
  }

  void List() {
    Accept();
    const Mask end = Of({Tok::kComma, Tok::kRightBracket});
    if (!Sync({kOptExpr | end, false}, Point::kBlock, 21)) return;
    if (Has(kOptExpr, Peek())) {
      Into({end, false}, [&] {
        Rule([&] {
          for (;;) {
            Into({Of({Tok::kComma}), true}, [&] { OptExpr(); });
            if (stop() || Peek() != Tok::kComma || !Has(kOptExpr, Peek(1))) return;
            Accept();
          }
        });
      });
    }
    Close(Tok::kRightBracket, 22);
  }

  void Map() {
    Accept();
    const Mask end = Of({Tok::kComma, Tok::kRightBrace});
    if (!Sync({kOptExpr | end, false}, Point::kBlock, 23)) return;
    if (Has(kOptExpr, Peek())) {
      Into({end, false}, [&] { Rule([&] { Entries(); }); });
    }
    Close(Tok::kRightBrace, 24);
  }

  void Entries() {
    for (;;) {
      Into({Of({Tok::kColon}), false}, [&] { OptExpr(); });
      Match(Tok::kColon, {kExpr, false}, 25);
      if (stop()) return;
      Into({Of({Tok::kComma}), true}, [&] { Expr(); });
      if (stop() || Peek() != Tok::kComma || !Has(kOptExpr, Peek(1))) return;
      Accept();
    }
  }

  // ','? and the closing bracket
  void Close(Tok bracket, int state) {
    if (stop() || !Sync({Of({Tok::kComma, bracket}), false}, Point::kBlock, 100 + state)) return;
    if (Peek() == Tok::kComma) Accept();
    Match(bracket, {{}, true}, state);
  }

  void OptExpr() {
    Rule([&] {
      if (!Sync({kOptExpr, false}, Point::kBlock, 26)) return;
      if (Peek() == Tok::kQuestion) Accept();
      Into({{}, true}, [&] { Expr(); });
    });
  }

  void EscapeIdent() {
    Rule([&] {
      const Mask names = Of({Tok::kIdent, Tok::kEscapedIdent});
      if (!Sync({names, false}, Point::kBlock, 27)) return;
      if (!Has(names, Peek())) return NoViable(at_, 0, {names, false}, 27);
      Accept();
    });
  }

  void Literal() {
    Rule([&] {
      if (Peek() == Tok::kMinus) {
        Accept();
        if (Peek() != Tok::kInt && Peek() != Tok::kFloat) return NoViable(at_ - 1, 1, {kLiteral, false}, 28);
      }
      Accept();
    });
  }

  // ---- errors ----

  void Report(const Token& at, std::string message) {
    if (recovering_) return;
    recovering_ = true;
    errors_.push_back({at.offset, "Syntax error: " + message});
  }

  // What may come at a place, callers included.
  Mask Expected(const Next& here) const {
    Mask mask = here.tokens;
    bool open = here.open;
    for (std::size_t i = follow_.size(); open && i-- > 0;) {
      mask |= follow_[i].tokens;
      open = follow_[i].open;
    }
    if (open) mask |= kEnd;
    return mask;
  }

  // A token that fits.
  void Accept() {
    recovering_ = false;
    Consume();
  }

  bool DropToken(const Next& here) {
    const Mask expected = Expected(here);
    if (!Has(expected, Peek(1)) || Peek() == Tok::kEof) return false;
    Report(Current(), Cat("extraneous input ", Shown(Current().text), " expecting ", SetText(expected)));
    Consume();
    recovering_ = false;
    return true;
  }

  bool Sync(const Next& here, Point point, int state) {
    if (stop()) return false;
    if (recovering_ || here.open || Has(here.tokens, Peek())) return true;
    if (point == Point::kBlock) {
      if (DropToken(here)) return true;
      Mismatch(here, state);
      return false;
    }
    const Mask expected = Expected(here);
    Report(Current(), Cat("extraneous input ", Shown(Current().text), " expecting ", SetText(expected)));
    SkipTo(expected | RecoverySet());
    return true;
  }

  void Match(Tok token, const Next& behind, int state) {
    if (stop()) return;
    if (Peek() == token) return Accept();
    const Next here{Of({token}), false};
    if (++recoveries_ > kMaxRecoveries) return Abort("error recovery attempt limit exceeded: 30");
    if (DropToken(here)) return Accept();
    if (Has(Expected(behind), Peek())) {
      Report(Current(), Cat("missing ", SetText(here.tokens), " at ", Shown(Current().text)));
      return;
    }
    Mismatch(here, state);
  }

  void Mismatch(const Next& here, int state) {
    Report(Current(), Cat("mismatched input ", Shown(Current().text), " expecting ", SetText(Expected(here))));
    failed_ = true;
    state_ = state;
  }

  void NoViable(std::size_t start, std::size_t ahead, const Next&, int state) {
    const Token& bad = tokens_[std::min(start + ahead, tokens_.size() - 1)];
    const Token& first = tokens_[start];
    Report(bad, Cat("no viable alternative at input ", Shown(first.type == Tok::kEof ? std::string(first.text) : TextOf(start, start + ahead))));
    failed_ = true;
    state_ = state;
  }

  // The tokens and the white space between them; what is no token at all is not part of it.
  std::string TextOf(std::size_t first, std::size_t last) const {
    std::string out;
    for (std::size_t i = first; i <= std::min(last, tokens_.size() - 1); ++i) {
      const Token& token = tokens_[i];
      if (i > first) {
        const std::size_t gap = tokens_[i - 1].byte + tokens_[i - 1].text.size();
        for (const char c : source_.substr(gap, token.byte - gap)) {
          if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f') out += c;
        }
      }
      if (token.type != Tok::kEof) out += token.text;
    }
    return out;
  }

  Mask RecoverySet() const {
    Mask mask;
    for (const Next& follow : follow_) mask |= follow.tokens;
    return mask;
  }

  void Abort(const char* why) {
    aborted_ = why;
  }

  void SkipTo(const Mask& mask) {
    std::size_t skipped = 0;
    while (Peek() != Tok::kEof && !Has(mask, Peek())) {
      Consume();
      if (++skipped > kMaxSkipped) return Abort("error recovery token lookahead limit exceeded: 256");
    }
  }

  void Recover() {
    if (++recoveries_ > kMaxRecoveries) return Abort("error recovery attempt limit exceeded: 30");
    if (last_error_at_ == at_ && last_states_.contains(state_)) Consume();   // or it would go in circles
    if (last_error_at_ != at_) last_states_.clear();
    last_error_at_ = at_;
    last_states_.insert(state_);
    SkipTo(RecoverySet());
  }

  static constexpr int kMaxDepth = 250, kMaxRecoveries = 30;
  static constexpr std::size_t kMaxSkipped = 256;
  const Mask kField = Of({Tok::kQuestion, Tok::kIdent, Tok::kEscapedIdent});

  std::string_view source_;
  const std::vector<Token>& tokens_;
  std::vector<SourceError> errors_;
  std::vector<Next> follow_;          // of every rule under way, innermost last
  std::set<int> last_states_;
  std::size_t at_ = 0, last_error_at_ = SIZE_MAX;
  int depth_ = 0, recoveries_ = 0, state_ = 0;
  bool failed_ = false, recovering_ = false;
  const char* aborted_ = nullptr;
};

}  // namespace

std::vector<SourceError> SyntaxErrors(std::string_view source, const std::vector<Token>& tokens) { return Recovering(source, tokens).Whole(); }

}  // namespace skerry::kube::cel
