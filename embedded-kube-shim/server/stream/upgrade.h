#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/http/message.h"
#include "core/net/stream.h"
#include "core/net/task.h"

namespace skerry::kube::stream {

// How the client wants its channels carried.
struct Upgrade {
  enum class Carrier : std::uint8_t { kWebSocket, kSpdy, kSpdyInWebSocket } carrier = Carrier::kWebSocket;
  int version = 1;                   // of channel.k8s.io
  bool base64 = false;
  http::Headers headers;             // of the 101 reply
};
// kBadRequest with upstream's words when nothing fits.
Result<Upgrade> NegotiateExec(const http::Request& request);
Result<Upgrade> NegotiatePortForward(const http::Request& request);

}  // namespace skerry::kube::stream
