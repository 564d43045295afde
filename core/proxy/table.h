#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/strings.h"
#include "core/net/tls.h"
#include "core/telemetry/metrics.h"

// What the proxy is told: which requests go to which pool.
namespace skerry::proxy {

enum class Termination : std::uint8_t {
  kNone,           // plain HTTP only
  kEdge,           // TLS ends here; what plain HTTP gets is `insecure`
  kPassthrough,    // TLS goes to the backend as it is, chosen by SNI
};
enum class Insecure : std::uint8_t { kAllow, kRedirect, kRefuse };
enum class PathMatch : std::uint8_t { kPrefix, kExact };   // kPrefix: whole segments ("/a" matches "/a", "/a/b", not "/ab")

struct WeightedPool {
  std::string pool;
  unsigned weight = 1;       // 0: never
};

struct Route {
  std::string host;          // lower case, "*.example.com" (one label), or "" for any host
  std::string path = "/";
  PathMatch path_match = PathMatch::kPrefix;
  std::vector<WeightedPool> pools;
  Termination termination = Termination::kNone;
  Insecure insecure = Insecure::kAllow;
  std::shared_ptr<const net::TlsCertificate> certificate;   // edge; null: the default one
  std::string rewrite_prefix;                               // not empty: replaces the matched path
  std::chrono::milliseconds timeout{30'000};                // silence of the backend before and within its answer
  std::string hsts;                                         // Strict-Transport-Security value for answers over TLS
  std::string name;                                         // for metrics: "route/<namespace>/<name>"
  std::string cookie;                                       // not empty: a client stays with its backend by a cookie of this name
  telemetry::Counter* requests = nullptr;                   // by name; filled in by Table
  std::shared_ptr<telemetry::Counter> counter;              // of whoever made the route; null: not counted for him
};

struct Backend {
  std::string address;       // "10.42.0.5:8080"
  std::shared_ptr<telemetry::Counter> counter;        // requests handed to it (one that is tried again counts again); may be null
  auto operator<=>(const Backend& o) const { return address <=> o.address; }
  bool operator==(const Backend& o) const { return address == o.address; }
};
struct Pool {
  std::vector<Backend> backends;
  std::shared_ptr<const net::TlsClientContext> tls;   // re-encrypt; null: plain
  std::string server_name;                            // that the backend's certificate must carry
  std::shared_ptr<telemetry::Counter> counter;        // requests handed to any of them; may be null
};

// An immutable set of routes, indexed. Of two routes with one host and path the first given wins.
class Table {
 public:
  Table() = default;
  Table(std::vector<Route> routes, std::shared_ptr<const net::TlsCertificate> default_certificate);

  // `host` as sent (port and case are ignored), `target` as sent. Exact host before wildcard before any; exact path, then the longest prefix.
  const Route* Find(std::string_view host, std::string_view target) const;
  const Route* FindPassthrough(std::string_view server_name) const;
  std::shared_ptr<const net::TlsCertificate> CertificateFor(std::string_view server_name) const;
  bool has_passthrough() const { return !passthrough_.empty(); }
  std::size_t size() const { return routes_.size(); }

 private:
  using Paths = std::vector<const Route*>;   // most specific first
  const Route* FindIn(const Paths& paths, std::string_view path) const;

  std::vector<Route> routes_;
  std::shared_ptr<const net::TlsCertificate> default_certificate_;
  std::unordered_map<std::string, Paths, StringHash, std::equal_to<>> hosts_;
  std::unordered_map<std::string, const Route*, StringHash, std::equal_to<>> passthrough_;
  std::unordered_map<std::string, std::shared_ptr<const net::TlsCertificate>, StringHash, std::equal_to<>> certificates_;
};

std::string_view HostWithoutPort(std::string_view host);

}  // namespace skerry::proxy
