#include "embedded-kube-shim/apis/pod_resources.h"

#include <algorithm>

namespace skerry::kube {
namespace {

void RaiseTo(Quantities& floor, const Quantities& other) {
  for (const auto& [name, amount] : other) {
    const auto [at, fresh] = floor.try_emplace(name, amount);
    if (!fresh && at->second < amount) at->second = amount;
  }
}

}  // namespace

Quantities QuantitiesOf(const json::Value& resource_list) {
  Quantities out;
  for (const auto& [name, value] : resource_list.Members()) {
    const auto amount = value.is_string() ? text::Quantity::Parse(value.Str()) : text::Quantity::Parse(value.Dump());
    if (amount) out.emplace(name, *amount);
  }
  return out;
}

json::Value ToJson(const Quantities& quantities) {
  auto out = json::Value::Object();
  for (const auto& [name, amount] : quantities) out.Set(name) = amount.Canonical();
  return out;
}

void AddTo(Quantities& sum, const Quantities& more) {
  for (const auto& [name, amount] : more) {
    const auto [at, fresh] = sum.try_emplace(name, amount);
    if (!fresh) at->second += amount;
  }
}

Quantities PodResources(const json::Value& pod_spec, std::string_view which, Overhead overhead) {
  Quantities running, sidecars, starting;
  for (const auto& container : pod_spec["containers"].Items()) AddTo(running, QuantitiesOf(container["resources"][which]));
  for (const auto& container : pod_spec["initContainers"].Items()) {
    auto mine = QuantitiesOf(container["resources"][which]);
    if (container["restartPolicy"].Str() == "Always") {
      AddTo(running, mine);
      AddTo(sidecars, mine);
      RaiseTo(starting, sidecars);
    } else {
      AddTo(mine, sidecars);
      RaiseTo(starting, mine);
    }
  }
  RaiseTo(running, starting);
  for (auto& [name, amount] : QuantitiesOf(pod_spec["resources"][which])) running.insert_or_assign(name, amount);
  if (overhead == Overhead::kWithout) return running;
  for (const auto& [name, amount] : QuantitiesOf(pod_spec["overhead"])) {
    const auto at = running.find(name);
    if (at != running.end()) at->second += amount;
    else if (which == "requests") running.emplace(name, amount);   // what nobody limits stays unlimited
  }
  return running;
}

bool IsNativeResource(std::string_view name) { return name.find('/') == std::string_view::npos || name.find("kubernetes.io/") != std::string_view::npos; }

bool IsExtendedResource(std::string_view name) { return !IsNativeResource(name) && !name.starts_with("requests."); }

}  // namespace skerry::kube
