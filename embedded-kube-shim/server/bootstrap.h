#pragma once
#include "embedded-kube-shim/server/api_server.h"

namespace skerry::kube {

// What exists from the first start on. Missing objects are created, existing ones left alone (the policy is reconciled).
// The address is that of `kubernetes`'s endpoints.
Result<> WriteBootstrapObjects(const Ctx& ctx, Client& client, const ApiServerOptions& options, const Clock& clock);
// Points the service `kubernetes` at this address. A loopback address is not written: nobody else could reach it.
Result<> WriteKubernetesEndpoints(const Ctx& ctx, Client& client, const std::string& address, int port);

}  // namespace skerry::kube
