#pragma once
#include "embedded-kube-shim/controllers/context.h"

namespace skerry::kube {

// "legacy-service-account-token-cleaner": secrets with tokens that were made for a service account by itself (the account lists them), that
// no pod names and that nobody has used for a year, as far as uses were recorded that long: first they are marked as invalid, a year later
// they are deleted. Looks once a day.
void AddLegacyTokens(const ControllerContext&);

}  // namespace skerry::kube
