#include "core/container/oci/records.h"

#include "core/base/strings.h"

namespace skerry::container::oci {
namespace {

// One list of fields per type serves both directions: a Writer puts the members into an object, a Reader takes them out.
class Writer {
 public:
  explicit Writer(json::Value& out) : out_(out) {}
  void Field(const char* name, const std::string& v) { if (!v.empty()) out_.Set(name) = v; }
  void Field(const char* name, bool v) { if (v) out_.Set(name) = v; }
  void Field(const char* name, std::int64_t v) { if (v != 0) out_.Set(name) = v; }
  void Field(const char* name, int v) { if (v != 0) out_.Set(name) = v; }
  void Field(const char* name, std::uint16_t v) { if (v != 0) out_.Set(name) = static_cast<std::int64_t>(v); }
  void Field(const char* name, std::uint64_t v) { if (v != 0) out_.Set(name) = static_cast<std::int64_t>(v); }
  template <class E> requires std::is_enum_v<E>
  void Field(const char* name, E v) { Field(name, static_cast<std::int64_t>(v)); }
  template <class T>
  void Field(const char* name, const std::optional<T>& v) { if (v) out_.Set(name) = static_cast<std::int64_t>(*v); }
  void Field(const char* name, const StringMap& v) {
    for (const auto& [key, value] : v) out_.Set(name).Set(key) = value;
  }
  void Field(const char* name, const std::vector<std::string>& v) {
    for (const auto& item : v) out_.Set(name).Append(item);
  }
  void Field(const char* name, const std::vector<std::int64_t>& v) {
    for (const auto& item : v) out_.Set(name).Append(item);
  }
  template <class T> requires std::is_class_v<T>
  void Field(const char* name, const T& v);
  template <class T> requires std::is_class_v<T>
  void Field(const char* name, const std::vector<T>& v);

 private:
  json::Value& out_;
};

class Reader {
 public:
  explicit Reader(const json::Value& in) : in_(in) {}
  void Field(const char* name, std::string& v) { v = in_[name].Str(); }
  void Field(const char* name, bool& v) { v = in_[name].Bool(); }
  void Field(const char* name, std::int64_t& v) { v = in_[name].Int(); }
  void Field(const char* name, int& v) { v = static_cast<int>(in_[name].Int()); }
  void Field(const char* name, std::uint64_t& v) { v = static_cast<std::uint64_t>(in_[name].Int()); }
  template <class E> requires std::is_enum_v<E>
  void Field(const char* name, E& v) { v = static_cast<E>(in_[name].Int()); }
  template <class T>
  void Field(const char* name, std::optional<T>& v) {
    if (in_.Find(name) != nullptr) v = static_cast<T>(in_[name].Int());
  }
  void Field(const char* name, StringMap& v) {
    for (const auto& [key, value] : in_[name].Members()) v[key] = value.Str();
  }
  void Field(const char* name, std::vector<std::string>& v) {
    for (const auto& item : in_[name].Items()) v.emplace_back(item.Str());
  }
  void Field(const char* name, std::vector<std::int64_t>& v) {
    for (const auto& item : in_[name].Items()) v.push_back(item.Int());
  }
  template <class T> requires std::is_class_v<T>
  void Field(const char* name, T& v);
  template <class T> requires std::is_class_v<T>
  void Field(const char* name, std::vector<T>& v);

