#include "core/text/jsonpath.h"

#include <algorithm>

#include "core/base/strings.h"

namespace skerry::text {

using json::Value;

class JsonPath::Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<JsonPath> Parse() {
    JsonPath out;
    if (!text_.empty() && text_.front() == '{' && text_.back() == '}') text_ = text_.substr(1, text_.size() - 2);
    if (!text_.empty() && (text_[0] == '$' || text_[0] == '@')) ++at_;
    // A bare name may start a path.
    if (at_ == 0 && !text_.empty() && text_[0] != '.' && text_[0] != '[') out.steps_.push_back(Name{ReadName()});
    while (at_ < text_.size()) {
      if (text_[at_] == '.') {
        ++at_;
        if (at_ < text_.size() && text_[at_] == '.') {
          ++at_;
          out.steps_.push_back(Descend{});
        }
        if (at_ < text_.size() && text_[at_] == '[') continue;
        if (text_ == "." || text_ == "$.") break;   // the document itself
        std::string name = ReadName();
        if (name.empty() || name.find(']') != std::string::npos) return Bad();
        if (name == "*") out.steps_.push_back(Any{});
        else out.steps_.push_back(Name{std::move(name)});
      } else if (text_[at_] == '[') {
        TRY(auto step, ReadBracket());
        out.steps_.push_back(std::move(step));
      } else {
        return Bad();
      }
    }
    return out;
  }

 private:
  std::unexpected<Error> Bad() const { return Fail(Code::kBadRequest, Cat("unrecognized character in path ", Quote(text_), " at ", at_)); }

  std::string ReadName() {
    std::string name;
    while (at_ < text_.size() && text_[at_] != '.' && text_[at_] != '[') {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;   // an escaped dot belongs to the name
      name += text_[at_++];
    }
    return name;
  }

  // Index of the bracket that closes the one at `open`.
  std::size_t Close(std::size_t open) const {
    int depth = 0;
    char quote = 0;
    for (std::size_t i = open; i < text_.size(); ++i) {
      const char c = text_[i];
      if (quote) {
        if (c == '\\') ++i;
        else if (c == quote) quote = 0;
      } else if (c == '\'' || c == '"') {
        quote = c;
      } else if (c == '[') {
        ++depth;
      } else if (c == ']' && --depth == 0) {
        return i;
      }
    }
    return text_.size();
  }

  static std::string Unquote(std::string_view text) {
    std::string out;
    for (std::size_t i = 1; i + 1 < text.size(); ++i) {
      if (text[i] == '\\' && i + 2 < text.size()) ++i;
      out += text[i];
    }
    return out;
  }
  static bool IsQuoted(std::string_view text) { return text.size() >= 2 && (text[0] == '\'' || text[0] == '"') && text.back() == text[0]; }

  Result<Step> ReadBracket() {
    const std::size_t close = Close(at_);
    if (close == text_.size()) return Bad();
    const std::string_view inside = Trim(text_.substr(at_ + 1, close - at_ - 1));
    at_ = close + 1;
    if (inside == "*") return Step(Any{});
    if (inside.starts_with("?(") && inside.ends_with(")")) return ReadFilter(Trim(inside.substr(2, inside.size() - 3)));
    if (!inside.empty() && (inside[0] == '\'' || inside[0] == '"')) {
      Names names;
      for (std::string_view piece : Split(inside, ',')) {
        piece = Trim(piece);
        if (!IsQuoted(piece)) return Bad();
        names.names.push_back(Unquote(piece));
      }
      return Step(std::move(names));
    }
    return ReadRange(inside);
  }

  Result<Step> ReadRange(std::string_view inside) {
    const auto parts = Split(inside, ':');
    Range range;
    if (parts.size() > 3) return Bad();
    const auto number = [](std::string_view text, std::int64_t* out, bool* has) {
      text = Trim(text);
      if (text.empty()) return true;
      const auto value = ParseInt(text);
      if (!value) return false;
      *out = *value;
      *has = true;
      return true;
    };
    bool has_step = false;
    if (!number(parts[0], &range.from, &range.has_from)) return Bad();
    if (parts.size() == 1) {
      if (!range.has_from) return Bad();
      range.single = true;
      return Step(range);
    }
    if (!number(parts[1], &range.to, &range.has_to)) return Bad();
    if (parts.size() == 3 && !number(parts[2], &range.step, &has_step)) return Bad();
    if (range.step <= 0) return Bad();
    return Step(range);
  }

