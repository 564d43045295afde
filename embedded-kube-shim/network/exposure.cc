#include "embedded-kube-shim/network/exposure.h"

#include <algorithm>
#include <set>

#include "core/base/strings.h"
#include "core/proxy/upstream.h"
#include "core/text/base64.h"
#include "core/text/duration.h"

namespace skerry::kube::network {
namespace {

Key KeyFrom(const json::Value& object) {
  return {std::string(object["metadata"]["namespace"].Str()), std::string(object["metadata"]["name"].Str())};
}
std::string_view Annotation(const json::Value& object, std::string_view name) { return object["metadata"]["annotations"][name].Str(); }

bool Older(const ObjectPtr& a, const ObjectPtr& b) {
  const auto when = [](const ObjectPtr& o) { return (*o)["metadata"]["creationTimestamp"].Str(); };
  if (when(a) != when(b)) return when(a) < when(b);
  return (*a)["metadata"]["uid"].Str() < (*b)["metadata"]["uid"].Str();
}

std::optional<std::chrono::milliseconds> TimeoutOf(const json::Value& object) {
  const auto text = Annotation(object, "haproxy.router.openshift.io/timeout");
  if (text.empty()) return std::nullopt;
  const auto d = text::ParseDuration(text);
  if (!d || d->count() <= 0) return std::nullopt;
  return std::min(std::chrono::duration_cast<std::chrono::milliseconds>(*d), std::chrono::milliseconds(std::chrono::hours(24)));
}

class Builder {
 public:
  explicit Builder(const ExposureContext& context) : context_(context) {}

  void AddIngress(const json::Value& ingress);
  Verdict AddRoute(const json::Value& route);
  Exposure Take() { return std::move(out_); }

 private:
  std::string Pool(PoolSpec spec) {
    std::string id = spec.Id();
    out_.pools.emplace(id, std::move(spec));
    return id;
  }
  PoolSpec IngressPool(const std::string& ns, const json::Value& backend) const;
  void AddIngressHost(const json::Value& ingress, const std::string& host, const json::Value& path, const json::Value& backend, bool any_path);
  std::shared_ptr<const net::TlsCertificate> IngressCertificate(const json::Value& ingress, const std::string& host, bool& listed) const;
  Result<> FillTls(const json::Value& route, proxy::Route& r, bool& reencrypt) const;

