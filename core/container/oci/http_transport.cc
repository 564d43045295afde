#include "core/base/strings.h"
#include "core/container/oci/plain_transport.h"
#include "core/http/client.h"

namespace skerry::container::oci {
namespace {

class HttpTransport final : public Transport {
 public:
  Result<TransportResponse> Do(const Ctx& ctx, const TransportRequest& request, const Sink& sink) override {
    http::ClientRequest out;
    out.method = request.method;
    out.url = request.url;
    for (const auto& [name, value] : request.headers) out.headers.push_back({name, value});
    out.body = request.body;
    out.max_redirects = 5;   // blobs live in object stores; credentials do not follow there
    TRY(const auto answer, http::Client::Shared().Stream(
                               ctx, out, [](const http::ClientResponse&) -> Result<> { return {}; },
                               [&](std::string_view piece) -> Result<> {
                                 if (!sink(piece)) return Fail(Code::kCancelled, "receiver stopped");
                                 return {};
                               }));
    TransportResponse response{.status = answer.status};
    for (const http::Header& h : answer.headers) response.headers[ToLower(h.name)] = h.value;
    return response;
  }
};

}  // namespace

std::shared_ptr<Transport> MakeHttpTransport() { return std::make_shared<HttpTransport>(); }

}  // namespace skerry::container::oci
