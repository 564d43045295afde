#include <algorithm>
#include <map>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

// Deletion of a namespace: pods first, then everything else, then the finalizer. What is in the way is told in the conditions.
namespace skerry::kube {
namespace {

constexpr const char* kNamespaceAccount = "system:serviceaccount:kube-system:namespace-controller";
constexpr std::chrono::milliseconds kFirstLook{200}, kLastLook{5000};

struct Remaining {
  std::map<std::string, int> resources;    // "configmaps." -> instances
  std::map<std::string, int> finalizers;
  std::vector<std::string> errors;
  std::vector<std::string> unknown;        // group versions whose server does not say what it holds
};

class NamespaceReconciler final : public Reconciler {
 public:
  explicit NamespaceReconciler(const ControllerContext& c)
      : client_(c.client("namespace-controller")), clock_(c.clock), registry_(c.registry), informers_(c.informers), namespaces_(c.informers.Get("v1/namespaces")), aggregated_(c.aggregated) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr ns = namespaces_.Get(key);
    if (!ns || !IsTerminating(*ns)) return Outcome{};
    if ((*ns)["spec"]["finalizers"].size() == 0) return Outcome{};
    Remaining left;
    DeleteAll(ctx, key.name, /*pods_only=*/true, left);
    if (left.resources.empty()) {
      DeleteAll(ctx, key.name, /*pods_only=*/false, left);
      if (aggregated_) DeleteElsewhere(ctx, key.name, left);
    }
    TRY_VOID(WriteStatus(ctx, *ns, left));
    if (left.resources.empty() && left.errors.empty() && left.unknown.empty()) {
      TRY_VOID(Finalize(ctx, key));
      return Outcome{};
    }
    // Finalizers of others and grace periods end without telling this controller: look again when most of the time since the start has
    // passed again, so that a namespace that cannot finish costs next to nothing.
    const auto since = ParseTime(Meta(*ns)["deletionTimestamp"].Str());
    const auto age = since ? std::chrono::duration_cast<std::chrono::milliseconds>(clock_.Now() - *since) / 4 : kLastLook;
    return Outcome{std::clamp(age, kFirstLook, kLastLook)};
  }

 private:
  void DeleteAll(const Ctx& ctx, const std::string& ns, bool pods_only, Remaining& left) {
    const Registry::Snapshot all = registry_.All();
    for (const ResourcePtr& def : *all) {
      if (def->scope != Scope::kNamespaced || def->virtual_resource || !def->HasVerb("list") || !def->HasVerb("delete")) continue;
      const bool pods = def->group.empty() && def->resource == "pods";
      if (pods != pods_only) continue;
      if (def->group == "events.k8s.io") continue;         // the same storage as core events
      const std::string gvr = def->group.empty() ? Cat(def->StorageVersion().name, "/", def->resource)
                                                 : Cat(def->group, "/", def->StorageVersion().name, "/", def->resource);
      for (const ObjectPtr& object : informers_.Get(gvr).List(ns)) {
        if (!IsTerminating(*object)) {
          DeleteOptions options;
          options.uid = Uid(*object);
          options.propagation = Propagation::kBackground;
          auto r = client_.Delete(ctx, gvr, KeyOf(*object), options);
          if (!r && r.error().code() != Code::kNotFound && r.error().code() != Code::kConflict) left.errors.emplace_back(r.error().message());
        }
      }
      for (const ObjectPtr& object : informers_.Get(gvr).List(ns)) {
        ++left.resources[Cat(def->resource, ".", def->group)];
        for (const json::Value& f : Meta(*object)["finalizers"].Items()) ++left.finalizers[std::string(f.Str())];
      }
    }
  }

  // What aggregated servers hold of the namespace.
  void DeleteElsewhere(const Ctx& ctx, const std::string& ns, Remaining& left) {
    auto found = aggregated_->Discover();
    left.unknown = std::move(found.stale);
    for (const AggregatedApis::Resource& r : found.resources) {
      if (!r.namespaced || !r.HasVerb("list") || !r.HasVerb("delete")) continue;
      const std::string what = Cat(r.resource, ".", r.group);
      json::Value options;
      options.Set("kind") = "DeleteOptions";
      options.Set("apiVersion") = "v1";
      options.Set("propagationPolicy") = "Background";
      const auto remove = [&](const std::string& path) {
        const auto answer = aggregated_->Call(ctx, kNamespaceAccount, "DELETE", path, options);
        if (!answer) left.errors.emplace_back(answer.error().message());
        else if (answer->status >= 300 && answer->status != 404) left.errors.push_back(Cat("cannot delete ", what, ": ", answer->body["message"].Str()));
      };
      if (r.HasVerb("deletecollection")) remove(r.Path(ns));
      const auto list = aggregated_->Call(ctx, kNamespaceAccount, "GET", r.Path(ns));
      if (!list || list->status != 200) {
        left.errors.push_back(Cat("cannot list ", what, ": ", list ? list->body["message"].Str() : list.error().message()));
        continue;
      }
      for (const json::Value& object : list->body["items"].Items()) {
        ++left.resources[what];
        for (const json::Value& f : Meta(object)["finalizers"].Items()) ++left.finalizers[std::string(f.Str())];
        if (!r.HasVerb("deletecollection") && !IsTerminating(object)) remove(r.Path(ns, Name(object)));
      }
    }
  }