  const ExposureContext& context_;
  Exposure out_;
  std::map<std::string, Key> host_owner_;                          // Route: the namespace that came first
  std::map<std::pair<std::string, std::string>, std::string> path_owner_;   // host, path -> route name
};

PoolSpec Builder::IngressPool(const std::string& ns, const json::Value& backend) const {
  PoolSpec spec;
  spec.service = {ns, std::string(backend["service"]["name"].Str())};
  const json::Value& port = backend["service"]["port"];
  if (port["name"].is_string() && !port["name"].Str().empty()) {
    spec.port = {PortSelector::By::kName, std::string(port["name"].Str()), 0, "TCP"};
  } else {
    spec.service_port = static_cast<std::uint16_t>(port["number"].Int());
  }
  return spec;
}

std::shared_ptr<const net::TlsCertificate> Builder::IngressCertificate(const json::Value& ingress, const std::string& host, bool& listed) const {
  listed = false;
  const std::string ns = KeyFrom(ingress).ns;
  for (const json::Value& tls : ingress["spec"]["tls"].Items()) {
    const bool mine = tls["hosts"].size() == 0 || std::any_of(tls["hosts"].Items().begin(), tls["hosts"].Items().end(), [&](const json::Value& h) { return h.Str() == host; });
    if (!mine) continue;
    listed = true;
    if (tls["secretName"].Str().empty()) return context_.issue(host);
    const ObjectPtr secret = context_.secret({ns, std::string(tls["secretName"].Str())});
    if (!secret) return context_.issue(host);
    const auto certificate = text::FromBase64((*secret)["data"]["tls.crt"].Str()), key = text::FromBase64((*secret)["data"]["tls.key"].Str());
    if (!certificate || !key) return context_.issue(host);
    auto made = context_.certificate({*certificate, *key});
    return made ? *made : context_.issue(host);
  }
  return nullptr;
}

void Builder::AddIngressHost(const json::Value& ingress, const std::string& host, const json::Value& path, const json::Value& backend, bool any_path) {
  if (backend["service"]["name"].Str().empty()) return;   // resource backends are for other controllers
  const Key key = KeyFrom(ingress);
  proxy::Route r;
  r.name = Cat("ingress/", key.ns, '/', key.name);
  r.host = ToLower(host);
  if (!any_path) {
    r.path = path["path"].Str("/");
    if (path["pathType"].Str() == "Exact") r.path_match = proxy::PathMatch::kExact;
  }
  r.pools = {{Pool(IngressPool(key.ns, backend)), 1}};
  bool tls = false;
  r.certificate = IngressCertificate(ingress, host, tls);
  if (tls) {
    r.termination = proxy::Termination::kEdge;
    for (const char* name : {"skerry.io/ssl-redirect", "nginx.ingress.kubernetes.io/ssl-redirect", "nginx.ingress.kubernetes.io/force-ssl-redirect"}) {
      if (Annotation(ingress, name) == "true") r.insecure = proxy::Insecure::kRedirect;
    }
  }
  if (const auto timeout = TimeoutOf(ingress)) r.timeout = *timeout;
  out_.routes.push_back(std::move(r));
}

void Builder::AddIngress(const json::Value& ingress) {
  const json::Value& spec = ingress["spec"];
  std::string_view ingress_class = spec["ingressClassName"].Str();
  if (ingress_class.empty()) ingress_class = Annotation(ingress, "kubernetes.io/ingress.class");
  if (!context_.is_ours(ingress_class)) return;
  out_.ingresses.push_back(KeyFrom(ingress));
  const json::Value none;
  for (const json::Value& rule : spec["rules"].Items()) {
    const std::string host(rule["host"].Str());
    for (const json::Value& path : rule["http"]["paths"].Items()) AddIngressHost(ingress, host, path, path["backend"], false);
    // A host without a rule for a path falls back to the default backend, as does a host without paths.
    if (spec["defaultBackend"] && !host.empty()) AddIngressHost(ingress, host, none, spec["defaultBackend"], true);
  }
  if (spec["defaultBackend"]) AddIngressHost(ingress, "", none, spec["defaultBackend"], true);
}

Result<> Builder::FillTls(const json::Value& route, proxy::Route& r, bool& reencrypt) const {
  const json::Value& tls = route["spec"]["tls"];
  const std::string_view termination = tls["termination"].Str();
  const std::string_view insecure = tls["insecureEdgeTerminationPolicy"].Str();
  r.insecure = insecure == "Allow" ? proxy::Insecure::kAllow : insecure == "Redirect" ? proxy::Insecure::kRedirect : proxy::Insecure::kRefuse;
  if (termination == "passthrough") {
    r.termination = proxy::Termination::kPassthrough;
    if (r.insecure == proxy::Insecure::kAllow) r.insecure = proxy::Insecure::kRefuse;   // plain HTTP would hit a TLS port
    return {};
  }
  r.termination = proxy::Termination::kEdge;
  reencrypt = termination == "reencrypt";
  if (tls["certificate"].Str().empty() || tls["key"].Str().empty()) {
    r.certificate = context_.issue(r.host);
    return {};
  }
  std::string chain(tls["certificate"].Str());
  if (!tls["caCertificate"].Str().empty()) chain += Cat('\n', tls["caCertificate"].Str());
  TRY(r.certificate, context_.certificate({chain, std::string(tls["key"].Str())}));
  return {};
}

Verdict Builder::AddRoute(const json::Value& route) {
  const Key key = KeyFrom(route);
  const json::Value& spec = route["spec"];
  proxy::Route r;
  r.name = Cat("route/", key.ns, '/', key.name);
  r.host = ToLower(spec["host"].Str());
  if (r.host.empty()) return {false, "NoHostValue", "no host value was defined for the route"};
  if (spec["wildcardPolicy"].Str() == "Subdomain") {
    const std::size_t dot = r.host.find('.');
    if (dot != std::string::npos) r.host = Cat('*', r.host.substr(dot));
  }
  r.path = spec["path"].Str("/");
  const auto [owner, first] = host_owner_.emplace(r.host, key);
  if (!first && owner->second.ns != key.ns) {
    return {false, "HostAlreadyClaimed", Cat("a route in another namespace holds ", spec["host"].Str(), " and is older than ", key.name)};
  }
  if (const auto [path, mine] = path_owner_.emplace(std::pair(r.host, r.path), key.name); !mine) {
    return {false, "HostAlreadyClaimed", Cat("route ", path->second, " already exposes ", spec["host"].Str(), " and is older")};
  }
  bool reencrypt = false;
  if (spec["tls"].is_object() && !spec["tls"]["termination"].Str().empty()) {
    auto filled = FillTls(route, r, reencrypt);
    if (!filled) return {false, "ExtendedValidationFailed", std::string(filled.error().message())};
  }
  PoolSpec pool;
  pool.reencrypt = reencrypt;
  pool.destination_ca = spec["tls"]["destinationCACertificate"].Str();
  const json::Value& target = spec["port"]["targetPort"];
  if (target.is_int()) {
    pool.port = {PortSelector::By::kNumber, "", static_cast<std::uint16_t>(target.Int()), "TCP"};
  } else if (target.is_string()) {
    pool.port = {PortSelector::By::kName, std::string(target.Str()), 0, "TCP"};
    if (const auto number = ParseUint(target.Str())) pool.port = {PortSelector::By::kNumber, "", static_cast<std::uint16_t>(*number), "TCP"};
  }
  const auto add = [&](const json::Value& to, std::int64_t otherwise) {
    PoolSpec one = pool;
    one.service = {key.ns, std::string(to["name"].Str())};
    const auto weight = static_cast<unsigned>(std::clamp<std::int64_t>(to["weight"].Int(otherwise), 0, 256));
    r.pools.push_back({Pool(std::move(one)), weight});
  };
  add(spec["to"], 100);
  for (const json::Value& other : spec["alternateBackends"].Items()) add(other, 100);
  if (const auto timeout = TimeoutOf(route)) r.timeout = *timeout;
  // As the stock router: HTTP routes keep a client with its backend unless told otherwise.
  if (r.termination != proxy::Termination::kPassthrough && Annotation(route, "haproxy.router.openshift.io/disable_cookies") != "true") {
    const auto wanted = Annotation(route, "router.openshift.io/cookie_name");
    const bool good = !wanted.empty() && wanted.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == std::string_view::npos;
    r.cookie = good ? std::string(wanted) : proxy::StickyValue(r.name);
  }
  r.hsts = Annotation(route, "haproxy.router.openshift.io/hsts_header");
  if (r.hsts.find_first_of("\r\n") != std::string::npos) r.hsts.clear();
  r.rewrite_prefix = Annotation(route, "haproxy.router.openshift.io/rewrite-target");
  if (!r.rewrite_prefix.starts_with('/') || r.rewrite_prefix.find_first_of(" \r\n\t") != std::string::npos) r.rewrite_prefix.clear();
  out_.routes.push_back(std::move(r));
  return {};
}

}  // namespace

std::string PoolSpec::Id() const {
  std::string id = Cat(service.ns, '/', service.name, '/');
  if (service_port) {
    id += Cat('=', *service_port);
  } else if (port.by == PortSelector::By::kName) {
    id += port.name;
  } else if (port.by == PortSelector::By::kNumber) {
    id += Cat('#', port.number);
  } else {
    id += '*';
  }
  if (reencrypt) id += Cat("/tls/", std::hash<std::string>{}(destination_ca));
  return id;
}

Exposure Expose(const std::vector<ObjectPtr>& ingresses, const std::vector<ObjectPtr>& routes, const ExposureContext& context) {
  Builder builder(context);
  std::vector<ObjectPtr> sorted = routes;
  std::sort(sorted.begin(), sorted.end(), Older);
  std::map<Key, Verdict> verdicts;
  for (const ObjectPtr& r : sorted) verdicts[KeyFrom(*r)] = builder.AddRoute(*r);
  sorted = ingresses;
  std::sort(sorted.begin(), sorted.end(), Older);
  for (const ObjectPtr& i : sorted) builder.AddIngress(*i);
  Exposure out = builder.Take();
  out.verdicts = std::move(verdicts);
  return out;
}

std::vector<proxy::Backend> BackendsOf(const PoolSpec& pool, const json::Value* service, const std::vector<ObjectPtr>& slices) {
  std::vector<proxy::Backend> out;
  if (service == nullptr) return out;
  PortSelector want = pool.port;
  std::int64_t number = pool.service_port.value_or(0);
  if (pool.service_port) {
    want.by = PortSelector::By::kName;
    bool known = false;
    for (const json::Value& p : (*service)["spec"]["ports"].Items()) {
      if (p["port"].Int() != number || p["protocol"].Str("TCP") != "TCP") continue;
      want.name = p["name"].Str();
      known = true;
      break;
    }
    if (!known && (*service)["spec"]["type"].Str() != "ExternalName") return out;
  }
  if ((*service)["spec"]["type"].Str() == "ExternalName") {
    if (number == 0) number = want.by == PortSelector::By::kNumber ? want.number : (*service)["spec"]["ports"].size() > 0 ? (*service)["spec"]["ports"].Items()[0]["port"].Int() : 80;
    const std::string_view name = (*service)["spec"]["externalName"].Str();
    if (!name.empty()) out.push_back({Cat(name, ':', number)});
    return out;
  }
  for (const podnet::Endpoint& e : EndpointsOf(slices, want)) out.push_back({Cat(e.address.ToString(), ':', e.port)});
  return out;
}

}  // namespace skerry::kube::network
