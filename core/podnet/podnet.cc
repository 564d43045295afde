#include "core/podnet/podnet.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "core/base/fault.h"
#include "core/base/files.h"
#include "core/base/guarded.h"
#include "core/base/strings.h"
#include "core/netlink/netns.h"
#include "core/netlink/nftables.h"
#include "core/netlink/route.h"
#include "core/netlink/ruleset.h"
#include "core/podnet/policy.h"

namespace skerry::podnet {
namespace {

using netlink::Ipv4;
using netlink::Ipv4Range;
using netlink::Route;

constexpr netlink::MacAddress kGatewayMac = {0xee, 0xee, 0xee, 0xee, 0xee, 0xee};   // the host end of every pod link
constexpr Ipv4 kGateway{0xa9fe0101};                                               // 169.254.1.1
constexpr char kHostPortScope[] = "hostport";
constexpr char kRuleComment[] = "skerry";
constexpr int kLoopback = 1;                                                       // the index of lo in every namespace

// Names come from addresses: unique among leases, found again without a list.
std::string LinkName(const std::string& prefix, Ipv4 a) {
  char hex[9];
  std::snprintf(hex, sizeof hex, "%08x", a.value);
  return prefix + hex;
}
netlink::MacAddress PodMac(Ipv4 a) {
  return {0x0a, 0x58, static_cast<std::uint8_t>(a.value >> 24), static_cast<std::uint8_t>(a.value >> 16), static_cast<std::uint8_t>(a.value >> 8),
          static_cast<std::uint8_t>(a.value)};
}

Result<> SetUpPodSide(Ipv4 address) {
  TRY(Route route, Route::Open());
  TRY_VOID(route.SetUp(kLoopback));
  TRY(const auto link, route.FindLink("eth0"));
  TRY_VOID(route.AddAddress(link.index, address, 32));
  TRY_VOID(route.SetUp(link.index));
  TRY_VOID(route.ReplaceNeighbour(link.index, kGateway, kGatewayMac));
  TRY_VOID(route.ReplaceRoute({{kGateway, 32}, link.index, std::nullopt, std::nullopt}));
  return route.ReplaceRoute({{Ipv4{}, 0}, link.index, kGateway, std::nullopt});
}

Result<> SetUpHostSide(const std::string& name, Ipv4 address, std::optional<Ipv4> source) {
  TRY(Route route, Route::Open());
  TRY(const auto link, route.FindLink(name));
  const std::string conf = "net/ipv4/conf/" + name;
  TRY_VOID(netlink::WriteSysctl(conf + "/rp_filter", "1"));        // a pod cannot send from another's address
  TRY_VOID(netlink::WriteSysctl(conf + "/route_localnet", "1"));   // 127.0.0.1:<node port>; guarded by the rules
  TRY_VOID(netlink::WriteSysctl(conf + "/forwarding", "1"));
  // Absent when the kernel runs without IPv6.
  if (auto r = netlink::WriteSysctl("net/ipv6/conf/" + name + "/disable_ipv6", "1"); !r && r.error().code() != Code::kNotFound) return r;
  TRY_VOID(route.SetUp(link.index));
  TRY_VOID(route.ReplaceNeighbour(link.index, address, PodMac(address)));
  return route.ReplaceRoute({{address, 32}, link.index, std::nullopt, source});
}

// Whether the pod's end is there with its address: then the link as a whole is the one we made.
bool HasAddress(int netns, Ipv4 address) {
  bool found = false;
  static_cast<void>(netlink::InNetns(netns, [&]() -> Result<> {
    TRY(Route route, Route::Open());
    TRY(const auto link, route.FindLink("eth0"));
    TRY(const auto addresses, route.ListAddresses());
    found = std::any_of(addresses.begin(), addresses.end(), [&](const auto& a) { return a.link == link.index && a.address == address; });
    return {};
  }));
  return found;
}

std::vector<ServicePort> HostPortServices(const std::string& sandbox, const Lease& lease) {
  std::vector<ServicePort> out;
  for (std::size_t i = 0; i < lease.host_ports.size(); ++i) {
    const HostPort& p = lease.host_ports[i];
    ServicePort s;
    s.id = Cat(sandbox, '/', i);
    s.protocol = p.protocol;
    s.endpoints = {{lease.address, p.pod_port}};
    if (p.host_address == Ipv4{}) {
      s.node_port = p.host_port;
    } else {
      s.addresses = {{p.host_address, p.host_port}};
    }
    out.push_back(std::move(s));
  }
  return out;
}

// Files of the state directory.
std::string AddressFile(const PodNetworkOptions& o) { return o.state_directory + "/addresses"; }
std::string BeforeFile(const PodNetworkOptions& o) { return o.state_directory + "/before"; }

Result<> AcceptInDockerUser(const RulesOptions& rules) {
  TRY(const bool exists, netlink::HasChain("filter", "DOCKER-USER"));
  if (!exists) return {};
  TRY(const auto present, netlink::FindRules("filter", "DOCKER-USER", kRuleComment));
  if (present.size() >= 2) return {};
  std::string text;
  for (const char* side : {"iifname", "oifname"}) {
    text += Cat("insert rule ip filter DOCKER-USER ", side, " \"", rules.link_prefix, "*\" counter accept comment \"", kRuleComment, "\"\n");
  }
  for (const std::uint64_t handle : present) text += Cat("delete rule ip filter DOCKER-USER handle ", handle, '\n');
  return netlink::LoadRuleset(text);
}

Result<> WithdrawFromDockerUser() {
  TRY(const auto present, netlink::FindRules("filter", "DOCKER-USER", kRuleComment));
  std::string text;
  for (const std::uint64_t handle : present) text += Cat("delete rule ip filter DOCKER-USER handle ", handle, '\n');
  return text.empty() ? Result<>{} : netlink::LoadRuleset(text);
}

// Without it a host that has no default route finds service addresses unreachable before any rule is asked.
Result<> RouteServices(const RulesOptions& rules, std::optional<Ipv4> source) {
  if (!rules.services) return {};
  TRY(Route route, Route::Open());
  return route.ReplaceRoute({*rules.services, kLoopback, std::nullopt, source});
}

Result<> SetUpHost(const PodNetworkOptions& o) {
  TRY_VOID(MakeDirectories(o.state_directory));
  TRY(const std::string forward, netlink::ReadSysctl("net/ipv4/ip_forward"));
  if (forward != "1") {
    // What Uninstall restores. A second start finds "1" and must not overwrite it.
    TRY_VOID(WriteFileDurably(BeforeFile(o), Cat("net/ipv4/ip_forward ", forward, '\n')));
    TRY_VOID(netlink::WriteSysctl("net/ipv4/ip_forward", "1"));
  }
  TRY_VOID(RouteServices(o.rules, o.node_address));
  return AcceptInDockerUser(o.rules);
}

}  // namespace

class PodNetwork::State {
 public:
  State(PodNetworkOptions o, AddressPool pool, std::unique_ptr<ServiceTable> table)
      : options(std::move(o)), services(std::move(table)), pool_(std::move(pool)), source_(options.node_address) {}

