#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/admission/admission.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/apis/quota.h"

// Nobody gets more than the quotas of the namespace grant. The charge is part of the same commit as the object: of many that race for the
// last unit one wins, and an object that is refused later costs nothing.
namespace skerry::kube {
namespace {

class ResourceQuota final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "ResourceQuota"; }

  Result<> Validate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    const bool update = request.operation == Operation::kUpdate;
    if (request.ns.empty() || !request.object || (!update && request.operation != Operation::kCreate) || request.def.virtual_resource) return {};
    const quota::Counted what{request.def.group, request.def.resource};
    if (!quota::IsCharged(what, request.subresource, update)) return {};
    std::vector<std::shared_ptr<const json::Value>> pertinent;
    for (auto& candidate : world.List("", "resourcequotas", request.ns))
      if (quota::Matches(*candidate, what, *request.object)) pertinent.push_back(std::move(candidate));
    if (pertinent.empty()) return {};
    for (const auto& each : pertinent) TRY_VOID(CheckStated(request, what, *each));
    TRY(const auto wanted, Wanted(request, what, world));
    for (const auto& each : pertinent) TRY_VOID(ChargeTo(request, each, wanted, world));
    return {};
  }

 private:
  static Error Refuse(const AdmissionRequest& request, std::string why) {
    return ForbiddenError(request.def.group, request.def.resource, request.object->At({"metadata", "name"}).Str(request.name), why);
  }

  static std::vector<std::string> HardNames(const json::Value& quota) {
    std::vector<std::string> names;
    for (const auto& [name, limit] : quota.At({"status", "hard"}).Members()) names.push_back(name);
    std::sort(names.begin(), names.end());
    return names;
  }

  // The object says what the quota wants to know of it, and the quota's own usage is known.
  static Result<> CheckStated(const AdmissionRequest& request, const quota::Counted& what, const json::Value& quota) {
    const auto restricted = quota::MatchingNames(what, HardNames(quota));
    const auto name = quota.At({"metadata", "name"}).Str();
    if (const auto missing = quota::MissingAmounts(what, restricted, *request.object); !missing.empty())
      return std::unexpected(Refuse(request, Cat("failed quota: ", name, ": ", missing)));
    for (const auto& each : restricted)
      if (!quota.At({"status", "used"}).Find(each))
        return std::unexpected(Refuse(request, Cat("status unknown for quota: ", name, ", resources: ", Join(restricted, ","))));
    return {};
  }

  // What this write adds to the usage, without zeros.
  static Result<Quantities> Wanted(const AdmissionRequest& request, const quota::Counted& what, const AdmissionWorld& world) {
    auto wanted = quota::Usage(what, *request.object, world.now());
    std::vector<std::string> negative;
    for (const auto& [name, amount] : wanted)
      if (amount.sign() < 0) negative.push_back(name);
    if (!negative.empty()) return std::unexpected(Refuse(request, Cat("quota usage is negative for resource(s): ", Join(negative, ","))));
    if (request.operation == Operation::kUpdate && request.old) {
      const bool may_fall = request.def.resource == "pods";   // a smaller pod frees what it had
      for (const auto& [name, amount] : quota::Usage(what, *request.old, world.now())) {
        auto& left = wanted[name];
        left -= amount;
        if (left.sign() < 0 && !may_fall) left = {};
      }
    }
    std::erase_if(wanted, [](const auto& each) { return each.second.is_zero(); });
    return wanted;
  }

  static Result<> ChargeTo(AdmissionRequest& request, const std::shared_ptr<const json::Value>& quota, const Quantities& wanted, const AdmissionWorld& world) {
    const auto names = HardNames(*quota);
    const auto mine = quota::Mask(wanted, names);
    if (mine.empty()) return {};
    const auto hard = QuantitiesOf(quota->At({"status", "hard"}));
    const auto before = QuantitiesOf(quota->At({"status", "used"}));
    auto used = before;
    AddTo(used, mine);
    std::vector<std::string> exceeded;
    for (const auto& [name, amount] : mine)
      if (used.at(name) > hard.at(name)) exceeded.push_back(name);
    if (!exceeded.empty())
      return std::unexpected(Refuse(request, Cat("exceeded quota: ", quota->At({"metadata", "name"}).Str(), ", requested: ", quota::Print(quota::Mask(mine, exceeded)),
                                                 ", used: ", quota::Print(quota::Mask(before, exceeded)), ", limited: ", quota::Print(quota::Mask(hard, exceeded)))));
    Reserve(request, *quota, used, world);
    return {};
  }

  static void Reserve(AdmissionRequest& request, const json::Value& quota, const Quantities& used, const AdmissionWorld& world) {
    const auto def = world.registry().Find("", "v1", "resourcequotas");
    const auto revision = ParseInt(quota.At({"metadata", "resourceVersion"}).Str());
    if (!def || !revision) return;
    auto next = quota.Clone();
    next.Set("metadata").Erase("resourceVersion");
    next.Set("status").Set("used") = ToJson(used);
    Canonicalize(def->StorageVersion().schema, next);
    const auto key = Cat("/core/resourcequotas/", request.ns, "/", quota.At({"metadata", "name"}).Str());
    request.batch.expects.push_back({key, *revision});
    request.batch.ops.push_back({key, Bytes(next.Dump())});
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> NewResourceQuota() { return std::make_unique<ResourceQuota>(); }

}  // namespace skerry::kube
