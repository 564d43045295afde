#pragma once
#include <string>
#include <vector>

#include "core/base/result.h"
#include "embedded-kube-shim/node/sources.h"

// Files that the agent keeps for a pod: /etc/hosts, /etc/resolv.conf, host name. Pure.
namespace skerry::kube::node {

struct DnsOptions {
  std::string server;                // cluster DNS address; empty = none
  std::string domain;                // "cluster.local"
  std::string host_resolv_conf;      // content of the host's file
  std::string hosts_file = "/etc/hosts";   // of the host: read when a pod on its network starts
};

std::string PodHostname(const json::Value& pod);                       // spec.hostname or the name, at most 63 characters
std::string PodFqdn(const json::Value& pod, std::string_view domain);  // empty without a subdomain
// A pod on the host's network has the host's own file, `host_file`; both kinds have the pod's aliases at their end.
std::string HostsFile(const json::Value& pod, std::string_view pod_ip, std::string_view domain, std::string_view host_file);
std::string ResolvConf(const json::Value& pod, const DnsOptions& options);

}  // namespace skerry::kube::node
