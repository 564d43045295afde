#include <algorithm>
#include <map>

#include "core/base/strings.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/apis/rules_shared.h"
#include "embedded-kube-shim/apis/same_value.h"
#include "embedded-kube-shim/cel/device_selector.h"

// Dynamic resource allocation.
namespace skerry::kube::rules {
namespace {

using json::Value;
using text::Quantity;

bool Limit(Run& run, const Node& list, std::size_t most) {
  if (list.size() <= most) return true;
  run.TooMany(list, most);
  return false;
}

void CheckQualified(Run& run, const Node& at, std::string_view name, bool fully) {
  const auto say = [&](std::string_view value, std::string message) { run.Add(FieldErrorType::kInvalid, at.path, Quote(value), std::move(message)); };
  const auto parts = Split(name, '/');
  const auto check_name = [&](std::string_view part) {
    if (part.size() > 32) run.TooLong(at, 32);
    for (const std::string& message : format::CIdentifier(part)) say(part, message);
  };
  if (parts.size() == 1) {
    check_name(parts[0]);
    if (fully) say(name, "a fully qualified name must be a domain and a name separated by a slash");
  } else if (parts.size() == 2) {
    if (parts[0].empty()) say(parts[0], "the domain must not be empty");
    else {
      if (parts[0].size() > 63) run.TooLong(at, 63);
      for (const std::string& message : format::Dns1123Subdomain(ToLower(parts[0]))) say(parts[0], message);
    }
    if (parts[1].empty()) say(parts[1], "the name must not be empty");
    else check_name(parts[1]);
  }
}

void CheckSelectorExpression(Run& run, const Node& expression) {
  constexpr std::uint64_t kMostCost = 1'000'000;
  const auto program = cel::CompileDeviceSelector(expression->Str());
  if (!program) run.Invalid(expression, Quote(expression->Str()), std::string(program.error().message()));
  else if ((*program)->estimate().max > kMostCost) run.Forbidden(expression, "too complex, exceeds cost limit");
}

void CheckSelectors(Run& run, const Node& selectors) {
  if (!Limit(run, selectors, 32)) return;
  for (const Node& selector : selectors.Items()) {
    if (selector["cel"]->is_null()) run.Required(selector["cel"]);
    else if (selector["cel"].Str("expression").size() > 10240) run.TooLong(selector["cel"]["expression"], 10240);
    else CheckSelectorExpression(run, selector["cel"]["expression"]);
  }
}

void CheckDeviceTolerations(Run& run, const Node& tolerations) {
  if (!Limit(run, tolerations, 16)) return;
  for (const Node& toleration : tolerations.Items()) {
    if (!toleration.Str("key").empty()) run.Format(toleration["key"], format::QualifiedName);
    const std::string_view op = toleration.Str("operator");
    if (op == "Exists") {
      if (!toleration.Str("value").empty()) run.Invalid(toleration["value"], "must be empty for operator `Exists`");
    } else if (op == "Equal") {
      run.Format(toleration["value"], format::LabelValue);
    } else if (op.empty()) {
      run.Required(toleration["operator"]);
    } else {
      run.NotSupported(toleration["operator"], {"Equal", "Exists"});
    }
    if (!toleration.Str("effect").empty()) run.Enum(toleration["effect"], {"NoExecute", "NoSchedule", "None"});
  }
}

void CheckRequest(Run& run, const Node& request) {
  run.RequiredFormat(request["deviceClassName"], format::Dns1123Subdomain);
  CheckSelectors(run, request["selectors"]);
  const std::string_view mode = request.Str("allocationMode");
  const Node count = request["count"];
  if (mode == "All") {
    if (count->Int() != 0) run.Invalid(count, "must not be specified when allocationMode is 'All'");
  } else if (mode == "ExactCount") {
    if (count->Int() <= 0) run.Invalid(count, "must be greater than zero");
  } else {
    run.NotSupported(request["allocationMode"], {"All", "ExactCount"});
  }
  CheckDeviceTolerations(run, request["tolerations"]);
  for (const json::Member& member : request["capacity"]["requests"]->Members()) CheckQualified(run, request["capacity"]["requests"], member.key, false);
}

struct Names { std::set<std::string> requests; std::map<std::string, std::set<std::string>> children; };

void CheckRequestName(Run& run, const Node& at, const Names& names) {
  constexpr const char* kText = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
  const auto parts = Split(at->Str(), '/');
  if (parts.size() > 2) return run.Invalid(at, kText);
  for (std::string_view part : parts)
    for (const std::string& message : format::Dns1123Label(part)) run.Invalid(at, Quote(part), message);
  const std::string request(parts[0]);
  const bool known = names.requests.contains(request) &&
                     (parts.size() == 1 || (names.children.contains(request) && names.children.at(request).contains(std::string(parts[1]))));
  if (!known) run.Invalid(at, kText);
}

void CheckRequestNames(Run& run, const Node& list, const Names& names) {
  if (!Limit(run, list, 32)) return;
  std::set<std::string> seen;
  std::vector<Node> repeated;
  for (const Node& item : list.Items()) {
    CheckRequestName(run, item, names);
    if (!seen.insert(std::string(item->Str())).second) repeated.push_back(item);
  }
  for (const Node& item : repeated) run.Duplicate(item);
}

void CheckOpaque(Run& run, const Node& opaque) {
  if (opaque->is_null()) return run.Required(opaque);
  CheckCsiDriverName(run, opaque["driver"]);
  const Node parameters = opaque["parameters"];
  if (parameters->is_null()) return run.Required(parameters);
  if (parameters->Dump().size() > 10240) return run.TooLong(parameters, 10240);
  if (!parameters->is_object()) run.Add(FieldErrorType::kInvalid, parameters.path, "\"<value omitted>\"", "must be a valid JSON object");
}

Names NamesOf(const Node& requests) {
  Names names;
  for (const Node& request : requests.Items()) {
    const std::string name(request.Str("name"));
    names.requests.insert(name);
    for (const Node& sub : request["firstAvailable"].Items()) names.children[name].insert(std::string(sub.Str("name")));
  }
  return names;
}

void CheckDevices(Run& run, const Node& devices) {
  const Node requests = devices["requests"];
  const Names names = NamesOf(requests);
  if (Limit(run, requests, 32)) {
    std::set<std::string> seen;
    std::vector<Node> repeated;
    for (const Node& request : requests.Items()) {
      run.Format(request["name"], format::Dns1123Label);
      const Node exactly = request["exactly"], first = request["firstAvailable"];
      const bool exact = !exactly->is_null(), list = first.size() > 0;
      if (!exact && !list) run.Required(request, "exactly one of `exactly` or `firstAvailable` is required");
      if (exact && list) run.Add(FieldErrorType::kInvalid, request.path, "null", "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set");
      else if (exact) CheckRequest(run, exactly);
      else if (list && Limit(run, first, 8)) {
        std::set<std::string> subs;
        std::vector<Node> twice;
        for (const Node& sub : first.Items()) {
          run.Format(sub["name"], format::Dns1123Label);
          CheckRequest(run, sub);
          if (!subs.insert(std::string(sub.Str("name"))).second) twice.push_back(sub);
        }
        for (const Node& sub : twice) run.Add(FieldErrorType::kDuplicate, sub.path, Quote(sub.Str("name")), "");
      }
      if (!seen.insert(std::string(request.Str("name"))).second) repeated.push_back(request);
    }
    for (const Node& request : repeated) run.Add(FieldErrorType::kDuplicate, request.path, Quote(request.Str("name")), "");
  }
  if (const Node constraints = devices["constraints"]; Limit(run, constraints, 32))
    for (const Node& constraint : constraints.Items()) {
      CheckRequestNames(run, constraint["requests"], names);
      const Node match = constraint["matchAttribute"], distinct = constraint["distinctAttribute"];
      if (!match->is_null()) CheckQualified(run, match, match->Str(), true);
      else if (!distinct->is_null()) CheckQualified(run, distinct, distinct->Str(), true);
      else run.Required(constraint, "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set");
    }
  if (const Node config = devices["config"]; Limit(run, config, 32))
    for (const Node& item : config.Items()) {
      CheckRequestNames(run, item["requests"], names);
      CheckOpaque(run, item["opaque"]);
    }
}

void ClaimSpec(Run& run, const Node& spec) {
  if (!run.updating()) CheckDevices(run, spec["devices"]);
}

void ClaimStatus(Run& run, const Node& claim) {
  const Node reserved = claim["status"]["reservedFor"], allocation = claim["status"]["allocation"];
  if (!Limit(run, reserved, 256)) return;
  for (const Node& consumer : reserved.Items())
    for (std::string_view field : {"resource", "name", "uid"})
      if (consumer.Str(field).empty()) run.Required(consumer[field]);
  std::set<std::string> seen;
  for (const Node& consumer : reserved.Items())
    if (!seen.insert(std::string(consumer.Str("uid"))).second) run.Add(FieldErrorType::kDuplicate, consumer.path, Quote(consumer.Str("uid")), {});
  if (reserved.size() > 0) {
    if (allocation->is_null()) run.Forbidden(reserved, "may not be specified when `allocated` is not set");
    else if (!claim->At({"metadata", "deletionTimestamp"}).is_null())
      for (const Value& consumer : reserved->Items()) {
        const auto& before = reserved.old->Items();
        if (std::any_of(before.begin(), before.end(), [&](const Value& known) { return known == consumer; })) continue;
        run.Forbidden(reserved, "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set");
        break;
      }
  }
  if (!allocation->is_null() && !allocation.old->is_null() && !Unchanged(allocation)) run.Invalid(allocation, "field is immutable");
}

void ClaimTemplate(Run& run, const Node& spec) {
  CheckTemplateMetadata(run, spec["metadata"]);
  CheckDevices(run, spec["spec"]["devices"]);
}

void DeviceClass(Run& run, const Node& spec) {
  CheckSelectors(run, spec["selectors"]);
  if (const Node config = spec["config"]; Limit(run, config, 32))
    for (const Node& item : config.Items()) CheckOpaque(run, item["opaque"]);
  if (const Node name = spec["extendedResourceName"]; !name->is_null() && !IsExtendedResource(name->Str())) run.Invalid(name, "must be a valid extended resource name");
}

bool IsSemver(std::string_view text) {
  const auto plus = text.find('+');
  const std::string_view build = plus == text.npos ? "" : text.substr(plus + 1);
  std::string_view core = text.substr(0, plus);
  const auto dash = core.find('-');
  const std::string_view pre = dash == core.npos ? "" : core.substr(dash + 1);
  const auto identifiers = [](std::string_view list, bool numeric_strict) {
    for (std::string_view part : Split(list, '.')) {
      if (part.empty() || part.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") != part.npos) return false;
      if (numeric_strict && part.size() > 1 && part[0] == '0' && part.find_first_not_of("0123456789") == part.npos) return false;
    }
    return true;
  };
  if ((plus != text.npos && !identifiers(build, false)) || (dash != core.npos && !identifiers(pre, true))) return false;
  const auto numbers = Split(core.substr(0, dash), '.');
  if (numbers.size() != 3) return false;
  for (std::string_view number : numbers)
    if (number.empty() || number.find_first_not_of("0123456789") != number.npos || (number.size() > 1 && number[0] == '0')) return false;
  return true;
}

void CheckAttribute(Run& run, const Node& attribute) {
  int count = 0;
  for (std::string_view field : {"bool", "int", "string", "version"}) count += !attribute[field]->is_null();
  if (const Node text = attribute["string"]; !text->is_null() && text->Str().size() > 64) run.TooLong(text, 64);
  if (const Node version = attribute["version"]; !version->is_null()) {
    if (!IsSemver(version->Str())) run.Invalid(version, "must be a string compatible with semver.org spec 2.0.0");
    if (version->Str().size() > 64) run.TooLong(version, 64);
  }
  if (count == 0) run.Invalid(attribute, "\"\"", "exactly one value must be specified");
  if (count > 1) {
    const Value& v = *attribute;
    const auto shown = [&](std::string_view field) { return v[field].is_null() ? std::string("null") : v[field].Dump(); };
    run.Invalid(attribute, Cat("{\"IntValue\":", shown("int"), ",\"BoolValue\":", shown("bool"), ",\"StringValue\":", shown("string"), ",\"VersionValue\":", shown("version"),
                               ",\"IntValues\":null,\"BoolValues\":null,\"StringValues\":null,\"VersionValues\":null}"),
                "exactly one value must be specified");
  }
}

void CheckTaint(Run& run, const Node& taint) {
  run.Format(taint["key"], format::QualifiedName);
  if (!taint.Str("value").empty()) run.Format(taint["value"], format::LabelValue);
  if (taint.Str("effect").empty()) run.Required(taint["effect"]);
  else run.Enum(taint["effect"], {"NoExecute", "NoSchedule", "None"});
}

void CheckCounters(Run& run, const Node& counters) {
  if (counters.size() == 0) return run.Required(counters);
  if (!Limit(run, counters, 32)) return;
  for (const json::Member& member : counters->Members())
    for (const std::string& message : format::Dns1123Label(member.key)) run.Add(FieldErrorType::kInvalid, counters.path, Quote(member.key), message);
}

void CheckNodeChoice(Run& run, const Node& owner, std::initializer_list<std::string_view> fields, const std::string& required) {
  std::vector<std::string> set;
  for (std::string_view field : fields)
    if (!owner[field]->is_null() && !(owner[field]->is_bool() && !owner[field]->Bool()) && !(owner[field]->is_string() && owner[field]->Str().empty())) set.push_back(Cat("`", field, "`"));
  if (set.empty()) run.Required(owner, required);
  if (set.size() > 1) run.Invalid(owner, Quote(Cat("{", Join(set, ", "), "}")), Cat(required, ", but multiple fields are set"));
}

void CheckOneNode(Run& run, const Node& owner) {
  if (const Node selector = owner["nodeSelector"]; !selector->is_null()) {
    CheckNodeSelector(run, selector);
    if (selector["nodeSelectorTerms"].size() != 1) run.Invalid(selector["nodeSelectorTerms"], "must have exactly one node selector term");
  }
  if (const Node all = owner["allNodes"]; !all->is_null() && !all->Bool()) run.Invalid(all, "must be either unset or set to true");
}

void CheckConditions(Run& run, const Node& device) {
  const Node binding = device["bindingConditions"], failure = device["bindingFailureConditions"];
  std::set<std::string> own;
  for (const Node& list : {binding, failure}) {
    if (!Limit(run, list, 4)) continue;
    std::set<std::string> seen;
    for (const Node& item : list.Items()) {
      run.Format(item, format::QualifiedName);
      if (!seen.insert(std::string(item->Str())).second) run.Duplicate(item);
      if (list.path == failure.path && own.contains(std::string(item->Str()))) run.Invalid(item, "bindingFailureConditions must not overlap with bindingConditions");
    }
    if (list.path == binding.path) own = seen;
  }
  if (failure.size() > 0 && binding.size() == 0) run.Invalid(binding, "bindingConditions are required to use bindingFailureConditions");
  if (binding.size() > 0 && failure.size() == 0) run.Invalid(failure, "bindingFailureConditions are required to use bindingConditions");
}

Quantity Amount(const Value& value) { return Quantity::Parse(value.Str("0")).value_or(Quantity()); }
std::string Shown(const Quantity& quantity) { return Quote(quantity.Canonical()); }

void CheckValidValues(Run& run, const Node& values, const Quantity& capacity, const Value& fallback) {
  if (values.size() > 10) run.TooMany(values, 10);
  std::set<std::int64_t> seen;
  bool found = false;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Node at = values.At(i);
    const Quantity value = Amount(*at);
    if (i > 0 && value < Amount(values->Items()[i - 1])) run.Invalid(at, Shown(value), "values must be sorted in ascending order");
    if (value > capacity) run.Invalid(at, Shown(value), Cat("option is larger than capacity value: ", capacity.Canonical()));
    if (!seen.insert(value.Value()).second) run.Add(FieldErrorType::kDuplicate, at.path, Quote(std::to_string(value.Value())), "");
    found |= value == Amount(fallback);
  }
  if (!found && !fallback.is_null()) run.Invalid(values, Shown(Amount(fallback)), "default value is not valid according to the requestPolicy");
}

void CheckValidRange(Run& run, const Node& range, const Quantity& capacity, const Value& fallback) {
  const Node min = range["min"], max = range["max"], step = range["step"];
  if (min->is_null()) return run.Required(min, "required when validRange is defined");
  const Quantity low = Amount(*min), start = Amount(fallback);
  if (low > capacity) run.Invalid(min, Shown(low), Cat("min is larger than capacity value: ", capacity.Canonical()));
  if (!fallback.is_null() && start < low) run.Invalid(min, Shown(start), Cat("default is less than min: ", low.Canonical()));
  const Quantity high = Amount(*max);
  if (!max->is_null()) {
    if (low > high) run.Invalid(max, Shown(low), Cat("min is larger than max: ", high.Canonical()));
    if (high > capacity) run.Invalid(max, Shown(high), Cat("max is larger than capacity value: ", capacity.Canonical()));
    if (!fallback.is_null() && start > high) run.Invalid(max, Shown(start), Cat("default is more than max: ", high.Canonical()));
  }
  if (step->is_null()) return;
  const Quantity one = Amount(*step);
  if (low + one > capacity) run.Invalid(step, Shown(one), Cat("one step ", (low + one).Canonical(), " is larger than capacity value: ", capacity.Canonical()));
  if (one.Value() == 0) return;
  const auto aligned = [&](const Quantity& value) {
    if ((value.Value() - low.Value()) % one.Value() != 0)
      run.Invalid(step, Shown(value), Cat("value is not a multiple of a given step (", one.Canonical(), ") from (", low.Canonical(), ")"));
  };
  if (!fallback.is_null()) aligned(start);
  if (!max->is_null()) aligned(high);
}

void CheckCapacity(Run& run, const Node& device, const Node& capacity) {
  const Node policy = capacity["requestPolicy"];
  if (policy->is_null()) return;
  if (!(*device)["allowMultipleAllocations"].Bool()) run.Forbidden(policy, "allowMultipleAllocations must be true");
  const Node fallback = policy["default"], values = policy["validValues"], range = policy["validRange"];
  if (values.size() > 0 && !range->is_null()) run.Forbidden(policy, "exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the same time");
  if (fallback->is_null()) {
    if (values.size() > 0) run.Required(fallback, "required when validValues is defined");
    else if (!range->is_null()) run.Required(fallback, "required when validRange is defined");
  }
  const Quantity total = Amount((*capacity)["value"]);
  if (values.size() > 0) CheckValidValues(run, values, total, *fallback);
  if (!range->is_null()) CheckValidRange(run, range, total, *fallback);
}

void CheckDevice(Run& run, const Node& device, bool per_device) {
  run.Format(device["name"], format::Dns1123Label);
  const Node attributes = device["attributes"], capacity = device["capacity"];
  const std::size_t total = attributes.size() + capacity.size();
  if (total > 32) run.Invalid(device, std::to_string(total), "the total number of attributes and capacities must not exceed 32");
  for (const json::Member& member : attributes->Members()) {
    CheckQualified(run, attributes, member.key, false);
    CheckAttribute(run, attributes.Key(member));
  }
  for (const json::Member& member : capacity->Members()) {
    CheckQualified(run, capacity, member.key, false);
    CheckCapacity(run, device, capacity.Key(member));
  }
  if (const Node taints = device["taints"]; Limit(run, taints, 16))
    for (const Node& taint : taints.Items()) CheckTaint(run, taint);
  if (const Node counters = device["consumesCounters"]; Limit(run, counters, 2)) {
    std::set<std::string> seen;
    for (const Node& counter : counters.Items()) {
      run.RequiredFormat(counter["counterSet"], format::Dns1123Label);
      CheckCounters(run, counter["counters"]);
      if (!seen.insert(std::string(counter.Str("counterSet"))).second) run.Add(FieldErrorType::kDuplicate, counter.path, Quote(counter.Str("counterSet")), "");
    }
  }
  if (per_device) {
    if (const Node name = device["nodeName"]; !name->is_null()) {
      if (name->Str().empty()) run.Invalid(name, "must not be empty");
      else run.Format(name, format::Dns1123Subdomain);
    }
    CheckOneNode(run, device);
    CheckNodeChoice(run, device, {"nodeName", "nodeSelector", "allNodes"},
                    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec");
  } else if (!device["nodeName"]->is_null() || !device["nodeSelector"]->is_null() || !device["allNodes"]->is_null()) {
    run.Add(FieldErrorType::kInvalid, device.path, "null", "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec");
  }
  CheckConditions(run, device);
}

void CheckPool(Run& run, const Node& pool) {
  const Node name = pool["name"];
  if (name->Str().empty()) run.Required(name);
  else {
    if (name->Str().size() > 253) run.TooLong(name, 253);
    for (std::string_view part : Split(name->Str(), '/'))
      for (const std::string& message : format::Dns1123Subdomain(part)) run.Invalid(name, Quote(part), message);
  }
  if (pool["resourceSliceCount"]->Int() <= 0) run.Invalid(pool["resourceSliceCount"], "must be greater than zero");
  if (pool["generation"]->Int() < 0) run.Invalid(pool["generation"], "must be greater than or equal to zero");
}

void ResourceSlice(Run& run, const Node& spec) {
  CheckCsiDriverName(run, spec["driver"]);
  CheckPool(run, spec["pool"]);
  if (run.updating()) {
    run.Immutable(spec["pool"]["name"]);
    run.Immutable(spec["driver"]);
    run.Immutable(spec["nodeName"]);
  }
  if (const Node name = spec["nodeName"]; !name->is_null()) {
    if (name->Str().empty()) run.Invalid(name, "must be either unset or set to a non-empty string");
    else run.Format(name, format::Dns1123Subdomain);
  }
  CheckOneNode(run, spec);
  if (const Node per = spec["perDeviceNodeSelection"]; !per->is_null() && !per->Bool()) run.Invalid(per, "must be either unset or set to true");
  CheckNodeChoice(run, spec, {"nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"},
                  "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required");
  const Node devices = spec["devices"], shared = spec["sharedCounters"];
  if (devices.size() > 0 && shared.size() > 0) run.Invalid(spec, "\"\"", "only one of `sharedCounters` or `devices` is allowed");
  bool heavy = false;
  for (const Value& device : devices->Items()) heavy = heavy || device["taints"].size() > 0 || device["consumesCounters"].size() > 0;
  if (Limit(run, devices, heavy ? 64 : 128)) {
    std::set<std::string> names;
    std::vector<Node> repeated;
    for (const Node& device : devices.Items()) {
      CheckDevice(run, device, (*spec)["perDeviceNodeSelection"].Bool());
      if (!names.insert(std::string(device.Str("name"))).second) repeated.push_back(device);
    }
    for (const Node& device : repeated) run.Add(FieldErrorType::kDuplicate, device.path, Quote(device.Str("name")), "");
  }
  if (!Limit(run, shared, 8)) return;
  std::set<std::string> names;
  for (const Node& set : shared.Items()) {
    run.RequiredFormat(set["name"], format::Dns1123Label);
    CheckCounters(run, set["counters"]);
    if (!names.insert(std::string(set.Str("name"))).second) run.Add(FieldErrorType::kDuplicate, set.path, Quote(set.Str("name")), "");
  }
}

}  // namespace

std::span<const NamedCall> DraCalls() {
  static constexpr NamedCall kCalls[] = {{"ClaimSpec", ClaimSpec}, {"ClaimStatus", ClaimStatus}, {"ClaimTemplate", ClaimTemplate}, {"DeviceClass", DeviceClass}, {"ResourceSlice", ResourceSlice}};
  return kCalls;
}

}  // namespace skerry::kube::rules
