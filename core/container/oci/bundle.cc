#include "core/container/oci/bundle.h"

#include <dirent.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/container/oci/seccomp.h"
#include "core/process/namespaces.h"

namespace skerry::container::oci {
namespace {

constexpr const char* kCapabilityNames[] = {
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE",
    "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN",
    "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE",
    "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"};
// What images expect to have; the set that Docker made customary.
constexpr const char* kDefault[] = {"CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
                                    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"};
constexpr const char* kMasked[] = {"/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
                                   "/proc/sched_debug", "/proc/scsi", "/proc/interrupts", "/sys/firmware", "/sys/devices/virtual/powercap"};
constexpr const char* kReadOnly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
constexpr const char* kPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string CapabilityName(std::string_view name) {
  std::string upper(name);
  for (char& c : upper) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  return upper.starts_with("CAP_") ? upper : "CAP_" + upper;
}

json::Value List(std::initializer_list<std::string_view> items) {
  json::Value out = json::Value::Array();
  for (const std::string_view item : items) out.Append(item);
  return out;
}

json::Value MountEntry(const std::string& destination, const std::string& type, const std::string& source, json::Value options) {
  json::Value out = json::Value::Object();
  out.Set("destination") = destination;
  out.Set("type") = type;
  out.Set("source") = source;
  out.Set("options") = std::move(options);
  return out;
}

void SetVariable(std::vector<std::string>& env, const std::string& assignment) {
  const std::size_t equals = assignment.find('=');
  const std::string name = assignment.substr(0, equals);
  for (std::string& existing : env) {
    if (existing.substr(0, existing.find('=')) == name) {
      existing = assignment;
      return;
    }
  }
  env.push_back(assignment);
}

std::vector<std::string> Environment(const BundleInput& in) {
  std::vector<std::string> env = {Cat("PATH=", kPath)};
  if (in.spec.tty) env.push_back("TERM=xterm");
  if (!in.sandbox.hostname.empty()) env.push_back("HOSTNAME=" + in.sandbox.hostname);
  for (const std::string& v : in.image.env) SetVariable(env, v);
  for (const std::string& v : in.spec.env) SetVariable(env, v);
  const bool has_home = std::any_of(env.begin(), env.end(), [](const std::string& v) { return v.starts_with("HOME="); });
  if (!has_home) env.push_back("HOME=" + (in.user.home.empty() ? std::string("/") : in.user.home));
  return env;
}

Result<json::Value> Arguments(const BundleInput& in) {
  std::vector<std::string> argv = in.spec.command.empty() ? in.image.entrypoint : in.spec.command;
  const auto& rest = !in.spec.args.empty() ? in.spec.args : in.spec.command.empty() ? in.image.cmd : in.spec.args;
  argv.insert(argv.end(), rest.begin(), rest.end());
  if (argv.empty()) return Fail(Code::kInvalid, "no command specified");
  json::Value out = json::Value::Array();
  for (const std::string& a : argv) out.Append(a);
  return out;
}

json::Value CapabilitySets(const std::set<std::string>& capabilities) {
  json::Value out = json::Value::Object();
  for (const char* set : {"bounding", "effective", "permitted"}) {
    json::Value& list = out.Set(set) = json::Value::Array();
    for (const std::string& name : capabilities) list.Append(name);
  }
  return out;
}

json::Value Rlimits(const BundleInput& in) {
  json::Value out = json::Value::Array();
  const bool may_raise = in.machine.capabilities.contains("CAP_SYS_RESOURCE");
  for (const Rlimit& limit : in.spec.rlimits) {
    json::Value entry = json::Value::Object();
    std::uint64_t hard = limit.hard;
    if (!may_raise && limit.type == "RLIMIT_NOFILE") hard = std::min(hard, in.machine.nofile_hard);
    entry.Set("type") = limit.type;
    entry.Set("hard") = static_cast<std::int64_t>(hard);
    entry.Set("soft") = static_cast<std::int64_t>(std::min(limit.soft, hard));
    out.Append(std::move(entry));
  }
  return out;
}

Result<json::Value> Process(const BundleInput& in, const std::set<std::string>& capabilities) {
  json::Value out = json::Value::Object();
  out.Set("terminal") = in.spec.tty;
  json::Value& user = out.Set("user");
  user.Set("uid") = in.user.uid;
  user.Set("gid") = in.user.gid;
  for (const std::int64_t gid : in.user.groups) user.Set("additionalGids").Append(gid);
  TRY(out.Set("args"), Arguments(in));
  for (const std::string& v : Environment(in)) out.Set("env").Append(v);
  const std::string& cwd = in.spec.working_dir.empty() ? in.image.working_dir : in.spec.working_dir;
  out.Set("cwd") = cwd.empty() ? "/" : cwd;
  out.Set("capabilities") = CapabilitySets(capabilities);
  out.Set("noNewPrivileges") = in.spec.security.no_new_privileges;
  if (in.spec.resources.oom_score_adj) {
    const bool may_lower = in.machine.capabilities.contains("CAP_SYS_RESOURCE");
    out.Set("oomScoreAdj") = may_lower ? *in.spec.resources.oom_score_adj : std::max(*in.spec.resources.oom_score_adj, in.machine.oom_score_adj);
  }
  if (!in.spec.rlimits.empty()) out.Set("rlimits") = Rlimits(in);
  return out;
}

json::Value UserMount(const Mount& m) {
  if (m.kind == Mount::Kind::kTmpfs) {
    json::Value options = List({"nosuid", "nodev", "mode=1777"});
    if (m.size_bytes > 0) options.Append(Cat("size=", m.size_bytes));
    if (m.read_only) options.Append("ro");
    return MountEntry(m.container_path, "tmpfs", "tmpfs", std::move(options));
  }
  const char* const propagation = m.propagation == Propagation::kPrivate ? "rprivate" : m.propagation == Propagation::kHostToContainer ? "rslave" : "rshared";
  return MountEntry(m.container_path, "bind", m.host_path, List({"rbind", propagation, m.read_only ? "ro" : "rw"}));
}

json::Value Mounts(const BundleInput& in) {
  const char* const access = in.spec.security.privileged ? "rw" : "ro";
  std::vector<std::pair<std::string, json::Value>> all;
  const auto add = [&](const char* where, json::Value entry) { all.emplace_back(where, std::move(entry)); };
  add("/proc", MountEntry("/proc", "proc", "proc", List({"nosuid", "noexec", "nodev"})));
  add("/dev", MountEntry("/dev", "tmpfs", "tmpfs", List({"nosuid", "strictatime", "mode=755", "size=65536k"})));
  add("/dev/pts", MountEntry("/dev/pts", "devpts", "devpts", List({"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"})));
  add("/dev/mqueue", MountEntry("/dev/mqueue", "mqueue", "mqueue", List({"nosuid", "noexec", "nodev"})));
  add("/dev/shm", MountEntry("/dev/shm", "bind", in.shm, List({"rbind", "rprivate", "rw"})));
  add("/sys", MountEntry("/sys", "sysfs", "sysfs", List({"nosuid", "noexec", "nodev", access})));
  add("/sys/fs/cgroup", MountEntry("/sys/fs/cgroup", "cgroup", "cgroup", List({"nosuid", "noexec", "nodev", "relatime", access})));
  if (!in.hostname_file.empty()) add("/etc/hostname", MountEntry("/etc/hostname", "bind", in.hostname_file, List({"bind", "rprivate", in.spec.security.read_only_root ? "ro" : "rw"})));
  std::vector<const Mount*> wanted;
  for (const Mount& m : in.image_volumes) wanted.push_back(&m);
  for (const Mount& m : in.spec.mounts) wanted.push_back(&m);
  // Outer mounts first, whatever order the caller had.
  std::stable_sort(wanted.begin(), wanted.end(), [](const Mount* a, const Mount* b) {
    return std::count(a->container_path.begin(), a->container_path.end(), '/') < std::count(b->container_path.begin(), b->container_path.end(), '/');
  });
  json::Value out = json::Value::Array();
  for (auto& [where, entry] : all) {
    const bool replaced = std::any_of(wanted.begin(), wanted.end(), [&](const Mount* m) { return m->container_path == where; });
    if (!replaced) out.Append(std::move(entry));
  }
  for (const Mount* m : wanted) out.Append(UserMount(*m));
  return out;
}

// Every device node of the host below /dev, for privileged containers.
void HostDevices(const std::string& directory, std::vector<Device>& out) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(directory.c_str()), ::closedir);
  if (!dir) return;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    static constexpr std::string_view kSkip[] = {".", "..", "pts", "shm", "fd", "mqueue", "console", "ptmx"};
    if (std::find(std::begin(kSkip), std::end(kSkip), name) != std::end(kSkip)) continue;
    const std::string path = Cat(directory, "/", name);
    struct stat st;
    if (::lstat(path.c_str(), &st) != 0) continue;
    if (S_ISDIR(st.st_mode)) HostDevices(path, out);
    else if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) out.push_back({path, path, "rwm"});
  }
}

