#include "embedded-kube-shim/network/service_facts.h"

#include <arpa/inet.h>

#include <algorithm>
#include <map>

#include "core/base/strings.h"

namespace skerry::kube::network {
namespace {

constexpr std::uint32_t kTtl = 5;

bool IsHeadlessService(const json::Value& service) { return service["spec"]["clusterIP"].Str() == "None"; }
bool IsExternalName(const json::Value& service) { return service["spec"]["type"].Str() == "ExternalName"; }

// Another proxy's, or nobody's: a service says so, or one of its slices for itself.
bool IsNotProxied(const json::Value& object) {
  const json::Value& labels = object["metadata"]["labels"];
  return labels.Find("service.kubernetes.io/service-proxy-name") || labels.Find("service.kubernetes.io/headless");
}

std::vector<std::string> ClusterAddresses(const json::Value& service) {
  std::vector<std::string> out;
  for (const json::Value& ip : service["spec"]["clusterIPs"].Items()) out.emplace_back(ip.Str());
  if (out.empty()) out.emplace_back(service["spec"]["clusterIP"].Str());
  std::erase_if(out, [](const std::string& ip) { return ip.empty() || ip == "None"; });
  return out;
}

void AddAddress(std::string_view text, std::uint16_t port, std::vector<podnet::Endpoint>& out) {
  const auto ip = netlink::Ipv4::Parse(text);
  if (ip && std::find(out.begin(), out.end(), podnet::Endpoint{*ip, port}) == out.end()) out.push_back({*ip, port});
}

bool Matches(const json::Value& slice_port, const PortSelector& want) {
  const auto protocol = slice_port["protocol"].Str("TCP");
  if (protocol != want.protocol) return false;
  switch (want.by) {
    case PortSelector::By::kName: return slice_port["name"].Str() == want.name;
    case PortSelector::By::kNumber: return slice_port["port"].Int() == want.number;
    case PortSelector::By::kFirst: return true;
  }
  return false;
}

enum class Health : std::uint8_t { kReady, kDraining, kNot };
Health HealthOf(const json::Value& endpoint) {
  const json::Value& c = endpoint["conditions"];
  if (c["ready"].Bool(true)) return Health::kReady;   // unknown counts as ready
  return c["serving"].Bool(false) && c["terminating"].Bool(false) ? Health::kDraining : Health::kNot;
}

std::string Dashed(std::string_view address) {
  std::string out(address);
  for (char& c : out) {
    if (c == '.' || c == ':') c = '-';
  }
  return out;
}

// Collects records by name, each once.
class Names {
 public:
  void Add(dns::Record record) {
    auto& list = by_name_[record.name];
    if (std::find(list.begin(), list.end(), record) == list.end()) list.push_back(std::move(record));
  }
  std::vector<NamedRecords> Take() {
    std::vector<NamedRecords> out;
    for (auto& [name, records] : by_name_) out.push_back({name, std::move(records)});
    return out;
  }

