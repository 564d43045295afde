#include "embedded-kube-shim/controllers/endpoints.h"

#include <algorithm>
#include <map>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/context.h"

namespace skerry::kube {

bool IsHeadless(const json::Value& service) { return service["spec"]["clusterIP"].Str() == "None"; }

bool IsAddressOf(std::string_view family, std::string_view address) { return (address.find(':') != std::string_view::npos) == (family == "IPv6"); }

std::string AddressOf(const PodFact& pod, std::string_view family) {
  for (const std::string& ip : pod.addresses) {
    if (IsAddressOf(family, ip)) return ip;
  }
  return {};
}

json::Value PodReference(const PodFact& pod, std::string_view ns) {
  json::Value ref;
  ref.Set("kind") = "Pod";
  ref.Set("namespace") = ns;
  ref.Set("name") = pod.name;
  ref.Set("uid") = pod.uid;
  return ref;
}

namespace {

// The number behind a target port in this pod; 0 when a named port is not there.
std::int64_t TargetPort(const json::Value& port, const PodFact& pod) {
  const json::Value& target = port["targetPort"];
  if (target.is_int()) return target.Int();
  const std::string_view name = target.Str(), protocol = port["protocol"].Str("TCP");
  for (const PodFact::Port& p : pod.ports) {
    if (p.name == name && p.protocol == protocol) return p.number;
  }
  return 0;
}

bool Selects(const json::Value& service, const json::Value& labels) {
  const json::Value& selector = service["spec"]["selector"];
  if (selector.size() == 0) return false;
  for (const json::Member& m : selector.Members()) {
    const json::Value* v = labels.Find(m.key);
    if (!v || v->Str() != m.value.Str()) return false;
  }
  return true;
}

}  // namespace

std::vector<ServicePod> PodsOfService(const json::Value& service, PodGroups& groups) {
  std::vector<ServicePod> out;
  const bool publish = service["spec"]["publishNotReadyAddresses"].Bool();
  for (auto& pod : groups.Find(Namespace(service), [&](const json::Value& labels) { return Selects(service, labels); })) {
    if (pod->finished || pod->addresses.empty()) continue;
    ServicePod p;
    p.serving = pod->ready;
    p.terminating = pod->terminating;
    p.ready = publish || (p.serving && !p.terminating);
    if (pod->subdomain == Name(service)) p.hostname = pod->hostname;
    p.pod = std::move(pod);
    for (const json::Value& port : service["spec"]["ports"].Items()) {
      const std::int64_t number = TargetPort(port, *p.pod);
      if (number == 0) continue;
      json::Value e;
      e.Set("name") = port["name"].Str();
      e.Set("protocol") = port["protocol"].Str("TCP");
      e.Set("port") = number;
      if (const json::Value* a = port.Find("appProtocol")) e.Set("appProtocol") = a->Clone();
      p.ports.push_back(std::move(e));
    }
    out.push_back(std::move(p));
  }
  return out;
}

namespace {

constexpr std::size_t kMaxAddresses = 1000;
constexpr const char* kManagedBy = "endpoints.kubernetes.io/managed-by";
constexpr const char* kOverCapacity = "endpoints.kubernetes.io/over-capacity";

struct Subset {
  json::Value ports = json::Value::Array();
  std::vector<json::Value> ready, not_ready;
};

json::Value SubsetPort(const json::Value& port) {
  json::Value p;
  if (!port["name"].Str().empty()) p.Set("name") = port["name"].Str();
  p.Set("port") = port["port"].Int();
  p.Set("protocol") = port["protocol"].Str();
  if (const json::Value* a = port.Find("appProtocol")) p.Set("appProtocol") = a->Clone();
  return p;
}

// Pods with the same ports share a subset.
json::Value Subsets(const json::Value& service, const std::vector<ServicePod>& pods, bool* cut) {
  const std::string family(service["spec"]["ipFamilies"].Items().empty() ? "IPv4" : service["spec"]["ipFamilies"].Items()[0].Str());
  std::map<std::string, Subset> by_ports;
  std::size_t count = 0;
  for (const ServicePod& p : pods) {
    const std::string ip = AddressOf(*p.pod, family);
    if (ip.empty() || (p.terminating && !service["spec"]["publishNotReadyAddresses"].Bool())) continue;
    if (p.ports.empty() && !(IsHeadless(service) && service["spec"]["ports"].size() == 0)) continue;
    if (++count > kMaxAddresses) {
      *cut = true;
      break;
    }
    json::Value address;
    address.Set("ip") = ip;
    if (!p.hostname.empty()) address.Set("hostname") = p.hostname;
    if (!p.pod->node.empty()) address.Set("nodeName") = p.pod->node;
    address.Set("targetRef") = PodReference(*p.pod, Namespace(service));
    json::Value ports = json::Value::Array();
    for (const json::Value& port : p.ports) ports.Append(SubsetPort(port));
    Subset& s = by_ports[ports.Dump()];
    s.ports = std::move(ports);
    (p.ready ? s.ready : s.not_ready).push_back(std::move(address));
  }
  json::Value out = json::Value::Array();
  for (auto& [key, s] : by_ports) {
    json::Value subset;
    const auto put = [&](const char* name, std::vector<json::Value>& list) {
      std::sort(list.begin(), list.end(), [](const json::Value& a, const json::Value& b) { return a["ip"].Str() < b["ip"].Str(); });
      for (json::Value& a : list) subset.Set(name).Append(std::move(a));
    };
    put("addresses", s.ready);
    put("notReadyAddresses", s.not_ready);
    if (s.ports.size() > 0) subset.Set("ports") = std::move(s.ports);
    out.Append(std::move(subset));
  }
  return out;
}

class EndpointsReconciler final : public Reconciler {
 public:
  EndpointsReconciler(const ControllerContext& c, std::shared_ptr<PodGroups> groups, std::shared_ptr<OwnWrites> own)
      : groups_(std::move(groups)), own_(std::move(own)), client_(c.client("endpoint-controller")), services_(c.informers.Get("v1/services")), endpoints_(c.informers.Get("v1/endpoints")) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr service = services_.Get(key);
    const ObjectPtr current = endpoints_.Get(key);
    if (!service) {
      // Only what this controller made; leader election of old clients kept its records in Endpoints.
      if (!current || Meta(*current)["labels"][kManagedBy].Str() != "endpoint-controller") return Outcome{};
      auto r = client_.Delete(ctx, "v1/endpoints", key);
      if (!r && r.error().code() != Code::kNotFound) return std::unexpected(std::move(r).error());
      return Outcome{};
    }
    if ((*service)["spec"]["selector"].size() == 0 || (*service)["spec"]["type"].Str() == "ExternalName") return Outcome{};
    bool cut = false;
    json::Value next = current ? current->Clone() : json::Value();
    next.Set("apiVersion") = "v1";
    next.Set("kind") = "Endpoints";
    json::Value& meta = next.Set("metadata");
    meta.Set("name") = key.name;
    meta.Set("namespace") = key.ns;
    meta.Set("labels") = Labels(*service);
    json::Value subsets = Subsets(*service, PodsOfService(*service, *groups_), &cut);
    if (cut) meta.Set("annotations").Set(kOverCapacity) = "truncated";
    if (subsets.size() > 0) {
      next.Set("subsets") = std::move(subsets);
    } else {
      next.Erase("subsets");
    }
    if (current && next == *current) {
      own_->Note(*current);
      return Outcome{};
    }
    auto written = current ? client_.Update(ctx, "v1/endpoints", std::move(next)) : client_.Create(ctx, "v1/endpoints", std::move(next));
    if (written) {
      own_->Note(**written);
      return Outcome{};
    }
    for (const Error::Cause& cause : written.error().causes()) {
      if (cause.reason == "NamespaceTerminating") return Outcome{};
    }
    return std::unexpected(std::move(written).error());
  }

