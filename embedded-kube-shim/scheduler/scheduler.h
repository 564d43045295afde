#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/random.h"
#include "embedded-kube-shim/client/client.h"
#include "embedded-kube-shim/controller/controller.h"
#include "embedded-kube-shim/scheduler/profile.h"

namespace skerry::kube {

// Adds the scheduler to the manager: pending pods whose schedulerName is that of a profile are bound to nodes, highest priority first; what
// fits nowhere gets the PodScheduled condition and waits for a change that could help. All profiles share one picture of the cluster. `events`
// gives the recorder of a profile. The handle keeps it alive; drop it after the manager has stopped.
std::shared_ptr<void> AddScheduler(Manager& manager, Informers& informers, Client& client, const std::function<EventRecorder&(std::string_view profile)>& events, const Clock& clock,
                                   const std::vector<SchedulerProfile>& profiles = {SchedulerProfile()}, Random& random = Random::System());

}  // namespace skerry::kube
