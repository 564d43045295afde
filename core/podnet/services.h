#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/guarded.h"
#include "core/base/result.h"
#include "core/netlink/address.h"
#include "core/podnet/service_rules.h"

namespace skerry::podnet {

enum class Protocol : std::uint8_t { kTcp = 6, kUdp = 17 };

struct Endpoint {
  netlink::Ipv4 address;
  std::uint16_t port = 0;
  auto operator<=>(const Endpoint&) const = default;
};

// One port of a service: where clients knock and who answers.
struct ServicePort {
  std::string id;                           // unique within its scope
  Protocol protocol = Protocol::kTcp;
  std::vector<Endpoint> addresses;          // cluster address, external addresses, a host port bound to one address
  std::uint16_t node_port = 0;              // on every address of the node, loopback included; 0 = none
  std::vector<Endpoint> endpoints;          // none: clients are refused at once
  std::chrono::seconds affinity{0};         // > 0: a client address stays with its endpoint for this long after its last connection
  bool operator==(const ServicePort&) const = default;
};

// The service proxy: addresses and node ports translated to endpoints by nftables (TCP, UDP; from pods, from the host, from outside,
// from a pod to itself). All calls are one kernel transaction each; a change costs in proportion to what changed.
//
// Several sources share the table, each with a scope of its own ("service", "hostport"); `scopes` names them all. What an earlier
// process left in the kernel stays in force until every scope has been replaced once; then what nobody claims is removed.
// Connections survive changes, except UDP flows to an endpoint or address that is gone: those are forgotten so that the next
// datagram goes to a live one.
// Thread-safe. All calls must come from threads in the network namespace that called Open.
class ServiceTable {
 public:
  static Result<std::unique_ptr<ServiceTable>> Open(RulesOptions options, std::vector<std::string> scopes);
  ~ServiceTable();

  // This is all there is in the scope.
  Result<> Replace(std::string_view scope, std::vector<ServicePort> ports);
  // Ports to set (by id) and ids to remove; unknown ids are ignored. The kernel is left as it was when an error is returned, but the
  // change is remembered and goes in with the next call.
  Result<> Change(std::string_view scope, std::vector<ServicePort> set, const std::vector<std::string>& remove);
  // Brings the kernel to what was set, whatever others did to the table (also a table that was deleted).
  Result<> Repair();
  std::size_t size() const;

  // Removes the table. Missing is fine.
  static Result<> Remove(const std::string& table);

 private:
  class State;
  explicit ServiceTable(std::unique_ptr<Guarded<State>> state);
  std::unique_ptr<Guarded<State>> state_;
};

}  // namespace skerry::podnet
