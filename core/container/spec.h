#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"

// What a caller asks of a container runtime and what it is told back: plain data, the vocabulary of CRI and of the OCI runtime
// specification, no Kubernetes type. embedded-kube-shim/node translates Pods into these.
namespace skerry::container {

using StringMap = std::map<std::string, std::string>;

// ── what is asked ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

enum class Propagation : std::uint8_t { kPrivate, kHostToContainer, kBidirectional };

struct Mount {
  enum class Kind : std::uint8_t { kBind, kTmpfs };
  Kind kind = Kind::kBind;
  std::string host_path;        // kBind: must exist when the container is created; a file or a directory
  std::string container_path;   // absolute; missing mount points are made inside the image's own root, never through its links
  bool read_only = false;
  Propagation propagation = Propagation::kPrivate;
  std::int64_t size_bytes = 0;  // kTmpfs: 0 = the kernel's default
};

struct Device {
  std::string host_path, container_path;
  std::string access = "rwm";
};

struct Rlimit {
  std::string type;             // "RLIMIT_NOFILE"
  std::uint64_t hard = 0, soft = 0;
};

// 0 (or the empty string) means "not set" everywhere; -1 means "no limit" where the kernel knows that.
struct Resources {
  std::int64_t cpu_shares = 0;          // cgroup v1 scale (1024 = one CPU's worth); v2: converted to cpu.weight
  std::int64_t cpu_quota_us = 0;        // per period
  std::int64_t cpu_period_us = 0;       // 100000 when a quota is set without one
  std::int64_t memory_bytes = 0;
  std::int64_t memory_low_bytes = 0;    // v2 memory.min-style protection; ignored on v1
  std::int64_t pids = 0;
  std::string cpuset_cpus, cpuset_mems;
  std::optional<int> oom_score_adj;     // clamped to what this process may set
  bool operator==(const Resources&) const = default;
};

enum class NetworkMode : std::uint8_t { kOwn, kHost };
enum class PidMode : std::uint8_t { kContainer, kSandbox, kHost };   // kSandbox: one PID namespace for all containers of the sandbox
enum class IpcMode : std::uint8_t { kSandbox, kHost };

// The id is chosen by the caller, unique for ever (a recreated sandbox gets a new one): [a-z0-9][a-z0-9._-]{0,127}.
struct SandboxSpec {
  std::string id;
  std::string hostname, domainname;
  std::string cgroup_parent;            // "/kubepods/burstable/pod<uid>": made, limited and removed by the runtime
  Resources resources;                  // of the sandbox as a whole
  NetworkMode network = NetworkMode::kOwn;
  PidMode pid = PidMode::kContainer;
  IpcMode ipc = IpcMode::kSandbox;
  StringMap sysctls;                    // written inside the sandbox's namespaces before the first container
  StringMap labels, annotations;        // kept on disk, given back by List
};

enum class Seccomp : std::uint8_t { kRuntimeDefault, kUnconfined, kFile };

struct Security {
  bool privileged = false;
  bool read_only_root = false;
  bool no_new_privileges = false;
  bool unmasked_proc = false;
  std::vector<std::string> add_capabilities, drop_capabilities;   // "NET_ADMIN", "ALL"; always cut to the own bounding set
  Seccomp seccomp = Seccomp::kRuntimeDefault;
  std::string seccomp_file;             // kFile: a profile in the OCI JSON form
};

struct User {
  std::optional<std::int64_t> uid, gid;          // unset: the image's USER; a named user is looked up in the image
  std::vector<std::int64_t> supplementary_groups;   // added to those of the image's /etc/group
  bool merge_image_groups = true;                // false: only supplementary_groups
};

struct ContainerSpec {
  std::string id, sandbox_id;           // same rules as SandboxSpec::id
  std::string image;                    // id or reference of an image that is present
  std::string image_name;               // echoed in the status (what the user wrote)
  std::vector<std::string> command;     // replaces ENTRYPOINT (and drops CMD) when not empty
  std::vector<std::string> args;        // replaces CMD when not empty
  std::vector<std::string> env;         // "NAME=value", after the image's; the last one of a name wins
  std::string working_dir;              // empty: the image's
  User user;
  std::vector<Mount> mounts;
  std::vector<Device> devices;
  std::vector<Rlimit> rlimits;
  Security security;
  Resources resources;
  std::string target_container;         // joins that container's PID namespace (debug containers)
  std::string log_path;                 // absolute; directory must exist; empty = no log
  bool tty = false, stdin_open = false, stdin_once = false;
  StringMap labels, annotations;
};

struct ExecSpec {
  std::vector<std::string> argv;
  std::vector<std::string> env;         // after the container's
  bool tty = false, with_stdin = false;
  std::uint16_t columns = 0, rows = 0;  // initial terminal size
};

// ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

struct SandboxStatus {
  std::string id;
  bool ready = false;                   // false: its namespaces are gone (reboot, pause process died); only RemoveSandbox makes sense
  std::string netns_path;               // empty with NetworkMode::kHost; stays valid until RemoveSandbox
  Clock::Wall created;
  SandboxSpec spec;
};

//   kCreated ──Start──► kRunning ──exit──► kExited          kUnknown: records say it ran, but nothing knows how it ended
enum class State : std::uint8_t { kCreated, kRunning, kExited, kUnknown };

struct ContainerStatus {
  std::string id, sandbox_id;
  std::string image_name, image_id, image_digest;   // image_digest: "name@sha256:…" of the pull, empty for imported images
  State state = State::kUnknown;
  int exit_code = 0;                    // 128 + signal when killed
  std::string reason, message;          // kExited: "Completed", "Error", "OOMKilled", "StartError", "ContainerStatusUnknown"
  Clock::Wall created, started, finished;   // epoch 0 = not yet
  int pid = 0;                          // in the host's PID namespace while running
  int stop_signal = 15;                 // the image's STOPSIGNAL
  std::string log_path;
  bool tty = false, stdin_open = false;
  StringMap labels, annotations;
};

// Instantaneous readings of counters; rates are the caller's business.
struct Stats {
  Clock::Wall time;
  std::uint64_t cpu_usage_ns = 0;
  std::uint64_t memory_usage_bytes = 0, memory_working_set_bytes = 0, memory_rss_bytes = 0, memory_limit_bytes = 0;   // limit 0 = none
  std::uint64_t page_faults = 0, major_page_faults = 0;
  std::uint64_t pids = 0;
  std::uint64_t throttled_ns = 0;
  std::uint64_t writable_layer_bytes = 0, writable_layer_inodes = 0, log_bytes = 0;   // containers only
};

// Says *that* something changed, not what: the receiver looks again (level-triggered, survives a lost event).
struct Event {
  enum class Kind : std::uint8_t { kContainerStarted, kContainerExited, kContainerOom, kSandboxGone, kResync } kind = Kind::kResync;
  std::string id;                       // container or sandbox; empty for kResync ("events may have been lost, list again")
};

struct RuntimeInfo {
  std::string name;                     // "skerry-oci", "docker": also the scheme of container ids shown to users
  std::string version;
  std::string cgroup_mode;              // "v1", "v2", "hybrid"
  std::vector<std::string> limitations; // one sentence each: what this machine does not allow
};

}  // namespace skerry::container
