#pragma once
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/controllers/pod_groups.h"

// What a Service selects, as endpoints: shared by the Endpoints and the EndpointSlice controller. Pure functions.
namespace skerry::kube {

inline constexpr const char* kServiceNameLabel = "kubernetes.io/service-name";
inline constexpr const char* kSliceManagedBy = "endpointslice.kubernetes.io/managed-by";
inline constexpr const char* kHeadlessLabel = "service.kubernetes.io/headless";

struct ServicePod {
  std::shared_ptr<const PodFact> pod;
  std::vector<json::Value> ports;    // EndpointPorts that this pod serves ("name", "protocol", "port", "appProtocol"); named ports may miss
  bool ready = false, serving = false, terminating = false;
  std::string hostname;              // when the pod's subdomain is the service
};

bool IsHeadless(const json::Value& service);
// The pods of the namespace that the service selects and that have an address and have not finished, sorted by name.
std::vector<ServicePod> PodsOfService(const json::Value& service, PodGroups& groups);
bool IsAddressOf(std::string_view family /* IPv4, IPv6 */, std::string_view address);
std::string AddressOf(const PodFact& pod, std::string_view family);   // empty when the pod has none of it
json::Value PodReference(const PodFact& pod, std::string_view ns);

// The triggers of a controller over services: the services themselves, and pods. Pods come and go together, so a service is looked at a
// moment later, once for all of them: the later, the more of them it has, since each look costs what it has.
std::vector<Trigger> ServiceTriggers(const ControllerContext& context, const char* controller, std::shared_ptr<PodGroups> groups);

// Which version of its objects a controller has written, or found right: news of them are no news. Thread-safe.
class OwnWrites {
 public:
  void Note(const json::Value& object);
  void Forget(const json::Value& object);
  bool Has(const json::Value& object) const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::string> versions_;   // by uid; guarded
};

// Makes `controller` look at the service behind an object of `resource` that somebody else has changed. News of a change may come before its
// writer has returned: they are judged a moment later. `service_of`: no keys = not an object of this controller.
void AddStrangersOf(const ControllerContext& context, std::string controller, std::string resource, std::shared_ptr<OwnWrites> own,
                    std::function<std::vector<Key>(const json::Value& object)> service_of);

}  // namespace skerry::kube
