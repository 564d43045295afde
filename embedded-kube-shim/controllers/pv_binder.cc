#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/volume_match.h"
#include "embedded-kube-shim/controllers/write.h"

// Binds claims to persistent volumes. A binding is made in four writes, each of which can be the last before a crash: the volume's claimRef,
// its phase, the claim's volumeName, its phase. The claimRef decides who has the volume.
//
//   claim:   Pending --bound--> Bound --volume gone--> Lost
//   volume:  Available --reserved--> Bound --claim gone--> Released --Retain: stays, Delete: somebody has to delete it
namespace skerry::kube {
namespace {

constexpr const char* kController = "persistent-volume-binder";
constexpr const char* kSource = "persistentvolume-controller";
constexpr const char* kAttributes = "storage.k8s.io/v1/volumeattributesclasses";

class VolumeWork {
 public:
  explicit VolumeWork(const ControllerContext& c)
      : client_(c.client(kController)), events_(c.events(kSource)), volumes_(c.informers.Get(kVolumes)), claims_(c.informers.Get(kClaims)),
        classes_(c.informers.Get(kStorageClasses)) {}

  Result<> SetPhase(const Ctx& ctx, Resource resource, const ObjectPtr& object, std::string_view phase, std::string_view message = {}) {
    json::Value next = object->Clone();
    json::Value& status = next.Set("status");
    status.Set("phase") = phase;
    SetOrErase(status, "message", message.empty() ? json::Value() : json::Value(message));
    TRY_VOID(UpdateIfChanged(ctx, client_, resource, object, std::move(next), "status"));
    return {};
  }

  Client& client_;
  EventRecorder& events_;
  const Lister& volumes_;
  const Lister& claims_;
  const Lister& classes_;
};

class ClaimReconciler final : public Reconciler, VolumeWork {
 public:
  explicit ClaimReconciler(const ControllerContext& c) : VolumeWork(c) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr claim = claims_.Get(key);
    if (!claim) return Outcome{};
    TRY_VOID(Meta(*claim)["annotations"].Find(kBindCompleted) ? SyncBound(ctx, claim) : SyncUnbound(ctx, claim));
    return Outcome{};
  }

 private:
  Result<> SyncUnbound(const Ctx& ctx, const ObjectPtr& claim) {
    const std::string name((*claim)["spec"]["volumeName"].Str());
    if (name.empty()) return FindOne(ctx, claim);
    const ObjectPtr volume = volumes_.Get({"", name});
    if (!volume) return SetPhase(ctx, kClaims, claim, "Pending");
    if (!(*volume)["spec"]["claimRef"].is_object()) {
      if (const std::string why = Mismatch(*volume, *claim); !why.empty()) {
        events_.Event(*claim, "Warning", "VolumeMismatch", Cat("Cannot bind to requested volume ", Quote(name), ": ", why));
        return SetPhase(ctx, kClaims, claim, "Pending");
      }
      return Bind(ctx, volume, claim);
    }
    if (IsBoundTo(*volume, *claim)) return Bind(ctx, volume, claim);
    events_.Event(*claim, "Warning", "FailedBinding", Cat("volume ", Quote(name), " already bound to a different claim."));
    return SetPhase(ctx, kClaims, claim, "Pending");
  }

  Result<> FindOne(const Ctx& ctx, const ObjectPtr& claim) {
    const std::optional<std::string> class_name = StorageClassOf(*claim);
    const ObjectPtr storage_class = class_name && !class_name->empty() ? classes_.Get({"", *class_name}) : nullptr;
    const bool waits = WaitsForConsumer(storage_class.get());
    const bool provisioning = Meta(*claim)["annotations"].Find(kSelectedNode);
    if (const ObjectPtr volume = FindVolume(volumes_.List(), *claim, nullptr, waits && !provisioning)) return Bind(ctx, volume, claim);
    if (waits && !provisioning) {
      events_.Event(*claim, "Normal", "WaitForFirstConsumer", "waiting for first consumer to be created before binding");
    } else if (class_name && !class_name->empty()) {
      TRY_VOID(AskProvisioner(ctx, claim, *class_name, storage_class.get()));
    } else {
      events_.Event(*claim, "Normal", "FailedBinding", "no persistent volumes available for this claim and no storage class is set");
    }
    const ObjectPtr now = claims_.Get(KeyOf(*claim));
    return now ? SetPhase(ctx, kClaims, now, "Pending") : Result<>();
  }

