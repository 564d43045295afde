#include "core/json/parse.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

#include "core/base/strings.h"
#include "core/json/layout.h"
#include "core/json/skip.h"
#include "core/json/plain_run.h"
#include "core/json/utf8.h"

namespace skerry::json {
namespace {

void AppendUtf8(std::string& out, unsigned u) {
  if (u < 0x80) {
    out += static_cast<char>(u);
  } else if (u < 0x800) {
    out += static_cast<char>(0xC0 | u >> 6);
    out += static_cast<char>(0x80 | (u & 63));
  } else if (u < 0x10000) {
    out += static_cast<char>(0xE0 | u >> 12);
    out += static_cast<char>(0x80 | (u >> 6 & 63));
    out += static_cast<char>(0x80 | (u & 63));
  } else {
    out += static_cast<char>(0xF0 | u >> 18);
    out += static_cast<char>(0x80 | (u >> 12 & 63));
    out += static_cast<char>(0x80 | (u >> 6 & 63));
    out += static_cast<char>(0x80 | (u & 63));
  }
}

// 'x' as Go quotes a byte taken as a code point.
std::string QuoteByte(unsigned char c) {
  if (c == '\'') return "'\\''";
  if (c == '"') return "'\"'";
  char buffer[12];
  if (c >= 0x80) {
    if (c < 0xA1 || c == 0xAD) {
      std::snprintf(buffer, sizeof buffer, "'\\u%04x'", c);
      return buffer;
    }
    std::string out = "'";
    AppendUtf8(out, c);
    return out + "'";
  }
  std::string quoted = Quote(std::string_view(reinterpret_cast<const char*>(&c), 1));
  quoted.front() = quoted.back() = '\'';
  return quoted;
}

int HexDigit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// What a parser works with; kept for the thread's next document, as most are small and their number is large.
struct Stacks {
  std::vector<Member> members;   // of objects that are not finished, innermost last
  std::vector<Value> items;
  std::string scratch;
};

class Parser {
 public:
  Parser(std::string_view text, const ParseOptions& options, bool notes = false) : p_(text.data()), end_(text.data() + text.size()), options_(options), notes_(notes) {}
  ~Parser() {
    constexpr std::size_t kMostKept = 1024;
    if (members_.capacity() > kMostKept || items_.capacity() > kMostKept || scratch_.capacity() > kMostKept * 16) return;
    members_.clear();
    items_.clear();
    spare_ = std::move(stacks_);
  }
  Parser(const Parser&) = delete;

  bool Document(Value* out) {
    SkipSpace();
    if (!Any(out)) return false;
    SkipSpace();
    return p_ == end_ || Unexpected("after top-level value");
  }
  std::string& error() { return error_; }

 private:
  // A place in the document, for the path of a repeated key: a chain on the stack.
  struct Place {
    const Place* parent;
    std::string_view key;
    std::size_t index;
    bool is_index;
  };

  void SkipSpace() {
    while (p_ < end_ && (*p_ == ' ' || *p_ == '\n' || *p_ == '\t' || *p_ == '\r')) ++p_, space_seen_ = true;
  }

  // Fails on the current character.
  bool Unexpected(std::string_view where) {
    if (p_ >= end_) error_ = "unexpected end of JSON input";
    else error_ = Cat("invalid character ", QuoteByte(static_cast<unsigned char>(*p_)), " ", where);
    return false;
  }
  // The same inside a token, where Go's scanner reads the end of the input as a space.
  bool UnexpectedIn(std::string_view token) {
    if (p_ < end_) return Unexpected(token);
    error_ = Cat("invalid character ' ' ", token);
    return false;
  }

  bool Any(Value* out) {
    if (p_ >= end_) return Unexpected("");
    switch (*p_) {
      case '{': return Object(out);
      case '[': return Array(out);
      case '"': {
        std::string_view text;
        if (!String(&text)) return false;
        *out = Value(text);
        return true;
      }
      case 't': return Literal("true", Value(true), out);
      case 'f': return Literal("false", Value(false), out);
      case 'n': return Literal("null", Value(), out);
      default:
        if (*p_ == '-' || IsDigit(*p_)) return Number(out);
        return Unexpected("looking for beginning of value");
    }
  }

