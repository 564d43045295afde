#include <algorithm>
#include <map>
#include <set>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/table_format.h"

namespace skerry::kube::printer {

namespace {

void PrintPodTemplate(Row& row) {
  const Value& pod = row.object["template"];
  row.AddName();
  AddContainers(row, pod["spec"]);
  row.Add(Value(FormatLabels(pod.At({"metadata", "labels"}))));
}

std::string ExternalAddress(const Value& service) {
  const Value& spec = service["spec"];
  const std::string_view type = spec["type"].Str();
  const std::string external = JoinStrings(spec["externalIPs"]);
  if (type == "ClusterIP" || type == "NodePort") return external.empty() ? "<none>" : external;
  if (type == "ExternalName") return std::string(spec["externalName"].Str());
  if (type != "LoadBalancer") return "<unknown>";
  const std::string balanced = LoadBalancerAddresses(service.At({"status", "loadBalancer"}));
  if (balanced.empty() && external.empty()) return "<pending>";
  return balanced.empty() || external.empty() ? balanced + external : Cat(balanced, ',', external);
}

void PrintService(Row& row) {
  const Value& spec = row.object["spec"];
  std::vector<std::string> ports;
  for (const auto& port : spec["ports"].Items()) {
    const std::int64_t node_port = port["nodePort"].Int();
    ports.push_back(node_port == 0 ? Cat(port["port"].Int(), '/', port["protocol"].Str()) : Cat(port["port"].Int(), ':', node_port, '/', port["protocol"].Str()));
  }
  const auto addresses = spec["clusterIPs"].Items();
  row.AddName().AddText(spec["type"]).Add(Value(addresses.empty() ? std::string_view("<none>") : addresses[0].Str()));
  row.Add(Value(ExternalAddress(row.object))).Add(Value(ports.empty() ? "<none>" : Join(ports, ","))).AddAge().Add(Value(FormatLabels(spec["selector"])));
}

void PrintEndpoints(Row& row) {
  constexpr std::size_t kMax = 3;
  std::vector<std::string> shown;
  std::size_t total = 0;
  for (const auto& subset : row.object["subsets"].Items()) {
    const auto add = [&](const Value* port) {
      total += subset["addresses"].size();
      for (const auto& address : subset["addresses"].Items())
        if (shown.size() < kMax) shown.push_back(port ? JoinHostPort(address["ip"].Str(), (*port)["port"].Int()) : std::string(address["ip"].Str()));
    };
    if (subset["ports"].size() == 0) add(nullptr);
    for (const auto& port : subset["ports"].Items()) add(&port);
  }
  row.AddName().Add(Value(row.object["subsets"].size() == 0 ? "<none>" : total == 0 ? "" : ListWithMore(shown, total, kMax))).AddAge();
}

std::string NodeRoles(const Value& labels) {
  constexpr std::string_view kPrefix = "node-role.kubernetes.io/";
  std::set<std::string> roles;
  for (const auto& label : labels.Members()) {
    if (label.key.starts_with(kPrefix) && label.key.size() > kPrefix.size()) roles.insert(label.key.substr(kPrefix.size()));
    else if (label.key == "kubernetes.io/role" && !label.value.Str().empty()) roles.emplace(label.value.Str());
  }
  return roles.empty() ? "<none>" : Join({roles.begin(), roles.end()}, ",");
}

std::string NodeAddress(const Value& node, std::string_view type) {
  for (const auto& address : node.At({"status", "addresses"}).Items())
    if (address["type"].Str() == type) return std::string(address["address"].Str());
  return "<none>";
}

void PrintNode(Row& row) {
  const Value& info = row.object.At({"status", "nodeInfo"});
  std::string status = "Unknown";
  for (const auto& condition : row.object.At({"status", "conditions"}).Items())
    if (condition["type"].Str() == "Ready") status = condition["status"].Str() == "True" ? "Ready" : "NotReady";
  if (row.object.At({"spec", "unschedulable"}).Bool()) status += ",SchedulingDisabled";
  std::string kernel(info["kernelVersion"].Str());
  if (!kernel.empty() && !info["architecture"].Str().empty()) kernel += Cat(" (", info["architecture"].Str(), ')');
  row.AddName().Add(Value(status)).Add(Value(NodeRoles(row.object.At({"metadata", "labels"})))).AddAge().AddText(info["kubeletVersion"]);
  row.Add(Value(NodeAddress(row.object, "InternalIP"))).Add(Value(NodeAddress(row.object, "ExternalIP"))).AddText(info["osImage"], "<unknown>");
  row.Add(Value(kernel.empty() ? "<unknown>" : kernel)).AddText(info["containerRuntimeVersion"], "<unknown>");
}

void PrintEvent(Row& row) {
  const Value& o = row.object;
  // events.k8s.io has other names for the same fields.
  const auto either = [&](std::string_view core, std::string_view events) -> const Value& { return o[core].is_null() ? o[events] : o[core]; };
  const Value& involved = either("involvedObject", "regarding");
  const Value& source = either("source", "deprecatedSource");
  const Value& first_seen = either("firstTimestamp", "deprecatedFirstTimestamp");
  const Value& last_seen = either("lastTimestamp", "deprecatedLastTimestamp");
  const std::string first = row.Since(first_seen.is_null() ? o["eventTime"] : first_seen);
  std::string last = last_seen.is_null() ? first : row.Since(last_seen);
  std::int64_t count = either("count", "deprecatedCount").Int();
  if (!o["series"].is_null()) {
    last = row.Since(o.At({"series", "lastObservedTime"}));
    count = o.At({"series", "count"}).Int();
  } else if (count == 0) {
    count = 1;
  }
  std::string target = ToLower(involved["kind"].Str());
  if (!involved["name"].Str().empty()) target += Cat('/', involved["name"].Str());
  const auto first_text = [](const Value& a, const Value& b) { return a.Str().empty() ? b.Str() : a.Str(); };
  std::string from(first_text(source["component"], either("reportingComponent", "reportingController")));
  const std::string_view host = first_text(source["host"], o["reportingInstance"]);
  if (!host.empty()) from += Cat(", ", host);
  row.Add(Value(last)).AddText(o["type"]).AddText(o["reason"]).Add(Value(target)).AddText(involved["fieldPath"]).Add(Value(from));
  row.Add(Value(Trim(either("message", "note").Str()))).Add(Value(first)).Add(Value(count)).AddName();
}

void PrintNamespace(Row& row) { row.AddName().AddText(row.object.At({"status", "phase"})).AddAge(); }
void PrintSecret(Row& row) { row.AddName().AddText(row.object["type"]).AddCount(row.object["data"]).AddAge(); }
void PrintServiceAccount(Row& row) { row.AddName().AddAge(); }
void PrintConfigMap(Row& row) { row.AddName().Add(Value(static_cast<std::int64_t>(row.object["data"].size() + row.object["binaryData"].size()))).AddAge(); }

std::string AccessModes(const Value& modes) {
  static constexpr std::pair<std::string_view, std::string_view> kShort[] = {
      {"ReadWriteOnce", "RWO"}, {"ReadOnlyMany", "ROX"}, {"ReadWriteMany", "RWX"}, {"ReadWriteOncePod", "RWOP"}};
  std::vector<std::string> out;
  for (const auto& [mode, text] : kShort)
    if (std::any_of(modes.Items().begin(), modes.Items().end(), [mode = mode](const Value& v) { return v.Str() == mode; })) out.emplace_back(text);
  return Join(out, ",");
}

const Value& StorageClass(const Value& object) {
  const Value& beta = object.At({"metadata", "annotations", "volume.beta.kubernetes.io/storage-class"});
  return beta.is_null() ? object.At({"spec", "storageClassName"}) : beta;
}

void AddPhase(Row& row) {
  if (row.object.At({"metadata", "deletionTimestamp"}).is_null()) row.AddText(row.object.At({"status", "phase"}));
  else row.Add(Value("Terminating"));
}

void PrintPersistentVolume(Row& row) {
  const Value& spec = row.object["spec"];
  const Value& claim = spec["claimRef"];
  row.AddName().AddText(spec.At({"capacity", "storage"}), "0").Add(Value(AccessModes(spec["accessModes"]))).AddText(spec["persistentVolumeReclaimPolicy"]);
  AddPhase(row);
  row.Add(Value(claim.is_null() ? std::string() : Cat(claim["namespace"].Str(), '/', claim["name"].Str()))).AddText(StorageClass(row.object));
  row.Add(Value(spec["volumeAttributesClassName"].is_null() ? std::string_view("<unset>") : spec["volumeAttributesClassName"].Str()));
  row.AddText(row.object.At({"status", "reason"})).AddAge().AddText(spec["volumeMode"], "<unset>");
}

void PrintPersistentVolumeClaim(Row& row) {
  const Value& spec = row.object["spec"];
  const Value& status = row.object["status"];
  row.AddName();
  AddPhase(row);
  row.AddText(spec["volumeName"]);
  if (spec["volumeName"].Str().empty()) row.Add(Value("")).Add(Value(""));
  else row.AddText(status.At({"capacity", "storage"}), "0").Add(Value(AccessModes(status["accessModes"])));
  row.AddText(StorageClass(row.object)).Add(Value(spec["volumeAttributesClassName"].is_null() ? std::string_view("<unset>") : spec["volumeAttributesClassName"].Str()));
  row.AddAge().AddText(spec["volumeMode"], "<unset>");
}

void PrintResourceQuota(Row& row) {
  std::map<std::string, std::string> used;
  for (const auto& member : row.object.At({"status", "used"}).Members()) used[member.key] = member.value.Str();
  std::map<std::string, std::string> hard;
  for (const auto& member : row.object.At({"status", "hard"}).Members()) hard[member.key] = member.value.Str();
  std::vector<std::string> requests, limits;
  for (const auto& [name, quantity] : hard) {
    const auto spent = used.find(name);
    (name.starts_with("limits.") ? limits : requests).push_back(Cat(name, ": ", spent == used.end() ? std::string("0") : spent->second, '/', quantity));
  }
  row.AddName().Add(Value(Join(requests, ", "))).Add(Value(Join(limits, ", "))).AddAge();
}

void PrintComponentStatus(Row& row) {
  std::string status = "Unknown", message, error;
  for (const auto& condition : row.object["conditions"].Items()) {
    if (condition["type"].Str() != "Healthy") continue;
    status = condition["status"].Str() == "True" ? "Healthy" : "Unhealthy";
    message = condition["message"].Str();
    error = condition["error"].Str();
  }
  row.AddName().Add(Value(status)).Add(Value(message)).Add(Value(error));
}

}  // namespace

Printer FindCorePrinter(std::string_view kind) {
  static constexpr std::pair<std::string_view, Printer> kPrinters[] = {
      {"Pod", PrintPod}, {"PodTemplate", PrintPodTemplate}, {"Service", PrintService}, {"Endpoints", PrintEndpoints}, {"Node", PrintNode},
      {"Event", PrintEvent}, {"Namespace", PrintNamespace}, {"Secret", PrintSecret}, {"ServiceAccount", PrintServiceAccount},
      {"ConfigMap", PrintConfigMap}, {"PersistentVolume", PrintPersistentVolume}, {"PersistentVolumeClaim", PrintPersistentVolumeClaim},
      {"ResourceQuota", PrintResourceQuota}, {"ComponentStatus", PrintComponentStatus}};
  for (const auto& [name, printer] : kPrinters)
    if (name == kind) return printer;
  return nullptr;
}

}  // namespace skerry::kube::printer
