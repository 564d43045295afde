#include "embedded-kube-shim/apis/quota.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "core/base/clock.h"
#include "core/base/strings.h"
#include "embedded-kube-shim/apis/strategy.h"

namespace skerry::kube::quota {
namespace {

constexpr Counted kPods{"", "pods"}, kServices{"", "services"}, kClaims{"", "persistentvolumeclaims"}, kResourceClaims{"resource.k8s.io", "resourceclaims"};
constexpr std::string_view kOfStorageClass = ".storageclass.storage.k8s.io/", kOfDeviceClass = ".deviceclass.resource.k8s.io/devices";
constexpr std::array<std::string_view, 10> kPodNames = {"pods",         "cpu",          "memory",          "ephemeral-storage",          "requests.cpu",
                                                        "requests.memory", "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage"};
// Counted under their own name, too, since before counts had a form of their own.
constexpr std::array<std::string_view, 4> kOldNames = {"configmaps", "resourcequotas", "replicationcontrollers", "secrets"};

bool Has(std::span<const std::string_view> list, std::string_view name) { return std::find(list.begin(), list.end(), name) != list.end(); }

bool IsPodName(std::string_view name) {
  if (Has(kPodNames, name) || name.starts_with("hugepages-") || name.starts_with("requests.hugepages-")) return true;
  if (!name.starts_with("requests.")) return false;
  const auto rest = name.substr(9);
  return IsExtendedResource(rest);
}

bool IsName(const Counted& what, std::string_view name) {
  if (name == CountName(what)) return true;
  if (what == kPods) return IsPodName(name);
  if (what == kServices) return name == "services" || name == "services.nodeports" || name == "services.loadbalancers";
  if (what == kClaims) {
    if (name == "persistentvolumeclaims" || name == "requests.storage") return true;
    const auto at = name.find(kOfStorageClass);
    if (at == std::string_view::npos) return false;
    const auto rest = name.substr(at + kOfStorageClass.size());
    return rest == "requests.storage" || rest == "persistentvolumeclaims";
  }
  if (what == kResourceClaims) return name.ends_with(kOfDeviceClass);
  return what.group.empty() && what.resource == name && Has(kOldNames, name);
}

bool IsBestEffort(const json::Value& pod) { return QosClass(pod) == "BestEffort"; }

bool NamesOtherNamespaces(const json::Value& term) { return term["namespaces"].size() > 0 || term.Find("namespaceSelector"); }

bool ReachesOtherNamespaces(const json::Value& pod) {
  for (const std::string_view kind : {"podAffinity", "podAntiAffinity"}) {
    const auto& affinity = pod.At({"spec", "affinity", kind});
    for (const auto& term : affinity["requiredDuringSchedulingIgnoredDuringExecution"].Items())
      if (NamesOtherNamespaces(term)) return true;
    for (const auto& term : affinity["preferredDuringSchedulingIgnoredDuringExecution"].Items())
      if (NamesOtherNamespaces(term["podAffinityTerm"])) return true;
  }
  return false;
}

// A name against In, NotIn, Exists and DoesNotExist; empty stands for an absent one.
bool NameMatches(const json::Value& requirement, std::string_view name) {
  const auto op = requirement["operator"].Str("Exists");
  const auto values = requirement["values"].Items();
  const bool listed = std::any_of(values.begin(), values.end(), [&](const json::Value& value) { return value.Str() == name; });
  if (op == "In") return !name.empty() && listed;
  if (op == "NotIn") return !listed;
  if (op == "DoesNotExist") return name.empty();
  return !name.empty();
}

bool ScopeMatches(const json::Value& requirement, const Counted& what, const json::Value& object) {
  const auto scope = requirement["scopeName"].Str();
  if (what == kClaims) return scope == "VolumeAttributesClass" && NameMatches(requirement, object.At({"spec", "volumeAttributesClassName"}).Str());
  if (!(what == kPods)) return false;
  const auto* deadline = object.At({"spec"}).Find("activeDeadlineSeconds");
  const bool terminating = deadline && deadline->is_int() && deadline->Int() >= 0;
  if (scope == "Terminating") return terminating;
  if (scope == "NotTerminating") return !terminating;
  if (scope == "BestEffort") return IsBestEffort(object);
  if (scope == "NotBestEffort") return !IsBestEffort(object);
  if (scope == "PriorityClass") return NameMatches(requirement, object.At({"spec", "priorityClassName"}).Str());
  if (scope == "CrossNamespacePodAffinity") return ReachesOtherNamespaces(object);
  return false;
}

void AddCompute(Quantities& usage, const Quantities& amounts, std::string_view which) {
  for (const auto& [name, amount] : amounts) {
    const bool plain = name == "cpu" || name == "memory" || name == "ephemeral-storage";
    if (plain) usage.insert_or_assign(Cat(which, ".", name), amount);
    if (which != "requests") continue;
    if (plain || name.starts_with("hugepages-")) usage.insert_or_assign(name, amount);
    if (name.starts_with("hugepages-") || IsExtendedResource(name)) usage.insert_or_assign(Cat("requests.", name), amount);
  }
}

// Finished, or long enough past its grace that its node has let go of it.
bool IsGone(const json::Value& pod, std::chrono::system_clock::time_point now) {
  const auto phase = pod.At({"status", "phase"}).Str();
  if (phase == "Failed" || phase == "Succeeded") return true;
  const auto& metadata = pod["metadata"];
  if (!metadata.Find("deletionTimestamp") || !metadata.Find("deletionGracePeriodSeconds")) return false;
  const auto due = ParseTime(metadata["deletionTimestamp"].Str());
  return due && now > *due + std::chrono::seconds(metadata["deletionGracePeriodSeconds"].Int());
}

Quantities PodUsage(const json::Value& pod, std::chrono::system_clock::time_point now) {
  Quantities usage{{"count/pods", text::Quantity::Of(1)}};
  if (IsGone(pod, now)) return usage;
  usage["pods"] = text::Quantity::Of(1);
  AddCompute(usage, PodResources(pod["spec"], "requests", Overhead::kWith), "requests");
  AddCompute(usage, PodResources(pod["spec"], "limits", Overhead::kWith), "limits");
  return usage;
}

Quantities ServiceUsage(const json::Value& service) {
  const auto& spec = service["spec"];
  const auto one = text::Quantity::Of(1);
  Quantities usage{{"count/services", one}, {"services", one}, {"services.nodeports", {}}, {"services.loadbalancers", {}}};
  const auto type = spec["type"].Str();
  const auto ports = static_cast<std::int64_t>(spec["ports"].size());
  if (type == "NodePort") usage["services.nodeports"] = text::Quantity::Of(ports);
  if (type != "LoadBalancer") return usage;
  usage["services.loadbalancers"] = one;
  const auto* allocates = spec.Find("allocateLoadBalancerNodePorts");
  const auto items = spec["ports"].Items();
  const bool only_given = allocates && allocates->is_bool() && !allocates->Bool();
  usage["services.nodeports"] = text::Quantity::Of(only_given ? std::count_if(items.begin(), items.end(), [](const json::Value& port) { return port["nodePort"].Int() != 0; }) : ports);
  return usage;
}

Quantities ClaimUsage(const json::Value& claim) {
  const auto one = text::Quantity::Of(1);
  Quantities usage{{"count/persistentvolumeclaims", one}, {"persistentvolumeclaims", one}};
  const auto beta = claim.At({"metadata", "annotations", "volume.beta.kubernetes.io/storage-class"}).Str();
  const std::string of_class = Cat(beta.empty() ? claim.At({"spec", "storageClassName"}).Str() : beta, kOfStorageClass);
  const bool classed = of_class.size() > kOfStorageClass.size();
  if (classed) usage[of_class + "persistentvolumeclaims"] = one;
  const auto wanted = QuantitiesOf(claim.At({"spec", "resources", "requests"}));
  const auto at = wanted.find("storage");
  if (at == wanted.end()) return usage;
  auto storage = at->second;
  const auto allocated = QuantitiesOf(claim.At({"status", "allocatedResources"}));
  if (const auto granted = allocated.find("storage"); granted != allocated.end() && granted->second > storage) storage = granted->second;
  usage["requests.storage"] = storage;
  if (classed) usage[of_class + "requests.storage"] = storage;
  return usage;
}

Quantities ResourceClaimUsage(const json::Value& claim) {
  Quantities usage{{CountName(kResourceClaims), text::Quantity::Of(1)}};
  for (const auto& request : claim.At({"spec", "devices", "requests"}).Items()) {
    Quantities most;   // of alternatives the dearest of each class counts
    const auto count = [&](const json::Value& one) {
      const bool all = one["allocationMode"].Str() == "All";
      const auto devices = text::Quantity::Of(all ? 32 : std::max<std::int64_t>(one["count"].Int(1), 1));
      auto& slot = most[Cat(one["deviceClassName"].Str(), kOfDeviceClass)];
      if (slot < devices) slot = devices;
    };
    if (request.Find("exactly")) count(request["exactly"]);
    for (const auto& alternative : request["firstAvailable"].Items()) count(alternative);
    AddTo(usage, most);
  }
  return usage;
}

}  // namespace

bool IsCharged(const Counted& what, std::string_view subresource, bool is_update) {
  if (what == kPods) return is_update ? subresource == "resize" : subresource.empty();
  if (!subresource.empty()) return false;
  return !is_update || what == kServices || what == kClaims;
}

std::string CountName(const Counted& what) { return Cat("count/", what.resource, what.group.empty() ? "" : ".", what.group); }

std::vector<std::string> MatchingNames(const Counted& what, std::span<const std::string> names) {
  std::vector<std::string> out;
  for (const auto& name : names)
    if (IsName(what, name)) out.push_back(name);
  return out;
}

bool Matches(const json::Value& quota, const Counted& what, const json::Value& object) {
  const auto hard = quota.At({"status", "hard"}).Members();
  if (std::none_of(hard.begin(), hard.end(), [&](const json::Member& limit) { return IsName(what, limit.key); })) return false;
  for (const auto& scope : quota.At({"spec", "scopes"}).Items()) {
    auto requirement = json::Value::Object();
    requirement.Set("scopeName") = scope.Str();
    if (!ScopeMatches(requirement, what, object)) return false;
  }
  for (const auto& requirement : quota.At({"spec", "scopeSelector", "matchExpressions"}).Items())
    if (!ScopeMatches(requirement, what, object)) return false;
  return true;
}

Quantities Usage(const Counted& what, const json::Value& object, std::chrono::system_clock::time_point now) {
  if (what == kPods) return PodUsage(object, now);
  if (what == kServices) return ServiceUsage(object);
  if (what == kClaims) return ClaimUsage(object);
  if (what == kResourceClaims) return ResourceClaimUsage(object);
  Quantities usage{{CountName(what), text::Quantity::Of(1)}};
  if (what.group.empty() && Has(kOldNames, what.resource)) usage.emplace(what.resource, text::Quantity::Of(1));
  return usage;
}

std::string MissingAmounts(const Counted& what, std::span<const std::string> names, const json::Value& object) {
  constexpr std::array<std::string_view, 6> kMustBeGiven = {"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"};
  if (!(what == kPods)) return {};
  const auto& own = object.At({"spec", "resources", "requests"});
  if (own.Find("cpu") || own.Find("memory")) return {};   // the pod asks as a whole
  std::map<std::string, std::set<std::string>> missing;
  for (const std::string_view list : {"containers", "initContainers"}) {
    for (const auto& container : object.At({"spec", list}).Items()) {
      Quantities given;
      AddCompute(given, QuantitiesOf(container.At({"resources", "requests"})), "requests");
      AddCompute(given, QuantitiesOf(container.At({"resources", "limits"})), "limits");
      for (const auto& name : names)
        if (Has(kMustBeGiven, name) && !given.contains(name)) missing[name].emplace(container["name"].Str());
    }
  }
  std::string out;
  for (const auto& [name, containers] : missing) out += Cat(out.empty() ? "must specify " : "; ", name, " for: ", Join({containers.begin(), containers.end()}, ","));
  return out;
}

std::vector<std::string> NamesOf(const Quantities& quantities) {
  std::vector<std::string> out;
  for (const auto& [name, amount] : quantities) out.push_back(name);
  return out;
}

Quantities Mask(const Quantities& quantities, std::span<const std::string> names) {
  Quantities out;
  for (const auto& name : names)
    if (const auto at = quantities.find(name); at != quantities.end()) out.emplace(*at);
  return out;
}

std::string Print(const Quantities& quantities) {
  std::string out;
  for (const auto& [name, amount] : quantities) out += Cat(out.empty() ? "" : ",", name, "=", amount.Canonical());
  return out;
}

std::optional<std::pair<std::string, std::string>> ResourceOfCount(std::string_view name) {
  if (Has(kOldNames, name)) return std::pair(std::string(), std::string(name));
  if (!name.starts_with("count/")) return std::nullopt;
  name.remove_prefix(6);
  const auto dot = name.find('.');
  if (dot == std::string_view::npos) return std::pair(std::string(), std::string(name));
  return std::pair(std::string(name.substr(dot + 1)), std::string(name.substr(0, dot)));
}

}  // namespace skerry::kube::quota
