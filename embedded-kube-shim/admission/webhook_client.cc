#include "embedded-kube-shim/admission/webhook_client.h"

#include <algorithm>

#include "core/base/strings.h"
#include "core/json/parse.h"
#include "core/text/base64.h"

namespace skerry::kube {
namespace {

constexpr std::int64_t kMostAnswer = 16 << 20;

// The port of the slice that the service's port leads to; 0 when it has none.
int PortIn(const json::Value& slice, std::string_view port_name) {
  for (const auto& port : slice["ports"].Items())
    if (port["name"].Str() == port_name) return static_cast<int>(port["port"].Int());
  return 0;
}

bool IsReady(const json::Value& endpoint) {
  const auto& ready = endpoint.At({"conditions", "ready"});
  return ready.is_null() || ready.Bool();
}

std::string AddressText(std::string_view address, int port) { return address.find(':') == address.npos ? Cat(address, ":", port) : Cat("[", address, "]:", port); }

std::string StatusText(int status, std::string_view body) {
  switch (status) {
    case 400: return "the server rejected our request for an unknown reason";
    case 401: return "the server has asked for the client to provide credentials";
    case 403: return "the server does not allow access to the requested resource";
    case 404: return "the server could not find the requested resource";
    case 405: return "the server does not allow this method on the requested resource";
    case 503: return "the server is currently unable to handle the request";
    case 504: return "the server was unable to return a response in the time allotted, but may still be processing the request";
    default: break;
  }
  if (status >= 500) return Cat("an error on the server (", Quote(Trim(body)), ") has prevented the request from succeeding");
  return Cat("the server responded with the status code ", status, " but did not return more information");
}

}  // namespace

std::string TransportErrorText(const Error& error, const std::string& address) {
  switch (error.code()) {
    case Code::kTimeout:
    case Code::kCancelled: return "context deadline exceeded";
    case Code::kUnauthenticated: return "tls: failed to verify certificate: x509: certificate signed by unknown authority";
    case Code::kUnavailable:
      if (ToLower(error.message()).find("refused") != std::string::npos || ToLower(error.message()).find("connect") != std::string::npos) return Cat("dial tcp ", address, ": connect: connection refused");
      return "EOF";
    default: return std::string(error.message());
  }
}

Result<ServiceAddress> ResolveService(const AdmissionWorld& world, std::string_view ns, std::string_view name, int port) {
  const auto service = world.Lookup("", "services", ns, name);
  if (!service) return Fail(Code::kNotFound, Cat("service ", Quote(name), " not found"));
  ServiceAddress out{Cat(name, ".", ns, ".svc"), {}, port};
  const auto& spec = (*service)["spec"];
  if (spec["type"].Str() == "ExternalName") {
    out.host = spec["externalName"].Str();
    return out;
  }
  const auto ports = spec["ports"].Items();
  const auto at = std::find_if(ports.begin(), ports.end(), [&](const json::Value& p) { return p["port"].Int() == port; });
  if (at == ports.end()) return Fail(Code::kNotFound, Cat("no service port ", port, " found for service ", Quote(name)));
  std::vector<std::string> ready;
  for (const auto& slice : world.List("discovery.k8s.io", "endpointslices", ns)) {
    if (slice->At({"metadata", "labels", "kubernetes.io/service-name"}).Str() != name) continue;
    const int target = PortIn(*slice, (*at)["name"].Str());
    if (target == 0) continue;
    for (const auto& endpoint : (*slice)["endpoints"].Items())
      if (IsReady(endpoint) && endpoint["addresses"].size() > 0) ready.push_back(AddressText(endpoint["addresses"].Items()[0].Str(), target));
  }
  if (!ready.empty()) {
    out.connect_to = std::move(ready[world.random().Below(ready.size())]);
    return out;
  }
  return Fail(Code::kUnavailable, Cat("no endpoints available for service ", Quote(name)));
}

Result<json::Value> CallWebhook(const Ctx& ctx, const AdmissionWorld& world, const json::Value& client_config, std::chrono::seconds timeout, const json::Value& review,
                                std::string_view subject) {
  const std::string prefix = subject.empty() ? std::string() : Cat(subject, ": ");
  http::ClientRequest request;
  request.method = "POST";
  request.proxy = "none";
  request.max_body = kMostAnswer;
  request.headers = {{"Content-Type", "application/json"}, {"Accept", "application/json, */*"}, {"User-Agent", "kube-apiserver-admission"}};
  request.body = review.Dump();
  std::string address;
  const auto& service = client_config["service"];
  if (service.is_object()) {
    const int port = service["port"].is_null() ? 443 : static_cast<int>(service["port"].Int());
    const auto path = service["path"].Str();
    const auto name = service["name"].Str(), ns = service["namespace"].Str();
    request.url = Cat("https://", name, ".", ns, ".svc:", port, path.starts_with('/') ? "" : "/", path, "?timeout=", timeout.count(), "s");
    auto resolved = ResolveService(world, ns, name, port);
    if (!resolved) return Fail(Code::kUnavailable, Cat(prefix, "Post ", Quote(request.url), ": ", resolved.error().message()));
    request.connect_to = resolved->connect_to;
    address = resolved->connect_to;
  } else {
    const auto url = client_config["url"].Str();
    const auto start = std::min(url.find("://"), url.size() - std::min<std::size_t>(url.size(), 3)) + 3;
    address = url.substr(start, std::min(url.find_first_of("/?", start), url.size()) - start);
    if (address.find(':', address.find(']') == address.npos ? 0 : address.find(']')) == address.npos) address += ":443";
    request.url = Cat(url, url.find('?') == url.npos ? "?" : "&", "timeout=", timeout.count(), "s");
  }
  if (const auto bundle = client_config["caBundle"].Str(); !bundle.empty()) {
    if (auto pem = text::FromBase64(bundle)) request.ca_pem = std::move(*pem);
  }
  const auto deadline = std::min(ctx.deadline, std::chrono::steady_clock::now() + timeout);
  auto answer = http::Client::Shared().Do(Ctx(ctx.stop, deadline), request);
  if (!answer) return Fail(Code::kUnavailable, Cat(prefix, "Post ", Quote(request.url), ": ", TransportErrorText(answer.error(), address)));
  if (answer->status < 200 || answer->status > 206) return Fail(Code::kUnavailable, Cat(prefix, StatusText(answer->status, answer->body)));
  auto parsed = json::Parse(answer->body);
  if (!parsed) return Fail(Code::kUnavailable, Cat(prefix, "couldn't get version/kind; json parse error: ", parsed.error().message()));
  return std::move(*parsed);
}

}  // namespace skerry::kube
