#include "core/process/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <algorithm>
#include <set>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/process/wait.h"

// Kernel: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/*.rst
namespace skerry::process {
namespace {

Result<> WriteControl(const std::string& path, std::string_view value) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return std::unexpected(ErrnoError(errno, "open " + path));
  if (::write(fd.get(), value.data(), value.size()) < 0) return std::unexpected(ErrnoError(errno, Cat("write ", Quote(value), " to ", path)));
  return {};
}

std::uint64_t ReadNumber(const std::string& path) {
  const auto text = ReadFile(path, 4096);
  return text ? ParseUint(Trim(*text)).value_or(0) : 0;
}

// "key value" lines
std::uint64_t ReadField(std::string_view text, std::string_view key) {
  for (const std::string_view line : Split(text, '\n')) {
    if (line.starts_with(key) && line.size() > key.size() && line[key.size()] == ' ') return ParseUint(Trim(line.substr(key.size() + 1))).value_or(0);
  }
  return 0;
}

std::string ReadOrEmpty(const std::string& path) {
  auto text = ReadFile(path, 1 << 20);
  return text ? *std::move(text) : std::string();
}

bool Exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

std::string Number(std::int64_t v, const char* unlimited) { return v < 0 ? unlimited : std::to_string(v); }

std::vector<std::string> Subdirectories(const std::string& path) {
  std::vector<std::string> out;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
  if (!dir) return out;
  while (const dirent* entry = ::readdir(dir.get())) {
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') out.emplace_back(entry->d_name);
  }
  return out;
}

void CollectProcesses(const std::string& directory, std::vector<int>& out) {
  const std::string text = ReadOrEmpty(directory + "/cgroup.procs");
  for (const std::string_view line : Split(text, '\n')) {
    if (const auto pid = ParseInt(line); pid && *pid > 0) out.push_back(static_cast<int>(*pid));
  }
  for (const std::string& name : Subdirectories(directory)) CollectProcesses(Cat(directory, "/", name), out);
}

// False while something inside still lives.
bool RemoveDirectories(const std::string& directory) {
  bool all = true;
  for (const std::string& name : Subdirectories(directory)) all = RemoveDirectories(Cat(directory, "/", name)) && all;
  return (::rmdir(directory.c_str()) == 0 || errno == ENOENT) && all;
}

// A new v1 cpuset group is empty and refuses processes until it has CPUs and nodes of its parent.
Result<> InheritCpuset(const std::string& mount, const std::string& path) {
  std::string parent = mount;
  for (const std::string_view part : Split(std::string_view(path).substr(1), '/')) {
    const std::string self = Cat(parent, "/", part);
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
      if (!Trim(ReadOrEmpty(self + file)).empty()) continue;
      TRY_VOID(WriteControl(self + file, Trim(ReadOrEmpty(parent + file))));
    }
    parent = self;
  }
  return {};
}

// v2: a controller works in a group when every ancestor hands it down. Each alone: a controller that is missing must not hinder the others.
void Delegate(const std::string& mount, const std::string& path) {
  std::string at = mount;
  for (const std::string_view part : Split(std::string_view(path).substr(1), '/')) {
    for (const char* controller : {"+cpu", "+memory", "+pids", "+io", "+cpuset"}) {
      if (auto r = WriteControl(at + "/cgroup.subtree_control", controller); !r) continue;
    }
    at += Cat("/", part);
  }
}

}  // namespace

Result<Cgroups> Cgroups::Detect(const std::string& mountinfo_path) {
  TRY(const std::string text, ReadFile(mountinfo_path));
  Cgroups out;
  for (const std::string_view line : Split(text, '\n')) {
    const auto fields = Split(line, ' ');
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 6 || fields.end() - dash < 4) continue;
    const std::string target(fields[4]);
    if (dash[1] == "cgroup2" && out.unified_.empty()) out.unified_ = target;
    if (dash[1] != "cgroup") continue;
    bool named = true;
    for (const std::string_view option : Split(dash[3], ',')) {
      static constexpr std::string_view kKnown[] = {"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "net_cls", "net_prio", "perf_event", "hugetlb", "rdma", "misc"};
      if (std::find(std::begin(kKnown), std::end(kKnown), option) == std::end(kKnown)) continue;
      named = false;
      out.controllers_.try_emplace(std::string(option), target);
    }
    if (named) out.named_.push_back(target);
  }
  if (out.controllers_.empty() && out.unified_.empty()) return Fail(Code::kUnsupported, "no control groups are mounted (expected /sys/fs/cgroup)");
  out.mode_ = out.controllers_.empty() ? CgroupMode::kV2 : out.unified_.empty() ? CgroupMode::kV1 : CgroupMode::kHybrid;
  if (out.mode_ == CgroupMode::kHybrid) out.unified_owns_controllers_ = !Trim(ReadOrEmpty(out.unified_ + "/cgroup.controllers")).empty();
  return out;
}

