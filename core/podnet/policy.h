#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/guarded.h"
#include "core/base/result.h"
#include "core/netlink/address.h"
#include "core/podnet/services.h"

// Which connections pods may make and take: a packet filter of its own beside the service table.
namespace skerry::podnet {

struct PortRange {
  Protocol protocol = Protocol::kTcp;
  std::uint16_t first = 0, last = 0;         // 0-0: every port
  auto operator<=>(const PortRange&) const = default;
};
struct AddressBlock {
  netlink::Ipv4Range range;
  std::vector<netlink::Ipv4Range> except;
  bool operator==(const AddressBlock&) const = default;
};
// Allows what matches one of its peers and one of its ports.
struct AllowRule {
  bool any_peer = false;
  std::vector<netlink::Ipv4> peers;          // pods
  std::vector<AddressBlock> blocks;
  bool any_port = false;
  std::vector<PortRange> ports;
  bool operator==(const AllowRule&) const = default;
};
// A pod that is restricted in a direction takes part in what some rule of it allows; without rules, in nothing.
struct PodPolicy {
  netlink::Ipv4 pod;
  std::optional<std::vector<AllowRule>> ingress, egress;   // absent: unrestricted
  bool operator==(const PodPolicy&) const = default;
};

struct PolicyOptions {
  std::string table = "skerry_policy";
  std::vector<netlink::Ipv4> always_reachable;             // by every pod on port 53: the cluster's DNS, which runs on the host
};

// Rules see pod addresses (they run after service translation). Replies to what was allowed pass; the host itself always reaches its pods
// (probes). Connections that stand when a rule comes are not cut. There is no table while no pod is restricted.
class PolicyTable {
 public:
  explicit PolicyTable(PolicyOptions options) : options_(std::move(options)) {}
  // This is all there is: one kernel transaction, none when nothing changed. Thread-safe.
  Result<> Replace(std::vector<PodPolicy> policies);
  static Result<> Remove(const std::string& table);

  static std::string Text(const PolicyOptions& options, const std::vector<PodPolicy>& policies);   // for nft -f; empty without policies

 private:
  const PolicyOptions options_;
  struct State {
    std::optional<std::string> loaded;       // nothing: not known (a new process)
  };
  Guarded<State> state_;
};

}  // namespace skerry::podnet
