#pragma once
#include <memory>
#include <string>
#include <string_view>

namespace skerry::kube::cel {

// A compiled regular expression. Thread-safe; time is linear in the text.
class Pattern {
 public:
  virtual ~Pattern() = default;
  virtual bool Matches(std::string_view text) const = 0;   // anywhere in it
};
// Null when it is none; `error` then says why in Go's words: "error parsing regexp: missing closing ): `(`".
std::shared_ptr<const Pattern> CompilePattern(std::string_view pattern, std::string* error);

bool IsPattern(std::string_view text);   // a regular expression in RE2's syntax
bool MatchesWhole(std::string_view text, std::string_view pattern);   // `pattern` is ours

}  // namespace skerry::kube::cel
