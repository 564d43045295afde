#include <algorithm>

#include "core/base/strings.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/admission/admission.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/apis/pod_resources.h"

// Limits of a namespace: what a container that says nothing gets, and what containers, pods and claims may ask for at all.
namespace skerry::kube {
namespace {

constexpr std::string_view kAnnotation = "kubernetes.io/limit-ranger";

// What is checked against one limit: "Container", "Pod" or "PersistentVolumeClaim" with its amounts.
struct Subject {
  std::string_view type;
  Quantities requests, limits;
};

class Checker {
 public:
  std::vector<std::string> problems;

  void Check(const json::Value& limit, const Subject& subject) {
    for (const auto& [name, bound] : QuantitiesOf(limit["min"])) CheckMin(name, bound, subject);
    for (const auto& [name, bound] : QuantitiesOf(limit["max"])) CheckMax(name, bound, subject);
    for (const auto& [name, bound] : QuantitiesOf(limit["maxLimitRequestRatio"])) CheckRatio(name, bound, subject);
  }

 private:
  static const text::Quantity* Find(const Quantities& in, const std::string& name) {
    const auto at = in.find(name);
    return at == in.end() ? nullptr : &at->second;
  }
  void Add(std::string problem) {
    if (std::find(problems.begin(), problems.end(), problem) == problems.end()) problems.push_back(std::move(problem));
  }

  void CheckMin(const std::string& name, const text::Quantity& bound, const Subject& subject) {
    const auto* request = Find(subject.requests, name);
    const auto* limit = Find(subject.limits, name);
    const auto rule = Cat("minimum ", name, " usage per ", subject.type, " is ", bound.Canonical());
    if (!request) return Add(Cat(rule, ".  No request is specified"));
    if (*request < bound) return Add(Cat(rule, ", but request is ", request->Canonical()));
    if (limit && *limit < bound) Add(Cat(rule, ", but limit is ", limit->Canonical()));
  }

  void CheckMax(const std::string& name, const text::Quantity& bound, const Subject& subject) {
    const auto* request = Find(subject.requests, name);
    const auto* limit = Find(subject.limits, name);
    const auto rule = Cat("maximum ", name, " usage per ", subject.type, " is ", bound.Canonical());
    const bool only_requests = subject.type == "PersistentVolumeClaim";
    if (!limit && !only_requests) return Add(Cat(rule, ".  No limit is specified"));
    if (limit && *limit > bound) return Add(Cat(rule, ", but limit is ", limit->Canonical()));
    if (request && *request > bound) Add(Cat(rule, ", but request is ", request->Canonical()));
  }