  // Whoever provisions volumes of the class sees from the annotation that it is its turn.
  Result<> AskProvisioner(const Ctx& ctx, const ObjectPtr& claim, const std::string& class_name, const json::Value* storage_class) {
    if (!storage_class) {
      events_.Event(*claim, "Warning", "ProvisioningFailed", Cat("storageclass.storage.k8s.io ", Quote(class_name), " not found"));
      return {};
    }
    const std::string_view provisioner = (*storage_class)["provisioner"].Str();
    if (provisioner.starts_with("kubernetes.io/")) {
      events_.Event(*claim, "Warning", "ProvisioningFailed", Cat("no volume plugin matched name: ", provisioner));
      return {};
    }
    json::Value next = claim->Clone();
    json::Value& notes = next.Set("metadata").Set("annotations");
    notes.Set("volume.beta.kubernetes.io/storage-provisioner") = provisioner;
    notes.Set("volume.kubernetes.io/storage-provisioner") = provisioner;
    TRY_VOID(UpdateIfChanged(ctx, client_, kClaims, claim, std::move(next)));
    events_.Event(*claim, "Normal", "ExternalProvisioning",
                  Cat("Waiting for a volume to be created either by the external provisioner '", provisioner,
                      "' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."));
    return {};
  }

  Result<> SyncBound(const Ctx& ctx, const ObjectPtr& claim) {
    const std::string name((*claim)["spec"]["volumeName"].Str());
    if (name.empty()) return Lose(ctx, claim, "ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!");
    const ObjectPtr volume = volumes_.Get({"", name});
    if (!volume) return Lose(ctx, claim, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
    const json::Value& ref = (*volume)["spec"]["claimRef"];
    if (!ref.is_object() || ref["uid"].Str() == Uid(*claim)) return Bind(ctx, volume, claim);
    return Lose(ctx, claim, "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly");
  }

  Result<> Lose(const Ctx& ctx, const ObjectPtr& claim, std::string_view reason, const char* message) {
    if ((*claim)["status"]["phase"].Str() == "Lost") return {};
    events_.Event(*claim, "Warning", reason, message);
    return SetPhase(ctx, kClaims, claim, "Lost");
  }

  Result<> Bind(const Ctx& ctx, const ObjectPtr& volume, const ObjectPtr& claim) {
    TRY(const ObjectPtr reserved, UpdateIfChanged(ctx, client_, kVolumes, volume, BoundVolume(*volume, *claim)));
    if (!reserved) return Fail(Code::kConflict, Cat("volume ", Name(*volume), " is gone"));
    TRY_VOID(SetPhase(ctx, kVolumes, reserved, "Bound"));
    json::Value next = claim->Clone();
    json::Value& notes = next.Set("metadata").Set("annotations");
    if ((*claim)["spec"]["volumeName"].Str().empty()) notes.Set(kBoundByController) = "yes";
    notes.Set(kBindCompleted) = "yes";
    next.Set("spec").Set("volumeName") = Name(*volume);
    TRY(const ObjectPtr named, UpdateIfChanged(ctx, client_, kClaims, claim, std::move(next)));
    if (!named) return {};
    json::Value done = named->Clone();
    json::Value& status = done.Set("status");
    const bool first = status["phase"].Str() != "Bound";
    status.Set("phase") = "Bound";
    status.Set("accessModes") = (*volume)["spec"]["accessModes"].Clone();
    if (first || !status["capacity"].is_object()) status.Set("capacity").Set("storage") = (*volume)["spec"]["capacity"]["storage"].Clone();
    if (const std::string_view attributes = (*volume)["spec"]["volumeAttributesClassName"].Str(); first && !attributes.empty()) {
      status.Set("currentVolumeAttributesClassName") = attributes;
    }
    TRY_VOID(UpdateIfChanged(ctx, client_, kClaims, named, std::move(done), "status"));
    return {};
  }
};

class VolumeReconciler final : public Reconciler, VolumeWork {
 public:
  explicit VolumeReconciler(const ControllerContext& c) : VolumeWork(c) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr volume = volumes_.Get(key);
    if (!volume) return Outcome{};
    const json::Value& ref = (*volume)["spec"]["claimRef"];
    if (!ref.is_object() || ref["uid"].Str().empty()) {
      TRY_VOID(SetPhase(ctx, kVolumes, volume, "Available"));
      return Outcome{};
    }
    const ObjectPtr claim = claims_.Get({std::string(ref["namespace"].Str()), std::string(ref["name"].Str())});
    if (!claim || Uid(*claim) != ref["uid"].Str()) {
      TRY_VOID(Release(ctx, volume));
    } else if ((*claim)["spec"]["volumeName"].Str() == key.name) {
      TRY_VOID(SetPhase(ctx, kVolumes, volume, "Bound"));
    } else if (!(*claim)["spec"]["volumeName"].Str().empty()) {
      TRY_VOID(Unbind(ctx, volume));
    }
    return Outcome{};
  }

