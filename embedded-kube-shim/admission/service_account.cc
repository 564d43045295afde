#include <algorithm>
#include <array>

#include "core/base/strings.h"
#include "embedded-kube-shim/admission/admission.h"
#include "embedded-kube-shim/admission/resource_names.h"
#include "embedded-kube-shim/api/status.h"

// Pods run as a service account and find its token, the cluster's root certificate and their namespace mounted.
namespace skerry::kube {
namespace {

constexpr std::string_view kMountPath = "/var/run/secrets/kubernetes.io/serviceaccount", kVolumePrefix = "kube-api-access-";
constexpr std::int64_t kTokenSeconds = 3607;   // an hour, told apart from what users ask for
constexpr std::int64_t kDefaultMode = 0644;

json::Value TokenVolume(std::string_view name) {
  auto volume = json::Value::Object();
  volume.Set("name") = name;
  auto& projected = volume.Set("projected");
  auto token = json::Value::Object();
  token.Set("serviceAccountToken").Set("expirationSeconds") = kTokenSeconds;
  token.Set("serviceAccountToken").Set("path") = "token";
  projected.Set("sources").Append(std::move(token));
  auto root = json::Value::Object();
  root.Set("configMap").Set("name") = "kube-root-ca.crt";
  auto certificate = json::Value::Object();
  certificate.Set("key") = "ca.crt";
  certificate.Set("path") = "ca.crt";
  root.Set("configMap").Set("items").Append(std::move(certificate));
  projected.Set("sources").Append(std::move(root));
  auto downward = json::Value::Object();
  auto ns = json::Value::Object();
  ns.Set("path") = "namespace";
  ns.Set("fieldRef").Set("apiVersion") = "v1";
  ns.Set("fieldRef").Set("fieldPath") = "metadata.namespace";
  downward.Set("downwardAPI").Set("items").Append(std::move(ns));
  projected.Set("sources").Append(std::move(downward));
  projected.Set("defaultMode") = kDefaultMode;
  return volume;
}

void MountToken(json::Value& spec, Random& random) {
  std::string name;
  bool exists = false;
  for (const auto& volume : spec["volumes"].Items()) {
    if (!volume["name"].Str().starts_with(kVolumePrefix)) continue;
    name = volume["name"].Str();
    exists = true;
  }
  if (!exists) name = Cat(kVolumePrefix, NameSuffix(5, random));
  bool used = false;
  for (const std::string_view list : {"initContainers", "containers"}) {
    if (!spec.Find(list)) continue;
    for (auto& container : spec.Set(list).MutableItems()) {
      const auto mounts = container["volumeMounts"].Items();
      if (std::any_of(mounts.begin(), mounts.end(), [](const json::Value& mount) { return mount["mountPath"].Str() == kMountPath; })) continue;
      auto mount = json::Value::Object();
      mount.Set("name") = name;
      mount.Set("readOnly") = true;
      mount.Set("mountPath") = kMountPath;
      container.Set("volumeMounts").Append(std::move(mount));
      used = true;
    }
  }
  if (used && !exists) spec.Set("volumes").Append(TokenVolume(name));
}

bool Automounts(const json::Value& spec, const json::Value& account) {
  if (const auto* own = spec.Find("automountServiceAccountToken"); own && own->is_bool()) return own->Bool();
  if (const auto* shared = account.Find("automountServiceAccountToken"); shared && shared->is_bool()) return shared->Bool();
  return true;
}

bool Names(const json::Value& list, std::string_view name) {
  const auto items = list.Items();
  return std::any_of(items.begin(), items.end(), [&](const json::Value& item) { return item["name"].Str() == name; });
}

class ServiceAccountAdmission final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "ServiceAccount"; }

