#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/base/context.h"
#include "core/base/result.h"

namespace skerry::process {

// 0 or empty: leave alone. -1: no limit.
struct CgroupLimits {
  std::int64_t cpu_shares = 0, cpu_quota_us = 0, cpu_period_us = 0;
  std::int64_t memory_bytes = 0, memory_low_bytes = 0;
  std::int64_t pids = 0;
  std::string cpuset_cpus, cpuset_mems;
};

struct CgroupUsage {
  std::uint64_t cpu_ns = 0, throttled_ns = 0;
  std::uint64_t memory_bytes = 0, memory_working_set_bytes = 0, memory_rss_bytes = 0, memory_limit_bytes = 0;   // limit 0: none
  std::uint64_t page_faults = 0, major_page_faults = 0, pids = 0, oom_kills = 0;
};

enum class CgroupMode : std::uint8_t { kV1, kV2, kHybrid };   // kHybrid: v1 controllers and a v2 tree beside them

// The control group trees of this machine behind one path: "/kubepods/x" is a directory in every v1 hierarchy, or in the one v2 tree.
// Immutable after Detect; any thread.
class Cgroups {
 public:
  static Result<Cgroups> Detect(const std::string& mountinfo_path = "/proc/self/mountinfo");   // kUnsupported: nothing usable is mounted
  CgroupMode mode() const noexcept { return mode_; }
  std::string_view mode_name() const noexcept;
  bool unified_owns_controllers() const noexcept { return unified_owns_controllers_; }         // the case that crun refuses
  const std::string& unified_mount() const noexcept { return unified_; }                      // v2 tree or empty

  // Inside a container (v2) our root is somebody's leaf and holds processes, which keeps it from having limited children: they move
  // to a group "/init". Elsewhere nothing happens.
  Result<> PrepareRoot() const;
  Result<> Create(const std::string& path) const;                     // and its parents; idempotent
  Result<> Apply(const std::string& path, const CgroupLimits& limits) const;
  Result<CgroupUsage> Read(const std::string& path) const;            // kNotFound
  Result<std::vector<int>> Processes(const std::string& path) const;  // of it and everything below
  // Kills what is inside and removes the directory with everything below. Absent: ok.
  Result<> Remove(const Ctx& ctx, const std::string& path) const;
  void RemoveEmpty(const std::string& path) const;                    // what holds no process, from the leaves up; the rest stays
  std::vector<std::string> ProcsFiles(const std::string& path) const; // to enter the group (Command::cgroup_procs)
  Result<std::vector<std::string>> Children(const std::string& path) const;   // names of the groups directly below

 private:
  std::string File(const std::string& controller, const std::string& path, const char* name) const;
  std::vector<std::string> Trees() const;
  CgroupMode mode_ = CgroupMode::kV2;
  bool unified_owns_controllers_ = false;
  std::string unified_;
  std::map<std::string, std::string> controllers_;   // v1: "memory" → mount point
  std::vector<std::string> named_;                   // v1 hierarchies without a controller (systemd)
};

}  // namespace skerry::process
