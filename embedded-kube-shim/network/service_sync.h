#pragma once
#include <memory>

#include "core/base/component.h"
#include "core/podnet/services.h"
#include "embedded-kube-shim/client/client.h"
#include "embedded-kube-shim/network/service_facts.h"
#include "embedded-kube-shim/network/zones.h"

namespace skerry::kube::network {

// Keeps the service table and the cluster's names equal to Services and EndpointSlices. Start returns when everything that the listers
// hold is in force. `table` may be null (no root, tests): names only. Both outlive the component.
std::unique_ptr<Component> NewServiceSync(Informers& informers, podnet::ServiceTable* table, ClusterZones& zones, ServiceOptions options);

// The scope that it uses in the table (podnet::PodNetworkOptions::scopes must name it; the default does).
inline constexpr const char* kServiceScope = "service";

}  // namespace skerry::kube::network