  Result<Step> ReadFilter(std::string_view inside) {
    auto filter = std::make_shared<Filter>();
    std::string_view left = inside, right;
    char quote = 0;
    for (std::size_t i = 0; i < inside.size(); ++i) {
      const char c = inside[i];
      if (quote) {
        if (c == quote) quote = 0;
        continue;
      }
      if (c == '\'' || c == '"') quote = c;
      if (c != '=' && c != '!' && c != '<' && c != '>') continue;
      const std::size_t length = i + 1 < inside.size() && inside[i + 1] == '=' ? 2 : 1;
      filter->op = inside.substr(i, length);
      if (filter->op == "=" || filter->op == "!") return Bad();
      left = Trim(inside.substr(0, i));
      right = Trim(inside.substr(i + length));
      break;
    }
    TRY(auto path, JsonPath::Parse(left));
    filter->left = std::make_shared<const JsonPath>(std::move(path));
    if (filter->op.empty()) return Step(std::shared_ptr<const Filter>(std::move(filter)));
    if (right.starts_with("@") || right.starts_with("$")) {
      TRY(auto other, JsonPath::Parse(right));
      filter->right = std::make_shared<const JsonPath>(std::move(other));
    } else if (IsQuoted(right)) {
      filter->literal = Value(Unquote(right));
    } else if (!Value::Parse(right, &filter->literal, nullptr)) {
      return Bad();
    }
    return Step(std::shared_ptr<const Filter>(std::move(filter)));
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

Result<JsonPath> JsonPath::Parse(std::string_view text) { return Parser(Trim(text)).Parse(); }

bool JsonPath::Passes(const Filter& filter, const Value& item) {
  const auto left = filter.left->Find(item);
  if (filter.op.empty()) return !left.empty();
  if (left.empty()) return false;
  const auto right = filter.right ? filter.right->Find(item) : std::vector<const Value*>{&filter.literal};
  if (right.empty()) return false;
  const Value &a = *left.front(), &b = *right.front();
  if (filter.op == "==") return a == b;
  if (filter.op == "!=") return !(a == b);
  const bool numbers = a.is_number() && b.is_number();
  if (!numbers && !(a.is_string() && b.is_string())) return false;
  const int order = numbers ? (a.Double() > b.Double()) - (a.Double() < b.Double()) : a.Str().compare(b.Str());
  if (filter.op == "<") return order < 0;
  if (filter.op == "<=") return order <= 0;
  if (filter.op == ">") return order > 0;
  return order >= 0;
}

namespace {

void Descendants(const Value& value, std::vector<const Value*>& out) {
  out.push_back(&value);
  for (const auto& member : value.Members()) Descendants(member.value, out);
  for (const auto& item : value.Items()) Descendants(item, out);
}

void Children(const Value& value, std::vector<const Value*>& out) {
  for (const auto& member : value.Members()) out.push_back(&member.value);
  for (const auto& item : value.Items()) out.push_back(&item);
}

}  // namespace

void JsonPath::Apply(const Step& step, const Value& value, std::vector<const Value*>& out) {
  if (const auto* name = std::get_if<Name>(&step)) {
    if (const Value* found = value.Find(name->name)) out.push_back(found);
  } else if (std::holds_alternative<Any>(step)) {
    Children(value, out);
  } else if (std::holds_alternative<Descend>(step)) {
    Descendants(value, out);
  } else if (const auto* names = std::get_if<Names>(&step)) {
    for (const auto& one : names->names)
      if (const Value* found = value.Find(one)) out.push_back(found);
  } else if (const auto* range = std::get_if<Range>(&step)) {
    const auto size = static_cast<std::int64_t>(value.Items().size());
    std::int64_t from = range->has_from ? range->from : 0, to = range->single ? from + 1 : range->has_to ? range->to : size;
    if (from < 0) from += size;
    if (range->single) to = from + 1;
    else if (to < 0) to += size;
    for (std::int64_t i = std::max<std::int64_t>(from, 0); i < std::min(to, size) && from >= 0; i += range->step) out.push_back(&value.Items()[static_cast<std::size_t>(i)]);
  } else {
    const Filter& filter = *std::get<std::shared_ptr<const Filter>>(step);
    for (const auto& item : value.Items())
      if (Passes(filter, item)) out.push_back(&item);
  }
}

namespace {

// How much one look-up may do, its filters included: "..*..*..*" selects powers of what a document holds.
constexpr std::size_t kMostWork = 50'000;

class Work {
 public:
  Work() { if (nested_++ == 0) done_ = 0; }
  ~Work() { --nested_; }
  Work(const Work&) = delete;
  bool Spend(std::size_t amount) { return (done_ += amount) <= kMostWork; }

 private:
  static thread_local std::size_t done_;
  static thread_local int nested_;
};
thread_local std::size_t Work::done_ = 0;
thread_local int Work::nested_ = 0;

}  // namespace

std::vector<const Value*> JsonPath::Find(const Value& document) const {
  Work work;
  std::vector<const Value*> current{&document};
  for (const auto& step : steps_) {
    std::vector<const Value*> next;
    for (const Value* value : current) {
      const std::size_t before = next.size();
      Apply(step, *value, next);
      if (!work.Spend(1 + next.size() - before)) return {};
    }
    current = std::move(next);
  }
  return current;
}

}  // namespace skerry::text
