#include "embedded-kube-shim/admission/pod_security_checks.h"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <set>
#include <span>

#include "core/base/strings.h"

namespace skerry::kube::pod_security {
namespace {

using Names = std::vector<std::string>;
using Sorted = std::set<std::string, std::less<>>;

// What a check is told.
struct Pod {
  const json::Value& metadata;
  const json::Value& spec;
  int minor;

  const json::Value& context() const { return spec["securityContext"]; }
  bool windows() const { return minor >= 25 && spec.At({"os", "name"}).Str() == "windows"; }
  // Root in such a pod is nobody outside: since 1.35 it may be.
  bool own_users() const {
    const auto* host = spec.Find("hostUsers");
    return minor >= 35 && host && host->is_bool() && !host->Bool();
  }
  void EachContainer(const std::function<void(const json::Value&)>& visit) const {
    for (const std::string_view list : {"initContainers", "containers", "ephemeralContainers"})
      for (const auto& container : spec[list].Items()) visit(container);
  }
  Names ContainersWhere(const std::function<bool(const json::Value& security)>& wrong) const {
    Names names;
    EachContainer([&](const json::Value& container) {
      if (wrong(container["securityContext"])) names.emplace_back(container["name"].Str());
    });
    return names;
  }
};

using Check = std::optional<Violation> (*)(const Pod&);

// "a", "b": between quotes, nothing escaped.
template <class List>
std::string Quoted(const List& list) {
  return Cat("\"", Join(Names(list.begin(), list.end()), "\", \""), "\"");
}
std::string_view Plural(std::string_view one, std::string_view many, std::size_t n) { return n == 1 ? one : many; }
std::string Containers(const Names& names) { return Cat(Plural("container", "containers", names.size()), " ", Quoted(names)); }
bool IsOneOf(std::string_view text, std::span<const std::string_view> allowed) { return std::find(allowed.begin(), allowed.end(), text) != allowed.end(); }
bool IsTrue(const json::Value& value) { return value.is_bool() && value.Bool(); }
bool IsFalse(const json::Value& value) { return value.is_bool() && !value.Bool(); }

std::optional<Violation> AppArmor(const Pod& pod) {
  constexpr std::string_view kPrefix = "container.apparmor.security.beta.kubernetes.io/";
  const auto bad = [](const json::Value& security) {
    const auto* profile = security.Find("appArmorProfile");
    return profile && (*profile)["type"].Str() != "RuntimeDefault" && (*profile)["type"].Str() != "Localhost";
  };
  Names setters;
  Sorted values;
  if (bad(pod.context())) {
    setters.push_back("pod");
    values.emplace(pod.context().At({"appArmorProfile", "type"}).Str());
  }
  const auto containers = pod.ContainersWhere([&](const json::Value& security) {
    if (!bad(security)) return false;
    values.emplace(security.At({"appArmorProfile", "type"}).Str());
    return true;
  });
  if (!containers.empty()) setters.push_back(Containers(containers));
  std::size_t annotations = 0;
  for (const auto& [key, value] : pod.metadata["annotations"].Members()) {
    if (!key.starts_with(kPrefix)) continue;
    const auto text = value.Str();
    if (text.empty() || text == "runtime/default" || text.starts_with("localhost/")) continue;
    ++annotations;
    values.insert(Cat(key, "=", Quote(text)));
  }
  if (annotations > 0) setters.emplace_back(Plural("annotation", "annotations", annotations));
  if (setters.empty()) return std::nullopt;
  return Violation{std::string(Plural("forbidden AppArmor profile", "forbidden AppArmor profiles", values.size())),
                   Cat(Join(setters, " and "), " must not set AppArmor profile type to ", Quoted(values))};
}

Names WithCapabilitiesBeyond(const Pod& pod, std::span<const std::string_view> allowed, Sorted& beyond) {
  return pod.ContainersWhere([&](const json::Value& security) {
    bool wrong = false;
    for (const auto& capability : security.At({"capabilities", "add"}).Items()) {
      if (IsOneOf(capability.Str(), allowed)) continue;
      wrong = true;
      beyond.emplace(capability.Str());
    }
    return wrong;
  });
}

std::optional<Violation> CapabilitiesBaseline(const Pod& pod) {
  constexpr std::array<std::string_view, 13> kAllowed = {"AUDIT_WRITE", "CHOWN",   "DAC_OVERRIDE", "FOWNER",  "FSETID", "KILL",      "MKNOD",
                                                         "NET_BIND_SERVICE", "SETFCAP", "SETGID",       "SETPCAP", "SETUID", "SYS_CHROOT"};
  Sorted beyond;
  const auto names = WithCapabilitiesBeyond(pod, kAllowed, beyond);
  if (names.empty()) return std::nullopt;
  return Violation{"non-default capabilities", Cat(Containers(names), " must not include ", Quoted(beyond), " in securityContext.capabilities.add")};
}

std::optional<Violation> CapabilitiesRestricted(const Pod& pod) {
  constexpr std::array<std::string_view, 1> kAllowed = {"NET_BIND_SERVICE"};
  if (pod.windows()) return std::nullopt;
  Names details;
  const auto keeping = pod.ContainersWhere([](const json::Value& security) {
    const auto dropped = security.At({"capabilities", "drop"}).Items();
    return std::none_of(dropped.begin(), dropped.end(), [](const json::Value& capability) { return capability.Str() == "ALL"; });
  });
  if (!keeping.empty()) details.push_back(Cat(Containers(keeping), " must set securityContext.capabilities.drop=[\"ALL\"]"));
  Sorted beyond;
  const auto adding = WithCapabilitiesBeyond(pod, kAllowed, beyond);
  if (!adding.empty()) details.push_back(Cat(Containers(adding), " must not include ", Quoted(beyond), " in securityContext.capabilities.add"));
  if (details.empty()) return std::nullopt;
  return Violation{"unrestricted capabilities", Join(details, "; ")};
}

std::optional<Violation> HostNamespaces(const Pod& pod) {
  Names shared;
  for (const std::string_view member : {"hostNetwork", "hostPID", "hostIPC"})
    if (pod.spec[member].Bool()) shared.push_back(Cat(member, "=true"));
  if (shared.empty()) return std::nullopt;
  return Violation{"host namespaces", Join(shared, ", ")};
}

std::optional<Violation> HostPathVolumes(const Pod& pod) {
  Names names;
  for (const auto& volume : pod.spec["volumes"].Items())
    if (volume.Find("hostPath")) names.emplace_back(volume["name"].Str());
  if (names.empty()) return std::nullopt;
  return Violation{"hostPath volumes", Cat(Plural("volume", "volumes", names.size()), " ", Quoted(names))};
}

std::optional<Violation> HostPorts(const Pod& pod) {
  Names names;
  Sorted ports;
  pod.EachContainer([&](const json::Value& container) {
    bool uses = false;
    for (const auto& port : container["ports"].Items()) {
      if (port["hostPort"].Int() == 0) continue;
      uses = true;
      ports.insert(std::to_string(port["hostPort"].Int()));
    }
    if (uses) names.emplace_back(container["name"].Str());
  });
  if (names.empty()) return std::nullopt;
  return Violation{"hostPort", Cat(Containers(names), " ", Plural("uses", "use", names.size()), " ", Plural("hostPort", "hostPorts", ports.size()), " ",
                                   Join(Names(ports.begin(), ports.end()), ", "))};
}

// A probe of another host would make the node agent a client of whatever the pod names.
std::optional<Violation> HostOfProbes(const Pod& pod) {
  Names names;
  Sorted hosts;
  pod.EachContainer([&](const json::Value& container) {
    bool uses = false;
    const auto look = [&](const json::Value& handler) {
      for (const std::string_view kind : {"httpGet", "tcpSocket"}) {
        const auto host = handler[kind]["host"].Str();
        if (host.empty()) continue;
        uses = true;
        hosts.emplace(host);
      }
    };
    for (const std::string_view probe : {"livenessProbe", "readinessProbe", "startupProbe"}) look(container[probe]);
    for (const std::string_view hook : {"postStart", "preStop"}) look(container.At({"lifecycle", hook}));
    if (uses) names.emplace_back(container["name"].Str());
  });
  if (names.empty()) return std::nullopt;
  return Violation{"probe or lifecycle host", Cat(Containers(names), " ", Plural("uses", "use", names.size()), " probe or lifecycle ", Plural("host", "hosts", hosts.size()), " ", Quoted(hosts))};
}

std::optional<Violation> Privileged(const Pod& pod) {
  const auto names = pod.ContainersWhere([](const json::Value& security) { return IsTrue(security["privileged"]); });
  if (names.empty()) return std::nullopt;
  return Violation{"privileged", Cat(Containers(names), " must not set securityContext.privileged=true")};
}

std::optional<Violation> UnmaskedProc(const Pod& pod) {
  Sorted values;
  const auto names = pod.ContainersWhere([&](const json::Value& security) {
    const auto type = security["procMount"].Str("Default");
    if (type == "Default") return false;
    values.emplace(type);
    return true;
  });
  if (names.empty()) return std::nullopt;
  return Violation{"procMount", Cat(Containers(names), " must not set securityContext.procMount to ", Quoted(values))};
}
std::optional<Violation> ProcMountBaseline(const Pod& pod) { return pod.own_users() ? std::nullopt : UnmaskedProc(pod); }

std::optional<Violation> SeLinux(const Pod& pod) {
  constexpr std::array<std::string_view, 5> kAllowed = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"};
  const std::span allowed(kAllowed.data(), pod.minor >= 31 ? kAllowed.size() : kAllowed.size() - 1);
  Sorted types;
  bool user = false, role = false;
  const auto bad = [&](const json::Value& security) {
    const auto& options = security["seLinuxOptions"];
    const bool type = !IsOneOf(options["type"].Str(), allowed);
    if (type) types.emplace(options["type"].Str());
    user = user || !options["user"].Str().empty();
    role = role || !options["role"].Str().empty();
    return type || !options["user"].Str().empty() || !options["role"].Str().empty();
  };
  Names setters, details;
  if (bad(pod.context())) setters.push_back("pod");
  if (const auto names = pod.ContainersWhere(bad); !names.empty()) setters.push_back(Containers(names));
  if (setters.empty()) return std::nullopt;
  if (!types.empty()) details.push_back(Cat(Plural("type", "types", types.size()), " ", Quoted(types)));
  if (user) details.push_back("user may not be set");
  if (role) details.push_back("role may not be set");
  return Violation{"seLinuxOptions", Cat(Join(setters, " and "), " set forbidden securityContext.seLinuxOptions: ", Join(details, "; "))};
}

// Before there were fields, annotations chose the profile.
std::optional<Violation> SeccompAnnotations(const Pod& pod) {
  Sorted bad;
  const auto look = [&](const std::string& key) {
    const auto* value = pod.metadata["annotations"].Find(key);
    if (!value) return;
    const auto text = value->Str();
    if (text.empty() || text == "runtime/default" || text == "docker/default" || text.starts_with("localhost/")) return;
    bad.insert(Cat(key, "=", Quote(text)));
  };
  look("seccomp.security.alpha.kubernetes.io/pod");
  pod.EachContainer([&](const json::Value& container) { look(Cat("container.seccomp.security.alpha.kubernetes.io/", container["name"].Str())); });
  if (bad.empty()) return std::nullopt;
  return Violation{"seccompProfile", Cat("forbidden ", Plural("annotation", "annotations", bad.size()), " ", Join(Names(bad.begin(), bad.end()), ", "))};
}

enum class Unset : std::uint8_t { kAllowed, kForbidden };

std::optional<Violation> Seccomp(const Pod& pod, Unset unset) {
  Names setters, silent, wrong;
  Sorted values;
  const auto bad = [&](const json::Value& profile) {
    const auto type = profile["type"].Str();
    if (type == "RuntimeDefault" || type == "Localhost") return false;
    values.emplace(type);
    return true;
  };
  const auto* own = pod.context().Find("seccompProfile");
  const bool pod_bad = own && bad(*own);
  if (pod_bad) setters.push_back("pod");
  pod.EachContainer([&](const json::Value& container) {
    const auto* profile = container.At({"securityContext"}).Find("seccompProfile");
    if (profile && bad(*profile)) wrong.emplace_back(container["name"].Str());
    if (!profile && (!own || pod_bad)) silent.emplace_back(container["name"].Str());
  });
  if (!wrong.empty()) setters.push_back(Containers(wrong));
  if (!setters.empty()) return Violation{"seccompProfile", Cat(Join(setters, " and "), " must not set securityContext.seccompProfile.type to ", Quoted(values))};
  if (silent.empty() || unset == Unset::kAllowed) return std::nullopt;
  return Violation{"seccompProfile", Cat("pod or ", Containers(silent), " must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"")};
}
std::optional<Violation> SeccompBaseline(const Pod& pod) { return Seccomp(pod, Unset::kAllowed); }
std::optional<Violation> SeccompRestricted(const Pod& pod) { return pod.windows() ? std::nullopt : Seccomp(pod, Unset::kForbidden); }

std::optional<Violation> Sysctls(const Pod& pod) {
  struct Safe { std::string_view name; int since; };
  constexpr std::array<Safe, 12> kSafe = {{{"kernel.shm_rmid_forced", 0}, {"net.ipv4.ip_local_port_range", 0}, {"net.ipv4.tcp_syncookies", 0}, {"net.ipv4.ping_group_range", 0},
                                           {"net.ipv4.ip_unprivileged_port_start", 0}, {"net.ipv4.ip_local_reserved_ports", 27}, {"net.ipv4.tcp_keepalive_time", 29},
                                           {"net.ipv4.tcp_fin_timeout", 29}, {"net.ipv4.tcp_keepalive_intvl", 29}, {"net.ipv4.tcp_keepalive_probes", 29},
                                           {"net.ipv4.tcp_rmem", 32}, {"net.ipv4.tcp_wmem", 32}}};
  Names forbidden;
  for (const auto& sysctl : pod.context()["sysctls"].Items()) {
    const auto name = sysctl["name"].Str();
    if (std::none_of(kSafe.begin(), kSafe.end(), [&](const Safe& safe) { return safe.name == name && safe.since <= pod.minor; })) forbidden.emplace_back(name);
  }
  if (forbidden.empty()) return std::nullopt;
  return Violation{"forbidden sysctls", Join(forbidden, ", ")};
}

std::optional<Violation> WindowsHostProcess(const Pod& pod) {
  Names setters;
  const auto names = pod.ContainersWhere([](const json::Value& security) { return IsTrue(security.At({"windowsOptions", "hostProcess"})); });
  if (IsTrue(pod.context().At({"windowsOptions", "hostProcess"}))) setters.push_back("pod");
  if (!names.empty()) setters.push_back(Containers(names));
  if (setters.empty()) return std::nullopt;
  return Violation{"hostProcess", Cat(Join(setters, " and "), " must not set securityContext.windowsOptions.hostProcess=true")};
}

std::optional<Violation> PrivilegeEscalation(const Pod& pod) {
  if (pod.windows()) return std::nullopt;
  const auto names = pod.ContainersWhere([](const json::Value& security) { return !IsFalse(security["allowPrivilegeEscalation"]); });
  if (names.empty()) return std::nullopt;
  return Violation{"allowPrivilegeEscalation != false", Cat(Containers(names), " must set securityContext.allowPrivilegeEscalation=false")};
}

std::optional<Violation> RestrictedVolumes(const Pod& pod) {
  constexpr std::array<std::string_view, 9> kAllowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"};
  Names names;
  Sorted types;
  for (const auto& volume : pod.spec["volumes"].Items()) {
    std::string_view type = "unknown";
    for (const auto& [member, value] : volume.Members())
      if (member != "name") type = member;
    if (IsOneOf(type, kAllowed)) continue;
    names.emplace_back(volume["name"].Str());
    types.emplace(type);
  }
  if (names.empty()) return std::nullopt;
  return Violation{"restricted volume types", Cat(Plural("volume", "volumes", names.size()), " ", Quoted(names), " ", Plural("uses", "use", names.size()), " restricted volume ",
                                                  Plural("type", "types", types.size()), " ", Quoted(types))};
}

std::optional<Violation> RunAsNonRoot(const Pod& pod) {
  if (pod.own_users()) return std::nullopt;
  const auto& own = pod.context()["runAsNonRoot"];
  Names setters, silent;
  if (IsFalse(own)) setters.push_back("pod");
  const auto wrong = pod.ContainersWhere([](const json::Value& security) { return IsFalse(security["runAsNonRoot"]); });
  if (!wrong.empty()) setters.push_back(Containers(wrong));
  if (!setters.empty()) return Violation{"runAsNonRoot != true", Cat(Join(setters, " and "), " must not set securityContext.runAsNonRoot=false")};
  if (IsTrue(own)) return std::nullopt;
  silent = pod.ContainersWhere([](const json::Value& security) { return !security["runAsNonRoot"].is_bool(); });
  if (silent.empty()) return std::nullopt;
  return Violation{"runAsNonRoot != true", Cat("pod or ", Containers(silent), " must set securityContext.runAsNonRoot=true")};
}

std::optional<Violation> RunAsUser(const Pod& pod) {
  if (pod.own_users()) return std::nullopt;
  const auto is_root = [](const json::Value& security) { return security["runAsUser"].is_int() && security["runAsUser"].Int() == 0; };
  Names setters;
  if (is_root(pod.context())) setters.push_back("pod");
  if (const auto names = pod.ContainersWhere(is_root); !names.empty()) setters.push_back(Containers(names));
  if (setters.empty()) return std::nullopt;
  return Violation{"runAsUser=0", Cat(Join(setters, " and "), " must not set runAsUser=0")};
}

// A check of a level from one minor version on, up to the next row of the same name.
struct Row {
  std::string_view id;
  Level level;
  int since;
  Check check;
  std::string_view replaces = {};   // a baseline check that this one contains
};
constexpr std::array<Row, 20> kRows = {{
    {"appArmorProfile", Level::kBaseline, 0, AppArmor},
    {"capabilities_baseline", Level::kBaseline, 0, CapabilitiesBaseline},
    {"hostNamespaces", Level::kBaseline, 0, HostNamespaces},
    {"hostPathVolumes", Level::kBaseline, 0, HostPathVolumes},
    {"hostPorts", Level::kBaseline, 0, HostPorts},
    {"hostProbesAndhostLifecycle", Level::kBaseline, 34, HostOfProbes},
    {"privileged", Level::kBaseline, 0, Privileged},
    {"procMount", Level::kBaseline, 0, ProcMountBaseline},
    {"seLinuxOptions", Level::kBaseline, 0, SeLinux},
    {"seccompProfile_baseline", Level::kBaseline, 0, SeccompAnnotations},
    {"seccompProfile_baseline", Level::kBaseline, 19, SeccompBaseline},
    {"sysctls", Level::kBaseline, 0, Sysctls},
    {"windowsHostProcess", Level::kBaseline, 0, WindowsHostProcess},
    {"allowPrivilegeEscalation", Level::kRestricted, 8, PrivilegeEscalation},
    {"capabilities_restricted", Level::kRestricted, 22, CapabilitiesRestricted, "capabilities_baseline"},
    {"procMount_restricted", Level::kRestricted, 35, UnmaskedProc, "procMount"},
    {"restrictedVolumes", Level::kRestricted, 0, RestrictedVolumes, "hostPathVolumes"},
    {"runAsNonRoot", Level::kRestricted, 0, RunAsNonRoot},
    {"runAsUser", Level::kRestricted, 23, RunAsUser},
    {"seccompProfile_restricted", Level::kRestricted, 19, SeccompRestricted, "seccompProfile_baseline"},
}};

bool Applies(const LevelVersion& policy, const Row& row) {
  if (!row.check || row.level > policy.level || row.since > policy.minor) return false;
  return std::none_of(kRows.begin(), kRows.end(), [&](const Row& other) {
    if (other.level > policy.level || other.since > policy.minor) return false;
    return other.replaces == row.id || (other.id == row.id && other.since > row.since);
  });
}

}  // namespace

std::string_view NameOf(Level level) { return level == Level::kPrivileged ? "privileged" : level == Level::kBaseline ? "baseline" : "restricted"; }

std::string LevelVersion::Text() const { return Cat(NameOf(level), ":", minor == kLatest ? std::string("latest") : Cat("v1.", minor)); }

std::vector<Violation> Evaluate(const LevelVersion& policy, const json::Value& metadata, const json::Value& spec) {
  std::vector<Violation> out;
  if (policy.level == Level::kPrivileged) return out;
  const Pod pod{metadata, spec, policy.minor};
  for (const auto& row : kRows)
    if (Applies(policy, row))
      if (auto violation = row.check(pod)) out.push_back(std::move(*violation));
  return out;
}

std::string Reasons(const std::vector<Violation>& violations) {
  Names reasons;
  for (const auto& violation : violations) reasons.push_back(violation.reason);
  return Join(reasons, ", ");
}

std::string Details(const std::vector<Violation>& violations) {
  Names details;
  for (const auto& violation : violations) details.push_back(violation.detail.empty() ? violation.reason : Cat(violation.reason, " (", violation.detail, ")"));
  return Join(details, ", ");
}

}  // namespace skerry::kube::pod_security
