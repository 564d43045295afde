#pragma once
#include <string_view>

namespace skerry::kube::cel {

bool IsPattern(std::string_view text);   // a regular expression in RE2's syntax
bool MatchesWhole(std::string_view text, std::string_view pattern);   // `pattern` is ours

}  // namespace skerry::kube::cel
