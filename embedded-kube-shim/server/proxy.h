#pragma once
#include "embedded-kube-shim/server/rest.h"

namespace skerry::kube {

// pods/proxy, services/proxy and nodes/proxy: the request goes on to a pod, to a ready pod of a service, or to the node agent. Blocks
// its thread while the backend answers: runs on the elastic pool, which bounds how many there are (see IsProxyRequest).
void ServeProxy(Rest& rest, RestRequest request, RestDone done);

// Whether the body of this request is to be handed on as it comes.
bool IsProxyRequest(const http::Request& head);

}  // namespace skerry::kube
