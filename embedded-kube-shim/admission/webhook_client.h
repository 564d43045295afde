#pragma once
#include <chrono>
#include <string>

#include "core/http/client.h"
#include "embedded-kube-shim/admission/admission.h"

// Calls to webhooks: admission, conversion of custom resources, and whatever else a client configuration of the API names.
namespace skerry::kube {

// A service as something to dial: the address of any one of its ready endpoints. Errors in the words of upstream's resolver.
struct ServiceAddress {
  std::string host;         // the name to ask for and to verify: "name.namespace.svc"
  std::string connect_to;   // "address:port" behind it; empty: the host itself (an external name)
  int port = 443;           // of the service
};
Result<ServiceAddress> ResolveService(const AdmissionWorld& world, std::string_view ns, std::string_view name, int port);
// What upstream's transport says of a request that got no answer from `address`.
std::string TransportErrorText(const Error& error, const std::string& address);

// `client_config`: url or service, caBundle. Posts `review` and answers with the body as JSON. The message of an error is what follows
// "failed calling webhook …: ": `failed to call webhook: Post "https://…": context deadline exceeded`; without the first part when `subject` is empty.
Result<json::Value> CallWebhook(const Ctx& ctx, const AdmissionWorld& world, const json::Value& client_config, std::chrono::seconds timeout, const json::Value& review,
                                std::string_view subject);

}  // namespace skerry::kube
