#include "core/container/docker/convert.h"

#include <dirent.h>
#include <sys/stat.h>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/container/oci/bundle.h"

namespace skerry::container::docker {
namespace {

// Engines of API 1.40 do not know capabilities newer than this one.
constexpr const char* kTooNew[] = {"CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE"};

json::Value ToJson(const StringMap& map) {
  json::Value out = json::Value::Object();
  for (const auto& [key, value] : map) out.Set(key) = value;
  return out;
}

StringMap FromJson(const json::Value& object) {
  StringMap out;
  for (const auto& [key, value] : object.Members()) out[key] = value.Str();
  return out;
}

json::Value ToJson(const std::vector<std::string>& list) {
  json::Value out = json::Value::Array();
  for (const std::string& item : list) out.Append(item);
  return out;
}

void SetResources(json::Value& host, const Resources& r, const Host& machine) {
  if (r.memory_bytes > 0) host.Set("Memory") = r.memory_bytes;
  if (r.cpu_shares > 0) host.Set("CpuShares") = r.cpu_shares;
  if (r.cpu_quota_us != 0) {
    host.Set("CpuQuota") = r.cpu_quota_us;
    host.Set("CpuPeriod") = r.cpu_period_us > 0 ? r.cpu_period_us : std::int64_t{100'000};
  }
  if (r.pids != 0) host.Set("PidsLimit") = r.pids;
  if (!r.cpuset_cpus.empty()) host.Set("CpusetCpus") = r.cpuset_cpus;
  if (!r.cpuset_mems.empty()) host.Set("CpusetMems") = r.cpuset_mems;
  if (r.oom_score_adj) {
    const bool may_lower = machine.capabilities.contains("CAP_SYS_RESOURCE");
    host.Set("OomScoreAdj") = may_lower ? *r.oom_score_adj : std::max(*r.oom_score_adj, machine.oom_score_adj);
  }
}

json::Value MountBody(const Mount& m) {
  json::Value out = json::Value::Object();
  out.Set("Target") = m.container_path;
  out.Set("ReadOnly") = m.read_only;
  if (m.kind == Mount::Kind::kTmpfs) {
    out.Set("Type") = "tmpfs";
    out.Set("TmpfsOptions").Set("Mode") = 01777;
    if (m.size_bytes > 0) out.Set("TmpfsOptions").Set("SizeBytes") = m.size_bytes;
    return out;
  }
  out.Set("Type") = "bind";
  out.Set("Source") = m.host_path;
  out.Set("BindOptions").Set("Propagation") = m.propagation == Propagation::kPrivate ? "rprivate" : m.propagation == Propagation::kHostToContainer ? "rslave" : "rshared";
  return out;
}

// Every device of the host, for privileged containers that the engine cannot make "privileged" here.
void AddHostDevices(const std::string& directory, json::Value& out) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(directory.c_str()), ::closedir);
  while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    static constexpr std::string_view kSkip[] = {".", "..", "pts", "shm", "fd", "mqueue", "console", "ptmx"};
    if (std::find(std::begin(kSkip), std::end(kSkip), name) != std::end(kSkip)) continue;
    const std::string path = Cat(directory, "/", name);
    struct stat st;
    if (::lstat(path.c_str(), &st) != 0) continue;
    if (S_ISDIR(st.st_mode)) {
      AddHostDevices(path, out);
    } else if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
      json::Value device = json::Value::Object();
      device.Set("PathOnHost") = path;
      device.Set("PathInContainer") = path;
      device.Set("CgroupPermissions") = "rwm";
      out.Append(std::move(device));
    }
  }
}