  bool Literal(std::string_view word, Value value, Value* out) {
    for (std::size_t i = 0; i < word.size(); ++i, ++p_) {
      if (p_ >= end_ || *p_ != word[i]) return UnexpectedIn(Cat("in literal ", word, " (expecting ", QuoteByte(static_cast<unsigned char>(word[i])), ")"));
    }
    *out = std::move(value);
    return true;
  }

  bool Enter() {
    if (++depth_ <= options_.max_depth) return true;
    error_ = "exceeded max depth";
    return false;
  }

  // White space inside of a container is inside of those around it, too.
  void Leave(Value* container, bool outer) {
    if (space_seen_ && notes_) Note(*container);
    space_seen_ |= outer;
  }

  bool Array(Value* out) {
    if (!Enter()) return false;
    ++p_;
    Place place{place_, {}, 0, true};
    place_ = &place;
    const std::size_t first = items_.size();
    const bool outer = std::exchange(space_seen_, false);
    SkipSpace();
    if (p_ < end_ && *p_ == ']') ++p_;
    else if (!ArrayItems(place)) return false;
    *out = Value::Array();
    if (items_.size() > first) TakeFrom(items_, first, out->MutableItems());
    Leave(out, outer);
    place_ = place.parent;
    --depth_;
    return true;
  }

  bool ArrayItems(Place& place) {
    for (;; ++place.index) {
      SkipSpace();
      Value item;
      if (!Any(&item)) return false;
      items_.push_back(std::move(item));
      SkipSpace();
      if (p_ >= end_ || (*p_ != ',' && *p_ != ']')) return Unexpected("after array element");
      if (*p_++ == ']') return true;
    }
  }

  bool Object(Value* out) {
    if (!Enter()) return false;
    ++p_;
    Place place{place_, {}, 0, false};
    place_ = &place;
    const std::size_t first = members_.size();
    const bool outer = std::exchange(space_seen_, false);
    SkipSpace();
    if (p_ < end_ && *p_ == '}') ++p_;
    else if (!ObjectMembers(first, place)) return false;
    *out = Value::Object();
    if (members_.size() > first) TakeFrom(members_, first, out->MutableMembers());
    Leave(out, outer);
    place_ = place.parent;
    --depth_;
    return true;
  }

  // Moves what was read since `first` into a container of exactly that size: cheaper than growing it, and nothing is wasted.
  template <class T>
  static void TakeFrom(std::vector<T>& stack, std::size_t first, std::vector<T>& out) {
    out.reserve(stack.size() - first);
    for (std::size_t i = first; i < stack.size(); ++i) out.push_back(std::move(stack[i]));
    stack.erase(stack.begin() + static_cast<std::ptrdiff_t>(first), stack.end());
  }

  using Index = std::unordered_map<std::string, std::size_t, StringHash, std::equal_to<>>;

  bool ObjectMembers(std::size_t first, Place& place) {
    std::optional<Index> index;   // only for large objects
    for (;;) {
      SkipSpace();
      if (p_ >= end_ || *p_ != '"') return Unexpected("looking for beginning of object key string");
      std::string_view key;
      if (!String(&key)) return false;
      if (options_.skip && options_.skip->Has(key)) {
        SkipSpace();
        if (p_ >= end_ || *p_ != ':') return Unexpected("after object key");
        ++p_;
        SkipSpace();
        if (!PassOver()) return false;
        SkipSpace();
        if (p_ >= end_ || (*p_ != ',' && *p_ != '}')) return Unexpected("after object key:value pair");
        if (*p_++ == '}') return true;
        continue;
      }
      // Members in work live on members_ until the object ends; values in between may move them, so the place is kept as a number.
      std::size_t at = options_.keep_duplicates ? members_.size() : Position(first, index, key);
      const bool repeated = at < members_.size();
      if (!repeated) members_.emplace_back(Member{std::string(key), Value()});
      std::string long_key;
      if (options_.duplicates) {   // paths are needed
        long_key = members_[at].key;
        place.key = long_key;
        if (repeated) Report();
      }
      SkipSpace();
      if (p_ >= end_ || *p_ != ':') return Unexpected("after object key");
      ++p_;
      SkipSpace();
      Value value;
      if (!Any(&value)) return false;
      members_[at].value = std::move(value);
      SkipSpace();
      if (p_ >= end_ || (*p_ != ',' && *p_ != '}')) return Unexpected("after object key:value pair");
      if (*p_++ == '}') return true;
    }
  }

