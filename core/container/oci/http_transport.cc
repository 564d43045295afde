#include "core/base/strings.h"
#include "core/container/oci/plain_transport.h"
#include "core/http/client.h"

namespace skerry::container::oci {
namespace {

constexpr std::size_t kRefusalLimit = 64 << 10;

class HttpTransport final : public Transport {
 public:
  Result<TransportResponse> Do(const Ctx& ctx, const TransportRequest& request, const Sink& sink) override {
    http::ClientRequest out;
    out.method = request.method;
    out.url = request.url;
    for (const auto& [name, value] : request.headers) out.headers.push_back({name, value});
    out.body = request.body;
    out.max_redirects = 5;   // blobs live in object stores; credentials do not follow there
    TransportResponse response;
    const auto on_head = [&](const http::ClientResponse& head) -> Result<> {
      response.status = head.status;
      return {};
    };
    const auto on_body = [&](std::string_view piece) -> Result<> {
      if (response.status / 100 != 2) response.refusal.append(piece.substr(0, kRefusalLimit - std::min(kRefusalLimit, response.refusal.size())));
      else if (!sink(piece)) return Fail(Code::kCancelled, "receiver stopped");
      return {};
    };
    TRY(const auto answer, http::Client::Shared().Stream(ctx, out, on_head, on_body));
    response.status = answer.status;
    for (const http::Header& h : answer.headers) response.headers[ToLower(h.name)] = h.value;
    return response;
  }
};

}  // namespace

std::shared_ptr<Transport> MakeHttpTransport() { return std::make_shared<HttpTransport>(); }

}  // namespace skerry::container::oci
