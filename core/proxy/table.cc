#include "core/proxy/table.h"

#include <algorithm>

namespace skerry::proxy {
namespace {

// "*.rest" of a name with more than one label.
std::string Wildcard(std::string_view host) {
  const std::size_t dot = host.find('.');
  return dot == std::string_view::npos || dot == 0 ? std::string() : Cat('*', host.substr(dot));
}

bool Matches(const Route& r, std::string_view path) {
  if (r.path_match == PathMatch::kExact) return path == r.path;
  std::string_view prefix = r.path;
  if (prefix.ends_with('/')) prefix.remove_suffix(1);
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

}  // namespace

std::string_view HostWithoutPort(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') == std::string_view::npos ? host.size() : host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

Table::Table(std::vector<Route> routes, std::shared_ptr<const net::TlsCertificate> default_certificate)
    : routes_(std::move(routes)), default_certificate_(std::move(default_certificate)) {
  for (Route& r : routes_) {
    r.host = ToLower(r.host);
    if (r.path.empty()) r.path = "/";
    r.requests = &telemetry::Metrics::Global().GetCounter("skerry_router_route_requests_total", "Requests by route", {{"route", r.name}});
  }
  for (const Route& r : routes_) {
    if (r.termination == Termination::kPassthrough) {
      passthrough_.emplace(r.host, &r);
      if (r.insecure == Insecure::kRefuse) continue;   // plain HTTP to it is unknown here; kAllow and kRedirect answer it
    }
    Paths& paths = hosts_[r.host];
    const bool taken = std::any_of(paths.begin(), paths.end(), [&](const Route* o) { return o->path == r.path && o->path_match == r.path_match; });
    if (!taken) paths.push_back(&r);
    if (r.certificate) certificates_.emplace(r.host, r.certificate);
  }
  for (auto& [host, paths] : hosts_) {
    std::stable_sort(paths.begin(), paths.end(), [](const Route* a, const Route* b) {
      if (a->path_match != b->path_match) return a->path_match == PathMatch::kExact;
      return a->path.size() > b->path.size();
    });
  }
}

const Route* Table::FindIn(const Paths& paths, std::string_view path) const {
  for (const Route* r : paths) {
    if (Matches(*r, path)) return r;
  }
  return nullptr;
}

const Route* Table::Find(std::string_view host_as_sent, std::string_view target) const {
  std::string_view host = HostWithoutPort(host_as_sent);
  std::string lower;
  if (std::any_of(host.begin(), host.end(), [](char c) { return c >= 'A' && c <= 'Z'; })) {
    lower = ToLower(host);
    host = lower;
  }
  if (host.ends_with('.')) host.remove_suffix(1);
  const std::string_view path = target.substr(0, target.find('?'));
  if (const auto at = hosts_.find(host); at != hosts_.end()) {
    if (const Route* r = FindIn(at->second, path)) return r;
  }
  if (const std::string wildcard = Wildcard(host); !wildcard.empty()) {
    if (const auto at = hosts_.find(wildcard); at != hosts_.end()) {
      if (const Route* r = FindIn(at->second, path)) return r;
    }
  }
  const auto any = hosts_.find(std::string_view());
  return any == hosts_.end() ? nullptr : FindIn(any->second, path);
}

const Route* Table::FindPassthrough(std::string_view name) const {
  if (const auto at = passthrough_.find(name); at != passthrough_.end()) return at->second;
  const auto at = passthrough_.find(Wildcard(name));
  return at == passthrough_.end() ? nullptr : at->second;
}

std::shared_ptr<const net::TlsCertificate> Table::CertificateFor(std::string_view name) const {
  if (const auto at = certificates_.find(name); at != certificates_.end()) return at->second;
  if (const auto at = certificates_.find(Wildcard(name)); at != certificates_.end()) return at->second;
  return default_certificate_;
}

}  // namespace skerry::proxy
