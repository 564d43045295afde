#include "embedded-kube-shim/node/pod_admission.h"

#include <algorithm>

#include "core/base/strings.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

namespace skerry::kube::node {
namespace {

struct HostPort {
  std::string address, protocol;
  std::int64_t port = 0;
  bool Conflicts(const HostPort& o) const {
    return port == o.port && protocol == o.protocol && (address == o.address || address == "0.0.0.0" || o.address == "0.0.0.0");
  }
};

std::vector<HostPort> HostPortsOf(const json::Value& pod) {
  std::vector<HostPort> out;
  for (const char* list : {"containers", "initContainers"}) {
    for (const json::Value& c : pod["spec"][list].Items()) {
      if (list[0] == 'i' && c["restartPolicy"].Str() != "Always") continue;
      for (const json::Value& p : c["ports"].Items()) {
        if (p["hostPort"].Int() <= 0) continue;
        const std::string_view address = p["hostIP"].Str();
        out.push_back({std::string(address.empty() ? "0.0.0.0" : address), std::string(p["protocol"].Str("TCP")), p["hostPort"].Int()});
      }
    }
  }
  return out;
}

text::Quantity Parsed(const json::Value& v) {
  auto q = text::Quantity::Parse(v.is_string() ? std::string(v.Str()) : v.Dump());
  return q ? *q : text::Quantity();
}

PodRequests Of(const json::Value& list) {
  PodRequests r;
  if (const json::Value* v = list.Find("cpu")) r.cpu_milli = Parsed(*v).MilliValue();
  if (const json::Value* v = list.Find("memory")) r.memory_bytes = Parsed(*v).Value();
  return r;
}

PodRequests Sum(const std::vector<ObjectPtr>& pods) {
  PodRequests sum;
  for (const ObjectPtr& p : pods) {
    const PodRequests r = RequestsOf(*p);
    sum.cpu_milli += r.cpu_milli;
    sum.memory_bytes += r.memory_bytes;
  }
  return sum;
}

WaitReason Lacks(std::string_view resource, std::int64_t requested, std::int64_t used, std::int64_t capacity) {
  return {Cat("OutOf", resource), Cat("Node didn't have enough resource: ", resource, ", requested: ", requested, ", used: ", used, ", capacity: ", capacity)};
}

// Settings that one pod may change without others of the node noticing.
constexpr std::string_view kSafeSysctls[] = {"kernel.shm_rmid_forced",        "net.ipv4.ip_local_port_range",      "net.ipv4.tcp_syncookies",          "net.ipv4.ping_group_range",
                                             "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
                                             "net.ipv4.tcp_keepalive_intvl",  "net.ipv4.tcp_keepalive_probes",     "net.ipv4.tcp_rmem",                "net.ipv4.tcp_wmem"};

std::optional<WaitReason> SysctlRefusal(const json::Value& spec) {
  for (const json::Value& sysctl : spec["securityContext"]["sysctls"].Items()) {
    std::string name(sysctl["name"].Str());
    if (name.find('/') < name.find('.')) std::replace(name.begin(), name.end(), '/', '.');
    const auto forbid = [&](std::string_view why) { return WaitReason{"SysctlForbidden", Cat("forbidden sysctl: ", Quote(name), " ", why)}; };
    if (std::find(std::begin(kSafeSysctls), std::end(kSafeSysctls), name) == std::end(kSafeSysctls)) return forbid("not allowlisted");
    if (name.starts_with("net.") && spec["hostNetwork"].Bool()) return forbid("not allowed with host net enabled");
    if (name.starts_with("kernel.shm") && spec["hostIPC"].Bool()) return forbid("not allowed with host ipc enabled");
  }
  return std::nullopt;
}

}  // namespace

PodRequests RequestsOf(const json::Value& pod) {
  PodRequests total, most;
  for (const json::Value& c : pod["spec"]["containers"].Items()) {
    const PodRequests r = Of(c["resources"]["requests"]);
    total.cpu_milli += r.cpu_milli;
    total.memory_bytes += r.memory_bytes;
  }
  PodRequests sidecars;                                // those that run beside a later init container count with it
  for (const json::Value& c : pod["spec"]["initContainers"].Items()) {
    const PodRequests r = Of(c["resources"]["requests"]);
    if (c["restartPolicy"].Str() == "Always") {
      sidecars.cpu_milli += r.cpu_milli;
      sidecars.memory_bytes += r.memory_bytes;
      continue;
    }
    most.cpu_milli = std::max(most.cpu_milli, r.cpu_milli + sidecars.cpu_milli);
    most.memory_bytes = std::max(most.memory_bytes, r.memory_bytes + sidecars.memory_bytes);
  }
  PodRequests out{std::max(total.cpu_milli + sidecars.cpu_milli, most.cpu_milli), std::max(total.memory_bytes + sidecars.memory_bytes, most.memory_bytes)};
  const json::Value& whole = pod["spec"]["resources"]["requests"];
  if (whole.Find("cpu")) out.cpu_milli = Of(whole).cpu_milli;
  if (whole.Find("memory")) out.memory_bytes = Of(whole).memory_bytes;
  const PodRequests overhead = Of(pod["spec"]["overhead"]);
  out.cpu_milli += overhead.cpu_milli;
  out.memory_bytes += overhead.memory_bytes;
  return out;
}

std::optional<WaitReason> Refusal(const json::Value& pod, const json::Value& node, const std::vector<ObjectPtr>& others) {
  const std::string_view os = pod["spec"]["os"]["name"].Str();
  if (!os.empty() && os != "linux") return WaitReason{"PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"};
  if (auto refusal = SysctlRefusal(pod["spec"])) return refusal;
  for (const json::Member& m : pod["spec"]["nodeSelector"].Members()) {
    if (node["metadata"]["labels"][m.key].Str() != m.value.Str()) return WaitReason{"NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"};
  }
  const json::Value& allocatable = node["status"]["allocatable"];
  if (!allocatable.is_object()) return std::nullopt;   // not registered yet
  const auto count = static_cast<std::int64_t>(others.size());
  if (const std::int64_t most = Parsed(allocatable["pods"]).Value(); count + 1 > most) return Lacks("pods", 1, count, most);
  const PodRequests mine = RequestsOf(pod), used = Sum(others), all = Of(allocatable);
  if (mine.cpu_milli > 0 && used.cpu_milli + mine.cpu_milli > all.cpu_milli) return Lacks("cpu", mine.cpu_milli, used.cpu_milli, all.cpu_milli);
  if (mine.memory_bytes > 0 && used.memory_bytes + mine.memory_bytes > all.memory_bytes) return Lacks("memory", mine.memory_bytes, used.memory_bytes, all.memory_bytes);
  const std::vector<HostPort> ports = HostPortsOf(pod);
  for (const ObjectPtr& other : ports.empty() ? std::vector<ObjectPtr>() : others) {
    for (const HostPort& taken : HostPortsOf(*other)) {
      if (std::any_of(ports.begin(), ports.end(), [&](const HostPort& p) { return p.Conflicts(taken); })) {
        return WaitReason{"NodePorts", "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"};
      }
    }
  }
  return std::nullopt;
}

std::optional<WaitReason> ResizeRefusal(const PodRequests& wanted, const json::Value& node, const std::vector<ObjectPtr>& others) {
  const PodRequests all = Of(node["status"]["allocatable"]), used = Sum(others);
  const auto never = [](std::string_view name, std::int64_t asked, std::int64_t has) {
    return WaitReason{"Infeasible", Cat("Node didn't have enough capacity: ", name, ", requested: ", asked, ", capacity: ", has)};
  };
  if (wanted.cpu_milli > all.cpu_milli) return never("cpu", wanted.cpu_milli, all.cpu_milli);
  if (wanted.memory_bytes > all.memory_bytes) return never("memory", wanted.memory_bytes, all.memory_bytes);
  if (used.cpu_milli + wanted.cpu_milli > all.cpu_milli) return WaitReason{"Deferred", Lacks("cpu", wanted.cpu_milli, used.cpu_milli, all.cpu_milli).message};
  if (used.memory_bytes + wanted.memory_bytes > all.memory_bytes) return WaitReason{"Deferred", Lacks("memory", wanted.memory_bytes, used.memory_bytes, all.memory_bytes).message};
  return std::nullopt;
}

}  // namespace skerry::kube::node
