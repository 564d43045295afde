#pragma once
#include "embedded-kube-shim/controllers/context.h"

namespace skerry::kube {

// Says in the status of flow schemas whether their priority level exists. "api-priority-and-fairness-config-consumer-v1"
void AddFlowSchemaStatus(const ControllerContext&);

}  // namespace skerry::kube
