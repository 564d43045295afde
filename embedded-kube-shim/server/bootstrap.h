#pragma once
#include "embedded-kube-shim/server/api_server.h"

namespace skerry::kube {

// What exists from the first start on. Missing objects are created, existing ones left alone (the policy is reconciled).
Result<> WriteBootstrapObjects(const Ctx& ctx, Client& client, const ApiServerOptions& options);

}  // namespace skerry::kube
