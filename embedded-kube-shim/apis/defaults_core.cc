#include <algorithm>

#include "core/base/strings.h"
#include "core/text/base64.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/apis/defaults.h"

namespace skerry::kube::defaults {
namespace {

using json::Value;

// The tag of an image reference; "latest" when it names neither tag nor digest.
std::string_view ImageTag(std::string_view image) {
  // What is no image reference has no tag.
  if (image.size() > 255 || image.empty() || image.find_first_of(" \t\r\n") != image.npos || image.find('@') != image.npos) return "";
  const std::string_view path = image.substr(image.find('/') == image.npos ? 0 : image.find('/') + 1);
  const std::string_view repository = path.substr(0, path.find(':'));
  if (std::any_of(repository.begin(), repository.end(), [](char c) { return c >= 'A' && c <= 'Z'; })) return "";
  const auto slash = image.rfind('/');
  const auto colon = image.rfind(':');
  if (colon == image.npos || (slash != image.npos && colon < slash)) return "latest";
  return image.substr(colon + 1);
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
  if (!resources || !resources->is_object()) return;
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
  for (std::string_view list : {"containers", "initContainers"})
    if (Value* containers = spec.Find(list); containers && containers->is_array()) {
      for (Value& container : containers->MutableItems()) RequestsFromLimits(container);
      if (spec["hostNetwork"].Bool()) HostPorts(*containers);
    }
  PodLevelRequests(spec);
  if (!spec.Find("enableServiceLinks")) spec.Set("enableServiceLinks") = true;
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
