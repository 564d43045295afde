#pragma once
#include <functional>
#include <memory>
#include <string>

#include "core/base/clock.h"
#include "core/base/component.h"
#include "core/proxy/proxy.h"
#include "embedded-kube-shim/client/client.h"
#include "embedded-kube-shim/network/request_rates.h"

namespace skerry::kube::network {

struct RouterOptions {
  std::string name = "default";                  // in the status of Routes
  std::string canonical_host;                    // routerCanonicalHostname; may be empty
  std::function<std::string()> address;          // of the node now, in the status of Ingresses; may be null
  std::string ingress_controller = "skerry.io/ingress";   // spec.controller of the IngressClasses that are ours
  bool routes = true;                            // whether route.openshift.io is served here
  std::string service_ca_pem;                    // trusted for re-encrypted routes that name no CA; empty: the system's bundle
  // One per host that needs it, and one for all others (null: those have none). Called on the component's thread.
  std::string default_host;                      // "*.apps.localhost"
  std::function<Result<net::TlsIdentity>(const std::string& host)> issue;
  std::chrono::hours renew_after{24 * 182};      // issued certificates are replaced at this age
  RequestCounts* counts = nullptr;               // told of every request; outlives the proxy's use of its tables. Null: nobody wants to know
};

class Router : public Component {
 public:
  // The clock or the node's address moved: certificates that are due are issued again, what is published follows. Any thread.
  virtual void Refresh() noexcept = 0;
};

// Keeps the proxy's table and pools equal to Ingresses, Routes, Services, EndpointSlices and TLS Secrets, and writes what was admitted
// into the status of Ingresses and Routes. `proxy` outlives it. Start returns when what the listers hold is in force.
std::unique_ptr<Router> NewRouter(Informers& informers, Client& client, proxy::Proxy& proxy, const Clock& clock, RouterOptions options);

}  // namespace skerry::kube::network