 private:
  const json::Value& in_;
};

template <class A, class T>
void Fields(A& a, T& r) requires std::is_same_v<std::remove_const_t<T>, Resources> {
  a.Field("cpuShares", r.cpu_shares);
  a.Field("cpuQuota", r.cpu_quota_us);
  a.Field("cpuPeriod", r.cpu_period_us);
  a.Field("memory", r.memory_bytes);
  a.Field("memoryLow", r.memory_low_bytes);
  a.Field("pids", r.pids);
  a.Field("cpus", r.cpuset_cpus);
  a.Field("mems", r.cpuset_mems);
  a.Field("oomScoreAdj", r.oom_score_adj);
}
template <class A, class T>
void Fields(A& a, T& m) requires std::is_same_v<std::remove_const_t<T>, Mount> {
  a.Field("kind", m.kind);
  a.Field("host", m.host_path);
  a.Field("container", m.container_path);
  a.Field("readOnly", m.read_only);
  a.Field("propagation", m.propagation);
  a.Field("size", m.size_bytes);
}
template <class A, class T>
void Fields(A& a, T& d) requires std::is_same_v<std::remove_const_t<T>, Device> {
  a.Field("host", d.host_path);
  a.Field("container", d.container_path);
  a.Field("access", d.access);
}
template <class A, class T>
void Fields(A& a, T& l) requires std::is_same_v<std::remove_const_t<T>, Rlimit> {
  a.Field("type", l.type);
  a.Field("hard", l.hard);
  a.Field("soft", l.soft);
}
template <class A, class T>
void Fields(A& a, T& s) requires std::is_same_v<std::remove_const_t<T>, Security> {
  a.Field("privileged", s.privileged);
  a.Field("readOnlyRoot", s.read_only_root);
  a.Field("noNewPrivileges", s.no_new_privileges);
  a.Field("unmaskedProc", s.unmasked_proc);
  a.Field("add", s.add_capabilities);
  a.Field("drop", s.drop_capabilities);
  a.Field("seccomp", s.seccomp);
  a.Field("seccompFile", s.seccomp_file);
}
template <class A, class T>
void Fields(A& a, T& u) requires std::is_same_v<std::remove_const_t<T>, User> {
  a.Field("uid", u.uid);
  a.Field("gid", u.gid);
  a.Field("groups", u.supplementary_groups);
  a.Field("mergeImageGroups", u.merge_image_groups);
}
template <class A, class T>
void Fields(A& a, T& s) requires std::is_same_v<std::remove_const_t<T>, SandboxSpec> {
  a.Field("id", s.id);
  a.Field("hostname", s.hostname);
  a.Field("domainname", s.domainname);
  a.Field("cgroupParent", s.cgroup_parent);
  a.Field("resources", s.resources);
  a.Field("network", s.network);
  a.Field("pid", s.pid);
  a.Field("ipc", s.ipc);
  a.Field("sysctls", s.sysctls);
  a.Field("labels", s.labels);
  a.Field("annotations", s.annotations);
}
template <class A, class T>
void Fields(A& a, T& c) requires std::is_same_v<std::remove_const_t<T>, ContainerSpec> {
  a.Field("id", c.id);
  a.Field("sandbox", c.sandbox_id);
  a.Field("image", c.image);
  a.Field("imageName", c.image_name);
  a.Field("command", c.command);
  a.Field("args", c.args);
  a.Field("env", c.env);
  a.Field("workingDir", c.working_dir);
  a.Field("user", c.user);
  a.Field("mounts", c.mounts);
  a.Field("devices", c.devices);
  a.Field("rlimits", c.rlimits);
  a.Field("security", c.security);
  a.Field("resources", c.resources);
  a.Field("targetContainer", c.target_container);
  a.Field("logPath", c.log_path);
  a.Field("tty", c.tty);
  a.Field("stdinOpen", c.stdin_open);
  a.Field("stdinOnce", c.stdin_once);
  a.Field("labels", c.labels);
  a.Field("annotations", c.annotations);
}
template <class A, class T>
void Fields(A& a, T& r) requires std::is_same_v<std::remove_const_t<T>, SandboxRecord> {
  a.Field("spec", r.spec);
  a.Field("complete", r.complete);
  a.Field("created", r.created_ns);
  a.Field("boot", r.boot_id);
}
template <class A, class T>
void Fields(A& a, T& r) requires std::is_same_v<std::remove_const_t<T>, ContainerRecord> {
  a.Field("spec", r.spec);
  a.Field("phase", r.phase);
  a.Field("imageDigest", r.image_digest);
  a.Field("boot", r.boot_id);
  a.Field("cgroup", r.cgroup);
  a.Field("stopSignal", r.stop_signal);
  a.Field("pid", r.pid);
  a.Field("pidStart", r.pid_start);
  a.Field("monitorPid", r.monitor_pid);
  a.Field("monitorStart", r.monitor_start);
  a.Field("exitCode", r.exit_code);
  a.Field("reason", r.reason);
  a.Field("message", r.message);
  a.Field("created", r.created_ns);
  a.Field("started", r.started_ns);
  a.Field("finished", r.finished_ns);
}

template <class T> requires std::is_class_v<T>
void Writer::Field(const char* name, const T& v) {
  json::Value inner = json::Value::Object();
  Writer writer(inner);
  Fields(writer, v);
  out_.Set(name) = std::move(inner);
}
template <class T> requires std::is_class_v<T>
void Writer::Field(const char* name, const std::vector<T>& v) {
  for (const T& item : v) {
    json::Value inner = json::Value::Object();
    Writer writer(inner);
    Fields(writer, item);
    out_.Set(name).Append(std::move(inner));
  }
}
template <class T> requires std::is_class_v<T>
void Reader::Field(const char* name, T& v) {
  Reader reader(in_[name]);
  Fields(reader, v);
}
template <class T> requires std::is_class_v<T>
void Reader::Field(const char* name, std::vector<T>& v) {
  for (const json::Value& item : in_[name].Items()) {
    Reader reader(item);
    Fields(reader, v.emplace_back());
  }
}

constexpr std::int64_t kVersion = 1;

template <class T>
std::string EncodeRecord(const T& record) {
  json::Value root = json::Value::Object();
  root.Set("version") = kVersion;
  Writer writer(root);
  Fields(writer, record);
  return root.Dump();
}

template <class T>
Result<T> DecodeRecord(const std::string& text) {
  json::Value root;
  std::string error;
  if (!json::Value::Parse(text, &root, &error)) return Fail(Code::kCorruption, "damaged record: " + error);
  if (root["version"].Int() != kVersion) return Fail(Code::kUnsupported, Cat("record of version ", root["version"].Int(), ", this program knows ", kVersion));
  T record;
  Reader reader(root);
  Fields(reader, record);
  if (record.spec.id.empty()) return Fail(Code::kCorruption, "damaged record: no id");
  return record;
}

}  // namespace

std::string Encode(const SandboxRecord& record) { return EncodeRecord(record); }
std::string Encode(const ContainerRecord& record) { return EncodeRecord(record); }
Result<SandboxRecord> DecodeSandbox(const std::string& text) { return DecodeRecord<SandboxRecord>(text); }
Result<ContainerRecord> DecodeContainer(const std::string& text) { return DecodeRecord<ContainerRecord>(text); }

std::int64_t ToNs(Clock::Wall t) { return std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch()).count(); }
Clock::Wall FromNs(std::int64_t ns) { return Clock::Wall(std::chrono::duration_cast<Clock::Wall::duration>(std::chrono::nanoseconds(ns))); }

}  // namespace skerry::container::oci
