#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/dns/zone.h"
#include "embedded-kube-shim/network/service_facts.h"

namespace skerry::kube::network {

// The cluster's names: services by the records they bring, pods by their address ("10-42-0-5.ns.pod.<domain>"), "ns.dns.<domain>".
// Lookups from any thread; changes from one.
class ClusterZones {
 public:
  ClusterZones(std::string_view domain, std::string_view dns_address);   // "cluster.local", "10.43.0.10"
  void Set(const Key& service, ServiceRecords records);                  // no records: the service is gone
  // For dns::ServerOptions, in this order.
  std::vector<std::shared_ptr<const dns::Zone>> zones() const;
  const std::string& domain() const { return domain_; }                  // "cluster.local."

 private:
  // Several services may bring records for one name (two headless services over the same pods have the same PTR names).
  struct Names {
    std::map<std::string, std::map<Key, std::vector<dns::Record>>> by_name;
    std::map<Key, std::vector<std::string>> by_service;
  };
  static void Put(Names& names, dns::RecordZone& zone, const Key& service, std::vector<NamedRecords> records);

  const std::string domain_;
  std::shared_ptr<dns::RecordZone> services_, reverse4_, reverse6_;
  std::shared_ptr<const dns::Zone> pods_;
  Names forward_, backward4_, backward6_;
};

}  // namespace skerry::kube::network
