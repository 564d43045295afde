#pragma once
#include <string>

#include "core/base/context.h"
#include "core/base/unique_fd.h"
#include "core/container/runtime.h"
#include "core/json/value.h"

namespace skerry::kube::node {

// Runs a lifecycle handler (exec, httpGet, sleep) in or against a container; blocking until it ends or ctx does.
// Errors carry what an event should say.
Result<> RunHook(const Ctx& ctx, container::Runtime& runtime, const json::Value& handler, const json::Value& container, const std::string& container_id,
                 const std::string& pod_ip);

// The number of a port given by number or by one of the container's port names. kInvalid otherwise.
Result<int> PortOf(const json::Value& port, const json::Value& container);

struct HttpAnswer {
  int status = 0;
  std::string body;                    // at most 10 KiB
  std::string location;                // where a redirect that was not followed leads; else empty
};
// One GET as kubelet does it for probes and hooks: no certificate check for HTTPS, given headers. Redirects are followed as long as they
// stay with the host, at most ten; one that leaves it is the answer.
Result<HttpAnswer> HttpGet(const Ctx& ctx, const json::Value& action, const json::Value& container, const std::string& pod_ip);
Result<UniqueFd> ConnectTo(const Ctx& ctx, const std::string& host, int port);   // a TCP connection, not blocking
// Asks the standard gRPC health service; ok only when it says SERVING.
Result<> GrpcHealth(const Ctx& ctx, const std::string& host, int port, std::string_view service);

}  // namespace skerry::kube::node