 private:
  Result<> Release(const Ctx& ctx, const ObjectPtr& volume) {
    const std::string_view phase = (*volume)["status"]["phase"].Str();
    if (phase == "Failed") return {};
    if (phase != "Released") {
      TRY_VOID(SetPhase(ctx, kVolumes, volume, "Released"));
      return {};                     // that write brings us here again
    }
    if ((*volume)["spec"]["persistentVolumeReclaimPolicy"].Str() != "Delete") return {};
    // Volumes that somebody provisioned are deleted by the same; those made by hand cannot be.
    if (Meta(*volume)["annotations"].Find("pv.kubernetes.io/provisioned-by") || (*volume)["spec"]["csi"].is_object()) return {};
    const std::string message = Cat("error getting deleter volume plugin for volume ", Quote(Name(*volume)), ": no deletable volume plugin matched");
    events_.Event(*volume, "Warning", "VolumeFailedDelete", message);
    return SetPhase(ctx, kVolumes, volume, "Failed", message);
  }

  // The claim took another volume: a reservation made here is given up, one made by a user only forgets the claim's uid.
  Result<> Unbind(const Ctx& ctx, const ObjectPtr& volume) {
    json::Value next = volume->Clone();
    if (Meta(*volume)["annotations"].Find(kBoundByController)) {
      next.Set("spec").Erase("claimRef");
      next.Set("metadata").Set("annotations").Erase(kBoundByController);
    } else {
      next.Set("spec").Set("claimRef").Erase("uid");
      next.Set("spec").Set("claimRef").Erase("resourceVersion");
    }
    TRY_VOID(UpdateIfChanged(ctx, client_, kVolumes, volume, std::move(next)));
    return {};
  }
};

// What keeps volumes and claims in use from vanishing: a finalizer that goes when nobody uses them any more.
class ProtectionReconciler final : public Reconciler {
 public:
  ProtectionReconciler(const ControllerContext& c, const char* controller, const char* resource, const char* finalizer, std::function<bool(const json::Value&)> in_use)
      : client_(c.client(controller)), objects_(c.informers.Get(resource)), resource_(resource), finalizer_(finalizer), in_use_(std::move(in_use)) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr object = objects_.Get(key);
    if (!object) return Outcome{};
    const auto finalizers = Meta(*object)["finalizers"].Items();
    const bool has = std::any_of(finalizers.begin(), finalizers.end(), [&](const json::Value& f) { return f.Str() == finalizer_; });
    json::Value next = object->Clone();
    json::Value& list = next.Set("metadata").Set("finalizers");
    if (has && IsTerminating(*object) && !in_use_(*object)) {
      std::erase_if(list.MutableItems(), [&](const json::Value& f) { return f.Str() == finalizer_; });
    } else if (!has && !IsTerminating(*object)) {
      list.Append(finalizer_);
    } else {
      return Outcome{};
    }
    TRY_VOID(UpdateIfChanged(ctx, client_, resource_, object, std::move(next)));
    return Outcome{};
  }

 private:
  Client& client_;
  const Lister& objects_;
  const char* const resource_;
  const char* const finalizer_;
  const std::function<bool(const json::Value&)> in_use_;
};

