#include "embedded-kube-shim/server/proxy.h"

#include <arpa/inet.h>

#include "core/base/random.h"
#include "core/base/strings.h"
#include "core/container/wire/http.h"
#include "core/http/client.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/cache/object_cache.h"
#include "embedded-kube-shim/server/metrics_api.h"
#include "embedded-kube-shim/server/proxy_html.h"
#include "embedded-kube-shim/server/proxy_pipe.h"
#include "embedded-kube-shim/server/stream/pod_streams.h"
#include "embedded-kube-shim/server/stream/relay.h"

namespace skerry::kube {
namespace {

constexpr std::size_t kMaxPage = 8 << 20;   // of HTML whose links are rewritten
constexpr int kAgentPort = 10250;

Error Unreachable(std::string_view why) { return Error(Code::kUnavailable, Cat("error trying to reach service: ", why)); }

// "[scheme:]name[:port]", the last segment of the object's path.
struct ProxyName {
  std::string scheme, name, port;
};

Result<ProxyName> SplitName(std::string_view what, std::string_view text) {
  const auto parts = Split(text, ':');
  ProxyName out;
  if (parts.size() == 1) out.name = parts[0];
  else if (parts.size() == 2) out = {"", std::string(parts[0]), std::string(parts[1])};
  else if (parts.size() == 3) out = {std::string(parts[0]), std::string(parts[1]), std::string(parts[2])};
  if (out.name.empty() || (!out.scheme.empty() && out.scheme != "http" && out.scheme != "https"))
    return std::unexpected(BadRequestError(Cat("invalid ", what, " request ", Quote(text))));
  return out;
}

// Where a request goes and what the client sees of it.
struct Backend {
  std::string scheme = "http", address;   // "10.42.0.7:8080"
  std::string target;                     // path and query there
  std::string prefix;                     // path of the proxy, without a slash at its end
};

// Pods and services never lead to the host itself.
Result<std::string> Address(std::string_view ip, std::int64_t port) {
  in_addr a;
  const bool valid = ::inet_pton(AF_INET, std::string(ip).c_str(), &a) == 1;
  const std::uint32_t value = valid ? ntohl(a.s_addr) : 0;
  if (!valid || value == 0 || value >> 24 == 127 || value >> 16 == 0xa9fe || value >> 28 == 0xe) return std::unexpected(BadRequestError("address not allowed"));
  if (port < 1 || port > 65535) return std::unexpected(BadRequestError(Cat("invalid port ", port)));
  return Cat(ip, ":", port);
}

ItemPtr FindObject(Rest& rest, const RestRequest& request, std::string_view name) {
  Target target = request.target;
  target.name = name;
  return rest.engine().Find(target);
}

Result<std::string> PodAddress(Rest& rest, const RestRequest& request, const ProxyName& to) {
  const auto item = FindObject(rest, request, to.name);
  if (!item) return std::unexpected(NotFoundError("", "pods", to.name));
  const auto pod = item->Object();
  std::int64_t port = 80;
  if (!to.port.empty()) {
    port = ParseInt(to.port).value_or(0);
  } else if (to.scheme == "https") {
    port = 443;
  }
  if (to.port.empty()) {
    for (const auto& c : pod->At({"spec", "containers"}).Items()) {
      if (c["ports"].size() == 0) continue;
      port = c["ports"].Items()[0]["containerPort"].Int();
      break;
    }
  }
  return Address(pod->At({"status", "podIP"}).Str(), port);
}

Result<std::string> ServiceAddress(Rest& rest, const RestRequest& request, const ProxyName& to) {
  const auto item = FindObject(rest, request, to.name);
  if (!item) return std::unexpected(NotFoundError("", "services", to.name));
  const auto service = item->Object();
  const auto ports = service->At({"spec", "ports"}).Items();
  std::optional<std::string> wanted;
  for (const auto& p : ports) {
    const bool only = to.port.empty() && ports.size() == 1;
    if (only || (!to.port.empty() && (p["name"].Str() == to.port || std::to_string(p["port"].Int()) == to.port))) wanted = std::string(p["name"].Str());
    if (wanted) break;
  }
  if (!wanted) return std::unexpected(Error(Code::kUnavailable, Cat("no service port ", Quote(to.port), " found for service ", Quote(to.name))));
  const auto slices = rest.engine().resources().Find("discovery.k8s.io", "v1", "endpointslices");
  std::vector<std::pair<std::string, std::int64_t>> found;
  for (const auto& slice : rest.engine().CacheOf(*slices).List(request.target.ns + "/").items) {
    const auto object = slice->Object();
    if (object->At({"metadata", "labels", "kubernetes.io/service-name"}).Str() != to.name) continue;
    for (const auto& p : (*object)["ports"].Items()) {
      if (p["name"].Str() != *wanted) continue;
      for (const auto& e : (*object)["endpoints"].Items()) {
        if (e.At({"conditions", "ready"}).Bool(true) && e["addresses"].size() > 0) found.emplace_back(e["addresses"].Items()[0].Str(), p["port"].Int());
      }
    }
  }
  if (found.empty()) return std::unexpected(Error(Code::kUnavailable, Cat("no endpoints available for service ", Quote(request.target.name))));
  const auto& [ip, port] = found[Random::System().Below(found.size())];
  return Address(ip, port);
}

Result<std::string> NodeAddress(Rest& rest, const RestRequest& request, const ProxyName& to, std::int64_t port) {
  const auto item = FindObject(rest, request, to.name);
  if (!item) return std::unexpected(NotFoundError("", "nodes", to.name));
  const auto node = item->Object();
  for (const auto& a : node->At({"status", "addresses"}).Items()) {
    if (a["type"].Str() == "InternalIP") return Address(a["address"].Str(), port);
  }
  return std::unexpected(BadRequestError(Cat("no preferred addresses found; known addresses: [] of node ", to.name)));
}

// Splits the raw target behind the object's "/proxy".
void FillPaths(const RestRequest& request, Backend* out) {
  const std::string_view raw = request.http->target;
  const std::size_t query = std::min(raw.find('?'), raw.size());
  int segments = request.info.ns.empty() ? 5 : 7;
  std::size_t at = 0;
  for (; segments > 0 && at < query; --segments) {
    while (at < query && raw[at] == '/') ++at;
    while (at < query && raw[at] != '/') ++at;
  }
  out->prefix = raw.substr(0, at);
  out->target = raw.substr(at);
  if (!out->target.starts_with('/')) out->target.insert(0, "/");
}

// One exchange with the backend. Lives on the stack of the thread that carries it.
class Exchange {
 public:
  Exchange(const RestRequest& request, Backend backend, RestDone done) : request_(request), backend_(std::move(backend)), done_(std::move(done)) {}

