#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/apis/rules_shared.h"
#include "embedded-kube-shim/apis/text_diff.h"

// Upstream prints structs of its internal types with Go's field names, all fields, null for what is absent.
namespace skerry::kube::rules {
namespace {

using json::Value;

// "podIP" -> "PodIP", "apiGroup" -> "APIGroup": initialisms at the front are all capitals.
std::string GoName(std::string_view json) {
  struct Whole { std::string_view json, go; };
  static constexpr Whole kWhole[] = {{"cidrs", "CIDRs"}, {"ips", "IPs"}, {"gid", "GID"}, {"sslEnabled", "SSLEnabled"}, {"ttlSecondsAfterFinished", "TTLSecondsAfterFinished"},
      {"gmsaCredentialSpecName", "GMSACredentialSpecName"}, {"gmsaCredentialSpec", "GMSACredentialSpec"}, {"pdID", "PdID"},
      {"chapAuthDiscovery", "DiscoveryCHAPAuth"}, {"chapAuthSession", "SessionCHAPAuth"},
      {"cephfs", "CephFS"}, {"storageos", "StorageOS"}, {"wwids", "WWIDs"}, {"csi", "CSI"}, {"cel", "CEL"}, {"diskURI", "DataDiskURI"}, {"scaleIO", "ScaleIO"}};
  for (const Whole& whole : kWhole)
    if (whole.json == json) return std::string(whole.go);
  static constexpr std::string_view kInitialisms[] = {"api", "uid", "url", "uri", "ip", "id", "cpu", "dns", "fs", "io", "se", "nfs", "rbd", "iscsi", "fc", "os", "tty", "gce",
                                                      "aws", "http", "tcp", "grpc", "tls", "ca", "iqn", "json", "pd", "cidr", "qos"};
  std::size_t word = 0;
  while (word < json.size() && json[word] >= 'a' && json[word] <= 'z') ++word;
  std::string out(json);
  const bool initialism = std::find(std::begin(kInitialisms), std::end(kInitialisms), json.substr(0, word)) != std::end(kInitialisms);
  for (std::size_t i = 0; i < (initialism ? word : 1) && i < out.size(); ++i)
    if (out[i] >= 'a' && out[i] <= 'z') out[i] = static_cast<char>(out[i] - 32);
  return out;
}

// Names that one definition has to itself.
std::string InternalName(std::string_view definition, std::string_view json) {
  struct Renamed { std::string_view definition, json, go; };
  static constexpr Renamed kRenamed[] = {
      {"core.v1.GlusterfsVolumeSource", "endpoints", "EndpointsName"}, {"core.v1.GlusterfsPersistentVolumeSource", "endpoints", "EndpointsName"},
      {"core.v1.RBDVolumeSource", "monitors", "CephMonitors"}, {"core.v1.RBDVolumeSource", "image", "RBDImage"}, {"core.v1.RBDVolumeSource", "pool", "RBDPool"},
      {"core.v1.RBDVolumeSource", "user", "RadosUser"}, {"core.v1.RBDPersistentVolumeSource", "monitors", "CephMonitors"},
      {"core.v1.RBDPersistentVolumeSource", "image", "RBDImage"}, {"core.v1.RBDPersistentVolumeSource", "pool", "RBDPool"},
      {"core.v1.RBDPersistentVolumeSource", "user", "RadosUser"}, {"core.v1.ContainerStatus", "lastState", "LastTerminationState"},
      {"resource.v1.DeviceAttribute", "int", "IntValue"}, {"resource.v1.DeviceAttribute", "bool", "BoolValue"}, {"resource.v1.DeviceAttribute", "string", "StringValue"},
      {"resource.v1.DeviceAttribute", "version", "VersionValue"},
  };
  constexpr std::string_view kPrefix = "io.k8s.api.";
  if (definition.starts_with(kPrefix)) definition.remove_prefix(kPrefix.size());
  for (const Renamed& renamed : kRenamed)
    if (renamed.definition == definition && renamed.json == json) return std::string(renamed.go);
  return GoName(json);
}

Value Tagged(SchemaPtr schema, const Value& value) {
  Value out = value.is_null() ? Value::Object() : value.Clone();
  Canonicalize(schema, out);
  return out;
}

bool HasTags(SchemaPtr schema) { return !schema->name.starts_with("io.k8s.api.") && !schema->name.starts_with("io.k8s.apiextensions"); }

Value Zero(SchemaPtr schema, const Field* field) {
  if (field && field->pointer) return Value();
  switch (schema->type) {
    case Type::kString: return Value("");
    case Type::kBool: return Value(false);
    case Type::kInt32:
    case Type::kInt64:
    case Type::kIntOrString: return Value(0);
    case Type::kQuantity: return Value("0");
    default: return Value();
  }
}

// Fields whose internal order or place is not that of the API version.
struct Layout { std::string_view definition; std::vector<std::string_view> order; };

const Layout* LayoutOf(std::string_view definition) {
  static const std::vector<Layout> layouts = {
      {"io.k8s.api.core.v1.Volume",
       {"name", "hostPath", "emptyDir", "gcePersistentDisk", "awsElasticBlockStore", "gitRepo", "secret", "nfs", "iscsi", "glusterfs", "persistentVolumeClaim", "rbd", "quobyte", "flexVolume",
        "cinder", "cephfs", "flocker", "downwardAPI", "fc", "azureFile", "configMap", "vsphereVolume", "azureDisk", "photonPersistentDisk", "projected", "portworxVolume", "scaleIO", "storageos",
        "csi", "ephemeral", "image"}},
      {"io.k8s.api.core.v1.ServiceSpec",
       {"type", "ports", "selector", "clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "externalName", "externalIPs", "loadBalancerIP", "sessionAffinity", "sessionAffinityConfig",
        "loadBalancerSourceRanges", "externalTrafficPolicy", "healthCheckNodePort", "publishNotReadyAddresses", "allocateLoadBalancerNodePorts", "loadBalancerClass", "internalTrafficPolicy",
        "trafficDistribution"}},
      {"io.k8s.api.batch.v1.JobStatus",
       {"conditions", "startTime", "completionTime", "active", "terminating", "ready", "succeeded", "failed", "completedIndexes", "failedIndexes", "uncountedTerminatedPods"}},
      {"io.k8s.api.storage.v1.CSIDriverSpec",
       {"attachRequired", "fsGroupPolicy", "podInfoOnMount", "volumeLifecycleModes", "storageCapacity", "tokenRequests", "requiresRepublish", "seLinuxMount",
        "nodeAllocatableUpdatePeriodSeconds", "serviceAccountTokenInSecrets", "preventPodSchedulingIfMissing"}},
      {"io.k8s.api.autoscaling.v2.ContainerResourceMetricSource", {"name", "container", "target"}},
      {"io.k8s.api.autoscaling.v2.ContainerResourceMetricStatus", {"name", "container", "current"}},
      {"io.k8s.api.core.v1.PodSpec",
       {"volumes", "initContainers", "containers", "ephemeralContainers", "restartPolicy", "terminationGracePeriodSeconds", "activeDeadlineSeconds", "dnsPolicy", "nodeSelector",
        "serviceAccountName", "automountServiceAccountToken", "nodeName", "securityContext", "imagePullSecrets", "hostname", "subdomain", "setHostnameAsFQDN", "affinity", "schedulerName",
        "tolerations", "hostAliases", "priorityClassName", "priority", "preemptionPolicy", "dnsConfig", "readinessGates", "runtimeClassName", "overhead", "enableServiceLinks",
        "topologySpreadConstraints", "os", "schedulingGates", "resourceClaims", "resources", "hostnameOverride", "schedulingGroup"}},
      {"io.k8s.api.core.v1.PodSecurityContext",
       {"seLinuxOptions", "windowsOptions", "runAsUser", "runAsGroup", "runAsNonRoot", "supplementalGroups", "supplementalGroupsPolicy", "fsGroup", "fsGroupChangePolicy", "sysctls",
        "seccompProfile", "appArmorProfile", "seLinuxChangePolicy"}},
      {"io.k8s.api.core.v1.PersistentVolumeSpec",
       {"capacity", "gcePersistentDisk", "awsElasticBlockStore", "hostPath", "glusterfs", "nfs", "rbd", "quobyte", "iscsi", "flexVolume", "cinder", "cephfs", "fc", "flocker", "azureFile",
        "vsphereVolume", "azureDisk", "photonPersistentDisk", "portworxVolume", "scaleIO", "local", "storageos", "csi", "accessModes", "claimRef", "persistentVolumeReclaimPolicy",
        "storageClassName", "mountOptions", "volumeMode", "nodeAffinity", "volumeAttributesClassName"}},
  };
  for (const Layout& layout : layouts)
    if (layout.definition == definition) return &layout;
  return nullptr;
}

Value Convert(SchemaPtr schema, const Field* field, const Value& value);

void AddField(Value& out, std::string_view definition, const Field& field, const Value& value) {
  out.Set(InternalName(definition, field.name)) = Convert(field.type, &field, value);
}

Value PodSecurity(SchemaPtr schema, const Value& spec) {
  Value out = Value::Object();
  for (std::string_view name : {"hostNetwork", "hostPID", "hostIPC"}) out.Set(GoName(name)) = spec[name].Bool();
  for (std::string_view name : {"shareProcessNamespace", "hostUsers"}) out.Set(GoName(name)) = spec[name].Clone();
  const Value& context = spec["securityContext"];
  for (std::string_view name : LayoutOf("io.k8s.api.core.v1.PodSecurityContext")->order)
    if (const Field* field = schema->Find(name)) AddField(out, schema->name, *field, context[name]);
  return out;
}

Value Struct(SchemaPtr schema, const Value& value) {
  Value out = Value::Object();
  const Layout* layout = LayoutOf(schema->name);
  const auto add = [&](const Field& field) {
    if (field.name == "metadata" && field.type->type == Type::kStruct) {   // embedded: its members stand here, with their JSON names
      Value metadata = Tagged(field.type, value[field.name]);
      for (json::Member& member : metadata.MutableMembers()) out.Set(member.key) = std::move(member.value);
    } else if (schema->name == "io.k8s.api.core.v1.PodSpec" && field.name == "securityContext") {
      out.Set("SecurityContext") = PodSecurity(field.type, value);
    } else {
      AddField(out, schema->name, field, value[field.name]);
    }
  };
  if (layout) {
    for (std::string_view name : layout->order)
      if (const Field* field = schema->Find(name)) add(*field);
  } else {
    for (const Field& field : schema->fields) add(field);
  }
  return out;
}

Value Convert(SchemaPtr schema, const Field* field, const Value& value) {
  switch (schema->type) {
    case Type::kStruct:
      if (value.is_null() && field && field->pointer) return Value();
      if (HasTags(schema)) return Tagged(schema, value);
      if (schema->name.ends_with(".JSONSchemaProps")) return InternalCustomSchema(value);
      return Struct(schema, value);
    case Type::kList: {
      if (!value.is_array()) return Value();
      Value out = Value::Array();
      for (const Value& item : value.Items()) out.Append(Convert(schema->item, nullptr, item));
      return out;
    }
    case Type::kMap: {
      if (!value.is_object()) return Value();
      Value out = Value::Object();
      std::vector<const json::Member*> members;
      for (const json::Member& member : value.Members()) members.push_back(&member);
      std::sort(members.begin(), members.end(), [](auto* a, auto* b) { return a->key < b->key; });
      for (const json::Member* member : members) out.Set(member->key) = Convert(schema->item, nullptr, member->value);
      return out;
    }
    default: return value.is_null() ? Zero(schema, field) : value.Clone();
  }
}

// Go's encoder escapes what could end a script element.
void AppendText(std::string& out, std::string_view text) {
  for (char c : Value(text).Dump()) {
    if (c == '<') out += "\\u003c";
    else if (c == '>') out += "\\u003e";
    else if (c == '&') out += "\\u0026";
    else out += c;
  }
}

constexpr int kCompact = -1;

void Append(std::string& out, const Value& value, int indent) {
  const auto line = [&](int depth) {
    if (indent != kCompact) out.append("\n").append(static_cast<std::size_t>(depth), ' ');
  };
  const int deeper = indent == kCompact ? kCompact : indent + 1;
  if (value.is_string()) return AppendText(out, value.Str());
  if (value.is_array()) {
    out += '[';
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (i) out += ',';
      line(deeper);
      Append(out, value.Items()[i], deeper);
    }
    if (value.size()) line(indent);
    out += ']';
    return;
  }
  if (!value.is_object()) {
    out += value.Dump();
    return;
  }
  out += '{';
  bool first = true;
  for (const json::Member& member : value.Members()) {
    if (!first) out += ',';
    first = false;
    line(deeper);
    AppendText(out, member.key);
    out += indent == kCompact ? ":" : ": ";
    Append(out, member.value, deeper);
  }
  if (!first) line(indent);
  out += '}';
}

}  // namespace

std::string RenderJson(SchemaPtr schema, const Value& value) {
  std::string out;
  if (!schema) Append(out, value, kCompact);
  else Append(out, Convert(schema, nullptr, value), kCompact);
  return out;
}

std::string RenderInternal(SchemaPtr schema, const Value& value) { return RenderJson(schema, value); }

std::string RenderField(const Node& node) {
  std::string out;
  Append(out, Convert(node.schema, node.field, *node), kCompact);
  return out;
}

std::string InternalDiff(SchemaPtr schema, const Value& before, const Value& now, std::span<const std::string_view> only) {
  std::string a, b;
  const auto pick = [&](const Value& value) {
    Value all = Convert(schema, nullptr, value);
    if (only.empty()) return all;
    std::erase_if(all.MutableMembers(), [&](const json::Member& member) {
      return std::none_of(only.begin(), only.end(), [&](std::string_view name) { return GoName(name) == member.key; });
    });
    return all;
  };
  Append(a, pick(before), 0);
  Append(b, pick(now), 0);
  return UnifiedDiff(a, b);
}

}  // namespace skerry::kube::rules
