#include "embedded-kube-shim/server/stream/upgrade.h"

#include <algorithm>
#include <array>

#include "core/base/strings.h"
#include "core/http/websocket.h"
#include "embedded-kube-shim/api/status.h"

namespace skerry::kube::stream {
namespace {

constexpr std::array<std::string_view, 6> kExecProtocols = {"v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io", "base64.channel.k8s.io", ""};
constexpr std::string_view kTunnel = "SPDY/3.1+portforward.k8s.io";
constexpr std::array<std::string_view, 6> kForwardProtocols = {kTunnel, "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io", "base64.channel.k8s.io", ""};
constexpr std::string_view kForward = "portforward.k8s.io";

bool WantsSpdy(const http::Request& r) {
  return EqualsIgnoreCase(r.Get("Upgrade"), "SPDY/3.1") && ToLower(r.Get("Connection")).find("upgrade") != std::string::npos;
}

std::vector<std::string> Offers(const http::Request& r) {
  std::vector<std::string> out;
  for (const http::Header& h : r.headers) {
    if (!EqualsIgnoreCase(h.name, "X-Stream-Protocol-Version")) continue;
    for (const std::string_view v : Split(h.value, ',')) out.emplace_back(Trim(v));
  }
  return out;
}

Upgrade Named(std::string_view protocol) {
  Upgrade u;
  u.base64 = protocol.find("base64") != std::string_view::npos;
  u.version = protocol.starts_with("v5") ? 5 : protocol.starts_with("v4") ? 4 : 1;
  return u;
}

Result<Upgrade> OverWebSocket(const http::Request& r, std::span<const std::string_view> supported) {
  TRY(http::WebSocketAccept accept, http::AcceptWebSocket(r, supported));
  Upgrade u = Named(accept.protocol);
  if (accept.protocol == kTunnel) u.carrier = Upgrade::Carrier::kSpdyInWebSocket;
  u.headers = std::move(accept.headers);
  return u;
}

Upgrade OverSpdy(std::string_view protocol) {
  Upgrade u = Named(protocol);
  u.carrier = Upgrade::Carrier::kSpdy;
  u.headers = {{"Connection", "Upgrade"}, {"Upgrade", "SPDY/3.1"}};
  if (!protocol.empty()) u.headers.push_back({"X-Stream-Protocol-Version", std::string(protocol)});
  return u;
}

Error NoUpgrade() { return BadRequestError("unable to upgrade: missing upgrade headers in request"); }

}  // namespace

Result<Upgrade> NegotiateExec(const http::Request& r) {
  if (http::WantsWebSocket(r)) return OverWebSocket(r, kExecProtocols);
  if (!WantsSpdy(r)) return std::unexpected(NoUpgrade());
  const std::vector<std::string> offers = Offers(r);
  for (const char* mine : {"v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"}) {
    if (std::find(offers.begin(), offers.end(), mine) != offers.end()) {
      Upgrade u = OverSpdy(mine);
      return u;
    }
  }
  if (!offers.empty()) return std::unexpected(ForbiddenError("", "", "", "unable to negotiate protocol"));
  return OverSpdy("");
}

Result<Upgrade> NegotiatePortForward(const http::Request& r) {
  if (http::WantsWebSocket(r)) return OverWebSocket(r, kForwardProtocols);
  if (!WantsSpdy(r)) return std::unexpected(NoUpgrade());
  return OverSpdy(kForward);
}

}  // namespace skerry::kube::stream
