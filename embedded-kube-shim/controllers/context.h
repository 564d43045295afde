#pragma once
#include <functional>
#include <string_view>

#include "core/base/clock.h"
#include "embedded-kube-shim/client/client.h"
#include "embedded-kube-shim/controller/controller.h"

// What every controller is given. Each acts as its own service account ("system:serviceaccount:kube-system:<name>").
namespace skerry::kube {

struct ControllerContext {
  Manager& manager;
  Informers& informers;
  std::function<Client&(std::string_view controller)> client;            // lives as long as the context
  std::function<EventRecorder&(std::string_view controller)> events;
  const Clock& clock;
};

// One function per controller, in a file of its name; each adds itself to the manager.
void AddReplicaSet(const ControllerContext&);             // "replicaset-controller"
void AddReplicationController(const ControllerContext&);  // "replication-controller"
void AddDeployment(const ControllerContext&);             // "deployment-controller"

}  // namespace skerry::kube