  Result<> Mutate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    if (!AboutPod(request) || request.operation != Operation::kCreate || !request.subresource.empty()) return {};
    auto& spec = request.object->Set("spec");
    if (IsMirror(*request.object)) return Check(request, world);
    if (spec["serviceAccountName"].Str().empty()) {
      spec.Set("serviceAccountName") = "default";
      spec.Set("serviceAccount") = "default";   // its name in old clients
    }
    TRY(const auto account, AccountOf(request, world));
    if (Automounts(spec, *account)) MountToken(spec, world.random());
    if (spec["imagePullSecrets"].size() == 0 && (*account)["imagePullSecrets"].size() > 0) spec.Set("imagePullSecrets") = (*account)["imagePullSecrets"].Clone();
    return {};
  }

  Result<> Validate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override { return Check(request, world); }

 private:
  static bool AboutPod(const AdmissionRequest& request) { return request.def.group.empty() && request.def.resource == "pods" && request.object; }
  static bool IsMirror(const json::Value& pod) { return pod.At({"metadata", "annotations"}).Find("kubernetes.io/config.mirror") != nullptr; }
  static Error Refuse(const AdmissionRequest& request, std::string why) { return ForbiddenError("", "pods", request.object->At({"metadata", "name"}).Str(), why); }

  static Result<std::shared_ptr<const json::Value>> AccountOf(const AdmissionRequest& request, const AdmissionWorld& world) {
    const auto name = request.object->At({"spec", "serviceAccountName"}).Str();
    if (const auto why = UnaskableName(name); !why.empty()) return std::unexpected(Refuse(request, Cat("error looking up service account ", request.ns, "/", name, ": ", why)));
    auto account = world.Lookup("", "serviceaccounts", request.ns, name);
    if (!account) return std::unexpected(Refuse(request, Cat("error looking up service account ", request.ns, "/", name, ": serviceaccount ", Quote(name), " not found")));
    return account;
  }

  static Result<> CheckMirror(const AdmissionRequest& request) {
    const auto& spec = (*request.object)["spec"];
    if (!spec["serviceAccountName"].Str().empty()) return std::unexpected(Refuse(request, "a mirror pod may not reference service accounts"));
    for (const auto& volume : spec["volumes"].Items()) {
      if (volume.Find("secret")) return std::unexpected(Refuse(request, "a mirror pod may not reference secrets"));
      for (const auto& source : volume.At({"projected", "sources"}).Items())
        if (source.Find("serviceAccountToken")) return std::unexpected(Refuse(request, "a mirror pod may not use ServiceAccountToken volume projections"));
    }
    return {};
  }

  // For accounts that say which secrets their pods may use.
  static Result<> CheckSecrets(const AdmissionRequest& request, const json::Value& account) {
    const auto& spec = (*request.object)["spec"];
    const auto owner = account.At({"metadata", "name"}).Str();
    for (const auto& volume : spec["volumes"].Items()) {
      const auto secret = volume.At({"secret", "secretName"}).Str();
      if (!secret.empty() && !Names(account["secrets"], secret))
        return std::unexpected(Refuse(request, Cat("volume with secret.secretName=", Quote(secret), " is not allowed because service account ", owner, " does not reference that secret")));
    }
    constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kContainers = {{{"initContainers", "init container"}, {"containers", "container"}, {"ephemeralContainers", "ephemeral container"}}};
    for (const auto& [list, what] : kContainers)
      for (const auto& container : spec[list].Items()) {
        for (const auto& variable : container["env"].Items()) {
          const auto secret = variable.At({"valueFrom", "secretKeyRef", "name"}).Str();
          if (!secret.empty() && !Names(account["secrets"], secret))
            return std::unexpected(Refuse(request, Cat(what, " ", container["name"].Str(), " with envVar ", variable["name"].Str(), " referencing secret.secretName=", Quote(secret),
                                                       " is not allowed because service account ", owner, " does not reference that secret")));
        }
      }
    std::size_t index = 0;
    for (const auto& pull : spec["imagePullSecrets"].Items()) {
      if (!Names(account["imagePullSecrets"], pull["name"].Str()))
        return std::unexpected(Refuse(request, Cat("imagePullSecrets[", index, "].name=", Quote(pull["name"].Str()), " is not allowed because service account ", owner, " does not reference that imagePullSecret")));
      ++index;
    }
    return {};
  }

  Result<> Check(AdmissionRequest& request, const AdmissionWorld& world) const {
    if (!AboutPod(request)) return {};
    const bool ephemeral = request.subresource == "ephemeralcontainers" && request.operation == Operation::kUpdate;
    if (!ephemeral && (request.operation != Operation::kCreate || !request.subresource.empty())) return {};
    if (IsMirror(*request.object)) return CheckMirror(request);
    TRY(const auto account, AccountOf(request, world));
    if (account->At({"metadata", "annotations", "kubernetes.io/enforce-mountable-secrets"}).Str() != "true") return {};
    return CheckSecrets(request, *account);
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> NewServiceAccountAdmission() { return std::make_unique<ServiceAccountAdmission>(); }

}  // namespace skerry::kube
