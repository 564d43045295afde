#include "embedded-kube-shim/cache/json_cursor.h"

#include "core/json/value.h"

namespace skerry::kube {

void JsonCursor::SkipString() {
  if (!Take('"')) { failed_ = true; return; }
  while (at_ < text_.size()) {
    const char c = text_[at_++];
    if (c == '"') return;
    if (c == '\\') ++at_;
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
  int depth = 0;
  do {
    Space();
    if (at_ >= text_.size()) { failed_ = true; return; }
    const char c = text_[at_];
    if (c == '"') {
      SkipString();
      if (failed_) return;
    } else if (c == '{' || c == '[') {
      ++depth;
      ++at_;
    } else if (c == '}' || c == ']') {
      if (depth == 0) { failed_ = true; return; }
      --depth;
      ++at_;
    } else if (c == ',' || c == ':') {
      if (depth == 0) { failed_ = true; return; }
      ++at_;
    } else {
      while (at_ < text_.size() && std::string_view(",]} \n\t\r:").find(text_[at_]) == std::string_view::npos) ++at_;
    }
  } while (depth > 0);
}

}  // namespace skerry::kube
