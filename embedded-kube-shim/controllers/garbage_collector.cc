#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "core/base/strings.h"
#include "core/telemetry/log.h"
#include "embedded-kube-shim/controllers/aggregated_watches.h"
#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

// Deletes what has no owner left. A graph by uid of the objects that have owners or are being deleted is fed by notifications; the decisions
// read the caches.
//
//   owner states seen from a dependent:   solid (exists) | waiting (being deleted in the foreground) | dangling (gone)
//     any solid                 -> the references to the others are removed
//     none solid, some waiting  -> the dependent is deleted in the foreground, too, when it has dependents of its own
//     all dangling              -> the dependent is deleted
namespace skerry::kube {
namespace {

constexpr const char* kForeground = "foregroundDeletion";
constexpr const char* kOrphan = "orphan";
constexpr const char* kName = "generic-garbage-collector";
constexpr const char* kCollectorAccount = "system:serviceaccount:kube-system:generic-garbage-collector";
constexpr std::chrono::seconds kAskAgain{30};   // whether an owner that another server holds, which cannot be watched, is still there
constexpr std::chrono::milliseconds kLookAgain{200};   // whether other servers have told what they hold

struct Owner {
  std::string uid, api_version, kind, name;
  bool block = false;
  bool operator==(const Owner&) const = default;
};

struct Node {
  std::string resource;                       // "apps/v1/replicasets"
  Key key;
  std::vector<Owner> owners;
  bool terminating = false, foreground = false, orphan = false;
  bool elsewhere = false;                     // another server holds it
  bool operator==(const Node&) const = default;
};

bool HasFinalizer(const json::Value& object, std::string_view name) {
  const auto items = Meta(object)["finalizers"].Items();
  return std::any_of(items.begin(), items.end(), [&](const json::Value& f) { return f.Str() == name; });
}

Node NodeOf(std::string_view resource, const Change& change) {
  Node n;
  n.resource = resource;
  n.key = change.key();
  for (const auto& owner : change.owners())
    n.owners.push_back({std::string(owner.uid), std::string(owner.api_version), std::string(owner.kind), std::string(owner.name), owner.blocks});
  n.terminating = change.terminating();
  n.foreground = change.HasFinalizer(kForeground);
  n.orphan = change.HasFinalizer(kOrphan);
  return n;
}

Node NodeOf(std::string_view resource, const json::Value& object) {
  Node n;
  n.resource = resource;
  n.key = KeyOf(object);
  for (const json::Value& ref : Meta(object)["ownerReferences"].Items()) {
    n.owners.push_back({std::string(ref["uid"].Str()), std::string(ref["apiVersion"].Str()), std::string(ref["kind"].Str()), std::string(ref["name"].Str()),
                        ref["blockOwnerDeletion"].Bool()});
  }
  n.terminating = IsTerminating(object);
  n.foreground = HasFinalizer(object, kForeground);
  n.orphan = HasFinalizer(object, kOrphan);
  return n;
}

class Collector final : public std::enable_shared_from_this<Collector> {
 public:
  explicit Collector(const ControllerContext& c)
      : manager_(c.manager), informers_(c.informers), registry_(c.registry), client_(c.client(kName)), events_(c.events(kName)), aggregated_(c.aggregated) {
    auto* objects = dynamic_cast<AggregatedObjects*>(aggregated_);
    if (!objects) return;
    AggregatedWatches::Listener listener{[this](const std::string& resource, const Change& change) { OnChange(resource, change); },
                                         [this](const std::string& resource) { Forget(resource); }};
    elsewhere_ = std::make_unique<AggregatedWatches>(*aggregated_, *objects, c.clock, kCollectorAccount, std::move(listener));
  }

