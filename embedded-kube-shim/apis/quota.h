#pragma once
#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json/value.h"
#include "embedded-kube-shim/apis/pod_resources.h"

// What objects cost in terms of a ResourceQuota. Admission charges new objects with it, the controller counts what is there. Pure functions.
namespace skerry::kube::quota {

// The kind of an object in the group and plural of its resource.
struct Counted {
  std::string_view group, resource;
  bool operator==(const Counted&) const = default;
};

enum class Charged : std::uint8_t { kNever, kOnCreate, kOnCreateAndUpdate, kOnResize };
// When a write of this (sub)resource may raise the usage.
bool IsCharged(const Counted& what, std::string_view subresource, bool is_update);

// "count/deployments.apps", "count/pods".
std::string CountName(const Counted& what);
// Of `names` those that objects of this kind use up.
std::vector<std::string> MatchingNames(const Counted& what, std::span<const std::string> names);

// Does the quota speak of this object: one of its hard limits and all of its scopes match.
bool Matches(const json::Value& quota, const Counted& what, const json::Value& object);
// What the object uses. `now` decides whether a pod whose grace has passed still counts.
Quantities Usage(const Counted& what, const json::Value& object, std::chrono::system_clock::time_point now);
// Why a pod may not exist under limits of `names` ("must specify limits.cpu for: c"); empty = it may.
std::string MissingAmounts(const Counted& what, std::span<const std::string> names, const json::Value& object);

// Names of `quantities` / `list` in order.
std::vector<std::string> NamesOf(const Quantities& quantities);
Quantities Mask(const Quantities& quantities, std::span<const std::string> names);
std::string Print(const Quantities& quantities);   // "pods=1,requests.cpu=300m"

// The resources that the names of quotas may stand for, apart from pods, services, claims and resource claims: "count/x.group" and the old
// names of some ("secrets"). nullopt: no such name.
std::optional<std::pair<std::string, std::string>> ResourceOfCount(std::string_view name);   // group, resource

}  // namespace skerry::kube::quota
