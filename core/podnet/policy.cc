#include "core/podnet/policy.h"

#include <algorithm>

#include "core/base/strings.h"
#include "core/netlink/ruleset.h"

namespace skerry::podnet {
namespace {

std::string ListOf(const std::vector<std::string>& items) { return items.size() == 1 ? items[0] : Cat("{ ", Join(items, ", "), " }"); }

// One match per protocol; empty text: every protocol and port.
std::vector<std::string> PortMatches(const AllowRule& rule) {
  if (rule.any_port) return {""};
  std::vector<std::string> out;
  for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp}) {
    const char* name = protocol == Protocol::kUdp ? "udp" : "tcp";
    std::vector<std::string> ports;
    bool all = false;
    for (const PortRange& p : rule.ports) {
      if (p.protocol != protocol) continue;
      all = all || p.first == 0;
      ports.push_back(p.first == p.last ? Cat(p.first) : Cat(p.first, '-', p.last));
    }
    std::sort(ports.begin(), ports.end());
    ports.erase(std::unique(ports.begin(), ports.end()), ports.end());
    if (all) {
      out.push_back(Cat(" meta l4proto ", name));
    } else if (!ports.empty()) {
      out.push_back(Cat(' ', name, " dport ", ListOf(ports)));
    }
  }
  return out;
}

std::vector<std::string> PeerMatches(const AllowRule& rule, const char* side) {
  if (rule.any_peer) return {""};
  std::vector<std::string> out, pods;
  for (const netlink::Ipv4 a : rule.peers) pods.push_back(a.ToString());
  std::sort(pods.begin(), pods.end());
  pods.erase(std::unique(pods.begin(), pods.end()), pods.end());
  if (!pods.empty()) out.push_back(Cat(" ip ", side, ' ', ListOf(pods)));
  for (const AddressBlock& b : rule.blocks) {
    std::string match = b.range.prefix == 0 ? std::string() : Cat(" ip ", side, ' ', b.range.ToString());
    for (const netlink::Ipv4Range& e : b.except) match += Cat(" ip ", side, " != ", e.ToString());
    out.push_back(std::move(match));
  }
  return out;
}

void AppendChain(std::string& out, const std::string& name, const std::vector<AllowRule>& rules, const char* peer_side, const std::string& first) {
  out += Cat("  chain ", name, " {\n", first);
  for (const AllowRule& rule : rules) {
    for (const std::string& peer : PeerMatches(rule, peer_side)) {
      for (const std::string& port : PortMatches(rule)) out += Cat("   ", peer, port, " return\n");
    }
  }
  out += "    drop\n  }\n";
}

}  // namespace

std::string PolicyTable::Text(const PolicyOptions& options, const std::vector<PodPolicy>& policies) {
  std::string chains, ingress, egress;
  std::string resolver;
  if (!options.always_reachable.empty()) {
    std::vector<std::string> servers;
    for (const netlink::Ipv4 a : options.always_reachable) servers.push_back(a.ToString());
    resolver = Cat("    ip daddr ", ListOf(servers), " meta l4proto { tcp, udp } th dport 53 return\n");
  }
  for (const PodPolicy& p : policies) {
    const std::string address = p.pod.ToString();
    std::string suffix = address;
    std::replace(suffix.begin(), suffix.end(), '.', '_');
    if (p.ingress) {
      AppendChain(chains, "in_" + suffix, *p.ingress, "saddr", "");
      ingress += Cat(ingress.empty() ? "" : ", ", address, " : jump in_", suffix);
    }
    if (p.egress) {
      AppendChain(chains, "out_" + suffix, *p.egress, "daddr", resolver);
      egress += Cat(egress.empty() ? "" : ", ", address, " : jump out_", suffix);
    }
  }
  if (chains.empty()) return {};
  // Both directions are asked: an allowing rule returns here, so that the other pod's chain still has its say.
  std::string check = "    ct state established,related accept\n";
  if (!egress.empty()) check += Cat("    ip saddr vmap { ", egress, " }\n");
  std::string both = check;
  if (!ingress.empty()) both += Cat("    ip daddr vmap { ", ingress, " }\n");
  return Cat("table ip ", options.table, " { }\ndelete table ip ", options.table, "\ntable ip ", options.table, " {\n", chains,
             "  chain forward { type filter hook forward priority -10; policy accept;\n", both, "  }\n",
             "  chain to_host { type filter hook input priority -10; policy accept;\n", check, "  }\n}\n");
}

Result<> PolicyTable::Replace(std::vector<PodPolicy> policies) {
  std::sort(policies.begin(), policies.end(), [](const PodPolicy& a, const PodPolicy& b) { return a.pod < b.pod; });
  const std::string text = Text(options_, policies);
  auto state = state_.Lock();
  if (state->loaded == text) return {};
  state->loaded.reset();
  if (text.empty()) {
    TRY_VOID(Remove(options_.table));
  } else {
    TRY_VOID(netlink::LoadRuleset(text));
  }
  state->loaded = text;
  return {};
}

Result<> PolicyTable::Remove(const std::string& table) { return netlink::LoadRuleset(Cat("table ip ", table, " { }\ndelete table ip ", table, "\n")); }

}  // namespace skerry::podnet
