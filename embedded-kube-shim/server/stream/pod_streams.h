#pragma once
#include "core/base/thread_pool.h"
#include "core/http/message.h"
#include "embedded-kube-shim/client/node_streams.h"

// The streaming subresources of pods: log, exec, attach, port-forward; over WebSocket (channel protocols v1, v4, v5 and the port-forward
// tunnel) and SPDY/3.1. Called on a worker after authorization; what is wrong with the request itself comes back as an error, what goes
// wrong in the container goes down the error channel. `waiters` bounds how many wait at once for an exit code or for a port to answer.
namespace skerry::kube::stream {

Result<http::Reply> Log(NodeStreams& node, const http::Request& request, const Key& pod);
// Of a pod that is on no node there is nothing to tell, once the request is in order.
Result<http::Reply> LogOfUnscheduled(const http::Request& request, const json::Value& pod);
Result<http::Reply> Exec(const Ctx& ctx, NodeStreams& node, ElasticPool& waiters, const http::Request& request, const Key& pod);
// Whether the end of the client's input ends an attachment (a terminal, or input that stays open for the next client) or reaches the
// process, whose output goes on.
enum class InputEnd : std::uint8_t { kReachesProcess, kDetaches };
Result<http::Reply> Attach(const Ctx& ctx, NodeStreams& node, ElasticPool& waiters, const http::Request& request, const Key& pod, InputEnd input_end);
Result<http::Reply> PortForward(NodeStreams& node, ElasticPool& waiters, const http::Request& request, const Key& pod);

}  // namespace skerry::kube::stream
