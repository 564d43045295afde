#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/component.h"
#include "core/base/random.h"
#include "core/http/message.h"
#include "embedded-kube-shim/admission/admission.h"
#include "embedded-kube-shim/auth/authenticator.h"
#include "embedded-kube-shim/auth/jwt_authenticator.h"
#include "embedded-kube-shim/client/aggregated_apis.h"
#include "embedded-kube-shim/client/client.h"
#include "embedded-kube-shim/client/metrics.h"
#include "embedded-kube-shim/client/node_streams.h"
#include "embedded-kube-shim/server/audit.h"
#include "embedded-kube-shim/server/flow_control.h"
#include "store/store.h"

// The API server as a component: caches over a store, the engine, the HTTP handler, clients of this process.
namespace skerry::net {
class Shard;
}

namespace skerry::kube {

class ConsoleSessions;
class Registry;
class Engine;

// Whom the certificate of handed-on requests names.
inline constexpr const char* kProxyClientName = "front-proxy-client";

struct ApiServerOptions {
  std::string service_cidr = "10.96.0.0/16";
  int node_port_first = 30000, node_port_last = 32767;
  std::chrono::seconds history_age{300};         // as the store keeps it
  std::string advertise_address = "127.0.0.1";   // of the `kubernetes` endpoints
  int port = 6443;
  std::size_t bootstrap_writers = 32;            // at the same time; 1: the first objects are made in the same order every time
  std::string cluster_domain = "cluster.local";
  std::string issuer = "https://kubernetes.default.svc.cluster.local";
  std::vector<std::string> audiences;            // that the API accepts in service account tokens; empty: the issuer
  std::string git_version = "v1.36.0+skerry", git_commit, build_date;
  std::string service_account_key;               // PEM private key that signs tokens; empty: a fresh one (tokens die with the process)
  std::string client_ca;                         // PEM bundle, published for extension servers
  std::string proxy_ca;                          // PEM: the authority of the next, by which extension servers know requests that we hand on
  std::string proxy_certificate, proxy_key;      // PEM: client certificate for kProxyClientName
  std::vector<StaticToken> tokens;               // see ParseTokenFile
  AdmissionOptions admission;
  AuthenticationConfiguration authentication;
  FlowOptions flow;
  std::string audit_policy;                      // text of a Policy; empty = no audit log
  AuditLogOptions audit_log;
  std::vector<std::string> authorization_modes = {"Node", "RBAC"};   // in order; also AlwaysAllow, AlwaysDeny
  std::function<std::vector<std::pair<std::string, Result<>>>()> health;
  std::function<std::string()> metrics;
  std::function<NodeStreams*()> node;            // serves log, exec, attach and port-forward; null: no node here
  std::function<MetricsSource*()> usage;         // what metrics.k8s.io shows; empty: that group is not served
  std::function<ObjectMetricsSource*()> object_metrics;   // the same for custom.metrics.k8s.io and external.metrics.k8s.io,
  std::vector<ObjectMetricsSource::Known> offered_metrics;   // which list these
};

class ApiServer : public Component {
 public:
  // `store` and `registry` outlive it. Built-in kinds are registered already. Loads the caches.
  static Result<std::unique_ptr<ApiServer>> Create(store::Store& store, Registry& registry, ApiServerOptions options, const Clock& clock = Clock::System(), Random& random = Random::System());

  // Start writes what must exist from the first moment: namespaces, bootstrap policy, the `kubernetes` service. Idempotent.
  virtual http::Handler& handler() = 0;
  // http::ServerOptions::runs_on_shard: a create, update or deletion of a small object of a simple kind, where nobody outside has a say. Its answer is made on
  // the same shard. Shards must outlive Stop().
  virtual bool RunsOnShard(net::Shard& shard, const http::Request& request) = 0;
  // A client that acts as `user`; field manager and user agent are `manager`. Owned by the caller, must not outlive the server.
  virtual std::unique_ptr<Client> NewClient(User user, std::string manager) = 0;
  // The server is reached under another address from now on: the endpoints of `kubernetes` and what discovery tells follow. Any thread.
  virtual Result<> Advertise(const Ctx& ctx, std::string address) = 0;
  virtual Informers& informers() = 0;
  virtual Engine& engine() = 0;
  virtual const Authorizer& authorizer() = 0;
  virtual ConsoleSessions& console_sessions() = 0;
  virtual AggregatedApis& aggregated_apis() = 0;
  // The certificate of requests that are handed on from now on; of the same authority. Any thread.
  virtual void SetProxyIdentity(std::string certificate_pem, std::string key_pem) = 0;
};

}  // namespace skerry::kube
