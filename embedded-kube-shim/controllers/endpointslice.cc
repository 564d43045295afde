#include <algorithm>
#include <map>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/endpoints.h"

namespace skerry::kube {
namespace {

constexpr const char* kSlices = "discovery.k8s.io/v1/endpointslices";
constexpr std::size_t kSliceSize = 100;

// What one group of slices (same ports, same address family) should hold.
struct Wanted {
  std::string family;
  json::Value ports;                                   // null for a headless service without ports
  std::vector<json::Value> endpoints;
};

std::string EndpointId(const json::Value& e) {
  const json::Value& ref = e["targetRef"];
  return Cat(ref["uid"].Str(), "|", e["addresses"].Items().empty() ? std::string_view() : e["addresses"].Items()[0].Str(), "|", e["hostname"].Str());
}

// Brings the slices of one owner to what is wanted with as few writes as can be: endpoints stay in their slice, new ones fill the gaps.
class SliceWriter {
 public:
  // `own` may be null.
  SliceWriter(const Ctx& ctx, Client& client, OwnWrites* own, const json::Value& owner, std::string_view owner_version, std::string_view owner_kind, json::Value labels)
      : ctx_(ctx), client_(client), own_(own), owner_(owner), ref_(NewControllerRef(owner, owner_version, owner_kind)), labels_(std::move(labels)) {}

  Result<> Write(std::vector<Wanted> wanted, std::vector<ObjectPtr> slices) {
    for (Wanted& w : wanted) {
      std::vector<ObjectPtr> mine;
      std::erase_if(slices, [&](const ObjectPtr& s) {
        if ((*s)["addressType"].Str() != w.family || !((*s)["ports"] == w.ports) || IsTerminating(*s)) return false;
        mine.push_back(s);
        return true;
      });
      TRY_VOID(WriteGroup(w, mine));
    }
    for (const ObjectPtr& s : slices) TRY_VOID(Remove(*s));
    return {};
  }

 private:
  Result<> WriteGroup(Wanted& w, const std::vector<ObjectPtr>& slices) {
    std::map<std::string, json::Value*, std::less<>> missing;
    for (json::Value& e : w.endpoints) missing[EndpointId(e)] = &e;
    std::vector<json::Value> contents(slices.size());
    for (std::size_t i = 0; i < slices.size(); ++i) {
      contents[i] = json::Value::Array();
      for (const json::Value& e : (*slices[i])["endpoints"].Items()) {
        const auto it = missing.find(EndpointId(e));
        if (it == missing.end()) continue;
        contents[i].Append(std::move(*it->second));
        missing.erase(it);
      }
    }
    for (json::Value& e : w.endpoints) {
      if (e.is_null() || !missing.contains(EndpointId(e))) continue;   // null: it has its place
      std::size_t i = 0;
      while (i < contents.size() && contents[i].size() >= kSliceSize) ++i;
      if (i == contents.size()) contents.push_back(json::Value::Array());
      contents[i].Append(std::move(e));
    }
    // A service without endpoints keeps one empty slice, so that it is known to have none.
    if (contents.empty()) contents.push_back(json::Value::Array());
    bool kept = false;
    for (std::size_t i = 0; i < contents.size(); ++i) {
      const bool last = i + 1 == contents.size();
      if (i < slices.size() && contents[i].size() == 0 && (kept || !last)) {
        TRY_VOID(Remove(*slices[i]));
        continue;
      }
      kept = true;
      TRY_VOID(Put(w, i < slices.size() ? slices[i] : nullptr, std::move(contents[i])));
    }
    return {};
  }

  Result<> Put(const Wanted& w, const ObjectPtr& current, json::Value endpoints) {
    json::Value next = current ? current->Clone() : json::Value();
    next.Set("apiVersion") = "discovery.k8s.io/v1";
    next.Set("kind") = "EndpointSlice";
    json::Value& meta = next.Set("metadata");
    if (!current) {
      meta.Set("generateName") = Cat(Name(owner_), "-");
      meta.Set("namespace") = Namespace(owner_);
      meta.Set("ownerReferences").Append(ref_.Clone());
    }
    meta.Set("labels") = labels_.Clone();
    next.Set("addressType") = w.family;
    next.Set("endpoints") = endpoints.size() > 0 ? std::move(endpoints) : json::Value();   // as the server keeps it: equal means no write
    next.Set("ports") = w.ports.Clone();
    if (current && next == *current) {
      if (own_) own_->Note(*current);
      return {};
    }
    auto r = current ? client_.Update(ctx_, kSlices, std::move(next)) : client_.Create(ctx_, kSlices, std::move(next));
    if (r) {
      if (own_) own_->Note(**r);
      return {};
    }
    for (const Error::Cause& c : r.error().causes()) {
      if (c.reason == "NamespaceTerminating") return {};
    }
    return std::unexpected(std::move(r).error());
  }

