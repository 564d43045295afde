#include <algorithm>

#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/controllers/write.h"

// Cluster roles that are made of others: their rules are those of every role that one of the selectors matches, in the order of names.
namespace skerry::kube {
namespace {

constexpr const char* kRoles = "rbac.authorization.k8s.io/v1/clusterroles";
constexpr const char* kName = "clusterrole-aggregation-controller";

class Aggregation final : public Reconciler {
 public:
  explicit Aggregation(const ControllerContext& c) : client_(c.client(kName)), roles_(c.informers.Get(kRoles)) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr role = roles_.Get(key);
    if (!role || !(*role)["aggregationRule"].is_object()) return Outcome{};
    json::Value rules = json::Value::Array();
    const std::vector<ObjectPtr> all = roles_.List();
    for (const json::Value& selector : (*role)["aggregationRule"]["clusterRoleSelectors"].Items()) {
      for (const ObjectPtr& r : all) {
        if (Name(*r) == key.name || !MatchesSelector(selector, Meta(*r)["labels"])) continue;
        for (const json::Value& rule : (*r)["rules"].Items()) {
          const auto have = rules.Items();
          if (std::none_of(have.begin(), have.end(), [&](const json::Value& h) { return h == rule; })) rules.Append(rule.Clone());
        }
      }
    }
    if (rules.size() == 0) return Outcome{};             // rules set by hand stay until there is something to aggregate
    json::Value next = role->Clone();
    next.Set("rules") = std::move(rules);
    TRY_VOID(UpdateIfChanged(ctx, client_, kRoles, role, std::move(next)));
    return Outcome{};
  }

 private:
  Client& client_;
  const Lister& roles_;
};

}  // namespace

void AddClusterRoleAggregation(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = kName;
  const Lister& roles = c.informers.Get(kRoles);
  // Any role may be part of any aggregate: a change looks at them all. They are few and rarely change.
  spec.triggers.push_back({kRoles, [&roles](const Notification&) {
                             std::vector<Key> keys;
                             for (const ObjectPtr& r : roles.List()) {
                               if ((*r)["aggregationRule"].is_object()) keys.push_back(KeyOf(*r));
                             }
                             return keys;
                           }});
  spec.reconciler = std::make_unique<Aggregation>(c);
  c.manager.Add(std::move(spec));
}

}  // namespace skerry::kube
