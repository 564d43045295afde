#pragma once
#include <set>

#include "core/container/image.h"
#include "core/container/oci/user.h"
#include "core/json/value.h"

// config.json of the OCI runtime specification 1.0.
namespace skerry::container::oci {

// What this machine lets us give to a container; probed once.
struct Machine {
  std::set<std::string> capabilities;   // the own bounding set, "CAP_…"
  int oom_score_adj = 0;                // own value: the lowest that may be given without CAP_SYS_RESOURCE
  std::uint64_t nofile_hard = 0;
  bool cgroup_v2 = false;
  static Machine Probe(bool cgroup_v2);
};

struct BundleInput {
  const ContainerSpec& spec;
  const ImageConfig& image;
  const SandboxSpec& sandbox;
  const ResolvedUser& user;
  const Machine& machine;
  std::string rootfs, cgroup;
  std::string netns, ipcns, utsns;      // empty: the host's
  std::string pidns;                    // empty: its own, "host": the host's
  std::string shm;                      // directory for /dev/shm
  std::string hostname_file;            // for /etc/hostname; empty: the image's
  std::vector<Mount> image_volumes;     // placed before the spec's mounts
};

// The capabilities that the container gets: default set, or all, plus add, minus drop, cut to the machine's.
std::set<std::string> Capabilities(const Security& security, const Machine& machine);
Result<json::Value> MakeBundle(const BundleInput& input);
// The "process" of an exec: that of the container with other arguments and terminal.
json::Value MakeExecProcess(const json::Value& bundle, const ExecSpec& exec);
json::Value MakeResources(const Resources& resources, bool cgroup_v2);
int SignalNumber(std::string_view name);   // "SIGTERM", "TERM", "15", "SIGRTMIN+3"; 15 for what is none

}  // namespace skerry::container::oci
