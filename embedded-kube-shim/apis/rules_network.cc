#include <algorithm>

#include "core/base/strings.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/apis/rules_shared.h"
#include "embedded-kube-shim/apis/same_value.h"

// networking, discovery, rbac, storage, scheduling, node.
namespace skerry::kube::rules {
namespace {

using json::Value;

void CheckPolicyPort(Run& run, const Node& port) {
  if (!port["protocol"]->is_null()) run.Enum(port["protocol"], {"TCP", "UDP", "SCTP"});
  const Node number = port["port"], end = port["endPort"];
  if (number->is_null()) {
    if (!end->is_null()) run.Invalid(end, "may not be specified when `port` is not specified");
    return;
  }
  if (number->is_string()) {
    if (!end->is_null()) run.Invalid(end, "may not be specified when `port` is non-numeric");
    run.Format(number, format::PortName);
    return;
  }
  run.Range(number, 1, 65535);
  if (end->is_null()) return;
  if (end->Int() < number->Int()) run.Invalid(end, std::to_string(number->Int()), "must be greater than or equal to `port`");
  run.Range(end, 1, 65535);
}

// Address and length of a network; length -1 when it is none.
std::pair<std::string, int> Network(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == text.npos || format::Cidr(text).size() == 1) {
    if (slash == text.npos || format::Cidr(text)[0].starts_with("must be a valid")) return {"", -1};
  }
  return {format::ParseIp(text.substr(0, slash), false), static_cast<int>(ParseInt(text.substr(slash + 1)).value_or(-1))};
}

void CheckIpBlock(Run& run, const Node& block) {
  const Node cidr = block["cidr"];
  if (cidr->Str().empty()) return run.Required(cidr);
  run.Format(cidr, format::Cidr);
  const auto [net, bits] = Network(cidr->Str());
  if (bits < 0) return;
  for (const Node& except : block["except"].Items()) {
    run.Format(except, format::Cidr);
    const auto [other, other_bits] = Network(except->Str());
    if (other_bits < 0) continue;
    bool inside = other.size() == net.size() && other_bits > bits;
    for (int i = 0; inside && i < bits; ++i) {
      const auto byte = static_cast<std::size_t>(i / 8);
      inside = ((net[byte] ^ other[byte]) >> (7 - i % 8) & 1) == 0;
    }
    if (!inside) run.Invalid(except, "must be a strict subset of `cidr`");
  }
}

void CheckPeer(Run& run, const Node& peer) {
  int peers = 0;
  for (std::string_view selector : {"podSelector", "namespaceSelector"})
    if (!peer[selector]->is_null()) ++peers, CheckSelector(run, peer[selector]);
  const bool block = !peer["ipBlock"]->is_null();
  if (block) ++peers, CheckIpBlock(run, peer["ipBlock"]);
  if (peers == 0) run.Required(peer, "must specify a peer");
  else if (block && peers > 1) run.Forbidden(peer, "may not specify both ipBlock and another peer");
}

void NetworkPolicy(Run& run, const Node& spec) {
  CheckSelector(run, spec["podSelector"]);
  struct Direction { std::string_view rules, peers; };
  for (const Direction& direction : {Direction{"ingress", "from"}, Direction{"egress", "to"}})
    for (const Node& rule : spec[direction.rules].Items()) {
      for (const Node& port : rule["ports"].Items()) CheckPolicyPort(run, port);
      for (const Node& peer : rule[direction.peers].Items()) CheckPeer(run, peer);
    }
  const Node types = spec["policyTypes"];
  if (types.size() > 2) return run.Invalid(types, RenderJson(types.schema, *types), "may not specify more than two policyTypes");
  for (const Node& type : types.Items()) run.Enum(type, {"Ingress", "Egress"});
}

void CheckHost(Run& run, const Node& host) {
  if (host->Str().empty()) return;
  if (host->Str().find('*') != std::string_view::npos) run.Format(host, format::WildcardDns1123Subdomain);
  else run.Format(host, format::Dns1123Subdomain);
}

void CheckBackend(Run& run, const Node& backend) {
  const Node resource = backend["resource"], service = backend["service"];
  if (!resource->is_null() && !service->is_null()) return run.Invalid(backend, "\"\"", "cannot set both resource and service backends");
  if (!resource->is_null()) {
    if (!resource["apiGroup"]->is_null()) run.Format(resource["apiGroup"], format::Dns1123Subdomain);
    for (std::string_view field : {"kind", "name"}) run.RequiredFormat(resource[field], format::PathSegmentName);
    return;
  }
  if (service->is_null()) return run.Invalid(backend, "\"\"", "resource or service backend is required");
  run.RequiredFormat(service["name"], format::Dns1123Label);
  const Node port = service["port"];
  const bool named = !port.Str("name").empty(), numbered = (*port)["number"].Int() != 0;
  if (named && numbered) run.Invalid(backend, "\"\"", "cannot set both port name & port number");
  else if (named) run.Format(port["name"], format::PortName);
  else if (numbered) run.Range(port["number"], 1, 65535);
  else run.Required(backend, "port name or number is required");
}

void CheckPath(Run& run, const Node& path) {
  const Node type = path["pathType"], text = path["path"];
  if (type->is_null()) return run.Required(type, "pathType must be specified");
  const std::string_view kind = type->Str(), value = text->Str();
  if (kind == "Exact" || kind == "Prefix") {
    if (!value.starts_with('/')) run.Invalid(text, "must be an absolute path");
    if (!value.empty()) {
      for (std::string_view bad : {"//", "/./", "/../", "%2f", "%2F"})
        if (value.find(bad) != value.npos) run.Invalid(text, Cat("must not contain '", bad, "'"));
      for (std::string_view bad : {"/..", "/."})
        if (value.ends_with(bad)) run.Invalid(text, Cat("cannot end with '", bad, "'"));
    }
  } else if (kind == "ImplementationSpecific") {
    if (!value.empty() && !value.starts_with('/')) run.Invalid(text, "must be an absolute path");
  } else {
    run.NotSupported(type, {"Exact", "ImplementationSpecific", "Prefix"});
  }
  CheckBackend(run, path["backend"]);
}

void Ingress(Run& run, const Node& object) {
  const Node spec = object["spec"], rules = spec["rules"];
  if (rules.size() == 0 && spec["defaultBackend"]->is_null()) run.Invalid(spec, RenderJson(rules.schema, *rules), "either `defaultBackend` or `rules` must be specified");
  if (!spec["defaultBackend"]->is_null()) CheckBackend(run, spec["defaultBackend"]);
  for (const Node& rule : rules.Items()) {
    const Node host = rule["host"];
    if (!host->Str().empty() && !format::ParseIp(host->Str(), false).empty()) run.Invalid(host, "must be a DNS name, not an IP address");
    CheckHost(run, host);
    if (rule["http"]->is_null()) continue;
    const Node paths = rule["http"]["paths"];
    if (paths.size() == 0) run.Required(paths);
    for (const Node& path : paths.Items()) CheckPath(run, path);
  }
  for (const Node& tls : spec["tls"].Items()) {
    for (const Node& host : tls["hosts"].Items()) {
      if (host->Str().find('*') != std::string_view::npos) run.Format(host, format::WildcardDns1123Subdomain);
      else run.Format(host, format::Dns1123Subdomain);
    }
    if (!tls.Str("secretName").empty()) run.Format(tls["secretName"], format::Dns1123Subdomain);
  }
  if (const Node name = spec["ingressClassName"]; !name->is_null()) run.Format(name, format::Dns1123Subdomain);
  const Value* annotation = object->At({"metadata", "annotations"}).Find("kubernetes.io/ingress.class");
  if (!run.updating() && annotation && !spec["ingressClassName"]->is_null() && annotation->Str() != spec.Str("ingressClassName"))
    run.Add(FieldErrorType::kInvalid, "annotations.kubernetes.io/ingress.class", Quote(annotation->Str()), "must match `ingressClassName` when both are specified");
}

void IngressAddresses(Run& run, const Node& ingress) { CheckLoadBalancerIngress(run, ingress, false); }

void ServiceCidr(Run& run, const Node& spec) {
  const Node cidrs = spec["cidrs"];
  if (run.updating()) {
    const std::size_t before = cidrs.old->size(), now = cidrs.size();
    if (before == now) {
      for (std::size_t i = 0; i < now; ++i)
        if (!(cidrs->Items()[i] == cidrs.old->Items()[i])) run.Invalid(cidrs.At(i), "field is immutable");
      return;
    }
    if (!(before == 1 && now == 2)) return run.Invalid(cidrs, "field is immutable");
    if (!(cidrs->Items()[0] == cidrs.old->Items()[0])) run.Invalid(cidrs.At(0), "field is immutable");
  }
  if (cidrs.size() == 0) return run.Required(cidrs, "at least one CIDR required");
  if (cidrs.size() > 2) return run.Invalid(cidrs, RenderInternal(spec.schema, *spec), "may only hold up to 2 values");
  for (const Node& cidr : cidrs.Items()) run.Format(cidr, format::CidrCanonical);
  const auto valid = [&](std::size_t i) { return format::Cidr(cidrs->Items()[i].Str()).empty(); };
  if (cidrs.size() == 2 && valid(0) && valid(1) && format::IsIpv6(cidrs->Items()[0].Str()) == format::IsIpv6(cidrs->Items()[1].Str()))
    run.Invalid(cidrs, "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64");
}

void RoleRules(Run& run, const Node& role) {
  const bool namespaced = run.def.kind == "Role";
  for (const Node& rule : role["rules"].Items()) {
    const Node urls = rule["nonResourceURLs"];
    if (rule["verbs"].size() == 0) run.Required(rule["verbs"], "verbs must contain at least one value");
    if (urls.size() > 0) {
      if (namespaced) run.Invalid(urls, "namespaced rules cannot apply to non-resource URLs");
      if (rule["apiGroups"].size() + rule["resources"].size() + rule["resourceNames"].size() > 0) run.Invalid(urls, "rules cannot apply to both regular resources and non-resource URLs");
      continue;
    }
    if (rule["apiGroups"].size() == 0) run.Required(rule["apiGroups"], "resource rules must supply at least one api group");
    if (rule["resources"].size() == 0) run.Required(rule["resources"], "resource rules must supply at least one resource");
  }
  const Node aggregation = role["aggregationRule"];
  if (namespaced || aggregation->is_null()) return;
  const Node selectors = aggregation["clusterRoleSelectors"];
  if (selectors.size() == 0) run.Required(selectors, "at least one clusterRoleSelector required if aggregationRule is non-nil");
  for (const Node& selector : selectors.Items()) {
    const std::size_t errors = run.errors.size();
    CheckSelector(run, selector);
    if (run.errors.size() > errors) run.Add(FieldErrorType::kInvalid, selector.path, "null", "invalid label selector.");
  }
}

void RoleKind(Run& run, const Node& binding) {
  const Node kind = binding["roleRef"]["kind"];
  if (run.def.kind == "ClusterRoleBinding") run.Enum(kind, {"ClusterRole"});
  else run.Enum(kind, {"Role", "ClusterRole"});
}

void Subjects(Run& run, const Node& subjects) {
  const bool cluster = run.def.kind == "ClusterRoleBinding";
  for (const Node& subject : subjects.Items()) {
    const std::string_view kind = subject.Str("kind");
    if (subject.Str("name").empty()) run.Required(subject["name"]);
    if (kind == "ServiceAccount") {
      if (!subject.Str("name").empty()) run.Format(subject["name"], format::Dns1123Subdomain);
      if (!subject.Str("apiGroup").empty()) run.NotSupported(subject["apiGroup"], {""});
      if (cluster && subject.Str("namespace").empty()) run.Required(subject["namespace"]);
    } else if (kind == "User" || kind == "Group") {
      run.Enum(subject["apiGroup"], {"rbac.authorization.k8s.io"});
    } else {
      run.NotSupported(subject["kind"], {"ServiceAccount", "User", "Group"});
    }
  }
}

void Provisioner(Run& run, const Node& at) {
  if (at->Str().empty()) return run.Required(at, "");
  const std::string lower = ToLower(at->Str());
  for (const std::string& message : format::QualifiedName(lower)) run.Invalid(at, Quote(lower), message);
}

void CheckParameters(Run& run, const Node& parameters, bool required) {
  if (parameters.size() > 512) return run.TooLong(parameters, 512);
  std::size_t total = 0;
  for (const json::Member& member : parameters->Members()) {
    if (member.key.empty()) run.Invalid(parameters, Quote(member.key), "field can not be empty.");
    total += member.key.size() + member.value.Str().size();
  }
  if (total > 262144) run.TooLong(parameters, 262144);
  if (required && parameters.size() == 0) run.Required(parameters, "must contain at least one key/value pair");
}

void Parameters(Run& run, const Node& parameters) { CheckParameters(run, parameters, false); }
void RequiredParameters(Run& run, const Node& parameters) { CheckParameters(run, parameters, true); }

void Topologies(Run& run, const Node& topologies) {
  std::vector<std::string> raw;
  for (const Node& term : topologies.Items()) {
    std::set<std::string> keys;
    const Node expressions = term["matchLabelExpressions"];
    for (const Node& expression : expressions.Items()) {
      const Node values = expression["values"];
      if (values.size() == 0) run.Required(values);
      std::set<std::string> seen;
      for (const Node& value : values.Items())
        if (!seen.insert(std::string(value->Str())).second) run.Duplicate(value);
      run.Format(expression["key"], format::QualifiedName);
      if (!keys.insert(std::string(expression.Str("key"))).second) run.Duplicate(expression["key"]);
    }
    // Upstream compares with an empty term, too.
    if (expressions.size() == 0 || std::find(raw.begin(), raw.end(), expressions->Dump()) != raw.end()) run.Add(FieldErrorType::kDuplicate, expressions.path, "\"\"", "");
    raw.push_back(expressions->Dump());
  }
}

void Sizes(Run& run, const Node& map) {
  std::size_t total = 0;
  for (const json::Member& member : map->Members()) total += member.key.size() + member.value.Str().size();
  if (total > 262144) run.TooLong(map, 262144);
}

void VolumeAttachment(Run& run, const Node& spec) {
  CheckCsiDriverName(run, spec["attacher"]);
  const Node source = spec["source"], name = source["persistentVolumeName"], inlined = source["inlineVolumeSpec"];
  constexpr const char* kOne = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
  if (inlined->is_null() && name->is_null()) run.Required(source, kOne);
  if (!inlined->is_null() && !name->is_null()) {
    run.Forbidden(source, kOne);
    run.Format(name, format::Dns1123Subdomain);
  } else if (!name->is_null()) {
    if (name->Str().empty()) run.Required(name, "must specify non empty persistentVolumeName");
    run.Format(name, format::Dns1123Subdomain);
  } else if (!inlined->is_null()) CheckPersistentVolumeSpec(run, inlined, true);
  run.Format(spec["nodeName"], format::Dns1123Subdomain);
}

void CsiNode(Run& run, const Node& spec) {
  std::set<std::string> names;
  for (const Node& driver : spec["drivers"].Items()) {
    CheckCsiDriverName(run, driver["name"]);
    const Node id = driver["nodeID"];
    if (id->Str().empty()) run.Required(id);
    if (id->Str().size() > 256) run.Invalid(id, "must be 256 characters or less");
    if (const Node count = driver["allocatable"]["count"]; !count->is_null()) run.NonNegative(count);
    if (!names.insert(std::string(driver.Str("name"))).second) run.Duplicate(driver["name"]);
    std::set<std::string> keys;
    for (const Value& key : driver["topologyKeys"]->Items()) {
      if (key.Str().empty()) run.Required(driver);
      if (!keys.insert(std::string(key.Str())).second) run.Add(FieldErrorType::kDuplicate, driver.path, Quote(key.Str()), "");
      for (const std::string& message : format::QualifiedName(key.Str())) run.Invalid(driver, Quote(key.Str()), message);
    }
  }
  if (!run.updating()) return;
  for (const Value& before : spec["drivers"].old->Items())
    for (const Node& now : spec["drivers"].Items()) {
      if (now.Str("name") != before["name"].Str()) continue;
      Value a = now->Clone(), b = before.Clone();
      a.Erase("allocatable"), b.Erase("allocatable");
      if (!SameValue(a, b)) run.Add(FieldErrorType::kInvalid, spec.path + ".drivers", RenderInternal(now.schema, a), "field is immutable");
    }
}

void CsiDriver(Run& run, const Node& spec) {
  std::set<std::string> audiences;
  for (const Node& request : spec["tokenRequests"].Items()) {
    if (!audiences.insert(std::string(request.Str("audience"))).second) run.Duplicate(request["audience"]);
    const Node seconds = request["expirationSeconds"];
    if (seconds->is_null()) continue;
    if (seconds->Int() < 600) run.Invalid(seconds, "may not specify a duration less than 10 minutes");
    if (seconds->Int() > 4294967296) run.Invalid(seconds, "may not specify a duration larger than 2^32 seconds");
  }
  const Node modes = spec["volumeLifecycleModes"];
  for (const Value& mode : modes->Items())
    if (mode.Str() != "Persistent" && mode.Str() != "Ephemeral") run.Add(FieldErrorType::kNotSupported, modes.path, Quote(mode.Str()), "supported values: \"Persistent\", \"Ephemeral\"");
  if (const Node period = spec["nodeAllocatableUpdatePeriodSeconds"]; !period->is_null() && period->Int() < 10) run.Invalid(period, "must be greater than or equal to 10 seconds");
  if (const Node in_secrets = spec["serviceAccountTokenInSecrets"]; !in_secrets->is_null() && spec["tokenRequests"].size() == 0)
    run.Invalid(in_secrets, "serviceAccountTokenInSecrets is set but no tokenRequests are specified");
}

void AttributesUpdate(Run& run, const Node& object) {
  for (std::string_view field : {"driverName", "parameters"})
    if (!Unchanged(object[field])) run.Forbidden(object[field], Cat("updates to ", field, " are forbidden."));
}

void PriorityClass(Run& run, const Node& object) {
  const Node value = object["value"];
  if (run.updating()) {
    if (!Unchanged(value)) run.Forbidden(value, "may not be changed in an update.");
    return;
  }
  const std::string name(object["metadata"].Str("name"));
  if (name.starts_with("system-")) {
    const bool critical = name == "system-node-critical" || name == "system-cluster-critical";
    const std::int64_t want = name == "system-node-critical" ? 2000001000 : 2000000000;
    const std::string_view text = name == "system-node-critical" ? "Used for system critical pods that must not be moved from their current node."
                                                                 : "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.";
    (void)text;
    std::string why;
    if (!critical) why = Cat(name, " is not a known system priority class");
    else if (value->Int() != want) why = Cat("value of ", name, " PriorityClass must be ", want);
    else if ((*object)["globalDefault"].Bool()) why = Cat("globalDefault of ", name, " PriorityClass must be false");
    if (!why.empty()) run.Forbidden(object["metadata"]["name"], Cat("priority class names with 'system-' prefix are reserved for system use only. error: ", why));
  } else if (value->Int() > 1000000000) {
    run.Forbidden(value, "maximum allowed value of a user defined priority is 1000000000");
  }
  if (const Node policy = object["preemptionPolicy"]; !policy->is_null()) {
    if (policy->Str().empty()) run.Required(policy);
    else run.Enum(policy, {"PreemptLowerPriority", "Never"});
  }
}

void CheckFqdn(Run& run, const Node& at) {
  std::string_view name = at->Str();
  if (name.empty()) return run.Required(at);
  if (name.ends_with('.')) name.remove_suffix(1);
  if (const auto messages = format::Dns1123Subdomain(name); !messages.empty()) return run.Invalid(at, Quote(name), Join(messages, ","));
  const auto parts = Split(name, '.');
  if (parts.size() < 2) return run.Invalid(at, "should be a domain with at least two segments separated by dots");
  for (std::string_view part : parts)
    if (const auto messages = format::Dns1123Label(part); !messages.empty()) return run.Invalid(at, Quote(part), Join(messages, ","));
}

void CheckEndpoint(Run& run, const Node& endpoint, std::string_view type) {
  const Node addresses = endpoint["addresses"];
  if (addresses.size() == 0) run.Required(addresses, "must contain at least 1 address");
  else if (addresses.size() > 100) run.TooMany(addresses, 100);
  for (const Node& address : addresses.Items()) {
    if (run.updating() && Unchanged(addresses)) break;   // once accepted, always accepted
    if (type == "IPv4" || type == "IPv6") {
      const bool valid = run.Format(address, type == "IPv4" ? format::Ip : format::IpCanonical);
      if (!valid) continue;
      if (format::IsIpv6(address->Str()) != (type == "IPv6")) run.Invalid(addresses, Quote(address->Str()), Cat("must be an ", type, " address"));
      CheckNonSpecialIp(run, address);
    } else if (type == "FQDN") {
      CheckFqdn(run, address);
    }
  }
  if (!endpoint["nodeName"]->is_null()) run.Format(endpoint["nodeName"], format::Dns1123Subdomain);
  if (endpoint["deprecatedTopology"].size() > 16) run.TooMany(endpoint["deprecatedTopology"], 16);
  if (!endpoint["hostname"]->is_null()) run.Format(endpoint["hostname"], format::Dns1123Label);
  for (std::string_view list : {"forZones", "forNodes"}) {
    const Node hints = endpoint["hints"][list];
    if (hints.size() > 8) {
      run.TooMany(hints, 8);
      continue;
    }
    std::set<std::string> seen;
    for (const Node& hint : hints.Items()) {
      if (!seen.insert(std::string(hint.Str("name"))).second) run.Duplicate(hint["name"]);
      run.Format(hint["name"], list == "forZones" ? format::LabelValue : format::Dns1123Subdomain);
    }
  }
}

void EndpointSlice(Run& run, const Node& slice) {
  const std::string type(slice.Str("addressType"));
  if (type.empty()) run.Required(slice["addressType"]);
  else run.Enum(slice["addressType"], {"FQDN", "IPv4", "IPv6"});
  const Node ports = slice["ports"], endpoints = slice["endpoints"];
  if (endpoints.size() > 1000) run.TooMany(endpoints, 1000);
  else
    for (const Node& endpoint : endpoints.Items()) CheckEndpoint(run, endpoint, type);
  if (ports.size() > 20000) return run.TooMany(ports, 20000);
  std::set<std::string> names;
  for (const Node& port : ports.Items()) {
    if (!port.Str("name").empty()) run.Format(port["name"], format::Dns1123Label);
    if (!names.insert(std::string(port.Str("name"))).second) run.Duplicate(port["name"]);
    if (port["protocol"]->is_null()) run.Required(port["protocol"]);
    else run.Enum(port["protocol"], {"SCTP", "TCP", "UDP"});
    if (!port["appProtocol"]->is_null()) run.Format(port["appProtocol"], format::QualifiedName);
  }
}

void RuntimeClass(Run& run, const Node& object) {
  const Node overhead = object["overhead"]["podFixed"];
  for (const json::Member& member : overhead->Members()) {
    Node at = overhead.Key(member.key);
    at.path = Cat("overhead.limits[", member.key, "]");
    CheckContainerResourceName(run, at, member.key);
    CheckResourceAmount(run, at, member.key);
  }
  const Node scheduling = object["scheduling"];
  CheckLabels(run, scheduling["nodeSelector"]);
  CheckTolerations(run, scheduling["tolerations"]);
  std::set<std::string> seen;
  for (const Node& toleration : scheduling["tolerations"].Items())
    if (!seen.insert(toleration->Dump()).second) run.Add(FieldErrorType::kDuplicate, toleration.path, RenderInternal(toleration.schema, *toleration), "");
}

void DomainPath(Run& run, const Node& at) { CheckDomainPath(run, at); }

}  // namespace

