#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "core/base/strings.h"
#include "embedded-kube-shim/admission/admission.h"
#include "embedded-kube-shim/admission/pod_security_checks.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/status.h"

// Pods meet the standard that their namespace's labels ask for; workloads and namespaces only warn of what would be refused.
namespace skerry::kube {
namespace {

using pod_security::Level;
using pod_security::LevelVersion;

constexpr std::string_view kPrefix = "pod-security.kubernetes.io/";
constexpr std::size_t kMaxPods = 3000;   // that are looked at when a namespace is labelled

struct Policy {
  LevelVersion enforce, audit, warn;
  FieldErrors errors;                    // labels that say nothing valid: counted as the strictest level
};

std::optional<Level> ParseLevel(std::string_view text) {
  for (const auto level : {Level::kPrivileged, Level::kBaseline, Level::kRestricted})
    if (text == NameOf(level)) return level;
  return std::nullopt;
}

std::optional<int> ParseMinor(std::string_view text) {
  if (text == "latest") return LevelVersion::kLatest;
  if (!text.starts_with("v1.")) return std::nullopt;
  const auto digits = text.substr(3);
  if (digits.empty() || digits.size() > 5 || (digits.size() > 1 && digits[0] == '0')) return std::nullopt;
  const auto number = ParseUint(digits);
  if (!number) return std::nullopt;
  return static_cast<int>(*number);
}

Policy PolicyOf(const json::Value& labels) {
  Policy policy;
  const auto read = [&](std::string_view mode, LevelVersion& into) {
    const auto level_key = Cat(kPrefix, mode), version_key = Cat(kPrefix, mode, "-version");
    const auto refuse = [&](const std::string& key, const json::Value& value, std::string_view why) {
      policy.errors.push_back({FieldErrorType::kInvalid, Cat("metadata.labels[", key, "]"), Quote(value.Str()), std::string(why)});
    };
    if (const auto* value = labels.Find(level_key)) {
      const auto level = ParseLevel(value->Str());
      into.level = level.value_or(mode == "enforce" ? Level::kRestricted : Level::kPrivileged);
      if (!level) refuse(level_key, *value, "must be one of privileged, baseline, restricted");
    }
    if (const auto* value = labels.Find(version_key)) {
      const auto minor = ParseMinor(value->Str());
      into.minor = minor.value_or(LevelVersion::kLatest);
      if (!minor) refuse(version_key, *value, "must be \"latest\" or \"v1.x\"");
    }
  };
  read("enforce", policy.enforce);
  read("audit", policy.audit);
  read("warn", policy.warn);
  if (labels.Find(Cat(kPrefix, "enforce")) && !labels.Find(Cat(kPrefix, "warn")) && policy.enforce.level > policy.warn.level) policy.warn = policy.enforce;
  return policy;
}

// Where a kind that makes pods keeps their template; empty = not such a kind.
std::vector<std::string_view> TemplatePath(const ResourceDef& def) {
  struct Maker { std::string_view group, resource; };
  constexpr std::array<Maker, 6> kPlain = {{{"", "replicationcontrollers"}, {"apps", "replicasets"}, {"apps", "deployments"}, {"apps", "statefulsets"}, {"apps", "daemonsets"}, {"batch", "jobs"}}};
  for (const auto& maker : kPlain)
    if (def.group == maker.group && def.resource == maker.resource) return {"spec", "template"};
  if (def.group.empty() && def.resource == "podtemplates") return {"template"};
  if (def.group == "batch" && def.resource == "cronjobs") return {"spec", "jobTemplate", "spec", "template"};
  return {};
}

// What an update of a pod may change without being judged again.
json::Value Judged(const json::Value& pod) {
  auto out = json::Value::Object();
  for (const auto& [key, value] : pod.At({"metadata", "annotations"}).Members())
    if (key.starts_with("container.apparmor.security.beta.kubernetes.io/")) out.Set("annotations").Set(key) = value.Clone();
  auto& spec = out.Set("spec");
  for (const auto& [key, value] : pod["spec"].Members())
    if (key != "activeDeadlineSeconds" && key != "tolerations" && key != "schedulingGates") spec.Set(key) = value.Clone();
  for (const std::string_view list : {"containers", "initContainers", "ephemeralContainers"})
    if (spec.Find(list))
      for (auto& container : spec.Set(list).MutableItems()) container.Erase("image");
  return out;
}

class PodSecurity final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "PodSecurity"; }

  Result<> Validate(const Ctx& ctx, AdmissionRequest& request, const AdmissionWorld& world) const override {
    if (!request.object || (request.operation != Operation::kCreate && request.operation != Operation::kUpdate)) return {};
    const auto& def = request.def;
    if (def.group.empty() && def.resource == "namespaces") return request.subresource.empty() ? CheckNamespace(ctx, request, world) : Result<>();
    if (def.group.empty() && def.resource == "pods") return CheckPod(request, world);
    const auto path = TemplatePath(def);
    if (path.empty() || !request.subresource.empty()) return {};
    const json::Value* pod = request.object;
    for (const auto segment : path) pod = &(*pod)[segment];
    if (!pod->is_object()) return {};
    Warn(request, PolicyIn(world, request.ns).warn, *pod);
    return {};
  }