Result<> AddDevices(const BundleInput& in, json::Value& linux) {
  json::Value& rules = linux.Set("resources").Set("devices") = json::Value::Array();
  json::Value first = json::Value::Object();
  first.Set("allow") = in.spec.security.privileged;
  first.Set("access") = "rwm";
  rules.Append(std::move(first));
  std::vector<Device> devices;
  if (in.spec.security.privileged) HostDevices("/dev", devices);
  devices.insert(devices.end(), in.spec.devices.begin(), in.spec.devices.end());
  for (const Device& device : devices) {
    struct stat st;
    if (::stat(device.host_path.c_str(), &st) != 0) return std::unexpected(ErrnoError(errno, "device " + device.host_path));
    if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode)) return Fail(Code::kInvalid, device.host_path + " is not a device");
    json::Value node = json::Value::Object();
    node.Set("path") = device.container_path.empty() ? device.host_path : device.container_path;
    node.Set("type") = S_ISCHR(st.st_mode) ? "c" : "b";
    node.Set("major") = static_cast<std::int64_t>(major(st.st_rdev));
    node.Set("minor") = static_cast<std::int64_t>(minor(st.st_rdev));
    node.Set("fileMode") = static_cast<std::int64_t>(st.st_mode & 07777);
    node.Set("uid") = static_cast<std::int64_t>(st.st_uid);
    node.Set("gid") = static_cast<std::int64_t>(st.st_gid);
    linux.Set("devices").Append(std::move(node));
    json::Value rule = json::Value::Object();
    rule.Set("allow") = true;
    rule.Set("type") = S_ISCHR(st.st_mode) ? "c" : "b";
    rule.Set("major") = static_cast<std::int64_t>(major(st.st_rdev));
    rule.Set("minor") = static_cast<std::int64_t>(minor(st.st_rdev));
    rule.Set("access") = device.access;
    if (!in.spec.security.privileged) rules.Append(std::move(rule));
  }
  return {};
}