  void Run() {
    const auto& r = *request_.http;
    http::ClientRequest out;
    out.method = r.method;
    out.url = Cat(backend_.scheme, "://", backend_.address, backend_.target);
    out.headers = ForwardedHeaders(r);
    out.verify_server = false;   // pods have no certificates that we could know
    out.proxy = "none";
    out.stall_timeout = std::chrono::seconds(0);   // the client decides how long it waits
    const auto length = ParseInt(r.Get("Content-Length"));
    const bool has_body = r.method == "POST" || r.method == "PUT" || r.method == "PATCH" || length.value_or(0) > 0 || !r.Get("Transfer-Encoding").empty();
    if (r.reader && has_body && length.value_or(1) > 0) {
      out.upload = [this, reader = r.reader](std::span<std::byte> into) { return reader->Read(request_.ctx, into); };
      out.upload_length = length.value_or(-1);
    }
    const auto got = http::Client::Shared().Stream(
        request_.ctx, out, [this](const http::ClientResponse& head) { return OnHead(head); }, [this](std::string_view piece) { return OnBody(piece); });
    if (pipe_) return pipe_->End(got ? Code::kCancelled : Code::kUnavailable);
    if (!got) return done_(std::unexpected(Unreachable(got.error().message())));
    http::Response whole;
    whole.status = got->status;
    whole.headers = std::move(headers_);
    whole.body = Bytes(page_ ? RewriteLinks(*page_, backend_.prefix) : std::string());
    done_(http::Reply(std::move(whole)));
  }

 private:
  Result<> OnHead(const http::ClientResponse& head) {
    headers_.clear();
    for (const auto& h : head.headers) {
      if (IsHopByHop(h.name)) continue;
      headers_.push_back(h);
      if (EqualsIgnoreCase(h.name, "Location")) headers_.back().value = Relocated(h.value);
    }
    const auto& method = request_.http->method;
    if (method == "HEAD" || head.status == 204 || head.status == 304) return {};
    const bool html = ToLower(http::Get(head.headers, "Content-Type")).starts_with("text/html") && http::Get(head.headers, "Content-Encoding").empty();
    if (html && ParseInt(http::Get(head.headers, "Content-Length")).value_or(0) <= static_cast<std::int64_t>(kMaxPage)) {
      page_.emplace();
      std::erase_if(headers_, [](const http::Header& h) { return EqualsIgnoreCase(h.name, "Content-Length"); });
      return {};
    }
    pipe_ = std::make_shared<ProxyPipe>();
    http::Streaming reply;
    reply.status = head.status;
    reply.headers = std::move(headers_);
    reply.source = std::make_unique<ProxyPipeSource>(pipe_);
    done_(http::Reply(std::move(reply)));
    return {};
  }

