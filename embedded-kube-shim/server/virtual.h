#pragma once
#include "embedded-kube-shim/server/rest.h"

// Resources and subresources that are computed: reviews, tokens, bindings, evictions, scale.
namespace skerry::kube {

bool IsVirtual(const RestRequest& request);
void ServeVirtual(Rest& rest, RestRequest request, RestDone done);

}  // namespace skerry::kube
