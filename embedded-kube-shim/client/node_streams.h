#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/context.h"
#include "core/base/result.h"
#include "core/base/unique_fd.h"
#include "core/container/log.h"
#include "core/container/runtime.h"
#include "embedded-kube-shim/client/client.h"

namespace skerry::kube {

// What the API server's streaming subresources need of the node that runs a pod. In process it is the agent; thread-safe, blocking only
// for local work. Errors carry the Status that upstream's kubelet gives ("container x in pod y is waiting to start: ContainerCreating",
// kBadRequest; kNotFound for a pod or container that is not on the node).
class NodeStreams {
 public:
  virtual ~NodeStreams() = default;
  virtual Result<std::unique_ptr<container::LogReader>> Logs(const Key& pod, std::string_view container, bool previous, container::LogOptions options) = 0;
  virtual Result<std::unique_ptr<container::Session>> Exec(const Ctx&, const Key& pod, std::string_view container, const container::ExecSpec& spec) = 0;
  virtual Result<std::unique_ptr<container::Session>> Attach(const Ctx&, const Key& pod, std::string_view container, bool with_stdin) = 0;
  virtual Result<UniqueFd> Dial(const Ctx&, const Key& pod, std::uint16_t port) = 0;   // a port inside the pod
};

}  // namespace skerry::kube