  Result<> OnBody(std::string_view piece) {
    if (pipe_) return pipe_->Push(request_.ctx, piece);
    if (!page_) return {};
    if (page_->size() + piece.size() > kMaxPage) return Fail(Code::kTooLarge, "a page without a length is too long to have its links rewritten");
    *page_ += piece;
    return {};
  }

  std::string Relocated(std::string_view location) const {
    const std::string own = Cat(backend_.scheme, "://", backend_.address);
    if (location.starts_with(own)) location.remove_prefix(own.size());
    return RewriteLink(location, backend_.prefix);
  }

  const RestRequest& request_;
  const Backend backend_;
  RestDone done_;
  http::Headers headers_;
  std::optional<std::string> page_;     // HTML, collected
  std::shared_ptr<ProxyPipe> pipe_;          // anything else, as it comes
};

Result<http::Reply> RunUpgrade(const RestRequest& request, const Backend& backend) {
  if (backend.scheme == "https") return std::unexpected(BadRequestError("connections to TLS backends cannot be upgraded"));
  const auto& r = *request.http;
  const std::size_t colon = backend.address.rfind(':');
  auto dialed = container::wire::DialTcp(request.ctx, backend.address.substr(0, colon), backend.address.substr(colon + 1));
  if (!dialed) return std::unexpected(Unreachable(dialed.error().message()));
  container::wire::Request out;
  out.method = r.method;
  out.target = backend.target;
  out.host = backend.address;
  for (const auto& h : ForwardedHeaders(r)) out.headers.emplace_back(h.name, h.value);
  out.headers.emplace_back("Connection", "Upgrade");
  out.headers.emplace_back("Upgrade", std::string(r.Get("Upgrade")));
  auto upgraded = container::wire::Upgrade(request.ctx, *dialed, out);
  if (!upgraded) return std::unexpected(Unreachable(upgraded.error().message()));
  http::Headers headers;
  for (const auto& [name, value] : upgraded->response.headers) headers.push_back({name, value});
  if (upgraded->response.status == 101) return stream::RelayUpgrade(std::move(headers), std::move(*dialed), std::move(upgraded->early));
  http::Response refused;
  refused.status = upgraded->response.status;
  for (auto& h : headers) {
    if (!IsHopByHop(h.name) && !EqualsIgnoreCase(h.name, "Content-Length")) refused.headers.push_back(std::move(h));
  }
  refused.body = Bytes(std::move(upgraded->response.refusal));
  return http::Reply(std::move(refused));
}

http::Response PlainText(int status, std::string text) {
  http::Response out;
  out.status = status;
  out.headers.push_back({"Content-Type", "text/plain; charset=utf-8"});
  out.body = Bytes(std::move(text));
  return out;
}

// What the node agent answers on its own port elsewhere. It lives in this process.
Result<http::Reply> AskAgent(Rest& rest, const RestRequest& request, const std::string& node_name) {
  NodeStreams* node = rest.services().node ? rest.services().node() : nullptr;
  if (!FindObject(rest, request, node_name)) return std::unexpected(NotFoundError("", "nodes", node_name));
  if (!node) return std::unexpected(Unreachable(Cat("no agent serves node ", node_name)));
  const auto& path = request.info.trailing;
  if (path.size() == 1 && path[0] == "healthz") return http::Reply(PlainText(200, "ok"));
  if (path.size() == 4 && path[0] == "containerLogs") {
    http::Request log = *request.http;
    log.query.push_back({"container", path[3]});
    return stream::Log(*node, log, Key{path[1], path[2]});
  }
  if (path.size() == 1 && path[0] == "pods") {
    auto list = json::Value::Object();
    list.Set("kind") = "PodList";
    list.Set("apiVersion") = "v1";
    list.Set("metadata") = json::Value::Object();
    list.Set("items") = json::Value::Array();
    const auto pods = rest.engine().resources().Find("", "v1", "pods");
    for (const auto& item : rest.engine().CacheOf(*pods).List("").items) {
      const auto pod = item->Object();
      if (pod->At({"spec", "nodeName"}).Str() == node_name) list.Set("items").Append(pod->Clone());
    }
    http::Response out;
    out.headers.push_back({"Content-Type", "application/json"});
    out.body = Bytes(list.Dump());
    return http::Reply(std::move(out));
  }
  MetricsSource* usage = rest.services().usage ? rest.services().usage() : nullptr;
  if (usage && path == std::vector<std::string>{"stats", "summary"}) return StatsSummary(rest.engine(), *usage);
  if (usage && path == std::vector<std::string>{"metrics", "resource"}) return ResourceMetrics(rest.engine(), *usage);
  if (usage && path == std::vector<std::string>{"metrics", "cadvisor"}) return ContainerMetrics(rest.engine(), *usage);
  return http::Reply(PlainText(404, "404 page not found\n"));
}

// A path without a slash at its end would make relative links of the page lead elsewhere.
std::optional<http::Reply> RedirectToSlash(const RestRequest& request, const Backend& backend) {
  const auto& r = *request.http;
  if ((r.method != "GET" && r.method != "HEAD") || r.target.substr(0, r.target.find('?')) != backend.prefix || !r.Get("Upgrade").empty()) return std::nullopt;
  http::Response out;
  out.status = 301;
  out.headers.push_back({"Location", Cat(backend.prefix, backend.target)});
  return http::Reply(std::move(out));
}

}  // namespace

http::Headers ForwardedHeaders(const http::Request& r) {
  http::Headers out;
  std::string forwarded;
  for (const auto& h : r.headers) {
    if (EqualsIgnoreCase(h.name, "X-Forwarded-For")) forwarded = h.value + ", ";
    const bool own = EqualsIgnoreCase(h.name, "Authorization") || EqualsIgnoreCase(h.name, "Host") || EqualsIgnoreCase(h.name, "Content-Length") ||
                     EqualsIgnoreCase(h.name, "Expect") || ToLower(h.name).starts_with("impersonate-") || ToLower(h.name).starts_with("x-forwarded-") || h.name.starts_with(':');
    if (!own && !IsHopByHop(h.name)) out.push_back(h);
  }
  const std::string client = r.remote_address.substr(0, r.remote_address.rfind(':'));
  if (!client.empty()) out.push_back({"X-Forwarded-For", forwarded + client});
  out.push_back({"X-Forwarded-Uri", r.target.substr(0, r.target.find('?'))});
  if (!r.Get("Host").empty()) out.push_back({"X-Forwarded-Host", std::string(r.Get("Host"))});
  out.push_back({"X-Forwarded-Proto", r.tls ? "https" : "http"});
  return out;
}

bool IsHopByHop(std::string_view name) {
  for (const char* h : {"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade"}) {
    if (EqualsIgnoreCase(name, h)) return true;
  }
  return false;
}

bool IsProxyRequest(const http::Request& head) {
  if (head.path.find("/proxy") == std::string::npos) return false;
  const auto info = ParseRequestInfo(head);
  return info.core && info.subresource == "proxy" && (info.resource == "pods" || info.resource == "services" || info.resource == "nodes");
}

void ServeProxy(Rest& rest, RestRequest request, RestDone done) {
  Backend backend;
  FillPaths(request, &backend);
  const std::string& resource = request.target.def->resource;
  const std::string what = resource.substr(0, resource.size() - 1);
  const auto name = SplitName(what, request.target.name);
  if (!name) return done(std::unexpected(name.error().Clone()));
  if (!name->scheme.empty()) backend.scheme = name->scheme;
  if (auto redirect = RedirectToSlash(request, backend)) return done(std::move(*redirect));
  Result<std::string> address;
  if (resource == "nodes") {
    const auto port = name->port.empty() ? kAgentPort : ParseInt(name->port).value_or(0);
    if (port == kAgentPort) return done(AskAgent(rest, request, name->name));
    address = NodeAddress(rest, request, *name, port);
  } else {
    address = resource == "pods" ? PodAddress(rest, request, *name) : ServiceAddress(rest, request, *name);
  }
  if (!address) return done(std::unexpected(std::move(address).error()));
  backend.address = std::move(*address);
  if (!request.http->Get("Upgrade").empty()) return done(RunUpgrade(request, backend));
  Exchange(request, std::move(backend), std::move(done)).Run();
}

}  // namespace skerry::kube