  Result<> Remove(const json::Value& slice) {
    auto r = client_.Delete(ctx_, kSlices, KeyOf(slice));
    if (!r && r.error().code() != Code::kNotFound) return r;
    return {};
  }

  const Ctx& ctx_;
  Client& client_;
  OwnWrites* const own_;
  const json::Value& owner_;
  const json::Value ref_, labels_;
};

// The slices that `manager` keeps for `owner`, which all name it as their controller.
std::vector<ObjectPtr> SlicesOf(const Lister& slices, const json::Value& owner, std::string_view manager) {
  std::vector<ObjectPtr> out = slices.OwnedBy(Uid(owner));
  std::erase_if(out, [&](const ObjectPtr& s) { return Meta(*s)["labels"][kSliceManagedBy].Str() != manager; });
  std::sort(out.begin(), out.end(), [](const ObjectPtr& a, const ObjectPtr& b) { return Name(*a) < Name(*b); });
  return out;
}

std::vector<Key> ServiceOfSlice(std::string_view manager, const json::Value& slice) {
  const json::Value& labels = Meta(slice)["labels"];
  if (labels[kSliceManagedBy].Str() != manager) return {};
  return {{std::string(Namespace(slice)), std::string(labels[kServiceNameLabel].Str())}};
}

constexpr const char* kManager = "endpointslice-controller.k8s.io";

class EndpointSliceReconciler final : public Reconciler {
 public:
  EndpointSliceReconciler(const ControllerContext& c, std::shared_ptr<PodGroups> groups, std::shared_ptr<OwnWrites> own)
      : groups_(std::move(groups)), own_(std::move(own)), client_(c.client("endpointslice-controller")), services_(c.informers.Get("v1/services")),
        nodes_(c.informers.Get("v1/nodes")), slices_(c.informers.Get(kSlices)) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr service = services_.Get(key);
    if (!service || IsTerminating(*service)) return Outcome{};   // the slices are its dependents
    if ((*service)["spec"]["selector"].size() == 0 || (*service)["spec"]["type"].Str() == "ExternalName") return Outcome{};
    json::Value labels = Meta(*service)["labels"].is_object() ? Meta(*service)["labels"].Clone() : json::Value::Object();
    labels.Erase(kHeadlessLabel);
    if (IsHeadless(*service)) labels.Set(kHeadlessLabel) = "";
    labels.Set(kServiceNameLabel) = key.name;
    labels.Set(kSliceManagedBy) = kManager;
    SliceWriter writer(ctx, client_, own_.get(), *service, "v1", "Service", std::move(labels));
    TRY_VOID(writer.Write(Groups(*service), SlicesOf(slices_, *service, kManager)));
    return Outcome{};
  }

 private:
  std::vector<Wanted> Groups(const json::Value& service) const {
    std::vector<Wanted> out;
    std::vector<std::string> families;
    for (const json::Value& f : service["spec"]["ipFamilies"].Items()) families.emplace_back(f.Str());
    if (families.empty()) families.emplace_back("IPv4");
    const std::vector<ServicePod> pods = PodsOfService(service, *groups_);
    for (const std::string& family : families) {
      std::map<std::string, Wanted> by_ports;
      for (const ServicePod& p : pods) {
        const std::string ip = AddressOf(*p.pod, family);
        if (ip.empty()) continue;
        json::Value ports;                             // none is null, as the server keeps it: equal means no write
        for (const json::Value& port : p.ports) ports.Append(port.Clone());
        Wanted& w = by_ports[ports.Dump()];
        w.family = family;
        w.ports = std::move(ports);
        w.endpoints.push_back(Endpoint(p, ip, Namespace(service)));
      }
      if (by_ports.empty()) by_ports[""] = {family, json::Value(), {}};
      for (auto& [key, w] : by_ports) out.push_back(std::move(w));
    }
    return out;
  }

  json::Value Endpoint(const ServicePod& p, const std::string& ip, std::string_view ns) const {
    json::Value e;
    e.Set("addresses").Append(ip);
    json::Value& conditions = e.Set("conditions");
    conditions.Set("ready") = p.ready;
    conditions.Set("serving") = p.serving;
    conditions.Set("terminating") = p.terminating;
    if (!p.hostname.empty()) e.Set("hostname") = p.hostname;
    e.Set("targetRef") = PodReference(*p.pod, ns);
    if (const std::string& node = p.pod->node; !node.empty()) {
      e.Set("nodeName") = node;
      const ObjectPtr object = nodes_.Get({"", node});
      const std::string_view zone = object ? Meta(*object)["labels"]["topology.kubernetes.io/zone"].Str() : "";
      if (!zone.empty()) e.Set("zone") = zone;
    }
    return e;
  }

