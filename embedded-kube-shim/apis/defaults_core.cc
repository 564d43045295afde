#include <algorithm>

#include "core/base/strings.h"
#include "core/text/base64.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/apis/defaults.h"

namespace skerry::kube::defaults {
namespace {

using json::Value;

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return IsLower(c) || (c >= 'A' && c <= 'Z'); }
bool IsHex(char c) { return IsDigit(c) || (c >= 'a' && c <= 'f'); }

// Letters and digits with single '.' or '_', "__" or any number of '-' between them.
bool IsRepositoryPart(std::string_view part) {
  const auto plain = [](char c) { return IsLower(c) || IsDigit(c); };
  if (part.empty() || !plain(part.front()) || !plain(part.back())) return false;
  for (std::size_t i = 1; i < part.size();) {
    if (plain(part[i])) {
      ++i;
      continue;
    }
    std::size_t end = i;
    while (end < part.size() && part[end] == part[i]) ++end;
    const std::size_t most = part[i] == '.' ? 1 : part[i] == '_' ? 2 : part[i] == '-' ? part.size() : 0;
    if (end - i > most || end == part.size() || !plain(part[end])) return false;
    i = end;
  }
  return true;
}

bool IsRegistry(std::string_view name) {
  const auto colon = name.rfind(':');
  if (colon != name.npos && !name.ends_with(']')) {
    const std::string_view port = name.substr(colon + 1);
    if (port.empty() || !std::all_of(port.begin(), port.end(), IsDigit)) return false;
    name = name.substr(0, colon);
  }
  if (name.starts_with('[') && name.ends_with(']'))
    return name.size() > 2 && std::all_of(name.begin() + 1, name.end() - 1, [](char c) { return c == ':' || IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); });
  for (const std::string_view label : Split(name, '.')) {
    const auto plain = [](char c) { return IsLetter(c) || IsDigit(c); };
    if (label.empty() || !plain(label.front()) || !plain(label.back()) || !std::all_of(label.begin(), label.end(), [&](char c) { return plain(c) || c == '-'; })) return false;
  }
  return true;
}

// algorithm[+.-_algorithm…]:hex
bool IsDigest(std::string_view digest) {
  const auto colon = digest.find(':');
  if (colon == digest.npos || colon == 0 || digest.size() - colon - 1 < 32) return false;
  const std::string_view algorithm = digest.substr(0, colon), hex = digest.substr(colon + 1);
  if (!std::all_of(hex.begin(), hex.end(), [](char c) { return IsHex(c) || (c >= 'A' && c <= 'F'); })) return false;
  bool start = true;
  for (const char c : algorithm) {
    if (start ? !IsLetter(c) : !IsLetter(c) && !IsDigit(c) && c != '-' && c != '_' && c != '+' && c != '.') return false;
    start = c == '-' || c == '_' || c == '+' || c == '.';
  }
  return !start;
}

