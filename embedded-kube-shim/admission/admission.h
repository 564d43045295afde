#pragma once
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/context.h"
#include "core/base/random.h"
#include "core/json/value.h"
#include "embedded-kube-shim/api/resource_def.h"
#include "embedded-kube-shim/auth/rbac.h"
#include "store/store.h"

// The admission chain: mutators in order, then (after validation) validators. Plugins are told of one attempt of one write; an attempt
// that loses a race is made again from the start with the fresh object.
namespace skerry::kube {

enum class Operation : std::uint8_t { kCreate, kUpdate, kDelete, kConnect };

// What plugins may ask of the world. Thread-safe, never blocks.
class AdmissionWorld {
 public:
  virtual ~AdmissionWorld() = default;
  virtual std::shared_ptr<const json::Value> Lookup(std::string_view group, std::string_view resource, std::string_view ns, std::string_view name) const = 0;
  virtual std::vector<std::shared_ptr<const json::Value>> List(std::string_view group, std::string_view resource, std::string_view ns) const = 0;
  virtual Verdict Authorize(const Attributes& attributes) const = 0;
  virtual const RbacAuthorizer& rbac() const = 0;
  virtual const class Registry& registry() const = 0;
  // An object of the resource (or of one that shares its storage) in another version ("group/version"). May block: a webhook may have to convert.
  virtual Result<json::Value> Convert(const ResourceDef&, std::string_view /*api_version*/, json::Value object) const { return object; }
  virtual std::chrono::system_clock::time_point now() const = 0;
  virtual Random& random() const = 0;
};

struct AdmissionRequest {
  const ResourceDef& def;
  std::string_view version, subresource;
  std::string_view ns, name;             // name may be empty on create
  Operation operation;
  json::Value* object = nullptr;         // null on delete; the options of a connection
  const json::Value* old = nullptr;      // null on create
  const json::Value* options = nullptr;  // CreateOptions, … ; may be null
  const User& user;
  bool dry_run = false;
  std::vector<std::string>& warnings;
  store::Batch& batch;                   // expectations and further writes that must commit with this one (quota)
  std::map<std::string, std::string>* audit = nullptr;   // annotations for the audit log; may be null
};

class AdmissionPlugin {
 public:
  virtual ~AdmissionPlugin() = default;
  virtual std::string_view name() const = 0;
  virtual bool Handles(Operation operation) const { return operation != Operation::kConnect; }   // few plugins mean connections
  virtual Result<> Mutate(const Ctx&, AdmissionRequest&, const AdmissionWorld&) const { return {}; }
  virtual Result<> Validate(const Ctx&, AdmissionRequest&, const AdmissionWorld&) const { return {}; }
};

// Upstream's order; an error of the first plugin that refuses ends the chain.
class AdmissionChain {
 public:
  explicit AdmissionChain(std::vector<std::unique_ptr<AdmissionPlugin>> plugins) : plugins_(std::move(plugins)) {}
  Result<> Mutate(const Ctx&, AdmissionRequest&, const AdmissionWorld&) const;
  Result<> Validate(const Ctx&, AdmissionRequest&, const AdmissionWorld&) const;

 private:
  std::vector<std::unique_ptr<AdmissionPlugin>> plugins_;
};

std::unique_ptr<AdmissionPlugin> NewNamespaceLifecycle();
std::unique_ptr<AdmissionPlugin> NewServiceAccountAdmission();
std::unique_ptr<AdmissionPlugin> NewDefaultTolerationSeconds();
std::unique_ptr<AdmissionPlugin> NewPriorityAdmission();
std::unique_ptr<AdmissionPlugin> NewDefaultStorageClass();
std::unique_ptr<AdmissionPlugin> NewDefaultIngressClass();
std::unique_ptr<AdmissionPlugin> NewStorageObjectInUse();
std::unique_ptr<AdmissionPlugin> NewTaintNewNodes();
std::unique_ptr<AdmissionPlugin> NewRbacEscalation();
std::unique_ptr<AdmissionPlugin> NewMutatingAdmissionPolicy();
std::unique_ptr<AdmissionPlugin> NewValidatingAdmissionPolicy();
std::unique_ptr<AdmissionPlugin> NewMutatingWebhooks();
std::unique_ptr<AdmissionPlugin> NewValidatingWebhooks();
std::unique_ptr<AdmissionPlugin> NewClaimResize();
std::unique_ptr<AdmissionPlugin> NewLimitRanger();
std::unique_ptr<AdmissionPlugin> NewResourceQuota();
std::unique_ptr<AdmissionPlugin> NewPodSecurity();
std::unique_ptr<AdmissionPlugin> NewRuntimeClass();
std::unique_ptr<AdmissionPlugin> NewNodeRestriction();
std::unique_ptr<AdmissionPlugin> NewCertificateApproval();
std::unique_ptr<AdmissionPlugin> NewCertificateSigning();
std::unique_ptr<AdmissionPlugin> NewCertificateSubjectRestriction();
std::unique_ptr<AdmissionPlugin> NewAlwaysAdmit();
std::unique_ptr<AdmissionPlugin> NewAlwaysDeny();
std::unique_ptr<AdmissionPlugin> NewAlwaysPullImages();
std::unique_ptr<AdmissionPlugin> NewLimitPodHardAntiAffinityTopology();
std::unique_ptr<AdmissionPlugin> NewExtendedResourceToleration();
std::unique_ptr<AdmissionPlugin> NewDenyServiceExternalIps();
std::unique_ptr<AdmissionPlugin> NewPodNodeSelector();
std::unique_ptr<AdmissionPlugin> NewPodTolerationRestriction();
std::unique_ptr<AdmissionPlugin> NewOwnerReferencesPermissionEnforcement();

// Names as in --enable-admission-plugins and --disable-admission-plugins; what is in neither list follows the plugin's default.
struct AdmissionOptions {
  std::vector<std::string> enabled, disabled;
};
// kInvalid names a plugin that does not exist, or that is both enabled and disabled.
Result<> CheckAdmissionOptions(const AdmissionOptions& options);
// Every plugin that is on, in upstream's order. The escalation check is part of the API itself: always on.
AdmissionChain NewAdmissionChain(const AdmissionOptions& options = {});

}  // namespace skerry::kube
