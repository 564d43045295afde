#pragma once
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "core/json/value.h"
#include "embedded-kube-shim/auth/rbac.h"
#include "embedded-kube-shim/client/client.h"

// Node agents: "system:node:<name>" in the group system:nodes. An agent reads what its node's pods refer to and nothing else.
namespace skerry::kube {

struct NodeName {
  bool is_node = false;
  std::string name;                  // empty: the user name carries none
};
NodeName NodeIdentity(const User& user);

// Names, in the pod's namespace, of what a pod refers to.
struct PodReferences {
  explicit PodReferences(const json::Value& pod);
  std::set<std::string, std::less<>> secrets, config_maps, claims, resource_claims;
  std::string service_account;
};

// Thread-safe; answers from the caches of `informers`.
std::unique_ptr<Authorizer> NewNodeAuthorizer(Informers& informers);

}  // namespace skerry::kube
