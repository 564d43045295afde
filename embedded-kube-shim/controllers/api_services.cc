#include <algorithm>
#include <map>
#include <mutex>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/api_services.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/controllers/write.h"

// APIServices: those of custom resources come and go with their definitions, and the status of every one says whether its server answers.
namespace skerry::kube {
namespace {

constexpr const char* kApis = "apiregistration.k8s.io/v1/apiservices";
constexpr const char* kDefinitions = "apiextensions.k8s.io/v1/customresourcedefinitions";
constexpr const char* kServerSlices = "discovery.k8s.io/v1/endpointslices";
constexpr const char* kManaged = "kube-aggregator.kubernetes.io/automanaged";
constexpr std::int64_t kGroupPriority = 1000, kVersionPriority = 100;   // of custom resources
constexpr std::chrono::milliseconds kFirstProbe{200}, kLastProbe{30'000};

std::vector<Key> VersionsOf(const Notification& n) {
  std::vector<Key> keys;
  for (const ObjectPtr& crd : {n.object, n.previous}) {
    if (!crd) continue;
    for (const json::Value& version : (*crd)["spec"]["versions"].Items()) keys.push_back({"", Cat(version["name"].Str(), ".", (*crd)["spec"]["group"].Str())});
  }
  return keys;
}

class CustomApis final : public Reconciler {
 public:
  explicit CustomApis(const ControllerContext& c) : client_(c.client(kAggregationClient)), apis_(c.informers.Get(kApis)), definitions_(c.informers.Get(kDefinitions)) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const std::size_t dot = std::min(key.name.find('.'), key.name.size());
    const std::string version = key.name.substr(0, dot), group = dot < key.name.size() ? key.name.substr(dot + 1) : "";
    const bool wanted = !group.empty() && IsDefined(group, version);
    const ObjectPtr current = apis_.Get(key);
    if (!current) return wanted ? Create(ctx, key, group, version) : Outcome{};
    if (Meta(*current)["labels"][kManaged].Str() != "true") return Outcome{};
    if (!wanted) {
      TRY_VOID(DeleteIfThere(ctx, client_, kApis, *current));
      return Outcome{};
    }
    json::Value spec = Spec(group, version);
    if (SameContent((*current)["spec"], spec)) return Outcome{};
    json::Value next = current->Clone();
    next.Set("spec") = std::move(spec);
    TRY_VOID(UpdateIfChanged(ctx, client_, kApis, current, std::move(next)));
    return Outcome{};
  }

 private:
  bool IsDefined(std::string_view group, std::string_view version) const {
    for (const ObjectPtr& crd : definitions_.List()) {
      if ((*crd)["spec"]["group"].Str() != group) continue;
      for (const json::Value& v : (*crd)["spec"]["versions"].Items())
        if (v["name"].Str() == version && v["served"].Bool()) return true;
    }
    return false;
  }

  static json::Value Spec(std::string_view group, std::string_view version) {
    json::Value spec;
    spec.Set("group") = group;
    spec.Set("groupPriorityMinimum") = kGroupPriority;
    spec.Set("version") = version;
    spec.Set("versionPriority") = kVersionPriority;
    return spec;
  }

  Result<Outcome> Create(const Ctx& ctx, const Key& key, std::string_view group, std::string_view version) {
    json::Value api;
    api.Set("metadata").Set("name") = key.name;
    api.Set("metadata").Set("labels").Set(kManaged) = "true";
    api.Set("spec") = Spec(group, version);
    auto made = client_.Create(ctx, kApis, std::move(api));
    if (!made && !AlreadyExists(made.error())) return std::unexpected(std::move(made).error());
    return Outcome{};
  }

  Client& client_;
  const Lister& apis_;
  const Lister& definitions_;
};

struct Finding {
  const char* status = "True";
  const char* reason = "Passed";
  std::string message = "all checks passed";
  bool look_again = false;           // nothing here will tell when it ends
};

bool HasReadyEndpoint(const json::Value& slice, std::string_view port_name) {
  const auto endpoints = slice["endpoints"].Items();
  const auto ports = slice["ports"].Items();
  const auto ready = [](const json::Value& e) { return e["conditions"]["ready"].is_null() || e["conditions"]["ready"].Bool(); };
  return std::any_of(endpoints.begin(), endpoints.end(), ready) &&
         std::any_of(ports.begin(), ports.end(), [&](const json::Value& p) { return p["name"].Str() == port_name && !p["port"].is_null(); });
}

class Availability final : public Reconciler {
 public:
  explicit Availability(const ControllerContext& c)
      : client_(c.client(kAggregationClient)), aggregated_(*c.aggregated), clock_(c.clock), apis_(c.informers.Get(kApis)), services_(c.informers.Get("v1/services")), slices_(c.informers.Get(kServerSlices)) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr api = apis_.Get(key);
    if (!api) {
      CountFailure(key, false);
      return Outcome{};
    }
    const bool local = (*api)["spec"]["service"].is_null();
    const Finding found = local ? Finding{"True", "Local", "Local APIServices are always available", false} : Look(ctx, *api);
    json::Value next = api->Clone();
    SetCondition(next.Set("status"), "Available", found.status, found.reason, found.message, clock_.Now());
    TRY_VOID(UpdateIfChanged(ctx, client_, kApis, api, std::move(next), "status"));
    if (local) return Outcome{};
    const int failures = CountFailure(key, found.look_again);
    return Outcome{failures > 0 ? std::min(kLastProbe, kFirstProbe * (1 << std::min(failures, 12))) : kLastProbe};
  }