Result<> SetSecurity(json::Value& host, const Security& security, const Host& machine) {
  oci::Machine limits;
  limits.capabilities = machine.capabilities;
  host.Set("CapDrop") = ToJson(std::vector<std::string>{"ALL"});
  json::Value& add = host.Set("CapAdd") = json::Value::Array();
  for (const std::string& name : oci::Capabilities(security, limits)) {
    if (std::find(std::begin(kTooNew), std::end(kTooNew), name) == std::end(kTooNew)) add.Append(name);
  }
  host.Set("ReadonlyRootfs") = security.read_only_root;
  json::Value& options = host.Set("SecurityOpt") = json::Value::Array();
  if (security.no_new_privileges) options.Append("no-new-privileges");
  if (security.privileged) {
    // The engine's own Privileged asks for capabilities that the machine may not have; this is what it means, cut to what there is.
    options.Append("seccomp=unconfined");
    host.Set("MaskedPaths") = json::Value::Array();
    host.Set("ReadonlyPaths") = json::Value::Array();
    host.Set("DeviceCgroupRules").Append("a *:* rwm");
    AddHostDevices("/dev", host.Set("Devices") = json::Value::Array());
    return {};
  }
  if (security.unmasked_proc) {
    host.Set("MaskedPaths") = json::Value::Array();
    host.Set("ReadonlyPaths") = json::Value::Array();
  }
  if (security.seccomp == Seccomp::kUnconfined) options.Append("seccomp=unconfined");
  if (security.seccomp == Seccomp::kFile) {
    auto profile = ReadFile(security.seccomp_file, 4 << 20);
    if (!profile) return Fail(Code::kInvalid, Cat("cannot load seccomp profile ", Quote(security.seccomp_file), ": ", profile.error().message()));
    options.Append("seccomp=" + *profile);
  }
  return {};
}

// "uid[:gid]" out of what the spec says and the image has.
std::string UserText(const User& user, const std::string& image_user) {
  if (!user.uid && !user.gid) return "";
  const std::string uid = user.uid ? std::to_string(*user.uid) : image_user.substr(0, image_user.find(':')).empty() ? "0" : image_user.substr(0, image_user.find(':'));
  return user.gid ? Cat(uid, ":", *user.gid) : uid;
}

}  // namespace

std::string CgroupParent(const std::string& path, bool systemd) {
  if (!systemd || path.empty()) return path;
  std::string out;
  for (const std::string_view part : Split(path, '/')) {
    if (part.empty()) continue;
    if (!out.empty()) out += '-';
    for (const char c : part) out += c == '-' ? '_' : c;
  }
  return out + ".slice";
}

json::Value SandboxBody(const SandboxSpec& spec, const std::string& instance, const std::string& pause_image, const Host& host) {
  json::Value body = json::Value::Object();
  body.Set("Image") = pause_image;
  if (spec.network == NetworkMode::kOwn) {
    body.Set("Hostname") = spec.hostname;
    body.Set("Domainname") = spec.domainname;
  }
  json::Value own = json::Value::Object();
  own.Set("cgroupParent") = spec.cgroup_parent;
  own.Set("hostname") = spec.hostname;
  own.Set("domainname") = spec.domainname;
  own.Set("hostNetwork") = spec.network == NetworkMode::kHost;
  own.Set("pid") = static_cast<std::int64_t>(spec.pid);
  own.Set("hostIpc") = spec.ipc == IpcMode::kHost;
  own.Set("sysctls") = ToJson(spec.sysctls);
  own.Set("labels") = ToJson(spec.labels);
  own.Set("annotations") = ToJson(spec.annotations);
  json::Value& labels = body.Set("Labels");
  labels.Set(kInstance) = instance;
  labels.Set(kKind) = "sandbox";
  labels.Set(kId) = spec.id;
  labels.Set(kSpec) = own.Dump();
  json::Value& h = body.Set("HostConfig");
  h.Set("NetworkMode") = spec.network == NetworkMode::kHost ? "host" : "none";
  h.Set("IpcMode") = spec.ipc == IpcMode::kHost ? "host" : "shareable";
  if (spec.pid == PidMode::kHost) h.Set("PidMode") = "host";
  if (!spec.cgroup_parent.empty()) h.Set("CgroupParent") = CgroupParent(spec.cgroup_parent, host.systemd_cgroups);
  h.Set("LogConfig").Set("Type") = "none";
  h.Set("ReadonlyRootfs") = true;
  h.Set("CapDrop") = ToJson(std::vector<std::string>{"ALL"});
  h.Set("SecurityOpt") = ToJson(std::vector<std::string>{"no-new-privileges"});
  if (!spec.sysctls.empty()) h.Set("Sysctls") = ToJson(spec.sysctls);
  return body;
}

