#include "embedded-kube-shim/node/container_spec.h"

#include <algorithm>

#include "core/base/strings.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/node/pod_files.h"

namespace skerry::kube::node {
namespace {

std::int64_t Amount(const json::Value& list, std::string_view name, bool milli) {
  const json::Value* v = list.Find(name);
  if (!v) return 0;
  const auto q = text::Quantity::Parse(v->is_string() ? v->Str() : v->Dump());
  return q ? (milli ? q->MilliValue() : q->Value()) : 0;
}

std::int64_t SharesOf(std::int64_t milli) { return milli == 0 ? 2 : std::max<std::int64_t>(2, milli * 1024 / 1000); }
std::int64_t QuotaOf(std::int64_t milli) { return milli == 0 ? 0 : std::max<std::int64_t>(1000, milli * 100); }   // of 100 ms

template <class Visit>
void EachContainer(const json::Value& pod, Visit visit) {
  for (const char* list : {"initContainers", "containers"}) {
    for (const json::Value& c : pod["spec"][list].Items()) visit(c);
  }
}

// A field that the container's security context overrides and the pod's gives as a default.
const json::Value& SecurityField(const json::Value& pod, const json::Value& container, std::string_view field) {
  const json::Value& mine = container["securityContext"][field];
  return mine.is_null() ? pod["spec"]["securityContext"][field] : mine;
}

void FillUser(const ContainerInput& in, container::User& user) {
  const json::Value& uid = SecurityField(in.pod, in.container, "runAsUser");
  const json::Value& gid = SecurityField(in.pod, in.container, "runAsGroup");
  if (uid.is_int()) user.uid = uid.Int();
  if (gid.is_int()) user.gid = gid.Int();
  const json::Value& pod = in.pod["spec"]["securityContext"];
  if (pod["fsGroup"].is_int()) user.supplementary_groups.push_back(pod["fsGroup"].Int());
  for (const json::Value& g : pod["supplementalGroups"].Items()) user.supplementary_groups.push_back(g.Int());
  user.merge_image_groups = pod["supplementalGroupsPolicy"].Str("Merge") != "Strict";
}

void FillSecurity(const ContainerInput& in, container::Security& s) {
  const json::Value& sc = in.container["securityContext"];
  s.privileged = sc["privileged"].Bool();
  s.read_only_root = sc["readOnlyRootFilesystem"].Bool();
  s.no_new_privileges = sc["allowPrivilegeEscalation"].is_bool() && !sc["allowPrivilegeEscalation"].Bool();
  s.unmasked_proc = sc["procMount"].Str() == "Unmasked";
  const auto names = [](const json::Value& list) {
    std::vector<std::string> out;
    for (const json::Value& v : list.Items()) out.emplace_back(v.Str().starts_with("CAP_") ? v.Str().substr(4) : v.Str());
    return out;
  };
  s.add_capabilities = names(sc["capabilities"]["add"]);
  s.drop_capabilities = names(sc["capabilities"]["drop"]);
  const json::Value& profile = SecurityField(in.pod, in.container, "seccompProfile");
  const std::string_view type = profile["type"].Str();
  s.seccomp = type == "RuntimeDefault" ? container::Seccomp::kRuntimeDefault : type == "Localhost" ? container::Seccomp::kFile : container::Seccomp::kUnconfined;
  if (type == "Localhost") s.seccomp_file = Cat("/var/lib/kubelet/seccomp/", profile["localhostProfile"].Str());
}

bool IsClaimForReading(const json::Value& pod, std::string_view volume) {
  for (const json::Value& v : pod["spec"]["volumes"].Items()) {
    if (v["name"].Str() == volume) return v["persistentVolumeClaim"]["readOnly"].Bool();
  }
  return false;
}

Result<> FillMounts(const ContainerInput& in, container::ContainerSpec& out) {
  bool own_hosts = false, own_resolv = false;
  std::size_t index = 0;
  for (const json::Value& m : in.container["volumeMounts"].Items()) {
    container::Mount mount;
    const std::string name(m["name"].Str());
    const auto sub = in.sub_paths.find(std::to_string(index++));
    const auto volume = in.volumes.find(name);
    if (volume == in.volumes.end()) return Fail(Code::kInvalid, Cat("cannot find volume ", Quote(name), " to mount into container ", Quote(in.container["name"].Str())));
    mount.host_path = sub != in.sub_paths.end() ? sub->second : volume->second;
    mount.container_path = m["mountPath"].Str();
    if (!mount.container_path.starts_with('/')) mount.container_path.insert(0, 1, '/');
    mount.read_only = m["readOnly"].Bool() || IsClaimForReading(in.pod, name);
    const std::string_view propagation = m["mountPropagation"].Str();
    if (propagation == "HostToContainer") mount.propagation = container::Propagation::kHostToContainer;
    if (propagation == "Bidirectional") mount.propagation = container::Propagation::kBidirectional;
    own_hosts |= mount.container_path == "/etc/hosts";
    own_resolv |= mount.container_path == "/etc/resolv.conf";
    out.mounts.push_back(std::move(mount));
  }
  const auto file = [&](std::string host, std::string path) {
    container::Mount m;
    m.host_path = std::move(host);
    m.container_path = std::move(path);
    out.mounts.push_back(std::move(m));
  };
  if (!own_hosts) file(in.place.directory + "/etc-hosts", "/etc/hosts");
  if (!own_resolv) file(in.place.directory + "/resolv.conf", "/etc/resolv.conf");
  if (!in.pod["spec"]["hostNetwork"].Bool()) file(in.place.directory + "/hostname", "/etc/hostname");
  file(Cat(in.place.directory, "/containers/", out.id, "/termination-log"),
       std::string(in.container["terminationMessagePath"].Str("/dev/termination-log")));
  return {};
}

}  // namespace

std::string_view ToString(ContainerKind kind) { return kind == ContainerKind::kInit ? "init" : kind == ContainerKind::kContainer ? "container" : "ephemeral"; }

QosClass QosOf(const json::Value& pod) {
  bool any = false, guaranteed = true;
  const auto look = [&](const json::Value& resources) {
    for (const char* name : {"cpu", "memory"}) {
      const std::int64_t request = Amount(resources["requests"], name, true), limit = Amount(resources["limits"], name, true);
      any |= request > 0 || limit > 0;
      guaranteed &= limit > 0 && (request == 0 || request == limit);
    }
  };
  if (pod["spec"]["resources"].size() > 0) {
    look(pod["spec"]["resources"]);
  } else {
    EachContainer(pod, [&](const json::Value& c) { look(c["resources"]); });
  }
  return !any ? QosClass::kBestEffort : guaranteed ? QosClass::kGuaranteed : QosClass::kBurstable;
}

std::string CgroupParent(const json::Value& pod) {
  const QosClass qos = QosOf(pod);
  const char* level = qos == QosClass::kGuaranteed ? "" : qos == QosClass::kBurstable ? "/burstable" : "/besteffort";
  return Cat("/kubepods", level, "/pod", Uid(pod));
}

container::Resources PodResources(const json::Value& pod) {
  container::Resources r;
  std::int64_t cpu_request = 0, cpu_limit = 0, memory_limit = 0;
  bool all_cpu = true, all_memory = true;
  EachContainer(pod, [&](const json::Value& c) {
    const json::Value& res = c["resources"];
    cpu_request += Amount(res["requests"], "cpu", true);
    const std::int64_t cpu = Amount(res["limits"], "cpu", true), memory = Amount(res["limits"], "memory", false);
    all_cpu &= cpu > 0;
    all_memory &= memory > 0;
    cpu_limit += cpu;
    memory_limit += memory;
  });
  const json::Value& pod_level = pod["spec"]["resources"];
  if (const std::int64_t n = Amount(pod_level["requests"], "cpu", true)) cpu_request = n;
  if (const std::int64_t n = Amount(pod_level["limits"], "cpu", true)) cpu_limit = n, all_cpu = true;
  if (const std::int64_t n = Amount(pod_level["limits"], "memory", false)) memory_limit = n, all_memory = true;
  r.cpu_shares = SharesOf(cpu_request);
  if (all_cpu) r.cpu_quota_us = QuotaOf(cpu_limit), r.cpu_period_us = 100000;
  if (all_memory) r.memory_bytes = memory_limit;
  return r;
}

container::Resources ContainerResources(const json::Value& pod, const json::Value& c, const json::Value& node) {
  container::Resources r;
  const json::Value& res = c["resources"];
  const std::int64_t limit = Amount(res["limits"], "cpu", true);
  const json::Value* request = res["requests"].Find("cpu");
  r.cpu_shares = SharesOf(request ? Amount(res["requests"], "cpu", true) : limit);
  if (limit > 0) r.cpu_quota_us = QuotaOf(limit), r.cpu_period_us = 100000;
  r.memory_bytes = Amount(res["limits"], "memory", false);
  switch (QosOf(pod)) {
    case QosClass::kGuaranteed: r.oom_score_adj = -997; break;
    case QosClass::kBestEffort: r.oom_score_adj = 1000; break;
    case QosClass::kBurstable: {
      // The less of the node's memory a container asked for, the sooner it goes.
      const std::int64_t capacity = std::max<std::int64_t>(1, Amount(node["status"]["capacity"], "memory", false));
      const std::int64_t score = 1000 - 1000 * Amount(res["requests"], "memory", false) / capacity;
      r.oom_score_adj = static_cast<int>(std::clamp<std::int64_t>(score, 3, 999));
    }
  }
  return r;
}

std::string ContainerHash(const json::Value& c) {
  json::Value replaced;             // nothing else may change in the life of a pod, but resources, and those change in place
  replaced.Set("name") = c["name"].Str();
  replaced.Set("image") = c["image"].Str();
  return TemplateHash(replaced, std::nullopt);
}

container::SandboxSpec MakeSandbox(const json::Value& pod, const std::string& id, std::string_view domain) {
  container::SandboxSpec s;
  const json::Value& spec = pod["spec"];
  s.id = id;
  s.hostname = PodHostname(pod);
  if (spec["setHostnameAsFQDN"].Bool() && !spec["subdomain"].Str().empty()) {
    s.hostname = Cat(s.hostname, ".", spec["subdomain"].Str(), ".", Namespace(pod), ".svc.", domain);
  }
  s.cgroup_parent = CgroupParent(pod);
  s.resources = PodResources(pod);
  if (spec["hostNetwork"].Bool()) s.network = container::NetworkMode::kHost;
  if (spec["shareProcessNamespace"].Bool()) s.pid = container::PidMode::kSandbox;
  if (spec["hostPID"].Bool()) s.pid = container::PidMode::kHost;
  if (spec["hostIPC"].Bool()) s.ipc = container::IpcMode::kHost;
  for (const json::Value& c : spec["securityContext"]["sysctls"].Items()) s.sysctls[std::string(c["name"].Str())] = c["value"].Str();
  s.labels = {{kPodName, std::string(Name(pod))}, {kPodNamespace, std::string(Namespace(pod))}, {kPodUid, std::string(Uid(pod))}};
  return s;
}

Result<container::ContainerSpec> MakeContainer(const ContainerInput& in) {
  container::ContainerSpec out;
  const json::Value& c = in.container;
  out.id = in.id;
  out.sandbox_id = in.sandbox_id;
  out.image_name = c["image"].Str();
  out.image = out.image_name;
  const Mapping mapping = MappingOf(in.environment);
  for (const json::Value& v : c["command"].Items()) out.command.push_back(Expand(v.Str(), mapping));
  for (const json::Value& v : c["args"].Items()) out.args.push_back(Expand(v.Str(), mapping));
  for (const auto& [name, value] : in.environment) out.env.push_back(Cat(name, "=", value));
  out.env.push_back("HOSTNAME=" + PodHostname(in.pod));
  std::rotate(out.env.begin(), out.env.end() - 1, out.env.end());   // first, so that the pod's own HOSTNAME wins
  out.working_dir = c["workingDir"].Str();
  FillUser(in, out.user);
  FillSecurity(in, out.security);
  TRY_VOID(FillMounts(in, out));
  out.resources = ContainerResources(in.pod, c, in.node);
  out.log_path = Cat(in.place.log_directory, "/", c["name"].Str(), "/", in.attempt, ".log");
  out.tty = c["tty"].Bool();
  out.stdin_open = c["stdin"].Bool();
  out.stdin_once = c["stdinOnce"].Bool();
  out.target_container = in.target;
  out.labels = {{kPodName, std::string(Name(in.pod))},
                {kPodNamespace, std::string(Namespace(in.pod))},
                {kPodUid, std::string(Uid(in.pod))},
                {kContainerName, std::string(c["name"].Str())},
                {kContainerKind, std::string(ToString(in.kind))},
                {kContainerAttempt, std::to_string(in.attempt)},
                {kContainerHash, ContainerHash(c)}};
  return out;
}

}  // namespace skerry::kube::node
