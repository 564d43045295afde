#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/apis/rules_shared.h"

namespace skerry::kube::rules {
namespace {

using json::Value;

bool IsHeadless(const Value& spec) { return spec["clusterIPs"].size() == 1 && spec["clusterIPs"].Items()[0].Str() == "None"; }

bool NeedsNodePort(std::string_view type) { return type == "NodePort" || type == "LoadBalancer"; }
bool IsExternal(const Node& spec) { return NeedsNodePort(spec.Str("type")) || (spec.Str("type") == "ClusterIP" && spec["externalIPs"].size() > 0); }

void CheckServicePorts(Run& run, const Node& spec) {
  const Node ports = spec["ports"];
  std::set<std::string> names, numbers, node_ports;
  const bool headless = IsHeadless(*spec);
  for (const Node& port : ports.Items()) {
    const Node name = port["name"];
    if (name->Str().empty()) {
      if (ports.size() > 1) run.Required(name);
    } else {
      run.Format(name, format::Dns1123Label);
      if (!names.insert(std::string(name->Str())).second) run.Duplicate(name);
    }
    run.Range(port["port"], 1, 65535);
    if (port.Str("protocol").empty()) run.Required(port["protocol"]);
    else run.Enum(port["protocol"], {"SCTP", "TCP", "UDP"});
    const Node target = port["targetPort"];
    if (target->is_string()) run.Format(target, format::PortName);
    else run.Range(target, 1, 65535);
    if (!port["appProtocol"]->is_null()) run.Format(port["appProtocol"], format::QualifiedName);
    (void)headless;
  }
  const std::string_view type = spec.Str("type");
  if (type == "ClusterIP")
    for (const Node& port : ports.Items())
      if ((*port)["nodePort"].Int() != 0) run.Forbidden(port["nodePort"], "may not be used when `type` is 'ClusterIP'");
  for (const Node& port : ports.Items()) {
    const std::int64_t number = (*port)["nodePort"].Int();
    if (number != 0 && !node_ports.insert(Cat(port.Str("protocol"), "/", number)).second) run.Duplicate(port["nodePort"]);
  }
  for (const Node& port : ports.Items())
    if (!numbers.insert(Cat(port.Str("protocol"), "/", (*port)["port"].Int())).second)
      run.Add(FieldErrorType::kDuplicate, port.path, RenderPort(port), "");
}

void CheckAffinityConfig(Run& run, const Node& spec) {
  const Node affinity = spec["sessionAffinity"], config = spec["sessionAffinityConfig"];
  if (affinity->Str().empty()) run.Required(affinity);
  else run.Enum(affinity, {"ClientIP", "None"});
  if (affinity->Str() == "ClientIP") {
    constexpr const char* kText = "when session affinity type is ClientIP";
    if (config->is_null()) return run.Required(config, kText);
    if (config["clientIP"]->is_null()) return run.Required(config["clientIP"], kText);
    const Node seconds = config["clientIP"]["timeoutSeconds"];
    if (seconds->is_null()) return run.Required(seconds, kText);
    if (seconds->Int() <= 0 || seconds->Int() > 86400) run.Invalid(seconds, "must be greater than 0 and less than 86400");
  } else if (affinity->Str() == "None" && !config->is_null()) {
    run.Forbidden(config, "must not be set when session affinity is None");
  }
}

void CheckClusterIps(Run& run, const Node& spec) {
  if (spec.Str("type") == "ExternalName") return;
  const Node ips = spec["clusterIPs"], families = spec["ipFamilies"], policy = spec["ipFamilyPolicy"];
  const std::string_view first = spec.Str("clusterIP");
  if (!first.empty()) {
    if (ips.size() == 0) run.Required(ips);
    else if (ips->Items()[0].Str() != first) run.Invalid(ips, "first value must match `clusterIP`");
  } else if (ips.size() > 0) {
    run.Invalid(ips, "must be empty when `clusterIP` is not specified");
  }
  std::set<std::string> seen;
  for (const Node& family : families.Items()) {
    if (family->Str() != "IPv4" && family->Str() != "IPv6") run.NotSupported(family, {"IPv4", "IPv6"});
    if (!seen.insert(std::string(family->Str())).second) run.Duplicate(family);
  }
  if (!policy->is_null()) run.Enum(policy, {"PreferDualStack", "RequireDualStack", "SingleStack"});
  bool bad = false;
  for (const Node& ip : ips.Items()) {
    if (ip->Str() == "None") {
      if (ips.size() > 1) run.Invalid(ips, "'None' must be the first and only value"), bad = true;
      continue;
    }
    if (!run.Format(ip, format::Ip)) bad = true;
  }
  if (ips.size() > 2) run.Invalid(ips, "may only hold up to 2 values");
  if (bad) return;
  if (ips.size() == 2 && format::IsIpv6(ips->Items()[0].Str()) == format::IsIpv6(ips->Items()[1].Str())) run.Invalid(ips, "may specify no more than one IP for each IP family");
  if (IsHeadless(*spec) || ips.size() == 0) return;
  for (std::size_t i = 0; i < ips.size() && i < families.size(); ++i) {
    const std::string_view want = families->Items()[i].Str();
    if (want == "IPv4" && format::IsIpv6(ips->Items()[i].Str())) run.Invalid(ips.At(i), Cat("expected an IPv4 value as indicated by `ipFamilies[", i, "]`"));
    if (want == "IPv6" && !format::IsIpv6(ips->Items()[i].Str())) run.Invalid(ips.At(i), Cat("expected an IPv6 value as indicated by `ipFamilies[", i, "]`"));
  }
}

void CheckByType(Run& run, const Node& spec) {
  const std::string_view type = spec.Str("type");
  if (type == "ExternalName") {
    for (std::string_view field : {"clusterIPs", "ipFamilies", "ipFamilyPolicy"})
      if (spec[field].Has()) run.Forbidden(spec[field], "may not be set for ExternalName services");
    std::string_view name = spec.Str("externalName");
    if (name.ends_with('.')) name.remove_suffix(1);
    if (name.empty()) return run.Required(spec["externalName"]);
    for (const std::string& message : format::Dns1123Subdomain(name)) run.Invalid(spec["externalName"], Quote(name), message);
    return;
  }
  if (NeedsNodePort(type) && IsHeadless(*spec))
    run.Add(FieldErrorType::kInvalid, spec.path + ".clusterIPs[0]", "\"None\"", Cat("may not be set to 'None' for ", type, " services"));
}

void CheckTraffic(Run& run, const Node& spec) {
  const std::string_view type = spec.Str("type");
  const Node external = spec["externalTrafficPolicy"], health = spec["healthCheckNodePort"], internal_policy = spec["internalTrafficPolicy"];
  if (!IsExternal(spec)) {
    if (!external->Str().empty()) run.Invalid(external, "may only be set for externally-accessible services");
  } else if (external->Str().empty()) {
    run.Required(external);
  } else {
    run.Enum(external, {"Cluster", "Local"});
  }
  const bool checks = type == "LoadBalancer" && external->Str() == "Local";
  if (!checks && health->Int() != 0) run.Invalid(health, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
  if (checks && health->Int() == 0 && run.updating()) run.Required(health);
  if (checks && health->Int() != 0) run.Range(health, 1, 65535);
  if (!internal_policy->is_null()) run.Enum(internal_policy, {"Cluster", "Local"});
  else if (type == "ClusterIP" || type == "NodePort" || type == "LoadBalancer") run.Required(internal_policy);
  if (const Node distribution = spec["trafficDistribution"]; !distribution->is_null()) run.Enum(distribution, {"PreferClose", "PreferSameZone", "PreferSameNode"});
}

void CheckLoadBalancerClass(Run& run, const Node& spec) {
  const Node lb_class = spec["loadBalancerClass"];
  if (lb_class->is_null()) return;
  if (spec.Str("type") == "LoadBalancer") run.Format(lb_class, format::QualifiedName);
  else run.Forbidden(lb_class, "may only be used when `type` is 'LoadBalancer'");
}

void CheckLoadBalancer(Run& run, const Node& service) {
  const Node spec = service["spec"];
  const bool balanced = spec.Str("type") == "LoadBalancer";
  constexpr const char* kOnly = "may only be used when `type` is 'LoadBalancer'";
  const Node ranges = spec.As("loadBalancerSourceRanges", "LoadBalancerSourceRanges");
  constexpr std::string_view kAnnotation = "service.beta.kubernetes.io/load-balancer-source-ranges";
  if (ranges.size() > 0) {
    if (!balanced) run.Forbidden(ranges, kOnly);
    for (const Node& range : ranges.Items())
      for (const std::string& message : format::Cidr(Trim(range->Str()))) run.Invalid(range, message);
  } else if (const Value* value = (*service)["metadata"]["annotations"].Find(kAnnotation)) {
    const Node at = service["metadata"]["annotations"].Key(kAnnotation);
    if (!balanced) run.Forbidden(at, kOnly);
    for (std::string_view range : Split(Trim(value->Str()), ','))
      if (!Trim(value->Str()).empty())
        for (const std::string& message : format::Cidr(Trim(range))) run.Invalid(at, Quote(value->Str()), message);
  }
  const Node allocate = spec["allocateLoadBalancerNodePorts"];
  if (!balanced && !allocate->is_null()) run.Forbidden(allocate, kOnly);
  CheckLoadBalancerClass(run, spec);
}

void Service(Run& run, const Node& service) {
  const Node spec = service["spec"];
  const Node annotations = service["metadata"]["annotations"];
  const Value *mode = annotations->Find("service.kubernetes.io/topology-mode"), *hints = annotations->Find("service.kubernetes.io/topology-aware-hints");
  if (mode && hints && !(*mode == *hints))
    run.Invalid(annotations.Key("service.kubernetes.io/topology-mode"), "must match annotations[service.kubernetes.io/topology-aware-hints] when both are specified");
  const std::string_view type = spec.Str("type");
  if (spec["ports"].size() == 0 && !IsHeadless(*spec) && type != "ExternalName") run.Required(spec["ports"]);
  CheckByType(run, spec);
  CheckServicePorts(run, spec);
  CheckLabels(run, spec["selector"]);
  CheckAffinityConfig(run, spec);
  CheckClusterIps(run, spec);
  for (const Node& ip : spec["externalIPs"].Items()) {
    if (run.Format(ip, format::Ip)) CheckNonSpecialIp(run, ip);
  }
  if (type.empty()) run.Required(spec["type"]);
  else run.Enum(spec["type"], {"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"});
  CheckLoadBalancer(run, service);
  CheckTraffic(run, spec);
}

// Neither the addresses nor the families of a service move; both come and go with ExternalName.
void CheckAddressUpdate(Run& run, const Node& spec) {
  const Value& old = *spec.old;
  if (spec.Str("type") == "ExternalName" || old["type"].Str() == "ExternalName") return;
  const Node ips = spec["clusterIPs"], families = spec["ipFamilies"];
  const auto first = [](const Value& list) { return list.size() ? list.Items()[0].Str() : std::string_view(); };
  const Value& old_ips = old["clusterIPs"];
  const bool both_headless = IsHeadless(*spec) && IsHeadless(old);
  if (!both_headless && old_ips.size() > 0) {
    const std::size_t before = old_ips.size(), now = ips.size();
    if (before == now) {
      for (std::size_t i = 0; i < now; ++i)
        if (ips->Items()[i].Str() != old_ips.Items()[i].Str()) run.Invalid(Node{ips.value, ips.old, ips.schema, ips.field, Cat(ips.path, "[", i, "]")}, "may not change once set");
    } else if (now == 0) {
      run.Invalid(Node{ips.value, ips.old, ips.schema, ips.field, ips.path + "[0]"}, "primary clusterIP can not be unset");
    } else if (first(*ips) != first(old_ips)) {
      run.Invalid(Node{ips.value, ips.old, ips.schema, ips.field, ips.path + "[0]"}, "may not change once set");
    }
  }
  const bool headless_changed = IsHeadless(*spec) != IsHeadless(old);
  if (!headless_changed && !IsHeadless(*spec) && old["ipFamilies"].size() > 0 && families.size() > 0 && first(*families) != first(old["ipFamilies"]))
    run.Invalid(Node{families.value, families.old, families.schema, families.field, families.path + "[0]"}, "may not change once set");
}

void ServiceUpdate(Run& run, const Node& service) {
  const Node spec = service["spec"];
  const Value& old = *spec.old;
  CheckAddressUpdate(run, spec);
  const bool balanced = spec.Str("type") == "LoadBalancer";
  const Node lb_class = spec["loadBalancerClass"];
  if (balanced && old["type"].Str() == "LoadBalancer" && !(*lb_class == old["loadBalancerClass"])) run.Invalid(lb_class, "may not change once set");
  CheckLoadBalancerClass(run, spec);
  if (balanced && old["type"].Str() == "LoadBalancer") {
    const bool was = old["externalTrafficPolicy"].Str() == "Local", is = spec.Str("externalTrafficPolicy") == "Local";
    if (was && is && (*spec)["healthCheckNodePort"].Int() != old["healthCheckNodePort"].Int()) run.Forbidden(spec["healthCheckNodePort"], "field is immutable");
  }
}

void ServiceStatus(Run& run, const Node& service) {
  const Node ingress = service["status"]["loadBalancer"]["ingress"];
  if (service["spec"].Str("type") != "LoadBalancer" && ingress.size() > 0) run.Forbidden(ingress, "may only be used when `spec.type` is 'LoadBalancer'");
  else CheckLoadBalancerIngress(run, ingress, true);
}

}  // namespace

std::string RenderPort(const Node& port) {
  // Only what makes it a duplicate is filled in.
  return Cat("{\"Name\":\"\",\"Protocol\":\"", port.Str("protocol"), "\",\"AppProtocol\":null,\"Port\":", (*port)["port"].Int(), ",\"TargetPort\":0,\"NodePort\":0}");
}

void CheckLoadBalancerIngress(Run& run, const Node& ingress, bool with_mode) {
  for (const Node& item : ingress.Items()) {
    if (!item.Str("ip").empty()) run.Format(item["ip"], format::Ip);
    if (with_mode) {
      const Node mode = item["ipMode"];
      if (!item.Str("ip").empty() && mode->is_null()) run.Required(mode, "must be specified when `ip` is set");
      if (item.Str("ip").empty() && !mode->is_null()) run.Forbidden(mode, "may not be specified when `ip` is not set");
      else if (!mode->is_null()) run.Enum(mode, {"Proxy", "VIP"});
    }
    if (const Node host = item["hostname"]; !host->Str().empty()) {
      run.Format(host, format::Dns1123Subdomain);
      if (!format::ParseIp(host->Str(), false).empty()) run.Invalid(host, "must be a DNS name, not an IP address");
    }
  }
}

void CheckNonSpecialIp(Run& run, const Node& at) {
  const std::string ip = format::ParseIp(at->Str(), false);
  if (ip.empty()) return run.Invalid(at, "must be a valid IP address");
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(ip[i]); };
  const bool v4 = ip.size() == 4;
  const bool zero = std::all_of(ip.begin(), ip.end(), [](char c) { return c == 0; });
  const bool loopback = v4 ? byte(0) == 127 : std::all_of(ip.begin(), ip.end() - 1, [](char c) { return c == 0; }) && byte(15) == 1;
  if (zero) run.Invalid(at, Cat("may not be unspecified (", at->Str(), ")"));
  if (loopback) run.Invalid(at, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
  if (v4 ? byte(0) == 169 && byte(1) == 254 : byte(0) == 0xfe && (byte(1) & 0xc0) == 0x80) run.Invalid(at, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
  if (v4 ? byte(0) == 224 && byte(1) == 0 && byte(2) == 0 : byte(0) == 0xff && (byte(1) & 0x0f) == 2)
    run.Invalid(at, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
}

FieldErrors ServiceAddressErrors(const ResourceDef& def, const Version& version, const json::Value& service, const json::Value* old) {
  static const json::Value none;
  FieldErrors errors;
  Run run{errors, def, version.name, "", service, old};
  CheckClusterIps(run, Node{&service, old ? old : &none, version.schema, nullptr, ""}["spec"]);
  return errors;
}

std::span<const NamedCall> ServiceCalls() {
  static constexpr NamedCall kCalls[] = {{"Service", Service}, {"ServiceUpdate", ServiceUpdate}, {"ServiceStatus", ServiceStatus}};
  return kCalls;
}

}  // namespace skerry::kube::rules