  void Watch() {
    const Registry::Snapshot all = registry_.All();
    std::vector<std::string> fresh;
    {
      std::lock_guard lock(mutex_);
      for (const ResourcePtr& def : *all) {
        if (def->virtual_resource || !def->HasVerb("watch") || !def->HasVerb("delete") || def->resource == "events") continue;
        const std::string gvr = ResourceOf(*def);
        if (watched_.insert(gvr).second) fresh.push_back(gvr);
      }
    }
    for (const std::string& gvr : fresh) {
      auto handle = SubscribeChanges(informers_, gvr, [weak = weak_from_this(), gvr](const Change& change) {
        if (const auto self = weak.lock()) self->OnChange(gvr, change);
      });
      std::lock_guard lock(mutex_);
      subscriptions_.push_back(std::move(handle));
    }
  }

  // What other servers hold, as far as it can be watched.
  void WatchElsewhere() {
    if (elsewhere_) elsewhere_->Follow();
  }

  Result<Outcome> Process(const Ctx& ctx, const std::string& uid) {
    std::optional<Node> node = Find(uid);
    if (!node) return Outcome{};
    const ObjectPtr object = Current(*node);
    if (!object || Uid(*object) != uid) return Outcome{};
    const bool elsewhere = node->elsewhere;
    *node = NodeOf(node->resource, *object);      // the cache may be ahead of the notifications
    node->elsewhere = elsewhere;
    if (node->terminating && node->orphan) return Orphan(ctx, *node, uid);
    if (node->terminating && node->foreground) return FinishForeground(ctx, *node, uid);
    if (node->terminating || node->owners.empty()) return Outcome{};
    return Judge(ctx, *node, uid, *object);
  }

  void Drop() {
    std::vector<std::shared_ptr<void>> handles;
    {
      std::lock_guard lock(mutex_);
      handles.swap(subscriptions_);
    }
    if (elsewhere_) elsewhere_->Stop();
  }

 private:
  static std::string ResourceOf(const ResourceDef& def) {
    const std::string& version = def.StorageVersion().name;
    return def.group.empty() ? Cat(version, "/", def.resource) : Cat(def.group, "/", version, "/", def.resource);
  }

  bool IsElsewhere(const std::string& resource) const { return elsewhere_ && elsewhere_->Has(resource); }

  ObjectPtr Current(const Node& node) const {
    if (node.elsewhere) return elsewhere_->Get(node.resource, node.key);
    return informers_.Get(node.resource).Get(node.key);
  }

  Client& ClientOf(const Node& node) { return node.elsewhere ? elsewhere_->client() : client_; }

  std::optional<Node> Find(const std::string& uid) const {
    std::lock_guard lock(mutex_);
    const auto it = nodes_.find(uid);
    if (it == nodes_.end()) return std::nullopt;
    return it->second;
  }

  std::vector<std::string> Dependents(const std::string& uid) const {
    std::lock_guard lock(mutex_);
    const auto it = dependents_.find(uid);
    return it == dependents_.end() ? std::vector<std::string>() : std::vector<std::string>(it->second.begin(), it->second.end());
  }

  void Enqueue(const std::string& uid) { manager_.Enqueue(kName, {"", uid}); }

  void OnChange(const std::string& resource, const Change& change) {
    const std::string uid(change.uid());
    if (uid.empty()) return;
    std::vector<std::string> touched;
    const bool elsewhere = IsElsewhere(resource);
    {
      std::lock_guard lock(mutex_);
      const auto old = nodes_.find(uid);
      Node node = NodeOf(resource, change);
      node.elsewhere = elsewhere;
      // Its life goes on. When changes may have been missed those of its owners may, too.
      if (change.continues() && old != nodes_.end() && old->second == node && !node.terminating) return;
      if (old != nodes_.end()) {
        for (const Owner& o : old->second.owners) Unlink(o.uid, uid);
      }
      for (const Owner& o : node.owners) touched.push_back(o.uid);      // an owner may wait for this one
      const bool plain = node.owners.empty() && !node.terminating;   // most are: nothing is ever asked of them
      if (change.type() == Notification::Type::kDeleted) {
        if (old != nodes_.end()) nodes_.erase(old);
        if (const auto d = dependents_.find(uid); d != dependents_.end()) touched.insert(touched.end(), d->second.begin(), d->second.end());
      } else if (plain) {
        if (old != nodes_.end()) nodes_.erase(old);
      } else {
        for (const Owner& o : node.owners) dependents_[o.uid].insert(uid);
        if (!node.owners.empty() || (node.terminating && (node.foreground || node.orphan))) touched.push_back(uid);
        nodes_[uid] = std::move(node);
      }
      std::erase_if(touched, [&](const std::string& t) {
        if (t == uid) return false;
        const auto it = nodes_.find(t);
        // Owners only matter here while they wait; dependents of something deleted always do.
        return change.type() != Notification::Type::kDeleted && (it == nodes_.end() || !it->second.terminating);
      });
    }
    for (const std::string& t : touched) Enqueue(t);
  }

