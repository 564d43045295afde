#pragma once
#include "core/container/oci/transport.h"
#include "core/container/runtime.h"

namespace skerry::container::oci {

// A registry on this host whose blobs may be read from its directory: <data>/blobs/sha256/<2 hex>/<hex>.
struct LocalRegistry {
  std::vector<std::string> hosts;       // "127.0.0.1:5000", "registry.skerry.svc:5000": as they appear in references
  std::string data_dir;
};

struct Options {
  std::string data_dir;                 // "/var/lib/skerry/runtime": images, writable layers, records
  std::string run_dir;                  // "/run/skerry/runtime": namespaces, sockets; gone after a reboot
  std::string monitor_cgroup = "/skerry-monitors";   // where conmon processes live, apart from ours and from the pods'
  std::string runtime_path, conmon_path;             // empty: crun, else runc, and conmon from the usual directories
  std::vector<LocalRegistry> local_registries;
  std::vector<std::string> insecure_registries;      // spoken to by plain HTTP; loopback addresses always are
  std::shared_ptr<Transport> transport;              // how registries with TLS are reached; null: http::Client
  const Clock* clock = &Clock::System();
};

// The direct driver: conmon and crun (or runc), images unpacked into overlay layers. Needs root and control groups.
// kUnsupported names what is missing on this machine.
Result<std::unique_ptr<Runtime>> Create(Options options);

}  // namespace skerry::container::oci