 private:
  std::map<std::string, std::vector<dns::Record>> by_name_;
};

std::string PortLabel(const json::Value& port, const std::string& under) {
  return Cat('_', port["name"].Str(), "._", ToLower(port["protocol"].Str("TCP")), '.', under);
}

void AddClusterRecords(const json::Value& service, const std::string& name, Names& forward, Names& reverse) {
  for (const std::string& ip : ClusterAddresses(service)) {
    const auto bytes = AddressBytes(ip);
    if (!bytes) continue;
    forward.Add(dns::AddressRecord(name, kTtl, *bytes));
    if (auto back = ReverseName(ip)) reverse.Add(dns::NameRecord(*back, dns::Type::kPtr, kTtl, name));
  }
  for (const json::Value& port : service["spec"]["ports"].Items()) {
    const auto number = static_cast<std::uint16_t>(port["port"].Int());
    forward.Add(dns::SrvRecord(name, kTtl, 0, 100, number, name));
    if (!port["name"].Str().empty()) forward.Add(dns::SrvRecord(PortLabel(port, name), kTtl, 0, 100, number, name));
  }
}

void AddHeadlessRecords(const std::vector<ObjectPtr>& slices, const std::string& name, Names& forward, Names& reverse) {
  for (const ObjectPtr& slice : slices) {
    for (const json::Value& endpoint : (*slice)["endpoints"].Items()) {
      if (HealthOf(endpoint) != Health::kReady || endpoint["addresses"].size() == 0) continue;
      const std::string_view ip = endpoint["addresses"].Items()[0].Str();
      const auto bytes = AddressBytes(ip);
      if (!bytes) continue;
      const std::string_view hostname = endpoint["hostname"].Str();
      const std::string own = Cat(hostname.empty() ? Dashed(ip) : ToLower(hostname), '.', name);
      forward.Add(dns::AddressRecord(name, kTtl, *bytes));
      forward.Add(dns::AddressRecord(own, kTtl, *bytes));
      if (auto back = ReverseName(ip)) reverse.Add(dns::NameRecord(*back, dns::Type::kPtr, kTtl, own));
      for (const json::Value& port : (*slice)["ports"].Items()) {
        const auto number = static_cast<std::uint16_t>(port["port"].Int());
        forward.Add(dns::SrvRecord(name, kTtl, 0, 100, number, own));
        if (!port["name"].Str().empty()) forward.Add(dns::SrvRecord(PortLabel(port, name), kTtl, 0, 100, number, own));
      }
    }
  }
}

}  // namespace

std::optional<std::string> AddressBytes(std::string_view address) {
  const std::string text(address);
  char bytes[16];
  if (::inet_pton(AF_INET, text.c_str(), bytes) == 1) return std::string(bytes, 4);
  if (::inet_pton(AF_INET6, text.c_str(), bytes) == 1) return std::string(bytes, 16);
  return std::nullopt;
}

std::optional<std::string> ReverseName(std::string_view address) {
  const auto bytes = AddressBytes(address);
  if (!bytes) return std::nullopt;
  std::string out;
  for (auto at = bytes->rbegin(); at != bytes->rend(); ++at) {
    const auto b = static_cast<std::uint8_t>(*at);
    if (bytes->size() == 4) {
      out += Cat(b, '.');
    } else {
      constexpr char kHex[] = "0123456789abcdef";
      out += {kHex[b & 15], '.', kHex[b >> 4], '.'};
    }
  }
  return out + (bytes->size() == 4 ? "in-addr.arpa." : "ip6.arpa.");
}

std::vector<podnet::Endpoint> EndpointsOf(const std::vector<ObjectPtr>& slices, const PortSelector& want, const EndpointFilter& filter) {
  std::vector<podnet::Endpoint> ready, draining;
  for (const ObjectPtr& slice : slices) {
    for (const json::Value& port : (*slice)["ports"].Items()) {
      if (!Matches(port, want)) continue;
      const auto number = static_cast<std::uint16_t>(port["port"].Int());
      for (const json::Value& endpoint : (*slice)["endpoints"].Items()) {
        const Health health = HealthOf(endpoint);
        if (health == Health::kNot || endpoint["addresses"].size() == 0) continue;
        if (!filter.node.empty() && endpoint["nodeName"].Str() != filter.node) continue;
        AddAddress(endpoint["addresses"].Items()[0].Str(), number, health == Health::kReady ? ready : draining);
      }
      break;   // one port a slice
    }
  }
  return ready.empty() ? draining : ready;
}

std::vector<podnet::ServicePort> PortsOf(const json::Value& service, const std::vector<ObjectPtr>& all, const ServiceOptions& options) {
  std::vector<podnet::ServicePort> out;
  const json::Value& spec = service["spec"];
  if (IsHeadlessService(service) || IsExternalName(service)) return out;
  if (IsNotProxied(service)) return out;
  std::vector<ObjectPtr> slices;
  std::copy_if(all.begin(), all.end(), std::back_inserter(slices), [](const ObjectPtr& slice) { return !IsNotProxied(*slice); });
  const auto cluster = ClusterAddresses(service);
  if (cluster.empty() || std::find(cluster.begin(), cluster.end(), options.dns_address) != cluster.end()) return out;
  const std::string prefix = Cat(service["metadata"]["namespace"].Str(), '/', service["metadata"]["name"].Str(), '/');
  const EndpointFilter inside{spec["internalTrafficPolicy"].Str() == "Local" ? options.node_name : std::string()};
  const EndpointFilter outside{spec["externalTrafficPolicy"].Str() == "Local" ? options.node_name : std::string()};
  for (const json::Value& port : spec["ports"].Items()) {
    const std::string_view protocol = port["protocol"].Str("TCP");
    if (protocol != "TCP" && protocol != "UDP") continue;
    const auto number = static_cast<std::uint16_t>(port["port"].Int());
    const PortSelector want{PortSelector::By::kName, std::string(port["name"].Str()), 0, std::string(protocol)};
    podnet::ServicePort p;
    p.id = Cat(prefix, protocol, '/', number);
    p.protocol = protocol == "UDP" ? podnet::Protocol::kUdp : podnet::Protocol::kTcp;
    if (spec["sessionAffinity"].Str() == "ClientIP") {
      p.affinity = std::chrono::seconds(std::max<std::int64_t>(1, spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].Int(10800)));
    }
    podnet::ServicePort external = p;
    for (const std::string& ip : cluster) AddAddress(ip, number, p.addresses);
    p.endpoints = EndpointsOf(slices, want, inside);
    for (const json::Value& ip : spec["externalIPs"].Items()) AddAddress(ip.Str(), number, external.addresses);
    for (const json::Value& ingress : service["status"]["loadBalancer"]["ingress"].Items()) {
      if (ingress["ipMode"].Str("VIP") == "VIP") AddAddress(ingress["ip"].Str(), number, external.addresses);
    }
    external.node_port = static_cast<std::uint16_t>(port["nodePort"].Int());
    external.endpoints = EndpointsOf(slices, want, outside);
    if (external.endpoints == p.endpoints) {
      p.addresses.insert(p.addresses.end(), external.addresses.begin(), external.addresses.end());
      p.node_port = external.node_port;
    } else if (external.node_port != 0 || !external.addresses.empty()) {
      external.id += "/external";
      out.push_back(std::move(external));
    }
    out.push_back(std::move(p));
  }
  return out;
}

ServiceRecords RecordsOf(const json::Value& service, const std::vector<ObjectPtr>& slices, std::string_view domain) {
  const std::string name = Cat(service["metadata"]["name"].Str(), '.', service["metadata"]["namespace"].Str(), ".svc.", domain);
  Names forward, reverse;
  if (IsExternalName(service)) {
    if (auto target = dns::NormalizeName(service["spec"]["externalName"].Str())) forward.Add(dns::NameRecord(name, dns::Type::kCname, kTtl, *target));
  } else if (IsHeadlessService(service)) {
    AddHeadlessRecords(slices, name, forward, reverse);
  } else {
    AddClusterRecords(service, name, forward, reverse);
  }
  return {forward.Take(), reverse.Take()};
}

}  // namespace skerry::kube::network
