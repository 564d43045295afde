#pragma once
#include <map>
#include <string>
#include <string_view>

#include "core/json/value.h"
#include "core/text/quantity.h"

// What a pod asks for in all, from its containers, its own resources and its overhead. Pure functions.
namespace skerry::kube {

using Quantities = std::map<std::string, text::Quantity, std::less<>>;

Quantities QuantitiesOf(const json::Value& resource_list);   // entries that are no quantities are left out
json::Value ToJson(const Quantities& quantities);
void AddTo(Quantities& sum, const Quantities& more);

enum class Overhead : std::uint8_t { kWithout, kWith };
// `which` is "requests" or "limits". The larger of what runs together and what any step of the start needs; what the pod itself says wins.
Quantities PodResources(const json::Value& pod_spec, std::string_view which, Overhead overhead);

bool IsNativeResource(std::string_view name);     // no domain, or one of kubernetes.io
bool IsExtendedResource(std::string_view name);   // "example.com/gpu", never "requests.example.com/gpu"

}  // namespace skerry::kube