 private:
  static json::Value Labels(const json::Value& service) {
    json::Value labels = Meta(service)["labels"].is_object() ? Meta(service)["labels"].Clone() : json::Value::Object();
    labels.Set(kManagedBy) = "endpoint-controller";
    labels.Erase(kHeadlessLabel);
    if (IsHeadless(service)) labels.Set(kHeadlessLabel) = "";
    return labels;
  }

  const std::shared_ptr<PodGroups> groups_;
  const std::shared_ptr<OwnWrites> own_;
  Client& client_;
  const Lister& services_;
  const Lister& endpoints_;
};

// Which services select pods of these labels. Remembered per set of labels until a service changes; the delivery thread's own.
class SelectingServices {
 public:
  explicit SelectingServices(const Lister& services) : services_(services) {}

  void Forget(std::string_view ns) { known_.erase(std::string(ns)); }
  const std::vector<Key>& Of(std::string_view ns, const json::Value& labels) {
    auto& known = known_[std::string(ns)];
    if (known.size() > kMostKept) known.clear();         // labels of their own for each pod: jobs, stateful sets
    const auto [it, fresh] = known.try_emplace(labels.Dump());
    if (!fresh) return it->second;
    for (const ObjectPtr& s : services_.List(ns)) {
      if (Selects(*s, labels)) it->second.push_back(KeyOf(*s));
    }
    return it->second;
  }

 private:
  static constexpr std::size_t kMostKept = 1000;
  const Lister& services_;
  std::map<std::string, std::map<std::string, std::vector<Key>>> known_;
};

constexpr std::chrono::milliseconds kBatch{50}, kLongestBatch{1000};
constexpr std::size_t kPodsOfBatch = 10;               // so many more pods, so many more batches to wait

}  // namespace

