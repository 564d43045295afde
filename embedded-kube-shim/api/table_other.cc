#include <algorithm>

#include "core/base/strings.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/api/table_format.h"

namespace skerry::kube::printer {

namespace {

constexpr std::string_view kUnset = "<unset>";

// --- networking, discovery

void PrintIngress(Row& row) {
  constexpr std::size_t kMax = 3;
  const Value& spec = row.object["spec"];
  std::vector<std::string> hosts;
  std::size_t total = 0;
  for (const auto& rule : spec["rules"].Items()) {
    if (rule["host"].Str().empty()) continue;
    if (hosts.size() < kMax) hosts.emplace_back(rule["host"].Str());
    ++total;
  }
  row.AddName().AddText(spec["ingressClassName"], "<none>").Add(Value(total == 0 ? "*" : ListWithMore(hosts, total, kMax)));
  row.Add(Value(LoadBalancerAddresses(row.object.At({"status", "loadBalancer"})))).Add(Value(spec["tls"].size() > 0 ? "80, 443" : "80")).AddAge();
}

void PrintIngressClass(Row& row) {
  const Value& parameters = row.object.At({"spec", "parameters"});
  std::string shown = "<none>";
  if (!parameters.is_null()) {
    shown = parameters["kind"].Str();
    if (!parameters["apiGroup"].Str().empty()) shown += Cat('.', parameters["apiGroup"].Str());
    shown += Cat('/', parameters["name"].Str());
  }
  row.AddName().AddText(row.object.At({"spec", "controller"})).Add(Value(shown)).AddAge();
}

void PrintNetworkPolicy(Row& row) { row.AddName().Add(Value(FormatSelector(row.object.At({"spec", "podSelector"})))).AddAge(); }
void PrintServiceCidr(Row& row) { row.AddName().Add(Value(JoinStrings(row.object.At({"spec", "cidrs"})))).AddAge(); }

void PrintIpAddress(Row& row) {
  const Value& parent = row.object.At({"spec", "parentRef"});
  std::string shown = "<none>";
  if (!parent.is_null()) {
    shown = ToLower(parent["resource"].Str());
    if (!parent["group"].Str().empty()) shown += Cat('.', ToLower(parent["group"].Str()));
    shown += '/';
    if (!parent["namespace"].Str().empty()) shown += Cat(parent["namespace"].Str(), '/');
    shown += parent["name"].Str();
  }
  row.AddName().Add(Value(shown)).AddAge();
}

void PrintEndpointSlice(Row& row) {
  constexpr std::size_t kMax = 3;
  std::vector<std::string> ports, addresses;
  for (const auto& port : row.object["ports"].Items()) {
    if (ports.size() == kMax) break;
    ports.push_back(!port["port"].is_null() ? Cat(port["port"].Int()) : !port["name"].is_null() ? std::string(port["name"].Str()) : "*");
  }
  std::size_t total = 0;
  for (const auto& endpoint : row.object["endpoints"].Items()) {
    for (const auto& address : endpoint["addresses"].Items()) {
      if (addresses.size() < kMax) addresses.emplace_back(address.Str());
      ++total;
    }
  }
  row.AddName().AddText(row.object["addressType"]).Add(Value(ListWithMore(ports, row.object["ports"].size(), kMax))).Add(Value(ListWithMore(addresses, total, kMax))).AddAge();
}

// --- policy, rbac, certificates, coordination, scheduling, node

void PrintPodDisruptionBudget(Row& row) {
  const auto bound = [&](std::string_view field) {
    const Value& value = row.object["spec"][field];
    return value.is_null() ? Value("N/A") : value.is_string() ? value.Clone() : Value(Cat(value.Int()));
  };
  row.AddName().Add(bound("minAvailable")).Add(bound("maxUnavailable")).AddInt(row.object.At({"status", "disruptionsAllowed"})).AddAge();
}

void PrintBinding(Row& row) {
  std::vector<std::string> users, groups, accounts;
  for (const auto& subject : row.object["subjects"].Items()) {
    const std::string_view kind = subject["kind"].Str();
    if (kind == "ServiceAccount") accounts.push_back(Cat(subject["namespace"].Str(), '/', subject["name"].Str()));
    else (kind == "User" ? users : groups).emplace_back(subject["name"].Str());
  }
  row.AddName().Add(Value(Cat(row.object.At({"roleRef", "kind"}).Str(), '/', row.object.At({"roleRef", "name"}).Str()))).AddAge();
  row.Add(Value(Join(users, ", "))).Add(Value(Join(groups, ", "))).Add(Value(Join(accounts, ", ")));
}

void PrintSigningRequest(Row& row) {
  const Value& spec = row.object["spec"];
  const auto said = [&](std::string_view type) {
    const auto conditions = row.object.At({"status", "conditions"}).Items();
    return std::any_of(conditions.begin(), conditions.end(), [&](const Value& c) { return c["type"].Str() == type; });
  };
  std::string status = said("Denied") ? "Denied" : said("Approved") ? "Approved" : "Pending";
  if (said("Failed")) status += ",Failed";
  if (!row.object.At({"status", "certificate"}).Str().empty()) status += ",Issued";
  const Value& seconds = spec["expirationSeconds"];
  row.AddName().AddAge().AddText(spec["signerName"], "<none>").AddText(spec["username"]);
  row.Add(Value(seconds.is_null() ? std::string("<none>") : HumanDuration(std::chrono::seconds(seconds.Int())))).Add(Value(status));
}

// Of a pod all containers together.
void PrintMetrics(Row& row) {
  text::Quantity cpu, memory;
  const auto add = [&](const Value& usage) {
    if (const auto q = text::Quantity::Parse(usage["cpu"].Str("0"))) cpu += *q;
    if (const auto q = text::Quantity::Parse(usage["memory"].Str("0"))) memory += *q;
  };
  if (row.object["usage"].is_object()) add(row.object["usage"]);
  for (const auto& container : row.object["containers"].Items()) add(container["usage"]);
  row.AddName().Add(Value(cpu.Canonical())).Add(Value(memory.Canonical())).AddText(row.object["window"]);
}

void PrintLease(Row& row) { row.AddName().AddText(row.object.At({"spec", "holderIdentity"})).AddAge(); }
void PrintPriorityClass(Row& row) {
  row.AddName().AddInt(row.object["value"]).Add(Value(row.object["globalDefault"].Bool())).AddAge().AddText(row.object["preemptionPolicy"]);
}
void PrintRuntimeClass(Row& row) { row.AddName().AddText(row.object["handler"]).AddAge(); }

// --- storage

void AddDefaultableName(Row& row, std::initializer_list<std::string_view> annotations) {
  std::string name(row.object.At({"metadata", "name"}).Str());
  for (const auto annotation : annotations)
    if (row.object.At({"metadata", "annotations", annotation}).Str() == "true") {
      name += " (default)";
      break;
    }
  row.Add(Value(name));
}

void PrintStorageClass(Row& row) {
  AddDefaultableName(row, {"storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"});
  row.AddText(row.object["provisioner"]).AddText(row.object["reclaimPolicy"], "Delete").AddText(row.object["volumeBindingMode"], "Immediate");
  row.Add(Value(row.object["allowVolumeExpansion"].Bool())).AddAge();
}
void PrintVolumeAttributesClass(Row& row) {
  AddDefaultableName(row, {"storage.alpha.kubernetes.io/is-default-class"});
  row.AddText(row.object["driverName"]).AddAge();
}
void PrintVolumeAttachment(Row& row) {
  const Value& spec = row.object["spec"];
  row.AddName().AddText(spec["attacher"]).AddText(spec.At({"source", "persistentVolumeName"})).AddText(spec["nodeName"]);
  row.Add(Value(row.object.At({"status", "attached"}).Bool())).AddAge();
}
void PrintCsiNode(Row& row) { row.AddName().AddCount(row.object.At({"spec", "drivers"})).AddAge(); }
void PrintCsiDriver(Row& row) {
  const Value& spec = row.object["spec"];
  const std::string modes = JoinStrings(spec["volumeLifecycleModes"]);
  row.AddName().Add(Value(spec["attachRequired"].Bool(true))).Add(Value(spec["podInfoOnMount"].Bool())).Add(Value(spec["storageCapacity"].Bool()));
  row.Add(Value(spec["tokenRequests"].size() == 0 ? std::string(kUnset) : JoinNames(spec["tokenRequests"], "audience"))).Add(Value(spec["requiresRepublish"].Bool()));
  row.Add(Value(modes.empty() ? "<none>" : modes)).AddAge();
}

// --- admission, flow control, aggregation, device claims

void PrintWebhooks(Row& row) { row.AddName().AddCount(row.object["webhooks"]).AddAge(); }

void AddPolicy(Row& row, std::string_view rules) {
  const Value& kind = row.object.At({"spec", "paramKind"});
  row.AddName().AddCount(row.object["spec"][rules]);
  row.Add(Value(kind.is_null() ? std::string(kUnset) : Cat(kind["apiVersion"].Str(), '/', kind["kind"].Str()))).AddAge();
}
void PrintValidatingPolicy(Row& row) { AddPolicy(row, "validations"); }
void PrintMutatingPolicy(Row& row) { AddPolicy(row, "mutations"); }

// A label selector as Go prints the message.
std::string SelectorMessage(const Value& selector) {
  std::vector<std::string> labels;
  for (const auto& member : selector["matchLabels"].Members()) labels.push_back(Cat(member.key, ": ", member.value.Str(), ','));
  std::sort(labels.begin(), labels.end());
  std::string expressions;
  for (const auto& e : selector["matchExpressions"].Items())
    expressions += Cat("LabelSelectorRequirement{Key:", e["key"].Str(), ",Operator:", e["operator"].Str(), ",Values:[", JoinStrings(e["values"], " "), "],},");
  return Cat("&LabelSelector{MatchLabels:map[string]string{", Join(labels, ""), "},MatchExpressions:[]LabelSelectorRequirement{", expressions, "},}");
}

void PrintPolicyBinding(Row& row) {
  const Value& reference = row.object.At({"spec", "paramRef"});
  std::string shown(kUnset);
  if (!reference["name"].Str().empty()) shown = Cat(reference["namespace"].Str().empty() ? std::string_view("*") : reference["namespace"].Str(), '/', reference["name"].Str());
  else if (!reference["selector"].is_null()) shown = SelectorMessage(reference["selector"]);
  row.AddName().AddText(row.object.At({"spec", "policyName"})).Add(Value(shown)).AddAge();
}

void PrintFlowSchema(Row& row) {
  const Value& spec = row.object["spec"];
  std::string dangling = "?";
  for (const auto& condition : row.object.At({"status", "conditions"}).Items())
    if (condition["type"].Str() == "Dangling") dangling = condition["status"].Str();
  row.AddName().AddText(spec.At({"priorityLevelConfiguration", "name"})).AddInt(spec["matchingPrecedence"]).AddText(spec.At({"distinguisherMethod", "type"}), "<none>");
  row.AddAge().Add(Value(dangling));
}

void PrintPriorityLevel(Row& row) {
  const Value& spec = row.object["spec"];
  const Value& settings = spec["limited"].is_null() ? spec["exempt"] : spec["limited"];
  const Value& queuing = spec.At({"limited", "limitResponse", "queuing"});
  row.AddName().AddText(spec["type"]);
  const auto add = [&](const Value& number) { row.Add(number.is_null() ? Value("<none>") : Value(number.Int())); };
  add(settings["nominalConcurrencyShares"]);
  for (const char* field : {"queues", "handSize", "queueLengthLimit"}) add(queuing[field]);
  row.AddAge();
}

void PrintApiService(Row& row) {
  const Value& service = row.object.At({"spec", "service"});
  std::string available = "Unknown";
  for (const auto& condition : row.object.At({"status", "conditions"}).Items()) {
    if (condition["type"].Str() != "Available") continue;
    available = condition["status"].Str();
    if (available != "True") available += Cat(" (", condition["reason"].Str(), ')');
  }
  row.AddName().Add(Value(service.is_null() ? std::string("Local") : Cat(service["namespace"].Str(), '/', service["name"].Str()))).Add(Value(available)).AddAge();
}

// The host of the first router that has the route; else why the first one refused it.
std::string RouteHost(const Value& route) {
  const Value& routers = route.At({"status", "ingress"});
  for (const auto& router : routers.Items()) {
    for (const auto& condition : router["conditions"].Items()) {
      if (condition["type"].Str() != "Admitted") continue;
      if (condition["status"].Str() != "False") return std::string(router["host"].Str());
      if (routers.size() == 1) return std::string(condition["reason"].Str());
    }
  }
  return std::string(route.At({"spec", "host"}).Str());
}

std::string RouteServices(const Value& spec) {
  if (spec["alternateBackends"].size() == 0) return std::string(spec["to"]["name"].Str());
  std::vector<const Value*> backends{&spec["to"]};
  for (const auto& backend : spec["alternateBackends"].Items()) backends.push_back(&backend);
  std::int64_t total = 0;
  for (const Value* backend : backends) total += (*backend)["weight"].Int();
  std::vector<std::string> shown;
  for (const Value* backend : backends) shown.push_back(Cat((*backend)["name"].Str(), "(", total > 0 ? (*backend)["weight"].Int() * 100 / total : 0, "%)"));
  return Join(shown, ",");
}

void PrintRoute(Row& row) {
  const Value& spec = row.object["spec"];
  const Value& port = spec["port"]["targetPort"];
  std::string termination(spec["tls"]["termination"].Str());
  if (const auto insecure = spec["tls"]["insecureEdgeTerminationPolicy"].Str(); !insecure.empty()) termination += Cat("/", insecure);
  row.AddName().Add(Value(RouteHost(row.object))).AddText(spec["path"]).Add(Value(RouteServices(spec)));
  row.Add(Value(port.is_null() ? std::string("<all>") : port.is_string() ? std::string(port.Str()) : std::to_string(port.Int()))).Add(Value(termination)).AddText(spec["wildcardPolicy"]);
}

void PrintProject(Row& row) {
  row.AddName().AddText(row.object.At({"metadata", "annotations", "openshift.io/display-name"})).AddText(row.object.At({"status", "phase"}));
}

void PrintNameAndAge(Row& row) { row.AddName().AddAge(); }

void PrintResourceClaim(Row& row) {
  const bool deleted = !row.object.At({"metadata", "deletionTimestamp"}).is_null();
  const Value& status = row.object["status"];
  std::vector<std::string> states;
  if (deleted) states.push_back("deleted");
  if (status["allocation"].is_null()) {
    if (!deleted) states.push_back("pending");
  } else {
    states.push_back("allocated");
    if (status["reservedFor"].size() > 0) states.push_back("reserved");
  }
  row.AddName().Add(Value(Join(states, ","))).AddAge();
}

void PrintResourceSlice(Row& row) {
  const Value& spec = row.object["spec"];
  row.AddName().AddText(spec["nodeName"]).AddText(spec["driver"]).AddText(spec.At({"pool", "name"})).AddAge();
}

struct Entry {
  std::string_view group, kind;
  Printer printer;
};
constexpr Entry kPrinters[] = {
    {"networking.k8s.io", "Ingress", PrintIngress},
    {"networking.k8s.io", "IngressClass", PrintIngressClass},
    {"networking.k8s.io", "NetworkPolicy", PrintNetworkPolicy},
    {"networking.k8s.io", "ServiceCIDR", PrintServiceCidr},
    {"networking.k8s.io", "IPAddress", PrintIpAddress},
    {"discovery.k8s.io", "EndpointSlice", PrintEndpointSlice},
    {"policy", "PodDisruptionBudget", PrintPodDisruptionBudget},
    {"rbac.authorization.k8s.io", "RoleBinding", PrintBinding},
    {"rbac.authorization.k8s.io", "ClusterRoleBinding", PrintBinding},
    {"certificates.k8s.io", "CertificateSigningRequest", PrintSigningRequest},
    {"coordination.k8s.io", "Lease", PrintLease},
    {"scheduling.k8s.io", "PriorityClass", PrintPriorityClass},
    {"node.k8s.io", "RuntimeClass", PrintRuntimeClass},
    {"storage.k8s.io", "StorageClass", PrintStorageClass},
    {"storage.k8s.io", "VolumeAttributesClass", PrintVolumeAttributesClass},
    {"storage.k8s.io", "VolumeAttachment", PrintVolumeAttachment},
    {"storage.k8s.io", "CSINode", PrintCsiNode},
    {"storage.k8s.io", "CSIDriver", PrintCsiDriver},
    {"admissionregistration.k8s.io", "MutatingWebhookConfiguration", PrintWebhooks},
    {"admissionregistration.k8s.io", "ValidatingWebhookConfiguration", PrintWebhooks},
    {"admissionregistration.k8s.io", "ValidatingAdmissionPolicy", PrintValidatingPolicy},
    {"admissionregistration.k8s.io", "MutatingAdmissionPolicy", PrintMutatingPolicy},
    {"admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", PrintPolicyBinding},
    {"admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding", PrintPolicyBinding},
    {"flowcontrol.apiserver.k8s.io", "FlowSchema", PrintFlowSchema},
    {"flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", PrintPriorityLevel},
    {"apiregistration.k8s.io", "APIService", PrintApiService},
    {"project.openshift.io", "Project", PrintProject},
    {"route.openshift.io", "Route", PrintRoute},
    {"metrics.k8s.io", "NodeMetrics", PrintMetrics},
    {"metrics.k8s.io", "PodMetrics", PrintMetrics},
    {"resource.k8s.io", "DeviceClass", PrintNameAndAge},
    {"resource.k8s.io", "ResourceClaimTemplate", PrintNameAndAge},
    {"resource.k8s.io", "ResourceClaim", PrintResourceClaim},
    {"resource.k8s.io", "ResourceSlice", PrintResourceSlice},
};

}  // namespace

Printer FindOtherPrinter(std::string_view group, std::string_view kind) {
  for (const auto& entry : kPrinters)
    if (entry.group == group && entry.kind == kind) return entry.printer;
  return nullptr;
}

Printer FindPrinter(std::string_view group, std::string_view kind) {
  if (kind == "Event") return FindCorePrinter(kind);   // both groups
  if (Printer printer = group.empty() ? FindCorePrinter(kind) : nullptr) return printer;
  if (Printer printer = FindWorkloadPrinter(group, kind)) return printer;
  return FindOtherPrinter(group, kind);
}

}  // namespace skerry::kube::printer
