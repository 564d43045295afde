#pragma once
#include <string>
#include <vector>

#include "core/base/result.h"

// Flags of `skerry start` and the configuration file (the same names; flags override). One table describes both.
namespace skerry::cmd {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,      // the operation failed; one line on stderr says why and what to do
  kExitUsage = 2,        // unknown verb, flag or value
  kExitNotRunning = 3,   // stop, status: no instance uses this data directory
  kExitInUse = 4,        // another instance uses this data directory, or a port is taken
  kExitDamaged = 5,      // the data directory is damaged or of a newer version
  kExitPrivilege = 6,    // root or a kernel feature is missing
};

struct Options {
  std::string data_dir = "/var/lib/skerry";
  std::string run_dir = "/run/skerry";
  std::string config = "/etc/skerry/config.yaml";
  std::string kubeconfig_out;                // empty = /etc/skerry/kubeconfig for the default data_dir, else DATA/kubeconfig
  std::string listen = "0.0.0.0:6443";
  std::string node_ip;                       // empty = source address of the default route, else the first address that is not loopback
  std::string node_name;                     // empty = host name in lower case
  std::string cluster_cidr = "10.42.0.0/16";
  std::string service_cidr = "10.96.0.0/16";
  std::string dns_domain = "cluster.local";
  std::string apps_domain = "apps.localhost";
  std::string runtime = "auto";              // auto, oci, docker, none
  std::string docker_socket;
  std::string registry_listen = "127.0.0.1:5000";
  std::string router_http = "0.0.0.0:80";
  std::string router_https = "0.0.0.0:443";
  std::string log_level = "info";
  std::string log_format = "text";
  std::string history = "5m";                // how long old revisions can be listed and watched from
  std::string hollow_nodes = "0";            // nodes that only pretend to run their pods
  std::string scheduler_config;
  std::string token_auth_file;
  std::string client_ca_file;
  std::string authentication_config, anonymous_auth = "true";
  std::string oidc_issuer_url, oidc_client_id, oidc_username_claim = "sub", oidc_username_prefix, oidc_groups_claim, oidc_groups_prefix, oidc_required_claim, oidc_ca_file;
  std::string max_requests_inflight = "400", max_mutating_requests_inflight = "200";
  std::string audit_policy_file, audit_log_path, audit_log_maxsize = "100", audit_log_maxbackup = "0", audit_log_maxage = "0";
  std::string encryption_provider_config;
  std::string tls_cert_file, tls_private_key_file, feature_gates;
  std::string authorization_mode = "Node,RBAC";
  std::string enable_admission_plugins, disable_admission_plugins;
  bool help = false;
};

// One row per flag: used by the parser, the configuration file and the help text.
struct Flag {
  const char* name;                          // "data-dir"
  std::string Options::*field;
  const char* value;                         // how the help names the value
  const char* help;
};
const std::vector<Flag>& StartFlags();

// Parses the arguments after the verb. Reads the configuration file first when it exists or was named. Errors: kInvalid, one line.
Result<Options> ParseOptions(const std::vector<std::string>& args);
// The same for verbs about an instance that was started before: what it was started with ("<data>/options") comes first, so that
// `skerry uninstall --data-dir D` finds the ranges, sockets and names of that start.
Result<Options> ParseInstanceOptions(const std::vector<std::string>& args);
Result<> RememberOptions(const Options& options);
std::string StartHelp();

}  // namespace skerry::cmd
