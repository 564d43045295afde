#include "embedded-kube-shim/apis/warnings.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>

#include "core/base/strings.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/apis/formats.h"
#include "embedded-kube-shim/apis/rules.h"

namespace skerry::kube::warnings {
namespace {

using json::Value;

struct Call {
  std::string_view subresource;
  const Value& object;
  const Value* old;
  Texts& out;
  // Warnings about a template come with a new spec only.
  bool new_generation() const { return !old || !(object.At({"metadata", "generation"}) == old->At({"metadata", "generation"})); }
};

std::string Indexed(std::string_view path, std::size_t i) { return Cat(path, "[", i, "]"); }

void ForIps(const Value& list, std::string_view path, std::string_view member, std::string_view suffix, Texts& out) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Value& item = list.Items()[i];
    const std::string_view ip = member.empty() ? item.Str() : item[member].Str();
    if (!ip.empty()) format::IpWarnings(Indexed(path, i) + std::string(suffix), ip, out);
  }
}

void ForName(const Call& call, std::string_view used) {
  if (call.old) return;
  const auto problems = format::Dns1123Label(call.object.At({"metadata", "name"}).Str());
  if (problems.empty()) return;
  std::string shown;
  for (const auto& problem : problems) shown += (shown.empty() ? "" : " ") + problem;
  call.out.push_back(Cat("metadata.name: this is used in ", used, ", which can result in surprising behavior; a DNS label is recommended: [", shown, "]"));
}
constexpr std::string_view kPodNames = "Pod names and hostnames";

void Pods(const Call& call) {
  if (call.subresource == "status") {
    ForIps(call.object.At({"status", "podIPs"}), "status.podIPs", "ip", ".ip", call.out);
    ForIps(call.object.At({"status", "hostIPs"}), "status.hostIPs", "ip", ".ip", call.out);
  }
  if (call.old) return;
  ForName(call, "the Pod's hostname");
  ForPodTemplate("", call.object, call.out);
}

void ReplicationControllers(const Call& call) {
  ForName(call, kPodNames);
  // An update speaks of the template that was.
  if (call.new_generation()) ForPodTemplate("spec.template", (call.old ? *call.old : call.object).At({"spec", "template"}), call.out);
}

void PodTemplates(const Call& call) {
  if (call.new_generation()) ForPodTemplate("template", call.object["template"], call.out);
}

void Workloads(const Call& call) {
  ForName(call, kPodNames);
  if (call.new_generation()) ForPodTemplate("spec.template", call.object.At({"spec", "template"}), call.out);
}

void StatefulSets(const Call& call) {
  const Value& spec = call.object["spec"];
  if (call.new_generation()) ForPodTemplate("spec.template", spec["template"], call.out);
  for (std::size_t i = 0; i < spec["volumeClaimTemplates"].size(); ++i)
    ForClaimSpec(Indexed("spec.volumeClaimTemplates", i) + (call.old ? ".Spec" : ""), spec["volumeClaimTemplates"].Items()[i]["spec"], call.out);
  if (spec["revisionHistoryLimit"].Int() < 0) call.out.push_back("spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended");
}

void DaemonSets(const Call& call) {
  if (!call.old || !rules::SameValue(call.object.At({"spec", "template"}), call.old->At({"spec", "template"}))) ForPodTemplate("spec.template", call.object.At({"spec", "template"}), call.out);
}

void ForJobSpec(const std::string& path, const Value& spec, Texts& out) {
  if (spec["completionMode"].Str() == "Indexed" && spec["completions"].Int() > 100'000 && spec["parallelism"].Int() > 10'000)
    out.push_back(path + ": In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of "
                         "indexes fail");
  ForPodTemplate(path + ".template", spec["template"], out);
}

void Jobs(const Call& call) {
  ForName(call, kPodNames);
  if (call.new_generation()) ForJobSpec("spec", call.object["spec"], call.out);
}

