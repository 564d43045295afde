#pragma once
#include <functional>
#include <memory>
#include <string>

#include "embedded-kube-shim/cel/type.h"
#include "embedded-kube-shim/cel/value.h"

// `authorizer` and `authorizer.requestResource`: expressions build a check, the hook decides it.
namespace skerry::kube::cel {

struct AccessCheck {
  std::string service_account_ns, service_account;   // empty = the user of the request
  std::string path;                                  // not empty: a check of a path
  std::string group, resource, subresource, ns, name, verb;
  std::string field_selector, label_selector;
};

struct AccessDecision {
  bool allowed = false;
  std::string reason, error;
};

using AuthorizeHook = std::function<AccessDecision(const AccessCheck&)>;

Val AuthorizerValue(std::shared_ptr<const AuthorizeHook> hook);
// The resource of the request itself; verb and selectors are still open.
Val ResourceCheckValue(std::shared_ptr<const AuthorizeHook> hook, AccessCheck resource);
TypePtr AuthorizerType();
TypePtr ResourceCheckType();

}  // namespace skerry::kube::cel
