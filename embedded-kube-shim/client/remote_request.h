#pragma once
#include <string>
#include <string_view>

#include "core/http/client.h"
#include "embedded-kube-shim/client/client.h"
#include "embedded-kube-shim/client/kubeconfig.h"
#include "embedded-kube-shim/client/remote_client.h"

// URLs and requests of the API, shared by the remote client and its informers.
namespace skerry::kube::remote {

// "apps/v1/deployments", "ns", "name", "status" -> "/apis/apps/v1/namespaces/ns/deployments/name/status". Empty parts are left out.
std::string PathOf(Resource resource, std::string_view ns, std::string_view name, std::string_view subresource = {});
std::string Escaped(std::string_view text);          // for a path segment or a query's value
RequestMaker RequestsTo(RemoteServer server);
Result<http::ClientRequest> NewRequest(const RequestMaker& requests, std::string_view agent, std::string method, const std::string& path_and_query);
// The error that a response other than 2xx stands for.
Error ErrorOf(const http::ClientResponse& response);

}  // namespace skerry::kube::remote
