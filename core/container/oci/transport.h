#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/base/context.h"
#include "core/base/result.h"

namespace skerry::container::oci {

struct TransportRequest {
  std::string method = "GET", url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};
struct TransportResponse {
  int status = 0;
  std::map<std::string, std::string> headers;   // lower-case names
  std::string refusal;                          // the start of the body when the status is not 2xx
};

// How a registry is reached; the seam between the distribution protocol and HTTP. Redirects are followed by the implementation
// (Authorization is not sent to another host). Any thread.
class Transport {
 public:
  // False stops the transfer (the call then fails with kCancelled).
  using Sink = std::function<bool(std::string_view piece)>;
  virtual ~Transport() = default;
  // kUnavailable: not reachable or cut off; kTimeout, kCancelled from the context. `sink` gets the body of a 2xx only.
  virtual Result<TransportResponse> Do(const Ctx& ctx, const TransportRequest& request, const Sink& sink) = 0;
};

}  // namespace skerry::container::oci