// The tag of an image reference; "latest" when it names neither tag nor digest, nothing when it is no image reference.
std::string_view ImageTag(std::string_view image) {
  if (image.size() == 64 && std::all_of(image.begin(), image.end(), IsHex)) return "";   // an identifier
  std::string_view rest = image;
  std::size_t domain_size = std::string_view("docker.io").size();
  if (const auto slash = image.find('/'); slash != image.npos) {
    const std::string_view first = image.substr(0, slash);
    const bool upper = std::any_of(first.begin(), first.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
    if (first.find_first_of(".:") != first.npos || first == "localhost" || upper) {
      if (!IsRegistry(first)) return "";
      domain_size = first.size();
      rest = image.substr(slash + 1);
    }
  }
  const bool library = rest.find('/') == rest.npos && rest.size() == image.size();
  const auto at = rest.find('@');
  if (at != rest.npos && !IsDigest(rest.substr(at + 1))) return "";
  const std::string_view named = rest.substr(0, at);
  const auto colon = named.find(':');
  const std::string_view repository = named.substr(0, colon);
  if (domain_size + 1 + repository.size() + (library ? 8 : 0) > 255) return "";
  for (const std::string_view part : Split(repository, '/'))
    if (!IsRepositoryPart(part)) return "";
  if (colon == named.npos) return at == rest.npos ? "latest" : "";
  const std::string_view tag = named.substr(colon + 1);
  const auto word = [](char c) { return IsLetter(c) || IsDigit(c) || c == '_'; };
  if (tag.empty() || tag.size() > 128 || !word(tag.front()) || !std::all_of(tag.begin(), tag.end(), [&](char c) { return word(c) || c == '.' || c == '-'; })) return "";
  return tag;
}

void ContainerDefaults(Value& container) {
  if (Lacks(container, "imagePullPolicy")) container.Set("imagePullPolicy") = ImageTag(container["image"].Str()) == "latest" ? "Always" : "IfNotPresent";
}

void VolumeDefaults(Value& volume) {
  if (Value* image = volume.Find("image"); image && image->is_object() && Lacks(*image, "pullPolicy"))
    image->Set("pullPolicy") = ImageTag((*image)["reference"].Str()) == "latest" ? "Always" : "IfNotPresent";
  for (const json::Member& member : volume.Members())
    if (member.key != "name" && !member.value.is_null()) return;
  volume.Set("emptyDir") = Value::Object();
}

void RequestsFromLimits(Value& container) {
  const Value& limits = container.At({"resources", "limits"});
  if (limits.size() == 0) return;
  Value copy = limits.Clone();
  Value& requests = container.Set("resources").Set("requests");
  for (json::Member& limit : copy.MutableMembers())
    if (!requests.Find(limit.key)) requests.Set(limit.key) = std::move(limit.value);
}

void HostPorts(Value& containers) {
  for (Value& container : containers.MutableItems()) {
    Value* ports = container.Find("ports");
    if (!ports) continue;
    for (Value& port : ports->MutableItems())
      if (port["hostPort"].Int() == 0) port.Set("hostPort") = port["containerPort"].Int();
  }
}

bool OnPodLevel(std::string_view resource) { return resource == "cpu" || resource == "memory" || resource.starts_with("hugepages-"); }

// What all containers need together: the sum of the containers (with sidecars), or the largest init container.
text::Quantity TotalRequests(const Value& spec, std::string_view resource, bool& found) {
  text::Quantity sum, sidecars, largest_init;
  const auto amount = [&](const Value& container) {
    const Value& request = container.At({"resources", "requests"})[resource];
    if (!request.is_null()) found = true;
    return text::Quantity::Parse(request.Str("0")).value_or(text::Quantity());
  };
  for (const Value& container : spec["containers"].Items()) sum += amount(container);
  for (const Value& container : spec["initContainers"].Items()) {
    const text::Quantity own = amount(container);
    if (container["restartPolicy"].Str() == "Always") {
      sidecars += own;
      largest_init = std::max(largest_init, sidecars);
    } else {
      largest_init = std::max(largest_init, sidecars + own);
    }
  }
  return std::max(sum + sidecars, largest_init);
}

// Pod-level requests: what the containers ask for together, else the pod-level limit.
void PodLevelRequests(Value& spec) {
  const Value* resources = spec.Find("resources");
  if (!resources || !resources->is_object() || (*resources)["limits"].size() == 0) return;   // only what is specified in part is completed
  const Value limits = (*resources)["limits"].Clone();
  for (const json::Member& limit : limits.Members()) {
    if (!OnPodLevel(limit.key)) continue;
    Value& requests = spec.Set("resources").Set("requests");
    if (requests.Find(limit.key)) continue;
    bool found = false;
    const text::Quantity total = TotalRequests(spec, limit.key, found);
    requests.Set(limit.key) = found && !limit.key.starts_with("hugepages-") ? Value(total.Canonical()) : limit.value.Clone();
  }
  const Value containers = spec["containers"].Clone();
  for (const Value& container : containers.Items()) {
    for (const json::Member& request : container.At({"resources", "requests"}).Members()) {
      if (!OnPodLevel(request.key) || request.key.starts_with("hugepages-")) continue;
      Value& requests = spec.Set("resources").Set("requests");
      bool found = false;
      if (!requests.Find(request.key)) requests.Set(request.key) = Value(TotalRequests(spec, request.key, found).Canonical());
    }
  }
}

void PodDefaults(Value& pod) {
  Value& spec = pod.Set("spec");
  if (!spec.is_object()) return;
  if (spec["terminationGracePeriodSeconds"].Int() < 0) spec.Set("terminationGracePeriodSeconds") = 1;   // of pods, not of templates
  for (std::string_view list : {"containers", "initContainers"})
    if (Value* containers = spec.Find(list); containers && containers->is_array()) {
      for (Value& container : containers->MutableItems()) RequestsFromLimits(container);
      if (spec["hostNetwork"].Bool()) HostPorts(*containers);
    }
  PodLevelRequests(spec);
  if (!spec.Find("enableServiceLinks")) spec.Set("enableServiceLinks") = true;
  if (spec["terminationGracePeriodSeconds"].Int() < 0) spec.Set("terminationGracePeriodSeconds") = 1;   // of a pod; a template keeps it
}

void PodSpecDefaults(Value& spec) {
  // Both names of the service account are always in step.
  if (!Lacks(spec, "serviceAccountName")) spec.Set("serviceAccount") = spec["serviceAccountName"].Clone();
  else if (!Lacks(spec, "serviceAccount")) spec.Set("serviceAccountName") = spec["serviceAccount"].Clone();
}

void ServiceDefaults(Value& spec) {
  const std::string_view affinity = spec["sessionAffinity"].Str("None");
  if (affinity == "ClientIP" && spec.At({"sessionAffinityConfig", "clientIP", "timeoutSeconds"}).is_null())
    spec.Set("sessionAffinityConfig").Set("clientIP").Set("timeoutSeconds") = 10800;
  if (affinity == "None") spec.Erase("sessionAffinityConfig");
  SetIfLacking(spec, "type", "ClusterIP");
  const std::string type(spec["type"].Str());
  if (Value* ports = spec.Find("ports"); ports && ports->is_array())
    for (Value& port : ports->MutableItems()) {
      SetIfLacking(port, "protocol", "TCP");
      const Value& target = port["targetPort"];
      if (target.is_null() || (target.is_int() && target.Int() == 0) || (target.is_string() && target.Str().empty())) port.Set("targetPort") = port["port"].Int();
    }
  const bool external = type == "NodePort" || type == "LoadBalancer" || (type == "ClusterIP" && spec["externalIPs"].size() > 0);
  if (external) SetIfLacking(spec, "externalTrafficPolicy", "Cluster");
  if (type == "NodePort" || type == "LoadBalancer" || type == "ClusterIP") SetIfNull(spec, "internalTrafficPolicy", "Cluster");
  if (type == "LoadBalancer" && !spec.Find("allocateLoadBalancerNodePorts")) spec.Set("allocateLoadBalancerNodePorts") = true;
}

void ServiceStatusDefaults(Value& service) {
  if (service.At({"spec", "type"}).Str() != "LoadBalancer" || service.At({"status", "loadBalancer", "ingress"}).size() == 0) return;
  for (Value& ingress : service.Set("status").Set("loadBalancer").Set("ingress").MutableItems())
    if (!ingress["ip"].Str().empty()) SetIfLacking(ingress, "ipMode", "VIP");
}

void SecretDefaults(Value& secret) {
  Value* text = secret.Find("stringData");
  if (!text) return;
  for (const json::Member& member : text->Members()) secret.Set("data").Set(member.key) = Value(text::Base64(member.value.Str()));
  secret.Erase("stringData");
}

void NamespaceDefaults(Value& object) {
  // The label is the name's: selectors on namespaces rely on it.
  const std::string name(object.At({"metadata", "name"}).Str());
  if (name.empty()) return;
  Value& labels = object.Set("metadata").Set("labels");
  labels.Set("kubernetes.io/metadata.name") = Value(name);
}

void NodeStatusDefaults(Value& status) {
  if (!status.Find("allocatable") && status["capacity"].size() > 0) status.Set("allocatable") = status["capacity"].Clone();
}

void PodStatusDefaults(Value& status) {
  const std::string ip(status["podIP"].Str());
  const Value& list = status["podIPs"];
  if (!ip.empty() && (list.size() == 0 || list.Items()[0]["ip"].Str() != ip)) {
    Value only = Value::Object();
    only.Set("ip") = Value(ip);
    Value ips = Value::Array();
    ips.Append(std::move(only));
    status.Set("podIPs") = std::move(ips);
  } else if (ip.empty() && list.size() > 0) {
    const std::string first(list.Items()[0]["ip"].Str());
    status.Set("podIP") = Value(first);
  }
}

// The older field is the first of the newer list.
void NodeSpecDefaults(Value& spec) {
  const std::string cidr(spec["podCIDR"].Str());
  const Value& list = spec["podCIDRs"];
  if (!cidr.empty() && (list.size() == 0 || list.Items()[0].Str() != cidr)) {
    Value only = Value::Array();
    only.Append(Value(cidr));
    spec.Set("podCIDRs") = std::move(only);
  } else if (cidr.empty() && list.size() > 0) {
    const std::string first(list.Items()[0].Str());
    spec.Set("podCIDR") = Value(first);
  }
}

void FillFrom(Value& object, std::string_view target, std::string_view source) {
  const Value from = object[source].Clone();
  for (const json::Member& member : from.Members())
    if (!object[target].Find(member.key)) object.Set(target).Set(member.key) = member.value.Clone();
}

void LimitRangeItemDefaults(Value& item) {
  if (item["type"].Str() != "Container") return;
  FillFrom(item, "default", "max");
  FillFrom(item, "defaultRequest", "default");
  FillFrom(item, "defaultRequest", "min");
}

void ReplicationControllerDefaults(Value& rc) {
  const Value labels = rc.At({"spec", "template", "metadata", "labels"}).Clone();
  if (labels.size() == 0) return;
  if (rc.At({"spec", "selector"}).size() == 0) rc.Set("spec").Set("selector") = labels.Clone();
  if (rc.At({"metadata", "labels"}).size() == 0) rc.Set("metadata").Set("labels") = labels.Clone();
}

}  // namespace