void CronJobs(const Call& call) {
  ForName(call, kPodNames);
  if (call.new_generation()) ForJobSpec("spec.jobTemplate.spec", call.object.At({"spec", "jobTemplate", "spec"}), call.out);
  if (call.old && call.object.At({"spec", "schedule"}).Str().find("TZ") != std::string_view::npos)
    call.out.push_back("cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details");
}

void Services(const Call& call) {
  const Value& spec = call.object["spec"];
  if (call.subresource == "status") {
    ForIps(call.object.At({"status", "loadBalancer", "ingress"}), "status.loadBalancer.ingress", "ip", "", call.out);
    return;
  }
  Texts& out = call.out;
  if (call.object.At({"metadata", "annotations"}).Find("service.kubernetes.io/topology-aware-hints"))
    out.push_back("annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead");
  const std::string_view type = spec["type"].Str(), ip = spec["clusterIP"].Str();
  const bool external_name = type == "ExternalName", headless = type == "ClusterIP" && ip == "None";
  const bool external_ips = spec["externalIPs"].size() > 0;
  if (!ip.empty() && ip != "None") ForIps(spec["clusterIPs"], "spec.clusterIPs", "", "", out);
  if (headless) {
    if (!spec["loadBalancerIP"].Str().empty()) out.push_back("spec.loadBalancerIP is ignored for headless services");
    if (external_ips) out.push_back("spec.externalIPs is ignored for headless services");
    if (spec["sessionAffinity"].Str() != "None") out.push_back("spec.SessionAffinity is ignored for headless services");
  }
  ForIps(spec["externalIPs"], "spec.externalIPs", "", "", out);
  if (external_ips && !headless && !external_name) out.push_back("spec.externalIPs is deprecated and may no longer be implemented in some clusters");
  if (const auto address = spec["loadBalancerIP"].Str(); !address.empty()) format::IpWarnings("spec.loadBalancerIP", address, out);
  const Value& ranges = spec["loadBalancerSourceRanges"];
  for (std::size_t i = 0; i < ranges.size(); ++i) format::CidrWarnings(Indexed("spec.loadBalancerSourceRanges", i), ranges.Items()[i].Str(), out);
  if (external_name && external_ips) out.push_back("spec.externalIPs is ignored when spec.type is \"ExternalName\"");
  if (!external_name && !spec["externalName"].Str().empty()) out.push_back("spec.externalName is ignored when spec.type is not \"ExternalName\"");
  if (spec["trafficDistribution"].Str() == "PreferClose") out.push_back("spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"");
}

void Secrets(const Call& call) {
  if (call.object["type"].Str() != "kubernetes.io/tls") return;
  const Value& data = call.object["data"];
  if (auto problem = TlsPairProblem(data["tls.crt"].Str(), data["tls.key"].Str()); !problem.empty()) call.out.push_back(std::move(problem));
}

void ServiceAccounts(const Call& call) {
  constexpr std::string_view kKey = "kubernetes.io/enforce-mountable-secrets";
  const auto has = [&](const Value& object) { return object.At({"metadata", "annotations"}).Find(kKey) != nullptr; };
  if (!has(call.object) || (call.old && has(*call.old))) return;
  call.out.push_back(Cat("metadata.annotations[", kKey, "]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"));
}

void Volumes(const Call& call) {
  if (!call.subresource.empty()) return;
  const Value& annotations = call.object.At({"metadata", "annotations"});
  const Value& spec = call.object["spec"];
  if (annotations.Find("volume.beta.kubernetes.io/storage-class"))
    call.out.push_back("metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use \"storageClassName\" attribute instead");
  if (annotations.Find("volume.beta.kubernetes.io/mount-options"))
    call.out.push_back("metadata.annotations[volume.beta.kubernetes.io/mount-options]: deprecated since v1.31; use \"mountOptions\" attribute instead");
  if (spec["persistentVolumeReclaimPolicy"].Str() == "Recycle")
    call.out.push_back("spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.");
  const Value& terms = spec.At({"nodeAffinity", "required", "nodeSelectorTerms"});
  for (std::size_t i = 0; i < terms.size(); ++i) ForNodeSelectorTerm(terms.Items()[i], false, Indexed("spec.nodeAffinity.required.nodeSelectorTerms", i), call.out);
  struct Row { std::string_view source, shown, text; };
  static constexpr Row kRows[] = {
      {"cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"},       {"photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"},
      {"scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"},     {"storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"},
      {"glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"}, {"rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"},
  };
  for (const Row& row : kRows)
    if (!spec[row.source].is_null()) call.out.push_back(Cat("spec.", row.shown, ": ", row.text));
}

void Claims(const Call& call) {
  if (!call.subresource.empty()) return;
  if (call.object.At({"metadata", "annotations"}).Find("volume.beta.kubernetes.io/storage-class"))
    call.out.push_back("metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use \"storageClassName\" attribute instead");
  ForClaimSpec("spec", call.object["spec"], call.out);
}

void Nodes(const Call& call) {
  if (!call.subresource.empty()) return;
  const Value& spec = call.object["spec"];
  if (!spec["configSource"].is_null()) call.out.push_back("spec.configSource: the feature is removed");
  if (!spec["externalID"].Str().empty()) call.out.push_back("spec.externalID: this field is deprecated, and is unused by Kubernetes");
  for (std::size_t i = 0; i < spec["podCIDRs"].size(); ++i) format::CidrWarnings(Indexed("spec.podCIDRs", i), spec["podCIDRs"].Items()[i].Str(), call.out);
}

void Endpoints(const Call& call) {
  if (call.object.At({"metadata", "labels"})["endpoints.kubernetes.io/managed-by"].Str() == "endpoint-controller") return;
  const Value& subsets = call.object["subsets"];
  for (std::size_t i = 0; i < subsets.size(); ++i)
    for (const std::string_view list : {"addresses", "notReadyAddresses"}) ForIps(subsets.Items()[i][list], Cat(Indexed("subsets", i), ".", list), "ip", ".ip", call.out);
}

void EndpointSlices(const Call& call) {
  if (!call.old && call.object["addressType"].Str() == "FQDN") call.out.push_back("spec.addressType: FQDN endpoints are deprecated");
  const std::string_view manager = call.object.At({"metadata", "labels"})["endpointslice.kubernetes.io/managed-by"].Str();
  if (manager == "endpointslice-controller.k8s.io" || manager == "endpointslicemirroring-controller.k8s.io") return;
  const Value& endpoints = call.object["endpoints"];
  for (std::size_t i = 0; i < endpoints.size(); ++i) ForIps(endpoints.Items()[i]["addresses"], Indexed("endpoints", i) + ".addresses", "", "", call.out);
}

void Ingresses(const Call& call) {
  if (call.subresource == "status") ForIps(call.object.At({"status", "loadBalancer", "ingress"}), "status.loadBalancer.ingress", "ip", "", call.out);
  if (!call.old && call.object.At({"metadata", "annotations"}).Find("kubernetes.io/ingress.class") && call.object.At({"spec", "ingressClassName"}).is_null())
    call.out.push_back("annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead");
}

void NetworkPolicies(const Call& call) {
  for (const auto& [direction, peers] : {std::pair<std::string_view, std::string_view>{"ingress", "from"}, {"egress", "to"}}) {
    const Value& rules = call.object.At({"spec", direction});
    for (std::size_t i = 0; i < rules.size(); ++i)
      for (std::size_t j = 0; j < rules.Items()[i][peers].size(); ++j) {
        const Value& block = rules.Items()[i][peers].Items()[j]["ipBlock"];
        if (block.is_null()) continue;
        const std::string path = Cat("spec.", direction, "[", i, "].", peers, "[", j, "].ipBlock");
        format::CidrWarnings(path + ".cidr", block["cidr"].Str(), call.out);
        for (std::size_t k = 0; k < block["except"].size(); ++k) format::CidrWarnings(Indexed(path + ".except", k), block["except"].Items()[k].Str(), call.out);
      }
  }
}

void CsiDrivers(const Call& call) {
  const Value& requests = call.object.At({"spec", "tokenRequests"});
  if (requests.size() == 0 || !call.object.At({"spec", "serviceAccountTokenInSecrets"}).is_null()) return;
  if (call.old && requests == call.old->At({"spec", "tokenRequests"})) return;
  call.out.push_back("spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes");
}

void StorageClasses(const Call& call) {
  const Value& topologies = call.object["allowedTopologies"];
  for (std::size_t i = 0; i < topologies.size(); ++i) {
    const Value& expressions = topologies.Items()[i]["matchLabelExpressions"];
    for (std::size_t j = 0; j < expressions.size(); ++j)
      if (const auto reason = DeprecatedNodeLabel(expressions.Items()[j]["key"].Str()); !reason.empty())
        call.out.push_back(Cat("allowedTopologies[", i, "].matchLabelExpressions[", j, "].key: ", reason));
  }
}

void StorageCapacities(const Call& call) {
  ForNodeSelectorTerm(call.object["nodeTopology"], false, "nodeTopology", call.out);
  for (const auto& [label, value] : call.object.At({"nodeTopology", "matchLabels"}).Members())
    if (const auto reason = DeprecatedNodeLabel(label); !reason.empty()) call.out.push_back(Cat("nodeTopology.matchLabels.", label, ": ", reason));
}

void RuntimeClasses(const Call& call) {
  for (const auto& [label, value] : call.object.At({"scheduling", "nodeSelector"}).Members())
    if (const auto reason = DeprecatedNodeLabel(label); !reason.empty()) call.out.push_back(Cat("scheduling.nodeSelector: ", reason));
}

void ResourceSlices(const Call& call) {
  const std::string_view driver = call.object.At({"spec", "driver"}).Str();
  if (ToLower(driver) != driver) call.out.push_back(Cat("spec.driver: driver names should be lowercase; ", Quoted(driver), " contains uppercase characters"));
}

bool IsKnownFormat(std::string_view type, std::string_view format) {
  if (type == "integer") return format == "int32" || format == "int64";
  if (type == "number") return format == "float" || format == "double";
  if (!type.empty() && type != "string") return false;
  static constexpr std::string_view kText[] = {"bsonobjectid", "uri",    "email",  "hostname",   "ipv4", "ipv6",     "cidr",     "mac",  "uuid",     "uuid3", "uuid4",    "uuid5",        "isbn",
                                               "isbn10",       "isbn13", "creditcard", "ssn", "hexcolor", "rgbcolor", "byte", "password", "date",  "duration", "datetime", "k8sshortname", "k8slongname"};
  std::string plain(format);
  std::erase(plain, '-');
  return std::find(std::begin(kText), std::end(kText), plain) != std::end(kText);
}

void UnknownFormats(const Value& schema, std::set<std::string>& out) {
  if (!schema.is_object()) return;
  if (const auto format = schema["format"].Str(); !format.empty() && !IsKnownFormat(schema["type"].Str(), format)) out.emplace(format);
  for (const std::string_view field : {"items", "additionalItems", "additionalProperties", "not"}) UnknownFormats(schema[field], out);
  for (const std::string_view field : {"properties", "patternProperties", "definitions", "dependencies"})
    for (const auto& [name, below] : schema[field].Members()) UnknownFormats(below, out);
  for (const std::string_view field : {"items", "allOf", "anyOf", "oneOf"})
    for (const Value& below : schema[field].Items()) UnknownFormats(below, out);
}

// New ones only: what was accepted once is not news.
void CustomDefinitions(const Call& call) {
  if (!call.subresource.empty()) return;
  const auto formats = [](const Value& definition) {
    std::set<std::string> out;
    for (const Value& version : definition.At({"spec", "versions"}).Items()) UnknownFormats(version.At({"schema", "openAPIV3Schema"}), out);
    return out;
  };
  const std::set<std::string> before = call.old ? formats(*call.old) : std::set<std::string>();
  for (const std::string& format : formats(call.object))
    if (!before.contains(format)) call.out.push_back(Cat("unrecognized format ", Quoted(format)));
}

struct Kind {
  std::string_view group, resource;
  void (*call)(const Call&);
};
constexpr Kind kKinds[] = {
    {"", "pods", Pods},
    {"", "replicationcontrollers", ReplicationControllers},
    {"", "podtemplates", PodTemplates},
    {"", "services", Services},
    {"", "secrets", Secrets},
    {"", "serviceaccounts", ServiceAccounts},
    {"", "persistentvolumes", Volumes},
    {"", "persistentvolumeclaims", Claims},
    {"", "nodes", Nodes},
    {"", "endpoints", Endpoints},
    {"apps", "deployments", Workloads},
    {"apps", "replicasets", Workloads},
    {"apps", "statefulsets", StatefulSets},
    {"apps", "daemonsets", DaemonSets},
    {"batch", "jobs", Jobs},
    {"batch", "cronjobs", CronJobs},
    {"discovery.k8s.io", "endpointslices", EndpointSlices},
    {"networking.k8s.io", "ingresses", Ingresses},
    {"networking.k8s.io", "networkpolicies", NetworkPolicies},
    {"storage.k8s.io", "csidrivers", CsiDrivers},
    {"storage.k8s.io", "storageclasses", StorageClasses},
    {"storage.k8s.io", "csistoragecapacities", StorageCapacities},
    {"node.k8s.io", "runtimeclasses", RuntimeClasses},
    {"resource.k8s.io", "resourceslices", ResourceSlices},
    {"apiextensions.k8s.io", "customresourcedefinitions", CustomDefinitions},
};

}  // namespace