  // Nobody serves the resource any more: nothing waits for its objects. What they own stays, since nobody says that they are gone.
  void Forget(const std::string& resource) {
    std::vector<std::string> touched;
    {
      std::lock_guard lock(mutex_);
      for (auto it = nodes_.begin(); it != nodes_.end();) {
        if (it->second.resource != resource || !it->second.elsewhere) {
          ++it;
          continue;
        }
        for (const Owner& o : it->second.owners) {
          Unlink(o.uid, it->first);
          touched.push_back(o.uid);
        }
        it = nodes_.erase(it);
      }
    }
    for (const std::string& t : touched) Enqueue(t);
  }

  void Unlink(const std::string& owner, const std::string& uid) {
    const auto it = dependents_.find(owner);
    if (it == dependents_.end()) return;
    it->second.erase(uid);
    if (it->second.empty()) dependents_.erase(it);
  }

  enum class OwnerState : std::uint8_t { kSolid, kElsewhere, kWaiting, kDangling, kUnknown };   // kElsewhere: nothing tells when it goes

  OwnerState StateOf(const Ctx& ctx, const Owner& owner, const Node& dependent) const {
    const std::size_t slash = owner.api_version.find('/');
    const std::string group = slash == std::string::npos ? "" : owner.api_version.substr(0, slash);
    const std::string version = slash == std::string::npos ? owner.api_version : owner.api_version.substr(slash + 1);
    const ResourcePtr def = registry_.FindKind(group, version, owner.kind);
    if (!def) return StateElsewhere(ctx, owner, group, dependent);
    if (def->scope == Scope::kNamespaced && dependent.key.ns.empty()) return OwnerState::kUnknown;
    const Key key{def->scope == Scope::kNamespaced ? dependent.key.ns : "", owner.name};
    const ObjectPtr object = informers_.Get(ResourceOf(*def)).Get(key);
    if (!object || Uid(*object) != owner.uid) return OwnerState::kDangling;
    return IsTerminating(*object) && HasFinalizer(*object, kForeground) ? OwnerState::kWaiting : OwnerState::kSolid;
  }

  // An owner that an aggregated server may hold. When nobody can say whether it exists its dependents stay.
  OwnerState StateElsewhere(const Ctx& ctx, const Owner& owner, const std::string& group, const Node& dependent) const {
    if (!aggregated_ || group.empty()) return OwnerState::kUnknown;
    const auto found = aggregated_->Discover();
    const auto at = std::find_if(found.resources.begin(), found.resources.end(), [&](const AggregatedApis::Resource& r) { return r.group == group && r.kind == owner.kind; });
    if (at == found.resources.end() || (at->namespaced && dependent.key.ns.empty())) return OwnerState::kUnknown;
    const auto answer = aggregated_->Call(ctx, kCollectorAccount, "GET", at->Path(dependent.key.ns, owner.name));
    if (!answer || (answer->status != 200 && answer->status != 404)) return OwnerState::kElsewhere;
    if (answer->status == 404 || Uid(answer->body) != owner.uid) return OwnerState::kDangling;
    if (IsTerminating(answer->body) && HasFinalizer(answer->body, kForeground)) return OwnerState::kWaiting;
    return IsElsewhere(Cat(at->group, "/", at->version, "/", at->resource)) ? OwnerState::kSolid : OwnerState::kElsewhere;
  }

