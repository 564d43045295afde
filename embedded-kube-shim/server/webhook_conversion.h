#pragma once
#include <memory>

#include "embedded-kube-shim/admission/admission.h"
#include "embedded-kube-shim/api/resource_def.h"

namespace skerry::kube {

// Conversion of custom resources by a webhook; null when `crd` converts by renaming. `world` outlives it.
std::shared_ptr<const VersionConversion> NewWebhookConversion(const AdmissionWorld& world, const json::Value& crd);

}  // namespace skerry::kube