std::string_view Cgroups::mode_name() const noexcept {
  return mode_ == CgroupMode::kV1 ? "v1" : mode_ == CgroupMode::kV2 ? "v2" : "hybrid";
}

std::vector<std::string> Cgroups::Trees() const {
  if (mode_ == CgroupMode::kV2) return {unified_};
  std::vector<std::string> out = named_;
  for (const auto& [_, mount] : controllers_) {
    if (std::find(out.begin(), out.end(), mount) == out.end()) out.push_back(mount);   // "cpu,cpuacct" share one
  }
  return out;
}

std::string Cgroups::File(const std::string& controller, const std::string& path, const char* name) const {
  if (mode_ == CgroupMode::kV2) return Cat(unified_, path, "/", name);
  const auto it = controllers_.find(controller);
  return it == controllers_.end() ? std::string() : Cat(it->second, path, "/", name);
}

Result<> Cgroups::PrepareRoot() const {
  // The true root has no type.
  if (mode_ != CgroupMode::kV2 || !Exists(unified_ + "/cgroup.type")) return {};
  const std::string text = ReadOrEmpty(unified_ + "/cgroup.procs");
  if (Trim(text).empty()) return {};
  TRY_VOID(MakeDirectories(unified_ + "/init", 0755));
  for (const std::string_view pid : Split(text, '\n')) {
    // Some may have ended since; if one that lives stays, making groups fails and says so.
    if (auto moved = pid.empty() ? Result<>() : WriteControl(unified_ + "/init/cgroup.procs", pid); !moved) continue;
  }
  return {};
}

Result<> Cgroups::Create(const std::string& path) const {
  if (!path.starts_with('/') || path.size() < 2 || path.find("..") != std::string::npos) return Fail(Code::kInvalid, "invalid cgroup path " + Quote(path));
  for (const std::string& tree : Trees()) TRY_VOID(MakeDirectories(tree + path, 0755));
  if (mode_ == CgroupMode::kV2) Delegate(unified_, path);
  else if (const auto it = controllers_.find("cpuset"); it != controllers_.end()) TRY_VOID(InheritCpuset(it->second, path));
  return {};
}