  Result<Outcome> Judge(const Ctx& ctx, const Node& node, const std::string& uid, const json::Value& object) {
    std::vector<std::string> gone;
    bool solid = false, elsewhere = false, waiting = false, dangling = false;
    for (const Owner& o : node.owners) {
      switch (StateOf(ctx, o, node)) {
        case OwnerState::kElsewhere: elsewhere = true; [[fallthrough]];
        case OwnerState::kSolid: solid = true; break;
        case OwnerState::kUnknown:
          solid = true;
          if (node.key.ns.empty()) {
            events_.Event(object, "Warning", "OwnerRefInvalidNamespace", Cat("ownerRef [", o.api_version, "/", o.kind, ", namespace: , name: ", o.name, ", uid: ", o.uid,
                                                                             "] does not exist in namespace \"\""));
          }
          break;
        case OwnerState::kWaiting:
          waiting = true;
          gone.push_back(o.uid);
          break;
        case OwnerState::kDangling:
          dangling = true;
          gone.push_back(o.uid);
          break;
      }
    }
    if (!waiting && !dangling) return elsewhere ? Outcome{kAskAgain} : Outcome{};
    if (solid) return RemoveOwners(ctx, node, uid, gone);
    DeleteOptions options;
    options.uid = uid;
    options.propagation = Propagation::kBackground;
    if (node.orphan) options.propagation = Propagation::kOrphan;
    if (node.foreground) options.propagation = Propagation::kForeground;
    if (waiting && !Dependents(uid).empty()) {
      TRY_VOID(UnblockCycle(ctx, node, uid));
      options.propagation = Propagation::kForeground;
    }
    return Done(ClientOf(node).Delete(ctx, node.resource, node.key, options));
  }

  // In a circle of owners each would wait for the next for ever. A dependent that is being deleted in the foreground itself may close one
  // (of any length): then this one no longer blocks its owners. Without a circle that costs nothing but the order of the last two.
  Result<> UnblockCycle(const Ctx& ctx, const Node& node, const std::string& uid) {
    for (const std::string& d : Dependents(uid)) {
      const std::optional<Node> dependent = Find(d);
      if (!dependent || !dependent->terminating || !dependent->foreground) continue;
      return Unblock(ctx, node, uid);
    }
    return {};
  }

  Result<> Unblock(const Ctx& ctx, const Node& node, const std::string& uid) {
    const ObjectPtr object = Current(node);
    if (!object || Uid(*object) != uid) return {};
    json::Value refs = json::Value::Array();
    bool blocks = false;
    for (const json::Value& ref : Meta(*object)["ownerReferences"].Items()) {
      json::Value& own = refs.Append(ref.Clone());
      blocks |= ref["blockOwnerDeletion"].Bool();
      if (ref["blockOwnerDeletion"].Bool()) own.Set("blockOwnerDeletion") = false;
    }
    return blocks ? Replace(ctx, node, *object, "ownerReferences", std::move(refs)) : Result<>();
  }

  // A list of the metadata becomes another one. By JSON merge on the whole list: custom resources know no strategic merge. The
  // resourceVersion makes it conditional.
  Result<> Replace(const Ctx& ctx, const Node& node, const json::Value& object, std::string_view list, json::Value items) {
    json::Value patch;
    json::Value& meta = patch.Set("metadata");
    meta.Set("uid") = Uid(object);
    meta.Set("resourceVersion") = Meta(object)["resourceVersion"].Str();
    meta.Set(list) = items.size() > 0 ? std::move(items) : json::Value();
    auto r = ClientOf(node).Patch(ctx, node.resource, node.key, PatchType::kMerge, std::move(patch));
    if (!r && r.error().code() != Code::kNotFound) return std::unexpected(std::move(r).error());
    return {};
  }

  static Result<Outcome> Done(Result<> r) {
    if (!r && r.error().code() != Code::kNotFound && r.error().code() != Code::kConflict) return std::unexpected(std::move(r).error());
    return Outcome{};
  }

