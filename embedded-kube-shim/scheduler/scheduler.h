#pragma once
#include <memory>
#include <string>

#include "core/base/clock.h"
#include "core/base/random.h"
#include "embedded-kube-shim/client/client.h"
#include "embedded-kube-shim/controller/controller.h"

namespace skerry::kube {

// Adds the scheduler to the manager under the profile's name ("default-scheduler"): pending pods of that schedulerName are bound to nodes,
// highest priority first; what fits nowhere gets the PodScheduled condition and waits for a change that could help. The handle keeps it
// alive; drop it after the manager has stopped.
std::shared_ptr<void> AddScheduler(Manager& manager, Informers& informers, Client& client, EventRecorder& events, const Clock& clock,
                                   std::string profile = "default-scheduler", Random& random = Random::System());

}  // namespace skerry::kube