std::vector<Trigger> ServiceTriggers(const ControllerContext& context, const char* controller, std::shared_ptr<PodGroups> groups) {
  auto selecting = std::make_shared<SelectingServices>(context.informers.Get("v1/services"));
  Trigger services{"v1/services", [selecting](const Notification& n) {
                     const bool same = n.previous && (*n.previous)["spec"]["selector"] == (*n.object)["spec"]["selector"];
                     if (!same) selecting->Forget(Namespace(*n.object));
                     return std::vector<Key>{KeyOf(*n.object)};
                   }};
  std::vector<Trigger> out;
  out.push_back(std::move(services));
  if (!groups->AddListener(controller)) return out;      // the first one feeds the groups and tells the others
  Trigger pods{"v1/pods", [selecting, groups, &manager = context.manager](const Notification& n) {
                 if (!groups->Note(n)) return std::vector<Key>();
                 const std::string_view ns = Namespace(*n.object);
                 const json::Value& labels = Meta(*n.object)["labels"];
                 std::vector<Key> keys = selecting->Of(ns, labels);
                 if (n.previous && !(Meta(*n.previous)["labels"] == labels)) {
                   const std::vector<Key>& before = selecting->Of(ns, Meta(*n.previous)["labels"]);
                   keys.insert(keys.end(), before.begin(), before.end());
                 }
                 if (keys.empty()) return keys;
                 const auto wait = std::min(kLongestBatch, kBatch * static_cast<std::int64_t>(1 + groups->SizeOf(*n.object) / kPodsOfBatch));
                 for (const std::string& listener : groups->listeners()) {
                   for (const Key& key : keys) manager.EnqueueAfter(listener, key, wait);
                 }
                 return std::vector<Key>();
               }};
  out.push_back(std::move(pods));
  return out;
}

void OwnWrites::Note(const json::Value& object) {
  std::lock_guard lock(mutex_);
  versions_[std::string(Uid(object))] = Meta(object)["resourceVersion"].Str();
}
void OwnWrites::Forget(const json::Value& object) {
  std::lock_guard lock(mutex_);
  versions_.erase(std::string(Uid(object)));
}
bool OwnWrites::Has(const json::Value& object) const {
  std::lock_guard lock(mutex_);
  const auto it = versions_.find(std::string(Uid(object)));
  return it != versions_.end() && it->second == Meta(object)["resourceVersion"].Str();
}

namespace {

class Strangers final : public Reconciler {
 public:
  Strangers(const ControllerContext& c, std::string controller, const Lister& objects, std::shared_ptr<OwnWrites> own, std::function<std::vector<Key>(const json::Value&)> service_of)
      : manager_(c.manager), controller_(std::move(controller)), objects_(objects), own_(std::move(own)), service_of_(std::move(service_of)) {}
  Result<Outcome> Reconcile(const Ctx&, const Key& key) override {
    const ObjectPtr object = objects_.Get(key);
    if (!object || own_->Has(*object)) return Outcome{};
    for (Key& service : service_of_(*object)) manager_.Enqueue(controller_, std::move(service));
    return Outcome{};
  }

 private:
  Manager& manager_;
  const std::string controller_;
  const Lister& objects_;
  const std::shared_ptr<OwnWrites> own_;
  const std::function<std::vector<Key>(const json::Value&)> service_of_;
};

constexpr std::chrono::milliseconds kJudged{100};

}  // namespace

void AddStrangersOf(const ControllerContext& c, std::string controller, std::string resource, std::shared_ptr<OwnWrites> own,
                    std::function<std::vector<Key>(const json::Value& object)> service_of) {
  ControllerSpec spec;
  spec.name = controller + "-strangers";
  spec.triggers.push_back({resource, [own, service_of, controller, name = spec.name, &manager = c.manager](const Notification& n) {
                             if (n.type == Notification::Type::kDeleted) {
                               own->Forget(*n.object);
                               for (Key& service : service_of(*n.object)) manager.Enqueue(controller, std::move(service));
                             } else if (!own->Has(*n.object)) {
                               manager.EnqueueAfter(name, KeyOf(*n.object), kJudged);
                             }
                             return std::vector<Key>();
                           }});
  spec.reconciler = std::make_unique<Strangers>(c, std::move(controller), c.informers.Get(resource), std::move(own), std::move(service_of));
  c.manager.Add(std::move(spec));
}

void AddEndpoints(const ControllerContext& c) {
  const std::shared_ptr<PodGroups> groups = PodGroups::Of(c.informers);
  ControllerSpec spec;
  spec.name = "endpoint-controller";
  spec.workers = 2;
  spec.triggers = ServiceTriggers(c, "endpoint-controller", groups);
  const auto own = std::make_shared<OwnWrites>();
  spec.reconciler = std::make_unique<EndpointsReconciler>(c, groups, own);
  c.manager.Add(std::move(spec));
  AddStrangersOf(c, "endpoint-controller", "v1/endpoints", own, [](const json::Value& object) { return std::vector<Key>{KeyOf(object)}; });
}

}  // namespace skerry::kube
