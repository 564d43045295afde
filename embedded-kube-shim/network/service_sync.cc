#include "embedded-kube-shim/network/service_sync.h"

#include <map>
#include <optional>
#include <set>

#include "embedded-kube-shim/controller/controller.h"
#include "embedded-kube-shim/network/change_loop.h"
#include "embedded-kube-shim/network/slice_index.h"

namespace skerry::kube::network {
namespace {

class ServiceSync final : public Component {
 public:
  ServiceSync(Informers& informers, podnet::ServiceTable* table, ClusterZones& zones, ServiceOptions options)
      : informers_(informers), services_(informers.Get(kServicesResource)), table_(table), zones_(zones), options_(std::move(options)),
        loop_("services", [this](const Ctx&, const ChangeLoop::Batch& batch) { return Apply(batch); }) {}
  ~ServiceSync() override { Stop(); }

  std::string_view name() const noexcept override { return "service-sync"; }

  Result<> Start(const Ctx&) override {
    slices_.emplace(informers_.Get(kSlicesResource));
    // What changes from here on is marked and looked at again after the first pass.
    subscriptions_.push_back(informers_.Subscribe(kServicesResource, [this](const Notification& n) { loop_.Mark(KeyOf(*n.object)); }));
    subscriptions_.push_back(informers_.Subscribe(kSlicesResource, [this](const Notification& n) {
      for (Key& key : slices_->Note(n)) loop_.Mark(std::move(key));
    }));
    std::vector<podnet::ServicePort> all;
    for (const ObjectPtr& service : services_.List()) {
      for (podnet::ServicePort& p : Look(KeyOf(*service), service.get())) all.push_back(std::move(p));
    }
    if (table_ != nullptr) TRY_VOID(table_->Replace(kServiceScope, std::move(all)));
    loop_.Start();
    return {};
  }

  void Stop() noexcept override {
    subscriptions_.clear();
    loop_.Stop();
  }

 private:
  // One service's names take effect here, its ports are returned.
  std::vector<podnet::ServicePort> Look(const Key& key, const json::Value* service) {
    if (service == nullptr) {
      zones_.Set(key, {});
      ids_.erase(key);
      return {};
    }
    const auto slices = slices_->Of(key);
    zones_.Set(key, RecordsOf(*service, slices, zones_.domain()));
    auto ports = PortsOf(*service, slices, options_);
    auto& ids = ids_[key];
    ids.clear();
    for (const auto& p : ports) ids.insert(p.id);
    return ports;
  }

  Result<> Apply(const ChangeLoop::Batch& batch) {
    std::vector<podnet::ServicePort> set;
    std::vector<std::string> remove;
    for (const Key& key : batch) {
      std::set<std::string> before;
      if (const auto at = ids_.find(key); at != ids_.end()) before = at->second;
      const ObjectPtr service = services_.Get(key);
      for (podnet::ServicePort& p : Look(key, service.get())) {
        before.erase(p.id);
        set.push_back(std::move(p));
      }
      remove.insert(remove.end(), before.begin(), before.end());
    }
    if (table_ == nullptr) return {};
    return table_->Change(kServiceScope, std::move(set), remove);
  }

  Informers& informers_;
  const Lister& services_;
  podnet::ServiceTable* const table_;
  ClusterZones& zones_;
  const ServiceOptions options_;
  std::optional<SliceIndex> slices_;
  std::map<Key, std::set<std::string>> ids_;   // of Start, then of the loop's thread
  ChangeLoop loop_;
  std::vector<std::shared_ptr<void>> subscriptions_;
};

}  // namespace

std::unique_ptr<Component> NewServiceSync(Informers& informers, podnet::ServiceTable* table, ClusterZones& zones, ServiceOptions options) {
  return std::make_unique<ServiceSync>(informers, table, zones, std::move(options));
}

}  // namespace skerry::kube::network
