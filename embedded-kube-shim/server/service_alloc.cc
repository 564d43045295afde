#include <algorithm>
#include <set>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/server/service_fields.h"
#include "embedded-kube-shim/server/write_steps.h"

// Cluster addresses and node ports of Services. Each is a key of its own, taken and given back in the batch that writes the Service:
// addresses are IPAddress objects, ports are internal keys. A lost race for one is an ordinary conflict and tried again with another.
namespace skerry::kube {
namespace {

struct Range {
  std::uint32_t base = 0, size = 0;
  std::string cidr, key;             // of the ServiceCIDR; no key: the one that is always there
  store::Revision revision = 0;
  bool Has(std::uint32_t address) const { return address > base && address < base + size - 1; }   // without its first and its last
};

std::optional<std::uint32_t> ParseV4(std::string_view text) {
  std::uint32_t out = 0;
  const auto parts = Split(text, '.');
  if (parts.size() != 4) return std::nullopt;
  for (const auto part : parts) {
    const auto value = ParseUint(part);
    if (!value || *value > 255 || part.size() > 3) return std::nullopt;
    out = (out << 8) | static_cast<std::uint32_t>(*value);
  }
  return out;
}

std::string FormatV4(std::uint32_t address) { return Cat(address >> 24, ".", (address >> 16) & 255, ".", (address >> 8) & 255, ".", address & 255); }

Range ParseRange(std::string_view cidr) {
  const auto slash = cidr.find('/');
  const auto base = ParseV4(cidr.substr(0, slash));
  const auto bits = slash == std::string_view::npos ? std::nullopt : ParseUint(cidr.substr(slash + 1));
  if (!base || !bits || *bits > 30 || *bits < 8) return {};
  return {*base, std::uint32_t{1} << (32 - *bits), std::string(cidr), {}, 0};
}

bool IsService(const WriteOperation& op) { return op.target.def->group.empty() && op.target.def->resource == "services" && op.target.subresource.empty(); }

bool NeedsAddress(const json::Value& service) {
  const auto type = service.At({"spec", "type"}).Str();
  return type != "ExternalName" && service.At({"spec", "clusterIP"}).Str() != "None";
}

bool NeedsNodePorts(const json::Value& service) {
  const auto type = service.At({"spec", "type"}).Str();
  if (type == "NodePort") return true;
  const auto* allocate = service["spec"].Find("allocateLoadBalancerNodePorts");
  return type == "LoadBalancer" && (!allocate || allocate->Bool(true));
}

bool NeedsHealthCheckPort(const json::Value& service) {
  return service.At({"spec", "type"}).Str() == "LoadBalancer" && service.At({"spec", "externalTrafficPolicy"}).Str() == "Local";
}

std::string AddressKey(std::string_view address) { return Cat("/networking.k8s.io/ipaddresses/", address); }
std::string PortKey(std::int64_t port) { return Cat(kInternalPrefix, "nodeports/", port); }

class Allocation {
 public:
  Allocation(Engine& engine, WriteOperation& op, const json::Value& service, Attempt& attempt)
      : engine_(engine), op_(op), attempt_(attempt), name_(service.At({"metadata", "name"}).Str()) {}

  Result<> Addresses(json::Value& service) {
    auto& spec = service.Set("spec");
    if (!NeedsAddress(service)) return {};
    const auto ranges = Ranges();
    const auto asked = std::string(spec["clusterIP"].Str());
    if (!asked.empty()) {
      const auto value = ParseV4(asked);
      for (const Range& range : ranges)
        if (value && range.Has(*value)) return TakeAddress(service, asked, range);
      auto shown = json::Value::Array();
      shown.Append(asked);
      return std::unexpected(Refuse("spec.clusterIPs", shown.Dump(), Cat("failed to allocate IP ", asked, ": the provided IP (", asked, ") is not in the valid range. The range of valid IPs is ",
                                                                        engine_.options().service_cidr)));
    }
    for (const Range& range : ranges) {
      // The lower band is kept for addresses that are asked for by name.
      const std::uint32_t band = std::min<std::uint32_t>(std::max<std::uint32_t>(16, range.size / 16), 256);
      const std::uint32_t first = range.size > band * 2 ? band : 1, count = range.size - 1 - first;
      const std::uint32_t start = static_cast<std::uint32_t>(engine_.random().Below(count));
      for (std::uint32_t i = 0; i < count; ++i) {
        const auto address = FormatV4(range.base + first + (start + i) % count);
        if (Taken(AddressKey(address))) continue;
        return TakeAddress(service, address, range);
      }
    }
    return std::unexpected(Refuse("spec.clusterIPs", "null", "failed to allocate IP: range is full"));
  }