  std::optional<Ipv4> Source() {
    auto source = source_.Lock();
    return *source;
  }
  void SetSource(Ipv4 address) {
    auto source = source_.Lock();
    *source = address;
  }

  Result<Lease> Acquire(const std::string& sandbox, const std::vector<HostPort>& host_ports) {
    auto pool = pool_.Lock();
    return pool->Acquire(sandbox, host_ports);
  }
  Result<> Release(const std::string& sandbox) {
    auto pool = pool_.Lock();
    return pool->Release(sandbox);
  }
  std::map<std::string, Lease> Leases() {
    auto pool = pool_.Lock();
    return pool->leases();
  }
  std::optional<Lease> Find(const std::string& sandbox) {
    auto pool = pool_.Lock();
    const auto at = pool->leases().find(sandbox);
    if (at == pool->leases().end()) return std::nullopt;
    return at->second;
  }

  const PodNetworkOptions options;
  const std::unique_ptr<ServiceTable> services;

 private:
  Guarded<AddressPool> pool_;
  Guarded<std::optional<Ipv4>> source_;
};

PodNetwork::PodNetwork(std::unique_ptr<State> state) : state_(std::move(state)) {}
PodNetwork::~PodNetwork() = default;
ServiceTable& PodNetwork::services() { return *state_->services; }

Result<std::unique_ptr<PodNetwork>> PodNetwork::Open(PodNetworkOptions o) {
  if (o.rules.link_prefix.size() > 6) return Fail(Code::kInvalid, "link prefix longer than 6 characters");
  if (o.boot_id.empty()) {
    TRY(o.boot_id, netlink::ReadSysctl("kernel/random/boot_id"));
  }
  TRY_VOID(SetUpHost(o));
  TRY(AddressPool pool, AddressPool::Open(AddressFile(o), o.rules.local_pods, o.boot_id));
  std::vector<std::string> scopes = o.scopes;
  scopes.emplace_back(kHostPortScope);
  TRY(auto services, ServiceTable::Open(o.rules, std::move(scopes)));
  std::vector<ServicePort> host_ports;
  for (const auto& [sandbox, lease] : pool.leases()) {
    for (ServicePort& p : HostPortServices(sandbox, lease)) host_ports.push_back(std::move(p));
  }
  TRY_VOID(services->Replace(kHostPortScope, std::move(host_ports)));
  return std::unique_ptr<PodNetwork>(new PodNetwork(std::make_unique<State>(std::move(o), std::move(pool), std::move(services))));
}

Result<PodAddress> PodNetwork::Attach(const std::string& sandbox, const std::string& netns_path, const std::vector<HostPort>& host_ports) {
  TRY(const UniqueFd netns, netlink::OpenNetns(netns_path));
  TRY(const Lease lease, state_->Acquire(sandbox, host_ports));
  SKERRY_FAULT("podnet.attach.after_lease");
  const PodNetworkOptions& o = state_->options;
  const std::string link = LinkName(o.rules.link_prefix, lease.address);
  if (!HasAddress(netns.get(), lease.address)) {
    TRY(Route route, Route::Open());
    TRY_VOID(route.DeleteLink(link));   // of an attempt that was cut short
    TRY_VOID(route.CreateVeth({link, kGatewayMac, -1}, {"eth0", PodMac(lease.address), netns.get()}, o.mtu));
    SKERRY_FAULT("podnet.attach.after_link");
  }
  TRY_VOID(netlink::InNetns(netns.get(), [&] { return SetUpPodSide(lease.address); }));
  TRY_VOID(SetUpHostSide(link, lease.address, state_->Source()));
  if (!lease.host_ports.empty()) TRY_VOID(state_->services->Change(kHostPortScope, HostPortServices(sandbox, lease), {}));
  return PodAddress{sandbox, lease.address, link};
}

Result<> PodNetwork::MoveTo(Ipv4 node_address) {
  state_->SetSource(node_address);   // first: an Attach at the same time either sees it or has its lease in the list below
  const RulesOptions& rules = state_->options.rules;
  Result<> out = RouteServices(rules, node_address);
  for (const auto& [sandbox, lease] : state_->Leases()) {
    auto done = SetUpHostSide(LinkName(rules.link_prefix, lease.address), lease.address, node_address);
    if (!done && done.error().code() != Code::kNotFound && out) out = std::move(done);   // without a link it is being attached
  }
  return out;
}

Result<> PodNetwork::Detach(const std::string& sandbox) {
  const auto lease = state_->Find(sandbox);
  if (!lease) return {};
  std::vector<std::string> ports;
  for (const ServicePort& p : HostPortServices(sandbox, *lease)) ports.push_back(p.id);
  if (!ports.empty()) TRY_VOID(state_->services->Change(kHostPortScope, {}, ports));
  TRY(Route route, Route::Open());
  TRY_VOID(route.DeleteLink(LinkName(state_->options.rules.link_prefix, lease->address)));   // routes and neighbours go with it
  SKERRY_FAULT("podnet.detach.after_link");
  return state_->Release(sandbox);   // last: the address is free when nothing of it is left
}

std::vector<PodAddress> PodNetwork::List() const {
  std::vector<PodAddress> out;
  for (const auto& [sandbox, lease] : state_->Leases()) {
    out.push_back({sandbox, lease.address, LinkName(state_->options.rules.link_prefix, lease.address)});
  }
  return out;
}

Result<> PodNetwork::RetainOnly(const std::set<std::string>& sandboxes) {
  for (const PodAddress& a : List()) {
    if (!sandboxes.contains(a.sandbox)) TRY_VOID(Detach(a.sandbox));
  }
  return {};
}

Result<> PodNetwork::AddLocalAddress(Ipv4 address) {
  TRY(Route route, Route::Open());
  // Host scope: never chosen as the source of a packet that leaves.
  return route.AddAddress(kLoopback, address, 32, netlink::Scope::kHost);
}

Result<> PodNetwork::AcceptForwarding() { return AcceptInDockerUser(state_->options.rules); }

Result<> PodNetwork::Uninstall(const PodNetworkOptions& o) {
  TRY_VOID(ServiceTable::Remove(o.rules.table));
  TRY_VOID(PolicyTable::Remove(o.rules.table + "_policy"));
  TRY_VOID(WithdrawFromDockerUser());
  TRY(Route route, Route::Open());
  TRY(const auto links, route.ListLinks());
  for (const auto& link : links) {
    if (link.kind == "veth" && link.name.starts_with(o.rules.link_prefix) && link.mac == kGatewayMac) TRY_VOID(route.DeleteLink(link.name));
  }
  if (o.rules.services) {
    TRY_VOID(route.DeleteRoute(*o.rules.services, kLoopback));
    TRY(const auto addresses, route.ListAddresses());
    for (const auto& a : addresses) {
      if (a.link == kLoopback && a.prefix == 32 && o.rules.services->Contains(a.address)) {
        TRY_VOID(route.DeleteAddress(a.link, a.address, a.prefix));
      }
    }
  }
  if (auto before = ReadFile(BeforeFile(o)); before) {
    const auto words = Split(Trim(*before), ' ');
    if (words.size() == 2 && words[0] == "net/ipv4/ip_forward") TRY_VOID(netlink::WriteSysctl(std::string(words[0]), words[1]));
  }
  ::unlink(BeforeFile(o).c_str());
  ::unlink(AddressFile(o).c_str());
  ::rmdir(o.state_directory.c_str());
  return {};
}

}  // namespace skerry::podnet