  const std::shared_ptr<PodGroups> groups_;
  const std::shared_ptr<OwnWrites> own_;
  Client& client_;
  const Lister& services_;
  const Lister& nodes_;
  const Lister& slices_;
};

constexpr const char* kMirrorManager = "endpointslicemirroring-controller.k8s.io";

// Endpoints that somebody maintains by hand for a service without a selector.
class MirroringReconciler final : public Reconciler {
 public:
  explicit MirroringReconciler(const ControllerContext& c)
      : client_(c.client("endpointslicemirroring-controller")), services_(c.informers.Get("v1/services")), endpoints_(c.informers.Get("v1/endpoints")),
        slices_(c.informers.Get(kSlices)) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr endpoints = endpoints_.Get(key);
    const ObjectPtr service = services_.Get(key);
    const std::vector<ObjectPtr> slices = endpoints ? SlicesOf(slices_, *endpoints, kMirrorManager)
                                                    : slices_.Matching(key.ns, Cat(kServiceNameLabel, "=", key.name, ",", kSliceManagedBy, "=", kMirrorManager));
    const bool mirror = endpoints && service && !IsTerminating(*endpoints) && (*service)["spec"]["selector"].size() == 0 &&
                        Meta(*endpoints)["labels"]["endpointslice.kubernetes.io/skip-mirror"].Str() != "true" &&
                        Meta(*endpoints)["annotations"].Find("control-plane.alpha.kubernetes.io/leader") == nullptr;
    if (!mirror) {
      for (const ObjectPtr& s : slices) {
        auto r = client_.Delete(ctx, kSlices, KeyOf(*s));
        if (!r && r.error().code() != Code::kNotFound) return std::unexpected(std::move(r).error());
      }
      return Outcome{};
    }
    json::Value labels = Meta(*endpoints)["labels"].is_object() ? Meta(*endpoints)["labels"].Clone() : json::Value::Object();
    labels.Set(kServiceNameLabel) = key.name;
    labels.Set(kSliceManagedBy) = kMirrorManager;
    SliceWriter writer(ctx, client_, nullptr, *endpoints, "v1", "Endpoints", std::move(labels));
    TRY_VOID(writer.Write(Groups(*endpoints), slices));
    return Outcome{};
  }

 private:
  static std::vector<Wanted> Groups(const json::Value& endpoints) {
    std::map<std::string, Wanted> groups;
    for (const json::Value& subset : endpoints["subsets"].Items()) {
      json::Value ports = json::Value::Array();
      for (const json::Value& p : subset["ports"].Items()) {
        json::Value port;
        port.Set("name") = p["name"].Str();
        port.Set("protocol") = p["protocol"].Str("TCP");
        port.Set("port") = p["port"].Int();
        if (const json::Value* a = p.Find("appProtocol")) port.Set("appProtocol") = a->Clone();
        ports.Append(std::move(port));
      }
      const auto add = [&](std::string_view list, bool ready) {
        for (const json::Value& a : subset[list].Items()) {
          const std::string family = IsAddressOf("IPv6", a["ip"].Str()) ? "IPv6" : "IPv4";
          Wanted& w = groups[family + ports.Dump()];
          w.family = family;
          w.ports = ports.Clone();
          json::Value e;
          e.Set("addresses").Append(a["ip"].Str());
          e.Set("conditions").Set("ready") = ready;
          for (const char* key : {"hostname", "targetRef", "nodeName"}) {
            if (const json::Value* v = a.Find(key)) e.Set(key) = v->Clone();
          }
          w.endpoints.push_back(std::move(e));
        }
      };
      add("addresses", true);
      add("notReadyAddresses", false);
    }
    std::vector<Wanted> out;
    for (auto& [key, w] : groups) out.push_back(std::move(w));
    return out;
  }

  Client& client_;
  const Lister& services_;
  const Lister& endpoints_;
  const Lister& slices_;
};

}  // namespace

void AddEndpointSlice(const ControllerContext& c) {
  const std::shared_ptr<PodGroups> groups = PodGroups::Of(c.informers);
  ControllerSpec spec;
  spec.name = "endpointslice-controller";
  spec.workers = 2;
  spec.triggers = ServiceTriggers(c, "endpointslice-controller", groups);
  const auto own = std::make_shared<OwnWrites>();
  spec.reconciler = std::make_unique<EndpointSliceReconciler>(c, groups, own);
  c.manager.Add(std::move(spec));
  AddStrangersOf(c, "endpointslice-controller", kSlices, own, [](const json::Value& slice) { return ServiceOfSlice(kManager, slice); });
}

void AddEndpointSliceMirroring(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = "endpointslicemirroring-controller";
  spec.triggers.push_back({"v1/endpoints", {}});
  spec.triggers.push_back({"v1/services", {}});
  spec.triggers.push_back({kSlices, [](const Notification& n) { return ServiceOfSlice(kMirrorManager, *n.object); }});
  spec.reconciler = std::make_unique<MirroringReconciler>(c);
  c.manager.Add(std::move(spec));
}

}  // namespace skerry::kube
