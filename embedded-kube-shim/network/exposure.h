#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/net/tls.h"
#include "core/proxy/table.h"
#include "embedded-kube-shim/client/client.h"
#include "embedded-kube-shim/network/service_facts.h"

// Ingress (networking.k8s.io/v1) and Route (route.openshift.io/v1) as routes and pools of the proxy. Pure, but for certificates, which
// come through the context.
namespace skerry::kube::network {

// A pool of the proxy: one port of one service. Its id says all of it.
struct PoolSpec {
  Key service;
  PortSelector port;
  std::optional<std::uint16_t> service_port;   // a number of the service, resolved to a name when the pool is filled
  bool reencrypt = false;
  std::string destination_ca;                  // PEM; empty: the context's service CA
  std::string Id() const;
};

struct Verdict {
  bool admitted = true;
  std::string reason, message;                 // of a refusal, in OpenShift's words where clients look at them
};

struct Exposure {
  std::vector<proxy::Route> routes;
  std::map<std::string, PoolSpec> pools;       // by id
  std::map<Key, Verdict> verdicts;             // of Route objects
  std::vector<Key> ingresses;                  // those that are ours: for their status
};

struct ExposureContext {
  std::function<ObjectPtr(const Key&)> secret;                                                  // null: not there
  std::function<Result<std::shared_ptr<const net::TlsCertificate>>(const net::TlsIdentity&)> certificate;
  // Our CA's certificate for a host; null: the default one will do.
  std::function<std::shared_ptr<const net::TlsCertificate>(const std::string& host)> issue;
  std::function<bool(std::string_view ingress_class)> is_ours;                                  // "" = none given
};

Exposure Expose(const std::vector<ObjectPtr>& ingresses, const std::vector<ObjectPtr>& routes, const ExposureContext& context);

// Addresses of the pool's endpoints, as the proxy wants them. `service` may be null: an empty pool.
std::vector<proxy::Backend> BackendsOf(const PoolSpec& pool, const json::Value* service, const std::vector<ObjectPtr>& slices);

}  // namespace skerry::kube::network