  Result<Outcome> RemoveOwners(const Ctx& ctx, const Node& node, const std::string& uid, const std::vector<std::string>& gone) {
    const ObjectPtr object = Current(node);
    if (!object || Uid(*object) != uid) return Outcome{};
    json::Value rest = json::Value::Array();
    for (const json::Value& ref : Meta(*object)["ownerReferences"].Items()) {
      if (std::find(gone.begin(), gone.end(), ref["uid"].Str()) == gone.end()) rest.Append(ref.Clone());
    }
    TRY_VOID(Replace(ctx, node, *object, "ownerReferences", std::move(rest)));
    return Outcome{};
  }

  Result<> RemoveFinalizer(const Ctx& ctx, const Node& node, const std::string& uid, std::string_view finalizer) {
    const ObjectPtr object = Current(node);
    if (!object || Uid(*object) != uid) return {};
    json::Value rest = json::Value::Array();
    for (const json::Value& f : Meta(*object)["finalizers"].Items()) {
      if (f.Str() != finalizer) rest.Append(f.Clone());
    }
    return Replace(ctx, node, *object, "finalizers", std::move(rest));
  }

  Result<Outcome> Orphan(const Ctx& ctx, const Node& node, const std::string& uid) {
    if (elsewhere_ && elsewhere_->StillListing()) return Outcome{kLookAgain};
    for (const std::string& d : Dependents(uid)) {
      const std::optional<Node> dependent = Find(d);
      if (dependent) TRY_VOID(RemoveOwners(ctx, *dependent, d, {uid}));
    }
    TRY_VOID(RemoveFinalizer(ctx, node, uid, kOrphan));
    return Outcome{};
  }

  Result<Outcome> FinishForeground(const Ctx& ctx, const Node& node, const std::string& uid) {
    bool blocked = false;
    for (const std::string& d : Dependents(uid)) {
      const std::optional<Node> dependent = Find(d);
      if (!dependent) continue;
      const ObjectPtr alive = Current(*dependent);
      if (!alive || Uid(*alive) != d) continue;
      for (const Owner& o : dependent->owners) blocked |= o.uid == uid && o.block;
      if (!IsTerminating(*alive)) Enqueue(d);
    }
    if (blocked) return Outcome{};
    if (elsewhere_ && elsewhere_->StillListing()) return Outcome{kLookAgain};
    TRY_VOID(RemoveFinalizer(ctx, node, uid, kForeground));
    return Outcome{};
  }

  Manager& manager_;
  Informers& informers_;
  Registry& registry_;
  Client& client_;
  EventRecorder& events_;
  AggregatedApis* const aggregated_;      // may be null
  mutable std::mutex mutex_;
  std::map<std::string, Node> nodes_;                            // by uid
  std::map<std::string, std::set<std::string>> dependents_;      // owner's uid -> dependents' uids; the owner may be unknown
  std::set<std::string> watched_;
  std::vector<std::shared_ptr<void>> subscriptions_;
  std::unique_ptr<AggregatedWatches> elsewhere_;                 // null: no other servers can be watched. Last: it calls back
};

class CollectorReconciler final : public Reconciler {
 public:
  explicit CollectorReconciler(std::shared_ptr<Collector> c) : collector_(std::move(c)) {}
  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override { return collector_->Process(ctx, key.name); }

 private:
  const std::shared_ptr<Collector> collector_;
};

}  // namespace

std::shared_ptr<void> AddGarbageCollector(const ControllerContext& c) {
  auto collector = std::make_shared<Collector>(c);
  ControllerSpec spec;
  spec.name = kName;
  spec.workers = 8;
  spec.reconciler = std::make_unique<CollectorReconciler>(collector);
  c.manager.Add(std::move(spec));
  collector->Watch();
  c.registry.OnChange([weak = std::weak_ptr(collector)] {
    if (const auto self = weak.lock()) self->Watch();
  });
  if (auto* objects = dynamic_cast<AggregatedObjects*>(c.aggregated)) {
    objects->OnChange([weak = std::weak_ptr(collector)] {
      if (const auto self = weak.lock()) self->WatchElsewhere();
    });
    collector->WatchElsewhere();
  }
  return std::shared_ptr<void>(collector.get(), [collector](void*) { collector->Drop(); });
}

}  // namespace skerry::kube