void AddNamespaces(const BundleInput& in, json::Value& linux) {
  json::Value& list = linux.Set("namespaces") = json::Value::Array();
  const auto add = [&](const char* type, const std::string& path) {
    json::Value entry = json::Value::Object();
    entry.Set("type") = type;
    if (!path.empty()) entry.Set("path") = path;
    list.Append(std::move(entry));
  };
  add("mount", "");
  if (in.pidns != "host") add("pid", in.pidns);
  if (!in.netns.empty()) add("network", in.netns);
  if (!in.ipcns.empty()) add("ipc", in.ipcns);
  if (!in.utsns.empty()) add("uts", in.utsns);
  if (in.machine.cgroup_v2 && !in.spec.security.privileged) add("cgroup", "");
}

Result<> AddSeccomp(const BundleInput& in, const std::set<std::string>& capabilities, json::Value& linux) {
  const Security& security = in.spec.security;
  if (security.privileged || security.seccomp == Seccomp::kUnconfined) return {};
  if (security.seccomp == Seccomp::kRuntimeDefault) {
    linux.Set("seccomp") = DefaultSeccompProfile(capabilities);
    return {};
  }
  auto text = ReadFile(security.seccomp_file, 4 << 20);
  if (!text) return std::unexpected(Error(Code::kInvalid, Cat("cannot load seccomp profile ", Quote(security.seccomp_file), ": ", text.error().message())));
  std::string error;
  json::Value profile;
  if (!json::Value::Parse(*text, &profile, &error)) return Fail(Code::kInvalid, Cat("cannot load seccomp profile ", Quote(security.seccomp_file), ": ", error));
  linux.Set("seccomp") = std::move(profile);
  return {};
}

}  // namespace

Machine Machine::Probe(bool cgroup_v2) {
  Machine out;
  for (int i = 0; i <= CAP_LAST_CAP && i < static_cast<int>(std::size(kCapabilityNames)); ++i) {
    if (process::InBoundingSet(i)) out.capabilities.insert(Cat("CAP_", kCapabilityNames[i]));
  }
  out.oom_score_adj = process::OwnOomScoreAdj();
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  out.nofile_hard = limit.rlim_max;
  out.cgroup_v2 = cgroup_v2;
  return out;
}

std::set<std::string> Capabilities(const Security& security, const Machine& machine) {
  std::set<std::string> wanted;
  const auto all = [](const std::vector<std::string>& list) {
    return std::any_of(list.begin(), list.end(), [](const std::string& c) { return CapabilityName(c) == "CAP_ALL"; });
  };
  if (security.privileged) return machine.capabilities;
  if (all(security.add_capabilities)) wanted = machine.capabilities;
  else if (!all(security.drop_capabilities)) {
    for (const char* name : kDefault) wanted.insert(Cat("CAP_", name));
  }
  if (!all(security.drop_capabilities)) {
    for (const std::string& name : security.drop_capabilities) wanted.erase(CapabilityName(name));
  }
  for (const std::string& name : security.add_capabilities) wanted.insert(CapabilityName(name));
  if (all(security.add_capabilities)) {
    for (const std::string& name : security.drop_capabilities) wanted.erase(CapabilityName(name));
  }
  std::erase_if(wanted, [&](const std::string& name) { return !machine.capabilities.contains(name); });
  return wanted;
}

