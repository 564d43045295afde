#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core/http/message.h"

namespace skerry::kube {

// What a request asks for, read from method, path and query alone (upstream's rules).
struct RequestInfo {
  bool resource_request = false;
  std::string verb;                 // get list watch create update patch delete deletecollection; lower-case method for other paths
  bool core = false;                // under /api
  std::string group, version, ns, resource, subresource, name;
  std::vector<std::string> trailing;   // segments after the subresource: proxy paths
  bool legacy_watch = false;        // /api/v1/watch/…
  std::string path;
};

RequestInfo ParseRequestInfo(const http::Request& request);
// As strconv.ParseBool with "" and absent = false; *valid = false for other text.

}  // namespace skerry::kube
