#include <algorithm>

#include "core/base/strings.h"
#include "core/json/parse.h"
#include "core/text/base64.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/apis/rules.h"
#include "embedded-kube-shim/apis/rules_shared.h"
#include "embedded-kube-shim/apis/same_value.h"

namespace skerry::kube::rules {
namespace {

using json::Value;
using text::Quantity;

void ConfigMapKeyOf(Run& run, const Node& item) {
  // The path ends in "[key]".
  const auto open = item.path.find('[');
  const std::string key = item.path.substr(open + 1, item.path.size() - open - 2);
  for (const std::string& message : format::ConfigMapKey(key)) run.Invalid(item, Quote(key), message);
  if (item.path.starts_with("data") && run.root["binaryData"].Find(key)) run.Invalid(item, Quote(key), "duplicate of key present in binaryData");
}

std::size_t DecodedSize(const Value& value) {
  const std::string_view text = value.Str();
  return text.size() / 4 * 3 - (text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0);
}

void ConfigMapSize(Run& run, const Node& object) {
  std::size_t total = 0;
  for (const json::Member& member : (*object)["data"].Members()) total += member.value.Str().size();
  for (const json::Member& member : (*object)["binaryData"].Members()) total += DecodedSize(member.value);
  if (total > 1048576) run.TooLong(object, 1048576);
}

void ImmutableData(Run& run, const Node& object) {
  if (!(*object.old)["immutable"].Bool()) return;
  if (!(*object)["immutable"].Bool()) run.Forbidden(object["immutable"], "field is immutable when `immutable` is set");
  for (std::string_view field : {"data", "binaryData"})
    if (!Unchanged(object[field])) run.Forbidden(object[field], "field is immutable when `immutable` is set");
}

void RequireJson(Run& run, const Node& data, std::string_view key) {
  const Value* value = data->Find(key);
  if (!value) return run.Required(data.Key(key));
  const auto bytes = text::FromBase64(value->Str());
  auto parsed = json::Parse(bytes ? *bytes : std::string());
  std::string why = parsed ? "" : std::string(parsed.error().message());
  if (parsed && !parsed->is_object() && !parsed->is_null())
    why = Cat("json: cannot unmarshal ", parsed->is_array() ? "array" : parsed->is_string() ? "string" : parsed->is_bool() ? "bool" : "number", " into Go value of type map[string]interface {}");
  if (!why.empty()) run.Invalid(data.Key(key), "\"<secret contents redacted>\"", why);
}

void SecretData(Run& run, const Node& secret) {
  const Node data = secret["data"];
  std::size_t total = 0;
  for (const json::Member& member : data->Members()) {
    for (const std::string& message : format::ConfigMapKey(member.key)) run.Invalid(data.Key(member), Quote(member.key), message);
    total += DecodedSize(member.value);
  }
  if (total > 1048576) run.TooLong(data, 1048576);
  const std::string_view type = secret.Str("type");
  if (type == "kubernetes.io/service-account-token" && (*secret)["metadata"]["annotations"]["kubernetes.io/service-account.name"].Str().empty())
    run.Required(secret["metadata"]["annotations"].Key("kubernetes.io/service-account.name"));
  if (type == "kubernetes.io/dockercfg") RequireJson(run, data, ".dockercfg");
  if (type == "kubernetes.io/dockerconfigjson") RequireJson(run, data, ".dockerconfigjson");
  if (type == "kubernetes.io/basic-auth" && !data->Find("username") && !data->Find("password")) {
    run.Required(data.Key("username"));
    run.Required(data.Key("password"));
  }
  if (type == "kubernetes.io/ssh-auth" && (*data)["ssh-privatekey"].Str().empty()) run.Required(data.Key("ssh-privatekey"));
  if (type == "kubernetes.io/tls")
    for (std::string_view key : {"tls.crt", "tls.key"})
      if (!data->Find(key)) run.Required(data.Key(key));
}

void NamespaceFinalizer(Run& run, const Node& item) {
  Node at = item;
  at.path = run.subresource == "finalize" ? item.path : "spec.finalizers";
  run.Format(at, format::QualifiedName);
  const std::string_view name = item->Str();
  if (name.find('/') == name.npos && name != "kubernetes" && name != "orphan" && name != "foregroundDeletion")
    run.Invalid(at, "name is neither a standard finalizer name nor is it fully qualified");
}

void CheckEndpointAddress(Run& run, const Node& address) {
  run.Format(address["ip"], format::Ip);
  CheckNonSpecialIp(run, address["ip"]);
  if (!address.Str("hostname").empty()) run.Format(address["hostname"], format::Dns1123Label);
  if (!(*address)["nodeName"].is_null()) run.Format(address["nodeName"], format::Dns1123Subdomain);
}

void EndpointSubsets(Run& run, const Node& subsets) {
  if (run.updating() && Unchanged(subsets)) return;
  for (const Node& subset : subsets.Items()) {
    if (subset["addresses"].size() == 0 && subset["notReadyAddresses"].size() == 0) run.Required(subset, "must specify `addresses` or `notReadyAddresses`");
    for (std::string_view list : {"addresses", "notReadyAddresses"})
      for (const Node& address : subset[list].Items()) CheckEndpointAddress(run, address);
    const Node ports = subset["ports"];
    for (const Node& port : ports.Items()) {
      if (port.Str("name").empty()) {
        if (ports.size() > 1) run.Required(port["name"]);
      } else {
        run.Format(port["name"], format::Dns1123Label);
      }
      run.Range(port["port"], 1, 65535);
      if (port.Str("protocol").empty()) run.Required(port["protocol"]);
      else run.Enum(port["protocol"], {"SCTP", "TCP", "UDP"});
      if (!(*port)["appProtocol"].is_null()) run.Format(port["appProtocol"], format::QualifiedName);
    }
  }
}

Quantity Amount(const Value& value) { return Quantity::Parse(value.Str("0")).value_or(Quantity()); }

std::string Shown(const Quantity& quantity) { return Quote(quantity.Canonical()); }

void LimitRangeName(Run& run, const Node& at, std::string_view name, std::string_view type) {
  if (type == "Container" || type == "Pod") CheckContainerResourceName(run, at, name);
  else CheckResourceName(run, at, name);
}

void LimitRangeAmounts(Run& run, const Node& limit, const std::string& name) {
  const auto get = [&](std::string_view list) -> std::optional<Quantity> {
    const Value* value = (*limit)[list].Find(name);
    return value ? std::optional(Amount(*value)) : std::nullopt;
  };
  const auto min = get("min"), max = get("max"), dflt = get("default"), request = get("defaultRequest"), ratio = get("maxLimitRequestRatio");
  const auto at = [&](std::string_view list) { return limit[list].Key(name); };
  const auto text = [](const Quantity& q) { return q.Canonical(); };
  if (min && max && *min > *max) run.Invalid(at("min"), Shown(*min), Cat("min value ", text(*min), " is greater than max value ", text(*max)));
  if (request && min && *min > *request) run.Invalid(at("defaultRequest"), Shown(*request), Cat("min value ", text(*min), " is greater than default request value ", text(*request)));
  if (request && max && *request > *max) run.Invalid(at("defaultRequest"), Shown(*request), Cat("default request value ", text(*request), " is greater than max value ", text(*max)));
  if (request && dflt && *request > *dflt) run.Invalid(at("defaultRequest"), Shown(*request), Cat("default request value ", text(*request), " is greater than default limit value ", text(*dflt)));
  if (dflt && min && *min > *dflt) run.Invalid(at("default"), Shown(*min), Cat("min value ", text(*min), " is greater than default value ", text(*dflt)));
  if (dflt && max && *dflt > *max) run.Invalid(at("default"), Shown(*max), Cat("default value ", text(*dflt), " is greater than max value ", text(*max)));
  if (ratio && *ratio < Quantity::Of(1)) run.Invalid(at("maxLimitRequestRatio"), Shown(*ratio), Cat("ratio ", text(*ratio), " is less than 1"));
  if (ratio && min && max && min->sign() > 0) {
    const double limit_ratio = max->Approximate() / min->Approximate();
    char number[64];
    std::snprintf(number, sizeof number, "%f", limit_ratio);
    if (ratio->Approximate() > limit_ratio) run.Invalid(at("maxLimitRequestRatio"), Shown(*ratio), Cat("ratio ", text(*ratio), " is greater than max/min = ", number));
  }
  const bool native = name.find('/') == name.npos || name.find("kubernetes.io/") != name.npos;
  const bool overcommit = native && !name.starts_with("hugepages-");
  if (dflt && request && !overcommit && *dflt != *request)
    run.Invalid(at("defaultRequest"), Shown(*request), Cat("default value ", text(*dflt), " must equal to defaultRequest value ", text(*request), " in ", name));
}

void LimitRangeSpec(Run& run, const Node& spec) {
  std::set<std::string> types;
  for (const Node& limit : spec["limits"].Items()) {
    const std::string type(limit.Str("type"));
    const bool named = run.Format(limit["type"], format::QualifiedName);
    if (named && type.find('/') == type.npos && type != "Pod" && type != "Container" && type != "PersistentVolumeClaim")
      run.Invalid(limit["type"], "must be a standard limit type or fully qualified");
    if (!types.insert(type).second) run.Duplicate(limit["type"]);
    std::set<std::string> names;
    for (std::string_view list : {"max", "min", "default", "defaultRequest", "maxLimitRequestRatio"}) {
      if (type == "Pod" && (list == "default" || list == "defaultRequest")) {
        if (limit[list].size() > 0) run.Forbidden(limit[list], "may not be specified when `type` is 'Pod'");
        continue;
      }
      for (const json::Member& member : (*limit)[list].Members()) {
        LimitRangeName(run, limit[list].Key(member.key), member.key, type);
        names.insert(member.key);
      }
    }
    if (type == "PersistentVolumeClaim" && !(*limit)["min"].Find("storage") && !(*limit)["max"].Find("storage"))
      run.Required(limit["limits"], "either minimum or maximum storage value is required, but neither was provided");
    for (const std::string& name : names) LimitRangeAmounts(run, limit, name);
  }
}

void CheckEventRequired(Run& run, const Node& at, std::size_t limit) {
  if (at->Str().empty()) run.Required(at);
  if (at->Str().size() > limit) run.Invalid(at, "\"\"", Cat("can have at most ", limit, " characters"));
}

void EventNamespace(Run& run, const Node& event, const Node& object) {
  const std::string_view own = (*event)["metadata"]["namespace"].Str(), other = object.Str("namespace");
  Node at = object["namespace"];
  at.path = "involvedObject.namespace";
  const bool dated = !(*event)["eventTime"].is_null();
  const bool wrong = other.empty() ? own != "default" && (dated ? own != "kube-system" : !own.empty()) : !dated && own != other;
  if (wrong) run.Invalid(at, Quote(other), "does not match event.namespace");
}

void NewEvent(Run& run, const Node& event) {
  const bool modern = run.version == "v1" && run.def.group == "events.k8s.io";
  const bool dated = !(*event)["eventTime"].is_null();
  EventNamespace(run, event, event[modern ? "regarding" : "involvedObject"]);
  if (dated) {
    Node controller = modern ? event["reportingController"] : event["reportingComponent"];
    if (controller->Str().empty()) run.Required(controller);
    run.Format(controller, format::QualifiedName);
    CheckEventRequired(run, event["reportingInstance"], 128);
    CheckEventRequired(run, event["action"], 128);
    CheckEventRequired(run, event["reason"], 128);
    const Node message = modern ? event.As("note", "message") : event["message"];
    if (message->Str().size() > 1024) run.Invalid(message, "\"\"", "can have at most 1024 characters");
  }
  Node ns = event["metadata"]["namespace"];
  ns.path = "namespace";
  run.Format(ns, format::Dns1123Subdomain);
}

void Event(Run& run, const Node& event) {
  const bool modern = run.def.group == "events.k8s.io";
  NewEvent(run, event);
  if (!modern) return;
  const Node meta = event["metadata"];
  static constexpr NamedCall kNone{};
  (void)kNone;
  for (const NamedCall& call : MetaCalls())
    if (call.name == (run.updating() ? "MetaUpdate" : "MetaSubdomain")) call.call(run, meta);
  const Node series = event["series"];
  if (!series->is_null() && !(run.updating() && Unchanged(series))) {
    if ((*series)["count"].Int() < 2) run.Invalid(series["count"], "\"\"", "should be at least 2");
    if ((*series)["lastObservedTime"].is_null()) run.Required(series["lastObservedTime"]);
  }
  if (!run.updating()) {
    if ((*event)["eventTime"].is_null()) run.Required(event["eventTime"]);
    const std::string_view type = event.Str("type");
    if (type != "Normal" && type != "Warning") run.Invalid(event["type"], "\"\"", Cat("has invalid value: ", type));
    const auto unset = [&](std::string_view field, std::string_view shown) {
      const Node at = event.As(field, shown);
      if (!at->is_null() && !(at->is_int() && at->Int() == 0) && !(at->is_object() && at.size() == 0)) run.Invalid(at, "\"\"", "needs to be unset");
    };
    unset("deprecatedFirstTimestamp", "firstTimestamp");
    unset("deprecatedLastTimestamp", "lastTimestamp");
    unset("deprecatedCount", "count");
    unset("deprecatedSource", "source");
    return;
  }
  struct Pair { std::string_view field, shown; };
  static constexpr Pair kFields[] = {{"regarding", "involvedObject"}, {"reason", "reason"}, {"note", "message"}, {"deprecatedSource", "source"}, {"deprecatedFirstTimestamp", "firstTimestamp"},
                                     {"deprecatedLastTimestamp", "lastTimestamp"}, {"deprecatedCount", "count"}, {"reason", "reason"}, {"type", "type"}, {"eventTime", "eventTime"},
                                     {"action", "action"}, {"related", "related"}, {"reportingController", "reportingController"}, {"reportingInstance", "reportingInstance"}};
  for (const Pair& pair : kFields) run.Immutable(event.As(pair.field, pair.shown));
}

void ReplicaStatus(Run& run, const Node& status) {
  for (std::string_view field : {"replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"}) run.NonNegative(status[field]);
  const std::int64_t replicas = (*status)["replicas"].Int();
  for (std::string_view field : {"fullyLabeledReplicas", "readyReplicas", "availableReplicas"})
    if ((*status)[field].Int() > replicas) run.Invalid(status[field], "cannot be greater than status.replicas");
  if ((*status)["availableReplicas"].Int() > (*status)["readyReplicas"].Int()) run.Invalid(status["availableReplicas"], "cannot be greater than readyReplicas");
}

void ReplicationController(Run& run, const Node& spec) {
  run.NonNegative(spec["minReadySeconds"]);
  const Node selector = spec["selector"], template_node = spec["template"];
  if (selector.size() == 0) run.Required(selector);
  if ((*spec)["replicas"].is_null()) run.Required(spec["replicas"]);
  else run.NonNegative(spec["replicas"]);
  if (template_node->is_null()) return run.Required(template_node);
  const Node labels = template_node["metadata"]["labels"];
  bool matches = selector.size() > 0;
  for (const json::Member& member : selector->Members()) matches = matches && (*labels)[member.key].Str() == member.value.Str() && labels->Find(member.key);
  if (selector.size() > 0 && !matches) run.Invalid(labels, "`selector` does not match template `labels`");
  CheckPodTemplate(run, template_node);
  const Node restart = template_node["spec"]["restartPolicy"];
  if (restart->Str() != "Always") run.NotSupported(restart, {"Always"});
  if (!(*template_node)["spec"]["activeDeadlineSeconds"].is_null())
    run.Forbidden(template_node["spec"]["activeDeadlineSeconds"], "activeDeadlineSeconds in ReplicationController is not Supported");
}

void ImmutableSet(Run& run, const Node& list) {
  std::set<std::string> now, before;
  for (const Value& item : list->Items()) now.insert(item.Dump());
  for (const Value& item : list.old->Items()) before.insert(item.Dump());
  if (now != before) run.Invalid(list, "field is immutable");
}

void PodTemplate(Run& run, const Node& node) { CheckPodTemplate(run, node); }

}  // namespace

std::span<const NamedCall> CoreCalls() {
  static constexpr NamedCall kCalls[] = {
      {"ConfigMapKey", ConfigMapKeyOf}, {"ConfigMapSize", ConfigMapSize}, {"ImmutableData", ImmutableData}, {"SecretData", SecretData},
      {"NamespaceFinalizer", NamespaceFinalizer}, {"EndpointSubsets", EndpointSubsets}, {"LimitRangeSpec", LimitRangeSpec}, {"Event", Event},
      {"ReplicaStatus", ReplicaStatus}, {"ReplicationController", ReplicationController}, {"ImmutableSet", ImmutableSet}, {"PodTemplate", PodTemplate},
  };
  return kCalls;
}

}  // namespace skerry::kube::rules
