#pragma once
#include "embedded-kube-shim/controllers/context.h"

namespace skerry::kube {

// The field manager of the status, and the name of the client that acts as "validatingadmissionpolicy-status-controller".
inline constexpr const char* kPolicyStatusClient = "validatingadmissionpolicy-status";

// Says in the status of a ValidatingAdmissionPolicy what of its expressions cannot be right for the resources that it is about.
void AddPolicyStatus(const ControllerContext& c);

// status.typeChecking.expressionWarnings of a policy; null when there is nothing to warn of.
json::Value ExpressionWarnings(const Registry& registry, const json::Value& policy);

}  // namespace skerry::kube
