#include <re2/re2.h>

#include "core/base/strings.h"
#include "embedded-kube-shim/cel/functions.h"
#include "embedded-kube-shim/cel/pattern.h"

namespace skerry::kube::cel {
namespace {

// The reasons in the words of Go's parser of the same syntax.
std::string_view Reason(RE2::ErrorCode code) {
  switch (code) {
    case RE2::ErrorBadEscape: return "invalid escape sequence";
    case RE2::ErrorBadCharClass: return "invalid character class";
    case RE2::ErrorBadCharRange: return "invalid character class range";
    case RE2::ErrorMissingBracket: return "missing closing ]";
    case RE2::ErrorMissingParen: return "missing closing )";
    case RE2::ErrorUnexpectedParen: return "unexpected )";
    case RE2::ErrorTrailingBackslash: return "trailing backslash at end of expression";
    case RE2::ErrorRepeatArgument: return "missing argument to repetition operator";
    case RE2::ErrorRepeatSize: return "invalid repeat count";
    case RE2::ErrorRepeatOp: return "invalid nested repetition operator";
    case RE2::ErrorBadPerlOp: return "invalid or unsupported Perl syntax";
    case RE2::ErrorBadUTF8: return "invalid UTF-8";
    case RE2::ErrorBadNamedCapture: return "invalid named capture";
    case RE2::ErrorPatternTooLarge: return "expression too large";
    default: return "internal error";
  }
}

// (?<name>…) is (?P<name>…): the installed RE2 knows only the longer form.
std::string LongNames(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    out += pattern[i];
    if (pattern[i] == '\\' && i + 1 < pattern.size()) {
      out += pattern[++i];
    } else if (in_class) {
      in_class = pattern[i] != ']';
    } else if (pattern[i] == '[') {
      in_class = true;
    } else if (pattern.substr(i).starts_with("(?<") && i + 3 < pattern.size() && pattern[i + 3] != '=' && pattern[i + 3] != '!') {
      out += "?P";
      ++i;
    }
  }
  return out;
}

std::shared_ptr<const RE2> Compile(std::string_view pattern, std::string* error) {
  auto compiled = std::make_shared<const RE2>(LongNames(pattern), RE2::Options(RE2::Quiet));
  if (compiled->ok()) return compiled;
  *error = Cat("error parsing regexp: ", Reason(compiled->error_code()), ": `", compiled->error_arg(), "`");
  if (compiled->error_code() == RE2::ErrorTrailingBackslash) *error = Cat("error parsing regexp: ", Reason(compiled->error_code()), ": ``");
  return nullptr;
}

std::shared_ptr<const void> PreparePattern(std::span<const Val* const> constants, std::string* error) {
  if (constants.size() < 2 || constants[1] == nullptr || !constants[1]->is(Kind::kString)) return nullptr;
  return Compile(constants[1]->text(), error);
}

// The prepared pattern, or one compiled now; null and *error when it is none.
std::shared_ptr<const RE2> PatternOf(const CallSite& site, const Val& pattern, std::string* error) {
  if (site.prepared != nullptr) return std::shared_ptr<const RE2>(std::shared_ptr<const void>(), static_cast<const RE2*>(site.prepared));
  return Compile(pattern.text(), error);
}

Val Matches(const CallSite& site, Args a) {
  std::string error;
  const auto pattern = PatternOf(site, a[1], &error);
  if (pattern == nullptr) return Val::Error(std::move(error));
  return Val::Bool(RE2::PartialMatch(re2::StringPiece(a[0].text().data(), a[0].text().size()), *pattern));
}

Val Find(const CallSite& site, Args a) {
  std::string error;
  const auto pattern = PatternOf(site, a[1], &error);
  if (pattern == nullptr) return Val::Error("Illegal regex: " + error);
  re2::StringPiece match;
  const re2::StringPiece text(a[0].text().data(), a[0].text().size());
  if (!pattern->Match(text, 0, text.size(), RE2::UNANCHORED, &match, 1)) return Val::String("");
  return Val::String(std::string(match.data(), match.size()));
}

Val FindAll(const CallSite& site, Args a) {
  std::string error;
  const auto pattern = PatternOf(site, a[1], &error);
  if (pattern == nullptr) return Val::Error("Illegal regex: " + error);
  const std::int64_t limit = a.size() == 3 ? a[2].integer() : -1;
  const re2::StringPiece text(a[0].text().data(), a[0].text().size());
  std::vector<Val> found;
  const char* last_end = nullptr;
  for (std::size_t at = 0; at <= text.size() && (limit < 0 || static_cast<std::int64_t>(found.size()) < limit);) {
    re2::StringPiece match;
    if (!pattern->Match(text, at, text.size(), RE2::UNANCHORED, &match, 1)) break;
    const auto end = static_cast<std::size_t>(match.data() + match.size() - text.data());
    // An empty match right behind another does not count.
    if (!match.empty() || match.data() != last_end) found.push_back(Val::String(std::string(match.data(), match.size())));
    last_end = text.data() + end;
    at = match.empty() ? end + 1 : end;
  }
  return Val::List(std::move(found));
}

constexpr FunctionRow kPatterns[] = {
    {"matches", "matches", "(string, string) -> bool", Matches, PreparePattern},
    {"matches", "matches_string", "string.(string) -> bool", Matches, PreparePattern},
    {"find", "string_find_string", "string.(string) -> string", Find, PreparePattern},
    {"findAll", "string_find_all_string", "string.(string) -> list(string)", FindAll, PreparePattern},
    {"findAll", "string_find_all_string_int", "string.(string, int) -> list(string)", FindAll, PreparePattern},
};

}  // namespace

namespace {

class Re2Pattern final : public Pattern {
 public:
  explicit Re2Pattern(std::shared_ptr<const RE2> compiled) : compiled_(std::move(compiled)) {}
  bool Matches(std::string_view text) const override { return RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *compiled_); }

 private:
  const std::shared_ptr<const RE2> compiled_;
};

}  // namespace

std::shared_ptr<const Pattern> CompilePattern(std::string_view pattern, std::string* error) {
  std::string unused;
  auto compiled = Compile(pattern, error ? error : &unused);
  return compiled ? std::make_shared<const Re2Pattern>(std::move(compiled)) : nullptr;
}

bool IsPattern(std::string_view text) {
  std::string error;
  return Compile(text, &error) != nullptr;
}

bool MatchesWhole(std::string_view text, std::string_view pattern) {
  return RE2::FullMatch(re2::StringPiece(text.data(), text.size()), RE2(re2::StringPiece(pattern.data(), pattern.size()), RE2::Quiet));
}

void AddPatterns(Library& library) { library.Add(kPatterns); }

}  // namespace skerry::kube::cel
