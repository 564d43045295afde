#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/dns/message.h"
#include "core/podnet/services.h"
#include "embedded-kube-shim/client/client.h"

// What a Service and its EndpointSlices mean for the data plane. Pure functions.
namespace skerry::kube::network {

// Which of a slice's ports is meant.
struct PortSelector {
  enum class By : std::uint8_t { kName, kNumber, kFirst } by = By::kFirst;
  std::string name;          // kName: as in the service's port, may be empty
  std::uint16_t number = 0;  // kNumber: of the endpoint
  std::string protocol = "TCP";
};

struct EndpointFilter {
  std::string node;          // not empty: only endpoints on this node
};
// Addresses that new connections may go to: ready ones; when there are none, terminating ones that still serve.
std::vector<podnet::Endpoint> EndpointsOf(const std::vector<ObjectPtr>& slices, const PortSelector& port, const EndpointFilter& filter = {});

struct ServiceOptions {
  std::string node_name;                          // for traffic policies that stay on the node
  std::string dns_address;                        // the service of this address is answered in process and has no translation
};
// Ports of a service with a cluster address; empty for headless and ExternalName services, and for those whose labels name another proxy
// or call them headless; slices with such labels are left out. Ids are unique in the cluster.
std::vector<podnet::ServicePort> PortsOf(const json::Value& service, const std::vector<ObjectPtr>& slices, const ServiceOptions& options);

struct NamedRecords {
  std::string name;
  std::vector<dns::Record> records;
};
struct ServiceRecords {
  std::vector<NamedRecords> forward, reverse;     // below the cluster's domain; below in-addr.arpa and ip6.arpa
};
// `domain`: "cluster.local."
ServiceRecords RecordsOf(const json::Value& service, const std::vector<ObjectPtr>& slices, std::string_view domain);

std::optional<std::string> ReverseName(std::string_view address);    // "4.3.2.1.in-addr.arpa."
std::optional<std::string> AddressBytes(std::string_view address);   // 4 or 16 bytes

}  // namespace skerry::kube::network
