#include <utility>

#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

namespace skerry::kube {
namespace {

constexpr const char* kNodes = "v1/nodes";
constexpr const char* kLabel = "node-role.kubernetes.io/control-plane";

class NodeRole final : public Reconciler {
 public:
  NodeRole(const ControllerContext& c, std::string node) : client_(c.client("node-controller")), nodes_(c.informers.Get(kNodes)), node_(std::move(node)) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr node = key.name == node_ ? nodes_.Get(key) : nullptr;
    if (!node || Meta(*node)["labels"].Find(kLabel)) return Outcome{};
    json::Value patch;
    patch.Set("metadata").Set("labels").Set(kLabel) = "";
    auto written = client_.Patch(ctx, kNodes, key, PatchType::kMerge, std::move(patch));
    if (!written && written.error().code() != Code::kNotFound) return std::unexpected(std::move(written).error());
    return Outcome{};
  }

 private:
  Client& client_;
  const Lister& nodes_;
  const std::string node_;
};

}  // namespace

void AddNodeRole(const ControllerContext& c, std::string node) {
  ControllerSpec spec;
  spec.name = "node-role-controller";
  spec.triggers.push_back({kNodes, [node](const Notification& n) { return Name(*n.object) == node ? std::vector<Key>{KeyOf(*n.object)} : std::vector<Key>{}; }});
  spec.reconciler = std::make_unique<NodeRole>(c, std::move(node));
  c.manager.Add(std::move(spec));
}

}  // namespace skerry::kube