// A claim for each ephemeral volume of a pod, owned by the pod.
class EphemeralReconciler final : public Reconciler {
 public:
  explicit EphemeralReconciler(const ControllerContext& c)
      : client_(c.client("ephemeral-volume-controller")), events_(c.events("ephemeral_volume")), pods_(c.informers.Get("v1/pods")), claims_(c.informers.Get(kClaims)) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr pod = pods_.Get(key);
    if (!pod || IsTerminating(*pod)) return Outcome{};
    for (const json::Value& v : (*pod)["spec"]["volumes"].Items()) {
      const json::Value& pattern = v["ephemeral"]["volumeClaimTemplate"];
      if (!pattern.is_object()) continue;
      const std::string name = Cat(key.name, "-", v["name"].Str());
      if (const ObjectPtr claim = claims_.Get({key.ns, name})) {
        if (IsControlledBy(*claim, Uid(*pod))) continue;
        return Fail(Code::kInvalid, Cat("PVC ", Quote(key.ns + "/" + name), " was not created for pod ", Quote(key.ns + "/" + key.name), " (pod is not owner)"));
      }
      json::Value claim;
      claim.Set("apiVersion") = "v1";
      claim.Set("kind") = "PersistentVolumeClaim";
      json::Value& meta = claim.Set("metadata");
      meta.Set("name") = name;
      meta.Set("namespace") = key.ns;
      for (const char* part : {"labels", "annotations"}) {
        if (Meta(pattern)[part].is_object()) meta.Set(part) = Meta(pattern)[part].Clone();
      }
      meta.Set("ownerReferences").Append(NewControllerRef(*pod, "v1", "Pod"));
      claim.Set("spec") = pattern["spec"].Clone();
      auto created = client_.Create(ctx, kClaims, std::move(claim));
      if (created || AlreadyExists(created.error()) || NamespaceEnds(created.error())) continue;
      events_.Event(*pod, "Warning", "FailedCreate", Cat("ephemeral volume controller failed to create PVC ", name, ": ", created.error().message()));
      return std::unexpected(std::move(created).error());
    }
    return Outcome{};
  }

 private:
  Client& client_;
  EventRecorder& events_;
  const Lister& pods_;
  const Lister& claims_;
};

void AddProtection(const ControllerContext& c) {
  ControllerSpec claims;
  claims.name = "pvc-protection-controller";
  claims.triggers.push_back({kClaims, {}});
  // Only a pod that ends or is bound to a node changes who uses a claim.
  claims.triggers.push_back({"v1/pods", [](const Notification& n) {
                               std::vector<Key> keys;
                               if (n.type != Notification::Type::kDeleted && !IsPodFinished(*n.object)) return keys;
                               for (const PodClaim& p : ClaimsOfPod(*n.object)) keys.push_back({std::string(Namespace(*n.object)), p.name});
                               return keys;
                             }});
  const Lister& pods = c.informers.Get("v1/pods");
  claims.reconciler = std::make_unique<ProtectionReconciler>(c, "pvc-protection-controller", kClaims, "kubernetes.io/pvc-protection", [&pods](const json::Value& claim) {
    const std::vector<ObjectPtr> all = pods.List(Namespace(claim));
    return std::any_of(all.begin(), all.end(), [&](const ObjectPtr& p) {
      if ((*p)["spec"]["nodeName"].Str().empty()) return false;   // it will not be started with a claim that ends
      const std::vector<PodClaim> used = ClaimsOfPod(*p);
      return std::any_of(used.begin(), used.end(), [&](const PodClaim& u) { return u.name == Name(claim) && (!u.ephemeral || IsControlledBy(claim, Uid(*p))); });
    });
  });
  c.manager.Add(std::move(claims));

  ControllerSpec volumes;
  volumes.name = "pv-protection-controller";
  volumes.triggers.push_back({kVolumes, {}});
  volumes.reconciler = std::make_unique<ProtectionReconciler>(c, "pv-protection-controller", kVolumes, "kubernetes.io/pv-protection",
                                                              [](const json::Value& v) { return v["status"]["phase"].Str() == "Bound"; });
  c.manager.Add(std::move(volumes));

  ControllerSpec classes;
  classes.name = "vac-protection-controller";
  classes.triggers.push_back({kAttributes, {}});
  // Whoever lets go of a class names it no more, so every class that waits is looked at.
  const Lister& attributes = c.informers.Get(kAttributes);
  const auto waiting = [&attributes](const Notification&) {
    std::vector<Key> keys;
    for (const ObjectPtr& a : attributes.List())
      if (IsTerminating(*a)) keys.push_back(KeyOf(*a));
    return keys;
  };
  classes.triggers.push_back({kClaims, waiting});
  classes.triggers.push_back({kVolumes, waiting});
  classes.reconciler = std::make_unique<ProtectionReconciler>(
      c, "volumeattributesclass-protection-controller", kAttributes, "kubernetes.io/vac-protection",
      [&claims = c.informers.Get(kClaims), &volumes = c.informers.Get(kVolumes)](const json::Value& a) {
        const auto names = [&](const ObjectPtr& o) {
          return (*o)["spec"]["volumeAttributesClassName"].Str() == Name(a) || (*o)["status"]["currentVolumeAttributesClassName"].Str() == Name(a) ||
                 (*o)["status"]["modifyVolumeStatus"]["targetVolumeAttributesClassName"].Str() == Name(a);
        };
        return std::ranges::any_of(claims.List(), names) || std::ranges::any_of(volumes.List(), names);
      });
  c.manager.Add(std::move(classes));
}

}  // namespace

