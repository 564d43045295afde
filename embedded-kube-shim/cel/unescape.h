#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace skerry::kube::cel {

// The value of a string or bytes literal token (prefix and quotes included); nothing when an escape has no meaning there (\u in bytes, a
// surrogate, a code point above U+10FFFF).
std::optional<std::string> Unescape(std::string_view literal);
void AppendUtf8(std::string& out, char32_t c);

}  // namespace skerry::kube::cel