Result<> Cgroups::Apply(const std::string& path, const CgroupLimits& l) const {
  const bool v2 = mode_ == CgroupMode::kV2;
  const auto write = [&](const char* controller, const char* file, const std::string& value) -> Result<> {
    const std::string target = File(controller, path, file);
    if (target.empty() || !Exists(target)) return {};   // the controller is absent here; Info() says so
    return WriteControl(target, value);
  };
  const std::int64_t period = l.cpu_period_us > 0 ? l.cpu_period_us : 100'000;
  if (l.cpu_shares > 0) {
    const std::int64_t shares = std::clamp<std::int64_t>(l.cpu_shares, 2, 262'144);
    if (v2) TRY_VOID(write("cpu", "cpu.weight", std::to_string(1 + (shares - 2) * 9999 / 262'142)));
    else TRY_VOID(write("cpu", "cpu.shares", std::to_string(shares)));
  }
  if (l.cpu_quota_us != 0) {
    if (v2) {
      TRY_VOID(write("cpu", "cpu.max", Cat(Number(l.cpu_quota_us, "max"), " ", period)));
    } else {
      TRY_VOID(write("cpu", "cpu.cfs_period_us", std::to_string(period)));
      TRY_VOID(write("cpu", "cpu.cfs_quota_us", Number(l.cpu_quota_us, "-1")));
    }
  }
  if (l.memory_bytes != 0) TRY_VOID(write("memory", v2 ? "memory.max" : "memory.limit_in_bytes", Number(l.memory_bytes, v2 ? "max" : "-1")));
  if (l.memory_low_bytes > 0 && v2) TRY_VOID(write("memory", "memory.low", std::to_string(l.memory_low_bytes)));
  if (l.pids != 0) TRY_VOID(write("pids", "pids.max", Number(l.pids, "max")));
  if (!l.cpuset_cpus.empty()) TRY_VOID(write("cpuset", "cpuset.cpus", l.cpuset_cpus));
  if (!l.cpuset_mems.empty()) TRY_VOID(write("cpuset", "cpuset.mems", l.cpuset_mems));
  return {};
}

Result<CgroupUsage> Cgroups::Read(const std::string& path) const {
  CgroupUsage out;
  const bool v2 = mode_ == CgroupMode::kV2;
  const std::string probe = File("memory", path, v2 ? "cgroup.procs" : "memory.usage_in_bytes");
  if (!Exists(probe)) return Fail(Code::kNotFound, "no cgroup " + path);
  const std::string memory = ReadOrEmpty(File("memory", path, "memory.stat"));
  const std::string cpu = ReadOrEmpty(File("cpu", path, "cpu.stat"));
  std::uint64_t inactive = 0;
  if (v2) {
    out.cpu_ns = ReadField(cpu, "usage_usec") * 1000;
    out.throttled_ns = ReadField(cpu, "throttled_usec") * 1000;
    out.memory_bytes = ReadNumber(File("memory", path, "memory.current"));
    out.memory_limit_bytes = ReadNumber(File("memory", path, "memory.max"));   // "max" is no number: 0
    inactive = ReadField(memory, "inactive_file");
    out.memory_rss_bytes = ReadField(memory, "anon");
    out.page_faults = ReadField(memory, "pgfault");
    out.major_page_faults = ReadField(memory, "pgmajfault");
    out.oom_kills = ReadField(ReadOrEmpty(File("memory", path, "memory.events")), "oom_kill");
  } else {
    out.cpu_ns = ReadNumber(File("cpuacct", path, "cpuacct.usage"));
    out.throttled_ns = ReadField(cpu, "throttled_time");
    out.memory_bytes = ReadNumber(File("memory", path, "memory.usage_in_bytes"));
    const std::uint64_t limit = ReadNumber(File("memory", path, "memory.limit_in_bytes"));
    out.memory_limit_bytes = limit >= (1ULL << 62) ? 0 : limit;                // v1 says "no limit" by a huge number
    inactive = ReadField(memory, "total_inactive_file");
    out.memory_rss_bytes = ReadField(memory, "total_rss");
    out.page_faults = ReadField(memory, "total_pgfault");
    out.major_page_faults = ReadField(memory, "total_pgmajfault");
    out.oom_kills = ReadField(ReadOrEmpty(File("memory", path, "memory.oom_control")), "oom_kill");
  }
  out.memory_working_set_bytes = out.memory_bytes > inactive ? out.memory_bytes - inactive : 0;
  out.pids = ReadNumber(File("pids", path, "pids.current"));
  return out;
}

Result<std::vector<int>> Cgroups::Processes(const std::string& path) const {
  std::vector<int> out;
  for (const std::string& tree : Trees()) CollectProcesses(tree + path, out);
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

Result<> Cgroups::Remove(const Ctx& ctx, const std::string& path) const {
  if (path.size() < 2) return Fail(Code::kInvalid, "refusing to remove the root cgroup");
  for (;;) {
    if (mode_ == CgroupMode::kV2 && Exists(Cat(unified_, path, "/cgroup.kill"))) TRY_VOID(WriteControl(Cat(unified_, path, "/cgroup.kill"), "1"));
    TRY(const auto pids, Processes(path));
    for (const int pid : pids) {
      if (pid != ::getpid()) ::kill(pid, SIGKILL);
    }
    bool gone = true;
    for (const std::string& tree : Trees()) gone = RemoveDirectories(tree + path) && gone;
    if (mode_ == CgroupMode::kHybrid) RemoveDirectories(unified_ + path);   // Docker makes groups there too; nothing of ours depends on them
    if (gone) return {};
    if (ctx.done()) return Fail(Code::kTimeout, "processes in cgroup " + path + " do not end");
    Pause(ctx, std::chrono::milliseconds(5));   // v1 gives no notice when a group becomes empty
  }
}

void Cgroups::RemoveEmpty(const std::string& path) const {
  if (path.size() < 2) return;
  for (const std::string& tree : Trees()) RemoveDirectories(tree + path);
  if (mode_ == CgroupMode::kHybrid) RemoveDirectories(unified_ + path);
}

std::vector<std::string> Cgroups::ProcsFiles(const std::string& path) const {
  std::vector<std::string> out;
  for (const std::string& tree : Trees()) out.push_back(Cat(tree, path, "/cgroup.procs"));
  return out;
}

Result<std::vector<std::string>> Cgroups::Children(const std::string& path) const {
  std::set<std::string> names;
  for (const std::string& tree : Trees()) {
    for (std::string& name : Subdirectories(tree + path)) names.insert(std::move(name));
  }
  return std::vector<std::string>(names.begin(), names.end());
}

}  // namespace skerry::process