  // To behind the value; what is inside of it is not checked.
  bool PassOver() {
    if (p_ < end_ && *p_ == '"') {   // read, not kept
      std::string_view text;
      return String(&text);
    }
    if (p_ >= end_ || (*p_ != '{' && *p_ != '[')) {
      Value scalar;
      return Any(&scalar);
    }
    if (const char* behind = SkipContainer(p_, end_)) {
      p_ = behind;
      return true;
    }
    p_ = end_;
    return Unexpected("");
  }

  static constexpr std::size_t kIndexFrom = 24;   // linear search up to here, a hash table beyond: never quadratic

  // Where the key is, or members_.size() when it is new.
  std::size_t Position(std::size_t first, std::optional<Index>& index, std::string_view key) {
    if (members_.size() - first < kIndexFrom) {
      for (std::size_t i = first; i < members_.size(); ++i) {
        if (members_[i].key == key) return i;
      }
      return members_.size();
    }
    if (!index) {
      index.emplace();
      for (std::size_t i = first; i < members_.size(); ++i) index->emplace(members_[i].key, i);
    }
    return index->emplace(std::string(key), members_.size()).first->second;
  }

  void Report() {
    if (!options_.duplicates || options_.duplicates->size() >= 100) return;
    std::vector<const Place*> chain;
    for (const Place* p = place_; p; p = p->parent) chain.push_back(p);
    std::string path;
    for (std::size_t i = chain.size(); i-- > 0;) {
      if (chain[i]->is_index) path += Cat('[', chain[i]->index, ']');
      else path += (path.empty() ? "" : ".") + std::string(chain[i]->key);
    }
    auto& out = *options_.duplicates;
    if (std::find(out.begin(), out.end(), path) == out.end()) out.push_back(std::move(path));
  }

  // The decoded text: a view into the input, or into scratch_ until the next call.
  bool String(std::string_view* out) {
    const char* start = ++p_;
    p_ = SkipPlain(p_, end_);
    if (p_ < end_ && *p_ == '"') {
      *out = std::string_view(start, static_cast<std::size_t>(p_ - start));
      ++p_;
      return true;
    }
    scratch_.assign(start, p_);
    for (;;) {
      if (p_ >= end_) return Unexpected("");
      const auto c = static_cast<unsigned char>(*p_);
      if (c == '"') break;
      if (c < 0x20) return Unexpected("in string literal");
      if (c == '\\') {
        if (!Escape()) return false;
      } else if (c >= 0x80) {
        const std::size_t n = Utf8Length(std::string_view(p_, static_cast<std::size_t>(end_ - p_)));
        if (n == 0) scratch_ += kReplacement;
        else scratch_.append(p_, n);
        p_ += n == 0 ? 1 : n;
      }
      const char* run = p_;
      p_ = SkipPlain(p_, end_);
      scratch_.append(run, p_);
    }
    ++p_;
    *out = scratch_;
    return true;
  }

  // Four hexadecimal digits at p_.
  bool HexQuad(unsigned* out) {
    *out = 0;
    for (int i = 0; i < 4; ++i, ++p_) {
      const int d = p_ < end_ ? HexDigit(*p_) : -1;
      if (d < 0) return UnexpectedIn("in \\u hexadecimal character escape");
      *out = *out << 4 | static_cast<unsigned>(d);
    }
    return true;
  }

  bool Escape() {
    ++p_;
    if (p_ >= end_) return UnexpectedIn("in string escape code");
    switch (*p_) {
      case '"': scratch_ += '"'; break;
      case '\\': scratch_ += '\\'; break;
      case '/': scratch_ += '/'; break;
      case 'b': scratch_ += '\b'; break;
      case 'f': scratch_ += '\f'; break;
      case 'n': scratch_ += '\n'; break;
      case 'r': scratch_ += '\r'; break;
      case 't': scratch_ += '\t'; break;
      case 'u': {
        ++p_;
        unsigned u = 0;
        if (!HexQuad(&u)) return false;
        if (u < 0xD800 || u >= 0xE000) {
          AppendUtf8(scratch_, u);
          return true;
        }
        // A high surrogate counts only with a low one right behind; otherwise what follows is read on its own.
        const char* back = p_;
        unsigned low = 0;
        if (u < 0xDC00 && end_ - p_ >= 2 && p_[0] == '\\' && p_[1] == 'u') {
          p_ += 2;
          if (!HexQuad(&low)) return false;
          if (low >= 0xDC00 && low < 0xE000) {
            AppendUtf8(scratch_, 0x10000 + ((u - 0xD800) << 10) + (low - 0xDC00));
            return true;
          }
          p_ = back;
        }
        scratch_ += kReplacement;
        return true;
      }
      default: return UnexpectedIn("in string escape code");
    }
    ++p_;
    return true;
  }

