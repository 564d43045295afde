#pragma once
#include "embedded-kube-shim/server/rest.h"

// Admission of requests that open a connection: exec, attach, portforward and the proxies.
namespace skerry::kube {

// Asks the plugins that handle CONNECT, with the request's query as the options object of the subresource's kind (PodExecOptions, …).
// What a mutating plugin makes of the options is shown to the plugins after it; the connection itself follows the query.
// May block: webhooks are called.
Result<> AdmitConnect(Rest& rest, const RestRequest& request);

}  // namespace skerry::kube
