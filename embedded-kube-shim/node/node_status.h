#pragma once
#include <functional>
#include <memory>
#include <string>

#include "core/base/clock.h"
#include "core/container/runtime.h"
#include "embedded-kube-shim/controller/controller.h"

namespace skerry::kube::node {

struct NodeOptions {
  std::string name;
  std::function<std::string()> ip;       // now; any thread
  std::string version = "v1.36.0";
  std::string data_directory;            // its file system is what the node offers as ephemeral storage
  std::string pod_cidr;
  int max_pods = 110;
};

// Registers the Node, keeps its status true and renews its Lease. One key of the manager's queue; writes only what changed.
void AddNodeStatus(Manager& manager, Informers& informers, Client& client, EventRecorder& events, container::Runtime& runtime, const Clock& clock, NodeOptions options);

// What this machine has. Reads /proc, /etc/os-release and /sys.
struct Machine {
  std::int64_t cpus = 1, memory_bytes = 0, storage_bytes = 0, storage_free_bytes = 0;
  std::string kernel, os_image, machine_id, boot_id, system_uuid, architecture;
};
Machine ReadMachine(const std::string& data_directory);

}  // namespace skerry::kube::node
