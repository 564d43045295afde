#include "core/podnet/service_rules.h"

#include <functional>

#include "core/base/strings.h"

namespace skerry::podnet {
namespace {

constexpr char kMaps[] = R"(
  map vip { type ipv4_addr . inet_proto . inet_service : mark; }
  map port { type inet_proto . inet_service : mark; }
  map plan { type mark : verdict; }
  map again { type mark : verdict; }
  map slot { type mark . mark : mark; }
  map ep { type mark . mark : ipv4_addr . inet_service; }
  map sticky { type ipv4_addr . mark : mark; flags dynamic,timeout; timeout 3h; size 65536; }
  set hairpin { type ipv4_addr . ipv4_addr; }
  set closed_vip { type ipv4_addr . inet_proto . inet_service; }
  set closed_port { type inet_proto . inet_service; }
)";

// Priority -105: just before Docker's own port forwarding at -100, so that a service port wins.
// A reset, because an ICMP error to a connect() of this host arrives while the socket is locked and counts as soft: a second lost.
constexpr char kDispatch[] = R"(
  chain dispatch {
    meta mark set ip daddr . meta l4proto . th dport map @vip goto pick
    fib daddr type local meta mark set meta l4proto . th dport map @port goto pick
  }
  chain pick { meta mark vmap @plan; }
  chain go { meta l4proto { tcp, udp } dnat ip to meta mark . ct mark map @ep; }
  chain refuse { meta l4proto tcp reject with tcp reset; reject; }
  chain pre { type nat hook prerouting priority -105; policy accept; jump dispatch; }
  chain out { type nat hook output priority -105; policy accept; jump dispatch; }
  chain closed_in { type filter hook input priority -105; policy accept; ct state new jump closed; }
  chain closed_fwd { type filter hook forward priority -105; policy accept; ct state new jump closed; }
  chain closed_out { type filter hook output priority 5; policy accept; ct state new jump closed; }
)";

std::string Body(const RulesOptions& o) {
  const std::string pods = o.cluster_pods.ToString(), local = o.local_pods.ToString(), links = Cat("\"", o.link_prefix, "*\"");
  std::string out = Cat(kMaps, kDispatch, "  chain closed {\n",
                        "    ip daddr . meta l4proto . th dport @closed_vip goto refuse\n",
                        "    fib daddr type local meta l4proto . th dport @closed_port goto refuse\n");
  if (o.services) out += Cat("    ip daddr ", o.services->ToString(), " fib daddr type != local goto refuse\n");
  out += "  }\n";
  // Local port forwarding needs route_localnet on the pod links; this keeps others from reaching the host's loopback through it.
  out += "  chain raw { type filter hook prerouting priority -300; policy accept; iifname != \"lo\" ip daddr 127.0.0.0/8 drop; }\n";
  out += "  chain post {\n    type nat hook postrouting priority 95; policy accept;\n";
  out += "    ct status dnat ip saddr . ip daddr @hairpin masquerade\n";
  out += "    ct status dnat ip saddr 127.0.0.0/8 oifname != \"lo\" masquerade\n";
  // Answers of pods here pass through here anyway; those of endpoints elsewhere must be made to.
  out += Cat("    ct status dnat ip saddr != ", pods, " ip daddr != ", local, " oifname != \"lo\" masquerade fully-random\n");
  out += Cat("    ip saddr ", local, " ip daddr != ", pods, " oifname != ", links, " masquerade fully-random\n  }\n");
  return out;
}

std::string Pick(std::size_t n) { return n == 1 ? std::string("0") : Cat("numgen random mod ", n); }
constexpr char kTranslate[] = "meta l4proto { tcp, udp } dnat ip to meta mark . ct mark map @ep";

}  // namespace

std::string MarkerChain(const RulesOptions& options) {
  // FNV-1a: stable across builds, unlike std::hash.
  std::uint64_t h = 14695981039346656037ULL;
  for (const char c : Body(options)) h = (h ^ static_cast<std::uint8_t>(c)) * 1099511628211ULL;
  return Cat("layout_", h);
}

std::string StaticRules(const RulesOptions& options) {
  // Declaring it first makes the deletion succeed whether the table was there or not; all three are one transaction.
  return Cat("table ip ", options.table, " { }\ndelete table ip ", options.table, "\ntable ip ", options.table, " {\n", Body(options), "  chain ",
             MarkerChain(options), " { }\n}\n");
}

std::string BalanceChain(std::size_t n) { return Cat("lb", n); }
std::string BalanceChainText(std::size_t n) { return Cat("chain ", BalanceChain(n), " { ct mark set ", Pick(n), "; goto go; }\n"); }

std::string AffinityChain(std::size_t n, std::chrono::seconds t) { return Cat("af", n, "_", t.count()); }
std::string AffinityRetryChain(std::size_t n, std::chrono::seconds t) { return Cat("new", n, "_", t.count()); }
std::string AffinitySharedChain(std::chrono::seconds t) { return Cat("keep_", t.count()); }

std::string AffinityChainText(std::size_t n, std::chrono::seconds t) {
  return Cat("chain ", AffinityRetryChain(n, t), " { ct mark set ", Pick(n), "; goto bind_", t.count(), "; }\n", "chain ", AffinityChain(n, t),
             " { ct mark set ip saddr . meta mark map @sticky goto keep_", t.count(), "; goto ", AffinityRetryChain(n, t), "; }\n");
}

std::string AffinitySharedText(std::chrono::seconds t) {
  const std::string remember = Cat("update @sticky { ip saddr . meta mark timeout ", t.count(), "s : ct mark }");
  // A client bound to an endpoint that is gone falls through the translation, is forgotten and chooses again: no one has to
  // clean @sticky when endpoints leave.
  return Cat("chain keep_", t.count(), " { ", remember, "; ", kTranslate, "; delete @sticky { ip saddr . meta mark : ct mark }; meta mark vmap @again; }\n",
             "chain bind_", t.count(), " { ct mark set meta mark . ct mark map @slot; ", remember, "; ", kTranslate, "; }\n");
}

}  // namespace skerry::podnet