void AddVolumes(const ControllerContext& c) {
  const Lister& claims = c.informers.Get(kClaims);
  ControllerSpec claim;
  claim.name = kController;
  claim.triggers.push_back({kClaims, {}});
  // A volume concerns the claim it names; one that becomes free, all that wait.
  claim.triggers.push_back({kVolumes, [&claims](const Notification& n) {
                              std::vector<Key> keys;
                              const json::Value& ref = (*n.object)["spec"]["claimRef"];
                              if (ref.is_object()) keys.push_back({std::string(ref["namespace"].Str()), std::string(ref["name"].Str())});
                              for (const ObjectPtr& p : claims.List()) {
                                const std::string_view wanted = (*p)["spec"]["volumeName"].Str();
                                const bool waiting = !Meta(*p)["annotations"].Find(kBindCompleted) && wanted.empty() && !ref.is_object();
                                if (waiting || wanted == Name(*n.object)) keys.push_back(KeyOf(*p));
                              }
                              return keys;
                            }});
  claim.triggers.push_back({kStorageClasses, [&claims](const Notification& n) {
                              std::vector<Key> keys;
                              for (const ObjectPtr& p : claims.List()) {
                                if (!Meta(*p)["annotations"].Find(kBindCompleted) && StorageClassOf(*p) == Name(*n.object)) keys.push_back(KeyOf(*p));
                              }
                              return keys;
                            }});
  claim.reconciler = std::make_unique<ClaimReconciler>(c);
  c.manager.Add(std::move(claim));

  const Lister& volumes = c.informers.Get(kVolumes);
  ControllerSpec volume;
  volume.name = "persistent-volume-phases";
  volume.triggers.push_back({kVolumes, {}});
  volume.triggers.push_back({kClaims, [&volumes](const Notification& n) {
                               std::vector<Key> keys;
                               if (const std::string_view name = (*n.object)["spec"]["volumeName"].Str(); !name.empty()) keys.push_back({"", std::string(name)});
                               if (n.type != Notification::Type::kDeleted) return keys;
                               for (const ObjectPtr& v : volumes.List()) {
                                 if ((*v)["spec"]["claimRef"]["uid"].Str() == Uid(*n.object)) keys.push_back(KeyOf(*v));
                               }
                               return keys;
                             }});
  volume.reconciler = std::make_unique<VolumeReconciler>(c);
  c.manager.Add(std::move(volume));

  ControllerSpec ephemeral;
  ephemeral.name = "ephemeral-volume-controller";
  ephemeral.triggers.push_back({"v1/pods", [](const Notification& n) {
                                  std::vector<Key> keys;
                                  const std::vector<PodClaim> used = ClaimsOfPod(*n.object);
                                  if (n.type != Notification::Type::kDeleted && std::any_of(used.begin(), used.end(), [](const PodClaim& p) { return p.ephemeral; })) {
                                    keys.push_back(KeyOf(*n.object));
                                  }
                                  return keys;
                                }});
  ephemeral.reconciler = std::make_unique<EphemeralReconciler>(c);
  c.manager.Add(std::move(ephemeral));
  AddProtection(c);
}

}  // namespace skerry::kube