 private:
  static Policy PolicyIn(const AdmissionWorld& world, std::string_view ns) {
    const auto found = world.Lookup("", "namespaces", "", ns);
    return found ? PolicyOf(found->At({"metadata", "labels"})) : Policy();
  }

  static void Warn(AdmissionRequest& request, const LevelVersion& level, const json::Value& pod) {
    const auto violations = pod_security::Evaluate(level, pod["metadata"], pod["spec"]);
    if (!violations.empty()) request.warnings.push_back(Cat("would violate PodSecurity ", Quote(level.Text()), ": ", Details(violations)));
  }

  static Result<> CheckPod(AdmissionRequest& request, const AdmissionWorld& world) {
    if (!request.subresource.empty() && request.subresource != "ephemeralcontainers") return {};
    if (request.operation == Operation::kUpdate && request.old && Judged(*request.object) == Judged(*request.old)) return {};
    const auto policy = PolicyIn(world, request.ns);
    const auto& pod = *request.object;
    if (const auto violations = pod_security::Evaluate(policy.enforce, pod["metadata"], pod["spec"]); !violations.empty())
      return std::unexpected(ForbiddenError("", "pods", pod.At({"metadata", "name"}).Str(request.name), Cat("violates PodSecurity ", Quote(policy.enforce.Text()), ": ", Details(violations))));
    Warn(request, policy.warn, pod);
    return {};
  }

  static Result<> CheckNamespace(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) {
    const auto next = PolicyOf(request.object->At({"metadata", "labels"}));
    const auto invalid = [&] { return std::unexpected(InvalidError("", "Namespace", request.object->At({"metadata", "name"}).Str(request.name), next.errors)); };
    if (request.operation == Operation::kCreate) {
      if (!next.errors.empty()) return invalid();
      return {};
    }
    const auto before = PolicyOf(request.old->At({"metadata", "labels"}));
    if (!next.errors.empty() && !SameErrors(next.errors, before.errors)) return invalid();
    if (next.enforce == before.enforce || next.enforce.level == Level::kPrivileged) return {};
    if (next.enforce.minor == before.enforce.minor && next.enforce.level <= before.enforce.level) return {};
    WarnOfPods(request, next.enforce, world);
    return {};
  }

  static bool SameErrors(const FieldErrors& a, const FieldErrors& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const FieldError& x, const FieldError& y) { return x.Text() == y.Text(); });
  }

  // One pod of each owner first: its siblings would say the same.
  static std::vector<std::shared_ptr<const json::Value>> OnePerOwnerFirst(std::vector<std::shared_ptr<const json::Value>> pods) {
    std::map<std::string, int> seen;
    std::vector<std::shared_ptr<const json::Value>> first, later;
    for (auto& pod : pods) {
      std::string owner;
      for (const auto& reference : pod->At({"metadata", "ownerReferences"}).Items())
        if (reference["controller"].Bool()) owner = reference["uid"].Str();
      auto& list = !owner.empty() && seen[owner]++ > 0 ? later : first;
      list.push_back(std::move(pod));
    }
    first.insert(first.end(), std::make_move_iterator(later.begin()), std::make_move_iterator(later.end()));
    return first;
  }

  static void WarnOfPods(AdmissionRequest& request, const LevelVersion& level, const AdmissionWorld& world) {
    const auto ns = request.object->At({"metadata", "name"}).Str(request.name);
    const auto pods = OnePerOwnerFirst(world.List("", "pods", ns));
    struct Found { std::string pod; std::size_t count = 0; };
    std::map<std::string, Found> found;
    for (std::size_t i = 0; i < std::min(pods.size(), kMaxPods); ++i) {
      const auto violations = pod_security::Evaluate(level, (*pods[i])["metadata"], (*pods[i])["spec"]);
      if (violations.empty()) continue;
      auto& entry = found[Reasons(violations)];
      if (entry.count++ == 0) entry.pod = pods[i]->At({"metadata", "name"}).Str();
    }
    if (pods.size() > kMaxPods) request.warnings.push_back(Cat("new PodSecurity enforce level only checked against the first ", kMaxPods, " of ", pods.size(), " existing pods"));
    if (found.empty()) return;
    std::vector<std::string> lines;
    for (const auto& [reasons, entry] : found)
      lines.push_back(Cat(entry.pod, entry.count == 1 ? std::string() : entry.count == 2 ? std::string(" (and 1 other pod)") : Cat(" (and ", entry.count - 1, " other pods)"), ": ", reasons));
    std::sort(lines.begin(), lines.end());
    request.warnings.push_back(Cat("existing pods in namespace ", Quote(ns), " violate the new PodSecurity enforce level ", Quote(level.Text())));
    for (auto& line : lines) request.warnings.push_back(std::move(line));
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> NewPodSecurity() { return std::make_unique<PodSecurity>(); }

}  // namespace skerry::kube
