#include "core/base/strings.h"
#include "core/container/image.h"

// Grammar of references: https://github.com/distribution/reference (domain, path components, tag, digest).
namespace skerry::container {
namespace {

bool LowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// [a-z0-9]+ joined by one '.', one or two '_' or any number of '-'
bool IsPathComponent(std::string_view part) {
  if (part.empty() || !LowerOrDigit(part.front()) || !LowerOrDigit(part.back())) return false;
  for (std::size_t i = 0; i < part.size();) {
    if (LowerOrDigit(part[i])) {
      ++i;
      continue;
    }
    const std::size_t end = std::find_if(part.begin() + static_cast<std::ptrdiff_t>(i), part.end(), LowerOrDigit) - part.begin();
    const std::string_view separator = part.substr(i, end - i);
    if (separator != "." && separator != "_" && separator != "__" && separator.find_first_not_of('-') != std::string_view::npos) return false;
    i = end;
  }
  return true;
}

bool IsDomain(std::string_view domain) {
  if (domain.empty() || domain.size() > 255) return false;
  return std::all_of(domain.begin(), domain.end(), [](char c) {
    return LowerOrDigit(c) || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == ':' || c == '[' || c == ']';
  });
}

bool IsTag(std::string_view tag) {
  if (tag.empty() || tag.size() > 128 || tag.front() == '.' || tag.front() == '-') return false;
  return std::all_of(tag.begin(), tag.end(), [](char c) { return LowerOrDigit(c) || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == '_'; });
}

bool IsSha256(std::string_view digest) {
  return digest.size() == 71 && digest.starts_with("sha256:") &&
         std::all_of(digest.begin() + 7, digest.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

Result<ImageReference> ImageReference::Parse(std::string_view text) {
  const auto bad = [&] { return Fail(Code::kInvalid, Cat("couldn't parse image name ", Quote(text), ": invalid reference format")); };
  ImageReference out;
  std::string_view rest = text;
  if (const std::size_t at = rest.find('@'); at != std::string_view::npos) {
    out.digest = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (!IsSha256(out.digest)) return bad();
  }
  const std::size_t slash = rest.rfind('/');
  if (const std::size_t colon = rest.rfind(':'); colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    out.tag = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
    if (!IsTag(out.tag)) return bad();
  }
  const std::size_t first = rest.find('/');
  const std::string_view head = rest.substr(0, first);
  if (first != std::string_view::npos && (head == "localhost" || head.find_first_of(".:[") != std::string_view::npos)) {
    out.registry = head == "index.docker.io" ? "docker.io" : std::string(head);
    out.repository = rest.substr(first + 1);
  } else {
    out.registry = "docker.io";
    out.repository = rest;
  }
  if (out.registry == "docker.io" && out.repository.find('/') == std::string::npos) out.repository = "library/" + out.repository;
  if (!IsDomain(out.registry) || out.repository.size() > 255) return bad();
  for (const std::string_view part : Split(out.repository, '/')) {
    if (!IsPathComponent(part)) return bad();
  }
  if (out.tag.empty() && out.digest.empty()) out.tag = "latest";
  return out;
}

std::string ImageReference::ToString() const {
  std::string out = Name();
  if (!tag.empty()) out += ":" + tag;
  if (!digest.empty()) out += "@" + digest;
  return out;
}

}  // namespace skerry::container