 private:
  Finding Look(const Ctx& ctx, const json::Value& api) {
    const json::Value& to = api["spec"]["service"];
    const std::string name(to["name"].Str()), ns(to["namespace"].Str());
    const std::int64_t port = to["port"].Int(443);
    const std::string what = Cat("service/", name, " in ", Quote(ns));
    const ObjectPtr service = services_.Get({ns, name});
    if (!service) return {"False", "ServiceNotFound", what + " is not present", false};
    if (const auto type = (*service)["spec"]["type"].Str("ClusterIP"); type == "ClusterIP") {
      const auto ports = (*service)["spec"]["ports"].Items();
      const auto at = std::find_if(ports.begin(), ports.end(), [&](const json::Value& p) { return p["port"].Int() == port; });
      if (at == ports.end()) return {"False", "ServicePortError", Cat(what, " is not listening on port ", port), false};
      bool any = false, ready = false;
      for (const ObjectPtr& slice : slices_.Matching(ns, Cat("kubernetes.io/service-name=", name))) {
        any = true;
        ready = ready || HasReadyEndpoint(*slice, (*at)["name"].Str());
      }
      if (!any) return {"False", "EndpointsNotFound", Cat("cannot find endpointslices for ", what), false};
      if (!ready) return {"False", "MissingEndpoints", Cat("endpointslices for ", what, " have no addresses with port name ", Quote((*at)["name"].Str())), false};
    }
    if (auto answered = aggregated_.Probe(ctx, api); !answered) return {"False", "FailedDiscoveryCheck", std::string(answered.error().message()), true};
    return {};
  }

  // How often in a row nothing told why it failed.
  int CountFailure(const Key& key, bool failed) {
    std::lock_guard lock(mutex_);
    if (failed) return ++failures_[key.name];
    failures_.erase(key.name);
    return 0;
  }

  Client& client_;
  AggregatedApis& aggregated_;
  const Clock& clock_;
  const Lister& apis_;
  const Lister& services_;
  const Lister& slices_;
  std::mutex mutex_;
  std::map<std::string, int> failures_;   // guarded
};

// The APIServices that name this service.
std::vector<Key> ApisOf(const Lister& apis, std::string_view ns, std::string_view service) {
  std::vector<Key> keys;
  for (const ObjectPtr& api : apis.List()) {
    const json::Value& to = (*api)["spec"]["service"];
    if (to["name"].Str() == service && to["namespace"].Str() == ns) keys.push_back(KeyOf(*api));
  }
  return keys;
}

}  // namespace

void AddApiServices(const ControllerContext& c) {
  ControllerSpec custom;
  custom.name = "autoregister";
  custom.triggers.push_back({kDefinitions, VersionsOf});
  custom.triggers.push_back({kApis, {}});
  custom.reconciler = std::make_unique<CustomApis>(c);
  c.manager.Add(std::move(custom));

  ControllerSpec available;
  available.name = "apiservice-availability";
  available.workers = 5;
  const Lister& apis = c.informers.Get(kApis);
  available.triggers.push_back({kApis, {}});
  available.triggers.push_back({"v1/services", [&apis](const Notification& n) { return ApisOf(apis, Namespace(*n.object), Name(*n.object)); }});
  available.triggers.push_back({kServerSlices, [&apis](const Notification& n) { return ApisOf(apis, Namespace(*n.object), Meta(*n.object)["labels"]["kubernetes.io/service-name"].Str()); }});
  available.reconciler = std::make_unique<Availability>(c);
  c.manager.Add(std::move(available));
}

}  // namespace skerry::kube
