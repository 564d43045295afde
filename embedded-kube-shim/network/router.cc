#include "embedded-kube-shim/network/router.h"

#include <map>
#include <optional>
#include <set>

#include "core/base/guarded.h"
#include "core/base/strings.h"
#include "core/telemetry/log.h"
#include "embedded-kube-shim/controller/controller.h"
#include "embedded-kube-shim/network/change_loop.h"
#include "embedded-kube-shim/network/exposure.h"
#include "embedded-kube-shim/network/slice_index.h"

namespace skerry::kube::network {
namespace {

constexpr const char* kIngresses = "networking.k8s.io/v1/ingresses";
constexpr const char* kIngressClasses = "networking.k8s.io/v1/ingressclasses";
constexpr const char* kRoutes = "route.openshift.io/v1/routes";
constexpr const char* kSecrets = "v1/secrets";
const Key kTable{};   // stands for "the table has to be built again"; no service has an empty name

// Parsed certificates by their text: a table is rebuilt often, its certificates hardly ever change. One thread.
class Certificates {
 public:
  using Certificate = std::shared_ptr<const net::TlsCertificate>;
  Result<Certificate> Get(const net::TlsIdentity& identity) {
    const std::string text = Cat(identity.chain_pem, '\0', identity.key_pem);
    auto& kept = used_[text];
    if (const auto at = before_.find(text); !kept && at != before_.end()) kept = at->second;
    if (!kept) {
      auto made = net::TlsCertificate::Create(identity);
      if (!made) {
        used_.erase(text);
        return made;
      }
      kept = std::move(*made);
    }
    return kept;
  }
  void StartRound() { before_ = std::exchange(used_, {}); }
  void EndRound() { before_.clear(); }

 private:
  std::map<std::string, Certificate> used_, before_;
};

class RouterImpl final : public Router {
 public:
  RouterImpl(Informers& informers, Client& client, proxy::Proxy& proxy, const Clock& clock, RouterOptions options)
      : informers_(informers), client_(client), proxy_(proxy), clock_(clock), options_(std::move(options)), services_(informers.Get(kServicesResource)),
        ingresses_(informers.Get(kIngresses)), classes_(informers.Get(kIngressClasses)), secrets_(informers.Get(kSecrets)),
        routes_(options_.routes ? &informers.Get(kRoutes) : nullptr),
        loop_("router", [this](const Ctx& ctx, const ChangeLoop::Batch& batch) { return Apply(ctx, batch); }) {}
  ~RouterImpl() override { RouterImpl::Stop(); }

  std::string_view name() const noexcept override { return "router"; }

  Result<> Start(const Ctx&) override {
    slices_.emplace(informers_.Get(kSlicesResource));
    Watch(kIngresses, [](const Notification&) { return true; });
    Watch(kIngressClasses, [](const Notification&) { return true; });
    Watch(kSecrets, [](const Notification& n) { return (*n.object)["type"].Str() == "kubernetes.io/tls"; });
    if (routes_ != nullptr) Watch(kRoutes, [](const Notification&) { return true; });
    subscriptions_.push_back(informers_.Subscribe(kServicesResource, [this](const Notification& n) { loop_.Mark(KeyOf(*n.object)); }));
    subscriptions_.push_back(informers_.Subscribe(kSlicesResource, [this](const Notification& n) {
      for (Key& key : slices_->Note(n)) loop_.Mark(std::move(key));
    }));
    BuildTable();
    loop_.Mark(kTable);   // the status of what was there, with the API at hand
    loop_.Start();
    proxy_.Settle();
    return {};
  }

  void Refresh() noexcept override { loop_.Mark(kTable); }

  void Stop() noexcept override {
    subscriptions_.clear();
    loop_.Stop();
  }

 private:
  void Watch(const char* resource, bool (*matters)(const Notification&)) {
    subscriptions_.push_back(informers_.Subscribe(resource, [this, matters](const Notification& n) {
      if (matters(n)) loop_.Mark(kTable);
    }));
  }

