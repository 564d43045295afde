#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/controllers/service_cidr.h"
#include "embedded-kube-shim/controllers/write.h"

// Ranges of service addresses: ready as soon as they are there, kept by a finalizer while addresses in them are taken that no other range has.
namespace skerry::kube {

std::optional<AddressRange> ParseAddressRange(std::string_view cidr) {
  const std::size_t slash = cidr.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto bits = ParseUint(cidr.substr(slash + 1));
  const auto base = ParseAddress(cidr.substr(0, slash));
  if (!bits || !base || *bits > 32) return std::nullopt;
  const std::uint32_t mask = *bits == 0 ? 0 : ~std::uint32_t{0} << (32 - *bits);
  return AddressRange{*base & mask, mask};
}

std::optional<std::uint32_t> ParseAddress(std::string_view text) {
  const auto parts = Split(text, '.');
  if (parts.size() != 4) return std::nullopt;
  std::uint32_t out = 0;
  for (const std::string_view part : parts) {
    const auto n = ParseUint(part);
    if (!n || *n > 255) return std::nullopt;
    out = out << 8 | static_cast<std::uint32_t>(*n);
  }
  return out;
}

namespace {

constexpr const char* kRanges = "networking.k8s.io/v1/servicecidrs";
constexpr const char* kAddresses = "networking.k8s.io/v1/ipaddresses";
constexpr const char* kController = "service-cidrs-controller";
constexpr const char* kFinalizer = "networking.k8s.io/service-cidr-finalizer";
constexpr const char* kReady = "Kubernetes Service CIDR is ready";
constexpr const char* kBlocked = "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR";

std::vector<AddressRange> RangesOf(const json::Value& object) {
  std::vector<AddressRange> out;
  for (const json::Value& cidr : object["spec"]["cidrs"].Items()) {
    if (const auto range = ParseAddressRange(cidr.Str())) out.push_back(*range);
  }
  return out;
}

bool HasFinalizer(const json::Value& object) {
  const auto all = Meta(object)["finalizers"].Items();
  return std::any_of(all.begin(), all.end(), [](const json::Value& f) { return f.Str() == kFinalizer; });
}

class RangeReconciler final : public Reconciler {
 public:
  explicit RangeReconciler(const ControllerContext& c)
      : client_(c.client(kController)), events_(c.events(kController)), clock_(c.clock), ranges_(c.informers.Get(kRanges)), addresses_(c.informers.Get(kAddresses)) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr range = ranges_.Get(key);
    if (!range) return Outcome{};
    if (IsTerminating(*range)) {
      if (!HasFinalizer(*range)) return Outcome{};
      if (InUse(*range)) {
        TRY_VOID(Tell(ctx, range, "False", "Terminating", kBlocked));
        events_.Event(*range, "Warning", "KubernetesServiceCIDRDeletionBlocked", kBlocked);
        return Outcome{};
      }
      json::Value next = range->Clone();
      json::Value& list = next.Set("metadata").Set("finalizers");
      std::erase_if(list.MutableItems(), [](const json::Value& f) { return f.Str() == kFinalizer; });
      TRY_VOID(UpdateIfChanged(ctx, client_, kRanges, range, std::move(next)));
      return Outcome{};
    }
    ObjectPtr current = range;
    if (!HasFinalizer(*range)) {
      json::Value next = range->Clone();
      next.Set("metadata").Set("finalizers").Append(kFinalizer);
      TRY(current, UpdateIfChanged(ctx, client_, kRanges, range, std::move(next)));
      if (!current) return Outcome{};
    }
    TRY_VOID(Tell(ctx, current, "True", "", kReady));
    return Outcome{};
  }

 private:
  Result<> Tell(const Ctx& ctx, const ObjectPtr& range, const char* value, const char* reason, const char* message) {
    json::Value next = range->Clone();
    if (!SetCondition(next.Set("status"), "Ready", value, reason, message, clock_.Now())) return {};
    TRY_VOID(UpdateIfChanged(ctx, client_, kRanges, range, std::move(next), "status"));
    return {};
  }

  // An address of it is taken that no range which stays would still cover.
  bool InUse(const json::Value& range) const {
    const std::vector<AddressRange> mine = RangesOf(range);
    std::vector<AddressRange> others;
    for (const ObjectPtr& other : ranges_.List()) {
      if (Uid(*other) == Uid(range) || IsTerminating(*other)) continue;
      for (const AddressRange& r : RangesOf(*other)) others.push_back(r);
    }
    const auto covers = [](const std::vector<AddressRange>& all, std::uint32_t a) { return std::any_of(all.begin(), all.end(), [&](const AddressRange& r) { return r.Has(a); }); };
    for (const ObjectPtr& address : addresses_.List()) {
      const auto n = ParseAddress(Name(*address));
      if (n && covers(mine, *n) && !covers(others, *n)) return true;
    }
    return false;
  }

  Client& client_;
  EventRecorder& events_;
  const Clock& clock_;
  const Lister& ranges_;
  const Lister& addresses_;
};

}  // namespace

void AddServiceCidrs(const ControllerContext& c) {
  const Lister& ranges = c.informers.Get(kRanges);
  const auto ending = [&ranges] {
    std::vector<Key> keys;
    for (const ObjectPtr& r : ranges.List()) {
      if (IsTerminating(*r)) keys.push_back(KeyOf(*r));
    }
    return keys;
  };
  ControllerSpec spec;
  spec.name = kController;
  // A range that comes may cover what another one is kept for; one that ends may have been covering.
  spec.triggers.push_back({kRanges, [ending](const Notification& n) {
                             std::vector<Key> keys = ending();
                             keys.push_back(KeyOf(*n.object));
                             return keys;
                           }});
  spec.triggers.push_back({kAddresses, [ending](const Notification& n) { return n.type == Notification::Type::kDeleted ? ending() : std::vector<Key>(); }});
  spec.reconciler = std::make_unique<RangeReconciler>(c);
  c.manager.Add(std::move(spec));
}

}  // namespace skerry::kube