  Result<> Ports(json::Value& service, const std::set<std::int64_t>& held) {
    std::set<std::int64_t> mine;
    if (NeedsNodePorts(service)) {
      std::size_t index = 0;
      for (auto& port : service.Set("spec").Set("ports").MutableItems()) {
        TRY_VOID(Port(port, Cat("spec.ports[", index++, "].nodePort"), "nodePort", held, mine));
      }
    }
    if (NeedsHealthCheckPort(service)) {
      TRY_VOID(Port(service.Set("spec"), "spec.healthCheckNodePort", "healthCheckNodePort", held, mine));
    }
    for (const auto port : held)
      if (!mine.contains(port)) attempt_.batch.ops.push_back({PortKey(port), std::nullopt});
    return {};
  }

  static std::set<std::int64_t> PortsOf(const json::Value& service) {
    std::set<std::int64_t> ports;
    for (const auto& port : service.At({"spec", "ports"}).Items())
      if (port["nodePort"].Int() > 0) ports.insert(port["nodePort"].Int());
    if (service.At({"spec", "healthCheckNodePort"}).Int() > 0) ports.insert(service.At({"spec", "healthCheckNodePort"}).Int());
    return ports;
  }

 private:
  Error Refuse(std::string path, std::string value, std::string detail) const {
    FieldErrors errors;
    errors.push_back({FieldErrorType::kInvalid, std::move(path), std::move(value), std::move(detail)});
    return InvalidError("", "Service", name_, errors);
  }

  // The range of the configuration, then those that people have added.
  std::vector<Range> Ranges() const {
    std::vector<Range> out = {ParseRange(engine_.options().service_cidr)};
    const auto def = engine_.resources().Find("networking.k8s.io", "v1", "servicecidrs");
    if (!def) return out;
    for (const auto& item : engine_.CacheOf(*def).List("").items) {
      const auto object = item->Object();
      if ((*object)["metadata"].Find("deletionTimestamp")) continue;
      for (const auto& cidr : (*object)["spec"]["cidrs"].Items()) {
        Range range = ParseRange(cidr.Str());
        if (range.size == 0 || (range.base == out[0].base && range.size == out[0].size)) continue;
        range.key = StorageKey(*def, "", (*object)["metadata"]["name"].Str());
        range.revision = item->modified;
        out.push_back(std::move(range));
      }
    }
    return out;
  }

  bool Taken(const std::string& key) const {
    for (const auto& op : attempt_.batch.ops)
      if (op.key == key) return op.value.has_value();
    const auto entry = engine_.store().Get(key);
    return !entry || entry->has_value();
  }

  Result<> TakeAddress(json::Value& service, const std::string& address, const Range& range) {
    auto shown = json::Value::Array();
    shown.Append(address);
    const auto key = AddressKey(address);
    if (!op_.options.dry_run && Taken(key)) return std::unexpected(Refuse("spec.clusterIPs", shown.Dump(), Cat("failed to allocate IP ", address, ": provided IP is already allocated")));
    auto& spec = service.Set("spec");
    spec.Set("clusterIP") = address;
    spec.Set("clusterIPs") = std::move(shown);
    // A range that is about to go gives nothing more: its deletion and this write see each other.
    if (!range.key.empty()) attempt_.batch.expects.push_back({range.key, range.revision});
    attempt_.batch.expects.push_back({key, 0});
    attempt_.batch.ops.push_back({key, AddressObject(address, service)});
    return {};
  }

  Bytes AddressObject(const std::string& address, const json::Value& service) const {
    auto object = json::Value::Object();
    object.Set("kind") = "IPAddress";
    object.Set("apiVersion") = "networking.k8s.io/v1";
    auto& metadata = object.Set("metadata");
    metadata.Set("name") = address;
    metadata.Set("uid") = NewUuid(engine_.random());
    metadata.Set("creationTimestamp") = FormatTime(engine_.now());
    auto& labels = metadata.Set("labels");
    labels.Set("ipaddress.kubernetes.io/ip-family") = "IPv4";
    labels.Set("ipaddress.kubernetes.io/managed-by") = "ipallocator.k8s.io";
    auto& parent = object.Set("spec").Set("parentRef");
    parent.Set("resource") = "services";
    parent.Set("namespace") = service.At({"metadata", "namespace"}).Str();
    parent.Set("name") = service.At({"metadata", "name"}).Str();
    return Bytes(object.Dump());
  }

