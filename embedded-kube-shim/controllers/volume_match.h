#pragma once
#include <optional>
#include <string>
#include <vector>

#include "embedded-kube-shim/controllers/pod_facts.h"

// Which persistent volume fits which claim, for the binder and for the scheduler. Pure functions.
namespace skerry::kube {

inline constexpr const char* kVolumes = "v1/persistentvolumes";
inline constexpr const char* kClaims = "v1/persistentvolumeclaims";
inline constexpr const char* kStorageClasses = "storage.k8s.io/v1/storageclasses";
inline constexpr const char* kBoundByController = "pv.kubernetes.io/bound-by-controller";
inline constexpr const char* kBindCompleted = "pv.kubernetes.io/bind-completed";
inline constexpr const char* kSelectedNode = "volume.kubernetes.io/selected-node";
inline constexpr const char* kNoProvisioner = "kubernetes.io/no-provisioner";

// The class that a claim or volume names, by field or by the older annotation; nullopt = none was said.
std::optional<std::string> StorageClassOf(const json::Value& object);
bool IsBoundTo(const json::Value& volume, const json::Value& claim);       // its claimRef means this claim
bool IsFullyBound(const json::Value& claim);                               // names a volume, and binding was completed
bool WaitsForConsumer(const json::Value* storage_class);                   // null = no such class
// Why the volume does not do for the claim, in upstream's words; empty = it does.
std::string Mismatch(const json::Value& volume, const json::Value& claim);
// May pods on this node use the volume?
bool MatchesVolumeNode(const json::Value& volume, const json::Value& node);

// The smallest volume that fits, or the one that is reserved for the claim. With a node only volumes that pods there may use; `reserved_only`:
// no free ones. `taken` volumes (by name) are left out.
ObjectPtr FindVolume(const std::vector<ObjectPtr>& volumes, const json::Value& claim, const json::Value* node, bool reserved_only,
                     const std::vector<std::string>& taken = {});

// `volume` bound to `claim`; the annotation tells that the reservation was made here.
json::Value BoundVolume(const json::Value& volume, const json::Value& claim);

// The claims of a pod, ephemeral ones included: (volume name, claim name).
struct PodClaim {
  std::string name;
  bool ephemeral = false;
};
std::vector<PodClaim> ClaimsOfPod(const json::Value& pod);

}  // namespace skerry::kube
