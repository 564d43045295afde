#include "embedded-kube-shim/server/request_info.h"

#include "core/base/strings.h"
#include "embedded-kube-shim/server/list_options.h"

namespace skerry::kube {
namespace {

std::vector<std::string_view> Segments(std::string_view path) {
  std::vector<std::string_view> out;
  out.reserve(8);   // as many as most paths have
  std::size_t at = 0;
  while (at < path.size()) {
    if (path[at] == '/') { ++at; continue; }
    auto end = path.find('/', at);
    if (end == std::string_view::npos) end = path.size();
    out.push_back(path.substr(at, end - at));
    at = end;
  }
  return out;
}

std::string_view VerbOf(std::string_view method) {
  if (method == "POST") return "create";
  if (method == "GET" || method == "HEAD") return "get";
  if (method == "PUT") return "update";
  if (method == "PATCH") return "patch";
  if (method == "DELETE") return "delete";
  return "";
}

// The object that "metadata.name=x" alone selects: authorization sees it as a name.
std::string NameInFieldSelector(const http::Request& request) {
  const std::string_view selector = request.Query("fieldSelector");
  for (const auto term : Split(selector, ',')) {
    auto rest = term;
    if (!rest.starts_with("metadata.name=")) continue;
    rest.remove_prefix(std::string_view("metadata.name=").size());
    if (rest.starts_with('=')) rest.remove_prefix(1);
    return std::string(rest);
  }
  return {};
}

}  // namespace

RequestInfo ParseRequestInfo(const http::Request& request) {
  RequestInfo info;
  info.path = request.path;
  info.verb = ToLower(request.method);
  const auto parts = Segments(request.path);
  if (parts.size() < 3 || (parts[0] != "api" && parts[0] != "apis")) return info;
  std::size_t at = 1;
  info.core = parts[0] == "api";
  if (!info.core) {
    if (parts.size() < 4) return info;
    info.group = parts[at++];
  }
  info.version = parts[at++];
  info.resource_request = true;
  info.verb = VerbOf(request.method);
  if (parts.size() > at && parts[at] == "watch") {
    info.legacy_watch = true;
    info.verb = "watch";
    ++at;
    if (at >= parts.size()) {
      info.resource_request = false;
      info.verb = ToLower(request.method);
      return info;
    }
  }
  if (parts[at] == "namespaces" && parts.size() > at + 1) {
    info.ns = parts[at + 1];
    if (parts.size() > at + 2 && parts[at + 2] != "finalize" && parts[at + 2] != "status") at += 2;
  }
  if (at < parts.size()) info.resource = parts[at++];
  if (at < parts.size()) info.name = parts[at++];
  if (at < parts.size()) info.subresource = parts[at++];
  for (; at < parts.size(); ++at) info.trailing.emplace_back(parts[at]);
  if (info.name.empty() && info.verb == "get") {
    info.verb = QueryFlag(request, "watch") ? "watch" : "list";
  }
  if (info.name.empty() && info.verb == "delete") info.verb = "deletecollection";
  if (info.name.empty() && (info.verb == "list" || info.verb == "watch" || info.verb == "deletecollection")) info.name = NameInFieldSelector(request);
  return info;
}

}  // namespace skerry::kube
