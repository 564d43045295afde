#include "embedded-kube-shim/server/proxy_html.h"

#include <algorithm>
#include <array>

#include "core/base/strings.h"

namespace skerry::kube {
namespace {

constexpr std::array<std::string_view, 15> kLinks = {"action", "archive",  "background", "cite", "classid", "codebase", "data", "formaction",
                                                     "href",   "longdesc", "manifest",   "poster", "profile", "src",      "usemap"};

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool HoldsLink(std::string_view attribute) { return std::find(kLinks.begin(), kLinks.end(), ToLower(attribute)) != kLinks.end(); }

class Rewriter {
 public:
  Rewriter(std::string_view html, std::string_view prefix) : html_(html), prefix_(prefix) { out_.reserve(html.size() + html.size() / 16); }

  std::string Run() {
    while (at_ < html_.size()) {
      const std::size_t open = std::min(html_.find('<', at_), html_.size());
      Copy(open);
      if (at_ == html_.size()) break;
      if (html_.substr(at_).starts_with("<!--")) {
        CopyThrough("-->");
      } else if (at_ + 1 < html_.size() && IsLetter(html_[at_ + 1])) {
        Tag();
      } else {
        Copy(at_ + 1);
      }
    }
    return std::move(out_);
  }

 private:
  void Copy(std::size_t end) {
    out_.append(html_, at_, end - at_);
    at_ = end;
  }
  void CopyThrough(std::string_view mark) {
    const std::size_t found = html_.find(mark, at_);
    Copy(found == std::string_view::npos ? html_.size() : found + mark.size());
  }

  void Tag() {
    std::size_t end = at_ + 1;
    while (end < html_.size() && !IsSpace(html_[end]) && html_[end] != '>' && html_[end] != '/') ++end;
    const std::string name = ToLower(html_.substr(at_ + 1, end - at_ - 1));
    Copy(end);
    while (at_ < html_.size() && html_[at_] != '>') Attribute();
    if (name != "script" && name != "style") return;
    // Raw text: ends at its own closing tag only.
    std::size_t close = at_;
    do {
      close = html_.find("</", close + 1);
    } while (close != std::string_view::npos && ToLower(html_.substr(close + 2, name.size())) != name);
    Copy(close == std::string_view::npos ? html_.size() : close);
  }

  void Attribute() {
    std::size_t end = at_;
    while (end < html_.size() && (IsSpace(html_[end]) || html_[end] == '/')) ++end;
    Copy(end);
    while (end < html_.size() && !IsSpace(html_[end]) && html_[end] != '=' && html_[end] != '>' && html_[end] != '/') ++end;
    const std::string_view name = html_.substr(at_, end - at_);
    Copy(end);
    std::size_t value = end;
    while (value < html_.size() && IsSpace(html_[value])) ++value;
    if (value >= html_.size() || html_[value] != '=') {
      if (name.empty() && at_ < html_.size() && html_[at_] != '>') Copy(at_ + 1);
      return;
    }
    ++value;
    while (value < html_.size() && IsSpace(html_[value])) ++value;
    const char quote = value < html_.size() && (html_[value] == '"' || html_[value] == '\'') ? html_[value] : '\0';
    if (quote) ++value;
    Copy(value);
    std::size_t last = value;
    while (last < html_.size() && (quote ? html_[last] != quote : !IsSpace(html_[last]) && html_[last] != '>')) ++last;
    if (HoldsLink(name)) {
      out_ += RewriteLink(html_.substr(at_, last - at_), prefix_);
      at_ = last;
    }
    Copy(std::min(last + (quote ? 1 : 0), html_.size()));
  }

  const std::string_view html_, prefix_;
  std::string out_;
  std::size_t at_ = 0;
};

}  // namespace

std::string RewriteLink(std::string_view link, std::string_view prefix) {
  if (!link.starts_with('/') || link.starts_with("//") || link.starts_with(prefix)) return std::string(link);
  return Cat(prefix, link);
}

std::string RewriteLinks(std::string_view html, std::string_view prefix) { return Rewriter(html, prefix).Run(); }

}  // namespace skerry::kube
