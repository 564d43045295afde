#pragma once
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/netlink/address.h"
#include "core/podnet/address_pool.h"
#include "core/podnet/services.h"

namespace skerry::podnet {

struct PodNetworkOptions {
  std::string state_directory;                        // made if missing; holds "addresses" and "before"
  RulesOptions rules;                                 // ranges, table, prefix of link names (at most 6 characters)
  std::vector<std::string> scopes = {"service"};      // other sources of the service table; "hostport" is ours
  std::optional<netlink::Ipv4> node_address;          // preferred source of the host towards pods and services
  unsigned mtu = 0;                                   // of pod links; 0 = 1500
  std::string boot_id;                                // empty: the kernel's
};

struct PodAddress {
  std::string sandbox;
  netlink::Ipv4 address;
  std::string link;                                   // host end of the pod's link
};

// The pods' network on this host: every pod has a /32 behind a routed veth pair, its gateway is 169.254.1.1, a permanent neighbour;
// no bridge, no ARP, no process. Pods, the host and services reach each other without translation of source addresses; what leaves the
// cluster is masqueraded. See README.md.
// Thread-safe; the host's side is that of the network namespace of the calling thread, the same for all calls.
class PodNetwork {
 public:
  // Sets the host up (forwarding, rules, routes, host ports of adopted pods): idempotent, disturbs nothing that runs.
  static Result<std::unique_ptr<PodNetwork>> Open(PodNetworkOptions options);
  ~PodNetwork();

  // Gives the namespace at `netns_path` its address, link ("eth0"), routes and loopback, and opens its host ports. Idempotent by
  // sandbox id: repeated calls repair what is missing and return the same address.
  Result<PodAddress> Attach(const std::string& sandbox, const std::string& netns_path, const std::vector<HostPort>& host_ports);
  // Takes link, routes, host ports and address back. Unknown is fine; the namespace may be gone.
  Result<> Detach(const std::string& sandbox);
  std::vector<PodAddress> List() const;
  // Detaches all others: after a start, what the container runtime no longer knows.
  Result<> RetainOnly(const std::set<std::string>& sandboxes);

  // An address of our own inside the service range (cluster DNS) that sockets of the host can bind. Removed by Uninstall.
  Result<> AddLocalAddress(netlink::Ipv4 address);
  // The host has another address from now on. The kernel dropped the routes whose preferred source the old one was: they are made again.
  Result<> MoveTo(netlink::Ipv4 node_address);
  // Docker makes its chains whenever it starts and may drop what is forwarded: call when it might have. Idempotent.
  Result<> AcceptForwarding();

  ServiceTable& services();

  // Removes links, routes, rules, addresses and state, and restores what Open changed. Works without a running instance; what is
  // missing is fine. Only `state_directory` and `rules` are read.
  static Result<> Uninstall(const PodNetworkOptions& options);

 private:
  class State;
  explicit PodNetwork(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace skerry::podnet
