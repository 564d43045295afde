#pragma once
#include <set>
#include <string>

#include "core/base/result.h"
#include "core/json/value.h"

namespace skerry::kube::node {

// The pod network as the agent needs it: implemented over core/podnet in wire.cc, faked in tests. Blocking, thread-safe, idempotent by
// sandbox id.
class PodNetwork {
 public:
  virtual ~PodNetwork() = default;
  // Gives the sandbox its address and opens the pod's host ports; returns the address. kConflict: a host port is taken.
  virtual Result<std::string> Attach(const std::string& sandbox, const std::string& netns_path, const json::Value& pod) = 0;
  virtual Result<> Detach(const std::string& sandbox) = 0;
  virtual std::string AddressOf(const std::string& sandbox) const = 0;      // empty when unknown
  virtual Result<> RetainOnly(const std::set<std::string>& sandboxes) = 0;
};

}  // namespace skerry::kube::node
