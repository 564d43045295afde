#pragma once
#include <string>
#include <vector>

#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

// What a Service selects, as endpoints: shared by the Endpoints and the EndpointSlice controller. Pure functions.
namespace skerry::kube {

inline constexpr const char* kServiceNameLabel = "kubernetes.io/service-name";
inline constexpr const char* kSliceManagedBy = "endpointslice.kubernetes.io/managed-by";
inline constexpr const char* kHeadlessLabel = "service.kubernetes.io/headless";

struct ServicePod {
  ObjectPtr pod;
  std::vector<json::Value> ports;    // EndpointPorts that this pod serves ("name", "protocol", "port", "appProtocol"); named ports may miss
  bool ready = false, serving = false, terminating = false;
  std::string hostname;              // when the pod's subdomain is the service
};

bool IsHeadless(const json::Value& service);
// The pods of the namespace that the service selects and that have an address and have not finished, sorted by name.
std::vector<ServicePod> PodsOfService(const json::Value& service, const Lister& pods);
// Services of the pod's namespace that select it now or selected its previous state: the keys to reconcile.
std::vector<Key> ServicesOfPod(const Notification& n, const Lister& services);
bool IsAddressOf(std::string_view family /* IPv4, IPv6 */, std::string_view address);
std::string AddressOf(const json::Value& pod, std::string_view family);   // empty when the pod has none of it
json::Value PodReference(const json::Value& pod);

// The pod trigger of a controller over services: pods come and go together, so a service is looked at a moment later, once for all of them.
Trigger PodsOfServices(const ControllerContext& context, const char* controller);

}  // namespace skerry::kube
