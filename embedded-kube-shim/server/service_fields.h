#pragma once
#include <cstdint>
#include <set>

#include "embedded-kube-shim/server/engine.h"

// The fields of a Service that stand for one another, brought into line before addresses and ports are allocated. Pure functions of the objects.
namespace skerry::kube {

// An update that leaves allocated values out keeps them; ports are known by name.
void KeepAllocated(const json::Value& old, json::Value& next);
// clusterIP is the old form of clusterIPs: who writes one form only means both.
void LinkAddresses(const json::Value* old, json::Value& next);
// Family policy and families from what is given, IPv4 only being offered. kInvalid with every problem of the linked fields.
Result<> InitFamilies(const Target& target, const json::Value* old, json::Value& next);

}  // namespace skerry::kube