std::span<const NamedRule> CoreRules() {
  static constexpr NamedRule kRules[] = {
      {"io.k8s.api.core.v1.Container", ContainerDefaults},
      {"io.k8s.api.core.v1.EphemeralContainer", ContainerDefaults},
      {"io.k8s.api.core.v1.Volume", VolumeDefaults},
      {"io.k8s.api.core.v1.Pod", PodDefaults},
      {"io.k8s.api.core.v1.PodSpec", PodSpecDefaults},
      {"io.k8s.api.core.v1.ServiceSpec", ServiceDefaults},
      {"io.k8s.api.core.v1.Service", ServiceStatusDefaults},
      {"io.k8s.api.core.v1.Secret", SecretDefaults},
      {"io.k8s.api.core.v1.Namespace", NamespaceDefaults},
      {"io.k8s.api.core.v1.NodeStatus", NodeStatusDefaults},
      {"io.k8s.api.core.v1.NodeSpec", NodeSpecDefaults},
      {"io.k8s.api.core.v1.PodStatus", PodStatusDefaults},
      {"io.k8s.api.core.v1.LimitRangeItem", LimitRangeItemDefaults},
      {"io.k8s.api.core.v1.ReplicationController", ReplicationControllerDefaults},
  };
  return kRules;
}

}  // namespace skerry::kube::defaults
