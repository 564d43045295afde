#pragma once
#include <memory>
#include <string>

#include "cmd/skerry/options.h"
#include "cmd/skerry/pki.h"
#include "core/net/shard.h"
#include "core/netlink/host_address.h"
#include "core/podnet/podnet.h"
#include "embedded-kube-shim/api/resource_def.h"
#include "embedded-kube-shim/client/client.h"
#include "embedded-kube-shim/client/metrics.h"

// What carries traffic: pod network and service proxy, cluster DNS, router.
namespace skerry::cmd {

struct DataPlaneInputs {
  const Options& options;
  const Pki& pki;
  const netlink::HostAddress& host;
  net::Shards& shards;
  kube::Informers& informers;
  kube::Client& client;              // writes the status of Ingresses and Routes
  const kube::Registry& registry;
};

class DataPlane {
 public:
  virtual ~DataPlane() = default;
  virtual podnet::PodNetwork& network() = 0;
  virtual kube::ObjectMetricsSource& object_metrics() = 0;
  virtual const std::string& router_http() const = 0;    // as bound; empty = off
  virtual const std::string& router_https() const = 0;
  virtual void Refresh() noexcept = 0;                   // certificates may be due
  virtual Result<> MoveTo(const std::string& address) = 0;   // the host has another address now
  virtual void Stop() noexcept = 0;  // rules stay: connections of pods go on
  static Result<std::unique_ptr<DataPlane>> Start(const Ctx& ctx, const DataPlaneInputs& in);
};

podnet::PodNetworkOptions NetworkOptions(const Options& options);
std::string DnsAddress(const Options& options);          // the tenth address of the service range
// The n-th address of an IPv4 range.
std::string NthAddress(const std::string& cidr, std::uint32_t n);
// Turns a failed bind into the remedy.
Error PortError(Error e, const char* flag, const std::string& address);

}  // namespace skerry::cmd
