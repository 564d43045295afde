#pragma once
#include <string>
#include <string_view>

namespace skerry::kube {

// Walks JSON that is known to be well-formed (our own committed bytes) without building a document. Anything else ends the walk early,
// never out of bounds.
class JsonCursor {
 public:
  explicit JsonCursor(std::string_view text) : text_(text) {}
  std::size_t offset() const { return at_; }
  bool failed() const { return failed_; }
  bool Enter(char open) { Space(); return Take(open); }        // '{' or '['
  // The next member's key; false at the end of the object (which is consumed).
  bool NextMember(std::string* key) {
    Space();
    if (failed_ || Take('}')) return false;
    Take(',');
    Space();
    *key = String();
    Space();
    if (!Take(':')) failed_ = true;
    Space();
    return !failed_;
  }
  bool NextItem() {
    Space();
    if (failed_ || Take(']')) return false;
    Take(',');
    Space();
    if (at_ >= text_.size()) failed_ = true;
    return !failed_;
  }
  char Peek() { Space(); return at_ < text_.size() ? text_[at_] : '\0'; }
  std::string String();     // unescaped
  std::string Scalar();     // the text of a string, else the literal
  void Skip();              // any value

 private:
  void Space() { while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) ++at_; }
  bool Take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void SkipString();

  std::string_view text_;
  std::size_t at_ = 0;
  bool failed_ = false;
};

}  // namespace skerry::kube
