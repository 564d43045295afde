#include <map>

#include "core/base/strings.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/apis/formats.h"
#include "embedded-kube-shim/apis/warnings.h"

namespace skerry::kube::warnings {
namespace {

using json::Value;

std::string Indexed(std::string_view path, std::size_t i) { return Cat(path, "[", i, "]"); }
std::string Keyed(std::string_view path, std::string_view key) { return Cat(path, "[", key, "]"); }

struct Container {
  const Value* value;
  std::string path;
};

std::vector<Container> ContainersOf(const Value& spec, const std::string& path) {
  std::vector<Container> out;
  for (const std::string_view list : {"initContainers", "containers", "ephemeralContainers"})
    for (std::size_t i = 0; i < spec[list].size(); ++i) out.push_back({&spec[list].Items()[i], Indexed(Cat(path, ".", list), i)});
  return out;
}

void ForScheduling(const Value& spec, const std::string& path, Texts& out) {
  ForNodeLabels(spec["nodeSelector"], Cat(path, ".nodeSelector"), out);
  const Value& affinity = spec.At({"affinity", "nodeAffinity"});
  const std::string required = Cat(path, ".affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
  const Value& terms = affinity.At({"requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"});
  for (std::size_t i = 0; i < terms.size(); ++i) ForNodeSelectorTerm(terms.Items()[i], false, Indexed(required, i), out);
  const std::string preferred = Cat(path, ".affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution");
  const Value& weighted = affinity["preferredDuringSchedulingIgnoredDuringExecution"];
  for (std::size_t i = 0; i < weighted.size(); ++i) ForNodeSelectorTerm(weighted.Items()[i]["preference"], true, Indexed(preferred, i) + ".preference", out);
  const Value& constraints = spec["topologySpreadConstraints"];
  for (std::size_t i = 0; i < constraints.size(); ++i) {
    const Value& constraint = constraints.Items()[i];
    const std::string at = Indexed(Cat(path, ".topologySpreadConstraints"), i);
    if (const auto reason = DeprecatedNodeLabel(constraint["topologyKey"].Str()); !reason.empty()) out.push_back(Cat(at, ".topologyKey: ", constraint["topologyKey"].Str(), " is ", reason));
    if (constraint["labelSelector"].is_null()) out.push_back(Cat(at, ".labelSelector: a null labelSelector results in matching no pod"));
  }
}

void ForPodAffinity(const Value& spec, const std::string& path, Texts& out) {
  for (const std::string_view kind : {"podAffinity", "podAntiAffinity"}) {
    const Value& affinity = spec.At({"affinity", kind});
    const Value& required = affinity["requiredDuringSchedulingIgnoredDuringExecution"];
    for (std::size_t i = 0; i < required.size(); ++i)
      if (required.Items()[i]["labelSelector"].is_null())
        out.push_back(Cat(path, ".affinity.", kind, ".requiredDuringSchedulingIgnoredDuringExecution[", i, "].labelSelector: a null labelSelector results in matching no pod"));
    const Value& preferred = affinity["preferredDuringSchedulingIgnoredDuringExecution"];
    for (std::size_t i = 0; i < preferred.size(); ++i)
      if (preferred.Items()[i].At({"podAffinityTerm", "labelSelector"}).is_null())
        out.push_back(Cat(path, ".affinity.", kind, ".preferredDuringSchedulingIgnoredDuringExecution[", i, "].podAffinityTerm.labelSelector: a null labelSelector results in matching no pod"));
  }
}

void ForAnnotations(const Value& annotations, const std::string& path, Texts& out) {
  struct Row { std::string_view key, text; };
  static constexpr Row kRows[] = {
      {"scheduler.alpha.kubernetes.io/critical-pod", "non-functional in v1.16+; use the \"priorityClassName\" field instead"},
      {"security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"},
      {"security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"},
  };
  for (const Row& row : kRows)
    if (annotations.Find(row.key)) out.push_back(Cat(Keyed(path, row.key), ": ", row.text));
}

void ForVolumeSources(const Value& volumes, const std::string& path, Texts& out) {
  struct Row { std::string_view source, text; };
  static constexpr Row kRows[] = {
      {"photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"}, {"gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"},
      {"scaleIO", "deprecated in v1.16, non-functional in v1.22+"},              {"flocker", "deprecated in v1.22, non-functional in v1.25+"},
      {"storageos", "deprecated in v1.22, non-functional in v1.25+"},            {"quobyte", "deprecated in v1.22, non-functional in v1.25+"},
      {"glusterfs", "deprecated in v1.25, non-functional in v1.26+"},            {"ephemeral", ""},
      {"cephfs", "deprecated in v1.28, non-functional in v1.31+"},               {"rbd", "deprecated in v1.28, non-functional in v1.31+"},
  };
  for (std::size_t i = 0; i < volumes.size(); ++i)
    for (const Row& row : kRows) {
      const Value& source = volumes.Items()[i][row.source];
      if (source.is_null()) continue;
      const std::string at = Cat(Indexed(path, i), ".", row.source == "storageos" ? std::string_view("storageOS") : row.source);
      if (row.source == "ephemeral") ForClaimSpec(at + ".volumeClaimTemplate.spec", source.At({"volumeClaimTemplate", "spec"}), out);
      else out.push_back(Cat(at, ": ", row.text));
    }
}

// A file that a volume would hold, and what puts it there.
struct VirtualPath {
  std::string path, source;
  std::string Shown() const { return source.empty() ? Quoted(path) : Cat(Quoted(path), " (", source, ")"); }
};

void Overlaps(std::vector<VirtualPath>& seen, VirtualPath added, const std::string& volume, Texts& out) {
  while (!added.path.empty() && added.path.back() == '/') added.path.pop_back();
  const std::string under = added.path + "/";
  for (const VirtualPath& other : seen) {
    if (added.path.empty() || other.path.empty()) continue;
    const std::string other_under = other.path + "/";
    if (other_under.starts_with(under) || under.starts_with(other_under)) out.push_back(Cat(volume, ": overlapping paths: ", added.Shown(), " with ", other.Shown()));
  }
  seen.push_back(std::move(added));
}

std::vector<VirtualPath> PathsOf(const Value& items, const std::string& source) {
  std::vector<VirtualPath> out;
  for (const Value& item : items.Items()) out.push_back({std::string(item["path"].Str()), source});
  return out;
}

std::vector<VirtualPath> PathsOfProjection(const Value& projection) {
  if (const Value& map = projection["configMap"]; map["items"].is_array()) return PathsOf(map["items"], Cat("ConfigMap ", Quoted(map["name"].Str())));
  if (const Value& secret = projection["secret"]; secret["items"].is_array()) return PathsOf(secret["items"], Cat("Secret ", Quoted(secret["name"].Str())));
  if (const Value& downward = projection["downwardAPI"]; downward["items"].is_array()) return PathsOf(downward["items"], "DownwardAPI");
  if (const Value& token = projection["serviceAccountToken"]; token.is_object()) return {{std::string(token["path"].Str()), "ServiceAccountToken"}};
  if (const Value& bundle = projection["clusterTrustBundle"]; bundle.is_object()) {
    const std::string_view name = bundle["name"].is_null() ? bundle["signerName"].Str() : bundle["name"].Str();
    return {{std::string(bundle["path"].Str()), Cat("ClusterTrustBundle ", Quoted(name))}};
  }
  std::vector<VirtualPath> out;
  const Value& certificate = projection["podCertificate"];
  for (const auto& [field, name] : std::initializer_list<std::pair<std::string_view, const char*>>{
           {"certificateChainPath", "PodCertificate chain"}, {"keyPath", "PodCertificate key"}, {"credentialBundlePath", "PodCertificate credential bundle"}})
    if (!certificate[field].Str().empty()) out.push_back({std::string(certificate[field].Str()), name});
  return out;
}

void ForVirtualPaths(const Value& volumes, Texts& out) {
  for (const Value& volume : volumes.Items()) {
    const std::string name = Cat("volume ", Quoted(volume["name"].Str()));
    const auto check = [&](const Value& source, const std::string& shown) {
      std::vector<VirtualPath> seen;
      for (VirtualPath& path : PathsOf(source["items"], "")) Overlaps(seen, std::move(path), Cat(name, " (", shown, ")"), out);
    };
    if (const Value& map = volume["configMap"]; map.is_object()) check(map, Cat("ConfigMap ", Quoted(map["name"].Str())));
    if (const Value& secret = volume["secret"]; secret.is_object()) check(secret, Cat("Secret ", Quoted(secret["secretName"].Str())));
    if (const Value& downward = volume["downwardAPI"]; downward.is_object()) check(downward, "DownwardAPI");
    std::vector<VirtualPath> seen;
    for (const Value& projection : volume.At({"projected", "sources"}).Items()) {
      if (projection.size() == 0) out.push_back(Cat(name, " (Projected) has no sources provided"));
      for (VirtualPath& path : PathsOfProjection(projection)) Overlaps(seen, std::move(path), name + " (Projected)", out);
    }
  }
}

void ForDuplicates(const Value& spec, const std::string& path, Texts& out) {
  std::map<std::string_view, bool> ips, secrets;
  for (std::size_t i = 0; i < spec["hostAliases"].size(); ++i) {
    const std::string_view ip = spec["hostAliases"].Items()[i]["ip"].Str();
    if (!ips.emplace(ip, true).second) out.push_back(Cat(Indexed(path + ".hostAliases", i), ".ip: duplicate ip ", Quoted(ip)));
  }
  const Value& pull = spec["imagePullSecrets"];
  for (std::size_t i = 0; i < pull.size(); ++i) {
    const std::string_view name = pull.Items()[i]["name"].Str();
    if (!secrets.emplace(name, true).second) out.push_back(Cat(Indexed(path + ".imagePullSecrets", i), ".name: duplicate name ", Quoted(name)));
  }
  for (std::size_t i = 0; i < pull.size(); ++i)
    if (pull.Items()[i]["name"].Str().empty()) out.push_back(Cat(Indexed(path + ".imagePullSecrets", i), ".name: invalid empty name \"\""));
}

void ForEnvironment(const Container& container, Texts& out) {
  std::map<std::string_view, bool> names;
  const Value& env = (*container.value)["env"];
  for (std::size_t i = 0; i < env.size(); ++i) {
    const Value& item = env.Items()[i];
    const std::string_view name = item["name"].Str(), value = item["value"].Str();
    if (names.emplace(name, true).second) continue;
    // A later definition may build on the earlier one: A="x", A="$(A)y".
    const std::string reference = Cat("$(", name, ")");
    if (!item["valueFrom"].is_null() || value == reference || value.find(reference) == value.npos)
      out.push_back(Cat(Indexed(container.path + ".env", i), ": hides previous definition of ", Quoted(name), ", which may be dropped when using apply"));
  }
}

void ForContainer(const Container& container, const Value& spec, const Value& annotations, const std::string& annotations_path, bool is_template, Texts& out) {
  const Value& value = *container.value;
  const Value& security = value["securityContext"];
  const std::string seccomp = Cat("container.seccomp.security.alpha.kubernetes.io/", value["name"].Str());
  if (security["seccompProfile"].is_null() && annotations.Find(seccomp)) out.push_back(Cat(Keyed(annotations_path, seccomp), ": non-functional in v1.27+; use the \"seccompProfile\" field instead"));
  const std::string apparmor = Cat("container.apparmor.security.beta.kubernetes.io/", value["name"].Str());
  if (is_template && security["appArmorProfile"].is_null() && annotations.Find(apparmor) && spec.At({"securityContext", "appArmorProfile"}).is_null())
    out.push_back(Cat(Keyed(annotations_path, apparmor), ": deprecated since v1.30; use the \"appArmorProfile\" field instead"));
  for (const std::string_view resource : {"memory", "ephemeral-storage"})
    for (const std::string_view list : {"limits", "requests"}) ForFractionalBytes(value.At({"resources", list}), resource, Cat(container.path, ".resources.", list), out);
  ForEnvironment(container, out);
}

std::string PortShown(const Value& port) {
  return Cat("{Name:", port["name"].Str(), " HostPort:", port["hostPort"].Int(), " ContainerPort:", port["containerPort"].Int(), " Protocol:", port["protocol"].Str(), " HostIP:", port["hostIP"].Str(), "}");
}

void ForPorts(const std::vector<Container>& containers, Texts& out) {
  struct Known { std::string path; const Value* port; };
  std::map<std::pair<std::int64_t, std::string_view>, std::vector<Known>> ports;
  for (const Container& container : containers)
    for (std::size_t i = 0; i < (*container.value)["ports"].size(); ++i) {
      const Value& port = (*container.value)["ports"].Items()[i];
      const std::string at = Indexed(container.path + ".ports", i);
      const std::string_view ip = port["hostIP"].Str();
      const std::int64_t host = port["hostPort"].Int();
      if (!ip.empty() && host == 0) out.push_back(Cat(at, ": hostIP set without hostPort: ", PortShown(port)));
      auto& others = ports[{port["containerPort"].Int(), port["protocol"].Str()}];
      for (const Known& other : others) {
        const std::string_view other_ip = (*other.port)["hostIP"].Str();
        const std::int64_t other_host = (*other.port)["hostPort"].Int();
        if (ip == other_ip && host == other_host) out.push_back(Cat(at, ": duplicate port definition with ", other.path));
        else if (host == 0 || other_host == 0) out.push_back(Cat(at, ": overlapping port definition with ", other.path));
        else if (host == other_host && ip.empty() != other_ip.empty()) out.push_back(Cat(at, ": dangerously ambiguous port definition with ", other.path));
      }
      others.push_back({at, &port});
    }
}

void ForPortNames(const std::vector<Container>& containers, Texts& out) {
  std::map<std::string_view, std::string> names;
  for (const Container& container : containers)
    for (std::size_t i = 0; i < (*container.value)["ports"].size(); ++i) {
      const std::string_view name = (*container.value)["ports"].Items()[i]["name"].Str();
      const std::string at = Indexed(container.path + ".ports", i);
      if (name.empty()) continue;
      const auto [known, added] = names.emplace(name, at);
      if (!added) out.push_back(Cat(at, ": duplicate port name ", Quoted(name), " with ", known->second, ", services and probes that select ports by name will use ", known->second));
    }
}

}  // namespace

void ForNodeSelectorTerm(const Value& term, bool check_values, const std::string& path, Texts& out) {
  const Value& expressions = term["matchExpressions"];
  for (std::size_t i = 0; i < expressions.size(); ++i) {
    const Value& expression = expressions.Items()[i];
    const std::string at = Indexed(path + ".matchExpressions", i);
    if (const auto reason = DeprecatedNodeLabel(expression["key"].Str()); !reason.empty()) out.push_back(Cat(at, ".key: ", expression["key"].Str(), " is ", reason));
    if (!check_values) continue;
    for (std::size_t v = 0; v < expression["values"].size(); ++v) {
      const std::string_view value = expression["values"].Items()[v].Str();
      for (const std::string& problem : format::LabelValue(value)) out.push_back(Cat(at, ".values[", v, "]: ", value, " is invalid, ", problem));
    }
  }
}

void ForPodTemplate(std::string_view prefix, const Value& pod, Texts& out) {
  const std::string base = prefix.empty() ? std::string() : Cat(prefix, ".");
  const std::string path = base + "spec", annotations_path = base + "metadata.annotations";
  const Value& spec = pod["spec"];
  const Value& annotations = pod.At({"metadata", "annotations"});
  ForScheduling(spec, path, out);
  ForAnnotations(annotations, annotations_path, out);
  ForVolumeSources(spec["volumes"], path + ".volumes", out);
  ForVirtualPaths(spec["volumes"], out);
  ForDuplicates(spec, path, out);
  for (const std::string_view resource : {"memory", "ephemeral-storage"}) ForFractionalBytes(spec["overhead"], resource, path + ".overhead", out);
  constexpr std::string_view kSeccomp = "seccomp.security.alpha.kubernetes.io/pod";
  if (spec.At({"securityContext", "seccompProfile"}).is_null() && annotations.Find(kSeccomp))
    out.push_back(Cat(Keyed(annotations_path, kSeccomp), ": non-functional in v1.27+; use the \"seccompProfile\" field instead"));
  const auto containers = ContainersOf(spec, path);
  for (const Container& container : containers) ForContainer(container, spec, annotations, annotations_path, !prefix.empty(), out);
  ForPorts(containers, out);
  ForPortNames(containers, out);
  if (spec["terminationGracePeriodSeconds"].Int() < 0) out.push_back(path + ".terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1");
  ForPodAffinity(spec, path, out);
  const Value& servers = spec.At({"dnsConfig", "nameservers"});
  for (std::size_t i = 0; i < servers.size(); ++i) format::IpWarnings(Indexed(path + ".dnsConfig.nameservers", i), servers.Items()[i].Str(), out);
  for (std::size_t i = 0; i < spec["hostAliases"].size(); ++i) format::IpWarnings(Indexed(path + ".hostAliases", i) + ".ip", spec["hostAliases"].Items()[i]["ip"].Str(), out);
}

}  // namespace skerry::kube::warnings