  Result<> Apply(const Ctx& ctx, const ChangeLoop::Batch& batch) {
    if (batch.contains(kTable)) BuildTable();
    for (const Key& key : batch) {
      for (auto at = by_service_.lower_bound({key, ""}); at != by_service_.end() && at->first == key; ++at) FillPool(pools_.at(at->second));
    }
    return batch.contains(kTable) ? WriteStatus(ctx) : Result<>{};
  }

  ExposureContext Context() {
    ExposureContext c;
    c.secret = [this](const Key& key) { return secrets_.Get(key); };
    c.certificate = [this](const net::TlsIdentity& identity) { return certificates_.Get(identity); };
    c.issue = [this](const std::string& host) { return Issue(host); };
    c.is_ours = [this](std::string_view name) {
      if (name.empty()) return true;
      const ObjectPtr object = classes_.Get({"", std::string(name)});
      return object && (*object)["spec"]["controller"].Str() == options_.ingress_controller;
    };
    return c;
  }

  std::shared_ptr<const net::TlsCertificate> Issue(const std::string& host) {
    if (!options_.issue || host.empty()) return nullptr;
    auto& kept = issued_[host];
    const Clock::Wall now = clock_.Now();
    if (kept.certificate && kept.made <= now && now < kept.made + options_.renew_after) return kept.certificate;
    auto identity = options_.issue(host);
    auto made = identity ? net::TlsCertificate::Create(*identity) : Result<std::shared_ptr<const net::TlsCertificate>>(std::unexpected(std::move(identity).error()));
    if (made) {
      kept = {std::move(*made), now};
    } else {
      log::Warn("no certificate for host", {{"host", host}, {"reason", made.error()}});
    }
    return kept.certificate;   // after a failure the old one, while it lasts
  }

  // Pools first: a route never points at a pool that the proxy has not heard of.
  void BuildTable() {
    certificates_.StartRound();
    exposure_ = Expose(ingresses_.List(), routes_ != nullptr ? routes_->List() : std::vector<ObjectPtr>(), Context());
    certificates_.EndRound();
    if (options_.counts) {
      for (proxy::Route& route : exposure_.routes) route.counter = options_.counts->For(route.name);
    }
    std::map<std::string, PoolSpec> before = std::exchange(pools_, exposure_.pools);
    by_service_.clear();
    for (const auto& [id, spec] : pools_) {
      by_service_.insert({spec.service, id});
      if (!before.contains(id)) FillPool(spec);
      before.erase(id);
    }
    proxy_.SetTable(std::make_shared<const proxy::Table>(exposure_.routes, Issue(options_.default_host)));
    for (const auto& [id, spec] : before) proxy_.RemovePool(id);
    if (options_.counts) options_.counts->Prune();
  }

  void FillPool(const PoolSpec& spec) {
    const ObjectPtr service = services_.Get(spec.service);
    proxy::Pool pool;
    pool.backends = BackendsOf(spec, service.get(), slices_->Of(spec.service));
    if (spec.reencrypt) {
      pool.tls = Trust(spec.destination_ca.empty() ? options_.service_ca_pem : spec.destination_ca);
      pool.server_name = Cat(spec.service.name, '.', spec.service.ns, ".svc");
      if (!pool.tls) pool.backends.clear();   // never fall back to plain text
    }
    if (options_.counts) {
      pool.counter = options_.counts->For(Cat("service/", spec.service.ns, "/", spec.service.name));
      for (proxy::Backend& b : pool.backends) b.counter = options_.counts->For(Cat("address/", b.address.substr(0, b.address.rfind(':'))));
    }
    proxy_.SetPool(spec.Id(), std::move(pool));
  }

  std::shared_ptr<const net::TlsClientContext> Trust(const std::string& ca_pem) {
    auto& kept = trust_[ca_pem];
    if (kept) return kept;
    net::TlsClientConfig config;
    config.ca_pem = ca_pem;
    auto made = net::TlsClientContext::Create(config);
    if (made) {
      kept = std::move(*made);
    } else {
      log::Warn("destination CA of a route does not parse", {{"reason", made.error()}});
    }
    return kept;
  }