SandboxSpec DecodeSandboxSpec(const std::string& text) {
  SandboxSpec spec;
  json::Value own;
  std::string ignored;
  if (!json::Value::Parse(text, &own, &ignored)) return spec;
  spec.cgroup_parent = own["cgroupParent"].Str();
  spec.hostname = own["hostname"].Str();
  spec.domainname = own["domainname"].Str();
  spec.network = own["hostNetwork"].Bool() ? NetworkMode::kHost : NetworkMode::kOwn;
  spec.pid = static_cast<PidMode>(std::clamp<std::int64_t>(own["pid"].Int(), 0, 2));
  spec.ipc = own["hostIpc"].Bool() ? IpcMode::kHost : IpcMode::kSandbox;
  spec.sysctls = FromJson(own["sysctls"]);
  spec.labels = FromJson(own["labels"]);
  spec.annotations = FromJson(own["annotations"]);
  return spec;
}

Result<json::Value> ContainerBody(const ContainerSpec& spec, const SandboxSpec& sandbox, const std::string& instance, const std::string& pause, const std::string& target,
                                  const std::string& image_id, const std::string& image_user, const Host& host) {
  json::Value body = json::Value::Object();
  body.Set("Image") = image_id;
  if (!spec.command.empty()) body.Set("Entrypoint") = ToJson(spec.command);
  if (!spec.args.empty()) body.Set("Cmd") = ToJson(spec.args);
  std::vector<std::string> env = spec.env;
  if (!sandbox.hostname.empty()) env.insert(env.begin(), "HOSTNAME=" + sandbox.hostname);
  body.Set("Env") = ToJson(env);
  if (!spec.working_dir.empty()) body.Set("WorkingDir") = spec.working_dir;
  if (const std::string user = UserText(spec.user, image_user); !user.empty()) body.Set("User") = user;
  body.Set("Tty") = spec.tty;
  body.Set("OpenStdin") = spec.stdin_open;
  body.Set("StdinOnce") = spec.stdin_once;
  json::Value own = json::Value::Object();
  own.Set("sandbox") = spec.sandbox_id;
  own.Set("imageName") = spec.image_name;
  own.Set("logPath") = spec.log_path;
  own.Set("labels") = ToJson(spec.labels);
  own.Set("annotations") = ToJson(spec.annotations);
  json::Value& labels = body.Set("Labels");
  labels.Set(kInstance) = instance;
  labels.Set(kKind) = "container";
  labels.Set(kId) = spec.id;
  labels.Set(kSpec) = own.Dump();
  json::Value& h = body.Set("HostConfig");
  h.Set("NetworkMode") = "container:" + pause;
  h.Set("IpcMode") = sandbox.ipc == IpcMode::kHost ? "host" : "container:" + pause;
  if (!target.empty()) h.Set("PidMode") = "container:" + target;
  else if (sandbox.pid == PidMode::kHost) h.Set("PidMode") = "host";
  else if (sandbox.pid == PidMode::kSandbox) h.Set("PidMode") = "container:" + pause;
  if (!sandbox.cgroup_parent.empty()) h.Set("CgroupParent") = CgroupParent(sandbox.cgroup_parent, host.systemd_cgroups);
  h.Set("LogConfig").Set("Type") = spec.log_path.empty() ? "none" : "json-file";
  h.Set("Mounts") = json::Value::Array();
  for (const Mount& m : spec.mounts) h.Set("Mounts").Append(MountBody(m));
  for (const std::int64_t gid : spec.user.supplementary_groups) h.Set("GroupAdd").Append(std::to_string(gid));
  TRY_VOID(SetSecurity(h, spec.security, host));
  SetResources(h, spec.resources, host);
  for (const Device& d : spec.devices) {
    json::Value device = json::Value::Object();
    device.Set("PathOnHost") = d.host_path;
    device.Set("PathInContainer") = d.container_path.empty() ? d.host_path : d.container_path;
    device.Set("CgroupPermissions") = d.access;
    h.Set("Devices").Append(std::move(device));
  }
  for (const Rlimit& l : spec.rlimits) {
    json::Value limit = json::Value::Object();
    limit.Set("Name") = l.type.starts_with("RLIMIT_") ? ToLower(l.type.substr(7)) : l.type;
    limit.Set("Hard") = static_cast<std::int64_t>(l.hard);
    limit.Set("Soft") = static_cast<std::int64_t>(l.soft);
    h.Set("Ulimits").Append(std::move(limit));
  }
  return body;
}

