#include "embedded-kube-shim/controllers/endpoints.h"

#include <algorithm>
#include <map>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/context.h"

namespace skerry::kube {

bool IsHeadless(const json::Value& service) { return service["spec"]["clusterIP"].Str() == "None"; }

bool IsAddressOf(std::string_view family, std::string_view address) { return (address.find(':') != std::string_view::npos) == (family == "IPv6"); }

std::string AddressOf(const json::Value& pod, std::string_view family) {
  for (const json::Value& ip : pod["status"]["podIPs"].Items()) {
    if (IsAddressOf(family, ip["ip"].Str())) return std::string(ip["ip"].Str());
  }
  const std::string_view ip = pod["status"]["podIP"].Str();
  return !ip.empty() && IsAddressOf(family, ip) ? std::string(ip) : "";
}

json::Value PodReference(const json::Value& pod) {
  json::Value ref;
  ref.Set("kind") = "Pod";
  ref.Set("namespace") = Namespace(pod);
  ref.Set("name") = Name(pod);
  ref.Set("uid") = Uid(pod);
  return ref;
}

namespace {

// The number behind a target port in this pod; 0 when a named port is not there.
std::int64_t TargetPort(const json::Value& port, const json::Value& pod) {
  const json::Value& target = port["targetPort"];
  if (target.is_int()) return target.Int();
  const std::string_view name = target.Str(), protocol = port["protocol"].Str("TCP");
  const auto find = [&](std::string_view list, bool sidecars_only) -> std::int64_t {
    for (const json::Value& c : pod["spec"][list].Items()) {
      if (sidecars_only && c["restartPolicy"].Str() != "Always") continue;
      for (const json::Value& p : c["ports"].Items()) {
        if (p["name"].Str() == name && p["protocol"].Str("TCP") == protocol) return p["containerPort"].Int();
      }
    }
    return 0;
  };
  const std::int64_t n = find("containers", false);
  return n != 0 ? n : find("initContainers", true);
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

std::vector<ServicePod> PodsOfService(const json::Value& service, const Lister& pods) {
  std::vector<ServicePod> out;
  const bool publish = service["spec"]["publishNotReadyAddresses"].Bool();
  for (const ObjectPtr& pod : pods.List(Namespace(service))) {
    if (!Selects(service, Meta(*pod)["labels"]) || IsPodFinished(*pod)) continue;
    if ((*pod)["status"]["podIP"].Str().empty() && (*pod)["status"]["podIPs"].size() == 0) continue;
    ServicePod p;
    p.pod = pod;
    p.serving = IsPodReady(*pod);
    p.terminating = IsTerminating(*pod);
    p.ready = publish || (p.serving && !p.terminating);
    if ((*pod)["spec"]["subdomain"].Str() == Name(service)) p.hostname = (*pod)["spec"]["hostname"].Str();
    for (const json::Value& port : service["spec"]["ports"].Items()) {
      const std::int64_t number = TargetPort(port, *pod);
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

std::vector<Key> ServicesOfPod(const Notification& n, const Lister& services) {
  std::vector<Key> keys;
  for (const ObjectPtr& s : services.List(Namespace(*n.object))) {
    if (Selects(*s, Meta(*n.object)["labels"]) || (n.previous && Selects(*s, Meta(*n.previous)["labels"]))) keys.push_back(KeyOf(*s));
  }
  return keys;
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
    if (const std::string_view node = (*p.pod)["spec"]["nodeName"].Str(); !node.empty()) address.Set("nodeName") = node;
    address.Set("targetRef") = PodReference(*p.pod);
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
  explicit EndpointsReconciler(const ControllerContext& c)
      : client_(c.client("endpoint-controller")), services_(c.informers.Get("v1/services")), pods_(c.informers.Get("v1/pods")), endpoints_(c.informers.Get("v1/endpoints")) {}

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
    json::Value subsets = Subsets(*service, PodsOfService(*service, pods_), &cut);
    if (cut) meta.Set("annotations").Set(kOverCapacity) = "truncated";
    if (subsets.size() > 0) {
      next.Set("subsets") = std::move(subsets);
    } else {
      next.Erase("subsets");
    }
    if (current && next == *current) return Outcome{};
    auto written = current ? client_.Update(ctx, "v1/endpoints", std::move(next)) : client_.Create(ctx, "v1/endpoints", std::move(next));
    if (written) return Outcome{};
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

  Client& client_;
  const Lister& services_;
  const Lister& pods_;
  const Lister& endpoints_;
};

}  // namespace

Trigger PodsOfServices(const ControllerContext& context, const char* controller) {
  constexpr std::chrono::milliseconds kBatch{50};
  return {"v1/pods", [&services = context.informers.Get("v1/services"), &manager = context.manager, controller](const Notification& n) {
            for (Key& key : ServicesOfPod(n, services)) manager.EnqueueAfter(controller, std::move(key), kBatch);
            return std::vector<Key>();
          }};
}

void AddEndpoints(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = "endpoint-controller";
  spec.workers = 2;
  spec.triggers.push_back({"v1/services", {}});
  spec.triggers.push_back(PodsOfServices(c, "endpoint-controller"));
  spec.triggers.push_back({"v1/endpoints", {}});
  spec.reconciler = std::make_unique<EndpointsReconciler>(c);
  c.manager.Add(std::move(spec));
}

}  // namespace skerry::kube