  void CheckRatio(const std::string& name, const text::Quantity& bound, const Subject& subject) {
    const auto* request = Find(subject.requests, name);
    const auto* limit = Find(subject.limits, name);
    const auto rule = Cat(name, " max limit to request ratio per ", subject.type, " is ", bound.Canonical(), ", but ");
    if (!request || request->is_zero()) return Add(Cat(rule, "no request is specified or request is 0"));
    if (!limit || limit->is_zero()) return Add(Cat(rule, "no limit is specified or limit is 0"));
    const double ratio = limit->Approximate() / request->Approximate();
    if (ratio <= bound.Approximate()) return;
    char shown[64];
    std::snprintf(shown, sizeof shown, "%f", ratio);
    Add(Cat(rule, "provided ratio is ", shown));
  }
};

// The defaults of all container limits of one range.
struct Defaults {
  Quantities requests, limits;
};

Defaults DefaultsOf(const json::Value& range) {
  Defaults out;
  for (const auto& limit : range.At({"spec", "limits"}).Items()) {
    if (limit["type"].Str() != "Container") continue;
    for (auto& [name, amount] : QuantitiesOf(limit["defaultRequest"])) out.requests.insert_or_assign(name, amount);
    for (auto& [name, amount] : QuantitiesOf(limit["default"])) out.limits.insert_or_assign(name, amount);
  }
  return out;
}

// Returns the names that were missing and are set now.
std::string Fill(json::Value& container, std::string_view which, const Quantities& defaults) {
  std::string set;
  for (const auto& [name, amount] : defaults) {
    if (container["resources"][which].Find(name)) continue;
    container.Set("resources").Set(which).Set(name) = amount.Canonical();
    set += Cat(set.empty() ? "" : ", ", name);
  }
  return set;
}

std::vector<std::string> FillContainers(json::Value& pod, const Defaults& defaults) {
  std::vector<std::string> notes;
  auto& spec = pod.Set("spec");
  for (const auto& [list, what] : {std::pair("containers", "container"), std::pair("initContainers", "init container")}) {
    if (!spec.Find(list)) continue;
    for (auto& container : spec.Set(list).MutableItems()) {
      const std::string name(container["name"].Str());
      if (const auto set = Fill(container, "requests", defaults.requests); !set.empty()) notes.push_back(Cat(set, " request for ", what, " ", name));
      if (const auto set = Fill(container, "limits", defaults.limits); !set.empty()) notes.push_back(Cat(set, " limit for ", what, " ", name));
    }
  }
  return notes;
}

std::vector<std::string> CheckPod(const json::Value& range, const json::Value& pod) {
  Checker checker;
  const auto& spec = pod["spec"];
  for (const auto& limit : range.At({"spec", "limits"}).Items()) {
    const auto type = limit["type"].Str();
    if (type == "Container") {
      for (const std::string_view list : {"containers", "initContainers"})
        for (const auto& container : spec[list].Items())
          checker.Check(limit, {type, QuantitiesOf(container.At({"resources", "requests"})), QuantitiesOf(container.At({"resources", "limits"}))});
    } else if (type == "Pod") {
      checker.Check(limit, {type, PodResources(spec, "requests", Overhead::kWithout), PodResources(spec, "limits", Overhead::kWithout)});
    }
  }
  return std::move(checker.problems);
}

std::vector<std::string> CheckClaim(const json::Value& range, const json::Value& claim) {
  Checker checker;
  for (const auto& limit : range.At({"spec", "limits"}).Items())
    if (limit["type"].Str() == "PersistentVolumeClaim") checker.Check(limit, {limit["type"].Str(), QuantitiesOf(claim.At({"spec", "resources", "requests"})), {}});
  return std::move(checker.problems);
}

class LimitRanger final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "LimitRanger"; }

  Result<> Mutate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    if (!IsCore(request, "pods") || request.operation != Operation::kCreate || !request.subresource.empty()) return {};
    std::vector<std::string> notes;
    for (const auto& range : world.List("", "limitranges", request.ns)) {
      auto more = FillContainers(*request.object, DefaultsOf(*range));
      if (!more.empty()) notes = std::move(more);
    }
    if (!notes.empty()) request.object->Set("metadata").Set("annotations").Set(kAnnotation) = Cat("LimitRanger plugin set: ", Join(notes, "; "));
    return {};
  }

  Result<> Validate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    const bool pod = IsCore(request, "pods"), claim = IsCore(request, "persistentvolumeclaims");
    if (!pod && !claim) return {};
    const bool resize = pod && request.operation == Operation::kUpdate && request.subresource == "resize";
    const bool written = request.subresource.empty() && (request.operation == Operation::kCreate || (claim && request.operation == Operation::kUpdate));
    if (!resize && !written) return {};
    for (const auto& range : world.List("", "limitranges", request.ns)) {
      const auto problems = pod ? CheckPod(*range, *request.object) : CheckClaim(*range, *request.object);
      if (problems.empty()) continue;
      const auto why = problems.size() == 1 ? problems[0] : Cat("[", Join(problems, ", "), "]");
      return std::unexpected(ForbiddenError("", request.def.resource, request.object->At({"metadata", "name"}).Str(request.name), why));
    }
    return {};
  }

 private:
  static bool IsCore(const AdmissionRequest& request, std::string_view resource) { return request.def.group.empty() && request.def.resource == resource && request.object; }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> NewLimitRanger() { return std::make_unique<LimitRanger>(); }

}  // namespace skerry::kube