  Result<> WriteStatus(const Ctx& ctx) {
    Result<> out;
    const auto note = [&](Result<> r) {
      const bool gone = !r && (r.error().code() == Code::kNotFound || r.error().code() == Code::kConflict);   // a change is on its way to us
      if (!r && !gone && out) out = std::move(r);
    };
    for (const Key& key : exposure_.ingresses) note(WriteIngressStatus(ctx, key));
    for (const auto& [key, verdict] : exposure_.verdicts) note(WriteRouteStatus(ctx, key, verdict));
    return out;
  }

  Result<> WriteIngressStatus(const Ctx& ctx, const Key& key) {
    const ObjectPtr now = ingresses_.Get(key);
    const std::string address = options_.address ? options_.address() : "";
    if (!now || address.empty()) return {};
    const auto current = (*now)["status"]["loadBalancer"]["ingress"].Items();
    if (current.size() == 1 && current[0]["ip"].Str() == address) return {};
    json::Value next = now->Clone();
    json::Value entry;
    entry.Set("ip") = address;
    json::Value list = json::Value::Array();
    list.Append(std::move(entry));
    next.Set("status").Set("loadBalancer").Set("ingress") = std::move(list);
    TRY_VOID(client_.Update(ctx, kIngresses, std::move(next), "status"));
    return {};
  }

  Result<> WriteRouteStatus(const Ctx& ctx, const Key& key, const Verdict& verdict) {
    const ObjectPtr now = routes_->Get(key);
    if (!now) return {};
    const json::Value& spec = (*now)["spec"];
    json::Value others = json::Value::Array();
    for (const json::Value& entry : (*now)["status"]["ingress"].Items()) {
      if (entry["routerName"].Str() != options_.name) {
        others.Append(entry.Clone());
        continue;
      }
      const json::Value none;
      const json::Value& c = entry["conditions"].size() > 0 ? entry["conditions"].Items()[0] : none;
      const bool same = entry["host"].Str() == spec["host"].Str() && c["status"].Str() == (verdict.admitted ? "True" : "False") &&
                        c["reason"].Str() == verdict.reason && c["message"].Str() == verdict.message;
      if (same) return {};
    }
    json::Value condition;
    condition.Set("type") = "Admitted";
    condition.Set("status") = verdict.admitted ? "True" : "False";
    if (!verdict.reason.empty()) condition.Set("reason") = verdict.reason;
    if (!verdict.message.empty()) condition.Set("message") = verdict.message;
    condition.Set("lastTransitionTime") = FormatTime(clock_.Now());
    json::Value entry;
    entry.Set("host") = spec["host"].Str();
    entry.Set("routerName") = options_.name;
    entry.Set("conditions").Append(std::move(condition));
    entry.Set("wildcardPolicy") = spec["wildcardPolicy"].Str("None");
    if (!options_.canonical_host.empty()) entry.Set("routerCanonicalHostname") = options_.canonical_host;
    others.Append(std::move(entry));
    json::Value next = now->Clone();
    next.Set("status").Set("ingress") = std::move(others);
    TRY_VOID(client_.Update(ctx, kRoutes, std::move(next), "status"));
    return {};
  }

  Informers& informers_;
  Client& client_;
  proxy::Proxy& proxy_;
  const Clock& clock_;
  const RouterOptions options_;
  const Lister &services_, &ingresses_, &classes_, &secrets_;
  const Lister* const routes_;
  std::optional<SliceIndex> slices_;

  // Of Start, then of the loop's thread.
  Certificates certificates_;
  struct Issued {
    std::shared_ptr<const net::TlsCertificate> certificate;
    Clock::Wall made;
  };
  std::map<std::string, Issued> issued_;
  std::map<std::string, std::shared_ptr<const net::TlsClientContext>> trust_;
  Exposure exposure_;
  std::map<std::string, PoolSpec> pools_;
  std::set<std::pair<Key, std::string>> by_service_;   // service, pool id

  ChangeLoop loop_;
  std::vector<std::shared_ptr<void>> subscriptions_;
};

}  // namespace

std::unique_ptr<Router> NewRouter(Informers& informers, Client& client, proxy::Proxy& proxy, const Clock& clock, RouterOptions options) {
  return std::make_unique<RouterImpl>(informers, client, proxy, clock, std::move(options));
}

}  // namespace skerry::kube::network
