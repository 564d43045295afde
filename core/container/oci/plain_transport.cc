#include "core/container/oci/plain_transport.h"

#include "core/base/strings.h"
#include "core/container/wire/http.h"

namespace skerry::container::oci {
namespace {

constexpr int kRedirects = 5;

struct Url {
  std::string authority, host, port, target;
};

std::optional<Url> ParseHttpUrl(std::string_view text) {
  if (!text.starts_with("http://")) return std::nullopt;
  text.remove_prefix(7);
  Url url;
  const std::size_t slash = text.find_first_of("/?");
  url.authority = text.substr(0, slash);
  url.target = slash == std::string_view::npos ? "/" : std::string(text.substr(slash));
  if (url.target.front() == '?') url.target.insert(0, "/");
  const std::size_t colon = url.authority.rfind(':');
  const bool has_port = colon != std::string::npos && url.authority.find(']', colon) == std::string::npos;
  url.host = url.authority.substr(0, has_port ? colon : std::string::npos);
  url.port = has_port ? url.authority.substr(colon + 1) : "80";
  if (url.host.starts_with('[') && url.host.ends_with(']')) url.host = url.host.substr(1, url.host.size() - 2);
  if (url.host.empty() || url.authority.find('@') != std::string::npos) return std::nullopt;
  return url;
}

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(std::shared_ptr<Transport> other) : other_(std::move(other)) {}

  Result<TransportResponse> Do(const Ctx& ctx, const TransportRequest& request, const Sink& sink) override {
    TransportRequest current = request;
    for (int i = 0; i <= kRedirects; ++i) {
      const auto url = ParseHttpUrl(current.url);
      if (!url) return Other(ctx, current, sink);
      wire::Request wire_request{.method = current.method, .target = url->target, .host = url->authority, .headers = current.headers, .body = current.body};
      TRY(const auto connection, wire::DialTcp(ctx, url->host, url->port));
      TRY(auto response, wire::Exchange(ctx, connection, wire_request, sink));
      const bool redirect = response.status == 301 || response.status == 302 || response.status == 303 || response.status == 307 || response.status == 308;
      if (!redirect || response.headers["location"].empty()) return TransportResponse{response.status, std::move(response.headers), std::move(response.refusal)};
      const std::string location = response.headers["location"];
      const std::string next = location.starts_with('/') ? Cat("http://", url->authority, location) : location;
      const auto target = ParseHttpUrl(next);
      if (!target || target->authority != url->authority) {   // another host gets no credentials
        std::erase_if(current.headers, [](const auto& h) { return EqualsIgnoreCase(h.first, "Authorization"); });
      }
      current.url = next;
    }
    return Fail(Code::kUnavailable, "too many redirects from " + request.url);
  }

 private:
  Result<TransportResponse> Other(const Ctx& ctx, const TransportRequest& request, const Sink& sink) {
    if (other_ == nullptr) return Fail(Code::kUnsupported, "no transport for " + request.url);
    return other_->Do(ctx, request, sink);
  }
  const std::shared_ptr<Transport> other_;
};

}  // namespace

std::shared_ptr<Transport> MakePlainTransport(std::shared_ptr<Transport> other) { return std::make_shared<PlainTransport>(std::move(other)); }

}  // namespace skerry::container::oci
