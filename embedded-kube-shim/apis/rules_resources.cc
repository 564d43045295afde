#include <algorithm>
#include <array>

#include "core/base/strings.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/apis/rules_shared.h"

// Resource names (cpu, hugepages-2Mi, example.com/gpu) and amounts.
namespace skerry::kube::rules {
namespace {

using json::Value;
using text::Quantity;

bool OneOf(std::string_view name, std::span<const std::string_view> names) { return std::find(names.begin(), names.end(), name) != names.end(); }

constexpr std::string_view kContainer[] = {"cpu", "memory", "ephemeral-storage"};
constexpr std::string_view kQuota[] = {"cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage", "requests.storage", "limits.cpu", "limits.memory",
                                       "limits.ephemeral-storage", "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims",
                                       "services.nodeports", "services.loadbalancers"};
constexpr std::string_view kInteger[] = {"pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims", "services.nodeports",
                                         "services.loadbalancers"};

bool IsHugePages(std::string_view name) { return name.starts_with("hugepages-"); }
bool IsStandard(std::string_view name) { return OneOf(name, kQuota) || name == "storage" || IsHugePages(name) || name.starts_with("requests.hugepages-"); }
bool IsNative(std::string_view name) { return name.find('/') == name.npos || name.find("kubernetes.io/") != name.npos; }
bool CanOvercommit(std::string_view name) { return IsNative(name) && !IsHugePages(name); }

Quantity Amount(const Value& value) { return Quantity::Parse(value.Str("0")).value_or(Quantity()); }

void CheckHugePages(Run& run, const Node& at, std::string_view name) {
  if (!IsHugePages(name)) return;
  const auto size = Quantity::Parse(name.substr(10));
  const Quantity amount = Amount(*at);
  if (size && size->Value() > 0 && amount.Value() % size->Value() == 0) return;
  run.Invalid(at, Quote(amount.Canonical()), Cat(amount.Canonical(), " is not positive integer multiple of ", name));
}

}  // namespace

bool IsExtendedResource(std::string_view name) {
  return !IsNative(name) && !name.starts_with("requests.") && format::QualifiedName(Cat("requests.", name)).empty();
}

bool IsIntegerResource(std::string_view name) { return OneOf(name, kInteger) || IsExtendedResource(name); }

bool CheckResourceName(Run& run, const Node& at, std::string_view name) {
  const auto messages = format::QualifiedName(name);
  for (const std::string& message : messages) run.Invalid(at, Quote(name), message);
  if (!messages.empty()) return false;
  if (name.find('/') == name.npos && !IsStandard(name)) {
    run.Invalid(at, Quote(name), "must be a standard resource type or fully qualified");
    return false;
  }
  return true;
}

void CheckContainerResourceName(Run& run, const Node& at, std::string_view name) {
  CheckResourceName(run, at, name);
  if (name.find('/') == name.npos) {
    if (!OneOf(name, kContainer) && !IsHugePages(name)) run.Invalid(at, Quote(name), "must be a standard resource for containers");
  } else if (!IsNative(name) && !IsExtendedResource(name)) {
    run.Invalid(at, Quote(name), "doesn't follow extended resource name standard");
  }
}

void CheckQuotaResourceName(Run& run, const Node& at, std::string_view name) {
  CheckResourceName(run, at, name);
  if (name.find('/') == name.npos && !OneOf(name, kQuota) && !IsHugePages(name) && !name.starts_with("requests.hugepages-"))
    run.Invalid(at, Quote(name), "must be a standard resource for quota");
}

void CheckResourceAmount(Run& run, const Node& at, std::string_view name) {
  const Quantity amount = Amount(*at);
  if (amount.sign() < 0) run.Invalid(at, Quote(amount.Canonical()), "must be greater than or equal to 0");
  if (IsIntegerResource(name) && amount.MilliValue() % 1000 != 0) run.Invalid(at, Quote(amount.Canonical()), "must be an integer");
}

namespace {

void CheckClaims(Run& run, const Node& claims) {
  std::vector<std::string> names;
  if (run.pod_spec)
    for (const Value& claim : (*run.pod_spec)["resourceClaims"].Items()) 
      if (!claim["name"].Str().empty()) names.emplace_back(claim["name"].Str());
  std::sort(names.begin(), names.end());
  std::set<std::string> whole, parts, used;
  for (const Node& claim : claims.Items()) {
    const std::string name(claim.Str("name")), request(claim.Str("request"));
    if (name.empty()) {
      run.Required(claim);
      continue;
    }
    const std::string shown = Quote(name);
    if (!request.empty()) run.Format(claim["request"], format::Dns1123Label);
    if (whole.contains(name)) run.Add(FieldErrorType::kDuplicate, claim.path, shown, "");
    else if (request.empty() ? used.contains(name) : false) run.Add(FieldErrorType::kDuplicate, claim.path, shown, "");
    else if (!request.empty() && parts.contains(name + "/" + request)) run.Add(FieldErrorType::kDuplicate, claim.path, Quote(name + "/" + request), "");
    if (request.empty()) whole.insert(name);
    else parts.insert(name + "/" + request);
    used.insert(name);
    if (std::find(names.begin(), names.end(), name) == names.end())
      run.Add(FieldErrorType::kNotFound, claim.path, shown,
              names.empty() ? "must be one of the names in pod.spec.resourceClaims which is empty" : Cat("must be one of the names in pod.spec.resourceClaims: ", Join(names, ", ")));
  }
}

void CheckPodLevelName(Run& run, const Node& at, std::string_view name) {
  if (!CheckResourceName(run, at, name)) return;
  if (name != "cpu" && name != "memory" && !IsHugePages(name)) {
    static constexpr std::string_view kNames[] = {"cpu", "hugepages-", "memory"};
    std::string detail = "supported values: ";
    for (std::size_t i = 0; i < std::size(kNames); ++i) detail += Cat(i ? ", " : "", Quote(kNames[i]));
    run.Add(FieldErrorType::kNotSupported, at.path, Quote(name), detail);
  }
}

}  // namespace

void CheckRequirements(Run& run, const Node& resources, ResourcesOf of) {
  if (resources->is_null()) return;
  const Node limits = resources["limits"], requests = resources["requests"];
  bool compute = false, huge = false;
  const auto each = [&](const Node& list, auto&& extra) {
    for (const json::Member& member : list->Members()) {
      const Node at = list.Key(member.key);
      if (of == ResourcesOf::kPod) CheckPodLevelName(run, at, member.key);
      else CheckContainerResourceName(run, at, member.key);
      CheckResourceAmount(run, at, member.key);
      compute |= member.key == "cpu" || member.key == "memory";
      huge |= IsHugePages(member.key);
      CheckHugePages(run, at, member.key);
      extra(member.key, Amount(member.value));
    }
  };
  each(limits, [](const std::string&, const Quantity&) {});
  each(requests, [&](const std::string& name, const Quantity& amount) {
    const Value* limit = limits->Find(name);
    if (!limit) {
      if (!CanOvercommit(name)) run.Required(limits, "Limit must be set for non overcommitable resources");
      return;
    }
    const Quantity most = Amount(*limit);
    if (!CanOvercommit(name) && amount != most) run.Invalid(requests, Quote(amount.Canonical()), Cat("must be equal to ", name, " limit of ", most.Canonical()));
    else if (amount > most) run.Invalid(requests, Quote(amount.Canonical()), Cat("must be less than or equal to ", name, " limit of ", most.Canonical()));
  });
  if (huge && !compute) run.Forbidden(resources, "HugePages require cpu or memory");
  CheckClaims(run, resources["claims"]);
}

}  // namespace skerry::kube::rules
