#pragma once
#include <functional>
#include <memory>
#include <string_view>

#include <string>

#include "core/base/clock.h"
#include "embedded-kube-shim/api/resource_def.h"
#include "embedded-kube-shim/client/aggregated_apis.h"
#include "embedded-kube-shim/client/client.h"
#include "embedded-kube-shim/client/metrics.h"
#include "embedded-kube-shim/controller/controller.h"

// What every controller is given. Each acts as its own service account ("system:serviceaccount:kube-system:<name>").
namespace skerry::kube {

struct ControllerContext {
  Manager& manager;
  Informers& informers;
  std::function<Client&(std::string_view controller)> client;            // lives as long as the context
  std::function<EventRecorder&(std::string_view controller)> events;
  const Clock& clock;
  Registry& registry;                                                    // for controllers over every kind
  std::string root_ca;                                                   // PEM: what kube-root-ca.crt holds
  std::function<MetricsSource*()> metrics;                               // null or answering null: no metrics API here
  std::function<ObjectMetricsSource*()> object_metrics;                  // likewise: no custom and external metrics here
  AggregatedApis* aggregated = nullptr;                                  // null: no server but this one has kinds; outlives the manager's work
};

// One function per controller, in a file of its name; each adds itself to the manager.
void AddReplicaSet(const ControllerContext&);             // "replicaset-controller"
void AddReplicationController(const ControllerContext&);  // "replication-controller"
void AddDeployment(const ControllerContext&);             // "deployment-controller"
void AddStatefulSet(const ControllerContext&);            // "statefulset-controller"
void AddDaemonSet(const ControllerContext&);              // "daemonset-controller" (service account "daemon-set-controller")
void AddJob(const ControllerContext&);                    // "job-controller"
void AddCronJob(const ControllerContext&);                // "cronjob-controller"
void AddTtlAfterFinished(const ControllerContext&);       // "ttl-after-finished-controller"
void AddDisruption(const ControllerContext&);             // "disruption-controller"
void AddVolumes(const ControllerContext&);                // "persistent-volume-binder", protection, ephemeral volumes
void AddPodGc(const ControllerContext&);                  // "pod-garbage-collector"
void AddTaintEviction(const ControllerContext&);          // "taint-eviction-controller" (acts as "node-controller"), "ttl-controller"
void AddAccountTokens(const ControllerContext&);          // "tokens-controller" (acts as the controller manager itself)
void AddHorizontalPodAutoscaler(const ControllerContext&);// "horizontal-pod-autoscaler"
void AddEndpoints(const ControllerContext&);              // "endpoint-controller"
void AddEndpointSlice(const ControllerContext&);          // "endpointslice-controller"
void AddEndpointSliceMirroring(const ControllerContext&); // "endpointslicemirroring-controller"
void AddNamespace(const ControllerContext&);              // "namespace-controller"
void AddServiceAccount(const ControllerContext&);         // "service-account-controller"
void AddNodeLifecycle(const ControllerContext&);          // "node-controller"
void AddRootCaPublisher(const ControllerContext&);        // "root-ca-cert-publisher"
void AddResourceQuota(const ControllerContext&);          // "resourcequota-controller"
// Labels the node of this machine as control plane: agents may not say that of themselves. "node-controller"
void AddNodeRole(const ControllerContext&, std::string node);
void AddClusterRoleAggregation(const ControllerContext&); // "clusterrole-aggregation-controller"
// The garbage collector keeps a graph of every object; it lives as long as the returned handle. "generic-garbage-collector"
std::shared_ptr<void> AddGarbageCollector(const ControllerContext&);

}  // namespace skerry::kube
