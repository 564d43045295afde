#include "embedded-kube-shim/network/policy_sync.h"

#include <atomic>

#include "embedded-kube-shim/network/change_loop.h"
#include "embedded-kube-shim/network/policy_facts.h"

namespace skerry::kube::network {
namespace {

constexpr const char* kPolicies = "networking.k8s.io/v1/networkpolicies";
constexpr const char* kPods = "v1/pods";
constexpr const char* kNamespaces = "v1/namespaces";

// Of a pod only its address, labels, phase and named ports (constant) matter here: most status writes do not.
bool MattersForPolicy(const Notification& n) {
  if (n.type != Notification::Type::kModified || !n.previous) return true;
  const json::Value &now = *n.object, &before = *n.previous;
  return now["status"]["podIP"].Str() != before["status"]["podIP"].Str() || now["status"]["phase"].Str() != before["status"]["phase"].Str() ||
         !(now["metadata"]["labels"] == before["metadata"]["labels"]);
}

class PolicySync final : public Component {
 public:
  PolicySync(Informers& informers, podnet::PolicyTable& table, std::string node)
      : informers_(informers), policies_(informers.Get(kPolicies)), pods_(informers.Get(kPods)), namespaces_(informers.Get(kNamespaces)), table_(table),
        node_(std::move(node)), loop_("policies", [this](const Ctx&, const ChangeLoop::Batch&) { return Apply(); }) {}
  ~PolicySync() override { Stop(); }

  std::string_view name() const noexcept override { return "policy-sync"; }

  Result<> Start(const Ctx&) override {
    subscriptions_.push_back(informers_.Subscribe(kPolicies, [this](const Notification&) {
      any_policy_ = true;
      loop_.Mark({});
    }));
    for (const char* resource : {kPods, kNamespaces}) {
      subscriptions_.push_back(informers_.Subscribe(resource, [this](const Notification& n) {
        if (any_policy_ && MattersForPolicy(n)) loop_.Mark({});
      }));
    }
    TRY_VOID(Apply());
    loop_.Start();
    return {};
  }

  void Stop() noexcept override {
    subscriptions_.clear();
    loop_.Stop();
  }

 private:
  Result<> Apply() {
    PolicyInputs in;
    in.policies = policies_.List();
    any_policy_ = !in.policies.empty();
    if (!in.policies.empty()) in.pods = pods_.List();
    in.namespace_of = [this](std::string_view ns) { return namespaces_.Get({"", std::string(ns)}); };
    in.node = node_;
    return table_.Replace(PoliciesOf(in));
  }

  Informers& informers_;
  const Lister &policies_, &pods_, &namespaces_;
  podnet::PolicyTable& table_;
  const std::string node_;
  std::atomic<bool> any_policy_{false};
  ChangeLoop loop_;
  std::vector<std::shared_ptr<void>> subscriptions_;
};

}  // namespace

std::unique_ptr<Component> NewPolicySync(Informers& informers, podnet::PolicyTable& table, std::string node) {
  return std::make_unique<PolicySync>(informers, table, std::move(node));
}

}  // namespace skerry::kube::network
