#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/container/spec.h"
#include "core/json/value.h"
#include "embedded-kube-shim/node/container_spec.h"

// What the runtime and the agent know -> status of the Pod. Pure.
namespace skerry::kube::node {

struct WaitReason {
  std::string reason, message;       // "ErrImagePull", "CrashLoopBackOff", …
};

// One container of the pod as far as it exists.
struct ContainerView {
  const container::ContainerStatus* current = nullptr;    // latest attempt; null: never created
  const container::ContainerStatus* previous = nullptr;   // the attempt before it
  std::optional<WaitReason> waiting;                      // why it does not run (again) yet
  int restarts = 0;
  bool started = false;                                   // running and past its startup probe (and postStart)
  bool ready = false;
  std::string termination_message;                        // of the current one, when it has ended
  std::string previous_message;
};

struct StatusInput {
  const json::Value& pod;
  std::map<std::string, ContainerView> containers;        // by container name, of every kind
  std::string runtime_name;                               // scheme of container ids
  std::string host_ip, pod_ip;
  bool sandbox_ready = false;                             // network and sandbox stand
  bool containers_alive = false;                          // something runs: a final phase is not told yet
  std::string failed_reason, failed_message;              // the agent gave the pod up: DeadlineExceeded, Evicted, NodePorts…
  Clock::Wall now;
  bool refused = false;                                   // the node never took it: nothing is told of its containers
  std::optional<WaitReason> resize_pending, resize_error; // an in-place change of resources that waits or fails
};

enum class Phase : std::uint8_t { kPending, kRunning, kSucceeded, kFailed };
Phase PhaseOf(const StatusInput& input);                  // what it comes to, also while containers still end

// The whole status; what the agent does not own (PodScheduled and foreign conditions, nominatedNodeName) is kept from pod.status.
json::Value MakeStatus(const StatusInput& input);

}  // namespace skerry::kube::node
