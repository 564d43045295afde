#pragma once
#include <chrono>
#include <optional>
#include <string>

#include "core/netlink/address.h"

// The text of our nftables table: chains shared by all services and the maps they look up. See README.md for the walk of a packet.
namespace skerry::podnet {

struct RulesOptions {
  std::string table = "skerry";
  netlink::Ipv4Range cluster_pods;                    // addresses of pods on all nodes: never hidden behind a node's address
  netlink::Ipv4Range local_pods;                      // those of this node
  std::optional<netlink::Ipv4Range> services;         // cluster addresses; what no service claims is refused
  std::string link_prefix = "skv";                    // host ends of pod links
};

// Makes the table, replacing one of another layout or with other options. The marker chain of a table made by this text says so.
std::string StaticRules(const RulesOptions& options);
std::string MarkerChain(const RulesOptions& options);

// Chains that depend on a number of endpoints, made when first needed: name of the entry chain and what to load for it.
std::string BalanceChain(std::size_t endpoints);                                         // "lb3"
std::string BalanceChainText(std::size_t endpoints);
std::string AffinityChain(std::size_t endpoints, std::chrono::seconds timeout);          // "af3_10800"
std::string AffinityRetryChain(std::size_t endpoints, std::chrono::seconds timeout);     // "new3_10800"
std::string AffinityChainText(std::size_t endpoints, std::chrono::seconds timeout);      // both
std::string AffinitySharedChain(std::chrono::seconds timeout);                           // "keep_10800": exists when its group exists
std::string AffinitySharedText(std::chrono::seconds timeout);

}  // namespace skerry::podnet