  bool Number(Value* out) {
    const char* start = p_;
    bool integer = true;
    if (*p_ == '-') ++p_;
    if (p_ >= end_ || !IsDigit(*p_)) return UnexpectedIn("in numeric literal");
    if (*p_ == '0') ++p_;
    else while (p_ < end_ && IsDigit(*p_)) ++p_;
    if (p_ < end_ && *p_ == '.') {
      integer = false;
      ++p_;
      if (p_ >= end_ || !IsDigit(*p_)) return UnexpectedIn("after decimal point in numeric literal");
      while (p_ < end_ && IsDigit(*p_)) ++p_;
    }
    if (p_ < end_ && (*p_ == 'e' || *p_ == 'E')) {
      integer = false;
      ++p_;
      if (p_ < end_ && (*p_ == '+' || *p_ == '-')) ++p_;
      if (p_ >= end_ || !IsDigit(*p_)) return UnexpectedIn("in exponent of numeric literal");
      while (p_ < end_ && IsDigit(*p_)) ++p_;
    }
    if (integer) {
      std::int64_t i = 0;
      if (std::from_chars(start, p_, i).ec == std::errc()) {
        *out = Value(i);
        return true;
      }
      std::uint64_t u = 0;
      if (*start != '-' && std::from_chars(start, p_, u).ec == std::errc()) {
        *out = Value(u);
        return true;
      }
    }
    double d = 0;
    if (std::from_chars(start, p_, d).ec != std::errc()) {
      // Too small is zero (or the nearest denormal), too large an error: from_chars does not tell which.
      d = std::strtod(std::string(start, p_).c_str(), nullptr);
      if (d > 1 || d < -1) {
        error_ = Cat("json: cannot unmarshal number ", std::string_view(start, static_cast<std::size_t>(std::min<std::ptrdiff_t>(p_ - start, 100))),
                     " into Go value of type float64");
        return false;
      }
    }
    *out = Value(d);
    if (notes_ && !integer) Note(*out);
    return true;
  }

  bool space_seen_ = false;   // since the container around began
  const char* p_;
  const char* const end_;
  const ParseOptions& options_;
  const bool notes_;
  const Place* place_ = nullptr;
  int depth_ = 0;
  std::string error_;
  static thread_local std::unique_ptr<Stacks> spare_;
  std::unique_ptr<Stacks> stacks_ = spare_ ? std::move(spare_) : std::make_unique<Stacks>();
  std::string& scratch_ = stacks_->scratch;
  std::vector<Member>& members_ = stacks_->members;
  std::vector<Value>& items_ = stacks_->items;
};

thread_local std::unique_ptr<Stacks> Parser::spare_;

}  // namespace

namespace {

Result<Value> ParseWith(std::string_view text, const ParseOptions& options, bool notes) {
  if (text.size() > options.max_bytes) return Fail(Code::kTooLarge, Cat("JSON of ", text.size(), " bytes is larger than ", options.max_bytes));
  Value out;
  Parser parser(text, options, notes);
  if (!parser.Document(&out)) return Fail(Code::kBadRequest, std::move(parser.error()));
  return out;
}

}  // namespace

Result<Value> Parse(std::string_view text, const ParseOptions& options) { return ParseWith(text, options, false); }
Result<Value> ParseAsWritten(std::string_view text) { return ParseWith(text, {}, true); }

Result<Value> ParseBodyAsWritten(std::string_view text) {
  ParseOptions options;
  options.keep_duplicates = true;
  return ParseWith(text, options, true);
}

bool Value::Parse(std::string_view text, Value* out, std::string* err) {
  auto v = json::Parse(text);
  if (v) {
    *out = *std::move(v);
    return true;
  }
  if (err) *err = v.error().message();
  return false;
}

}  // namespace skerry::json
