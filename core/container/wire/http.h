#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/base/context.h"
#include "core/base/result.h"
#include "core/base/unique_fd.h"

// A blocking HTTP/1.1 client over one descriptor (RFC 9112): what a container daemon's Unix socket and a registry on this host need.
// Everything else goes through http::Client.
namespace skerry::container::wire {

struct Request {
  std::string method = "GET", target, host = "localhost";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::string body_file;                          // streamed when not empty
};
struct Response {
  int status = 0;
  std::map<std::string, std::string> headers;     // lower-case names; of a repeated one the last
  std::string refusal;                            // up to 64 KiB of the body when the status is not 2xx
};
using Sink = std::function<bool(std::string_view piece)>;   // false stops: kCancelled

Result<UniqueFd> DialUnix(const Ctx& ctx, const std::string& path);
Result<UniqueFd> DialTcp(const Ctx& ctx, const std::string& host, const std::string& port);   // resolves with the system's resolver

// One request on a fresh connection, which is closed afterwards. `sink` gets the body of a 2xx. Errors: kUnavailable (cut off, not HTTP), kTooLarge (head over
// 64 KiB), kTimeout, kCancelled.
Result<Response> Exchange(const Ctx& ctx, const UniqueFd& connection, const Request& request, const Sink& sink);

// A request that turns the connection into a byte stream (101, or 200 from old daemons). `early` is what came behind the head.
struct Upgraded {
  Response response;
  std::string early;                              // empty with another status
};
Result<Upgraded> Upgrade(const Ctx& ctx, const UniqueFd& connection, const Request& request);

}  // namespace skerry::container::wire
