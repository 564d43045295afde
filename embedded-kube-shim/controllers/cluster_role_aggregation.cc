#include <algorithm>

#include "core/text/selector.h"
#include "embedded-kube-shim/controllers/context.h"

// Cluster roles with an aggregationRule hold the rules of every role that its selectors pick.
namespace skerry::kube {
namespace {

bool Selects(const json::Value& selector, const json::Value& labels) {
  std::vector<text::Requirement> requirements;
  for (const auto& [key, value] : selector["matchLabels"].Members()) requirements.push_back({key, text::Requirement::Op::kEquals, {std::string(value.Str())}});
  for (const auto& expression : selector["matchExpressions"].Items()) {
    const auto op = expression["operator"].Str();
    text::Requirement requirement{std::string(expression["key"].Str()), text::Requirement::Op::kExists, {}};
    if (op == "In") requirement.op = text::Requirement::Op::kIn;
    else if (op == "NotIn") requirement.op = text::Requirement::Op::kNotIn;
    else if (op == "DoesNotExist") requirement.op = text::Requirement::Op::kAbsent;
    for (const auto& value : expression["values"].Items()) requirement.values.emplace_back(value.Str());
    requirements.push_back(std::move(requirement));
  }
  const auto parsed = text::LabelSelector::Create(std::move(requirements));
  if (!parsed) return false;
  return parsed->Matches([&](std::string_view key) -> std::optional<std::string_view> {
    const auto* value = labels.Find(key);
    if (!value) return std::nullopt;
    return value->Str();
  });
}

class Aggregation final : public Reconciler {
 public:
  explicit Aggregation(const ControllerContext& c) : client_(c.client("clusterrole-aggregation-controller")), roles_(c.informers.Get("rbac.authorization.k8s.io/v1/clusterroles")) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr role = roles_.Get(key);
    if (!role || !(*role)["aggregationRule"].is_object()) return Outcome{};
    auto all = roles_.List();
    std::sort(all.begin(), all.end(), [](const ObjectPtr& a, const ObjectPtr& b) { return a->At({"metadata", "name"}).Str() < b->At({"metadata", "name"}).Str(); });
    auto rules = json::Value::Array();
    for (const auto& selector : role->At({"aggregationRule", "clusterRoleSelectors"}).Items()) {
      for (const auto& part : all) {
        if (part->At({"metadata", "name"}).Str() == key.name || !Selects(selector, part->At({"metadata", "labels"}))) continue;
        for (const auto& rule : (*part)["rules"].Items()) {
          const auto known = rules.Items();
          if (std::none_of(known.begin(), known.end(), [&](const json::Value& other) { return other == rule; })) rules.Append(rule.Clone());
        }
      }
    }
    if (rules == (*role)["rules"] || (rules.size() == 0 && (*role)["rules"].size() == 0)) return Outcome{};
    auto patch = json::Value::Object();
    patch.Set("apiVersion") = "rbac.authorization.k8s.io/v1";
    patch.Set("kind") = "ClusterRole";
    patch.Set("metadata").Set("name") = key.name;
    patch.Set("rules") = std::move(rules);
    auto applied = client_.Patch(ctx, "rbac.authorization.k8s.io/v1/clusterroles", key, PatchType::kApply, std::move(patch));
    if (!applied) return std::unexpected(std::move(applied).error());
    return Outcome{};
  }

 private:
  Client& client_;
  const Lister& roles_;
};

}  // namespace

void AddClusterRoleAggregation(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = "clusterrole-aggregation-controller";
  const Lister& roles = c.informers.Get("rbac.authorization.k8s.io/v1/clusterroles");
  // Any role may be part of any aggregate: all of those are looked at.
  spec.triggers.push_back({"rbac.authorization.k8s.io/v1/clusterroles", [&roles](const Notification&) {
                             std::vector<Key> keys;
                             for (const auto& role : roles.List())
                               if ((*role)["aggregationRule"].is_object()) keys.push_back(KeyOf(*role));
                             return keys;
                           }});
  spec.workers = 2;
  spec.reconciler = std::make_unique<Aggregation>(c);
  c.manager.Add(std::move(spec));
}

}  // namespace skerry::kube
