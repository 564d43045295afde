#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "core/base/strings.h"
#include "embedded-kube-shim/apis/quota.h"
#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

// Counts what the quotas of a namespace speak of. Admission only ever adds; what goes away is found here, by counting again: when something
// counted is deleted, when a pod finishes, and when a quota changes.
namespace skerry::kube {
namespace {

constexpr const char* kQuotas = "v1/resourcequotas";
constexpr const char* kName = "resourcequota-controller";

// Objects that free something when they go.
constexpr std::string_view kCountedPaths[] = {"v1/pods",       "v1/services",        "v1/persistentvolumeclaims", "v1/configmaps",       "v1/secrets",         "v1/replicationcontrollers", "v1/resourcequotas",
                                              "v1/podtemplates", "v1/serviceaccounts", "v1/endpoints",            "apps/v1/deployments", "apps/v1/replicasets", "apps/v1/statefulsets",      "apps/v1/daemonsets",
                                              "batch/v1/jobs",  "batch/v1/cronjobs",  "networking.k8s.io/v1/ingresses"};

struct Source {
  std::string group, resource, path;
};

class QuotaCounter final : public Reconciler {
 public:
  explicit QuotaCounter(const ControllerContext& c) : context_(c), client_(c.client(kName)), quotas_(c.informers.Get(kQuotas)) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr found = quotas_.Get(key);
    if (!found || IsTerminating(*found)) return Outcome{};
    const auto hard = QuantitiesOf(found->At({"spec", "hard"}));
    auto counting = found->Clone();
    counting.Set("status").Set("hard") = ToJson(hard);
    const auto used = Count(counting, hard);
    if (QuantitiesOf(found->At({"status", "hard"})) == hard && QuantitiesOf(found->At({"status", "used"})) == used) return Outcome{};
    auto& status = counting.Set("status");
    status.Set("used") = ToJson(used);
    // With its resourceVersion: an admission in between has changed what is used, and the count is made again.
    auto written = client_.Update(ctx, kQuotas, std::move(counting), "status");
    if (!written && written.error().code() != Code::kNotFound) return std::unexpected(std::move(written).error());
    return Outcome{};
  }

  // What the limits of all quotas of the namespace need to see.
  bool Watches(std::string_view ns, const quota::Counted& what) const {
    for (const ObjectPtr& each : quotas_.List(ns)) {
      std::vector<std::string> names;
      for (const auto& [name, limit] : each->At({"spec", "hard"}).Members()) names.push_back(name);
      if (!quota::MatchingNames(what, names).empty()) return true;
    }
    return false;
  }

 private:
  Quantities Count(const json::Value& counting, const Quantities& hard) {
    const auto names = quota::NamesOf(hard);
    const std::string ns(Namespace(counting));
    const auto now = context_.clock.Now();
    Quantities used;
    for (const auto& source : SourcesOf(names)) {
      const quota::Counted what{source.group, source.resource};
      const auto mine = quota::MatchingNames(what, names);
      if (mine.empty()) continue;
      Follow(source.path);
      for (const auto& name : mine) used.try_emplace(name);
      for (const ObjectPtr& object : context_.informers.Get(source.path).List(ns))
        if (quota::Matches(counting, what, *object)) AddTo(used, quota::Mask(quota::Usage(what, *object, now), mine));
    }
    return used;
  }

  std::vector<Source> SourcesOf(const std::vector<std::string>& names) const {
    std::set<std::pair<std::string, std::string>> wanted = {{"", "pods"}, {"", "services"}, {"", "persistentvolumeclaims"}, {"resource.k8s.io", "resourceclaims"}};
    for (const auto& name : names)
      if (auto resource = quota::ResourceOfCount(name)) wanted.insert(std::move(*resource));
    std::vector<Source> out;
    for (const auto& def : *context_.registry.All()) {
      if (!wanted.contains({def->group, def->resource}) || def->scope != Scope::kNamespaced || def->virtual_resource) continue;
      const auto& version = def->StorageVersion().name;
      out.push_back({def->group, def->resource, def->group.empty() ? Cat(version, "/", def->resource) : Cat(def->group, "/", version, "/", def->resource)});
    }
    return out;
  }

  // Any other kind, custom ones too, is followed from the first quota on that counts it.
  void Follow(const std::string& path) {
    if (std::find(std::begin(kCountedPaths), std::end(kCountedPaths), path) != std::end(kCountedPaths)) return;
    std::lock_guard lock(mutex_);
    auto& subscription = followed_[path];
    if (subscription) return;
    subscription = SubscribeChanges(context_.informers, path, [this](const Change& change) {
      if (change.type() != Notification::Type::kDeleted) return;
      for (const ObjectPtr& each : quotas_.List(change.ns())) context_.manager.Enqueue(kName, KeyOf(*each));
    });
  }

  const ControllerContext context_;
  Client& client_;
  const Lister& quotas_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<void>> followed_;   // by path; guarded. Last: no callback outlives what it uses
};

bool Finished(const json::Value& pod) {
  const auto phase = pod.At({"status", "phase"}).Str();
  return phase == "Succeeded" || phase == "Failed";
}

// Does the change free something, or change what it costs?
bool Frees(const Notification& n, std::string_view path) {
  if (n.type == Notification::Type::kDeleted) return true;
  if (n.type != Notification::Type::kModified) return false;
  if (path == "v1/pods") return Finished(*n.object) || n.object->At({"metadata"}).Find("deletionTimestamp") || (n.previous && !(n.previous->At({"spec"}) == n.object->At({"spec"})));
  if (path == "v1/services" || path == "v1/persistentvolumeclaims") return !n.previous || !(n.previous->At({"spec"}) == n.object->At({"spec"})) || !(n.previous->At({"status"}) == n.object->At({"status"}));
  return false;
}

quota::Counted CountedOf(std::string_view path) {
  const auto last = path.rfind('/'), first = path.find('/');
  return {first == last ? std::string_view() : path.substr(0, first), path.substr(last + 1)};
}

}  // namespace

void AddResourceQuota(const ControllerContext& c) {
  auto counter = std::make_unique<QuotaCounter>(c);
  ControllerSpec spec;
  spec.name = kName;
  spec.triggers.push_back({kQuotas, {}});
  const Lister& quotas = c.informers.Get(kQuotas);
  for (const auto path : kCountedPaths) {
    spec.triggers.push_back({std::string(path), [&quotas, path, watcher = counter.get()](const Notification& n) {
                               std::vector<Key> keys;
                               const auto ns = Namespace(*n.object);
                               if (!Frees(n, path) || !watcher->Watches(ns, CountedOf(path))) return keys;
                               for (const ObjectPtr& each : quotas.List(ns)) keys.push_back(KeyOf(*each));
                               return keys;
                             },
                             [](const Change& change) { return change.type() != Notification::Type::kAdded; }});   // nothing new frees anything
  }
  spec.workers = 2;
  spec.reconciler = std::move(counter);
  c.manager.Add(std::move(spec));
}

}  // namespace skerry::kube
