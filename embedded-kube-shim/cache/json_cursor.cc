#include "embedded-kube-shim/cache/json_cursor.h"

#include "core/json/skip.h"
#include "core/json/value.h"

namespace skerry::kube {

void JsonCursor::SkipString() {
  if (!Take('"')) { failed_ = true; return; }
  const char* const end = text_.data() + text_.size();
  for (const char* p = text_.data() + at_; (p = json::FindQuoteOrEscape(p, end)) != end; p += 2) {
    if (*p == '"') {
      at_ = static_cast<std::size_t>(p - text_.data()) + 1;
      return;
    }
    if (end - p < 2) break;
  }
  at_ = text_.size();
  failed_ = true;
}

std::string JsonCursor::String() {
  const std::size_t start = at_;
  SkipString();
  if (failed_) return {};
  const std::string_view quoted = text_.substr(start, at_ - start);
  if (quoted.find('\\') == std::string_view::npos) return std::string(quoted.substr(1, quoted.size() - 2));
  json::Value value;
  std::string error;
  if (!json::Value::Parse(quoted, &value, &error)) { failed_ = true; return {}; }
  return std::string(value.Str());
}

std::string JsonCursor::Scalar() {
  if (Peek() == '"') return String();
  const std::size_t start = at_;
  Skip();
  return std::string(text_.substr(start, at_ - start));
}

void JsonCursor::Skip() {
  const char c = Peek();
  if (c == '"') return SkipString();
  if (c == '{' || c == '[') {
    const char* const end = text_.data() + text_.size();
    const char* const behind = json::SkipContainer(text_.data() + at_, end);
    failed_ = behind == nullptr;
    at_ = failed_ ? text_.size() : static_cast<std::size_t>(behind - text_.data());
    return;
  }
  const std::size_t start = at_;
  while (at_ < text_.size() && std::string_view(",]} \n\t\r:{[\"").find(text_[at_]) == std::string_view::npos) ++at_;
  if (at_ == start) failed_ = true;
}

}  // namespace skerry::kube