std::string Quoted(std::string_view text) { return Value(text).Dump(); }

std::string_view DeprecatedNodeLabel(std::string_view key) {
  struct Row { std::string_view key, text; };
  static constexpr Row kRows[] = {
      {"beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"},
      {"beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"},
      {"failure-domain.beta.kubernetes.io/region", "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead"},
      {"failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"},
      {"beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"},
      {"app.kubernetes.io/created-by", "deprecated since v1.9"},
      {"scheduler.alpha.kubernetes.io/preferAvoidPods", "deprecated since v1.22; use Taints and Tolerations instead"},
      {"node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"},
  };
  for (const Row& row : kRows)
    if (row.key == key) return row.text;
  return {};
}

void ForNodeLabels(const Value& labels, const std::string& path, Texts& out) {
  for (const auto& [label, value] : labels.Members())
    if (const auto reason = DeprecatedNodeLabel(label); !reason.empty()) out.push_back(Cat(path, "[", label, "]: ", reason));
}

void ForFractionalBytes(const Value& amounts, std::string_view resource, const std::string& path, Texts& out) {
  const auto quantity = text::Quantity::Parse(amounts[resource].Str());
  if (!quantity || quantity->MilliValue() % 1000 == 0) return;
  out.push_back(Cat(path, "[", resource, "]: fractional byte value ", Quoted(quantity->Canonical()), " is invalid, must be an integer"));
}

void ForClaimSpec(const std::string& path, const Value& spec, Texts& out) {
  for (const std::string_view list : {"requests", "limits"}) ForFractionalBytes(spec.At({"resources", list}), "storage", Cat(path, ".resources.", list), out);
}

void ForBuiltin(const ResourceDef& def, std::string_view subresource, const Value& object, const Value* old, Texts& out) {
  for (const Kind& kind : kKinds)
    if (kind.resource == def.resource && kind.group == def.group) return kind.call({subresource, object, old, out});
}

}  // namespace skerry::kube::warnings