  Result<> WriteStatus(const Ctx& ctx, const json::Value& ns, const Remaining& left) {
    json::Value next = ns.Clone();
    json::Value& status = next.Set("status");
    const Clock::Wall now = clock_.Now();
    const auto told = [](const std::map<std::string, int>& what, std::string_view word) {
      std::vector<std::string> parts;
      for (const auto& [name, n] : what) parts.push_back(Cat(name, " ", word, " ", n, " resource instances"));
      return Join(parts, ", ");
    };
    if (left.unknown.empty()) {
      SetCondition(status, "NamespaceDeletionDiscoveryFailure", "False", "ResourcesDiscovered", "All resources successfully discovered", now);
    } else {
      std::vector<std::string> groups;
      for (const auto& version : left.unknown) groups.push_back(Cat(version, ": stale GroupVersion discovery: ", version));
      SetCondition(status, "NamespaceDeletionDiscoveryFailure", "True", "DiscoveryFailed",
                   Cat("Discovery failed for some groups, ", groups.size(), " failing: unable to retrieve the complete list of server APIs: ", Join(groups, ", ")), now);
    }
    SetCondition(status, "NamespaceDeletionGroupVersionParsingFailure", "False", "ParsedGroupVersions", "All legacy kube types successfully parsed", now);
    if (left.errors.empty()) {
      SetCondition(status, "NamespaceDeletionContentFailure", "False", "ContentDeleted", "All content successfully deleted, may be waiting on finalization", now);
    } else {
      SetCondition(status, "NamespaceDeletionContentFailure", "True", "ContentDeletionFailed",
                   "Failed to delete all resource types, " + std::to_string(left.errors.size()) + " remaining: " + Join(left.errors, ", "), now);
    }
    if (left.resources.empty()) {
      SetCondition(status, "NamespaceContentRemaining", "False", "ContentRemoved", "All content successfully removed", now);
    } else {
      SetCondition(status, "NamespaceContentRemaining", "True", "SomeResourcesRemain", "Some resources are remaining: " + told(left.resources, "has"), now);
    }
    if (left.finalizers.empty()) {
      SetCondition(status, "NamespaceFinalizersRemaining", "False", "ContentHasNoFinalizers", "All content-preserving finalizers finished", now);
    } else {
      SetCondition(status, "NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain",
                   "Some content in the namespace has finalizers remaining: " + told(left.finalizers, "in"), now);
    }
    if (status == ns["status"]) return {};
    auto r = client_.Update(ctx, "v1/namespaces", std::move(next), "status");
    if (!r && r.error().code() != Code::kNotFound) return std::unexpected(std::move(r).error());
    return {};
  }

  Result<> Finalize(const Ctx& ctx, const Key& key) {
    const ObjectPtr ns = namespaces_.Get(key);
    if (!ns) return {};
    json::Value next = ns->Clone();
    json::Value rest = json::Value::Array();
    for (const json::Value& f : (*ns)["spec"]["finalizers"].Items()) {
      if (f.Str() != "kubernetes") rest.Append(f.Clone());
    }
    if (rest.size() == (*ns)["spec"]["finalizers"].size()) return {};
    next.Set("spec").Set("finalizers") = std::move(rest);
    auto r = client_.Update(ctx, "v1/namespaces", std::move(next), "finalize");
    if (!r && r.error().code() != Code::kNotFound) return std::unexpected(std::move(r).error());
    return {};
  }

  Client& client_;
  const Clock& clock_;
  Registry& registry_;
  Informers& informers_;
  const Lister& namespaces_;
  AggregatedApis* const aggregated_;     // may be null
};

}  // namespace

void AddNamespace(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = "namespace-controller";
  spec.workers = 4;
  const Lister& namespaces = c.informers.Get("v1/namespaces");
  spec.triggers.push_back({"v1/namespaces", {}});
  // The last pod to go lets the rest follow at once.
  spec.triggers.push_back({"v1/pods", [&namespaces](const Notification& n) {
                             std::vector<Key> keys;
                             if (n.type != Notification::Type::kDeleted) return keys;
                             const Key key{"", std::string(Namespace(*n.object))};
                             if (const ObjectPtr ns = namespaces.Get(key); ns && IsTerminating(*ns)) keys.push_back(key);
                             return keys;
                           }});
  spec.reconciler = std::make_unique<NamespaceReconciler>(c);
  c.manager.Add(std::move(spec));
}

}  // namespace skerry::kube
