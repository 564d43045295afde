#pragma once
#include <functional>
#include <memory>
#include <string>

#include "core/base/clock.h"
#include "core/base/component.h"
#include "core/proxy/proxy.h"
#include "embedded-kube-shim/client/client.h"

namespace skerry::kube::network {

struct RouterOptions {
  std::string name = "default";                  // in the status of Routes
  std::string canonical_host;                    // routerCanonicalHostname; may be empty
  std::string address;                           // of the node, in the status of Ingresses; may be empty
  std::string ingress_controller = "skerry.io/ingress";   // spec.controller of the IngressClasses that are ours
  bool routes = true;                            // whether route.openshift.io is served here
  std::string service_ca_pem;                    // trusted for re-encrypted routes that name no CA; empty: the system's bundle
  // Default certificate, and one per host that it does not cover (null: the default one serves). Called on the component's thread.
  net::TlsIdentity default_identity;
  std::function<Result<net::TlsIdentity>(const std::string& host)> issue;
};

// Keeps the proxy's table and pools equal to Ingresses, Routes, Services, EndpointSlices and TLS Secrets, and writes what was admitted
// into the status of Ingresses and Routes. `proxy` outlives it. Start returns when what the listers hold is in force.
std::unique_ptr<Component> NewRouter(Informers& informers, Client& client, proxy::Proxy& proxy, const Clock& clock, RouterOptions options);

}  // namespace skerry::kube::network