  Result<> Port(json::Value& holder, std::string path, std::string_view member, const std::set<std::int64_t>& held, std::set<std::int64_t>& mine) {
    const auto first = engine_.options().node_port_first, last = engine_.options().node_port_last;
    auto port = holder[member].Int();
    if (port == 0 && op_.options.dry_run) {
      // What a dry run shows stands for a port and is none of the range.
      std::int64_t highest = 0;
      for (const auto taken : mine)
        if (!held.contains(taken)) highest = std::max(highest, taken);
      port = highest > 0 ? highest + 1 : 32769;
      holder.Set(member) = port;
    } else if (port == 0) {
      const auto count = static_cast<std::uint64_t>(last - first + 1);
      const auto start = engine_.random().Below(count);
      for (std::uint64_t i = 0; i < count && port == 0; ++i) {
        const auto candidate = first + static_cast<std::int64_t>((start + i) % count);
        if (!mine.contains(candidate) && !held.contains(candidate) && !Taken(PortKey(candidate))) port = candidate;
      }
      if (port == 0) return std::unexpected(Refuse(std::move(path), "0", "failed to allocate a nodePort: range is full"));
      holder.Set(member) = port;
    } else if (!held.contains(port) && !mine.contains(port)) {
      // A dry run allocates nothing and takes any port.
      std::string problem;
      if (!op_.options.dry_run && (port < first || port > last)) problem = Cat("provided port is not in the valid range. The range of valid ports is ", first, "-", last);
      else if (!op_.options.dry_run && Taken(PortKey(port))) problem = "provided port is already allocated";
      if (!problem.empty() && member == "healthCheckNodePort")
        return std::unexpected(Error(Code::kInternal, Cat("Internal error occurred: failed to allocate requested HealthCheck NodePort ", port, ": ", problem)));
      if (!problem.empty()) return std::unexpected(Refuse(std::move(path), std::to_string(port), std::move(problem)));
    }
    if (mine.insert(port).second && !held.contains(port)) {
      attempt_.batch.expects.push_back({PortKey(port), 0});
      attempt_.batch.ops.push_back({PortKey(port), Bytes(Cat(op_.target.ns, "/", op_.target.name))});
    }
    return {};
  }

  Engine& engine_;
  WriteOperation& op_;
  Attempt& attempt_;
  const std::string name_;
};


// A namespace and its default service account appear together: a pod that follows at once finds its account.
void AddDefaultAccount(Engine& engine, const WriteOperation& op, const json::Value& ns, Attempt& attempt) {
  const auto accounts = engine.resources().Find("", "v1", "serviceaccounts");
  if (op.target.def->resource != "namespaces" || !op.target.def->group.empty() || !accounts) return;
  const Target target{accounts, "v1", std::string(ns.At({"metadata", "name"}).Str()), "default", ""};
  if (engine.Find(target)) return;
  auto account = json::Value::Object();
  auto& metadata = account.Set("metadata");
  metadata.Set("name") = target.name;
  metadata.Set("namespace") = target.ns;
  metadata.Set("uid") = NewUuid(engine.random());
  metadata.Set("creationTimestamp") = FormatTime(engine.now());
  const auto key = StorageKey(*accounts, target.ns, target.name);
  attempt.batch.expects.push_back({key, 0});
  if (auto encoded = engine.Encode(target, std::move(account))) attempt.batch.ops.push_back({key, std::move(*encoded)});   // a built-in kind: it never fails
}

}  // namespace

Result<> BeginCreate(Engine& engine, WriteOperation& op, json::Value& object, Attempt& attempt) {
  AddDefaultAccount(engine, op, object, attempt);
  if (!IsService(op)) return {};
  LinkAddresses(nullptr, object);
  TRY_VOID(InitFamilies(op.target, nullptr, object));
  Allocation allocation(engine, op, object, attempt);
  TRY_VOID(allocation.Addresses(object));
  return allocation.Ports(object, {});
}

Result<> BeginUpdate(Engine& engine, WriteOperation& op, json::Value& next, const json::Value& old, Attempt& attempt) {
  if (!IsService(op)) return {};
  KeepAllocated(old, next);
  LinkAddresses(&old, next);
  TRY_VOID(InitFamilies(op.target, &old, next));
  Allocation allocation(engine, op, next, attempt);
  const auto before = std::string(old.At({"spec", "clusterIP"}).Str());
  const bool was_external = old.At({"spec", "type"}).Str() == "ExternalName", external = next.At({"spec", "type"}).Str() == "ExternalName";
  if (was_external && !external) {
    TRY_VOID(allocation.Addresses(next));
  } else if (!was_external && external && NeedsAddress(old) && !before.empty()) {
    attempt.batch.ops.push_back({AddressKey(before), std::nullopt});
  }
  return allocation.Ports(next, Allocation::PortsOf(old));
}

void BeginDelete(Engine&, WriteOperation& op, const json::Value& old, Attempt& attempt) {
  if (op.target.def->resource != "services" || !op.target.def->group.empty()) return;
  const auto address = old.At({"spec", "clusterIP"}).Str();
  if (NeedsAddress(old) && !address.empty()) attempt.batch.ops.push_back({AddressKey(address), std::nullopt});
  for (const auto port : Allocation::PortsOf(old)) attempt.batch.ops.push_back({PortKey(port), std::nullopt});
}

}  // namespace skerry::kube
