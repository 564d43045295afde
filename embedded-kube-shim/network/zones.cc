#include "embedded-kube-shim/network/zones.h"

#include <set>

#include "core/base/strings.h"

namespace skerry::kube::network {
namespace {

constexpr std::uint32_t kPodTtl = 5;

std::string Absolute(std::string_view domain) {
  auto name = dns::NormalizeName(domain);
  return name ? *name : std::string("cluster.local.");
}

// Pod names say their address: nothing has to be known of the pods.
class PodZone final : public dns::Zone {
 public:
  PodZone(std::string origin, std::shared_ptr<const dns::RecordZone> parent) : origin_(std::move(origin)), parent_(std::move(parent)) {}
  dns::Answer Lookup(std::string_view name, dns::Type type) const override {
    if (!dns::IsUnder(name, origin_)) return {};
    const auto labels = Split(name.substr(0, name.size() - std::min(name.size(), origin_.size() + 1)), '.');
    if (name == origin_ || labels.size() == 1) return parent_->Negative(dns::Answer::Kind::kNoData);
    std::string text(labels[0]);
    for (char& c : text) {
      if (c == '-') c = '.';
    }
    const auto bytes = labels.size() == 2 ? AddressBytes(text) : std::nullopt;
    if (!bytes) return parent_->Negative(dns::Answer::Kind::kNxDomain);
    if (type != dns::Type::kA && type != dns::Type::kAny) return parent_->Negative(dns::Answer::Kind::kNoData);
    dns::Answer out;
    out.kind = dns::Answer::Kind::kFound;
    out.records.push_back(dns::AddressRecord(std::string(name), kPodTtl, *bytes));
    return out;
  }

 private:
  const std::string origin_;
  const std::shared_ptr<const dns::RecordZone> parent_;   // for the SOA of negative answers
};

}  // namespace

ClusterZones::ClusterZones(std::string_view domain, std::string_view dns_address)
    : domain_(Absolute(domain)), services_(std::make_shared<dns::RecordZone>(domain_, dns::RecordZone::Unknown::kNxDomain, kPodTtl)),
      reverse4_(std::make_shared<dns::RecordZone>("in-addr.arpa.", dns::RecordZone::Unknown::kNotMine, kPodTtl)),
      reverse6_(std::make_shared<dns::RecordZone>("ip6.arpa.", dns::RecordZone::Unknown::kNotMine, kPodTtl)),
      pods_(std::make_shared<const PodZone>(Cat("pod.", domain_), services_)) {
  const std::string version = Cat("dns-version.", domain_);
  services_->Set(version, {dns::TxtRecord(version, kPodTtl, "1.1.0")});
  const std::string server = Cat("ns.dns.", domain_);
  if (const auto bytes = AddressBytes(dns_address)) services_->Set(server, {dns::AddressRecord(server, kPodTtl, *bytes)});
}

std::vector<std::shared_ptr<const dns::Zone>> ClusterZones::zones() const { return {pods_, services_, reverse4_, reverse6_}; }

void ClusterZones::Put(Names& names, dns::RecordZone& zone, const Key& service, std::vector<NamedRecords> records) {
  std::set<std::string> touched;
  if (const auto at = names.by_service.find(service); at != names.by_service.end()) {
    for (const std::string& name : at->second) {
      names.by_name[name].erase(service);
      touched.insert(name);
    }
    names.by_service.erase(at);
  }
  for (NamedRecords& r : records) {
    touched.insert(r.name);
    names.by_service[service].push_back(r.name);
    names.by_name[r.name][service] = std::move(r.records);
  }
  for (const std::string& name : touched) {
    std::vector<dns::Record> all;
    for (const auto& [owner, list] : names.by_name[name]) all.insert(all.end(), list.begin(), list.end());
    if (all.empty()) names.by_name.erase(name);
    zone.Set(name, std::move(all));
  }
}

void ClusterZones::Set(const Key& service, ServiceRecords records) {
  std::vector<NamedRecords> six;
  std::erase_if(records.reverse, [&](NamedRecords& r) {
    if (!r.name.ends_with("ip6.arpa.")) return false;
    six.push_back(std::move(r));
    return true;
  });
  Put(forward_, *services_, service, std::move(records.forward));
  Put(backward4_, *reverse4_, service, std::move(records.reverse));
  Put(backward6_, *reverse6_, service, std::move(six));
}

}  // namespace skerry::kube::network
