#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/admission/admission.h"
#include "embedded-kube-shim/api/status.h"

// What a pod gets from its priority class, and how long it stays on a node that is lost.
namespace skerry::kube {
namespace {

bool IsPod(const AdmissionRequest& request) { return request.def.group.empty() && request.def.resource == "pods" && request.subresource.empty() && request.object; }
bool IsWrite(const AdmissionRequest& request) { return request.operation == Operation::kCreate || request.operation == Operation::kUpdate; }

class DefaultTolerationSeconds final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "DefaultTolerationSeconds"; }

  Result<> Mutate(const Ctx&, AdmissionRequest& request, const AdmissionWorld&) const override {
    if (!IsPod(request) || !IsWrite(request)) return {};
    auto& spec = request.object->Set("spec");
    for (const std::string_view taint : {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}) {
      const auto tolerations = spec["tolerations"].Items();
      const bool tolerates = std::any_of(tolerations.begin(), tolerations.end(), [&](const json::Value& toleration) {
        const auto key = toleration["key"].Str(), effect = toleration["effect"].Str();
        return (key.empty() || key == taint) && (effect.empty() || effect == "NoExecute");
      });
      if (tolerates) continue;
      auto toleration = json::Value::Object();
      toleration.Set("key") = taint;
      toleration.Set("operator") = "Exists";
      toleration.Set("effect") = "NoExecute";
      toleration.Set("tolerationSeconds") = 300;
      spec.Set("tolerations").Append(std::move(toleration));
    }
    return {};
  }
};

class Priority final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "Priority"; }

  Result<> Mutate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    if (!IsPod(request)) return {};
    auto& spec = request.object->Set("spec");
    if (request.operation == Operation::kUpdate && request.old) {
      for (const std::string_view member : {"priority", "preemptionPolicy"})
        if (const auto* before = (*request.old)["spec"].Find(member); before && !spec.Find(member)) spec.Set(member) = before->Clone();
      return {};
    }
    if (request.operation != Operation::kCreate) return {};
    return Prioritize(request, spec, world);
  }

  Result<> Validate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    if (request.def.group != "scheduling.k8s.io" || request.def.resource != "priorityclasses" || !request.object || !IsWrite(request)) return {};
    if (!(*request.object)["globalDefault"].Bool()) return {};
    const auto current = DefaultClass(world);
    const auto name = request.object->At({"metadata", "name"}).Str();
    if (!current || current->At({"metadata", "name"}).Str() == name) return {};
    return std::unexpected(ForbiddenError(request.def.group, request.def.resource, name,
                                          Cat("PriorityClass ", current->At({"metadata", "name"}).Str(), " is already marked as default. Only one default can exist")));
  }

 private:
  // With several (a race of two creates) the lowest value counts.
  static std::shared_ptr<const json::Value> DefaultClass(const AdmissionWorld& world) {
    std::shared_ptr<const json::Value> found;
    for (auto& item : world.List("scheduling.k8s.io", "priorityclasses", ""))
      if ((*item)["globalDefault"].Bool() && (!found || (*item)["value"].Int() < (*found)["value"].Int())) found = item;
    return found;
  }

  static Result<> Prioritize(const AdmissionRequest& request, json::Value& spec, const AdmissionWorld& world) {
    const auto refuse = [&](std::string why) { return std::unexpected(ForbiddenError("", "pods", request.object->At({"metadata", "name"}).Str(), why)); };
    const std::string wanted(spec["priorityClassName"].Str());
    std::int64_t priority = 0;
    std::string policy = "PreemptLowerPriority";
    if (const auto chosen = wanted.empty() ? DefaultClass(world) : world.Lookup("scheduling.k8s.io", "priorityclasses", "", wanted)) {
      spec.Set("priorityClassName") = chosen->At({"metadata", "name"}).Clone();
      priority = (*chosen)["value"].Int();
      policy = (*chosen)["preemptionPolicy"].Str(policy);
    } else if (!wanted.empty()) {
      return refuse(Cat("no PriorityClass with name ", wanted, " was found"));
    }
    constexpr std::string_view kComputed = " must not be provided in pod spec; priority admission controller computed ", kFrom = " from the given PriorityClass name";
    if (const auto* given = spec.Find("priority"); given && given->is_int() && given->Int() != priority)
      return refuse(Cat("the integer value of priority (", given->Int(), ")", kComputed, priority, kFrom));
    if (const auto* given = spec.Find("preemptionPolicy"); given && given->is_string() && given->Str() != policy)
      return refuse(Cat("the string value of PreemptionPolicy (", given->Str(), ")", kComputed, policy, kFrom));
    spec.Set("priority") = priority;
    spec.Set("preemptionPolicy") = policy;
    return {};
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> NewDefaultTolerationSeconds() { return std::make_unique<DefaultTolerationSeconds>(); }
std::unique_ptr<AdmissionPlugin> NewPriorityAdmission() { return std::make_unique<Priority>(); }

}  // namespace skerry::kube
