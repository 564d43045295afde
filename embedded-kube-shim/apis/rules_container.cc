#include <algorithm>
#include <map>

#include "core/base/strings.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/apis/rules_shared.h"

namespace skerry::kube::rules {
namespace {

using json::Value;

enum class Kind : std::uint8_t { kRegular, kInit, kEphemeral };

struct Scope { Kind kind; const Node& spec; std::map<std::string, const Value*> volumes; };

void CheckPorts(Run& run, const Node& ports) {
  std::set<std::string> names;
  for (const Node& port : ports.Items()) {
    if (const std::string name(port.Str("name")); !name.empty() && run.Format(port["name"], format::PortName) && !names.insert(name).second) run.Duplicate(port["name"]);
    if ((*port)["containerPort"].Int() == 0) run.Required(port["containerPort"]);
    else run.Range(port["containerPort"], 1, 65535);
    if ((*port)["hostPort"].Int() != 0) run.Range(port["hostPort"], 1, 65535);
    if (port.Str("protocol").empty()) run.Required(port["protocol"]);
    else run.Enum(port["protocol"], {"SCTP", "TCP", "UDP"});
  }
}

void CheckKeyRef(Run& run, const Node& reference) {
  if (reference->is_null()) return;
  run.Format(reference["name"], format::Dns1123Subdomain);
  if (reference.Str("key").empty()) run.Required(reference["key"]);
  else run.Format(reference["key"], format::ConfigMapKey);
}

void CheckFileRef(Run& run, const Node& reference) {
  if (reference->is_null()) return;
  if (reference.Str("key").empty()) run.Required(reference["key"]);
  else run.Format(reference["key"], format::EnvVarName);
  run.RequiredFormat(reference["volumeName"], format::Dns1123Label);
  run.RequiredFormat(reference["path"], format::LocalDescendingPath);
}

void CheckValueFrom(Run& run, const Node& variable) {
  const Node from = variable["valueFrom"];
  if (from->is_null()) return;
  int sources = 0;
  if (!from["fieldRef"]->is_null()) ++sources, CheckFieldSelector(run, from["fieldRef"], true);
  if (!from["resourceFieldRef"]->is_null()) ++sources, CheckResourceFieldSelector(run, from["resourceFieldRef"], false);
  if (!from["configMapKeyRef"]->is_null()) ++sources, CheckKeyRef(run, from["configMapKeyRef"]);
  if (!from["secretKeyRef"]->is_null()) ++sources, CheckKeyRef(run, from["secretKeyRef"]);
  if (!from["fileKeyRef"]->is_null()) ++sources, CheckFileRef(run, from["fileKeyRef"]);
  if (sources == 0) run.Invalid(from, "\"\"", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`");
  else if (!variable.Str("value").empty()) run.Invalid(from, "\"\"", "may not be specified when `value` is not empty");
  else if (sources > 1) run.Invalid(from, "\"\"", "may not have more than one field specified at a time");
}

void CheckPrefixName(Run& run, const Node& name) {
  if (name->Str().empty()) return run.Required(name);
  std::string masked(name->Str());
  if (masked.size() > 1 && masked.back() == '-') masked = masked.substr(0, masked.size() - 2) + "a";
  for (const std::string& message : format::Dns1123Subdomain(masked)) run.Invalid(name, message);
}

void CheckEnvironment(Run& run, const Node& container) {
  for (const Node& variable : container["env"].Items()) {
    if (variable.Str("name").empty()) run.Required(variable["name"]);
    else run.Format(variable["name"], format::EnvVarName);
    CheckValueFrom(run, variable);
  }
  const Node sources = container["envFrom"];
  for (const Node& source : sources.Items()) {
    if (!source.Str("prefix").empty()) run.Format(source["prefix"], format::EnvVarName);
    int count = 0;
    for (std::string_view kind : {"configMapRef", "secretRef"})
      if (!source[kind]->is_null()) ++count, CheckPrefixName(run, source[kind]["name"]);
    if (count == 0) run.Invalid(sources, "\"\"", "must specify one of: `configMapRef` or `secretRef`");
    else if (count > 1) run.Invalid(sources, "\"\"", "may not have more than one field specified at a time");
  }
}

void CheckMounts(Run& run, const Scope& scope, const Node& container) {
  const Node mounts = container["volumeMounts"];
  std::set<std::string> device_names, device_paths, paths;
  for (const Value& device : (*container)["volumeDevices"].Items()) device_names.emplace(device["name"].Str()), device_paths.emplace(device["devicePath"].Str());
  const auto flat = [&](std::string_view field, const Node& mount) {   // some errors name no index
    Node at = mount[field];
    at.path = Cat(mounts.path, ".", field);
    return at;
  };
  for (const Node& mount : mounts.Items()) {
    const std::string name(mount.Str("name")), path(mount.Str("mountPath"));
    if (name.empty()) run.Required(mount["name"]);
    if (!scope.volumes.contains(name)) run.NotFound(mount["name"]);
    if (path.empty()) run.Required(mount["mountPath"]);
    if (!paths.insert(path).second) run.Invalid(mount["mountPath"], "must be unique");
    if (device_names.contains(name)) run.Invalid(mount["name"], "must not already exist in volumeDevices");
    if (device_paths.contains(path)) run.Invalid(mount["mountPath"], "must not already exist as a path in volumeDevices");
    if (!mount.Str("subPath").empty()) run.Format(flat("subPath", mount), format::LocalDescendingPath);
    if (!mount.Str("subPathExpr").empty()) {
      if (!mount.Str("subPath").empty()) run.Invalid(mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive");
      run.Format(flat("subPathExpr", mount), format::LocalDescendingPath);
    }
    if (const Node propagation = flat("mountPropagation", mount); !propagation->is_null()) {
      run.Enum(propagation, {"Bidirectional", "HostToContainer", "None"});
      if (propagation->Str() == "Bidirectional" && !container->At({"securityContext", "privileged"}).Bool())
        run.Forbidden(propagation, "Bidirectional mount propagation is available only to privileged containers");
    }
    if (const Node recursive = flat("recursiveReadOnly", mount); !recursive->is_null()) {
      const std::string_view mode = recursive->Str();
      if (mode == "Enabled" || mode == "IfPossible") {
        if (!(*mount)["readOnly"].Bool()) run.Forbidden(recursive, "may only be specified when readOnly is true");
        if (const Node propagation = mount["mountPropagation"]; !propagation->is_null() && propagation->Str() != "None")
          run.Forbidden(recursive, "may only be specified when mountPropagation is None or not specified");
      } else if (mode != "Disabled") {
        run.NotSupported(recursive, {"Disabled", "Enabled", "IfPossible"});
      }
    }
  }
}

void CheckDevices(Run& run, const Scope& scope, const Node& container) {
  std::set<std::string> names, paths, mount_names, mount_paths;
  for (const Value& mount : (*container)["volumeMounts"].Items()) mount_names.emplace(mount["name"].Str()), mount_paths.emplace(mount["mountPath"].Str());
  for (const Node& device : container["volumeDevices"].Items()) {
    const std::string name(device.Str("name")), path(device.Str("devicePath"));
    if (name.empty()) run.Required(device["name"]);
    if (!names.insert(name).second) run.Invalid(device["name"], "must be unique");
    const auto volume = scope.volumes.find(name);
    if (volume != scope.volumes.end() && (*volume->second)["persistentVolumeClaim"].is_null() && (*volume->second)["ephemeral"].is_null())
      run.Invalid(device["name"], "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode");
    if (volume == scope.volumes.end()) run.NotFound(device["name"]);
    if (path.empty()) run.Required(device["devicePath"]);
    if (!paths.insert(path).second) run.Invalid(device["devicePath"], "must be unique");
    if (!path.empty() && !format::PathNoBacksteps(path).empty()) run.Invalid(device["devicePath"], "can not contain backsteps ('..')");
    if (mount_names.contains(name)) run.Invalid(device["name"], "must not already exist in volumeMounts");
    if (mount_paths.contains(path)) run.Invalid(device["devicePath"], "must not already exist as a path in volumeMounts");
  }
}

void CheckPortNumberOrName(Run& run, const Node& port) {
  if (port->is_string()) run.Format(port, format::PortName);
  else run.Range(port, 1, 65535);
}

void CheckHandler(Run& run, const Node& handler, bool lifecycle, std::int64_t grace_seconds) {
  int count = 0;
  const auto only = [&](std::string_view name) {
    if (handler[name]->is_null()) return false;
    if (++count == 1) return true;
    run.Forbidden(handler[name], "may not specify more than 1 handler type");
    return false;
  };
  if (only("exec") && handler["exec"]["command"].size() == 0) run.Required(handler["exec"]["command"]);
  if (only("httpGet")) {
    const Node get = handler["httpGet"];
    if (get.Str("path").empty()) run.Required(get["path"]);
    CheckPortNumberOrName(run, get["port"]);
    run.Enum(get["scheme"], {"HTTP", "HTTPS"});
    for (const Value& header : (*get)["httpHeaders"].Items())
      for (const std::string& message : format::HttpHeaderName(header["name"].Str())) run.Invalid(get["httpHeaders"], Quote(header["name"].Str()), message);
  }
  if (only("tcpSocket")) CheckPortNumberOrName(run, handler["tcpSocket"]["port"]);
  if (!lifecycle && only("grpc")) run.Range(handler["grpc"]["port"], 1, 65535);
  if (lifecycle && only("sleep")) {
    const std::int64_t seconds = handler["sleep"]["seconds"]->Int();
    if (seconds < 0 || seconds > grace_seconds)
      run.Invalid(handler["sleep"], std::to_string(seconds), Cat("must be non-negative and less than terminationGracePeriodSeconds (", grace_seconds, ")"));
  }
  if (count == 0) run.Required(handler, "must specify a handler type");
}

void CheckResizePolicy(Run& run, const Node& policies, const Node& spec, const Node& container, Kind kind) {
  std::set<std::string> seen;
  for (const Node& policy : policies.Items()) {
    const auto flat = [&](std::string_view field) {
      Node at = policy[field];
      at.path = policies.path;
      return at;
    };
    if (!seen.insert(std::string(policy.Str("resourceName"))).second) {
      Node at = policy;
      run.Add(FieldErrorType::kDuplicate, at.path, Quote(policy.Str("resourceName")), "");
    }
    if (policy.Str("resourceName").empty()) run.Required(flat("resourceName"));
    else run.Enum(flat("resourceName"), {"cpu", "memory"});
    if (policy.Str("restartPolicy").empty()) run.Required(flat("restartPolicy"));
    else run.Enum(flat("restartPolicy"), {"NotRequired", "RestartContainer"});
    if (spec.Str("restartPolicy") == "Never" && policy.Str("restartPolicy") != "NotRequired")
      run.Invalid(flat("restartPolicy"), Quote(policy.Str("restartPolicy")), "must be 'NotRequired' when pod `restartPolicy` is 'Never'");
    if (kind == Kind::kInit && container.Str("restartPolicy") != "Always" && policy.Str("restartPolicy") == "RestartContainer")
      run.Invalid(policy["restartPolicy"], "must not be set to 'RestartContainer' for non-sidecar initContainers");
  }
}

void CheckRestartRules(Run& run, const Node& container, Kind kind) {
  const Node rules = container["restartPolicyRules"], policy = container["restartPolicy"];
  if (rules.size() > 0 && policy->is_null()) {
    run.Required(policy, "must specify restartPolicy when restart rules are used");
    if (kind == Kind::kInit) return;
  }
  if (!policy->is_null()) {
    if (kind == Kind::kEphemeral) return;
    run.Enum(policy, {"Always", "Never", "OnFailure"});
  }
  if (rules.size() > 20) run.TooMany(rules, 20);
  for (const Node& rule : rules.Items()) {
    run.Enum(rule["action"], {"Restart", "RestartAllContainers"});
    const Node codes = rule["exitCodes"];
    if (codes->is_null()) {
      run.Required(codes, "must be specified");
      continue;
    }
    run.Enum(codes["operator"], {"In", "NotIn"});
    if (codes["values"].size() > 255) run.TooMany(codes["values"], 255);
  }
}

void CheckCommon(Run& run, const Scope& scope, const Node& container) {
  const Node name = container["name"];
  if (run.RequiredFormat(name, format::Dns1123Label)) {}
  const std::string_view image = container.Str("image");
  if (image.empty() && !(run.templates > 0 && false)) run.Required(container["image"]);
  const std::string_view message_policy = container.Str("terminationMessagePolicy");
  if (message_policy.empty()) run.Required(container["terminationMessagePolicy"]);
  else run.Enum(container["terminationMessagePolicy"], {"File", "FallbackToLogsOnError"});
  CheckPorts(run, container["ports"]);
  CheckEnvironment(run, container);
  CheckMounts(run, scope, container);
  CheckDevices(run, scope, container);
  if (container.Str("imagePullPolicy").empty()) run.Required(container["imagePullPolicy"]);
  else run.Enum(container["imagePullPolicy"], {"Always", "IfNotPresent", "Never"});
  CheckRequirements(run, container["resources"], ResourcesOf::kContainer);
  CheckResizePolicy(run, container["resizePolicy"], scope.spec, container, scope.kind);
  CheckSecurityContext(run, container["securityContext"]);
}

void CheckLifecycle(Run& run, const Node& container, std::int64_t grace) {
  const Node lifecycle = container["lifecycle"];
  for (std::string_view hook : {"postStart", "preStop"})
    if (!lifecycle[hook]->is_null()) CheckHandler(run, lifecycle[hook], true, grace);
}

void CheckProbes(Run& run, const Node& container, std::int64_t grace) {
  CheckProbe(run, container["livenessProbe"], grace);
  if (const Node probe = container["livenessProbe"]; !probe->is_null() && probe["successThreshold"]->Int() != 1) run.Invalid(probe["successThreshold"], "must be 1");
  CheckProbe(run, container["readinessProbe"], grace);
  if (const Node grace_node = container["readinessProbe"]["terminationGracePeriodSeconds"]; !grace_node->is_null()) run.Invalid(grace_node, "must not be set for readinessProbes");
  CheckProbe(run, container["startupProbe"], grace);
  if (const Node probe = container["startupProbe"]; !probe->is_null() && probe["successThreshold"]->Int() != 1) run.Invalid(probe["successThreshold"], "must be 1");
}

// The same host port twice on one node cannot work.
void CheckHostPorts(Run& run, const std::vector<Node>& containers, std::set<std::string>& used) {
  for (const Node& container : containers)
    for (const Node& port : container["ports"].Items()) {
      if ((*port)["hostPort"].Int() == 0) continue;
      const std::string key = Cat(port.Str("protocol"), "/", port.Str("hostIP"), "/", (*port)["hostPort"].Int());
      if (!used.insert(key).second) run.Add(FieldErrorType::kDuplicate, port["hostPort"].path, Quote(key), "");
    }
}

void CheckEphemeral(Run& run, const Scope& scope, const std::set<std::string>& names) {
  std::set<std::string> all = names;
  static constexpr std::string_view kAllowed[] = {"name", "image", "command", "args", "workingDir", "envFrom", "env", "volumeMounts", "volumeDevices", "terminationMessagePath",
                                                  "terminationMessagePolicy", "imagePullPolicy", "securityContext", "stdin", "stdinOnce", "tty", "targetContainerName"};
  for (const Node& container : scope.spec["ephemeralContainers"].Items()) {
    CheckCommon(run, scope, container);
    const std::string_view image = container.Str("image");
    if (!image.empty() && Trim(image) != image) run.Invalid(container["image"], "must not have leading or trailing whitespace");
    const std::string name(container.Str("name"));
    if (!name.empty() && !all.insert(name).second) run.Duplicate(container["name"]);
    if (const std::string target(container.Str("targetContainerName")); !target.empty() && !names.contains(target)) run.NotFound(container["targetContainerName"]);
    for (const Field& field : container.schema->fields) {
      if (std::find(std::begin(kAllowed), std::end(kAllowed), field.name) != std::end(kAllowed)) continue;
      if (container[field.name].Has() && !(field.name == "resources" && container["resources"].size() == 0)) run.Forbidden(container[field.name], "cannot be set for an Ephemeral Container");
    }
    const Node mounts = container["volumeMounts"];
    for (const Node& mount : mounts.Items())
      for (std::string_view field : {"subPath", "subPathExpr"})
        if (!mount.Str(field).empty()) run.Forbidden(mount[field], "cannot be set for an Ephemeral Container");
  }
}

}  // namespace

void CheckProbe(Run& run, const Node& probe, std::int64_t grace_seconds) {
  if (probe->is_null()) return;
  CheckHandler(run, probe, false, grace_seconds);
  for (std::string_view field : {"initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"}) run.NonNegative(probe[field]);
  if (const Node grace = probe["terminationGracePeriodSeconds"]; !grace->is_null() && grace->Int() <= 0) run.Invalid(grace, "must be greater than 0");
}

void CheckContainers(Run& run, const Node& spec) {
  Scope scope{Kind::kRegular, spec, {}};
  for (const Node& volume : spec["volumes"].Items())
    if (run.volumes.contains(volume.Str("name"))) scope.volumes.emplace(volume.Str("name"), volume.value);
  const std::int64_t grace = spec["terminationGracePeriodSeconds"]->Int();
  std::set<std::string> names;
  const std::vector<Node> regular = spec["containers"].Items();
  if (regular.empty()) run.Required(spec["containers"]);
  for (const Node& container : regular) {
    CheckCommon(run, scope, container);
    if (const std::string name(container.Str("name")); !names.insert(name).second) run.Duplicate(container["name"]);
    CheckLifecycle(run, container, grace);
    CheckProbes(run, container, grace);
    CheckRestartRules(run, container, Kind::kRegular);
  }
  std::set<std::string> used;
  CheckHostPorts(run, regular, used);
  scope.kind = Kind::kInit;
  for (const Node& container : spec["initContainers"].Items()) {
    CheckCommon(run, scope, container);
    const bool sidecar = container.Str("restartPolicy") == "Always";
    if (const std::string name(container.Str("name")); !names.insert(name).second) run.Duplicate(container["name"]);
    std::set<std::string> own;
    CheckHostPorts(run, {container}, own);
    CheckRestartRules(run, container, Kind::kInit);
    if (sidecar) {
      CheckLifecycle(run, container, grace);
      CheckProbes(run, container, grace);
      continue;
    }
    for (std::string_view field : {"lifecycle", "livenessProbe", "readinessProbe", "startupProbe"})
      if (!container[field]->is_null()) run.Forbidden(container[field], "may not be set for init containers without restartPolicy=Always");
  }
  scope.kind = Kind::kEphemeral;
  CheckEphemeral(run, scope, names);
}

std::span<const NamedCall> ContainerCalls() { return {}; }

}  // namespace skerry::kube::rules