bool CheckCsiDriverName(Run& run, const Node& at) {
  const std::string_view name = at->Str();
  if (name.empty()) return run.Required(at), false;
  if (name.size() > 63) run.TooLong(at, 63);
  for (const std::string& message : format::Dns1123Subdomain(ToLower(name))) run.Invalid(at, message);
  return true;
}

std::span<const NamedCall> NetworkCalls() {
  static constexpr NamedCall kCalls[] = {
      {"NetworkPolicy", NetworkPolicy}, {"Ingress", Ingress}, {"IngressAddresses", IngressAddresses}, {"ServiceCidr", ServiceCidr}, {"RoleRules", RoleRules}, {"RoleKind", RoleKind},
      {"Subjects", Subjects}, {"Provisioner", Provisioner}, {"Parameters", Parameters}, {"RequiredParameters", RequiredParameters}, {"Topologies", Topologies}, {"Sizes", Sizes},
      {"VolumeAttachment", VolumeAttachment}, {"CsiNode", CsiNode}, {"CsiDriver", CsiDriver}, {"AttributesUpdate", AttributesUpdate}, {"PriorityClass", PriorityClass},
      {"EndpointSlice", EndpointSlice}, {"RuntimeClass", RuntimeClass}, {"DomainPath", DomainPath},
  };
  return kCalls;
}

}  // namespace skerry::kube::rules
