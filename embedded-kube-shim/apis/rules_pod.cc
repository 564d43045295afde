#include <algorithm>
#include <map>

#include "core/base/strings.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/apis/rules_shared.h"

namespace skerry::kube::rules {
namespace {

using json::Value;
using text::Quantity;

constexpr std::int64_t kMaxInt32 = 2147483647;

void CheckLabelMap(Run& run, const Node& labels) { CheckLabels(run, labels); }

void CheckTopologyKeys(Run& run, const Node& term, const Node& in_both_path) {
  const Node keys = term["matchLabelKeys"], mismatch = term["mismatchLabelKeys"];
  std::set<std::string> selected;
  const Node selector = term["labelSelector"];
  for (const Node& list : {keys, mismatch})
    if (list.size() > 0 && selector->is_null()) run.Forbidden(list, "must not be specified when labelSelector is not set");
  for (const Node& list : {keys, mismatch})
    for (const Node& key : list.Items()) run.Format(key, format::QualifiedName);
  std::set<std::string> seen;
  for (const json::Member& label : (*selector)["matchLabels"].Members()) seen.insert(label.key);
  // The server itself appends one expression per key: only a second one is the user's.
  std::map<std::string, std::size_t> places;   // of a key that stands twice the last one counts
  for (std::size_t i = 0; i < keys.size(); ++i) places[std::string(keys->Items()[i].Str())] = i;
  for (const Value& expression : (*selector)["matchExpressions"].Items()) {
    const std::string key(expression["key"].Str());
    const auto place = places.find(key);
    if (!seen.insert(key).second && place != places.end())
      run.Add(FieldErrorType::kInvalid, Cat(in_both_path.path, "[", place->second, "]"), Quote(key), "exists in both matchLabelKeys and labelSelector");
  }
  for (const Node& key : keys.Items())
    for (const Value& other : mismatch->Items())
      if (other.Str() == key->Str()) run.Invalid(key, "exists in both matchLabelKeys and mismatchLabelKeys");
}

void CheckAffinityTerm(Run& run, const Node& term) {
  CheckSelector(run, term["labelSelector"]);
  CheckSelector(run, term["namespaceSelector"]);
  for (const Value& ns : (*term)["namespaces"].Items())
    for (const std::string& message : format::Dns1123Label(ns.Str())) run.Add(FieldErrorType::kInvalid, term.path + ".namespace", Quote(ns.Str()), message);
  CheckTopologyKeys(run, term, term);
  if (term.Str("topologyKey").empty()) run.Required(term["topologyKey"], "can not be empty");
  run.Format(term["topologyKey"], format::QualifiedName);
}

void CheckWeight(Run& run, const Node& item) {
  const std::int64_t weight = item["weight"]->Int();
  if (weight < 1 || weight > 100) run.Invalid(item["weight"], "must be in the range 1-100");
}

void CheckPodAffinity(Run& run, const Node& affinity) {
  if (affinity->is_null()) return;
  for (const Node& term : affinity["requiredDuringSchedulingIgnoredDuringExecution"].Items()) CheckAffinityTerm(run, term);
  for (const Node& item : affinity["preferredDuringSchedulingIgnoredDuringExecution"].Items()) {
    CheckWeight(run, item);
    CheckAffinityTerm(run, item["podAffinityTerm"]);
  }
}

enum class Values : std::uint8_t { kChecked, kFree };   // values of preferred terms may be anything

void CheckSelectorTerm(Run& run, const Node& term, Values check) {
  for (const Node& requirement : term["matchExpressions"].Items()) {
    const std::string_view op = requirement.Str("operator");
    const Node values = requirement["values"];
    if (op == "In" || op == "NotIn") {
      if (values.size() == 0) run.Required(values, "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (op == "Exists" || op == "DoesNotExist") {
      if (values.size() > 0) run.Forbidden(values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else if (op == "Gt" || op == "Lt") {
      if (values.size() != 1) run.Required(values, "must be specified single value when `operator` is 'Lt' or 'Gt'");
    } else {
      run.Invalid(requirement["operator"], "not a valid selector operator");
    }
    run.Format(requirement["key"], format::QualifiedName);
    if (check == Values::kChecked)
      for (const Node& value : values.Items()) run.Format(value, format::LabelValue);
  }
  for (const Node& requirement : term["matchFields"].Items()) {
    const std::string_view op = requirement.Str("operator");
    const Node values = requirement["values"];
    if (op == "In" || op == "NotIn") {
      if (values.size() != 1) run.Required(values, "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
    } else {
      run.Invalid(requirement["operator"], "not a valid selector operator");
    }
    if (requirement.Str("key") != "metadata.name") run.Invalid(requirement["key"], "not a valid field selector key");
    else
      for (const Node& value : values.Items()) run.Format(value, format::Dns1123Subdomain);
  }
}

void CheckAffinity(Run& run, const Node& affinity) {
  if (affinity->is_null()) return;
  if (const Node node = affinity["nodeAffinity"]; !node->is_null()) {
    if (const Node required = node["requiredDuringSchedulingIgnoredDuringExecution"]; !required->is_null()) CheckNodeSelector(run, required);
    for (const Node& item : node["preferredDuringSchedulingIgnoredDuringExecution"].Items()) {
      if (const std::int64_t weight = item["weight"]->Int(); weight <= 0 || weight > 100) run.Invalid(item["weight"], "must be in the range 1-100");
      CheckSelectorTerm(run, item["preference"], Values::kFree);
    }
  }
  CheckPodAffinity(run, affinity["podAffinity"]);
  CheckPodAffinity(run, affinity["podAntiAffinity"]);
}

void CheckDns(Run& run, const Node& spec) {
  const Node policy = spec["dnsPolicy"], config = spec["dnsConfig"];
  const bool none = policy->Str() == "None";
  if (none && config->is_null()) return run.Required(config, "must provide `dnsConfig` when `dnsPolicy` is None");
  if (config->is_null()) return;
  const Node servers = config["nameservers"], searches = config["searches"];
  if (none && servers.size() == 0) return run.Required(servers, "must provide at least one DNS nameserver when `dnsPolicy` is None");
  if (servers.size() > 3) run.Invalid(servers, "must not have more than 3 nameservers");
  for (const Node& server : servers.Items()) run.Format(server, format::Ip);
  if (searches.size() > 32) run.Invalid(searches, "must not have more than 32 search paths");
  std::size_t total = 0;
  for (const Value& search : searches->Items()) total += search.Str().size();
  if (searches.size() > 0 && total + searches.size() - 1 > 2048) run.Invalid(searches, "must not have more than 2048 characters (including spaces) in the search list");
  for (const Node& search : searches.Items()) {
    std::string_view name = search->Str();
    if (name == ".") continue;
    if (name.ends_with('.')) name.remove_suffix(1);
    for (const std::string& message : format::Dns1123SubdomainUnderscore(name)) run.Invalid(search, Quote(name), message);
  }
  for (const Node& option : config["options"].Items())
    if (option.Str("name").empty()) run.Required(option, "must not be empty");
}

void CheckSpread(Run& run, const Node& constraints) {
  std::vector<Node> items = constraints.Items();
  for (std::size_t i = 0; i < items.size(); ++i) {
    const Node& item = items[i];
    run.Positive(item["maxSkew"]);
    if (item.Str("topologyKey").empty()) run.Required(item["topologyKey"], "can not be empty");
    const std::string_view action = item.Str("whenUnsatisfiable");
    if (action != "DoNotSchedule" && action != "ScheduleAnyway") run.NotSupported(item["whenUnsatisfiable"], {"DoNotSchedule", "ScheduleAnyway"});
    for (std::size_t k = i + 1; k < items.size(); ++k)
      if (items[k].Str("topologyKey") == item.Str("topologyKey") && items[k].Str("whenUnsatisfiable") == action)
        run.Add(FieldErrorType::kDuplicate, item.path + ".{topologyKey, whenUnsatisfiable}", Quote(Cat("{", item.Str("topologyKey"), ", ", action, "}")), "");
    if (const Node domains = item["minDomains"]; !domains->is_null()) {
      run.Positive(domains);
      if (action != "DoNotSchedule") run.Invalid(domains, Cat("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ", action));
    }
    for (std::string_view policy : {"nodeAffinityPolicy", "nodeTaintsPolicy"})
      if (!item[policy]->is_null()) run.Enum(item[policy], {"Honor", "Ignore"});
    CheckSelector(run, item["labelSelector"]);
    CheckTopologyKeys(run, item, item);
  }
}

bool IsNetSysctl(std::string_view name) { return name.starts_with("net.") || name.starts_with("net/"); }
bool IsIpcSysctl(std::string_view name) {
  static constexpr std::string_view kNames[] = {"kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced", "kernel.shm", "kernel.msgmax", "kernel.msgmnb",
                                                "kernel.msgmni", "kernel.msg"};
  name = name.substr(0, name.find('*'));
  if (name.ends_with('.')) name.remove_suffix(1);
  return name.starts_with("fs.mqueue.") || std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

void CheckPodSecurity(Run& run, const Node& spec) {
  const Node context = spec["securityContext"];
  if (context->is_null()) return;
  for (std::string_view field : {"fsGroup", "runAsUser", "runAsGroup"})
    if (!context[field]->is_null()) run.Range(context[field], 0, kMaxInt32);
  for (const Node& group : context["supplementalGroups"].Items()) run.Range(group, 0, kMaxInt32);
  if ((*spec)["shareProcessNamespace"].Bool() && (*spec)["hostPID"].Bool())
    run.Add(FieldErrorType::kInvalid, context.path + ".shareProcessNamespace", "true", "ShareProcessNamespace and HostPID cannot both be enabled");
  std::set<std::string> names;
  for (const Node& sysctl : context["sysctls"].Items()) {
    const std::string name(sysctl.Str("name"));
    if (name.empty()) {
      run.Required(sysctl["name"]);
      continue;
    }
    run.Format(sysctl["name"], format::Sysctl);
    if (!names.insert(name).second) run.Duplicate(sysctl["name"]);
    if ((*spec)["hostNetwork"].Bool() && IsNetSysctl(name)) run.Invalid(sysctl["name"], "may not be specified when 'hostNetwork' is true");
    if ((*spec)["hostIPC"].Bool() && IsIpcSysctl(name)) run.Invalid(sysctl["name"], "may not be specified when 'hostIPC' is true");
  }
  if (const Node policy = context["fsGroupChangePolicy"]; !policy->is_null()) run.Enum(policy, {"Always", "OnRootMismatch"});
  CheckSeccomp(run, context["seccompProfile"]);
  CheckWindowsOptions(run, context["windowsOptions"]);
  CheckAppArmor(run, context["appArmorProfile"]);
  if (const Node policy = context["supplementalGroupsPolicy"]; !policy->is_null()) run.Enum(policy, {"Merge", "Strict"});
  if (const Node policy = context["seLinuxChangePolicy"]; !policy->is_null()) run.Enum(policy, {"Recursive"});
}

void ForEachContainer(const Node& spec, const std::function<void(const Node&)>& visit) {
  for (std::string_view list : {"initContainers", "containers", "ephemeralContainers"})
    for (const Node& container : spec[list].Items()) visit(container);
}

void CheckOs(Run& run, const Node& spec) {
  const Node os = spec["os"];
  if (os->is_null()) return;
  const std::string_view name = os.Str("name");
  if (name.empty()) return run.Required(os["name"]);
  if (name != "linux" && name != "windows") {
    Node at = os;
    run.Add(FieldErrorType::kNotSupported, at.path, Quote(name), "supported values: \"linux\", \"windows\"");
    return;
  }
  const auto windows_only = [&](const Node& context) {
    if (!context["windowsOptions"]->is_null()) run.Forbidden(context["windowsOptions"], "windows options cannot be set for a linux pod");
  };
  if (name == "linux") {
    if (!spec["securityContext"]->is_null()) windows_only(spec["securityContext"]);
    ForEachContainer(spec, [&](const Node& container) {
      if (!container["securityContext"]->is_null()) windows_only(container["securityContext"]);
    });
    return;
  }
  constexpr const char* kText = "cannot be set for a windows pod";
  const Node context = spec["securityContext"];
  const auto refuse = [&](const Node& at) {
    if (!at->is_null() && !(at->is_bool() && !at->Bool() && !at.field->pointer)) run.Forbidden(at, kText);
  };
  refuse(context["appArmorProfile"]);
  refuse(context["seLinuxOptions"]);
  for (std::string_view field : {"hostUsers", "hostPID", "hostIPC"}) refuse(spec[field]);
  for (std::string_view field : {"seccompProfile", "fsGroup", "fsGroupChangePolicy", "sysctls"}) refuse(context[field]);
  refuse(spec["shareProcessNamespace"]);
  for (std::string_view field : {"runAsUser", "runAsGroup", "supplementalGroups", "supplementalGroupsPolicy", "seLinuxChangePolicy"}) refuse(context[field]);
  ForEachContainer(spec, [&](const Node& container) {
    for (std::string_view field : {"appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities", "readOnlyRootFilesystem", "privileged", "allowPrivilegeEscalation", "procMount",
                                   "runAsUser", "runAsGroup"})
      refuse(container["securityContext"][field]);
  });
}

void CheckResourceClaims(Run& run, const Node& claims) {
  std::set<std::string> names;
  for (const Node& claim : claims.Items()) {
    const std::string name(claim.Str("name"));
    if (name.empty()) run.Required(claim["name"]);
    else if (!names.insert(name).second) run.Duplicate(claim["name"]);
    else run.Format(claim["name"], format::Dns1123Label);
    const bool direct = !claim["resourceClaimName"]->is_null(), from_template = !claim["resourceClaimTemplateName"]->is_null();
    if (direct && from_template)
      run.Invalid(claim, RenderInternal(claim.schema, *claim), "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified");
    if (!direct && !from_template) run.Invalid(claim, RenderInternal(claim.schema, *claim), "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
    if (direct) run.Format(claim["resourceClaimName"], format::Dns1123Subdomain);
    if (from_template) run.Format(claim["resourceClaimTemplateName"], format::Dns1123Subdomain);
  }
}

Quantity Amount(const Value& value) { return Quantity::Parse(value.Str("0")).value_or(Quantity()); }

// Sum of the containers, or the largest init container with the sidecars before it.
std::map<std::string, Quantity> Aggregate(const Node& spec, std::string_view list) {
  std::map<std::string, Quantity> sum, sidecars, largest;
  for (const Value& container : (*spec)["containers"].Items())
    for (const json::Member& member : container["resources"][list].Members()) sum[member.key] += Amount(member.value);
  for (const Value& container : (*spec)["initContainers"].Items()) {
    const bool sidecar = container["restartPolicy"].Str() == "Always";
    std::map<std::string, Quantity> now = sidecars;
    for (const json::Member& member : container["resources"][list].Members()) {
      now[member.key] += Amount(member.value);
      if (sidecar) sidecars[member.key] += Amount(member.value);
    }
    for (const auto& [name, amount] : now) largest[name] = std::max(largest[name], amount);
  }
  for (const auto& [name, amount] : sidecars) sum[name] += amount;
  for (const auto& [name, amount] : largest) sum[name] = std::max(sum[name], amount);
  return sum;
}

void CheckPodResources(Run& run, const Node& spec) {
  const Node resources = spec["resources"];
  if (resources->is_null()) return;
  if (spec->At({"os", "name"}).Str() == "windows") return run.Forbidden(resources, "may not be set for a windows pod");
  if (resources["claims"].size() > 0) run.Forbidden(resources["claims"], "claims may not be set for Resources at pod-level");
  CheckRequirements(run, resources, ResourcesOf::kPod);
  const auto requests = Aggregate(spec, "requests"), limits = Aggregate(spec, "limits");
  for (const json::Member& member : (*resources)["requests"].Members())
    if (const auto it = requests.find(member.key); it != requests.end() && Amount(member.value) < it->second)
      run.Invalid(resources["requests"].Key(member.key), Quote(Amount(member.value).Canonical()), Cat("must be greater than or equal to aggregate container requests of ", it->second.Canonical()));
  for (const json::Member& member : (*resources)["limits"].Members())
    if (const auto it = limits.find(member.key); member.key.starts_with("hugepages-") && it != limits.end() && Amount(member.value) < it->second)
      run.Invalid(resources["limits"].Key(member.key), Quote(Amount(member.value).Canonical()), Cat("must be greater than or equal to aggregate container limits of ", it->second.Canonical()));
  const auto containers = spec["containers"].Items();
  for (std::size_t i = 0; i < containers.size(); ++i)
    for (const json::Member& limit : containers[i]->At({"resources", "limits"}).Members())
      if (const Value* most = (*resources)["limits"].Find(limit.key); most && Amount(limit.value) > Amount(*most))
        run.Add(FieldErrorType::kInvalid, Cat(resources.path, ".containers[", i, "][", limit.key, "].limits"), Quote(Amount(limit.value).Canonical()),
                Cat("must be less than or equal to pod limits of ", Amount(*most).Canonical()));
}

void CheckHostNetworkPorts(Run& run, const Node& spec) {
  if (!(*spec)["hostNetwork"].Bool()) return;
  for (std::string_view list : {"containers", "initContainers"})
    for (const Node& container : spec[list].Items())
      for (const Node& port : container["ports"].Items()) {
        const std::int64_t host = (*port)["hostPort"].Int();
        if (host == (*port)["containerPort"].Int() || (run.templates > 0 && host == 0)) continue;
        Node at = port["hostPort"];
        run.Invalid(at, std::to_string(host), "must match `containerPort` when `hostNetwork` is true");
      }
}

void CheckHostUsers(Run& run, const Node& spec) {
  if ((*spec)["hostUsers"].is_null() || (*spec)["hostUsers"].Bool()) return;
  constexpr const char* kText = "when `hostUsers` is false";
  if ((*spec)["hostNetwork"].Bool()) run.Forbidden(spec["hostNetwork"], kText);
  if ((*spec)["hostPID"].Bool()) run.Forbidden(spec.As("hostPID", "HostPID"), kText);
  if ((*spec)["hostIPC"].Bool()) run.Forbidden(spec.As("hostIPC", "HostIPC"), kText);
  for (std::string_view list : {"containers", "initContainers", "ephemeralContainers"})
    for (const Node& container : spec[list].Items())
      if (container["volumeDevices"].size() > 0) run.Forbidden(container["volumeDevices"], kText);
}

void CheckHostProcess(Run& run, const Node& spec) {
  const Value& pod_value = spec->At({"securityContext", "windowsOptions", "hostProcess"});
  int process = 0, all = 0;
  ForEachContainer(spec, [&](const Node& container) {
    ++all;
    const Node own = container["securityContext"]["windowsOptions"]["hostProcess"];
    if (!own->is_null() && !pod_value.is_null() && own->Bool() != pod_value.Bool())
      run.Invalid(own, Cat("pod hostProcess value must be identical if both are specified, was ", pod_value.Bool() ? "true" : "false"));
    process += own->is_null() ? pod_value.Bool() : own->Bool();
  });
  if (process == 0) return;
  if (process != all) run.Invalid(spec, "\"\"", "If pod contains any hostProcess containers then all containers must be HostProcess containers");
  if (!(*spec)["hostNetwork"].Bool()) run.Invalid(spec["hostNetwork"], "false", "hostNetwork must be true if pod contains any hostProcess containers");
}

void CheckNames(Run& run, const Node& spec) {
  const auto format = [&](std::string_view field, format::Check check) {
    if (!spec.Str(field).empty()) run.Format(spec[field], check);
  };
  format("serviceAccountName", format::Dns1123Subdomain);
  format("nodeName", format::Dns1123Subdomain);
  if (!spec["activeDeadlineSeconds"]->is_null()) run.Range(spec["activeDeadlineSeconds"], 1, kMaxInt32);
  format("hostname", format::Dns1123Label);
  format("subdomain", format::Dns1123Label);
  CheckTolerations(run, spec["tolerations"]);
  for (const Node& alias : spec["hostAliases"].Items()) {
    run.Format(alias["ip"], format::Ip);
    for (const Node& name : alias["hostnames"].Items()) run.Format(name, format::Dns1123Subdomain);
  }
  format("priorityClassName", format::Dns1123Subdomain);
  if (!spec["runtimeClassName"]->is_null()) run.Format(spec["runtimeClassName"], format::Dns1123Subdomain);
  if (const Node policy = spec["preemptionPolicy"]; !policy->is_null()) {
    if (policy->Str().empty()) run.Required(policy);
    else run.Enum(policy, {"PreemptLowerPriority", "Never"});
  }
}

void CheckFileRefs(Run& run, const Node& spec) {
  for (std::string_view list : {"containers", "initContainers", "ephemeralContainers"})
    for (const Node& container : spec[list].Items())
      for (const Node& variable : container["env"].Items()) {
        const Node volume_name = variable["valueFrom"]["fileKeyRef"]["volumeName"];
        if (variable["valueFrom"]["fileKeyRef"]->is_null()) continue;
        const Value* found = nullptr;
        for (const Value& volume : (*spec)["volumes"].Items())
          if (volume["name"].Str() == volume_name->Str()) found = &volume;
        if (!found) run.NotFound(volume_name);
        else if ((*found)["emptyDir"].is_null()) run.Invalid(volume_name, "referenced volume must be of type emptyDir");
      }
}

void CheckGates(Run& run, const Node& spec) {
  for (const Node& gate : spec["readinessGates"].Items()) run.Format(gate["conditionType"], format::QualifiedName);
  std::set<std::string> names;
  for (const Node& gate : spec["schedulingGates"].Items()) {
    Node at_gate = gate["name"];
    at_gate.path = gate.path;
    run.Format(at_gate, format::QualifiedName);
    if (!names.insert(std::string(gate.Str("name"))).second) {
      Node at = gate;
      run.Add(FieldErrorType::kDuplicate, at.path, Quote(gate.Str("name")), "");
    }
  }
}

void CheckPodSpec(Run& run, const Node& spec, const Value& metadata) {
  run.pod_spec = spec.value;
  run.pod_metadata = &metadata;
  // What was accepted once is not looked at again: what an update asks beyond that only concerns changes.
  if (run.updating() && !spec.old->is_null() && *spec.value == *spec.old) return;
  if (spec["terminationGracePeriodSeconds"]->is_null()) run.Required(spec["terminationGracePeriodSeconds"]);
  CheckVolumes(run, spec["volumes"]);
  CheckResourceClaims(run, spec["resourceClaims"]);
  CheckContainers(run, spec);
  CheckPodResources(run, spec);
  CheckHostNetworkPorts(run, spec);
  if (spec.Str("restartPolicy").empty()) run.Required(spec["restartPolicy"]);
  else run.Enum(spec["restartPolicy"], {"Always", "OnFailure", "Never"});
  if (spec.Str("dnsPolicy").empty()) run.Required(spec["dnsPolicy"]);
  else run.Enum(spec["dnsPolicy"], {"ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"});
  CheckLabelMap(run, spec["nodeSelector"]);
  CheckPodSecurity(run, spec);
  CheckAffinity(run, spec["affinity"]);
  CheckDns(run, spec);
  CheckGates(run, spec);
  CheckSpread(run, spec["topologySpreadConstraints"]);
  CheckHostProcess(run, spec);
  CheckHostUsers(run, spec);
  if (const Node name = spec["hostnameOverride"]; !name->is_null()) {
    if ((*spec)["setHostnameAsFQDN"].Bool()) run.Forbidden(name, "may not be specified when setHostnameAsFQDN is true");
    if ((*spec)["hostNetwork"].Bool()) run.Forbidden(name, "may not be specified when hostNetwork is true");
    if (name->Str().size() > 64) run.TooLong(name, 64);
    run.Format(name, format::Dns1123Subdomain);
  }
  CheckNames(run, spec);
  if (const Node overhead = spec["overhead"]; overhead.size() > 0) {
    Node limits = overhead;
    limits.path += ".limits";
    for (const json::Member& member : limits->Members()) {
      CheckContainerResourceName(run, limits.Key(member.key), member.key);
      CheckResourceAmount(run, limits.Key(member.key), member.key);
    }
  }
  CheckOs(run, spec);
  CheckFileRefs(run, spec);
}

void CheckDeletionCost(Run& run, const Node& annotations) {
  constexpr std::string_view kKey = "controller.kubernetes.io/pod-deletion-cost";
  const Value* cost = annotations->Find(kKey);
  if (!cost) return;
  const std::string_view text = cost->Str();
  const auto number = ParseInt(text);
  const bool shape = !text.empty() && (text == "0" || text[0] == '-' || (text[0] >= '1' && text[0] <= '9'));
  if (!shape || !number || *number > kMaxInt32 || *number < -kMaxInt32 - 1) run.Invalid(annotations.Key(kKey), "must be a 32bit integer");
}

void CheckPodAnnotations(Run& run, const Node& metadata, const Node& spec) {
  const Node annotations = metadata["annotations"];
  constexpr std::string_view kMirror = "kubernetes.io/config.mirror";
  if (annotations->Find(kMirror) && spec.Str("nodeName").empty()) run.Invalid(annotations.Key(kMirror), "must set spec.nodeName if mirror pod annotation is set");
  CheckDeletionCost(run, annotations);
  for (const json::Member& member : annotations->Members()) {
    const std::string_view key = member.key, value = member.value.Str();
    constexpr std::string_view kSeccomp = "container.seccomp.security.alpha.kubernetes.io/", kAppArmor = "container.apparmor.security.beta.kubernetes.io/";
    if (key == "seccomp.security.alpha.kubernetes.io/pod" || key.starts_with(kSeccomp)) {
      const Node at = annotations.As(key, key);
      if (value.starts_with("localhost/")) run.Format(at, format::LocalDescendingPath, value.substr(10));
      else if (value != "runtime/default" && value != "docker/default" && value != "unconfined") run.Invalid(at, "must be a valid seccomp profile");
    }
    if (!key.starts_with(kAppArmor)) continue;
    const std::string_view container = key.substr(kAppArmor.size());
    bool found = false;
    ForEachContainer(spec, [&](const Node& c) { found = found || c.Str("name") == container; });
    if (!found) run.Invalid(annotations.Key(key), Quote(container), "container not found");
    if (!value.empty() && value != "runtime/default" && value != "unconfined" && !value.starts_with("localhost/"))
      run.Invalid(annotations.Key(key), Cat("invalid AppArmor profile name: ", Quote(value)));
  }
}

void CheckImageSpace(Run& run, const Node& spec) {
  for (std::string_view list : {"containers", "initContainers"})
    for (const Node& container : spec[list].Items()) {
      const std::string_view image = container.Str("image");
      if (!image.empty() && Trim(image) != image) run.Invalid(container["image"], "must not have leading or trailing whitespace");
    }
}

void Pod(Run& run, const Node& pod) {
  const Node spec = pod["spec"];
  run.name_of_pod = (*pod)["metadata"]["name"].Str();
  if (run.subresource == "binding") return;
  CheckPodAnnotations(run, pod["metadata"], spec);
  CheckPodSpec(run, spec, (*pod)["metadata"]);
  if (spec.Str("serviceAccountName").empty())
    for (const Node& volume : spec["volumes"].Items())
      for (const Node& source : volume["projected"]["sources"].Items())
        if (!source["serviceAccountToken"]->is_null()) run.Forbidden(source["serviceAccountToken"], "must not be specified when serviceAccountName is not set");
  CheckImageSpace(run, spec);
  if (!run.updating()) {
    if (spec["ephemeralContainers"].size() > 0) run.Forbidden(spec["ephemeralContainers"], "cannot be set on create");
    if (spec["schedulingGates"].size() > 0 && !spec.Str("nodeName").empty()) run.Forbidden(spec["nodeName"], "cannot be set until all schedulingGates have been cleared");
    return;
  }
  CheckPodUpdate(run, pod);
}

}  // namespace

void CheckTolerations(Run& run, const Node& tolerations) {
  for (const Node& toleration : tolerations.Items()) {
    const std::string_view key = toleration.Str("key"), op = toleration.Str("operator"), effect = toleration.Str("effect");
    if (!key.empty()) run.Format(toleration["key"], format::QualifiedName);
    if (key.empty() && op != "Exists") run.Invalid(toleration["operator"], "operator must be Exists when `key` is empty, which means \"match all values and all keys\"");
    if (!(*toleration)["tolerationSeconds"].is_null() && effect != "NoExecute") run.Invalid(toleration["effect"], "effect must be 'NoExecute' when `tolerationSeconds` is set");
    if (op.empty() || op == "Equal") {
      if (const auto messages = format::LabelValue(toleration.Str("value")); !messages.empty()) run.Invalid(toleration["operator"], Quote(toleration.Str("value")), Join(messages, ";"));
    } else if (op == "Exists") {
      if (!toleration.Str("value").empty()) run.Invalid(toleration["operator"], Quote(toleration.Str("value")), "value must be empty when `operator` is 'Exists'");
    } else if (op == "Lt" || op == "Gt") {
      run.NotSupported(toleration["operator"], {"Equal", "Exists", "Lt", "Gt"});
    } else {
      run.NotSupported(toleration["operator"], {"Equal", "Exists"});
    }
    if (!effect.empty()) run.Enum(toleration["effect"], {"NoSchedule", "PreferNoSchedule", "NoExecute"});
  }
}

void CheckNodeSelector(Run& run, const Node& selector) {
  const Node terms = selector["nodeSelectorTerms"];
  if (terms.size() == 0) return run.Required(terms, "must have at least one node selector term");
  for (const Node& term : terms.Items()) CheckSelectorTerm(run, term, Values::kChecked);
}

void CheckPodTemplate(Run& run, const Node& node) {
  ++run.templates;
  const std::string name = std::move(run.name_of_pod);
  run.name_of_pod.clear();
  const Node metadata = node["metadata"], spec = node["spec"];
  // Upstream's paths leave "metadata" out here.
  Node labels = metadata["labels"], annotations = metadata["annotations"];
  labels.path = node.path + ".labels";
  annotations.path = node.path + ".annotations";
  CheckLabels(run, labels);
  CheckAnnotations(run, annotations);
  CheckPodAnnotations(run, Node{metadata.value, metadata.old, metadata.schema, metadata.field, node.path}, spec);
  CheckPodSpec(run, spec, *metadata);
  if (spec["ephemeralContainers"].size() > 0) run.Forbidden(spec["ephemeralContainers"], "ephemeral containers not allowed in pod template");
  run.name_of_pod = name;
  --run.templates;
}

std::span<const NamedCall> PodCalls() {
  static constexpr NamedCall kCalls[] = {{"Pod", Pod}, {"PodStatus", CheckPodStatus}};
  return kCalls;
}

}  // namespace skerry::kube::rules
