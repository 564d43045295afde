#pragma once
#include "core/container/runtime.h"

namespace skerry::container::docker {

struct Options {
  std::string socket = "/var/run/docker.sock";
  std::string run_dir;                  // "/run/skerry/docker": pinned network namespaces
  std::string instance = "default";     // containers of other instances on the same daemon are not seen
  const Clock* clock = &Clock::System();
};

// The Docker Engine API ≥ 1.40 over the daemon's Unix socket (Podman's socket speaks it too). A sandbox is a pause container without a
// network; all state is the daemon's, in labels. Start() fails with kUnavailable when no daemon answers; later outages make calls
// fail and events resume with a kResync.
Result<std::unique_ptr<Runtime>> Create(Options options);

}  // namespace skerry::container::docker
