#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/apis/rules_shared.h"

// Security contexts of pods and containers, and what selects fields of a pod.
namespace skerry::kube::rules {
namespace {

using json::Value;

constexpr std::int64_t kMaxId = 2147483647;

bool ContainsAny(std::string_view text, std::string_view characters) { return text.find_first_of(characters) != text.npos; }

void CheckWindowsUser(Run& run, const Node& at) {
  const std::string_view text = at->Str();
  const auto say = [&](std::string_view what) { run.Invalid(at, RenderJson(nullptr, *at), std::string(what)); };
  if (text.empty()) return say("runAsUserName cannot be an empty string");
  if (std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) return say("runAsUserName cannot contain control characters");
  const auto parts = Split(text, '\\');
  if (parts.size() > 2) return say("runAsUserName cannot contain more than one backslash");
  const std::string_view user = parts.back();
  if (parts.size() == 2) {
    const std::string_view domain = parts[0];
    const auto is_word = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'; };
    const bool net_bios = !domain.empty() && domain.size() <= 15 && domain[0] != '.' && !ContainsAny(domain, "\\/:*?\"<>|");
    bool dns = !domain.empty();
    for (std::string_view part : Split(domain, '.'))
      dns = dns && !part.empty() && part.size() <= 63 && std::all_of(part.begin(), part.end(), is_word) && part.front() != '-' && part.back() != '-';
    if (domain.size() >= 256) say("runAsUserName's Domain length must be under 256 characters");
    else if (!net_bios && !dns) say("runAsUserName's Domain doesn't match the NetBios nor the DNS format");
  }
  if (user.empty()) say("runAsUserName's User cannot be empty");
  else if (user.size() > 104) say("runAsUserName's User length must not be longer than 104 characters");
  if (!user.empty() && user.find_first_not_of(". ") == user.npos) say("runAsUserName's User cannot contain only periods or spaces");
  if (ContainsAny(user, "\"/\\:;|=,+*?<>@[]")) say("runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]");
}

constexpr std::string_view kUnits[] = {"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"};

}  // namespace

void CheckWindowsOptions(Run& run, const Node& options) {
  if (options->is_null()) return;
  if (const Node name = options["gmsaCredentialSpecName"]; !name->is_null()) run.Format(name, format::Dns1123Subdomain);
  if (const Node spec = options["gmsaCredentialSpec"]; !spec->is_null()) {
    if (spec->Str().empty()) run.Invalid(spec, "gmsaCredentialSpec cannot be an empty string");
    else if (spec->Str().size() > 65536) run.Invalid(spec, "gmsaCredentialSpec size must be under 64 KiB");
  }
  if (const Node user = options["runAsUserName"]; !user->is_null()) CheckWindowsUser(run, user);
}

void CheckSeccomp(Run& run, const Node& profile) {
  if (profile->is_null()) return;
  const std::string_view type = profile.Str("type");
  const Node local = profile["localhostProfile"];
  if (type.empty()) return run.Required(profile["type"], "type is required when seccompProfile is set");
  run.Enum(profile["type"], {"Localhost", "RuntimeDefault", "Unconfined"});
  if (type == "Localhost") {
    if (local->is_null()) run.Required(local, "must be set when seccomp type is Localhost");
    else run.Format(local, format::LocalDescendingPath);
  } else if (!local->is_null()) {
    run.Invalid(local, RenderInternal(profile.schema, *profile), "can only be set when seccomp type is Localhost");
  }
}

void CheckAppArmor(Run& run, const Node& profile) {
  if (profile->is_null()) return;
  const std::string_view type = profile.Str("type");
  const Node local = profile["localhostProfile"];
  if (type == "Localhost") {
    if (local->is_null()) {
      run.Required(local, "must be set when AppArmor type is Localhost");
    } else {
      const std::string_view text = local->Str();
      if (Trim(text) != text) run.Invalid(local, "must not be padded with whitespace");
      else if (text.empty()) run.Required(local, "must be set when AppArmor type is Localhost");
      if (text.size() > 4095) run.TooLong(local, 4095);
    }
  } else if (type == "RuntimeDefault" || type == "Unconfined") {
    if (!local->is_null()) run.Invalid(local, "can only be set when AppArmor type is Localhost");
  } else if (type.empty()) {
    run.Required(profile["type"], "type is required when appArmorProfile is set");
  } else {
    run.NotSupported(profile["type"], {"Localhost", "RuntimeDefault", "Unconfined"});
  }
}

void CheckSecurityContext(Run& run, const Node& context) {
  if (context->is_null()) return;
  for (std::string_view field : {"runAsUser", "runAsGroup"})
    if (!context[field]->is_null()) run.Range(context[field], 0, kMaxId);
  if (const Node proc = context["procMount"]; !proc->is_null()) {
    if (proc->Str() != "Default" && proc->Str() != "Unmasked") run.NotSupported(proc, {"Default", "Unmasked"});
    const bool host_users = !run.pod_spec || (*run.pod_spec)["hostUsers"].is_null() || (*run.pod_spec)["hostUsers"].Bool();
    if (proc->Str() == "Unmasked" && host_users) run.Invalid(proc, "`hostUsers` must be false to use `Unmasked`");
  }
  CheckSeccomp(run, context["seccompProfile"]);
  if (const Node escalation = context["allowPrivilegeEscalation"]; !escalation->is_null() && !escalation->Bool()) {
    if ((*context)["privileged"].Bool())
      run.Invalid(context, RenderInternal(context.schema, *context), "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
    for (const Value& capability : context->At({"capabilities", "add"}).Items())
      if (capability.Str() == "CAP_SYS_ADMIN")
        run.Invalid(context, RenderInternal(context.schema, *context), "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
  }
  CheckWindowsOptions(run, context["windowsOptions"]);
  CheckAppArmor(run, context["appArmorProfile"]);
}

void CheckFieldSelector(Run& run, const Node& selector, bool for_env) {
  const std::string_view version = selector.Str("apiVersion"), path = selector.Str("fieldPath");
  if (version.empty()) return run.Required(selector["apiVersion"]);
  if (path.empty()) return run.Required(selector["fieldPath"]);
  const auto bracket = path.find("['");
  const bool subscript = bracket != path.npos && path.ends_with("']");
  const std::string_view label = subscript ? path.substr(0, bracket) : path;
  const std::string_view key = subscript ? path.substr(bracket + 2, path.size() - bracket - 4) : std::string_view();
  static constexpr std::string_view kPlain[] = {"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.restartPolicy",
                                                "spec.serviceAccountName", "spec.schedulerName", "status.phase", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs", "spec.host"};
  const auto fails = [&](std::string why) { run.Invalid(selector["fieldPath"], Cat("error converting fieldPath: ", why)); };
  if (version != "v1") return fails(Cat("unsupported pod version: ", version));
  if (subscript && label != "metadata.annotations" && label != "metadata.labels") return fails(Cat("field label does not support subscript: ", path));
  if (std::find(std::begin(kPlain), std::end(kPlain), label) == std::end(kPlain)) return fails(Cat("field label not supported: ", path));
  if (subscript) {
    for (const std::string& message : format::QualifiedName(label == "metadata.annotations" ? ToLower(key) : std::string(key))) run.Invalid(selector, Quote(key), message);
    return;
  }
  static constexpr std::string_view kEnv[] = {"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"};
  static constexpr std::string_view kVolume[] = {"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"};
  const std::span<const std::string_view> allowed = for_env ? std::span<const std::string_view>(kEnv) : std::span<const std::string_view>(kVolume);
  if (std::find(allowed.begin(), allowed.end(), path) == allowed.end()) run.NotSupported(selector["fieldPath"], allowed);
}

void CheckResourceFieldSelector(Run& run, const Node& selector, bool for_volume) {
  const std::string resource(selector.Str("resource"));
  if (for_volume && selector.Str("containerName").empty()) return run.Required(selector["containerName"]);
  if (resource.empty()) return run.Required(selector["resource"]);
  const bool huge = resource.starts_with("requests.hugepages-") || resource.starts_with("limits.hugepages-");
  static constexpr std::string_view kNames[] = {"limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"};
  if (!huge && std::find(std::begin(kNames), std::end(kNames), resource) == std::end(kNames)) return run.NotSupported(selector["resource"], kNames);
  const std::string_view divisor = selector.Str("divisor");
  if (divisor.empty() || divisor == "0") return;
  const Node at = selector["divisor"];
  if (resource.ends_with(".cpu")) {
    if (divisor != "1" && divisor != "1m") run.Invalid(at, Quote(resource), "only divisor's values 1m and 1 are supported with the cpu resource");
    return;
  }
  if (std::find(std::begin(kUnits), std::end(kUnits), divisor) != std::end(kUnits)) return;
  const std::string_view what = huge ? "hugepages" : resource.ends_with("memory") ? "memory" : "local ephemeral storage";
  run.Invalid(at, Quote(resource), Cat("only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the ", what, " resource"));
}

}  // namespace skerry::kube::rules