json::Value MakeResources(const Resources& r, bool cgroup_v2) {
  json::Value out = json::Value::Object();
  if (r.cpu_shares > 0) out.Set("cpu").Set("shares") = r.cpu_shares;
  if (r.cpu_quota_us != 0) {
    out.Set("cpu").Set("quota") = r.cpu_quota_us;
    out.Set("cpu").Set("period") = r.cpu_period_us > 0 ? r.cpu_period_us : std::int64_t{100'000};
  }
  if (!r.cpuset_cpus.empty()) out.Set("cpu").Set("cpus") = r.cpuset_cpus;
  if (!r.cpuset_mems.empty()) out.Set("cpu").Set("mems") = r.cpuset_mems;
  if (r.memory_bytes != 0) out.Set("memory").Set("limit") = r.memory_bytes;
  // A container is killed as a whole or not at all: half of one is harder to understand than none.
  if (r.memory_bytes > 0 && cgroup_v2) out.Set("unified").Set("memory.oom.group") = "1";
  if (r.memory_low_bytes > 0 && cgroup_v2) out.Set("unified").Set("memory.low") = std::to_string(r.memory_low_bytes);
  if (r.pids != 0) out.Set("pids").Set("limit") = r.pids;
  return out;
}

Result<json::Value> MakeBundle(const BundleInput& in) {
  const std::set<std::string> capabilities = Capabilities(in.spec.security, in.machine);
  json::Value out = json::Value::Object();
  out.Set("ociVersion") = "1.0.2";
  TRY(out.Set("process"), Process(in, capabilities));
  out.Set("root").Set("path") = in.rootfs;
  out.Set("root").Set("readonly") = in.spec.security.read_only_root;
  out.Set("mounts") = Mounts(in);
  json::Value& linux = out.Set("linux");
  linux.Set("cgroupsPath") = in.cgroup;
  linux.Set("resources") = MakeResources(in.spec.resources, in.machine.cgroup_v2);
  TRY_VOID(AddDevices(in, linux));
  AddNamespaces(in, linux);
  TRY_VOID(AddSeccomp(in, capabilities, linux));
  Propagation widest = Propagation::kPrivate;
  for (const Mount& m : in.spec.mounts) widest = std::max(widest, m.propagation);
  linux.Set("rootfsPropagation") = widest == Propagation::kPrivate ? "rprivate" : widest == Propagation::kHostToContainer ? "rslave" : "rshared";
  if (!in.spec.security.privileged && !in.spec.security.unmasked_proc) {
    for (const char* path : kMasked) linux.Set("maskedPaths").Append(path);
    for (const char* path : kReadOnly) linux.Set("readonlyPaths").Append(path);
  }
  // The spec's annotations stay with us: OCI runtimes act on some ("run.oci.…"), and whoever writes them is not who owns the machine.
  return out;
}

json::Value MakeExecProcess(const json::Value& bundle, const ExecSpec& exec) {
  json::Value out = bundle["process"].Clone();
  out.Set("terminal") = exec.tty;
  json::Value& argv = out.Set("args") = json::Value::Array();
  for (const std::string& a : exec.argv) argv.Append(a);
  std::vector<std::string> env;
  for (const json::Value& v : bundle.At({"process", "env"}).Items()) env.emplace_back(v.Str());
  if (exec.tty) SetVariable(env, "TERM=xterm");
  for (const std::string& v : exec.env) SetVariable(env, v);
  json::Value& list = out.Set("env") = json::Value::Array();
  for (const std::string& v : env) list.Append(v);
  if (exec.tty && exec.columns > 0) {
    out.Set("consoleSize").Set("width") = static_cast<std::int64_t>(exec.columns);
    out.Set("consoleSize").Set("height") = static_cast<std::int64_t>(exec.rows);
  }
  return out;
}

int SignalNumber(std::string_view name) {
  if (const auto number = ParseInt(name)) return *number > 0 && *number < NSIG ? static_cast<int>(*number) : SIGTERM;
  if (name.starts_with("SIG")) name.remove_prefix(3);
  if (name.starts_with("RTMIN+")) return SIGRTMIN + static_cast<int>(ParseInt(name.substr(6)).value_or(0));
  for (int s = 1; s < NSIG; ++s) {
    const char* const abbreviation = ::sigabbrev_np(s);
    if (abbreviation != nullptr && name == abbreviation) return s;
  }
  return SIGTERM;
}

}  // namespace skerry::container::oci