Clock::Wall DecodeTime(std::string_view text) {
  if (text.empty() || text.starts_with("0001-")) return {};
  const auto parsed = ParseTime(text);
  return parsed ? *parsed : Clock::Wall();
}

ContainerStatus DecodeStatus(const json::Value& inspect) {
  const json::Value& config = inspect["Config"];
  const json::Value& state = inspect["State"];
  json::Value own;
  std::string ignored;
  if (!json::Value::Parse(config.At({"Labels", kSpec}).Str(), &own, &ignored)) own = json::Value::Object();
  ContainerStatus out{.id = std::string(config.At({"Labels", kId}).Str()), .sandbox_id = std::string(own["sandbox"].Str()), .image_name = std::string(own["imageName"].Str()),
                      .image_id = std::string(inspect["Image"].Str())};
  out.created = DecodeTime(inspect["Created"].Str());
  out.started = DecodeTime(state["StartedAt"].Str());
  out.finished = DecodeTime(state["FinishedAt"].Str());
  out.log_path = own["logPath"].Str();
  out.labels = FromJson(own["labels"]);
  out.annotations = FromJson(own["annotations"]);
  out.tty = config["Tty"].Bool();
  out.stdin_open = config["OpenStdin"].Bool();
  out.stop_signal = config["StopSignal"].Str().empty() ? 15 : oci::SignalNumber(config["StopSignal"].Str());
  const std::string_view status = state["Status"].Str();
  if (status == "running" || status == "paused" || status == "restarting") {
    out.state = State::kRunning;
    out.pid = static_cast<int>(state["Pid"].Int());
    out.finished = {};
    return out;
  }
  if (status == "created" && state["Error"].Str().empty()) {
    out.state = State::kCreated;
    return out;
  }
  // The engine takes both times in different places; a process that ends at once may end "before" it began.
  out.finished = std::max(out.finished, out.started);
  out.state = status == "created" || status == "exited" || status == "dead" || status == "removing" ? State::kExited : State::kUnknown;
  out.exit_code = static_cast<int>(state["ExitCode"].Int());
  out.message = state["Error"].Str();
  if (out.started == Clock::Wall() && !out.message.empty()) {
    out.reason = "StartError";
    if (out.finished == Clock::Wall()) out.finished = out.created;
    if (out.exit_code == 0) out.exit_code = 128;
  } else {
    out.reason = state["OOMKilled"].Bool() && out.exit_code != 0 ? "OOMKilled" : std::string(ReasonOf(out.exit_code));
  }
  return out;
}

ImageInfo DecodeImage(const json::Value& inspect) {
  ImageInfo out{.id = std::string(inspect["Id"].Str()), .size_bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(inspect["Size"].Int(), 0))};
  const auto normalized = [](std::string_view text) {
    auto reference = ImageReference::Parse(text);
    return reference ? reference->ToString() : std::string(text);
  };
  for (const json::Value& tag : inspect["RepoTags"].Items()) {
    if (tag.Str() != "<none>:<none>") out.tags.push_back(normalized(tag.Str()));
  }
  for (const json::Value& digest : inspect["RepoDigests"].Items()) {
    if (!digest.Str().starts_with("<none>")) out.digests.push_back(normalized(digest.Str()));
  }
  const json::Value& config = inspect["Config"];
  const auto strings = [](const json::Value& array) {
    std::vector<std::string> list;
    for (const json::Value& item : array.Items()) list.emplace_back(item.Str());
    return list;
  };
  out.config.entrypoint = strings(config["Entrypoint"]);
  out.config.cmd = strings(config["Cmd"]);
  out.config.env = strings(config["Env"]);
  out.config.user = config["User"].Str();
  out.config.working_dir = config["WorkingDir"].Str();
  out.config.stop_signal = config["StopSignal"].Str();
  for (const auto& [name, _] : config["Volumes"].Members()) out.config.volumes.push_back(name);
  for (const auto& [name, _] : config["ExposedPorts"].Members()) out.config.exposed_ports.push_back(name);
  out.config.labels = FromJson(config["Labels"]);
  out.last_used = Clock::System().Now();
  return out;
}

}  // namespace skerry::container::docker
