#pragma once
#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace skerry::kube::cel {

// A URL as Go's net/url takes it apart.
struct Url {
  std::string scheme, opaque, user, host, path, raw_path, query, fragment;
  bool has_query = false;

  std::string Hostname() const;   // without port and brackets
  std::string Port() const;
  std::string EscapedPath() const;
  std::map<std::string, std::vector<std::string>> Query() const;   // malformed pairs are left out
  bool operator==(const Url&) const = default;
};

// Absolute URLs and rooted paths only; the error is the whole message: parse "x": invalid URI for request
std::expected<Url, std::string> ParseUrl(std::string_view text);

}  // namespace skerry::kube::cel
